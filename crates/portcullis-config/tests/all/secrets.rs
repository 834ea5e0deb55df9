//! Secrets that the host adds to requests of a plugin.

use portcullis_config::edit::{self, Edit, EditError, Right};
use portcullis_config::{FlagSet, Layer, SelectError};
use portcullis_policy::{Grants, HttpUrl, PluginId, SecretSource};

use crate::support::Project;

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";
const TO: &str = "to = \"https://api.example.com/v1\"";

/// The headers that go with a request to a URL, and where their secrets are.
fn added(grants: &Grants, url: &str) -> Vec<String> {
    let secrets = grants.http.secrets_for(&HttpUrl::parse(url).unwrap());
    let words = secrets.iter().map(|secret| {
        format!(
            "{}: {}{} ({})",
            secret.header, secret.prefix, secret.source, secret.id
        )
    });
    words.collect()
}

fn policy(secrets: &str) -> String {
    format!("{HEAD}[plugins.http]\nallow = [\"api.example.com\"]\nsecrets = [{secrets}]\n")
}

fn token(value: &str) -> String {
    format!("{{ header = \"Authorization\", prefix = \"Bearer \", value = {value}, {TO} }}")
}

/// Why the plugin has no entry.
fn refused(project: &Project, policy: &str, flags: FlagSet) -> String {
    let set = project
        .load(&[project.trusted(policy), Layer::Flags(flags)])
        .unwrap();
    match set.plugin("p").unwrap_err() {
        SelectError::Flags(errors) => errors.to_string(),
        other => panic!("{other}"),
    }
}

#[test]
fn every_key_has_its_effect() {
    let project = Project::new();
    let text = policy(&format!(
        "{}, {{ id = \"key\", header = \"X-Api-Key\", value = {{ file = \"/run/keys/api\" }}, to = \"https://api.example.com\" }}",
        token("{ env = \"API_TOKEN\" }")
    ));
    let grants = project.entry(&text, FlagSet::default()).grants;
    let url = "https://api.example.com/v1/x";
    assert_eq!(
        added(&grants, url),
        [
            "authorization: Bearer the variable `API_TOKEN` (http.secrets[0])",
            "x-api-key: the file `/run/keys/api` (key)"
        ]
    );
    assert_eq!(added(&grants, "https://api.example.com/v2").len(), 1);
    assert!(added(&grants, "http://api.example.com/v1/x").is_empty());
    let relative = policy(&token("{ file = \"token\" }"));
    let grants = project.entry(&relative, FlagSet::default()).grants;
    let SecretSource::File(path) = &grants.http.secrets[0].source else {
        panic!("a file")
    };
    assert!(
        path.is_absolute() && path.ends_with("token"),
        "{}",
        path.display()
    );
}

#[test]
fn a_later_file_replaces_what_is_for_the_same_header_and_place() {
    let project = Project::new();
    let first = project.trusted(&policy(&token("{ env = \"FIRST\" }")));
    let later = |to: &str| {
        let entry = format!(
            "{{ header = \"authorization\", value = {{ env = \"LATER\" }}, to = \"{to}\" }}"
        );
        let text = format!("[[plugins]]\nid = \"p\"\nhttp = {{ secrets = [{entry}] }}\n");
        let layers = [first.clone(), project.trusted(&text)];
        project.load(&layers).unwrap().plugin("p").unwrap().grants
    };
    let url = "https://api.example.com/v1/x";
    assert_eq!(
        added(&later("https://api.example.com/v1/"), url),
        ["authorization: the variable `LATER` (http.secrets[0])"]
    );
    assert!(
        added(&later("https://api.example.com"), url)[0].contains("FIRST"),
        "the narrower place"
    );
    assert_eq!(later("https://api.example.com").http.secrets.len(), 2);
}

