//! Commands of WASI: core modules on preview 1 and components, under grants.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::{Event, Memory, Sink, Verdict};
use portcullis::policy::{Code, FsAccess, Grants, HostEnvironment, Limits};
use portcullis::{
    Activity, CallError, CodeCache, Compilation, GuestStdio, Host, Kind, LoadError, Source, inspect,
};
use portcullis_testkit::{assemble, guest_bytes, tests, wat};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

use crate::fixture::{args, block_on, directory, none};

tests![
    commands_are_known_by_what_they_export,
    a_command_says_hello_and_ends_with_0,
    a_command_is_told_its_arguments_and_granted_variables,
    a_command_reads_its_input,
    exit_codes_are_passed_on,
    a_component_ends_with_its_result_or_its_code,
    a_trap_is_no_exit_code,
    each_run_begins_anew,
    directories_are_read_and_written_as_granted,
    what_others_execute_is_refused_and_written_down,
    only_regular_files_and_directories_are_opened,
    what_is_written_in_all_is_bounded,
    time_and_memory_are_bounded,
    sockets_are_said_not_to_be_there,
    both_a_command_and_a_reactor_is_neither,
    a_command_made_by_go_stays_a_core_module,
    a_reactor_is_told_what_it_is,
    all_that_is_not_there_is_told_before_it_runs,
    a_module_says_nothing_of_itself_that_its_component_would_have,
    a_start_function_runs_first,
    code_is_cached_for_the_module,
    compiling_in_process_is_the_same,
];

/// A host whose guests read and write what a test sees.
struct Stage {
    host: Host,
    stdout: MemoryOutputPipe,
    trail: Arc<Memory>,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        Self::with(|host| host)
    }

    fn with(more: impl FnOnce(portcullis::HostBuilder) -> portcullis::HostBuilder) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("data")).unwrap();
        let stdout = MemoryOutputPipe::new(1 << 20);
        let trail = Arc::new(Memory::new());
        let out = stdout.clone();
        let stdio = GuestStdio::default()
            .stdin(|| MemoryInputPipe::new("typed\nin"))
            .stdout(move || out.clone());
        let env = [("VISIBLE", "yes"), ("HIDDEN", "no")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sink: Arc<dyn Sink> = trail.clone();
        let host = Host::builder()
            .project(dir.path())
            .audit(sink)
            .host_env(HostEnvironment::new(env.to_vec()))
            .guest_stdio(stdio);
        Self {
            host: more(host).build().unwrap(),
            stdout,
            trail,
            dir,
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn grants(&self, access: FsAccess) -> Grants {
        Grants {
            fs: vec![directory(&self.data(), "/data", access)],
            ..none()
        }
    }

    async fn load(&self, bytes: Vec<u8>, grants: Grants) -> Result<portcullis::Plugin, LoadError> {
        self.host.load(Source { bytes, grants }).await
    }

    /// How a command ended, and what it wrote since the last time.
    fn run(
        &self,
        bytes: Vec<u8>,
        grants: Grants,
        words: &[&str],
    ) -> (Result<u8, CallError>, String, Activity) {
        let before = self.stdout.contents().len();
        let (ended, activity) = block_on(async {
            let plugin = self.load(bytes, grants).await.unwrap();
            let session = plugin.session("test");
            let ended = session
                .command(&args(&[&["tool.wasm"], words].concat()))
                .await;
            (ended, session.take_activity().await)
        });
        let written = self.stdout.contents().split_off(before);
        (
            ended,
            String::from_utf8(written.to_vec()).unwrap(),
            activity,
        )
    }

    /// What the guest of these tests writes, which ends well.
    fn said(&self, grants: Grants, words: &[&str]) -> String {
        let (ended, said, _) = self.run(guest_bytes("wasi-command"), grants, words);
        assert_eq!(ended.unwrap(), 0);
        said
    }
}

fn module(text: &str) -> Vec<u8> {
    assemble(text.as_bytes()).unwrap()
}

/// A command that does this.
fn body(text: &str) -> Vec<u8> {
    module(&format!(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1) (func (export "_start") {text}))"#
    ))
}

