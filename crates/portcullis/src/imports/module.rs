//! What a core module imports, against what exists and what was granted.

use portcullis_policy::{Capability, Grants};

use super::ModuleSource as Source;
use crate::abi::module::{FUNCTIONS, MODULE};
use crate::error::MissingImport;
use crate::shape::ModuleImport;

/// The functions of WASI preview 1.
pub(super) const PREVIEW1_FUNCTIONS: [&str; 46] = [
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

fn source(import: &ModuleImport) -> Source {
    let missing = |why: &str| Source::Missing(why.to_owned());
    super::source_in_module(import, |module, name| match module {
        MODULE => match FUNCTIONS.iter().find(|(known, _)| *known == name) {
            Some((_, needs)) => needs.map_or(Source::Linked, Source::Needs),
            None => Source::Missing(format!("there is no such function{}", hint(name))),
        },
        "wasi_unstable" => missing("this is older than WASI preview 1; build for `wasm32-wasip1`"),
        "env" => missing("nobody supplies it: the linker found no definition of that name"),
        module if module.starts_with("portcullis") => Source::Missing(format!(
            "this host has `{MODULE}` and no other module of that kind"
        )),
        module if module.contains(':') => {
            missing("this is an interface for components; `wasm-tools component new` makes one")
        }
        _ => missing("no such module on this host"),
    })
}

/// The name that was meant, if one is near.
fn hint(name: &str) -> String {
    const NEAR: f64 = 0.8;
    let known = FUNCTIONS.iter().map(|(known, _)| *known);
    let nearest = known
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((near, known)) if near > NEAR => format!("; there is `{known}`"),
        _ => {
            let all = FUNCTIONS.map(|(known, _)| format!("`{known}`"));
            format!("; there are {}", all.join(", "))
        }
    }
}

/// Imports that keep a module from being loaded: all of them, each once.
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

    fn import(module: &str, name: &str) -> ModuleImport {
        ModuleImport {
            module: module.to_owned(),
            name: name.to_owned(),
            is_function: true,
        }
    }

    #[test]
    fn all_missing_imports_are_named_at_once_with_what_supplies_each() {
        let none = Grants::none(PluginId::new("p").unwrap());
        let imports = [
            (MODULE, "log", ""),
            (MODULE, "exec", "portcullis grant p exec <program>"),
            (MODULE, "exec", ""),
            (MODULE, "prompt_text", ""),
            (MODULE, "fs_read", "portcullis grant p read <directory>"),
            (MODULE, "kv_get", "portcullis grant p kv"),
            (MODULE, "http_send", "portcullis grant p http <host>"),
            (MODULE, "env_get", "portcullis grant p env <name>"),
            (MODULE, "execute", "there is `exec`"),
            (MODULE, "zzz", "there are `log`"),
            ("portcullis:core/v2", "exec", "`portcullis:core/v1`"),
            ("portcullis", "exec", "`portcullis:core/v1`"),
            (PREVIEW1, "fd_write", ""),
            (PREVIEW1, "sock_connect", "no such function"),
            ("wasi_unstable", "fd_write", "wasm32-wasip1"),
            ("env", "memcpy", "linker"),
            (
                "wasi:io/streams@0.2.0",
                "[method]x",
                "wasm-tools component new",
            ),
            ("gl", "draw", "no such module"),
        ];
        let given: Vec<_> = imports
            .iter()
            .map(|(module, name, _)| import(module, name))
            .collect();
        let wanted: Vec<_> = imports
            .iter()
            .filter(|(.., why)| !why.is_empty())
            .map(|(module, name, why)| (format!("{module}.{name}"), *why))
            .collect();
        let found = missing(&given, &none);
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, (name, why)) in found.iter().zip(wanted) {
            assert_eq!(found.name, name);
            assert!(found.why.contains(why), "{found:?}");
        }
        let granted = Grants {
            exec: Some(ExecGrant::default()),
            ..none.clone()
        };
        assert_eq!(missing(&given[..4], &granted), []);
        assert_eq!(missing(&given, &granted).len(), 13, "exec grants no more");
        let late = Grants { late: true, ..none };
        assert_eq!(
            missing(&given, &late).len(),
            9,
            "what does not exist stays missing"
        );
    }

    #[test]
    fn a_memory_cannot_be_imported() {
        let grants = Grants::none(PluginId::new("p").unwrap());
        let memory = ModuleImport {
            is_function: false,
            ..import(MODULE, "log")
        };
        assert!(
            missing(&[memory], &grants)[0]
                .why
                .contains("only functions")
        );
    }
}
