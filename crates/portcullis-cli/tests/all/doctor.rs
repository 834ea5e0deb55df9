//! `doctor`: what works on this machine, and what to do about the rest.

use std::fs;

use serde_json::Value;

use crate::context::{AUTHORITY, Context};

fn names(document: &Value) -> Vec<&str> {
    let checks = document["checks"].as_array().unwrap();
    checks
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect()
}

#[test]
fn it_tries_everything() {
    let context = Context::new();
    let document = context.json(&["doctor", "--json"]);
    let expected = [
        "kernel",
        "confinement",
        "commands",
        "data directory",
        "audit trail",
        "code cache",
        "network",
        "policy",
    ];
    assert_eq!(names(&document), expected);
    assert_eq!(document["ok"], true, "{document}");
    let cache = context.home().join(".cache/portcullis");
    fs::set_permissions(cache, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let output = context.output(&["doctor"]);
    assert_eq!(output.status.code(), Some(3));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(
        stdout.contains("fix  code cache"),
        "what is not well is named: {stdout}"
    );
}

/// Whether it is one of the ways in which limits are kept.
fn is_limit(name: &Value) -> bool {
    ["memory watch", "memory cgroup", "processes cgroup"].contains(&name.as_str().unwrap())
}

#[test]
fn it_runs_a_command_in_each_tier_and_names_each_protection() {
    let context = Context::new();
    let confinement = context.json(&["doctor", "--json"])["confinement"].clone();
    assert_eq!(confinement["tier"], "full");
    let tiers = confinement["tiers"].as_array().unwrap();
    let named: Vec<_> = tiers
        .iter()
        .map(|tier| tier["tier"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["full", "namespaces", "landlock", "limits"]);
    for tier in tiers {
        // What works says what was in force, and what does not says why and what to do.
        let works = tier["works"].as_bool().unwrap();
        assert_eq!(tier["in_force"].is_array(), works, "{tier}");
        assert_eq!(
            tier["why"].is_string() && !tier["fixes"][0].is_null(),
            !works,
            "{tier}"
        );
    }
    let full = tiers[0]["in_force"].as_array().unwrap();
    let limits = tiers[3]["in_force"].as_array().unwrap();
    assert!(full.contains(&"seccomp".into()) && !limits.contains(&"seccomp".into()));
    let protections = confinement["protections"].as_array().unwrap();
    let ran = context.json(&["exec", "--json", "--", "true"])["children"]["commands"][0].clone();
    let count = |list: &str| {
        let names = ran[list].as_array().unwrap().iter();
        names.filter(|name| !is_limit(name)).count()
    };
    let (limits, others): (Vec<_>, Vec<_>) = protections
        .iter()
        .partition(|protection| is_limit(&protection["name"]));
    assert_eq!(others.len(), count("in_force") + count("missing"));
    assert!(
        others
            .iter()
            .all(|protection| protection["in_force"] == true),
        "{protections:?}"
    );
    // How limits are kept depends on where this runs; what helps is said.
    assert!(limits.iter().any(|limit| limit["in_force"] == true));
    for limit in limits {
        let is_told = limit["fix"].is_string();
        assert_eq!(limit["in_force"] == true, !is_told, "{limit}");
    }
    let output = context.output(&["doctor"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    for line in [
        "ok   confinement: full\n",
        "tier full: works\n",
        "own read-only root, ",
        "(full)\n",
    ] {
        assert!(stdout.contains(line), "{line:?} in {stdout}");
    }
}

#[test]
fn without_user_namespaces_it_says_so_and_what_helps() {
    let context = Context::new();
    let output = context.without_namespaces(&["doctor"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stdout}");
    for part in [
        "fix  confinement: not full; what works: ",
        "(`user.max_user_namespaces = 0`)",
        "`sysctl user.max_user_namespaces=10000`",
        "tier full: cannot make a cell: ",
        "missing: own user namespace: set it above 0",
    ] {
        assert!(stdout.contains(part), "{part:?} in {stdout}");
    }
    let output = context
        .without_namespaces(&["doctor", "--json"])
        .output()
        .unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(document["confinement"]["tier"], "full");
    assert_eq!(document["ok"], false);
    let output = context
        .without_namespaces(&["exec", "--", "true"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(
        stderr.contains("cannot run the command: commands cannot be started on this host")
            && stderr.contains("sysctl user.max_user_namespaces=10000"),
        "{stderr}"
    );
}

#[test]
fn it_says_how_granted_hosts_are_reached() {
    let context = Context::new();
    let network = |policy: &str| {
        context.write("policy.toml", policy);
        let document = context.json(&["doctor", "--json", "--config", "policy.toml"]);
        document["checks"][6]["found"].as_str().unwrap().to_owned()
    };
    assert_eq!(network(""), "directly, with the certificates of the system");
    context.write("ca.pem", AUTHORITY);
    let policy =
        "network = { upstream_proxy = \"http://proxy.corp:3128\", ca_file = \"ca.pem\" }\n";
    assert_eq!(
        network(policy),
        format!(
            "through `proxy.corp:3128`, which checks addresses in place of Portcullis, with the 1 certificates of `{}` in place of the system's",
            context.project().join("ca.pem").display()
        )
    );
    context.write("ca.pem", "none\n");
    assert_eq!(
        network(policy),
        format!(
            "no command can be started with the certificates of `{}`: it has no certificate in PEM",
            context.project().join("ca.pem").display()
        )
    );
}
