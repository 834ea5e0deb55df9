//! What stands between a core module and its host.
//!
//! A host's function finds the memory of its guest by the guest's exports. So what passes a call on to it is a module that
//! has the guest's exports for its own.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use wasmtime::{
    Caller, Engine, Extern, ExternType, Func, FuncType, Linker, Memory, Module, Result, Val,
    ValType, bail,
};

use super::Tape;
use super::line::{Bytes, Called, Hidden, Line, Outcome};
use super::link::{again, ended};
use super::recorder::Recorder;
use super::regions::{self, Arg, Returns, Shape};
use super::replayer::Replayer;
use super::secrets::Secrets;
use crate::abi::packed::{self, ALLOCATE, MEMORY, Packed};
use crate::abi::preview1;
use crate::engine::HOST_CALL_BYTES;
use crate::state::State;

/// Exports of a guest that functions of the host use, with their types.
const USED: [(&str, &str, &[ValType], &[ValType]); 2] = [
    (
        ALLOCATE,
        "(param i32) (result i32)",
        &[ValType::I32],
        &[ValType::I32],
    ),
    (
        "deallocate",
        "(param i32 i32)",
        &[ValType::I32, ValType::I32],
        &[],
    ),
];
/// The module that a forwarder imports its guest's exports from.
const GUEST: &str = "the guest";
/// Parts of a list that are looked at.
const PARTS: usize = 4096;

/// The functions that a module imports.
struct Functions {
    all: Vec<Function>,
    /// The host as the guest would have it.
    host: Linker<State>,
    engine: Engine,
}

struct Function {
    of: String,
    name: String,
    shape: Shape,
    ty: FuncType,
}

/// A linker for exactly what a module imports. `host` is the one that it would be linked with.
///
/// # Errors
/// It imports what nothing is known of.
pub(crate) fn linker(
    engine: &Engine,
    module: &Module,
    host: Linker<State>,
    tape: &Tape,
) -> Result<Linker<State>> {
    let mut all = Vec::new();
    for import in module.imports() {
        let (of, name) = (import.module().to_owned(), import.name().to_owned());
        let (Some(shape), ExternType::Func(ty)) = (regions::of(&of, &name), import.ty()) else {
            bail!("what it passes to `{name}` of `{of}` cannot be recorded");
        };
        if all
            .iter()
            .any(|known: &Function| known.of == of && known.name == name)
        {
            continue;
        }
        all.push(Function {
            of,
            name,
            shape,
            ty,
        });
    }
    let functions = Arc::new(Functions {
        all,
        host,
        engine: engine.clone(),
    });
    let mut linker = Linker::new(engine);
    for (index, Function { of, name, ty, .. }) in functions.all.iter().enumerate() {
        let (functions, tape) = (Arc::clone(&functions), tape.clone());
        linker.func_new_async(of, name, ty.clone(), move |caller, params, results| {
            let (functions, tape) = (Arc::clone(&functions), tape.clone());
            Box::new(async move {
                match &tape {
                    Tape::Record(recorder) => {
                        record(caller, recorder, &functions, index, params, results).await
                    }
                    Tape::Replay(replayer) => {
                        let function = &functions.all[index];
                        replay(caller, replayer, function, params, results).await
                    }
                }
            })
        })?;
    }
    Ok(linker)
}

impl Functions {
    /// Makes what passes the calls of one guest on.
    async fn forwarder(&self, caller: &mut Caller<'_, State>) -> Result<Vec<Func>> {
        let mut linker = self.host.clone();
        linker.allow_shadowing(true);
        let mut text = "(module\n".to_owned();
        let mut exports = String::new();
        if let Some(memory @ Extern::Memory(_)) = caller.get_export(MEMORY) {
            linker.define(&*caller, GUEST, MEMORY, memory)?;
            _ = writeln!(text, "(import \"{GUEST}\" \"{MEMORY}\" (memory $memory 0))");
            _ = writeln!(exports, "(export \"{MEMORY}\" (memory $memory))");
        }
        for (name, words, params, results) in USED {
            let Some(Extern::Func(function)) = caller.get_export(name) else {
                continue;
            };
            let wanted = FuncType::new(&self.engine, params.to_vec(), results.to_vec());
            if FuncType::eq(&function.ty(&*caller), &wanted) {
                linker.define(&*caller, GUEST, name, function)?;
                _ = writeln!(
                    text,
                    "(import \"{GUEST}\" \"{name}\" (func ${name} {words}))"
                );
                _ = writeln!(exports, "(export \"{name}\" (func ${name}))");
            }
        }
        for (index, Function { of, name, ty, .. }) in self.all.iter().enumerate() {
            let list = |what: &str, types: &mut dyn Iterator<Item = ValType>| {
                types.fold(String::new(), |list, ty| format!("{list} ({what} {ty})"))
            };
            let (params, results) = (
                list("param", &mut ty.params()),
                list("result", &mut ty.results()),
            );
            _ = writeln!(
                text,
                "(import \"{of}\" \"{name}\" (func $i{index}{params}{results}))"
            );
            let passed: String = (0..ty.params().len())
                .map(|local| format!(" local.get {local}"))
                .collect();
            _ = writeln!(
                exports,
                "(func (export \"{index}\"){params}{results}{passed} call $i{index})"
            );
        }
        let text = format!("{text}{exports})");
        let module = Module::new(&self.engine, wat::parse_str(text)?)?;
        let instance = linker.instantiate_async(&mut *caller, &module).await?;
        let functions = (0..self.all.len()).map(|index| {
            let function = instance.get_func(&mut *caller, &index.to_string());
            function.ok_or_else(|| wasmtime::Error::msg("the forwarder lacks a function"))
        });
        functions.collect()
    }
}

