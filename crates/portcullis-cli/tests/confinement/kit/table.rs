//! The table of SECURITY.md: what was measured, per case, tier and user.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use portcullis_testkit::repository;

use super::{
    case::{Case, Tier},
    machine::User,
    verdict::Verdict,
};

const BEGIN: &str = "<!-- confinement table -->";
const END: &str = "<!-- /confinement table -->";

type Cells = BTreeMap<(&'static str, Tier, User), String>;

/// What was measured in this run.
static MEASURED: Mutex<Cells> = Mutex::new(BTreeMap::new());

/// Notes what a case came to; a failure is noted as one, so that it cannot be published as anything else.
pub(crate) fn note(case: &Case, tier: Tier, user: User, verdict: &Verdict) {
    let result = match verdict {
        Verdict::Holds(seen) => seen.clone(),
        Verdict::Without(_) => "not tried".to_owned(),
        Verdict::Broken(_) => "**broken**".to_owned(),
        Verdict::Invalid(_) => "**invalid**".to_owned(),
    };
    MEASURED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert((case.number, tier, user), result);
}

/// The table in Markdown, of the measured cells alone.
pub(crate) fn markdown(cases: &[&Case], elsewhere: &[(&str, &str, &str)]) -> String {
    let measured = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = String::from(
        "| case | the command | full: root, user | namespaces | landlock |\n|---|---|---|---|---|\n",
    );
    for case in cases {
        let cell = |tier: Tier| cell(&measured, case.number, tier);
        writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            case.number,
            case.title,
            cell(Tier::Full),
            cell(Tier::Namespaces),
            cell(Tier::Landlock)
        )
        .unwrap();
    }
    for (number, title, place) in elsewhere {
        writeln!(text, "| {number} | {title} | {place} | | |").unwrap();
    }
    text
}

/// One word where root and the user got the same.
fn cell(measured: &Cells, number: &'static str, tier: Tier) -> String {
    let get = |user: User| {
        measured
            .get(&(number, tier, user))
            .map_or("not measured", String::as_str)
    };
    let (root, user) = (get(User::Root), get(User::Ordinary));
    if root == user {
        root.to_owned()
    } else {
        format!("{root}, {user}")
    }
}

/// Returns the table that SECURITY.md has.
///
/// # Errors
/// It has no markers.
pub(crate) fn published() -> Result<String, String> {
    let text = std::fs::read_to_string(repository().join("SECURITY.md")).unwrap();
    let missing = || format!("SECURITY.md has no `{BEGIN}` … `{END}`");
    let (_, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (table, _) = rest.split_once(END).ok_or_else(missing)?;
    Ok(table.trim().to_owned())
}

/// Puts a table between the markers of SECURITY.md.
pub(crate) fn publish(table: &str) -> Result<(), String> {
    let path = repository().join("SECURITY.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let old = format!("{BEGIN}\n{}\n{END}", published()?);
    let new = format!("{BEGIN}\n{}\n{END}", table.trim());
    std::fs::write(path, text.replace(&old, &new)).map_err(|error| error.to_string())
}
