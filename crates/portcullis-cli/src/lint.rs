//! Rules that are legal and allow more than they seem to.

use portcullis::Diagnostic;
use portcullis_policy::{
    ArgToken, ArgumentRule, ChildRights, Confinement, ExecGrant, Grants, Net, ProgramRef,
    ProgramRule, Programs, is_secret_name,
};

use crate::code;
use crate::commands::children;
use crate::dual_use::DUAL_USE;
use crate::failure::{Say, diagnostic};

/// Everything worth a warning in the grants of one plugin.
pub(crate) fn lint(grants: &Grants) -> Vec<Diagnostic> {
    let Some(exec) = &grants.exec else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    if exec.any_program {
        let message = format!("plugin `{}` may run any program", grants.plugin);
        let report =
            diagnostic(code::LINT_DUAL_USE, message).note(format!("granted by {}", exec.origin));
        warnings.push(report.help("list the programs it needs in `exec.allow`"));
    }
    for rule in &exec.allow {
        warnings.extend(dual_use(grants, exec, rule));
        warnings.extend(by_directory(grants, exec, rule));
        warnings.extend(idle_paths(grants, rule));
        warnings.extend(read_without_write(grants, rule));
    }
    warnings.extend(unconfined(grants, exec));
    warnings.extend(open_with_secrets(grants, exec));
    warnings.extend(writable_programs(grants, exec));
    for (at, rule) in exec.allow.iter().enumerate() {
        for other in &exec.allow[..at] {
            warnings.extend(overlap(grants, other, rule));
        }
    }
    warnings
}

fn dual_use(grants: &Grants, exec: &ExecGrant, rule: &ProgramRule) -> Option<Diagnostic> {
    let name = rule.program.named()?.base_name();
    let (kind, what, _) = DUAL_USE
        .iter()
        .find(|(_, _, names)| names.contains(&name))?;
    let runs_text = matches!(*kind, "shells" | "interpreters");
    let what_is_open = match &rule.arguments {
        arguments if arguments.is_any() => "with any arguments",
        arguments if bounds_nothing(arguments) => "with nearly any arguments",
        arguments if runs_text && leaves_script_open(arguments) => "on a script of its choice",
        _ => return None,
    };
    let message = format!(
        "plugin `{}` may run `{}` {what_is_open}",
        grants.plugin, rule.program
    );
    Some(
        diagnostic(code::LINT_DUAL_USE, message)
            .note(format!("`{name}` {what}, so {}", reach(grants, exec, rule)))
            .note(place(rule))
            .help("say which arguments it needs with `sub`, `flags` or `args`, or narrow what it reaches with `read`, `write`, `net` or `exec`"),
    )
}

/// A rule for whatever a directory holds.
fn by_directory(grants: &Grants, exec: &ExecGrant, rule: &ProgramRule) -> Option<Diagnostic> {
    let directory = rule.program.directory()?;
    let is_there = |name: &&&str| {
        let path = directory.path().join(name);
        directory.holds(&path) && path.exists()
    };
    let names = DUAL_USE.iter().flat_map(|(_, _, names)| *names);
    let inside: Vec<_> = names
        .filter(is_there)
        .map(|name| format!("`{name}`"))
        .collect();
    let message = format!(
        "plugin `{}` may run every program of `{directory}`",
        grants.plugin
    );
    let report =
        diagnostic(code::LINT_DUAL_USE, message).note("those too that are put there later");
    let report = match inside.as_slice() {
        [] => report,
        [some @ .., _] if some.len() >= FEW => report.note(format!(
            "{} of them can run other programs, such as {}, so {}",
            inside.len(),
            inside[..FEW].join(", "),
            reach(grants, exec, rule)
        )),
        all => report.note(format!(
            "of them {} can run other programs, so {}",
            all.join(", "),
            reach(grants, exec, rule)
        )),
    };
    let help = "name the programs that it needs, or narrow what they reach with `read`, `write`, `net` or `exec`";
    Some(report.note(place(rule)).help(help))
}

