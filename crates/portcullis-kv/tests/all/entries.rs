//! Entries are kept, listed in order, swapped and counted.

use std::sync::Arc;

use portcullis_kv::{Expected, KvError, Limits, MAX_PAGE, Usage};
use portcullis_testkit::tests;

use crate::Fixture;

tests![
    what_was_set_is_there_and_what_was_deleted_is_not,
    another_owner_sees_nothing_of_it,
    keys_are_listed_in_the_order_of_their_bytes_from_where_the_last_page_ended,
    a_swap_needs_the_value_it_expects,
    swaps_of_many_threads_and_handles_lose_nothing,
    numbers_are_counted_up_and_other_values_left_alone,
    what_is_counted_is_what_is_there,
];

const LIMITS: Limits = Limits {
    key: 256,
    value: 64 * 1024,
    bytes: 1024 * 1024,
    keys: 2000,
};

fn what_was_set_is_there_and_what_was_deleted_is_not() {
    let fixture = Fixture::new();
    let stores = fixture.stores();
    let store = stores.store("p").unwrap();
    for key in ["", "a", "with\0nul", "\u{10ffff}", " ' ; DROP TABLE entry"] {
        assert_eq!(store.get(key).unwrap(), None);
        store.set(key, b"one", &LIMITS).unwrap();
        store.set(key, b"\0\xff", &LIMITS).unwrap();
        assert_eq!(store.get(key).unwrap().as_deref(), Some(&b"\0\xff"[..]));
    }
    drop((store, stores));
    let store = fixture.stores().store("p").unwrap();
    assert_eq!(store.usage().unwrap().keys, 5, "it is there again");
    assert!(store.delete("a").unwrap() && !store.delete("a").unwrap());
    assert_eq!(store.get("a").unwrap(), None);
    store.set("empty", b"", &LIMITS).unwrap();
    assert_eq!(store.get("empty").unwrap().as_deref(), Some(&b""[..]));
    assert_eq!(store.clear().unwrap().keys, 5);
    assert_eq!(store.verify().unwrap(), Usage::default());
}

fn another_owner_sees_nothing_of_it() {
    let fixture = Fixture::new();
    let stores = fixture.stores();
    stores.store("p").unwrap().set("a", b"1", &LIMITS).unwrap();
    for other in ["q", "P", "p\0", "", "../p"] {
        assert_eq!(
            stores.store(other).unwrap().get("a").unwrap(),
            None,
            "{other}"
        );
    }
    assert!(stores.existing_store("r").unwrap().is_none());
    assert!(!stores.path("r").exists(), "looking makes nothing");
}

fn keys_are_listed_in_the_order_of_their_bytes_from_where_the_last_page_ended() {
    let fixture = Fixture::new();
    let stores = fixture.stores();
    let store = stores.store("p").unwrap();
    let mut keys: Vec<_> = (0..40).map(|n| format!("k{n}")).collect();
    keys.extend(
        [
            "K",
            "k",
            "\u{e9}",
            "l",
            "k1\u{10ffff}",
            "k%",
            "k_",
            "k*",
            "k\0",
            "[k]",
        ]
        .map(str::to_owned),
    );
    for key in &keys {
        store.set(key, b"", &LIMITS).unwrap();
    }
    keys.sort();
    for prefix in [
        "",
        "k",
        "k1",
        "k1\u{10ffff}",
        "l",
        "m",
        "%",
        "_",
        "k%",
        "k_",
        "k*",
        "k\0",
        "[k]",
    ] {
        let expected: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).collect();
        for most in [1, 7, MAX_PAGE] {
            let mut listed: Vec<String> = Vec::new();
            loop {
                let after = listed.last().map(String::as_str);
                let page = store.list(prefix, after, most).unwrap();
                assert!(page.keys.len() <= most);
                listed.extend(page.keys);
                if !page.more {
                    break;
                }
            }
            assert_eq!(
                listed.iter().collect::<Vec<_>>(),
                expected,
                "{prefix} {most}"
            );
        }
    }
    let page = store.list("k", Some("a"), 3).unwrap();
    assert_eq!(page.keys[0], "k", "after what comes before the prefix");
    assert_eq!(store.list("k", Some("z"), 3).unwrap().keys, [""; 0]);
    for n in 0..MAX_PAGE {
        store.set(&format!("m{n}"), b"", &LIMITS).unwrap();
    }
    let page = store.list("", None, usize::MAX).unwrap();
    assert!(page.more && page.keys.len() == MAX_PAGE);
}

