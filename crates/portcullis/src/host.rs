use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use portcullis_audit::{DigestKey, Sink};
use portcullis_codecache::CodeCache;
use portcullis_exec::{
    CacheOwner, ExecAsk, Executor, ExecutorOptions, GitIdentity, Helper, Place, Quota, Staged,
    Upstream,
};
use portcullis_policy::{
    Confinement, Decision, Digest, ExecRequest, Grants, HostEnvironment, Limits, PluginId,
    SecretSource, Target, decide,
};
use portcullis_proxy::{Dial, Resolve};
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::abi;
use crate::capability::prompt::Prompter;
use crate::capability::{Client, fs, wasi};
use crate::code::{self, Form, Recognized};
use crate::compile::{Compilation, Ready};
use crate::consent::{Asker, Consent};
use crate::diagnostic::Diagnostic;
use crate::engine::{self, Metering, Ticker};
use crate::error::{BuildError, LoadError};
use crate::gate::{GateParts, with_causes};
use crate::guest_log::GuestLog;
use crate::imports;
use crate::kept::{Kept, Shelf};
use crate::last_words::LastWords;
use crate::needs::{Needs, Told};
use crate::notice;
use crate::own_data;
use crate::own_state::OwnState;
use crate::plugin::{Loaded, Plugin};
use crate::rates::AllRates;
use crate::recognize::Kind;
use crate::record::{self, Recorder, Replayer, Tape};
use crate::repositories::with_repositories;
use crate::shape::Shape;
use crate::state::State;
use crate::stdio::GuestStdio;
use crate::trail::{Nowhere, Trail};

/// Bytes a plugin's file may have.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// Runs plugins. Cloning is cheap; nothing is global, so an application may have several with different settings.
///
/// A host needs a Tokio runtime with time and I/O enabled.
#[derive(Clone, Debug)]
pub struct Host(Arc<Shared>);

struct Shared {
    runtime: Runtime,
    /// Made for the first plugin whose instructions are counted.
    with_fuel: OnceLock<Result<Runtime, String>>,
    settings: HostBuilder,
    project: PathBuf,
    /// One for each confinement, in its order: a server proves what it is used for.
    executors: [OnceLock<Result<Executor, String>>; 4],
    /// One question at a time, whichever instance asks.
    turn: Arc<tokio::sync::Mutex<()>>,
    rates: AllRates,
    http: Arc<Client>,
    /// Where plugins' own state is kept.
    shelf: Arc<Shelf>,
}

/// An engine, and what belongs to it: code and linkers of one are of no use with another.
struct Runtime {
    engine: Engine,
    ticker: Arc<Ticker>,
    linker: Linker<State>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

/// Settings of a [`Host`].
///
/// # Defaults
/// - the project directory is the working directory of the process
/// - decisions and outcomes are written down nowhere
/// - compiled code is not cached
/// - plugins are compiled in a process of its own, fully confined: see [`Compilation`]
/// - the host's environment is empty: nothing can be inherited
/// - the spawn server and the compiler are this executable, which must call [`enter`](crate::enter) first in `main`
/// - guests' own output goes nowhere
/// - instances are allocated on demand
/// - commands reach hosts directly, and trust the certificates of the system
/// - plugins' own requests, likewise
/// - no plugin is revoked
/// - no caches are kept between commands
/// - lines that guests write into the log go nowhere
/// - nobody is told what plugins need
/// - nobody is asked: what no rule matches is denied in `dev` mode too, and plugins' own questions have their defaults for
///   answers
#[derive(Default)]
pub struct HostBuilder {
    project: Option<PathBuf>,
    sink: Option<Arc<dyn Sink>>,
    digest_key: Option<Arc<DigestKey>>,
    pub(crate) cache: Option<Arc<CodeCache>>,
    pub(crate) host_env: HostEnvironment,
    helper: Option<PathBuf>,
    pub(crate) own_state: OwnState,
    pub(crate) staged: Option<Staged>,
    stdio: GuestStdio,
    pub(crate) guest_log: Option<Arc<dyn GuestLog>>,
    pooling: bool,
    upstream_proxy: Option<Target>,
    ca_file: Option<PathBuf>,
    network: Option<(Arc<dyn Resolve>, Arc<dyn Dial>)>,
    name_servers: Option<Vec<SocketAddr>>,
    caches: Option<PathBuf>,
    state: Option<PathBuf>,
    consent: Option<Arc<dyn Consent>>,
    prompter: Option<Arc<dyn Prompter>>,
    pub(crate) compilation: Compilation,
    pub(crate) revoked: Vec<Digest>,
    tape: Option<Tape>,
    needs: Told,
}

impl std::fmt::Debug for HostBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostBuilder")
            .field("project", &self.project)
            .field("own_state", &self.own_state)
            .field("pooling", &self.pooling)
            .finish_non_exhaustive()
    }
}

