//! The policy file means what it says.

use std::time::Duration;

use portcullis_config::edit::{self, Edit, Right};
use portcullis_config::{Ask, Context, FlagSet, Layer, PolicySet, SelectError, Trust, schema};
use portcullis_policy::{Confinement, FsAccess, HostRule, Mode, Net, Origin};

use crate::support::{Project, run};

const SEED: &str = r#"[[plugins]]
id = "aws-tools"
path = "plugins/aws-tools.wasm"
exec = { inherit_env = true, allow = ["aws", "git", "terraform"] }
env_allow_prefixes = ["AWS_", "TF_", "MYAPP_"]   # optional: restrict what plugin can set
"#;

#[test]
fn the_first_model_parses_byte_for_byte() {
    let project = Project::new();
    let entry = project
        .load(&[project.trusted(SEED)])
        .unwrap()
        .plugin("aws-tools")
        .unwrap();
    let exec = entry.grants.exec.as_ref().unwrap();
    assert!(exec.inherit_env);
    assert!(!exec.any_program);
    let ids: Vec<_> = exec
        .allow
        .iter()
        .map(|rule| (rule.program.to_string(), rule.id.to_string()))
        .collect();
    assert_eq!(
        ids,
        [
            ("aws", "allow[0]"),
            ("git", "allow[1]"),
            ("terraform", "allow[2]")
        ]
        .map(|(a, b)| (a.into(), b.into()))
    );
    assert_eq!(
        exec.env_allow_prefixes,
        Some(["AWS_", "TF_", "MYAPP_"].map(str::to_owned).to_vec())
    );
    assert_eq!(exec.confinement, Confinement::Full);
    assert_eq!(entry.grants.mode, Mode::Production);
    assert_eq!(entry.path, project.path("plugins/aws-tools.wasm"));
    assert_eq!(
        exec.allow[1].origin,
        Origin::File {
            file: project.path("portcullis.toml"),
            line: 4,
            column: 46
        }
    );
    assert!(run(&entry.grants, "git", &["push"]).is_ok());
    assert!(run(&entry.grants, "curl", &[]).is_err());
}