/// What passes between a guest's memory and a record.
struct Passing<'a> {
    memory: Option<Memory>,
    shape: &'a Shape,
    params: &'a [Val],
    secrets: &'a Secrets,
    hidden: Vec<Hidden>,
}

impl<'a> Passing<'a> {
    fn new(
        caller: &mut Caller<'_, State>,
        function: &'a Function,
        params: &'a [Val],
        secrets: &'a Secrets,
    ) -> Self {
        Self {
            memory: packed::memory(caller).ok(),
            shape: &function.shape,
            params,
            secrets,
            hidden: Vec::new(),
        }
    }

    fn number(&self, index: usize) -> u32 {
        match self.params.get(index) {
            Some(Val::I32(number)) => number.cast_unsigned(),
            _ => 0,
        }
    }

    fn data<'c>(&self, caller: &'c Caller<'_, State>) -> &'c [u8] {
        self.memory.map_or(&[], |memory| memory.data(caller))
    }

    fn bytes<'c>(&self, caller: &'c Caller<'_, State>, place: Packed) -> &'c [u8] {
        let data = self.data(caller);
        let range = place.within(data.len()).unwrap_or_default();
        &data[range]
    }

    /// The places of a list of them, as far as they are looked at.
    fn list(&self, caller: &Caller<'_, State>, index: usize) -> Vec<Packed> {
        let count = (self.number(index + 1) as usize).min(PARTS);
        let length = u32::try_from(count * 8).unwrap_or_default();
        let list = self.bytes(caller, Packed::new(self.number(index), length));
        let parts = list.chunks_exact(8).map(|part| {
            let half = |at: usize| {
                let mut half = [0; 4];
                half.copy_from_slice(&part[at..at + 4]);
                u32::from_le_bytes(half)
            };
            Packed::new(half(0), half(4))
        });
        parts.collect()
    }

    fn elements(&self, index: usize, size: u32, count: usize) -> Packed {
        let length = self.number(index + count).saturating_mul(size);
        Packed::new(self.number(index), length)
    }

    fn shown(&mut self, bytes: &[u8]) -> Value {
        let (shown, hidden) = self.secrets.hide_message(bytes);
        self.hidden.extend(hidden);
        Bytes::value(&shown)
    }

    /// What the guest asks for: numbers, then bytes. Where it has them is nobody's concern.
    fn asked(&mut self, caller: &Caller<'_, State>) -> Vec<Value> {
        let (mut numbers, mut bytes) = (Vec::new(), Vec::new());
        for (index, arg) in self.shape.args.iter().enumerate() {
            let place = match *arg {
                Arg::Number => {
                    numbers.push(match self.params.get(index) {
                        Some(Val::I32(number)) => json!(number),
                        Some(Val::I64(number)) => json!(number),
                        _ => Value::Null,
                    });
                    continue;
                }
                Arg::In => Packed::new(self.number(index), self.number(index + 1)),
                Arg::PackedIn => match self.params.get(index) {
                    Some(Val::I64(packed)) => Packed::from_wasm(*packed),
                    _ => continue,
                },
                Arg::Elements { size, count } => self.elements(index, size, count),
                Arg::InLists => {
                    let mut all = Vec::new();
                    for place in self.list(caller, index) {
                        let part = self.bytes(caller, place);
                        let room = HOST_CALL_BYTES.saturating_sub(all.len());
                        all.extend_from_slice(&part[..part.len().min(room)]);
                    }
                    bytes.push(self.shown(&all));
                    continue;
                }
                Arg::OutLists => {
                    let places = self.list(caller, index).into_iter();
                    let room: u64 = places.map(|place| u64::from(place.halves().1)).sum();
                    numbers.push(json!(room));
                    continue;
                }
                Arg::Out(_)
                | Arg::OutElements { .. }
                | Arg::Room
                | Arg::Filled
                | Arg::Taken
                | Arg::Anywhere => continue,
            };
            let part = self.bytes(caller, place);
            let part = part[..part.len().min(HOST_CALL_BYTES)].to_vec();
            bytes.push(self.shown(&part));
        }
        numbers.extend(bytes);
        numbers
    }

