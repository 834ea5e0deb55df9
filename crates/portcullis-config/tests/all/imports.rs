//! Policies of Wassette and Zed, as entries of ours: what they say, and that they never say more.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use portcullis_config::{ConfigErrors, FlagSet, Imported, PluginEntry, import};
use portcullis_policy::{FsAccess, Grants, HttpUrl, PluginId};
use proptest::prelude::*;

use crate::support::{Project, run};

fn read(file: &str, text: &str) -> Result<Imported, ConfigErrors> {
    let plugin = PluginId::new("p").unwrap();
    import(Path::new(file), text, &plugin, "plugins/p.wasm")
}

fn mistake(file: &str, text: &str) -> String {
    let mistakes = read(file, text).expect_err("it has a mistake").to_string();
    mistakes
        .replace("error[P0102]: ", "")
        .replace("error[P0109]: ", "")
}

/// The entry, read as a policy.
fn entry(project: &Project, imported: &Imported) -> PluginEntry {
    project.entry(&imported.toml, FlagSet::default())
}

#[test]
fn a_policy_of_wassette_is_said_in_our_words() {
    let text = r#"
$schema: https://example.com/policy-v1.0.schema.json
version: "1.0"
description: "Weather"
permissions:
  storage:
    allow:
      - uri: "fs:///srv/data/**"
        access: ["read", "write"]
      - uri: "fs:///srv/forecasts"
        access: ["read"]
      - uri: "fs:///srv/logs/*"
        access: ["read"]
      - uri: "fs://workspace/**"
        access: ["read"]
      - uri: "fs:///srv/inbox"
        access: ["write"]
  network:
    allow:
      - host: "api.example.com"
      - host: "https://maps.example.com"
      - host: "*.tiles.example.com"
      - host: "localhost"
      - cidr: "10.0.0.0/8"
  environment:
    allow:
      - key: "LANG"
      - key: "WEATHER_API_KEY"
  resources:
    limits:
      cpu: "500m"
      memory: "512Mi"
  runtime:
    docker: { security: { privileged: true } }
"#;
    let imported = read("policy.yaml", text).unwrap();
    let expected = r##"# From `policy.yaml`, a policy of Wassette. A comment with a line of it says what is left out or means less here.

[[plugins]]
id = "p"
path = "plugins/p.wasm"
fs.read = ["/srv/forecasts"]
# line 12: `fs:///srv/logs/*` is left out: a directory is granted with all below it, and not one level of it
# line 14: `fs://workspace/**` is left out: it is relative to where Wassette keeps components
fs.write = ["/srv/data"]
# line 16: `fs:///srv/inbox` is left out: what may be written here may also be read
http.allow = [
    "api.example.com",
    { host = "maps.example.com", schemes = ["https"] },
    "*.tiles.example.com",
]
# line 20: `api.example.com` is for requests to ports 80 and 443, and for no other connections
# line 21: `https://maps.example.com` is for requests to ports 80 and 443, and for no other connections
# line 22: `*.tiles.example.com` means what is written: requests to every such name; the Wassette that compares names letter by letter lets none through
# line 22: `*.tiles.example.com` is for requests to ports 80 and 443, and for no other connections
# line 23: `localhost` is left out: `localhost:80` is loopback, which is granted as an address: `127.0.0.1` or `[::1]`
# line 24: `10.0.0.0/8` is left out: a request is to a host, and not to a range of addresses
env = [
    "LANG",
    "WEATHER_API_KEY",
]
# line 28: `WEATHER_API_KEY` is told to the plugin, as it is there; a secret for requests is kept from it by `http.secrets`
limits.memory = "512MiB"
# line 31: `limits.cpu` is left out: Wassette does not enforce it; here `limits.call` and `limits.fuel` bound a call
# line 34: `runtime` is left out: there is nothing like it here, and Wassette does not enforce it
"##;
    assert_eq!(imported.toml, expected);
    assert_eq!(imported.notes.len(), 12);
}