#[test]
fn every_key_has_its_effect() {
    let project = Project::new();
    let digest = "ab".repeat(32);
    let text = format!(
        r#"
mode = "dev"
confinement = "landlock"
exec_path = ["/opt/bin"]

[[plugins]]
id = "p"
path = "plugins/p.wasm"
sha256 = "{digest}"
late = true
env = ["LANG", "LC_*"]
log = true
clock = "2026-01-01T01:00:00+01:00"
random = 42
fs = {{ read = ["${{project}}", {{ path = "~/notes", as = "/notes" }}, "${{plugin}}"], write = ["out"] }}
limits = {{ timeout = "10s", term_grace = "500ms", output = "1MiB", total_output = "2MiB", children = 1, spawns_per_minute = 2, http_per_minute = 5, net_per_minute = 8, net_timeout = "2s", log_per_minute = 6, calls_per_minute = 7, file_read = "1KiB", file_write = "2KiB", total_file_write = "3KiB", data_files = 8, data_file = "4KiB", call = "1m", memory = "3MiB", table_elements = 4, compile_time = "5s", compile_memory = "6MiB", fuel = 5000000, clawft_module = "7KiB", clawft_gzip = "8KiB", clawft_directory = "9KiB" }}

[plugins.exec]
inherit_env = false
pass_env = ["GH_TOKEN"]
strip_env_prefixes = ["MY_"]
allow_dangerous_env = ["GIT_SSH"]
confinement = "limits"
path = ["/usr/bin", "~/bin"]
deny = ["rm", {{ program = "git", sub = ["push"] }}]
allow = [
  "jq",
  {{ id = "git-read", program = "git", sub = ["status", "diff"], flags = ["--stat", "-n*", "--"], timeout = "1s", output = "1KiB", stdin = false, env = ["GIT_AUTHOR_*"], net = "none", read = ["out"], write = [], exec = [], memory = "1MiB" }},
  {{ program = "curl", args = ["-sS", "-f?", "<url:https://api.example.com/**>"], net = ["api.example.com:443", {{ host = "db.corp:5432", addresses = ["10.2.0.0/16"] }}] }},
]

[[plugins.exec.test]]
allow = [["git", "status", "--stat"], ["/usr/bin/jq", "."]]
deny = [["git", "push"], ["git", "-c", "x", "status"], ["curl", "https://example.com"]]
"#
    );
    let entry = project.entry(&text, FlagSet::default());
    let grants = &entry.grants;
    assert_eq!(entry.sha256, Some([0xab; 32]));
    assert_eq!((grants.mode, grants.late), (Mode::Dev, true));
    assert_eq!(grants.env, ["LANG", "LC_*"]);
    let new_year = Duration::from_secs(1_767_225_600);
    assert_eq!(
        (grants.log, grants.clock, grants.random),
        (true, Some(new_year), Some(42))
    );
    let fs: Vec<_> = grants
        .fs
        .iter()
        .map(|grant| (grant.guest.clone(), grant.host.clone(), grant.access))
        .collect();
    let plugins = project.path("plugins");
    assert_eq!(
        fs,
        [
            (".".to_owned(), project.root(), FsAccess::Read),
            (
                "/notes".to_owned(),
                project.path("home/notes"),
                FsAccess::Read
            ),
            (plugins.display().to_string(), plugins, FsAccess::Read),
            ("out".to_owned(), project.path("out"), FsAccess::ReadWrite),
        ]
    );
    let limits = &grants.limits;
    assert_eq!(
        (limits.timeout, limits.term_grace),
        (Duration::from_secs(10), Duration::from_millis(500))
    );
    assert_eq!(
        (limits.output, limits.total_output, limits.memory),
        (1 << 20, 2 << 20, 3 << 20)
    );
    assert_eq!(
        (
            limits.children,
            limits.spawns_per_minute,
            limits.table_elements
        ),
        (1, 2, 4)
    );
    assert_eq!(
        (
            limits.http_per_minute,
            limits.log_per_minute,
            limits.calls_per_minute,
            limits.net_per_minute
        ),
        (5, 6, 7, 8)
    );
    assert_eq!(limits.net_timeout, Duration::from_secs(2));
    assert_eq!(
        (limits.file_read, limits.file_write, limits.total_file_write),
        (1 << 10, 2 << 10, 3 << 10)
    );
    assert_eq!((limits.data_files, limits.data_file), (8, 4 << 10));
    assert_eq!(limits.call, Duration::from_secs(60));
    assert_eq!(
        (limits.compile_time, limits.compile_memory),
        (Duration::from_secs(5), 6 << 20)
    );
    assert_eq!(limits.fuel, Some(5_000_000));
    assert_eq!(
        (
            limits.clawft_module,
            limits.clawft_gzip,
            limits.clawft_directory
        ),
        (7 * 1024, 8 * 1024, 9 * 1024)
    );
    let exec = grants.exec.as_ref().unwrap();
    assert!(!exec.inherit_env && !exec.any_program);
    assert_eq!(exec.pass_env, ["GH_TOKEN"]);
    assert_eq!(exec.strip_env_prefixes, ["MY_"]);
    assert_eq!(exec.allow_dangerous_env, ["GIT_SSH"]);
    assert_eq!(exec.confinement, Confinement::Limits);
    let at_home = project.root().join("home/bin");
    assert_eq!(
        exec.search_path,
        [std::path::PathBuf::from("/usr/bin"), at_home]
    );
    assert_eq!(exec.deny[1].id.0, "deny[1]");
    let git = &exec.allow[1];
    assert_eq!(git.id.0, "git-read");
    let narrowing = &git.narrowing;
    assert_eq!(
        (narrowing.timeout, narrowing.output),
        (Some(Duration::from_secs(1)), Some(1024))
    );
    assert_eq!(
        (narrowing.stdin, narrowing.memory),
        (Some(false), Some(1 << 20))
    );
    assert_eq!(
        (&narrowing.net, &narrowing.exec),
        (&Some(Net::None), &Some(Vec::new()))
    );
    assert_eq!(narrowing.read, Some(vec![project.path("out")]));
    let mut database = HostRule::parse("db.corp:5432").unwrap();
    database.unlock("10.2.0.0/16").unwrap();
    assert_eq!(
        exec.allow[2].narrowing.net,
        Some(Net::Hosts(vec![
            HostRule::parse("api.example.com:443").unwrap(),
            database
        ]))
    );
}

