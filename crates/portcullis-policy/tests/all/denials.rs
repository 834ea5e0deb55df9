//! Every code that `decide` gives, with its report as the operator reads it, and what the guest hears of it.

use std::collections::BTreeSet;

use portcullis_policy::{
    ArgumentRule, Code, Confinement, Cwd, Decision, Denial, ExecCeiling, ExecGrant, ExecRequest,
    Found, FsAccess, FsGrant, Grants, GuestError, Mode, Origin, PreopenRequest, Program,
    ProgramRef, ProgramRule, RegletGrant, Unfit, decide,
};

use crate::support::{allowed, exec, flags, grants, refused, rule, strings};

struct Case {
    title: &'static str,
    grants: Grants,
    request: ExecRequest,
    guest: GuestError,
    report: &'static str,
}

/// The denial in the order of the report: code and headline, notes, remedies with their commands.
fn report(denial: &Denial) -> String {
    let mut lines = vec![format!("{}: {}", denial.code, denial.headline())];
    lines.extend(denial.notes.iter().map(|note| format!("note: {note}")));
    for remedy in &denial.remedies {
        let command = remedy
            .command
            .as_ref()
            .map(|words| format!(": {}", words.join(" ")))
            .unwrap_or_default();
        lines.push(format!("help: {}{command}", remedy.text));
    }
    lines.join("\n")
}

fn git(args: &[&str]) -> ExecRequest {
    ExecRequest::example("git", args)
}

fn allow_git() -> Grants {
    grants(vec![rule("git", 3, ArgumentRule::default())], vec![])
}

fn with(mut grants: Grants, change: impl FnOnce(&mut Grants)) -> Grants {
    change(&mut grants);
    grants
}

fn ceiling(allow: Vec<ProgramRule>) -> ExecCeiling {
    ExecCeiling {
        allow,
        origin: Origin::File {
            file: "ceiling.toml".into(),
            line: 1,
            column: 1,
        },
    }
}

fn missing(program: &str, args: &[&str]) -> ExecRequest {
    ExecRequest {
        program: ProgramRef::parse(program).unwrap(),
        found: Program::Missing,
        ..git(args)
    }
}

