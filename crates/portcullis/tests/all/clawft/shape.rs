//! Which components are plugins of clawft, and what they may import.

use portcullis::policy::{FsAccess, Grants};
use portcullis::{Kind, LoadError, Source, inspect};
use portcullis_testkit::{assemble, guest_bytes, wat};
use serde_json::json;

use super::{manifest, nothing};
use crate::fixture::{Fixture, block_on, directory};

portcullis_testkit::tests![
    a_component_is_known_by_its_plain_names,
    what_it_lacks_is_said,
    the_draft_with_named_interfaces_is_refused_and_said_so,
    what_the_world_does_not_have_is_refused_whatever_is_granted,
    a_function_of_another_type_is_refused_when_it_is_loaded,
    wasi_is_there_and_shows_nothing_of_what_was_granted,
    nothing_of_the_guest_runs_when_it_is_inspected,
    t36_a_plugin_of_more_than_300_kib_is_rejected_unless_the_operator_allows_it,
];

fn component(text: &str) -> Vec<u8> {
    assemble(text.as_bytes()).unwrap()
}

fn a_component_is_known_by_its_plain_names() {
    for bytes in [
        guest_bytes("clawft"),
        wat("clawft"),
        guest_bytes("clawft-wasi"),
    ] {
        let found = inspect(&bytes, &nothing());
        assert_eq!(found.kind, Kind::ClawftComponent);
        assert_eq!(found.exports, ["plugin"]);
        assert!(found.lacks.is_empty(), "{:?}", found.lacks);
        assert!(found.imports.iter().all(|import| import.missing.is_none()));
    }
    let of = |text: &str| Kind::of(&component(text));
    assert_eq!(of("(component)"), Kind::Component);
    let named = r#"(component (component $c) (instance $i (instantiate $c)) (export "acme:x/plugin" (instance $i)))"#;
    assert_eq!(of(named), Kind::Component);
    let function = r#"(component (core module $m (func (export "f"))) (core instance $m (instantiate $m))
        (func $f (canon lift (core func $m "f"))) (export "plugin" (func $f)))"#;
    assert_eq!(of(function), Kind::Component, "a function is no instance");
}

fn what_it_lacks_is_said() {
    let empty = r#"(component (component $c) (instance $i (instantiate $c)) (export "plugin" (instance $i)))"#;
    let found = inspect(&component(empty), &nothing());
    assert_eq!(found.kind, Kind::ClawftComponent);
    assert_eq!(found.lacks, ["init", "execute-tool", "describe"]);
    let bytes = component(empty);
    let grants = nothing();
    let error = block_on(Fixture::new().host.load(Source { bytes, grants })).unwrap_err();
    let notes = error.diagnostic().notes.join("\n");
    assert!(
        notes.contains("its `plugin` has no function `init`"),
        "{notes}"
    );
}

fn the_draft_with_named_interfaces_is_refused_and_said_so() {
    let draft = r#"(component
        (import "clawft:plugin/host@0.1.0" (instance (export "get-config" (func (param "key" string) (result (option string))))))
        (component $c) (instance $i (instantiate $c)) (export "clawft:plugin/plugin@0.1.0" (instance $i)))"#;
    let bytes = component(draft);
    assert_eq!(inspect(&bytes, &nothing()).kind, Kind::ClawftDraft);
    let grants = nothing();
    let error = block_on(Fixture::new().host.load(Source { bytes, grants })).unwrap_err();
    let LoadError::NotAPlugin {
        kind: Kind::ClawftDraft,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    let told = error.diagnostic();
    assert!(
        told.message.contains("a draft of clawft's interface"),
        "{}",
        told.message
    );
    assert!(
        told.helps
            .iter()
            .any(|help| help.text.contains("never released"))
    );
}

fn what_the_world_does_not_have_is_refused_whatever_is_granted() {
    let text = include_str!("../../../../../guests/wat/clawft.wat");
    for import in [
        "portcullis:cli/env@0.1.0",
        "wasi:http/outgoing-handler@0.2.0",
        "acme:thing/api",
    ] {
        let with = format!("(component (import \"{import}\" (instance))");
        let bytes = component(&text.replacen("(component", &with, 1));
        assert_eq!(Kind::of(&bytes), Kind::ClawftComponent);
        let grants = Grants {
            env: vec!["*".to_owned()],
            late: true,
            ..nothing()
        };
        let error = block_on(Fixture::new().host.load(Source { bytes, grants })).unwrap_err();
        let LoadError::Imports { missing, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].name, import);
    }
}

