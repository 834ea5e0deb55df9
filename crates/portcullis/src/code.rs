//! A plugin's code on its way to instances: recognized, compiled, compared with its grants, linked.

use portcullis_codecache::{CodeCache, StoreError};
use portcullis_policy::Grants;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Module};

use crate::abi::{clawft, fledge, module, reglet, wasi_command};
use crate::componentize::COMMAND;
use crate::error::{LoadError, MissingImport};
use crate::imports::{self, INCOMING};
use crate::inspect;
use crate::instance;
use crate::plugin::{Code, Exports};
use crate::recognize::Kind;
use crate::shape::{ModuleImport, Shape};
use crate::state::State;

/// What a component exports.
const RUN: &str = "run: func(args: list<string>) -> result<string, string>";
/// What it may export besides.
const OVERLAY: &str = "env-overlay: func() -> list<tuple<string, string>>";

/// What a reactor exports, to be made ready.
const INITIALIZE: &str = "_initialize";
const BOTH: &str = "it exports both `_start` and `_initialize`: nobody can tell whether it is a command or a reactor";
const GO: &str = "it is made by Go, whose runtime takes it that nobody else has a part of its memory; Go makes plugins in the \
    core-module form, as `examples/core-go` is";

/// What a file is, if it can be a plugin.
///
/// # Errors
/// [`LoadError::NotAPlugin`], or [`LoadError::Invalid`] for what no engine should be given.
pub(crate) fn kind(grants: &Grants, bytes: &[u8]) -> Result<Kind, LoadError> {
    let plugin = &grants.plugin;
    let kind = match Kind::of(bytes) {
        // What only writes to its standard output imports nothing of fledge: its manifest says what it is.
        Kind::WasiCommand if grants.fledge.is_some() => Kind::FledgeModule,
        kind => kind,
    };
    if kind == Kind::WasiCommand
        && let Some(why) = misfit(&Shape::of(bytes))
    {
        return Err(LoadError::Interface {
            plugin: plugin.clone(),
            kind,
            why: why.to_owned(),
        });
    }
    let why = match kind {
        Kind::Component | Kind::ClawftComponent | Kind::WasiComponent
            if inspect::is_too_deep(bytes) =>
        {
            "its components lie more than 100 deep in one another"
        }
        // Many small memories take as much address space as many large ones.
        Kind::PortcullisModule | Kind::FledgeModule | Kind::RegletModule | Kind::WasiCommand
            if Shape::of(bytes).memories > 1 =>
        {
            "it has more than one memory"
        }
        kind if kind.is_plugin() => return Ok(kind),
        _ => {
            let lacks = match kind {
                Kind::CoreModule | Kind::WasiReactor => Shape::of(bytes).lacks(),
                _ => Vec::new(),
            };
            let plugin = plugin.clone();
            return Err(LoadError::NotAPlugin {
                plugin,
                kind,
                lacks,
            });
        }
    };
    Err(LoadError::Invalid {
        plugin: plugin.clone(),
        kind,
        why: why.to_owned(),
    })
}

/// Why a command cannot be made a component, or is none.
fn misfit(command: &Shape) -> Option<&'static str> {
    if command.exports(INITIALIZE) {
        return Some(BOTH);
    }
    // It would write over what the adapter keeps in its memory.
    command.is_of_go.then_some(GO)
}

/// Compiled code that nobody has looked at yet.
pub(crate) enum Compiled {
    Component(Component),
    Clawft(Component),
    /// A command of WASI, and which of the two kinds it is.
    Command(Component, Kind),
    Module(Module),
    Fledge(Module),
    Reglet(Module),
}

impl Compiled {
    /// Compiles these bytes.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn compile(kind: Kind, engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Self> {
        Ok(match kind {
            Kind::PortcullisModule | Kind::FledgeModule | Kind::RegletModule => {
                Self::of_module(kind, Module::new(engine, bytes)?)
            }
            Kind::WasiCommand => {
                let made = (COMMAND.make)(bytes).map_err(wasmtime::Error::msg)?;
                Self::of_component(kind, Component::new(engine, made)?)
            }
            _ => Self::of_component(kind, Component::new(engine, bytes)?),
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
            Kind::RegletModule => Self::Reglet(module),
            _ => Self::Module(module),
        }
    }

