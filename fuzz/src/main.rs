//! One target under libFuzzer. `PORTCULLIS_FUZZ_TARGET` names it; `cargo xtask fuzz` sets that, and says how to build.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::Run;

thread_local! {
    static RUN: RefCell<Run> = RefCell::new(chosen());
}

fn chosen() -> Run {
    let name = std::env::var("PORTCULLIS_FUZZ_TARGET").unwrap_or_default();
    match portcullis_fuzz::target(&name) {
        Some(target) => (target.make)(),
        None => panic!("no target `{name}`"),
    }
}

fuzz_target!(|data: &[u8]| RUN.with_borrow_mut(|run| run(data)));
