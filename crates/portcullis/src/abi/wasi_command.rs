//! Commands of WASI: what `wasi:cli/run` is called with, and how it ends.
//!
//! A command runs once: its instance is of no use afterwards. Core modules on preview 1 are
//! [made](crate::componentize) into such components, but for [those](super::core_command) that cannot be.

use serde_json::{Value, json};
use wasmtime::component::types::ComponentItem::{ComponentFunc, ComponentInstance};
use wasmtime::component::{
    Component, ComponentExportIndex, HasData, InstancePre, Linker, TypedFunc,
};
use wasmtime::{Engine, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::cli::WasiCliCtxView;
use wasmtime_wasi::p2::bindings::cli::environment::{self, Host};

use super::core_command::OutOfMemory;
use crate::error::CallError;
use crate::imports::is_released;
use crate::instance::{Call, Entry as AnyEntry};
use crate::plugin::Code;
use crate::record::Asked;
use crate::session::Session;
use crate::state::State;

/// The interface that a command exports, in any released version 0.2.
const RUN: &str = "wasi:cli/run";
/// Its function.
const FUNCTION: &str = "run";

type RunResults = (Result<(), ()>,);
type Run = TypedFunc<(), RunResults>;

/// Whether an export of this name makes a component a command.
pub(crate) fn is_run(name: &str) -> bool {
    let found = name.split_once('@');
    found.is_some_and(|(interface, version)| interface == RUN && is_released(version))
}

/// Puts the arguments of a command in the place of none, for every component.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    environment::add_to_linker::<State, Called>(linker, |state| CalledWith {
        args: &state.args,
        inner: WasiCliCtxView {
            ctx: state.wasi.cli(),
            table: &mut state.table,
        },
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Called;

impl HasData for Called {
    type Data<'a> = CalledWith<'a>;
}

struct CalledWith<'a> {
    args: &'a [String],
    inner: WasiCliCtxView<'a>,
}

impl Host for CalledWith<'_> {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.inner.get_environment()
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.args.to_vec())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        self.inner.initial_cwd()
    }
}

/// Looks up what a command is run by.
///
/// # Errors
/// It is missing, or has another type.
pub(crate) fn run_of(
    component: &Component,
    engine: &Engine,
) -> Result<ComponentExportIndex, String> {
    let ty = component.component_type();
    let mut exports = ty.exports(engine);
    let Some((name, ComponentInstance(instance))) = exports
        .find(|(name, _)| is_run(name))
        .map(|(name, export)| (name, export.ty))
    else {
        return Err(format!("it exports no instance `{RUN}`"));
    };
    let Some(ComponentFunc(function)) = instance
        .get_export(engine, FUNCTION)
        .map(|export| export.ty)
    else {
        return Err(format!("its `{name}` has no function `{FUNCTION}`"));
    };
    function
        .typecheck::<(), RunResults>(&ty.instance_type())
        .map_err(|error| format!("its `{FUNCTION}` is not `func() -> result`: {error:#}"))?;
    let instance = component.get_export_index(None, name);
    component
        .get_export_index(instance.as_ref(), FUNCTION)
        .ok_or_else(|| format!("its `{FUNCTION}` cannot be found"))
}

/// A command that is ready to be run.
pub(crate) struct Entry(Run);

impl Entry {
    /// Makes an instance.
    ///
    /// # Errors
    /// When it traps, or has more memory than it may.
    pub(crate) async fn start(
        pre: &InstancePre<State>,
        run: ComponentExportIndex,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Self> {
        let instance = pre.instantiate_async(&mut *store).await?;
        Ok(Self(instance.get_typed_func(&mut *store, run)?))
    }
}

/// A command's run, with these arguments.
struct Command<'a>(&'a [String]);

impl Call for Command<'_> {
    /// Its exit code.
    type Answer = u8;

    const EXPORT: &'static str = FUNCTION;

    fn asked(&self) -> Asked {
        Asked::Command(self.0.to_vec())
    }

    fn told(answer: &u8) -> Value {
        json!({ "code": answer })
    }

    fn is_last(&self) -> bool {
        true
    }

    fn fits(code: &Code) -> bool {
        match code {
            Code::Command { .. } | Code::CoreCommand(_) => true,
            Code::Component { .. }
            | Code::Clawft { .. }
            | Code::Module(_)
            | Code::Fledge(_)
            | Code::Reglet(_) => false,
        }
    }

    async fn make(&self, entry: &AnyEntry, store: &mut Store<State>) -> wasmtime::Result<u8> {
        store.data_mut().args = self.0.to_vec();
        let ended = match entry {
            AnyEntry::Command(Entry(run)) => {
                let ended = run.call_async(store, ()).await;
                ended.map(|(result,)| u8::from(result.is_err()))
            }
            AnyEntry::CoreCommand(command) => command.run(store).await.map(|()| 0),
            AnyEntry::Component(_)
            | AnyEntry::Clawft(_)
            | AnyEntry::Module(_)
            | AnyEntry::Fledge(_)
            | AnyEntry::Reglet(_) => Err(wasmtime::Error::msg("the plugin is of another world")),
        };
        ended.or_else(|error| match error.downcast_ref() {
            Some(I32Exit(status)) if !error.is::<OutOfMemory>() => {
                let [code, ..] = status.to_le_bytes();
                Ok(code)
            }
            _ => Err(error),
        })
    }
}

impl Session {
    /// Runs a command of WASI and returns its exit code. Each run has an instance of its own.
    ///
    /// # Shapes and units
    /// `args` begin with the name that the command is called by, as everywhere. Its input and output are those of the
    /// [host](crate::GuestStdio).
    ///
    /// # Errors
    /// [`CallError`] when it does not end by itself, cannot be started, or the plugin is no command.
    ///
    /// # Cancellation
    /// Dropping the future ends the command.
    pub async fn command(&self, args: &[String]) -> Result<u8, CallError> {
        self.call(&Command(args)).await
    }
}

#[cfg(test)]
mod tests {
    use super::is_run;

    #[test]
    fn a_command_is_known_by_what_it_exports_in_a_released_version() {
        for name in ["wasi:cli/run@0.2.0", "wasi:cli/run@0.2.12"] {
            assert!(is_run(name), "{name}");
        }
        for name in [
            "run",
            "wasi:cli/run",
            "wasi:cli/run@0.3.0",
            "wasi:cli/run@0.2.0-rc-2023-11-10",
            "wasi:cli/runner@0.2.0",
            "acme:cli/run@0.2.0",
        ] {
            assert!(!is_run(name), "{name}");
        }
    }
}