/// How many programs of a directory are named.
const FEW: usize = 5;

/// What a rule allows whose program does whatever it is told.
fn reach(grants: &Grants, exec: &ExecGrant, rule: &ProgramRule) -> String {
    let rights = ChildRights::of(grants).narrowed([&rule.narrowing]);
    let tier = rule.narrowing.confinement.unwrap_or(exec.confinement);
    let reach = children::reach(&rights, tier).join("; ");
    format!("this rule allows all that it can reach: {reach}")
}

/// Whether a rule says something about arguments and leaves all of them open but a list of what is refused.
fn bounds_nothing(arguments: &ArgumentRule) -> bool {
    let open = matches!(arguments.args.as_deref(), None | Some([ArgToken::Rest]));
    open && arguments.sub.is_none() && arguments.flags.is_none()
}

/// Whether the plugin writes what an interpreter runs, or chooses the file: the first argument that is not a written
/// option is not written either.
fn leaves_script_open(arguments: &ArgumentRule) -> bool {
    let is_option = |token: &&ArgToken| match token {
        ArgToken::Literal(texts) => texts.iter().all(|text| text.starts_with('-')),
        _ => false,
    };
    let mut rest = arguments.args.iter().flatten().skip_while(is_option);
    rest.next()
        .is_some_and(|token| !matches!(token, ArgToken::Literal(_)))
}

fn place(rule: &ProgramRule) -> String {
    format!("rule `{}` ({})", rule.id, rule.origin)
}

/// Paths that a rule leaves to a command and that the plugin has not.
fn idle_paths(grants: &Grants, rule: &ProgramRule) -> Vec<Diagnostic> {
    let all = ChildRights::of(grants);
    let outside = all.outside(&rule.narrowing).into_iter();
    let warning = |(key, path): (&str, &std::path::Path)| {
        let message = format!(
            "`{key}` of a rule of plugin `{}` names `{}`, which the plugin was not granted",
            grants.plugin,
            path.display()
        );
        let help = match key {
            "write_exec" => {
                "grant it with `exec.write_exec`, and the directory around it with `fs.write`"
            }
            "write" => "grant it with `fs.write`, or take it out of the rule",
            _ => "grant it with `fs.read`, or take it out of the rule",
        };
        diagnostic(code::LINT_PATHS, message)
            .note("a rule only takes away, so this path gives nothing")
            .note(place(rule))
            .help(help)
    };
    outside.map(warning).collect()
}

/// A rule that narrows what is read and leaves more to be written, and so to be read.
fn read_without_write(grants: &Grants, rule: &ProgramRule) -> Option<Diagnostic> {
    let (Some(read), None) = (&rule.narrowing.read, &rule.narrowing.write) else {
        return None;
    };
    let rights = ChildRights::of(grants).narrowed([&rule.narrowing]);
    let more = rights
        .write
        .iter()
        .find(|path| !read.iter().any(|dir| path.starts_with(dir)))?;
    let message = format!(
        "a rule of plugin `{}` narrows `read` and leaves `{}` to be written, and so to be read",
        grants.plugin,
        more.display()
    );
    Some(
        diagnostic(code::LINT_PATHS, message)
            .note(place(rule))
            .help("narrow `write` as well; `write = []` leaves nothing to be written"),
    )
}