fn rule_cases() -> Vec<Case> {
    let status = ArgumentRule {
        sub: Some(strings(&["status"])),
        ..ArgumentRule::default()
    };
    let push = ArgumentRule {
        sub: Some(strings(&["push"])),
        ..ArgumentRule::default()
    };
    vec![
        Case {
            title: "no exec at all",
            grants: with(allow_git(), |grants| grants.exec = None),
            request: git(&["status"]),
            guest: GuestError::Denied,
            report: r#"P0204: plugin `notes` may not run `/usr/bin/git`
note: the policy grants it no `exec`; the default is deny
note: requested as `git` with arguments ["status"]
help: to allow exactly this: portcullis grant notes exec git --args ["status"]"#,
        },
        Case {
            title: "no rule",
            grants: allow_git(),
            request: ExecRequest::example("curl", &["-sS", "https://api.example.com/v1"]),
            guest: GuestError::Denied,
            report: r#"P0201: plugin `notes` may not run `/usr/bin/curl`
note: no `exec` rule matches; the default is deny
note: requested as `curl` with arguments ["-sS", "https://api.example.com/v1"]
help: to allow exactly this: portcullis grant notes exec curl --args ["-sS", "https://api.example.com/v1"]"#,
        },
        Case {
            title: "a deny rule for a program",
            grants: grants(
                vec![rule("git", 3, ArgumentRule::default())],
                vec![rule("git", 9, ArgumentRule::default())],
            ),
            request: git(&["status"]),
            guest: GuestError::Denied,
            report: r#"P0202: plugin `notes` may not run `/usr/bin/git`
note: denied by rule `git@9` at policy.toml:9; deny rules win over allow rules
note: requested as `git` with arguments ["status"]
help: remove or narrow `git@9`, or have the plugin use another program"#,
        },
        Case {
            title: "a deny rule for arguments",
            grants: grants(
                vec![rule("git", 3, ArgumentRule::default())],
                vec![rule("git", 9, push)],
            ),
            request: git(&["-v", "push"]),
            guest: GuestError::Denied,
            report: r#"P0202: plugin `notes` may not run `/usr/bin/git` with these arguments
note: denied by rule `git@9` at policy.toml:9; deny rules win over allow rules
note: requested as `git` with arguments ["-v", "push"]
help: remove or narrow `git@9`, or have the plugin use another program"#,
        },
        Case {
            title: "other arguments",
            grants: grants(vec![rule("git", 3, status)], vec![]),
            request: git(&["push", "origin"]),
            guest: GuestError::Denied,
            report: r#"P0203: plugin `notes` may not run `/usr/bin/git` with these arguments
note: rule `git@3` (policy.toml:3) allows it with other arguments; argument 1: `push` is not one of its sub-commands
note: requested as `git` with arguments ["push", "origin"]
help: to allow exactly this: portcullis grant notes exec git --args ["push", "origin"]"#,
        },
        Case {
            title: "text that a terminal would obey",
            grants: allow_git(),
            request: ExecRequest::example("x\u{1b}[2J\u{202e}", &["\u{9b}0m\"\\\n"]),
            guest: GuestError::Denied,
            report: concat!(
                "P0201: plugin `notes` may not run `/usr/bin/x\\u{1b}[2J\\u{202e}`\n",
                "note: no `exec` rule matches; the default is deny\n",
                "note: requested as `x\\u{1b}[2J\\u{202e}` with arguments [\"\\u009b0m\\\"\\\\\\u000a\"]\n",
                "help: to allow exactly this: portcullis grant notes exec x\u{1b}[2J\u{202e}",
                " --args [\"\\u009b0m\\\"\\\\\\u000a\"]",
            ),
        },
    ]
}

fn program_cases() -> Vec<Case> {
    let unfit = |why| Program::Unfit {
        path: "/usr/bin/git".into(),
        why,
    };
    let digest = |wanted| {
        with(allow_git(), |grants| {
            exec(grants).allow[0].sha256 = Some(wanted)
        })
    };
    vec![
        Case {
            title: "an allowed program that is missing",
            grants: allow_git(),
            request: missing("git", &[]),
            guest: GuestError::NotFound,
            report: "P0205: plugin `notes` may not run `git`\n\
                     note: it is allowed, but not found in `/usr/local/bin`, `/usr/bin`, `/bin`",
        },
        Case {
            title: "an allowed path that is missing",
            grants: grants(vec![rule("/opt/git", 3, ArgumentRule::default())], vec![]),
            request: missing("/opt/git", &[]),
            guest: GuestError::NotFound,
            report: "P0205: plugin `notes` may not run `/opt/git`\nnote: it is allowed, but there is no such file",
        },
        Case {
            title: "a file that is never run",
            grants: allow_git(),
            request: ExecRequest {
                found: unfit(Unfit::InWritableGrant("/srv".into())),
                ..git(&[])
            },
            guest: GuestError::CannotStart,
            report: "P0206: plugin `notes` may not run `/usr/bin/git`\nnote: it lies in `/srv`, which the plugin may write",
        },
        Case {
            title: "a file that the plugin can exchange for another",
            grants: allow_git(),
            request: ExecRequest {
                found: unfit(Unfit::LedByWritableGrant("/srv".into())),
                ..git(&[])
            },
            guest: GuestError::CannotStart,
            report: "P0206: plugin `notes` may not run `/usr/bin/git`\nnote: its path leads through `/srv`, which the plugin may write",
        },
        Case {
            title: "another digest",
            grants: digest([1; 32]),
            request: git(&[]),
            guest: GuestError::Denied,
            report: "P0211: plugin `notes` may not run `/usr/bin/git`\n\
                     note: rule `git@3` (policy.toml:3) names another SHA-256 than the file has\n\
                     help: if the program was updated on purpose, write its new digest into the rule",
        },
        Case {
            title: "a relative program",
            grants: allow_git(),
            request: ExecRequest {
                program: ProgramRef::Name("./git".to_owned()),
                found: Program::Malformed,
                ..git(&[])
            },
            guest: GuestError::Invalid,
            report: "P0210: plugin `notes` may not run `./git`\nnote: a program is a bare name or an absolute path",
        },
        Case {
            title: "a NUL",
            grants: allow_git(),
            request: git(&["a\0b"]),
            guest: GuestError::Invalid,
            report: "P0210: plugin `notes` may not run `/usr/bin/git`\nnote: an argument contains a NUL",
        },
    ]
}

