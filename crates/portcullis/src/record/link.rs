//! What stands between a component and its host: functions that record what passes, or give what was recorded.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{
    Component, Func, InstancePre, Linker, ResourceAny, ResourceDynamic, ResourceType, Val,
};
use wasmtime::{Engine, Result, Store, StoreContextMut, Trap, bail};
use wasmtime_wasi::I32Exit;

use super::forward;
use super::line::{Called, Line, Outcome};
use super::recorder::Recorder;
use super::replayer::Replayer;
use super::secrets::Secrets;
use super::values::{self, Walk};
use super::{Held, Tape};
use crate::state::State;

/// What an instance of a component is recorded with, made before it.
pub(crate) struct Forwarding {
    pub(crate) pre: InstancePre<State>,
    /// The exports of the forwarder, in the order of the functions that are linked.
    pub(crate) exports: Vec<String>,
}

/// One function of the host.
struct Function {
    of: String,
    name: String,
    index: usize,
}

/// A linker for exactly what a component imports, and the exports of a forwarder that it uses in their order.
///
/// # Errors
/// It imports what is no interface.
pub(crate) fn linker(
    engine: &Engine,
    component: &Component,
    tape: &Tape,
) -> Result<(Linker<State>, Vec<String>)> {
    let mut linker = Linker::new(engine);
    let mut exports = Vec::new();
    let mut kinds: Vec<ResourceType> = Vec::new();
    for (interface, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            // A type that is equal to one of an interface.
            continue;
        };
        let mut into = linker.instance(interface)?;
        for (name, item) in instance.exports(engine) {
            match item.ty {
                ComponentItem::Resource(ty) => {
                    let known = kinds.iter().position(|kind| *kind == ty);
                    let kind = known.unwrap_or_else(|| {
                        kinds.push(ty);
                        kinds.len() - 1
                    });
                    let ty = ResourceType::host_dynamic(u32::try_from(kind)?);
                    let tape = tape.clone();
                    into.resource_async(name, ty, move |store, number| {
                        let tape = tape.clone();
                        Box::new(async move { dropped(store, &tape, number).await })
                    })?;
                }
                ComponentItem::ComponentFunc(_) => {
                    let function = Arc::new(Function {
                        of: interface.to_owned(),
                        name: name.to_owned(),
                        index: exports.len(),
                    });
                    exports.push(forward::export(interface, name));
                    let tape = tape.clone();
                    into.func_new_async(name, move |store, ty, params, results| {
                        let (tape, function) = (tape.clone(), Arc::clone(&function));
                        Box::new(async move {
                            match &tape {
                                Tape::Record(recorder) => {
                                    record(store, recorder, &function, &ty, params, results).await
                                }
                                Tape::Replay(replayer) => {
                                    replay(store, replayer, &function, &ty, params, results)
                                }
                            }
                        })
                    })?;
                }
                _ => {}
            }
        }
    }
    Ok((linker, exports))
}

/// Makes the forwarder of an instance that will be recorded.
pub(crate) async fn start(forwarding: &Forwarding, store: &mut Store<State>) -> Result<()> {
    store.data_mut().limits.set_aside(true);
    let instance = forwarding.pre.instantiate_async(&mut *store).await;
    store.data_mut().limits.set_aside(false);
    let instance = instance?;
    let functions = forwarding.exports.iter().map(|export| {
        let function = instance.get_func(&mut *store, export);
        function.ok_or_else(|| wasmtime::Error::msg("the forwarder lacks a function"))
    });
    let functions = functions.collect::<Result<_>>()?;
    store.data_mut().held.functions = functions;
    Ok(())
}

impl Held {
    fn put(&mut self, any: ResourceAny) -> Result<u32> {
        let number = self.free.pop().unwrap_or(self.resources.len());
        if number == self.resources.len() {
            self.resources.push(None);
        }
        self.resources[number] = Some(any);
        Ok(u32::try_from(number)?)
    }

    fn take(&mut self, number: u32) -> Result<ResourceAny> {
        let index = usize::try_from(number)?;
        match self.resources.get_mut(index).and_then(Option::take) {
            Some(any) => {
                self.free.push(index);
                Ok(any)
            }
            None => bail!("handle {number} is not held"),
        }
    }

    fn get(&self, number: u32) -> Result<ResourceAny> {
        let held = self.resources.get(usize::try_from(number)?);
        match held.copied().flatten() {
            Some(any) => Ok(any),
            None => bail!("handle {number} is not held"),
        }
    }
}

