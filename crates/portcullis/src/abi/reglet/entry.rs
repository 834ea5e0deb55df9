//! A plugin of Reglet from the host's side: what it has to export, how it is made ready, how it is asked.

use serde_json::{Value, json};
use wasmtime::{Instance, InstancePre, Memory, Module, Result, Store, TypedFunc, ValType, bail};

use super::guest::{DEALLOCATE, Guest, copy};
use super::observation::Observation;
use super::{FUNCTIONS, MODULE};
use crate::abi::packed::{ALLOCATE, MEMORY, Packed};
use crate::abi::signature::{self, Signature};
use crate::error::CallError;
use crate::instance::{Call, Entry as AnyEntry};
use crate::plugin::Code;
use crate::record::Asked;
use crate::session::Session;
use crate::shape::Shape;
use crate::state::State;

/// The export that makes a guest ready, if it has one. A second call of it would be the end of a guest in Go.
const INITIALIZE: &str = "_initialize";
/// What a module exports instead that was built as a command.
const START: &str = "_start";

/// Bytes of an answer of a guest.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// What a plugin's JSON is to whoever asked for it, or what the plugin says instead.
pub type RegletText = std::result::Result<String, Observation>;

/// The names that a generation has for what a plugin is asked.
struct Names {
    observe: &'static str,
    describe: &'static str,
    schema: Option<&'static str>,
}

const GENERATIONS: [Names; 2] = [
    Names {
        observe: "_observe",
        describe: "_manifest",
        schema: None,
    },
    Names {
        observe: "observe",
        describe: "describe",
        schema: Some("schema"),
    },
];

impl Names {
    fn of(exports: impl Fn(&str) -> bool) -> Option<&'static Self> {
        let mut generations = GENERATIONS.iter();
        generations.find(|names| exports(names.observe) && exports(names.describe))
    }
}

/// Whether a module exports what plugins of Reglet do, of whichever generation. One that only observes may import nothing.
pub(crate) fn speaks(shape: &Shape) -> bool {
    Names::of(|name| shape.exports(name)).is_some() && shape.exports(ALLOCATE)
}

/// Whether a module was built as a command, and so has no way to be made ready.
pub(crate) fn is_command(exports: impl Fn(&str) -> bool) -> bool {
    exports(START) && !exports(INITIALIZE)
}

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