/// A component for `wasi:cli/command` whose `run` is this, with `exit-with-code` at hand.
fn component(text: &str) -> Vec<u8> {
    module(&format!(
        r#"(component
            (import "wasi:cli/exit@0.2.12" (instance $exit
                (export "exit-with-code" (func (param "status-code" u8)))))
            (core func $code (canon lower (func $exit "exit-with-code")))
            (core module $m
                (import "" "code" (func $code (param i32)))
                (func (export "run") (result i32) {text}))
            (core instance $i (instantiate $m (with "" (instance (export "code" (func $code))))))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance $export (export "run" (func $run)))
            (export "wasi:cli/run@0.2.3" (instance $export)))"#
    ))
}

fn commands_are_known_by_what_they_export() {
    assert_eq!(Kind::of(&guest_bytes("wasi-command")), Kind::WasiCommand);
    assert_eq!(Kind::of(&wat("core-hello")), Kind::WasiCommand);
    let bare = module(r#"(module (func (export "_start")))"#);
    assert_eq!(Kind::of(&bare), Kind::WasiCommand);
    assert_eq!(Kind::of(&component("i32.const 0")), Kind::WasiComponent);
    let found = inspect(&component("i32.const 0"), &none());
    assert_eq!(found.imports[0].name, "wasi:cli/exit@0.2.12");
    assert_eq!(found.lacks, [""; 0]);
    let found = inspect(&wat("core-hello"), &none());
    assert_eq!(found.imports[0].name, "wasi_snapshot_preview1.fd_write");
    assert!(found.imports[0].missing.is_none() && found.notices.is_empty());
}

fn a_command_says_hello_and_ends_with_0() {
    let stage = Stage::new();
    let (ended, said, _) = stage.run(wat("core-hello"), none(), &[]);
    assert_eq!((ended.unwrap(), said.as_str()), (0, "hello\n"));
}

fn a_command_is_told_its_arguments_and_granted_variables() {
    let stage = Stage::new();
    assert_eq!(
        stage.said(none(), &["args", "one two", "", "ü"]),
        "tool.wasm\nargs\none two\n\nü\n"
    );
    assert_eq!(stage.said(none(), &["env"]), "");
    let grants = Grants {
        env: args(&["VISIBLE", "GIVEN"]),
        given_env: vec![("GIVEN".to_owned(), "a=b".to_owned())],
        ..none()
    };
    assert_eq!(
        stage.said(grants.clone(), &["env"]),
        "VISIBLE=yes\nGIVEN=a=b"
    );
    let over = Grants {
        given_env: vec![("VISIBLE".to_owned(), "other".to_owned())],
        ..grants
    };
    assert_eq!(stage.said(over, &["env"]), "VISIBLE=other");
}

fn a_command_reads_its_input() {
    assert_eq!(Stage::new().said(none(), &["cat"]), "typed\nin");
}

fn exit_codes_are_passed_on() {
    let stage = Stage::new();
    for code in [0, 1, 3, 125, 255] {
        let words = ["exit", &code.to_string()];
        let (ended, ..) = stage.run(guest_bytes("wasi-command"), none(), &words);
        assert_eq!(ended.unwrap(), code);
    }
    // The low eight bits, as everywhere.
    let (ended, ..) = stage.run(body("(call $exit (i32.const 259))"), none(), &[]);
    assert_eq!(ended.unwrap(), 3);
}

fn a_component_ends_with_its_result_or_its_code() {
    let stage = Stage::new();
    let code = |text: &str| stage.run(component(text), none(), &[]).0.unwrap();
    assert_eq!(code("i32.const 0"), 0);
    assert_eq!(code("i32.const 1"), 1);
    assert_eq!(code("(call $code (i32.const 77)) unreachable"), 77);
}

fn a_trap_is_no_exit_code() {
    let stage = Stage::new();
    let (ended, ..) = stage.run(guest_bytes("wasi-command"), none(), &["trap"]);
    let error = ended.unwrap_err();
    assert_eq!(error.code(), "P0702");
    assert!(error.to_string().contains("call `run`"), "{error}");
}

fn each_run_begins_anew() {
    let stage = Stage::new();
    // The second run on one instance would end with 2.
    let bytes = module(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1) (global $runs (mut i32) (i32.const 0))
            (func (export "_start")
                (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
                (if (i32.ne (global.get $runs) (i32.const 1)) (then (call $exit (i32.const 2))))))"#,
    );
    block_on(async {
        let plugin = stage.load(bytes, none()).await.unwrap();
        let session = plugin.session("test");
        for _ in 0..3 {
            assert_eq!(session.command(&args(&["x"])).await.unwrap(), 0);
        }
        let error = session.run(&[]).await.unwrap_err();
        assert_eq!(error.code(), "P0505", "{error}");
        let mut instance = plugin.instantiate("test").await.unwrap();
        assert!(instance.run(&[]).await.is_err());
    });
}

