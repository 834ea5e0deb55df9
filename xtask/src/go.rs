//! Guests in Go: `guests/reglet`, once for each generation of its plugins, and those made with the SDK, for hosts of Reglet and for ours.
//!
//! They are built again only when their sources, the compiler or the way of building changed.

use crate::skips::Skips;
use crate::{guests, shell};
use anyhow::Result;
use std::fs;
use std::process::Command;

/// Where the sources are, from the repository's root.
const DIRECTORY: &str = "guests/reglet";

/// Where the SDK is.
const SDK: &str = "sdk/go";

/// Where the plugin is that does with the SDK all that is written down in `sdk/parity`.
const PARITY: &str = "sdk/parity/go";

/// Each guest by its name, with its module and package, and the tags that make it.
const GUESTS: [(&str, [&str; 2], &str); 6] = [
    ("reglet-1a", [DIRECTORY, "."], "gen1a"),
    ("reglet-1b", [DIRECTORY, "."], "gen1b"),
    ("reglet-2", [DIRECTORY, "."], "gen2"),
    ("reglet-http", [DIRECTORY, "."], "gen2,http"),
    ("reglet-net", [SDK, "./internal/labprobe"], "reglet"),
    ("parity-go", [PARITY, "."], ""),
];

/// Builds what is not up to date. Without a compiler it is named as skipped, and so are its tests.
///
/// # Errors
/// A guest does not build.
pub(crate) fn run(skips: &mut Skips) -> Result<()> {
    let Ok(version) = shell::output(Command::new("go").arg("version")) else {
        skips.add(DIRECTORY, "no compiler for Go: `go` is not there");
        return Ok(());
    };
    let made_by = [version.as_str(), include_str!("go.rs")];
    let key = guests::key_of(&made_by, &[DIRECTORY, SDK, PARITY])?;
    let stamp = guests::directory().join(".guests-reglet.stamp");
    if guests::is_current(&stamp, &key) {
        eprintln!("guests: {DIRECTORY} is up to date");
        return Ok(());
    }
    let mut lines = vec![key];
    for (name, [module, package], tags) in GUESTS {
        let file = format!("{name}.wasm");
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-buildmode=c-shared", "-ldflags=-s"])
            .args(["-tags", tags, "-o"])
            .arg(guests::partial(&file))
            .arg(package)
            .current_dir(shell::root().join(module))
            .env("GOOS", "wasip1")
            .env("GOARCH", "wasm")
            .env("GOFLAGS", "")
            .env("GOWORK", "off")
            .env("GOTOOLCHAIN", "local");
        shell::run(&mut go)?;
        lines.push(guests::put(&file)?);
    }
    Ok(fs::write(stamp, lines.join("\n") + "\n")?)
}
