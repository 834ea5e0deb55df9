//! Run other people's plugins: each can do exactly what it was granted, and so can every process it starts.
//!
//! A plugin is a WebAssembly component, or a core module of a certain form. It may call native commands, read and write files,
//! send HTTP requests and keep state, each only as far as its [`Grants`](policy::Grants) say. This crate loads plugins, runs
//! them, and holds the one door between a guest and the host. What a plugin starts is confined by the kernel to the plugin's
//! own grants, or refused where that cannot be done.
//!
//! ```no_run
//! use portcullis::policy::{ExecGrant, Grants, PluginId, ProgramRule};
//! use portcullis::{Host, Source};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     portcullis::enter(); // first: this executable is also the spawn server, and compiles plugins
//!     tokio::runtime::Runtime::new()?.block_on(async {
//!         let mut grants = Grants::none(PluginId::new("report")?);
//!         grants.exec = Some(ExecGrant { allow: vec![ProgramRule::any_arguments("git")], ..ExecGrant::default() });
//!         let host = Host::builder().project(".").build()?;
//!         let plugin = host.load(Source { bytes: std::fs::read("report.wasm")?, grants }).await?;
//!         let mut instance = plugin.instantiate("first").await?;
//!         let answer = instance.run(&[]).await?;
//!         println!("{}", answer.unwrap_or_else(|error| error));
//!         Ok(())
//!     })
//! }
//! ```
//!
//! A plugin that is to be used again and again has a [`Session`], which makes another instance when one crashes.
//!
//! Read first: [`Host`], [`Plugin`], [`Session`], [`Instance`], and [`policy`].

mod abi;
mod activity;
mod capability;
mod clock;
mod code;
mod command;
mod compile;
mod componentize;
mod consent;
mod diagnostic;
mod digest;
mod engine;
mod error;
mod exception;
mod exhausted;
mod explained;
mod gate;
mod guest_log;
mod host;
mod imports;
mod inspect;
mod instance;
mod kept;
mod last_words;
mod needs;
mod notice;
mod outline;
mod own_data;
mod own_state;
mod plugin;
mod rates;
mod recognize;
mod record;
mod repositories;
mod session;
mod shape;
mod staging;
mod state;
mod stdio;
mod trail;

pub use abi::clawft::{Description, Tool, fits as clawft_size};
pub use abi::reglet::{Observation, RegletError, RegletStatus, RegletText};
pub use activity::{Activity, Command};
pub use capability::prompt::{Prompt, PromptKind, Prompter, Reply};
pub use command::{Ending, Native, Ran};
pub use compile::{Compilation, enter};
pub use consent::{Answer, Consent, Question};
pub use diagnostic::Diagnostic;
pub use error::{BuildError, CallError, LoadError, MissingImport};
pub use exception::Exception;
pub use exhausted::{Exhausted, Resource};
pub use explained::keeps_secrets;
pub use guest_log::{GuestLog, LogLine};
pub use host::{Host, HostBuilder, Source};
pub use inspect::{Import, Inspection, inspect};
pub use instance::Instance;
pub use needs::{EndedCommand, Need, NeededCommand, Needs};
pub use own_state::{OwnState, Reach};
pub use plugin::Plugin;
pub use portcullis_audit as audit;
pub use portcullis_codecache::CodeCache;
pub use portcullis_config as config;
pub use portcullis_exec::{
    CACHE_VARIABLES, Cleared, Connections, Container, ExecAsk, Executable, Hinders, Input,
    KeptCache, Observed, Obstacle, Output, Outside, Overlay, Protection, Report, Staged, Staging,
    StagingError, StagingStep, Status, Stdio, Tier, caches, certificates, cgroup_obstacle,
    clear_caches, enter_leaf_cgroup, enter_staging, obstacles,
};
pub use portcullis_kv as kv;
pub use portcullis_policy as policy;
pub use portcullis_proxy::{Dial, Dialling, Resolve, Resolving};
pub use portcullis_stage as stage;
pub use recognize::Kind;
pub use record::{
    Bytes, CallOfHost, Channel, Difference, Header, Record, Recorded, Recorder, Refused,
    ReplayError, Replayed, Unreadable, Wrote,
};
pub use repositories::with_repositories;
pub use session::Session;
pub use staging::Kept;
pub use stdio::GuestStdio;

/// The decoder of the core-module form, for fuzzing: no part of the interface of this crate.
#[doc(hidden)]
pub mod core_form {
    pub use crate::abi::module::wire::{
        Command, ErrorSink, Input, Malformed, Sink, Stdio, env, exec, exec_start, fs, http, kv,
        prompt, request, run_result,
    };
}

/// The blocks of the page are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Embedding;
