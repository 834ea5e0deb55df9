//! `grant` and `revoke` change what they say and nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use portcullis_config::FlagSet;
use portcullis_config::edit::{self, Edit, EditError, Edited, Right, StoreError};
use portcullis_policy::{ExecRequest, HostRule, Net, PluginId, ProgramRule, RuleId};
use proptest::prelude::*;

use crate::support::{Project, run};

const POLICY: &str = r#"# the head
mode = "production" # closed

[[plugins]] # the first
id = "p"
path = "plugins/p.wasm"
# what it runs
exec = { inherit_env = true, allow = [
    # reads
    { program = "git", sub = ["status"] }, # only the state
    "jq", # any
] }

# another one
[[plugins]]
id = "q"
path = "plugins/q.wasm"

[plugins.exec]
allow = ["ls"]
"#;

fn exec(program: &str, args: Option<&[&str]>) -> Right {
    let args = args.map(|args| args.iter().map(|&arg| arg.to_owned()).collect());
    Right::Exec {
        program: program.to_owned(),
        args,
    }
}

fn edit(plugin: &str, right: Right) -> Edit {
    Edit {
        plugin: PluginId::new(plugin).unwrap(),
        path: None,
        right,
    }
}

fn grant(project: &Project, text: &str, edit: &Edit) -> Result<Edited, EditError> {
    edit::grant(
        text,
        edit,
        &project.path("portcullis.toml"),
        &project.context,
    )
}

fn revoke(project: &Project, text: &str, edit: &Edit) -> Result<Edited, EditError> {
    edit::revoke(
        text,
        edit,
        &project.path("portcullis.toml"),
        &project.context,
    )
}

#[test]
fn a_grant_is_one_more_line() {
    let project = Project::new();
    let edited = grant(
        &project,
        POLICY,
        &edit("p", exec("git", Some(&["push", "a*b"]))),
    )
    .unwrap();
    let line = "    { program = \"git\", args = [\"push\", 'a\\*b'] },\n] }";
    assert_eq!(
        edited.text,
        POLICY.replace("] }\n\n# another", &format!("{}\n\n# another", line))
    );
    let back = revoke(
        &project,
        &edited.text,
        &edit("p", exec("git", Some(&["push", "a*b"]))),
    )
    .unwrap();
    assert_eq!(
        back,
        Edited {
            text: POLICY.to_owned(),
            changed: true
        }
    );
}

#[test]
fn what_is_allowed_already_is_not_written_again() {
    let project = Project::new();
    for right in [
        exec("git", Some(&["status"])),
        exec("jq", Some(&["."])),
        exec("jq", None),
    ] {
        let edited = grant(&project, POLICY, &edit("p", right)).unwrap();
        assert_eq!(
            edited,
            Edited {
                text: POLICY.to_owned(),
                changed: false
            }
        );
    }
    // In dev mode an absent list is any program: writing one would take the others away.
    let dev = "mode = \"dev\"\n[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nexec = {}\n";
    assert!(
        !grant(&project, dev, &edit("p", exec("git", None)))
            .unwrap()
            .changed
    );
}

#[test]
fn the_remedy_of_a_denial_allows_exactly_that_command() {
    let project = Project::new();
    let before = project.entry(POLICY, FlagSet::default()).grants;
    for args in [
        &["push", "origin"][..],
        &[
            "log",
            "--format=%H|%an",
            "a?",
            "*",
            "**",
            "<read>",
            "\\",
            "",
            "-",
            "ü",
        ],
        &[],
    ] {
        let denial = run(&before, "git", args).unwrap_err();
        let words = denial.remedies[0].command.clone().unwrap();
        let [_, verb, plugin, what, program, _, list] = &words[..] else {
            panic!("{words:?}")
        };
        assert_eq!((verb.as_str(), what.as_str()), ("grant", "exec"));
        let list: Vec<String> = serde_json::from_str(list).unwrap();
        let right = Right::Exec {
            program: program.clone(),
            args: Some(list),
        };
        let text = grant(&project, POLICY, &edit(plugin, right)).unwrap().text;
        let after = project.entry(&text, FlagSet::default()).grants;
        assert!(run(&after, "git", args).is_ok(), "{args:?}");
        let mut more = args.to_vec();
        more.push("x");
        assert!(run(&after, "git", &more).is_err(), "{more:?}");
        for index in 0..args.len() {
            let mut other = args.to_vec();
            other[index] = "neighbour";
            assert!(run(&after, "git", &other).is_err(), "{other:?}");
        }
        assert!(run(&after, "curl", args).is_err());
    }
}

