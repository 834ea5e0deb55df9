//! Requests as they come: JSON of which each generation of the SDK has its own spelling.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::ErrorDetail;
use crate::abi::object::Object;

/// Reads what a guest asks.
///
/// # Errors
/// It is no such request.
pub(super) fn read<'de, T: Deserialize<'de>>(request: &'de [u8]) -> Result<T, ErrorDetail> {
    let read = serde_json::from_slice(request);
    read.map(|Object(request)| request)
        .map_err(ErrorDetail::malformed)
}

/// Variables: a list of `NAME=value`, as the code of every SDK sends it, or an object, as one of its documents has it.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(super) enum Env {
    List(Vec<String>),
    Object(BTreeMap<String, String>),
}

impl Env {
    /// Names and values, in order. What has no `=` is left out, as everywhere in Reglet.
    pub(super) fn pairs(self) -> Vec<(String, String)> {
        match self {
            Self::List(list) => list
                .iter()
                .filter_map(|entry| entry.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            Self::Object(object) => object.into_iter().collect(),
        }
    }
}

/// One text, or a list of them.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(super) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl Texts {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn a_list_is_no_request() {
        #[derive(Debug, Deserialize)]
        struct Request {
            command: Option<String>,
        }
        let request: Request = read(br#" {"command":"ls","more":1}"#).unwrap();
        assert_eq!(request.command.as_deref(), Some("ls"));
        for none in [&br#"["ls"]"#[..], b"null", b"\"ls\"", b"", b"{} {}"] {
            assert_eq!(read::<Request>(none).unwrap_err().kind, "internal");
        }
    }

    #[test]
    fn variables_come_as_a_list_or_as_an_object() {
        let pairs = |value| from_value::<Env>(value).unwrap().pairs();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            pairs(json!(["A=1", "none", "B=x=y", "=z"])),
            [pair("A", "1"), pair("B", "x=y"), pair("", "z")]
        );
        assert_eq!(pairs(json!({ "A": "1" })), [pair("A", "1")]);
        assert!(from_value::<Env>(json!([1])).is_err());
        assert!(from_value::<Env>(json!("A=1")).is_err());
    }
}
