//! Plugins of Reglet on the command line.

use std::fs;

use portcullis_testkit::{assemble, interpreted};
use serde_json::{Value, json};

use crate::context::{Context, skip};

/// A plugin, and a policy that gives it this.
pub(crate) fn context(bytes: &[u8], policy: &str) -> Context {
    let context = Context::new();
    fs::write(context.project().join("p.wasm"), bytes).unwrap();
    let head = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";
    context.write("policy.toml", format!("{head}{policy}"));
    context
}

pub(crate) fn guest(name: &str) -> Option<Vec<u8>> {
    let guest = interpreted(name);
    if guest.is_none() {
        skip(&format!("guest `{name}` is not built"));
    }
    guest.map(|guest| fs::read(guest).unwrap())
}

/// A guest that observes this whatever it is told, and is described by the second text.
pub(crate) fn says(result: &str, manifest: &str) -> Vec<u8> {
    let data = |at: usize, text: &str| {
        let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        format!("(data (i32.const {at}) \"{escaped}\")")
    };
    let packed = |at: usize, text: &str| at << 32 | text.len();
    let text = format!(
        r#"(module (import "reglet_host" "log_message" (func (param i64)))
            (memory (export "memory") 1) {} {}
            (func (export "allocate") (param i32) (result i32) (i32.const 32768))
            (func (export "_manifest") (result i64) (i64.const {}))
            (func (export "_observe") (param i32 i32) (result i64) (i64.const {})))"#,
        data(1024, result),
        data(16384, manifest),
        packed(16384, manifest),
        packed(1024, result),
    );
    assemble(text.as_bytes()).unwrap()
}

pub(crate) const MANIFEST: &str = r#"{"name":"p","version":"1.0","description":"d\u001b[2J","capabilities":{"exec":{"commands":["/bin/df","/usr/bin/*","/usr/**"]},"env":{"vars":["LANG"]}}}"#;

fn run(context: &Context, rest: &[&str]) -> (i32, String, String) {
    context.ended(&[&["run", "--config", "policy.toml"], rest].concat())
}

fn call(context: &Context, rest: &[&str]) -> (i32, String, String) {
    context.ended(&[&["call", "--config", "policy.toml"], rest].concat())
}

