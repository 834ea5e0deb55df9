//! Arguments arrive as they were given, and never see a shell.

use portcullis_exec::Status;
use portcullis_policy::{ArgPath, ArgToken, Code, ProgramRule};

use crate::fixture::{Plugin, ask, grant};

crate::tests![
    byte_exact,
    no_shell_sees_them,
    over_the_limit_is_refused,
    a_nul_is_refused,
    arguments_that_are_paths_are_decided_on_where_they_lead,
    paths_are_resolved_only_for_rules_that_ask,
];

/// What the kernel holds as the command's arguments.
async fn command_line(plugin: &Plugin, args: &[&str]) -> Vec<u8> {
    let mut all = vec!["-c", "cat /proc/$$/cmdline"];
    all.extend(args);
    let completed = plugin.run(ask("sh", &all)).await;
    assert_eq!(completed.status, Status::Exited(0));
    completed.stdout
}

fn expected(args: &[&str]) -> Vec<u8> {
    let mut bytes = b"sh\0-c\0cat /proc/$$/cmdline\0".to_vec();
    for arg in args {
        bytes.extend(arg.as_bytes());
        bytes.push(0);
    }
    bytes
}

async fn byte_exact() {
    let plugin = Plugin::new(&["sh"]);
    let long = "x".repeat(100 * 1024);
    let args = [
        "",
        "a b",
        " ",
        "new\nline",
        "tab\t",
        "\u{1}\u{7f}",
        "größe 漢字 \u{1f600}",
        "",
        &long,
        "--",
        "",
    ];
    assert_eq!(command_line(&plugin, &args).await, expected(&args));
}

async fn no_shell_sees_them() {
    let plugin = Plugin::new(&["sh"]);
    let args = [
        "$(id)", "`id`", "*", "~", "$HOME", "a;id", "a|id", "&", ">x", "'", "\"", "\\", "!x",
        "{a,b}",
    ];
    assert_eq!(command_line(&plugin, &args).await, expected(&args));
    assert!(!plugin.path("x").exists());
}

async fn over_the_limit_is_refused() {
    let plugin = Plugin::new(&["sh"]);
    let long = "x".repeat(128 * 1024);
    assert_eq!(plugin.denial(&ask("sh", &[&long])).0, Code::ExecInvalid);
    let many = vec!["x"; 64 * 1024 + 1];
    assert_eq!(plugin.denial(&ask("sh", &many)).0, Code::ExecInvalid);
}

async fn a_nul_is_refused() {
    let plugin = Plugin::new(&["sh"]);
    for args in [&["-c", "exit 7", "a\0b"][..], &["\0"]] {
        assert_eq!(plugin.denial(&ask("sh", args)).0, Code::ExecInvalid);
    }
}

/// A plugin that may run `cat` on one file it may read.
fn cat_reads() -> Plugin {
    let mut plugin = Plugin::new(&["cat"]);
    let dir = plugin.make_dir("data");
    plugin.write("data/file", "inside", 0o644);
    plugin.write("secret", "outside", 0o644);
    std::os::unix::fs::symlink("../secret", dir.join("link")).unwrap();
    let mut rule = ProgramRule::any_arguments("cat");
    rule.arguments.args = Some(vec![ArgToken::ReadPath]);
    plugin.exec().allow = vec![rule];
    plugin.grants.fs = vec![grant(&dir, "/data", portcullis_policy::FsAccess::Read)];
    plugin
}

async fn arguments_that_are_paths_are_decided_on_where_they_lead() {
    let plugin = cat_reads();
    assert_eq!(plugin.output(ask("cat", &["data/file"])).await, "inside");
    assert_eq!(
        plugin.output(ask("cat", &["data/../data/./file"])).await,
        "inside"
    );
    let absolute = plugin.path("data/file").display().to_string();
    assert_eq!(plugin.output(ask("cat", &[&absolute])).await, "inside");
    for outside in [
        "secret",
        "data/link",
        "data/../secret",
        "/etc/passwd",
        "data/none",
        "-",
        "",
    ] {
        assert_eq!(
            plugin.denial(&ask("cat", &[outside])).0,
            Code::ExecArguments,
            "{outside}"
        );
    }
}

async fn paths_are_resolved_only_for_rules_that_ask() {
    let mut plugin = cat_reads();
    let real = |name: &str| plugin.path(name);
    let of = |args: &[&str]| plugin.resolve(&ask("cat", args)).0.arg_paths;
    assert_eq!(
        of(&["data/file", "--flag", "--into=data/new", "-x"]),
        [
            ArgPath {
                index: 0,
                real: real("data/file"),
                exists: true
            },
            ArgPath {
                index: 2,
                real: real("data/new"),
                exists: false
            },
        ]
    );
    plugin.exec().allow = vec![ProgramRule::any_arguments("cat")];
    assert_eq!(plugin.resolve(&ask("cat", &["data/file"])).0.arg_paths, []);
}
