//! The entry of `portcullis exec`, which stands for no plugin.

use std::time::Duration;

use portcullis_config::{FlagSet, Layer, SelectError, Spelling, VerbEntry};
use portcullis_policy::{FsAccess, Net};

use crate::support::{Project, run};

fn verb(project: &Project, text: &str, flags: FlagSet) -> VerbEntry {
    let layers = [project.trusted(text), Layer::Flags(flags)];
    let set = project
        .load(&layers)
        .unwrap_or_else(|errors| panic!("{errors}"));
    set.verb().unwrap()
}

#[test]
fn without_an_entry_nothing_is_granted_but_what_flags_say() {
    let project = Project::new();
    let none = verb(&project, "mode = \"dev\"\n", FlagSet::default());
    assert!(none.origin.is_none() && !none.lists_programs);
    assert!(none.grants.fs.is_empty() && none.grants.net == Net::None);
    assert!(
        run(&none.grants, "git", &[]).is_err(),
        "no program, not in dev mode either"
    );
    let flags = FlagSet {
        allow_read: vec!["notes".to_owned()],
        allow_write: vec!["out".to_owned()],
        allow_net: vec!["loopback".to_owned()],
        spelling: Spelling::Command,
        ..FlagSet::default()
    };
    let granted = verb(&project, "", flags).grants;
    let fs: Vec<_> = granted
        .fs
        .iter()
        .map(|grant| (grant.host.clone(), grant.access, grant.origin.to_string()))
        .collect();
    assert_eq!(
        fs,
        [
            (
                project.path("notes"),
                FsAccess::Read,
                "`--read notes`".to_owned()
            ),
            (
                project.path("out"),
                FsAccess::ReadWrite,
                "`--write out`".to_owned()
            )
        ]
    );
    assert_eq!(granted.net, Net::Loopback);
}

#[test]
fn an_entry_without_path_is_the_commands_and_only_what_is_written_limits_them() {
    let project = Project::new();
    let entry = verb(
        &project,
        "[[plugins]]\nid = \"exec\"\nfs.read = [\"notes\"]\nlimits.output = \"1KiB\"\nexec.allow = [\"git\"]\n",
        FlagSet::default(),
    );
    assert!(entry.origin.is_some() && entry.lists_programs);
    let grants = entry.grants;
    assert!(run(&grants, "git", &[]).is_ok() && run(&grants, "jq", &[]).is_err());
    assert_eq!(grants.fs[0].host, project.path("notes"));
    let limits = &grants.limits;
    assert_eq!(
        (limits.timeout, limits.total_output, limits.output),
        (Duration::MAX, u64::MAX, 1024)
    );
    let only_denies = verb(
        &project,
        "[[plugins]]\nid = \"exec\"\nexec.deny = [\"rm\"]\n",
        FlagSet::default(),
    );
    assert!(!only_denies.lists_programs && only_denies.grants.exec.unwrap().deny.len() == 1);
}

#[test]
fn a_file_of_the_tree_takes_away_from_it_and_gives_nothing() {
    let project = Project::new();
    let trusted = project.trusted("[[plugins]]\nid = \"exec\"\nnet = \"open\"\n");
    let found = project.found("[[plugins]]\nid = \"exec\"\nnet = \"none\"\n");
    let set = project.load(&[trusted, found.clone()]).unwrap();
    assert_eq!(set.verb().unwrap().grants.net, Net::None);
    assert_eq!(
        project
            .load(&[found])
            .expect_err("nothing trusted grants it anything")
            .0
            .len(),
        1
    );
}

#[test]
fn a_plugin_of_that_name_keeps_it() {
    let project = Project::new();
    let text = "[[plugins]]\nid = \"exec\"\npath = \"plugins/p.wasm\"\n";
    let set = project.load(&[project.trusted(text)]).unwrap();
    assert!(matches!(set.verb(), Err(SelectError::IsPlugin { .. })));
    assert_eq!(
        set.plugin("exec").unwrap().path,
        project.path("plugins/p.wasm")
    );
    let set = project
        .load(&[project.trusted("[[plugins]]\nid = \"exec\"\n")])
        .unwrap();
    assert_eq!(set.plugin("exec").unwrap().path.as_os_str(), "");
}