    /// The places that the host has filled, or is to fill, in the order of a record.
    fn places(&self, caller: &Caller<'_, State>, filled: u32) -> Vec<Packed> {
        let mut places = Vec::new();
        for (index, arg) in self.shape.args.iter().enumerate() {
            let at = self.number(index);
            let room = self.number(index + 1);
            match *arg {
                Arg::Out(size) => places.push(Packed::new(at, size)),
                Arg::OutElements { size, count } => places.push(self.elements(index, size, count)),
                Arg::Room => places.push(Packed::new(at, room)),
                Arg::Filled | Arg::Taken => places.push(Packed::new(at, room.min(filled))),
                Arg::OutLists => {
                    let mut left = filled;
                    for place in self.list(caller, index) {
                        let (at, length) = place.halves();
                        places.push(Packed::new(at, length.min(left)));
                        left = left.saturating_sub(length);
                    }
                }
                _ => {}
            }
        }
        places
    }

    /// How many bytes the host has filled, as it says.
    fn filled(&self, caller: &Caller<'_, State>, results: &[Val]) -> u32 {
        if self.shape.args.contains(&Arg::Taken) {
            return match results {
                [Val::I32(length)] => length.cast_unsigned(),
                _ => 0,
            };
        }
        let mut args = self.shape.args.iter();
        let Some(index) = args.position(|arg| *arg == Arg::Out(4)) else {
            return 0;
        };
        let said = self.bytes(caller, Packed::new(self.number(index), 4));
        said.try_into().map_or(0, u32::from_le_bytes)
    }

    /// What the host has given, for the record, and with placeholders in the guest's memory where secrets were.
    fn given(
        &mut self,
        caller: &mut Caller<'_, State>,
        before: Option<Vec<u8>>,
        results: &[Val],
    ) -> Vec<Value> {
        let mut gave: Vec<Value> = results.iter().map(number).collect();
        if let Some(before) = before {
            gave.extend(self.changed(caller, &before));
            return gave;
        }
        let places = match (self.shape.returns, results) {
            (Returns::Answer, [Val::I64(packed)]) => vec![Packed::from_wasm(*packed)],
            (Returns::Answer, _) => Vec::new(),
            (Returns::Numbers, _) => self.places(caller, self.filled(caller, results)),
        };
        for place in places {
            let bytes = self.bytes(caller, place).to_vec();
            gave.push(self.hidden_at(caller, place, &bytes));
        }
        gave
    }

    fn hidden_at(&mut self, caller: &mut Caller<'_, State>, place: Packed, bytes: &[u8]) -> Value {
        let (shown, hidden) = self.secrets.hide_message(bytes);
        if hidden.is_some() {
            self.hidden.extend(hidden);
            self.put(caller, place, &shown);
        }
        Bytes::value(&shown)
    }

    fn put(&self, caller: &mut Caller<'_, State>, place: Packed, bytes: &[u8]) {
        let Some(memory) = self.memory else { return };
        let data = memory.data_mut(caller);
        if let Ok(range) = place.within(data.len())
            && range.len() == bytes.len()
        {
            data[range].copy_from_slice(bytes);
        }
    }

    /// What is another since then, wherever it is.
    fn changed(&mut self, caller: &mut Caller<'_, State>, before: &[u8]) -> Vec<Value> {
        let after = self.data(caller).to_vec();
        let mut changed = Vec::new();
        let mut at = 0;
        while at < after.len() {
            if before.get(at) == after.get(at) {
                at += 1;
                continue;
            }
            let start = at;
            // Bytes that happen to be the same are no end of it.
            let mut last = at;
            while at < after.len() && at - last < 8 {
                if before.get(at) != after.get(at) {
                    last = at;
                }
                at += 1;
            }
            let place = u32::try_from(start)
                .ok()
                .zip(u32::try_from(last + 1 - start).ok());
            if let Some((start, length)) = place {
                let place = Packed::new(start, length);
                let bytes = after[start as usize..=last].to_vec();
                let shown = self.hidden_at(caller, place, &bytes);
                changed.push(json!({ "at": start, "bytes": shown }));
            }
        }
        changed
    }
}

fn number(value: &Val) -> Value {
    match value {
        Val::I32(number) => json!(number),
        Val::I64(number) => json!(number),
        _ => Value::Null,
    }
}

/// Whether the host has filled anything.
fn is_filled(function: &Function, results: &[Val]) -> bool {
    function.of != preview1::MODULE || matches!(results, [Val::I32(0)])
}