#[test]
fn a_denial_takes_away_whatever_it_could_be_about() {
    let text = r#"
version: "1.0"
permissions:
  storage:
    allow:
      - { uri: "fs:///srv/a/**", access: [read, write] }
      - { uri: "fs:///srv/b/**", access: [read, write] }
      - { uri: "fs:///srv/c/**", access: [read] }
    deny:
      - { uri: "fs:///srv/a/secret/*", access: [read, write] }
      - { uri: "fs:///srv/b", access: [write] }
  network:
    allow:
      - { host: "api.example.com" }
      - { host: "www.example.org" }
      - { host: "8.8.8.8" }
    deny:
      - { host: "*.example.com" }
      - { cidr: "8.8.0.0/16" }
"#;
    let toml = read("policy.yaml", text).unwrap().toml;
    assert!(
        toml.contains("fs.read = [\n    \"/srv/b\",\n    \"/srv/c\",\n]\n"),
        "{toml}"
    );
    assert!(
        !toml.contains("fs.write") && !toml.contains("http.allow"),
        "{toml}"
    );
    let unknown = text.replace("fs:///srv/a/secret/*", "fs://srv/../**");
    let toml = read("policy.yaml", &unknown).unwrap().toml;
    assert!(
        !toml.contains("fs.read"),
        "nobody knows what it is about: {toml}"
    );
}

/// A denial in another spelling of what is allowed still takes it away.
#[test]
fn a_denial_may_be_spelt_in_another_way() {
    let head = "version: \"1.0\"\npermissions:\n";
    for (allow, deny) in [
        ("fs:///srv/a", "fs:///srv//a"),
        ("fs:///srv/a", "fs:///srv/./a/**"),
        ("fs:///srv/a", "fs:///srv/b/../a"),
        ("fs:///srv/a", "FS:///srv/a"),
        ("fs:///srv/a", "fs:///**"),
        ("fs:///srv/a", "fs:///srv/a*"),
    ] {
        let text = format!(
            "{head}  storage:\n    allow:\n      - {{ uri: '{allow}', access: [read] }}\n    deny:\n      - {{ uri: '{deny}', access: [read] }}\n"
        );
        let imported = read("policy.yaml", &text).unwrap();
        assert!(
            !imported.toml.contains("fs.read"),
            "{deny}\n{}",
            imported.toml
        );
    }
    for (allow, deny, left) in [
        ("api.example.com", "API.example.com.", false),
        ("api.example.com", "https://api.example.com/", false),
        ("api.example.com", "api.example.com:8080", false),
        ("xn--bcher-kva.example", "b\u{fc}cher.example", false),
        ("127.0.0.1:80", "0x7f.1", false),
        ("127.0.0.1:80", "localhost", false),
        ("[::1]:80", "::1", false),
        ("[::1]:80", "0:0:0:0:0:0:0:1", false),
        ("8.8.8.8", "::ffff:8.8.8.8", false),
        ("*.example.com", "api.example.com", false),
        ("api.example.com", "example.com", true),
        ("api.example.com", "localhost", true),
        ("api.example.com", "8.8.8.8", true),
    ] {
        let text = format!(
            "{head}  network:\n    allow:\n      - host: '{allow}'\n    deny:\n      - host: '{deny}'\n"
        );
        let imported = read("policy.yaml", &text).unwrap();
        assert_eq!(
            imported.toml.contains("http.allow"),
            left,
            "{deny}\n{}",
            imported.toml
        );
    }
}

