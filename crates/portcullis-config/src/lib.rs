//! File formats: the policy file, the plugin manifest, and edits that keep comments.
//!
//! Text comes in with the directories it is read against, policy values come out; the environment is never read. A
//! file with a mistake is refused whole, and all its mistakes are reported with their places. Nothing is decided here
//! and nothing rendered.
//!
//! ```
//! use portcullis_config::{Context, Layer, PolicySet, Trust};
//!
//! let text = r#"
//!     [[plugins]]
//!     id = "aws-tools"
//!     path = "plugins/aws-tools.wasm"
//!     exec = { inherit_env = true, allow = ["aws", "git", "terraform"] }
//!     env_allow_prefixes = ["AWS_", "TF_", "MYAPP_"]
//! "#;
//! let file = Layer::File { path: "portcullis.toml".into(), text: text.into(), trust: Trust::Trusted };
//! let policy = PolicySet::load(&[file], &Context::new("/"))?;
//! let entry = policy.plugin("aws-tools").expect("it has an entry");
//! assert_eq!(entry.grants.exec.expect("it has an exec table").allow.len(), 3);
//!
//! let broken = Layer::File { path: "portcullis.toml".into(), text: "moed = 'dev'".into(), trust: Trust::Trusted };
//! let errors = PolicySet::load(&[broken], &Context::new("/")).expect_err("there is no such key");
//! assert_eq!(errors.0[0].message, "unknown key `moed`");
//! # Ok::<(), portcullis_config::ConfigErrors>(())
//! ```
//!
//! Read first: [`PolicySet`], [`PluginEntry`], [`Manifest`], [`edit`], [`ConfigError`].

mod audit;
mod below;
mod ceiling;
mod clawft;
mod commands;
mod component;
mod context;
mod draft;
pub mod edit;
mod entries;
mod error;
mod flags;
mod fledge;
mod http;
mod import;
mod manifest;
mod narrowing;
mod network;
mod policy_set;
mod provenance;
mod raw;
mod reader;
mod reglet;
mod rules;
pub mod schema;
mod secrets;
mod shape;
mod source;
mod trial;
mod units;

pub use audit::{AuditForwards, Forwarded, ForwardedEvents};
pub use below::{Below, directory_size};
pub use clawft::{
    CLAWFT_MANIFEST_FILE, ClawftCapability, ClawftManifest, ClawftManifestError, ClawftPermissions,
    ClawftResources,
};
pub use commands::PluginCommand;
pub use component::{
    Component, LocateError, MANIFEST_FILE, has_manifest, locate, manifest as read_manifest,
};
pub use context::{Context, Installed, OwnState};
pub use error::{ConfigCode, ConfigError, ConfigErrors};
pub use flags::{AllowExec, FlagSet, Spelling};
pub use fledge::{FledgeCapabilities, FledgeCommand, FledgeManifest};
pub use import::{Imported, Note, import};
pub use manifest::{Ask, AskKind, Manifest};
pub use network::Network;
pub use policy_set::{Layer, PluginEntry, PolicySet, SelectError, Trust, VerbEntry};
pub use reglet::{RegletAsk, RegletManifest};
pub use units::{duration, time_of_day};
