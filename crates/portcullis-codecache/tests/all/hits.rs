//! What is found again, and what is not.

use wasmtime::component::Component;
use wasmtime::{Config, Engine, Module, OptLevel};

use crate::{Place, compiled, component_wasm, fetch, is_hit, module_wasm, run, run_module};

#[test]
fn a_component_is_compiled_once_and_then_found_also_by_another_handle() {
    let (place, engine) = (Place::new(), Engine::default());
    place.stored(&engine, 7);
    let other_engine = Engine::default();
    let hit = fetch(&place.cache(), &other_engine, 7);
    assert!(is_hit(&hit));
    assert_eq!(run(&other_engine, &hit.code), 7);
}

#[test]
fn a_module_is_compiled_once_and_then_found() {
    let (place, engine, wasm) = (Place::new(), Engine::default(), module_wasm(9));
    let cache = place.cache();
    assert!(cache.get_module(&engine, &wasm).unwrap().is_none());
    let first = cache
        .module(&engine, &wasm, || Module::new(&engine, &wasm))
        .unwrap();
    assert!(compiled(&first).0);
    let second = cache
        .module(&engine, &wasm, || Module::new(&engine, &wasm))
        .unwrap();
    assert!(is_hit(&second));
    assert_eq!(run_module(&engine, &second.code), 9);
}

#[test]
fn what_was_put_is_got_and_the_kind_is_part_of_the_key() {
    let (place, engine) = (Place::new(), Engine::default());
    let cache = place.cache();
    // An empty module, stored under the bytes of a component, is not found as that component.
    let wasm = component_wasm(3);
    cache
        .put_module(&wasm, &Module::new(&engine, module_wasm(1)).unwrap())
        .unwrap();
    assert!(cache.get_module(&engine, &wasm).unwrap().is_some());
    assert!(cache.get_component(&engine, &wasm).unwrap().is_none());
    cache
        .put_component(&wasm, &Component::new(&engine, &wasm).unwrap())
        .unwrap();
    let got = cache.get_component(&engine, &wasm).unwrap().unwrap();
    assert_eq!(run(&engine, &got), 3);
}

#[test]
fn other_bytes_are_a_miss() {
    let (place, engine) = (Place::new(), Engine::default());
    place.stored(&engine, 1);
    assert!(
        place
            .cache()
            .get_component(&engine, &component_wasm(2))
            .unwrap()
            .is_none()
    );
}

#[test]
fn an_engine_with_other_settings_misses_without_an_error() {
    let (place, engine) = (Place::new(), Engine::default());
    place.stored(&engine, 1);
    let settings: [fn(&mut Config); 4] = [
        |config| _ = config.epoch_interruption(true),
        |config| _ = config.consume_fuel(true),
        |config| _ = config.cranelift_opt_level(OptLevel::None),
        another_cpu,
    ];
    for (index, change) in settings.into_iter().enumerate() {
        let mut config = Config::new();
        change(&mut config);
        let other = Engine::new(&config).unwrap();
        assert!(
            place
                .cache()
                .get_component(&other, &component_wasm(1))
                .unwrap()
                .is_none()
        );
        assert!(
            compiled(&fetch(&place.cache(), &other, 1)).0,
            "setting {index}"
        );
        assert!(is_hit(&fetch(&place.cache(), &other, 1)), "setting {index}");
    }
    assert!(is_hit(&fetch(&place.cache(), &engine, 1)));
    assert_eq!(place.entries().len(), 5);
}

/// The oldest of this architecture: code for it says so, and code for this very one may use more.
fn another_cpu(config: &mut Config) {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    config.target(&triple).unwrap();
}

#[test]
fn an_error_of_the_compiler_is_passed_on_and_nothing_is_stored() {
    let (place, engine) = (Place::new(), Engine::default());
    let broken = b"\0asm broken";
    assert!(
        place
            .cache()
            .component(&engine, broken, || Component::new(&engine, broken))
            .is_err()
    );
    assert_eq!(place.entries().len(), 0);
}
