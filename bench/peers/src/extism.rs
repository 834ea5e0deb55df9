//! The calls in Extism, through its SDK for Rust, as its book has them.

use std::time::Duration;

use extism::convert::Json;
use extism::{CompiledPlugin, Manifest, PTR, Plugin, PluginBuilder, UserData, Wasm, host_fn};
use serde::{Deserialize, Serialize};

use crate::Call;

/// The module, compiled.
pub(crate) struct Runtime(CompiledPlugin);

/// An instance of it.
pub(crate) struct Instance(Plugin);

#[derive(Deserialize)]
struct Request {
    program: String,
    args: Vec<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
    inherit_env: bool,
    stdin: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Answer {
    status: u32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

host_fn!(exec(_nothing: (); request: Json<Request>) -> Json<Answer> {
    let Json(request) = request;
    std::hint::black_box((request.program, request.args, request.cwd));
    std::hint::black_box((request.env, request.inherit_env, request.stdin));
    Ok(Json(Answer { status: 0, stdout: Vec::new(), stderr: Vec::new() }))
});

/// Where `cargo xtask bench -- peers` puts the guest.
fn guest() -> anyhow::Result<Vec<u8>> {
    let built = "bench/peers/target/wasm32-unknown-unknown/release/portcullis_peers_guest.wasm";
    Ok(std::fs::read(portcullis_testkit::repository().join(built))?)
}

impl Runtime {
    /// With a limit of memory, as Portcullis always has, and with a deadline for each call if that is wanted.
    pub(crate) fn new(deadline: bool) -> anyhow::Result<Self> {
        let mut manifest = Manifest::new([Wasm::data(guest()?)]).with_memory_max(1024);
        if deadline {
            manifest = manifest.with_timeout(Duration::from_secs(120));
        }
        let builder = PluginBuilder::new(manifest).with_wasi(false).with_function(
            "exec",
            [PTR],
            [PTR],
            UserData::new(()),
            exec,
        );
        Ok(Self(CompiledPlugin::new(builder)?))
    }

    pub(crate) fn instance(&self) -> anyhow::Result<Instance> {
        Ok(Instance(Plugin::new_from_compiled(&self.0)?))
    }
}

impl Instance {
    pub(crate) fn call(&mut self, call: Call<'_>) -> anyhow::Result<String> {
        match call {
            Call::Nothing => self.0.call("noop", ()),
            Call::Text(text) => self.0.call("echo", text),
            Call::Texts(texts) => self.0.call("join", Json(texts)),
        }
    }

    /// Asks for a command so often; how often it ran.
    pub(crate) fn ask(&mut self, count: u32) -> anyhow::Result<u32> {
        Ok(self
            .0
            .call::<_, String>("ask", count.to_string())?
            .parse()?)
    }
}
