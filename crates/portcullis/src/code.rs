//! A plugin's code on its way to instances: recognized, compiled, compared with its grants, linked.

use portcullis_codecache::{CodeCache, StoreError};
use portcullis_policy::Grants;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Module};

use crate::abi::{clawft, core_command, fledge, module, reglet, wasi_command};
use crate::componentize::COMMAND;
use crate::error::{LoadError, MissingImport};
use crate::imports::{self, INCOMING};
use crate::inspect;
use crate::instance;
use crate::plugin::{Code, Exports};
use crate::recognize::Kind;
use crate::record::forward::FORWARDER;
use crate::record::link::Forwarding;
use crate::record::{self, Tape};
use crate::shape::{ModuleImport, Shape};
use crate::state::State;

/// What a component exports.
const RUN: &str = "run: func(args: list<string>) -> result<string, string>";
/// What it may export besides.
const OVERLAY: &str = "env-overlay: func() -> list<tuple<string, string>>";

/// What a reactor exports, to be made ready.
const INITIALIZE: &str = "_initialize";
const BOTH: &str = "it exports both `_start` and `_initialize`: nobody can tell whether it is a command or a reactor";

/// What a file is, and how it is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recognized {
    pub(crate) kind: Kind,
    pub(crate) form: Form,
}

/// What a file is, if it can be a plugin.
///
/// # Errors
/// [`LoadError::NotAPlugin`], or [`LoadError::Invalid`] for what no engine should be given.
pub(crate) fn recognize(grants: &Grants, bytes: &[u8]) -> Result<Recognized, LoadError> {
    let kind = match Kind::of(bytes) {
        // What only writes to its standard output imports nothing of fledge: its manifest says what it is.
        Kind::WasiCommand if grants.fledge.is_some() => Kind::FledgeModule,
        kind => kind,
    };
    let plugin = grants.plugin.clone();
    let invalid = |why: &str| LoadError::Invalid {
        plugin: plugin.clone(),
        kind,
        why: why.to_owned(),
    };
    let form = match kind {
        Kind::Component | Kind::ClawftComponent | Kind::WasiComponent => {
            if inspect::is_too_deep(bytes) {
                return Err(invalid(
                    "its components lie more than 100 deep in one another",
                ));
            }
            Form::Component
        }
        Kind::PortcullisModule | Kind::FledgeModule | Kind::RegletModule | Kind::WasiCommand => {
            let shape = Shape::of(bytes);
            if kind == Kind::WasiCommand && shape.exports(INITIALIZE) {
                let why = BOTH.to_owned();
                return Err(LoadError::Interface { plugin, kind, why });
            }
            // Many small memories take as much address space as many large ones.
            if shape.memories > 1 {
                return Err(invalid("it has more than one memory"));
            }
            // Of Go's the adapter would share the memory, and Go would write over it.
            if kind == Kind::WasiCommand && !shape.is_of_go {
                Form::Made
            } else {
                Form::Module
            }
        }
        _ => {
            let lacks = match kind {
                Kind::CoreModule | Kind::WasiReactor => Shape::of(bytes).lacks(),
                _ => Vec::new(),
            };
            return Err(LoadError::NotAPlugin {
                plugin,
                kind,
                lacks,
            });
        }
    };
    Ok(Recognized { kind, form })
}

/// What becomes of a file's bytes before they are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// They are a component.
    Component,
    /// They are a core module.
    Module,
    /// They are a core module that is [made](COMMAND) a component.
    Made,
    /// They are a plugin whose [forwarder](FORWARDER) is wanted.
    Forwarder,
}

/// Compiled code that nobody has looked at yet.
#[derive(Clone)]
pub(crate) enum Compiled {
    Component(Component),
    Clawft(Component),
    /// A command of WASI, and which of the two kinds it is.
    Command(Component, Kind),
    /// A command of WASI that stays a core module.
    CoreCommand(Module),
    Module(Module),
    Fledge(Module),
    Reglet(Module),
    /// What a plugin that is a component is recorded with.
    Forwarder(Component),
}

