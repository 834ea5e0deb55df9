//! The book: what its pages show is what happens.
//!
//! Every screen (a `console` block) is played in a scene with the files that the page tells of: each command by a real
//! shell, and what it prints is held against the page. Every other block is held to what it is a piece of, here or by a test
//! elsewhere. A page nobody wrote a scene for, and a kind of block that nobody tests, fail.

mod pages;
mod play;
mod reference;
mod scene;
mod snippets;
mod stand_ins;

use std::fs;

use portcullis_testkit::repository;

use pages::{Block, blocks, pages};

/// The pages with screens, each with the test that plays them and what makes its scene.
macro_rules! screens {
    ($($test:ident: $page:literal, $scene:path;)*) => {
        const PLAYED: &[&str] = &[$($page),*];
        $(#[test]
        fn $test() {
            play::page($page, $scene);
        })*
    };
}

screens! {
    readme: "README.md", scene::readme;
    audit: "docs/audit.md", scene::audit;
    authors: "docs/authors.md", scene::authors;
    c: "docs/c.md", scene::c;
    clawft: "docs/clawft.md", scene::clawft;
    exec: "docs/exec.md", scene::exec;
    fledge: "docs/fledge.md", scene::fledge;
    go: "docs/go.md", scene::go;
    javascript: "docs/javascript.md", scene::javascript;
    languages: "docs/languages.md", scene::languages;
    learn: "docs/learn.md", scene::learn;
    migrating: "docs/migrating.md", scene::migrating;
    plugins: "docs/plugins.md", scene::plugins;
    policy: "docs/policy.md", scene::policy;
    python: "docs/python.md", scene::python;
    recipes: "docs/recipes.md", scene::recipes;
    reglet: "docs/reglet.md", scene::reglet;
    replay: "docs/replay.md", scene::replay;
    rust: "docs/rust.md", scene::rust;
    secrets: "docs/secrets.md", scene::secrets;
    sources: "docs/sources.md", scene::sources;
    staged: "docs/staged.md", scene::staged;
    testing: "docs/testing.md", scene::testing;
}

/// What tests blocks in a language, and on which page.
struct Tested {
    page: &'static str,
    language: &'static str,
    /// For whoever looks for it.
    #[expect(dead_code, reason = "it is read here, by people")]
    by: &'static str,
}

const fn tested(page: &'static str, language: &'static str, by: &'static str) -> Tested {
    Tested { page, language, by }
}

/// All kinds of blocks but screens, which `screens!` lists.
const KINDS: &[Tested] = &[
    tested("docs/rust.md", "rust", "the doctests of sdk/rust/book"),
    tested("README.md", "rust", "what_the_readme_shows_is_on_the_page"),
    tested("docs/python.md", "python", "sdk/python/tests/test_book.py"),
    tested("docs/javascript.md", "js", "sdk/js/test/book.test.js"),
    tested(
        "docs/go.md",
        "go",
        "go_sdk::snippets, and sdk/go/internal/snippets",
    ),
    tested("docs/go.md", "go.mod", "go, which builds with it"),
    tested("docs/c.md", "c", "xtask/src/c.rs"),
    tested("docs/languages.md", "python", "languages, which builds it"),
    tested("docs/languages.md", "js", "languages, which builds it"),
    tested("docs/languages.md", "wit", "languages, which builds for it"),
    tested("docs/authors.md", "text", "kit::rust, which crashes one"),
    tested(
        "docs/clawft.md",
        "text",
        "clawft::the_trail_is_shown_in_the_lines_that_clawft_documents",
    ),
    tested(
        "docs/embedding.md",
        "rust,no_run",
        "the doctests of the crate `portcullis`",
    ),
    tested("docs/migrating.md", "yaml", "migrating, which imports it"),
    tested("docs/recipes.md", "toml", "the test binary `recipes`"),
    tested(
        "docs/testing.md",
        "toml test",
        "snippets::every_piece_of_toml_is_understood",
    ),
    tested(
        "README.md",
        "toml",
        "snippets::every_piece_of_toml_is_understood",
    ),
    tested(
        "docs/",
        "toml",
        "snippets::every_piece_of_toml_is_understood",
    ),
    tested("docs/", "json", "snippets::every_piece_of_json_is_json"),
    tested(
        "docs/interfaces.md",
        "wit",
        "snippets::what_is_quoted_of_an_interface_is_in_it",
    ),
    tested(
        "docs/reference/",
        "wit",
        "the check that the page is current",
    ),
    tested(
        "docs/reference/",
        "text",
        "the check that the page is current",
    ),
];

#[test]
fn every_block_is_of_a_kind_that_is_tested() {
    let mut untested = Vec::new();
    for page in pages() {
        for Block { language, line, .. } in blocks(&page) {
            let known = match language.as_str() {
                "console" => PLAYED.contains(&page.as_str()),
                _ => KINDS.iter().any(|kind| {
                    kind.language == language
                        && (page == kind.page
                            || kind.page.ends_with('/') && page.starts_with(kind.page))
                }),
            };
            if !known {
                untested.push(format!("{page}:{line}: `{language}`"));
            }
        }
    }
    assert!(
        untested.is_empty(),
        "nothing tests these; a screen needs a scene in `screens!`, anything else a row in `KINDS`:\n{}",
        untested.join("\n")
    );
}

#[test]
fn every_row_is_about_something() {
    for page in PLAYED {
        assert!(
            !pages::of(page, "console").is_empty(),
            "{page} has no screen"
        );
    }
    for kind in KINDS {
        let pages = pages()
            .into_iter()
            .filter(|page| page.starts_with(kind.page));
        let blocks: usize = pages
            .map(|page| pages::of(&page, kind.language).len())
            .sum();
        assert_ne!(blocks, 0, "{}: no `{}`", kind.page, kind.language);
    }
    stand_ins::every_row_is_used();
}

#[test]
fn what_the_readme_shows_is_on_the_page() {
    let shown = &pages::of("README.md", "rust")[0].text;
    let page = fs::read_to_string(repository().join("docs/rust.md")).unwrap();
    assert!(page.contains(shown.as_str()));
}
