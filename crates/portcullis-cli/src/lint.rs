//! Rules that are legal and allow more than they seem to.

use portcullis::Diagnostic;
use portcullis_policy::{ArgToken, ArgumentRule, Grants, ProgramRule};

use crate::code;
use crate::failure::{Say, diagnostic};

/// Programs that run other programs, or any text as a program, when asked to by an argument, an escape or a file they
/// read; and what they do it with. One list for each kind, sorted.
const DUAL_USE: &[(&str, &[&str])] = &[
    (
        "is a shell",
        &[
            "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "sh", "tcsh", "zsh",
        ],
    ),
    (
        "is an interpreter",
        &[
            "awk",
            "bun",
            "deno",
            "gawk",
            "lua",
            "mawk",
            "node",
            "osascript",
            "perl",
            "php",
            "python",
            "python3",
            "R",
            "ruby",
            "tclsh",
        ],
    ),
    (
        "is an editor or pager with a way to a shell",
        &[
            "ed", "emacs", "ex", "less", "man", "more", "nano", "nvim", "vi", "view", "vim",
        ],
    ),
    (
        "runs the program that its arguments name",
        &[
            "chroot", "doas", "env", "find", "flock", "nice", "nohup", "nsenter", "parallel",
            "script", "setsid", "ssh", "stdbuf", "strace", "su", "sudo", "taskset", "time",
            "timeout", "unshare", "watch", "xargs",
        ],
    ),
    (
        "can be told to run programs by an option, its configuration or its input",
        &[
            "ansible",
            "cargo",
            "cmake",
            "cpio",
            "curl",
            "docker",
            "gcc",
            "gdb",
            "git",
            "go",
            "gradle",
            "hg",
            "kubectl",
            "make",
            "mvn",
            "npm",
            "npx",
            "pip",
            "podman",
            "rsync",
            "scp",
            "sed",
            "sqlite3",
            "tar",
            "terraform",
            "wget",
            "yarn",
            "zip",
        ],
    ),
];

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
        warnings.extend(dual_use(grants, rule));
    }
    for (at, rule) in exec.allow.iter().enumerate() {
        for other in &exec.allow[..at] {
            warnings.extend(overlap(grants, other, rule));
        }
    }
    warnings
}

fn dual_use(grants: &Grants, rule: &ProgramRule) -> Option<Diagnostic> {
    let name = rule.program.base_name();
    let (what, _) = DUAL_USE
        .iter()
        .find(|(_, names)| names.contains(&name))
        .filter(|_| rule.arguments.is_any())?;
    let message = format!(
        "plugin `{}` may run `{}` with any arguments",
        grants.plugin, rule.program
    );
    Some(
        diagnostic(code::LINT_DUAL_USE, message)
            .note(format!(
                "`{name}` {what}, so this rule allows every program"
            ))
            .note(format!("rule `{}` ({})", rule.id, rule.origin))
            .help("say which arguments it needs with `sub`, `flags` or `args`"),
    )
}

fn overlap(grants: &Grants, one: &ProgramRule, other: &ProgramRule) -> Option<Diagnostic> {
    let same = one.program == other.program && one.sha256 == other.sha256;
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
    use portcullis_policy::{ExecGrant, Narrowing, PluginId};

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
        let all: usize = DUAL_USE.iter().map(|(_, names)| names.len()).sum();
        assert!(all >= 60, "{all}");
        for name in DUAL_USE.iter().flat_map(|(_, names)| *names) {
            assert_eq!(lint(&grants(vec![rule(name, None)])).len(), 1, "{name}");
            assert_eq!(
                lint(&grants(vec![rule(name, Some(&["x"]))])).len(),
                0,
                "{name}"
            );
        }
        assert_eq!(lint(&grants(vec![rule("/usr/bin/git", None)])).len(), 1);
        assert_eq!(lint(&grants(vec![rule("df", None)])).len(), 0);
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