async fn dropped(mut store: StoreContextMut<'_, State>, tape: &Tape, number: u32) -> Result<()> {
    match tape {
        Tape::Record(recorder) => {
            let held = store.data_mut().held.take(number)?;
            let dropped = held.resource_drop_async(&mut store).await;
            recorder.line(&Line::Drop(number))?;
            dropped
        }
        Tape::Replay(replayer) => Ok(replayer.dropped(number)?),
    }
}

async fn record(
    mut store: StoreContextMut<'_, State>,
    recorder: &Recorder,
    function: &Function,
    ty: &ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let mut given = params.to_vec();
    let mut walk = Walk {
        secrets: recorder.secrets(),
        replaces: false,
        hidden: Vec::new(),
        handle: |any| {
            let dynamic = ResourceDynamic::try_from_resource_any(any, &mut store)?;
            let (number, held) = (dynamic.rep(), &mut store.data_mut().held);
            let any = match dynamic.owned() {
                true => held.take(number),
                false => held.get(number),
            };
            Ok((number, any?))
        },
    };
    let with: Result<_> = given.iter_mut().map(|value| walk.value(value)).collect();
    let (with, mut hidden) = (with?, walk.hidden);
    let forwarded = store.data().held.functions.get(function.index);
    let forwarded: Func = match forwarded {
        Some(forwarded) => *forwarded,
        None => bail!("it calls its host before it is recorded"),
    };
    let called = aside(&mut store, forwarded, &given, results).await;
    drop(given);
    let outcome = match called {
        Ok(()) => {
            let (gave, more) = give(&mut store, recorder.secrets(), ty, results)?;
            hidden.extend(more);
            Ok(Outcome::Gave(gave))
        }
        Err(error) => Err(ended(error)?),
    };
    let (outcome, ended) = match outcome {
        Ok(outcome) => (outcome, Ok(())),
        Err((outcome, error)) => (outcome, Err(error)),
    };
    recorder.line(&Line::Call(Called {
        of: function.of.clone(),
        name: function.name.clone(),
        with,
        outcome,
        hidden,
    }))?;
    ended
}

/// Calls the forwarder: neither its memory nor its instructions are the plugin's.
async fn aside(
    store: &mut StoreContextMut<'_, State>,
    forwarded: Func,
    given: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let fuel = store.get_fuel().ok();
    store.data_mut().limits.set_aside(true);
    let called = forwarded.call_async(&mut *store, given, results).await;
    store.data_mut().limits.set_aside(false);
    if let Some(fuel) = fuel {
        store.set_fuel(fuel)?;
    }
    called
}

/// Makes what the host gave the guest's: handles become numbers, secrets placeholders.
fn give(
    store: &mut StoreContextMut<'_, State>,
    secrets: &Secrets,
    ty: &ComponentFunc,
    results: &mut [Val],
) -> Result<(Vec<Value>, Vec<super::line::Hidden>)> {
    // The values do not say of which kind their handles are to the guest. Their types do, in the same order.
    let mut kinds = Vec::new();
    for (value, ty) in results.iter().zip(ty.results()) {
        kinds_of(value, &ty, &mut kinds)?;
    }
    let mut kinds = kinds.into_iter();
    let mut walk = Walk {
        secrets,
        replaces: true,
        hidden: Vec::new(),
        handle: |any| {
            let kind = kinds.next();
            let kind = kind.ok_or_else(|| wasmtime::Error::msg("a handle of no kind"))?;
            let number = store.data_mut().held.put(any)?;
            let dynamic = ResourceDynamic::new_own(number, kind);
            Ok((number, dynamic.try_into_resource_any(&mut *store)?))
        },
    };
    let gave: Result<_> = results.iter_mut().map(|value| walk.value(value)).collect();
    Ok((gave?, walk.hidden))
}

