//! What a guest changes itself: everything in a directory it may write, except for what others execute.

use std::cell::Cell;
use std::path::Path;

use portcullis_policy::{
    ChangeRequest, Code, DataGrant, Decision, Denial, FsAccess, FsAct, FsGrant, FsKind, Grants,
    GuestError, Kept, KvOwner, Origin, PluginId, Protect, Standing, decide,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::support::grants;

const ACTS: [FsAct; 8] = [
    FsAct::Write,
    FsAct::MakeDirectory,
    FsAct::MakeLink,
    FsAct::LinkTo,
    FsAct::Rename,
    FsAct::RenameTo,
    FsAct::Remove,
    FsAct::SetTimes,
];

fn grant(host: &str, access: FsAccess) -> FsGrant {
    FsGrant {
        host: host.into(),
        kind: FsKind::Directory,
        guest: "/data".to_owned(),
        access,
        origin: Origin::File {
            file: "policy.toml".into(),
            line: 8,
            column: 1,
        },
    }
}

fn may_write(hosts: &[&str]) -> Grants {
    let mut grants = Grants::none(PluginId::new("notes").unwrap());
    let hosts = hosts.iter();
    grants.fs = hosts.map(|host| grant(host, FsAccess::ReadWrite)).collect();
    grants
}

fn request(act: FsAct, path: &str) -> ChangeRequest {
    ChangeRequest {
        act,
        path: path.into(),
        git_dirs: Vec::new(),
        completes: Vec::new(),
        kept: Vec::new(),
        own: false,
    }
}

fn denied(grants: &Grants, request: ChangeRequest) -> Option<Denial> {
    match decide(grants, request) {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => Some(*denial),
        Decision::Ask { .. } => panic!("a change is never asked"),
    }
}

fn told(grants: &Grants, request: ChangeRequest) -> String {
    let denial = denied(grants, request).unwrap();
    assert_eq!(denial.guest, GuestError::Denied);
    let remedies = denial.remedies.iter().map(|remedy| &remedy.text);
    let mut lines = vec![format!("{}: {}", denial.code, denial.headline())];
    lines.extend(denial.notes.iter().chain(remedies).cloned());
    lines.join("\n")
}

#[test]
fn each_refusal_says_what_is_protected_and_how_to_lift_it() {
    let grants = may_write(&["/srv/p"]);
    assert_eq!(
        told(&grants, request(FsAct::Write, "/srv/p/.envrc")),
        "P0302: plugin `notes` may not write `/srv/p/.envrc`\n\
         `.envrc` is protected: direnv runs it when the directory is entered\n\
         `/srv/p` may be written (policy.toml:8), except for what others execute\n\
         if plugin `notes` and its commands are meant to change it: `exec = { allow = [], unprotect = [\".envrc\"] }`"
    );
    assert_eq!(
        told(&grants, request(FsAct::Rename, "/srv/p/x/.cargo")),
        "P0302: plugin `notes` may not rename `/srv/p/x/.cargo`\n\
         `.cargo/config`, which is protected, is found through it: a tool runs the programs that it names\n\
         `/srv/p` may be written (policy.toml:8), except for what others execute\n\
         if plugin `notes` and its commands are meant to change it: \
         `exec = { allow = [], unprotect = [\".cargo/config\", \".cargo/config.toml\"] }`"
    );
    let completing = ChangeRequest {
        completes: vec!["config".to_owned(), "hooks".to_owned()],
        ..request(FsAct::Write, "/srv/p/x/HEAD")
    };
    assert_eq!(
        told(&grants, completing),
        "P0302: plugin `notes` may not write `/srv/p/x/HEAD`\n\
         git would take its directory for a repository, and find `config`, `hooks` there: \
         git runs the commands that its configuration names\n\
         `/srv/p` may be written (policy.toml:8), except for what others execute\n\
         if plugin `notes` and its commands are meant to change it: \
         `exec = { allow = [], unprotect = [\".git/config\", \".git/hooks\"] }`"
    );
    let kept = ChangeRequest {
        kept: vec![Kept {
            path: "/srv/p/tools/hooks".into(),
            why: "a git configuration names it".to_owned(),
        }],
        ..request(FsAct::Remove, "/srv/p/tools")
    };
    assert_eq!(
        told(&grants, kept),
        "P0302: plugin `notes` may not remove `/srv/p/tools`\n\
         `/srv/p/tools/hooks` is protected: a git configuration names it\n\
         `/srv/p` may be written (policy.toml:8), except for what others execute"
    );
    assert_eq!(
        told(&grants, request(FsAct::MakeDirectory, "/srv/q/x")),
        "P0301: plugin `notes` may not make the directory `/srv/q/x`\n\
         no `fs.write` rule matches; the default is deny"
    );
}

#[test]
fn only_what_leaves_the_name_in_its_place_is_done_to_a_directory_above() {
    let grants = may_write(&["/srv/p"]);
    for act in ACTS {
        let above = denied(&grants, request(act, "/srv/p/.git"));
        let spares = matches!(act, FsAct::MakeDirectory | FsAct::SetTimes);
        assert_eq!(above.is_none(), spares, "{act:?}");
        assert!(
            denied(&grants, request(act, "/srv/p/.git/hooks")).is_some(),
            "{act:?}"
        );
        assert!(
            denied(&grants, request(act, "/srv/p/.git/index")).is_none(),
            "{act:?}"
        );
    }
}

#[test]
fn a_change_needs_a_grant_to_write_and_a_real_path() {
    let mut grants = may_write(&["/srv/p"]);
    grants.fs.push(grant("/srv/read", FsAccess::Read));
    grants.fs.push(FsGrant {
        kind: FsKind::File,
        ..grant("/srv/file", FsAccess::ReadWrite)
    });
    for path in [
        "/srv/read/x",
        "/srv/file/x",
        "/srv/file2",
        "/srv",
        "/srv/px",
        "/srv/p/../x",
        "srv/p/x",
    ] {
        let denial = denied(&grants, request(FsAct::Write, path));
        assert_eq!(
            denial.map(|denial| denial.code),
            Some(Code::FsNotGranted),
            "{path}"
        );
    }
    assert!(denied(&grants, request(FsAct::Write, "/srv/p/x")).is_none());
    for act in ACTS {
        let refused = denied(&grants, request(act, "/srv/file")).is_some();
        assert_eq!(
            refused,
            act != FsAct::Write,
            "the name of a file is not its content: {act:?}"
        );
    }
}

#[test]
fn names_count_from_each_grant_that_covers_the_path() {
    let inner = "/srv/p/.claude/worktrees/one";
    let path = format!("{inner}/a.rs");
    assert!(denied(&may_write(&[inner]), request(FsAct::Write, &path)).is_none());
    assert!(denied(&may_write(&["/srv/p"]), request(FsAct::Write, &path)).is_some());
    assert!(denied(&may_write(&[inner, "/srv/p"]), request(FsAct::Write, &path)).is_some());
}

#[test]
fn a_directory_of_its_own_is_there_only_where_it_is_granted() {
    let own = |path: &str| ChangeRequest {
        own: true,
        ..request(FsAct::Write, path)
    };
    let mut granted = may_write(&[]);
    assert!(denied(&granted, own("/state/files/x/.envrc")).is_some());
    granted.data = Some(DataGrant {
        owner: KvOwner::Application {
            name: "test".to_owned(),
        },
        origin: Origin::Code,
    });
    assert!(denied(&granted, own("/state/files/x/.envrc")).is_none());
    let elsewhere = request(FsAct::Write, "/state/files/y/file");
    assert!(denied(&granted, elsewhere).is_some(), "of another plugin");
}

#[test]
fn a_git_directory_counts_where_it_was_granted() {
    let hook = |top: &str| ChangeRequest {
        git_dirs: vec!["/srv/x.git".into()],
        ..request(FsAct::Write, &format!("{top}/pre-commit"))
    };
    assert!(denied(&may_write(&["/srv"]), hook("/srv/x.git/hooks")).is_some());
    assert!(denied(&may_write(&["/srv/x.git"]), hook("/srv/x.git/hooks")).is_some());
    assert!(denied(&may_write(&["/srv"]), hook("/srv/x.git/info")).is_none());
    let granted = may_write(&["/srv/x.git/hooks"]);
    assert!(
        denied(&granted, hook("/srv/x.git/hooks")).is_none(),
        "by its own name"
    );
}

/// Parts of which some names are made.
fn part() -> impl Strategy<Value = &'static str> {
    select(
        &[
            ".git",
            ".GIT",
            "hooks",
            "config",
            "modules",
            "worktrees",
            "a",
            "src",
            ".config",
            "git",
            "fish",
            ".envrc",
            ".vscode",
            "commondir",
            "HEAD",
            ".cargo",
            "config.toml",
        ][..],
    )
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    })
}