#[test]
fn mistakes_of_a_policy_have_their_places() {
    let head = "version: \"1.0\"\npermissions:\n";
    for (text, expected) in [
        (
            "version: \"2.0\"\n",
            "policy.yaml:1:10: version `2.0` of a policy is not known",
        ),
        ("permissions: {}\n", "missing field `version`"),
        (&format!("{head}  storrage: {{}}\n"), "policy.yaml:3:3: "),
        (
            &format!(
                "{head}  storage:\n    allow:\n      - uri: 'fs:///a'\n        access: [execute]\n"
            ),
            "policy.yaml:6:18: ",
        ),
        (
            &format!(
                "{head}  network:\n    allow:\n      - {{ host: a.example.com, cidr: '10.0.0.0/8' }}\n"
            ),
            "policy.yaml:5:17: an entry of `network` has either `host` or `cidr`",
        ),
        (
            &format!("{head}  resources:\n    limits:\n      memory: 512\n"),
            "policy.yaml:5:15: `512` is not a size with its unit",
        ),
        (
            &format!("{head}  environment: {{}}\n  environment: {{}}\n"),
            "policy.yaml:4:3: ",
        ),
        ("version: [\n", "policy.yaml:"),
    ] {
        let found = mistake("policy.yaml", text);
        assert!(found.contains(expected), "{text}\n{found}");
    }
    let end = mistake("policy.ini", "");
    assert!(end.contains("the end of the name"), "{end}");
    let long = mistake("policy.yaml", &"#".repeat(1024 * 1024 + 1));
    assert!(long.contains("more than 1 MiB"), "{long}");
}

/// Aliases of aliases, depth, and length: an error each, soon.
#[test]
fn bombs_are_mistakes() {
    let mut bomb =
        "version: \"1.0\"\npermissions:\n  ipc:\n    - &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            .to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb += &format!("    - &a{level} [{below}]\n");
    }
    mistake("policy.yaml", &bomb);
    let deep = format!(
        "version: \"1.0\"\npermissions:\n  ipc: {}{}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    mistake("policy.yaml", &deep);
    let deep = format!(
        "{{\"granted_extension_capabilities\": {}",
        "[".repeat(500_000)
    );
    mistake("settings.json", &deep);
    mistake(
        "extension.toml",
        &format!("capabilities = {}", "[".repeat(500_000)),
    );
}

/// What a hostile policy says stands in values and in comments, and is never a line of its own.
#[test]
fn text_of_a_policy_stays_text() {
    let project = Project::new();
    for evil in [
        r"x\n[plugins.exec]\nallow = ['sh']",
        r"x\r\nlog = true",
        r"x`\u0085log = true",
        r"\u202eevil\u2028",
        r"\e[2J",
        r"a]\u0022, \u0022*",
    ] {
        let text = format!(
            "version: \"1.0\"\npermissions:\n  storage:\n    allow:\n      - {{ uri: \"fs:///srv/{evil}\", access: [read] }}\n      - {{ uri: \"{evil}\", access: [read] }}\n    deny:\n      - {{ uri: \"{evil}\", access: [write] }}\n  network:\n    allow:\n      - {{ host: \"{evil}\" }}\n  environment:\n    allow:\n      - {{ key: \"{evil}\" }}\n",
        );
        let imported = read("policy.yaml", &text).unwrap();
        let unseen = |c: char| c != '\n' && (c.is_control() || portcullis_policy::is_unseen(c));
        assert!(!imported.toml.contains(unseen), "{:?}", imported.toml);
        // A path may have quotes in it, and be nowhere: what matters is that nothing else is granted.
        let toml = imported.toml.replace("fs.read", "env_allow_prefixes");
        let grants = project.entry(&toml, FlagSet::default()).grants;
        assert_eq!(grants.exec, None, "{toml}");
        assert!(
            !grants.log && grants.http.allow.is_empty() && grants.env.is_empty(),
            "{toml}"
        );
    }
    for path in [
        "/",
        "/**",
        "/..",
        "/srv/../etc",
        "~/x",
        "${HOME}",
        "/${project}",
        "/srv//x",
        "/./x",
        "$(pwd)/x",
    ] {
        let text = format!(
            "version: \"1.0\"\npermissions:\n  storage:\n    allow:\n      - {{ uri: 'fs://{path}', access: [read, write] }}\n"
        );
        let imported = read("policy.yaml", &text).unwrap();
        assert!(!imported.toml.contains("fs."), "{}", imported.toml);
        assert_eq!(imported.notes.len(), 1, "{path}");
    }
}

