//! What a plugin of Reglet imports, against what exists and what was granted.

use portcullis_policy::{Capability, Grants};

use super::ModuleSource as Source;
use crate::abi::reglet::{FUNCTIONS, MODULE};
use crate::error::MissingImport;
use crate::shape::ModuleImport;

fn source(import: &ModuleImport) -> Source {
    let missing = |why: &str| Source::Missing(why.to_owned());
    super::source_in_module(import, |module, name| match module {
        MODULE => {
            let functions = FUNCTIONS.map(|function| (function.name, function.needs));
            super::source_of_function(name, functions)
        }
        "wasi_unstable" => missing("this is older than WASI preview 1; build for `wasip1`"),
        _ => missing("a plugin of Reglet has `reglet_host` and WASI preview 1 only"),
    })
}

/// Imports that keep a plugin from being loaded: all of them, each once.
pub(crate) fn missing(imports: &[ModuleImport], grants: &Grants) -> Vec<MissingImport> {
    super::missing_of_module(imports, grants, source)
}

/// The capability that an import needs, if it needs one.
pub(crate) fn needs(import: &ModuleImport) -> Option<Capability> {
    source(import).needs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::preview1::MODULE as PREVIEW1;
    use portcullis_policy::{ExecGrant, PluginId};

    #[test]
    fn all_missing_imports_are_named_at_once_with_what_supplies_each() {
        let none = Grants::none(PluginId::new("p").unwrap());
        let imports = [
            (MODULE, "log_message", ""),
            (MODULE, "exec_command", "portcullis grant p exec <program>"),
            (MODULE, "exec_command", ""),
            (MODULE, "http_request", "portcullis grant p http <host>"),
            (
                MODULE,
                "tls_check",
                "there are `log_message`, `exec_command`",
            ),
            (MODULE, "ssrf_check", "there are `log_message`"),
            (PREVIEW1, "fd_write", ""),
            (PREVIEW1, "fd_write", ""),
            (PREVIEW1, "sock_open", "no such function"),
            ("env", "foo", "only"),
        ];
        let given: Vec<_> = imports
            .iter()
            .map(|(module, name, _)| ModuleImport {
                module: (*module).to_owned(),
                name: (*name).to_owned(),
                is_function: true,
            })
            .collect();
        let wanted: Vec<_> = imports.iter().filter(|(.., why)| !why.is_empty()).collect();
        let found = missing(&given, &none);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, (module, name, why)) in found.iter().zip(wanted) {
            assert_eq!(found.name, format!("{module}.{name}"));
            assert!(found.why.contains(why), "{found:?}");
        }
        let granted = Grants {
            exec: Some(ExecGrant::default()),
            ..none.clone()
        };
        assert_eq!(missing(&given, &granted).len(), 5);
        let late = Grants { late: true, ..none };
        assert_eq!(
            missing(&given, &late).len(),
            4,
            "what does not exist stays missing"
        );
    }
}