/// `errno` of preview 1.
const QUOTA: &str = "errno 19";
const NO_ENTRY: &str = "errno 44";
const NOT_PERMITTED: &str = "errno 63";

fn directories_are_read_and_written_as_granted() {
    let stage = Stage::new();
    fs::write(stage.data().join("a"), "inside").unwrap();
    fs::write(stage.dir.path().join("secret"), "outside").unwrap();
    std::os::unix::fs::symlink("../secret", stage.data().join("link")).unwrap();
    let acts = [
        "acts",
        "read /data/a",
        "read /data/none",
        "read /data/../secret",
        "read /data/link",
        "read /secret",
        "write /data/b new",
        "mkdir /data/dir",
        "write /data/../b new",
    ];
    let said = stage.said(stage.grants(FsAccess::ReadWrite), &acts);
    let answers: Vec<_> = said.lines().collect();
    let refused = [NOT_PERMITTED; 2];
    assert_eq!(answers[..2], ["inside", NO_ENTRY]);
    assert_eq!(answers[2..4], refused);
    assert_eq!(answers[4..], ["errno 8", "ok", "ok", NOT_PERMITTED]);
    assert_eq!(fs::read_to_string(stage.data().join("b")).unwrap(), "new");
    assert!(!stage.dir.path().join("b").exists());
    let said = stage.said(stage.grants(FsAccess::Read), &acts);
    let answers: Vec<_> = said.lines().collect();
    assert_eq!(answers[0], "inside");
    assert!(answers[5].starts_with("errno") && answers[6].starts_with("errno"));
    let said = stage.said(none(), &acts);
    assert!(said.lines().all(|answer| answer == "errno 8"), "{said}");
}

fn what_others_execute_is_refused_and_written_down() {
    let stage = Stage::new();
    fs::create_dir_all(stage.data().join(".git/hooks")).unwrap();
    let words = [
        "acts",
        "write /data/.envrc x",
        "write /data/.git/hooks/post-merge x",
    ];
    let grants = stage.grants(FsAccess::ReadWrite);
    let (ended, said, activity) = stage.run(guest_bytes("wasi-command"), grants, &words);
    assert_eq!(ended.unwrap(), 0);
    assert_eq!(said, format!("{NOT_PERMITTED}\n{NOT_PERMITTED}\n"));
    assert!(!stage.data().join(".envrc").exists());
    assert_eq!(activity.denials.len(), 2);
    assert_eq!(activity.denials[0].code, Code::FsProtected);
    let denied = |event: &Event| matches!(event, Event::Decision(decision) if decision.verdict == Verdict::Deny);
    let events = stage.trail.events();
    assert_eq!(events.iter().filter(|(_, event)| denied(event)).count(), 2);
}

