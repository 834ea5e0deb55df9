//! What is kept out of a record, and from the guest while one is made.

use std::borrow::Cow;
use std::sync::Arc;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_audit::{DigestKey, is_secret_name, secrets};
use serde_json::Value;

use super::line::Hidden;

/// What stands for a byte of a secret.
const PLACEHOLDER: u8 = b'*';

/// How secrets are known: by their form, and by their values where the host has them.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    values: Option<AhoCorasick>,
    key: Option<Arc<DigestKey>>,
}

impl Secrets {
    /// Values shorter than four bytes are in every other text, and none is looked for.
    pub(super) fn new<'a>(
        values: impl IntoIterator<Item = &'a [u8]>,
        key: Option<Arc<DigestKey>>,
    ) -> Self {
        let values: Vec<&[u8]> = values
            .into_iter()
            .filter(|value| value.len() >= 4)
            .collect();
        let found = AhoCorasick::new(&values).ok();
        Self {
            values: found.filter(|_| !values.is_empty()),
            key,
        }
    }

    /// The bytes with a placeholder for each byte of a secret in them, and what was hidden.
    pub(super) fn hide<'a>(&self, bytes: &'a [u8]) -> (Cow<'a, [u8]>, Option<Hidden>) {
        let mut found = Vec::new();
        if let Some(values) = &self.values {
            found.extend(
                values
                    .find_overlapping_iter(bytes)
                    .map(|found| found.range()),
            );
        }
        let mut at = 0;
        for chunk in bytes.utf8_chunks() {
            let text = chunk.valid();
            let of_chunk = secrets(text).into_iter();
            found.extend(of_chunk.map(|range| range.start + at..range.end + at));
            at += text.len() + chunk.invalid().len();
        }
        self.hidden(bytes, &found)
    }

    /// The same for a message, which may have bytes in it as base64.
    pub(super) fn hide_message<'a>(&self, bytes: &'a [u8]) -> (Cow<'a, [u8]>, Option<Hidden>) {
        let (shown, hidden) = self.hide(bytes);
        let mut patched = None;
        let mut start = None;
        for (at, byte) in bytes.iter().enumerate() {
            if *byte != b'"' {
                continue;
            }
            if let Some(start) = start
                && let Ok(inner) = STANDARD.decode(&bytes[start..at])
                && let (inner, Some(_)) = self.hide(&inner)
            {
                let inner = STANDARD.encode(inner);
                let patched: &mut Vec<u8> = patched.get_or_insert_with(|| shown.to_vec());
                patched[start..at].copy_from_slice(inner.as_bytes());
            }
            start = Some(at + 1);
        }
        match patched {
            None => (shown, hidden),
            Some(patched) => {
                let hidden = hidden.unwrap_or_else(|| self.told(bytes));
                (Cow::Owned(patched), Some(hidden))
            }
        }
    }

    /// The same for each text in a value.
    pub(super) fn hide_in(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let hidden = match self.hide(text.as_bytes()) {
                    (hidden, Some(_)) => Some(String::from_utf8_lossy(&hidden).into_owned()),
                    (_, None) => None,
                };
                if let Some(hidden) = hidden {
                    *text = hidden;
                }
            }
            Value::Array(values) => {
                // A value beside its name, as of a header.
                if let [Value::String(name), Value::String(text)] = &mut values[..]
                    && is_secret_name(name)
                {
                    *text = String::from_utf8_lossy(&self.hide_all(text.as_bytes()).0).into_owned();
                }
                values.iter_mut().for_each(|value| self.hide_in(value));
            }
            Value::Object(values) => {
                if let Some(Value::String(text)) = values.get_mut("base64")
                    && let Ok(bytes) = STANDARD.decode(&*text)
                    && let (shown, Some(_)) = self.hide(&bytes)
                {
                    *text = STANDARD.encode(shown);
                }
                values.values_mut().for_each(|value| self.hide_in(value));
            }
            _ => {}
        }
    }

    /// The same, all of them being the secret.
    pub(super) fn hide_all<'a>(&self, bytes: &'a [u8]) -> (Cow<'a, [u8]>, Option<Hidden>) {
        self.hidden(bytes, std::slice::from_ref(&(0..bytes.len())))
    }

    fn hidden<'a>(
        &self,
        bytes: &'a [u8],
        found: &[std::ops::Range<usize>],
    ) -> (Cow<'a, [u8]>, Option<Hidden>) {
        let mut hidden = bytes.to_vec();
        for range in found {
            hidden[range.clone()].fill(PLACEHOLDER);
        }
        if hidden == bytes {
            // What is a placeholder already was hidden before.
            return (Cow::Borrowed(bytes), None);
        }
        (Cow::Owned(hidden), Some(self.told(bytes)))
    }

    /// What a record has of a text that had a secret.
    fn told(&self, bytes: &[u8]) -> Hidden {
        let digest = self.key.as_ref().map(|key| key.digest(bytes).to_string());
        let length = bytes.len();
        Hidden { digest, length }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOKEN: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";

    #[test]
    fn a_placeholder_is_as_long_and_is_no_secret_itself() {
        let secrets = Secrets::new([&b"value-of-mine"[..], b"abc"], None);
        let text = format!("a {TOKEN} b value-of-mine abc \u{fc}");
        let (shown, hidden) = secrets.hide(text.as_bytes());
        assert_eq!(shown.len(), text.len());
        let shown = String::from_utf8(shown.into_owned()).unwrap();
        assert!(
            !shown.contains("uvwxyz") && !shown.contains("of-mine"),
            "{shown}"
        );
        assert!(
            shown.ends_with(" abc \u{fc}"),
            "three bytes are no secret: {shown}"
        );
        assert_eq!(hidden.unwrap().length, text.len());
        assert_eq!(secrets.hide(shown.as_bytes()).1, None);
        assert_eq!(secrets.hide(b"nothing of it").1, None);
    }

    #[test]
    fn what_is_base64_in_a_message_is_seen_through() {
        let secrets = Secrets::default();
        let message = format!("{{\"stdout\":\"{}\",\"n\":1}}", STANDARD.encode(TOKEN));
        let (shown, hidden) = secrets.hide_message(message.as_bytes());
        assert!(hidden.is_some());
        assert_eq!(shown.len(), message.len());
        let shown: Value = serde_json::from_slice(&shown).unwrap();
        let inner = STANDARD.decode(shown["stdout"].as_str().unwrap()).unwrap();
        assert!(inner.ends_with(b"****"), "{inner:?}");
    }

    #[test]
    fn in_a_value_names_and_bytes_are_seen_through() {
        let bytes = [&b"\xff"[..], TOKEN.as_bytes()].concat();
        let mut value = json!({
            "headers": [["set-cookie", "x=1"], ["accept", "any"]],
            "body": { "base64": STANDARD.encode(bytes) },
        });
        Secrets::default().hide_in(&mut value);
        assert_eq!(
            value["headers"],
            json!([["set-cookie", "***"], ["accept", "any"]])
        );
        let body = STANDARD
            .decode(value["body"]["base64"].as_str().unwrap())
            .unwrap();
        assert!(body.ends_with(b"****"), "{body:?}");
    }
}
