//! A host with plugins of Reglet, and guests for it.

use std::sync::Arc;

use portcullis::audit::{Memory, Sink};
use portcullis::policy::{Grants, HostEnvironment};
use portcullis::{
    Activity, CallError, CodeCache, GuestLog, GuestStdio, Host, LoadError, LogLine, Observation,
    Plugin, Session, Source,
};
use serde_json::{Value, json};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

use crate::fixture::block_on;

/// A guest in Go, where it was built: not every machine has its compiler.
pub(super) fn go(name: &str) -> Option<Vec<u8>> {
    let path = portcullis_testkit::interpreted(name);
    if path.is_none() {
        println!("SKIP {name}: the guest is not built");
    }
    path.map(|path| std::fs::read(path).unwrap())
}

/// The parts of a guest in the text format that a test changes.
pub(super) struct Guest {
    /// Imports besides those of `exec_command` and `log_message`, and definitions.
    pub(super) rest: String,
    pub(super) allocate: &'static str,
    /// The body of `_observe`, which has `$at` and `$length`; it leaves an `i64`.
    pub(super) observe: String,
    pub(super) manifest: String,
}

/// Makes room at the end of memory, which it lets grow.
pub(super) const ALLOCATE: &str = r#"
    (func (export "allocate") (param $length i32) (result i32)
        (local $at i32) (local $missing i32)
        (local.set $at (global.get $top))
        (global.set $top (i32.add (local.get $at) (local.get $length)))
        (local.set $missing (i32.sub
            (i32.shr_u (i32.add (global.get $top) (i32.const 65535)) (i32.const 16)) (memory.size)))
        (if (i32.gt_s (local.get $missing) (i32.const 0))
            (then (if (i32.eq (memory.grow (local.get $missing)) (i32.const -1)) (then (return (i32.const 0))))))
        (local.get $at))"#;

/// A result that says nothing but that all is well.
pub(super) const SUCCESS: &str = "(i64.const 0x10_0000_0014)";

impl Default for Guest {
    fn default() -> Self {
        Self {
            rest: String::new(),
            allocate: ALLOCATE,
            observe: SUCCESS.to_owned(),
            manifest: "(i64.const 0x40_0000_000c)".to_owned(),
        }
    }
}

/// A packed pointer as an expression.
pub(super) fn packed(at: u32, length: u32) -> String {
    format!("(i64.const {:#x})", u64::from(at) << 32 | u64::from(length))
}

/// A segment of text at 1024, and the packed pointer to it.
pub(super) fn text(text: &str) -> (String, String) {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let length = u32::try_from(text.len()).unwrap();
    (
        format!("(data (i32.const 1024) \"{escaped}\")"),
        packed(1024, length),
    )
}

impl Guest {
    pub(super) fn assemble(&self) -> Vec<u8> {
        let Self {
            rest,
            allocate,
            observe,
            manifest,
        } = self;
        let text = format!(
            r#"(module
                (import "reglet_host" "log_message" (func $log (param i64)))
                (import "reglet_host" "exec_command" (func $exec (param i64) (result i64)))
                (memory (export "memory") 2)
                (global $top (mut i32) (i32.const 65536))
                {allocate}
                (data (i32.const 16) "{{\22status\22:\22success\22}}")
                (data (i32.const 64) "{{\22name\22:\22p\22}}")
                {rest}
                (func (export "_manifest") (result i64) {manifest})
                (func (export "_observe") (param $at i32) (param $length i32) (result i64) {observe}))"#
        );
        portcullis_testkit::assemble(text.as_bytes())
            .unwrap_or_else(|error| panic!("{error}\n{text}"))
    }
}

/// A guest that asks `exec_command` for this and gives the answer back as its own result.
pub(super) fn asks(request: &str) -> Guest {
    let (data, at) = text(request);
    Guest {
        rest: data,
        observe: format!("(call $exec {at})"),
        ..Guest::default()
    }
}

/// Lines of the operator's log.
#[derive(Debug, Default)]
pub(super) struct Lines(std::sync::Mutex<Vec<String>>);

impl Lines {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl GuestLog for Lines {
    fn line(&self, line: &LogLine<'_>) {
        let text = format!("{} {}", line.level, line.message);
        self.0.lock().unwrap().push(text);
    }