#[test]
fn a_plugin_without_entry_gets_one_when_its_path_is_known() {
    let project = Project::new();
    let unknown = edit("new", exec("git", None));
    assert!(matches!(
        grant(&project, POLICY, &unknown),
        Err(EditError::NoEntry(_))
    ));
    let known = Edit {
        path: Some("plugins/new.wasm".to_owned()),
        ..unknown
    };
    let added =
        "[[plugins]]\nid = \"new\"\npath = \"plugins/new.wasm\"\nexec = { allow = [\"git\"] }\n";
    assert_eq!(
        grant(&project, POLICY, &known).unwrap().text,
        format!("{POLICY}\n{added}")
    );
    assert_eq!(grant(&project, "", &known).unwrap().text, added);
}

#[test]
fn directories_and_variables_come_and_go() {
    let project = Project::new();
    let out = project.path("out").display().to_string();
    for right in [
        Right::Read("out".to_owned()),
        Right::Write(out),
        Right::Env("LANG".to_owned()),
        Right::Log,
        Right::Http("api.example.com".to_owned()),
        Right::Connect("mail.example.com:25".to_owned()),
        Right::Lookup("*.example.com".to_owned()),
    ] {
        let edit = edit("p", right);
        let granted = grant(&project, POLICY, &edit).unwrap();
        assert!(granted.changed);
        assert!(!grant(&project, &granted.text, &edit).unwrap().changed);
        let grants = project.entry(&granted.text, FlagSet::default()).grants;
        let (logs, http) = (usize::from(grants.log), &grants.http.allow);
        let net = grants.own_net.connect.len() + grants.own_net.lookup.len();
        let all = grants.fs.len() + grants.env.len() + logs + http.len() + net;
        assert_eq!(all, 1);
        let revoked = revoke(&project, &granted.text, &edit).unwrap();
        let grants = project.entry(&revoked.text, FlagSet::default()).grants;
        assert!(revoked.changed && grants.fs.is_empty() && grants.env.is_empty() && !grants.log);
        assert!(grants.http.allow.is_empty() && grants.own_net.is_empty());
        assert!(!revoke(&project, &revoked.text, &edit).unwrap().changed);
    }
    let nowhere = edit("p", Right::Read("nowhere".to_owned()));
    assert!(matches!(
        grant(&project, POLICY, &nowhere),
        Err(EditError::After(_))
    ));
}

fn net(text: &str) -> Edit {
    edit("p", Right::Net(text.to_owned()))
}

#[test]
fn hosts_come_and_go_one_by_one() {
    let project = Project::new();
    let granted = |text: &str| {
        let grants = project.entry(text, FlagSet::default()).grants;
        match grants.net {
            Net::Hosts(hosts) => hosts.iter().map(HostRule::to_string).collect::<Vec<_>>(),
            other => vec![format!("{other:?}")],
        }
    };
    let one = grant(&project, POLICY, &net("a.example.org:443"))
        .unwrap()
        .text;
    let two = grant(&project, &one, &net("*.b.example.org:22"))
        .unwrap()
        .text;
    assert_eq!(granted(&two), ["a.example.org:443", "*.b.example.org:22"]);
    let covered = grant(&project, &two, &net("x.b.example.org:22")).unwrap();
    assert!(!covered.changed, "a wider rule has it already");
    let still = revoke(&project, &two, &net("x.b.example.org:22"));
    assert!(
        matches!(&still, Err(EditError::StillAllowed(why)) if why == "`net` has `a.example.org:443`, `*.b.example.org:22`"),
        "{still:?}"
    );
    let back = revoke(&project, &two, &net("*.b.example.org:22")).unwrap();
    assert_eq!((back.text, back.changed), (one.clone(), true));
    assert!(!revoke(&project, &one, &net("open")).unwrap().changed);
    for wrong in ["example.org", "localhost:80", "everything"] {
        let refused = grant(&project, POLICY, &net(wrong));
        assert!(
            matches!(refused, Err(EditError::NoHost(_))),
            "{wrong}: {refused:?}"
        );
    }
    let none = POLICY.replace("# what it runs", "net = \"none\" # nothing\n# what it runs");
    let text = grant(&project, &none, &net("a.example.org:443"))
        .unwrap()
        .text;
    assert!(
        text.contains("net = [\"a.example.org:443\"] # nothing\n"),
        "{text}"
    );
    let open = grant(&project, &none, &net("open")).unwrap().text;
    assert!(open.contains("net = \"open\" # nothing\n"), "{open}");
    assert!(
        !grant(&project, &open, &net("a.example.org:443"))
            .unwrap()
            .changed
    );
    assert!(matches!(
        revoke(&project, &open, &net("a.example.org:443")),
        Err(EditError::StillAllowed(_))
    ));
    assert_eq!(revoke(&project, &open, &net("open")).unwrap().text, none);
}

