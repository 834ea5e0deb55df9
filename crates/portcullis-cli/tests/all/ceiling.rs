//! `/etc/portcullis/ceiling.toml`, in a namespace of its own where it is there: met with policies, flags, answers and trust.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::context::{Context, DEV};
use crate::session::{ECHO, PROMPT, RUN, Session};

const CAT: [&str; 8] = [
    "run",
    "--config",
    "policy.toml",
    "p",
    "exec",
    "--",
    "cat",
    "/dev/null",
];
/// Lays the directory that comes first over `/etc`, and runs the rest.
pub(crate) const BELOW: &str =
    "mount -t overlay -o \"lowerdir=$1:/etc\" overlay /etc && shift && exec \"$@\"";

/// A machine with this ceiling. `None` where nobody can make one here.
pub(crate) fn below(test: &str, context: Context, ceiling: &str) -> Option<Below> {
    let etc = context.root().join("etc");
    fs::create_dir_all(etc.join("portcullis")).unwrap();
    for dir in [&etc, &etc.join("portcullis")] {
        fs::set_permissions(dir, Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(etc.join("portcullis/ceiling.toml"), ceiling).unwrap();
    let below = Below(context);
    let possible = below.unshared(&["test", "-O", "/"]);
    if !possible.status.success() {
        #[expect(clippy::print_stdout, reason = "what is skipped is told")]
        {
            println!(
                "SKIP {test}: `/` is not root's in a namespace of this user, or nothing can be mounted there"
            );
        }
        return None;
    }
    Some(below)
}

pub(crate) struct Below(pub(crate) Context);

impl Below {
    fn etc(&self) -> String {
        self.0.root().join("etc").display().to_string()
    }

    fn unshared(&self, command: &[&str]) -> Output {
        let mut unshare = self.0.command("unshare");
        unshare.args([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            BELOW,
            "sh",
        ]);
        unshare.arg(self.etc()).args(command);
        unshare.output().unwrap()
    }

    fn output(&self, args: &[&str]) -> Output {
        self.unshared(&[&[env!("CARGO_BIN_EXE_portcullis")], args].concat())
    }

    pub(crate) fn code(&self, args: &[&str]) -> i32 {
        self.output(args).status.code().unwrap()
    }

    pub(crate) fn stderr(&self, args: &[&str]) -> String {
        String::from_utf8(self.output(args).stderr).unwrap()
    }

    fn session(&self, args: &[&str]) -> Session {
        let script = format!(
            "exec unshare --user --map-root-user --mount sh -c '{BELOW}' sh {} \"$@\"",
            self.etc()
        );
        Session::script(&self.0, &script, args)
    }
}

fn with(mut args: Vec<&'static str>, flag: &'static str) -> Vec<&'static str> {
    args.insert(1, flag);
    args
}

#[test]
fn no_policy_and_no_flag_goes_beyond_it() {
    let context = Context::with_policy("exec.allow = [\"echo\", \"cat\"]\n");
    let ceiling = "[exec]\nallow = [\"/usr/bin/echo\"]\n";
    let Some(below) = below("no_policy_and_no_flag_goes_beyond_it", context, ceiling) else {
        return;
    };
    assert_eq!(below.code(&ECHO), 0);
    assert_eq!(
        below.0.output(&CAT).status.code(),
        Some(0),
        "without it that is allowed"
    );
    for flag in [
        None,
        Some("-A"),
        Some("--allow-exec"),
        Some("--allow-exec=cat"),
        Some("--no-config"),
    ] {
        let args = match flag {
            // What `-A` would let be written has our own policy in it here.
            Some("-A") => [
                "run",
                "-A",
                "--confinement=limits",
                "--project",
                "sub",
                "p.wasm",
                "exec",
                "--",
                "cat",
                "/dev/null",
            ]
            .to_vec(),
            Some(flag) => with(CAT.to_vec(), flag),
            None => CAT.to_vec(),
        };
        fs::create_dir_all(below.0.project().join("sub")).unwrap();
        let output = below.output(&args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(126), "{flag:?}: {stderr}");
        assert!(
            stderr.contains("P0215") && stderr.contains("/etc/portcullis/ceiling.toml:2"),
            "{stderr}"
        );
    }
    let exec = below.output(&["exec", "--config", "policy.toml", "--", "cat", "/dev/null"]);
    assert_eq!(exec.status.code(), Some(126));
    let explained = below.output(&["explain", "--config", "policy.toml", "p", "exec", "echo"]);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(
        explained.contains("of the ceiling (/etc/portcullis/ceiling.toml:2)"),
        "{explained}"
    );
}

#[test]
fn its_denials_beat_everything_and_are_named() {
    let context = Context::with_policy("exec = { allow = [\"echo\", \"cat\"] }\n");
    let ceiling = "exec.deny = [{ id = \"no-cats\", program = \"cat\" }]\n";
    let Some(below) = below(
        "its_denials_beat_everything_and_are_named",
        context,
        ceiling,
    ) else {
        return;
    };
    assert_eq!(below.code(&ECHO), 0);
    let stderr = below.stderr(&with(CAT.to_vec(), "--allow-exec"));
    assert!(
        stderr.contains("P0202")
            && stderr.contains("denied by rule `no-cats` at /etc/portcullis/ceiling.toml:1"),
        "{stderr}"
    );
}

#[test]
fn no_answer_goes_beyond_it_and_none_is_asked_for() {
    let context = || Context::with_policy("exec.allow = [\"printf\"]\n");
    let name = "no_answer_goes_beyond_it_and_none_is_asked_for";
    let Some(below_list) = below(name, context(), "[exec]\nallow = [\"/usr/bin/echo\"]\n") else {
        return;
    };
    let (code, text) = below_list.session(&CAT).ends();
    assert_eq!(code, 126);
    assert!(text.contains("P0215") && !text.contains(PROMPT), "{text}");
    let mut session = below_list.session(&ECHO);
    session.answers("a");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    assert_eq!(below_list.code(&ECHO), 0);
    // What was answered before there was a ceiling does not go beyond it either.
    fs::write(
        below_list.0.root().join("etc/portcullis/ceiling.toml"),
        "exec.allow = []\n",
    )
    .unwrap();
    assert_eq!(below_list.code(&ECHO), 126);

    let Some(production) = below(name, context(), "mode = \"production\"\n") else {
        return;
    };
    for flag in [None, Some("--mode=dev")] {
        let args = flag.map_or(ECHO.to_vec(), |flag| with(ECHO.to_vec(), flag));
        let (code, text) = production.session(&args).ends();
        assert_eq!(code, 126);
        assert!(text.contains("P0201") && !text.contains(PROMPT), "{text}");
    }
}

#[test]
fn no_trust_goes_beyond_it() {
    let context = || {
        let context = Context::with_policy("exec.allow = [\"echo\"]\n");
        context.write(
            "portcullis.toml",
            format!("{DEV}exec.allow = [\"echo\", \"cat\"]\n"),
        );
        context
    };
    let cat = ["run", "p", "exec", "--", "cat", "/dev/null"];
    let name = "no_trust_goes_beyond_it";
    let Some(below_list) = below(name, context(), "[exec]\nallow = [\"/usr/bin/echo\"]\n") else {
        return;
    };
    let mut session = below_list.session(&["trust"]);
    session.waits_for("Trust it? [yes/N] ").types("yes\n");
    assert_eq!(session.ends().0, 0);
    assert_eq!(below_list.code(&cat), 126);
    assert_eq!(
        below_list.0.output(&cat).status.code(),
        Some(0),
        "without it that is trusted"
    );
    // And where it says so, nothing of a tree is trusted at all, whatever was before.
    fs::write(
        below_list.0.root().join("etc/portcullis/ceiling.toml"),
        "trust = false\n",
    )
    .unwrap();
    assert_eq!(below_list.code(&cat), 125);
    let (code, text) = below_list.session(&["trust"]).ends();
    assert_eq!(code, 2);
    assert!(text.contains("/etc/portcullis/ceiling.toml:1"), "{text}");
}

#[test]
fn what_is_cut_off_is_told_with_both_lines() {
    let context =
        Context::with_policy("exec.allow = [\"echo\"]\nfs = { read = [\"a\"], write = [\"b\"] }\n");
    for dir in ["a", "b"] {
        fs::create_dir(context.project().join(dir)).unwrap();
    }
    let a = context.project().join("a").display().to_string();
    let ceiling = format!(
        "confinement = \"full\"\nnet = \"none\"\nenv = [\"LANG\"]\nfs = {{ read = [\"{a}\"], write = [] }}\nlimits.timeout = \"2s\"\n\
         exec.pass_env = []\n"
    );
    let Some(below) = below("what_is_cut_off_is_told_with_both_lines", context, &ceiling) else {
        return;
    };
    let args = [
        "explain",
        "--config",
        "policy.toml",
        "--confinement=limits",
        "--allow-net=open",
        "p",
        "exec",
        "echo",
    ];
    let output = below.output(&args);
    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    for part in [
        "warning[P0919]: plugin `p` may not write `[DIR]/project/b` after all",
        "granted at policy.toml:7",
        "it is above the ceiling (/etc/portcullis/ceiling.toml:4)",
        "may not reach all of its `net` after all",
    ] {
        assert!(below.0.plain(&stderr).contains(part), "{part} in {stderr}");
    }
    assert!(
        stdout.contains("for at most 2000 ms") && stdout.contains("confined (full)"),
        "{stdout}"
    );
    let check = below.output(&["check", "--strict", "--config", "policy.toml"]);
    assert_eq!(check.status.code(), Some(1));
    let stdout = String::from_utf8(check.stdout).unwrap();
    assert!(
        stdout.contains("checked `/etc/portcullis/ceiling.toml` (the ceiling"),
        "{stdout}"
    );
    // What somebody types is not above it either.
    let exec = below.stderr(&["exec", "--dry-run", "--env", "HOME", "--", "echo"]);
    assert!(exec.contains("P0919") && exec.contains("`HOME`"), "{exec}");
}

#[test]
fn a_ceiling_that_cannot_be_obeyed_ends_everything() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let Some(below) = below(
        "a_ceiling_that_cannot_be_obeyed_ends_everything",
        context,
        "",
    ) else {
        return;
    };
    let file = below.0.root().join("etc/portcullis/ceiling.toml");
    assert_eq!(below.code(&ECHO), 0, "an empty one bounds nothing");
    let refused = |code: &str| {
        for args in [
            ECHO.to_vec(),
            with(ECHO.to_vec(), "--no-config"),
            vec!["exec", "--", "echo"],
        ] {
            let output = below.output(&args);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(125), "{stderr}");
            assert!(stderr.contains(code), "{stderr}");
        }
    };
    fs::set_permissions(&file, Permissions::from_mode(0o646)).unwrap();
    refused("P0918");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(file.parent().unwrap(), Permissions::from_mode(0o777)).unwrap();
    refused("P0918");
    fs::set_permissions(file.parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    fs::write(&file, "exec.alow = []\n").unwrap();
    refused("P0101");
    fs::write(&file, "exec.allow = [\"git\"]\n").unwrap();
    refused("P0102");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/null", &file).unwrap();
    refused("P0918");
}

#[test]
fn nothing_but_that_place_names_a_ceiling() {
    let context = Context::with_policy("exec.allow = [\"echo\"]\n");
    let elsewhere = context.root().join("etc").display().to_string();
    let Some(below) = below(
        "nothing_but_that_place_names_a_ceiling",
        context,
        "[exec]\nallow = []\n",
    ) else {
        return;
    };
    // A variable neither moves nor lifts it.
    for name in ["PORTCULLIS_CEILING", "PORTCULLIS_ETC", "XDG_CONFIG_DIRS"] {
        let variable = format!("{name}={elsewhere}/none");
        let args = [
            &["env", &variable, env!("CARGO_BIN_EXE_portcullis")],
            &ECHO[..],
        ]
        .concat();
        assert_eq!(below.unshared(&args).status.code(), Some(126), "{name}");
    }
    let args = [&RUN[..], &["exec", "--", "echo"]].concat();
    assert_eq!(below.code(&args), 126);
}
