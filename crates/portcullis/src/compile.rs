//! Compiling plugins where a hostile one can do no harm.
//!
//! A module can be written so that compiling it takes minutes and gigabytes, or hits a fault of the compiler. So the
//! host's executable compiles in a process of its own: in a cell with no file of the user and no network, for so long
//! and with so much memory as the plugin's limits say.
//!
//! This protects the host while it compiles: its memory, its time, its files. It does not make the code that comes back
//! any better: a module that makes the compiler emit wrong code has that code run in the host, as with any compiler
//! that is not proved, and wherever it is compiled.

use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, LazyLock};

use portcullis_codecache::{AnswerError, CodeCache, Compiled, Maker, Order, serve};
use portcullis_exec::{Job, JobError};
use portcullis_policy::{Confinement, Grants};
use tokio::task::spawn_blocking;
use wasmtime::Engine;

use crate::code::{Compiled as Code, Form, Recognized};
use crate::componentize::COMMAND;
use crate::engine::{self, Metering};
use crate::error::LoadError;
use crate::gate::with_causes;
use crate::host::Host;
use crate::record;
use crate::record::forward::FORWARDER;

/// What a compiling process is called. With a space, so that no file name in `PATH` is it by chance.
const ROLES: [Role; 4] = [
    ("portcullis: compiler", Metering::Epochs, &COMMAND),
    (
        "portcullis: compiler, fuel",
        Metering::EpochsAndFuel,
        &COMMAND,
    ),
    ("portcullis: forwarder", Metering::Epochs, &FORWARDER),
    (
        "portcullis: forwarder, fuel",
        Metering::EpochsAndFuel,
        &FORWARDER,
    ),
];

/// A name, what is counted, and how what is no component yet is made one.
type Role = (&'static str, Metering, &'static LazyLock<Maker>);

/// Where plugins are compiled.
///
/// # Defaults
/// `Confined(Confinement::Full)`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compilation {
    /// In a process of its own, under this confinement and the plugin's limits of time and memory. The process is the
    /// one that serves as spawn server too, so [`enter`](crate::enter) must be the first call in its `main`.
    Confined(Confinement),
    /// In the host's process: a hostile module has the host's rights and memory if the compiler has a fault. Its time is
    /// limited, its memory is not; what was given up goes on in a thread until it is done.
    InProcess,
}

impl Default for Compilation {
    fn default() -> Self {
        Self::Confined(Confinement::Full)
    }
}

impl Compilation {
    /// The word for it in results: that of the confinement, or `in-process`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confined(confinement) => confinement.name(),
            Self::InProcess => "in-process",
        }
    }
}

/// Serves if this process was started as spawn server, to compile a plugin or to play a record; otherwise returns at once.
///
/// Must be the first call in `main` of every program that runs plugins, before threads are made, files are opened and
/// arguments are read: what serves is the same executable started again.
///
/// # Authority
/// Ambient: a spawn server uses the process's own rights. A compiler uses its standard input and output.
pub fn enter() {
    portcullis_exec::enter();
    let called = std::env::args_os().next();
    let is = |role: &str| called.as_deref() == Some(OsStr::new(role));
    let served = if is(record::ROLE) {
        record::serve(io::stdin().lock(), io::stdout().lock())
    } else if let Some((_, metering, maker)) = ROLES.iter().find(|(role, ..)| is(role)) {
        Engine::new(&engine::config(*metering, false))
            .map_err(io::Error::other)
            .and_then(|engine| {
                serve(
                    &engine,
                    Some(maker),
                    io::stdin().lock(),
                    io::stdout().lock(),
                )
            })
    } else {
        return;
    };
    #[expect(
        clippy::exit,
        reason = "a second copy of an application must not run on"
    )]
    std::process::exit(match served {
        Ok(()) => 0,
        Err(error) => {
            use std::io::Write;
            // Whoever ordered it learns of the failure by the code as well.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    })
}

/// A plugin's code, and where it was compiled; `None` if it comes from the cache.
pub(crate) type Ready = (Code, Option<Compilation>);

/// What is being compiled, for whom and which engine.
#[derive(Clone, Copy)]
struct For<'a> {
    file: Recognized,
    grants: &'a Grants,
    engine: &'a Engine,
}

impl For<'_> {
    fn role(self) -> &'static str {
        let [plain, fuel, forwarder, forwarder_fuel] = ROLES;
        match (Metering::of(&self.grants.limits), self.file.form) {
            (Metering::Epochs, Form::Forwarder) => forwarder.0,
            (Metering::EpochsAndFuel, Form::Forwarder) => forwarder_fuel.0,
            (Metering::Epochs, _) => plain.0,
            (Metering::EpochsAndFuel, _) => fuel.0,
        }
    }

    fn invalid(self, why: String) -> LoadError {
        LoadError::Invalid {
            plugin: self.grants.plugin.clone(),
            kind: self.file.kind,
            why,
        }
    }

    /// Does what takes the processor or the disk a while. A plugin on which it fails or panics is not valid.
    async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, LoadError> {
        let done = spawn_blocking(work).await;
        done.unwrap_or_else(|panic| Err(panic.to_string()))
            .map_err(|why| self.invalid(why))
    }
}

