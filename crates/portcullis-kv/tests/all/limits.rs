//! A store holds no more than it may, and what is too much changes nothing.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use portcullis_kv::{Expected, KvError, Limits, Stores, Usage};
use portcullis_testkit::tests;

use crate::Fixture;

tests![
    keys_and_values_are_as_long_as_they_may_be_and_no_longer,
    no_more_keys_than_allowed,
    no_more_bytes_than_allowed,
    processes_together_keep_no_more_than_allowed,
    what_a_lower_limit_leaves_no_room_for_can_still_become_smaller,
];

fn keys_and_values_are_as_long_as_they_may_be_and_no_longer() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    let limits = Limits::default();
    let (key, value) = ("\u{e9}".repeat(128), vec![1; 64 * 1024]);
    store.set(&key, &value, &limits).unwrap();
    let longer = format!("{key}x");
    let error = store.set(&longer, b"", &limits).unwrap_err();
    assert!(
        matches!(
            error,
            KvError::KeyTooLong {
                bytes: 257,
                max: 256
            }
        ),
        "{error}"
    );
    let error = store.increment(&longer, 1, &limits).unwrap_err();
    assert!(matches!(error, KvError::KeyTooLong { .. }), "{error}");
    let error = store
        .set("a", &[value, vec![1]].concat(), &limits)
        .unwrap_err();
    assert!(
        matches!(
            error,
            KvError::ValueTooLong {
                bytes: 65_537,
                max: 65_536
            }
        ),
        "{error}"
    );
    assert_eq!(
        store.get(&longer).unwrap(),
        None,
        "a long key is only not there"
    );
    assert_eq!(store.verify().unwrap().keys, 1);
}

fn no_more_keys_than_allowed() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    let limits = Limits {
        keys: 3,
        ..Limits::default()
    };
    for key in ["a", "b", "c"] {
        store.set(key, b"1", &limits).unwrap();
    }
    let full = |error| assert!(matches!(error, KvError::TooManyKeys { max: 3 }), "{error}");
    full(store.set("d", b"", &limits).unwrap_err());
    full(
        store
            .compare_and_swap("d", &Expected::Nothing, b"", &limits)
            .unwrap_err(),
    );
    full(store.increment("d", 1, &limits).unwrap_err());
    store.set("a", b"22", &limits).unwrap();
    store.delete("b").unwrap();
    store.set("d", b"", &limits).unwrap();
    assert_eq!(store.verify().unwrap(), Usage { keys: 3, bytes: 6 });
}

fn no_more_bytes_than_allowed() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    let limits = Limits {
        bytes: 10,
        ..Limits::default()
    };
    store.set("a", &[0; 9], &limits).unwrap();
    let error = store.set("a", &[0; 10], &limits).unwrap_err();
    assert!(
        matches!(error, KvError::TooManyBytes { bytes: 11, max: 10 }),
        "{error}"
    );
    let error = store.set("b", b"", &limits).unwrap_err();
    assert!(
        matches!(error, KvError::TooManyBytes { bytes: 11, max: 10 }),
        "keys count: {error}"
    );
    assert_eq!(store.get("a").unwrap().unwrap().len(), 9);
    assert_eq!(store.verify().unwrap(), Usage { keys: 1, bytes: 10 });
}

/// Sets keys of its own, each once, until there is no room. Says for how many there was.
pub(crate) fn fill(directory: &Path, worker: &str) -> ExitCode {
    let store = Stores::open(directory).unwrap().store("p").unwrap();
    let limits = Limits::default();
    let mut set = 0;
    let error = loop {
        match store.set(&format!("{worker} {set}"), &[7; 4000], &limits) {
            Ok(()) => set += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            error,
            KvError::TooManyKeys { .. } | KvError::TooManyBytes { .. }
        ),
        "{error:?}"
    );
    println!("{set}");
    ExitCode::SUCCESS
}

fn processes_together_keep_no_more_than_allowed() {
    let fixture = Fixture::new();
    let start = |worker: &str| {
        Command::new(std::env::current_exe().unwrap())
            .args(["filler-role".as_ref(), fixture.directory.as_os_str()])
            .arg(worker)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let said = ["a", "b", "c"].map(start).map(|worker| {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        let said = String::from_utf8(output.stdout).unwrap();
        said.trim_end().parse::<u64>().unwrap()
    });
    let store = fixture.stores().store("p").unwrap();
    let (usage, limits) = (store.verify().unwrap(), Limits::default());
    assert_eq!(usage.keys, said.iter().sum::<u64>(), "{said:?}");
    assert!(
        usage.keys <= limits.keys && usage.bytes <= limits.bytes,
        "{usage:?}"
    );
    assert!(
        usage.keys == limits.keys || usage.bytes + 4010 > limits.bytes,
        "there is room left: {usage:?}"
    );
}

fn what_a_lower_limit_leaves_no_room_for_can_still_become_smaller() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    for key in ["a", "b"] {
        store.set(key, &[0; 99], &Limits::default()).unwrap();
    }
    let low = Limits {
        bytes: 50,
        keys: 1,
        value: 100,
        key: 1,
    };
    store.set("a", &[0; 98], &low).unwrap();
    store.set("a", &[0; 99], &low).unwrap_err();
    assert_eq!(store.get("b").unwrap().unwrap().len(), 99);
    store.delete("b").unwrap();
    assert_eq!(store.verify().unwrap(), Usage { keys: 1, bytes: 99 });
}