#[test]
fn grants_of_zed_are_rules_for_commands() {
    let text = r#"
// Zed settings
{
  "theme": { "mode": "system" },
  "granted_extension_capabilities": [
    { "kind": "process:exec", "command": "gem", "args": ["**"] },
    { "kind": "process:exec", "command": "git", "args": ["log", "*", "**"] },
    { "kind": "process:exec", "command": "*", "args": ["**"] },
    { "kind": "process:exec", "command": "/usr/bin/*", "args": ["**"] },
    { "kind": "process:exec", "command": "./x", "args": [] },
    { "kind": "download_file", "host": "github.com", "path": ["zed-industries", "zed", "**"] },
    { "kind": "npm:install", "package": "typescript" }, // and no more
  ],
}
"#;
    let imported = read("settings.json", text).unwrap();
    let body = imported.toml.split_once("[[plugins]]\n").unwrap().1;
    let expected = r##"id = "p"
path = "plugins/p.wasm"
http.allow = [{ host = "github.com", methods = ["GET"], paths = ["/zed-industries/zed/**"] }]
# line 11: `github.com` is for requests of the plugin to ports 80 and 443; nothing is stored or unpacked for it
exec.allow = [
    "gem",
    { program = "git", args = ["log", "*", "**"] },
]
# line 7: `git` means less here: `*` is one argument that does not begin with `-`
# line 8: `process:exec *` is left out: it is every program; name those that are needed
# line 9: `/usr/bin/*` is left out: it is not the name or absolute path of one program
# line 10: `./x` is left out: `./x` is neither a bare name nor an absolute path
# line 12: `npm:install typescript` is left out: nothing is installed for a plugin; a rule for `npm` with `net` and a directory to write lets it do so itself
"##;
    assert_eq!(body, expected);
    let project = Project::new();
    let grants = entry(&project, &imported).grants;
    assert!(run(&grants, "gem", &["list"]).is_ok());
    assert!(run(&grants, "git", &["log", "main", "-p"]).is_ok());
    assert!(run(&grants, "git", &["push", "main"]).is_err());
    assert!(run(&grants, "sh", &[]).is_err());
    for (text, expected) in [
        ("{}", "`granted_extension_capabilities` is no list here"),
        (
            "{\"granted_extension_capabilities\": [{\"kind\": \"root\"}]}",
            "settings.json:1:37: unknown kind `root`",
        ),
        (
            "{\"granted_extension_capabilities\": [{\"kind\": \"npm:install\", \"package\": \"x\", \"as\": 1}]}",
            "unknown key `as`",
        ),
        (
            "{\"granted_extension_capabilities\": [], \"granted_extension_capabilities\": []}",
            "is there twice",
        ),
    ] {
        let found = mistake("settings.json", text);
        assert!(found.contains(expected), "{text}\n{found}");
    }
}

#[test]
fn what_an_extension_asks_for_is_what_a_manifest_asks_for() {
    let text = "id = \"ruby\"\nname = \"Ruby\"\n\n[[capabilities]]\nkind = \"process:exec\"\ncommand = \"gem\"\nargs = [\"install\", \"**\"]\n\n[[capabilities]]\nkind = \"download_file\"\nhost = \"github.com\"\npath = [\"**\"]\n";
    let imported = read("extension.toml", text).unwrap();
    assert!(!imported.toml.contains("[[plugins]]"));
    let head = "id = \"p\"\nversion = \"0.1.0\"\nworld = \"portcullis:cli/plugin@0.1.0\"\n";
    let manifest = format!("{head}{}", imported.toml);
    let manifest = portcullis_config::Manifest::parse(Path::new("plugin.toml"), &manifest);
    assert_eq!(manifest.unwrap().asks.len(), 2, "{}", imported.toml);
    assert_eq!(imported.notes.len(), 1, "its arguments");
}

const SEGMENTS: [&str; 4] = ["a", "b", "*", "**"];
const HOSTS: [&str; 8] = [
    "api.example.com",
    "example.com",
    "*.example.com",
    "*.api.example.com",
    "*",
    "8.8.8.8",
    "https://example.com",
    "10.0.0.5:80",
];
const RANGES: [&str; 4] = ["8.8.0.0/16", "10.0.0.0/8", "0.0.0.0/0", "nonsense"];
const ARGS: [&str; 8] = ["**", "*", "log", "-n", "a|b", "x?", "<word>", "\\"];

