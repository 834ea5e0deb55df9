//! C: the SDK, which is one header, and the guest that is made with it.

use crate::skips::Skips;
use crate::{Options, guests, packages, shell};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Where the SDK is.
const SDK: &str = "sdk/c";
/// The page for authors.
const BOOK: &str = "docs/c.md";
/// Where the guest is.
const PARITY: &str = "sdk/parity/c";
/// Compilers that build for WebAssembly well enough.
const CLANGS: [&str; 5] = ["clang", "clang-22", "clang-21", "clang-20", "clang-19"];

/// Builds the guest unless it is up to date. Without a compiler it is named as skipped, and so is its test.
///
/// # Errors
/// It does not build.
pub(crate) fn guest(options: &Options, skips: &mut Skips) -> Result<()> {
    let (clang, version) = match clang(options) {
        Ok(found) => found,
        Err(why) => {
            skips.add(PARITY, format!("no compiler for C: {why:#}"));
            return Ok(());
        }
    };
    let key = guests::key_of(&[&version, include_str!("c.rs")], &[SDK, PARITY])?;
    let stamp = guests::directory().join(".guests-c.stamp");
    if guests::is_current(&stamp, &key) {
        eprintln!("guests: {PARITY} is up to date");
        return Ok(());
    }
    let file = "parity-c.wasm";
    shell::run(
        shell::command(clang)
            .args(["--target=wasm32", "-Os", "-nostdlib", "-mbulk-memory"])
            .args(["-Wall", "-Werror", "-Wl,--no-entry,--strip-all", "-I", SDK])
            .arg("-o")
            .arg(guests::partial(file))
            .arg(format!("{PARITY}/parity.c")),
    )?;
    let line = guests::put(file)?;
    Ok(fs::write(stamp, format!("{key}\n{line}\n"))?)
}

/// A compiler that has a linker for WebAssembly, and what it says of itself; installed if that may be done.
fn clang(options: &Options) -> Result<(&'static str, String)> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    packages::install(options, &["clang-19", "lld-19"])?;
    installed().context("none of those installed links for WebAssembly")
}

fn installed() -> Option<(&'static str, String)> {
    let directory = tempfile::tempdir().ok()?;
    let probe = directory.path().join("probe.c");
    fs::write(&probe, "int probe(void) { return 0; }\n").ok()?;
    CLANGS.into_iter().find_map(|clang| {
        let mut links = shell::command(clang);
        links
            .args([
                "--target=wasm32",
                "-nostdlib",
                "-mbulk-memory",
                "-Wl,--no-entry",
                "-o",
            ])
            .arg(directory.path().join("probe.wasm"))
            .arg(&probe);
        let version = shell::output(shell::command(clang).arg("--version")).ok()?;
        shell::succeeds(&mut links).then_some((clang, version))
    })
}

/// Tests the SDK on this machine, with sanitizers, and compiles what stands in the book; without a compiler that has them it is skipped.
///
/// # Errors
/// It does not compile, or its test fails.
pub(crate) fn check(skips: &mut Skips) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let probe = directory.path().join("probe.c");
    fs::write(&probe, "int main(void) { return 0; }\n")?;
    let program = directory.path().join("test");
    if !shell::succeeds(&mut sanitized(&probe, &program)) {
        skips.add(
            "c-sdk",
            "no compiler for C with sanitizers: `cc` is not there, or has none",
        );
        return Ok(());
    }
    let source = shell::root().join(SDK).join("tests/portcullis.c");
    shell::run(sanitized(&source, &program).args(["-Wall", "-Wextra", "-Werror", "-I", SDK]))?;
    shell::run(&mut shell::command(&program))?;
    for (number, code) in blocks(&fs::read_to_string(shell::root().join(BOOK))?)
        .iter()
        .enumerate()
    {
        let file = directory.path().join(format!("block-{number}.c"));
        fs::write(&file, code)?;
        let mut cc = shell::command("cc");
        cc.args(["-fsyntax-only", "-Wall", "-Werror", "-I", SDK]);
        shell::run(cc.arg(&file))
            .with_context(|| format!("block {} of {BOOK}:\n{code}", number + 1))?;
    }
    Ok(())
}

/// Every piece of C in a page, each a file: statements are those of a plugin.
fn blocks(page: &str) -> Vec<String> {
    let pieces = page.split("```c\n").skip(1);
    let pieces = pieces.filter_map(|piece| Some(piece.split_once("\n```")?.0));
    pieces
        .map(|piece| match piece.starts_with('#') {
            true => format!("{piece}\n"),
            false => format!("{START}{piece}\n}}\n"),
        })
        .collect()
}

/// What statements stand in.
const START: &str = "#define PORTCULLIS_PLUGIN\n#include \"portcullis.h\"\n\n\
    struct portcullis_result plugin_main(struct portcullis_args args)\n{\n";

/// Compiles a program that ends where it does what C does not define.
fn sanitized(source: &Path, program: &Path) -> std::process::Command {
    let mut cc = shell::command("cc");
    cc.args([
        "-g",
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-o",
    ])
    .arg(program)
    .arg(source);
    cc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_file_or_the_statements_of_a_plugin() {
        let page =
            "a\n```c\n#include <x>\n```\n```console\n$ c\n```\n```c\nint a;\nreturn b;\n```\n";
        let statements = format!("{START}int a;\nreturn b;\n}}\n");
        assert_eq!(blocks(page), ["#include <x>\n".to_owned(), statements]);
    }
}
