//! What is called in a plugin of clawft, and when.

use serde_json::{Value, json};
use wasmtime::Store;
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, TypedFunc};

use super::{FUNCTIONS, PLUGIN};
use crate::error::CallError;
use crate::instance::{Call, Entry as AnyEntry, InitRefused};
use crate::plugin::Code;
use crate::record::{self, Asked};
use crate::session::Session;
use crate::state::State;

type Init = TypedFunc<(), (Result<(), String>,)>;
type ExecuteTool = TypedFunc<(String, String), (Result<String, String>,)>;
type Describe = TypedFunc<(), (String,)>;

/// The functions of a component, looked up once.
#[derive(Debug)]
pub(crate) struct Exports {
    init: ComponentExportIndex,
    execute_tool: ComponentExportIndex,
    describe: ComponentExportIndex,
}

impl Exports {
    /// Looks them up.
    ///
    /// # Errors
    /// One is missing.
    pub(crate) fn of(component: &Component) -> Result<Self, String> {
        let instance = component.get_export_index(None, PLUGIN);
        let [init, execute_tool, describe] = FUNCTIONS.map(|name| {
            let index = component.get_export_index(instance.as_ref(), name);
            index.ok_or_else(|| format!("its `{PLUGIN}` has no function `{name}`"))
        });
        Ok(Self {
            init: init?,
            execute_tool: execute_tool?,
            describe: describe?,
        })
    }

    /// Whether the functions have the types of the world.
    ///
    /// # Errors
    /// What one has instead.
    pub(crate) fn fit(
        &self,
        component: &Component,
        engine: &wasmtime::Engine,
    ) -> Result<(), String> {
        use wasmtime::component::types::ComponentItem::{ComponentFunc, ComponentInstance};
        let ty = component.component_type();
        let plugin = ty.get_export(engine, PLUGIN).map(|export| export.ty);
        let Some(ComponentInstance(plugin)) = plugin else {
            return Err(format!("its export `{PLUGIN}` is no instance"));
        };
        let check = |name: &str, declared: &str| {
            let found = plugin.get_export(engine, name).map(|export| export.ty);
            let Some(ComponentFunc(function)) = found else {
                return Err(format!("its `{name}` is no function"));
            };
            let fits = match name {
                "init" => function.typecheck::<(), (Result<(), String>,)>(&ty.instance_type()),
                "describe" => function.typecheck::<(), (String,)>(&ty.instance_type()),
                _ => function
                    .typecheck::<(String, String), (Result<String, String>,)>(&ty.instance_type()),
            };
            fits.map_err(|error| format!("its `{name}` is not `{declared}`: {error:#}"))
        };
        check("init", "func() -> result<_, string>")?;
        check(
            "execute-tool",
            "func(tool-name: string, params-json: string) -> result<string, string>",
        )?;
        check("describe", "func() -> string")
    }
}

/// A plugin that is ready to be called.
pub(crate) struct Entry {
    execute_tool: ExecuteTool,
    describe: Describe,
}

impl Entry {
    /// Makes an instance and has it make itself ready. `step` is what is being done.
    ///
    /// # Errors
    /// [`InitRefused`], or what ends the guest.
    pub(crate) async fn start(
        pre: &InstancePre<State>,
        exports: &Exports,
        store: &mut Store<State>,
        step: &mut &'static str,
    ) -> wasmtime::Result<Self> {
        let instance = pre.instantiate_async(&mut *store).await?;
        let init: Init = instance.get_typed_func(&mut *store, exports.init)?;
        let entry = Self {
            execute_tool: instance.get_typed_func(&mut *store, exports.execute_tool)?,
            describe: instance.get_typed_func(&mut *store, exports.describe)?,
        };
        *step = "init";
        let (ready,) = init.call_async(&mut *store, ()).await?;
        ready.map_err(InitRefused)?;
        Ok(entry)
    }
}

/// `execute-tool`.
struct Tool<'a> {
    name: &'a str,
    params: &'a str,
}

/// `describe`.
struct Description;

/// Whether a plugin is of this world.
fn is_of_clawft(code: &Code) -> bool {
    match code {
        Code::Clawft { .. } => true,
        Code::Component { .. }
        | Code::Command { .. }
        | Code::CoreCommand(_)
        | Code::Module(_)
        | Code::Fledge(_)
        | Code::Reglet(_) => false,
    }
}

fn of(entry: &AnyEntry) -> wasmtime::Result<&Entry> {
    match entry {
        AnyEntry::Clawft(entry) => Ok(entry),
        AnyEntry::Component(_)
        | AnyEntry::Command(_)
        | AnyEntry::CoreCommand(_)
        | AnyEntry::Module(_)
        | AnyEntry::Fledge(_)
        | AnyEntry::Reglet(_) => Err(wasmtime::Error::msg("the plugin is of another world")),
    }
}

impl Call for Tool<'_> {
    type Answer = Result<String, String>;

    const EXPORT: &'static str = "execute-tool";

    fn asked(&self) -> Asked {
        Asked::Tool {
            name: self.name.to_owned(),
            params: self.params.to_owned(),
        }
    }

    fn told(answer: &Self::Answer) -> Value {
        record::text(answer)
    }

    fn fits(code: &Code) -> bool {
        is_of_clawft(code)
    }

    async fn make(
        &self,
        entry: &AnyEntry,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Self::Answer> {
        let params = (self.name.to_owned(), self.params.to_owned());
        Ok(of(entry)?.execute_tool.call_async(store, params).await?.0)
    }
}

impl Call for Description {
    type Answer = String;

    const EXPORT: &'static str = "describe";

    fn asked(&self) -> Asked {
        Asked::DescribeTools
    }

    fn told(answer: &String) -> Value {
        json!({ "ok": answer })
    }

    fn fits(code: &Code) -> bool {
        is_of_clawft(code)
    }

    async fn make(
        &self,
        entry: &AnyEntry,
        store: &mut Store<State>,
    ) -> wasmtime::Result<Self::Answer> {
        Ok(of(entry)?.describe.call_async(store, ()).await?.0)
    }
}

impl Session {
    /// Calls a tool of a plugin of clawft.
    ///
    /// # Shapes and units
    /// `params` is JSON, and so is what a tool returns; neither is looked at here. The inner error is the plugin's own.
    ///
    /// # Errors
    /// [`CallError`] when the call does not return, the guest cannot be started, or the plugin is of another world. What
    /// an agent is told of it says [`CallError::tool_error`].
    ///
    /// # Cancellation
    /// Dropping the future ends the instance.
    pub async fn execute_tool(
        &self,
        name: &str,
        params: &str,
    ) -> Result<Result<String, String>, CallError> {
        self.call(&Tool { name, params }).await
    }

    /// What a plugin of clawft says of itself: JSON, which is not looked at here. [`Description`](crate::Description) reads it.
    ///
    /// # Errors
    /// As [`execute_tool`](Self::execute_tool).
    pub async fn describe(&self) -> Result<String, CallError> {
        self.call(&Description).await
    }
}

impl CallError {
    /// What the caller of a tool is told where the plugin used up what it may: the JSON that clawft documents.
    pub fn tool_error(&self) -> Option<String> {
        let exhausted = self.exhausted()?;
        let text = exhausted.resource.text();
        let error = serde_json::json!({ "error": format!("plugin resource exhausted: {text}") });
        Some(error.to_string())
    }
}
