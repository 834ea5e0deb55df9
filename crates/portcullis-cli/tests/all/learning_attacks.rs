//! `run --learn` against plugins that would write their own policy by asking for it, and against people who stumble. Every run is
//! a real one, of a user who is not root, unless it says otherwise.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_testkit::guest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::ceiling::BELOW;
use crate::context::{Context, skip};
use crate::installing;
use crate::learning::{Learnt, commands, is_installed, learn, learnt, never_proposed, scene};
use crate::staged::Scene;

/// Parts of an act of the guest `files` are separated by this.
const PART: &str = "\u{1f}";

fn files() -> Scene {
    scene(&guest("files"))
}

fn act(words: &[&str]) -> String {
    words.join(PART)
}

/// Learns what is never allowed to go wrong, and holds it to that.
fn attacked(scene: &Scene, args: &[&str]) -> Learnt {
    let learnt = learn(scene, args);
    assert!(learnt.code <= 1, "{}\n{}", learnt.toml, learnt.stderr);
    never_proposed(&learnt);
    is_one_readable_entry(&learnt.toml);
    learnt
}

/// That what was printed is one entry, and that nothing in it moves a cursor or turns the writing around.
fn is_one_readable_entry(text: &str) {
    let hides = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(hides), "{text:?}");
    let entries = text.lines().filter(|line| line.starts_with("[["));
    assert_eq!(entries.count(), 1, "{text}");
    let policy: toml::Table = text.parse().unwrap();
    assert_eq!(policy["plugins"].as_array().unwrap().len(), 1, "{text}");
}

/// Everything below a directory, with what is in it.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            all.extend(tree(&path));
            all.push((path, Vec::new()));
        } else {
            all.push((path.clone(), fs::read(&path).unwrap_or_default()));
        }
    }
    all.sort();
    all
}

fn data(scene: &Scene) -> PathBuf {
    scene.0.home().join(".local/share/portcullis")
}

