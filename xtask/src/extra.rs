//! `cargo xtask extra`: checks that need more tools or time than a change should wait for.

use crate::skips::Skips;
use crate::toolchain::TARGET;
use crate::{Options, guests, shell};
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Runs every part to its end. A part whose tool is missing is named as skipped.
///
/// # Errors
/// A part fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let metadata = shell::metadata()?;
    let mut skips = Skips::default();
    let parts: [(&str, Result<()>); 6] = [
        (
            "licences and advisories",
            tool("cargo-deny", &["check"], options, &mut skips),
        ),
        ("spelling", tool("typos", &[], options, &mut skips)),
        ("lints of the guests", guest_lints(options, &mut skips)),
        ("features", features(&metadata)),
        ("oldest compiler", oldest(&metadata, options, &mut skips)),
        ("packaging", packaging(&metadata, &mut skips)),
    ];
    skips.print();
    let failed: Vec<_> = parts
        .iter()
        .filter_map(|(name, result)| Some((name, result.as_ref().err()?)))
        .collect();
    for (name, error) in &failed {
        println!("failed: {name}: {error:#}");
    }
    if !failed.is_empty() {
        bail!("{} of {} parts failed", failed.len(), parts.len());
    }
    Ok(())
}

/// Runs a tool, installing it first where it is missing and that is allowed.
fn tool(name: &str, args: &[&str], options: &Options, skips: &mut Skips) -> Result<()> {
    let package = if name == "typos" { "typos-cli" } else { name };
    if !shell::succeeds(shell::command(name).arg("--version")) {
        if !options.yes {
            skips.add(
                name,
                format!("not installed; `cargo install --locked {package}`, or say `--yes`"),
            );
            return Ok(());
        }
        shell::run(shell::cargo().args(["install", "--locked", package]))?;
    }
    shell::run(shell::command(name).args(args))
}

/// Runs clippy over the guests, where the compiler at hand has their target.
fn guest_lints(options: &Options, skips: &mut Skips) -> Result<()> {
    let toolchain = crate::toolchain::find(options)?;
    if toolchain.route == crate::toolchain::Route::Debian {
        skips.add(
            "lints of the guests",
            "clippy cannot use the sysroot of another compiler",
        );
        return Ok(());
    }
    for manifest in [
        "guests/Cargo.toml",
        "examples/repo-report/Cargo.toml",
        "sdk/rust/Cargo.toml",
        "sdk/parity/rust/Cargo.toml",
    ] {
        let mut clippy = toolchain.cargo();
        clippy.args([
            "clippy",
            "--quiet",
            "--release",
            "--target",
            TARGET,
            "--manifest-path",
            manifest,
        ]);
        clippy
            .args(["--", "-D", "warnings"])
            .env("CARGO_TARGET_DIR", guests::target_directory());
        shell::run(&mut clippy)?;
    }
    Ok(())
}

/// Checks each package without features, with each feature alone and with all.
fn features(metadata: &Value) -> Result<()> {
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().context("a package has a name")?;
        let features: Vec<&str> = package["features"]
            .as_object()
            .into_iter()
            .flat_map(|map| map.keys())
            .map(String::as_str)
            .collect();
        let check = |extra: &[&str]| {
            shell::run(
                shell::cargo()
                    .args(["check", "--quiet", "--package", name])
                    .args(extra),
            )
        };
        if features.is_empty() {
            check(&[])?;
            continue;
        }
        check(&["--no-default-features"])?;
        for feature in &features {
            check(&["--no-default-features", "--features", feature])?;
        }
        check(&["--all-features"])?;
    }
    Ok(())
}

/// Checks the workspace with the oldest compiler it promises.
fn oldest(metadata: &Value, options: &Options, skips: &mut Skips) -> Result<()> {
    let versions = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|package| package["rust_version"].as_str());
    let version = versions
        .max()
        .context("no package names its oldest compiler")?;
    // `1.95` in a manifest is the toolchain `1.95.0`; rustup's `1.95` would be its last patch.
    let toolchain = &if version.matches('.').count() == 1 {
        format!("{version}.0")
    } else {
        version.to_owned()
    };
    let cargo = || {
        let mut command = shell::command("rustup");
        // Set by the cargo that runs this task, for the compiler of that cargo.
        command
            .env_remove("RUSTUP_TOOLCHAIN")
            .env_remove("RUSTC")
            .args(["run", toolchain, "cargo"]);
        command
    };
    if !shell::succeeds(cargo().arg("--version")) {
        let install = ["toolchain", "install", "--profile", "minimal", toolchain];
        if !options.yes {
            skips.add(
                "oldest compiler",
                format!(
                    "not installed; `rustup {}`, or say `--yes`",
                    install.join(" ")
                ),
            );
            return Ok(());
        }
        shell::run(shell::command("rustup").args(install))?;
    }
    shell::run(cargo().args([
        "check",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--locked",
    ]))
}

/// Packs what would be published.
fn packaging(metadata: &Value, skips: &mut Skips) -> Result<()> {
    let published: Vec<&str> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|package| {
            package["publish"]
                .as_array()
                .is_none_or(|registries| !registries.is_empty())
        })
        .filter_map(|package| package["name"].as_str())
        .collect();
    if published.is_empty() {
        skips.add("packaging", "every package has `publish = false`");
        return Ok(());
    }
    let selected = published.iter().flat_map(|name| ["--package", name]);
    shell::run(
        shell::cargo()
            .args(["package", "--no-verify", "--locked"])
            .args(selected),
    )
}