/// What the list says, told by comparing every part of the path with every name.
fn reference(protect: &Protect, parts: &[&str]) -> Option<Standing> {
    let mut found = None;
    for name in protect.names() {
        let name: Vec<_> = name.split('/').collect();
        for from in 0..parts.len() {
            let rest = &parts[from..];
            let length = rest.len().min(name.len());
            let alike =
                (0..length).all(|at| name[at] == "*" || name[at] == rest[at].to_ascii_lowercase());
            if alike {
                let standing = if length == name.len() {
                    Standing::Within
                } else {
                    Standing::Above
                };
                found = found.max(Some(standing));
            }
        }
    }
    found
}

#[test]
fn the_matcher_agrees_with_the_reference() {
    let protect = Protect::default();
    let (bound, free) = (Cell::new(0), Cell::new(0));
    let property = |parts: Vec<&str>| {
        let path = parts.join("/");
        let standing = |path: &str| protect.binds(Path::new(path)).map(|bound| bound.standing);
        let found = standing(&path);
        prop_assert_eq!(found, reference(&protect, &parts), "{}", path);
        let counter = if found.is_some() { &bound } else { &free };
        counter.set(counter.get() + 1);
        // Deeper is never freer, and neither is what lies in a name.
        let deeper = format!("vendor/x/{path}");
        prop_assert!(standing(&deeper) >= found);
        if found == Some(Standing::Within) {
            prop_assert_eq!(standing(&format!("{path}/below")), found);
        }
        Ok(())
    };
    runner(8192).run(&vec(part(), 0..6), property).unwrap();
    let (bound, free) = (bound.get(), free.get());
    assert!(bound > 2000 && free > 2000, "{bound} bound, {free} free");
}

