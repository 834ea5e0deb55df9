//! Values of the component model as they stand in a record.

use std::borrow::Cow;

use portcullis_audit::is_secret_name;
use serde_json::{Map, Value, json};
use wasmtime::component::types::Type;
use wasmtime::component::{ResourceAny, Val};
use wasmtime::{Result, bail};

use super::line::{Bytes, Hidden};
use super::secrets::Secrets;

/// A walk over a value: what a record has of it, and what is passed on of it.
pub(super) struct Walk<'a, F> {
    pub(super) secrets: &'a Secrets,
    /// Whether what is passed on has the placeholders too.
    pub(super) replaces: bool,
    pub(super) hidden: Vec<Hidden>,
    /// Passes a handle on, and gives its number.
    pub(super) handle: F,
}

impl<F: FnMut(ResourceAny) -> Result<(u32, ResourceAny)>> Walk<'_, F> {
    /// Walks over a value.
    ///
    /// # Errors
    /// It has a handle that is none, or is of a type that no interface of ours has.
    pub(super) fn value(&mut self, value: &mut Val) -> Result<Value> {
        Ok(match value {
            Val::Bool(value) => json!(value),
            Val::S8(value) => json!(value),
            Val::U8(value) => json!(value),
            Val::S16(value) => json!(value),
            Val::U16(value) => json!(value),
            Val::S32(value) => json!(value),
            Val::U32(value) => json!(value),
            Val::S64(value) => json!(value),
            Val::U64(value) => json!(value),
            // As bits: not every float is a number.
            Val::Float32(value) => json!(format!("{:08x}", value.to_bits())),
            Val::Float64(value) => json!(format!("{:016x}", value.to_bits())),
            Val::Char(value) => json!(value),
            Val::String(_) => self.hide(value, false),
            Val::Enum(case) => json!(case),
            Val::Flags(flags) => json!(flags),
            Val::List(list) if matches!(list.first(), Some(Val::U8(_))) => self.hide(value, false),
            Val::List(list) => Value::Array(self.all(list)?),
            Val::Tuple(list) => self.tuple(list)?,
            Val::Record(fields) => {
                let mut object = Map::new();
                for (name, value) in fields {
                    object.insert(name.clone(), self.value(value)?);
                }
                Value::Object(object)
            }
            Val::Variant(case, value) => {
                let value = self.maybe(value.as_deref_mut())?;
                json!({ case.as_str(): value })
            }
            Val::Option(None) => Value::Null,
            Val::Option(Some(value)) => json!({ "some": self.value(value)? }),
            Val::Result(Ok(value)) => json!({ "ok": self.maybe(value.as_deref_mut())? }),
            Val::Result(Err(value)) => json!({ "err": self.maybe(value.as_deref_mut())? }),
            Val::Resource(any) => {
                let (number, passed_on) = (self.handle)(*any)?;
                *any = passed_on;
                json!(number)
            }
            _ => bail!("a value of this type cannot be recorded"),
        })
    }

    fn all(&mut self, list: &mut [Val]) -> Result<Vec<Value>> {
        list.iter_mut().map(|value| self.value(value)).collect()
    }

    fn maybe(&mut self, value: Option<&mut Val>) -> Result<Value> {
        value.map_or(Ok(Value::Null), |value| self.value(value))
    }

    /// What stands beside the name of a secret is one.
    fn tuple(&mut self, list: &mut [Val]) -> Result<Value> {
        if let [Val::String(name), value] = list
            && is_secret_name(name)
            && is_text(value)
        {
            let name = json!(name);
            return Ok(json!([name, self.hide(value, true)]));
        }
        Ok(Value::Array(self.all(list)?))
    }

    fn hide(&mut self, value: &mut Val, is_secret: bool) -> Value {
        let bytes = bytes(value);
        let (shown, hidden) = match is_secret {
            true => self.secrets.hide_all(&bytes),
            false => self.secrets.hide(&bytes),
        };
        let is_string = matches!(value, Val::String(_));
        let json = match is_string {
            true => Value::String(String::from_utf8_lossy(&shown).into_owned()),
            false => Bytes::value(&shown),
        };
        if let Some(hidden) = hidden {
            self.hidden.push(hidden);
            if self.replaces {
                let shown = shown.into_owned();
                *value = match is_string {
                    true => Val::String(String::from_utf8_lossy(&shown).into_owned()),
                    false => list(&shown),
                };
            }
        }
        json
    }
}

fn is_text(value: &Val) -> bool {
    match value {
        Val::String(_) => true,
        Val::List(list) => matches!(list.first(), Some(Val::U8(_))),
        _ => false,
    }
}

fn bytes(value: &Val) -> Cow<'static, [u8]> {
    match value {
        Val::String(text) => text.clone().into_bytes().into(),
        Val::List(list) => list
            .iter()
            .map(|byte| match byte {
                Val::U8(byte) => *byte,
                _ => 0,
            })
            .collect::<Vec<u8>>()
            .into(),
        _ => Cow::Borrowed(&[]),
    }
}