fn call_cases() -> Vec<Case> {
    let set = |name: &str, value: &str| ExecRequest {
        env: vec![(name.to_owned(), value.to_owned())],
        ..git(&[])
    };
    let asked = "../secret".to_owned();
    vec![
        Case {
            title: "a directory that is not granted",
            grants: allow_git(),
            request: ExecRequest {
                cwd: Cwd::Requested {
                    asked: asked.clone(),
                    real: "/srv/secret".into(),
                },
                ..git(&[])
            },
            guest: GuestError::Denied,
            report: "P0207: plugin `notes` may not run `/usr/bin/git` in `../secret`\n\
                     note: the directory is `/srv/secret`, which is inside no granted one\n\
                     help: to let the plugin read that directory: portcullis grant notes read /srv/secret",
        },
        Case {
            title: "a directory that cannot be opened",
            grants: allow_git(),
            request: ExecRequest {
                cwd: Cwd::Unusable {
                    asked,
                    why: "no such directory".to_owned(),
                },
                ..git(&[])
            },
            guest: GuestError::Denied,
            report: "P0207: plugin `notes` may not run `/usr/bin/git` in `../secret`\nnote: no such directory",
        },
        Case {
            title: "standard input",
            grants: with(allow_git(), |grants| {
                exec(grants).allow[0].narrowing.stdin = Some(false)
            }),
            request: ExecRequest {
                stdin: true,
                ..git(&[])
            },
            guest: GuestError::Denied,
            report: "P0212: plugin `notes` may not run `/usr/bin/git` with standard input\n\
                     note: rule `git@3` (policy.toml:3) has `stdin = false`",
        },
        Case {
            title: "output past the plugin",
            grants: allow_git(),
            request: ExecRequest {
                inherit_output: true,
                ..git(&[])
            },
            guest: GuestError::Denied,
            report: "P0214: plugin `notes` may not run `/usr/bin/git` with output that goes where the plugin's own goes\n\
                     note: `exec.inherit_output` is not set; the default is `false`",
        },
        Case {
            title: "a program that the ceiling does not list",
            grants: with(allow_git(), |grants| {
                exec(grants).ceiling = Some(ceiling(vec![]))
            }),
            request: git(&["push"]),
            guest: GuestError::Denied,
            report: "P0215: plugin `notes` may not run `/usr/bin/git`\n\
                     note: the ceiling does not list it (ceiling.toml:1)\n\
                     note: requested as `git` with arguments [\"push\"]\n\
                     help: nothing of yours goes beyond the ceiling; ask whoever administers this machine",
        },
        Case {
            title: "code in the arguments of a command of a plugin of Reglet",
            grants: with(allow_git(), |grants| {
                grants.reglet = Some(RegletGrant::default());
                grants.exec.as_mut().unwrap().any_program = true;
            }),
            request: ExecRequest::example("sh", &["-c", "id"]),
            guest: GuestError::Denied,
            report: "P0216: plugin `notes` may not run `/usr/bin/sh` with code in its arguments\n\
                     note: it is shell: code in the arguments of a command has a grant of its own for plugins of Reglet\n\
                     note: requested as `sh` with arguments [\"-c\", \"id\"]\n\
                     help: to allow it, add [\"exec:sh\"] to `reglet` of the plugin; better have it call the program that it needs",
        },
        Case {
            title: "a dangerous variable",
            grants: allow_git(),
            request: set("LD_PRELOAD", "/tmp/x.so"),
            guest: GuestError::Denied,
            report: "P0208: plugin `notes` may not set `LD_PRELOAD` for `/usr/bin/git`\n\
                     note: it makes many programs run other code; only a name in `allow_dangerous_env` may be set",
        },
        Case {
            title: "a variable outside the prefixes",
            grants: with(allow_git(), |grants| {
                exec(grants).env_allow_prefixes = Some(strings(&["TF_"]))
            }),
            request: set("DEBUG", "1"),
            guest: GuestError::Denied,
            report: "P0209: plugin `notes` may not set `DEBUG` for `/usr/bin/git`\n\
                     note: it is outside `env_allow_prefixes`, or outside the `env` of the rule",
        },
        Case {
            title: "a malformed variable",
            grants: allow_git(),
            request: set("A\u{1b}=B", "1"),
            guest: GuestError::Invalid,
            report: "P0210: plugin `notes` may not set `A\\u{1b}=B` for `/usr/bin/git`\n\
                     note: a name is not empty, has no `=`, no NUL and no control character; a value has no NUL",
        },
    ]
}

