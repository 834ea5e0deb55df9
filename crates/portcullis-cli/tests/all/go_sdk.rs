//! Plugins made with the Go SDK, against real commands: its examples, everything it can do, and the code of its documents.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_testkit::repository;
use serde_json::{Value, json};

use crate::context::{Context, DEV};

fn sdk() -> PathBuf {
    repository().join("sdk/go")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a compiler is no part of what is tested"
)]
fn go(args: &[&str]) -> Option<Command> {
    let version = Command::new("go").arg("version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let mut command = Command::new("go");
    command
        .current_dir(sdk())
        .args(args)
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .env("GOTOOLCHAIN", "local");
    Some(command)
}

#[expect(clippy::print_stdout, reason = "what cannot run says so")]
fn skip(test: &str) {
    println!("SKIP go_sdk::{test}: go is not installed");
}

fn built(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    output.stdout
}

/// A package of the SDK as plugin `p`, and this after the head of its policy; `None` where Go is not installed.
fn plugin(test: &str, package: &str, rest: &str) -> Option<Context> {
    plugin_with(test, package, &[], rest)
}

fn plugin_with(test: &str, package: &str, flags: &[&str], rest: &str) -> Option<Context> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("go-sdk-{test}-{}.wasm", std::process::id()));
    let to = out.to_str().unwrap();
    let args = [
        &["build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", to],
        flags,
        &[package],
    ]
    .concat();
    let Some(mut command) = go(&args) else {
        skip(test);
        return None;
    };
    command.env("GOOS", "wasip1").env("GOARCH", "wasm");
    built(command);
    // A script below `/tmp` is run by nobody.
    let context = Context::beside_tmp();
    context.write("p.wasm", std::fs::read(&out).unwrap());
    std::fs::remove_file(&out).unwrap();
    context.write("policy.toml", format!("{DEV}{rest}"));
    Some(context)
}

/// What a check says to a config: its result, and the exit code.
fn checked(context: &Context, config: &Value) -> (Option<i32>, Value) {
    let config = config.to_string();
    let args = [
        "run",
        "--config",
        "policy.toml",
        "p",
        "--json",
        "--config",
        &config,
    ];
    let output = context.output(&args);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = stdout.lines().chain(stderr.lines());
    let mut results = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let result = results.rfind(|value| value["status"].is_string());
    let result = result.unwrap_or_else(|| panic!("{output:?}"));
    (output.status.code(), result)
}

