//! Building the standard library for the guests' target from the sources Debian packages.
//!
//! Stable cargo builds guests against the result with nothing but `--sysroot`, and it is built once: the
//! directory is named after the compiler and this file.

use crate::{shell, toolchain};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// The oldest compiler whose library and language suffice for the guests' dependencies.
const OLDEST_MINOR: u32 = 87;

/// Returns the name of the newest WebAssembly linker on the search path.
pub(crate) fn linker() -> Option<String> {
    let names = (19..=24)
        .rev()
        .map(|n| format!("wasm-ld-{n}"))
        .chain(["wasm-ld".to_owned()]);
    names
        .into_iter()
        .find(|name| shell::succeeds(shell::command(name).arg("--version")))
}

/// Returns the directory with the sources of the compiler's own standard library.
///
/// # Errors
/// There is no such compiler, it is too old, or its sources are not installed.
pub(crate) fn sources(rustc: &Path) -> Result<PathBuf> {
    let version = shell::output(shell::command(rustc).arg("-vV"))?;
    let release = version
        .lines()
        .find_map(|line| line.strip_prefix("release: "))
        .unwrap_or_default();
    let minor = release
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor < OLDEST_MINOR) {
        bail!(
            "`{}` is {release}, older than 1.{OLDEST_MINOR}",
            rustc.display()
        );
    }
    let linked = shell::output(shell::command(rustc).args(["--print", "sysroot"]))?;
    let candidates = [
        PathBuf::from(format!("/usr/src/rustc-{release}/library")),
        Path::new(linked.trim()).join("lib/rustlib/src/rust/library"),
    ];
    let found = candidates
        .into_iter()
        .find(|path| path.join("std/src/lib.rs").is_file());
    found.with_context(|| format!("the library sources of rustc {release} are not installed"))
}

/// Returns a sysroot with the target's standard library, building it where it is not there yet.
///
/// # Errors
/// The build fails: about a minute and a half of processor time, and the network once for std's own crates.
pub(crate) fn build(rustc: &Path, cargo: &Path) -> Result<PathBuf> {
    let sources = sources(rustc)?;
    let version = shell::output(shell::command(rustc).arg("-vV"))?;
    let key =
        blake3::hash(format!("{version}\n{}", include_str!("sysroot.rs")).as_bytes()).to_hex();
    let store = shell::root().join("target/wasm-sysroot");
    let sysroot = store.join(&key[..16]);
    if sysroot.is_dir() {
        return Ok(sysroot);
    }
    eprintln!(
        "building std for `{}` with {}",
        toolchain::TARGET,
        version.lines().next().unwrap_or_default()
    );
    fs::create_dir_all(&store)?;
    // Built beside its place and moved there when complete: an interrupted build leaves nothing to be found.
    let work = tempfile::Builder::new()
        .prefix("building-")
        .tempdir_in(&store)?;
    compile(rustc, cargo, &sources, work.path())?;
    let staged = work.path().join("sysroot");
    let libraries = staged
        .join("lib/rustlib")
        .join(toolchain::TARGET)
        .join("lib");
    fs::create_dir_all(&libraries)?;
    let built = work
        .path()
        .join("target")
        .join(toolchain::TARGET)
        .join("release/deps");
    for entry in
        fs::read_dir(&built).with_context(|| format!("no libraries in {}", built.display()))?
    {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libseed-") {
            fs::copy(&path, libraries.join(name))?;
        }
    }
    fs::rename(&staged, &sysroot)?;
    Ok(sysroot)
}

/// Compiles an empty crate together with std, which leaves std's libraries in the target directory.
fn compile(rustc: &Path, cargo: &Path, sources: &Path, work: &Path) -> Result<()> {
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "")?;
    fs::write(
        work.join("Cargo.toml"),
        "[package]\nname = \"seed\"\nedition = \"2024\"\n[profile.release]\ndebug = false\n[workspace]\n",
    )?;
    // Guests are linked with `lto = true`, which needs the bitcode of std.
    let mut flags = vec!["-Cembed-bitcode=yes".to_owned()];
    flags.push(format!(
        "--remap-path-prefix={}=/rustc/library",
        sources.display()
    ));
    for registry in toolchain::registries()? {
        flags.push(format!(
            "--remap-path-prefix={}=/rustc/deps",
            registry.display()
        ));
    }
    let mut build = shell::command(cargo);
    build
        .current_dir(work)
        .args([
            "build",
            "--release",
            "-Zbuild-std=std,panic_abort",
            "--target",
            toolchain::TARGET,
        ])
        .env("RUSTC", rustc)
        // The compiler is a stable one; building its own std is what this switch is for.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env_remove("RUSTC_WRAPPER");
    shell::run(&mut build)
}