/// The kinds of the handles in a value.
fn kinds_of(value: &Val, ty: &Type, kinds: &mut Vec<u32>) -> Result<()> {
    match (value, ty) {
        (Val::Resource(_), Type::Own(ty)) => kinds.push(kind_of(*ty)?),
        (Val::List(values), Type::List(of)) if !matches!(values.first(), Some(Val::U8(_))) => {
            let of = of.ty();
            values
                .iter()
                .try_for_each(|value| kinds_of(value, &of, kinds))?;
        }
        (Val::Record(values), Type::Record(of)) => {
            let mut values = values.iter().zip(of.fields());
            values.try_for_each(|((_, value), field)| kinds_of(value, &field.ty, kinds))?;
        }
        (Val::Tuple(values), Type::Tuple(of)) => {
            let mut values = values.iter().zip(of.types());
            values.try_for_each(|(value, ty)| kinds_of(value, &ty, kinds))?;
        }
        (Val::Variant(name, Some(value)), Type::Variant(of)) => {
            let case = of.cases().find(|case| case.name == name);
            if let Some(ty) = case.and_then(|case| case.ty) {
                kinds_of(value, &ty, kinds)?;
            }
        }
        (Val::Option(Some(value)), Type::Option(of)) => kinds_of(value, &of.ty(), kinds)?,
        (Val::Result(Ok(Some(value))), Type::Result(of)) => {
            if let Some(ty) = of.ok() {
                kinds_of(value, &ty, kinds)?;
            }
        }
        (Val::Result(Err(Some(value))), Type::Result(of)) => {
            if let Some(ty) = of.err() {
                kinds_of(value, &ty, kinds)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn kind_of(ty: ResourceType) -> Result<u32> {
    /// Types of handles that a plugin may import.
    const MOST: u32 = 1000;
    match (0..MOST).find(|kind| ResourceType::host_dynamic(*kind) == ty) {
        Some(kind) => Ok(kind),
        None => bail!("a handle of no kind"),
    }
}

/// How a call ended the guest, for the record and for the guest: without the forwarder's own frames.
///
/// # Errors
/// The clock did: that is no answer of the host.
pub(super) fn ended(error: wasmtime::Error) -> Result<(Outcome, wasmtime::Error)> {
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return Ok((Outcome::Exited(*status), I32Exit(*status).into()));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let trap = *trap;
        if trap == Trap::Interrupt {
            return Err(trap.into());
        }
        return Ok((Outcome::Failed(trap.to_string()), trap.into()));
    }
    let why = error.root_cause().to_string();
    Ok((Outcome::Failed(why.clone()), wasmtime::Error::msg(why)))
}

fn replay(
    mut store: StoreContextMut<'_, State>,
    replayer: &Replayer,
    function: &Function,
    ty: &ComponentFunc,
    params: &[Val],
    results: &mut [Val],
) -> Result<()> {
    let secrets = Secrets::default();
    let mut walk = Walk {
        secrets: &secrets,
        replaces: false,
        hidden: Vec::new(),
        handle: |any| {
            let dynamic = ResourceDynamic::try_from_resource_any(any, &mut store)?;
            Ok((dynamic.rep(), any))
        },
    };
    let mut params = params.to_vec();
    let with: Result<_> = params.iter_mut().map(|value| walk.value(value)).collect();
    let gave = match replayer.call(&function.of, &function.name, with?)? {
        Outcome::Gave(gave) => gave,
        outcome => return Err(again(outcome)),
    };
    let given = serve(&mut store, ty, &gave, results);
    if let Err(why) = &given {
        replayer.refused(&why.to_string());
    }
    given
}

/// Ends the guest as it was ended.
pub(super) fn again(outcome: Outcome) -> wasmtime::Error {
    match outcome {
        Outcome::Exited(status) => I32Exit(status).into(),
        Outcome::Left(status) => crate::abi::fledge::Exited(status).into(),
        Outcome::Failed(why) => wasmtime::Error::msg(why),
        Outcome::Gave(_) => wasmtime::Error::msg("the record has an answer of another form"),
    }
}

fn serve(
    store: &mut StoreContextMut<'_, State>,
    ty: &ComponentFunc,
    gave: &[Value],
    results: &mut [Val],
) -> Result<()> {
    if gave.len() != results.len() {
        bail!("the record has {} results of {}", gave.len(), results.len());
    }
    let mut handle = |number, ty: &Type| match ty {
        Type::Own(ty) => {
            let dynamic = ResourceDynamic::new_own(number, kind_of(*ty)?);
            dynamic.try_into_resource_any(&mut *store)
        }
        _ => bail!("the record has a handle that is lent"),
    };
    for ((slot, value), ty) in results.iter_mut().zip(gave).zip(ty.results()) {
        *slot = values::read(value, &ty, &mut handle)?;
    }
    Ok(())
}
