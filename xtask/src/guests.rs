//! `cargo xtask guests`: builds the test guests and the example plugins into `target/guests`.
//!
//! A workspace of guests is built again only when its sources, its lock file, the WIT, the compiler or the way
//! of building changed.

use crate::skips::Skips;
use crate::tally::Tally;
use crate::toolchain::{self, TARGET, Toolchain, WASI};
use crate::{Options, c, check, component, go, interpreted, rebuild, shapes, shell, test};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// The cargo workspaces that hold guests, from the repository's root.
const WORKSPACES: [&str; 3] = ["guests", "examples/repo-report", "sdk/parity/rust"];
/// What they are built of besides.
const SHARED: [&str; 2] = ["wit", "sdk/rust"];
/// The one whose guests stay core modules.
const CORE: &str = "guests/wasip1";

/// Returns the directory of built guests. Not under `CARGO_TARGET_DIR`: tests look for it from the root.
pub(crate) fn directory() -> PathBuf {
    shell::root().join("target/guests")
}

/// Builds what is not up to date, and says how; what had to be left out is named.
///
/// # Errors
/// No compiler has the target, or a guest does not build.
pub(crate) fn task(options: &Options) -> Result<()> {
    let mut skips = Skips::default();
    let built = run(options, &mut skips);
    skips.print();
    built
}

/// As [`task`], and notes what had to be left out.
///
/// # Errors
/// As [`task`].
pub(crate) fn run(options: &Options, skips: &mut Skips) -> Result<()> {
    let directory = directory();
    fs::create_dir_all(&directory)?;
    shapes::assemble(&directory.join("wat"))?;
    let toolchain = toolchain::find(options)
        .with_context(|| format!("guests not built: {}", WORKSPACES.join(", ")))?;
    eprintln!("guests: {}", toolchain.describe());
    for workspace in WORKSPACES {
        update(workspace, &toolchain, TARGET, options)?;
    }
    match toolchain::find_wasi() {
        Ok(toolchain) => update(CORE, &toolchain, WASI, options)?,
        Err(why) => skips.add(
            CORE,
            format!("no compiler here builds for `{WASI}`: {why:#}"),
        ),
    }
    interpreted::run(options, skips)?;
    go::run(skips)?;
    c::guest(options, skips)?;
    if options.bless {
        rebuild::bless()?;
    }
    Ok(())
}

/// Builds a workspace if it is not up to date.
fn update(workspace: &str, toolchain: &Toolchain, target: &str, options: &Options) -> Result<()> {
    let key = key(workspace, toolchain)?;
    let stamp = directory().join(format!(".{}.stamp", workspace.replace('/', "-")));
    if is_current(&stamp, &key) {
        eprintln!("guests: {workspace} is up to date");
        return Ok(());
    }
    let names = build(workspace, toolchain, target, options)?;
    Ok(fs::write(stamp, format!("{key}\n{}\n", names.join("\n")))?)
}

/// Whether the stamp has the key and every guest it names is there, unchanged since.
pub(crate) fn is_current(stamp: &Path, key: &str) -> bool {
    let Ok(text) = fs::read_to_string(stamp) else {
        return false;
    };
    let mut lines = text.lines();
    lines.next() == Some(key)
        && lines.all(|line| {
            let (digest, name) = line.split_once(' ').unwrap_or_default();
            fs::read(directory().join(name))
                .is_ok_and(|bytes| blake3::hash(&bytes).to_hex().as_str() == digest)
        })
}

/// Everything a build of a workspace depends on, in one digest.
fn key(workspace: &str, toolchain: &Toolchain) -> Result<String> {
    let made_by = [
        toolchain.version.as_str(),
        &format!("{:?}", toolchain.route),
        include_str!("guests.rs"),
        include_str!("component.rs"),
        include_str!("toolchain.rs"),
    ];
    let sources: Vec<_> = [workspace].into_iter().chain(SHARED).collect();
    key_of(&made_by, &sources)
}

/// One digest of what makes something and of all files in directories of the repository.
pub(crate) fn key_of(made_by: &[&str], directories: &[&str]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for text in made_by {
        hasher.update(text.as_bytes());
    }
    for directory in directories {
        let mut files = Vec::new();
        walk(&shell::root().join(directory), &mut files)?;
        files.sort();
        for file in files {
            let bytes = fs::read(&file)?;
            hasher.update(format!("{} {}\n", file.display(), bytes.len()).as_bytes());
            hasher.update(&bytes);
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Where a guest is written before it is [put] into its place.
pub(crate) fn partial(file: &str) -> PathBuf {
    directory().join(format!(".{file}"))
}

/// Puts what was written for a guest into its place, in one step: a test that runs meanwhile sees the old or the new one. The
/// answer is its line in a stamp.
pub(crate) fn put(file: &str) -> Result<String> {
    let partial = partial(file);
    let bytes = fs::read(&partial)?;
    fs::rename(&partial, directory().join(file))?;
    eprintln!("{:>10} bytes  {file}", bytes.len());
    Ok(format!("{} {file}", blake3::hash(&bytes).to_hex()))
}

/// Collects the files under a directory, but for cargo's output, the results themselves and guests of another kind.
pub(crate) fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let built = path
            .extension()
            .is_some_and(|extension| extension == "wasm");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !["target", "interpreted", "wasip1", "reglet", "go-command"]
                .iter()
                .any(|name| entry.file_name() == *name)
            {
                walk(&path, files)?;
            }
        } else if kind.is_file() && !built {
            files.push(path);
        }
    }
    Ok(())
}

