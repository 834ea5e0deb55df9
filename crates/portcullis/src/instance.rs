use std::time::Duration;

use portcullis_audit::Masked;
use portcullis_policy::Limits;
use serde_json::Value;
use wasmtime::component::TypedFunc;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::abi::clawft;
use crate::abi::core_command;
use crate::abi::fledge::{self, NotMade};
use crate::abi::module::{self, NoRoom};
use crate::abi::reglet;
use crate::abi::wasi_command;
use crate::activity::Activity;
use crate::clock::CallClock;
use crate::engine::{Active, HOST_CALL_BYTES, HOST_CALL_BYTES_AS_VALUES, TICK};
use crate::error::CallError;
use crate::exception::Exception;
use crate::exhausted::{Exhausted, Resource};
use crate::gate::{Gate, KilledOnDrop};
use crate::plugin::{Code, Context, Loaded, Plugin};
use crate::record::{self, Asked};
use crate::state::State;

pub(crate) type RunParams = (Vec<String>,);
pub(crate) type RunResults = (Result<String, String>,);
pub(crate) type OverlayResults = (Vec<(String, String)>,);

type RunExport = TypedFunc<RunParams, RunResults>;
type EnvOverlay = TypedFunc<(), OverlayResults>;

/// What is being done first.
const INSTANTIATE: &str = "instantiate";

/// Frames of a guest's backtrace that are reported.
const FRAMES: usize = 16;

/// One running plugin: a memory of its own, a gate of its own.
///
/// It is of no use after a call that did not return; a [`Session`](crate::Session) then makes another.
pub struct Instance {
    plugin: Plugin,
    store: Store<State>,
    /// What is called, while the guest is ready to be.
    entry: Option<Entry>,
}

/// One call into a guest.
pub(crate) trait Call: Send + Sync {
    /// What the guest answers; an error of its own is an answer.
    type Answer: Send;

    /// What is called, for messages.
    const EXPORT: &'static str;
    /// Whether its instance is of no use afterwards.
    fn is_last(&self) -> bool {
        false
    }

    /// What it is, for a record.
    fn asked(&self) -> Asked;

    /// The answer, for a record.
    fn told(answer: &Self::Answer) -> Value;

    /// Whether plugins of this world have it.
    fn fits(code: &Code) -> bool;

    /// Calls.
    ///
    /// # Errors
    /// When the guest does not return.
    fn make(
        &self,
        entry: &Entry,
        store: &mut Store<State>,
    ) -> impl Future<Output = wasmtime::Result<Self::Answer>> + Send;
}

/// A guest that was asked to make itself ready says why it does not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InitRefused(pub(crate) String);

/// The `run` of our worlds.
pub(crate) struct Run<'a>(pub(crate) &'a [String]);

/// What is called in a guest.
pub(crate) enum Entry {
    Component(RunExport),
    Clawft(clawft::Entry),
    Command(wasi_command::Entry),
    CoreCommand(core_command::Entry),
    Module(module::Entry),
    Fledge(fledge::Entry),
    Reglet(reglet::Entry),
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("plugin", self.plugin.id())
            .field("usable", &self.is_usable())
            .finish_non_exhaustive()
    }
}

