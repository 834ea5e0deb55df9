//! What is loaded, what is refused, and what is said about it.

use portcullis::policy::{Digest, ExecGrant, FsAccess, Grants};
use portcullis::{Host, LoadError, OwnState, Source};
use portcullis_testkit::{assemble, guest_bytes, tests, wat};
use sha2::{Digest as _, Sha256};

use crate::fixture::{Fixture, block_on, directory, none, programs};

tests![
    every_broken_file_gets_its_own_message,
    a_missing_grant_and_every_other_missing_import_are_named_at_once,
    late_turns_a_refusal_at_load_into_a_denial_at_the_call,
    a_plugin_that_needs_nothing_is_loaded_with_nothing,
    grants_that_reach_own_files_are_refused,
    what_is_revoked_is_not_loaded,
    what_is_to_be_staged_is_not_written_directly,
    a_grant_that_is_gone_is_refused,
    homes_and_roots_are_no_projects,
];

fn what_is_revoked_is_not_loaded() {
    let guest = guest_bytes("noop");
    let digest = |bytes: &[u8]| Digest::from(<[u8; 32]>::from(Sha256::digest(bytes)));
    let load = |revoked: Vec<Digest>| {
        let project = tempfile::tempdir().unwrap();
        let host = Host::builder().project(project.path()).revoked(revoked);
        let host = host.build().unwrap();
        let source = Source {
            bytes: guest.clone(),
            grants: none(),
        };
        block_on(async { host.load(source).await.map(drop) })
    };
    load(Vec::new()).unwrap();
    load(vec![digest(b"another")]).unwrap();
    let error = load(vec![digest(b"another"), digest(&guest)]).unwrap_err();
    assert!(matches!(error, LoadError::Revoked { .. }), "{error}");
    assert_eq!(error.diagnostic().code, "P0614");
}

fn what_is_to_be_staged_is_not_written_directly() {
    let fixture = Fixture::new();
    let mut grants = none();
    grants.fs = vec![directory(fixture.project.path(), ".", FsAccess::ReadWrite)];
    let load = |grants: &Grants| {
        let source = Source {
            bytes: guest_bytes("noop"),
            grants: grants.clone(),
        };
        block_on(async { fixture.host.load(source).await.map(drop) })
    };
    load(&grants).unwrap();
    assert!(grants.stage_all().is_empty());
    let error = load(&grants).unwrap_err();
    assert!(matches!(error, LoadError::NotStaged { .. }), "{error}");
    assert_eq!(error.diagnostic().code, "P0615");
    let native = |grants: &Grants| portcullis::Native {
        grants: grants.clone(),
        ask: portcullis::ExecAsk::default(),
        stdio: portcullis::Stdio::default(),
    };
    let ran = block_on(async { fixture.host.exec("run", native(&grants)).await.map(drop) });
    assert!(matches!(ran, Err(LoadError::NotStaged { .. })), "{ran:?}");
}

fn refused(bytes: Vec<u8>, grants: Grants) -> LoadError {
    block_on(async {
        Fixture::new()
            .host
            .load(Source { bytes, grants })
            .await
            .unwrap_err()
    })
}

fn every_broken_file_gets_its_own_message() {
    let mut cut = guest_bytes("noop");
    cut.truncate(cut.len() / 2);
    let mut flipped = guest_bytes("noop");
    let middle = flipped.len() / 2;
    flipped[middle..middle + 64].fill(0xff);
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (Vec::new(), "P0601", "the file is empty"),
        (b"hello".to_vec(), "P0601", "not a WebAssembly file"),
        (b"(component)".to_vec(), "P0601", "text format"),
        (b"\x7fELF\x02\x01\x01".to_vec(), "P0601", "native program"),
        (
            b"\x7fELF\x02\x01.wasmtime.engine".to_vec(),
            "P0601",
            "native code compiled ahead of time",
        ),
        (b"#!/bin/sh\necho".to_vec(), "P0601", "a script"),
        (b"PK\x03\x04".to_vec(), "P0601", "an archive"),
        (
            assemble(b"(module (func (export \"_initialize\")))").unwrap(),
            "P0601",
            "a reactor of WASI preview 1",
        ),
        (
            wat("empty-module"),
            "P0601",
            "a core module, and not in the form of plugins",
        ),
        (cut, "P0602", "not valid"),
        (flipped, "P0602", "not valid"),
        (wat("no-run"), "P0604", "exports no `run"),
        (wat("wrong-run"), "P0604", "`run` is not"),
        (wat("wrong-process"), "P0604", "exec"),
        (wat("unknown-import"), "P0603", "no such interface"),
        (wat("answers-http"), "P0604", "answers no HTTP requests"),
        (wat("http-import"), "P0603", "needs the `http` grant"),
    ];
    for (bytes, code, text) in cases {
        let diagnostic = refused(bytes, programs(&["true"])).diagnostic();
        let all = format!("{} {}", diagnostic.message, diagnostic.notes.join(" "));
        assert_eq!(
            (diagnostic.code, all.contains(text)),
            (code, true),
            "{text}: {all}"
        );
        assert!(all.starts_with("cannot load plugin `guest`"), "{all}");
        assert!(!diagnostic.helps.is_empty(), "a way out of: {all}");
    }
}

