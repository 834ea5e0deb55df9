//! Adds to and removes from a list so that its layout and every comment in it stay.

use toml_edit::{Array, Decor, RawString, Value};

/// Adds a value at the end: on a line of its own where the last one has one.
pub(super) fn push(list: &mut Array, mut value: Value) {
    let trailing = raw(list.trailing());
    let comma = list.trailing_comma();
    let Some(last) = list.iter_mut().last() else {
        // Comments in an empty list stay before the first value.
        let lines = trailing.contains('\n');
        let prefix = if lines {
            format!("{}\n    ", trailing.trim_end())
        } else {
            trailing
        };
        value.decor_mut().set_prefix(prefix);
        list.push_formatted(value);
        return list.set_trailing(if lines { "\n" } else { "" });
    };
    // What stands between the last value and the bracket belongs to the value when no comma follows it.
    let after = if comma {
        trailing
    } else {
        suffix(last.decor()) + &trailing
    };
    let indent = indent(&prefix(last.decor()));
    if !comma {
        last.decor_mut().set_suffix("");
    }
    let (before, between) = after
        .rsplit_once('\n')
        .map_or((None, after.as_str()), |(lines, last)| (Some(lines), last));
    match before {
        Some(lines) => {
            value
                .decor_mut()
                .set_prefix(format!("{}\n{indent}", lines.trim_end()));
            list.push_formatted(value);
            list.set_trailing_comma(true);
            list.set_trailing(format!("\n{between}"));
        }
        None => {
            value.decor_mut().set_prefix(" ");
            list.push_formatted(value);
            list.set_trailing(between);
        }
    }
}

/// Removes the values for which `gone` holds. Returns whether there were any.
pub(super) fn remove(list: &mut Array, mut gone: impl FnMut(usize, &Value) -> bool) -> bool {
    let places: Vec<_> = list
        .iter()
        .enumerate()
        .filter(|(index, value)| gone(*index, value))
        .map(|(i, _)| i)
        .collect();
    for &index in places.iter().rev() {
        let removed = list.remove(index);
        let comments = format!("{}{}", prefix(removed.decor()), suffix(removed.decor()));
        let first = index == 0;
        match list.get_mut(index) {
            Some(next) if comments.contains('#') => {
                let kept = format!("{}{}", comments.trim_end(), prefix(next.decor()));
                next.decor_mut().set_prefix(kept);
            }
            // The first value of a line has no space before it, the others have one.
            Some(next) if first && !prefix(next.decor()).contains(['\n', '#']) => {
                next.decor_mut().set_prefix(comments)
            }
            Some(_) => {}
            None if comments.contains('#') => {
                let kept = format!("{}{}", comments.trim_end(), ended(&raw(list.trailing())));
                list.set_trailing(kept);
            }
            None => {}
        }
    }
    if list.is_empty() {
        list.set_trailing_comma(false);
    }
    !places.is_empty()
}

/// A comment ends with its line.
fn ended(text: &str) -> String {
    if text.contains('\n') {
        text.to_owned()
    } else {
        format!("\n{text}")
    }
}

fn indent(prefix: &str) -> String {
    let line = prefix.rsplit('\n').next().unwrap_or_default();
    if prefix.contains('\n') && line.trim().is_empty() {
        line.to_owned()
    } else {
        "    ".to_owned()
    }
}

fn prefix(decor: &Decor) -> String {
    decor.prefix().map(raw).unwrap_or_default()
}

fn suffix(decor: &Decor) -> String {
    decor.suffix().map(raw).unwrap_or_default()
}

/// Documents are made from text, which takes every raw string out of the input.
fn raw(text: &RawString) -> String {
    text.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use toml_edit::DocumentMut;

    use super::*;

    fn edited(text: &str, change: impl FnOnce(&mut Array)) -> String {
        let mut document: DocumentMut = text.parse().unwrap();
        change(document["a"].as_array_mut().unwrap());
        let out = document.to_string();
        out.parse::<DocumentMut>()
            .unwrap_or_else(|error| panic!("{out}\n{error}"));
        out
    }

    #[test]
    fn a_new_value_takes_the_layout_of_the_list() {
        for (before, after) in [
            ("a = []\n", "a = [\"z\"]\n"),
            ("a = [\"x\"]\n", "a = [\"x\", \"z\"]\n"),
            ("a = [ \"x\" ]\n", "a = [ \"x\", \"z\" ]\n"),
            ("a = [\n  \"x\",\n]\n", "a = [\n  \"x\",\n  \"z\",\n]\n"),
            ("a = [\n  \"x\"\n]\n", "a = [\n  \"x\",\n  \"z\",\n]\n"),
            (
                "a = [\n  \"x\", # why\n]\n",
                "a = [\n  \"x\", # why\n  \"z\",\n]\n",
            ),
            (
                "a = [\n  \"x\" # why\n]\n",
                "a = [\n  \"x\", # why\n  \"z\",\n]\n",
            ),
            ("a = [\n  # none\n]\n", "a = [\n  # none\n    \"z\"\n]\n"),
        ] {
            assert_eq!(
                edited(before, |list| push(list, "z".into())),
                after,
                "{before}"
            );
        }
    }

    #[test]
    fn a_removed_value_leaves_all_comments() {
        let is = |text: &'static str| move |_, value: &Value| value.as_str() == Some(text);
        for (before, gone, after) in [
            ("a = [\"x\"]\n", "x", "a = []\n"),
            ("a = [\"x\", \"y\"]\n", "x", "a = [\"y\"]\n"),
            ("a = [\"x\", \"y\"]\n", "y", "a = [\"x\"]\n"),
            (
                "a = [\n  \"x\", # one\n  \"y\", # two\n]\n",
                "x",
                "a = [ # one\n  \"y\", # two\n]\n",
            ),
            (
                "a = [\n  \"x\", # one\n  \"y\", # two\n]\n",
                "y",
                "a = [\n  \"x\", # one # two\n]\n",
            ),
            (
                "a = [\n  # first\n  \"x\",\n  \"y\",\n]\n",
                "x",
                "a = [\n  # first\n  \"y\",\n]\n",
            ),
        ] {
            assert_eq!(
                edited(before, |list| assert!(remove(list, is(gone)))),
                after,
                "{before}"
            );
        }
        assert_eq!(
            edited("a = [\"x\"]\n", |list| assert!(!remove(list, is("y")))),
            "a = [\"x\"]\n"
        );
    }
}