#[test]
fn every_directory_above_a_name_is_bound_and_no_other_name_lifts_it() {
    for name in Protect::default().names() {
        let concrete = name.replace('*', "any");
        for above in Path::new(&concrete).ancestors().skip(1) {
            if above.as_os_str().is_empty() {
                continue;
            }
            assert!(
                Protect::default().binds(above).is_some(),
                "{}",
                above.display()
            );
        }
        let mut protect = Protect::default();
        for other in Protect::default()
            .names()
            .iter()
            .filter(|other| *other != name)
        {
            protect.lift(other);
        }
        let bound = protect.binds(Path::new(&concrete)).unwrap();
        assert_eq!(
            (bound.name, bound.standing),
            (name.as_str(), Standing::Within)
        );
        protect.lift(name);
        assert_eq!(protect.binds(Path::new(&concrete)), None);
    }
}

#[test]
fn what_a_refusal_says_would_lift_it_lifts_it() {
    let refused = Cell::new(0);
    let property = |(parts, act, git): (Vec<&str>, FsAct, bool)| {
        let mut policy = grants(vec![], vec![]);
        policy.fs = vec![grant("/srv", FsAccess::ReadWrite)];
        let request = ChangeRequest {
            git_dirs: git.then(|| "/srv/a".into()).into_iter().collect(),
            ..request(act, &format!("/srv/{}", parts.join("/")))
        };
        let Some(denial) = denied(&policy, request.clone()) else {
            return Ok(());
        };
        refused.set(refused.get() + 1);
        let text = &denial.remedies[0].text;
        let names: Vec<_> = text.split('"').skip(1).step_by(2).collect();
        for name in &names {
            prop_assert!(
                denied(&policy, request.clone()).is_some(),
                "{} is too much",
                name
            );
            prop_assert!(policy.protect.lift(name), "{}", text);
        }
        prop_assert!(denied(&policy, request).is_none(), "{}", text);
        Ok(())
    };
    let asked = (vec(part(), 1..6), select(&ACTS[..]), any::<bool>());
    runner(4096).run(&asked, property).unwrap();
    assert!(refused.get() > 1000, "{}", refused.get());
}
