//! Puts the SDKs into the command, for `portcullis new`: it needs no network and no clone, and what it writes fits.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Of each SDK, from the repository's root: what of it a plugin is built with, and where it lies in the plugin's copy.
const SDKS: [(&str, &[(&str, &str)]); 5] = [
    (
        "RUST",
        &[
            ("sdk/rust/Cargo.toml", "Cargo.toml"),
            ("sdk/rust/README.md", "README.md"),
            ("sdk/rust/src", "src"),
            ("sdk/rust/macros", "macros"),
            ("wit/cli-0.1.0", "wit"),
        ],
    ),
    ("GO", &[("sdk/go", "")]),
    ("PYTHON", &[("sdk/python/src", "")]),
    (
        "JAVASCRIPT",
        &[
            ("sdk/js/package.json", "package.json"),
            ("sdk/js/src", "src"),
        ],
    ),
    ("C", &[("sdk/c", "")]),
];

/// What is left out of directories: tests, examples, and what tools leave behind.
const LEFT_OUT: [&str; 5] = ["examples", "testdata", "target", "__pycache__", "tests"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize()?;
    let mut code = String::new();
    for (name, parts) in SDKS {
        let mut files = Vec::new();
        for (from, to) in parts {
            let from = root.join(from);
            println!("cargo::rerun-if-changed={}", from.display());
            collect(&from, Path::new(to), &mut files)?;
        }
        files.sort();
        let _ = writeln!(code, "pub(super) static {name}: &[(&str, &[u8])] = &[");
        for (to, from) in files {
            let _ = writeln!(code, "    ({to:?}, include_bytes!({from:?})),");
        }
        let _ = writeln!(code, "];");
    }
    let out = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .unwrap_or_default();
    fs::write(out.join("sdks.rs"), code)
}

fn collect(from: &Path, to: &Path, files: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    if from.is_file() {
        files.push((to.to_owned(), from.to_owned()));
        return Ok(());
    }
    if !from.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_left_out = LEFT_OUT.contains(&&*name)
            || name.starts_with('.')
            || name.ends_with("_test.go")
            || name.ends_with(".pyc");
        if !is_left_out {
            collect(&path, &to.join(&name), files)?;
        }
    }
    Ok(())
}
