use proptest::prelude::*;
use proptest::test_runner::Config;

use super::{Dir, git, has_git};
use crate::care::{Commit, Edited, ParseError, Unfit, commit, entries};

const BASE: &str = "[core]\n\tbare = false\n\thooksPath = .husky\n[remote \"origin\"]\n\turl = https://example.org/a\n\
    \tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main\n";

fn written(base: &str, staged: &str) -> Edited {
    match commit(base.as_bytes(), staged.as_bytes()) {
        Commit::Write(edited) => edited,
        other => panic!("{staged}: {other:?}"),
    }
}

fn text(edited: &Edited) -> &str {
    std::str::from_utf8(&edited.content).unwrap()
}

/// The keys that stand in the way, with the reason.
fn refused(base: impl AsRef<[u8]>, staged: impl AsRef<[u8]>) -> Vec<(String, Unfit)> {
    match commit(base.as_ref(), staged.as_ref()) {
        Commit::Refused(refused) => {
            assert!(!refused.keys.is_empty());
            refused
                .keys
                .into_iter()
                .map(|key| (key.key, key.why))
                .collect()
        }
        other => panic!("{}: {other:?}", staged.as_ref().escape_ascii()),
    }
}

#[test]
fn a_new_branch_and_a_new_remote_are_written() {
    let staged = format!(
        "{BASE}[branch \"f\"]\n\tremote = .\n\tmerge = refs/heads/main\n\trebase = true\n\
        [remote \"up\"]\n\turl = git@example.org:a/b\n\tfetch = +refs/heads/*:refs/remotes/up/*\n"
    );
    let edited = written(BASE, &staged);
    assert_eq!(
        text(&edited),
        format!(
            "{BASE}[branch \"f\"]\n\tremote = \".\"\n\tmerge = \"refs/heads/main\"\n\trebase = \"true\"\n\
            [remote \"up\"]\n\turl = \"git@example.org:a/b\"\n\tfetch = \"+refs/heads/*:refs/remotes/up/*\"\n"
        )
    );
    assert_eq!(edited.changes.len(), 5);
    assert!(
        edited
            .changes
            .iter()
            .all(|change| change.added && !change.redirects)
    );
    assert_eq!(
        (&*edited.changes[0].key, &*edited.changes[0].value),
        ("branch.f.remote", ".")
    );
}

#[test]
fn what_a_remote_or_a_branch_had_before_is_a_redirection() {
    for (staged, redirected) in [
        (
            BASE.replace("example.org/a", "evil.example/a"),
            "remote.origin.url",
        ),
        (
            BASE.replace("\tfetch", "\tpushurl = https://evil.example/a\n\tfetch"),
            "remote.origin.pushurl",
        ),
        (
            BASE.replace("\tfetch", "\turl = https://evil.example/a\n\tfetch"),
            "remote.origin.url",
        ),
        (
            BASE.replace("refs/heads/main", "refs/heads/evil"),
            "branch.main.merge",
        ),
        (
            BASE.replace("remote = origin", "remote = ."),
            "branch.main.remote",
        ),
    ] {
        let edited = written(BASE, &staged);
        let redirects = edited.changes.iter().filter(|change| change.redirects);
        assert_eq!(
            redirects.map(|change| &*change.key).collect::<Vec<_>>(),
            [redirected]
        );
    }
    // Only to take it away is none.
    let edited = written(
        BASE,
        &BASE.replace("\tremote = origin\n\tmerge = refs/heads/main\n", ""),
    );
    assert!(
        edited
            .changes
            .iter()
            .all(|change| !change.added && !change.redirects)
    );
}

