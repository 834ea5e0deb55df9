//! The committed example component against the one built from the sources beside it.

use crate::component::Shape;
use crate::{guests, shell};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::PathBuf;

/// Bytes; what a plugin that runs three commands may weigh.
const LIMIT: usize = 150 * 1024;

fn committed() -> PathBuf {
    shell::root().join("examples/repo-report/repo-report.wasm")
}

fn built() -> PathBuf {
    guests::directory().join("repo-report.wasm")
}

/// Replaces the committed component with the built one.
///
/// # Errors
/// There is none, or it does not pass [`check`].
pub(crate) fn bless() -> Result<()> {
    fs::copy(built(), committed()).with_context(|| format!("cannot copy {}", built().display()))?;
    check()
}

/// Compares the two: byte for byte where the same compiler made both, else by imports and exports. That both
/// answer alike when run is a test of the command line.
///
/// # Errors
/// They differ, or the committed one is too large.
pub(crate) fn check() -> Result<()> {
    let read =
        |path: PathBuf| fs::read(&path).with_context(|| format!("cannot read {}", path.display()));
    compare(&read(committed())?, &read(built())?)
}

fn compare(committed: &[u8], built: &[u8]) -> Result<()> {
    let remedy = "if the change is meant, run `cargo xtask guests --bless` and commit the result";
    if committed.len() > LIMIT {
        bail!(
            "the committed component has {} bytes, more than {LIMIT}",
            committed.len()
        );
    }
    let (was, is) = (Shape::of(committed)?, Shape::of(built)?);
    if (&was.imports, &was.exports) != (&is.imports, &is.exports) {
        bail!(
            "the committed component does not have the imports and exports of its sources: {was:?}, {is:?}; {remedy}"
        );
    }
    // Other hosts' releases of one compiler are not promised to agree to the byte.
    let comparable = cfg!(all(target_arch = "x86_64", target_os = "linux"));
    if comparable && was.rustc.is_some() && was.rustc == is.rustc && committed != built {
        bail!(
            "the committed component is not what its sources give with the same compiler; {remedy}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(export: &str) -> Vec<u8> {
        let text = r#"(component
            (core module $m (func (export "f")) (@producers (processed-by "rustc" "1.0")))
            (core instance $i (instantiate $m))
            (func (export "NAME") (canon lift (core func $i "f"))))"#;
        wat::parse_str(text.replace("NAME", export)).unwrap()
    }

    #[test]
    fn the_same_bytes_agree() {
        assert_eq!(
            Shape::of(&component("run")).unwrap().rustc.as_deref(),
            Some("1.0")
        );
        compare(&component("run"), &component("run")).unwrap();
    }

    #[test]
    fn another_export_is_a_difference() {
        assert!(
            compare(&component("run"), &component("walk"))
                .unwrap_err()
                .to_string()
                .contains("imports and exports")
        );
    }

    #[test]
    fn other_bytes_of_the_same_compiler_are_a_difference() {
        let mut other = component("run");
        // An empty custom section called `x`: nothing but bytes.
        other.extend([0, 2, 1, b'x']);
        let compared = compare(&component("run"), &other);
        assert_eq!(
            compared.is_err(),
            cfg!(all(target_arch = "x86_64", target_os = "linux"))
        );
    }

    #[test]
    fn a_component_over_the_limit_is_refused() {
        assert!(
            compare(&vec![0; LIMIT + 1], &[])
                .unwrap_err()
                .to_string()
                .contains("more than")
        );
    }
}
