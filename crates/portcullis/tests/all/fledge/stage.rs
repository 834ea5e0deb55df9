//! A host that keeps what its plugins of fledge say, and guests for it.

use std::path::PathBuf;
use std::sync::Arc;

use portcullis::audit::{Memory, Sink};
use portcullis::policy::{
    DataGrant, FledgePlugin, FsAccess, Grants, HostEnvironment, KvGrant, KvOwner, KvSize,
    MetadataKey, Origin,
};
use portcullis::{Activity, CallError, GuestStdio, Host, LoadError, Plugin, Prompter, Source};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;

use crate::fixture::{args, block_on, directory, exec_grant, none};

/// A guest in Rust, where it was built: not every machine has a compiler for WASI preview 1.
pub(super) fn rust(name: &str) -> Option<Vec<u8>> {
    let path = portcullis_testkit::interpreted(name);
    if path.is_none() {
        println!("SKIP {name}: the guest is not built");
    }
    path.map(|path| std::fs::read(path).unwrap())
}

/// A module with the imports of fledge that `body` calls, its text in the memory, and a `_start` of this body.
pub(super) fn wat(body: &str) -> Vec<u8> {
    module(&format!(r#"(func (export "_start") {body})"#))
}

/// The functions that a guest can call, and their types.
const CALLS: [(&str, &str); 7] = [
    ("send", "(param i32 i32)"),
    ("recv", "(param i32 i32) (result i32)"),
    ("exit", "(param i32)"),
    ("exec", "(param i32 i32) (result i32)"),
    ("store_set", "(param i32 i32)"),
    ("store_get", "(param i32 i32) (result i32)"),
    ("metadata", "(param i32 i32) (result i32)"),
];

/// A module with these definitions. What of fledge they call is imported, and nothing else.
pub(super) fn module(rest: &str) -> Vec<u8> {
    // One at least, so that it is seen to be of fledge.
    let is_called = |name: &str| name == "exit" || rest.contains(&format!("$fledge_{name} "));
    let imports = CALLS.iter().filter(|(name, _)| is_called(name));
    let imports: String = imports
        .map(|(name, ty)| format!(r#"(import "fledge" "{name}" (func $fledge_{name} {ty}))"#))
        .collect();
    let text = format!(r#"(module {imports} (memory (export "memory") 2) {rest})"#);
    portcullis_testkit::assemble(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A segment of text at this place.
pub(super) fn data(at: usize, text: &str) -> String {
    let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{escaped}\")")
}

/// A guest that sends these messages, one after the other.
pub(super) fn sends(messages: &[&str]) -> Vec<u8> {
    let (mut segments, mut body, mut at) = (String::new(), String::new(), 1024);
    for message in messages {
        segments.push_str(&data(at, message));
        body.push_str(&format!(
            "(call $fledge_send (i32.const {at}) (i32.const {}))",
            message.len()
        ));
        at += message.len() + 8;
    }
    module(&format!(r#"{segments} (func (export "_start") {body})"#))
}

/// A guest that calls this function of fledge with a text, and then does this.
pub(super) fn calls(function: &str, text: &str, then: &str) -> Vec<u8> {
    let drop = if matches!(function, "send" | "store_set") {
        ""
    } else {
        "drop"
    };
    module(&format!(
        r#"{} (func (export "_start") (call $fledge_{function} (i32.const 64) (i32.const {})) {drop} {then})"#,
        data(64, text),
        text.len()
    ))
}

/// State that an application vouches for.
fn owner() -> KvOwner {
    KvOwner::Application {
        name: "test".to_owned(),
    }
}

pub(super) fn with(change: impl FnOnce(&mut Grants)) -> Grants {
    let mut grants = none();
    change(&mut grants);
    grants
}

pub(super) fn store() -> Grants {
    with(give_store)
}

pub(super) fn give_store(grants: &mut Grants) {
    grants.kv = Some(KvGrant {
        size: KvSize::default(),
        owner: owner(),
        origin: Origin::Code,
    });
}

pub(super) fn give_data(grants: &mut Grants) {
    grants.data = Some(DataGrant {
        owner: owner(),
        origin: Origin::Code,
    });
}

pub(super) fn give_facts(grants: &mut Grants) {
    grants.metadata = MetadataKey::ALL.to_vec();
}

/// Reads answers to messages that have an `id`.
pub(super) fn opted_in(grants: &mut Grants) {
    grants.fledge = Some(FledgePlugin {
        version: "0.1.0".to_owned(),
        responses: true,
        ..FledgePlugin::default()
    });
}

/// What came of a run.
pub(super) struct Ran {
    pub(super) ended: Result<i32, CallError>,
    pub(super) activity: Activity,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ran {
    /// The code, where the plugin came to its end.
    pub(super) fn code(&self) -> i32 {
        match &self.ended {
            Ok(code) => *code,
            Err(error) => panic!("{error}: {:?}", error.diagnostic().notes),
        }
    }

    /// What was denied, in order.
    pub(super) fn codes(&self) -> Vec<&str> {
        let denials = self.activity.denials.iter();
        denials.map(|denial| denial.code.as_str()).collect()
    }

    /// All that is said of how it did not.
    pub(super) fn error(&self) -> String {
        let error = self.ended.as_ref().unwrap_err();
        let diagnostic = error.diagnostic();
        format!("{}\n{}", diagnostic.message, diagnostic.notes.join("\n"))
    }
}

/// A place for plugins.
pub(super) struct Stage {
    pub(super) place: tempfile::TempDir,
    pub(super) trail: Arc<Memory>,
    env: Vec<(String, String)>,
    prompter: Option<Arc<dyn Prompter>>,
}

impl Stage {
    pub(super) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("project")).unwrap();
        let env = [
            ("HOME", "/nonexistent"),
            ("GH_PAT", "leakme"),
            ("LANG", "C"),
        ];
        Self {
            place,
            trail: Arc::default(),
            env: env
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            prompter: None,
        }
    }

    pub(super) fn asking(prompter: impl Prompter + 'static) -> Self {
        Self {
            prompter: Some(Arc::new(prompter)),
            ..Self::new()
        }
    }

    pub(super) fn project(&self) -> PathBuf {
        self.place.path().join("project").canonicalize().unwrap()
    }

    /// Where the host keeps what is the plugins' own.
    pub(super) fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    /// The directory of the only plugin that has one.
    pub(super) fn own_data(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.state().join("files")).unwrap();
        entries.next().unwrap().unwrap().path()
    }

    pub(super) fn give_project(&self, grants: &mut Grants) {
        let grant = directory(&self.project(), ".", FsAccess::Read);
        grants.fs.push(grant);
    }

    /// What a guest with every import needs, and these programs.
    pub(super) fn everything(&self, programs: &[&str]) -> Grants {
        with(|grants| {
            give_store(grants);
            give_facts(grants);
            self.give_project(grants);
            grants.exec = Some(exec_grant(programs));
        })
    }

    pub(super) fn files(&self) -> Grants {
        with(|grants| self.give_project(grants))
    }

    fn host(&self, stdout: &MemoryOutputPipe, stderr: &MemoryOutputPipe) -> Host {
        let sink: Arc<dyn Sink> = self.trail.clone();
        let (stdout, stderr) = (stdout.clone(), stderr.clone());
        let stdio = GuestStdio::default()
            .stdin(|| wasmtime_wasi::p2::pipe::MemoryInputPipe::new("typed"))
            .stdout(move || stdout.clone())
            .stderr(move || stderr.clone());
        let host = Host::builder()
            .project(self.project())
            .audit(sink)
            .state(self.state())
            .host_env(HostEnvironment::new(self.env.clone()))
            .guest_stdio(stdio);
        let host = match &self.prompter {
            Some(prompter) => host.prompter(Arc::clone(prompter)),
            None => host,
        };
        host.build().unwrap()
    }

    pub(super) fn load(&self, bytes: Vec<u8>, grants: Grants) -> Result<Plugin, LoadError> {
        let pipe = MemoryOutputPipe::new(0);
        let host = self.host(&pipe, &pipe);
        block_on(host.load(Source { bytes, grants }))
    }

    /// Runs a plugin to its end.
    pub(super) fn run(&self, bytes: Vec<u8>, grants: Grants, words: &[&str]) -> Ran {
        let stdout = MemoryOutputPipe::new(64 << 20);
        let stderr = MemoryOutputPipe::new(1 << 20);
        let host = self.host(&stdout, &stderr);
        let (ended, activity) = block_on(async {
            let plugin = host.load(Source { bytes, grants }).await;
            let session = plugin
                .unwrap_or_else(|error| panic!("{:?}", error.diagnostic()))
                .session("test");
            let ended = session.start_fledge(&args(words)).await;
            (ended, session.take_activity().await)
        });
        let text = |pipe: &MemoryOutputPipe| String::from_utf8(pipe.contents().to_vec()).unwrap();
        Ran {
            ended,
            activity,
            stdout: text(&stdout),
            stderr: text(&stderr),
        }
    }

    /// Runs the guest that does what its arguments say; `None` where it was not built.
    pub(super) fn probe(&self, grants: Grants, words: &[&str]) -> Option<Ran> {
        Some(self.run(rust("fledge-probe")?, grants, words))
    }

    /// The same with every import.
    pub(super) fn full(&self, grants: Grants, words: &[&str]) -> Option<Ran> {
        Some(self.run(rust("fledge-full")?, grants, words))
    }
}
