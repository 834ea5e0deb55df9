use std::path::PathBuf;
use std::sync::Arc;

use portcullis_policy::{Grants, HostEnvironment, PluginId};
use wasmtime::component::{self, ComponentExportIndex};
use wasmtime::{Engine, InstancePre};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use crate::abi::clawft;
use crate::abi::fledge::FledgeState;
use crate::abi::module::ModuleState;
use crate::abi::preview1::Preview1;
use crate::abi::reglet::RegletState;
use crate::capability::wasi::{self, CoreModule};
use crate::compile::Compilation;
use crate::diagnostic::Diagnostic;
use crate::engine::Ticker;
use crate::error::{CallError, LoadError};
use crate::gate::{Gate, GateParts};
use crate::instance::Instance;
use crate::last_words::LastWords;
use crate::recognize::Kind;
use crate::record::link::Forwarding;
use crate::session::Session;
use crate::state::State;
use crate::stdio::GuestStdio;

/// A loaded plugin: compiled, checked against its grants, ready to be instantiated any number of times.
///
/// Cloning is cheap. Instances made from one plugin share its limits on commands.
#[derive(Clone, Debug)]
pub struct Plugin(pub(crate) Arc<Loaded>);

pub(crate) struct Loaded {
    pub(crate) engine: Engine,
    pub(crate) ticker: Arc<Ticker>,
    pub(crate) code: Code,
    pub(crate) grants: Arc<Grants>,
    pub(crate) gate: Arc<GateParts>,
    /// What the guest may be told of, which is not what its commands are started with.
    pub(crate) guest_env: HostEnvironment,
    pub(crate) stdio: GuestStdio,
    pub(crate) digest: String,
    pub(crate) compilation: Option<Compilation>,
    pub(crate) notices: Vec<Diagnostic>,
    /// The directory that only the plugin of fledge has.
    pub(crate) own_data: Option<PathBuf>,
    /// What stands between it and its host while it is recorded.
    pub(crate) forwarding: Option<Forwarding>,
}

/// Code that is compiled and linked.
pub(crate) enum Code {
    Component {
        pre: component::InstancePre<State>,
        exports: Exports,
    },
    /// A component in the world of [`abi::clawft`](crate::abi::clawft).
    Clawft {
        pre: component::InstancePre<State>,
        exports: clawft::Exports,
    },
    /// A command of WASI: what it is run by, and which kind it was before it was compiled.
    Command {
        pre: component::InstancePre<State>,
        run: ComponentExportIndex,
        kind: Kind,
    },
    /// A command of WASI that stays the core module that it is.
    CoreCommand(InstancePre<State>),
    /// A core module in the form of [`abi::module`](crate::abi::module).
    Module(InstancePre<State>),
    /// A core module for the world of [`abi::fledge`](crate::abi::fledge).
    Fledge(InstancePre<State>),
    /// A core module for the world of [`abi::reglet`](crate::abi::reglet).
    Reglet(InstancePre<State>),
}

/// The exports a host calls, looked up once.
#[derive(Debug)]
pub(crate) struct Exports {
    pub(crate) run: ComponentExportIndex,
    pub(crate) env_overlay: Option<ComponentExportIndex>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded")
            .field("plugin", &self.grants.plugin)
            .field("digest", &self.digest)
            .finish()
    }
}

impl Plugin {
    /// The plugin's id.
    pub fn id(&self) -> &PluginId {
        &self.0.grants.plugin
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self.0.code {
            Code::Component { .. } => Kind::Component,
            Code::Clawft { .. } => Kind::ClawftComponent,
            Code::Command { kind, .. } => kind,
            Code::CoreCommand(_) => Kind::WasiCommand,
            Code::Module(_) => Kind::PortcullisModule,
            Code::Fledge(_) => Kind::FledgeModule,
            Code::Reglet(_) => Kind::RegletModule,
        }
    }

    /// The grants it was loaded with.
    pub fn grants(&self) -> &Grants {
        &self.0.grants
    }

