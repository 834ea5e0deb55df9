//! Several users of one cache at once.

use std::thread;

use portcullis_codecache::{CodeCache, Options, Origin};
use wasmtime::Engine;

use crate::{Place, fetch, is_hit, run};

#[test]
fn writers_of_the_same_entries_never_show_a_reader_half_of_one() {
    let (place, engine) = (Place::new(), Engine::default());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let cache = place.cache();
                for round in 0..12 {
                    let fetched = fetch(&cache, &engine, round % 3);
                    assert_eq!(run(&engine, &fetched.code), round % 3);
                    if let Origin::Compiled {
                        refused,
                        not_stored,
                    } = fetched.origin
                    {
                        assert!(
                            refused.is_none() && not_stored.is_none(),
                            "{refused:?} {not_stored:?}"
                        );
                    }
                }
            });
        }
    });
    assert_eq!(place.cache().stats().unwrap().entries, 3);
    assert_eq!(place.entries().len(), 3, "no temporary file stays");
    for answer in 0..3 {
        assert!(is_hit(&fetch(&place.cache(), &engine, answer)));
    }
}

#[test]
fn of_many_that_open_a_new_cache_at_once_all_get_one_key() {
    let (place, engine) = (Place::new(), Engine::default());
    let caches: Vec<CodeCache> = thread::scope(|scope| {
        let openers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    CodeCache::open(&place.dir, &place.key_dir, Options::default()).unwrap()
                })
            })
            .collect();
        openers
            .into_iter()
            .map(|opener| opener.join().unwrap())
            .collect()
    });
    fetch(&caches[0], &engine, 1);
    assert!(caches.iter().all(|cache| is_hit(&fetch(cache, &engine, 1))));
}