fn only_regular_files_and_directories_are_opened() {
    let stage = Stage::new();
    let pipe = stage.data().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let acts = ["acts", "read /data/pipe", "write /data/pipe x"];
    let said = stage.said(stage.grants(FsAccess::ReadWrite), &acts);
    assert_eq!(said, format!("{NOT_PERMITTED}\n{NOT_PERMITTED}\n"));
}

fn what_is_written_in_all_is_bounded() {
    let stage = Stage::new();
    let grants = Grants {
        limits: Limits {
            total_file_write: 10_000,
            ..Limits::default()
        },
        ..stage.grants(FsAccess::ReadWrite)
    };
    let acts = ["acts", "fill /data/a 6000", "fill /data/b 6000"];
    let said = stage.said(grants, &acts);
    assert_eq!(said, format!("ok\n{QUOTA}\n"));
    let written = ["a", "b"].map(|name| fs::metadata(stage.data().join(name)).unwrap().len());
    assert!(written.iter().sum::<u64>() <= 10_000, "{written:?}");
}

fn time_and_memory_are_bounded() {
    let stage = Stage::new();
    let limits = |limits| Grants { limits, ..none() };
    let late = limits(Limits {
        call: Duration::from_millis(200),
        ..Limits::default()
    });
    let (ended, ..) = stage.run(guest_bytes("wasi-command"), late, &["spin"]);
    assert_eq!(ended.unwrap_err().code(), "P0701");
    let small = limits(Limits {
        memory: 8 << 20,
        ..Limits::default()
    });
    let (ended, ..) = stage.run(guest_bytes("wasi-command"), small, &["hoard"]);
    assert_eq!(ended.unwrap_err().code(), "P0502");
}

fn sockets_are_said_not_to_be_there() {
    let stage = Stage::new();
    let found = inspect(&guest_bytes("wasi-command"), &none());
    assert_eq!(found.notices[0].code, "P0808");
    assert!(found.notices[0].notes[0].contains("`sock_accept`, `sock_shutdown`"));
    let plugin = block_on(stage.load(guest_bytes("wasi-command"), none())).unwrap();
    assert_eq!(plugin.notices(), found.notices);
    const NOT_SUPPORTED: &str = "[58, 58, 58]";
    assert_eq!(stage.said(none(), &["sockets"]), NOT_SUPPORTED);
}

fn refused(bytes: Vec<u8>) -> LoadError {
    block_on(async { Stage::new().load(bytes, none()).await.unwrap_err() })
}

fn both_a_command_and_a_reactor_is_neither() {
    let error = refused(module(
        r#"(module (memory (export "memory") 1) (func (export "_start")) (func (export "_initialize")))"#,
    ));
    assert_eq!(error.code(), "P0604");
    let notes = error.diagnostic().notes.join("\n");
    assert!(notes.contains("both `_start` and `_initialize`"), "{notes}");
}

