//! What a plugin asks for, and the second key to the door.

use std::path::Path;

use portcullis_config::{FlagSet, Manifest};
use portcullis_policy::Grants;

use crate::support::{Project, run};

const REPORT: &str = r#"
id = "p"
version = "0.1.0"
world = "portcullis:cli/plugin@0.1.0"
description = "Reports"

[[asks]]
capability = "exec"
program = "git"
sub = ["log", "status"]
reason = "reads the history"

[[asks]]
capability = "fs"
path = "${project}"
reason = "reads the tree"

[[asks]]
capability = "env"
name = "LANG"
reason = "speaks the language"
"#;

fn parse(text: &str) -> Manifest {
    Manifest::parse(Path::new("plugin.toml"), text).unwrap_or_else(|errors| panic!("{errors}"))
}

fn grants(rest: &str) -> Grants {
    let head = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";
    let (top, rest) = rest.split_once(';').unwrap_or(("", rest));
    Project::new()
        .entry(&format!("{top}\n{head}{rest}\n"), FlagSet::default())
        .grants
}

#[test]
fn asks_that_are_not_granted_are_told() {
    let manifest = parse(REPORT);
    let missing = |rest: &str| -> Vec<String> {
        manifest
            .asks_not_granted(&grants(rest))
            .iter()
            .map(|ask| ask.kind.capability().to_string())
            .collect()
    };
    assert_eq!(missing(""), ["exec", "fs", "env"]);
    let all = "exec = { allow = [{ program = \"git\", sub = [\"log\", \"status\", \"diff\"] }] }\nfs = { read = [\"${project}\"] }\nenv = [\"LANG\"]";
    assert!(missing(all).is_empty());
    assert_eq!(missing(&all.replace("\"log\", ", "")), ["exec"]);
    assert_eq!(missing(&all.replace("\"${project}\"", "\"out\"")), ["fs"]);
    assert_eq!(missing(&all.replace("LANG", "LC_*")), ["env"]);
}

#[test]
fn both_keys_are_needed() {
    let manifest = parse(REPORT);
    let both = manifest.restrict(grants("exec = { allow = [\"git\", \"jq\"] }"));
    assert!(run(&both, "git", &["log"]).is_ok());
    assert!(run(&both, "jq", &[]).is_err(), "granted, but not asked for");
    let refused = manifest.restrict(grants("exec = { allow = [\"jq\"] }"));
    assert!(
        run(&refused, "git", &["log"]).is_err(),
        "asked for, but not granted"
    );
    let any = manifest.restrict(grants("mode = \"dev\";exec = {}"));
    assert!(run(&any, "git", &["log"]).is_ok() && run(&any, "jq", &[]).is_err());
    let nothing = parse("id = \"p\"\nversion = \"1\"\nworld = \"w\"\n");
    let full = grants("exec = { allow = [\"git\"] }\nfs = { read = [\"out\"] }\nenv = [\"LANG\"]");
    assert_eq!(nothing.restrict(full), grants(""));
    // What is lifted is no program: it counts for the plugin itself.
    let lifted = nothing.restrict(grants("exec = { allow = [], unprotect = [\".envrc\"] }"));
    assert_eq!(
        (lifted.exec, lifted.protect.lifted()),
        (None, vec![".envrc"])
    );
}

#[test]
fn restricting_never_lifts_a_denial() {
    // Were `sh` put in a list, it would no longer be found to be the denied `bash` under another name.
    let asks_sh = parse(&asking("sh"));
    let before = grants("mode = \"dev\";exec = { deny = [\"bash\"] }");
    assert_eq!(asks_sh.restrict(before.clone()), before);
    // The same with a directory of which nothing is left.
    let asks_sh = parse(&asking("/opt/sh"));
    let granted = |deny: &str| {
        grants(&format!(
            "exec = {{ allow = [\"sh\", \"/usr/bin/*\"]{deny} }}"
        ))
    };
    let unnamed = |grants: Grants| grants.exec.unwrap().allows_unnamed();
    assert!(unnamed(asks_sh.restrict(granted(", deny = [\"bash\"]"))));
    assert!(!unnamed(asks_sh.restrict(granted(""))));
}

fn asking(program: &str) -> String {
    format!(
        "id = \"p\"\nversion = \"1\"\nworld = \"w\"\n[[asks]]\ncapability = \"exec\"\nprogram = \"{program}\"\nreason = \"x\"\n"
    )
}

#[test]
fn of_a_directory_those_are_granted_that_are_asked_for() {
    let granted = grants("exec = { allow = [\"/usr/bin/*\"] }");
    for asked in ["git", "/usr/bin/git"] {
        let manifest = parse(&asking(asked));
        let left = manifest.restrict(granted.clone());
        assert!(run(&left, "/usr/bin/git", &[]).is_ok(), "{asked}");
        assert!(run(&left, "/usr/bin/jq", &[]).is_err(), "{asked}");
        assert!(
            run(&left, "git", &[]).is_err(),
            "a bare name is in no directory"
        );
        assert_eq!(manifest.restrict(left.clone()), left);
        let missing = manifest.asks_not_granted(&granted).len();
        assert_eq!(missing, usize::from(asked == "git"));
    }
    let other = parse(&asking("/opt/git")).restrict(granted);
    assert!(run(&other, "/usr/bin/git", &[]).is_err());
}

