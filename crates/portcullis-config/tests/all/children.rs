//! What files and flags say about the commands of a plugin: one grant, for the plugin and for all that it starts.

use std::fs;
use std::path::PathBuf;

use portcullis_config::{FlagSet, Layer, Network, OwnState};
use portcullis_policy::{
    ChildRights, Confinement, FsAccess, FsKind, Grants, HostRule, Net, ProgramRef, Protect, Target,
};

use crate::support::Project;

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";

fn hosts(texts: &[&str]) -> Net {
    let rules = texts.iter().map(|text| HostRule::parse(text).unwrap());
    Net::Hosts(rules.collect())
}

fn grants(project: &Project, rest: &str) -> Grants {
    project
        .entry(&format!("{HEAD}{rest}"), FlagSet::default())
        .grants
}

#[test]
fn every_key_about_commands_has_its_effect() {
    let project = Project::new();
    fs::create_dir(project.path("toolchain")).unwrap();
    let grants = grants(
        &project,
        r#"
net = ["b.example.org:443", "a.example.org:443"]
fs = { read = ["${project}"], write = ["out"] }
[plugins.exec]
system = ["toolchain"]
write_exec = ["target", "web/node_modules", "${project}/out"]
share = "plan"
cache = "1GiB"
unprotect = [".git/config", ".envrc"]
allow = [{ program = "cargo", confinement = "limits", net = "loopback", read = ["notes", "plugins/p.wasm"], write = [], write_exec = ["target"], exec = ["cc", "/usr/bin/ld"], memory = "1GiB", processes = 64, cache = false }]
"#,
    );
    assert_eq!(
        grants.net,
        hosts(&["b.example.org:443", "a.example.org:443"])
    );
    let exec = grants.exec.as_ref().unwrap();
    assert_eq!(exec.system, [project.path("toolchain")]);
    assert_eq!(
        exec.write_exec,
        [
            PathBuf::from("target"),
            "web/node_modules".into(),
            project.path("out")
        ]
    );
    assert!(exec.share);
    assert_eq!(exec.cache, Some(1 << 30));
    assert_eq!(grants.protect.lifted(), [".envrc", ".git/config"]);
    let rule = &exec.allow[0].narrowing;
    assert_eq!(rule.confinement, Some(Confinement::Limits));
    assert_eq!(rule.net, Some(Net::Loopback));
    assert_eq!(
        rule.read,
        Some(vec![project.path("notes"), project.path("plugins/p.wasm")])
    );
    assert_eq!(rule.write, Some(vec![]));
    assert_eq!(rule.write_exec, Some(vec!["target".into()]));
    let programs = ["cc", "/usr/bin/ld"].map(|text| ProgramRef::parse(text).unwrap());
    assert_eq!(rule.exec, Some(programs.to_vec()));
    assert_eq!((rule.memory, rule.processes), (Some(1 << 30), Some(64)));
    assert_eq!(rule.cache, Some(false));
    let rights = ChildRights::of(&grants);
    assert_eq!(rights.read, [project.root()]);
    assert_eq!(rights.write, [project.path("out")]);
    assert_eq!(rights.write_exec, [project.path("out")]);
}

#[test]
fn what_is_not_written_about_commands_is_closed() {
    let project = Project::new();
    let grants = grants(&project, "exec = { allow = [\"git\"] }\n");
    assert_eq!(grants.net, Net::None);
    let exec = grants.exec.as_ref().unwrap();
    assert!(exec.system.is_empty() && exec.write_exec.is_empty() && !exec.share);
    assert_eq!(exec.cache, None);
    assert_eq!(grants.protect, Protect::default());
    assert_eq!(exec.confinement, Confinement::Full);
    assert_eq!(ChildRights::of(&grants), ChildRights::default());
}

#[test]
fn a_file_is_granted_to_commands_only() {
    let project = Project::new();
    fs::write(project.path("home/.gitconfig"), "").unwrap();
    let grants = grants(
        &project,
        "exec = { allow = [\"git\"] }\nfs = { read = [\"~/.gitconfig\", \"out\"] }\n",
    );
    let kinds: Vec<_> = grants.fs.iter().map(|grant| grant.kind).collect();
    assert_eq!(kinds, [FsKind::File, FsKind::Directory]);
    let rights = ChildRights::of(&grants);
    assert_eq!(
        rights.read,
        [project.path("home/.gitconfig"), project.path("out")]
    );
    assert!(rights.write.is_empty());
}