impl Instance {
    /// Makes a store for an instance. Nothing of the guest has run.
    pub(crate) fn prepare(plugin: &Plugin, context: Context, gate: Gate) -> Self {
        let loaded = &plugin.0;
        let mut store = Store::new(&loaded.engine, context.state(&loaded.grants, gate));
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(match loaded.gate.tape {
            Some(_) => HOST_CALL_BYTES_AS_VALUES,
            None => HOST_CALL_BYTES,
        });
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            Ok(if store.data().gate.clock.is_over() {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Yield(1)
            })
        });
        Self {
            plugin: plugin.clone(),
            store,
            entry: None,
        }
    }

    /// Makes the guest's memory, and has the guest make itself ready, within the limits of a call.
    ///
    /// # Errors
    /// When it does not come to an end, or wants more than it may have, or refuses.
    pub(crate) async fn start(&mut self) -> Result<(), CallError> {
        let bounds = self.begin();
        let mut step = INSTANTIATE;
        let starting = Entry::start(&self.plugin.0, &mut self.store, &mut step);
        let outcome = within(&bounds.clock, starting).await;
        self.end(bounds).await;
        match outcome {
            Ok(entry) => {
                self.entry = Some(entry);
                Ok(())
            }
            Err(stopped) => Err(self.explain(stopped, step)),
        }
    }

    /// Calls the plugin's `run`.
    ///
    /// # Shapes and units
    /// The inner result is the guest's own: text for standard output, or text for standard error.
    ///
    /// # Errors
    /// [`CallError`] when the call does not return: it used up its time or its fuel, the guest trapped, or an earlier
    /// call did.
    ///
    /// # Cancellation
    /// Dropping the future kills every command the call had started, and leaves the instance
    /// [poisoned](CallError::Poisoned).
    pub async fn run(&mut self, args: &[String]) -> Result<Result<String, String>, CallError> {
        self.call(&Run(args)).await
    }

    /// Calls what [fits](Call::fits) the plugin.
    pub(crate) async fn call<C: Call>(&mut self, call: &C) -> Result<C::Answer, CallError> {
        if !C::fits(&self.plugin.0.code) {
            return Err(CallError::NoExport {
                plugin: self.plugin.id().clone(),
                call: C::EXPORT,
            });
        }
        // Back when the call has returned: one that was dropped half way leaves the guest in no known state.
        let Some(entry) = self.entry.take() else {
            return Err(CallError::Poisoned {
                plugin: self.plugin.id().clone(),
            });
        };
        let bounds = self.begin();
        let outcome = within(&bounds.clock, call.make(&entry, &mut self.store)).await;
        self.end(bounds).await;
        match outcome {
            Ok(answer) => {
                self.entry = Some(entry).filter(|_| !call.is_last());
                Ok(answer)
            }
            Err(stopped) => Err(self.explain(stopped, C::EXPORT)),
        }
    }

    /// Gives the guest what it may use in one call, fresh.
    fn begin(&mut self) -> Bounds {
        let limits = &self.plugin.grants().limits;
        let state = self.store.data_mut();
        let clock = state.gate.clock.clone();
        clock.start(limits.call);
        state.limits.forget_refused();
        state.words.forget();
        let children = state.gate.killed_on_drop();
        if let Some(fuel) = limits.fuel
            && let Err(error) = self.store.set_fuel(Limits::clamp_fuel(fuel))
        {
            unreachable!("plugins with fuel have the engine for it: {error}");
        }
        Bounds {
            clock,
            active: self.plugin.0.ticker.enter(),
            children,
        }
    }

    /// Ends what ran beside the guest, and tells the operator of it.
    async fn end(&mut self, bounds: Bounds) {
        drop(bounds.active);
        self.store.data_mut().end_children().await;
        drop(bounds.children);
        self.store.data_mut().gate.explain().await;
    }

    fn explain(&mut self, stopped: Stopped, call: &'static str) -> CallError {
        let error = stopped.explain(&self.plugin, call, self.store.data());
        if let Some(exhausted) = error.exhausted() {
            self.store.data_mut().gate.exhausted(call, exhausted);
        }
        error
    }

    /// Whether it can be called.
    pub(crate) fn is_usable(&self) -> bool {
        self.entry.is_some()
    }

    /// Ends the guest and keeps its gate.
    pub(crate) fn into_gate(self) -> Gate {
        self.store.into_data().gate
    }

    /// What the plugin did and was refused so far.
    pub fn activity(&self) -> &Activity {
        &self.store.data().gate.activity
    }

    pub(crate) fn activity_mut(&mut self) -> &mut Activity {
        &mut self.store.data_mut().gate.activity
    }
}

/// A call in progress.
struct Bounds {
    clock: CallClock,
    active: Active,
    children: KilledOnDrop,
}