impl HostBuilder {
    /// The directory commands are run in when a plugin names none.
    #[must_use]
    pub fn project(mut self, directory: impl Into<PathBuf>) -> Self {
        self.project = Some(directory.into());
        self
    }

    /// Where decisions and outcomes are written down. If a write fails, nothing is run.
    #[must_use]
    pub fn audit(mut self, sink: Arc<dyn Sink>) -> Self {
        self.sink = Some(sink);
        self
    }

    /// Under which key digests of outputs are written down; without one they are left out.
    #[must_use]
    pub fn digest_key(mut self, key: DigestKey) -> Self {
        self.digest_key = Some(Arc::new(key));
        self
    }

    /// Where compiled code is kept.
    #[must_use]
    pub fn code_cache(mut self, cache: CodeCache) -> Self {
        self.cache = Some(Arc::new(cache));
        self
    }

    /// The SHA-256 of plugins that are never loaded. Digests of anything else among them say nothing.
    #[must_use]
    pub fn revoked(mut self, digests: Vec<Digest>) -> Self {
        self.revoked = digests;
        self
    }

    /// Where plugins are compiled that are not in the cache. Which it was says [`Plugin::compilation`].
    #[must_use]
    pub fn compilation(mut self, compilation: Compilation) -> Self {
        self.compilation = compilation;
        self
    }

    /// The environment that policies may let through, usually that of the process.
    #[must_use]
    pub fn host_env(mut self, env: HostEnvironment) -> Self {
        self.host_env = env;
        self
    }

    /// An executable that calls [`enter`](crate::enter) first in its `main`, by absolute path, for applications that do not.
    #[must_use]
    pub fn spawn_helper(mut self, path: impl Into<PathBuf>) -> Self {
        self.helper = Some(path.into());
        self
    }

    /// Another way to find and reach hosts than this process's own, for plugins' own requests and for commands that were granted
    /// hosts. It is asked to connect only to addresses that were checked, and to the upstream proxy.
    #[must_use]
    pub fn network(mut self, resolver: Arc<dyn Resolve>, dialer: Arc<dyn Dial>) -> Self {
        self.network = Some((resolver, dialer));
        self
    }

    /// Name servers that plugins' own lookups ask, instead of those of the system.
    #[must_use]
    pub fn name_servers(mut self, servers: impl Into<Vec<SocketAddr>>) -> Self {
        self.name_servers = Some(servers.into());
        self
    }

    /// An HTTP proxy through which plugins and commands reach the hosts they were granted. Addresses of names are then checked
    /// by it.
    #[must_use]
    pub fn upstream_proxy(mut self, proxy: Target) -> Self {
        self.upstream_proxy = Some(proxy);
        self
    }

