//! The calls in Extism, through its SDK for Rust, as its book has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use extism::convert::Json;
use extism::{CompiledPlugin, Manifest, PTR, Plugin, PluginBuilder, UserData, Wasm, host_fn};
use serde::{Deserialize, Serialize};

use crate::Call;
use crate::uses::{Native, Use};

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

// What a guest does itself: the native side of the comparison, called from a function of the host.
host_fn!(read_file(native: Arc<Native>; path: String) -> Vec<u8> {
    Ok(own(&native)?.read(&path)?)
});
host_fn!(get_env(native: Arc<Native>; name: String) -> String {
    Ok(own(&native)?.env(&name).unwrap_or_default())
});
host_fn!(log_line(native: Arc<Native>; line: String) {
    Ok(own(&native)?.log(&line)?)
});
host_fn!(kv_get(native: Arc<Native>; key: String) -> Vec<u8> {
    Ok(own(&native)?.kv(&key)?.unwrap_or_default())
});

fn own(native: &UserData<Arc<Native>>) -> anyhow::Result<Arc<Native>> {
    let native = native.get()?;
    let native = native.lock();
    let native = native.map_err(|_| anyhow::anyhow!("a function of the host panicked"))?;
    Ok(Arc::clone(&native))
}

/// Where `cargo xtask bench -- peers` puts the guest.
fn guest() -> anyhow::Result<Vec<u8>> {
    let built = "bench/peers/target/wasm32-unknown-unknown/release/portcullis_peers_guest.wasm";
    Ok(std::fs::read(portcullis_testkit::repository().join(built))?)
}

impl Runtime {
    /// With a limit of memory, as Portcullis always has, and with a deadline for each call if that is wanted.
    pub(crate) fn new(deadline: bool, native: &Arc<Native>) -> anyhow::Result<Self> {
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
        let own = || UserData::new(Arc::clone(native));
        let builder = builder
            .with_function("read_file", [PTR], [PTR], own(), read_file)
            .with_function("get_env", [PTR], [PTR], own(), get_env)
            .with_function("log_line", [PTR], [], own(), log_line)
            .with_function("kv_get", [PTR], [PTR], own(), kv_get);
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

    /// What it takes more to do something so often in one call than not at all.
    pub(crate) fn again(
        &mut self,
        what: Use,
        object: &str,
        times: u32,
    ) -> anyhow::Result<Duration> {
        let name = match what {
            Use::ReadSmall | Use::ReadLarge => "read",
            Use::Env => "env",
            Use::Log => "log",
            Use::Kv => "kv",
        };
        let mut took = [Duration::ZERO; 2];
        for (took, times) in took.iter_mut().zip([0, times]) {
            let start = Instant::now();
            let answer: String = self.0.call("again", Json((name, times, object)))?;
            *took = start.elapsed();
            anyhow::ensure!((answer != "0") == (times > 0), "{what:?}: it got {answer}");
        }
        Ok(took[1].saturating_sub(took[0]))
    }
}
