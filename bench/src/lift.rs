//! A guest over a host of its own that answers every request at once with an empty result: what lifting a request and
//! lowering its answer cost, and nothing else of the host. `bench/peers` has it too.

use std::time::{Duration, Instant};

use wasmtime::component::{Component, ComponentType, Linker, Lower, TypedFunc};
use wasmtime::{Config, Engine, Store};

/// Such a guest, instantiated.
pub(crate) struct Lift {
    store: Store<()>,
    run: TypedFunc<(Vec<String>,), (Result<String, String>,)>,
}

#[derive(ComponentType, wasmtime::component::Lift)]
#[component(record)]
struct Request {
    program: String,
    args: Vec<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
    #[component(name = "inherit-env")]
    inherit_env: bool,
    stdin: Option<Vec<u8>>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Answer {
    status: u32,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Lift {
    /// The test guest of this name.
    pub(crate) async fn new(guest: &str) -> anyhow::Result<Self> {
        let engine = Engine::new(Config::new().epoch_interruption(true))?;
        let component = Component::new(&engine, portcullis_testkit::guest_bytes(guest))?;
        let mut linker = Linker::new(&engine);
        linker
            .instance("portcullis:cli/process@0.1.0")?
            .func_wrap_async("exec", |_, (request,): (Request,)| {
                std::hint::black_box((request.program, request.args, request.cwd));
                std::hint::black_box((request.env, request.inherit_env, request.stdin));
                Box::new(async {
                    Ok((Ok::<_, String>(Answer {
                        status: 0,
                        stdout: Vec::new(),
                        stderr: Vec::new(),
                    }),))
                })
            })?;
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(u64::MAX / 2);
        let instance = linker.instantiate_async(&mut store, &component).await?;
        let run = instance.get_typed_func(&mut store, "run")?;
        Ok(Self { store, run })
    }

    /// How long one call takes.
    pub(crate) async fn call(&mut self, args: Vec<String>) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let (answer,) = self.run.call_async(&mut self.store, (args,)).await?;
        let took = start.elapsed();
        answer.map_err(anyhow::Error::msg)?;
        Ok(took)
    }
}
