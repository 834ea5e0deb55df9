//! The policies of the book.

use std::fs;

use libtest_mimic::{Failed, Trial};
use portcullis_testkit::repository;

use crate::programs;

/// The page that the policies are read from.
const PAGE: &str = "docs/recipes.md";
/// The one that is no plugin's.
pub(crate) const COMPANY: &str = "Behind a company's proxy";

/// A heading and the policy below it.
fn recipes() -> Vec<(String, String)> {
    let page = fs::read_to_string(repository().join(PAGE)).unwrap();
    let sections = page.split("\n## ").skip(1);
    let recipe = |section: &str| {
        let (title, rest) = section.split_once('\n').unwrap();
        let policy = rest
            .split_once("```toml\n")
            .and_then(|(_, rest)| rest.split_once("```"));
        let (policy, _) = policy.unwrap_or_else(|| panic!("`{title}` has no policy"));
        (title.to_owned(), policy.to_owned())
    };
    sections.map(recipe).collect()
}

/// The policy below a heading.
pub(crate) fn policy(title: &str) -> String {
    let recipe = recipes().into_iter().find(|(other, _)| other == title);
    recipe
        .unwrap_or_else(|| panic!("{PAGE} has no `{title}`"))
        .1
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test(
        "every_recipe_of_the_book_is_tried",
        every_recipe_is_tried,
    )]
}

fn every_recipe_is_tried() -> Result<(), Failed> {
    let tried = programs::all();
    for (title, _) in recipes() {
        if title != COMPANY && !tried.iter().any(|recipe| recipe.title == title) {
            return Err(format!("nothing tries `{title}`").into());
        }
    }
    Ok(())
}
