//! A plugin of fledge from the host's side: what it has to export, how it is started, and how it ends.

use serde_json::{Value, json};
use wasmtime::{InstancePre, Module, Result, Store, Trap};
use wasmtime_wasi::I32Exit;

use super::{Exited, FUNCTIONS, MODULE, init};
use crate::abi::signature::{self, Signature};
use crate::error::CallError;
use crate::instance::{Call, Entry as AnyEntry};
use crate::own_data;
use crate::plugin::Code;
use crate::record::Asked;
use crate::session::Session;
use crate::state::State;

/// The export that does the plugin's work.
pub(crate) const START: &str = "_start";

/// Whether a module has the world's types.
///
/// # Errors
/// All that does not fit.
pub(crate) fn fit(module: &Module) -> Result<(), String> {
    let start = Signature {
        params: &[],
        results: &[],
        words: "()",
    };
    let imports = signature::of_imports(module, MODULE, |name| {
        let known = FUNCTIONS.iter().find(|function| function.name == name)?;
        Some(known.signature)
    });
    let problems: Vec<_> = start
        .of_export(module, START, true)
        .into_iter()
        .chain(imports)
        .collect();
    signature::all(&problems)
}

/// A plugin of which nothing has run: what it is told first has the arguments of the call in it, and a start section may
/// read that already.
pub(crate) struct Entry(InstancePre<State>);

impl Entry {
    pub(crate) fn new(pre: &InstancePre<State>) -> Self {
        Self(pre.clone())
    }
}

/// The engine does not make an instance of it.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be instantiated")]
pub(crate) struct NotMade;

/// The `_start` of a plugin.
struct Start<'a>(&'a [String]);

impl Call for Start<'_> {
    type Answer = i32;

    const EXPORT: &'static str = START;

    fn asked(&self) -> Asked {
        Asked::Start(self.0.to_vec())
    }

    fn told(answer: &i32) -> Value {
        json!({ "code": answer })
    }

    fn is_last(&self) -> bool {
        true
    }

    fn fits(code: &Code) -> bool {
        match code {
            Code::Fledge(_) => true,
            Code::Component { .. }
            | Code::Clawft { .. }
            | Code::Command { .. }
            | Code::CoreCommand(_)
            | Code::Module(_)
            | Code::Reglet(_) => false,
        }
    }

    async fn make(&self, entry: &AnyEntry, store: &mut Store<State>) -> Result<i32> {
        let AnyEntry::Fledge(Entry(pre)) = entry else {
            return Err(wasmtime::Error::msg("the plugin is of another world"));
        };
        own_data::count(store.data_mut()).await;
        let first = init::message(store.data_mut(), self.0).await?;
        store.data_mut().fledge().slot.put(first);
        let ended = match pre.instantiate_async(&mut *store).await {
            Ok(instance) => {
                let start = instance.get_typed_func::<(), ()>(&mut *store, START)?;
                start.call_async(&mut *store, ()).await
            }
            // A start section may end the plugin as well.
            Err(error) if left(&error).is_some() || error.is::<Trap>() => Err(error),
            Err(error) => Err(error.context(NotMade)),
        };
        if let Some(dropped) = store.data_mut().fledge().take_dropped() {
            store.data_mut().gate.activity.failure(dropped);
        }
        match ended {
            Ok(()) => Ok(0),
            Err(error) => left(&error).ok_or(error),
        }
    }
}

/// The code that a guest left with, by either way.
fn left(error: &wasmtime::Error) -> Option<i32> {
    let exited = error.downcast_ref().map(|Exited(code)| *code);
    exited.or_else(|| error.downcast_ref().map(|I32Exit(code)| *code))
}

impl Session {
    /// Runs a plugin of fledge to its end, on an instance of its own.
    ///
    /// # Shapes and units
    /// `args` is what the plugin is told with its first `recv`. The answer is the code that it left with: 0 where it
    /// returned.
    ///
    /// # Errors
    /// [`CallError`] when it does not come to an end, traps, or the plugin is of another world.
    ///
    /// # Cancellation
    /// Dropping the future ends the plugin and every command that it had started.
    pub async fn start_fledge(&self, args: &[String]) -> std::result::Result<i32, CallError> {
        self.call(&Start(args)).await
    }
}