#[test]
fn what_could_go_somewhere_else_or_be_shown_is_a_mistake() {
    let project = Project::new();
    let env = "value = { env = \"API_TOKEN\" }";
    for entry in [
        format!("{{ header = \"Authorization\", {env} }}"),
        format!("{{ {env}, {TO} }}"),
        format!("{{ header = \"Authorization\", {TO} }}"),
        format!("{{ header = \"Host\", {env}, {TO} }}"),
        format!("{{ header = \"Proxy-Authorization\", {env}, {TO} }}"),
        format!("{{ header = \"Transfer-Encoding\", {env}, {TO} }}"),
        format!("{{ header = \"X A\", {env}, {TO} }}"),
        format!("{{ header = \"X-A\", prefix = \"a\\nb\", {env}, {TO} }}"),
        format!("{{ header = \"X-A\", prefix = \" x\", {env}, {TO} }}"),
        format!("{{ header = \"X-A\", value = {{ }}, {TO} }}"),
        format!("{{ header = \"X-A\", value = {{ env = \"A\", file = \"b\" }}, {TO} }}"),
        format!("{{ header = \"X-A\", value = {{ env = \"A*\" }}, {TO} }}"),
        format!("{{ header = \"X-A\", value = {{ text = \"hunter2hunter2\" }}, {TO} }}"),
        format!("{{ header = \"X-A\", value = \"hunter2hunter2\", {TO} }}"),
        format!("{{ header = \"X-A\", {env}, to = \"http://api.example.com/\" }}"),
        format!("{{ header = \"X-A\", {env}, to = \"https://*.example.com/\" }}"),
        format!("{{ header = \"X-A\", {env}, to = \"*\" }}"),
        format!("{{ header = \"X-A\", {env}, to = \"https://me:pw@api.example.com/\" }}"),
        format!("{{ header = \"X-A\", {env}, to = \"https://api.example.com/a/../b\" }}"),
        format!("{{ header = \"X-A\", {env}, {TO} }}, {{ header = \"x-a\", {env}, {TO} }}"),
        format!(
            "{{ id = \"k\", header = \"X-A\", {env}, {TO} }}, {{ id = \"k\", header = \"X-B\", {env}, {TO} }}"
        ),
    ] {
        let mistakes = project.mistakes(&[project.trusted(&policy(&entry))]);
        assert!(!mistakes.contains("hunter2"), "{mistakes}");
    }
}

#[test]
fn a_file_of_the_tree_adds_none() {
    let project = Project::new();
    let text = format!(
        "[[plugins]]\nid = \"p\"\nhttp = {{ secrets = [{}] }}\n",
        token("{ env = \"API_TOKEN\" }")
    );
    let mistakes = project.mistakes(&[project.trusted(HEAD), project.found(&text)]);
    assert!(mistakes.contains("may not set `http`"), "{mistakes}");
}