impl Compiled {
    /// Compiles these bytes.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn compile(
        Recognized { kind, form }: Recognized,
        engine: &Engine,
        bytes: &[u8],
    ) -> wasmtime::Result<Self> {
        Ok(match form {
            Form::Module => Self::of_module(kind, Module::new(engine, bytes)?),
            Form::Made => {
                let made = (COMMAND.make)(bytes).map_err(wasmtime::Error::msg)?;
                Self::of_component(kind, Component::new(engine, made)?)
            }
            Form::Forwarder => {
                let made = (FORWARDER.make)(bytes).map_err(wasmtime::Error::msg)?;
                Self::Forwarder(Component::new(engine, made)?)
            }
            Form::Component => Self::of_component(kind, Component::new(engine, bytes)?),
        })
    }

    /// A component of this kind.
    pub(crate) fn of_component(kind: Kind, component: Component) -> Self {
        match kind {
            Kind::ClawftComponent => Self::Clawft(component),
            Kind::WasiComponent | Kind::WasiCommand => Self::Command(component, kind),
            _ => Self::Component(component),
        }
    }

    /// A core module of this kind.
    pub(crate) fn of_module(kind: Kind, module: Module) -> Self {
        match kind {
            Kind::FledgeModule => Self::Fledge(module),
            Kind::WasiCommand => Self::CoreCommand(module),
            Kind::RegletModule => Self::Reglet(module),
            _ => Self::Module(module),
        }
    }

    /// What the cache has for these bytes.
    pub(crate) fn get(
        Recognized { kind, form }: Recognized,
        cache: &CodeCache,
        engine: &Engine,
        bytes: &[u8],
    ) -> Result<Option<Self>, portcullis_codecache::LoadError> {
        let of_component = |component| Self::of_component(kind, component);
        Ok(match form {
            Form::Module => {
                let module = cache.get_module(engine, bytes)?;
                module.map(|module| Self::of_module(kind, module))
            }
            Form::Made => cache.get_made(engine, &COMMAND, bytes)?.map(of_component),
            Form::Forwarder => {
                let made = cache.get_made(engine, &FORWARDER, bytes)?;
                made.map(Self::Forwarder)
            }
            Form::Component => cache.get_component(engine, bytes)?.map(of_component),
        })
    }

    /// Puts it into the cache.
    pub(crate) fn put(&self, cache: &CodeCache, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Command(component, Kind::WasiCommand) => {
                cache.put_made(&COMMAND, bytes, component)
            }
            Self::Forwarder(component) => cache.put_made(&FORWARDER, bytes, component),
            Self::Component(component) | Self::Clawft(component) | Self::Command(component, _) => {
                cache.put_component(bytes, component)
            }
            Self::CoreCommand(module)
            | Self::Module(module)
            | Self::Fledge(module)
            | Self::Reglet(module) => cache.put_module(bytes, module),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Component(_) | Self::Forwarder(_) => Kind::Component,
            Self::Clawft(_) => Kind::ClawftComponent,
            Self::Command(_, kind) => *kind,
            Self::CoreCommand(_) => Kind::WasiCommand,
            Self::Module(_) => Kind::PortcullisModule,
            Self::Fledge(_) => Kind::FledgeModule,
            Self::Reglet(_) => Kind::RegletModule,
        }
    }

    /// Imports that keep it from being loaded with these grants: all of them.
    pub(crate) fn missing(&self, engine: &Engine, grants: &Grants) -> Vec<MissingImport> {
        match self {
            Self::Component(component)
            | Self::Command(component, _)
            | Self::Forwarder(component) => {
                imports::missing(&imports::names(engine, component), grants)
            }
            Self::Clawft(component) => imports::clawft::missing(&imports::names(engine, component)),
            Self::CoreCommand(module) | Self::Module(module) => {
                imports::module::missing(&of_module(module), grants)
            }
            Self::Fledge(module) => imports::fledge::missing(&of_module(module), grants),
            Self::Reglet(module) => imports::reglet::missing(&of_module(module), grants),
        }
    }

    /// Whether any import needs the `exec` grant.
    pub(crate) fn wants_exec(&self, engine: &Engine) -> bool {
        match self {
            Self::Component(component) | Self::Command(component, _) => {
                imports::wants_exec(&imports::names(engine, component))
            }
            Self::Clawft(_) | Self::CoreCommand(_) | Self::Forwarder(_) => false,
            // By a message it may want one as well.
            Self::Fledge(_) => true,
            Self::Module(module) => {
                imports::module_wants_exec(&of_module(module), imports::module::needs)
            }
            Self::Reglet(module) => {
                imports::module_wants_exec(&of_module(module), imports::reglet::needs)
            }
        }
    }

    /// The component, if it is one.
    pub(crate) fn component(&self) -> Option<&Component> {
        match self {
            Self::Component(component)
            | Self::Clawft(component)
            | Self::Command(component, _)
            | Self::Forwarder(component) => Some(component),
            Self::CoreCommand(_) | Self::Module(_) | Self::Fledge(_) | Self::Reglet(_) => None,
        }
    }

    /// Links it with what it was granted, or with what stands between it and that. Nothing must be
    /// [missing](Self::missing). `linker` is for components.
    ///
    /// # Errors
    /// What of its imports and exports has another type than it should.
    pub(crate) fn link(
        self,
        engine: &Engine,
        linker: &Linker<State>,
        grants: &Grants,
        tape: Option<&Tape>,
    ) -> Result<Code, String> {
        let words = |error: wasmtime::Error| format!("{error:#}");
        let of_component = |component: &Component| match tape {
            None => link(engine, linker, grants, component),
            Some(tape) => record::link::linker(engine, component, tape)?
                .0
                .instantiate_pre(component),
        };
        let of_module = |module: &Module, linker: wasmtime::Result<wasmtime::Linker<State>>| {
            let linker = match tape {
                None => linker?,
                Some(tape) => record::core::linker(engine, module, linker?, tape)?,
            };
            linker.instantiate_pre(module)
        };
        match self {
            Self::Component(component) | Self::Forwarder(component) => {
                let exports = exports(engine, &component)?;
                let pre = of_component(&component).map_err(words)?;
                Ok(Code::Component { pre, exports })
            }
            Self::Clawft(component) => {
                let exports = clawft::Exports::of(&component)?;
                exports.fit(&component, engine)?;
                let pre = of_component(&component).map_err(words)?;
                Ok(Code::Clawft { pre, exports })
            }
            Self::Command(component, kind) => {
                let run = wasi_command::run_of(&component, engine)?;
                let pre = of_component(&component).map_err(words)?;
                Ok(Code::Command { pre, run, kind })
            }
            Self::CoreCommand(module) => {
                core_command::fit(&module)?;
                let linker = core_command::linker(engine);
                let pre = of_module(&module, linker).map_err(words)?;
                Ok(Code::CoreCommand(pre))
            }
            Self::Module(module) => {
                module::fit(&module)?;
                let linker = module::linker(engine, grants);
                let pre = of_module(&module, linker).map_err(words)?;
                Ok(Code::Module(pre))
            }
            Self::Fledge(module) => {
                fledge::fit(&module)?;
                let linker = fledge::linker(engine, grants);
                let pre = of_module(&module, linker).map_err(words)?;
                Ok(Code::Fledge(pre))
            }
            Self::Reglet(module) => {
                reglet::fit(&module)?;
                let linker = reglet::linker(engine, grants);
                let pre = of_module(&module, linker).map_err(words)?;
                Ok(Code::Reglet(pre))
            }
        }
    }

    /// Links the forwarder of a component with what that was granted.
    ///
    /// # Errors
    /// What of their imports has another type than it should.
    pub(crate) fn forward(
        &self,
        component: &Component,
        engine: &Engine,
        linker: &Linker<State>,
        grants: &Grants,
        tape: &Tape,
    ) -> wasmtime::Result<Forwarding> {
        let Self::Forwarder(forwarder) = self else {
            wasmtime::bail!("it is no forwarder");
        };
        let (_, exports) = record::link::linker(engine, component, tape)?;
        let pre = link(engine, linker, grants, forwarder)?;
        Ok(Forwarding { pre, exports })
    }
}

