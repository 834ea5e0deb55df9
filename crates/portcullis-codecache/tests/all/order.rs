//! Code compiled by somebody else is used only if it is what was ordered, whole.

use portcullis_codecache::{AnswerError, Maker, Order, serve};
use wasmtime::{Config, Engine};

use crate::{Place, component_wasm, module_wasm, run, run_module};

/// Makes a component of whatever it is given, but of nothing.
const MAKER: Maker = Maker {
    recipe: [1; 32],
    make: |wasm| match wasm {
        [] => Err("nothing comes of nothing".to_owned()),
        _ => Ok(component_wasm(7)),
    },
};

fn order(engine: &Engine, answer: u32) -> Order {
    Order::component(engine, component_wasm(answer)).unwrap()
}

fn answer(engine: &Engine, order: &Order) -> Vec<u8> {
    let mut answer = Vec::new();
    serve(engine, Some(&MAKER), order.message(), &mut answer).unwrap();
    answer
}

#[test]
fn what_was_ordered_is_used_and_cached() {
    let (place, engine) = (Place::new(), Engine::default());
    let cache = place.cache();
    let order = order(&engine, 7);
    let answer = answer(&engine, &order);
    let compiled = order.accept(answer).unwrap();
    cache.put_compiled(&compiled).unwrap();
    assert_eq!(run(&engine, &compiled.component().unwrap()), 7);
    let cached = cache.get_component(&engine, &component_wasm(7)).unwrap();
    assert_eq!(run(&engine, &cached.unwrap()), 7);
    let other = cache.get_component(&engine, &component_wasm(8)).unwrap();
    assert!(
        other.is_none(),
        "it is cached for what it was compiled from"
    );
}

#[test]
fn a_core_module_is_ordered_in_the_same_way_and_is_no_component() {
    let (place, engine) = (Place::new(), Engine::default());
    let cache = place.cache();
    let compiled = |engine: &Engine| {
        let order = Order::module(engine, module_wasm(7)).unwrap();
        let answer = answer(engine, &order);
        order.accept(answer).unwrap()
    };
    cache.put_compiled(&compiled(&engine)).unwrap();
    let module = compiled(&engine).module().unwrap();
    assert_eq!(run_module(&engine, &module), 7);
    let cached = cache.get_module(&engine, &module_wasm(7)).unwrap();
    assert_eq!(run_module(&engine, &cached.unwrap()), 7);
    assert!(compiled(&engine).component().is_err());
    // What was compiled as a module is no answer to an order of a component from the same bytes.
    let order = Order::component(&engine, module_wasm(7)).unwrap();
    let other = answer(&engine, &Order::module(&engine, module_wasm(7)).unwrap());
    assert!(matches!(
        order.accept(other),
        Err(AnswerError::NotAuthentic)
    ));
}

#[test]
fn a_component_that_is_made_first_is_kept_for_its_module_and_recipe() {
    let (place, engine) = (Place::new(), Engine::default());
    let cache = place.cache();
    let order = Order::made(&engine, &MAKER, module_wasm(3)).unwrap();
    let answer = answer(&engine, &order);
    let compiled = order.accept(answer).unwrap();
    cache.put_compiled(&compiled).unwrap();
    assert_eq!(run(&engine, &compiled.component().unwrap()), 7);
    let get = |maker: &Maker, module: u32| {
        let cached = cache.get_made(&engine, maker, &module_wasm(module));
        cached.unwrap().map(|component| run(&engine, &component))
    };
    assert_eq!(get(&MAKER, 3), Some(7));
    assert_eq!(get(&MAKER, 4), None, "another module");
    let other = Maker {
        recipe: [2; 32],
        ..MAKER
    };
    assert_eq!(get(&other, 3), None, "another recipe");
    let as_module = cache.get_module(&engine, &module_wasm(3)).unwrap();
    assert!(as_module.is_none(), "the module itself was not compiled");
}

