//! `[[plugins.exec.test]]`: what the rules must make of commands, and what is said when they do something else.

use crate::support::Project;

const POLICY: &str = r#"
[[plugins]]
id = "p"
path = "plugins/p.wasm"
fs = { read = ["${project}"], write = ["out"] }
net = ["api.example.com:443"]

[plugins.exec]
allow = [
  { id = "status", program = "git", args = ["status"], read = ["out"], write = [], net = "none" },
  { id = "any-log", program = "git", sub = ["log"], env = ["TZ"], stdin = false },
]
deny = [{ id = "no-push", program = "git", sub = ["push"] }]
"#;

/// The mistakes of the policy with these tests, each with its line.
fn mistakes(allow: &str, deny: &str) -> Vec<String> {
    let project = Project::new();
    let text = format!("{POLICY}[[plugins.exec.test]]\nallow = [{allow}]\ndeny = [{deny}]\n");
    match project.load(&[project.trusted(&text)]) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .0
            .iter()
            .map(|error| {
                let (line, column) = error.position();
                let root = project.root().display().to_string();
                format!(
                    "{line}:{column} {} {}",
                    error.code,
                    error.message.replace(&root, "[P]")
                )
            })
            .collect(),
    }
}

#[test]
fn programs_of_a_directory_are_tried_by_their_paths() {
    let project = Project::new();
    let text = |rules: &str| {
        format!("[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n[plugins.exec]\n{rules}\n")
    };
    let allowed = text(
        r#"allow = ["/opt/x/*", "df"]
        deny = ["/usr/bin/*"]
        [[plugins.exec.test]]
        allow = [["/opt/x/tool", "-v"]]
        deny = [["tool"], ["/opt/x/deep/tool"], ["/opt/x/../x/tool"], ["df"], ["/usr/bin/df"]]"#,
    );
    project.load(&[project.trusted(&allowed)]).unwrap();
}

#[test]
fn what_holds_is_no_mistake() {
    let allow = [
        r#"["git", "status"]"#,
        r#"{ run = ["git", "status"], rules = ["status"], read = ["out"], write = [], net = "none" }"#,
        r#"{ run = ["git", "log"], rules = ["any-log"], cwd = "out", env = ["TZ=UTC"], write = ["out"], net = ["api.example.com:443"] }"#,
    ];
    let deny = [
        r#"["git", "push"]"#,
        r#"{ run = ["git", "push"], rules = ["no-push"] }"#,
        r#"{ run = ["git", "fetch"], rules = [] }"#,
        r#"{ run = ["git", "log"], cwd = "/" }"#,
        r#"{ run = ["git", "log"], env = ["LANG=C"] }"#,
        r#"{ run = ["git", "log"], stdin = true }"#,
    ];
    assert_eq!(mistakes(&allow.join(", "), &deny.join(", ")), [""; 0]);
}

#[test]
fn what_does_not_hold_is_said_at_its_place() {
    let allowed = [
        (
            r#"["git", "fetch"]"#,
            r#"P0106 the rules must allow ["git", "fetch"], and do not"#,
        ),
        (
            r#"{ run = ["git", "status"], rules = ["any-log"] }"#,
            r#"P0106 the rules must allow ["git", "status"], and do so by ["status"], not by ["any-log"]"#,
        ),
        (
            r#"{ run = ["git", "log"], write = [] }"#,
            r#"P0106 the rules must allow ["git", "log"], and leave it ["[P]/out"] to write, not []"#,
        ),
        (
            r#"{ run = ["git", "log"], read = ["out"] }"#,
            r#"P0106 the rules must allow ["git", "log"], and leave it ["[P]"] to read, not ["[P]/out"]"#,
        ),
        (
            r#"{ run = ["git", "log"], cwd = "/" }"#,
            r#"P0106 the rules must allow ["git", "log"], and do not"#,
        ),
        (
            r#"{ run = ["git", "log"], env = ["TZ"] }"#,
            "P0102 `TZ` is no variable: expected `NAME=value`",
        ),
        (
            "{ run = [] }",
            "P0102 a command of a test is a program and its arguments",
        ),
    ];
    for (test, expected) in allowed {
        let found = mistakes(test, "");
        assert_eq!(found.len(), 1, "{test}: {found:?}");
        assert!(found[0].ends_with(expected), "{test}: {found:?}");
        assert!(
            found[0].starts_with("15:"),
            "the line of the test: {found:?}"
        );
    }
    let net = mistakes(r#"{ run = ["git", "log"], net = "open" }"#, "");
    assert!(net[0].contains("and leave it the network"), "{net:?}");
    let denied = [
        (
            r#"["git", "status"]"#,
            r#"P0106 the rules must deny ["git", "status"], and allow it"#,
        ),
        (
            r#"{ run = ["git", "push"], rules = [] }"#,
            r#"P0106 the rules must deny ["git", "push"], and do so by ["no-push"], not by no rule"#,
        ),
        (
            r#"{ run = ["git", "push"], write = [] }"#,
            "P0102 a command that is denied is left nothing: `read`, `write` and `net` are for `allow`",
        ),
        (
            r#"{ run = ["git", "push"], rule = ["no-push"] }"#,
            "P0101 unknown key `rule` in `plugins.exec.test.deny`",
        ),
    ];
    for (test, expected) in denied {
        let found = mistakes("", test);
        assert_eq!(found.len(), 1, "{test}: {found:?}");
        assert!(found[0].ends_with(expected), "{test}: {found:?}");
        assert!(
            found[0].starts_with("16:"),
            "the line of the test: {found:?}"
        );
    }
}
