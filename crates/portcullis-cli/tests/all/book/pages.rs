//! Pages, and the blocks between their fences.

use std::fs;
use std::path::Path;

use portcullis_testkit::repository;

/// What stands between two fences.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// All that stands behind the first fence.
    pub(super) language: String,
    pub(super) text: String,
    /// Of the first fence.
    pub(super) line: usize,
}

/// README.md and every page of `docs/`, from the root of the repository.
pub(super) fn pages() -> Vec<String> {
    let mut found = vec!["README.md".to_owned()];
    below(&repository().join("docs"), &mut found);
    found.sort();
    found
}

fn below(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|is| is == "md") {
            let page = path.strip_prefix(repository()).unwrap();
            found.push(page.display().to_string());
        }
    }
}

pub(super) fn blocks(page: &str) -> Vec<Block> {
    within(&fs::read_to_string(repository().join(page)).unwrap())
}

/// The blocks of a page in one language.
pub(super) fn of(page: &str, language: &str) -> Vec<Block> {
    let blocks = blocks(page).into_iter();
    blocks.filter(|block| block.language == language).collect()
}

fn within(text: &str) -> Vec<Block> {
    let (mut found, mut open) = (Vec::new(), None::<Block>);
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                open = Some(Block {
                    language: language.trim().to_owned(),
                    text: String::new(),
                    line: number + 1,
                });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a fence is not closed");
    found
}

#[test]
fn blocks_are_found_with_their_places() {
    let text = "a\n```console\n$ b\nc\n```\n\n  ```toml test\n  d\n  ```\n";
    let block = |language: &str, text: &str, line| Block {
        language: language.to_owned(),
        text: text.to_owned(),
        line,
    };
    assert_eq!(
        within(text),
        [
            block("console", "$ b\nc\n", 2),
            block("toml test", "  d\n", 7)
        ]
    );
}
