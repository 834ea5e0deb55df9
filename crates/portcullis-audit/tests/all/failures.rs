//! A record that cannot be written is an error, and leaves nothing behind.

use std::fs;

use portcullis_audit::{AppendError, Sink, Verdict};

use crate::{Place, append, decision, time};

/// Fills a file up to the limit of the process. The test runs itself once more under a shell that sets
/// the limit and ignores its signal, as it does not want to limit the other tests.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the writer is a process: this test once more"
)]
fn a_full_disk_is_an_error_and_nothing_is_half_written() {
    let name = "PORTCULLIS_TEST_FULL_DISK";
    if std::env::var(name).is_ok() {
        return fill();
    }
    let exe = std::env::current_exe().unwrap();
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", r#"trap "" XFSZ; ulimit -f 16; exec "$0" "$@""#])
        .arg(exe)
        .args([
            "--exact",
            "failures::a_full_disk_is_an_error_and_nothing_is_half_written",
            "--nocapture",
        ])
        .env(name, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "{output:?}"
    );
}

fn fill() {
    let place = Place::new();
    let trail = place.trail();
    let mut written = 0;
    let error = loop {
        match trail.append(time(written), &decision(written, Verdict::Allow)) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the limit is not in force");
    };
    assert!(matches!(&error, AppendError::Write { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("audit-000001.jsonl`"),
        "{error}"
    );
    let text = fs::read(place.file(1)).unwrap();
    assert_eq!(
        text.last(),
        Some(&b'\n'),
        "the file ends with a whole record"
    );
    let verification = place.verify();
    assert_eq!(
        (verification.findings, verification.records),
        (vec![], written + 1)
    );
    assert_eq!(trail.head(), Some(verification.head));
    // It stays an error: no later record slips in behind the one that failed.
    trail
        .append(time(written), &decision(written, Verdict::Allow))
        .unwrap_err();
}

#[test]
fn writing_goes_on_when_there_is_room_again() {
    let (place, head) = Place::filled(2);
    let trail = place.trail();
    let open = append(&trail, 3);
    assert_eq!(open.seq, head.seq + 1);
    let mut options = place.options();
    options.max_file_bytes = 1;
    let rotating = portcullis_audit::Trail::open(&place.audit, options).unwrap();
    // The next file cannot be made while something else has its name.
    fs::create_dir(place.file(2)).unwrap();
    rotating
        .append(time(4), &decision(4, Verdict::Allow))
        .unwrap_err();
    assert_eq!(rotating.head(), None);
    fs::remove_dir(place.file(2)).unwrap();
    append(&rotating, 5);
    let verification = place.verify();
    assert_eq!((verification.findings, verification.files), (vec![], 2));
}
