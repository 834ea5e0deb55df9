use portcullis_policy::Grants;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::WasiHttpCtx;

use crate::abi::clawft;
use crate::abi::fledge::FledgeState;
use crate::abi::module::ModuleState;
use crate::abi::preview1::Preview1;
use crate::abi::reglet::RegletState;
use crate::abi::streams::Streams;
use crate::abi::wasi_http::FIELDS_BYTES;
use crate::capability::fs::guard::Handles;
use crate::engine::MemoryLimits;
use crate::gate::Gate;
use crate::last_words::LastWords;
use crate::record::Held;

/// What belongs to one instance of a plugin.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) limits: MemoryLimits,
    pub(crate) gate: Gate,
    /// The end of what the guest wrote to its standard error.
    pub(crate) words: LastWords,
    /// Bytes of names and values in all contexts together.
    pub(crate) context_bytes: usize,
    /// Present in an instance of a plugin of clawft.
    pub(crate) output: Option<clawft::Output>,
    /// WASI preview 1: present in an instance of any core module.
    pub(crate) preview1: Option<Box<Preview1>>,
    /// Present in an instance of a plugin of fledge.
    pub(crate) fledge: Option<Box<FledgeState>>,
    /// Present in an instance of a plugin of Reglet.
    pub(crate) reglet: Option<Box<RegletState>>,
    /// Present in an instance of a core module in our form.
    pub(crate) module: Option<Box<ModuleState>>,
    /// Streams of commands, by their place in the table.
    pub(crate) streams: Streams,
    /// The bounds of `wasi:http`.
    pub(crate) http: WasiHttpCtx,
    /// What it holds of files by WASI.
    pub(crate) handles: Handles,
    /// What a command of WASI is called with.
    pub(crate) args: Vec<String>,
    /// What stands between it and its host while it is recorded.
    pub(crate) held: Held,
}

/// Resources one instance may hold: directories, streams, contexts.
pub(crate) const MAX_RESOURCES: usize = 10_000;

impl State {
    pub(crate) fn new(wasi: WasiCtx, grants: &Grants, gate: Gate, words: LastWords) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_RESOURCES);
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(FIELDS_BYTES);
        Self {
            wasi,
            table,
            context_bytes: 0,
            output: None,
            preview1: None,
            fledge: None,
            reglet: None,
            module: None,
            streams: Streams::default(),
            http,
            handles: Handles::default(),
            args: Vec::new(),
            held: Held::default(),
            limits: MemoryLimits::new(&grants.limits),
            gate,
            words,
        }
    }

    /// Ends what runs beside the guest, whose call is over.
    pub(crate) async fn end_children(&mut self) {
        self.gate.settle().await;
        self.pass_on_output(true);
        self.gate.end_log();
        self.gate.end_files();
        if let Some(module) = &mut self.module {
            module.children.clear();
        }
    }

    /// Writes into the log what the guest wrote to its standard output and error, where it has no other place for that.
    pub(crate) fn pass_on_output(&mut self, is_over: bool) {
        if let Some(output) = &self.output {
            output.pass_on(&mut self.gate, is_over);
        }
    }

    /// WASI preview 1. Only linkers for core modules have functions that call this.
    pub(crate) fn preview1(&mut self) -> &mut Preview1 {
        self.preview1
            .as_mut()
            .unwrap_or_else(|| unreachable!("an instance of a core module is made with it"))
    }

    /// What a plugin of fledge has. Only linkers for them have functions that call this.
    pub(crate) fn fledge(&mut self) -> &mut FledgeState {
        self.fledge
            .as_mut()
            .unwrap_or_else(|| unreachable!("an instance of a plugin of fledge is made with it"))
    }

    /// What a plugin of Reglet has. Only linkers for them have functions that call this.
    pub(crate) fn reglet(&mut self) -> &mut RegletState {
        self.reglet
            .as_mut()
            .unwrap_or_else(|| unreachable!("an instance of a plugin of Reglet is made with it"))
    }

    /// What a core module in our form has. Only linkers for core modules have functions that call this.
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