/// Builds a workspace and returns a line of digest and file name for each guest.
fn build(
    workspace: &str,
    toolchain: &Toolchain,
    target: &str,
    options: &Options,
) -> Result<Vec<String>> {
    let manifest = format!("{workspace}/Cargo.toml");
    let locked = if options.ci { &["--locked"][..] } else { &[] };
    // First, so that the registry's directories exist when the flags name them.
    shell::run(
        toolchain
            .cargo()
            .args(["fetch", "--manifest-path", &manifest])
            .args(locked),
    )?;
    let mut cargo = toolchain.cargo();
    cargo
        .args([
            "build",
            "--release",
            "--target",
            target,
            "--manifest-path",
            &manifest,
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .args(locked)
        .env("CARGO_TARGET_DIR", target_directory())
        .env("CARGO_ENCODED_RUSTFLAGS", toolchain.rustflags()?)
        .stdin(Stdio::null());
    shell::show(&cargo);
    let mut lines = Vec::new();
    for (name, module) in artifacts(&shell::output(&mut cargo)?)? {
        let mut bytes = fs::read(&module)?;
        if target != WASI && !component::is_command(&bytes)? {
            bytes = component::componentize(&bytes)
                .with_context(|| format!("cannot make a component of guest `{name}`"))?;
        }
        let file = format!("{name}.wasm");
        fs::write(partial(&file), &bytes)?;
        lines.push(put(&file)?);
    }
    Ok(lines)
}

/// Where cargo works when it builds guests: one place, so that all share the build of their dependencies.
pub(crate) fn target_directory() -> PathBuf {
    shell::root().join("target/guests-build")
}

/// Reads the names and paths of the modules from cargo's messages.
fn artifacts(messages: &str) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).context("cannot read a message of cargo")?;
        if message["reason"] != "compiler-artifact" {
            continue;
        }
        let files = message["filenames"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|file| file.as_str());
        for file in files.filter(|file| file.ends_with(".wasm")) {
            let name = message["target"]["name"]
                .as_str()
                .unwrap_or_default()
                .replace('_', "-");
            found.push((name, PathBuf::from(file)));
        }
    }
    Ok(found)
}

/// Runs the unit tests that guests and the Rust SDK have of their own, on the host.
///
/// # Errors
/// One fails, or there is no compiler.
pub(crate) fn unit_tests(options: &Options, tally: &mut Tally) -> Result<()> {
    let toolchain = toolchain::find(options)?;
    for (workspace, package) in [
        ("guests", "exec-protocol"),
        ("examples/repo-report", "repo-report"),
    ] {
        // Release, because the host half of the guests' build is there already.
        let manifest = format!("{workspace}/Cargo.toml");
        let mut cargo = toolchain.cargo();
        cargo.args([
            "test",
            "--release",
            "--lib",
            "--manifest-path",
            &manifest,
            "--package",
            package,
        ]);
        test::follow(
            cargo.env("CARGO_TARGET_DIR", target_directory()),
            &[],
            tally,
        )?;
    }
    test::follow(&mut check::sdk("test"), &[], tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_the_modules_and_take_the_names_of_packages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"exec_args"},"filenames":["/t/exec_args.wasm"]}
{"reason":"compiler-artifact","target":{"name":"quote"},"filenames":["/t/libquote.rlib"]}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            artifacts(messages).unwrap(),
            [("exec-args".to_owned(), PathBuf::from("/t/exec_args.wasm"))]
        );
    }

    #[test]
    fn a_stamp_is_current_only_with_its_key() {
        let directory = tempfile::tempdir().unwrap();
        let stamp = directory.path().join("stamp");
        assert!(!is_current(&stamp, "key"));
        fs::write(&stamp, "key\n").unwrap();
        assert!(is_current(&stamp, "key") && !is_current(&stamp, "other"));
        fs::write(&stamp, "key\n00 no-such-guest.wasm\n").unwrap();
        assert!(!is_current(&stamp, "key"));
    }
}
