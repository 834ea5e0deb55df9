//! Links of the Markdown in this repository: every one that leads to a file of ours leads to one that is there, and to a
//! heading that it has.

use crate::shell;
use anyhow::{Context, Result, bail};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

/// A link or a picture in a page.
#[derive(Debug, PartialEq)]
pub(crate) struct Link {
    /// As it is written.
    pub(crate) destination: String,
    /// Where all of it stands in the text.
    pub(crate) range: Range<usize>,
}

/// What a link leads to.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    /// From the root of the repository.
    pub(crate) path: PathBuf,
    /// The heading, without `#`.
    pub(crate) anchor: Option<String>,
}

/// Checks all Markdown that git knows of.
///
/// # Errors
/// A link leads nowhere.
pub(crate) fn check() -> Result<()> {
    let listed = shell::output(shell::command("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.md",
    ]))?;
    // Deleted, and not yet committed.
    let pages = listed.lines().map(Path::new);
    let pages = pages.filter(|page| shell::root().join(page).is_file());
    let faults = faults(&shell::root(), pages)?;
    if !faults.is_empty() {
        bail!("links that lead nowhere:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

fn faults<'a>(root: &Path, pages: impl Iterator<Item = &'a Path>) -> Result<Vec<String>> {
    let mut headings = BTreeMap::new();
    let mut faults = Vec::new();
    for page in pages {
        let text = fs::read_to_string(root.join(page))
            .with_context(|| format!("cannot read {}", page.display()))?;
        for link in links(&text) {
            let Some(target) = target(page, &link.destination) else {
                continue;
            };
            if let Some(fault) = fault(root, &target, &mut headings)? {
                faults.push(format!(
                    "{}: `{}`: {fault}",
                    page.display(),
                    link.destination
                ));
            }
        }
    }
    Ok(faults)
}

fn fault(
    root: &Path,
    target: &Target,
    headings: &mut BTreeMap<PathBuf, BTreeSet<String>>,
) -> Result<Option<String>> {
    let file = root.join(&target.path);
    if target.path.starts_with("..") || !file.exists() {
        return Ok(Some("no such file".to_owned()));
    }
    let Some(anchor) = &target.anchor else {
        return Ok(None);
    };
    if !headings.contains_key(&target.path) {
        headings.insert(target.path.clone(), anchors(&fs::read_to_string(&file)?));
    }
    let there = headings[&target.path].contains(anchor);
    Ok((!there).then(|| "no such heading".to_owned()))
}

/// What a link in this page leads to, if that is a file of ours.
pub(crate) fn target(page: &Path, destination: &str) -> Option<Target> {
    if destination.contains("://") || destination.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = match destination.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor.to_owned())),
        None => (destination, None),
    };
    let path = match path {
        "" => page.to_owned(),
        path => plain(&page.parent().unwrap_or(Path::new("")).join(path)),
    };
    Some(Target { path, anchor })
}

/// A path without `.` and `..`, as far as it goes.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

fn parser(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// Every link and picture of a page.
pub(crate) fn links(text: &str) -> Vec<Link> {
    let events = parser(text).into_offset_iter();
    let links = events.filter_map(|(event, range)| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some(Link {
            destination: dest_url.into_string(),
            range,
        }),
        _ => None,
    });
    links.collect()
}

/// The names by which the headings of a page are linked to, on a forge and in the book alike.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let (mut anchors, mut heading) = (BTreeSet::new(), None);
    for event in parser(text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let name = anchor(&heading.take().unwrap_or_default());
                // The second of a name has a number.
                let names = (0..).map(|nth| match nth {
                    0 => name.clone(),
                    nth => format!("{name}-{nth}"),
                });
                let free = names.into_iter().find(|name| !anchors.contains(name));
                anchors.extend(free);
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    anchors
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|char| match char {
        ' ' => Some('-'),
        char if char.is_alphanumeric() || char == '-' || char == '_' => Some(char),
        _ => None,
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("docs")).unwrap();
        let write = |name: &str, text: &str| fs::write(root.path().join(name), text).unwrap();
        write("README.md", "# Read\n## `a`: b, c\n## Same\n## Same\n");
        write(
            "docs/a.md",
            "[1](../README.md) [2](../README.md#a-b-c) [3](#here) [4](https://x.example/gone)\n\
             [5](../README.md#same-1) `[6](gone.md)`\n\n```\n[7](gone.md)\n```\n# Here\n",
        );
        write(
            "docs/b.md",
            "[1](gone.md) ![2](gone.svg) [3](a.md#gone) [4](../../etc/passwd) [5](../README.md#same-2)\n",
        );
        let found = |page: &str| faults(root.path(), [Path::new(page)].into_iter()).unwrap();
        assert_eq!(found("docs/a.md"), [""; 0]);
        assert_eq!(
            found("docs/b.md"),
            [
                "docs/b.md: `gone.md`: no such file",
                "docs/b.md: `gone.svg`: no such file",
                "docs/b.md: `a.md#gone`: no such heading",
                "docs/b.md: `../../etc/passwd`: no such file",
                "docs/b.md: `../README.md#same-2`: no such heading",
            ]
        );
    }
}
