use std::time::Duration;

use wasmtime::component::TypedFunc;
use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::abi::module;
use crate::activity::Activity;
use crate::clock::CallClock;
use crate::engine::TICK;
use crate::error::CallError;
use crate::exception::Exception;
use crate::plugin::{Code, Loaded, Plugin};
use crate::state::State;

pub(crate) type RunParams = (Vec<String>,);
pub(crate) type RunResults = (Result<String, String>,);
pub(crate) type OverlayResults = (Vec<(String, String)>,);

type Run = TypedFunc<RunParams, RunResults>;
type EnvOverlay = TypedFunc<(), OverlayResults>;

/// What is being done first.
const INSTANTIATE: &str = "instantiate";

/// Frames of a guest's backtrace that are reported.
const FRAMES: usize = 16;

/// One running plugin: a memory of its own, a gate of its own.
pub struct Instance {
    plugin: Plugin,
    store: Store<State>,
    entry: Entry,
    /// Whether every call so far has returned. A call that was dropped half way leaves the guest in no known state.
    sound: bool,
}

/// What is called in a guest.
enum Entry {
    Component(Run),
    Module(module::Entry),
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("plugin", self.plugin.id())
            .field("sound", &self.sound)
            .finish_non_exhaustive()
    }
}

impl Instance {
    pub(crate) async fn start(plugin: Plugin, mut store: Store<State>) -> Result<Self, CallError> {
        let loaded = std::sync::Arc::clone(&plugin.0);
        let _active = loaded.ticker.enter();
        let limit = loaded.grants.limits.call;
        let clock = store.data().gate.clock.clone();
        clock.start(limit);
        let _children = store.data().gate.children.killed_on_drop();
        let mut step = INSTANTIATE;
        let outcome = within(&clock, Entry::start(&loaded, &mut store, &mut step)).await;
        store.data_mut().end_children().await;
        match outcome {
            Ok(entry) => Ok(Self {
                plugin,
                store,
                entry,
                sound: true,
            }),
            Err(Stopped::Failed(error)) if step == INSTANTIATE && !is_deadline(&error) => {
                Err(CallError::Instantiate {
                    plugin: plugin.id().clone(),
                    cause: error.root_cause().to_string(),
                })
            }
            Err(stopped) => Err(stopped.explain(&plugin, step, limit, store.data())),
        }
    }

    /// Calls the plugin's `run`.
    ///
    /// # Shapes and units
    /// The inner result is the guest's own: text for standard output, or text for standard error.
    ///
    /// # Errors
    /// [`CallError`] when the call does not return: its deadline passed, the guest trapped, or an earlier call did.
    ///
    /// # Cancellation
    /// Dropping the future kills every command the call had started, and leaves the instance
    /// [poisoned](CallError::Poisoned).
    pub async fn run(&mut self, args: &[String]) -> Result<Result<String, String>, CallError> {
        if !std::mem::replace(&mut self.sound, false) {
            return Err(CallError::Poisoned {
                plugin: self.plugin.id().clone(),
            });
        }
        let limit = self.plugin.grants().limits.call;
        let clock = self.store.data().gate.clock.clone();
        clock.start(limit);
        let active = self.plugin.0.ticker.enter();
        self.store.data().words.forget();
        let children = self.store.data().gate.children.killed_on_drop();
        let call = self.entry.run(&mut self.store, args);
        let outcome = within(&clock, call).await;
        drop(active);
        self.store.data_mut().end_children().await;
        drop(children);
        self.store.data_mut().gate.explain().await;
        match outcome {
            Ok(answer) => {
                self.sound = true;
                Ok(answer)
            }
            Err(stopped) => Err(stopped.explain(&self.plugin, "run", limit, self.store.data())),
        }
    }

    /// What the plugin did and was refused so far.
    pub fn activity(&self) -> &Activity {
        &self.store.data().gate.activity
    }
}

impl Entry {
    /// Makes a guest ready to be called. `step` is what is being done.
    async fn start(
        loaded: &Loaded,
        store: &mut Store<State>,
        step: &mut &'static str,
    ) -> wasmtime::Result<Self> {
        match &loaded.code {
            Code::Component { pre, exports } => {
                let instance = pre.instantiate_async(&mut *store).await?;
                *step = "env-overlay";
                let run: Run = instance.get_typed_func(&mut *store, exports.run)?;
                if let Some(index) = exports.env_overlay {
                    let overlay: EnvOverlay = instance.get_typed_func(&mut *store, index)?;
                    store.data_mut().gate.overlay = overlay.call_async(&mut *store, ()).await?.0;
                }
                Ok(Self::Component(run))
            }
            Code::Module(pre) => module::Entry::start(pre, store, step)
                .await
                .map(Self::Module),
        }
    }

    async fn run(
        &self,
        store: &mut Store<State>,
        args: &[String],
    ) -> wasmtime::Result<Result<String, String>> {
        match self {
            Self::Component(run) => Ok(run.call_async(store, (args.to_vec(),)).await?.0),
            Self::Module(entry) => entry.run(store, args).await,
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
    fn explain(
        self,
        plugin: &Plugin,
        call: &'static str,
        limit: Duration,
        state: &State,
    ) -> CallError {
        let plugin = plugin.id().clone();
        let error = match self {
            Self::Deadline => {
                return CallError::Deadline {
                    plugin,
                    call,
                    limit,
                    backtrace: Vec::new(),
                };
            }
            Self::Failed(error) => error,
        };
        let backtrace = frames(&error);
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => CallError::Deadline {
                plugin,
                call,
                limit,
                backtrace,
            },
            trap => CallError::Trap {
                plugin,
                call,
                cause: cause(&error),
                exception: is_uncaught(trap)
                    .then(|| Exception::read(&state.words.text()))
                    .flatten(),
                backtrace,
                memory_limit: state.limits.refused_memory(),
            },
        }
    }
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

/// Whether the guest was interrupted because its time was up.
fn is_deadline(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt))
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
}