/// Whether a module has the world's types.
///
/// # Errors
/// All that does not fit.
pub(crate) fn fit(module: &Module) -> Result<(), String> {
    let exports = |name: &str| module.get_export(name).is_some();
    if is_command(exports) {
        return Err(format!(
            "it exports `{START}` and no `{INITIALIZE}`: it was built as a command, without `-buildmode=c-shared`"
        ));
    }
    let export = |name: &str, required, params, results, words| {
        let signature = Signature {
            params,
            results,
            words,
        };
        signature.of_export(module, name, required)
    };
    let mut problems: Vec<_> = [
        signature::of_memory(module),
        export(ALLOCATE, true, &[I32], &[I32], "(i32) -> i32"),
        export(DEALLOCATE, false, &[I32, I32], &[], "(i32, i32)"),
        export(INITIALIZE, false, &[], &[], "()"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match Names::of(exports) {
        Some(names) => {
            let words = "(i32, i32) -> i64";
            problems.extend(export(names.observe, true, &[I32, I32], &[I64], words));
            problems.extend(export(names.describe, true, &[], &[I64], "() -> i64"));
            if let Some(schema) = names.schema {
                problems.extend(export(schema, false, &[], &[I64], "() -> i64"));
            }
        }
        None => problems.push(
            "it exports neither `_manifest` and `_observe` nor `describe` and `observe`".to_owned(),
        ),
    }
    problems.extend(signature::of_imports(module, MODULE, |name| {
        let known = FUNCTIONS.iter().find(|function| function.name == name)?;
        Some(known.signature)
    }));
    signature::all(&problems)
}

/// A guest that is ready to be asked.
pub(crate) struct Entry {
    guest: Guest,
    observe: TypedFunc<(u32, u32), i64>,
    describe: TypedFunc<(), i64>,
    /// In the first generation, which has no manifest that a schema could be in.
    schema: Option<TypedFunc<(), i64>>,
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
        let names = GENERATIONS.iter().find(|names| {
            [names.observe, names.describe]
                .into_iter()
                .all(|name| instance.get_func(&mut *store, name).is_some())
        });
        let Some(names) = names else {
            bail!("it exports nothing that it could be asked");
        };
        let schema = names
            .schema
            .filter(|name| instance.get_func(&mut *store, name).is_some());
        Ok(Self {
            guest: Guest {
                memory: memory(&instance, store)?,
                allocate: instance.get_typed_func(&mut *store, ALLOCATE)?,
                deallocate: instance.get_typed_func(&mut *store, DEALLOCATE).ok(),
            },
            observe: instance.get_typed_func(&mut *store, names.observe)?,
            describe: instance.get_typed_func(&mut *store, names.describe)?,
            schema: schema
                .map(|name| instance.get_typed_func(&mut *store, name))
                .transpose()?,
        })
    }

    /// What a guest gave back, which it has no longer afterwards.
    async fn take(&self, store: &mut Store<State>, said: i64) -> Result<String> {
        if said == 0 {
            bail!("it gave back nothing");
        }
        let place = Packed::from_wasm(said);
        let bytes = copy(&self.guest.memory, &*store, place, MAX_ANSWER)?;
        self.guest.free(&mut *store, place).await?;
        match String::from_utf8(bytes) {
            Ok(json) => Ok(json),
            Err(error) => bail!("what it gave back is no text: {}", error.utf8_error()),
        }
    }

    async fn observe(&self, store: &mut Store<State>, config: &str) -> Result<Observation> {
        let given = match config {
            "" => Packed::new(0, 0),
            config => match self.guest.give(&mut *store, config.as_bytes()).await? {
                Some(place) => place,
                None => bail!(
                    "its `{ALLOCATE}` has no room for {} bytes of configuration",
                    config.len()
                ),
            },
        };
        let said = self.observe.call_async(&mut *store, given.halves()).await?;
        let json = self.take(store, said).await?;
        if !config.is_empty() {
            self.guest.free(&mut *store, given).await?;
        }
        Observation::read(json)
            .or_else(|why| bail!("what it observed is no result: {}", escaped(&why)))
    }

    async fn text(
        &self,
        store: &mut Store<State>,
        function: &TypedFunc<(), i64>,
    ) -> Result<RegletText> {
        let said = function.call_async(&mut *store, ()).await?;
        let json = self.take(store, said).await?;
        let read = Observation::instead_of(json);
        read.or_else(|why| bail!("what it says is no JSON object: {}", escaped(&why)))
    }
}

fn memory(instance: &Instance, store: &mut Store<State>) -> Result<Memory> {
    match instance.get_memory(store, MEMORY) {
        Some(memory) => Ok(memory),
        None => bail!("it exports no memory `{MEMORY}`"),
    }
}

/// What is wrong with an answer, for the operator. It may quote the answer.
fn escaped(why: &str) -> String {
    portcullis_audit::Masked::new(why)
        .as_str()
        .escape_debug()
        .to_string()
}

/// What a plugin said, for a record.
fn said(answer: &RegletText) -> Value {
    match answer {
        Ok(text) => json!({ "ok": text }),
        Err(observation) => Observe::told(observation),
    }
}

fn fits(code: &Code) -> bool {
    matches!(code, Code::Reglet(_))
}

fn entry(entry: &AnyEntry) -> Result<&Entry> {
    match entry {
        AnyEntry::Reglet(entry) => Ok(entry),
        _ => bail!("the plugin is of another world"),
    }
}

/// What a plugin observes with a configuration.
struct Observe<'a> {
    config: &'a str,
    keeps: bool,
}

