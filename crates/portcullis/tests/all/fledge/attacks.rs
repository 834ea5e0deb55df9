//! Attacks that fledge falls to. Each test has the name of the attack, and fails on what fledge does.

use std::os::unix::fs::symlink;
use std::time::Duration;

use portcullis::policy::{FledgePlugin, MetadataKey};
use portcullis::{Host, LoadError};
use serde_json::{Value, json};

use super::stage::{Stage, calls, data, give_data, module, sends, wat, with};
use crate::fixture::exec_grant;

portcullis_testkit::tests![
    a_data_a_link_in_the_place_of_the_own_directory_is_not_followed,
    a_data_a_link_above_the_own_directory_is_not_followed,
    a_cwd_a_home_is_no_project,
    a_mem_four_more_memories,
    a_mem_one_memory_twice_as_large,
    a_table_fifty_million_elements,
    a_term_escapes_of_a_log_are_shown_and_not_obeyed,
    a_orphan_nothing_outlives_its_run,
    a_flood_of_output_by_messages,
    a_flood_of_output_by_wasi,
    a_flood_of_lines,
    a_flood_of_questions_has_a_rate,
    a_flood_of_files,
    a_flood_of_files_from_run_to_run,
    a_flood_by_holes_in_files,
    a_flood_of_names,
    a_flood_of_names_from_run_to_run,
    a_flood_into_one_file,
    a_info_the_host_is_not_told_of_without_grants,
    a_env_only_what_was_granted_by_name,
    a_hardlink_the_project_is_not_linked_into_what_is_written,
    a_config_behind_a_link_is_none,
];

fn a_data_a_link_in_the_place_of_the_own_directory_is_not_followed() {
    let stage = Stage::new();
    let exits = || wat("(call $fledge_exit (i32.const 0))");
    assert!(stage.load(exits(), with(give_data)).is_ok());
    let own = stage.own_data();
    let secret = stage.place.path().join("ssh");
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("id_rsa"), "key").unwrap();
    std::fs::remove_dir(&own).unwrap();
    symlink(&secret, &own).unwrap();
    let error = stage.load(exits(), with(give_data)).unwrap_err();
    assert!(matches!(error, LoadError::Preopen { .. }), "{error}");
}

fn a_data_a_link_above_the_own_directory_is_not_followed() {
    let stage = Stage::new();
    let exits = || wat("(call $fledge_exit (i32.const 0))");
    assert!(stage.load(exits(), with(give_data)).is_ok());
    let files = stage.state().join("files");
    let elsewhere = stage.place.path().join("elsewhere");
    std::fs::rename(&files, &elsewhere).unwrap();
    symlink(&elsewhere, &files).unwrap();
    let error = stage.load(exits(), with(give_data)).unwrap_err();
    assert!(matches!(error, LoadError::Preopen { .. }), "{error}");
}

fn a_cwd_a_home_is_no_project() {
    let home = tempfile::tempdir().unwrap();
    let env = vec![("HOME".to_owned(), home.path().display().to_string())];
    let build = |project: &std::path::Path| {
        let env = portcullis::policy::HostEnvironment::new(env.clone());
        Host::builder().host_env(env).project(project).build()
    };
    assert!(build(home.path()).is_err());
    assert!(build(std::path::Path::new("/")).is_err());
    std::fs::create_dir(home.path().join("project")).unwrap();
    assert!(build(&home.path().join("project")).is_ok());
}

fn a_mem_four_more_memories() {
    let text = r#"(module (import "fledge" "exit" (func (param i32)))
        (memory (export "memory") 1) (memory 4096) (memory 4096) (memory 4096) (memory 4096)
        (func (export "_start")))"#;
    let bytes = portcullis_testkit::assemble(text.as_bytes()).unwrap();
    let error = Stage::new().load(bytes, with(|_| {})).unwrap_err();
    let notes = error.diagnostic().notes.join("\n");
    assert!(notes.contains("more than one memory"), "{notes}");
}

fn a_mem_one_memory_twice_as_large() {
    // 8,192 pages more are 512 MiB.
    let grows = wat(
        "(if (i32.ne (memory.grow (i32.const 8192)) (i32.const -1)) (then (call $fledge_exit (i32.const 9))))",
    );
    assert_eq!(Stage::new().run(grows, with(|_| {}), &[]).code(), 0);
    let little = wat(
        "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then (call $fledge_exit (i32.const 9))))",
    );
    assert_eq!(Stage::new().run(little, with(|_| {}), &[]).code(), 0);
}