fn link(
    engine: &Engine,
    linker: &Linker<State>,
    grants: &Grants,
    component: &Component,
) -> wasmtime::Result<InstancePre<State>> {
    let mut linker = linker.clone();
    if grants.late && imports::any_not_supplied(&imports::names(engine, component)) {
        // Only known imports are left at this point; those that are not supplied trap when called. What is
        // supplied would get types that are not its own.
        linker.define_unknown_imports_as_traps(component)?;
    }
    linker.instantiate_pre(component)
}

fn of_module(module: &Module) -> Vec<ModuleImport> {
    let imports = module.imports().map(|import| ModuleImport {
        module: import.module().to_owned(),
        name: import.name().to_owned(),
        is_function: import.ty().func().is_some(),
    });
    imports.collect()
}

fn exports(engine: &Engine, component: &Component) -> Result<Exports, String> {
    let index = |name| component.get_export_index(None, name);
    let ty = component.component_type();
    let function = |name| match ty.get_export(engine, name).map(|export| export.ty) {
        Some(ComponentItem::ComponentFunc(function)) => Ok(Some(function)),
        Some(_) => Err(format!("its export `{name}` is not a function")),
        None => Ok(None),
    };
    // Nobody would ever call it.
    if let Some((name, _)) = ty
        .exports(engine)
        .find(|(name, _)| name.starts_with(INCOMING))
    {
        return Err(format!(
            "it exports `{name}`, and a plugin answers no HTTP requests"
        ));
    }
    let run = function("run")?.ok_or_else(|| {
        let names: Vec<_> = ty
            .exports(engine)
            .map(|(name, _)| format!("`{name}`"))
            .collect();
        let found = if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        };
        format!("it exports no `{RUN}`; it exports {found}")
    })?;
    run.typecheck::<instance::RunParams, instance::RunResults>(&ty.instance_type())
        .map_err(|error| format!("its export `run` is not `{RUN}`: {error:#}"))?;
    if let Some(overlay) = function("env-overlay")? {
        overlay
            .typecheck::<(), instance::OverlayResults>(&ty.instance_type())
            .map_err(|error| format!("its export `env-overlay` is not `{OVERLAY}`: {error:#}"))?;
    }
    let run = index("run").ok_or("its export `run` cannot be found")?;
    Ok(Exports {
        run,
        env_overlay: index("env-overlay"),
    })
}
