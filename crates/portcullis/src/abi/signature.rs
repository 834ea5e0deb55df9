//! Types of the functions of core modules: what a world says they are, and what is wrong with those of a module.

use wasmtime::{ExternType, Module, ValType};

use super::packed::MEMORY;

/// A function's type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature {
    pub(crate) params: &'static [ValType],
    pub(crate) results: &'static [ValType],
    /// As it is shown.
    pub(crate) words: &'static str,
}

impl Signature {
    fn is(&self, ty: &ExternType) -> bool {
        let same = |types: &mut dyn ExactSizeIterator<Item = ValType>, wanted: &[ValType]| {
            types.len() == wanted.len()
                && types
                    .zip(wanted)
                    .all(|(is, wanted)| ValType::eq(&is, wanted))
        };
        matches!(ty, ExternType::Func(ty)
            if same(&mut ty.params(), self.params) && same(&mut ty.results(), self.results))
    }

    /// What is wrong with a module's export of this name.
    pub(crate) fn of_export(&self, module: &Module, name: &str, required: bool) -> Option<String> {
        let words = self.words;
        match module.get_export(name) {
            Some(ty) if self.is(&ty) => None,
            Some(_) => Some(format!("its export `{name}` is not `{words}`")),
            None => required.then(|| format!("it exports no function `{name}: {words}`")),
        }
    }
}

/// What is wrong with a module's memory.
pub(crate) fn of_memory(module: &Module) -> Option<String> {
    match module.get_export(MEMORY) {
        Some(ExternType::Memory(_)) => None,
        Some(_) => Some(format!("its export `{MEMORY}` is no memory")),
        None => Some(format!("it exports no memory `{MEMORY}`")),
    }
}

/// What is wrong with a module's imports from another, each once. What is unknown is missing, and was told before.
pub(crate) fn of_imports(
    module: &Module,
    from: &str,
    known: impl Fn(&str) -> Option<Signature>,
) -> Vec<String> {
    let mut problems = Vec::new();
    for import in module.imports().filter(|import| import.module() == from) {
        let name = import.name();
        if let Some(signature) = known(name).filter(|known| !known.is(&import.ty())) {
            let problem = format!("its import `{from}.{name}` is not `{}`", signature.words);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// All of them, as one.
///
/// # Errors
/// There are any.
pub(crate) fn all(problems: &[String]) -> Result<(), String> {
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("; "))
    }
}
