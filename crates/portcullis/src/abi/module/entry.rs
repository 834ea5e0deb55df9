//! A guest in the core-module form, from the host's side: what it has to export, how it starts, how it is called.

use wasmtime::{InstancePre, Memory, Module, Result, Store, TypedFunc, ValType, bail};

use super::{give, shown, wire};
use crate::abi::packed::{ALLOCATE, MEMORY, Packed};
use crate::abi::signature::{self, Signature};
use crate::state::State;

/// The export that does the plugin's work.
const RUN: &str = "run";
/// The export that makes a guest ready, if it has one. A second call would be its end in some languages.
const INITIALIZE: &str = "_initialize";

/// What a guest has to export.
pub(crate) const REQUIRED: [&str; 3] = [MEMORY, ALLOCATE, RUN];

/// What a guest exports, and whether it has to.
const FUNCTIONS: [(&str, bool, Signature); 3] = [
    (
        ALLOCATE,
        true,
        Signature {
            params: &[ValType::I32],
            results: &[ValType::I32],
            words: "(i32) -> i32",
        },
    ),
    (
        RUN,
        true,
        Signature {
            params: &[ValType::I64],
            results: &[ValType::I64],
            words: "(i64) -> i64",
        },
    ),
    (
        INITIALIZE,
        false,
        Signature {
            params: &[],
            results: &[],
            words: "()",
        },
    ),
];

/// Whether a module exports what it has to, in the right types.
///
/// # Errors
/// All that does not fit.
pub(crate) fn fit(module: &Module) -> Result<(), String> {
    let functions = FUNCTIONS
        .iter()
        .filter_map(|(name, required, signature)| signature.of_export(module, name, *required));
    let problems: Vec<_> = signature::of_memory(module)
        .into_iter()
        .chain(functions)
        .collect();
    signature::all(&problems)
}

/// A guest does not take its arguments.
#[derive(Debug, thiserror::Error)]
#[error("its `{ALLOCATE}` has no room for {0} bytes of arguments")]
pub(crate) struct NoRoom(usize);

/// A guest that is ready to be called.
pub(crate) struct Entry {
    memory: Memory,
    allocate: TypedFunc<u32, u32>,
    run: TypedFunc<i64, i64>,
}

impl Entry {
    /// Makes the guest's memory and runs what it runs before anything else. `step` is what is being done.
    ///
    /// # Errors
    /// When it traps, or has more memory than it may.
    pub(crate) async fn start(
        pre: &InstancePre<State>,
        store: &mut Store<State>,
        step: &mut &'static str,
    ) -> Result<Self> {
        let instance = pre.instantiate_async(&mut *store).await?;
        *step = INITIALIZE;
        if instance.get_func(&mut *store, INITIALIZE).is_some() {
            let initialize = instance.get_typed_func::<(), ()>(&mut *store, INITIALIZE)?;
            initialize.call_async(&mut *store, ()).await?;
        }
        let Some(memory) = instance.get_memory(&mut *store, MEMORY) else {
            bail!("it exports no memory `{MEMORY}`");
        };
        Ok(Self {
            memory,
            allocate: instance.get_typed_func(&mut *store, ALLOCATE)?,
            run: instance.get_typed_func(&mut *store, RUN)?,
        })
    }

    /// Calls the guest's `run` and reads its answer.
    ///
    /// # Errors
    /// When it traps, or its answer is none.
    pub(crate) async fn run(
        &self,
        store: &mut Store<State>,
        args: &[String],
    ) -> Result<Result<String, String>> {
        let args = serde_json::to_vec(args)?;
        let Some(place) = give(&mut *store, self.memory, &self.allocate, &args).await? else {
            return Err(NoRoom(args.len()).into());
        };
        let answer = self.run.call_async(&mut *store, place.into_wasm()).await?;
        let answer = Packed::from_wasm(answer).bytes(&self.memory, &*store)?;
        match wire::run_result(answer) {
            Ok(answer) => Ok(answer),
            Err(malformed) => bail!(
                "what its `{RUN}` gave back is no answer: {}",
                shown(&malformed)
            ),
        }
    }
}