fn a_table_fifty_million_elements() {
    let grows = |elements: u32| {
        module(&format!(
            r#"(table $table 1 funcref) (func (export "_start")
            (if (i32.eq (table.grow $table (ref.null func) (i32.const {elements})) (i32.const -1))
                (then (call $fledge_exit (i32.const 7)))))"#
        ))
    };
    assert_eq!(
        Stage::new()
            .run(grows(50_000_000), with(|_| {}), &[])
            .code(),
        7
    );
    assert_eq!(Stage::new().run(grows(100), with(|_| {}), &[]).code(), 0);
}

fn a_term_escapes_of_a_log_are_shown_and_not_obeyed() {
    let evil = "\u{1b}]52;c;aGk=\u{7}\u{9b}2J\u{202e}\r\nerror[P0201]: forged";
    let log = json!({"type": "log", "level": evil, "message": evil}).to_string();
    let progress = json!({"type": "progress", "message": evil}).to_string();
    let ran = Stage::new().run(sends(&[&log, &progress, evil]), with(|_| {}), &[]);
    assert_eq!(ran.stderr.lines().count(), 3, "{:?}", ran.stderr);
    for line in ran.stderr.lines() {
        assert!(line.starts_with("[guest] "), "{line:?}");
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
    }
}

fn a_orphan_nothing_outlives_its_run() {
    let request = r#"{"command":"sleep 7071","timeout":300}"#;
    let bytes = calls("exec", request, "");
    let grants = with(|grants| {
        grants.exec = Some(exec_grant(&["sleep"]));
        grants.limits.call = Duration::from_secs(1);
    });
    Stage::new().run(bytes, grants, &[]);
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let alive = lines.filter(|line| line.starts_with(b"sleep\x007071\0"));
    assert_eq!(alive.count(), 0);
}

fn little_output(grants: &mut portcullis::policy::Grants) {
    grants.limits.total_output = 100_000;
}

fn told_of(ran: &super::stage::Ran, key: &str) {
    let told = ran.activity.failures.join("\n");
    assert!(told.contains(key), "{told}");
}

fn a_flood_of_output_by_messages() {
    let message = json!({"type": "output", "text": "x".repeat(1000)}).to_string();
    let bytes = module(&format!(
        r#"{} (func (export "_start") (local $n i32)
            (loop $again
                (call $fledge_send (i32.const 1024) (i32.const {}))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const 500)))))"#,
        data(1024, &message),
        message.len()
    ));
    let ran = Stage::new().run(bytes, with(little_output), &[]);
    assert_eq!(ran.code(), 0);
    assert_eq!(ran.stdout.len(), 100_000);
    told_of(&ran, "`limits.total_output`");
}

fn a_flood_of_output_by_wasi() {
    let Some(ran) = Stage::new().probe(with(little_output), &["flood"]) else {
        return;
    };
    assert!(
        ran.ended.is_err(),
        "the guest is told that nothing more can be written"
    );
    assert!(ran.stdout.len() <= 100_000 && ran.stdout.len() > 10_000);
    told_of(&ran, "`limits.total_output`");
}

fn a_flood_of_lines() {
    let message = json!({"type": "log", "level": "info", "message": "m"}).to_string();
    let many = vec![message.as_str(); 150];
    let ran = Stage::new().run(sends(&many), with(|_| {}), &[]);
    assert_eq!(ran.code(), 0);
    assert_eq!(ran.stderr.lines().count(), 100);
    told_of(&ran, "50 of its lines were dropped");
}

fn a_flood_of_questions_has_a_rate() {
    let message = r#"{"type":"confirm","id":"q","message":"m"}"#;
    let grants = with(|grants| {
        super::stage::opted_in(grants);
        grants.limits.calls_per_minute = 5;
    });
    let ran = Stage::new().run(sends(&[message; 8]), grants, &[]);
    assert_eq!(ran.codes(), ["P0226"; 3]);
}

fn one_mebibyte(grants: &mut portcullis::policy::Grants) {
    give_data(grants);
    grants.limits.total_file_write = 1 << 20;
    grants.limits.data_file = u64::MAX;
}

fn a_flood_of_files() {
    let stage = Stage::new();
    let Some(ran) = stage.probe(with(one_mebibyte), &["fill", "/plugin/f", "2"]) else {
        return;
    };
    assert!(ran.stdout.contains("(os error 19)"), "{}", ran.stdout);
    assert_eq!(
        std::fs::metadata(stage.own_data().join("f")).unwrap().len(),
        1 << 20
    );
    assert_eq!(ran.codes(), ["P0306"]);
    let ran = stage
        .probe(with(give_data), &["fill", "/plugin/g", "2"])
        .unwrap();
    assert!(ran.stdout.contains("ok 2"), "{}", ran.stdout);
}

