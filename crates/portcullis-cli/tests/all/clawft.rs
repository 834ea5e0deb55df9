//! Plugins of clawft on the command line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use portcullis_testkit::guest;
use serde_json::{Value, json};

use crate::context::Context;

/// The plugin in a directory of its own, with a manifest that asks for this, and a policy that gives that.
fn context(permissions: &Value, policy: &str) -> Context {
    let context = Context::new().env("LANG_OF_TEST", "C");
    let dir = context.project().join("everything");
    fs::create_dir(&dir).unwrap();
    fs::create_dir(context.project().join("data")).unwrap();
    fs::copy(guest("clawft"), dir.join("plugin.wasm")).unwrap();
    let manifest = json!({
        "id": "everything", "name": "Everything", "version": "1.2.3", "capabilities": ["tool"],
        "permissions": permissions, "wasm_module": "plugin.wasm",
    });
    fs::write(dir.join("clawft.plugin.json"), manifest.to_string()).unwrap();
    let head = "[[plugins]]\nid = \"everything\"\npath = \"everything\"\n";
    context.write("policy.toml", format!("{head}{policy}"));
    context
}

const CONFIG: [&str; 2] = ["--config", "policy.toml"];

fn call(context: &Context, rest: &[&str]) -> (i32, String, String) {
    context.ended(&[&["call"], &CONFIG[..], rest].concat())
}

fn run(context: &Context, rest: &[&str]) -> (i32, String, String) {
    context.ended(&[&["run"], &CONFIG[..], rest].concat())
}

pub(crate) fn env() -> Context {
    context(
        &json!({ "env_vars": ["LANG_OF_TEST"] }),
        "env = [\"LANG_OF_TEST\"]\n",
    )
}

pub(crate) const LANG: &str = r#"{"name":"LANG_OF_TEST"}"#;

#[test]
fn weak_03_a_tool_is_called_by_both_verbs_of_the_command() {
    let context = env();
    let told = |(code, out, _): (i32, String, String)| (code, out);
    let answer = (0, "\"C\"\n".to_owned());
    let by_call = call(&context, &["everything", "env", "--json", LANG]);
    assert_eq!(told(by_call), answer);
    assert_eq!(
        told(run(&context, &["everything", "--", "env", LANG])),
        answer
    );
    let answer = (0, "[1,1]\n".to_owned());
    assert_eq!(told(call(&context, &["everything", "count"])), answer);
    assert_eq!(told(run(&context, &["everything", "count"])), answer);
}

