//! A child's environment is exactly what was decided.

use portcullis_exec::ExecAsk;
use portcullis_policy::{Code, DropReason};

use crate::fixture::{Plugin, ask, is_full};

crate::tests![
    nothing_but_the_base,
    what_the_plugin_sets_is_added_and_the_last_wins,
    inherited_only_if_asked_and_granted,
    secrets_and_dangerous_names_are_dropped_and_reported,
    malformed_names_are_refused,
];

const HOST: &[(&str, &str)] = &[
    ("PATH", "/evil"),
    ("HOME", "/home/me"),
    ("EDITOR", "vi"),
    ("LD_PRELOAD", "/evil.so"),
    ("GITHUB_TOKEN", "ghp_secret"),
    ("GH_TOKEN", "ghp_passed"),
    ("COLORTERM", "truecolor"),
];

fn reading_it(set: &[(&str, &str)], inherit: bool) -> ExecAsk {
    let env = set
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ExecAsk {
        env,
        inherit_env: inherit,
        ..ask("cat", &["/proc/self/environ"])
    }
}

/// The environment that the kernel gave the command, name by name, in order; always exactly the one
/// that was decided, and in a cell what makes git work there.
async fn environment(plugin: &Plugin, set: &[(&str, &str)], inherit: bool) -> Vec<String> {
    let (authorized, _) = plugin.decide(&reading_it(set, inherit)).unwrap();
    let vars = &authorized.terms().environment.vars;
    let decided: Vec<_> = vars
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let text = plugin.output(reading_it(set, inherit)).await;
    let mut given: Vec<_> = text.split_terminator('\0').map(str::to_owned).collect();
    if is_full() {
        let project = plugin.place.project().display();
        let added = given.split_off(given.len() - 3);
        let expected = [
            "GIT_CONFIG_COUNT=1".to_owned(),
            "GIT_CONFIG_KEY_0=safe.directory".to_owned(),
            format!("GIT_CONFIG_VALUE_0={project}"),
        ];
        assert_eq!(added, expected);
    }
    assert_eq!(given, decided);
    given
}

async fn nothing_but_the_base() {
    let plugin = Plugin::with_host_env(&["cat"], HOST);
    let base = environment(&plugin, &[], false).await;
    for var in [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOME=/home/me",
        "TERM=dumb",
    ] {
        assert!(base.iter().any(|given| given == var), "{var}");
    }
    for name in [
        "EDITOR",
        "LD_PRELOAD",
        "GITHUB_TOKEN",
        "GH_TOKEN",
        "COLORTERM",
        "PWD",
        "OLDPWD",
    ] {
        assert!(
            !base
                .iter()
                .any(|given| given.starts_with(&format!("{name}="))),
            "{name}"
        );
    }
}

async fn what_the_plugin_sets_is_added_and_the_last_wins() {
    let plugin = Plugin::with_host_env(&["cat"], HOST);
    let mut expected = environment(&plugin, &[], false).await;
    for var in expected
        .iter_mut()
        .filter(|var| var.starts_with("NO_COLOR="))
    {
        *var = "NO_COLOR=0".to_owned();
    }
    expected.extend(["A=two words\nand a line", "EMPTY="].map(str::to_owned));
    let set = [
        ("A", "1"),
        ("EMPTY", ""),
        ("A", "two words\nand a line"),
        ("NO_COLOR", "0"),
    ];
    assert_eq!(environment(&plugin, &set, false).await, expected);
}

async fn inherited_only_if_asked_and_granted() {
    let mut plugin = Plugin::with_host_env(&["cat"], HOST);
    let mut expected = environment(&plugin, &[], false).await;
    assert_eq!(
        environment(&plugin, &[], true).await,
        expected,
        "asked, not granted"
    );
    plugin.exec().inherit_env = true;
    assert_eq!(
        environment(&plugin, &[], false).await,
        expected,
        "granted, not asked"
    );
    expected.push("COLORTERM=truecolor".to_owned());
    assert_eq!(environment(&plugin, &[], true).await, expected);
}

async fn secrets_and_dangerous_names_are_dropped_and_reported() {
    let mut plugin = Plugin::with_host_env(&["cat"], HOST);
    plugin.exec().inherit_env = true;
    plugin.exec().pass_env = vec!["GH_TOKEN".to_owned()];
    let inherited = environment(&plugin, &[], true).await;
    assert!(
        inherited.contains(&"GH_TOKEN=ghp_passed".to_owned()),
        "passed by name"
    );
    assert!(
        !inherited
            .iter()
            .any(|var| var.contains("evil") || var.contains("ghp_secret"))
    );
    let (authorized, _) = plugin.decide(&reading_it(&[], true)).unwrap();
    let dropped = &authorized.terms().environment.dropped;
    for (name, reason) in [
        ("LD_PRELOAD", DropReason::Dangerous),
        ("GITHUB_TOKEN", DropReason::SecretName),
    ] {
        assert!(
            dropped.iter().any(|d| d.name == name && d.reason == reason),
            "{name}"
        );
    }
}

async fn malformed_names_are_refused() {
    let plugin = Plugin::new(&["cat"]);
    for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "\0")] {
        assert_eq!(
            plugin.denial(&reading_it(&[(name, value)], false)).0,
            Code::ExecInvalid,
            "{name:?}"
        );
    }
}