#[test]
fn what_cannot_be_made_is_refused_and_who_makes_nothing_serves_no_such_order() {
    let engine = Engine::default();
    let order = Order::made(&engine, &MAKER, Vec::new()).unwrap();
    let answer = answer(&engine, &order);
    let Err(AnswerError::Refused(why)) = order.accept(answer) else {
        panic!("made");
    };
    assert_eq!(why, "nothing comes of nothing");
    let order = Order::made(&engine, &MAKER, module_wasm(3)).unwrap();
    assert!(serve(&engine, None, order.message(), Vec::new()).is_err());
    // A server with another recipe makes something else.
    let other = Maker {
        recipe: [2; 32],
        ..MAKER
    };
    let mut answer = Vec::new();
    serve(&engine, Some(&other), order.message(), &mut answer).unwrap();
    assert!(matches!(
        order.accept(answer),
        Err(AnswerError::NotAuthentic)
    ));
}

#[test]
fn an_answer_to_another_order_is_refused() {
    let engine = Engine::default();
    // The same component, ordered twice: only the key differs.
    for other in [7, 8] {
        let answer = answer(&engine, &order(&engine, other));
        let refused = order(&engine, 7).accept(answer);
        assert!(matches!(refused, Err(AnswerError::NotAuthentic)), "{other}");
    }
}

#[test]
fn every_changed_or_missing_byte_is_noticed() {
    let engine = Engine::default();
    let changes: [fn(&mut Vec<u8>); 12] = [
        |answer| answer[0] ^= 0x40,
        |answer| flip(answer, 1),
        |answer| flip(answer, 2),
        |answer| flip(answer, 34),
        |answer| flip(answer, 80),
        |answer| flip(answer, 120),
        |answer| flip(answer, 140),
        |answer| flip(answer, 500),
        |answer| answer.clear(),
        |answer| *answer = answer.split_off(1),
        |answer| answer.truncate(answer.len() - 1),
        |answer| answer.truncate(answer.len() / 2),
    ];
    for (number, change) in changes.iter().enumerate() {
        let order = order(&engine, 7);
        let mut answer = answer(&engine, &order);
        change(&mut answer);
        assert!(order.accept(answer).is_err(), "change {number}");
    }
}

/// Changes the byte so far from the end.
fn flip(answer: &mut [u8], from_end: usize) {
    let place = answer.len() - from_end;
    answer[place] ^= 0x40;
}

#[test]
fn another_engine_is_told_from_a_forgery() {
    let ours = Engine::default();
    let theirs = Engine::new(Config::new().epoch_interruption(true)).unwrap();
    let order = order(&ours, 7);
    let answer = answer(&theirs, &order);
    assert!(matches!(
        order.accept(answer),
        Err(AnswerError::OtherEngine)
    ));
}

#[test]
fn a_component_that_is_refused_says_why() {
    let engine = Engine::default();
    let order = Order::component(&engine, b"\0asm\x0d\0\x01\0\xff".to_vec()).unwrap();
    let answer = answer(&engine, &order);
    let Err(AnswerError::Refused(why)) = order.accept(answer) else {
        panic!("compiled");
    };
    assert!(!why.is_empty());
}

#[test]
fn a_reason_is_cut() {
    let order = order(&Engine::default(), 7);
    let refusal = [vec![b'x'; 100_000], vec![2]].concat();
    let Err(AnswerError::Refused(why)) = order.accept(refusal) else {
        panic!("no refusal");
    };
    assert_eq!(why.len(), 4096);
}

#[test]
fn what_is_no_order_is_not_served() {
    let mut output = Vec::new();
    let engine = Engine::default();
    let of_no_kind = [&module_wasm(7)[..], &[3], &[0; 32]].concat();
    assert!(serve(&engine, None, &b"short"[..], &mut output).is_err());
    assert!(serve(&engine, None, &of_no_kind[..], &mut output).is_err());
    assert_eq!(output, b"");
}