impl Call for Run<'_> {
    type Answer = Result<String, String>;

    const EXPORT: &'static str = "run";

    fn asked(&self) -> Asked {
        Asked::Run(self.0.to_vec())
    }

    fn told(answer: &Self::Answer) -> Value {
        record::text(answer)
    }

    fn fits(code: &Code) -> bool {
        match code {
            Code::Component { .. } | Code::Module(_) => true,
            Code::Clawft { .. }
            | Code::Command { .. }
            | Code::CoreCommand(_)
            | Code::Fledge(_)
            | Code::Reglet(_) => false,
        }
    }

    async fn make(
        &self,
        entry: &Entry,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Self::Answer> {
        match entry {
            Entry::Component(run) => Ok(run.call_async(store, (self.0.to_vec(),)).await?.0),
            Entry::Module(entry) => entry.run(store, self.0).await,
            Entry::Clawft(_)
            | Entry::Command(_)
            | Entry::CoreCommand(_)
            | Entry::Fledge(_)
            | Entry::Reglet(_) => Err(wasmtime::Error::msg("the plugin is of another world")),
        }
    }
}

impl Entry {
    /// Makes a guest ready to be called. `step` is what is being done.
    async fn start(
        loaded: &Loaded,
        store: &mut Store<State>,
        step: &mut &'static str,
    ) -> wasmtime::Result<Self> {
        if let Some(forwarding) = &loaded.forwarding {
            record::link::start(forwarding, store).await?;
        }
        match &loaded.code {
            Code::Component { pre, exports } => {
                let instance = pre.instantiate_async(&mut *store).await?;
                *step = "env-overlay";
                let run: RunExport = instance.get_typed_func(&mut *store, exports.run)?;
                if let Some(index) = exports.env_overlay {
                    let overlay: EnvOverlay = instance.get_typed_func(&mut *store, index)?;
                    store.data_mut().gate.overlay = overlay.call_async(&mut *store, ()).await?.0;
                }
                Ok(Self::Component(run))
            }
            Code::Clawft { pre, exports } => clawft::Entry::start(pre, exports, store, step)
                .await
                .map(Self::Clawft),
            Code::Command { pre, run, .. } => wasi_command::Entry::start(pre, *run, store)
                .await
                .map(Self::Command),
            Code::CoreCommand(pre) => core_command::Entry::start(pre, store)
                .await
                .map(Self::CoreCommand),
            Code::Module(pre) => module::Entry::start(pre, store, step)
                .await
                .map(Self::Module),
            Code::Fledge(pre) => Ok(Self::Fledge(fledge::Entry::new(pre))),
            Code::Reglet(pre) => reglet::Entry::start(pre, store, step)
                .await
                .map(Self::Reglet),
        }
    }
}

/// How a call ended that did not return.
enum Stopped {
    Deadline,
    Failed(wasmtime::Error),
}

/// Runs a call to its end or its deadline. A guest that computes is interrupted at the deadline by the engine, which
/// then knows where it was; one that waits for the host is dropped a little later.
async fn within<T>(
    clock: &CallClock,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, Stopped> {
    const AFTER: Duration = TICK.saturating_mul(10);
    tokio::select! {
        biased;
        returned = call => returned.map_err(Stopped::Failed),
        () = clock.over(AFTER) => Err(Stopped::Deadline),
    }
}

impl Stopped {
    fn explain(self, plugin: &Plugin, call: &'static str, state: &State) -> CallError {
        let limits = &plugin.grants().limits;
        let plugin = plugin.id().clone();
        let deadline = |backtrace| CallError::Deadline {
            plugin: plugin.clone(),
            call,
            limit: limits.call,
            backtrace,
        };
        let error = match self {
            Self::Deadline => return deadline(Vec::new()),
            Self::Failed(error) => error,
        };
        let backtrace = frames(&error);
        let trap = error.downcast_ref::<Trap>();
        if trap == Some(&Trap::Interrupt) {
            return deadline(backtrace);
        }
        if let Some(InitRefused(said)) = error.downcast_ref() {
            let said = Masked::new(said).as_str().escape_debug().to_string();
            return CallError::Init { plugin, call, said };
        }
        let exception = is_uncaught(trap).then(|| Exception::read(&state.words.text()));
        let (exception, cause) = (exception.flatten(), cause(&error));
        if let Some(exhausted) = exhausted(&error, call, limits, state) {
            return CallError::Exhausted {
                plugin,
                call,
                exhausted,
                cause,
                exception,
                backtrace,
            };
        }
        if call == INSTANTIATE {
            return CallError::Instantiate { plugin, cause };
        }
        CallError::Trap {
            plugin,
            call,
            cause,
            exception,
            backtrace,
        }
    }
}

/// What a guest used up, if that was its end.
fn exhausted(
    error: &wasmtime::Error,
    call: &'static str,
    limits: &Limits,
    state: &State,
) -> Option<Exhausted> {
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::OutOfFuel) {
        let limit = Limits::clamp_fuel(limits.fuel?);
        return Some(Exhausted {
            resource: Resource::Fuel,
            used: limit,
            limit,
        });
    }
    let refused = state.limits.refused()?;
    let by_itself = || {
        let left = error.downcast_ref::<I32Exit>();
        left.is_some_and(|I32Exit(status)| *status != 0)
            || error.is::<NoRoom>()
            || error.is::<NotMade>()
    };
    match trap {
        Some(trap) => is_want(*trap),
        // A memory that it declares is larger than it may be.
        None => call == INSTANTIATE || by_itself(),
    }
    .then_some(refused)
}

