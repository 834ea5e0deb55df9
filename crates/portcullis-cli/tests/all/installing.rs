//! The life of a plugin: what is shown before it is installed, what it is given, and what ends it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use portcullis_testkit::guest;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::context::{Context, shows};
use crate::session::Session;

const AGREE: &str = "Agree? [";
pub(crate) const ECHO: [&str; 5] = ["notes", "exec", "--", "echo", "ran"];

/// Asks of the plugin `notes`.
const LOG: &str = "[[asks]]\ncapability = \"log\"\nreason = \"says what it does\"\n";
pub(crate) const RUNS_ECHO: &str =
    "[[asks]]\ncapability = \"exec\"\nprogram = \"echo\"\nreason = \"prints what it found\"\n";
const ANY_HOST: &str = "[[asks]]\ncapability = \"http\"\nreason = \"talks to its friends\"\n";

/// A directory with a plugin `notes` in it. A number makes another content of it.
pub(crate) fn write(context: &Context, version: &str, asks: &str, content: u8) -> PathBuf {
    let head = "world = \"portcullis:cli/plugin@0.1.0\"\n";
    let manifest = format!("id = \"notes\"\nversion = \"{version}\"\n{head}{asks}");
    let mut bytes = fs::read(guest("exec-args")).unwrap();
    bytes.extend([0, 2, 1, content]);
    context.write("notes/notes.wasm", bytes);
    context.write("notes/plugin.toml", manifest)
}

/// With the plugin, and commands that are confined by nothing, so that this is about the policy.
pub(crate) fn context(asks: &str) -> Context {
    let context = Context::new();
    fs::create_dir_all(context.own_policy().parent().unwrap()).unwrap();
    fs::write(context.own_policy(), "confinement = \"limits\"\n").unwrap();
    write(&context, "1.0.0", asks, b'a');
    context
}