impl Call for Observe<'_> {
    type Answer = Observation;

    const EXPORT: &'static str = "observe";

    fn asked(&self) -> Asked {
        Asked::Observe(self.config.to_owned())
    }

    fn told(answer: &Observation) -> Value {
        json!({ "observed": answer.json })
    }

    fn is_last(&self) -> bool {
        !self.keeps
    }

    fn fits(code: &Code) -> bool {
        fits(code)
    }

    async fn make(&self, any: &AnyEntry, store: &mut Store<State>) -> Result<Observation> {
        store.data_mut().reglet().frees = self.keeps;
        entry(any)?.observe(store, self.config).await
    }
}

/// What a plugin says of itself.
struct Describe;

impl Call for Describe {
    type Answer = RegletText;

    const EXPORT: &'static str = "describe";

    fn asked(&self) -> Asked {
        Asked::Describe
    }

    fn told(answer: &RegletText) -> Value {
        said(answer)
    }

    fn is_last(&self) -> bool {
        true
    }

    fn fits(code: &Code) -> bool {
        fits(code)
    }

    async fn make(&self, any: &AnyEntry, store: &mut Store<State>) -> Result<RegletText> {
        let entry = entry(any)?;
        entry.text(store, &entry.describe).await
    }
}

/// What its configuration may be.
struct Schema;

impl Call for Schema {
    type Answer = RegletText;

    const EXPORT: &'static str = "schema";

    fn asked(&self) -> Asked {
        Asked::Schema
    }

    fn told(answer: &RegletText) -> Value {
        said(answer)
    }

    fn is_last(&self) -> bool {
        true
    }

    fn fits(code: &Code) -> bool {
        fits(code)
    }

    async fn make(&self, any: &AnyEntry, store: &mut Store<State>) -> Result<RegletText> {
        let entry = entry(any)?;
        match &entry.schema {
            Some(schema) => entry.text(store, schema).await,
            None => {
                let manifest = entry.text(store, &entry.describe).await?;
                Ok(manifest.map(|manifest| config_schema(&manifest)))
            }
        }
    }
}

/// The schema that a manifest has in it; any configuration, where it has none.
fn config_schema(manifest: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Manifest {
        config_schema: Option<serde_json::Value>,
    }
    let manifest: Option<Manifest> = serde_json::from_str(manifest).ok();
    let schema = manifest.and_then(|manifest| manifest.config_schema);
    schema.map_or_else(|| "{}".to_owned(), |schema| schema.to_string())
}

impl Session {
    /// Has a plugin of Reglet observe, on an instance that is ended afterwards.
    ///
    /// # Shapes and units
    /// `config` is a JSON object. The status of the answer is the plugin's own, not that of the call.
    ///
    /// # Errors
    /// [`CallError`] when the call does not return, the guest cannot be started, or the plugin is of another world.
    ///
    /// # Cancellation
    /// Dropping the future kills every command the call had started, and ends the instance.
    pub async fn observe(&self, config: &str) -> std::result::Result<Observation, CallError> {
        let keeps = false;
        self.call(&Observe { config, keeps }).await
    }

    /// The same, on the session's instance, which is kept: many times as fast, and the plugin remembers what came before.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    pub async fn observe_again(&self, config: &str) -> std::result::Result<Observation, CallError> {
        let keeps = true;
        self.call(&Observe { config, keeps }).await
    }

    /// What a plugin of Reglet says of itself: its manifest or, of the first generation, its description, as JSON. An
    /// observation instead says why there is none.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    pub async fn describe_reglet(&self) -> std::result::Result<RegletText, CallError> {
        self.call(&Describe).await
    }

    /// The JSON Schema of its configuration. An observation instead says why there is none.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    pub async fn config_schema(&self) -> std::result::Result<RegletText, CallError> {
        self.call(&Schema).await
    }
}