fn all_cases() -> Vec<Case> {
    rule_cases()
        .into_iter()
        .chain(program_cases())
        .chain(call_cases())
        .collect()
}

#[test]
fn every_denial_reads_as_it_should() {
    let mut codes = BTreeSet::new();
    for case in all_cases() {
        let denial = refused(&case.grants, case.request);
        assert_eq!(
            (report(&denial).as_str(), denial.guest),
            (case.report, case.guest),
            "{}",
            case.title
        );
        codes.insert(denial.code);
    }
    codes.insert(directory_denial().code);
    codes.insert(unconfinable().code);
    // In `changes.rs`, and beside their requests.
    codes.extend([Code::FsProtected, Code::EnvNotGranted, Code::LogNotGranted]);
    // Found while a file is opened, read or written.
    codes.extend([
        Code::FsLinkLeadsOut,
        Code::FsReadOnly,
        Code::FsTooLarge,
        Code::FsTotal,
        Code::FsHandles,
        Code::FsOwnFull,
    ]);
    // Beside their requests, and found before there is one.
    codes.extend([
        Code::HttpNotGranted,
        Code::HttpRequest,
        Code::HttpAddress,
        Code::HttpInvalid,
        Code::HttpTooLarge,
        Code::HttpCeiling,
        Code::HttpTooMany,
        Code::HttpSecret,
        Code::HttpNoSecret,
        Code::NetConnect,
        Code::NetLookup,
        Code::NetAddress,
        Code::NetInvalid,
        Code::NetCeiling,
        Code::KvNotGranted,
        Code::KvTooLarge,
        Code::KvFull,
        Code::MetadataNotGranted,
    ]);
    // Decided while a command runs, by whoever counts.
    codes.extend([
        Code::LimitChildren,
        Code::LimitRate,
        Code::LimitOutput,
        Code::LimitTotalOutput,
        Code::LimitMemory,
        Code::LimitCalls,
    ]);
    assert_eq!(codes, Code::ALL.iter().copied().collect());
}

fn directory(host: &str, access: FsAccess) -> FsGrant {
    FsGrant {
        host: host.into(),
        kind: portcullis_policy::FsKind::Directory,
        guest: "/data".to_owned(),
        access,
        origin: Origin::Code,
    }
}

