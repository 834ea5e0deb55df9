//! The modules in Go: their format, `go vet` for each host that they are built for, and their tests.

use crate::shell;
use crate::skips::Skips;
use anyhow::{Result, bail};
use std::process::Command;

/// Where the modules are.
const MODULES: [&str; 3] = [
    "sdk/go",
    "sdk/go-aliases/reglet",
    "sdk/go-aliases/reglet-sdk",
];

/// Looks over every module and runs its tests; without Go it is skipped.
///
/// # Errors
/// A file is not formatted, `go vet` finds something, or a test fails.
pub(crate) fn check(skips: &mut Skips) -> Result<()> {
    if !shell::succeeds(shell::command("go").arg("version")) {
        skips.add("go-sdk", "go is not installed");
        return Ok(());
    }
    for module in MODULES {
        let unformatted = shell::output(shell::command("gofmt").args(["-l", module]))?;
        if !unformatted.is_empty() {
            bail!("not formatted: {}", unformatted.trim());
        }
        shell::run(&mut go(module, &["vet", "./..."]))?;
        for tags in ["", "reglet"] {
            let mut vet = go(module, &["vet", "-tags", tags, "./..."]);
            shell::run(vet.env("GOOS", "wasip1").env("GOARCH", "wasm"))?;
        }
        shell::run(&mut go(module, &["test", "./..."]))?;
    }
    Ok(())
}

/// The toolchain that is here and no other, on one module alone.
fn go(module: &str, args: &[&str]) -> Command {
    let mut go = shell::command("go");
    go.current_dir(shell::root().join(module))
        .args(args)
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off");
    go
}
