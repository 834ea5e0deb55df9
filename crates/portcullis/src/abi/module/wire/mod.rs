//! The JSON of the core-module form, from and to bytes. Nothing here reaches a guest or the host.
//!
//! It has the words of the WIT: records are objects, lists arrays, options `null` or left out, bytes base64, times
//! nanoseconds, variants objects with a `kind`. What is not expected is refused.

pub mod env;
mod exec;
pub mod fs;
pub mod http;
pub mod kv;
pub mod prompt;

use std::fmt;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

use crate::abi::object::Object;
use crate::engine::HOST_CALL_BYTES;
pub use exec::{Command, ErrorSink, Input, Sink, Stdio, exec, exec_start};

/// Bytes of one message of a guest: standard input at its ceiling as base64, and 1 MiB for everything else.
pub(crate) const MAX_MESSAGE: usize = HOST_CALL_BYTES.div_ceil(3) * 4 + 1024 * 1024;

/// Elements of one list. More arguments or variables than this are beyond what any command is given.
const MAX_ELEMENTS: usize = 128 * 1024;

/// Characters of a refused message's description: it may quote the message.
const MAX_WHY: usize = 200;

/// A message that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(pub String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

/// Reads what a guest asks of a function.
///
/// # Errors
/// [`Malformed`] for anything that is not exactly such a message, or too long for one.
pub fn request<'de, T: Deserialize<'de>>(message: &'de [u8]) -> Result<T, Malformed> {
    decode(message).map(|Object(request)| request)
}

/// Reads what a guest's `run` gave back.
///
/// # Errors
/// As [`request`].
pub fn run_result(message: &[u8]) -> Result<Result<String, String>, Malformed> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum RunResult {
        Ok(String),
        Error(String),
    }
    Ok(match decode(message)? {
        RunResult::Ok(text) => Ok(text),
        RunResult::Error(text) => Err(text),
    })
}

fn decode<'de, T: Deserialize<'de>>(message: &'de [u8]) -> Result<T, Malformed> {
    if message.len() > MAX_MESSAGE {
        return Err(Malformed(format!(
            "it has {} bytes, more than {MAX_MESSAGE}",
            message.len()
        )));
    }
    serde_json::from_slice(message).map_err(|error| {
        let why = error.to_string();
        Malformed(why.chars().take(MAX_WHY).collect())
    })
}

/// A list of bounded length; `null` is the empty one, as Go writes it.
#[derive(Debug)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX_ELEMENTS} elements")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while let Some(element) = seq.next_element()? {
                    if elements.len() == MAX_ELEMENTS {
                        return Err(de::Error::invalid_length(MAX_ELEMENTS + 1, &self));
                    }
                    elements.push(element);
                }
                Ok(elements)
            }
        }
        from.deserialize_any(Elements(PhantomData)).map(Self)
    }
}

/// Bytes that stand in JSON as base64: the standard alphabet, with its padding.
#[derive(Debug)]
pub struct Base64(pub Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {HOST_CALL_BYTES} bytes as base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let bytes = STANDARD.decode(text).map_err(E::custom)?;
                if bytes.len() > HOST_CALL_BYTES {
                    return Err(E::invalid_length(bytes.len(), &self));
                }
                Ok(bytes)
            }
        }
        from.deserialize_str(Text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_answers_one_text() {
        assert_eq!(run_result(br#"{"ok":"a"}"#), Ok(Ok("a".to_owned())));
        assert_eq!(run_result(br#"{"error":"a"}"#), Ok(Err("a".to_owned())));
        for other in [
            "",
            "{}",
            r#""ok""#,
            r#"{"ok":null}"#,
            r#"{"err":"a"}"#,
            r#"{"ok":"a","error":"b"}"#,
            r#"["ok","a"]"#,
        ] {
            assert!(run_result(other.as_bytes()).is_err(), "{other}");
        }
    }
}