    /// A file of certificates in PEM that plugins' own requests and commands trust instead of those of the system.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(file.into());
        self
    }

    /// A directory for the caches of commands whose [grants](portcullis_policy::ExecGrant::cache) say that they are kept.
    /// It is among [the host's own](Self::own_state): a command reaches its own cache, and no grant any.
    #[must_use]
    pub fn caches(mut self, directory: impl Into<PathBuf>) -> Self {
        self.caches = Some(directory.into());
        self
    }

    /// A directory for the state of plugins whose grants of [keys](portcullis_policy::Grants::kv) or
    /// [files](portcullis_policy::Grants::data) say that they keep some. It is
    /// made (0700) when the first uses its own, and is among [the host's own](Self::own_state): no grant reaches it.
    /// Without one, plugins are told that their state cannot be used.
    #[must_use]
    pub fn state(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state = Some(directory.into());
        self
    }

    /// Who is asked for what no rule matches in `dev` mode.
    #[must_use]
    pub fn consent(mut self, consent: Arc<dyn Consent>) -> Self {
        self.consent = Some(consent);
        self
    }

    /// Who is asked what plugins ask.
    #[must_use]
    pub fn prompter(mut self, prompter: Arc<dyn Prompter>) -> Self {
        self.prompter = Some(prompter);
        self
    }

    /// The host's own files, which no grant reaches.
    #[must_use]
    pub fn own_state(mut self, own: OwnState) -> Self {
        self.own_state = own;
        self
    }

    /// The staging namespace that this process is in. Without one, grants whose changes are to be staged are refused.
    #[must_use]
    pub fn staged(mut self, staged: Option<Staged>) -> Self {
        self.staged = staged;
        self
    }

    /// Where guests' own output goes.
    #[must_use]
    pub fn guest_stdio(mut self, stdio: GuestStdio) -> Self {
        self.stdio = stdio;
        self
    }

    /// Who receives the lines that guests write into the log, where they were granted that.
    #[must_use]
    pub fn guest_log(mut self, log: Arc<dyn GuestLog>) -> Self {
        self.guest_log = Some(log);
        self
    }

    /// Records what one plugin does. No other plugin can be loaded, and none whose grants reach the record.
    #[must_use]
    pub fn record(mut self, recorder: Arc<Recorder>) -> Self {
        self.own_state.secret.push(recorder.path().to_owned());
        self.tape = Some(Tape::Record(recorder));
        self
    }

    /// Who is told what plugins do, so as to know what they need. Their commands are observed then.
    #[must_use]
    pub fn needs(mut self, needs: Arc<dyn Needs>) -> Self {
        self.needs = Told(Some(needs));
        self
    }

    /// Plays a record to the plugin that is loaded.
    pub(crate) fn replay(mut self, replayer: Arc<Replayer>) -> Self {
        self.tape = Some(Tape::Replay(replayer));
        self
    }

    /// Reserves memory for many instances at once, for servers that make thousands a second. Where the reservation
    /// fails, instances are allocated on demand.
    #[must_use]
    pub fn pooling(mut self, pooling: bool) -> Self {
        self.pooling = pooling;
        self
    }

    /// Builds the host.
    ///
    /// # Errors
    /// [`BuildError`] when the project directory is `/`, a home directory or above one, or cannot be opened, and when
    /// the engine cannot be started.
    pub fn build(mut self) -> Result<Host, BuildError> {
        let own = [&self.caches, &self.state].into_iter().flatten();
        self.own_state.secret.extend(own.cloned());
        if let Some(Tape::Record(recorder)) = &self.tape {
            self.stdio = self.stdio.recorded(recorder);
        }
        let shelf = Shelf::new(self.state.clone());
        let project = project_directory(self.project.as_deref(), &self.host_env)?;
        let http = Arc::new(self.http_client());
        Ok(Host(Arc::new(Shared {
            runtime: self.runtime(Metering::Epochs)?,
            with_fuel: OnceLock::new(),
            settings: self,
            project,
            executors: Default::default(),
            turn: Arc::default(),
            rates: AllRates::default(),
            http,
            shelf: Arc::new(shelf),
        })))
    }

    fn http_client(&self) -> Client {
        let upstream = self.upstream_proxy.clone().map(Upstream::from);
        let client = Client::new(upstream, self.ca_file.clone());
        let client = client.with_name_servers(self.name_servers.clone());
        match &self.network {
            Some((resolver, dialer)) => {
                client.with_network(Arc::clone(resolver), Arc::clone(dialer))
            }
            None => client,
        }
    }

    /// An engine, and what belongs to it.
    fn runtime(&self, metering: Metering) -> Result<Runtime, BuildError> {
        let mut config = engine::config(metering, self.pooling);
        // In a cell memory has no file that it could begin as a copy of.
        config.memory_init_cow(!matches!(self.tape, Some(Tape::Replay(_))));
        let engine = Engine::new(&config)
            .or_else(|error| {
                if self.pooling {
                    Engine::new(&engine::config(metering, false))
                } else {
                    Err(error)
                }
            })
            .map_err(BuildError::Engine)?;
        let ticker = Arc::new(Ticker::start(engine.clone()).map_err(BuildError::Ticker)?);
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(BuildError::Engine)?;
        fs::guard::link(&mut linker).map_err(BuildError::Engine)?;
        abi::component::link(&mut linker).map_err(BuildError::Engine)?;
        abi::streams::link(&mut linker).map_err(BuildError::Engine)?;
        abi::command::link(&mut linker).map_err(BuildError::Engine)?;
        abi::env::link(&mut linker).map_err(BuildError::Engine)?;
        abi::wasi_command::link(&mut linker).map_err(BuildError::Engine)?;
        abi::clawft::link(&mut linker).map_err(BuildError::Engine)?;
        abi::log::link(&mut linker).map_err(BuildError::Engine)?;
        abi::prompt::link(&mut linker).map_err(BuildError::Engine)?;
        abi::fs::link(&mut linker).map_err(BuildError::Engine)?;
        abi::http::link(&mut linker).map_err(BuildError::Engine)?;
        abi::keyvalue::link(&mut linker).map_err(BuildError::Engine)?;
        abi::kv::link(&mut linker).map_err(BuildError::Engine)?;
        abi::wasi_http::link(&mut linker).map_err(BuildError::Engine)?;
        Ok(Runtime {
            engine,
            ticker,
            linker,
        })
    }
}

