//! The example in Python: `df`, confined, with the policy of the examples; and what it makes of answers that a `df` may give.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::context::{Context, skip};

fn context() -> Option<Context> {
    let context = Context::interpreted("disk-watch")?;
    if !std::path::Path::new("/usr/bin/df").exists() {
        skip("`df` is not installed");
        return None;
    }
    Some(context)
}

/// Exit code, standard output and standard error of the example as its README starts it.
fn run(context: &Context, args: &[&str]) -> (i32, String, String) {
    context.example("disk-watch", args)
}

#[test]
fn it_reports_the_file_system_of_the_granted_directory() {
    let Some(context) = context() else { return };
    let (code, stdout, stderr) = run(&context, &["--above", "100"]);
    assert_eq!(code, 0, "{stderr}");
    let unconfined = context
        .command("df")
        .args(["-P", "-k", "."])
        .output()
        .unwrap();
    let unconfined = String::from_utf8(unconfined.stdout).unwrap();
    let device = unconfined
        .lines()
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let row = stdout.lines().nth(1).unwrap();
    assert!(
        row.contains("100%") && row.contains(" .  ") && row.ends_with(device),
        "{stdout}{unconfined}"
    );
    assert!(stderr.contains("children: confined (full)"), "{stderr}");
}

#[test]
fn above_a_threshold_it_fails() {
    let Some(context) = context() else { return };
    fs::create_dir(context.project().join("sub")).unwrap();
    let (code, stdout, stderr) = run(&context, &["--above", "0", ".", "sub=100"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    let rows: Vec<_> = stderr.lines().collect();
    assert!(
        rows[1].ends_with("above its limit") && !rows[2].ends_with("above its limit"),
        "{stderr}"
    );
}

#[test]
fn what_was_not_granted_is_refused_and_the_rest_is_reported() {
    let Some(context) = context() else { return };
    let (code, _, stderr) = run(&context, &["/", ".=100", "missing"]);
    assert_eq!(code, 126);
    for part in [
        "cannot ask df about `/`: denied: ",
        "cannot ask df about `missing`: denied: ",
        "100%",
        "error[P0203]: plugin `disk-watch` may not run `/usr/bin/df` with these arguments",
    ] {
        assert!(stderr.contains(part), "{part:?} is not in\n{stderr}");
    }
}

/// A `df` that knows what to say of each directory.
const DF: &str = r#"#!/bin/sh
echo 'Filesystem 1024-blocks Used Available Capacity Mounted on'
case "$4" in
full) echo '/dev/sda1 1000000 950000 50000 95% /srv/data' ;;
tight) echo '/dev/sda2 1000 990 -10 101% /srv/tight' ;;
spaces) echo 'my share on host 2147483648 1 2147483647 1% /mnt/with  two spaces' ;;
pseudo) echo 'proc 0 0 0 - /proc' ;;
broken) echo "df: $4: Input/output error" >&2; exit 1 ;;
silent) exit 3 ;;
strange) echo 'nothing that df would say' ;;
long) echo a; echo b ;;
esac
"#;

#[test]
fn every_answer_of_df_is_understood_or_told() {
    let Some(context) = context() else { return };
    let df = context.write("bin/df", DF);
    fs::set_permissions(df, Permissions::from_mode(0o755)).unwrap();
    let directories = [
        "full=96", "full", "tight", "spaces", "pseudo", "broken", "silent", "strange", "long",
    ];
    for directory in directories {
        fs::create_dir_all(context.project().join(directory)).unwrap();
    }
    let bin = context.project().join("bin");
    context.write(
        "policy.toml",
        format!(
            "confinement = \"limits\"\n[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\nfs.read = [\"${{project}}\"]\n\
             exec = {{ path = [{bin:?}], allow = [{{ program = \"df\", args = [\"-P\", \"-k\", \"--\", \"<read>\"] }}] }}\n"
        ),
    );
    let args = [&["run", "--config", "policy.toml", "p"], &directories[..]].concat();
    let (code, stdout, stderr) = context.ended(&args);
    assert_eq!((code, stdout.as_str()), (1, ""));
    insta::assert_snapshot!(stderr, @"
    used  limit      free  directory  file system
     95%    96%  48.8 MiB  full       /dev/sda1
     95%    80%  48.8 MiB  full       /dev/sda1         above its limit
    102%    80%   0.0 KiB  tight      /dev/sda2         above its limit
      1%    80%   2.0 TiB  spaces     my share on host
       -    80%         -  pseudo     proc
    df failed for `broken` with status 1: df: broken: Input/output error
    df failed for `silent` with status 3: it said nothing
    cannot read what df says of `strange`: `nothing that df would say` is no line about a file system
    cannot read what df says of `long`: 3 lines instead of 2
    children: not confined (limits): they can do what you can do
    ");
}

#[test]
fn arguments_that_mean_nothing_are_told() {
    let Some(context) = context() else { return };
    for (args, says) in [
        (&["-x"][..], "usage: disk-watch"),
        (
            &["--above"][..],
            "`` is no percentage between 0 and 100; usage",
        ),
        (&["--above", "101"][..], "`101` is no percentage"),
        (&[".=101"][..], "`101` is no percentage"),
        (&["--above", "\u{661}"][..], "is no percentage"),
    ] {
        let (code, _, stderr) = run(&context, args);
        assert!(code == 1 && stderr.contains(says), "{args:?}: {stderr}");
    }
}