fn unconfined(grants: &Grants, exec: &ExecGrant) -> Vec<Diagnostic> {
    let help = "remove `confinement = \"limits\"`, or write it for the one rule that needs it";
    let mut warnings = Vec::new();
    if exec.confinement == Confinement::Limits {
        let message = format!("commands of plugin `{}` are not confined", grants.plugin);
        let report = diagnostic(code::LINT_UNCONFINED, message);
        warnings.push(
            report
                .note("`confinement = \"limits\"`: each can do what you can do")
                .help(help),
        );
    }
    let lowered = |rule: &&ProgramRule| {
        rule.narrowing.confinement == Some(Confinement::Limits)
            && exec.confinement != Confinement::Limits
    };
    for rule in exec.allow.iter().filter(lowered) {
        let message = format!(
            "`{}` is not confined when plugin `{}` runs it",
            rule.program, grants.plugin
        );
        let report = diagnostic(code::LINT_UNCONFINED, message).note(place(rule));
        warnings.push(report.note("`confinement = \"limits\"`: it can do what you can do"));
    }
    warnings
}

fn open_with_secrets(grants: &Grants, exec: &ExecGrant) -> Option<Diagnostic> {
    let secrets: Vec<_> = exec
        .pass_env
        .iter()
        .filter(|name| is_secret_name(name))
        .collect();
    if secrets.is_empty() || grants.net != Net::Open {
        return None;
    }
    // A rule for each command may close what the plugin has open.
    let closed = |rule: &ProgramRule| {
        rule.narrowing
            .net
            .as_ref()
            .is_some_and(|net| *net != Net::Open)
    };
    if !exec.any_program && exec.allow.iter().all(closed) {
        return None;
    }
    let names: Vec<_> = secrets.iter().map(|name| format!("`{name}`")).collect();
    let message = format!(
        "commands of plugin `{}` are given {} and reach the whole network",
        grants.plugin,
        names.join(", ")
    );
    Some(
        diagnostic(code::LINT_OPEN_WITH_SECRETS, message)
            .note(format!("granted by {}", exec.origin))
            .help("name the hosts that they need: `net = [\"host:port\"]`, for the plugin or the rule"),
    )
}

/// Directories that are written and in which programs are looked up or toolchains lie.
fn writable_programs(grants: &Grants, exec: &ExecGrant) -> Vec<Diagnostic> {
    let executed: Vec<_> = exec.system.iter().chain(&exec.search_path).collect();
    let mut warnings = Vec::new();
    for dir in &ChildRights::of(grants).write {
        let meets = |other: &&&std::path::PathBuf| other.starts_with(dir) || dir.starts_with(other);
        let Some(program) = executed.iter().find(meets) else {
            continue;
        };
        let message = format!(
            "plugin `{}` may write `{}`, and what is in `{}` is executed",
            grants.plugin,
            dir.display(),
            program.display()
        );
        let grant = grants.fs.iter().find(|grant| grant.host == *dir);
        let report = diagnostic(code::LINT_WRITABLE_PROGRAMS, message);
        let report = match grant {
            Some(grant) => report.note(format!("granted by {}", grant.origin)),
            None => report,
        };
        warnings.push(report.help("grant a directory to write that holds no programs"));
    }
    warnings
}

fn overlap(grants: &Grants, one: &ProgramRule, other: &ProgramRule) -> Option<Diagnostic> {
    let same = one.sha256 == other.sha256 && share_a_program(&one.program, &other.program);
    // Two rules that take nothing away, or the same, leave the same to a command that both allow.
    let differ = one.narrowing != other.narrowing;
    if !same || !differ || !may_meet(&one.arguments, &other.arguments) {
        return None;
    }
    let message = format!(
        "two rules of plugin `{}` may allow the same command of `{}`",
        grants.plugin, one.program
    );
    Some(
        diagnostic(code::LINT_OVERLAP, message)
            .note(format!(
                "rules `{}` ({}) and `{}` ({})",
                one.id, one.origin, other.id, other.origin
            ))
            .note("such a command gets only what both leave it"),
    )
}

/// Whether two rules are about the same program, or one names it and the other its directory.
fn share_a_program(one: &Programs, other: &Programs) -> bool {
    match (one, other) {
        (Programs::In(directory), Programs::Named(ProgramRef::Path(path)))
        | (Programs::Named(ProgramRef::Path(path)), Programs::In(directory)) => {
            directory.holds(path)
        }
        _ => one == other,
    }
}