fn directory_denial() -> Denial {
    let grants = with(allow_git(), |grants| {
        grants.fs = vec![directory("/srv/a", FsAccess::Read)]
    });
    assert!(matches!(
        decide(
            &grants,
            PreopenRequest {
                grant: directory("/srv/a", FsAccess::Read)
            }
        ),
        Decision::Allow(_)
    ));
    let wider = [
        directory("/srv/a", FsAccess::ReadWrite),
        directory("/srv", FsAccess::Read),
    ];
    let denials = wider.map(|grant| match decide(&grants, PreopenRequest { grant }) {
        Decision::Deny(denial) => *denial,
        Decision::Allow(_) | Decision::Ask { .. } => panic!("a wider directory was opened"),
    });
    denials.into_iter().next().unwrap()
}

/// What the host says when it cannot do as was decided.
fn unconfinable() -> Denial {
    Denial::unconfinable(
        &allow_git().plugin,
        "/usr/bin/git",
        Confinement::Full,
        "this kernel makes no user namespaces",
        "to let it, set `user.max_user_namespaces`",
    )
}

#[test]
fn what_cannot_be_confined_is_not_started() {
    let denial = unconfinable();
    assert_eq!(
        report(&denial),
        "P0213: plugin `notes` may not run `/usr/bin/git`\n\
         note: `confinement = \"full\"` cannot be enforced here: this kernel makes no user namespaces\n\
         help: to let it, set `user.max_user_namespaces`"
    );
    assert_eq!(denial.guest, GuestError::CannotStart);
}

#[test]
fn a_confinement_is_decided_in_every_mode() {
    for mode in [Mode::Production, Mode::Dev] {
        for tier in [Confinement::Full, Confinement::Limits] {
            let grants = with(allow_git(), |grants| {
                grants.mode = mode;
                exec(grants).confinement = tier;
            });
            assert_eq!(allowed(&grants, git(&[])).terms().confinement, tier);
        }
    }
}

#[test]
fn a_directory_is_opened_as_granted_or_not() {
    assert_eq!(
        report(&directory_denial()),
        "P0301: plugin `notes` may not open the directory `/srv/a`\nnote: no `fs` rule matches; the default is deny"
    );
}

#[test]
fn only_what_no_rule_matches_is_asked_and_only_in_dev_mode() {
    for case in all_cases() {
        let asks =
            |grants: &Grants| matches!(decide(grants, case.request.clone()), Decision::Ask { .. });
        let code = refused(&case.grants, case.request.clone()).code;
        assert_eq!(
            asks(&case.grants),
            matches!(code, Code::ExecNoRule | Code::ExecArguments),
            "{}",
            case.title
        );
        assert!(
            !asks(&Grants {
                mode: Mode::Production,
                ..case.grants.clone()
            }),
            "{}",
            case.title
        );
    }
}

#[test]
fn the_guest_learns_neither_paths_nor_rules() {
    for case in all_cases() {
        let denial = refused(&case.grants, case.request.clone());
        let text = denial.guest.text();
        let rule = denial.rule.as_ref().map(|(id, _)| id.0.as_str());
        assert!(
            !text.contains(['/', '`', '@']) && !rule.is_some_and(|rule| text.contains(rule)),
            "{}",
            case.title
        );
        assert!(
            !text.contains(&denial.object) && !text.contains(denial.code.as_str()),
            "{}",
            case.title
        );
    }
}