#[test]
fn what_a_deny_rule_denies_cannot_be_granted() {
    let project = Project::new();
    let text = POLICY.replace("allow = [\"ls\"]", "allow = [\"ls\"]\ndeny = [\"rm\"]");
    let Err(EditError::StillDenied(why)) =
        grant(&project, &text, &edit("q", exec("rm", Some(&["x"]))))
    else {
        panic!("a deny rule wins")
    };
    assert!(why.starts_with("denied by rule `deny[0]`"), "{why}");
}

#[test]
fn a_revoke_that_would_not_help_is_refused() {
    let project = Project::new();
    let exact = edit("p", exec("jq", Some(&["."])));
    let Err(EditError::StillAllowed(why)) = revoke(&project, POLICY, &exact) else {
        panic!("jq may have any argument")
    };
    assert!(why.starts_with("rule `allow[1]`"), "{why}");
    let all = revoke(&project, POLICY, &edit("p", exec("jq", None)))
        .unwrap()
        .text;
    assert!(run(&project.entry(&all, FlagSet::default()).grants, "jq", &[]).is_err());
    let dev = "mode = \"dev\"\n[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nexec = {}\n";
    assert!(matches!(
        revoke(&project, dev, &edit("p", exec("git", None))),
        Err(EditError::StillAllowed(_))
    ));
}

#[test]
fn a_directory_is_granted_as_a_whole_or_not_at_all() {
    let project = Project::new();
    let bin = edit("q", exec("/usr/bin/*", None));
    let granted = grant(&project, POLICY, &bin).unwrap();
    assert!(granted.text.contains("allow = [\"ls\", \"/usr/bin/*\"]"));
    assert!(!grant(&project, &granted.text, &bin).unwrap().changed);
    assert_eq!(revoke(&project, &granted.text, &bin).unwrap().text, POLICY);
    // Who copies the remedy for a program that is called `*` grants no directory.
    let star = edit("q", exec("/usr/bin/*", Some(&[])));
    assert!(matches!(
        grant(&project, POLICY, &star),
        Err(EditError::StillDenied(_))
    ));
    let one = edit("q", exec("/usr/bin/df", None));
    let Err(EditError::StillAllowed(why)) = revoke(&project, &granted.text, &one) else {
        panic!("the directory holds it")
    };
    assert!(why.starts_with("rule `allow[1]`"), "{why}");
    let denied = granted
        .text
        .replace("\"/usr/bin/*\"]", "\"/usr/bin/*\"]\ndeny = [\"/opt/*\"]");
    let opt = |program| grant(&project, &denied, &edit("q", exec(program, None)));
    assert!(matches!(opt("/opt/x"), Err(EditError::StillDenied(_))));
    assert!(matches!(opt("/opt/*"), Err(EditError::StillDenied(_))));
}

#[test]
fn the_last_rule_leaves_an_empty_list() {
    let project = Project::new();
    let text = POLICY.replace("production", "dev");
    let revoked = revoke(&project, &text, &edit("q", exec("ls", None)))
        .unwrap()
        .text;
    assert!(
        revoked.contains("allow = []"),
        "without a list, dev mode would allow every program"
    );
}

