//! Core modules for tests, written as text.

use std::sync::Arc;

use portcullis::audit::{Memory, Sink};
use portcullis::policy::{Grants, HostEnvironment};
use portcullis::{CallError, GuestStdio, Host, HostBuilder, Instance, LoadError, Plugin, Source};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

/// The parts of a module that a test changes.
pub(super) struct Guest {
    /// Imports, definitions and exports besides those that follow.
    pub(super) rest: String,
    pub(super) memory: &'static str,
    pub(super) allocate: &'static str,
    pub(super) run: String,
}

/// Makes room at the end of memory, which it lets grow.
pub(super) const ALLOCATE: &str = r#"
    (global $top (mut i32) (i32.const 65536))
    (func (export "allocate") (param $length i32) (result i32)
        (local $at i32) (local $missing i32)
        (local.set $at (global.get $top))
        (global.set $top (i32.add (local.get $at) (local.get $length)))
        (local.set $missing (i32.sub
            (i32.shr_u (i32.add (global.get $top) (i32.const 65535)) (i32.const 16)) (memory.size)))
        (if (i32.gt_s (local.get $missing) (i32.const 0))
            (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (return (i32.const 0))))))
        (local.get $at))"#;

pub(super) const LOG: &str = r#"(import "portcullis:core/v1" "log" (func $log (param i32 i64)))"#;
pub(super) const EXEC: &str =
    r#"(import "portcullis:core/v1" "exec" (func $exec (param i64) (result i64)))"#;

/// Where `data` puts its text.
pub(super) const TEXT: u32 = 1024;

impl Default for Guest {
    fn default() -> Self {
        Self {
            rest: String::new(),
            memory: r#"(memory (export "memory") 1)"#,
            allocate: ALLOCATE,
            run: returns(OK),
        }
    }
}

/// Expressions of type `i64`: packed pointers to answers that every guest has.
pub(super) const OK: &str = "(i64.const 0x10_0000_0009)";
pub(super) const ERROR: &str = "(i64.const 0x20_0000_000d)";

/// A body of `run`.
pub(super) fn returns(expression: &str) -> String {
    expression.to_owned()
}

/// A packed pointer as an expression.
pub(super) fn packed(at: u32, length: usize) -> String {
    format!("(i64.const {:#x})", u64::from(at) << 32 | length as u64)
}

/// A segment of text at [`TEXT`], and the packed pointer to it.
pub(super) fn text(text: &str) -> (String, String) {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    (
        format!("(data (i32.const {TEXT}) \"{escaped}\")"),
        packed(TEXT, text.len()),
    )
}

impl Guest {
    /// A guest that asks `exec` for this and says the answer to the log.
    pub(super) fn exec(request: &str) -> Self {
        Self::asks("exec", request)
    }

    /// A guest that asks a function for this and says the answer to the log.
    pub(super) fn asks(function: &str, request: &str) -> Self {
        let (data, at) = text(request);
        let import = format!(
            r#"(import "portcullis:core/v1" "{function}" (func $asked (param i64) (result i64)))"#
        );
        Self {
            rest: format!("{LOG} {import} {data}"),
            run: format!("(call $log (i32.const 2) (call $asked {at})) {OK}"),
            ..Self::default()
        }
    }

    pub(super) fn assemble(&self) -> Vec<u8> {
        let Self {
            rest,
            memory,
            allocate,
            run,
        } = self;
        // Imports come first.
        let (imports, rest): (Vec<_>, Vec<_>) = split(rest)
            .into_iter()
            .partition(|part| part.starts_with("(import"));
        let module = format!(
            r#"(module {} {memory} {} {allocate}
                (data (i32.const 16) "{{\"ok\":\"\"}}") (data (i32.const 32) "{{\"error\":\"e\"}}")
                (func (export "run") (param $args i64) (result i64) {run}))"#,
            imports.join(" "),
            rest.join(" "),
        );
        portcullis_testkit::assemble(module.as_bytes())
            .unwrap_or_else(|error| panic!("{error}\n{module}"))
    }
}

/// The expressions of a text, outermost.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start, mut quoted) = (0, 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => {
                if depth == 0 {
                    start = at;
                }
                depth += 1;
            }
            b')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    parts.push(&text[start..=at]);
                }
            }
            _ => {}
        }
    }
    parts
}

/// A host that keeps what its guests say.
pub(super) struct Stage {
    pub(super) host: Host,
    pub(super) trail: Arc<Memory>,
    pub(super) project: tempfile::TempDir,
    said: MemoryOutputPipe,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(|builder| builder)
    }

    /// One whose host has more than the least.
    pub(super) fn with(set: impl FnOnce(HostBuilder) -> HostBuilder) -> Self {
        let project = tempfile::tempdir().unwrap();
        let trail = Arc::new(Memory::new());
        let sink: Arc<dyn Sink> = trail.clone();
        let said = MemoryOutputPipe::new(1 << 20);
        let stderr = said.clone();
        let env =
            [("HOME", "/nonexistent")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let host = Host::builder()
            .project(project.path())
            .audit(sink)
            .host_env(HostEnvironment::new(env.to_vec()))
            .guest_stdio(GuestStdio::default().stderr(move || stderr.clone()));
        Self {
            host: set(host).build().unwrap(),
            trail,
            project,
            said,
        }
    }

    pub(super) async fn load(&self, bytes: Vec<u8>, grants: Grants) -> Result<Plugin, LoadError> {
        self.host.load(Source { bytes, grants }).await
    }

    pub(super) async fn start(&self, guest: &Guest, grants: Grants) -> Result<Instance, CallError> {
        let plugin = self.load(guest.assemble(), grants).await.unwrap();
        plugin.instantiate("test").await
    }

    /// What a function answers to this.
    pub(super) fn asked(&self, grants: Grants, function: &str, request: &str) -> serde_json::Value {
        crate::fixture::block_on(async {
            let guest = Guest::asks(function, request);
            let mut instance = self.start(&guest, grants).await.unwrap();
            assert_eq!(instance.run(&[]).await.unwrap(), Ok(String::new()));
        });
        self.answer()
    }

    /// What guests said so far.
    pub(super) fn said(&self) -> String {
        String::from_utf8(self.said.contents().to_vec()).unwrap()
    }

    /// All answers that guests said to the log.
    pub(super) fn answers(&self) -> Vec<serde_json::Value> {
        let said = self.said();
        let lines = said.lines().map(|line| line.strip_prefix("info: "));
        lines
            .map(|line| serde_json::from_str(line.unwrap_or_else(|| panic!("{said}"))).unwrap())
            .collect()
    }

    /// The answer that a guest said last.
    pub(super) fn answer(&self) -> serde_json::Value {
        let said = self.said();
        let line = said
            .lines()
            .last()
            .and_then(|line| line.strip_prefix("info: "));
        serde_json::from_str(line.unwrap_or_else(|| panic!("{said}"))).unwrap()
    }
}