fn a_missing_grant_and_every_other_missing_import_are_named_at_once() {
    let LoadError::Imports { missing, .. } = refused(guest_bytes("exec-args"), none()) else {
        panic!("loaded without a grant");
    };
    assert!(
        missing
            .iter()
            .any(|import| import.name == "portcullis:cli/process@0.1.0")
    );
    assert!(missing[0].why.contains("portcullis grant guest exec"));
}

fn late_turns_a_refusal_at_load_into_a_denial_at_the_call() {
    block_on(async {
        let fixture = Fixture::new();
        let mut instance = fixture
            .instance(
                "exec-args",
                Grants {
                    late: true,
                    ..none()
                },
            )
            .await;
        let args = crate::fixture::args(&["exec", "--", "true"]);
        let answer = instance.run(&args).await.unwrap();
        assert_eq!(
            answer.unwrap_err(),
            "denied: the operator's policy does not allow this command"
        );
        assert_eq!(instance.activity().denials[0].code.as_str(), "P0204");
    });
}

fn a_plugin_that_needs_nothing_is_loaded_with_nothing() {
    block_on(async {
        let fixture = Fixture::new();
        let bare = Grants::none(portcullis::policy::PluginId::new("bare").unwrap());
        let mut instance = fixture.instance("noop", bare).await;
        assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
    });
}

fn grants_that_reach_own_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let project = tempfile::tempdir().unwrap();
    let own = OwnState {
        secret: vec![data.clone()],
        protected: vec![dir.path().join("cache")],
    };
    let host = Host::builder()
        .project(project.path())
        .own_state(own)
        .build()
        .unwrap();
    let load = |grants: Grants| {
        block_on(async {
            host.load(Source {
                bytes: guest_bytes("noop"),
                grants,
            })
            .await
            .map(drop)
        })
    };
    for access in [FsAccess::Read, FsAccess::ReadWrite] {
        let grants = Grants {
            fs: vec![directory(dir.path(), "/d", access)],
            ..none()
        };
        assert!(
            matches!(load(grants), Err(LoadError::OwnState { .. })),
            "{access:?} above the keys"
        );
    }
    let toolchain = |system: &std::path::Path| Grants {
        exec: Some(ExecGrant {
            system: vec![system.canonicalize().unwrap()],
            ..ExecGrant::default()
        }),
        ..none()
    };
    assert!(
        matches!(load(toolchain(dir.path())), Err(LoadError::OwnState { .. })),
        "a toolchain is read by every command"
    );
    load(toolchain(project.path())).unwrap();
    let beside = Grants {
        fs: vec![directory(project.path(), "/p", FsAccess::ReadWrite)],
        ..none()
    };
    load(beside).unwrap();
}

fn a_grant_that_is_gone_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let grants = Grants {
        fs: vec![directory(dir.path(), "/d", FsAccess::Read)],
        ..none()
    };
    drop(dir);
    assert!(matches!(
        refused(guest_bytes("noop"), grants),
        LoadError::Preopen { .. }
    ));
}

fn homes_and_roots_are_no_projects() {
    let home = tempfile::tempdir().unwrap();
    let below = home.path().join("work");
    std::fs::create_dir(&below).unwrap();
    let env = vec![("HOME".to_owned(), home.path().display().to_string())];
    let build = |project: &std::path::Path| {
        let env = portcullis::policy::HostEnvironment::new(env.clone());
        Host::builder()
            .project(project)
            .host_env(env)
            .build()
            .map(drop)
    };
    for bad in [
        std::path::Path::new("/"),
        home.path(),
        home.path().parent().unwrap(),
    ] {
        assert!(build(bad).is_err(), "{}", bad.display());
    }
    build(&below).unwrap();
}
