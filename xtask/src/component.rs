//! From the core module that the linker leaves to a component, and what a component says about itself.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use wasmparser::{KnownCustom, Parser, Payload};

/// Turns a core module with embedded WIT into a component.
///
/// # Errors
/// The module's imports and exports are not those of its world, or the result does not validate.
pub(crate) fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)?;
    encoder.encode()
}

/// Whether a core module is a command of WASI as it is.
///
/// # Errors
/// The bytes are not a well-formed WebAssembly binary.
pub(crate) fn is_command(module: &[u8]) -> Result<bool> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ExportSection(exports) = payload? {
            for export in exports {
                if export?.name == "_start" {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// What a component wants, offers and was made with.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Shape {
    /// Names of imports.
    pub(crate) imports: BTreeSet<String>,
    /// Names of exports.
    pub(crate) exports: BTreeSet<String>,
    /// The compiler that a nested module names, such as `1.95.0 (59807616e 2026-04-14)`.
    pub(crate) rustc: Option<String>,
}

impl Shape {
    /// Reads the shape of a component.
    ///
    /// # Errors
    /// The bytes are not a well-formed WebAssembly binary.
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let mut shape = Self::default();
        // Only the outermost component's own imports and exports count; its parts have theirs.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.context("cannot read the component")? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    for import in imports {
                        shape.imports.insert(import?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    for export in exports {
                        shape.exports.insert(export?.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Producers(fields) = section.as_known() {
                        shape.rustc = shape.rustc.take().or(rustc(fields)?);
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }
}

fn rustc(fields: wasmparser::ProducersSectionReader<'_>) -> Result<Option<String>> {
    for field in fields {
        for value in field?.values {
            let value = value?;
            if value.name == "rustc" {
                return Ok(Some(value.version.to_owned()));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A core module with a world embedded, as `wit-bindgen` leaves it.
    fn module(world: &str) -> Vec<u8> {
        let mut resolve = wit_parser::Resolve::default();
        let package = resolve
            .push_path(crate::shell::root().join("wit/cli-0.1.0"))
            .unwrap()
            .0;
        let world = resolve.select_world(&[package], Some(world)).unwrap();
        let mut module = wat::parse_str(
            r#"(module
                ;; A request flattens to thirteen numbers; the last is where the answer goes.
                (import "portcullis:cli/process@0.1.0" "exec"
                    (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
                (memory (export "memory") 1)
                (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
                (func (export "run") (param i32 i32) (result i32) (i32.const 16)))"#,
        )
        .unwrap();
        wit_component::embed_component_metadata(
            &mut module,
            &resolve,
            world,
            wit_component::StringEncoding::UTF8,
        )
        .unwrap();
        module
    }

    #[test]
    fn a_module_becomes_a_component_with_the_imports_and_exports_of_its_world() {
        let shape = Shape::of(&componentize(&module("plugin")).unwrap()).unwrap();
        assert_eq!(
            shape.imports,
            ["portcullis:cli/process@0.1.0".to_owned()].into()
        );
        assert_eq!(shape.exports, ["run".to_owned()].into());
        assert_eq!(shape.rustc, None);
    }

    #[test]
    fn a_command_is_known_by_its_start() {
        let is = |text: &str| is_command(&wat::parse_str(text).unwrap()).unwrap();
        assert!(is(r#"(module (func (export "_start")))"#));
        assert!(!is(r#"(module (func (export "start")))"#));
    }

    #[test]
    fn a_module_without_an_export_of_its_world_is_refused() {
        let error = componentize(&module("plugin-with-overlay")).unwrap_err();
        assert!(format!("{error:#}").contains("env-overlay"), "{error:#}");
    }
}
