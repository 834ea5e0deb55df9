//! Nothing that a guest does over and over makes the host grow. Each guest is run by a process of its own, which says how
//! much it grew.

use std::process::{Command, ExitCode};
use std::sync::Arc;

use portcullis::audit::{FoldOptions, Folding, Options, Trail};
use portcullis::policy::{Grants, Limits};
use portcullis::{Host, Source};

use crate::fixture::{block_on, none};

portcullis_testkit::tests![
    names_of_a_mebibyte_that_are_denied_are_not_kept,
    a_hundred_thousand_different_denials_are_not_kept,
    a_hundred_thousand_lines_of_log_are_not_kept,
];

const MIB: u64 = 1024 * 1024;

/// How much a host grows by such a call, after a small one of the same kind.
fn grown(guest: &str, warm: &[&str], call: &[&str]) -> u64 {
    let myself = std::env::current_exe().unwrap();
    let mut command = Command::new(myself);
    command.args(["memory-role", guest]).args(warm).arg("--");
    let output = command.args(call).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    said.trim()
        .parse()
        .unwrap_or_else(|_| panic!("{said}{complaint}"))
}

/// Runs a guest twice and prints how many bytes the second call added to what this process holds.
pub(crate) fn play(guest: &str, args: &[String]) -> ExitCode {
    let mut calls = args.split(|arg| arg == "--");
    let (warm, call) = (calls.next().unwrap(), calls.next().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let trail = Trail::open(&dir.path().join("audit"), Options::default()).unwrap();
    let host = Host::builder()
        .project(dir.path())
        .audit(Arc::new(Folding::new(trail, FoldOptions::default())))
        .build()
        .unwrap();
    let grants = Grants {
        env: vec!["GRANTED".to_owned()],
        log: true,
        limits: Limits {
            call: std::time::Duration::from_secs(600),
            calls_per_minute: u32::MAX,
            log_per_minute: 0,
            ..Limits::default()
        },
        ..none()
    };
    block_on(async {
        let bytes = portcullis_testkit::guest_bytes(guest);
        let plugin = host.load(Source { bytes, grants }).await.unwrap();
        let mut instance = plugin.instantiate("memory").await.unwrap();
        instance.run(warm).await.unwrap().unwrap();
        let before = resident();
        instance.run(call).await.unwrap().unwrap();
        println!("{}", resident().saturating_sub(before));
    });
    ExitCode::SUCCESS
}

/// Bytes of memory that this process holds, the guest's included.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

fn names_of_a_mebibyte_that_are_denied_are_not_kept() {
    let length = MIB.to_string();
    // The guest's own memory has a mebibyte for the name, and the trail its first bytes.
    let grown = grown("env", &["flood", "2", &length], &["flood", "300", &length]);
    assert!(grown < 32 * MIB, "{grown}");
}

fn a_hundred_thousand_different_denials_are_not_kept() {
    let grown = grown("env", &["flood", "1000", "16"], &["flood", "100000", "16"]);
    assert!(grown < 16 * MIB, "{grown}");
}

fn a_hundred_thousand_lines_of_log_are_not_kept() {
    let warm = ["info", "100", "x", "5000", ""];
    let grown = grown("log", &warm, &["info", "100000", "x", "5000", ""]);
    assert!(grown < 8 * MIB, "{grown}");
}