    /// The BLAKE3 digest of its bytes, as 64 hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Where it was compiled when it was loaded; `None` if it came from the cache.
    pub fn compilation(&self) -> Option<Compilation> {
        self.0.compilation
    }

    /// What the operator should know of it before it is run.
    pub fn notices(&self) -> &[Diagnostic] {
        &self.0.notices
    }

    /// Makes an instance with a memory of its own, and asks it for its environment overlay if it exports one.
    ///
    /// `run` names the instance in the audit trail.
    ///
    /// # Errors
    /// [`CallError`] when the guest traps or does not come to an end; a granted directory that has gone since loading
    /// is [`CallError::Instantiate`].
    pub async fn instantiate(&self, run: impl Into<Arc<str>>) -> Result<Instance, CallError> {
        let gate = Gate::new(Arc::clone(&self.0.gate), run.into());
        let context = self.0.context();
        let context = context.map_err(|error| CallError::unopened(self.id(), &error))?;
        let mut instance = Instance::prepare(self, context, gate);
        instance.start().await?;
        Ok(instance)
    }

    /// Begins a session: calls one after the other on one instance, which is made with the first of them, and another
    /// whenever one is lost.
    ///
    /// `run` names the session in the audit trail.
    pub fn session(&self, run: impl Into<Arc<str>>) -> Session {
        Session::new(self.clone(), run.into())
    }
}

/// What surrounds a guest, made before its gate is given to it.
pub(crate) struct Context {
    wasi: WasiCtx,
    words: LastWords,
    preview1: Option<Box<Preview1>>,
    module: Option<Box<ModuleState>>,
    fledge: Option<Box<FledgeState>>,
    reglet: Option<Box<RegletState>>,
    output: Option<clawft::Output>,
}

impl Context {
    fn surround(&mut self, CoreModule { files, rest }: CoreModule) {
        self.wasi = files;
        self.preview1 = Some(Box::new(Preview1::new(rest)));
    }

    pub(crate) fn state(self, grants: &Grants, gate: Gate) -> State {
        State {
            preview1: self.preview1,
            module: self.module,
            fledge: self.fledge,
            reglet: self.reglet,
            output: self.output,
            ..State::new(self.wasi, grants, gate, self.words)
        }
    }
}

impl Loaded {
    /// Opens what the guest was granted.
    ///
    /// # Errors
    /// When it is not there any more.
    pub(crate) fn context(&self) -> Result<Context, LoadError> {
        let Loaded {
            grants,
            guest_env,
            stdio,
            ..
        } = self;
        let words = LastWords::default();
        let mut context = Context {
            wasi: WasiCtxBuilder::new().build(),
            words: words.clone(),
            preview1: None,
            module: None,
            fledge: None,
            reglet: None,
            output: None,
        };
        match &self.code {
            Code::Component { .. } | Code::Command { .. } => {
                context.wasi = wasi::context(grants, guest_env, stdio, &words)?;
            }
            Code::Clawft { .. } => {
                let output = context.output.insert(clawft::Output::default());
                context.wasi = wasi::nothing(grants, output, &words);
            }
            Code::CoreCommand(_) => {
                context.surround(wasi::core_module(grants, guest_env, stdio, &words)?);
            }
            Code::Module(_) => {
                context.surround(wasi::core_module(grants, guest_env, stdio, &words)?);
                let module = ModuleState::new(stdio.stderr_of_command());
                context.module = Some(Box::new(module));
            }
            Code::Reglet(_) => {
                context.surround(wasi::core_module(grants, guest_env, stdio, &words)?);
                let reglet = RegletState::new(stdio.stderr_of_command());
                context.reglet = Some(Box::new(reglet));
            }
            Code::Fledge(_) => {
                let project = self.gate.place.project();
                let own = self.own_data.as_deref();
                context.surround(wasi::fledge(grants, project, own, stdio, &words)?);
                context.fledge = Some(Box::new(FledgeState::new(grants, stdio)));
            }
        }
        Ok(context)
    }
}
