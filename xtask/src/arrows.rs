//! Which crate may depend on which, and where `unsafe` may stand.

use crate::shell;
use anyhow::{Result, bail};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Each crate of ours and those of ours it may depend on. Tests may use more, shipped code may not.
const ARROWS: [(&str, &[&str]); 20] = [
    ("portcullis-policy", &[]),
    ("portcullis-confine", &[]),
    ("portcullis-private", &[]),
    ("portcullis-codecache", &["portcullis-private"]),
    ("portcullis-audit", &["portcullis-private"]),
    ("portcullis-config", &["portcullis-policy"]),
    ("portcullis-fetch", &["portcullis-policy"]),
    ("portcullis-kv", &["portcullis-private"]),
    (
        "portcullis-registry",
        &["portcullis-kv", "portcullis-private"],
    ),
    ("portcullis-proxy", &["portcullis-policy"]),
    ("portcullis-stage", &["portcullis-private"]),
    (
        "portcullis-exec",
        &[
            "portcullis-confine",
            "portcullis-policy",
            "portcullis-private",
            "portcullis-proxy",
        ],
    ),
    (
        "portcullis",
        &[
            "portcullis-audit",
            "portcullis-codecache",
            "portcullis-config",
            "portcullis-exec",
            "portcullis-kv",
            "portcullis-policy",
            "portcullis-private",
            "portcullis-proxy",
            "portcullis-stage",
        ],
    ),
    (
        "portcullis-cli",
        &[
            "portcullis",
            "portcullis-audit",
            "portcullis-config",
            "portcullis-fetch",
            "portcullis-policy",
            "portcullis-private",
            "portcullis-registry",
        ],
    ),
    (
        "portcullis-testkit",
        &[
            "portcullis",
            "portcullis-audit",
            "portcullis-config",
            "portcullis-policy",
        ],
    ),
    // Decoders are tried one by one.
    (
        "portcullis-fuzz",
        &[
            "portcullis-config",
            "portcullis-confine",
            "portcullis-exec",
            "portcullis-policy",
            "portcullis-proxy",
        ],
    ),
    // A measurement reaches past the library to weigh its parts one by one.
    (
        "portcullis-bench",
        &[
            "portcullis",
            "portcullis-audit",
            "portcullis-codecache",
            "portcullis-config",
            "portcullis-confine",
            "portcullis-exec",
            "portcullis-policy",
            "portcullis-spawn-bench",
            "portcullis-testkit",
        ],
    ),
    ("portcullis-spawn-bench", &["portcullis-confine"]),
    ("embed", &["portcullis"]),
    ("xtask", &[]),
];

/// The crates that may contain `unsafe`.
const UNSAFE: [&str; 2] = ["portcullis-confine", "portcullis-codecache"];

/// Checks the workspace.
///
/// # Errors
/// Every arrow and every `unsafe` that should not be, a line each.
pub(crate) fn check() -> Result<()> {
    let metadata = shell::metadata()?;
    let mut faults = wrong_arrows(&metadata);
    for package in packages(&metadata) {
        let (name, manifest) = (text(&package["name"]), text(&package["manifest_path"]));
        if !UNSAFE.contains(&name)
            && let Some(directory) = Path::new(manifest).parent()
        {
            scan(directory, &mut faults)?;
        }
    }
    if !faults.is_empty() {
        bail!(
            "the workspace's rules are broken:\n  {}",
            faults.join("\n  ")
        );
    }
    Ok(())
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn wrong_arrows(metadata: &Value) -> Vec<String> {
    let ours: Vec<&str> = packages(metadata)
        .map(|package| text(&package["name"]))
        .collect();
    let mut faults = Vec::new();
    for package in packages(metadata) {
        let name = text(&package["name"]);
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            faults.push(format!("`{name}` has no line in xtask/src/arrows.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = text(&dependency["name"]);
            let shipped = dependency["kind"] != "dev";
            if shipped && ours.contains(&to) && !allowed.contains(&to) {
                faults.push(format!("`{name}` must not depend on `{to}`"));
            }
        }
    }
    faults
}

/// Collects the lines under a directory that use `unsafe` or lift the lint against it.
fn scan(directory: &Path, faults: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            // What has a manifest of its own is another package, of this workspace or of another.
            if entry.file_name() != "target" && !path.join("Cargo.toml").exists() {
                scan(&path, faults)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for (number, line) in fs::read_to_string(&path)?.lines().enumerate() {
                if is_unsafe(line) {
                    faults.push(format!(
                        "{}:{}: {}",
                        path.display(),
                        number + 1,
                        line.trim()
                    ));
                }
            }
        }
    }
    Ok(())
}

fn is_unsafe(line: &str) -> bool {
    // Put together here, or this file would find itself.
    let word = concat!("un", "safe");
    let code = line.split("//").next().unwrap_or_default();
    let opens = ["{", "fn", "impl", "extern", "trait"]
        .iter()
        .any(|next| code.contains(&format!("{word} {next}")));
    opens || code.contains(&format!("({word}_code"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workspace(from: &str, to: &str, kind: Value) -> Value {
        json!({ "packages": [
            { "name": from, "dependencies": [{ "name": to, "kind": kind }, { "name": "serde", "kind": null }] },
            { "name": "portcullis-exec", "dependencies": [] },
        ] })
    }

    #[test]
    fn the_repository_keeps_its_rules() {
        check().unwrap();
    }

    #[test]
    fn arrows_point_down_only_but_tests_may_look_up() {
        assert_eq!(
            wrong_arrows(&workspace("portcullis", "portcullis-exec", Value::Null)),
            [""; 0]
        );
        let up = wrong_arrows(&workspace(
            "portcullis-policy",
            "portcullis-exec",
            Value::Null,
        ));
        assert_eq!(
            up,
            ["`portcullis-policy` must not depend on `portcullis-exec`"]
        );
        assert_eq!(
            wrong_arrows(&workspace(
                "portcullis-policy",
                "portcullis-exec",
                json!("build")
            ))
            .len(),
            1
        );
        assert_eq!(
            wrong_arrows(&workspace(
                "portcullis-policy",
                "portcullis-exec",
                json!("dev")
            )),
            [""; 0]
        );
    }

    #[test]
    fn a_crate_without_a_line_is_a_fault() {
        assert_eq!(
            wrong_arrows(&workspace("portcullis-new", "serde", Value::Null)).len(),
            1
        );
    }

    #[test]
    fn code_counts_and_prose_does_not() {
        for line in [
            concat!("un", "safe { f() }"),
            concat!("pub un", "safe fn f() {"),
            concat!("#![allow(un", "safe_code)]"),
        ] {
            assert!(is_unsafe(line), "{line}");
        }
        for line in [
            "// un\u{73}afe { in prose }",
            concat!("let un", "safe_names = 1;"),
            "fn f() {}",
        ] {
            assert!(!is_unsafe(line), "{line}");
        }
    }
}