#[test]
fn parameters_are_read_from_standard_input() {
    use std::process::Stdio;
    let context = env();
    let args = [
        &["call"],
        &CONFIG[..],
        &["everything", "env", "--json", "-"],
    ]
    .concat();
    let mut child = context
        .portcullis(&args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(LANG.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.stdout, b"\"C\"\n");
}

#[test]
fn an_error_of_a_tool_ends_with_one_and_wrong_usage_with_two() {
    let context = env();
    let (code, out, error) = call(&context, &["everything", "nonsense"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("no tool `nonsense`"), "{error}");
    let (code, _, error) = call(&context, &["everything", "env", "--json", "{"]);
    assert_eq!(code, 2);
    assert!(error.contains("are no JSON"), "{error}");
    let (code, _, error) = run(&context, &["everything"]);
    assert_eq!(code, 125);
    assert!(
        error.contains("portcullis run everything -- <tool> '<JSON>'"),
        "{error}"
    );
    assert_eq!(run(&context, &["everything", "a", "{}", "more"]).0, 125);
    let ours = Context::with_guest("noop");
    let (code, _, error) = ours.ended(&["call", "p.wasm", "tool"]);
    assert_eq!(code, 2);
    assert!(
        error.contains("only plugins of clawft and of Reglet can be called"),
        "{error}"
    );
}

#[test]
fn what_a_call_used_up_is_told_as_clawft_documents_it() {
    let told = "{\"error\":\"plugin resource exhausted: CPU time limit exceeded\"}";
    let context = context(&json!({}), "limits.fuel = 1000000\n");
    let (code, out, error) = call(&context, &["everything", "loop"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        error.starts_with(told) && error.contains("error[P0501]"),
        "{error}"
    );
    assert_eq!(run(&context, &["everything", "loop"]).0, 125);
    let args = [&["call"], &CONFIG[..], &["everything", "loop", "--report"]].concat();
    let document = context.json(&args);
    assert_eq!(document["result"]["err"], told);
    assert_eq!(document["error"]["code"], "P0501");
    assert_eq!(document["exit_code"], 1);
}

#[test]
fn what_a_manifest_asks_for_in_vain_is_a_warning_with_what_grants_it() {
    let context = context(&json!({}), "");
    let data = context.project().join("data").display().to_string();
    let manifest = json!({
        "id": "everything", "name": "Everything", "version": "1.2.3", "capabilities": ["tool"], "wasm_module": "plugin.wasm",
        "permissions": {
            "env_vars": ["LANG_OF_TEST"], "filesystem": [data], "shell": true, "network": ["api.example.com", "127.0.0.1"],
        },
    });
    context.write("everything/clawft.plugin.json", manifest.to_string());
    let (code, out, error) = call(&context, &["everything", "env", "--json", LANG]);
    assert_eq!((code, out.as_str()), (0, "null\n"));
    let grants = [
        "portcullis grant --config policy.toml everything http api.example.com".to_owned(),
        "portcullis grant --config policy.toml everything http 127.0.0.1:80".to_owned(),
        format!("portcullis grant --config policy.toml everything write {data}"),
        "portcullis grant --config policy.toml everything env LANG_OF_TEST".to_owned(),
    ];
    assert!(error.contains("warning[P0510]"), "{error}");
    assert!(grants.iter().all(|grant| error.contains(grant)), "{error}");
    for grant in &grants {
        let words: Vec<_> = grant.split(' ').skip(1).collect();
        assert_eq!(context.ended(&words).0, 0, "{grant}");
    }
    let (code, out, error) = call(&context, &["everything", "env", "--json", LANG]);
    assert_eq!((code, out.as_str()), (0, "\"C\"\n"));
    assert!(!error.contains("portcullis grant"), "{error}");
    assert!(
        error.contains("no plugin of clawft is ever given"),
        "{error}"
    );
}

#[test]
fn inspect_lists_tools_where_it_is_asked_to_and_runs_nothing_otherwise() {
    let context = env();
    let inspect = |rest: &[&str]| context.ended(&[&["inspect"], &CONFIG[..], rest].concat());
    let (code, shown, _) = inspect(&["everything"]);
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("a component for clawft") && !shown.contains("describes itself"),
        "{shown}"
    );
    let (code, shown, _) = inspect(&["everything", "--describe"]);
    assert_eq!(code, 0, "{shown}");
    for line in [
        "describes itself as `everything` 1.2.3",
        "tool `read`: reads a file",
        "  parameters {\"properties\":{\"url\":{\"type\":\"string\"}},\"type\":\"object\"}",
        "tool `count`: how often it was called",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let args = [
        &["inspect"],
        &CONFIG[..],
        &["everything", "--describe", "--json"],
    ]
    .concat();
    let document: Value = context.json(&args);
    assert_eq!(
        document["described"]["tools"][0]["parameters"]["type"],
        "object"
    );
    // Nothing is granted while it describes itself, and nothing is left of it in the trail.
    assert!(!shown.contains("tools of C"), "{shown}");
    let trail = context.ended(&["audit", "show"]).1;
    assert_eq!(trail, "", "{trail}");
}

#[test]
fn a_guest_that_never_comes_to_its_description_is_noticed_only_where_that_is_asked_for() {
    let context = env();
    let text = include_str!("../../../../guests/wat/clawft.wat");
    let forever = "(func $begin (loop (br 0))) (start $begin) (func (export \"init\")";
    let bytes = portcullis_testkit::assemble(
        text.replacen("(func (export \"init\")", forever, 1)
            .as_bytes(),
    );
    context.write("everything/plugin.wasm", bytes.unwrap());
    let inspect = |rest: &[&str]| context.ended(&[&["inspect"], &CONFIG[..], rest].concat());
    assert_eq!(inspect(&["everything"]).0, 0);
    let (code, shown, _) = inspect(&["everything", "--describe"]);
    assert_eq!(code, 1);
    assert!(shown.contains("it does not describe itself"), "{shown}");
}

/// Answers every request with five bytes, and where it does.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = BufReader::new(&stream).lines().map_while(Result::ok);
            head.take_while(|line| !line.is_empty()).for_each(drop);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            // The plugin may be gone by now.
            let _gone = stream.write_all(answer);
        }
    });
    port
}

