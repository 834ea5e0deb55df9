//! Files that somebody planted or changed in the cache. Each test begins with a hit.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use portcullis_codecache::{LoadError, PrivateError};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::{Place, compiled, component_wasm, fetch, is_hit, run, run_module};

fn plant(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The entry of the component that answers 1 is refused, compiled again, and a hit after that.
fn refused_and_replaced(place: &Place, engine: &Engine, expected: fn(&LoadError) -> bool) {
    let error = place
        .cache()
        .get_component(engine, &component_wasm(1))
        .unwrap_err();
    assert!(expected(&error), "{error:?}");
    let fetched = fetch(&place.cache(), engine, 1);
    let (compiled, refused) = compiled(&fetched);
    assert!(
        compiled && refused.is_some_and(expected),
        "{:?}",
        fetched.origin
    );
    assert_eq!(run(engine, &fetched.code), 1);
    let again = fetch(&place.cache(), engine, 1);
    assert!(is_hit(&again));
    assert_eq!(run(engine, &again.code), 1);
}

fn not_authentic(error: &LoadError) -> bool {
    matches!(error, LoadError::NotAuthentic { .. })
}

/// Valid code of this very engine, for a component that answers 666.
fn planted_code(engine: &Engine) -> Vec<u8> {
    let code = Component::new(engine, component_wasm(666))
        .unwrap()
        .serialize()
        .unwrap();
    assert!(
        Engine::detect_precompiled(&code).is_some(),
        "the engine takes it for compiled code"
    );
    code
}

#[test]
fn valid_code_without_our_mac_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    plant(&entry, &planted_code(&engine));
    refused_and_replaced(&place, &engine, not_authentic);
}

#[test]
fn valid_code_under_the_preamble_of_a_real_entry_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    let real = fs::read(&entry).unwrap();
    let mut code = planted_code(&engine);
    let preamble = real.len()
        - Component::new(&engine, component_wasm(1))
            .unwrap()
            .serialize()
            .unwrap()
            .len();
    code.resize(real.len() - preamble, 0);
    plant(&entry, &[&real[..preamble], &code].concat());
    refused_and_replaced(&place, &engine, not_authentic);
}

#[test]
fn an_entry_made_under_another_key_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    let other = Place::new();
    let theirs = other.stored(&engine, 1);
    assert_ne!(theirs.file_name(), entry.file_name(), "names are keyed too");
    plant(&entry, &fs::read(theirs).unwrap());
    refused_and_replaced(&place, &engine, not_authentic);
}

#[test]
fn a_real_entry_under_the_name_of_another_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    let other = place.stored(&engine, 666);
    assert_ne!(entry, other);
    plant(&entry, &fs::read(&other).unwrap());
    refused_and_replaced(&place, &engine, not_authentic);
    assert!(
        is_hit(&fetch(&place.cache(), &engine, 666)),
        "the other entry is still good"
    );
}

#[test]
fn one_flipped_bit_anywhere_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    let real = fs::read(&entry).unwrap();
    // All of header and MAC, then steps through the code, and the last byte.
    let places = (0..120)
        .chain((120..real.len()).step_by(997))
        .chain([real.len() - 1]);
    for index in places {
        let mut changed = real.clone();
        changed[index] ^= 0x10;
        plant(&entry, &changed);
        let error = place
            .cache()
            .get_component(&engine, &component_wasm(1))
            .unwrap_err();
        assert!(not_authentic(&error), "byte {index}: {error:?}");
    }
    refused_and_replaced(&place, &engine, not_authentic);
}

/// Large entries are read by several threads, piece by piece: no piece may be changed, moved or cut off.
#[test]
fn in_a_large_entry_every_piece_and_their_order_count() {
    const MIB: usize = 1 << 20;
    let (place, engine) = (Place::new(), Engine::default());
    let data: String = (0..6 * MIB)
        .map(|i| {
            if (i / MIB).is_multiple_of(2) {
                'a'
            } else {
                'b'
            }
        })
        .collect();
    let text = format!(
        r#"(module (memory 128) (data (i32.const 0) "{data}")
            (func (export "run") (result i32) (i32.load8_u (i32.const {}))))"#,
        6 * MIB - 1
    );
    let wasm = wat::parse_str(text).unwrap();
    let cache = place.cache();
    cache
        .put_module(&wasm, &wasmtime::Module::new(&engine, &wasm).unwrap())
        .unwrap();
    let hit = cache.get_module(&engine, &wasm).unwrap().unwrap();
    assert_eq!(run_module(&engine, &hit), i32::from(b'b'));

    let entry = place.entries().remove(0);
    let real = fs::read(&entry).unwrap();
    let preamble = real.len() - hit.serialize().unwrap().len();
    for piece in 0..(real.len() - preamble).div_ceil(MIB) {
        let mut changed = real.clone();
        changed[preamble + piece * MIB] ^= 1;
        plant(&entry, &changed);
        assert!(
            not_authentic(&cache.get_module(&engine, &wasm).unwrap_err()),
            "piece {piece}"
        );
    }
    let mut swapped = real.clone();
    let (first, second) = swapped[preamble + MIB..].split_at_mut(MIB);
    assert_ne!(first[..], second[..MIB]);
    first.swap_with_slice(&mut second[..MIB]);
    plant(&entry, &swapped);
    assert!(not_authentic(
        &cache.get_module(&engine, &wasm).unwrap_err()
    ));
    plant(&entry, &real[..preamble + 5 * MIB]);
    assert!(not_authentic(
        &cache.get_module(&engine, &wasm).unwrap_err()
    ));
    plant(&entry, &real);
    assert!(cache.get_module(&engine, &wasm).unwrap().is_some());
}

#[test]
fn a_shorter_or_longer_entry_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    let real = fs::read(&entry).unwrap();
    for length in [0, 1, 119, 120, 121, 4096, real.len() - 1, real.len() + 1] {
        let mut changed = real.clone();
        changed.resize(length, 0);
        plant(&entry, &changed);
        let error = place
            .cache()
            .get_component(&engine, &component_wasm(1))
            .unwrap_err();
        assert!(not_authentic(&error), "length {length}: {error:?}");
    }
    refused_and_replaced(&place, &engine, not_authentic);
}

#[test]
fn a_link_to_a_real_entry_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    let elsewhere = place.key_dir.join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    let not_plain =
        |error: &LoadError| matches!(error, LoadError::Private(PrivateError::NotPlain { .. }));
    refused_and_replaced(&place, &engine, not_plain);
}

#[test]
fn an_entry_that_others_may_write_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o622)).unwrap();
    let open = |error: &LoadError| {
        matches!(
            error,
            LoadError::Private(PrivateError::OpenToOthers { mode: 0o622, .. })
        )
    };
    refused_and_replaced(&place, &engine, open);
}

#[test]
fn code_in_use_does_not_change_when_its_file_does() {
    let (place, engine) = (Place::new(), Engine::default());
    let entry = place.stored(&engine, 1);
    let hit = fetch(&place.cache(), &engine, 1);
    assert!(is_hit(&hit));
    let length = fs::metadata(&entry).unwrap().len();
    fs::write(&entry, vec![0xCC; usize::try_from(length).unwrap()]).unwrap();
    assert_eq!(run(&engine, &hit.code), 1);
    fs::remove_dir_all(&place.dir).unwrap();
    assert_eq!(run(&engine, &hit.code), 1);
}