/// That no learning left anything behind.
fn nothing_is_left(scene: &Scene) {
    for place in ["learning", "stages"] {
        // It is made with the first one.
        let left = fs::read_dir(data(scene).join(place));
        let left = left.into_iter().flatten().flatten();
        let left: Vec<_> = left
            .map(|left| left.path())
            .filter(|left| left.is_dir())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// A server that answers everything with `ok`, and the first line of each request that it was sent.
#[derive(Clone)]
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            asked: Arc::default(),
        };
        let asked = Arc::clone(&server.asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let mut first = String::new();
                if lines.read_line(&mut first).is_err() || first.is_empty() {
                    continue;
                }
                asked.lock().unwrap().push(first);
                let mut line = String::new();
                let mut length = 0;
                while lines.read_line(&mut line).unwrap() > 2 {
                    let (name, value) = line.split_once(':').unwrap();
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                lines.read_exact(&mut body).unwrap();
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        server
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[test]
fn nothing_that_is_written_is_kept() {
    let scene = files();
    fs::copy(guest("command"), scene.0.root().join("c.wasm")).unwrap();
    scene.write("portcullis.toml", "revoked = []\n");
    scene.write(".git/config", "[core]\n");
    let before = tree(&scene.0.project());
    let acts = [
        act(&["write", "file", "new"]),
        act(&["write", "made", "new"]),
        act(&["write", "portcullis.toml", "mode = \"dev\""]),
        act(&["write", ".git/config", "[core]\nfsmonitor = x"]),
        act(&["mkdir", "there"]),
        act(&["remove", "dir/inner"]),
        act(&["rename", "dir", "elsewhere"]),
    ];
    let acts: Vec<_> = acts.iter().map(String::as_str).collect();
    let learnt = attacked(&scene, &[&["../p.wasm"], &acts[..]].concat());
    let written = learnt.list("fs", "write");
    assert_eq!(written.len(), 1, "the writing was seen: {}", learnt.toml);
    let script = "echo new > file; rm -r dir; echo x > portcullis.toml; echo x >> .git/config; \
                  mkdir -p \"$HOME/.config/portcullis\"; echo > \"$HOME/.config/portcullis/portcullis.toml\"; cat file";
    let call = ["--allow-exec=sh", "../c.wasm", "run", "sh", "-c", script];
    let learnt = attacked(&scene, &call);
    assert!(learnt.toml.contains("program = \"sh\""), "{}", learnt.toml);
    assert_eq!(tree(&scene.0.project()), before);
    assert!(!scene.0.own_policy().exists());
    nothing_is_left(&scene);
}

#[test]
fn the_state_of_real_runs_is_neither_seen_nor_changed() {
    let scene = scene(&guest("kv"));
    let policy = format!(
        "[[plugins]]\nid = \"p\"\npath = \"{}\"\nkv = true\n",
        scene.0.root().join("p.wasm").display()
    );
    scene.0.write("policy.toml", policy);
    scene.own();
    let real = |call: &str| {
        let args = ["run", "--config", "policy.toml", "p", call];
        let output = scene.command(&args).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(real("set key real"), "set\n");
    let kept = || tree(&data(&scene).join("kv"));
    let before = kept();
    assert!(!before.is_empty());
    let call = [
        "--json",
        "../p.wasm",
        "swap key - learnt",
        "set other x",
        "get key",
    ];
    let learnt = learn(&scene, &call);
    let document: Value = serde_json::from_str(&learnt.toml).unwrap();
    assert_eq!(document["enough"], true, "{document}");
    let toml = document["toml"].as_str().unwrap();
    assert!(toml.contains("kv = true"), "{toml}");
    assert!(
        kept() == before,
        "no state of a learning is beside that of real runs"
    );
    assert_eq!(real("get key"), "real\n");
    assert_eq!(real("get other"), "none\n");
    nothing_is_left(&scene);
}

#[test]
fn what_runs_any_text_or_program_is_not_proposed_unasked() {
    let scene = commands();
    let python = fs::canonicalize("/usr/bin/python3").unwrap_or_default();
    let python = python.to_str().unwrap();
    let calls: [&[&str]; 16] = [
        &["sh", "-c", "true"],
        &["/bin/sh", "-c", "true"],
        &["bash", "-c", "true"],
        &["busybox", "sh", "-c", "true"],
        &["env", "sh", "-c", "true"],
        &["timeout", "9", "sh", "-c", "true"],
        &["python3", "-c", "pass"],
        &[python, "-c", "pass"],
        &["perl", "-e", "1"],
        &["/usr/bin/perl", "-e", "1"],
        &["awk", "BEGIN { system(\"true\") }"],
        &["mawk", "BEGIN { system(\"true\") }"],
        &["lua5.4", "-e", "os.execute()"],
        &["xargs", "true"],
        &["ed", "-s"],
        &["/lib64/ld-linux-x86-64.so.2", "/bin/true"],
    ];
    for call in calls {
        let program = Path::new("/usr/bin").join(call[0]);
        if !program.exists() {
            skip(&format!("`{}` is not installed", call[0]));
            continue;
        }
        let args = [&["../p.wasm", "run"], call].concat();
        let learnt = attacked(&scene, &args);
        assert_eq!(learnt.code, 1, "{}", learnt.toml);
        let rules = learnt.list("exec", "allow");
        assert!(rules.is_empty(), "{}", learnt.toml);
        let how = format!("`--learn --allow-exec={}` asks for it", call[0]);
        assert!(learnt.notes().contains(&how), "{}", learnt.toml);
    }
    // What it really is counts, whatever it is called: this lies where no plugin can write.
    let bin = scene.0.root().join("bin");
    fs::create_dir(&bin).unwrap();
    symlink("/bin/sh", bin.join("harmless")).unwrap();
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).unwrap();
    let link = bin.join("harmless");
    let args = ["../p.wasm", "run", link.to_str().unwrap(), "-c", "true"];
    let learnt = attacked(&scene, &args);
    assert!(learnt.list("exec", "allow").is_empty(), "{}", learnt.toml);
}

#[test]
fn what_is_asked_for_by_name_is_proposed_with_its_arguments() {
    let scene = commands();
    for program in ["sh", "bash", "awk", "timeout"] {
        let args: &[&str] = match program {
            "awk" => &["BEGIN { print 1 }"],
            "timeout" => &["9", "true"],
            _ => &["-c", "cat file"],
        };
        let flag = format!("--allow-exec={program}");
        let call = [&[flag.as_str(), "../p.wasm", "run", program], args].concat();
        let learnt = attacked(&scene, &call);
        assert_eq!(learnt.code, 0, "{}", learnt.toml);
        let policy = learnt.policy();
        let rules = &policy["plugins"][0]["exec"]["allow"];
        assert_eq!(rules[0]["program"].as_str(), Some(program));
        let list = rules[0]["args"].as_array().unwrap();
        let list: Vec<_> = list.iter().filter_map(toml::Value::as_str).collect();
        assert_eq!(list, args, "{}", learnt.toml);
    }
    // One that was asked for brings no other one with it.
    let call = [
        "--allow-exec=sh",
        "../p.wasm",
        "run",
        "bash",
        "-c",
        "cat file",
    ];
    let learnt = attacked(&scene, &call);
    assert!(learnt.list("exec", "allow").is_empty(), "{}", learnt.toml);
}

#[test]
fn nothing_leaves_unasked_and_it_is_said_how_to_learn_further() {
    let server = Server::start();
    let host = server.host();
    let scene = scene(&guest("http"));
    fs::copy(guest("command"), scene.0.root().join("c.wasm")).unwrap();
    let url = server.url("/a");
    // Not even where the plugin's own policy lets it.
    let granted = format!(
        "[[plugins]]\nid = \"p\"\npath = \"{}\"\nhttp.allow = [\"{host}\"]\n",
        scene.0.root().join("p.wasm").display()
    );
    fs::create_dir_all(scene.0.own_policy().parent().unwrap()).unwrap();
    fs::write(scene.0.own_policy(), &granted).unwrap();
    scene.write("policy.toml", &granted);
    let calls: [&[&str]; 3] = [
        &["../p.wasm", &url],
        &["p", &url],
        &["--config", "policy.toml", "p", "send", "POST", &url, "3"],
    ];
    for call in calls {
        let learnt = attacked(&scene, call);
        let how = format!("`--learn --allow-http={host}`");
        assert!(learnt.notes().contains(&how), "{}", learnt.toml);
        assert!(learnt.list("http", "allow").is_empty(), "{}", learnt.toml);
    }
    assert_eq!(server.asked(), [""; 0]);
    if is_installed("curl") {
        let learnt = attacked(&scene, &["../c.wasm", "run", "curl", "-sS", &url]);
        let how = format!("`--learn --allow-net={host}`");
        assert!(learnt.notes().contains(&how), "{}", learnt.toml);
        assert!(!learnt.toml.contains("\nnet ="), "{}", learnt.toml);
    }
    assert_eq!(server.asked(), [""; 0]);
    let real = scene.command(&["run", "p", &url]).output().unwrap();
    assert_eq!((real.status.code(), server.asked().len()), (Some(0), 1));
}

#[test]
fn what_was_asked_for_is_learnt_and_only_what_is_safe_is_tried_again() {
    let server = Server::start();
    let flag = format!("--allow-http={}", server.host());
    let scene = scene(&guest("http"));
    let (one, other) = (server.url("/one"), server.url("/other?x=y"));
    let learnt = attacked(&scene, &[&flag, "../p.wasm", &one, &other]);
    assert_eq!(learnt.code, 0, "{}\n{}", learnt.toml, learnt.stderr);
    let policy = learnt.policy();
    let rule = &policy["plugins"][0]["http"]["allow"][0];
    assert_eq!(rule["host"].as_str(), Some(server.host().as_str()));
    for (key, values) in [("methods", &["GET"][..]), ("paths", &["/one", "/other"])] {
        let list = rule[key].as_array().unwrap();
        let list: Vec<_> = list.iter().filter_map(toml::Value::as_str).collect();
        assert_eq!(list, values, "{}", learnt.toml);
    }
    assert!(server.asked().len() > 4, "it was tried");

    let before = server.asked().len();
    let learnt = attacked(&scene, &[&flag, "../p.wasm", "send", "POST", &one, "3"]);
    assert_eq!(server.asked().len() - before, 1);
    assert_eq!(learnt.code, 1, "{}", learnt.toml);
    assert!(learnt.notes().contains("NOT TRIED"), "{}", learnt.toml);
    let rule = learnt.list("http", "allow").join("");
    assert!(
        rule.contains("POST") && rule.contains("/one"),
        "{}",
        learnt.toml
    );
}

#[test]
fn a_path_that_looks_like_a_pattern_widens_nothing_to_every_path() {
    let server = Server::start();
    let flag = format!("--allow-http={}", server.host());
    let scene = scene(&guest("http"));
    let urls: Vec<_> = (0..20)
        .map(|i| server.url(&format!("/api/v1/{i}")))
        .collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let many = attacked(&scene, &[&[flag.as_str(), "../p.wasm"], &urls[..]].concat());
    let star = attacked(&scene, &[&flag, "../p.wasm", &server.url("/api/v1/*")]);
    for learnt in [many, star] {
        assert_eq!(learnt.code, 0, "{}", learnt.toml);
        let rules = learnt.list("http", "allow");
        assert!(
            rules.len() == 1 && rules[0].contains("\"/api/v1/**\""),
            "{}",
            learnt.toml
        );
    }
}

#[test]
fn a_command_reaches_the_network_once() {
    if !is_installed("curl") {
        return;
    }
    let server = Server::start();
    let scene = commands();
    let flag = format!("--allow-net={}", server.host());
    let url = server.url("/a");
    let call = [&flag, "../p.wasm", "run", "curl", "-sS", "-d", "x", &url];
    let learnt = attacked(&scene, &call);
    assert_eq!(server.asked(), ["POST /a HTTP/1.1\r\n"]);
    assert_eq!(learnt.code, 1, "{}", learnt.toml);
    assert!(learnt.notes().contains("NOT TRIED"), "{}", learnt.toml);
    assert!(learnt.toml.contains(&server.host()), "{}", learnt.toml);
}

#[test]
fn variables_are_told_by_name_and_secrets_are_not() {
    let context = Context::for_everybody()
        .env("PLAIN", "plain-value")
        .env("MY_TOKEN", "hunter2")
        .env("UPSTREAM", "https://me:hunter2@example.com/");
    fs::copy(guest("env"), context.root().join("p.wasm")).unwrap();
    fs::copy(guest("wasi-command"), context.root().join("w.wasm")).unwrap();
    let scene = Scene::of(context);
    let call = ["../p.wasm", "PLAIN", "MY_TOKEN", "UPSTREAM", "NOWHERE"];
    let learnt = attacked(&scene, &call);
    assert_eq!(learnt.code, 0, "{}\n{}", learnt.toml, learnt.stderr);
    let policy = learnt.policy();
    let told = policy["plugins"][0]["env"].as_array().unwrap();
    assert_eq!(told, &[toml::Value::from("PLAIN")], "{}", learnt.toml);
    for name in ["MY_TOKEN", "UPSTREAM"] {
        let note = format!("the variable `{name}`, which looks like a secret");
        assert!(learnt.notes().contains(&note), "{}", learnt.toml);
    }
    let all = format!("{}{}", learnt.toml, learnt.stderr);
    assert!(!all.contains("hunter2"), "{all}");
    // A pattern is not proposed, though it was asked for: what was used of it is.
    let learnt = attacked(&scene, &[&["--allow-env=*"], &call[..]].concat());
    let policy = learnt.policy();
    let told = policy["plugins"][0]["env"].as_array().unwrap();
    assert_eq!(told, &[toml::Value::from("PLAIN")], "{}", learnt.toml);
    // By its name a secret is.
    let learnt = attacked(&scene, &["--allow-env=MY_TOKEN", "../p.wasm", "MY_TOKEN"]);
    assert!(learnt.toml.contains("\"MY_TOKEN\""), "{}", learnt.toml);
    assert!(!learnt.toml.contains("hunter2"), "{}", learnt.toml);

    let learnt = attacked(&scene, &["../w.wasm", "env"]);
    let all = format!("{}{}", learnt.toml, learnt.stderr);
    assert!(
        !all.contains("plain-value") && !all.contains("hunter2"),
        "{all}"
    );
}

#[test]
fn arguments_with_secrets_are_masked_and_not_proposed() {
    let scene = commands();
    let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    let long = format!("{}{token}", "x ".repeat(300));
    let many: Vec<_> = (0..100).map(|i| i.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let calls: [Vec<&str>; 6] = [
        vec!["echo", "--token", "hunter2"],
        vec!["echo", "https://me:hunter2@example.com/"],
        vec!["echo", token],
        // Which option takes a secret is told by the program.
        vec!["zip", "-P", "hunter2", "a.zip", "file"],
        vec!["echo", &long],
        [&["echo"], &many[..], &["--token", "hunter2"]].concat(),
    ];
    for call in calls {
        if !is_installed(call[0]) {
            continue;
        }
        let learnt = attacked(&scene, &[&["../p.wasm", "run"], &call[..]].concat());
        assert!(learnt.list("exec", "allow").is_empty(), "{}", learnt.toml);
        assert!(!learnt.toml.contains("hunter2"), "{}", learnt.toml);
        assert!(!learnt.toml.contains(token), "{}", learnt.toml);
        let why = "an argument looks like a secret";
        assert!(learnt.notes().contains(why), "{}", learnt.toml);
    }
    // What is only long is no secret, and too much of it is not read.
    let (long, longer) = ("x".repeat(1000), "x".repeat(64 * 1024));
    let learnt = attacked(&scene, &["../p.wasm", "run", "echo", &long]);
    assert_eq!(learnt.code, 0, "{}", learnt.toml);
    let learnt = attacked(&scene, &["../p.wasm", "run", "echo", &longer]);
    assert!(learnt.toml.len() < 4096, "{}", learnt.toml.len());
    assert!(
        learnt.notes().contains("too long to be read"),
        "{}",
        learnt.toml
    );
}

#[test]
fn where_secrets_are_kept_is_not_proposed_nor_what_it_lies_in() {
    let scene = files();
    fs::copy(guest("command"), scene.0.root().join("c.wasm")).unwrap();
    scene.write(".env", "PASSWORD=hunter2");
    let keys = scene.0.home().join(".ssh");
    fs::create_dir(&keys).unwrap();
    fs::write(keys.join("id"), "hunter2").unwrap();
    scene.own();
    let key = act(&["read", keys.join("id").to_str().unwrap()]);
    let read = ["file", "dir/inner", ".env"].map(|file| act(&["read", file]));
    let learnt = attacked(&scene, &["../p.wasm", &read[0], &read[1], &read[2]]);
    assert_eq!(learnt.code, 1, "{}", learnt.toml);
    let granted = learnt.list("fs", "read");
    assert_eq!(
        granted,
        ["\"${project}/dir/inner\"", "\"${project}/file\""],
        "{}",
        learnt.toml
    );
    // Without it the same files are learnt as ever.
    let learnt = attacked(&scene, &["../p.wasm", &read[0], &read[1]]);
    assert_eq!(
        (learnt.code, learnt.list("fs", "read")),
        (0, granted),
        "{}",
        learnt.toml
    );
    let ask = format!("--allow-read={}", keys.display());
    let named = format!("--dir={}::keys", keys.display());
    let calls: [&[&str]; 4] = [
        &["../p.wasm", &key],
        &[&ask, "../p.wasm", &key],
        &[&named, "../p.wasm", &act(&["read", "keys/id"])],
        &["../c.wasm", "run", "cat", ".env"],
    ];
    for call in calls {
        let learnt = attacked(&scene, call);
        let text = learnt.policy().to_string();
        assert!(
            !text.contains(".ssh") && !text.contains(".env"),
            "{}",
            learnt.toml
        );
        let all = format!("{}{}", learnt.toml, learnt.stderr);
        assert!(!all.contains("hunter2"), "{all}");
        assert!(!all.contains("--allow-read="), "{all}");
    }
}

#[test]
fn nothing_that_a_plugin_names_is_read_as_something_else() {
    let scene = commands();
    let hostile = [
        "a\nb",
        "\r\"\"\"\n[[plugins]]\nid = \"x\"",
        "'''",
        "]",
        "#",
        "\\",
        "\\u0041",
        "\u{1b}[2J\u{9b}31m\u{7}",
        "\u{202e}desrever\u{202c}\u{200b}",
        "*",
        "**",
        "<any>",
        "a|b",
        "${project}",
        "~",
    ];
    let learnt = attacked_with(
        &scene,
        &[&["../p.wasm", "run", "echo"], &hostile[..]].concat(),
    );
    assert_eq!(learnt.code, 0, "{}\n{}", learnt.toml, learnt.stderr);
    // It allows this, and neither of what it could be mistaken for.
    let (policy, args) = (&learnt.toml, |at: usize, other: &'static str| {
        let mut words = hostile;
        words[at] = other;
        words
    });
    let file = scene.0.write("learnt.toml", policy);
    let runs = |words: &[&str]| {
        let first = ["run", "--json", "--no-config", "--stage=never", "--config"];
        let first = [
            &first[..],
            &[file.to_str().unwrap(), "../p.wasm", "run", "echo"],
        ]
        .concat();
        let output = scene.command(&[&first, words].concat()).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        document["denials"].as_array().unwrap().is_empty()
    };
    assert!(runs(&hostile));
    for (at, other) in [(9, "x"), (10, "x"), (11, "x"), (12, "a"), (13, ".")] {
        assert!(!runs(&args(at, other)), "{} and {other}", hostile[at]);
    }

    let scene = files();
    let odd = [
        "a\nb",
        "x\"]",
        "${project}",
        "${x}",
        "~",
        "\u{202e}txt",
        "# no",
    ];
    for name in odd {
        scene.write(&format!("{name}/inner"), "x");
    }
    for name in odd {
        let call = act(&["read", &format!("{name}/inner")]);
        let learnt = attacked(&scene, &["../p.wasm", &call]);
        assert_eq!(learnt.code, 0, "{}", learnt.toml);
        let policy = learnt.policy();
        let place = policy["plugins"][0]["fs"]["read"][0].as_str().unwrap();
        let expected = format!("${{project}}/{name}/inner");
        assert_eq!(place, expected, "{}", learnt.toml);
    }
    // What is to be pasted is one word to a shell.
    let call = act(&["read", "/etc/x; touch y `id` $(id) '\n# -"]);
    let learnt = attacked(&scene, &["../p.wasm", &call]);
    let how = "`--learn $'--allow-read=/etc/x; touch y `id` $(id) \\'\\x0a# -'`";
    assert!(learnt.notes().contains(how), "{}", learnt.toml);

    let odd = scene.0.root().join("a\n[[plugins]]\n\u{202e}");
    fs::create_dir(&odd).unwrap();
    fs::copy(guest("noop"), odd.join("p.wasm")).unwrap();
    scene.own();
    let plugin = odd.join("p.wasm");
    let learnt = attacked(&scene, &[plugin.to_str().unwrap()]);
    let policy = learnt.policy();
    assert_eq!(policy["plugins"][0]["path"].as_str(), plugin.to_str());
}

/// As [`attacked`], where the plugin itself said `*`, as an argument that is escaped.
fn attacked_with(scene: &Scene, args: &[&str]) -> Learnt {
    let learnt = learn(scene, args);
    is_one_readable_entry(&learnt.toml);
    learnt
}

#[test]
fn however_much_it_does_what_is_printed_can_be_read() {
    let scene = scene(&guest("env"));
    fs::copy(guest("command"), scene.0.root().join("c.wasm")).unwrap();
    fs::copy(guest("output"), scene.0.root().join("o.wasm")).unwrap();
    for call in [
        &["../p.wasm", "flood", "30000", "1000"][..],
        &["../c.wasm", "rate", "true"],
        &["../o.wasm", "long", "20000000"],
        &["../o.wasm", "control"],
    ] {
        let learnt = attacked(&scene, call);
        let lines = learnt.toml.lines().count();
        assert!(
            lines < 80 && learnt.toml.len() < 64 * 1024,
            "{call:?}: {lines}"
        );
    }
    nothing_is_left(&scene);
}

#[test]
fn a_ceiling_holds_while_it_is_learnt() {
    if !rustix::process::geteuid().is_root() {
        skip("only root can lay a ceiling over `/etc` for an ordinary user");
        return;
    }
    let scene = commands();
    let [etc, none] = ["etc", "none"].map(|name| scene.0.root().join(name));
    fs::create_dir_all(etc.join("portcullis")).unwrap();
    for dir in [&etc, &etc.join("portcullis")] {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::create_dir(&none).unwrap();
    let ceiling = "[exec]\nallow = [\"/usr/bin/echo\"]\n";
    let file = etc.join("portcullis/ceiling.toml");
    fs::write(&file, ceiling).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let learn = |is_below: bool, args: &[&str]| {
        let etc = if is_below { &etc } else { &none };
        let mut command = scene.0.command("unshare");
        command.args(["--mount", "sh", "-c", BELOW, "sh"]).arg(etc);
        command.args([
            "setpriv",
            "--reuid=61234",
            "--regid=61234",
            "--clear-groups",
        ]);
        command
            .arg(scene.0.binary())
            .args(["run", "--learn"])
            .args(args);
        let learnt = learnt(command);
        assert!(learnt.code <= 1, "{}\n{}", learnt.toml, learnt.stderr);
        learnt
    };
    let call = ["../p.wasm", "run", "cat", "/dev/null"];
    assert_eq!(learn(false, &call).list("exec", "allow").len(), 1);
    let allowed = learn(true, &["../p.wasm", "run", "echo", "x"]);
    assert_eq!(allowed.list("exec", "allow").len(), 1, "{}", allowed.toml);
    for flag in ["--allow-exec=cat", "--allow-exec"] {
        let denied = learn(true, &[&[flag], &call[..]].concat());
        let rules = denied.list("exec", "allow");
        assert!(rules.is_empty(), "{}", denied.toml);
        let note = "denied while it was learnt: /usr/bin/cat";
        assert!(denied.notes().contains(note), "{}", denied.toml);
    }
}

#[test]
fn what_policies_forbid_is_not_done_to_learn() {
    let scene = commands();
    let plugin = scene.0.root().join("p.wasm");
    let entry = format!("[[plugins]]\nid = \"p\"\npath = \"{}\"\n", plugin.display());
    fs::create_dir_all(scene.0.own_policy().parent().unwrap()).unwrap();
    let policy = |head: &str, rest: &str| {
        fs::write(scene.0.own_policy(), format!("{head}{entry}{rest}")).unwrap();
        scene.own();
    };
    let call = ["p", "run", "cat", "file"];
    policy("", "");
    assert_eq!(attacked(&scene, &call).list("exec", "allow").len(), 1);
    policy("", "exec.deny = [\"cat\"]\n");
    for flags in [&[][..], &["--allow-exec=cat"]] {
        let denied = attacked(&scene, &[flags, &call[..]].concat());
        assert!(denied.list("exec", "allow").is_empty(), "{}", denied.toml);
        assert!(denied.notes().contains("(P0202)"), "{}", denied.toml);
    }
    let digest = hex::encode(Sha256::digest(fs::read(&plugin).unwrap()));
    let revoked = format!("revoked = [\"sha256:{digest}\"]\n");
    let pinned = format!("sha256 = \"{}\"\n", "0".repeat(64));
    for (head, rest, code) in [(&*revoked, "", "P0614"), ("", &pinned, "P0606")] {
        policy(head, rest);
        let refused = learn(&scene, &call);
        assert_eq!((refused.code, refused.toml.as_str()), (125, ""));
        assert!(refused.stderr.contains(code), "{}", refused.stderr);
    }
}

#[test]
fn who_misuses_it_is_told() {
    let scene = commands();
    for flag in [
        "--record=x",
        "--stage=never",
        "--dry-run",
        "-A",
        "--mode=dev",
        "--trace",
    ] {
        let learnt = learn(&scene, &[flag, "../p.wasm", "run", "true"]);
        assert_eq!((learnt.code, learnt.toml.as_str()), (125, ""), "{flag}");
        let why = "'--learn' cannot be used with";
        assert!(learnt.stderr.contains(why), "{}", learnt.stderr);
    }
    let unconfined = ["--confinement=limits", "../p.wasm", "run", "touch", "made"];
    for (call, code) in [
        (&unconfined[..], "P0970"),
        (&["../nowhere.wasm"], "P0902"),
        (&["nobody"], "P0902"),
    ] {
        let learnt = learn(&scene, call);
        assert_eq!((learnt.code, learnt.toml.as_str()), (125, ""), "{call:?}");
        assert!(learnt.stderr.contains(code), "{}", learnt.stderr);
    }
    assert!(!scene.path("made").exists());
    let learnt = attacked(
        &scene,
        &[
            "--confinement=landlock",
            "../p.wasm",
            "run",
            "touch",
            "made",
        ],
    );
    assert_eq!(learnt.code, 0, "{}\n{}", learnt.toml, learnt.stderr);
    assert!(!scene.path("made").exists());
    nothing_is_left(&scene);
}

#[test]
fn root_writes_nothing_while_it_is_learnt() {
    if !rustix::process::geteuid().is_root() {
        skip("not root");
        return;
    }
    let context = Context::with_guest("command");
    // A policy in which commands are confined by nothing is not what they are learnt under.
    fs::create_dir_all(context.own_policy().parent().unwrap()).unwrap();
    fs::write(
        context.own_policy(),
        "mode = \"dev\"\nconfinement = \"limits\"\n",
    )
    .unwrap();
    for first in [&[][..], &["--confinement=limits"]] {
        let call = ["p.wasm", "run", "touch", "made"];
        let args = [&["run", "--learn"], first, &call[..]].concat();
        let learnt = learnt(context.portcullis(&args));
        let is_refused = learnt.stderr.contains("P0970");
        let is_told = learnt.stderr.contains("as root nothing is staged");
        assert!(is_told || is_refused, "{}", learnt.stderr);
        assert!(!learnt.toml.contains("fs.write"), "{}", learnt.toml);
        assert!(!context.project().join("made").exists(), "{first:?}");
    }
}

#[test]
fn however_a_call_ends_it_is_learnt() {
    let scene = scene(&guest("wasi-command"));
    fs::copy(guest("trap"), scene.0.root().join("t.wasm")).unwrap();
    let learnt = attacked(&scene, &["../p.wasm", "exit", "3"]);
    assert_eq!(learnt.code, 0);
    assert!(
        learnt.notes().contains("ended with code 3"),
        "{}",
        learnt.toml
    );
    let learnt = attacked(&scene, &["../t.wasm"]);
    assert!(
        learnt.notes().contains("the call failed: "),
        "{}",
        learnt.toml
    );
    // Each run reads the same.
    let mut command = scene.command(&["run", "--learn", "--json", "../p.wasm", "cat"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"one line\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (document["enough"].clone(), document["exit_code"].clone()),
        (true.into(), 0.into())
    );
    assert_eq!(
        document["notes"],
        serde_json::json!([]),
        "what it wrote was the same"
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("one line"), "{said}");
    nothing_is_left(&scene);
}

#[test]
fn an_installed_plugin_is_learnt_from_by_its_name() {
    let context = installing::context(installing::RUNS_ECHO);
    assert_eq!(installing::install(&context, "yes\n").0, 0);
    let learnt = learnt(context.portcullis(&[&["run", "--learn"], &installing::ECHO[..]].concat()));
    assert_eq!(learnt.code, 0, "{}\n{}", learnt.toml, learnt.stderr);
    never_proposed(&learnt);
    let rules = learnt.list("exec", "allow");
    assert!(rules[0].contains("echo"), "{}", learnt.toml);
}

/// Processes of this user's or another's that were started with this among their arguments, and the arguments.
fn running(marker: &str) -> Vec<(Pid, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let args = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let args = String::from_utf8_lossy(&args).replace('\0', " ");
        if let Some(pid) = pid.and_then(Pid::from_raw)
            && args.contains(marker)
        {
            all.push((pid, args));
        }
    }
    all
}

fn within_seconds(seconds: u64, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        if holds() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// A learning with a command that takes some seconds, once a process of it has these words in its arguments.
fn busy(scene: &Scene, seconds: &str, words: &str) -> (Child, String) {
    let marker = format!("# {}", scene.0.root().display());
    let script = format!("sleep {seconds} {marker}");
    let args = [
        "run",
        "--learn",
        "--allow-exec=sh",
        "../p.wasm",
        "run",
        "sh",
        "-c",
        &script,
    ];
    let mut command = scene.command(&args);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_there = || {
        running(&marker)
            .iter()
            .any(|(_, args)| args.contains(words))
    };
    assert!(within_seconds(60, is_there), "{:?}", running(&marker));
    (child, marker)
}

#[test]
fn who_ends_it_ends_all_of_it() {
    // In the run that is learnt from, and in a trial.
    for (seconds, words) in [("600", "learning.toml"), ("2", "policy.toml")] {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let scene = commands();
            let (mut child, marker) = busy(&scene, seconds, words);
            kill_process(Pid::from_child(&child), signal).unwrap();
            let is_over = || child.try_wait().unwrap().is_some();
            assert!(within_seconds(10, is_over), "{words}: {signal:?}");
            assert_eq!(child.wait().unwrap().code(), Some(code), "{words}");
            let is_gone = || running(&marker).is_empty();
            assert!(within_seconds(2, is_gone), "{:?}", running(&marker));
            // A stage that was just being made is left to the next one.
            assert_eq!(attacked(&scene, &["../p.wasm", "run", "true"]).code, 0);
            nothing_is_left(&scene);
        }
    }
}

#[test]
fn who_kills_it_kills_all_of_it_and_the_next_one_clears_up() {
    let scene = commands();
    let (mut child, marker) = busy(&scene, "600", "learning.toml");
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    let is_gone = || running(&marker).is_empty();
    assert!(within_seconds(5, is_gone), "{:?}", running(&marker));
    let left = fs::read_dir(data(&scene).join("learning")).unwrap();
    assert_eq!(left.count(), 1, "nobody could remove it");
    assert_eq!(attacked(&scene, &["../p.wasm", "run", "true"]).code, 0);
    nothing_is_left(&scene);
}

#[test]
fn several_at_once_do_not_disturb_each_other() {
    let scene = commands();
    let one = |text: &str| {
        let args = ["run", "--learn", "../p.wasm", "run", "echo", text];
        let mut command = scene.command(&args);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = ["a", "b", "c", "d"].map(|text| (text, one(text))).into();
    for (text, child) in children {
        let output = child.wait_with_output().unwrap();
        let toml = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{toml}{said}");
        let rule = format!("args = [\"{text}\"]");
        assert!(toml.contains(&rule), "{toml}");
    }
    nothing_is_left(&scene);
}

#[test]
fn what_is_observed_goes_into_a_new_file_that_nobody_else_reads() {
    let scene = commands();
    let there = scene.write("there", "precious");
    let outside = scene.0.root().join("outside");
    symlink(&outside, scene.path("link")).unwrap();
    scene.own();
    let observe = |file: &str| {
        let first = ["run", "--allow-exec=true", "--observed", file];
        let observed = [&first[..], &["../p.wasm", "run", "true"]].concat();
        let output = scene.command(&observed).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for file in ["there", "link"] {
        let (code, said) = observe(file);
        assert_eq!(code, Some(125), "{said}");
        assert!(said.contains("P0903"), "{said}");
    }
    assert_eq!(fs::read_to_string(there).unwrap(), "precious");
    assert!(!outside.exists());
    let (_, said) = observe("new");
    let mode = fs::metadata(scene.path("new"))
        .expect(&said)
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
