//! Nothing that a guest does over and over makes the host grow. Each guest is run by a process of its own, which says how
//! much it grew.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use portcullis::audit::{FoldOptions, Folding, Options, Trail};
use portcullis::policy::{
    FsAccess, Grants, HttpGrant, HttpRule, KvGrant, KvOwner, KvSize, Limits, Origin, PluginId,
};
use portcullis::{Host, Source};
use serde_json::json;

use crate::clawft;
use crate::fixture::{block_on, directory, exec_grant, none};

portcullis_testkit::tests![
    no_interface_keeps_what_it_refused,
    clawft_keeps_nothing_of_what_it_refused,
    what_wasi_holds_for_a_guest_is_bounded,
    handles_of_state_are_bounded,
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
        .state(dir.path().join("kv"))
        .build()
        .unwrap();
    let data = dir.path().join("data");
    prepare(&data);
    let origin = Origin::Code;
    let commands = guest == "command";
    let grants = Grants {
        env: vec!["GRANTED".to_owned()],
        log: true,
        fs: vec![directory(&data, "/data", FsAccess::ReadWrite)],
        exec: commands.then(|| exec_grant(&["true"])),
        http: HttpGrant {
            allow: vec![HttpRule::any_request("api.example.com").unwrap()],
            ..HttpGrant::default()
        },
        kv: Some(KvGrant {
            size: KvSize::default(),
            owner: KvOwner::Policy {
                policy: "/policy".into(),
                file: "/plugin".into(),
            },
            origin,
        }),
        limits: Limits {
            call: std::time::Duration::from_secs(600),
            calls_per_minute: u32::MAX,
            http_per_minute: u32::MAX,
            log_per_minute: 0,
            ..Limits::default()
        },
        ..none()
    };
    block_on(async {
        if guest == "clawft" {
            return play_clawft(&host, grants, warm, call).await;
        }
        let bytes = portcullis_testkit::guest_bytes(guest);
        let plugin = host.load(Source { bytes, grants }).await.unwrap();
        let mut instance = plugin.instantiate("memory").await.unwrap();
        instance.run(warm).await.unwrap().unwrap();
        let before = resident();
        match instance.run(call).await {
            Ok(said) => drop(said.unwrap()),
            // A guest that wants more handles than there are is ended.
            Err(error) => assert!(error.to_string().contains("resource table"), "{error}"),
        }
        println!("{}", resident().saturating_sub(before));
    });
    ExitCode::SUCCESS
}

/// A directory with something to hold.
fn prepare(data: &Path) {
    fs::create_dir_all(data.join("many")).unwrap();
    fs::write(data.join("file"), vec![b'x'; 128 * 1024]).unwrap();
    for name in 0..2000 {
        let name = format!("{name:0>200}");
        fs::write(data.join("many").join(name), "").unwrap();
    }
}

async fn play_clawft(host: &Host, grants: Grants, warm: &[String], call: &[String]) {
    let resources = json!({ "max_execution_seconds": 300, "max_fuel": 10_000_000_000_u64 });
    let permissions = json!({ "env_vars": ["GRANTED"], "network": ["api.example.com"] });
    let manifest = clawft::manifest(permissions, resources);
    let bytes = portcullis_testkit::guest_bytes("clawft");
    let grants = manifest.restrict(Grants {
        plugin: PluginId::new("everything").unwrap(),
        ..grants
    });
    let session = host
        .load(Source { bytes, grants })
        .await
        .unwrap()
        .session("memory");
    let flood = async |words: &[String]| {
        let [with, times, length] = words else {
            panic!("{words:?}")
        };
        let number = |text: &String| text.parse::<u64>().unwrap();
        let params = json!({ "with": with, "times": number(times), "length": number(length) });
        clawft::call(&session, "flood", params).await.unwrap();
    };
    flood(warm).await;
    let before = resident();
    flood(call).await;
    println!("{}", resident().saturating_sub(before));
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

fn no_interface_keeps_what_it_refused() {
    let (few, many, length) = ("2", "300", &*MIB.to_string());
    // The verb in front, with the parts of an act where the guest has such.
    let between = |words: [&str; 4]| words.join("\u{1f}");
    for verb in ["read", "list", "stat", "mkdir", "remove"] {
        let (warm, call) = (
            between(["flood", verb, few, length]),
            between(["flood", verb, many, length]),
        );
        let grown = grown("files", &[&warm], &[&call]);
        assert!(grown < 32 * MIB, "{verb}: {grown}");
    }
    for guest in ["wasi-probe", "http", "command"] {
        let grown = grown(guest, &["flood", few, length], &["flood", many, length]);
        assert!(grown < 32 * MIB, "{guest}: {grown}");
    }
    let flood = |times| format!("flood {times} {length}");
    let grown = grown("kv", &[&flood(few)], &[&flood(many)]);
    assert!(grown < 32 * MIB, "kv: {grown}");
}

fn clawft_keeps_nothing_of_what_it_refused() {
    let length = &*MIB.to_string();
    for with in ["env", "read", "write", "http"] {
        let grown = grown("clawft", &[with, "2", length], &[with, "300", length]);
        assert!(grown < 32 * MIB, "{with}: {grown}");
    }
}

fn what_wasi_holds_for_a_guest_is_bounded() {
    for (what, path, most) in [
        // 256 of them with 64 KiB each.
        ("readers", "/data/file", 32 * MIB),
        ("writers", "/data/file", 8 * MIB),
        ("orphans", "/data/file", 8 * MIB),
        ("files", "/data/file", 8 * MIB),
        ("directories", "/data/many", 8 * MIB),
        // 131072 names with 200 bytes each.
        ("listings", "/data/many", 64 * MIB),
        ("pollables", "/data/file", 16 * MIB),
        ("preopens", "/data", 16 * MIB),
    ] {
        let warm = ["hold", what, path, "1"];
        let grown = grown("wasi-probe", &warm, &["hold", what, path, "1000000"]);
        assert!(grown < most, "{what}: {grown}");
    }
}

fn handles_of_state_are_bounded() {
    let grown = grown("keyvalue", &["hold 1 key"], &["hold 1000000 key"]);
    assert!(grown < 16 * MIB, "{grown}");
}