#[test]
fn a_guest_cannot_tell_a_missing_program_from_a_denied_one() {
    let status = ArgumentRule {
        sub: Some(strings(&["status"])),
        ..ArgumentRule::default()
    };
    let deny = grants(
        vec![ProgramRule::any_arguments("git")],
        vec![ProgramRule::any_arguments("git")],
    );
    let none = Grants {
        exec: None,
        ..allow_git()
    };
    let other = grants(vec![rule("sh", 1, ArgumentRule::default())], vec![]);
    let arguments = grants(vec![rule("git", 1, status)], vec![]);
    for (title, grants) in [
        ("deny", deny),
        ("no exec", none),
        ("no rule", other),
        ("arguments", arguments),
    ] {
        for mode in [Mode::Dev, Mode::Production] {
            let grants = Grants {
                mode,
                ..grants.clone()
            };
            let unfit = Program::Unfit {
                path: "/usr/bin/git".into(),
                why: Unfit::SetId,
            };
            let heard: Vec<_> = [git(&[]).found, Program::Missing, unfit]
                .into_iter()
                .map(|found| {
                    refused(
                        &grants,
                        ExecRequest {
                            found,
                            ..git(&["x"])
                        },
                    )
                })
                .map(|denial| (denial.guest, denial.code))
                .collect();
            assert!(
                heard.iter().all(|one| *one == heard[0]),
                "{title}: {heard:?}"
            );
            assert_eq!(heard[0].0, GuestError::Denied, "{title}");
        }
    }
}

#[test]
fn a_program_is_its_file_called_by_its_name() {
    let busybox = |name: &str, rules: &[&str]| {
        let same_as = rules
            .iter()
            .map(|rule| ProgramRef::parse(rule).unwrap())
            .collect();
        let found = match ExecRequest::example(name, &[]).found {
            Program::Found(found) => Program::Found(Found {
                path: "/bin/busybox".into(),
                same_as,
                ..found
            }),
            other => other,
        };
        ExecRequest {
            found,
            ..ExecRequest::example(name, &[])
        }
    };
    let any = ArgumentRule::default;
    let both = ["ls", "sh"];
    let ls = grants(vec![rule("ls", 1, any())], vec![]);
    allowed(&ls, busybox("ls", &["ls"]));
    assert_eq!(
        refused(&ls, busybox("sh", &both)).code,
        Code::ExecNoRule,
        "the same file under another name"
    );
    let copy = ExecRequest {
        program: ProgramRef::parse("/opt/ls").unwrap(),
        ..busybox("ls", &[])
    };
    assert_eq!(
        refused(&ls, copy.clone()).code,
        Code::ExecNoRule,
        "another file under the same name"
    );

    let no_sh = |any_program| {
        let mut grants = grants(vec![rule("ls", 1, any())], vec![rule("sh", 2, any())]);
        *exec(&mut grants) = ExecGrant {
            any_program,
            ..exec(&mut grants).clone()
        };
        grants
    };
    allowed(&no_sh(false), busybox("ls", &both));
    assert_eq!(
        refused(&no_sh(true), busybox("ls", &both)).code,
        Code::ExecDenied,
        "where all is allowed, links are denied"
    );
    let other = ExecRequest {
        program: ProgramRef::parse("/opt/sh").unwrap(),
        ..busybox("sh", &[])
    };
    assert_eq!(
        refused(&no_sh(true), other).code,
        Code::ExecDenied,
        "a copy is denied by its name"
    );
    allowed(&no_sh(true), copy);
}

#[test]
fn digests_and_flags_are_reported_by_the_nearest_rule() {
    let wanted = |byte| {
        with(allow_git(), |grants| {
            exec(grants).allow[0].sha256 = Some([byte; 32])
        })
    };
    let found = |byte| match git(&[]).found {
        Program::Found(found) => Program::Found(Found {
            sha256: Some([byte; 32]),
            ..found
        }),
        other => other,
    };
    allowed(
        &wanted(1),
        ExecRequest {
            found: found(1),
            ..git(&[])
        },
    );
    assert_eq!(
        refused(
            &wanted(2),
            ExecRequest {
                found: found(1),
                ..git(&[])
            }
        )
        .code,
        Code::ExecDigest
    );

    let sub = |name: &str| ArgumentRule {
        sub: Some(strings(&[name])),
        flags: Some(flags(&["-s"])),
        ..ArgumentRule::default()
    };
    let two = grants(
        vec![rule("git", 1, sub("status")), rule("git", 2, sub("log"))],
        vec![],
    );
    let denial = refused(&two, git(&["log", "-s", "-x"]));
    assert_eq!(
        denial.notes[0],
        "rule `git@2` (policy.toml:2) allows it with other arguments; argument 3: `-x` is not one of its flags"
    );
}

