//! What somebody with write access might do to a trail, and what `verify` says then.

use std::fs;

use portcullis_audit::{Evidence, Finding, Head, HeadSource, verify};
use proptest::prelude::*;

use crate::{Place, append, lines, write_lines};

const FILE: &str = "audit-000001.jsonl";

fn file() -> String {
    FILE.to_owned()
}

#[test]
fn an_untouched_trail_is_intact() {
    let (place, head) = Place::filled(5);
    let verification = place.verify();
    assert!(verification.is_intact(), "{:?}", verification.findings);
    assert_eq!(
        (verification.records, verification.files, verification.head),
        (6, 1, head)
    );
    let given = Evidence {
        kept_in: Some(place.data.clone()),
        head: Some(head),
    };
    assert!(verify(&place.audit, &given).unwrap().is_intact());
}

#[test]
fn a_changed_record_is_named_by_its_line() {
    let (place, _) = Place::filled(5);
    let text = fs::read_to_string(place.file(1)).unwrap();
    fs::write(
        place.file(1),
        text.replacen(r#""call":2,"#, r#""call":7,"#, 1),
    )
    .unwrap();
    assert_eq!(
        place.verify_alone().findings,
        [Finding::Changed {
            file: file(),
            line: 3
        }]
    );
}

#[test]
fn a_removed_record_is_named_by_its_number() {
    let (place, _) = Place::filled(5);
    let mut lines = lines(&place.file(1));
    lines.drain(2..4);
    write_lines(&place.file(1), &lines);
    let findings = place.verify_alone().findings;
    assert_eq!(
        findings[0],
        Finding::Missing {
            file: file(),
            line: 3,
            first: 3,
            last: 4
        }
    );
}

#[test]
fn a_removed_first_record_is_missing() {
    let (place, _) = Place::filled(3);
    write_lines(&place.file(1), &lines(&place.file(1))[1..]);
    let findings = place.verify_alone().findings;
    assert_eq!(
        findings[0],
        Finding::Missing {
            file: file(),
            line: 1,
            first: 1,
            last: 1
        }
    );
}

#[test]
fn a_cut_tail_is_found_by_the_sidecar_the_copy_and_a_given_head() {
    let (place, head) = Place::filled(5);
    write_lines(&place.file(1), &lines(&place.file(1))[..4]);
    let given = Evidence {
        kept_in: Some(place.data.clone()),
        head: Some(head),
    };
    let findings = verify(&place.audit, &given).unwrap().findings;
    let sources: Vec<HeadSource> = findings
        .iter()
        .map(|finding| match finding {
            Finding::CutTail {
                source,
                expected,
                found,
            } => {
                assert_eq!((*expected, found.seq), (head, 4));
                *source
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        sources,
        [HeadSource::Sidecar, HeadSource::KeptCopy, HeadSource::Given]
    );
}

#[test]
fn a_tail_cut_together_with_its_sidecar_is_found_by_the_copy_or_a_given_head() {
    let (place, head) = Place::filled(5);
    let (shorter, _) = Place::filled(3);
    for name in [FILE, "head.json"] {
        fs::copy(shorter.audit.join(name), place.audit.join(name)).unwrap();
    }
    assert!(
        place.verify_alone().is_intact(),
        "the sidecar alone cannot tell"
    );
    let found = place.verify_alone().head;
    let cut = |source| Finding::CutTail {
        source,
        expected: head,
        found,
    };
    assert_eq!(place.verify().findings, [cut(HeadSource::KeptCopy)]);
    let given = Evidence {
        kept_in: None,
        head: Some(head),
    };
    assert_eq!(
        verify(&place.audit, &given).unwrap().findings,
        [cut(HeadSource::Given)]
    );
}

/// Replaces a whole trail by one that is consistent in itself and has more records.
fn rewritten() -> (Place, Head) {
    let (place, head) = Place::filled(5);
    let forged = Place::new();
    let trail = forged.trail();
    for call in 11..=18 {
        append(&trail, call);
    }
    for name in [FILE, "head.json"] {
        fs::copy(forged.audit.join(name), place.audit.join(name)).unwrap();
    }
    (place, head)
}

#[test]
fn a_whole_rewrite_is_found_by_the_copy_or_a_given_head() {
    let (place, head) = rewritten();
    assert!(
        place.verify_alone().is_intact(),
        "the sidecar alone cannot tell"
    );
    let rewritten = |source| Finding::Rewritten {
        source,
        expected: head,
    };
    assert_eq!(place.verify().findings, [rewritten(HeadSource::KeptCopy)]);
    let given = Evidence {
        kept_in: None,
        head: Some(head),
    };
    assert_eq!(
        verify(&place.audit, &given).unwrap().findings,
        [rewritten(HeadSource::Given)]
    );
}

#[test]
fn a_rewrite_stays_visible_after_the_next_append() {
    let (place, head) = rewritten();
    append(&place.trail(), 99);
    let findings = place.verify().findings;
    let lost = Finding::Lost {
        file: "audit-000002.jsonl".into(),
        expected: head,
    };
    assert!(findings.contains(&lost), "{findings:?}");
}

#[test]
fn a_deleted_trail_stays_visible_after_the_next_append() {
    let (place, head) = Place::filled(5);
    fs::remove_dir_all(&place.audit).unwrap();
    let next = append(&place.trail(), 99);
    assert_eq!(next.seq, head.seq + 2, "numbers go on after the lost ones");
    let findings = place.verify().findings;
    let lost = Finding::Lost {
        file: "audit-000002.jsonl".into(),
        expected: head,
    };
    assert!(findings.contains(&lost), "{findings:?}");
    assert!(
        findings.contains(&Finding::MissingFile { file: file() }),
        "{findings:?}"
    );
}

#[test]
fn a_trail_deleted_under_an_open_handle_goes_on_where_others_can_see_it() {
    for with_sidecar in [true, false] {
        let place = Place::new();
        let trail = without_copy(&place);
        let head = append(&trail, 1);
        fs::remove_file(place.file(1)).unwrap();
        if with_sidecar {
            fs::remove_file(place.audit.join("head.json")).unwrap();
        }
        append(&trail, 2);
        let findings = place.verify_alone().findings;
        let lost = Finding::Lost {
            file: "audit-000002.jsonl".into(),
            expected: head,
        };
        assert!(findings.contains(&lost), "{findings:?}");
    }
}

/// Otherwise the right head would be written over it, and nobody would know.
#[test]
fn a_sidecar_changed_under_an_open_handle_stays_a_finding() {
    let place = Place::new();
    let trail = without_copy(&place);
    append(&trail, 1);
    let sidecar = place.audit.join("head.json");
    let mut text = fs::read(&sidecar).unwrap();
    text[30] ^= 1;
    fs::write(&sidecar, &text).unwrap();
    append(&trail, 2);
    let headless = |ordinal| Finding::Headless {
        file: format!("audit-00000{ordinal}.jsonl"),
    };
    assert_eq!(place.verify_alone().findings, [headless(2)]);
    fs::write(&sidecar, &text[..200]).unwrap();
    append(&trail, 3);
    assert_eq!(place.verify_alone().findings, [headless(2), headless(3)]);
}

#[test]
fn a_sidecar_or_copy_removed_under_an_open_handle_is_made_again() {
    let place = Place::new();
    let trail = place.trail();
    append(&trail, 1);
    fs::remove_file(place.audit.join("head.json")).unwrap();
    append(&trail, 2);
    assert_eq!(place.verify().findings, []);
    for entry in fs::read_dir(&place.data).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    append(&trail, 3);
    assert_eq!(place.verify().findings, []);
}

#[test]
fn a_trail_cut_under_an_open_handle_goes_on_where_others_can_see_it() {
    let place = Place::new();
    let trail = without_copy(&place);
    append(&trail, 1);
    let head = append(&trail, 2);
    write_lines(&place.file(1), &lines(&place.file(1))[..2]);
    append(&trail, 3);
    let findings = place.verify_alone().findings;
    let lost = Finding::Lost {
        file: "audit-000002.jsonl".into(),
        expected: head,
    };
    assert!(findings.contains(&lost), "{findings:?}");
}

fn without_copy(place: &Place) -> portcullis_audit::Trail {
    portcullis_audit::Trail::open(&place.audit, portcullis_audit::Options::default()).unwrap()
}

#[test]
fn a_missing_sidecar_is_a_finding_before_and_after_the_next_append() {
    let (place, _) = Place::filled(3);
    fs::remove_file(place.audit.join("head.json")).unwrap();
    let missing = Finding::NoHead {
        source: HeadSource::Sidecar,
    };
    assert_eq!(place.verify_alone().findings, [missing]);
    append(&without_copy(&place), 9);
    let headless = Finding::Headless {
        file: "audit-000002.jsonl".into(),
    };
    assert_eq!(place.verify_alone().findings, [headless]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_single_changed_byte_is_found(index in any::<prop::sample::Index>(), flip in 1_u8..) {
        let (place, _) = Place::filled(4);
        let mut bytes = fs::read(place.file(1)).unwrap();
        let index = index.index(bytes.len());
        bytes[index] ^= flip;
        fs::write(place.file(1), &bytes).unwrap();
        prop_assert!(!place.verify_alone().is_intact(), "byte {} ^ {:#x}", index, flip);
    }
}
