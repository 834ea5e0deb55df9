//! Keys and values of a plugin of fledge: those of `kv`, under the limits that fledge documents as well.

use serde_json::Value;
use wasmtime::{Result, bail};

use crate::capability::kv::KvFailure;
use crate::state::State;

const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 65_536;

/// `store_set`.
///
/// # Errors
/// The request is no JSON, or the value is not kept: both end the plugin.
pub(super) async fn set(state: &mut State, request: &[u8]) -> Result<()> {
    let asked: Value = match serde_json::from_slice(request) {
        Ok(asked) => asked,
        Err(error) => bail!("store_set: malformed JSON: {error}"),
    };
    let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
    match keep(state, text("key"), text("value")).await {
        Ok(()) => Ok(()),
        Err(why) => bail!("store_set: {why}"),
    }
}

/// Keeps a value.
///
/// # Errors
/// Why it is not kept, in the words of fledge where it has some.
pub(super) async fn keep(state: &mut State, key: String, value: String) -> Result<(), String> {
    check(&key, &value)?;
    let kept = state.gate.kv_set(key, value.into_bytes()).await;
    kept.map_err(|failure| match failure {
        KvFailure::TooLarge => "store value exceeds the size that the operator granted".to_owned(),
        KvFailure::Full => {
            "plugin state exceeds the keys or the size that the operator granted".to_owned()
        }
        failure => unavailable(failure).to_owned(),
    })
}

fn check(key: &str, value: &str) -> Result<(), String> {
    if key.is_empty() {
        return Err("store key must not be empty".to_owned());
    }
    if key.len() > MAX_KEY {
        return Err(format!("store key exceeds maximum size of {MAX_KEY} bytes"));
    }
    if key.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("store key contains control characters".to_owned());
    }
    if value.len() > MAX_VALUE {
        return Err(format!(
            "store value exceeds maximum size of {MAX_VALUE} bytes"
        ));
    }
    Ok(())
}

/// `store_get`: a JSON string, or `null`.
///
/// # Errors
/// The key is no text, or the store cannot be used: both end the plugin.
pub(super) async fn get(state: &mut State, key: &[u8]) -> Result<Vec<u8>> {
    let Ok(key) = std::str::from_utf8(key) else {
        bail!("store_get: the key is not UTF-8");
    };
    match value(state, key.to_owned()).await {
        Ok(value) => Ok(serde_json::to_vec(&value)?),
        Err(why) => bail!("store_get: {why}"),
    }
}

/// The value of a key, if it has one.
///
/// # Errors
/// Why nobody can say.
pub(super) async fn value(state: &mut State, key: String) -> Result<Option<String>, &'static str> {
    match state.gate.kv_get(key).await {
        Ok(value) => Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned())),
        // No key is so long, so it has no value.
        Err(KvFailure::TooLarge) => Ok(None),
        Err(failure) => Err(unavailable(failure)),
    }
}

fn unavailable(failure: KvFailure) -> &'static str {
    match failure {
        KvFailure::NotGranted => "no state was granted",
        KvFailure::Rate => "it was called too often within a minute",
        KvFailure::TooLarge
        | KvFailure::Full
        | KvFailure::NotANumber
        | KvFailure::Io
        | KvFailure::Closed => "the state cannot be used",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fledge_refuses_is_refused_in_its_words() {
        let long = "k".repeat(257);
        let value = "v".repeat(65_537);
        for (key, value, why) in [
            ("", "v", "store key must not be empty"),
            (
                long.as_str(),
                "v",
                "store key exceeds maximum size of 256 bytes",
            ),
            ("a\nb", "v", "store key contains control characters"),
            ("a\u{7f}", "v", "store key contains control characters"),
            (
                "k",
                value.as_str(),
                "store value exceeds maximum size of 65536 bytes",
            ),
        ] {
            assert_eq!(check(key, value).unwrap_err(), why);
        }
        assert_eq!(check(&long[1..], &value[1..]), Ok(()));
        assert_eq!(check("\u{e9}", ""), Ok(()));
    }
}