pub(crate) fn names(context: &Context) -> Vec<(String, String)> {
    let listed = context.json(&["list", "--json"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let plugins = listed["plugins"].as_array().unwrap().iter();
    plugins
        .map(|plugin| (text(&plugin["name"]), text(&plugin["version"])))
        .collect()
}

pub(crate) fn installed(version: &str) -> Vec<(String, String)> {
    vec![("notes".to_owned(), version.to_owned())]
}

fn answer(context: &Context, args: &[&str], typed: &str) -> (i32, String) {
    let mut session = Session::start(context, args);
    session.waits_for(AGREE).waits_for("] ").types(typed);
    session.ends()
}

pub(crate) fn install(context: &Context, typed: &str) -> (i32, String) {
    answer(context, &["install", "notes"], typed)
}

pub(crate) fn runs(context: &Context) -> bool {
    let (code, out, error) = context.ended(&[&["run"], &ECHO[..]].concat());
    assert!(
        code == 0 || error.contains("error[P0"),
        "{code} {out} {error}"
    );
    code == 0 && out.contains("ran")
}

#[test]
fn what_it_is_asks_for_and_could_do_is_shown_before_anybody_agrees() {
    let context = context(&format!(
        "description = \"Keeps \\u001b[31mnotes\"\n{RUNS_ECHO}{ANY_HOST}"
    ));
    let (code, text) = install(&context, "yes\n");
    assert_eq!(code, 0, "{text}");
    for shown in [
        "plugin `notes` 1.0.0: a component, ",
        "tier local: it lies on this machine, and nobody signed it",
        "it says of itself: \"Keeps \\u{1b}[31mnotes\"",
        "asks for exec `echo` (your policy does not give it), because: \"prints what it found\"",
        "what they can read can leave this machine",
        "it wants to talk to any host of the public network",
        "may run no command",
        "portcullis: install this plugin?",
        "installed notes 1.0.0 (local)",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert_eq!(names(&context), installed("1.0.0"));
    assert!(
        !runs(&context),
        "it was given nothing but what the policy gives"
    );
}

#[test]
fn whoever_does_not_agree_has_nothing_installed() {
    let context = context(LOG);
    for typed in ["\n", "n\n", "y\n", "YES\n", "\u{4}", "grantyes\n"] {
        let (code, text) = install(&context, typed);
        assert_eq!(code, 1, "{typed:?}: {text}");
        assert!(text.contains("P0931"), "{text}");
        assert_eq!(names(&context), []);
    }
    assert!(
        !context
            .home()
            .join(".local/share/portcullis/plugins")
            .exists()
    );
}

#[test]
fn what_it_asks_for_is_granted_if_that_is_what_was_agreed_to() {
    let context = context(RUNS_ECHO);
    let (code, text) = install(&context, "grant\n");
    assert_eq!(code, 0, "{text}");
    assert!(runs(&context));
    let (code, ..) = context.ended(&["run", "notes", "exec", "--", "cat", "/dev/null"]);
    assert_ne!(code, 0, "nothing that it did not ask for");
}

#[test]
fn where_nobody_can_be_asked_the_command_is_told() {
    let context = context(LOG);
    shows!(context, ["install", "notes"], @r"
    exit 1
    -- stderr
    error[P0931]: plugin `notes` is not installed
      note: there is no terminal
      help: portcullis install --yes notes
    ");
    assert_eq!(names(&context), []);
}

#[test]
fn without_being_asked_it_is_given_only_what_the_policy_gives_this_content() {
    let context = context(RUNS_ECHO);
    let (code, out, error) = context.ended(&["install", "--yes", "notes"]);
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("warning[P0933]"), "{error}");
    assert!(out.contains("(your policy does not give it)"), "{out}");
    assert!(!runs(&context), "nobody agreed to it");
    context.ended(&["remove", "notes"]);
    let sha256 = context.json(&["inspect", "--json", "notes"])["plugin"]["sha256"].clone();
    let policy = |sha256: &str| {
        let head = format!(
            "confinement = \"limits\"\n[[plugins]]\nid = \"notes\"\nsha256 = \"{sha256}\"\n"
        );
        fs::write(
            context.own_policy(),
            format!("{head}exec.allow = [\"echo\"]\n"),
        )
        .unwrap();
    };
    policy(sha256.as_str().unwrap());
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    assert!(runs(&context));
    policy(&"a".repeat(64));
    assert!(!runs(&context), "that is about another content");
}

#[test]
fn what_has_the_name_of_an_installed_plugin_is_looked_at_as_itself_and_is_not_run() {
    let context = context(RUNS_ECHO);
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    write(&context, "2.0.0", RUNS_ECHO, b'b');
    let bytes = fs::read(context.project().join("notes/notes.wasm")).unwrap();
    let flags = ["--describe", "--json", "./notes"];
    let output = context.output(&[&["inspect"][..], &flags].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["plugin"]["id"], "notes");
    assert_eq!(
        said["plugin"]["sha256"],
        hex::encode(Sha256::digest(&bytes))
    );
    assert_eq!(said["manifest"]["version"], "2.0.0");
    assert_eq!(
        (&said["entry"], &said["remedy"]),
        (&Value::Null, &json!([]))
    );
    let problems = said["problems"].as_array().unwrap();
    let first = problems[0].as_str().unwrap();
    assert!(
        first.starts_with("another plugin has the name `notes`, from `"),
        "{first}"
    );
    let (code, _, error) = context.ended(&["run", "./notes", "exec", "--", "echo", "ran"]);
    assert_eq!(code, 125, "{error}");
    assert!(error.contains("error[P0902]"), "{error}");
    assert!(error.contains("`portcullis update notes`"), "{error}");
    assert_eq!(context.ended(&["update", "--yes", "notes"]).0, 0);
    assert_eq!(names(&context), installed("2.0.0"));
}

#[test]
fn a_second_plugin_of_one_name_is_an_error_that_names_both() {
    let context = context("");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    context.write(
        "other/plugin.toml",
        "id = \"Notes\"\nversion = \"2.0.0\"\nworld = \"w\"\n",
    );
    fs::copy(guest("noop"), context.project().join("other/other.wasm")).unwrap();
    let (code, _, error) = context.ended(&["install", "--yes", "other"]);
    assert_eq!(code, 1);
    for named in [
        "plugin `Notes` from",
        "other`",
        "`notes` is installed from",
        "notes`",
    ] {
        assert!(error.contains(named), "{named} in {error}");
    }
    assert_eq!(names(&context), installed("1.0.0"));
    // A policy that has the name for a file is one mistake, and no race.
    context.write(
        "policy.toml",
        "[[plugins]]\nid = \"notes\"\npath = \"other/other.wasm\"\n",
    );
    let (_, _, error) = context.ended(&["run", "--config", "policy.toml", "notes"]);
    assert!(
        error.contains("two plugins cannot have one name"),
        "{error}"
    );
}

#[test]
fn a_name_of_the_policy_is_not_taken_by_what_is_installed() {
    let context = context("");
    fs::copy(guest("noop"), context.project().join("p.wasm")).unwrap();
    let policy = "[[plugins]]\nid = \"notes\"\npath = \"p.wasm\"\n";
    context.write("policy.toml", policy);
    let (code, _, error) = context.ended(&["install", "--yes", "--config", "policy.toml", "notes"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("p.wasm` in your policy"), "{error}");
}

#[test]
fn what_is_no_plugin_or_says_nothing_of_itself_is_not_installed() {
    let context = context("");
    fs::copy(guest("noop"), context.project().join("bare.wasm")).unwrap();
    context.write(
        "text/plugin.toml",
        "id = \"text\"\nversion = \"1\"\nworld = \"w\"\n",
    );
    context.write("text/text.wasm", "#!/bin/sh\n");
    context.write("wrong/plugin.toml", "id = \"wrong\"\n");
    fs::copy(guest("noop"), context.project().join("wrong/wrong.wasm")).unwrap();
    for (source, says) in [
        ("bare.wasm", "it has no manifest"),
        ("text", "script"),
        ("wrong", "version"),
        ("nowhere", "P085"),
        ("ftp://example.com/x.wasm", "P0851"),
    ] {
        let (code, _, error) = context.ended(&["install", "--yes", source]);
        assert_ne!(code, 0, "{source}");
        assert!(error.contains(says), "{says} in {error}");
        assert_eq!(names(&context), []);
    }
}

#[test]
fn what_shrinks_or_stays_is_updated_without_a_question_and_keeps_its_grants() {
    let context = context(&format!("{RUNS_ECHO}{LOG}"));
    assert_eq!(install(&context, "grant\n").0, 0);
    let (code, out, _) = context.ended(&["update"]);
    assert!(
        code == 0 && out.contains("up to date: notes 1.0.0"),
        "{out}"
    );
    write(&context, "1.1.0", RUNS_ECHO, b'b');
    let (code, out, error) = context.ended(&["update", "notes"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("no longer: asks for log"), "{out}");
    assert_eq!(names(&context), installed("1.1.0"));
    assert!(runs(&context));
}

#[test]
fn what_grew_is_asked_about_and_stays_as_it_was_until_somebody_agrees() {
    let context = context(LOG);
    assert_eq!(install(&context, "grant\n").0, 0);
    write(&context, "1.1.0", &format!("{LOG}{RUNS_ECHO}"), b'b');
    for args in [&["update", "notes"][..], &["update", "--yes", "notes"]] {
        let (code, _, error) = context.ended(args);
        assert_eq!(code, 1, "{error}");
        assert!(error.contains("portcullis update notes"), "{error}");
        assert_eq!(names(&context), installed("1.0.0"));
    }
    let (code, text) = answer(&context, &["update", "notes"], "no\n");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("+ new: asks for exec `echo`"), "{text}");
    assert_eq!(names(&context), installed("1.0.0"));
    let (code, text) = answer(&context, &["update", "notes"], "yes\n");
    assert_eq!(code, 0, "{text}");
    assert_eq!(names(&context), installed("1.1.0"));
    assert!(!runs(&context), "that was not agreed to");
    let shown = context.json(&["show", "--json", "notes"]);
    assert_eq!(
        shown["asks"][0]["granted"], true,
        "what it was granted, it keeps"
    );
}

#[test]
fn a_directory_that_is_to_be_written_and_not_only_read_is_growth() {
    let asks = |access: &str| {
        format!(
            "[[asks]]\ncapability = \"fs\"\npath = \"data\"\naccess = \"{access}\"\nreason = \"keeps them\"\n"
        )
    };
    let context = context(&asks("read"));
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    write(&context, "1.1.0", &asks("write"), b'b');
    let (code, text) = answer(&context, &["update", "notes"], "\n");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("+ new: asks for fs write `data`"), "{text}");
    assert_eq!(names(&context), installed("1.0.0"));
}

#[test]
fn an_import_more_is_growth_and_so_is_a_right_more_by_the_policy() {
    let context = context(RUNS_ECHO);
    let component = context.project().join("notes/notes.wasm");
    let with_import = fs::read(&component).unwrap();
    fs::copy(guest("noop"), &component).unwrap();
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    fs::write(&component, &with_import).unwrap();
    let (code, text) = answer(&context, &["update", "notes"], "yes\n");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("+ new: imports portcullis:cli/process"),
        "{text}"
    );
    // Another content, for which somebody has written a grant meanwhile.
    write(&context, "1.0.1", RUNS_ECHO, b'c');
    let sha256 = hex::encode(Sha256::digest(fs::read(&component).unwrap()));
    let policy = format!(
        "confinement = \"limits\"\n[[plugins]]\nid = \"notes\"\nsha256 = \"{sha256}\"\nexec.allow = [\"echo\"]\n"
    );
    fs::write(context.own_policy(), policy).unwrap();
    let (code, _, error) = context.ended(&["update", "--yes", "notes"]);
    assert_eq!(code, 1, "{error}");
    let (code, text) = answer(&context, &["update", "notes"], "\n");
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("+ new: as your policy is, it may run"),
        "{text}"
    );
    assert_eq!(names(&context), installed("1.0.0"));
}

#[test]
fn another_world_is_growth() {
    let context = context("");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    let manifest = write(&context, "1.1.0", "", b'b');
    let text = fs::read_to_string(&manifest)
        .unwrap()
        .replace("plugin@0.1.0", "plugin@9.0.0");
    fs::write(&manifest, text).unwrap();
    let (code, _, error) = context.ended(&["update", "--yes", "notes"]);
    assert_eq!(code, 1, "{error}");
    assert_eq!(names(&context), installed("1.0.0"));
}

#[test]
fn a_lower_version_is_taken_only_if_that_is_said() {
    let context = context("");
    write(&context, "1.10.0", "", b'a');
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    write(&context, "1.9.0", "", b'b');
    let (code, _, error) = context.ended(&["update"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("portcullis update --downgrade notes"),
        "{error}"
    );
    assert_eq!(names(&context), installed("1.10.0"));
    assert_eq!(context.ended(&["update", "--downgrade"]).0, 0);
    assert_eq!(names(&context), installed("1.9.0"));
}

#[test]
fn the_source_can_change_and_nothing_that_is_installed_does() {
    let context = context(RUNS_ECHO);
    assert_eq!(install(&context, "grant\n").0, 0);
    write(&context, "6.6.6", &format!("{RUNS_ECHO}{ANY_HOST}"), b'x');
    assert!(runs(&context));
    fs::remove_dir_all(context.project().join("notes")).unwrap();
    assert!(runs(&context));
    assert_eq!(names(&context), installed("1.0.0"));
}

#[test]
fn content_that_was_changed_is_not_run_and_is_found() {
    let context = context(RUNS_ECHO);
    assert_eq!(install(&context, "grant\n").0, 0);
    assert_eq!(context.ended(&["verify"]).0, 0);
    let shown = context.json(&["run", "--dry-run", "--json", "notes"]);
    let component = PathBuf::from(shown["plugin"]["path"].as_str().unwrap());
    assert!(
        component.starts_with(
            context
                .home()
                .join(".local/share/portcullis/plugins/sha256")
        )
    );
    fs::copy(guest("noop"), &component).unwrap();
    let (code, _, error) = context.ended(&[&["run"], &ECHO[..]].concat());
    assert_eq!(code, 125);
    assert!(
        error.contains("P0930") && error.contains("not what was installed"),
        "{error}"
    );
    let (code, _, error) = context.ended(&["verify", "notes"]);
    assert_eq!(code, 1);
    assert!(error.contains("P0934"), "{error}");
    let found = context.json(&["verify", "--json"]);
    assert_eq!(found["intact"], false);
}

#[test]
fn what_is_removed_leaves_no_grant_for_what_comes_after_it() {
    let context = context(RUNS_ECHO);
    assert_eq!(install(&context, "grant\n").0, 0);
    assert!(runs(&context));
    let (code, out, error) = context.ended(&["remove", "notes"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("removed notes 1.0.0"), "{out}");
    assert_eq!(names(&context), []);
    assert!(!runs(&context));
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    assert!(!runs(&context), "the same content, and nobody agreed again");
    assert_eq!(context.ended(&["remove", "nothing"]).0, 1);
}

#[test]
fn rights_are_granted_to_the_content_and_revoked_from_it() {
    let context = context(RUNS_ECHO);
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    assert!(!runs(&context));
    let (code, out, error) = context.ended(&["grant", "notes", "exec", "echo"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("granted to plugin `notes`"), "{out}");
    assert!(runs(&context));
    let (code, ..) = context.ended(&[
        "run",
        "--no-config",
        "--confinement",
        "limits",
        "notes",
        "exec",
        "--",
        "echo",
        "ran",
    ]);
    assert_ne!(code, 0, "no policy, no grant");
    let own = fs::read_to_string(context.own_policy()).unwrap();
    assert_eq!(
        own, "confinement = \"limits\"\n",
        "it is kept with the plugin"
    );
    assert_eq!(context.ended(&["revoke", "notes", "exec", "echo"]).0, 0);
    assert!(!runs(&context));
    // Two keys to one door: what it does not ask for, it has not.
    assert_eq!(context.ended(&["grant", "notes", "exec", "cat"]).0, 0);
    assert_ne!(
        context
            .ended(&["run", "notes", "exec", "--", "cat", "/dev/null"])
            .0,
        0
    );
}

#[test]
fn what_it_may_do_and_what_it_did_is_reviewed() {
    let context = context(&format!("{RUNS_ECHO}{LOG}"));
    assert_eq!(install(&context, "grant\n").0, 0);
    assert!(runs(&context) && runs(&context));
    let review = context.json(&["review", "--json"]);
    let plugin = &review["plugins"][0];
    assert_eq!(plugin["runs"], 2);
    assert_eq!(plugin["plugin"]["tier"], "local");
    let used = |what: &str| {
        let rights = plugin["rights"].as_array().unwrap().iter();
        let mut found = rights.filter(|right| right["what"].as_str().unwrap().contains(what));
        found.next().unwrap()["used"].clone()
    };
    assert_eq!(used("commands `echo`"), 2);
    assert_eq!(used("lines in your log"), 0);
    let (_, out, _) = context.ended(&["review", "notes"]);
    assert!(
        out.contains("lines in your log: never used") && out.contains("used 2 times"),
        "{out}"
    );
    // Another content has done nothing yet.
    write(&context, "1.1.0", RUNS_ECHO, b'b');
    assert_eq!(context.ended(&["update"]).0, 0);
    assert_eq!(context.json(&["review", "--json"])["plugins"][0]["runs"], 0);
}

#[test]
fn what_was_not_used_lately_is_told_with_what_takes_it_away() {
    let context = context(&format!("{RUNS_ECHO}{LOG}"));
    assert_eq!(install(&context, "grant\n").0, 0);
    assert!(runs(&context));
    let unused = |args: &[&str]| {
        let review = context.json(&[&["review", "--json", "--unused"], args].concat());
        let rights = review["plugins"][0]["rights"].as_array().unwrap();
        let revoke = rights.iter().map(|right| right["revoke"].as_str());
        revoke
            .map(|revoke| revoke.unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(unused(&[]), ["portcullis revoke notes log"]);
    // A later run that needs nothing: what was used before it counts no more.
    context.ended(&["run", "notes", "none"]);
    assert_eq!(unused(&["--runs", "2"]), ["portcullis revoke notes log"]);
    let of_one = unused(&["--runs", "1"]);
    assert_eq!(
        of_one,
        [
            "portcullis revoke notes exec echo",
            "portcullis revoke notes log"
        ]
    );
    // What is told is what works.
    let (_, out, _) = context.ended(&["review", "--unused", "--runs", "1"]);
    assert!(
        out.contains("to take it away: portcullis revoke notes exec echo"),
        "{out}"
    );
    for revoke in of_one {
        let args: Vec<_> = revoke.split(' ').skip(1).collect();
        assert_eq!(context.ended(&args).0, 0, "{revoke}");
    }
    assert!(!runs(&context));
    assert_eq!(unused(&[]), Vec::<String>::new());
}

#[test]
fn all_of_it_is_in_the_trail() {
    let context = context(LOG);
    assert_eq!(install(&context, "yes\n").0, 0);
    write(&context, "1.1.0", LOG, b'b');
    assert_eq!(context.ended(&["update"]).0, 0);
    assert_eq!(context.ended(&["remove", "notes"]).0, 0);
    let (_, out, _) = context.ended(&["audit", "show"]);
    for told in [
        "plugin `notes` is installed from",
        "plugin `notes` is updated from",
        "plugin `notes` is removed",
    ] {
        assert!(out.contains(told), "{told} in {out}");
    }
}

#[test]
fn no_grant_reaches_what_is_installed() {
    let context = context("");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    let plugins = context.home().join(".local/share/portcullis/plugins");
    let content = fs::read_dir(plugins.join("sha256"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    for reached in [plugins, content, context.home()] {
        for verb in ["read", "write"] {
            let (code, _, error) =
                context.ended(&["grant", "notes", verb, reached.to_str().unwrap()]);
            assert_ne!(code, 0, "{verb} {}", reached.display());
            assert!(error.contains("Portcullis"), "{error}");
        }
    }
    assert_eq!(context.ended(&["grant", "notes", "read", "."]).0, 0);
}

#[test]
fn a_verb_that_is_about_no_plugin_does_not_look_at_what_is_installed_unless_the_policy_does() {
    let context = context("");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    let plugins = context.home().join(".local/share/portcullis/plugins");
    fs::set_permissions(plugins, fs::Permissions::from_mode(0o777)).unwrap();
    let exec = ["exec", "--", "true"];
    let looks = |args: &[&str]| context.ended(args).2.contains("P0930");
    assert!(looks(&["list"]) && looks(&["run", "notes"]));
    let (code, _, error) = context.ended(&exec);
    assert_eq!(code, 0, "{error}");
    let entry = format!(
        "[[plugins]]\nid = \"notes\"\nsha256 = \"{}\"\n",
        "a".repeat(64)
    );
    fs::write(context.own_policy(), entry).unwrap();
    assert!(looks(&exec), "whether it is the one that is meant");
}

#[test]
fn many_install_at_once_the_same_plugin_once_and_others_all() {
    let context = context("");
    for n in 0..6 {
        let manifest = format!("id = \"own-{n}\"\nversion = \"1.0.0\"\nworld = \"w\"\n");
        context.write(&format!("own-{n}/plugin.toml"), manifest);
        fs::copy(
            guest("noop"),
            context.project().join(format!("own-{n}/own-{n}.wasm")),
        )
        .unwrap();
    }
    let sources: Vec<_> = (0..6)
        .map(|n| format!("own-{n}"))
        .chain(vec!["notes".to_owned(); 6])
        .collect();
    let start = |verb: &'static [&str]| {
        let children: Vec<_> = sources
            .iter()
            .map(|source| {
                context
                    .portcullis(&[verb, &["-q", source]].concat())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let ended = children
            .into_iter()
            .map(|mut child| child.wait().unwrap().success());
        ended.collect::<Vec<_>>()
    };
    let installed = start(&["install", "--yes"]);
    assert!(
        installed[..6].iter().all(|installed| *installed),
        "{installed:?}"
    );
    assert_eq!(
        installed[6..]
            .iter()
            .filter(|installed| **installed)
            .count(),
        1,
        "{installed:?}"
    );
    assert_eq!(start(&["update"]), [true; 12]);
    assert_eq!(names(&context).len(), 7);
    assert_eq!(context.ended(&["verify"]).0, 0);
}

/// A plugin of clawft in the directory `from`, with these permissions and this many bytes more than it needs.
fn clawft(permissions: &Value, version: &str, more: usize) -> Context {
    let context = Context::new();
    rewrite_clawft(&context, permissions, version, more);
    context
}

fn rewrite_clawft(context: &Context, permissions: &Value, version: &str, more: usize) {
    let manifest = json!({
        "id": "tool", "name": "Tool", "version": version, "capabilities": ["tool"],
        "permissions": permissions, "wasm_module": "plugin.wasm",
    });
    let mut bytes = fs::read(guest("clawft")).unwrap();
    let size = u32::try_from(more).unwrap() + 2;
    let leb: Vec<u8> = (0..5)
        .map(|at| u8::try_from((size >> (7 * at)) & 0x7f).unwrap() | if at < 4 { 0x80 } else { 0 })
        .collect();
    bytes.push(0);
    bytes.extend(leb);
    bytes.extend([1, b'x']);
    bytes.extend(vec![0; more]);
    context.write("from/plugin.wasm", bytes);
    context.write("from/clawft.plugin.json", manifest.to_string());
}

#[test]
fn t36_a_plugin_of_more_than_300_kb_is_not_installed() {
    let context = clawft(&json!({}), "1.0.0", 300 * 1024);
    let (code, _, error) = context.ended(&["install", "--yes", "from"]);
    assert_ne!(code, 0);
    assert!(error.contains("P0511"), "{error}");
    assert_eq!(names(&context), []);
    rewrite_clawft(&context, &json!({}), "1.0.0", 0);
    assert_eq!(context.ended(&["install", "--yes", "from"]).0, 0);
}

#[test]
fn t38_a_local_plugin_without_signature_is_installed_with_a_warning() {
    let context = clawft(&json!({}), "1.0.0", 0);
    let (code, out, error) = context.ended(&["install", "--yes", "from"]);
    assert_eq!(code, 0, "{error}");
    assert!(
        error.contains("warning[P0933]") && out.contains("installed tool 1.0.0 (local)"),
        "{error}{out}"
    );
}

#[test]
fn t39_a_plugin_that_wants_a_shell_is_asked_about_and_not_installed_without_a_yes() {
    let context = clawft(&json!({ "shell": true }), "1.0.0", 0);
    let (code, text) = answer(&context, &["install", "from"], "\n");
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("asks for exec any program")
            && text.contains("risk: it wants to run any program"),
        "{text}"
    );
    assert_eq!(names(&context), []);
    assert_ne!(context.ended(&["call", "tool", "count"]).0, 0);
}

#[test]
fn t40_a_plugin_that_wants_variables_is_asked_about_and_has_them_only_if_that_was_agreed_to() {
    let variable = |context: &Context| {
        let (_, out, _) = context.ended(&[
            "call",
            "tool",
            "env",
            "--json",
            "{\"name\":\"LANG_OF_TEST\"}",
        ]);
        out
    };
    for (typed, value) in [("yes\n", "null\n"), ("grant\n", "\"C\"\n")] {
        let context =
            clawft(&json!({ "env_vars": ["LANG_OF_TEST"] }), "1.0.0", 0).env("LANG_OF_TEST", "C");
        let (code, text) = answer(&context, &["install", "from"], typed);
        assert_eq!(code, 0, "{text}");
        assert!(
            text.contains("asks for env `LANG_OF_TEST`")
                && text.contains("risk: it reads environment variables"),
            "{text}"
        );
        assert_eq!(variable(&context), value, "{typed:?}");
    }
}

#[test]
fn t41_an_upgrade_that_wants_a_host_more_is_asked_about_that_one_alone() {
    let context = clawft(&json!({ "network": ["api.example.com"] }), "1.0.0", 0);
    assert_eq!(answer(&context, &["install", "from"], "grant\n").0, 0);
    rewrite_clawft(
        &context,
        &json!({ "network": ["api.example.com", "cdn.example.com"] }),
        "1.1.0",
        1,
    );
    let (code, text) = answer(&context, &["update", "tool"], "grant\n");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("+ new: asks for http `cdn.example.com`"),
        "{text}"
    );
    assert!(
        !text.contains("new: asks for http `api.example.com`"),
        "{text}"
    );
    let shown = context.json(&["show", "--json", "tool"]);
    let granted: Vec<_> = shown["asks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ask| &ask["granted"])
        .collect();
    assert_eq!(granted, [true, true]);
    // Less is not asked about.
    rewrite_clawft(&context, &json!({}), "1.2.0", 2);
    assert_eq!(context.ended(&["update", "tool"]).0, 0);
}

#[test]
fn a_plugin_is_called_by_its_commands_and_no_two_have_one_in_common() {
    let command = "[[commands]]\nname = \"say\"\nargs = [\"exec\", \"--\", \"echo\"]\n";
    let context = context(&format!("{command}{RUNS_ECHO}"));
    let (code, text) = install(&context, "grant\n");
    assert_eq!(code, 0, "{text}");
    let (code, out, error) = context.ended(&["run", "say", "ran"]);
    assert!(code == 0 && out.contains("ran"), "{code} {out} {error}");
    assert_ne!(context.ended(&["run", "sai", "ran"]).0, 0);

    let manifest = fs::read_to_string(context.project().join("notes/plugin.toml")).unwrap();
    let other = manifest.replace("\"notes\"", "\"other\"");
    let without = other.replace(command, "");
    for (manifest, name) in [
        (other.replace("\"say\"", "\"Say\""), "Say"),
        (without.replace("\"other\"", "\"say\""), "say"),
        (other.replace("\"say\"", "\"Notes\""), "Notes"),
    ] {
        context.write("other/plugin.toml", manifest);
        fs::copy(
            guest("exec-args"),
            context.project().join("other/other.wasm"),
        )
        .unwrap();
        let (code, _, error) = context.ended(&["install", "--yes", "other"]);
        assert_eq!(code, 1, "{error}");
        assert!(
            error.contains(&format!("the name `{name}` is taken")),
            "{error}"
        );
        assert!(error.contains("`notes` is installed from"), "{error}");
    }
    assert_eq!(names(&context), installed("1.0.0"));
    context.write("other/plugin.toml", without);
    assert_eq!(
        context.ended(&["install", "--yes", "other"]).0,
        0,
        "in itself it is none"
    );
    let taken = other.replace("1.0.0", "1.0.1");
    context.write("other/plugin.toml", taken);
    let (code, _, error) = context.ended(&["update", "--yes", "other"]);
    assert!(
        code != 0 && error.contains("is called by `say`"),
        "{code} {error}"
    );
}