fn list(bytes: &[u8]) -> Val {
    Val::List(bytes.iter().map(|byte| Val::U8(*byte)).collect())
}

/// Makes a value of what a record has, by its type. `handle` makes one of its number.
///
/// # Errors
/// The record has something else.
pub(super) fn read(
    value: &Value,
    ty: &Type,
    handle: &mut dyn FnMut(u32, &Type) -> Result<ResourceAny>,
) -> Result<Val> {
    let number = || match value.as_i64() {
        Some(number) => Ok(number),
        None => Err(other(value)),
    };
    let one = |value: &Value,
               case: Option<&Type>,
               handle: &mut dyn FnMut(u32, &Type) -> Result<ResourceAny>| {
        match case {
            Some(ty) => Ok(Some(Box::new(read(value, ty, handle)?))),
            None => Ok::<_, wasmtime::Error>(None),
        }
    };
    Ok(match ty {
        Type::Bool => Val::Bool(value.as_bool().ok_or_else(|| other(value))?),
        Type::S8 => Val::S8(number()?.try_into()?),
        Type::U8 => Val::U8(number()?.try_into()?),
        Type::S16 => Val::S16(number()?.try_into()?),
        Type::U16 => Val::U16(number()?.try_into()?),
        Type::S32 => Val::S32(number()?.try_into()?),
        Type::U32 => Val::U32(number()?.try_into()?),
        Type::S64 => Val::S64(number()?),
        Type::U64 => Val::U64(value.as_u64().ok_or_else(|| other(value))?),
        Type::Float32 => Val::Float32(f32::from_bits(u32::from_str_radix(text(value)?, 16)?)),
        Type::Float64 => Val::Float64(f64::from_bits(u64::from_str_radix(text(value)?, 16)?)),
        Type::Char => {
            let mut chars = text(value)?.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Val::Char(char),
                _ => return Err(other(value)),
            }
        }
        Type::String => Val::String(text(value)?.to_owned()),
        Type::Enum(cases) => {
            let case = text(value)?;
            if !cases.names().any(|name| name == case) {
                return Err(other(value));
            }
            Val::Enum(case.to_owned())
        }
        Type::Flags(flags) => {
            let set = value.as_array().ok_or_else(|| other(value))?;
            let set = set.iter().map(|flag| match flag.as_str() {
                Some(flag) if flags.names().any(|name| name == flag) => Ok(flag.to_owned()),
                _ => Err(other(value)),
            });
            Val::Flags(set.collect::<Result<_>>()?)
        }
        Type::List(of) => match (value, of.ty()) {
            (Value::Object(_), Type::U8) => list(&Bytes::of(value).map_err(wasmtime::Error::msg)?),
            (Value::Array(values), of) => {
                let values = values.iter().map(|value| read(value, &of, handle));
                Val::List(values.collect::<Result<_>>()?)
            }
            _ => return Err(other(value)),
        },
        Type::Tuple(of) => match value {
            Value::Array(values) if values.len() == of.types().len() => {
                let values = values.iter().zip(of.types());
                let values = values.map(|(value, ty)| read(value, &ty, handle));
                Val::Tuple(values.collect::<Result<_>>()?)
            }
            _ => return Err(other(value)),
        },
        Type::Record(of) => {
            let object = value.as_object().ok_or_else(|| other(value))?;
            let fields = of.fields().map(|field| {
                let value = object.get(field.name).ok_or_else(|| other(value))?;
                Ok((field.name.to_owned(), read(value, &field.ty, handle)?))
            });
            Val::Record(fields.collect::<Result<_>>()?)
        }
        Type::Variant(of) => {
            let (name, value) = only(value).ok_or_else(|| other(value))?;
            let case = of.cases().find(|case| case.name == name);
            let case = case.ok_or_else(|| other(value))?;
            Val::Variant(name.to_owned(), one(value, case.ty.as_ref(), handle)?)
        }
        Type::Option(of) => match only(value) {
            None if value.is_null() => Val::Option(None),
            Some(("some", value)) => Val::Option(one(value, Some(&of.ty()), handle)?),
            _ => return Err(other(value)),
        },
        Type::Result(of) => match only(value) {
            Some(("ok", value)) => Val::Result(Ok(one(value, of.ok().as_ref(), handle)?)),
            Some(("err", value)) => Val::Result(Err(one(value, of.err().as_ref(), handle)?)),
            _ => return Err(other(value)),
        },
        Type::Own(_) => Val::Resource(handle(number()?.try_into()?, ty)?),
        _ => return Err(other(value)),
    })
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| other(value))
}

/// The one name and value of an object that has one.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (name, value) = object.iter().next()?;
    Some((name, value))
}

fn other(value: &Value) -> wasmtime::Error {
    let value = value.to_string();
    let shown = &value[..value.floor_char_boundary(80)];
    wasmtime::Error::msg(format!("the record has {shown} where it cannot be"))
}
