//! Secrets that the host adds to requests, on the command line: each verb shows where they go, and none what they are.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::context::Context;

const TOKEN: &str = "s3cr3t-T0ken-of-the-test";
const CONFIG: [&str; 2] = ["--config", "policy.toml"];

/// A server that answers with the `Authorization` it was sent where it is asked for `/v1/echo`, and else whether there was any.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<_> = head.take_while(|line| !line.is_empty()).collect();
            let sent = head
                .iter()
                .find_map(|line| line.strip_prefix("authorization: "));
            let body = match sent {
                Some(value) if head[0].contains("/v1/echo") => value.to_owned(),
                Some(value) => format!("{} characters", value.len()),
                None => "nothing".to_owned(),
            };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            // The plugin may be gone by now.
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// The rest of a policy that has the secret added for `/v1`.
fn http(address: &str) -> String {
    format!(
        "http.allow = [\"{address}\"]\nhttp.secrets = [{{ id = \"mine\", header = \"Authorization\", prefix = \"Bearer \", \
         value = {{ env = \"API_TOKEN\" }}, to = \"http://{address}/v1\" }}]\n"
    )
}

fn ended(context: &Context, verb: &[&str], rest: &[&str]) -> String {
    let (code, out, told) = context.ended(&[verb, &CONFIG[..], rest].concat());
    let all = format!("{code} {out}{told}");
    assert!(!all.contains(TOKEN), "{all}");
    all
}

#[test]
fn where_it_goes_is_shown_and_what_it_is_is_not() {
    let address = format!("127.0.0.1:{}", server());
    let context = Context::with_guest("http").env("API_TOKEN", TOKEN);
    context.write(
        "policy.toml",
        format!(
            "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n{}",
            http(&address)
        ),
    );
    let place = format!("http://{address}/v1");
    let phrase = format!(
        "has `authorization` added to its requests to `{place}`, from the variable `API_TOKEN`"
    );
    assert!(ended(&context, &["inspect"], &["p"]).contains(&phrase));
    assert!(ended(&context, &["run", "--dry-run"], &["p"]).contains(&phrase));
    let data = ended(&context, &["inspect", "--json"], &["p"]);
    let said = r#""http_secrets": [{"header": "authorization", "id": "mine","#;
    let plain = |text: &str| text.split_whitespace().collect::<String>();
    assert!(plain(&data).contains(&plain(said)), "{data}");
    assert!(
        plain(&data).contains(r#""value":{"env":"API_TOKEN"}"#),
        "{data}"
    );
    let urls = ["v1/x", "v1/echo", "v2/x"].map(|path| format!("http://{address}/{path}"));
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let ran = ended(&context, &["run"], &[&["p"][..], &urls].concat());
    let length = "Bearer ".len() + TOKEN.len();
    assert!(
        ran.contains(&format!(
            "200 {length} characters\nfailed: denied\n200 nothing\n"
        )),
        "{ran}"
    );
    assert!(
        ran.contains("P0426") && ran.contains("the response has the secret `mine` in it"),
        "{ran}"
    );
    let (_, shown, _) = context.ended(&["audit", "show"]);
    assert!(
        shown.contains("with authorization (mine)") && !shown.contains(TOKEN),
        "{shown}"
    );
    assert!(context.ended(&["explain", "P0426"]).1.contains("withheld"));
    let without = Context::with_guest("http");
    without.write(
        "policy.toml",
        format!(
            "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n{}",
            http(&address)
        ),
    );
    let ran = ended(&without, &["run"], &["p", urls[0]]);
    assert!(
        ran.contains("failed: denied") && ran.contains("P0428"),
        "{ran}"
    );
    assert!(
        ran.contains("`mine`: the variable `API_TOKEN` is not set"),
        "{ran}"
    );
}

#[test]
fn a_plugin_of_clawft_has_it_added_and_is_never_shown_it() {
    let address = format!("127.0.0.1:{}", server());
    let context = Context::with_guest("clawft").env("API_TOKEN", TOKEN);
    std::fs::create_dir(context.project().join("everything")).unwrap();
    std::fs::rename(
        context.project().join("p.wasm"),
        context.project().join("everything/plugin.wasm"),
    )
    .unwrap();
    let manifest = json!({
        "id": "everything", "name": "Everything", "version": "1.2.3", "capabilities": ["tool"], "wasm_module": "plugin.wasm",
        "permissions": { "network": ["127.0.0.1"], "env_vars": ["API_TOKEN"] },
    });
    context.write("everything/clawft.plugin.json", manifest.to_string());
    let head = "[[plugins]]\nid = \"everything\"\npath = \"everything\"\nenv = [\"API_*\"]\n";
    context.write("policy.toml", format!("{head}{}", http(&address)));
    let call = |tool: &str, params: serde_json::Value| {
        ended(
            &context,
            &["call"],
            &["everything", tool, "--json", &params.to_string()],
        )
    };
    let get = |path: &str| {
        call(
            "http",
            json!({ "method": "GET", "url": format!("http://{address}{path}") }),
        )
    };
    let length = "Bearer ".len() + TOKEN.len();
    assert!(get("/v1/x").contains(&format!("{length} characters")));
    assert!(get("/v2/x").contains("nothing"));
    let echoed = get("/v1/echo");
    assert!(
        echoed.contains("request failed") && echoed.contains("P0426"),
        "{echoed}"
    );
    call("env", json!({ "name": "API_TOKEN" }));
}