/// The variables that have secrets for requests.
fn secret_names(grants: &Grants) -> Vec<&str> {
    let sources = grants.http.secrets.iter().map(|secret| &secret.source);
    sources
        .filter_map(|source| match source {
            SecretSource::Env(name) => Some(name.as_str()),
            SecretSource::File(_) => None,
        })
        .collect()
}

fn project_directory(wanted: Option<&Path>, env: &HostEnvironment) -> Result<PathBuf, BuildError> {
    let path = wanted.unwrap_or_else(|| Path::new("."));
    let refuse = |why: &str| BuildError::Project {
        path: path.to_owned(),
        why: why.to_owned(),
    };
    let real = path
        .canonicalize()
        .map_err(|error| refuse(&error.to_string()))?;
    if !real.is_dir() {
        return Err(refuse("it is not a directory"));
    }
    let home = env
        .get("HOME")
        .and_then(|home| Path::new(home).canonicalize().ok());
    if real.parent().is_none() || home.is_some_and(|home| home.starts_with(&real)) {
        return Err(refuse(
            "a project is neither `/` nor a home directory nor above one",
        ));
    }
    Ok(real)
}

/// # Errors
/// A core module imports what is not there.
fn imports_there(grants: &Grants, bytes: &[u8]) -> Result<(), LoadError> {
    let missing = imports::module::missing(&Shape::of(bytes).imports, grants);
    match missing.as_slice() {
        [] => Ok(()),
        _ => Err(LoadError::Imports {
            plugin: grants.plugin.clone(),
            missing,
        }),
    }
}

/// Whose caches the commands of a plugin have, if any are kept.
pub(crate) fn caches_of(grants: &Grants, digest: &str) -> Option<CacheOwner> {
    let kept = grants.exec.as_ref().and_then(|exec| exec.cache);
    kept.map(|_| CacheOwner {
        plugin: grants.plugin.clone(),
        digest: digest.to_owned(),
    })
}

/// A plugin's file and what it is granted.
#[derive(Debug)]
pub struct Source {
    /// The file's content: these very bytes are checked and compiled.
    pub bytes: Vec<u8>,
    /// What it may do.
    pub grants: Grants,
}