#[test]
fn edits_leave_everything_else_as_it_is() {
    let base = "# mine\r\n[core]\r\n\tbare = false ; why\r\n[remote \"o\"] url = https://a.example/x ; here\r\n\tfetch = \
        +refs/heads/*:refs/remotes/o/*\r\n\r\n[branch \"x\"]\n\tremote = o\n[alias]\n\ts = status";
    let staged = "[core]\nbare = false\n[remote \"o\"]\nurl = https://b.example/x\nfetch = +refs/heads/*:refs/remotes/o/*\n\
        [alias]\ns = status\n";
    let edited = written(base, staged);
    assert_eq!(
        text(&edited),
        "# mine\r\n[core]\r\n\tbare = false ; why\r\n[remote \"o\"] \r\n\tfetch = \
        +refs/heads/*:refs/remotes/o/*\n\turl = \"https://b.example/x\"\r\n\r\n[alias]\n\ts = status"
    );
    // A section that does not end in a newline.
    let edited = written(
        "[core]\nbare = false # c",
        "[core]\nbare = false\n[branch \"b#1\"]\nrebase = merges\n",
    );
    assert_eq!(
        text(&edited),
        "[core]\nbare = false # c\n[branch \"b#1\"]\n\trebase = \"merges\"\n"
    );
}

#[test]
fn nothing_that_runs_a_program_is_carried_over() {
    for (section, line, key) in [
        ("[core]", "fsmonitor = /x", "core.fsmonitor"),
        ("[core]", "sshCommand = sh -c x", "core.sshcommand"),
        ("[core]", "hooksPath = /x", "core.hookspath"),
        ("[core]", "worktree = /", "core.worktree"),
        ("[CORE]", "pager = x", "core.pager"),
        ("[alias]", "st = !sh", "alias.st"),
        ("[include]", "path = ../x", "include.path"),
        (
            "[includeIf \"gitdir:/\"]",
            "path = ../x",
            "includeif.gitdir:/.path",
        ),
        ("[remote \"x\"]", "receivepack = sh", "remote.x.receivepack"),
        ("[remote \"x\"]", "uploadpack = sh", "remote.x.uploadpack"),
        ("[remote \"x\"]", "vcs = ext", "remote.x.vcs"),
        ("[remote \"x\"]", "proxy = http://x", "remote.x.proxy"),
        ("[remote]", "pushDefault = x", "remote.pushdefault"),
        ("[remote]", "url = https://x.example/y", "remote.url"),
        ("[branch \"x\"]", "pushRemote = y", "branch.x.pushremote"),
        (
            "[branch \"x\"]",
            "mergeOptions = -x",
            "branch.x.mergeoptions",
        ),
        (
            "[url \"ext::sh\"]",
            "insteadOf = https://",
            "url.ext::sh.insteadof",
        ),
        ("[filter \"x\"]", "clean = sh", "filter.x.clean"),
        ("[credential]", "helper = !sh", "credential.helper"),
        (
            "[extensions]",
            "worktreeConfig = true",
            "extensions.worktreeconfig",
        ),
        (
            "[branch.a.remote \"b\"]",
            "merge = x",
            "branch.a.remote.b.merge",
        ),
        ("[x]", "y", "x.y"),
    ] {
        let staged = format!("{BASE}{section}\n\t{line}\n");
        let (found, why) = refused(BASE, &staged).remove(0);
        let open = key.starts_with("branch.a.");
        assert_eq!(found, key);
        assert!(open || why == Unfit::NotOpen, "{key}: {why}");
        // What was there before may stay, beside something that is carried over.
        let both = format!("{staged}[branch \"f\"]\n\trebase = true\n");
        if !open {
            assert_eq!(written(&staged, &both).changes.len(), 1, "{key}");
            assert_eq!(refused(BASE, &both).len(), 1, "{key}");
        }
    }
}

