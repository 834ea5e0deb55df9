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

/// What a machine or user cannot show.
const NOT_TRIED: &str = "not tried";
const NOT_MEASURED: &str = "not measured";

type Cells = BTreeMap<(&'static str, Tier, User), String>;

/// What was measured in this run.
static MEASURED: Mutex<Cells> = Mutex::new(BTreeMap::new());

/// Notes what a case came to; a failure is noted as one, so that it cannot be published as anything else.
pub(crate) fn note(case: &Case, tier: Tier, user: User, verdict: &Verdict) {
    let result = match verdict {
        Verdict::Holds(seen) => seen.clone(),
        Verdict::Without(_) => NOT_TRIED.to_owned(),
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
            .map_or(NOT_MEASURED, String::as_str)
    };
    let (root, user) = (get(User::Root), get(User::Ordinary));
    if root == user {
        root.to_owned()
    } else {
        format!("{root}, {user}")
    }
}

/// SECURITY.md around and in its table.
///
/// # Errors
/// It has no markers.
fn parts() -> Result<[String; 3], String> {
    let text = std::fs::read_to_string(repository().join("SECURITY.md")).unwrap();
    let missing = || format!("SECURITY.md has no `{BEGIN}` … `{END}`");
    let (before, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (table, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok([before, table, after].map(str::to_owned))
}

/// Returns the first line of the table in SECURITY.md that is not what was measured, with what was.
///
/// What a machine cannot show is compared with nothing.
///
/// # Errors
/// SECURITY.md has no markers.
pub(crate) fn difference(measured: &str) -> Result<Option<String>, String> {
    let [_, published, _] = parts()?;
    let (published, measured) = (published.trim(), measured.trim());
    let pairs = published.lines().zip(measured.lines());
    let other = pairs.into_iter().find(|(line, seen)| !agree(line, seen));
    if let Some((line, seen)) = other {
        return Ok(Some(format!("published: {line}\nmeasured:  {seen}")));
    }
    let lines = (published.lines().count(), measured.lines().count());
    Ok((lines.0 != lines.1)
        .then(|| format!("published are {} lines, measured {}", lines.0, lines.1)))
}

fn agree(published: &str, measured: &str) -> bool {
    let (published, measured) = (published.split(" | "), measured.split(" | "));
    let both = |cell: &str| match cell.split_once(", ") {
        Some((root, user)) => [root.to_owned(), user.to_owned()],
        None => [cell.to_owned(), cell.to_owned()],
    };
    let unknown = |text: &str| text.contains(NOT_TRIED) || text.contains(NOT_MEASURED);
    published.clone().count() == measured.clone().count()
        && published.zip(measured).all(|(one, other)| {
            one == other
                || both(one)
                    .iter()
                    .zip(&both(other))
                    .all(|(one, other)| one == other || unknown(one) || unknown(other))
        })
}

/// Puts a table between the markers of SECURITY.md.
pub(crate) fn publish(table: &str) -> Result<(), String> {
    let [before, _, after] = parts()?;
    let new = format!("{before}{BEGIN}\n{}\n{END}{after}", table.trim());
    std::fs::write(repository().join("SECURITY.md"), new).map_err(|error| error.to_string())
}
