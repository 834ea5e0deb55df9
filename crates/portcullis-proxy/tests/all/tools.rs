//! Programs that people use, with the variables of [`portcullis_proxy::environment`]. A program that is not installed
//! is named on standard error.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use portcullis_proxy::{Why, environment};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{World, echo, http, next, read_head};

const HI: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
const PATIENCE: Duration = Duration::from_secs(60);

/// The program's output in an empty environment but for the proxy's variables; `None` when it is not installed.
#[expect(
    clippy::disallowed_methods,
    reason = "a test starts the clients it tests with"
)]
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
async fn run(world: &World, home: &Path, program: &str, args: &[&str]) -> Option<Output> {
    let started = Command::from(std::process::Command::new(program))
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs(environment(world.port))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let Ok(child) = started else {
        eprintln!("skipped: {program} as a client: it is not installed");
        return None;
    };
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    Some(output.unwrap().unwrap())
}

#[test]
fn both_spellings_say_the_same() {
    let variables: HashMap<_, _> = environment(8080).into_iter().collect();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        assert_eq!(
            variables[name],
            variables[name.to_ascii_lowercase().as_str()]
        );
    }
    assert_eq!(variables["http_proxy"], "http://127.0.0.1:8080");
    assert_eq!(variables["ALL_PROXY"], "socks5h://127.0.0.1:8080");
    assert_eq!(
        (&*variables["NO_PROXY"], &*variables["NODE_USE_ENV_PROXY"]),
        ("", "1")
    );
}

#[tokio::test]
async fn curl_speaks_http_tls_and_socks() {
    let home = tempfile::tempdir().unwrap();
    let (server, mut received) = http(HI).await;
    let mut world = World::new(&["ok.com:80"], server);
    let Some(output) = run(&world, home.path(), "curl", &["-sS", "http://ok.com/x"]).await else {
        return;
    };
    assert_eq!(output.stdout, b"hi", "{output:?}");
    assert!(next(&mut received).await.starts_with("GET /x HTTP/1.1\r\n"));
    assert!(world.verdict().await.allowed);
    let output = run(&world, home.path(), "curl", &["-sSf", "http://evil.com/x"])
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(22), "{output:?}");
    assert_eq!(world.verdict().await.why, Why::NoRule);

    // Resolved by the proxy, through SOCKS.
    let socks = format!("socks5h://127.0.0.1:{}", world.port);
    let through = |url| ["-sS", "-x", &socks, url].map(str::to_owned);
    for (url, allowed) in [("http://ok.com/y", true), ("http://evil.com/y", false)] {
        let args = through(url);
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let output = run(&world, home.path(), "curl", &args).await.unwrap();
        assert_eq!(output.stdout == b"hi", allowed, "{output:?}");
        assert_eq!(world.verdict().await.allowed, allowed);
    }
}

#[tokio::test]
async fn the_client_hello_of_curl_is_understood() {
    let home = tempfile::tempdir().unwrap();
    // A server that is none for TLS: it is enough that the ClientHello arrives.
    let (server, mut received) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    let Some(_) = run(&world, home.path(), "curl", &["-sS", "https://ok.com/"]).await else {
        return;
    };
    let hello = next(&mut received).await;
    assert_eq!(hello.first(), Some(&0x16));
    assert!(hello.windows(6).any(|part| part == b"ok.com"));
    assert_eq!(world.verdict().await.why, Why::Allowed);
    // Connects to the granted host and asks it for another.
    let fronted = [
        "-sS",
        "--connect-to",
        "evil.com:443:ok.com:443",
        "https://evil.com/",
    ];
    let output = run(&world, home.path(), "curl", &fronted).await.unwrap();
    assert!(!output.status.success());
    assert_eq!(next(&mut received).await, b"");
    assert_eq!(
        world.verdict().await.why,
        Why::ServerName(Some("evil.com".to_owned()))
    );
}

/// A server of files below a directory, which is all that git's plain protocol needs.
async fn files(root: &Path) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let root = root.to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let head = read_head(&mut client).await;
            let path = head.split(['?', ' ']).nth(1).unwrap_or_default();
            let body = std::fs::read(root.join(path.trim_start_matches('/')));
            let status = if body.is_ok() {
                "200 OK"
            } else {
                "404 Not Found"
            };
            let body = body.unwrap_or_default();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _gone: std::io::Result<()> =
                client.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    address
}

