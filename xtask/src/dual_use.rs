//! The programs that tests start, those of dual-use programs and of recipes above all: which are missing, and getting them.

use crate::{Options, packages, shell};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The table of the former, one file a category.
const TABLE: &str = "crates/portcullis-cli/tests/dual_use/programs";
/// The table of the latter.
const RECIPES: &str = "crates/portcullis-cli/tests/recipes/programs.toml";
/// What other tests start, by package: a registry on loopback, and a browser for the page of a run.
const OTHERS: [(&str, &str); 2] = [
    ("docker-registry", "docker-registry"),
    ("chromium", "chromium"),
];
/// Where the tests look for a program.
const DIRECTORIES: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];

/// Installs what is missing where that was allowed; else says how, and the tests skip those programs by name.
///
/// # Errors
/// The table does not parse, or the installation fails. Without permission to install, missing programs are no error.
pub(crate) fn install(options: &Options) -> Result<()> {
    let mut missing = BTreeSet::new();
    let mut tables = vec![shell::root().join(RECIPES)];
    for file in fs::read_dir(shell::root().join(TABLE))? {
        tables.push(file?.path());
    }
    for path in tables {
        let text = fs::read_to_string(&path)?;
        let found = packages_of(&text, is_installed);
        missing.extend(found.with_context(|| format!("cannot read {}", path.display()))?);
    }
    let others = OTHERS.iter().filter(|(program, _)| !is_installed(program));
    missing.extend(others.map(|(_, package)| (*package).to_owned()));
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(String::as_str).collect();
    match packages::install(options, &names) {
        Err(error) if !options.yes => {
            println!("programs for the tests are missing: {error:#}");
            Ok(())
        }
        result => result,
    }
}

fn is_installed(program: &str) -> bool {
    DIRECTORIES
        .iter()
        .any(|directory| Path::new(directory).join(program).is_file())
}

/// The packages of the programs in a part of the table that are not there, without those that are marked as heavy: they
/// are tried where somebody has installed them.
fn packages_of(table: &str, installed: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let table: Value = toml::from_str(table)?;
    let programs = table["program"].as_object().context("no programs")?;
    let missing = programs
        .iter()
        .filter(|(name, entry)| entry["heavy"] != true && !installed(name));
    missing
        .map(|(name, entry)| {
            let package = entry["package"].as_str();
            Ok(package
                .with_context(|| format!("no package for `{name}`"))?
                .to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "category = \"editors\"\n[program.ed]\npackage = \"ed\"\n\
        [program.\"vim.tiny\"]\npackage = \"vim-tiny\"\n\
        [program.nvim]\npackage = \"neovim\"\nheavy = true\n";

    #[test]
    fn packages_are_those_of_missing_programs() {
        let missing = packages_of(TABLE, |name| name == "ed").unwrap();
        assert_eq!(missing, ["vim-tiny"]);
        assert_eq!(packages_of(TABLE, |_| true).unwrap(), [""; 0]);
    }

    #[test]
    fn a_program_without_a_package_is_an_error() {
        let error = packages_of("[program.ed]\n", |_| false).unwrap_err();
        assert!(error.to_string().contains("`ed`"), "{error}");
    }
}
