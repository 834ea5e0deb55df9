//! A guest that tries everything: long random rows of changes, after which nothing of its making lies where others
//! execute it.

use std::fs;
use std::path::Path;

use portcullis::policy::{FsAccess, Grants};

use crate::fixture::{Fixture, args, block_on, directory, none, tests_by_wasi};

tests_by_wasi![no_row_of_changes_puts_anything_where_it_is_executed];

/// What the guest writes; nothing else in the tree says this.
const PLANTED: &str = "planted";

/// Directories at the top, two of them repositories at first.
const TOPS: &[&str] = &["a", "b", "c", ".git", ".config"];
/// Parts of names: those of repositories, so that many rows come near to one.
const PARTS: &[&str] = &[
    "a",
    "b",
    ".git",
    ".git",
    "HEAD",
    "objects",
    "refs",
    "config",
    "hooks",
    "modules",
    "commondir",
    ".envrc",
    ".config",
];

const ACTS_OF_A_ROW: usize = 60;
const ROWS: u64 = 120;

/// Marsaglia's xorshift: the same rows on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn of<'a>(&mut self, names: &[&'a str]) -> &'a str {
        names[self.below(names.len())]
    }

    fn path(&mut self, row: u64) -> String {
        let mut path = format!("/data/{row}/{}", self.of(TOPS));
        for _ in 0..[0, 1, 1, 1, 2][self.below(5)] {
            path.push('/');
            path.push_str(self.of(PARTS));
        }
        path
    }

    /// Where a link leads: beside it, or into another directory.
    fn target(&mut self) -> String {
        match self.below(3) {
            0 => self.of(PARTS).to_owned(),
            1 => format!("../{}", self.of(TOPS)),
            _ => format!("../{}/{}", self.of(TOPS), self.of(PARTS)),
        }
    }

    fn act(&mut self, row: u64) -> String {
        let (one, other) = (self.path(row), self.path(row));
        match self.below(13) {
            0..=2 => format!("mkdir {one}"),
            3..=5 => format!("write {one} {PLANTED}"),
            6..=8 => format!("rename {one} {other}"),
            9 => format!("link {one} {other}"),
            10 => format!("symlink {} {one}", self.target()),
            11 => format!("write-in {one} ../{} {PLANTED}", self.of(PARTS)),
            _ => format!("unlink {one}"),
        }
    }
}

fn make_tree(top: &Path) {
    for git_dir in [".git", "a"] {
        for dir in ["hooks", "objects", "refs", "modules"] {
            fs::create_dir_all(top.join(git_dir).join(dir)).unwrap();
        }
        for file in ["HEAD", "config", "hooks/pre-commit"] {
            fs::write(top.join(git_dir).join(file), "before").unwrap();
        }
    }
    for dir in ["b", "c/modules", ".config"] {
        fs::create_dir_all(top.join(dir)).unwrap();
    }
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Everything of the guest's in places where it would be executed, or that leads there.
fn planted(dir: &Path, inside: &[String], found: &mut Vec<String>) {
    let has = |name: &str| exists(&dir.join(name));
    let is_git_dir = inside.last().is_some_and(|name| name == ".git")
        || has("HEAD") && (has("commondir") || has("objects") && has("refs"));
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_directory = path.symlink_metadata().unwrap().is_dir();
        let parent = inside.last().map(String::as_str);
        let executed = matches!(&*name, ".envrc")
            || parent == Some(".config") && name == "git"
            || is_git_dir && matches!(&*name, "config" | "hooks" | "commondir");
        let leads = matches!(&*name, ".git" | ".config") && !is_directory;
        if leads || executed && holds_planted(&path) {
            found.push(path.display().to_string());
        }
        if is_directory {
            let inside = [inside, &[name]].concat();
            planted(&path, &inside, found);
        }
    }
}

fn holds_planted(path: &Path) -> bool {
    let kind = path.symlink_metadata().unwrap();
    if kind.is_dir() {
        let mut entries = fs::read_dir(path).unwrap();
        return entries.any(|entry| holds_planted(&entry.unwrap().path()));
    }
    // A link of the guest's, or a file.
    kind.is_symlink() || fs::read_to_string(path).unwrap() == PLANTED
}

fn no_row_of_changes_puts_anything_where_it_is_executed(guest: &'static str) {
    let fixture = Fixture::new();
    let grants = Grants {
        fs: vec![directory(&fixture.path(), "/data", FsAccess::ReadWrite)],
        ..none()
    };
    let (mut done, mut refused) = (0, 0);
    block_on(async {
        let mut instance = fixture.instance(guest, grants).await;
        for row in 1..=ROWS {
            let top = fixture.path().join(row.to_string());
            make_tree(&top);
            let mut random = Random(row.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let acts: Vec<_> = (0..ACTS_OF_A_ROW).map(|_| random.act(row)).collect();
            let mut words = vec!["acts"];
            words.extend(acts.iter().map(String::as_str));
            let answers = instance.run(&args(&words)).await.unwrap().unwrap();
            let answered = |wanted: &str| {
                let both = acts.iter().zip(answers.lines());
                both.filter(|(_, answer)| *answer == wanted)
                    .map(|(act, _)| act.clone())
                    .collect::<Vec<_>>()
            };
            let mut found = Vec::new();
            planted(&top, &[], &mut found);
            assert!(found.is_empty(), "{found:?} after {:#?}", answered("ok"));
            for file in [".git/config", ".git/hooks/pre-commit"] {
                assert_eq!(fs::read_to_string(top.join(file)).unwrap(), "before");
            }
            done += answered("ok").len();
            refused += answered("not-permitted").len();
        }
    });
    // The others name what is not there, or is there already.
    let all = ACTS_OF_A_ROW * usize::try_from(ROWS).unwrap();
    assert!(
        done * 6 > all && refused * 6 > all,
        "{done} done, {refused} refused of {all}"
    );
}