#[test]
fn what_is_not_written_is_closed() {
    let project = Project::new();
    let entry = |text: &str| project.entry(text, FlagSet::default()).grants;
    let head = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";
    assert!(entry(head).exec.is_none());
    let production = entry(&format!("{head}exec = {{}}\n")).exec.unwrap();
    assert!(!production.any_program && !production.inherit_env && production.allow.is_empty());
    let dev = entry(&format!("mode = \"dev\"\n{head}exec = {{}}\n"))
        .exec
        .unwrap();
    assert!(dev.any_program && dev.inherit_env && !dev.inherit_output);
    let shown = entry(&format!("{head}exec = {{ inherit_output = true }}\n"));
    assert!(shown.exec.unwrap().inherit_output);
    let listed = entry(&format!(
        "mode = \"dev\"\n{head}exec = {{ allow = [], inherit_env = false }}\n"
    ))
    .exec
    .unwrap();
    assert!(!listed.any_program && !listed.inherit_env);
}

#[test]
fn the_other_names_of_two_limits_are_accepted() {
    let project = Project::new();
    let text = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nexec = { timeout_ms = 1500, max_output_bytes = 7 }\n";
    let limits = project.entry(text, FlagSet::default()).grants.limits;
    assert_eq!(
        (limits.timeout, limits.output),
        (Duration::from_millis(1500), 7)
    );
}

#[test]
fn a_selector_is_an_id_or_a_path_that_leads_to_the_entry() {
    let project = Project::new();
    std::os::unix::fs::symlink(project.path("plugins/p.wasm"), project.path("link.wasm")).unwrap();
    let policy = project
        .load(&[
            project.trusted("[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nlate = true\n")
        ])
        .unwrap();
    for selector in [
        "p",
        "plugins/p.wasm",
        "./plugins/../plugins/p.wasm",
        "link.wasm",
    ] {
        let entry = policy.plugin(selector).unwrap();
        assert!(entry.origin.is_some() && entry.grants.late, "{selector}");
    }
    std::fs::write(project.path("other.wasm"), "").unwrap();
    let other = policy.plugin("other.wasm").unwrap();
    assert_eq!((other.id.as_str(), other.origin), ("other", None));
    assert_eq!(
        other.grants,
        portcullis_policy::Grants::none(other.id.clone())
    );
}

#[test]
fn nothing_passes_for_another_plugin() {
    let project = Project::new();
    let policy = project
        .load(&[project.trusted("[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n")])
        .unwrap();
    std::fs::write(project.path("p.wasm"), "").unwrap();
    assert!(matches!(
        policy.plugin("p.wasm"),
        Err(SelectError::IdTaken { .. })
    ));
    assert!(matches!(
        policy.plugin("nothing.wasm"),
        Err(SelectError::Unknown { .. })
    ));
    let Err(SelectError::Unknown { nearest, .. }) = policy.plugin("q") else {
        panic!("there is no q")
    };
    assert_eq!(nearest.unwrap().as_str(), "p");
}

#[test]
fn the_directory_of_a_plugin_means_its_component() {
    let project = Project::new();
    let dir = project.path("repo-report");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("repo-report.wasm"), "").unwrap();
    let head = "id = \"report\"\nversion = \"1\"\nworld = \"w\"\n";
    std::fs::write(dir.join("plugin.toml"), head).unwrap();
    let policy = project
        .load(&[project
            .trusted("[[plugins]]\nid = \"by-file\"\npath = \"repo-report/repo-report.wasm\"\n")])
        .unwrap();
    let entry = policy.plugin("repo-report").unwrap();
    assert_eq!(
        (entry.id.as_str(), entry.path),
        ("by-file", dir.join("repo-report.wasm"))
    );
    assert_eq!(entry.manifest.unwrap().1.id.as_str(), "report");

    std::fs::write(
        dir.join("plugin.toml"),
        format!("{head}component = \"x.wasm\"\n"),
    )
    .unwrap();
    std::fs::write(dir.join("x.wasm"), "").unwrap();
    let entry = policy.plugin("repo-report").unwrap();
    assert_eq!(
        (entry.id.as_str(), entry.path, entry.origin),
        ("report", dir.join("x.wasm"), None)
    );
    let unspoken = policy.plugin("repo-report/repo-report.wasm").unwrap();
    assert!(
        unspoken.manifest.is_none(),
        "the manifest speaks for x.wasm only"
    );
}