#[test]
fn a_rule_is_revoked_by_its_name() {
    let project = Project::new();
    let text = POLICY.replace("{ program = \"git\"", "{ id = \"state\", program = \"git\"");
    let by_name = revoke(
        &project,
        &text,
        &edit("p", Right::Rule(RuleId("state".to_owned()))),
    )
    .unwrap();
    assert!(
        run(
            &project.entry(&by_name.text, FlagSet::default()).grants,
            "git",
            &["status"]
        )
        .is_err()
    );
    let by_place = revoke(
        &project,
        &text,
        &edit("p", Right::Rule(RuleId("allow[1]".to_owned()))),
    )
    .unwrap();
    assert!(
        run(
            &project.entry(&by_place.text, FlagSet::default()).grants,
            "jq",
            &[]
        )
        .is_err()
    );
    let none = edit("p", Right::Rule(RuleId("allow[7]".to_owned())));
    assert!(matches!(
        revoke(&project, &text, &none),
        Err(EditError::NoRule { .. })
    ));
}

#[test]
fn rules_in_tables_of_their_own_are_edited_too() {
    let project = Project::new();
    let text = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n\n# rule\n[[plugins.exec.allow]]\nprogram = \"jq\"\n";
    let granted = grant(&project, text, &edit("p", exec("git", Some(&["log"]))))
        .unwrap()
        .text;
    assert!(
        granted.starts_with(text) && granted.contains("args = [\"log\"]"),
        "{granted}"
    );
    let inline = "plugins = [{ id = \"p\", path = \"plugins/p.wasm\" }]\n";
    let granted = grant(&project, inline, &edit("p", exec("git", None)))
        .unwrap()
        .text;
    assert_eq!(
        granted,
        "plugins = [{ id = \"p\", path = \"plugins/p.wasm\", exec = { allow = [\"git\"] } }]\n"
    );
}

#[test]
fn a_file_is_replaced_whole_and_keeps_its_mode() {
    let project = Project::new();
    let file = project.path("portcullis.toml");
    let mode = || fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    edit::write(&file, POLICY).unwrap();
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let change = edit("p", exec("git", Some(&["push"])));
    let edited = edit::update(&file, |text| grant(&project, text, &change)).unwrap();
    assert_eq!(
        (fs::read_to_string(&file).unwrap(), mode()),
        (edited.text, 0o640)
    );
    let refused = edit::update(&file, |text| {
        grant(&project, text, &edit("new", exec("git", None)))
    });
    assert!(matches!(
        refused,
        Err(StoreError::Edit(EditError::NoEntry(_)))
    ));
    let names: Vec<_> = fs::read_dir(project.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().ends_with(".tmp")),
        "{names:?}"
    );
}

#[test]
fn a_link_is_not_written_through() {
    let project = Project::new();
    let target = project.path("target.toml");
    fs::write(&target, "mode = \"dev\"\n").unwrap();
    let link = project.path("portcullis.toml");
    symlink(&target, &link).unwrap();
    assert!(matches!(
        edit::write(&link, POLICY),
        Err(StoreError::Link { .. })
    ));
    assert_eq!(fs::read_to_string(&target).unwrap(), "mode = \"dev\"\n");
}

#[test]
fn two_changes_at_once_are_both_kept() {
    let project = Project::new();
    let file = project.path("portcullis.toml");
    edit::write(&file, POLICY).unwrap();
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let (file, project) = (&file, &project);
            scope.spawn(move || {
                edit::update(file, |text| {
                    grant(project, text, &edit("p", exec(name, None)))
                })
                .unwrap()
            });
        }
    });
    let grants = project
        .entry(&fs::read_to_string(&file).unwrap(), FlagSet::default())
        .grants;
    for name in ["a", "b", "c", "d"] {
        assert!(run(&grants, name, &[]).is_ok(), "{name}");
    }
}

fn rights() -> impl Strategy<Value = Right> {
    let word = prop_oneof![Just("status".to_owned()), "[a-z*|?<>\\\\\" '#-]{0,4}"];
    let program = prop_oneof![Just("git"), Just("jq"), Just("/usr/bin/df")].prop_map(str::to_owned);
    prop_oneof![
        (
            program,
            proptest::option::of(proptest::collection::vec(word, 0..3))
        )
            .prop_map(|(program, args)| Right::Exec { program, args }),
        prop_oneof![Just("out"), Just("notes")].prop_map(|path| Right::Read(path.to_owned())),
        prop_oneof![Just("out"), Just("notes")].prop_map(|path| Right::Write(path.to_owned())),
        "[A-Z]{1,2}".prop_map(Right::Env),
        Just(Right::Log),
        prop_oneof![
            Just("a.example.org"),
            Just("*.example.org"),
            Just("127.0.0.1:80")
        ]
        .prop_map(|host| Right::Http(host.to_owned())),
        prop_oneof![
            Just("a.example.org:25"),
            Just("*.example.org:20-30"),
            Just("*:443"),
            Just("127.0.0.1:80")
        ]
        .prop_map(|place| Right::Connect(place.to_owned())),
        prop_oneof![Just("example.org"), Just("*.example.org"), Just("*")]
            .prop_map(|name| Right::Lookup(name.to_owned())),
        prop_oneof![
            Just("a.example.org:443"),
            Just("*.example.org:443"),
            Just("loopback"),
            Just("open")
        ]
        .prop_map(|net| Right::Net(net.to_owned())),
    ]
}

