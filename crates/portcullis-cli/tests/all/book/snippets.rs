//! Pieces of files: policies, ceilings, manifests, tests, JSON and WIT.

use std::fs;

use portcullis_config::{Layer, PolicySet};
use portcullis_testkit::{guest_bytes, repository};
use regex::Regex;

use super::pages::{self, blocks, pages};
use crate::context::Context;

/// What a piece of TOML is.
#[derive(Clone, Copy)]
enum Toml {
    Policy,
    /// Of the policy of one plugin, below its id and path, and what else is named here.
    OfAPlugin(&'static str),
    /// With a mistake that its page is about.
    Mistaken,
    Ceiling,
    Manifest,
    Test,
    /// Of a file that other programs read.
    Other,
}

/// Pieces that are not a whole policy, by page and number.
const PIECES: &[(&str, usize, Toml)] = &[
    ("docs/manifest.md", 0, Toml::Manifest),
    ("docs/policy.md", 1, Toml::Ceiling),
    ("docs/policy.md", 2, Toml::OfAPlugin("[plugins.exec]\n")),
    ("docs/policy.md", 3, Toml::OfAPlugin("")),
    ("docs/policy.md", 4, Toml::OfAPlugin("")),
    ("docs/reglet.md", 1, Toml::OfAPlugin("")),
    ("docs/rust.md", 0, Toml::Other),
    ("docs/secrets.md", 0, Toml::Mistaken),
    ("docs/testing.md", 0, Toml::Test),
];

const NOTHING_ASKED: &str =
    "id = \"plugin\"\nversion = \"0.1.0\"\nworld = \"portcullis:cli/plugin@0.1.0\"\n";

/// Digests that a page cuts, filled up.
fn whole_digests(text: &str) -> String {
    let cut = Regex::new("([0-9a-f]{4})…").unwrap();
    cut.replace_all(text, format!("${{1}}{}", "0".repeat(60)))
        .into_owned()
}

const PLUGIN: &str = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";

/// What is wrong with a ceiling.
fn ceiling(context: &Context, text: String) -> Option<String> {
    let path = context.root().join("ceiling.toml");
    let context = portcullis_config::Context {
        cwd: context.project(),
        project: context.project(),
        home: Some(context.home()),
        own_state: Vec::new(),
        installed: Vec::new(),
    };
    let layers = [Layer::Ceiling { path, text }];
    let errors = PolicySet::load(&layers, &context).err()?;
    Some(format!("{errors:?}"))
}

/// Who says what is wrong with it, if anything is.
fn fault(context: &Context, kind: Toml, text: &str) -> Option<String> {
    let home = context.home();
    // What the pages tell of is there, or something is in its place.
    for place in ["notes", "work/out", "../project/out", "../project/src"] {
        fs::create_dir_all(home.join(place)).unwrap();
    }
    let text = text
        .replace("/home/ann", home.to_str().unwrap())
        .replace("fs:read:/data/**", "fs:read:/usr/share/**");
    let text = whole_digests(&text);
    let check = |text: &str| {
        context.write("policy.toml", text);
        context.ended(&["check", "policy.toml"])
    };
    let (code, out, error) = match kind {
        Toml::Policy => check(&text),
        Toml::OfAPlugin(head) => check(&format!("{PLUGIN}{head}{text}")),
        Toml::Mistaken => match check(&text) {
            (1.., ..) => return None,
            _ => return Some("it has no mistake".to_owned()),
        },
        Toml::Ceiling => return ceiling(context, text),
        Toml::Manifest => {
            context.write("report/plugin.toml", text);
            context.write("report/report.wasm", guest_bytes("noop"));
            context.ended(&["inspect", "report"])
        }
        Toml::Test => {
            context.write("plugin/tests/a.toml", text);
            context.write("plugin/plugin.toml", NOTHING_ASKED);
            context.write("plugin/plugin.wasm", guest_bytes("noop"));
            context.write("plugin/portcullis.toml", "");
            // It does not do what it should, which is another thing than a file that is not understood.
            match context.ended(&["test", "plugin/tests/a.toml"]) {
                (1, ..) => return None,
                other => other,
            }
        }
        Toml::Other => {
            return toml::from_str::<toml::Table>(&text)
                .err()
                .map(|error| error.to_string());
        }
    };
    (code != 0).then(|| format!("{out}{error}"))
}

#[test]
fn every_piece_of_toml_is_understood() {
    let mut faults = String::new();
    let mut seen = 0;
    for page in pages() {
        // These have tests of their own.
        if page == "docs/recipes.md" {
            continue;
        }
        let pieces = blocks(&page).into_iter();
        let pieces = pieces.filter(|block| block.language.split(' ').next() == Some("toml"));
        for (nth, piece) in pieces.enumerate() {
            let row = PIECES
                .iter()
                .find(|row| (row.0, row.1) == (page.as_str(), nth));
            seen += usize::from(row.is_some());
            let kind = row.map_or(Toml::Policy, |row| row.2);
            let context = Context::with_guest("noop");
            if let Some(fault) = fault(&context, kind, &piece.text) {
                faults += &format!("{page}:{}: {fault}\n", piece.line);
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
    assert_eq!(seen, PIECES.len(), "a row is about nothing");
}

#[test]
fn every_piece_of_json_is_json() {
    for page in pages() {
        // Zed's settings have comments; they are imported by the test of the page.
        if page == "docs/migrating.md" {
            continue;
        }
        for block in pages::of(&page, "json") {
            let documents = serde_json::Deserializer::from_str(&block.text);
            for document in documents.into_iter::<serde_json::Value>() {
                document.unwrap_or_else(|error| panic!("{page}:{}: {error}", block.line));
            }
        }
    }
}

#[test]
fn what_is_quoted_of_an_interface_is_in_it() {
    let directory = repository().join("wit/cli-0.1.0");
    let files = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let interfaces: String = files
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for block in pages::of("docs/interfaces.md", "wit") {
        for line in block.text.lines() {
            assert!(interfaces.contains(line.trim()), "{line}");
        }
    }
}
