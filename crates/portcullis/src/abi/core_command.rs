//! Commands of WASI that stay the core modules that they are, on [preview 1](super::preview1) as the host has it.
//!
//! All others are [made](crate::componentize) components. Go's runtime takes it that nobody else grows its memory, and the
//! adapter that a component is made with needs a part of it.

use wasmtime::{Engine, ExternType, InstancePre, Linker, Module, Result, Store, TypedFunc};
use wasmtime_wasi::I32Exit;

use super::preview1;
use crate::state::State;

/// The export that does a command's work.
const START: &str = "_start";

/// What Go's runtime leaves with when it cannot go on, for want of memory among other things.
const GIVEN_UP: i32 = 2;

/// Whether a module can be run.
///
/// # Errors
/// What does not fit.
pub(crate) fn fit(module: &Module) -> Result<(), String> {
    match module.get_export(START) {
        Some(ExternType::Func(start)) if start.params().len() + start.results().len() == 0 => {
            Ok(())
        }
        _ => Err(format!("it exports no function `{START}: ()`")),
    }
}

/// A linker with WASI preview 1.
pub(crate) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    preview1::link(&mut linker)?;
    Ok(linker)
}

/// A command that is ready to be run.
pub(crate) struct Entry(TypedFunc<(), ()>);

impl Entry {
    /// Makes an instance.
    ///
    /// # Errors
    /// When it traps, or has more memory than it may.
    pub(crate) async fn start(pre: &InstancePre<State>, store: &mut Store<State>) -> Result<Self> {
        let instance = pre.instantiate_async(&mut *store).await?;
        Ok(Self(instance.get_typed_func(&mut *store, START)?))
    }

    /// Runs it.
    ///
    /// # Errors
    /// How it ended, if it did not return: by its [exit](I32Exit), or otherwise.
    pub(crate) async fn run(&self, store: &mut Store<State>) -> Result<()> {
        let ended = self.0.call_async(&mut *store, ()).await;
        ended.map_err(|error| match error.downcast_ref() {
            Some(I32Exit(GIVEN_UP)) if store.data().limits.refused().is_some() => {
                error.context(OutOfMemory)
            }
            _ => error,
        })
    }
}

/// It was refused memory, and gave up.
#[derive(Debug, thiserror::Error)]
#[error("it gave up for want of memory")]
pub(crate) struct OutOfMemory;
