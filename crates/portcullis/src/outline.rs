//! What a component says of itself, read from its bytes: nothing is compiled.

use wasmparser::component_types::{ComponentEntityType, ComponentItem};
use wasmparser::types::Types;
use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, Parser, Payload, ValidPayload, Validator,
};

use crate::inspect::is_too_deep;

/// Imports and exports of the outermost component; those of modules and components inside it are its own affair.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<Export>,
    /// Where reading it stopped, if it is malformed.
    pub(crate) malformed: Option<String>,
}

/// Something that a component exports.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) is_instance: bool,
}

impl Outline {
    /// Reads a component as far as it can be read.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut outline = Self::default();
        if let Err(error) = outline.read(bytes) {
            outline.malformed = Some(error.to_string());
        }
        outline
    }

    fn read(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import = import?;
                        if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                            self.imports.push(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export?;
                        if export.kind != ComponentExternalKind::Type {
                            self.exports.push(Export {
                                name: export.name.name.to_owned(),
                                is_instance: export.kind == ComponentExternalKind::Instance,
                            });
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn exports(&self, name: &str) -> bool {
        self.exports.iter().any(|export| export.name == name)
    }

    pub(crate) fn exports_instance(&self, name: &str) -> bool {
        let mut exports = self.exports.iter();
        exports.any(|export| export.is_instance && export.name == name)
    }
}

/// The functions of an instance that a component exports. None where the component is malformed: who compiles it says why.
pub(crate) fn functions_of(bytes: &[u8], instance: &str) -> Vec<String> {
    if is_too_deep(bytes) {
        return Vec::new();
    }
    functions(bytes, instance).unwrap_or_default()
}

fn functions(bytes: &[u8], instance: &str) -> Option<Vec<String>> {
    let mut validator = Validator::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.ok()?;
        // The code of functions is none of what is asked.
        match validator.payload(&payload).ok()? {
            ValidPayload::Parser(_) => depth += 1,
            ValidPayload::End(types) if depth == 0 => return functions_in(&types, instance),
            ValidPayload::End(_) => depth -= 1,
            ValidPayload::Ok | ValidPayload::Func(..) => {}
        }
    }
    None
}

fn functions_in(types: &Types, instance: &str) -> Option<Vec<String>> {
    let types = types.as_ref();
    let ComponentEntityType::Instance(id) = types.component_item_for_export(instance)?.ty else {
        return None;
    };
    let is_function = |item: &ComponentItem| matches!(item.ty, ComponentEntityType::Func(_));
    let exports = types.get(id)?.exports.iter();
    let functions = exports.filter(|(_, item)| is_function(item));
    Some(functions.map(|(name, _)| name.clone()).collect())
}