#[test]
fn hosts_of_layers_are_united_and_of_words_the_later_wins() {
    let project = Project::new();
    let net = |layers: &[&str]| {
        let layers: Vec<_> = layers
            .iter()
            .enumerate()
            .map(|(at, net)| {
                let name = format!("{at}.toml");
                project.named(
                    &name,
                    &format!("{HEAD}net = {net}\n"),
                    portcullis_config::Trust::Trusted,
                )
            })
            .collect();
        project
            .load(&layers)
            .unwrap()
            .plugin("p")
            .unwrap()
            .grants
            .net
    };
    let a = "[\"a.example.org:443\"]";
    let b = "[\"b.example.org:443\", \"a.example.org:443\"]";
    assert_eq!(
        net(&[a, b]),
        hosts(&["a.example.org:443", "b.example.org:443"])
    );
    assert_eq!(net(&["\"open\"", a]), hosts(&["a.example.org:443"]));
    assert_eq!(net(&[a, "\"none\""]), Net::None);
    assert_eq!(net(&[a, "\"open\""]), Net::Open);
    assert_eq!(net(&["\"loopback\""]), Net::Loopback);
    assert_eq!(net(&["[]"]), hosts(&[]));
}

#[test]
fn a_file_of_the_tree_only_narrows_the_network() {
    let project = Project::new();
    let trusted = |net: &str| {
        project.trusted(&format!(
            "{HEAD}net = {net}\nexec = {{ allow = [\"git\"] }}\n"
        ))
    };
    let found = |net: &str| project.found(&format!("[[plugins]]\nid = \"p\"\nnet = {net}\n"));
    let (a, both) = (
        "[\"a.example.org:443\"]",
        "[\"a.example.org:443\", \"b.example.org:22\"]",
    );
    for (before, narrower, after) in [
        (
            "\"open\"",
            both,
            hosts(&["a.example.org:443", "b.example.org:22"]),
        ),
        (both, a, hosts(&["a.example.org:443"])),
        (both, "\"none\"", Net::None),
        (both, "\"loopback\"", Net::Loopback),
        ("\"none\"", "\"none\"", Net::None),
        ("\"none\"", "[]", Net::None),
    ] {
        let policy = project.load(&[trusted(before), found(narrower)]).unwrap();
        assert_eq!(
            policy.plugin("p").unwrap().grants.net,
            after,
            "{before} {narrower}"
        );
    }
    for (before, wider) in [
        ("\"none\"", "\"loopback\""),
        ("\"loopback\"", a),
        (a, both),
        (a, "[\"*.example.org:443\"]"),
        (both, "\"open\""),
    ] {
        let mistakes = project.mistakes(&[trusted(before), found(wider)]);
        assert!(
            mistakes.contains("`net` is wider than in the trusted policy"),
            "{before} {wider}"
        );
    }
}

#[test]
fn flags_add_files_and_hosts() {
    let project = Project::new();
    let with = |rest: &str, net: &[&str]| {
        let set = FlagSet {
            allow_net: net.iter().map(|&text| text.to_owned()).collect(),
            allow_read: vec!["plugins/p.wasm".to_owned()],
            ..FlagSet::default()
        };
        project.entry(&format!("{HEAD}{rest}"), set).grants
    };
    let granted = with("", &["a.example.org:443"]);
    assert_eq!(granted.net, hosts(&["a.example.org:443"]));
    assert_eq!(
        (granted.fs[0].kind, granted.fs[0].access),
        (FsKind::File, FsAccess::Read)
    );
    let two = ["a.example.org:443", "b.example.org:22"];
    assert_eq!(with("", &two).net, hosts(&two));
    assert_eq!(
        with("net = [\"a.example.org:443\"]\n", &two[1..]).net,
        hosts(&two)
    );
    assert_eq!(with("net = \"loopback\"\n", &two).net, hosts(&two));
    assert_eq!(
        with("net = \"open\"\n", &two).net,
        Net::Open,
        "a flag takes nothing away"
    );
    assert_eq!(with("", &["open", "a.example.org:443"]).net, Net::Open);
    assert_eq!(with("net = \"loopback\"\n", &[]).net, Net::Loopback);
    let wrong = FlagSet {
        allow_net: vec!["example.org".to_owned(), "all".to_owned()],
        ..FlagSet::default()
    };
    assert_eq!(
        project.mistakes(&[Layer::Flags(wrong)]),
        "`--allow-net=example.org`: error[P0105]: `example.org` is not `host:port`: the port is missing: expected `host:port`, `loopback` or `open`\n\
         `--allow-net=all`: error[P0105]: `all` is not `host:port`: the port is missing: expected `host:port`, `loopback` or `open`"
    );
}