#[test]
fn a_ceiling_is_met_with_everything_and_never_asked_about() {
    let sub = |name: &str| ArgumentRule {
        sub: Some(strings(&[name])),
        ..ArgumentRule::default()
    };
    let below = |allow: Vec<ProgramRule>| {
        with(allow_git(), |grants| {
            grants.mode = Mode::Dev;
            exec(grants).any_program = true;
            exec(grants).ceiling = Some(ceiling(allow));
        })
    };
    let mut status = rule("git", 7, sub("status"));
    status.narrowing.timeout = Some(std::time::Duration::from_secs(1));
    status.narrowing.confinement = Some(Confinement::Full);
    let mut grants = below(vec![status]);
    exec(&mut grants).confinement = Confinement::Limits;
    let authorized = allowed(&grants, git(&["status"]));
    let allowed = authorized.terms();
    assert_eq!(allowed.timeout.as_secs(), 1, "its rule takes away");
    assert_eq!(allowed.confinement, Confinement::Full);
    assert_eq!(allowed.rules.len(), 1, "what allows it is the policy's");
    assert_eq!(allowed.ceiling[0].1.to_string(), "policy.toml:7");
    for request in [git(&["push"]), ExecRequest::example("curl", &[])] {
        // `refused` would take a question for a refusal.
        let Decision::Deny(denial) = decide(&grants, request) else {
            panic!("an answer could not change it")
        };
        assert_eq!(denial.code, Code::ExecCeiling);
    }
}

#[test]
fn a_rule_for_another_plugin_is_not_there() {
    let bound = |plugin: Option<[u8; 32]>| {
        with(allow_git(), |grants| {
            grants.plugin_sha256 = plugin;
            exec(grants).allow[0].plugin_sha256 = Some([1; 32]);
        })
    };
    allowed(&bound(Some([1; 32])), git(&[]));
    for other in [Some([2; 32]), None] {
        assert_eq!(refused(&bound(other), git(&[])).code, Code::ExecNoRule);
    }
}

#[test]
fn an_answer_is_a_rule_for_exactly_what_was_asked() {
    let asked = ExecRequest {
        env: vec![("LC_X".to_owned(), "1".to_owned())],
        ..git(&["a*b", "<int>", ""])
    };
    let rule =
        ProgramRule::exactly(&asked, portcullis_policy::RuleId("answer".to_owned())).unwrap();
    assert_eq!(rule.program, ProgramRef::Path("/usr/bin/git".into()).into());
    let grants = grants(vec![rule], vec![]);
    allowed(&grants, asked.clone());
    let other = [
        ExecRequest {
            args: strings(&["axb", "<int>", ""]),
            ..asked.clone()
        },
        ExecRequest {
            args: strings(&["a*b", "1", ""]),
            ..asked.clone()
        },
        ExecRequest {
            args: strings(&["a*b", "<int>", "", ""]),
            ..asked.clone()
        },
        ExecRequest {
            stdin: true,
            ..asked.clone()
        },
        ExecRequest {
            env: vec![("LC_Y".to_owned(), "1".to_owned())],
            ..asked.clone()
        },
        missing("git", &["a*b", "<int>", ""]),
    ];
    for request in other {
        refused(&grants, request);
    }
    let pattern = ExecRequest {
        env: vec![("LC_*".to_owned(), "1".to_owned())],
        ..asked
    };
    assert_eq!(
        ProgramRule::exactly(&pattern, portcullis_policy::RuleId("answer".to_owned())),
        None
    );
}