fn a_flood_of_files_from_run_to_run() {
    let stage = Stage::new();
    let Some(ran) = stage.probe(with(one_mebibyte), &["fill", "/plugin/a", "1"]) else {
        return;
    };
    assert!(ran.stdout.contains("ok 1"), "{}", ran.stdout);
    let ran = stage
        .probe(with(one_mebibyte), &["write", "x", "/plugin/b"])
        .unwrap();
    assert!(ran.stdout.contains("(os error 19)"), "{}", ran.stdout);
}

fn a_flood_by_holes_in_files() {
    let stage = Stage::new();
    let Some(ran) = stage.probe(with(one_mebibyte), &["extend", "/plugin/a", "1000000000"]) else {
        return;
    };
    assert!(ran.stdout.contains("(os error 19)"), "{}", ran.stdout);
    let ran = stage
        .probe(with(one_mebibyte), &["extend", "/plugin/a", "1000"])
        .unwrap();
    assert!(ran.stdout.contains("ok ()"), "{}", ran.stdout);
}

fn four_names(grants: &mut portcullis::policy::Grants) {
    give_data(grants);
    grants.limits.data_files = 4;
}

/// How the files of a directory of its own are refused: no room, or one of them too long.
const NO_ROOM: &str = "(os error 19)";
const TOO_BIG: &str = "(os error 22)";

fn a_flood_of_names() {
    let stage = Stage::new();
    let paths = ["/plugin/a", "/plugin/b", "/plugin/c/d"];
    let Some(ran) = stage.probe(with(four_names), &["mkdir", "/plugin/c"]) else {
        return;
    };
    assert!(ran.stdout.contains("ok ()"), "{}", ran.stdout);
    let act = |words: &[&str]| stage.probe(with(four_names), words).unwrap();
    let ran = act(&[&["write", "x"], &paths[..], &["/plugin/e"]].concat());
    assert_eq!(ran.stdout.matches("ok ()").count(), 3, "{}", ran.stdout);
    assert_eq!(ran.stdout.matches(NO_ROOM).count(), 1, "{}", ran.stdout);
    assert_eq!(ran.codes(), ["P0308"]);
    for words in [
        &["write", "x", "/plugin/e", "/plugin/f", "/plugin/c/g"][..],
        &["append", "x", "/plugin/e"],
        &["mkdir", "/plugin/e"],
        &["symlink", "a", "/plugin/e"],
        &["hardlink", "/plugin/a", "/plugin/e"],
    ] {
        let ran = act(words);
        assert!(ran.stdout.contains(NO_ROOM), "{words:?}: {}", ran.stdout);
        assert!(!ran.stdout.contains("ok"), "{words:?}: {}", ran.stdout);
        assert_eq!(ran.codes(), ["P0308"], "told once");
    }
    // What is there is written and read as before, and makes room when it goes.
    let ran = act(&[&["write", "y"], &paths[..]].concat());
    assert_eq!(ran.stdout.matches("ok ()").count(), 3, "{}", ran.stdout);
    assert!(act(&["read", "/plugin/a"]).stdout.contains("ok \"y\""));
    assert!(
        act(&["rename", "/plugin/a", "/plugin/z"])
            .stdout
            .contains("ok")
    );
    assert!(act(&["remove", "/plugin/z"]).stdout.contains("ok"));
    assert!(act(&["write", "x", "/plugin/e"]).stdout.contains("ok"));
}

fn a_flood_of_names_from_run_to_run() {
    let stage = Stage::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let path = format!("/plugin/{name}");
        if stage
            .probe(with(four_names), &["write", "", &path])
            .is_none()
        {
            return;
        }
    }
    assert_eq!(std::fs::read_dir(stage.own_data()).unwrap().count(), 4);
}

