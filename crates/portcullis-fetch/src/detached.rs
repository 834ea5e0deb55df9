//! Signatures in a file beside a plugin, `notes.wasm.sig`: a line for each, `{"payload": "…", "signature": "…"}`, both in
//! base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::error::FetchError;
use crate::package::{Limits, Signature};

#[derive(Deserialize, Serialize)]
struct Line {
    payload: String,
    signature: String,
}

/// Characters that are told of what is no signature.
const SHOWN: usize = 40;

/// Reads the file.
///
/// # Errors
/// A line is no signature, or there are too many.
pub(crate) fn parse(
    from: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<Signature>, FetchError> {
    let wrong = |why: String| FetchError::Signatures {
        from: from.to_owned(),
        why,
    };
    let text = str::from_utf8(bytes).map_err(|_| wrong("it is no text".to_owned()))?;
    let lines: Vec<_> = lines(text).collect();
    if lines.len() > limits.signature_count {
        return Err(wrong("it has too many".to_owned()));
    }
    lines
        .into_iter()
        .map(|line| {
            from_detached(line).ok_or_else(|| {
                let begins: String = line.trim().chars().take(SHOWN).collect();
                wrong(format!(
                    "a signature is a line of JSON with `payload` and `signature`, both in base64, and not `{begins}`"
                ))
            })
        })
        .collect()
}

/// Whether a text has no line that is a signature, such as the page by which a server says that it has none.
pub(crate) fn is_about_something_else(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).map_or(true, |text| {
        lines(text).all(|line| from_detached(line).is_none())
    })
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim().is_empty())
}

/// The signature in a line; `None` for any other text.
pub fn from_detached(line: &str) -> Option<Signature> {
    let line: Line = serde_json::from_str(line).ok()?;
    Some(Signature {
        payload: STANDARD.decode(line.payload).ok()?,
        signature: STANDARD.decode(line.signature).ok()?,
    })
}

/// The line of a signature.
pub fn detached(signature: &Signature) -> String {
    let line = Line {
        payload: STANDARD.encode(&signature.payload),
        signature: STANDARD.encode(&signature.signature),
    };
    serde_json::json!(line).to_string()
}