/// Whether a guest can end like this that did not get what it wanted: by giving up, or by going on all the same.
fn is_want(trap: Trap) -> bool {
    matches!(
        trap,
        Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds | Trap::TableOutOfBounds
    )
}

/// What the engine says, or that the guest has left.
fn cause(error: &wasmtime::Error) -> String {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        trap.to_string()
    } else if let Some(I32Exit(status)) = error.downcast_ref() {
        format!("it exited with status {status}")
    } else {
        error.root_cause().to_string()
    }
}

/// Whether a language's own error ends a guest like this: by a trap of its own, or by leaving it.
fn is_uncaught(trap: Option<&Trap>) -> bool {
    trap.is_none_or(|trap| *trap == Trap::UnreachableCodeReached)
}

/// The guest's own functions, innermost first, by the names its author gave them.
fn frames(error: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() else {
        return Vec::new();
    };
    let names: Vec<String> = backtrace.frames().iter().map(name).collect();
    // What a panic does between the guest's own line and the trap tells nobody anything.
    let own = names
        .iter()
        .rposition(|name| is_panic_machinery(name))
        .map_or(0, |last| last + 1);
    let own = names
        .get(own..)
        .filter(|own| !own.is_empty())
        .unwrap_or(&names);
    own.iter()
        .take(FRAMES)
        .map(|name| format!("`{name}`"))
        .collect()
}

fn name(frame: &wasmtime::FrameInfo) -> String {
    let symbol = frame.symbols().first().and_then(|symbol| symbol.name());
    match symbol.or(frame.func_name()) {
        // Without the hash that the compiler adds.
        Some(name) => format!("{:#}", rustc_demangle::demangle(name)),
        None => format!("function {}", frame.func_index()),
    }
}

fn is_panic_machinery(name: &str) -> bool {
    [
        "core::panicking::",
        "std::panicking::",
        "core::result::unwrap_failed",
        "core::option::unwrap_failed",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
        || name.contains("rust_begin_unwind")
        || name.contains("rust_panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_ends_is_not_put_down_to_an_exception() {
        assert!(is_uncaught(None) && is_uncaught(Some(&Trap::UnreachableCodeReached)));
        assert!(!is_uncaught(Some(&Trap::StackOverflow)));
        assert!(!is_uncaught(Some(&Trap::MemoryOutOfBounds)));
    }

    #[test]
    fn what_has_another_reason_is_no_want_of_memory() {
        assert!(is_want(Trap::UnreachableCodeReached) && is_want(Trap::MemoryOutOfBounds));
        for other in [
            Trap::StackOverflow,
            Trap::IntegerDivisionByZero,
            Trap::IndirectCallToNull,
        ] {
            assert!(!is_want(other), "{other}");
        }
    }
}