fn a_function_of_another_type_is_refused_when_it_is_loaded() {
    let text = include_str!("../../../../../guests/wat/clawft.wat");
    let changed = |from: &str, to: &str| component(&text.replacen(from, to, 1));
    for (bytes, why) in [
        (
            changed(
                "(func $describe (result string)",
                "(func $describe (result (list u8))",
            ),
            "its `describe` is not `func() -> string`",
        ),
        (
            changed(
                "(export \"read-file\" (func (param \"path\" string)",
                "(export \"read-file\" (func (param \"path\" (list u8))",
            ),
            "read-file",
        ),
        (
            changed(
                "(import \"host\" (instance $host\n        (export \"read-file\"",
                "(import \"host\" (instance $host\n        (export \"get-config\" (func)) (export \"read-file\"",
            ),
            "get-config",
        ),
    ] {
        let grants = nothing();
        let error = block_on(Fixture::new().host.load(Source { bytes, grants })).unwrap_err();
        let LoadError::Interface { why: said, .. } = &error else {
            panic!("{error}");
        };
        assert!(said.contains(why), "{said}");
        let helps = error.diagnostic().helps;
        assert!(helps[0].text.contains("clawft:plugin/plugin@0.1.0"));
    }
}

fn wasi_is_there_and_shows_nothing_of_what_was_granted() {
    let fixture = Fixture::with_env(&[("LANG", "C"), ("HOME", "/nonexistent")]);
    let asked = json!({ "env_vars": ["LANG"], "filesystem": [fixture.path()] });
    let grants = manifest(asked, json!({})).restrict(Grants {
        env: vec!["LANG".to_owned()],
        fs: vec![directory(&fixture.path(), "/data", FsAccess::ReadWrite)],
        ..nothing()
    });
    assert_eq!(
        (grants.fs.len(), grants.env.len()),
        (1, 1),
        "both are granted"
    );
    let bytes = guest_bytes("clawft-wasi");
    block_on(async {
        let plugin = fixture.host.load(Source { bytes, grants }).await.unwrap();
        let session = plugin.session("test");
        let said = super::call(&session, "look", json!({})).await.unwrap();
        let seen: serde_json::Value = serde_json::from_str(&said).unwrap();
        let nothing = json!({
            "variables": 0, "arguments": 0, "directories": 0, "cwd": null, "input": false, "socket": false, "name": false,
        });
        assert_eq!(seen, nothing);
    });
}

fn nothing_of_the_guest_runs_when_it_is_inspected() {
    let text = include_str!("../../../../../guests/wat/clawft.wat");
    let forever = "(func $begin (loop (br 0))) (start $begin) (func (export \"init\")";
    let bytes = component(&text.replacen("(func (export \"init\")", forever, 1));
    assert_eq!(inspect(&bytes, &nothing()).kind, Kind::ClawftComponent);
    // The same guest is noticed where it is started.
    let grants = manifest(json!({}), json!({ "max_fuel": 1_000_000 })).restrict(nothing());
    block_on(async {
        let fixture = Fixture::new();
        let plugin = fixture.host.load(Source { bytes, grants }).await.unwrap();
        let error = plugin.session("test").describe().await.unwrap_err();
        assert!(error.exhausted().is_some(), "{error}");
    });
}

/// A plugin with a custom section of so many bytes that gzip can pack, or cannot.
fn padded(bytes: usize, packs: bool) -> Vec<u8> {
    let mut state = 1_u64;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        if packs { b'x' } else { state.to_be_bytes()[0] }
    };
    let mut plugin = wat("clawft");
    // The name of the section has one letter; its length takes three bytes here.
    let length = bytes + 2;
    let low = |shift: usize| u8::try_from(length >> shift & 0x7f).unwrap();
    plugin.extend([0, low(0) | 0x80, low(7) | 0x80, low(14), 1, b'x']);
    plugin.extend((0..bytes).map(|_| noise()));
    plugin
}

fn t36_a_plugin_of_more_than_300_kib_is_rejected_unless_the_operator_allows_it() {
    let fixture = Fixture::new();
    let base = padded(100_000, true).len() - 100_000;
    let load = |bytes: Vec<u8>, limits| {
        let grants = Grants {
            limits,
            ..nothing()
        };
        block_on(fixture.host.load(Source { bytes, grants })).map(drop)
    };
    let limits = portcullis::policy::Limits::default();
    assert!(
        load(padded(307_200 - base, true), limits.clone()).is_ok(),
        "300 KiB are allowed"
    );
    let error = load(padded(307_201 - base, true), limits.clone()).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::TooLargeForWorld {
                packed: false,
                bytes: 307_201,
                limit: 307_200,
                ..
            }
        ),
        "{error}"
    );
    let error = load(padded(200_000, false), limits.clone()).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::TooLargeForWorld {
                packed: true,
                limit: 122_880,
                ..
            }
        ),
        "{error}"
    );
    let more = portcullis::policy::Limits {
        clawft_module: 1 << 20,
        clawft_gzip: 1 << 20,
        ..limits
    };
    assert!(
        load(padded(400_000, false), more).is_ok(),
        "the operator's word"
    );
}
