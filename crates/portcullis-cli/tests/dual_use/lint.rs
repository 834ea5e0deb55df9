//! `portcullis check` warns of every program of the table, and of those of its own list that the table has not.

use crate::entry::Entry;
use crate::kit::Kit;
use crate::known::DUAL_USE;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;

/// Each program is in the list of its kind, and allowing it by name is warned of.
pub(crate) fn trial(kit: &Arc<Kit>, entries: &[Entry]) -> Trial {
    let (kit, entries) = (kit.clone(), entries.to_vec());
    Trial::test("check_warns_of_each", move || {
        let unlisted: Vec<_> = entries.iter().filter(|entry| !is_listed(entry)).collect();
        if let Some(entry) = unlisted.first() {
            let kind = &entry.category;
            return Err(format!("`{}` is not in the list of {kind}", entry.name).into());
        }
        let listed = DUAL_USE.iter().flat_map(|(_, _, names)| *names).copied();
        let silent: Vec<_> = silent_about(&kit, listed.collect())?;
        if silent.is_empty() {
            return Ok(());
        }
        Err(format!("`check` is silent about {silent:?}").into())
    })
}

fn is_listed(entry: &Entry) -> bool {
    DUAL_USE
        .iter()
        .any(|(kind, _, names)| *kind == entry.category && names.contains(&&*entry.name))
}

/// The programs of a policy that allows all of them, with `df`, that get no warning. `df` must be the only one that
/// deserves none.
fn silent_about<'a>(kit: &Kit, names: BTreeSet<&'a str>) -> Result<Vec<&'a str>, Failed> {
    let directory = crate::kit::open_directory().map_err(|error| error.to_string())?;
    let [home, project] = ["home", "project"].map(|name| directory.path().join(name));
    fs::create_dir(&home)?;
    fs::create_dir(&project)?;
    let policy = project.join("policy.toml");
    let allow: Vec<_> = names.iter().copied().chain(["df"]).collect();
    let text = format!(
        "[[plugins]]\nid = \"p\"\npath = {:?}\n[plugins.exec]\nallow = {allow:?}\n",
        kit.guest()
    );
    fs::write(&policy, text)?;
    let output = Command::new(kit.portcullis())
        .args(["check", "--json"])
        .arg(&policy)
        .env_clear()
        .env("HOME", home)
        .current_dir(project)
        .output()?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let warnings = report["warnings"].as_array();
    let warnings = warnings.ok_or_else(|| format!("no warnings in {report}"))?;
    let warned = |name: &str| {
        let text = format!("may run `{name}` with any arguments");
        let mut messages = warnings
            .iter()
            .filter_map(|warning| warning["message"].as_str());
        messages.any(|message| message.ends_with(&text))
    };
    if warned("df") {
        return Err("`check` warns of everything".into());
    }
    Ok(names.into_iter().filter(|name| !warned(name)).collect())
}
