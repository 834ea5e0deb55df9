//! The module itself, made ready: it is valid, imports the [rest](super::rest) from where it is, and says nothing of itself
//! that a component would be made by.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{ImportSection, Module, RawSection};
use wasmparser::{
    CustomSectionReader, ImportSectionReader, Parser, Payload, Validator, WasmFeatures,
};

use super::{PREVIEW1, rest, words};

/// The custom section that names functions; backtraces have them.
const NAMES: &str = "name";

/// Whether it is a valid module, of what the engine takes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn validate(module: &[u8]) -> Result<(), String> {
    let features = WasmFeatures::default() & !(WasmFeatures::MEMORY64 | WasmFeatures::MULTI_MEMORY);
    Validator::new_with_features(features)
        .validate_all(module)
        .map(drop)
        .map_err(words)
}

/// The module as a component is made of it. It has to be valid.
///
/// # Errors
/// It is not.
pub(super) fn prepared(module: &[u8]) -> Result<Vec<u8>, String> {
    let mut made = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(words)? {
            Payload::ImportSection(section) => {
                made.section(&imports(section)?);
            }
            Payload::CustomSection(section) if !is_kept(&section) => {}
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    let data = &module[range];
                    made.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(made.finish())
}

/// Custom sections can hold interfaces, which would become those of the component.
fn is_kept(section: &CustomSectionReader<'_>) -> bool {
    section.name() == NAMES
}

fn imports(section: ImportSectionReader<'_>) -> Result<ImportSection, String> {
    let mut made = ImportSection::new();
    for import in section.into_imports() {
        let import = import.map_err(words)?;
        let is_rest = import.module == PREVIEW1 && rest::has(import.name);
        let module = if is_rest { rest::MODULE } else { import.module };
        let ty = RoundtripReencoder.entity_type(import.ty);
        made.import(module, import.name, ty.map_err(words)?);
    }
    Ok(made)
}
