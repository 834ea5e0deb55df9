use std::fs;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::{Dir, has_git, program};
use crate::care::git_file::{MAX_SIZE, ParseError, entries, parse, quoted};

type Pairs = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn pairs(text: &[u8]) -> Result<Pairs, ParseError> {
    Ok(entries(text)?
        .into_iter()
        .map(|entry| (entry.key, entry.value))
        .collect())
}

/// What git reads, or that it refuses.
fn as_git_reads(dir: &Dir, text: &[u8]) -> Option<Pairs> {
    fs::write(dir.path("config"), text).unwrap();
    let mut git = program("git", &dir.real);
    let output = git
        .args(["config", "--file", "config", "--list", "-z"])
        .output()
        .unwrap();
    output.status.success().then(|| {
        let entries = output
            .stdout
            .split(|byte| *byte == 0)
            .filter(|entry| !entry.is_empty());
        let pair = |entry: &[u8]| match entry.iter().position(|byte| *byte == b'\n') {
            Some(at) => (entry[..at].to_vec(), Some(entry[at + 1..].to_vec())),
            None => (entry.to_vec(), None),
        };
        entries.map(pair).collect()
    })
}

/// Since 2.45 git keeps a tab between words, which before became a space.
fn without_tabs(pairs: Pairs) -> Pairs {
    let plain = |value: Vec<u8>| {
        value
            .iter()
            .map(|byte| if *byte == b'\t' { b' ' } else { *byte })
            .collect()
    };
    pairs
        .into_iter()
        .map(|(key, value)| (key, value.map(plain)))
        .collect()
}

#[test]
fn reads_what_git_writes_and_what_people_write() {
    let text =
        b"\xef\xbb\xbf# c\r\n[Core] ; c\r\n\tBare = false # no\n[remote \"Or.\\\"i\"]url=a\\\n b\n\
        [branch.Old]\nx\nempty =\nquoted = \" a;b \" c\\n\\t\\\\ \n  k-1 = \"\"\n";
    let expected = [
        ("core.bare", Some("false")),
        ("remote.Or.\"i.url", Some("a b")),
        ("branch.old.x", None),
        ("branch.old.empty", Some("")),
        ("branch.old.quoted", Some(" a;b  c\n\t\\")),
        ("branch.old.k-1", Some("")),
    ];
    let expected: Pairs = expected
        .iter()
        .map(|(key, value)| {
            (
                key.as_bytes().to_vec(),
                value.map(|value| value.as_bytes().to_vec()),
            )
        })
        .collect();
    assert_eq!(pairs(text), Ok(expected));
}

#[test]
fn what_git_would_refuse_is_refused_with_its_line() {
    for (text, line) in [
        ("[a", 1),
        ("[a]\n[b \"c]\n", 2),
        ("[a]\nk = \"x\n", 2),
        ("[a]\nk = \\x\n", 2),
        ("[a]\n\nk ! v\n", 3),
        ("[a]\n1k = v\n", 2),
        ("[a \"b\" ]\n", 1),
        ("[a b]\n", 1),
        ("[a_b]\n", 1),
        ("[]\n", 1),
        ("= v", 1),
    ] {
        assert_eq!(
            pairs(text.as_bytes()),
            Err(ParseError::Syntax { line }),
            "{text:?}"
        );
    }
    assert_eq!(pairs(b"[a]\nk = v\0\n"), Err(ParseError::Nul));
    assert_eq!(pairs(&vec![b'\n'; MAX_SIZE]), Ok(Vec::new()));
    assert_eq!(pairs(&vec![b'\n'; MAX_SIZE + 1]), Err(ParseError::TooLarge));
}

#[test]
fn a_key_is_taken_apart_as_git_does() {
    let entries = entries(b"[a]\nk=1\n[B \"x.Y\"]\nK=1\n[c.D]\nk=1\n").unwrap();
    let parts: Vec<_> = entries.iter().map(|entry| entry.parts()).collect();
    type Parts<'a> = (&'a [u8], Option<&'a [u8]>, &'a [u8]);
    let expected: [Parts<'_>; 3] = [
        (b"a", None, b"k"),
        (b"b", Some(b"x.Y"), b"k"),
        (b"c", Some(b"d"), b"k"),
    ];
    assert_eq!(parts, expected);
}

/// Bits of configuration, and bits that break it.
fn piece() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![
        &b"[a]"[..],
        b"[a \"b\"]",
        b"[A.b]",
        b"[b \"x.\\\"y\"]",
        b"[",
        b"]",
        b"k",
        b"K-2",
        b"=",
        b" = ",
        b" ",
        b"\t",
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"\\",
        b"\\\n",
        b"\\n",
        b"\\\"",
        b"\"",
        b"#",
        b";",
        b"x",
        b"\xc3\xa9",
        b"\xff",
        b"\xef\xbb\xbf",
        b".",
        b"-",
        b"1",
        b"\x0b",
        b"\x01",
        b"!",
        b"_",
    ])
}

/// Lines that are mostly right.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let value = || prop::collection::vec(piece(), 0..5).prop_map(|pieces| pieces.concat());
    prop_oneof![
        2 => Just(b"[a]\n".to_vec()),
        2 => Just(b"[remote \"o\"] url = x\r\n".to_vec()),
        1 => Just(b"# c\n".to_vec()),
        1 => Just(b"\n".to_vec()),
        6 => value().prop_map(|value| [b"\tkey = ", &quoted(&value)[..], b"\n"].concat()),
        3 => value().prop_map(|value| [b"k=", &value[..], b"\n"].concat()),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(line(), 0..12).prop_map(|lines| lines.concat()),
    ]
}

#[test]
fn agrees_with_git() {
    if !has_git("care::config_file::agrees_with_git") {
        return;
    }
    let dir = Dir::new();
    let (mut taken, mut all) = (0, 0);
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    for _ in 0..400 {
        let text = text().new_tree(&mut runner).unwrap().current();
        let (ours, gits) = (pairs(&text).ok(), as_git_reads(&dir, &text));
        let shown = text.escape_ascii();
        assert_eq!(
            ours.clone().map(without_tabs),
            gits.map(without_tabs),
            "{shown}"
        );
        all += 1;
        taken += usize::from(ours.is_some_and(|ours| !ours.is_empty()));
    }
    assert!(
        taken * 5 >= all,
        "only {taken} of {all} files said anything"
    );
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn never_panics_and_has_spans_in_the_text(text in prop_oneof![text(), prop::collection::vec(any::<u8>(), 0..200)]) {
        if let Ok(file) = parse(&text) {
            let mut at = 0;
            for entry in &file.entries {
                prop_assert!(at <= entry.span.start && entry.span.start < entry.span.end);
                prop_assert!(entry.span.end <= text.len());
                at = entry.span.end;
            }
            for section in &file.sections {
                prop_assert!(text[section.header.clone()].starts_with(b"["));
                prop_assert!(text[section.header.clone()].ends_with(b"]"));
                prop_assert!(section.header.end <= section.end && section.end <= text.len());
            }
        }
    }

    #[test]
    fn what_is_quoted_reads_back(value in prop::collection::vec(1u8.., 0..40)) {
        let value: Vec<u8> = value.into_iter().filter(|byte| *byte != b'\r').collect();
        let text = [b"[a]\n\tk = ", &quoted(&value)[..], b"\n"].concat();
        prop_assert_eq!(pairs(&text), Ok(vec![(b"a.k".to_vec(), Some(value))]));
    }
}
