//! The host library with real components and real commands.
//!
//! `enter` has to be the first call in `main`, so this has a `main` of its own.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed; a host that is to be killed is a process of its own"
)]

mod attacks;
mod call;
mod clawft;
mod command;
mod compile;
mod consent;
mod core_form;
mod env;
mod exec;
mod files;
mod fixture;
mod fledge;
mod fs_guard;
mod fs_guard_random;
mod fs_limits;
mod http;
mod killed_host;
mod kv;
mod load;
mod log;
mod memory;
mod native;
mod net;
mod paths;
mod preview1;
mod prompt;
mod reglet;
mod repeatable;
mod resources;
mod wasi;
mod wasi_command;

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    portcullis::enter();
    let words: Vec<_> = std::env::args().collect();
    if let [_, role, point, confinement, project] = &words[..]
        && role == "host-role"
    {
        return killed_host::play(point, confinement, project);
    }
    if words.get(1).is_some_and(|role| role == "compile-role") {
        return compile::play();
    }
    if let [_, role, guest, args @ ..] = &words[..]
        && role == "memory-role"
    {
        return memory::play(guest, args);
    }
    let tests = [
        attacks::TESTS,
        load::TESTS,
        call::TESTS,
        command::kinds::TESTS,
        command::streams::TESTS,
        command::lives::TESTS,
        consent::TESTS,
        compile::TESTS,
        env::TESTS,
        exec::TESTS,
        files::TESTS,
        fs_guard::BY_WASI,
        fs_guard_random::BY_WASI,
        fs_limits::TESTS,
        fs_limits::BY_WASI,
        killed_host::TESTS,
        kv::TESTS,
        log::TESTS,
        memory::TESTS,
        native::TESTS,
        paths::plain::TESTS,
        paths::races::TESTS,
        paths::races::BY_WASI,
        paths::wasi::BY_WASI,
        preview1::TESTS,
        prompt::TESTS,
        repeatable::TESTS,
        resources::TESTS,
        wasi::TESTS,
        wasi::BY_WASI,
        wasi_command::TESTS,
    ]
    .concat();
    let tests = [
        tests,
        clawft::tests(),
        core_form::tests(),
        fledge::tests(),
        http::tests(),
        net::tests(),
        reglet::tests(),
    ]
    .concat();
    let trials = tests.into_iter().map(|(name, run)| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
