//! What a core module says of itself, read from its bytes: nothing is compiled.

use crate::abi::module;
use wasmparser::{Parser, Payload, TypeRef};

/// The custom section that Go's compiler leaves in everything.
const GO: &str = "go:buildid";

/// Imports, exports and memories of a core module.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) imports: Vec<ModuleImport>,
    pub(crate) exports: Vec<String>,
    /// Memories, those that are imported included.
    pub(crate) memories: usize,
    /// Whether Go's compiler made it.
    pub(crate) is_of_go: bool,
    /// Where reading it stopped, if it is malformed.
    pub(crate) malformed: Option<String>,
}

/// Something that a core module imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ModuleImport {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) is_function: bool,
}

impl ModuleImport {
    /// Both names, as they are shown.
    pub(crate) fn shown(&self) -> String {
        format!("{}.{}", self.module, self.name)
    }
}

impl Shape {
    /// Reads a module as far as it can be read.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut shape = Self::default();
        for payload in Parser::new(0).parse_all(bytes) {
            if let Err(error) = payload.and_then(|payload| shape.take(payload)) {
                shape.malformed = Some(error.to_string());
                break;
            }
        }
        shape
    }

    fn take(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.memories += usize::from(matches!(import.ty, TypeRef::Memory(_)));
                    self.imports.push(ModuleImport {
                        module: import.module.to_owned(),
                        name: import.name.to_owned(),
                        is_function: matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)),
                    });
                }
            }
            Payload::CustomSection(section) => self.is_of_go |= section.name() == GO,
            Payload::MemorySection(section) => self.memories += section.count() as usize,
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    self.exports.push(export.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it imports anything from a module whose name begins like this.
    pub(crate) fn imports_from(&self, prefix: &str) -> bool {
        self.imports
            .iter()
            .any(|import| import.module.starts_with(prefix))
    }

    /// Whether it imports anything from the module of this name.
    pub(crate) fn imports_from_module(&self, name: &str) -> bool {
        self.imports.iter().any(|import| import.module == name)
    }

    /// The exports that it lacks to be a plugin.
    pub(crate) fn lacks(&self) -> Vec<&'static str> {
        let required = module::REQUIRED.into_iter();
        required.filter(|name| !self.exports(name)).collect()
    }

    pub(crate) fn exports(&self, name: &str) -> bool {
        self.exports.iter().any(|export| export == name)
    }
}
