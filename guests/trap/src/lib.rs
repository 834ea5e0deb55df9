//! Traps three named functions deep, so that the host has a backtrace to show.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        Ok(read_settings(&args).to_string())
    }
}

// `black_box` after each call keeps the frames apart: without it they would become tail calls.

#[inline(never)]
fn read_settings(args: &[String]) -> usize {
    std::hint::black_box(parse_settings(args)) + 1
}

#[inline(never)]
fn parse_settings(args: &[String]) -> usize {
    std::hint::black_box(expect_section(args)) + 2
}

#[inline(never)]
fn expect_section(args: &[String]) -> usize {
    // No argument list is this long, which only the reader knows.
    assert!(
        std::hint::black_box(args.len()) > 1 << 20,
        "the section is missing"
    );
    args.len()
}

export!(Plugin);