/// The comments of the original policy.
const COMMENTS: [&str; 8] = [
    "# the head",
    "# closed",
    "# the first",
    "# what it runs",
    "# reads",
    "# only the state",
    "# any",
    "# another one",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_edits_keep_the_file_whole(steps in proptest::collection::vec((any::<bool>(), any::<bool>(), rights()), 1..8)) {
        let project = Project::new();
        let mut text = POLICY.to_owned();
        for (granting, first, right) in steps {
            let edit = edit(if first { "p" } else { "q" }, right);
            let edited = if granting { grant(&project, &text, &edit) } else { revoke(&project, &text, &edit) };
            match edited {
                Ok(edited) => text = edited.text,
                Err(EditError::StillAllowed(_)) if !granting => {}
                Err(error) => prop_assert!(false, "{edit:?}: {error:?}\n{text}"),
            }
            prop_assert!(project.load(&[project.trusted(&text)]).is_ok(), "{text}");
            for comment in COMMENTS {
                prop_assert_eq!(text.matches(comment).count(), 1, "{} in\n{}", comment, text);
            }
        }
    }

    #[test]
    fn a_grant_and_its_revoke_allow_what_they_did_before(right in rights()) {
        let project = Project::new();
        let edit = edit("q", right);
        let granted = grant(&project, POLICY, &edit).unwrap();
        prop_assert!(granted.changed);
        let revoked = revoke(&project, &granted.text, &edit).unwrap();
        let entry = |text: &str| project.load(&[project.trusted(text)]).unwrap().plugin("q").unwrap().grants;
        let (before, after) = (entry(POLICY), entry(&revoked.text));
        let programs = |grants: &portcullis_policy::Grants| -> Vec<_> {
            let rules = grants.exec.iter().flat_map(|exec| &exec.allow);
            rules.map(|rule| (rule.program.clone(), rule.arguments.clone())).collect()
        };
        prop_assert_eq!(programs(&before), programs(&after));
        prop_assert!(after.fs.is_empty() && after.env.is_empty() && !after.log);
        prop_assert_eq!(Net::narrowest([&after.net]), Net::None);
    }
}

#[test]
fn an_answer_is_kept_for_the_plugin_that_asked() {
    let project = Project::new();
    let asked = ExecRequest::example("git", &["push", "a*b"]);
    let rule = ProgramRule {
        plugin_sha256: Some([7; 32]),
        ..ProgramRule::exactly(&asked, RuleId("answer".to_owned())).unwrap()
    };
    let answer = edit("p", Right::Answer(Box::new(rule)));
    let edited = grant(&project, POLICY, &answer).unwrap();
    assert!(edited.changed && edited.text.contains("# only the state"));
    let again = grant(&project, &edited.text, &answer).unwrap();
    assert!(!again.changed, "{}", again.text);
    let entry = |plugin| {
        let mut grants = project.entry(&edited.text, FlagSet::default()).grants;
        grants.plugin_sha256 = plugin;
        run(&grants, "git", &["push", "a*b"])
    };
    assert!(entry(Some([7; 32])).is_ok());
    assert!(entry(Some([8; 32])).is_err() && entry(None).is_err());
    let back = revoke(
        &project,
        &edited.text,
        &edit("p", exec("/usr/bin/git", Some(&["push", "a*b"]))),
    )
    .unwrap();
    assert_eq!(back.text, POLICY);
    // Beside a denial it would do nothing, and is not written.
    let denied = POLICY.replace(
        "inherit_env = true,",
        "inherit_env = true, deny = [\"git\"],",
    );
    assert!(matches!(
        grant(&project, &denied, &answer),
        Err(EditError::StillDenied(_))
    ));
}
