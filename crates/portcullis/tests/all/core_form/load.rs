//! Which core modules are plugins, and what is said of the others.

use portcullis::policy::{Grants, PluginId};
use portcullis::{CodeCache, Host, Kind, LoadError, Source};
use portcullis_testkit::{assemble, tests, wat};

use super::guest::{EXEC, Guest, LOG, Stage};
use crate::fixture::{block_on, none, programs};

tests![
    a_module_is_recognized_by_its_imports_or_its_exports,
    every_misfit_is_told_at_once,
    a_module_of_another_kind_is_told_what_it_lacks,
    every_missing_import_is_told_with_the_line_that_grants_it,
    nothing_of_a_refused_guest_has_run,
    an_import_of_another_type_is_refused,
    one_memory_of_32_bits_that_nobody_shares,
    compiled_code_is_cached_apart_from_components,
    the_file_tells_the_same_as_the_loader,
];

fn refused(text: &str, grants: Grants) -> LoadError {
    let bytes = assemble(text.as_bytes()).unwrap();
    block_on(async { Stage::new().load(bytes, grants).await.unwrap_err() })
}

fn a_module_is_recognized_by_its_imports_or_its_exports() {
    let of = |text: &str| Kind::of(&assemble(text.as_bytes()).unwrap());
    let exports =
        r#"(memory (export "memory") 1) (func (export "allocate")) (func (export "run"))"#;
    assert_eq!(of(&format!("(module {exports})")), Kind::PortcullisModule);
    assert_eq!(of(&format!("(module {LOG})")), Kind::PortcullisModule);
    let newer = LOG.replace("/v1", "/v9");
    assert_eq!(of(&format!("(module {newer})")), Kind::PortcullisModule);
    let two = exports.replace("\"run\"", "\"walk\"");
    assert_eq!(of(&format!("(module {two})")), Kind::CoreModule);
    let other = r#"(import "reglet_host" "log_message" (func (param i64)))"#;
    assert_eq!(
        of(&format!("(module {other} {exports})")),
        Kind::RegletModule
    );
    assert_eq!(
        of(r#"(module (func (export "_start")))"#),
        Kind::WasiCommand
    );
    assert_eq!(of("(component)"), Kind::Component);
}

fn every_misfit_is_told_at_once() {
    let error = refused(&format!("(module {LOG})"), none());
    let LoadError::Interface { why, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(error.code(), "P0604");
    assert_eq!(
        why,
        "it exports no memory `memory`; it exports no function `allocate: (i32) -> i32`; it exports no function `run: \
         (i64) -> i64`"
    );
    let wrong = r#"(module (func (export "memory")) (func (export "allocate") (param i64) (result i32) i32.const 0)
        (func (export "run") (param i64)) (func (export "_initialize") (result i32) i32.const 0))"#;
    let LoadError::Interface { why, .. } = refused(wrong, none()) else {
        panic!()
    };
    assert_eq!(
        why,
        "its export `memory` is no memory; its export `allocate` is not `(i32) -> i32`; its export `run` is not `(i64) \
         -> i64`; its export `_initialize` is not `()`"
    );
}

fn a_module_of_another_kind_is_told_what_it_lacks() {
    let text = r#"(module (memory (export "memory") 1) (func (export "walk")))"#;
    let error = refused(text, none());
    assert_eq!(error.code(), "P0601");
    let notes = error.diagnostic().notes.join("\n");
    assert!(
        notes.contains("lacks the exports `allocate`, `run`"),
        "{notes}"
    );
    let extism = r#"(module (import "extism:host/env" "log_info" (func (param i64))))"#;
    let error = refused(extism, none());
    assert!(
        error.to_string().contains("a core module for Extism"),
        "{error}"
    );
}

fn every_missing_import_is_told_with_the_line_that_grants_it() {
    let guest = Guest {
        rest: format!(
            r#"{LOG} {EXEC} (import "env" "memcpy" (func)) (import "portcullis:core/v1" "exce" (func))
            (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sock_connect" (func))"#
        ),
        ..Guest::default()
    };
    let error = block_on(async {
        Stage::new()
            .load(guest.assemble(), none())
            .await
            .unwrap_err()
    });
    let LoadError::Imports { missing, .. } = &error else {
        panic!("{error}")
    };
    let names: Vec<_> = missing.iter().map(|import| import.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "portcullis:core/v1.exec",
            "env.memcpy",
            "portcullis:core/v1.exce",
            "wasi_snapshot_preview1.sock_connect",
        ]
    );
    assert_eq!(
        missing[0].why,
        "needs the `exec` grant; to allow a program: portcullis grant guest exec <program>"
    );
    assert_eq!(missing[2].why, "there is no such function; there is `exec`");
    let granted = block_on(async {
        let granted = Stage::new().load(guest.assemble(), programs(&[])).await;
        granted.unwrap_err()
    });
    let LoadError::Imports { missing, .. } = granted else {
        panic!()
    };
    assert_eq!(missing.len(), 3, "the grant supplies its own");
}

fn nothing_of_a_refused_guest_has_run() {
    // Its start function would log, and then trap.
    let loud = |imports: &str| Guest {
        rest: format!(
            "{LOG} {imports} (func $start (call $log (i32.const 2) (i64.const 0x10_0000_0009)) unreachable) (start $start)"
        ),
        ..Guest::default()
    };
    let stage = Stage::new();
    block_on(async {
        stage.load(loud(EXEC).assemble(), none()).await.unwrap_err();
        assert_eq!(stage.said(), "");
        // The same without the import shows that it would have been heard.
        let error = stage.start(&loud(""), none()).await.unwrap_err();
        assert!(
            error.to_string().contains("cannot be started: wasm trap"),
            "{error}"
        );
        assert_eq!(stage.said(), "info: {\"ok\":\"\"}\n");
    });
}

fn an_import_of_another_type_is_refused() {
    let guest = Guest {
        rest: r#"(import "portcullis:core/v1" "exec" (func (param i32 i32) (result i32)))"#
            .to_owned(),
        ..Guest::default()
    };
    let error = block_on(async {
        let loaded = Stage::new().load(guest.assemble(), programs(&[])).await;
        loaded.unwrap_err()
    });
    assert_eq!(error.code(), "P0604");
    let diagnostic = error.diagnostic();
    assert!(
        diagnostic.notes[0].contains("portcullis:core/v1::exec"),
        "{diagnostic:?}"
    );
}

fn one_memory_of_32_bits_that_nobody_shares() {
    for (rest, memory, why) in [
        (
            "(memory 1)",
            r#"(memory (export "memory") 1)"#,
            "more than one memory",
        ),
        ("", r#"(memory (export "memory") i64 1)"#, "memory64"),
        ("", r#"(memory (export "memory") 1 1 shared)"#, "threads"),
    ] {
        let guest = Guest {
            rest: rest.to_owned(),
            memory,
            ..Guest::default()
        };
        let text = guest.assemble();
        let error = block_on(async { Stage::new().load(text, none()).await.unwrap_err() });
        assert_eq!(error.code(), "P0602", "{memory}");
        assert!(
            error.to_string().ends_with("the module is not valid"),
            "{error}"
        );
        let notes = error.diagnostic().notes.join("\n");
        assert!(notes.contains(why), "{memory}: {notes}");
    }
}

fn compiled_code_is_cached_apart_from_components() {
    let dir = tempfile::tempdir().unwrap();
    let project = dir.path().join("project");
    std::fs::create_dir(&project).unwrap();
    let cache = || {
        let options = portcullis_codecache::Options::default();
        CodeCache::open(&dir.path().join("cache"), &dir.path().join("data"), options).unwrap()
    };
    let host = Host::builder()
        .project(&project)
        .code_cache(cache())
        .build()
        .unwrap();
    let bytes = Guest::default().assemble();
    for _ in 0..2 {
        let source = Source {
            bytes: bytes.clone(),
            grants: Grants::none(PluginId::new("p").unwrap()),
        };
        let answer = block_on(async {
            let plugin = host.load(source).await.unwrap();
            let mut instance = plugin.instantiate("test").await.unwrap();
            instance.run(&[]).await.unwrap()
        });
        assert_eq!(answer, Ok(String::new()));
        assert_eq!(cache().stats().unwrap().entries, 1);
    }
}

fn the_file_tells_the_same_as_the_loader() {
    let found = portcullis::inspect(&wat("core-exec"), &none());
    assert_eq!(found.kind, Kind::PortcullisModule);
    let imports: Vec<_> = found
        .imports
        .iter()
        .map(|import| {
            (
                import.name.as_str(),
                import.needs.is_some(),
                import.missing.is_some(),
            )
        })
        .collect();
    assert_eq!(
        imports,
        [
            ("portcullis:core/v1.log", false, false),
            ("portcullis:core/v1.exec", true, true)
        ]
    );
    assert_eq!(found.exports, ["memory", "allocate", "run"]);
    assert_eq!(found.malformed, None);
    let granted = portcullis::inspect(&wat("core-exec"), &programs(&[]));
    assert!(
        granted
            .imports
            .iter()
            .all(|import| import.missing.is_none())
    );
    let mut cut = wat("core-exec");
    cut.truncate(cut.len() - 40);
    assert!(portcullis::inspect(&cut, &none()).malformed.is_some());
}
