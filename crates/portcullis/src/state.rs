use portcullis_policy::Grants;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::abi::module::ModuleState;
use crate::engine::MemoryLimits;
use crate::gate::Gate;

/// What belongs to one instance of a plugin.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limits: MemoryLimits,
    pub(crate) gate: Gate,
    /// Bytes of names and values in all contexts together.
    pub(crate) context_bytes: usize,
    /// Present in an instance of a core module.
    pub(crate) module: Option<Box<ModuleState>>,
}

/// Resources one instance may hold: directories, streams, contexts.
const MAX_RESOURCES: usize = 10_000;

impl State {
    pub(crate) fn new(wasi: WasiCtx, grants: &Grants, gate: Gate) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        Self {
            wasi,
            table,
            context_bytes: 0,
            module: None,
            limits: MemoryLimits::new(&grants.limits),
            gate,
        }
    }

    /// What a core module has. Only linkers for core modules have functions that call this.
    pub(crate) fn module(&mut self) -> &mut ModuleState {
        self.module
            .as_mut()
            .unwrap_or_else(|| unreachable!("an instance of a core module is made with it"))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}