impl Host {
    /// Takes a plugin's code from the cache, or compiles it.
    pub(crate) async fn compile(
        &self,
        file: Recognized,
        grants: &Grants,
        engine: &Engine,
        bytes: Vec<u8>,
    ) -> Result<Ready, LoadError> {
        let plugin = For {
            file,
            grants,
            engine,
        };
        let (engine, cache) = (engine.clone(), self.settings().cache.clone());
        let look = move || Ok((from_cache(file, &engine, cache, &bytes), bytes));
        let (cached, bytes) = plugin.blocking(look).await?;
        if let Some(code) = cached {
            return Ok((code, None));
        }
        let compilation = self.settings().compilation;
        let code = match compilation {
            Compilation::Confined(confinement) => {
                self.compile_confined(plugin, confinement, bytes).await?
            }
            Compilation::InProcess => self.compile_here(plugin, bytes).await?,
        };
        Ok((code, Some(compilation)))
    }

    async fn compile_confined(
        &self,
        plugin: For<'_>,
        confinement: Confinement,
        bytes: Vec<u8>,
    ) -> Result<Code, LoadError> {
        let For {
            file,
            grants,
            engine,
        } = plugin;
        let limits = &grants.limits;
        let failed = |why: String| LoadError::Compiler {
            plugin: grants.plugin.clone(),
            confinement,
            why,
        };
        let host = self.clone();
        let executor = plugin.blocking(move || Ok(host.executor(confinement)));
        let executor = executor.await?.map_err(failed)?;
        let engine = engine.clone();
        let order = plugin.blocking(move || {
            Ok(match file.form {
                Form::Module => Order::module(&engine, bytes),
                Form::Made => Order::made(&engine, &COMMAND, bytes),
                Form::Forwarder => Order::made(&engine, &FORWARDER, bytes),
                Form::Component => Order::component(&engine, bytes),
            })
        });
        let mut order = order.await?.map_err(|error| failed(error.to_string()))?;
        let job = Job {
            role: plugin.role(),
            input: order.take_message(),
            time: limits.compile_time,
            memory: limits.compile_memory,
            // A compiler has its result in memory twice before it writes it.
            output: limits.compile_memory / 2,
        };
        let answer = executor.work(job).await.map_err(|error| match error {
            JobError::Time => LoadError::CompileTime {
                plugin: grants.plugin.clone(),
                limit: limits.compile_time,
            },
            JobError::Memory | JobError::Output => LoadError::CompileMemory {
                plugin: grants.plugin.clone(),
                limit: limits.compile_memory,
            },
            error => failed(with_causes(&error)),
        })?;
        let cache = self.settings().cache.clone();
        let accept = move || Ok(order.accept(answer).map(|answer| load(file, answer, cache)));
        match plugin.blocking(accept).await? {
            Ok(code) => code.map_err(|error| failed(format!("{error:#}"))),
            Err(AnswerError::Refused(why)) => Err(plugin.invalid(why)),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn compile_here(&self, plugin: For<'_>, bytes: Vec<u8>) -> Result<Code, LoadError> {
        let For {
            file,
            grants,
            engine,
        } = plugin;
        let (engine, cache) = (engine.clone(), self.settings().cache.clone());
        let work = plugin.blocking(move || {
            let code = Code::compile(file, &engine, &bytes);
            let code = code.map_err(|error| format!("{error:#}"))?;
            if let Some(cache) = cache
                && let Err(error) = code.put(&cache, &bytes)
            {
                not_cached(&error);
            }
            Ok(code)
        });
        let limit = grants.limits.compile_time;
        let late = |_| LoadError::CompileTime {
            plugin: grants.plugin.clone(),
            limit,
        };
        tokio::time::timeout(limit, work).await.map_err(late)?
    }
}

fn from_cache(
    file: Recognized,
    engine: &Engine,
    cache: Option<Arc<CodeCache>>,
    bytes: &[u8],
) -> Option<Code> {
    Code::get(file, &*cache?, engine, bytes).unwrap_or_else(|error| {
        tracing::warn!(%error, "cached code was not used");
        None
    })
}

fn load(
    Recognized { kind, form }: Recognized,
    answer: Compiled,
    cache: Option<Arc<CodeCache>>,
) -> wasmtime::Result<Code> {
    if let Some(cache) = cache
        && let Err(error) = cache.put_compiled(&answer)
    {
        not_cached(&error);
    }
    Ok(match form {
        Form::Module => Code::of_module(kind, answer.module()?),
        Form::Made | Form::Component => Code::of_component(kind, answer.component()?),
        Form::Forwarder => Code::Forwarder(answer.component()?),
    })
}

/// It can be used all the same.
fn not_cached(error: &portcullis_codecache::StoreError) {
    tracing::warn!(%error, "compiled code was not cached");
}
