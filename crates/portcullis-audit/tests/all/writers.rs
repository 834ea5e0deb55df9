//! Several writers of one trail.

use std::collections::HashSet;
use std::process::Stdio;
use std::thread;

use portcullis_audit::entries;

use crate::{Place, append};

const EACH: u64 = 200;

#[test]
fn two_handles_that_take_turns_make_one_chain() {
    let place = Place::new();
    let (first, second) = (place.trail(), place.trail());
    for call in 0..10 {
        append(if call % 3 == 0 { &first } else { &second }, call);
    }
    let verification = place.verify();
    assert_eq!(
        (
            verification.findings,
            verification.records,
            verification.files
        ),
        (vec![], 11, 1)
    );
}

#[test]
fn a_handle_follows_another_into_a_new_file() {
    let place = Place::new();
    let first = place.trail();
    append(&first, 0);
    let mut options = place.options();
    options.max_file_bytes = 1;
    append(
        &portcullis_audit::Trail::open(&place.audit, options).unwrap(),
        1,
    );
    append(&first, 2);
    let verification = place.verify();
    assert_eq!((verification.findings, verification.files), (vec![], 2));
    assert_eq!(crate::lines(&place.file(2)).len(), 3);
}

#[test]
fn threads_with_handles_of_their_own_make_one_chain() {
    let place = Place::new();
    thread::scope(|scope| {
        for writer in 0..4 {
            let place = &place;
            scope.spawn(move || {
                let trail = place.trail();
                for call in 0..EACH {
                    append(&trail, writer * EACH + call);
                }
            });
        }
    });
    complete(&place, 4 * EACH);
}

/// The test runs itself twice more as the writers; they find their place in the environment.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the writers are processes: this test once more"
)]
fn processes_make_one_chain() {
    let name = "PORTCULLIS_TEST_WRITER";
    if let Ok(writer) = std::env::var(name) {
        let mut parts = writer.split('|');
        let (audit, data) = (parts.next().unwrap(), parts.next().unwrap());
        let mut options = portcullis_audit::Options::default();
        options.keep_head_in = Some(data.into());
        let trail = portcullis_audit::Trail::open(audit.as_ref(), options).unwrap();
        let first: u64 = parts.next().unwrap().parse().unwrap();
        for call in first..first + EACH {
            append(&trail, call);
        }
        return;
    }
    let place = Place::new();
    let writers: Vec<_> = [0, EACH]
        .map(|first| {
            std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "writers::processes_make_one_chain"])
                .env(
                    name,
                    format!("{}|{}|{first}", place.audit.display(), place.data.display()),
                )
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .into_iter()
        .collect();
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
    complete(&place, 2 * EACH);
}

/// Every call is there once, in one intact chain.
fn complete(place: &Place, calls: u64) {
    let verification = place.verify();
    assert_eq!(
        (verification.findings, verification.records),
        (vec![], calls + 1)
    );
    let seen: HashSet<u64> = entries(&place.audit)
        .unwrap()
        .filter_map(|entry| entry.unwrap().json["event"]["call"].as_u64())
        .collect();
    assert_eq!(seen.len() as u64, calls);
}