#[test]
fn a_flag_that_confines_more_also_holds_for_rules() {
    let project = Project::new();
    let text = format!(
        "confinement = \"limits\"\n{HEAD}exec = {{ allow = [{{ program = \"docker\", confinement = \"limits\" }}, {{ program = \"git\", confinement = \"namespaces\" }}] }}\n"
    );
    let tiers = |flag: Option<Confinement>| {
        let set = FlagSet {
            confinement: flag,
            ..FlagSet::default()
        };
        let exec = project.entry(&text, set).grants.exec.unwrap();
        let rules: Vec<_> = exec
            .allow
            .iter()
            .map(|rule| rule.narrowing.confinement)
            .collect();
        (exec.confinement, rules)
    };
    use Confinement::{Full, Landlock, Limits, Namespaces};
    assert_eq!(tiers(None), (Limits, vec![Some(Limits), Some(Namespaces)]));
    assert_eq!(tiers(Some(Full)), (Full, vec![None, None]));
    assert_eq!(
        tiers(Some(Landlock)),
        (Landlock, vec![None, Some(Namespaces)])
    );
    assert_eq!(
        tiers(Some(Limits)),
        (Limits, vec![Some(Limits), Some(Namespaces)])
    );
}

#[test]
fn the_hosts_own_way_to_the_network_is_read_from_trusted_files() {
    let project = Project::new();
    fs::write(project.path("ca.pem"), "").unwrap();
    let network = |text: &str| {
        project
            .load(&[project.trusted(text)])
            .unwrap()
            .network()
            .clone()
    };
    assert_eq!(network(HEAD), Network::default());
    let text = "[network]\nupstream_proxy = \"http://proxy.corp:3128/\"\nca_file = \"ca.pem\"\n";
    let expected = Network {
        upstream_proxy: Some(Target::parse("proxy.corp:3128").unwrap()),
        ca_file: Some(project.path("ca.pem")),
    };
    assert_eq!(network(text), expected);
    assert_eq!(
        network("network.upstream_proxy = \"http://10.0.0.1:8080\"\n").ca_file,
        None
    );
    for wrong in [
        "proxy.corp:3128",
        "https://proxy.corp:3128",
        "http://proxy.corp",
        "http://a@proxy.corp:1",
        "",
    ] {
        let text = format!("network.upstream_proxy = \"{wrong}\"\n");
        assert!(
            project
                .mistakes(&[project.trusted(&text)])
                .contains("P0105"),
            "{wrong}"
        );
    }
}

#[test]
fn no_toolchain_and_no_file_reaches_own_state() {
    let mut project = Project::new();
    fs::create_dir(project.path("state")).unwrap();
    fs::write(project.path("state/key"), "").unwrap();
    project.context.own_state = vec![OwnState {
        path: project.path("state/key"),
        secret: true,
    }];
    let with = |rest: &str| project.trusted(&format!("{HEAD}{rest}\n"));
    for rest in [
        "exec = { system = [\"state\"] }",
        "exec = { system = [\"/\"] }",
        "fs = { read = [\"state/key\"] }",
        "fs = { write = [\"portcullis.toml\"] }",
    ] {
        fs::write(project.path("portcullis.toml"), "").unwrap();
        assert!(project.mistakes(&[with(rest)]).contains("P0110"), "{rest}");
    }
    assert!(
        project
            .load(&[with("exec = { system = [\"notes\"] }")])
            .is_ok()
    );
}