#[test]
fn no_value_is_a_program_an_option_or_a_file() {
    for (line, why) in [
        ("[remote \"x\"]\nurl = ext::sh -c x", Unfit::Url),
        ("[remote \"x\"]\nurl = ../evil.git", Unfit::Url),
        ("[remote \"x\"]\nurl = --upload-pack=x", Unfit::Url),
        ("[remote \"x\"]\nurl", Unfit::Url),
        ("[remote \"x\"]\npushurl = file:///x", Unfit::Url),
        (
            "[remote \"x\"]\nurl = \"https://a.example/x\\nb\"",
            Unfit::Url,
        ),
        ("[remote \"x\"]\nfetch = +refs/*:refs/*", Unfit::Refspec),
        ("[remote \"-x\"]\nurl = https://a.example/x", Unfit::Name),
        (
            "[remote \"https://a.example/x\"]\nurl = https://b.example/x",
            Unfit::Name,
        ),
        ("[remote \"../x\"]\nurl = https://b.example/x", Unfit::Name),
        ("[branch \"x\"]\nremote = ext::sh", Unfit::Upstream),
        ("[branch \"x\"]\nremote = ../evil", Unfit::Upstream),
        ("[branch \"x\"]\nmerge = --x", Unfit::Upstream),
        ("[branch \"x\"]\nrebase = interactive", Unfit::Rebase),
        ("[branch \"a b\"]\nrebase = true", Unfit::Name),
        ("[branch \"\u{202e}b\"]\nrebase = true", Unfit::Name),
    ] {
        assert_eq!(refused(BASE, format!("{BASE}{line}\n"))[0].1, why, "{line}");
    }
    let escaped = refused(BASE, format!("{BASE}[alias \"\x1b]0;\u{202e}\"]\nx = y\n"));
    assert_eq!(escaped[0].0, r"alias.\u{1b}]0;\u{202e}.x");
}

#[test]
fn taking_away_and_reordering_count() {
    assert_eq!(
        refused(BASE, BASE.replace("\thooksPath = .husky\n", "")),
        [("core.hookspath".to_owned(), Unfit::Removed)]
    );
    assert_eq!(refused(BASE, "").len(), 2);
    let twice = "[a]\nk = 1\nk = 2\n";
    assert_eq!(refused(twice, "[a]\nk = 2\nk = 1\n")[0].1, Unfit::Reordered);
    assert_eq!(
        refused(twice, "[a]\nk = 1\nk = 2\nk = 1\n")[0].1,
        Unfit::NotOpen
    );
    // Comments and spaces do not.
    assert_eq!(
        commit(BASE.as_bytes(), format!("# hello\n{BASE}\n").as_bytes()),
        Commit::Unchanged
    );
    assert_eq!(commit(BASE.as_bytes(), BASE.as_bytes()), Commit::Unchanged);
}

#[test]
fn what_cannot_be_read_is_refused_whole() {
    let whole = |why| vec![(String::new(), why)];
    let ten_megabytes = vec![b'\n'; 10 << 20];
    assert_eq!(
        refused(BASE, ten_megabytes),
        whole(Unfit::Staged(ParseError::TooLarge))
    );
    assert_eq!(
        refused(BASE, format!("{BASE}#\0\n")),
        whole(Unfit::Staged(ParseError::Nul))
    );
    assert_eq!(
        refused(BASE, format!("{BASE}[")),
        whole(Unfit::Staged(ParseError::Syntax { line: 10 }))
    );
    assert_eq!(
        refused("[", BASE),
        whole(Unfit::Base(ParseError::Syntax { line: 1 }))
    );
    // A base that goes on where it ends.
    let base = "[core]\nx = y\\";
    assert_eq!(
        refused(base, "[core]\nx = y\n[branch \"b\"]\nrebase = true\n"),
        whole(Unfit::Unfaithful)
    );
    // Many keys are counted, not listed.
    let many: String = (0..100).map(|index| format!("k{index} = v\n")).collect();
    let Commit::Refused(refused) = commit(BASE.as_bytes(), format!("{BASE}[x]\n{many}").as_bytes())
    else {
        panic!("it is carried over");
    };
    assert_eq!((refused.keys.len(), refused.more), (32, 68));
    // Byte order mark and CRLF are not changes.
    let dressed = format!("\u{feff}{}", BASE.replace('\n', "\r\n"));
    assert_eq!(
        commit(BASE.as_bytes(), dressed.as_bytes()),
        Commit::Unchanged
    );
}