/// What a policy of Wassette says: patterns for paths, with whether they are for reading and for writing.
type Paths = Vec<(Vec<&'static str>, bool, bool)>;

fn paths() -> impl Strategy<Value = Paths> {
    let path = prop::collection::vec(prop::sample::select(&SEGMENTS[..]), 1..4);
    prop::collection::vec((path, any::<bool>(), any::<bool>()), 0..4)
}

/// Whether a pattern of Wassette is about a path: segment by segment; one without a star is also about what is below it.
fn is_about(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], []) => true,
        (["**"], _) => true,
        (["**", rest @ ..], _) => (0..=path.len()).any(|skip| is_about(rest, &path[skip..])),
        (["*", rest @ ..], [_, below @ ..]) => is_about(rest, below),
        ([one, rest @ ..], [two, below @ ..]) => one == two && is_about(rest, below),
        _ => false,
    }
}

fn path_allowed(list: &Paths, path: &[&str], write: bool, whole: bool) -> bool {
    list.iter().any(|(pattern, reads, writes)| {
        let plain = !pattern.iter().any(|part| part.contains('*'));
        let ends = |end: usize| is_about(pattern, &path[..end]);
        (if write { *writes } else { *reads })
            && (is_about(pattern, path) || whole && plain && (0..path.len()).any(ends))
    })
}

fn host_is_about(pattern: &str, scheme: &str, host: &str) -> bool {
    let (wanted, pattern) = pattern.split_once("://").unwrap_or((scheme, pattern));
    let pattern = pattern.split_once(':').map_or(pattern, |(host, _)| host);
    wanted == scheme
        && match pattern.strip_prefix('*') {
            Some(rest) => host.ends_with(rest),
            None => host == pattern,
        }
}

fn storage(root: &str, list: &Paths) -> String {
    let line = |(path, read, write): &(Vec<&str>, bool, bool)| {
        let access = [(*read, "read"), (*write, "write")];
        let access = access
            .into_iter()
            .filter(|(has, _)| *has)
            .map(|(_, word)| word);
        let access = access.collect::<Vec<_>>().join(", ");
        format!(
            "      - {{ uri: 'fs://{root}/{}', access: [{access}] }}\n",
            path.join("/")
        )
    };
    list.iter().map(line).collect()
}

fn reaches(grants: &Grants, path: &Path, write: bool) -> bool {
    let needed = if write {
        FsAccess::ReadWrite
    } else {
        FsAccess::Read
    };
    grants
        .fs
        .iter()
        .any(|grant| grant.access >= needed && path.starts_with(&grant.host))
}