async fn record(
    mut caller: Caller<'_, State>,
    recorder: &Recorder,
    functions: &Functions,
    index: usize,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let function = &functions.all[index];
    let mut passing = Passing::new(&mut caller, function, params, recorder.secrets());
    let with = passing.asked(&caller);
    let anywhere = function.shape.args.contains(&Arg::Anywhere);
    let before = anywhere.then(|| passing.data(&caller).to_vec());
    if caller.data().held.forwarded.is_empty() {
        let forwarder = functions.forwarder(&mut caller).await?;
        caller.data_mut().held.forwarded = forwarder;
    }
    if caller.data().held.is_calling {
        bail!("it calls the host while it makes room for it, and is recorded");
    }
    let forwarded = caller.data().held.forwarded.get(index).copied();
    let Some(forwarded) = forwarded else {
        bail!("the forwarder lacks a function");
    };
    caller.data_mut().held.is_calling = true;
    let called = forwarded.call_async(&mut caller, params, results).await;
    caller.data_mut().held.is_calling = false;
    let (outcome, ended) = match called {
        Ok(()) => {
            let gave = match is_filled(function, results) {
                true => passing.given(&mut caller, before, results),
                false => results.iter().map(number).collect(),
            };
            (Outcome::Gave(gave), Ok(()))
        }
        Err(error) => {
            let (outcome, error) = ended(error)?;
            (outcome, Err(error))
        }
    };
    recorder.line(&Line::Call(Called {
        of: function.of.clone(),
        name: function.name.clone(),
        with,
        outcome,
        hidden: passing.hidden,
    }))?;
    ended
}

async fn replay(
    mut caller: Caller<'_, State>,
    replayer: &Replayer,
    function: &Function,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let secrets = Secrets::default();
    let mut passing = Passing::new(&mut caller, function, params, &secrets);
    let with = passing.asked(&caller);
    let gave = match replayer.call(&function.of, &function.name, with)? {
        Outcome::Gave(gave) => gave,
        outcome => return Err(again(outcome)),
    };
    let served = serve(&mut caller, &passing, function, &gave, results).await;
    if let Err(why) = &served
        && why.is::<Unfit>()
    {
        replayer.refused(&why.to_string());
    }
    served
}

/// The record has something that cannot be given to the guest.
#[derive(Debug, thiserror::Error)]
#[error("the record has {0}")]
struct Unfit(&'static str);

async fn serve(
    caller: &mut Caller<'_, State>,
    passing: &Passing<'_>,
    function: &Function,
    gave: &[Value],
    results: &mut [Val],
) -> Result<()> {
    let (numbers, given) = gave
        .split_at_checked(results.len())
        .ok_or(Unfit("too few results"))?;
    for ((slot, value), ty) in results.iter_mut().zip(numbers).zip(function.ty.results()) {
        let number = value.as_i64().ok_or(Unfit("no number for a result"))?;
        *slot = match ty {
            ValType::I32 => {
                let number = i32::try_from(number);
                Val::I32(number.map_err(|_| Unfit("a number that is too large"))?)
            }
            _ => Val::I64(number),
        };
    }
    if !is_filled(function, results) {
        return Ok(());
    }
    let bytes = |value: &Value| Bytes::of(value).map_err(|_| Unfit("no bytes"));
    if function.shape.returns == Returns::Answer {
        let place = match (&*results, given) {
            ([Val::I64(0)], _) => 0,
            (_, [value]) => give(caller, &bytes(value)?).await?,
            _ => return Err(Unfit("no answer").into()),
        };
        results[0] = Val::I64(place);
        return Ok(());
    }
    if function.shape.args.contains(&Arg::Anywhere) {
        for value in given {
            let at = value["at"].as_u64().and_then(|at| u32::try_from(at).ok());
            let bytes = bytes(&value["bytes"])?;
            let length = u32::try_from(bytes.len()).ok();
            let (at, length) = at.zip(length).ok_or(Unfit("no place"))?;
            passing.put(caller, Packed::new(at, length), &bytes);
        }
        return Ok(());
    }
    // Where how much was filled is said in the memory, it has to be there before the places are looked for.
    for _ in 0..2 {
        let places = passing.places(caller, passing.filled(caller, results));
        for (place, value) in places.into_iter().zip(given) {
            passing.put(caller, place, &bytes(value)?);
        }
    }
    Ok(())
}

/// Gives an answer as the host would.
async fn give(caller: &mut Caller<'_, State>, bytes: &[u8]) -> Result<i64> {
    let memory = packed::memory(caller)?;
    let allocate = packed::allocate(caller)?;
    caller.data_mut().held.is_calling = true;
    let place = packed::give(&mut *caller, memory, &allocate, bytes).await;
    caller.data_mut().held.is_calling = false;
    Ok(place?.map_or(0, Packed::into_wasm))
}