    /// What the cache has for these bytes.
    pub(crate) fn get(
        kind: Kind,
        cache: &CodeCache,
        engine: &Engine,
        bytes: &[u8],
    ) -> Result<Option<Self>, portcullis_codecache::LoadError> {
        Ok(match kind {
            Kind::PortcullisModule | Kind::FledgeModule | Kind::RegletModule => {
                let module = cache.get_module(engine, bytes)?;
                module.map(|module| Self::of_module(kind, module))
            }
            _ => {
                let component = match kind {
                    Kind::WasiCommand => cache.get_made(engine, &COMMAND, bytes)?,
                    _ => cache.get_component(engine, bytes)?,
                };
                component.map(|component| Self::of_component(kind, component))
            }
        })
    }

    /// Puts it into the cache.
    pub(crate) fn put(&self, cache: &CodeCache, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Command(component, Kind::WasiCommand) => {
                cache.put_made(&COMMAND, bytes, component)
            }
            Self::Component(component) | Self::Clawft(component) | Self::Command(component, _) => {
                cache.put_component(bytes, component)
            }
            Self::Module(module) | Self::Fledge(module) | Self::Reglet(module) => {
                cache.put_module(bytes, module)
            }
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Component(_) => Kind::Component,
            Self::Clawft(_) => Kind::ClawftComponent,
            Self::Command(_, kind) => *kind,
            Self::Module(_) => Kind::PortcullisModule,
            Self::Fledge(_) => Kind::FledgeModule,
            Self::Reglet(_) => Kind::RegletModule,
        }
    }

    /// Imports that keep it from being loaded with these grants: all of them.
    pub(crate) fn missing(&self, engine: &Engine, grants: &Grants) -> Vec<MissingImport> {
        match self {
            Self::Component(component) | Self::Command(component, _) => {
                imports::missing(&imports::names(engine, component), grants)
            }
            Self::Clawft(component) => imports::clawft::missing(&imports::names(engine, component)),
            Self::Module(module) => imports::module::missing(&of_module(module), grants),
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
            Self::Clawft(_) => false,
            // By a message it may want one as well.
            Self::Fledge(_) => true,
            Self::Module(module) => imports::module::wants_exec(&of_module(module)),
            Self::Reglet(module) => imports::reglet::wants_exec(&of_module(module)),
        }
    }

    /// Links it with what it was granted. Nothing must be [missing](Self::missing). `linker` is for components.
    ///
    /// # Errors
    /// What of its imports and exports has another type than it should.
    pub(crate) fn link(
        self,
        engine: &Engine,
        linker: &Linker<State>,
        grants: &Grants,
    ) -> Result<Code, String> {
        let words = |error: wasmtime::Error| format!("{error:#}");
        match self {
            Self::Component(component) => {
                let pre = link(engine, linker, grants, &component).map_err(words)?;
                let exports = exports(engine, &component)?;
                Ok(Code::Component { pre, exports })
            }
            Self::Clawft(component) => {
                let exports = clawft::Exports::of(&component)?;
                exports.fit(&component, engine)?;
                let pre = linker.instantiate_pre(&component).map_err(words)?;
                Ok(Code::Clawft { pre, exports })
            }
            Self::Command(component, kind) => {
                let run = wasi_command::run_of(&component, engine)?;
                let pre = link(engine, linker, grants, &component).map_err(words)?;
                Ok(Code::Command { pre, run, kind })
            }
            Self::Module(module) => {
                module::fit(&module)?;
                let linker = module::linker(engine, grants).map_err(words)?;
                let pre = linker.instantiate_pre(&module).map_err(words)?;
                Ok(Code::Module(pre))
            }
            Self::Fledge(module) => {
                fledge::fit(&module)?;
                let linker = fledge::linker(engine, grants).map_err(words)?;
                let pre = linker.instantiate_pre(&module).map_err(words)?;
                Ok(Code::Fledge(pre))
            }
            Self::Reglet(module) => {
                reglet::fit(&module)?;
                let linker = reglet::linker(engine, grants).map_err(words)?;
                let pre = linker.instantiate_pre(&module).map_err(words)?;
                Ok(Code::Reglet(pre))
            }
        }
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