/// Whether some list of arguments can fit both rules. Says yes when in doubt.
fn may_meet(one: &ArgumentRule, other: &ArgumentRule) -> bool {
    if let (Some(one), Some(other)) = (&one.sub, &other.sub) {
        return one.iter().any(|sub| other.contains(sub));
    }
    match (&one.args, &other.args) {
        (Some(one), Some(other)) => tokens_may_meet(one, other),
        _ => true,
    }
}

fn tokens_may_meet(one: &[ArgToken], other: &[ArgToken]) -> bool {
    match (one, other) {
        ([], []) => true,
        ([ArgToken::Rest | ArgToken::Optional(_), ..], _)
        | (_, [ArgToken::Rest | ArgToken::Optional(_), ..]) => true,
        ([], _) | (_, []) => false,
        ([ArgToken::Literal(one), ..], [ArgToken::Literal(other), ..])
            if !one.iter().any(|text| other.contains(text)) =>
        {
            false
        }
        ([_, one @ ..], [_, other @ ..]) => tokens_may_meet(one, other),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{FsAccess, FsGrant, FsKind, Narrowing, Origin, PluginId};

    use super::*;

    fn grants(allow: Vec<ProgramRule>) -> Grants {
        let exec = Some(ExecGrant {
            allow,
            ..ExecGrant::default()
        });
        Grants {
            exec,
            ..Grants::none(PluginId::new("p").unwrap())
        }
    }

    fn rule(program: &str, args: Option<&[&str]>) -> ProgramRule {
        let tokens = args.map(|args| {
            args.iter()
                .map(|text| ArgToken::parse(text).unwrap())
                .collect()
        });
        ProgramRule {
            arguments: ArgumentRule {
                args: tokens,
                ..ArgumentRule::default()
            },
            ..ProgramRule::any_arguments(program)
        }
    }

    #[test]
    fn dual_use_programs_need_an_argument_rule() {
        let all: Vec<_> = DUAL_USE.iter().flat_map(|(_, _, names)| *names).collect();
        let once: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(once.len(), all.len(), "a name of two kinds");
        for name in all {
            assert_eq!(lint(&grants(vec![rule(name, None)])).len(), 1, "{name}");
            assert_eq!(
                lint(&grants(vec![rule(name, Some(&["x"]))])).len(),
                0,
                "{name}"
            );
        }
        assert_eq!(lint(&grants(vec![rule("/usr/bin/git", None)])).len(), 1);
        let open: &[(&str, &[&str])] = &[
            ("git", &["**"]),
            ("bash", &["-c", "*"]),
            ("bash", &["<read>"]),
            ("python3", &["-I", "-c|-m", "**"]),
            ("node", &["<word>?", "x.js"]),
        ];
        let written: &[(&str, &[&str])] = &[
            ("git", &["log", "**"]),
            ("bash", &["-c", "make"]),
            ("python3", &["-m", "json.tool", "*"]),
            ("node", &["x.js", "**"]),
            ("node", &["--version"]),
            ("tar", &["<read>"]),
        ];
        for (cases, warnings) in [(open, 1), (written, 0)] {
            for (program, args) in cases {
                let found = lint(&grants(vec![rule(program, Some(args))]));
                assert_eq!(found.len(), warnings, "{program} {args:?}: {found:?}");
            }
        }
        let mut weak = rule("tar", None);
        weak.arguments.deny_flags =
            vec![portcullis_policy::FlagPattern::parse("--to-command").unwrap()];
        assert_eq!(lint(&grants(vec![weak])).len(), 1);
        assert_eq!(lint(&grants(vec![rule("df", None)])).len(), 0);
    }

    #[test]
    fn a_directory_is_told_with_what_lies_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let all = format!("{}/*", dir.path().display());
        let told = |allow: &[&str]| {
            let rules = allow.iter().map(|program| rule(program, None));
            let warnings = lint(&grants(rules.collect()));
            let notes = |warning: &Diagnostic| (warning.message.clone(), warning.notes[1].clone());
            warnings.iter().map(notes).collect::<Vec<_>>()
        };
        let put = |name: &str| std::fs::write(dir.path().join(name), "").unwrap();
        put("df");
        let [(message, note)] = &told(&[&all])[..] else {
            panic!("one warning")
        };
        assert_eq!(
            *message,
            format!("plugin `p` may run every program of `{all}`")
        );
        assert_eq!(
            *note,
            format!("rule `{all}` (the application's own policy)")
        );
        put("bash");
        assert!(
            told(&[&all])[0]
                .1
                .starts_with("of them `bash` can run other programs, so this rule allows")
        );
        for name in ["env", "git", "perl", "tar", "vim", "zsh"] {
            put(name);
        }
        let note = told(&[&all])[0].1.clone();
        assert!(
            note.starts_with("7 of them can run other programs, such as `bash`, `zsh`, "),
            "{note}"
        );
        assert!(
            told(&["/nonexistent/*"])[0].1.starts_with("rule "),
            "and what is put there later"
        );
        let df = dir.path().join("df").display().to_string();
        let mut narrower = rule(&df, None);
        narrower.narrowing.net = Some(Net::None);
        let two = lint(&grants(vec![rule(&all, None), narrower]));
        assert_eq!(two.last().unwrap().code, code::LINT_OVERLAP);
    }

    fn directory(host: &str, access: FsAccess) -> FsGrant {
        FsGrant {
            host: host.into(),
            kind: FsKind::Directory,
            guest: host.to_owned(),
            access,
            origin: Origin::Code,
        }
    }

    /// The warnings, a line each, with what the change makes of a plugin that may read `/p` and write `/p/out`.
    fn warnings(change: impl FnOnce(&mut Grants, &mut ExecGrant)) -> Vec<String> {
        let mut grants = grants(vec![rule("df", None)]);
        grants.fs = vec![
            directory("/p", FsAccess::Read),
            directory("/p/out", FsAccess::ReadWrite),
        ];
        let mut exec = grants.exec.take().unwrap();
        change(&mut grants, &mut exec);
        grants.exec = Some(exec);
        let line = |warning: &Diagnostic| format!("{}: {}", warning.code, warning.message);
        lint(&grants).iter().map(line).collect()
    }

    fn paths(texts: &[&str]) -> Option<Vec<std::path::PathBuf>> {
        Some(texts.iter().map(std::path::PathBuf::from).collect())
    }

    #[test]
    fn a_dual_use_program_is_told_with_what_it_can_reach() {
        let mut grants = grants(vec![rule("bash", None)]);
        grants.fs = vec![directory("/p", FsAccess::Read)];
        let note = |grants: &Grants| lint(grants)[0].notes[0].clone();
        assert_eq!(
            note(&grants),
            "`bash` is a shell, so this rule allows all that it can reach: read /p; write none; network none; programs any of the system"
        );
        grants.exec.as_mut().unwrap().confinement = Confinement::Limits;
        assert!(note(&grants).ends_with("it can reach: everything that you can reach"));
    }

    #[test]
    fn paths_that_give_nothing_are_named() {
        assert_eq!(warnings(|_, _| {}), [""; 0]);
        let narrow = |narrowing: Narrowing| {
            warnings(|_, exec| {
                exec.write_exec = vec!["target".into()];
                exec.allow[0].narrowing = narrowing;
            })
        };
        let rule = Narrowing {
            read: paths(&["/p/src", "/etc"]),
            write: paths(&["/p/src", "/p/out/x"]),
            write_exec: paths(&["target", "dist"]),
            ..Narrowing::default()
        };
        assert_eq!(
            narrow(rule),
            [
                "P0914: `read` of a rule of plugin `p` names `/etc`, which the plugin was not granted",
                "P0914: `write` of a rule of plugin `p` names `/p/src`, which the plugin was not granted",
                "P0914: `write_exec` of a rule of plugin `p` names `dist`, which the plugin was not granted",
            ]
        );
        let read = |read: &[&str], write| Narrowing {
            read: paths(read),
            write,
            ..Narrowing::default()
        };
        let warning = "P0914: a rule of plugin `p` narrows `read` and leaves `/p/out` to be written, and so to be read";
        assert_eq!(narrow(read(&["/p/src"], None)), [warning]);
        assert_eq!(narrow(read(&["/p/src"], paths(&[]))), [""; 0]);
        assert_eq!(narrow(read(&["/p"], None)), [""; 0]);
    }

    #[test]
    fn limits_are_named_wherever_they_are_written() {
        let plugin = warnings(|_, exec| exec.confinement = Confinement::Limits);
        assert_eq!(plugin, ["P0915: commands of plugin `p` are not confined"]);
        let rule =
            warnings(|_, exec| exec.allow[0].narrowing.confinement = Some(Confinement::Limits));
        assert_eq!(
            rule,
            ["P0915: `df` is not confined when plugin `p` runs it"]
        );
        assert_eq!(
            warnings(|_, exec| exec.confinement = Confinement::Landlock),
            [""; 0]
        );
    }

    #[test]
    fn secrets_beside_an_open_network_are_named() {
        let with = |net: Net, name: &str, narrowed: Option<Net>| {
            warnings(|grants, exec| {
                grants.net = net;
                exec.pass_env = vec![name.to_owned()];
                exec.allow[0].narrowing.net = narrowed;
            })
        };
        assert_eq!(
            with(Net::Open, "GH_TOKEN", None),
            ["P0916: commands of plugin `p` are given `GH_TOKEN` and reach the whole network"]
        );
        assert_eq!(with(Net::Open, "GH_TOKEN", Some(Net::None)), [""; 0]);
        assert_eq!(with(Net::Open, "LANG", None), [""; 0]);
        assert_eq!(with(Net::None, "GH_TOKEN", None), [""; 0]);
    }

    #[test]
    fn programs_that_can_be_written_are_named() {
        let with = |write: &str, system: &str| {
            warnings(|grants, exec| {
                grants.fs = vec![directory(write, FsAccess::ReadWrite)];
                exec.system = vec![system.into()];
            })
        };
        assert_eq!(
            with("/home/u", "/home/u/.pyenv"),
            ["P0917: plugin `p` may write `/home/u`, and what is in `/home/u/.pyenv` is executed"]
        );
        assert_eq!(with("/opt/node/lib", "/opt/node").len(), 1);
        assert_eq!(
            with("/usr/local", "/opt/node").len(),
            1,
            "programs are looked up in it"
        );
        assert_eq!(with("/home/u/work", "/home/u/.pyenv"), [""; 0]);
    }

    #[test]
    fn rules_that_can_meet_and_differ_are_named() {
        let short = Narrowing {
            output: Some(1),
            ..Narrowing::default()
        };
        let pair = |one: &[&str], other: &[&str]| {
            let narrow = ProgramRule {
                narrowing: short.clone(),
                ..rule("df", Some(one))
            };
            lint(&grants(vec![narrow, rule("df", Some(other))])).len()
        };
        assert_eq!(pair(&["a", "**"], &["a", "b"]), 1);
        assert_eq!(pair(&["a", "*"], &["a", "b"]), 1);
        assert_eq!(pair(&["a"], &["b"]), 0);
        assert_eq!(pair(&["a"], &["a", "b"]), 0);
        let same = vec![rule("df", None), rule("df", None)];
        assert_eq!(lint(&grants(same)).len(), 0, "both leave the same");
    }
}