fn a_flood_into_one_file() {
    let stage = Stage::new();
    let grants = || {
        with(|grants| {
            give_data(grants);
            grants.limits.data_file = 1 << 20;
        })
    };
    let Some(ran) = stage.probe(grants(), &["fill", "/plugin/f", "2"]) else {
        return;
    };
    assert!(ran.stdout.contains(TOO_BIG), "{}", ran.stdout);
    assert_eq!(ran.codes(), ["P0308"]);
    let length = || {
        let file = stage.own_data().join("f");
        std::fs::metadata(file).unwrap().len()
    };
    assert_eq!(length(), 1 << 20);
    let longer = ((1 << 20) + 1).to_string();
    for words in [
        ["append", "x", "/plugin/f"],
        ["extend", "/plugin/f", &longer],
        ["extend", "/plugin/g", &longer],
    ] {
        let ran = stage.probe(grants(), &words).unwrap();
        assert!(ran.stdout.contains(TOO_BIG), "{words:?}: {}", ran.stdout);
    }
    // One that is as long as it may be is shortened, and then appended to.
    let ran = stage.probe(grants(), &["extend", "/plugin/f", "7"]);
    assert!(ran.unwrap().stdout.contains("ok"));
    let ran = stage.probe(grants(), &["append", "xyz", "/plugin/f"]);
    assert!(ran.unwrap().stdout.contains("ok"));
    assert_eq!(length(), 10);
    // Another file is another.
    let ran = stage.probe(grants(), &["fill", "/plugin/g", "1"]).unwrap();
    assert!(ran.stdout.contains("ok 1"), "{}", ran.stdout);
}

fn a_info_the_host_is_not_told_of_without_grants() {
    let stage = Stage::new();
    std::fs::write(stage.project().join("Cargo.toml"), "").unwrap();
    let Some(ran) = stage.probe(with(|_| {}), &["init"]) else {
        return;
    };
    let place = stage.place.path().display().to_string();
    assert!(!ran.stdout.contains(&place), "{}", ran.stdout);
    let init: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(init["project"]["language"], "generic");
    // With the project granted its language is told, and with commands where it is.
    let granted = with(|grants| {
        stage.give_project(grants);
        grants.exec = Some(exec_grant(&["true"]));
    });
    let ran = stage.probe(granted, &["init"]).unwrap();
    let init: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(init["project"]["language"], "rust");
    assert_eq!(
        init["project"]["root"],
        stage.project().display().to_string()
    );
}

fn a_env_only_what_was_granted_by_name() {
    let stage = Stage::new();
    let mut grants = stage.everything(&["true"]);
    grants.env = vec!["LANG".to_owned()];
    let Some(ran) = stage.full(grants.clone(), &["metadata", r#"["env"]"#]) else {
        return;
    };
    assert!(
        ran.stdout.ends_with("{\"env\":{\"LANG\":\"C\"}}\n"),
        "{}",
        ran.stdout
    );
    let without = portcullis::policy::Grants {
        metadata: vec![MetadataKey::GitLog],
        ..grants
    };
    let ran = stage.full(without, &["metadata", r#"["env"]"#]).unwrap();
    assert!(ran.stdout.ends_with("{\"env\":null}\n"), "{}", ran.stdout);
    assert_eq!(ran.activity.denials[0].code.as_str(), "P0461");
}

fn a_hardlink_the_project_is_not_linked_into_what_is_written() {
    let stage = Stage::new();
    let file = stage.project().join("f");
    std::fs::write(&file, "kept").unwrap();
    let grants = || {
        with(|grants| {
            stage.give_project(grants);
            give_data(grants);
        })
    };
    for act in ["hardlink", "rename"] {
        let Some(ran) = stage.probe(grants(), &[act, "/project/f", "/plugin/f"]) else {
            return;
        };
        assert!(ran.stdout.contains("(os error "), "{}", ran.stdout);
        assert!(!stage.own_data().join("f").exists());
    }
    stage
        .probe(grants(), &["write", "changed", "/plugin/f"])
        .unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
}

fn a_config_behind_a_link_is_none() {
    let stage = Stage::new();
    std::fs::write(stage.place.path().join("creds.toml"), "apikey = \"S3CR3T\"").unwrap();
    symlink("../creds.toml", stage.project().join("fledge.toml")).unwrap();
    let grants = || {
        with(|grants| {
            super::stage::give_store(grants);
            grants.metadata = vec![MetadataKey::FledgeConfig];
            grants.exec = Some(exec_grant(&["true"]));
            grants.fledge = Some(FledgePlugin::default());
        })
    };
    let ask = ["metadata", r#"["fledge_config"]"#];
    let Some(ran) = stage.full(grants(), &ask) else {
        return;
    };
    assert!(
        ran.stdout.ends_with("{\"fledge_config\":null}\n"),
        "{}",
        ran.stdout
    );
    std::fs::remove_file(stage.project().join("fledge.toml")).unwrap();
    std::fs::write(stage.project().join("fledge.toml"), "name = \"n\"").unwrap();
    let ran = stage.full(grants(), &ask).unwrap();
    assert!(
        ran.stdout
            .ends_with("{\"fledge_config\":{\"name\":\"n\"}}\n"),
        "{}",
        ran.stdout
    );
}
