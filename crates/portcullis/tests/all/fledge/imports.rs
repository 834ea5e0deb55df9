//! What was not granted is not linked: nothing of such a plugin runs, not even its start section.

use portcullis::policy::{Grants, MetadataKey};
use portcullis::{Kind, inspect};

use super::stage::{Stage, calls, data, give_store, module, with};
use crate::fixture::exec_grant;

portcullis_testkit::tests![
    nothing_of_a_plugin_runs_that_imports_what_was_not_granted,
    with_the_grants_its_start_section_is_seen_to_run,
    every_missing_import_is_told_at_once_with_the_line_that_grants_it,
    inspect_tells_the_same,
    with_late_what_was_not_granted_is_refused_when_called,
];

/// A function, the line that grants it, and the same for a test.
type Granted = (&'static str, &'static str, fn(&mut Grants));

/// The functions that need a grant, and what grants each.
const GRANTED: [Granted; 4] = [
    ("exec", "portcullis grant guest exec <program>", |grants| {
        grants.exec = Some(exec_grant(&["true"]));
    }),
    ("store_set", "portcullis grant guest kv", give_store),
    ("store_get", "portcullis grant guest kv", give_store),
    (
        "metadata",
        "portcullis grant guest metadata <key>",
        |grants| {
            grants.metadata = vec![MetadataKey::FledgeConfig];
        },
    ),
];

/// A guest whose start section says so, and which imports these functions.
fn says_that_it_starts(functions: &[&str]) -> Vec<u8> {
    let message = r#"{"type":"output","text":"it started"}"#;
    // Called in a place that is never come to.
    let calls: String = functions
        .iter()
        .map(|name| {
            let drop = if *name == "store_set" { "" } else { "(drop)" };
            format!("(call $fledge_{name} (i32.const 0) (i32.const 0)) {drop}")
        })
        .collect();
    let calls = calls.replace(" (drop)", " drop");
    module(&format!(
        r#"{} (func $start (call $fledge_send (i32.const 64) (i32.const {})))
        (start $start) (func $never {calls}) (func (export "_start"))"#,
        data(64, message),
        message.len()
    ))
}

fn nothing_of_a_plugin_runs_that_imports_what_was_not_granted() {
    let names = GRANTED.map(|(name, ..)| name);
    let alone = names.iter().map(std::slice::from_ref);
    for functions in alone.chain([&names[..]]) {
        let stage = Stage::new();
        let bytes = says_that_it_starts(functions);
        let error = stage.load(bytes, with(|_| {})).unwrap_err();
        assert_eq!(error.code(), "P0603", "{functions:?}");
        assert_eq!(stage.trail.events().len(), 0);
        // One grant too few is enough.
        if functions.len() > 1 {
            let most = with(|grants| GRANTED[1..].iter().for_each(|(.., give)| give(grants)));
            let bytes = says_that_it_starts(functions);
            assert!(stage.load(bytes, most).is_err());
        }
    }
}

fn with_the_grants_its_start_section_is_seen_to_run() {
    let names = GRANTED.map(|(name, ..)| name);
    for (name, _, give) in GRANTED {
        let ran = Stage::new().run(says_that_it_starts(&[name]), with(give), &[]);
        assert_eq!(
            (ran.code(), ran.stdout.as_str()),
            (0, "it started"),
            "{name}"
        );
    }
    let all = with(|grants| GRANTED.iter().for_each(|(.., give)| give(grants)));
    let ran = Stage::new().run(says_that_it_starts(&names), all, &[]);
    assert_eq!((ran.code(), ran.stdout.as_str()), (0, "it started"));
}

fn every_missing_import_is_told_at_once_with_the_line_that_grants_it() {
    let bytes = says_that_it_starts(&GRANTED.map(|(name, ..)| name));
    let error = Stage::new().load(bytes, with(|_| {})).unwrap_err();
    let notes = error.diagnostic().notes;
    assert_eq!(notes.len(), 4);
    for (name, line, _) in GRANTED {
        let told =
            |note: &&String| note.contains(&format!("`fledge.{name}`")) && note.contains(line);
        assert_eq!(notes.iter().filter(told).count(), 1, "{name}: {notes:?}");
    }
}

fn inspect_tells_the_same() {
    let bytes = says_that_it_starts(&["exec"]);
    let found = inspect(&bytes, &with(|_| {}));
    assert_eq!(found.kind, Kind::FledgeModule);
    let missing: Vec<_> = found
        .imports
        .iter()
        .filter(|import| import.missing.is_some())
        .collect();
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].name, "fledge.exec");
    assert!(found.lacks.is_empty());
    let granted = inspect(&bytes, &with(GRANTED[0].2));
    assert!(
        granted
            .imports
            .iter()
            .all(|import| import.missing.is_none())
    );
}

fn with_late_what_was_not_granted_is_refused_when_called() {
    let request = r#"{"command":"true"}"#;
    let then = "(drop (call $fledge_recv (i32.const 1024) (i32.const 1000)))";
    let bytes = calls("exec", request, then);
    let ran = Stage::new().run(bytes, with(|grants| grants.late = true), &[]);
    assert_eq!(ran.code(), 0);
    assert_eq!(ran.activity.denials.len(), 1);
    assert_eq!(ran.activity.denials[0].code.as_str(), "P0204");
}