/// What git does to a copy is carried over into the original, and git reads both alike.
#[test]
fn what_git_does_daily_is_carried_over() {
    if !has_git("care::config_commit::what_git_does_daily_is_carried_over") {
        return;
    }
    let dir = Dir::new();
    git(&dir.real, &["init", "-q", "-b", "main"]);
    git(&dir.real, &["commit", "-q", "--allow-empty", "-m", "x"]);
    for command in [
        "checkout -q -b f --track main",
        "remote add origin https://example.org/a.git",
        "remote add team/fork git@example.org:team/a.git",
        "remote set-url origin ssh://git@example.org/b.git",
        "remote set-url --add --push origin https://example.org/c.git",
        "branch -m f feature/ü#1",
        "checkout -q main",
        "branch -q --set-upstream-to main feature/ü#1",
        "branch -q -D feature/ü#1",
        "remote rename origin up",
        "remote remove up",
    ] {
        let base = std::fs::read(dir.path(".git/config")).unwrap();
        git(&dir.real, &command.split(' ').collect::<Vec<_>>());
        let staged = std::fs::read(dir.path(".git/config")).unwrap();
        let Commit::Write(edited) = commit(&base, &staged) else {
            if base == staged {
                continue;
            }
            panic!("git {command}: {:?}", commit(&base, &staged));
        };
        let list = |name: &str, text: &[u8]| {
            dir.write(name, text);
            let stdout = git(&dir.real, &["config", "--file", name, "--list", "-z"]).stdout;
            let mut entries: Vec<_> = stdout
                .split(|byte| *byte == 0)
                .map(<[u8]>::to_vec)
                .collect();
            entries.sort();
            entries
        };
        assert_eq!(
            list("ours", &edited.content),
            list("gits", &staged),
            "git {command}"
        );
    }
}

fn config() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "[core]\n",
        "\tbare = false\n",
        "k = \"v\"\n",
        "[remote \"o\"]\n",
        "\turl = https://a.example/x\n",
        "[a]",
        "\turl = https://b.example/x # c\n",
        "\tfetch = +refs/heads/*:refs/remotes/o/*\n",
        "[branch \"b\"]\n",
        "\tremote = o\n",
        "\tmerge = refs/heads/m\n",
        "\trebase = true\n",
        "# c\n",
        "\n",
        "[remote \"o\"] url = x\\\n y\n",
        "[branch \"b\"] remote = .",
        "\r\n",
        "fsmonitor = x\n",
    ]);
    prop::collection::vec(line, 0..16).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(Config { cases: 2000, failure_persistence: None, ..Config::default() })]

    /// Whatever is written has the base's other variables in their order, and of the open ones exactly
    /// those of the copy.
    #[test]
    fn the_result_says_what_the_copy_says(base in config(), staged in config()) {
        if let Commit::Write(edited) = commit(base.as_bytes(), staged.as_bytes()) {
            let open: [&[u8]; 5] =
                [b"remote.o.url", b"remote.o.fetch", b"branch.b.remote", b"branch.b.merge", b"branch.b.rebase"];
            let read = |text: &[u8], is_open: bool| -> Vec<_> {
                let entries = entries(text).unwrap().into_iter().map(|entry| (entry.key, entry.value));
                entries.filter(|(key, _)| open.contains(&&key[..]) == is_open).collect()
            };
            let sorted = |mut list: Vec<(Vec<u8>, Option<Vec<u8>>)>| { list.sort(); list };
            prop_assert_eq!(read(&edited.content, false), read(base.as_bytes(), false));
            prop_assert_eq!(sorted(read(&edited.content, true)), sorted(read(staged.as_bytes(), true)));
        }
    }
}