#[test]
fn the_trail_is_shown_in_the_lines_that_clawft_documents() {
    let address = format!("127.0.0.1:{}", server());
    let policy = format!(
        "env = [\"LANG_OF_TEST\", \"UNSET\"]\nfs.write = [\"data\"]\nlimits.fuel = 200000000\nlog = true\n\
         http.allow = [\"{address}\"]\nlimits.log_per_minute = 2\n"
    );
    let context = context(&json!({}), &policy);
    let data = context.project().join("data").display().to_string();
    let manifest = json!({
        "id": "everything", "name": "Everything", "version": "1.2.3", "capabilities": ["tool"], "wasm_module": "plugin.wasm",
        "permissions": {
            "env_vars": ["LANG_OF_TEST", "UNSET"], "filesystem": [data], "network": ["127.0.0.1", "*.example"],
        },
    });
    context.write("everything/clawft.plugin.json", manifest.to_string());
    let path = format!("{data}/a b");
    let url = format!("http://{address}/x");
    let http = |url: &str| {
        (
            "http",
            json!({ "method": "POST", "url": url, "body": "123" }),
        )
    };
    for (tool, params) in [
        ("env", json!({ "name": "LANG_OF_TEST" })),
        ("env", json!({ "name": "UNSET" })),
        ("env", json!({ "name": "HOME" })),
        ("write", json!({ "path": path, "content": "12345" })),
        ("read", json!({ "path": path })),
        ("read", json!({ "path": "/etc/passwd" })),
        http(&format!("{url}?key=value")),
        http("http://other.example/"),
        http("http://127.0.0.1:0/"),
        ("log", json!({ "message": "m", "times": 12 })),
        ("loop", json!({})),
        ("allocate", json!({ "mebibytes": 20 })),
    ] {
        call(
            &context,
            &["everything", tool, "--json", &params.to_string()],
        );
    }
    let shown = context.ended(&["audit", "show", "--view", "clawft"]).1;
    // Every instance asks for two variables of its own while it makes itself ready.
    let own = |line: &&str| !line.contains("_INIT") && !line.contains("INIT_");
    let shown: Vec<_> = shown.lines().filter(own).collect();
    let expected = [
        "[PLUGIN_ENV] plugin=everything var=LANG_OF_TEST result=found".to_owned(),
        "[PLUGIN_ENV] plugin=everything var=UNSET result=not_found".to_owned(),
        "[PLUGIN_ENV] plugin=everything var=HOME result=denied".to_owned(),
        format!("[PLUGIN_FS] plugin=everything op=write path=\"{path}\" bytes=5 result=ok"),
        format!("[PLUGIN_FS] plugin=everything op=read path=\"{path}\" bytes=5 result=ok"),
        "[PLUGIN_FS] plugin=everything op=read path=/etc/passwd bytes=0 result=denied".to_owned(),
        format!("[PLUGIN_HTTP] plugin=everything method=POST url={url} status=200 bytes=5"),
        "[PLUGIN_HTTP] plugin=everything method=POST url=http://other.example/ status=denied bytes=0"
            .to_owned(),
        "[PLUGIN_HTTP] plugin=everything method=POST url=http://127.0.0.1:0/ status=denied bytes=0"
            .to_owned(),
        "[PLUGIN_LOG_THROTTLE] plugin=everything dropped=10 in last 60s".to_owned(),
        "[PLUGIN_RESOURCE] plugin=everything resource=fuel used=200000000 limit=200000000".to_owned(),
        "[PLUGIN_RESOURCE] plugin=everything resource=memory limit=16777216".to_owned(),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn a_directory_of_more_than_ten_mib_is_refused_unless_the_operator_allows_it() {
    let context = env();
    let file = fs::File::create(context.project().join("everything/asset")).unwrap();
    file.set_len(10 * 1024 * 1024).unwrap();
    let (code, _, error) = call(&context, &["everything", "count"]);
    assert_eq!(code, 2);
    assert!(
        error.contains("error[P0511]") && error.contains("limits.clawft_directory"),
        "{error}"
    );
    let policy = fs::read_to_string(context.project().join("policy.toml")).unwrap();
    context.write(
        "policy.toml",
        policy + "limits.clawft_directory = \"20MiB\"\n",
    );
    assert_eq!(call(&context, &["everything", "count"]).0, 0);
}

#[test]
fn the_directory_of_a_plugin_has_no_policy() {
    // Whatever a plugin brings along under that name, it is not read.
    let context = context(&json!({ "env_vars": ["LANG_OF_TEST"] }), "");
    let policy = "[[plugins]]\nid = \"everything\"\npath = \".\"\nenv = [\"LANG_OF_TEST\"]\n";
    context.write("everything/portcullis.toml", policy);
    assert_eq!(
        call(&context, &["everything", "env", "--json", LANG]).1,
        "null\n"
    );
}

#[test]
fn what_the_policy_gives_and_the_manifest_does_not_ask_for_is_said_without_a_command_that_changes_nothing()
 {
    let policy = "fs.write = [\"data\"]\nhttp.allow = [\"*\"]\n";
    let context = context(&json!({}), policy);
    let note = "the policy allows it, but the plugin does not ask for it in";
    for (tool, params) in [
        ("read", json!({ "path": "data/x" })),
        (
            "http",
            json!({ "method": "PUT", "url": "http://api.example.com/" }),
        ),
    ] {
        let params = params.to_string();
        let (code, _, error) = call(&context, &["everything", tool, "--json", &params]);
        assert_eq!(code, 1);
        assert!(
            error.contains(note) && !error.contains("portcullis grant"),
            "{error}"
        );
    }
    // What the policy does not give either has its command.
    let (_, _, error) = call(
        &context,
        &["everything", "read", "--json", r#"{"path":"other/x"}"#],
    );
    assert!(
        !error.contains(note) && error.contains("portcullis grant"),
        "{error}"
    );
}