fn a_command_made_by_go_stays_a_core_module() {
    // It takes it that its memory is as large as it made it: with what the adapter takes there would be more pages.
    let text = |go: &str| {
        format!(
            r#"(module {go} (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (func (export "_start")
                    (if (call $sizes (i32.const 0) (i32.const 4)) (then unreachable))
                    (call $exit (i32.add (i32.mul (memory.size) (i32.const 256)) (i32.add (memory.size) (i32.load (i32.const 0)))))))"#
        )
    };
    let of_go = module(&text(r#"(@custom "go:buildid" "x")"#));
    assert_eq!(Kind::of(&of_go), Kind::WasiCommand);
    let stage = Stage::new();
    let (ended, _, _) = stage.run(of_go, none(), &["one", "two"]);
    assert_eq!(
        ended.unwrap(),
        4,
        "a page, and three arguments; the low eight bits"
    );
    let (ended, _, _) = stage.run(module(&text("")), none(), &["one", "two"]);
    assert!(
        ended.unwrap() > 4,
        "the twin has a part of its memory taken"
    );
    let wants_more = module(
        r#"(module (@custom "go:buildid" "x") (import "env" "f" (func)) (memory (export "memory") 1) (func (export "_start")))"#,
    );
    let error = refused(wants_more);
    assert_eq!(error.code(), "P0603", "{error}");
    let no_start = module(
        r#"(module (@custom "go:buildid" "x") (memory (export "memory") 1) (func (export "_start") (param i32)))"#,
    );
    assert_eq!(refused(no_start).code(), "P0604");
}

fn a_reactor_is_told_what_it_is() {
    let bytes = module(r#"(module (memory (export "memory") 1) (func (export "_initialize")))"#);
    assert_eq!(Kind::of(&bytes), Kind::WasiReactor);
    let error = refused(bytes);
    assert_eq!(error.code(), "P0601");
    assert!(
        error.to_string().contains("a reactor of WASI preview 1"),
        "{error}"
    );
}

fn all_that_is_not_there_is_told_before_it_runs() {
    let error = refused(module(
        r#"(module (import "env" "memcpy" (func)) (import "wasi_snapshot_preview1" "sock_open" (func))
            (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
            (import "portcullis:wasi-preview1" "proc_exit" (func (param i32)))
            (memory (export "memory") 1) (func (export "_start")))"#,
    ));
    let LoadError::Imports { missing, .. } = error else {
        panic!("{error}")
    };
    let names: Vec<_> = missing.iter().map(|import| import.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "env.memcpy",
            "wasi_snapshot_preview1.sock_open",
            "portcullis:wasi-preview1.proc_exit"
        ]
    );
    // An import of another type than preview 1 has.
    let error = refused(module(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i64)))
            (memory (export "memory") 1) (func (export "_start")))"#,
    ));
    assert_eq!(error.code(), "P0602", "{error}");
}

fn a_module_says_nothing_of_itself_that_its_component_would_have() {
    let mut bytes = body("(call $exit (i32.const 4))");
    // A custom section by which interfaces are said, of what is no such thing.
    let name = b"component-type:x";
    let length = u8::try_from(name.len()).unwrap();
    bytes.extend([0, length + 3, length]);
    bytes.extend(name);
    bytes.extend([0xff, 0xff]);
    let (ended, ..) = Stage::new().run(bytes, none(), &[]);
    assert_eq!(ended.unwrap(), 4);
}

fn a_start_function_runs_first() {
    let bytes = module(
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1) (global $seen (mut i32) (i32.const 0))
            (func $first (global.set $seen (i32.const 9))) (start $first)
            (func (export "_start") (call $exit (global.get $seen))))"#,
    );
    assert_eq!(Stage::new().run(bytes, none(), &[]).0.unwrap(), 9);
}

fn code_is_cached_for_the_module() {
    let dir = tempfile::tempdir().unwrap();
    let cache = || {
        let (cache, key) = (dir.path().join("cache"), dir.path().join("key"));
        CodeCache::open(&cache, &key, Default::default()).unwrap()
    };
    let stage = Stage::with(|host| host.code_cache(cache()));
    let compiled = |bytes: Vec<u8>| block_on(stage.load(bytes, none())).unwrap().compilation();
    assert!(compiled(wat("core-hello")).is_some());
    assert!(compiled(wat("core-hello")).is_none());
    assert!(compiled(body("nop")).is_some());
    let (ended, said, _) = stage.run(wat("core-hello"), none(), &[]);
    assert_eq!((ended.unwrap(), said.as_str()), (0, "hello\n"));
}

fn compiling_in_process_is_the_same() {
    let stage = Stage::with(|host| host.compilation(Compilation::InProcess));
    let (ended, said, _) = stage.run(wat("core-hello"), none(), &[]);
    assert_eq!((ended.unwrap(), said.as_str()), (0, "hello\n"));
}
