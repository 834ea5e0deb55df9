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
use std::sync::Arc;

use portcullis_codecache::{AnswerError, CodeCache, Compiled, Order, serve};
use portcullis_exec::{Job, JobError};
use portcullis_policy::{Confinement, Grants, PluginId};
use tokio::task::spawn_blocking;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::engine;
use crate::error::LoadError;
use crate::gate::with_causes;
use crate::host::Host;

/// What a compiling process is called. With a space, so that no file name in `PATH` is it by chance.
const ROLE: &str = "portcullis: compiler";

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

/// Serves if this process was started as spawn server or to compile a plugin; otherwise returns at once.
///
/// Must be the first call in `main` of every program that runs plugins, before threads are made, files are opened and
/// arguments are read: what serves is the same executable started again.
///
/// # Authority
/// Ambient: a spawn server uses the process's own rights. A compiler uses its standard input and output.
pub fn enter() {
    portcullis_exec::enter();
    if std::env::args_os().next().as_deref() != Some(OsStr::new(ROLE)) {
        return;
    }
    let compiled = Engine::new(&engine::config(false))
        .map_err(io::Error::other)
        .and_then(|engine| serve(&engine, io::stdin().lock(), io::stdout().lock()));
    #[expect(
        clippy::exit,
        reason = "a second copy of an application must not run on"
    )]
    std::process::exit(match compiled {
        Ok(()) => 0,
        Err(error) => {
            use std::io::Write;
            // Whoever ordered it learns of the failure by the code as well.
            let _ = writeln!(io::stderr(), "{error}");
            1
        }
    })
}

/// A component, and where it was compiled; `None` if it comes from the cache.
pub(crate) type Ready = (Component, Option<Compilation>);

impl Host {
    /// Takes a component from the cache, or compiles it.
    pub(crate) async fn component(
        &self,
        grants: &Grants,
        bytes: Vec<u8>,
    ) -> Result<Ready, LoadError> {
        let plugin = &grants.plugin;
        let (engine, cache) = (self.engine().clone(), self.settings().cache.clone());
        let (cached, bytes) = blocking(plugin, move || {
            Ok((from_cache(&engine, cache, &bytes), bytes))
        })
        .await?;
        if let Some(component) = cached {
            return Ok((component, None));
        }
        let compilation = self.settings().compilation;
        let component = match compilation {
            Compilation::Confined(confinement) => {
                self.compile_confined(grants, confinement, bytes).await?
            }
            Compilation::InProcess => self.compile_here(grants, bytes).await?,
        };
        Ok((component, Some(compilation)))
    }

    async fn compile_confined(
        &self,
        grants: &Grants,
        confinement: Confinement,
        bytes: Vec<u8>,
    ) -> Result<Component, LoadError> {
        let (plugin, limits) = (&grants.plugin, &grants.limits);
        let failed = |why: String| LoadError::Compiler {
            plugin: plugin.clone(),
            confinement,
            why,
        };
        let host = self.clone();
        let executor = blocking(plugin, move || Ok(host.executor(confinement)))
            .await?
            .map_err(failed)?;
        let engine = self.engine().clone();
        let mut order = blocking(plugin, move || Ok(Order::component(&engine, bytes)))
            .await?
            .map_err(|error| failed(error.to_string()))?;
        let job = Job {
            role: ROLE,
            input: order.take_message(),
            time: limits.compile_time,
            memory: limits.compile_memory,
            // A compiler has its result in memory twice before it writes it.
            output: limits.compile_memory / 2,
        };
        let answer = executor.work(job).await.map_err(|error| match error {
            JobError::Time => LoadError::CompileTime {
                plugin: plugin.clone(),
                limit: limits.compile_time,
            },
            JobError::Memory | JobError::Output => LoadError::CompileMemory {
                plugin: plugin.clone(),
                limit: limits.compile_memory,
            },
            error => failed(with_causes(&error)),
        })?;
        let cache = self.settings().cache.clone();
        let loaded = blocking(plugin, move || {
            Ok(order.accept(answer).map(|compiled| load(compiled, cache)))
        })
        .await?;
        match loaded {
            Ok(component) => component.map_err(|error| failed(format!("{error:#}"))),
            Err(AnswerError::Refused(why)) => Err(LoadError::Invalid {
                plugin: plugin.clone(),
                why,
            }),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn compile_here(&self, grants: &Grants, bytes: Vec<u8>) -> Result<Component, LoadError> {
        let (engine, cache) = (self.engine().clone(), self.settings().cache.clone());
        let plugin = &grants.plugin;
        let work = blocking(plugin, move || {
            let component =
                Component::new(&engine, &bytes).map_err(|error| format!("{error:#}"))?;
            if let Some(cache) = cache
                && let Err(error) = cache.put_component(&bytes, &component)
            {
                not_cached(&error);
            }
            Ok(component)
        });
        let limit = grants.limits.compile_time;
        let late = |_| LoadError::CompileTime {
            plugin: plugin.clone(),
            limit,
        };
        tokio::time::timeout(limit, work).await.map_err(late)?
    }
}

fn from_cache(engine: &Engine, cache: Option<Arc<CodeCache>>, bytes: &[u8]) -> Option<Component> {
    cache?.get_component(engine, bytes).unwrap_or_else(|error| {
        tracing::warn!(%error, "cached code was not used");
        None
    })
}

fn load(compiled: Compiled, cache: Option<Arc<CodeCache>>) -> wasmtime::Result<Component> {
    if let Some(cache) = cache
        && let Err(error) = cache.put_compiled(&compiled)
    {
        not_cached(&error);
    }
    compiled.component()
}

/// It can be used all the same.
fn not_cached(error: &portcullis_codecache::StoreError) {
    tracing::warn!(%error, "compiled code was not cached");
}

/// Does what takes the processor or the disk a while. A plugin on which it fails or panics is not valid.
async fn blocking<T: Send + 'static>(
    plugin: &PluginId,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, LoadError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|panic| Err(panic.to_string()))
        .map_err(|why| LoadError::Invalid {
            plugin: plugin.clone(),
            why,
        })
}
