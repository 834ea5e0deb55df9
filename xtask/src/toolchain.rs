//! Finding a compiler that builds for `wasm32-unknown-unknown`.
//!
//! Three ways, tried in order: the target is there already; rustup adds it; Debian's packages have the
//! compiler and the sources of its standard library, which is then built once (see [`crate::sysroot`]).

use crate::{Options, packages, shell, sysroot};
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

/// The target of all guests: components without WASI underneath, so no adapter.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";
/// The target of guests that are core modules on WASI preview 1.
pub(crate) const WASI: &str = "wasm32-wasip1";

/// A way to get the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Route {
    /// The compiler at hand has it.
    Installed,
    /// `rustup target add`.
    Rustup,
    /// Debian's `rustc-web` and its sources.
    Debian,
}

impl FromStr for Route {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "installed" => Ok(Self::Installed),
            "rustup" => Ok(Self::Rustup),
            "debian" => Ok(Self::Debian),
            _ => bail!("unknown route `{name}`, expected one of `installed`, `rustup`, `debian`"),
        }
    }
}

/// A compiler with the target.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// How it was come by.
    pub(crate) route: Route,
    /// What `rustc -vV` prints.
    pub(crate) version: String,
    cargo: PathBuf,
    rustc: PathBuf,
    /// The sysroot that was built here, and the linker the distribution has.
    built: Option<(PathBuf, String)>,
}

impl Toolchain {
    /// Prepares its cargo, free of settings that were meant for the host.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = shell::command(&self.cargo);
        command.env("RUSTC", &self.rustc);
        for name in [
            "RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_TARGET",
            "RUSTC_WRAPPER",
        ] {
            command.env_remove(name);
        }
        if let Some((_, linker)) = &self.built {
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }

    /// Flags for the target, in the form of `CARGO_ENCODED_RUSTFLAGS`. Paths of this machine are replaced, so
    /// that the same sources give the same bytes everywhere.
    pub(crate) fn rustflags(&self) -> Result<OsString> {
        let mut flags = remap()?;
        if let Some((sysroot, _)) = &self.built {
            flags.push(format!("--sysroot={}", sysroot.display()));
        }
        Ok(flags.join("\u{1f}").into())
    }

    /// One line for the reader.
    pub(crate) fn describe(&self) -> String {
        let rustc = self.version.lines().next().unwrap_or_default();
        match (self.route, &self.built) {
            (Route::Installed, _) => format!("{rustc}, target already installed"),
            (Route::Rustup, _) => format!("{rustc}, target added by rustup"),
            (Route::Debian, Some((sysroot, linker))) => {
                format!(
                    "{rustc} of Debian, std in {}, linked by {linker}",
                    sysroot.display()
                )
            }
            (Route::Debian, None) => format!("{rustc} of Debian"),
        }
    }
}

/// Replaces the repository's root and each unpacked registry in the paths the compiler writes down.
fn remap() -> Result<Vec<String>> {
    let mut flags = vec![format!(
        "--remap-path-prefix={}=/src",
        shell::root().display()
    )];
    for registry in registries()? {
        flags.push(format!("--remap-path-prefix={}=/deps", registry.display()));
    }
    Ok(flags)
}

/// The directories that hold unpacked crates; their names depend on how the registry is reached.
pub(crate) fn registries() -> Result<Vec<PathBuf>> {
    let home = shell::env("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| shell::env("HOME").map(|home| Path::new(&home).join(".cargo")));
    let sources = home
        .context("neither `CARGO_HOME` nor `HOME` is set")?
        .join("registry/src");
    let Ok(entries) = std::fs::read_dir(sources) else {
        return Ok(Vec::new());
    };
    let mut found = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// Finds a compiler with the target.
///
/// # Errors
/// There is none and none can be had; the text says what was tried and what would help.
pub(crate) fn find(options: &Options) -> Result<Toolchain> {
    let routes = match &options.route {
        Some(route) => std::slice::from_ref(route),
        None => &[Route::Installed, Route::Rustup, Route::Debian][..],
    };
    let mut tried = String::new();
    for &route in routes {
        let found = match route {
            Route::Installed => installed(route, TARGET),
            Route::Rustup => rustup(TARGET),
            Route::Debian => debian(options),
        };
        match found {
            Ok(toolchain) => return Ok(toolchain),
            Err(error) => tried.push_str(&format!("\n  {route:?}: {error:#}")),
        }
    }
    bail!("no compiler here builds for `{TARGET}`; tried{tried}")
}

/// Finds a compiler with the target of WASI preview 1. Debian's packages have none that suffices.
///
/// # Errors
/// As [`find`].
pub(crate) fn find_wasi() -> Result<Toolchain> {
    installed(Route::Installed, WASI).or_else(|_| rustup(WASI))
}

fn installed(route: Route, target: &str) -> Result<Toolchain> {
    let rustc = PathBuf::from(shell::env("RUSTC").unwrap_or_else(|| "rustc".to_owned()));
    let sysroot = shell::output(shell::command(&rustc).args(["--print", "sysroot"]))?;
    let std = Path::new(sysroot.trim())
        .join("lib/rustlib")
        .join(target)
        .join("lib");
    let has_std = std::fs::read_dir(&std).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
        })
    });
    if !has_std {
        bail!("no standard library in {}", std.display());
    }
    Ok(Toolchain {
        route,
        version: version(&rustc)?,
        cargo: shell::env("CARGO")
            .unwrap_or_else(|| "cargo".to_owned())
            .into(),
        rustc,
        built: None,
    })
}

fn rustup(target: &str) -> Result<Toolchain> {
    if !shell::succeeds(shell::command("rustup").arg("--version")) {
        bail!("rustup is not installed");
    }
    shell::run(shell::command("rustup").args(["target", "add", target]))?;
    installed(Route::Rustup, target)
}

/// The packages of the third route.
const PACKAGES: [&str; 5] = [
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "libstd-rust-web-dev",
    "lld-22",
];

fn debian(options: &Options) -> Result<Toolchain> {
    let rustc = PathBuf::from("/usr/bin/rustc");
    if sysroot::linker().is_none() || sysroot::sources(&rustc).is_err() {
        packages::install(options, &PACKAGES)?;
    }
    let linker = sysroot::linker().context("no `wasm-ld` was found")?;
    let sysroot = sysroot::build(&rustc, Path::new("/usr/bin/cargo"))?;
    Ok(Toolchain {
        route: Route::Debian,
        version: version(&rustc)?,
        cargo: "/usr/bin/cargo".into(),
        rustc,
        built: Some((sysroot, linker)),
    })
}

fn version(rustc: &Path) -> Result<String> {
    shell::output(shell::command(rustc).arg("-vV"))
}
