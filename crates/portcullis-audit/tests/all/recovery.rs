//! What an interrupted write leaves, and how the next writer goes on.

use std::fs::{self, OpenOptions};
use std::io::Write;

use portcullis_audit::{Event, Finding, Opened, Options, Trail, entries};

use crate::{Place, append, lines};

#[test]
fn a_torn_tail_is_named_by_a_new_file_and_counts_as_no_loss() {
    let (place, head) = Place::filled(3);
    let offset = fs::metadata(place.file(1)).unwrap().len();
    let mut file = OpenOptions::new().append(true).open(place.file(1)).unwrap();
    file.write_all(br#"{"schema_version":1,"seq":5,"ti"#)
        .unwrap();

    let interrupted = Finding::Interrupted {
        file: "audit-000001.jsonl".into(),
        offset,
        bytes: 31,
    };
    assert_eq!(place.verify().findings, std::slice::from_ref(&interrupted));

    assert_eq!(append(&place.trail(), 9).seq, head.seq + 2);
    let verification = place.verify();
    assert_eq!(verification.findings, [interrupted]);
    assert!(verification.is_intact());

    let entry = entries(&place.audit).unwrap().nth(4).unwrap().unwrap();
    let Some(Event::Opened(Opened::Torn {
        after,
        offset: at,
        bytes,
        ..
    })) = entry.event
    else {
        panic!("{entry:?}")
    };
    assert_eq!(
        (after.as_str(), at, bytes),
        ("audit-000001.jsonl", offset, 31)
    );
}

#[test]
fn a_record_whose_head_was_not_noted_is_kept() {
    let (place, _) = Place::filled(3);
    let before = fs::read(place.audit.join("head.json")).unwrap();
    let head = append(&place.trail(), 4);
    // As if the process had ended between the record and the notes of it.
    fs::write(place.audit.join("head.json"), &before).unwrap();
    for entry in fs::read_dir(&place.data).unwrap() {
        fs::write(entry.unwrap().path(), &before).unwrap();
    }
    assert!(place.verify().is_intact());
    assert_eq!(append(&place.trail(), 5).seq, head.seq + 1);
    let verification = place.verify();
    assert_eq!((verification.findings, verification.files), (vec![], 1));
}

#[test]
fn an_empty_first_file_is_passed_by() {
    let place = Place::new();
    let trail = place.trail();
    fs::write(place.file(1), "").unwrap();
    set_mode(&place.file(1), 0o600);
    append(&trail, 1);
    let verification = place.verify();
    assert_eq!((verification.findings, verification.records), (vec![], 2));
}

fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn rotation_carries_the_chain_over_and_a_removed_file_is_found() {
    let place = Place::new();
    let mut options = Options::default();
    options.max_file_bytes = 1500;
    options.fsync = true;
    let trail = Trail::open(&place.audit, options).unwrap();
    for call in 1..=12 {
        append(&trail, call);
    }
    let verification = place.verify_alone();
    assert!(verification.files >= 3, "{}", verification.files);
    assert_eq!(verification.findings, []);
    assert!(
        lines(&place.file(2))[0]
            .contains(r#"{"kind":"opened","because":"rotated","after":"audit-000001.jsonl"}"#)
    );

    fs::remove_file(place.file(2)).unwrap();
    let findings = place.verify_alone().findings;
    assert_eq!(
        findings[0],
        Finding::MissingFile {
            file: "audit-000002.jsonl".into()
        }
    );
    assert!(
        matches!(findings[1], Finding::Missing { .. }),
        "{findings:?}"
    );
}