/// What is known of a plugin by its bytes.
struct Known {
    digest: String,
    sha256: String,
    notices: Vec<Diagnostic>,
    /// What it is recorded with.
    forwarder: Option<code::Compiled>,
}

impl Host {
    /// Starts with the closed defaults of [`HostBuilder`].
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    pub(crate) fn settings(&self) -> &HostBuilder {
        &self.0.settings
    }

    /// The engine for plugins with these limits, and what belongs to it.
    fn runtime(&self, grants: &Grants) -> Result<&Runtime, LoadError> {
        let shared = &self.0;
        let made = match Metering::of(&grants.limits) {
            Metering::Epochs => return Ok(&shared.runtime),
            metering @ Metering::EpochsAndFuel => shared.with_fuel.get_or_init(|| {
                let made = shared.settings.runtime(metering);
                made.map_err(|error| with_causes(&error))
            }),
        };
        made.as_ref().map_err(|why| LoadError::Engine {
            plugin: grants.plugin.clone(),
            why: why.clone(),
        })
    }

    /// The real path of the project directory.
    pub fn project(&self) -> &Path {
        &self.0.project
    }

    fn refuse_revoked(&self, plugin: &PluginId, bytes: &[u8]) -> Result<(), LoadError> {
        let revoked = &self.0.settings.revoked;
        if revoked.is_empty() {
            return Ok(());
        }
        let digest = Digest::from(<[u8; 32]>::from(Sha256::digest(bytes)));
        if revoked.contains(&digest) {
            return Err(LoadError::Revoked {
                plugin: plugin.clone(),
                digest,
            });
        }
        Ok(())
    }

    /// Checks a plugin against its grants and compiles it, or takes it from the cache.
    ///
    /// # Authority
    /// Consumes `source.grants`: the plugin and its instances have these rights and no others.
    ///
    /// # Errors
    /// [`LoadError`]; nothing of the guest has run.
    pub async fn load(&self, source: Source) -> Result<Plugin, LoadError> {
        let Source { bytes, grants } = source;
        let plugin = grants.plugin.clone();
        if bytes.len() as u64 > MAX_BYTES {
            return Err(LoadError::TooLarge {
                plugin,
                bytes: bytes.len() as u64,
                limit: MAX_BYTES,
            });
        }
        self.refuse_revoked(&plugin, &bytes)?;
        let file = code::recognize(&grants, &bytes)?;
        let kind = file.kind;
        let mut grants = with_repositories(grants)?;
        if kind == Kind::WasiCommand {
            // Afterwards it imports what it was made of.
            imports_there(&grants, &bytes)?;
        }
        if kind == Kind::ClawftComponent {
            grants.limits.fuel.get_or_insert(Limits::FUEL_DEFAULT);
            abi::clawft::fits(&grants, &bytes)?;
        }
        if kind == Kind::FledgeModule {
            // fledge gives a plugin ten billion instructions.
            grants.limits.fuel.get_or_insert(*Limits::FUEL.end());
        }
        if kind == Kind::RegletModule {
            grants.reglet.get_or_insert_default();
        }
        if grants.names_plugin_sha256() {
            // Of these very bytes, whatever the caller believes them to be.
            grants.plugin_sha256 = Some(Sha256::digest(&bytes).into());
        }
        let own_state = &self.0.settings.own_state;
        if let Some(reach) = own_state.reached_by_any(&grants) {
            return Err(LoadError::OwnState { plugin, reach });
        }
        self.refuse_unstaged(&grants)?;
        // The spawn server starts while the plugin compiles.
        let starting = self
            .confinement_of_commands(kind, &grants)
            .map(|confinement| {
                let host = self.clone();
                tokio::task::spawn_blocking(move || host.executor(confinement))
            });
        let digest = blake3::hash(&bytes).to_hex().to_string();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let notices = notice::of_file(&plugin, kind, &bytes);
        let runtime = self.runtime(&grants)?;
        let engine = &runtime.engine;
        let forwarded = self.is_recorded(file).then(|| bytes.clone());
        let (compiled, compilation) = self.compile(file, &grants, engine, bytes).await?;
        let missing = compiled.missing(engine, &grants);
        if !missing.is_empty() && !self.is_replayed() {
            return Err(LoadError::Imports { plugin, missing });
        }
        let executor = match starting {
            Some(starting) if compiled.wants_exec(engine) => {
                let started = starting
                    .await
                    .unwrap_or_else(|error| Err(error.to_string()));
                Some(started.map_err(|why| LoadError::Executor {
                    plugin: plugin.clone(),
                    why,
                })?)
            }
            Some(_) | None => None,
        };
        let forwarder = match forwarded {
            Some(bytes) => {
                let file = Recognized {
                    form: Form::Forwarder,
                    ..file
                };
                Some(self.compile(file, &grants, engine, bytes).await?.0)
            }
            None => None,
        };
        let known = Known {
            digest,
            sha256,
            notices,
            forwarder,
        };
        self.assemble(runtime, (compiled, compilation), grants, known, executor)
    }