/// That a check is not even loaded without its grant, and what is missing is said.
fn needs_exec(context: &Context) {
    context.write("policy.toml", DEV);
    let output = context.output(&["run", "--config", "policy.toml", "p", "--config", "{}"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    assert!(
        stderr.contains("`portcullis:core/v1.exec_start`: needs the `exec` grant"),
        "{stderr}"
    );
    assert!(!stderr.contains("fs_"), "it imports what it uses: {stderr}");
}

#[test]
fn a_service_is_active_or_not() {
    let rest = "exec.allow = [\"systemctl\"]\n";
    let Some(context) = plugin("service-status", "./examples/service-status", rest) else {
        return;
    };
    if Path::new("/usr/bin/systemctl").exists() {
        let (code, result) = checked(&context, &json!({"service": "no-such-service-here"}));
        assert_eq!(code, Some(0), "{result}");
        assert_eq!(result["data"]["active"], false, "{result}");
    }
    // The same with a service that runs, wherever the test does.
    let stand_in = "#!/bin/sh\n[ \"$1 $2\" = \"is-active nginx\" ] && echo active || exit 3\n";
    let bin = context.write("bin/systemctl", stand_in);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&bin, executable).unwrap();
    let path = bin.parent().unwrap().display();
    context.write(
        "policy.toml",
        format!("exec_path = [\"{path}\", \"/usr/bin\"]\n{DEV}{rest}"),
    );
    let (code, result) = checked(&context, &json!({"service": "nginx"}));
    assert_eq!(code, Some(0), "{result}");
    assert_eq!(
        result["data"],
        json!({"service": "nginx", "active": true, "state": "active"})
    );
    let (_, result) = checked(&context, &json!({"service": "other"}));
    assert_eq!(result["data"]["active"], false, "{result}");
    let (code, result) = checked(&context, &json!({"service": "--version"}));
    assert_eq!(
        (code, &result["status"]),
        (Some(1), &json!("failure")),
        "{result}"
    );
    needs_exec(&context);
}

#[test]
fn a_file_is_there_or_not() {
    let rest = "exec.allow = [\"test\"]\n";
    let Some(context) = plugin("file-check", "./examples/file-check", rest) else {
        return;
    };
    for (path, exists) in [("/etc/passwd", true), ("/etc", false), ("/etc/none", false)] {
        let (code, result) = checked(&context, &json!({"path": path}));
        assert_eq!(code, Some(0), "{result}");
        assert_eq!(result["data"], json!({"path": path, "exists": exists}));
    }
    needs_exec(&context);
}

#[test]
fn a_disk_is_as_full_as_df_says() {
    let rest = "exec.allow = [\"df\"]\n";
    let Some(context) = plugin("disk-space", "./examples/disk-space", rest) else {
        return;
    };
    let (code, result) = checked(&context, &json!({"path": "/", "most": 100}));
    assert_eq!(code, Some(0), "{result}");
    let data = &result["data"];
    let percent = data["percent"].as_u64().unwrap();
    assert!(
        percent <= 100 && data["bytes"].as_u64().unwrap() > 1 << 20,
        "{data}"
    );
    assert_eq!(
        (&data["mount"], &data["full"]),
        (&json!("/"), &json!(false))
    );
    let (_, result) = checked(&context, &json!({"path": "/", "most": -1}));
    assert_eq!(result["data"]["full"], true, "{result}");
    let (code, result) = checked(&context, &json!({"path": "/no/such/place"}));
    assert_eq!(
        (code, &result["error"]["type"]),
        (Some(1), &json!("df")),
        "{result}"
    );
    needs_exec(&context);
}

#[test]
fn grep_says_three_things_by_its_exit_code() {
    let rest = "exec.allow = [\"grep\"]\nfs.read = [\".\"]\n";
    let Some(context) = plugin("grep-codes", "./examples/grep-codes", rest) else {
        return;
    };
    context.write("file.txt", "one\ntwo\n");
    let (code, result) = checked(&context, &json!({"pattern": "tw.", "file": "file.txt"}));
    assert_eq!(code, Some(0), "{result}");
    assert_eq!(result["data"], json!({"found": true, "output": "2:two\n"}));
    let (code, result) = checked(&context, &json!({"pattern": "three", "file": "file.txt"}));
    assert_eq!((code, &result["data"]), (Some(0), &json!({"found": false})));
    let (code, result) = checked(&context, &json!({"pattern": "one", "file": "none.txt"}));
    assert_eq!(
        (code, &result["error"]["type"]),
        (Some(1), &json!("grep")),
        "{result}"
    );
    needs_exec(&context);
}

/// A policy of everything that the SDK can do, and little of each.
const LAB: &str = r#"late = true
limits.call = "120s"
exec.allow = ["sh", "sleep", "echo", "cat", "sort", "head", "printf", "no-such-program"]
fs.write = ["data"]
kv = true
env = ["LANG"]
"#;

#[test]
fn all_of_the_sdk_does_what_it_says() {
    let Some(context) = plugin("lab", "./internal/lab", LAB) else {
        return;
    };
    context.write("data/sub/file", "x");
    let timed_out = r#"exit=-1 stdout="partial\n" timeout deadline-exceeded within=true"#;
    let long = "x".repeat(200);
    let named = format!("named job-{} {long}", std::process::id());
    let acts = [
        ("run echo a b", r#"exit=0 stdout="a b\n""#),
        ("run sh -c exit", r#"exit=0 stdout="""#),
        ("run no-such-program", "exec-error not-found"),
        ("run ls", "capability-error permission"),
        ("timeout context=500ms", timed_out),
        ("timeout request=1s", timed_out),
        ("timeout option=400ms", timed_out),
        ("timeout context=60s request=30s option=300ms", timed_out),
        ("timeout context=300ms request=30s option=60s", timed_out),
        (
            "cancel data",
            r#"exit=-1 stdout="partial\n" canceled killed=true"#,
        ),
        ("over", "canceled, deadline-exceeded"),
        ("two", r#"exit=0 stdout="", exit=0 stdout="" at once=true"#),
        ("big 1000000", "1000000"),
        ("big 20000000", "10485760"),
        ("bytes", "ff00c378"),
        (named.as_str(), r#"exit=0 stdout="\n", exit=0 stdout="\n""#),
        ("cat 3000000", r#"exit=0 stdout="" same=true <nil>"#),
        ("sort c a b", r#"exit=0 stdout="" [a b c]"#),
        ("unread", r#"exit=3 stdout="" "out\n" "err\n" closed=true"#),
        ("kill", r#"exit=-1 stdout="" canceled"#),
        (
            "files data",
            r#"mkdir, write, read "hi\x00\xff", stat file 4 true, list [{f file}], rename, gone not-exist, remove"#,
        ),
        (
            "files /etc",
            "mkdir capability-error permission, write capability-error permission, read \"\" capability-error permission, stat  0 false capability-error permission, list [] capability-error permission, rename capability-error permission, gone capability-error permission, remove capability-error permission",
        ),
        ("read /etc/passwd", "\"\" capability-error permission"),
        ("walk data", ". sub sub/file"),
        ("keep", "false true 00ff false true 210 true <nil>"),
        ("variable LANG", "\"C.UTF-8\" true <nil>"),
        ("variable HOME", "\"\" false <nil>"),
        (
            "ask",
            "\"ann\" true 0 [0 2] <nil> prompt_choose \"one\": nobody",
        ),
        ("say a b", "said"),
    ];
    let mut args = vec![
        "run",
        "--config",
        "policy.toml",
        "--answer",
        "name=ann",
        "--answer",
        "sure=yes",
        "p",
    ];
    args.extend(acts.iter().map(|(act, _)| *act));
    let context = context.env("LANG", "C.UTF-8");
    let output = context.output(&args);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    for ((act, wanted), said) in acts.iter().zip(stdout.lines()) {
        assert_eq!(said, *wanted, "{act}");
    }
    assert_eq!(stdout.lines().count(), acts.len());
    assert!(
        stderr.contains("warn: a b act=say n=7 g.a=\"b c\" request_id=\"r-1\"\n"),
        "{stderr}"
    );
    assert!(!stderr.contains("not this"), "below its level: {stderr}");
    let trail = String::from_utf8(context.output(&["audit", "show"]).stdout).unwrap();
    let own = format!("for `job-{}`\n", std::process::id());
    assert_eq!(trail.matches(&own).count(), 1, "{trail}");
    let cut = format!("for `{}`\n", "x".repeat(128));
    assert_eq!(trail.matches(&cut).count(), 1, "{trail}");
    let killed = trail.matches("killed with its call").count();
    // A context that ends together with the host's deadline may be the first to end the command.
    assert!((2..=3).contains(&killed), "cancelled, killed: {trail}");
    let stopped = trail.matches("stopped at its deadline").count();
    assert_eq!(stopped + killed, 7, "{trail}");
    let output = context.output(&["run", "--config", "policy.toml", "p", "panic"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("panic: on purpose"), "{stderr}");
}

#[test]
fn the_same_source_is_a_plugin_for_reglet() {
    let Some(context) = plugin_with("reglet", "./internal/lab", &["-tags", "reglet"], LAB) else {
        return;
    };
    context.write("data/file", "x");
    let timed_out = r#"exit=-1 stdout="partial\n" timeout deadline-exceeded within=true"#;
    let named = format!("named job-{} -", std::process::id());
    let unsupported = "a host of Reglet has no such function: unsupported operation";
    let acts = [
        ("run echo a b", r#"exit=0 stdout="a b\n""#.to_owned()),
        ("run no-such-program", "exec-error not-found".to_owned()),
        ("run ls", "capability-error permission".to_owned()),
        ("timeout context=500ms", timed_out.to_owned()),
        ("timeout request=1s", timed_out.to_owned()),
        ("timeout option=400ms", timed_out.to_owned()),
        ("over", "canceled, deadline-exceeded".to_owned()),
        ("bytes", "efbfbd00efbfbd78".to_owned()),
        ("sort a", format!("error: exec.Start: {unsupported}")),
        ("keep", format!("error: kv: {unsupported}")),
        ("variable HOME", "\"\" false <nil>".to_owned()),
    ];
    let lines: Vec<_> = acts.iter().map(|(act, _)| *act).collect();
    let config = json!({"acts": format!("{}\n{named}", lines.join("\n"))}).to_string();
    let output = context.output(&["run", "--config", "policy.toml", "p", "--config", &config]);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout.starts_with("success\n"), "{stdout}");
    for (act, wanted) in acts {
        let line = format!("\n{act}: {wanted}\n");
        assert!(stdout.contains(&line), "{act}: {stdout}");
    }
    let trail = String::from_utf8(context.output(&["audit", "show"]).stdout).unwrap();
    let own = format!("for `job-{}`\n", std::process::id());
    assert_eq!(trail.matches(&own).count(), 1, "{trail}");
    for (function, part) in [
        (
            "manifest",
            r#""capabilities":{"exec":{"commands":["echo"]}}"#,
        ),
        ("describe", r#""name":"lab""#),
        ("schema", r#"{"type":"object"}"#),
    ] {
        let output = context.output(&["call", "--config", "policy.toml", "p", function]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(part), "{function}: {output:?}");
    }
    // A check that could not be made is one to this host too.
    let nothing = r#"{"acts":"nothing"}"#;
    let output = context.output(&["run", "--config", "policy.toml", "p", "--config", nothing]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// Answers one request after the other with what it was sent.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut read = Vec::new();
                let mut part = [0; 4096];
                while !read.ends_with(b"sent") {
                    match stream.read(&mut part) {
                        Ok(n) if n > 0 => read.extend_from_slice(&part[..n]),
                        _ => return,
                    }
                }
                let head = String::from_utf8_lossy(&read);
                if head.starts_with("POST /hang ") {
                    std::thread::park();
                }
                let said = if head.to_lowercase().contains("x-lab: yes") {
                    "hello"
                } else {
                    "who"
                };
                let answer = match head.starts_with("POST /away ") {
                    true => "HTTP/1.1 307 T\r\nLocation: http://example.invalid/\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    false => format!(
                        "HTTP/1.1 200 OK\r\nX-Peer: peer\r\nContent-Length: {}\r\n\r\n{said}",
                        said.len()
                    ),
                };
                // Whoever asked may be gone.
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
    port
}

#[test]
fn a_client_of_net_http_sends_by_the_host() {
    let Some(context) = plugin("labnet", "./internal/labnet", "") else {
        return;
    };
    let port = server();
    let policy = format!(
        "{DEV}limits.call = \"60s\"\nlimits.table_elements = 20000\n\
         http.allow = [\"127.0.0.1:{port}\"]\n"
    );
    context.write("policy.toml", policy);
    let url = |path: &str| format!("http://127.0.0.1:{port}/{path}");
    let acts = [
        url(""),
        url("away"),
        url("hang 500ms"),
        "http://127.0.0.1:1/".to_owned(),
        "example.invalid".to_owned(),
    ];
    let mut args = vec!["run", "--config", "policy.toml", "p"];
    args.extend(acts.iter().map(String::as_str));
    let output = context.output(&args);
    let stdout = String::from_utf8_lossy(&output.stdout);
    let said: Vec<_> = stdout.lines().collect();
    assert_eq!(
        said,
        [
            "200 peer \"hello\" <nil>",
            "permission=true deadline=false",
            "permission=false deadline=true",
            "permission=true deadline=false",
            "true",
        ],
        "{output:?}"
    );
}

/// What a piece of code of a document has to say, by what stands in it; the first that fits.
fn wanted(source: &str, data: &Value) -> bool {
    let stdout = data["stdout"].as_str().unwrap_or_default();
    let stopped = data["deadline"] == true && data["timeout"] == true && data["exit_code"] == -1;
    let cases: [(&str, bool); 16] = [
        ("type CommandRe", data["declared"] == true),
        ("func Run(", data["declared"] == true),
        ("WithRunner", stdout == "mocked"),
        ("WithWorkdir", stdout == "/var/log\nDEBUG=true\n"),
        (
            "WithCancel",
            data["failed"] == true && data["exit_code"] == -1 && data["timeout"] == false,
        ),
        ("\"sleep\"", stopped),
        (
            "WithTimeout",
            data["failed"] == false && data["exit_code"] == 0,
        ),
        ("\"ls\"", data["exit_code"] == 0 && !stdout.is_empty()),
        ("\"env\"", stdout.contains("MY_VAR=value\n")),
        ("\"pwd\"", stdout == "/var/log\n"),
        (
            "\"grep\"",
            data["found"] == true && data["output"] == "a pattern\n",
        ),
        (
            "\"systemctl\"",
            data["service"] == "nginx" && data["active"].is_boolean(),
        ),
        ("\"test\"", data["exit_code"] == 0),
        ("\"df\"", stdout.starts_with("Filesystem")),
        ("\"sort\"", stdout == "apple\npear\n"),
        ("kv.Open", data["kept"] == true),
    ];
    let case = cases.iter().find(|(part, _)| source.contains(part));
    case.unwrap_or_else(|| panic!("no case for:\n{source}")).1
}

/// The two documents that the SDK keeps the promises of, where they lie beside the repository.
fn seeds() -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(repository().join("../shared/seeds")) else {
        return Vec::new();
    };
    let paths = found.map(|entry| entry.unwrap().path());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("002_") || name.starts_with("004_")
    };
    paths.filter(is_one).collect()
}

/// The documents of this repository, and others that are named by `SNIPPETS`.
#[test]
fn the_code_of_documents_does_what_they_say() {
    let out = tempfile::tempdir().unwrap();
    let Some(mut command) = go(&["run", "./internal/snippets"]) else {
        skip("snippets");
        return;
    };
    command.arg(out.path()).arg(repository().join("docs/go.md"));
    let others = std::env::var_os("SNIPPETS").unwrap_or_default();
    command.args(std::env::split_paths(&others).filter(|path| !path.as_os_str().is_empty()));
    command.args(seeds());
    let pieces: Vec<Value> = serde_json::from_slice(&built(command)).unwrap();
    assert!(pieces.len() >= 9, "{pieces:?}");
    let context = Context::new();
    let built = std::fs::read(out.path().join("plugin.wasm")).unwrap();
    context.write("p.wasm", built);
    context.write("file.txt", "a pattern\n");
    let policy = "limits.call = \"60s\"\nkv = true\nfs.read = [\".\", \"/var/log\"]\n\
        exec = { allow = [\"ls\", \"env\", \"pwd\", \"sleep\", \"grep\", \"systemctl\", \"test\", \"df\", \"sh\", \"sort\"], \
        allow_dangerous_env = [\"PATH\"] }\n";
    context.write("policy.toml", format!("{DEV}{policy}"));
    for (number, piece) in pieces.iter().enumerate() {
        let source = piece["source"].as_str().unwrap();
        if piece["kind"] == "no Go" {
            continue;
        }
        if source.contains("\"systemctl\"") && !Path::new("/usr/bin/systemctl").exists() {
            continue;
        }
        let (code, result) = checked(&context, &json!({"snippet": number}));
        let place = format!("{}:{}\n{result}", piece["document"], piece["line"]);
        assert_eq!(code, Some(0), "{place}");
        assert!(wanted(source, &result["data"]), "{place}");
    }
}