fn a_swap_needs_the_value_it_expects() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    let swap = |expected: Expected, value: &[u8]| {
        store
            .compare_and_swap("a", &expected, value, &LIMITS)
            .unwrap()
    };
    let value = |value: &[u8]| Expected::Value(value.to_vec());
    let digest = |value: &[u8]| Expected::digest(Some(value));
    for never in [value(b""), digest(b"")] {
        assert!(!swap(never, b"1"), "absent is not empty");
    }
    assert!(swap(Expected::Nothing, b"1"));
    for never in [
        Expected::Nothing,
        Expected::digest(None),
        value(b"1\0"),
        digest(b"2"),
    ] {
        assert!(!swap(never, b"2"));
    }
    assert!(swap(value(b"1"), b"2"));
    assert!(swap(digest(b"2"), b"3"));
    assert_eq!(store.get("a").unwrap().as_deref(), Some(&b"3"[..]));
}

fn swaps_of_many_threads_and_handles_lose_nothing() {
    let fixture = Fixture::new();
    const EACH: u64 = 40;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // Handles of their own, as in processes of their own, and two threads of each.
            let store = fixture.stores().store("p").unwrap();
            for _ in 0..2 {
                let store = Arc::clone(&store);
                scope.spawn(move || {
                    let mut done = 0;
                    while done < EACH {
                        let now = store.get("n").unwrap();
                        let number: u64 = now
                            .as_deref()
                            .map_or(0, |now| std::str::from_utf8(now).unwrap().parse().unwrap());
                        let next = (number + 1).to_string();
                        let swapped = store
                            .compare_and_swap(
                                "n",
                                &Expected::digest(now.as_deref()),
                                next.as_bytes(),
                                &LIMITS,
                            )
                            .unwrap();
                        done += u64::from(swapped);
                    }
                });
            }
        }
    });
    let store = fixture.stores().store("p").unwrap();
    let expected = (8 * EACH).to_string();
    assert_eq!(
        store.get("n").unwrap().as_deref(),
        Some(expected.as_bytes())
    );
    store.verify().unwrap();
}

fn numbers_are_counted_up_and_other_values_left_alone() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    assert_eq!(store.increment("n", 5, &LIMITS).unwrap(), 5);
    assert_eq!(store.increment("n", -7, &LIMITS).unwrap(), -2);
    assert_eq!(store.get("n").unwrap().as_deref(), Some(&b"-2"[..]));
    for (value, delta) in [
        (&b"x"[..], 1),
        (b"", 1),
        (b"9223372036854775807", 1),
        (b"1.5", 0),
    ] {
        store.set("n", value, &LIMITS).unwrap();
        let error = store.increment("n", delta, &LIMITS).unwrap_err();
        assert!(matches!(error, KvError::NotANumber), "{error}");
        assert_eq!(store.get("n").unwrap().as_deref(), Some(value));
    }
}

fn what_is_counted_is_what_is_there() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    store.set("k\u{e9}y", &[7; 100], &LIMITS).unwrap();
    assert_eq!(
        store.usage().unwrap(),
        Usage {
            keys: 1,
            bytes: 104
        }
    );
    store.set("k\u{e9}y", &[7; 3], &LIMITS).unwrap();
    assert_eq!(store.verify().unwrap(), Usage { keys: 1, bytes: 7 });
    store.delete("k\u{e9}y").unwrap();
    assert_eq!(store.verify().unwrap(), Usage::default());
}