    /// Whether a plugin is recorded by means of a forwarder.
    fn is_recorded(&self, file: Recognized) -> bool {
        matches!(self.0.settings.tape, Some(Tape::Record(_))) && file.form != Form::Module
    }

    /// Whether nothing of a plugin reaches this host.
    fn is_replayed(&self) -> bool {
        matches!(self.0.settings.tape, Some(Tape::Replay(_)))
    }

    /// Refuses grants whose changes would not be staged although they should be.
    ///
    /// # Errors
    /// [`LoadError::NotStaged`].
    pub(crate) fn refuse_unstaged(&self, grants: &Grants) -> Result<(), LoadError> {
        match crate::staging::uncovered(grants, self.0.settings.staged.as_ref()) {
            Some(path) => Err(LoadError::NotStaged {
                plugin: grants.plugin.clone(),
                path: path.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// How commands of a plugin are confined, and those that the host runs for it; `None` where there are none.
    fn confinement_of_commands(&self, kind: Kind, grants: &Grants) -> Option<Confinement> {
        let asks_git =
            kind == Kind::FledgeModule && grants.metadata.iter().any(|key| key.is_of_git());
        let of_host = match self.0.settings.compilation {
            Compilation::Confined(confinement) => confinement,
            Compilation::InProcess => Confinement::default(),
        };
        let own = grants.exec.as_ref().map(|exec| exec.confinement);
        own.or(asks_git.then_some(of_host))
    }

    /// Answers what a plugin with these grants would be told, without running anything.
    ///
    /// The program and the directory are looked up and opened as for a real call, since the decision is about what is
    /// found.
    ///
    /// # Errors
    /// When the project directory cannot be opened any more.
    pub fn explain(
        &self,
        grants: &Grants,
        ask: &ExecAsk,
    ) -> std::io::Result<Decision<ExecRequest>> {
        let host_env = self.0.settings.host_env.without(&secret_names(grants));
        let place = Place::open(&self.0.project, host_env)?;
        let (request, _) = portcullis_exec::resolve(grants, &place, ask);
        Ok(decide(grants, request))
    }

    /// The spawn server for a confinement, started once.
    pub(crate) fn executor(&self, confinement: Confinement) -> Result<Executor, String> {
        let settings = &self.0.settings;
        let start = || {
            let helper =
                Helper::find(settings.helper.as_deref()).map_err(|error| with_causes(&error))?;
            let mut options = ExecutorOptions::default();
            options.confinement = confinement;
            options.proxy.upstream = settings.upstream_proxy.clone().map(Upstream::from);
            if let Some((resolver, dialer)) = &settings.network {
                options.proxy.resolver = Arc::clone(resolver);
                options.proxy.dialer = Arc::clone(dialer);
            }
            options.ca_file.clone_from(&settings.ca_file);
            options.caches.clone_from(&settings.caches);
            options.git = GitIdentity::read(&settings.host_env);
            options.observe = settings.needs.0.is_some();
            Executor::start(helper, &options).map_err(|error| with_causes(&error))
        };
        self.0.executors[confinement as usize]
            .get_or_init(start)
            .clone()
    }

    fn assemble(
        &self,
        runtime: &Runtime,
        (compiled, compilation): Ready,
        grants: Grants,
        known: Known,
        executor: Option<Executor>,
    ) -> Result<Plugin, LoadError> {
        let shared = &self.0;
        let plugin = grants.plugin.clone();
        let kind = compiled.kind();
        let settings = &shared.settings;
        let interface = |why| LoadError::Interface {
            plugin: plugin.clone(),
            kind,
            why,
        };
        let (engine, linker, tape) = (&runtime.engine, &runtime.linker, settings.tape.as_ref());
        let forwarding = match (&known.forwarder, compiled.component(), tape) {
            (Some(forwarder), Some(component), Some(tape)) => {
                let forwarding = forwarder.forward(component, engine, linker, &grants, tape);
                Some(forwarding.map_err(|error| interface(format!("{error:#}")))?)
            }
            _ => None,
        };
        let code = compiled
            .link(engine, linker, &grants, tape)
            .map_err(interface)?;
        // What the host adds to requests is in no environment that a guest or a command could be given.
        let host_env = settings.host_env.without(&secret_names(&grants));
        let guest_env = host_env.with(&grants.given_env);
        // Opened once here, so that a directory that is missing is an error at load and not at the first call.
        wasi::context(&grants, &guest_env, &settings.stdio, &LastWords::default())?;
        let own_data = match kind {
            Kind::FledgeModule => own_data::make(settings.state.as_deref(), &grants),
            _ => Ok(None),
        };
        let own_data = own_data.map_err(|why| LoadError::Preopen {
            plugin: plugin.clone(),
            path: "/plugin".into(),
            why,
        })?;
        let aside = self.confinement_of_commands(kind, &grants);
        let place = match self.is_replayed() {
            true => Place::of_nothing(&shared.project),
            false => Place::open(&shared.project, host_env.clone()),
        };
        let place = place.map_err(|error| LoadError::Preopen {
            plugin: plugin.clone(),
            path: shared.project.clone(),
            why: error.to_string(),
        })?;
        let grants = Arc::new(grants);
        let gate = Arc::new(GateParts {
            quota: Arc::new(Quota::new(&grants.limits)),
            rates: shared.rates.of(&plugin),
            grants: Arc::clone(&grants),
            place: Arc::new(place),
            executor,
            caches_of: caches_of(&grants, &known.digest),
            named_by_git: Arc::default(),
            roots: Arc::default(),
            kept: Arc::new(Kept::of(&shared.shelf, &grants)),
            trail: self.trail(),
            stdio: settings.stdio.clone(),
            guest_log: settings.guest_log.clone(),
            asker: self.asker(),
            prompter: settings.prompter.clone(),
            own_data: own_data.clone(),
            aside: aside.unwrap_or_default(),
            http: Arc::clone(&shared.http),
            secret_env: settings.host_env.clone(),
            guest_env: guest_env.clone(),
            tape: settings.tape.clone(),
            needs: settings.needs.clone(),
        });
        if let Some(Tape::Record(recorder)) = tape {
            let begun = record::begin(recorder, kind, known.sha256, &gate);
            begun.map_err(|why| LoadError::Record { plugin, why })?;
        }
        Ok(Plugin(Arc::new(Loaded {
            engine: runtime.engine.clone(),
            ticker: Arc::clone(&runtime.ticker),
            code,
            grants,
            gate,
            guest_env,
            stdio: settings.stdio.clone(),
            digest: known.digest,
            compilation,
            notices: known.notices,
            own_data,
            forwarding,
        })))
    }

    pub(crate) fn http(&self) -> &Arc<Client> {
        &self.0.http
    }

    pub(crate) fn asker(&self) -> Asker {
        Asker {
            consent: self.0.settings.consent.clone(),
            turn: Arc::clone(&self.0.turn),
        }
    }

    pub(crate) fn trail(&self) -> Trail {
        let settings = &self.0.settings;
        Trail {
            sink: settings.sink.clone().unwrap_or_else(|| Arc::new(Nowhere)),
            key: settings.digest_key.clone(),
        }
    }
}
