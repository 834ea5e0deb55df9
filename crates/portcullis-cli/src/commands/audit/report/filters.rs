//! Which rows are seen: choices and the rules of style that make them work without a script.

use std::fmt::Write as _;

use super::model::{Kind, Mark, Row};

/// Rows of a group, at most.
pub(super) const GROUP: usize = 100;

/// Steps in which the place of a bar is said, and its length.
pub(super) const STEPS: u64 = 100;

/// The rules for every choice: rows without what was chosen, and groups without such rows, are not shown.
pub(super) fn rules() -> String {
    let mut rules = String::new();
    let mut rule = |chosen: &str, class: &str| {
        // Writing to a string cannot fail.
        let _ = write!(
            rules,
            "main:has({chosen}:checked) :is(tr.c,.g):not(.{class}){{display:none}}"
        );
    };
    for mark in Mark::ALL {
        rule(&format!("#m-{}", mark.class()), mark.class());
    }
    for kind in Kind::ALL {
        rule(&format!("#k-{}", kind.class()), kind.class());
        for mark in Mark::ALL {
            let both = format!("{}-{}", mark.class(), kind.class());
            let chosen = format!("#m-{}:checked):has(#k-{}", mark.class(), kind.class());
            rule(&chosen, &both);
        }
    }
    for step in 0..=STEPS {
        let _ = write!(
            rules,
            ".l{step}{{margin-left:{step}%}}.w{step}{{width:{step}%}}"
        );
    }
    rules
}

/// The classes of a row, or of the rows of a group: what they are, what they are about, and both at once, since a group may
/// have one row of each and none of both.
pub(super) fn classes(rows: &[Row]) -> String {
    let mut classes: Vec<String> = Vec::new();
    for kind in Kind::ALL {
        let mut of_kind = rows.iter().filter(|row| row.kind == kind).peekable();
        if of_kind.peek().is_some() {
            classes.push(kind.class().to_owned());
        }
        for mark in Mark::ALL {
            if rows.iter().any(|row| row.kind == kind && row.is(mark)) {
                classes.push(format!("{}-{}", mark.class(), kind.class()));
            }
        }
    }
    for mark in Mark::ALL {
        if rows.iter().any(|row| row.is(mark)) {
            classes.push(mark.class().to_owned());
        }
    }
    classes.join(" ")
}

/// Where a bar begins and how long it is, in steps of what is shown from `from_us` on. Never nothing, and never beyond it.
pub(super) fn bar(at_us: u64, end_us: u64, from_us: u64, span_us: u64) -> (u64, u64) {
    let step = |us: u64| {
        let steps = u128::from(us.saturating_sub(from_us)) * u128::from(STEPS);
        let steps = steps / u128::from(span_us.max(1));
        u64::try_from(steps).unwrap_or(STEPS).min(STEPS)
    };
    let begins = step(at_us).min(STEPS - 1);
    let ends = step(end_us).max(begins + 1);
    (begins, ends - begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_seen_and_stays_within() {
        assert_eq!(bar(0, 1_000, 0, 1_000), (0, 100));
        assert_eq!(bar(500, 501, 0, 1_000), (50, 1));
        assert_eq!(bar(1_000, 5_000, 0, 1_000), (99, 1));
        assert_eq!(bar(0, u64::MAX, 10, 0), (0, 100));
        assert_eq!(bar(300, 400, 200, 400), (25, 25));
    }
}
