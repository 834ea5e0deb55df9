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

/// Reads the file.
pub(crate) fn parse(
    from: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<Signature>, FetchError> {
    let wrong = |why: &str| FetchError::Package {
        from: from.to_owned(),
        why: why.to_owned(),
    };
    let text = str::from_utf8(bytes).map_err(|_| wrong("signatures are text"))?;
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.len() > limits.signature_count {
        return Err(wrong("it has too many signatures"));
    }
    let decoded: Option<Vec<_>> = lines.into_iter().map(from_detached).collect();
    decoded.ok_or_else(|| {
        wrong("a signature is a line of JSON with `payload` and `signature`, both in base64")
    })
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