#[test]
fn a_ceiling_bounds_where_they_go() {
    let project = Project::new();
    let url = "https://api.example.com/v1/x";
    let below = |ceiling: &str| {
        let above = Layer::Ceiling {
            path: project.path("ceiling.toml"),
            text: ceiling.to_owned(),
        };
        let policy = project.trusted(&policy(&token("{ env = \"API_TOKEN\" }")));
        let entry = project.load(&[above, policy]).unwrap().plugin("p").unwrap();
        let cut: Vec<_> = entry.cut.into_iter().map(|cut| cut.what).collect();
        (
            added(&entry.grants, url).len(),
            entry.grants.http.ceiling.is_some(),
            cut.join("; "),
        )
    };
    let what =
        "have `authorization` added to its requests to `https://api.example.com/v1`".to_owned();
    for (ceiling, is) in [
        ("", (1, false, String::new())),
        ("http = { allow = [\"*\"] }", (1, true, String::new())),
        (
            "http = { secrets = [\"https://api.example.com\"] }",
            (1, false, String::new()),
        ),
        (
            "http = { secrets = [\"https://api.example.com/v1\"] }",
            (1, false, String::new()),
        ),
        (
            "http = { secrets = [\"https://api.example.com/v1/x\"] }",
            (0, false, what.clone()),
        ),
        (
            "http = { secrets = [\"https://b.example.com\"] }",
            (0, false, what.clone()),
        ),
        ("http = { allow = [\"*\"], secrets = [] }", (0, true, what)),
        ("http = {}", (1, true, String::new())),
    ] {
        assert_eq!(below(ceiling), is, "{ceiling}");
    }
    for wrong in ["secrets = [\"*\"]", "secrets = [{ header = \"X-A\" }]"] {
        let text = format!("http = {{ {wrong} }}\n");
        let above = Layer::Ceiling {
            path: project.path("ceiling.toml"),
            text,
        };
        assert!(project.load(&[above]).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_kept_from_a_plugin_is_not_granted_to_it_besides() {
    let project = Project::new();
    std::fs::create_dir_all(project.path("data")).unwrap();
    std::fs::create_dir_all(project.path("keys")).unwrap();
    std::fs::write(project.path("keys/token"), "x").unwrap();
    std::os::unix::fs::symlink(project.path("keys/token"), project.path("data/link")).unwrap();
    let keys = policy(&token("{ file = \"keys/token\" }"));
    let link = policy(&token("{ file = \"data/link\" }"));
    let reads = |dir: &str| FlagSet {
        allow_read: vec![dir.to_owned()],
        ..FlagSet::default()
    };
    assert_eq!(
        project
            .entry(&keys, reads("data"))
            .grants
            .http
            .secrets
            .len(),
        1
    );
    for (policy, dir) in [
        (&keys, "keys"),
        (&keys, "."),
        (&keys, "keys/token"),
        (&link, "data"),
        (&link, "keys"),
    ] {
        let why = refused(&project, policy, reads(dir));
        assert!(
            why.contains("P0111")
                && why.contains("secret `http.secrets[0]` of plugin `p` is the file"),
            "{dir}: {why}"
        );
    }
    let fs = keys.replace(
        "[plugins.http]",
        "fs = { write = [\"keys\"] }\n[plugins.http]",
    );
    assert!(project.mistakes(&[project.trusted(&fs)]).contains("P0111"));
    let env = policy(&token("{ env = \"API_TOKEN\" }"));
    for also in [
        "env = [\"API_TOKEN\"]",
        "exec = { pass_env = [\"API_TOKEN\"] }",
    ] {
        let text = env.replace("[plugins.http]", &format!("{also}\n[plugins.http]"));
        let why = project.mistakes(&[project.trusted(&text)]);
        assert!(
            why.contains("is the variable `API_TOKEN`, which is also granted"),
            "{why}"
        );
    }
    let other = env.replace(
        "[plugins.http]",
        "env = [\"API_*\", \"OTHER\"]\n[plugins.http]",
    );
    assert_eq!(
        project
            .entry(&other, FlagSet::default())
            .grants
            .http
            .secrets
            .len(),
        1
    );
}

#[test]
fn an_edit_leaves_them_as_they_are_and_grants_nothing_that_shows_one() {
    let project = Project::new();
    std::fs::create_dir_all(project.path("keys")).unwrap();
    let text = policy(&token("{ file = \"keys/token\" }"));
    let edit = |right| Edit {
        plugin: PluginId::new("p").unwrap(),
        path: None,
        right,
    };
    let file = project.path("portcullis.toml");
    let secrets = |text: &str| {
        project
            .entry(text, FlagSet::default())
            .grants
            .http
            .secrets
            .len()
    };
    let host = edit(Right::Http("b.example.com".to_owned()));
    let granted = edit::grant(&text, &host, &file, &project.context).unwrap();
    assert!(granted.changed && secrets(&granted.text) == 1);
    let first = edit(Right::Http("api.example.com".to_owned()));
    let revoked = edit::revoke(&granted.text, &host, &file, &project.context).unwrap();
    let revoked = edit::revoke(&revoked.text, &first, &file, &project.context).unwrap();
    assert!(
        revoked.changed && secrets(&revoked.text) == 1,
        "{}",
        revoked.text
    );
    let shown = edit::grant(
        &text,
        &edit(Right::Read("keys".to_owned())),
        &file,
        &project.context,
    );
    let Err(EditError::After(errors)) = shown else {
        panic!("{shown:?}")
    };
    assert!(errors.to_string().contains("P0111"), "{errors}");
}