#[test]
fn the_schemas_have_every_key_and_its_description() {
    for schema in [schema::policy(), schema::manifest()] {
        let definitions = schema["$defs"].as_object().unwrap().values();
        for table in definitions
            .chain([&schema])
            .filter(|table| table.get("properties").is_some())
        {
            assert_eq!(table["additionalProperties"], false, "{table}");
            for (key, value) in table["properties"].as_object().unwrap() {
                assert!(
                    value.get("description").is_some(),
                    "`{key}` has no description"
                );
            }
        }
        assert!(!schema.to_string().contains("null"));
    }
    assert!(schema::policy()["properties"]["exec_path"].is_object());
    assert!(schema::manifest()["properties"]["asks"].is_object());
}

#[test]
fn the_example_policy_and_manifest_fit_together() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .canonicalize()
        .unwrap();
    let file = examples.join("portcullis.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let layer = Layer::File {
        path: file.clone(),
        text: text.clone(),
        trust: Trust::Trusted,
    };
    let context = Context::new(examples.parent().unwrap());
    let policy = PolicySet::load(&[layer], &context).unwrap_or_else(|errors| panic!("{errors}"));
    let entry = policy.plugin("examples/repo-report").unwrap();
    assert_eq!(entry.id.as_str(), "repo-report");
    let (_, manifest) = entry.manifest.as_ref().unwrap();
    assert_eq!(manifest.asks_not_granted(&entry.grants), Vec::<&Ask>::new());
    assert_eq!(
        manifest.restrict(entry.grants.clone()),
        entry.grants,
        "it asks for all that it is granted"
    );
    assert!(run(&entry.grants, "git", &["status", "--porcelain"]).is_ok());
    assert!(run(&entry.grants, "git", &["push"]).is_err());

    // A grant of the command the example denies adds a rule and leaves every line that is there.
    let right = Right::Exec {
        program: "git".to_owned(),
        args: Some(vec!["diff".to_owned()]),
    };
    let edit = Edit {
        plugin: entry.id,
        path: None,
        right,
    };
    let edited = edit::grant(&text, &edit, &file, &context).unwrap();
    assert!(edited.changed);
    assert!(
        text.lines()
            .all(|line| edited.text.lines().any(|other| other == line)),
        "{}",
        edited.text
    );
    assert_eq!(
        edit::revoke(&edited.text, &edit, &file, &context)
            .unwrap()
            .text,
        text
    );
}

#[test]
fn a_broken_manifest_beside_a_file_is_no_mistake_of_the_policy() {
    let project = Project::new();
    std::fs::write(project.path("plugins/plugin.toml"), "nonsense").unwrap();
    let text = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";
    let policy = project.load(&[project.trusted(text)]).unwrap();
    assert!(
        matches!(policy.plugin("p"), Err(SelectError::Locate(_))),
        "but the plugin is not used"
    );
    assert!(
        project
            .mistakes(&[project.trusted(&text.replace("/p.wasm", ""))])
            .contains("P0104")
    );
}

#[test]
fn a_link_in_the_tree_does_not_choose_what_is_granted() {
    let outside = tempfile::tempdir().unwrap();
    let project = Project::new();
    let link = |target: &std::path::Path, name: &str| {
        std::os::unix::fs::symlink(target, project.path(name)).unwrap();
    };
    link(outside.path(), "away");
    link(&project.path("notes"), "within");
    let entry = |path: &str| {
        let path = path.replace("ROOT", project.root().to_str().unwrap());
        let text = format!(
            "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\nfs = {{ read = [\"{path}\"] }}\n"
        );
        project
            .load(&[project.trusted(&text)])
            .map(|policy| policy.plugin("p").unwrap().grants.fs[0].host.clone())
    };
    for led_out in [
        "away",
        "./away",
        "out/../away",
        "${project}/away",
        "ROOT/away",
    ] {
        assert!(
            entry(led_out)
                .unwrap_err()
                .to_string()
                .contains("led out of the project"),
            "{led_out}"
        );
    }
    assert_eq!(
        entry("within").unwrap(),
        project.path("notes"),
        "a link that stays inside"
    );
    let real = outside.path().canonicalize().unwrap();
    assert_eq!(
        entry(real.to_str().unwrap()).unwrap(),
        real,
        "what is written out is meant"
    );
    assert_eq!(
        entry("..").unwrap(),
        project.root().parent().unwrap(),
        "so is a way up"
    );
}