#[test]
fn the_exit_code_is_that_of_the_status() {
    for (result, code, shown) in [
        (
            r#"{"status":"success","data":{"a":1,"b":"x\u001b[2J"}}"#,
            0,
            "success\na: 1\nb: x\\u{1b}[2J\n",
        ),
        (r#"{"status":"failure","message":"no"}"#, 1, "failure: no\n"),
        (
            r#"{"status":"error","error":{"message":"m","type":"panic","code":"C"}}"#,
            2,
            "error\nerror panic: m [C]\n",
        ),
        (r#"{"Status":true,"Data":{"k":"v"}}"#, 0, "success\nk: v\n"),
        (r#"{"Status":false,"Error":null}"#, 1, "failure\n"),
    ] {
        let context = context(&says(result, MANIFEST), "");
        let (ended, stdout, stderr) = run(&context, &["p"]);
        assert_eq!(
            (ended, stdout.as_str()),
            (code, shown),
            "{result}: {stderr}"
        );
        let (ended, stdout, _) = call(&context, &["p", "observe", "{}"]);
        assert_eq!((ended, stdout.as_str()), (code.min(1), shown), "{result}");
        let (_, document, _) = run(&context, &["--json", "p"]);
        let document: Value = serde_json::from_str(&document).unwrap();
        let own: Value = serde_json::from_str(result).unwrap();
        assert_eq!(document["result"]["observation"], own, "{document}");
        assert_eq!(document["exit_code"], code);
    }
    let none = context(&says("[]", MANIFEST), "");
    assert_eq!(run(&none, &["p"]).0, 125);
}

#[test]
fn a_configuration_is_json_or_a_file_and_nothing_else() {
    let context = context(&says(r#"{"status":"success"}"#, MANIFEST), "");
    context.write("c.json", r#"{"a":1}"#);
    context.write("bad.json", "a = 1");
    for good in [
        &["p"][..],
        &["p", "--", "--config", "{}"],
        &["p", "--", "--config={\"a\":[1]}"],
        &["p", "--", "--config", "@c.json"],
    ] {
        assert_eq!(run(&context, good).0, 0, "{good:?}");
    }
    for bad in [
        &["p", "--", "--config", "[]"][..],
        &["p", "--", "--config", "a"],
        &["p", "--", "--config", "@bad.json"],
        &["p", "--", "--config", "@absent.json"],
        &["p", "--", "--config"],
        &["p", "--", "x"],
    ] {
        let (code, _, stderr) = run(&context, bad);
        assert_eq!(code, 125, "{bad:?}: {stderr}");
    }
    for bad in [
        &["p", "observe", "7"][..],
        &["p", "other"],
        &["p", "describe", "{\"a\":1}"],
    ] {
        assert_eq!(call(&context, bad).0, 2, "{bad:?}");
    }
}

#[test]
fn a_plugin_is_asked_what_it_is_and_what_grants_it() {
    let context = context(&says(r#"{"status":"success"}"#, MANIFEST), "");
    for name in ["describe", "manifest"] {
        let (code, stdout, stderr) = call(&context, &["p", name]);
        assert_eq!((code, stdout.trim_end()), (0, MANIFEST), "{stderr}");
    }
    assert_eq!(call(&context, &["p", "schema"]).1.trim_end(), "{}");
    let inspect = ["inspect", "--config", "policy.toml", "--describe", "p"];
    let (code, stdout, stderr) = context.ended(&inspect);
    assert_eq!(code, 0, "{stderr}");
    for line in [
        "a core module for Reglet",
        "describes itself as `p` 1.0: d\\u{1b}[2J",
        "asks for `exec:/bin/df`: granted by exec.allow = [\"/bin/df\"]",
        "asks for `exec:/usr/bin/*`: granted by exec.allow = [\"/usr/bin/*\"]",
        "asks for `exec:/usr/**`: no grant is that: a rule is about one program",
        "asks for `env:LANG`: granted by env = [\"LANG\"]",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    let refused = says(
        r#"{"status":"success"}"#,
        r#"{"status":"error","error":{"message":"plugin not registered","type":"internal","code":""}}"#,
    );
    let context = self::context(&refused, "");
    let (code, stdout, _) = call(&context, &["p", "manifest"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("plugin not registered"), "{stdout}");
    let (code, stdout, _) = context.ended(&inspect);
    assert_eq!(code, 1);
    assert!(
        stdout.contains("does not describe itself: plugin not registered"),
        "{stdout}"
    );
}

#[test]
fn grants_in_reglets_words_are_what_it_may_and_nothing_else() {
    let Some(bytes) = guest("reglet-2") else {
        return;
    };
    let context = context(
        &bytes,
        "reglet = [\"exec:/bin/echo\", \"exec:sh\"]\nexec.confinement = \"limits\"\n",
    );
    let observe = |request: Value| {
        let config = json!({ "act": "exec", "request": request }).to_string();
        run(&context, &["p", "--", "--config", &config])
    };
    let (code, stdout, stderr) =
        observe(json!({ "command": "/bin/echo", "args": ["hi"], "env": ["LD_PRELOAD=x"] }));
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stdout.contains("hi\\\\n") || stdout.contains("hi\\n"),
        "{stdout}"
    );
    assert!(
        stderr.contains("LD_PRELOAD"),
        "what was dropped is told: {stderr}"
    );
    let (code, stdout, _) = observe(json!({ "command": "sh", "args": ["-c", "echo shell"] }));
    assert_eq!(code, 0, "{stdout}");
    let (code, stdout, stderr) = observe(json!({ "command": "/bin/cat", "args": ["/etc/passwd"] }));
    assert_eq!(code, 0, "the plugin says it is well: {stdout}");
    assert!(
        stdout.contains("permission denied: capability denied: exec:/bin/cat"),
        "{stdout}"
    );
    assert!(stderr.contains("P0201"), "{stderr}");
}

#[test]
fn a_decision_about_code_is_explained() {
    let context = context(
        &says(r#"{"status":"success"}"#, MANIFEST),
        "reglet = [\"exec\", \"inline:perl\"]\nexec.confinement = \"limits\"\n",
    );
    let explain = |words: &[&str]| {
        context.ended(&[&["explain", "--config", "policy.toml", "p", "exec"], words].concat())
    };
    let (code, stdout, stderr) = explain(&["sh", "-c", "id"]);
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(
        format!("{stdout}{stderr}").contains("P0216"),
        "{stdout}{stderr}"
    );
    assert_eq!(explain(&["echo", "hi"]).0, 0);
    assert_eq!(explain(&["perl", "-e", "1"]).0, 0);
    let inspected = context
        .ended(&["inspect", "--config", "policy.toml", "p"])
        .1;
    for word in [
        "may run any program",
        "may give `perl` code in its arguments",
    ] {
        assert!(inspected.contains(word), "{word}: {inspected}");
    }
    let page = context.ended(&["explain", "P0216"]).1;
    assert!(page.contains("inline:python3"), "{page}");
}