#[test]
fn the_mistakes_of_a_manifest_are_told_together() {
    let text = "id = \"a b\"\nversion = \"1\"\nworld = \"\"\ncomponent = \"../x.wasm\"\nallow = 1\n[[asks]]\ncapability = \"exec\"\npath = \"x\"\nreason = \"\"\n[[asks]]\ncapability = \"exe\"\nreason = \"x\"\n";
    let errors = Manifest::parse(Path::new("plugin.toml"), text)
        .unwrap_err()
        .to_string();
    assert_eq!(
        errors,
        "\
plugin.toml:5:1: error[P0101]: unknown key `allow`: expected one of `asks`, `commands`, `component`, `description`, `id`, `minimum_host`, `version`, `world`
plugin.toml:11:14: error[P0102]: `exe` is no value of `asks.capability`: expected one of `exec`, `fs`, `http`, `net`, `env`, `kv`, `log`, `prompt`, `metadata`"
    );
    let errors = Manifest::parse(
        Path::new("plugin.toml"),
        &text.replace("\"exe\"", "\"log\""),
    )
    .unwrap_err()
    .to_string();
    assert_eq!(
        errors,
        "\
plugin.toml:1:6: error[P0102]: `a b` is not a plugin id: 1 to 128 letters, digits, `.`, `_` or `-`, starting with a letter or digit
plugin.toml:3:9: error[P0102]: `world` is one word of at most 256 bytes
plugin.toml:4:13: error[P0102]: `component` is the name of a file beside this one
plugin.toml:5:1: error[P0101]: unknown key `allow`: expected one of `asks`, `commands`, `component`, `description`, `id`, `minimum_host`, `version`, `world`
plugin.toml:8:8: error[P0102]: `path` belongs to the capability `fs`, not to `exec`
plugin.toml:9:10: error[P0102]: `reason` is empty"
    );
}

const HEAD: &str = "id = \"p\"\nversion = \"1\"\nworld = \"w\"\n";

fn mistakes(text: &str) -> String {
    let parsed = Manifest::parse(Path::new("plugin.toml"), text);
    parsed.map_or_else(|errors| errors.to_string(), |_| String::new())
}

#[test]
fn commands_have_names_and_arguments_of_their_own() {
    let manifest = parse(&format!(
        "{HEAD}[[commands]]\nname = \"report\"\ndescription = \"Reports\"\n[[commands]]\nname = \"short-report\"\nargs = [\"--short\"]\n"
    ));
    let commands: Vec<_> = manifest
        .commands
        .iter()
        .map(|command| (command.name.as_str(), command.args.concat()))
        .collect();
    assert_eq!(
        commands,
        [
            ("report", String::new()),
            ("short-report", "--short".to_owned())
        ]
    );
    assert_eq!(manifest.commands[0].description.as_deref(), Some("Reports"));
    let two = format!("{HEAD}[[commands]]\nname = \"x\"\n[[commands]]\nname = \"x\"\n");
    assert_eq!(
        mistakes(&two),
        "plugin.toml:7:8: error[P0103]: two commands are called `x`"
    );
    for name in ["", "-x", "../x", "a b", "x\\n", &"x".repeat(65)] {
        let text = format!("{HEAD}[[commands]]\nname = \"{name}\"\n");
        assert!(
            mistakes(&text).contains("is no name of a command"),
            "{name}"
        );
    }
    let longest = format!("{HEAD}[[commands]]\nname = \"{}\"\n", "x".repeat(64));
    assert_eq!(mistakes(&longest), "");
}

#[test]
fn a_plugin_that_needs_a_later_host_is_refused() {
    let needs = |version: &str| mistakes(&format!("{HEAD}minimum_host = \"{version}\"\n"));
    let this = env!("CARGO_PKG_VERSION");
    assert_eq!(
        (needs(this), needs("0.0.1")),
        (String::new(), String::new())
    );
    assert_eq!(
        needs("99.0.0"),
        format!(
            "plugin.toml:4:16: error[P0112]: the plugin needs Portcullis 99.0.0 or later, and this is {this}"
        )
    );
    assert!(needs("1").contains("is no version such as `0.1.0`"));
}

#[test]
fn a_reason_is_one_line_that_a_person_reads() {
    let asks = |reason: &str| {
        mistakes(&format!(
            "{HEAD}[[asks]]\ncapability = \"log\"\nreason = \"{reason}\"\n"
        ))
    };
    assert_eq!(asks(&"\u{e9}".repeat(140)), "");
    assert!(asks(&"x".repeat(141)).contains("`reason` has 141 characters, and may have 140"));
}