#[tokio::test]
async fn git_clones_from_a_granted_host_only() {
    let home = tempfile::tempdir().unwrap();
    let served = tempfile::tempdir().unwrap();
    let server = files(served.path()).await;
    let world = World::new(&[], server);
    let repository = served.path().join("r.git");
    let repository = repository.to_str().unwrap();
    let tree = home.path().join("tree");
    let tree = tree.to_str().unwrap();
    let made: [&[&str]; 5] = [
        &["init", "-q", "-b", "main", tree],
        &[
            "-C",
            tree,
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "one",
        ],
        &["clone", "-q", "--bare", tree, repository],
        &["-C", repository, "update-server-info"],
        &["-C", repository, "rev-parse", "main"],
    ];
    for args in made {
        match run(&world, home.path(), "git", args).await {
            Some(output) => assert!(output.status.success(), "{args:?}: {output:?}"),
            None => return,
        }
    }
    let literal = server.to_string();
    for (host, allowed) in [(&*literal, true), ("ok.com", true), ("evil.com", false)] {
        let mut world = World::new(&[&literal, "ok.com:80"], server);
        let clone = home.path().join(host);
        let url = format!("http://{host}/r.git");
        let args = ["clone", "-q", &url, clone.to_str().unwrap()];
        let output = run(&world, home.path(), "git", &args).await.unwrap();
        assert_eq!(output.status.success(), allowed, "{url}: {output:?}");
        assert_eq!(
            clone.join(".git/packed-refs").exists() || clone.join(".git/refs/heads/main").exists(),
            allowed
        );
        let verdict = world.verdict().await;
        assert_eq!(verdict.allowed, allowed, "{url}: {verdict:?}");
    }
}

#[tokio::test]
async fn python_and_npm_ask_the_proxy() {
    let home = tempfile::tempdir().unwrap();
    let (server, _) = http(HI).await;
    let script = "import urllib.request as r; print(r.urlopen('http://HOST/x').read().decode())";
    let allowed = script.replace("HOST", "ok.com");
    let refused = script.replace("HOST", "evil.com");
    let cases: [(&str, &[&str], bool); 6] = [
        ("python3", &["-c", &allowed], true),
        ("python3", &["-c", &refused], false),
        (
            "pip",
            &[
                "download",
                "-q",
                "--no-cache-dir",
                "--retries",
                "0",
                "--trusted-host",
                "ok.com",
                "--index-url",
                "http://ok.com/s",
                "x",
            ],
            true,
        ),
        (
            "pip",
            &[
                "download",
                "-q",
                "--no-cache-dir",
                "--retries",
                "0",
                "--index-url",
                "https://evil.com/s",
                "x",
            ],
            false,
        ),
        (
            "npm",
            &[
                "view",
                "--fetch-retries=0",
                "--registry=http://ok.com/",
                "x",
            ],
            true,
        ),
        (
            "npm",
            &[
                "view",
                "--fetch-retries=0",
                "--registry=https://evil.com/",
                "x",
            ],
            false,
        ),
    ];
    for (program, args, allowed) in cases {
        let mut world = World::new(&["ok.com:80"], server);
        let Some(output) = run(&world, home.path(), program, args).await else {
            continue;
        };
        // No registry stands behind it: that the proxy was asked, and for what, is the point.
        let verdict = world.verdict().await;
        assert_eq!(
            verdict.allowed, allowed,
            "{program} {args:?}: {verdict:?} {output:?}"
        );
        assert_eq!(verdict.host, if allowed { "ok.com" } else { "evil.com" });
    }
}

#[tokio::test]
async fn fetch_of_node_asks_the_proxy() {
    let home = tempfile::tempdir().unwrap();
    let (server, mut received) = http(HI).await;
    let option = portcullis_proxy::node_options();
    let fetch = |host: &str| {
        format!(
            "fetch('http://{host}/x').then((r) => r.text()).then((t) => process.stdout.write(t))"
        )
    };
    for (host, allowed) in [("ok.com", true), ("evil.com", false)] {
        let mut world = World::new(&["ok.com:80"], server);
        // An option of the command line is read as one of the variable.
        let script = fetch(host);
        let args = [&*option, "-e", &*script];
        let Some(output) = run(&world, home.path(), "node", &args).await else {
            return;
        };
        assert_eq!(output.stdout == b"hi", allowed, "{output:?}");
        assert_eq!(output.status.success(), allowed, "{output:?}");
        let verdict = world.verdict().await;
        assert_eq!((&*verdict.host, verdict.allowed), (host, allowed));
    }
    assert!(next(&mut received).await.starts_with("GET /x HTTP/1.1\r\n"));
}

#[test]
fn the_option_is_one_word() {
    let option = portcullis_proxy::node_options();
    assert!(
        option
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(&byte))
    );
}