    fn dropped(&self, _: &portcullis::policy::PluginId, lines: u64) {
        self.0.lock().unwrap().push(format!("dropped {lines}"));
    }
}

/// Where compiled guests are kept, of each user: those in Go take seconds.
pub(crate) fn code_cache() -> CodeCache {
    let user = rustix::process::getuid().as_raw();
    let of = |what: &str| {
        let name = format!("reglet-{what}-{user}");
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    };
    CodeCache::open(&of("code"), &of("key"), Default::default()).unwrap()
}

/// A place for plugins.
pub(super) struct Stage {
    pub(super) project: tempfile::TempDir,
    pub(super) trail: Arc<Memory>,
    pub(super) log: Arc<Lines>,
    pub(super) stderr: MemoryOutputPipe,
    host: Host,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(super) fn with(
        change: impl FnOnce(portcullis::HostBuilder) -> portcullis::HostBuilder,
    ) -> Self {
        let project = tempfile::tempdir().unwrap();
        let trail = Arc::new(Memory::new());
        let sink: Arc<dyn Sink> = trail.clone();
        let log = Arc::new(Lines::default());
        let guest_log: Arc<dyn GuestLog> = log.clone();
        let stderr = MemoryOutputPipe::new(1 << 20);
        let pipe = stderr.clone();
        let env = [
            ("HOME", "/nonexistent"),
            ("LANG", "C"),
            ("GH_TOKEN", "leakme"),
            ("PLAIN", "of the host"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let builder = Host::builder()
            .project(project.path())
            .code_cache(code_cache())
            .audit(sink)
            .host_env(HostEnvironment::new(env.to_vec()))
            .guest_log(guest_log)
            .guest_stdio(GuestStdio::default().stderr(move || pipe.clone()));
        Self {
            host: change(builder).build().unwrap(),
            project,
            trail,
            log,
            stderr,
        }
    }

    pub(super) fn said(&self) -> String {
        String::from_utf8(self.stderr.contents().to_vec()).unwrap()
    }

    pub(super) async fn load(&self, bytes: Vec<u8>, grants: Grants) -> Result<Plugin, LoadError> {
        self.host.load(Source { bytes, grants }).await
    }

    pub(super) async fn session(&self, bytes: Vec<u8>, grants: Grants) -> Session {
        let loaded = self.load(bytes, grants).await;
        let plugin = loaded.unwrap_or_else(|error| panic!("{:?}", error.diagnostic()));
        plugin.session("test")
    }

    /// Has a guest observe once.
    pub(super) fn observe(&self, bytes: Vec<u8>, grants: Grants, config: &Value) -> Observed {
        block_on(async {
            let session = self.session(bytes, grants).await;
            let ended = session.observe(&config.to_string()).await;
            Observed {
                ended,
                activity: session.take_activity().await,
            }
        })
    }

    /// What `exec_command` answers to this request, as it came, and what the operator knows of it.
    pub(super) fn exec(&self, grants: Grants, request: &Value) -> Option<(Value, Activity)> {
        let config = json!({ "act": "exec", "request": request });
        let observed = self.observe(go("reglet-2")?, grants, &config);
        Some((observed.answer(), observed.activity))
    }
}

/// What came of a call.
pub(super) struct Observed {
    pub(super) ended: Result<Observation, CallError>,
    pub(super) activity: Activity,
}

impl Observed {
    pub(super) fn observation(&self) -> &Observation {
        match &self.ended {
            Ok(observation) => observation,
            Err(error) => panic!("{error}: {:?}", error.diagnostic().notes),
        }
    }

    /// The guest's own answer.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.observation().json).unwrap()
    }

    /// What the host answered to the guest, which tells it as it came.
    pub(super) fn answer(&self) -> Value {
        let json = self.json();
        let data = json.get("data").or_else(|| json.get("Data")).unwrap();
        let answer = data["answer"].as_str();
        serde_json::from_str(answer.unwrap_or_else(|| panic!("{json}"))).unwrap()
    }

    /// All that is said of how it did not come to its end.
    pub(super) fn error(&self) -> String {
        let error = self.ended.as_ref().unwrap_err();
        let diagnostic = error.diagnostic();
        format!("{}\n{}", diagnostic.message, diagnostic.notes.join("\n"))
    }
}
