//! From what a compiler leaves to a component.

use wasmparser::{Parser, Payload};

/// The beginning of the name of a section in which a world is written down.
const WORLD: &str = "component-type";

/// Makes a component of a core module that was compiled for a world of components. Everything else is left as it is.
///
/// # Errors
/// It is not WebAssembly, or not what its world says, as a clause.
pub(crate) fn componentize(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    if !is_for_a_world(&bytes)? {
        return Ok(bytes);
    }
    let encoder = wit_component::ComponentEncoder::default().validate(true);
    let encoder = encoder.module(&bytes);
    let encoded = encoder.and_then(|mut encoder| encoder.encode());
    encoded.map_err(|error| format!("{error:#}"))
}

fn is_for_a_world(bytes: &[u8]) -> Result<bool, String> {
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| error.to_string())? {
            Payload::Version {
                encoding: wasmparser::Encoding::Component,
                ..
            } => return Ok(false),
            Payload::CustomSection(section) if section.name().starts_with(WORLD) => {
                return Ok(true);
            }
            _ => {}
        }
    }
    Ok(false)
}
