//! The size of the cache, and a cache that cannot be written.

use std::fs::{self, FileTimes};
use std::time::{Duration, SystemTime};

use portcullis_codecache::{CodeCache, Options, Origin, Stats, StoreError};
use wasmtime::Engine;

use crate::{Place, component_wasm, fetch, is_hit, run};

#[test]
fn stats_and_clear_count_entries_and_bytes() {
    let (place, engine) = (Place::new(), Engine::default());
    let cache = place.cache();
    assert_eq!(cache.stats().unwrap(), Stats::default());
    place.stored(&engine, 1);
    place.stored(&engine, 2);
    let bytes = place
        .entries()
        .iter()
        .map(|entry| fs::metadata(entry).unwrap().len())
        .sum();
    let expected = Stats { entries: 2, bytes };
    assert_eq!(cache.stats().unwrap(), expected);
    assert_eq!(cache.clear().unwrap(), expected);
    assert_eq!(cache.stats().unwrap(), Stats::default());
    assert!(
        cache
            .get_component(&engine, &component_wasm(1))
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_a_hit_counts_as_use() {
    let (place, engine) = (Place::new(), Engine::default());
    let entries = [1, 2, 3].map(|answer| place.stored(&engine, answer));
    let sizes: u64 = entries
        .iter()
        .map(|entry| fs::metadata(entry).unwrap().len())
        .sum();
    // Times are set, not waited for: 1 is the oldest, then 2, then 3.
    for (age, entry) in [300, 200, 100].into_iter().zip(&entries) {
        let used = SystemTime::now() - Duration::from_secs(age);
        fs::File::open(entry)
            .unwrap()
            .set_times(FileTimes::new().set_modified(used))
            .unwrap();
    }
    assert!(is_hit(&fetch(&place.cache(), &engine, 1)));
    let mut options = Options::default();
    options.max_bytes = sizes;
    let small = CodeCache::open(&place.dir, &place.key_dir, options).unwrap();
    fetch(&small, &engine, 4);
    let kept = |answer| {
        small
            .get_component(&engine, &component_wasm(answer))
            .unwrap()
            .is_some()
    };
    assert!(!kept(2), "the oldest by use");
    assert!(kept(1) && kept(3) && kept(4));
}

#[test]
fn what_an_interrupted_writer_left_is_removed_when_room_is_made() {
    let (place, engine) = (Place::new(), Engine::default());
    let left = place.dir.join(".tmp-left");
    drop(place.cache());
    fs::write(&left, vec![0; 1 << 20]).unwrap();
    let mut options = Options::default();
    options.max_bytes = 1 << 20;
    let cache = CodeCache::open(&place.dir, &place.key_dir, options).unwrap();
    fetch(&cache, &engine, 1);
    assert!(!left.exists());
    assert!(is_hit(&fetch(&cache, &engine, 1)));
}

#[test]
fn an_entry_that_cannot_be_stored_is_told_and_the_code_runs_all_the_same() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    // A directory in its place can neither be read as an entry nor replaced by one.
    fs::remove_file(&entry).unwrap();
    fs::create_dir(&entry).unwrap();
    let fetched = fetch(&place.cache(), &engine, 1);
    assert_eq!(run(&engine, &fetched.code), 1);
    let Origin::Compiled {
        refused: Some(_),
        not_stored: Some(error),
    } = fetched.origin
    else {
        panic!("{:?}", fetched.origin)
    };
    assert!(matches!(error, StoreError::Write { .. }), "{error:?}");
    assert_eq!(place.entries(), [entry], "no temporary file stays");
}