proptest! {
    /// Whatever a policy of Wassette says, the entry is one that is read, and allows nothing that the policy does not.
    #[test]
    fn nothing_is_granted_that_wassette_does_not(
        allow in paths(),
        deny in paths(),
        hosts in prop::collection::vec(prop::sample::select(&HOSTS[..]), 0..4),
        denied in prop::collection::vec(prop::sample::select(&HOSTS[..]), 0..2),
        ranges in prop::collection::vec(prop::sample::select(&RANGES[..]), 0..2),
    ) {
        let project = Project::new();
        let root = project.path("out");
        for one in ["a", "b"] {
            for two in ["a", "b"] {
                fs::create_dir_all(root.join(one).join(two).join("a")).unwrap();
                fs::create_dir_all(root.join(one).join(two).join("b")).unwrap();
            }
        }
        let shown = root.to_str().unwrap();
        let mut text = format!("version: '1.0'\npermissions:\n  storage:\n    allow:\n{}    deny:\n{}  network:\n    allow:\n", storage(shown, &allow), storage(shown, &deny));
        text += &hosts.iter().map(|host| format!("      - host: '{host}'\n")).collect::<String>();
        text += "    deny:\n";
        text += &denied.iter().map(|host| format!("      - host: '{host}'\n")).collect::<String>();
        text += &ranges.iter().map(|range| format!("      - cidr: '{range}'\n")).collect::<String>();
        let imported = read("policy.yaml", &text).unwrap();
        let grants = entry(&project, &imported).grants;

        for path in [&["a"][..], &["b"], &["a", "a"], &["a", "b"], &["b", "a"], &["a", "b", "a"], &["b", "b", "b"], &["a", "a", "a", "new"]] {
            for write in [false, true] {
                if reaches(&grants, &root.join(path.join("/")), write) {
                    prop_assert!(path_allowed(&allow, path, write, true), "{path:?} {write}\n{text}\n{}", imported.toml);
                    let all = |list: &Paths| list.iter().map(|(path, read, write)| {
                        let none = !read && !write;
                        (path.clone(), *read || none, *write || none)
                    }).collect();
                    prop_assert!(!path_allowed(&all(&deny), path, write, true), "{path:?} {write}\n{text}\n{}", imported.toml);
                }
            }
        }
        for (scheme, host, address) in [
            ("http", "api.example.com", "8.8.8.8"), ("https", "api.example.com", "10.0.0.5"), ("http", "example.com", "8.8.8.8"),
            ("https", "example.com", "1.1.1.1"), ("https", "v1.api.example.com", "1.1.1.1"), ("https", "other.org", "1.1.1.1"),
            ("http", "8.8.8.8", "8.8.8.8"), ("http", "10.0.0.5", "10.0.0.5"),
        ] {
            let url = HttpUrl::parse(&format!("{scheme}://{host}/")).unwrap();
            let address: IpAddr = address.parse().unwrap();
            if grants.http.decide_address("GET", &url, address).is_ok() {
                prop_assert!(hosts.iter().any(|one| host_is_about(one, scheme, host)), "{host}\n{text}");
                prop_assert!(!denied.iter().any(|one| host_is_about(one, scheme, host)), "{host}\n{text}");
                let inside = |range: &&str| match *range {
                    "0.0.0.0/0" | "nonsense" => true,
                    "8.8.0.0/16" => address.to_string().starts_with("8.8."),
                    _ => address.to_string().starts_with("10."),
                };
                prop_assert!(!ranges.iter().any(inside), "{host} {address}\n{text}");
            }
        }
    }

    /// The same of Zed, whose own rule is said here in other words.
    #[test]
    fn nothing_is_granted_that_zed_does_not(
        rules in prop::collection::vec(("git|npm|\\*", prop::collection::vec(prop::sample::select(&ARGS[..]), 0..4)), 0..4),
        program in "git|npm|sh",
        args in prop::collection::vec(prop::sample::select(&[
            "log", "-n", "a", "b", "a|b", "x", "x?", "<word>", "*", "**", "\\", "",
        ][..]), 0..4),
    ) {
        let capabilities: Vec<_> = rules.iter().map(|(command, args)| {
            serde_json::json!({ "kind": "process:exec", "command": command, "args": args })
        }).collect();
        let text = serde_json::json!({ "granted_extension_capabilities": capabilities }).to_string();
        let imported = read("settings.json", &text).unwrap();
        let project = Project::new();
        let grants = entry(&project, &imported).grants;
        let words: Vec<&str> = args.clone();
        if run(&grants, &program, &words).is_ok() {
            let there = rules.iter().any(|(command, pattern)| {
                let end = pattern.iter().position(|one| *one == "**");
                let fixed = &pattern[..end.unwrap_or(pattern.len())];
                let long = if end.is_some() { words.len() >= fixed.len() } else { words.len() == fixed.len() };
                (command == "*" || *command == program)
                    && long
                    && fixed.iter().zip(&words).all(|(one, word)| *one == "*" || one == word)
            });
            prop_assert!(there, "{program} {words:?}\n{text}\n{}", imported.toml);
        }
    }

    /// Any bytes: a policy, or mistakes.
    #[test]
    fn whatever_is_read_is_a_policy_or_a_mistake(text in ".{0,200}", end in "yaml|json|toml") {
        if let Ok(imported) = read(&format!("x.{end}"), &text) {
            prop_assert!(toml::from_str::<toml::Table>(&imported.toml).is_ok());
        }
    }
}
