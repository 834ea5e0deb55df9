//! What a plugin may do: capabilities, grants, rules, and the one function that decides.
//!
//! Everything here is pure: no file is opened, no clock read, nothing logged, no WebAssembly known. Whoever acts on
//! the host first resolves what the guest asked for into a [`Request`], hands it to [`decide`] with the plugin's
//! [`Grants`], and acts only on the [`Authorized`] request that comes back. Nothing else can make one.
//!
//! ```
//! use portcullis_policy::{Confinement, Decision, ExecGrant, ExecRequest, Grants, Mode, PluginId, ProgramRule, decide};
//!
//! let mut grants = Grants::none(PluginId::new("notes")?);
//! grants.exec = Some(ExecGrant {
//!     allow: vec![ProgramRule::any_arguments("git")],
//!     // This release cannot confine children. Production mode therefore starts none; dev mode does once that is
//!     // written out, and asks about what no rule allows.
//!     confinement: Confinement::Limits,
//!     ..ExecGrant::default()
//! });
//! let git = || ExecRequest::example("git", &["status"]);
//! assert!(matches!(decide(&grants, git()), Decision::Deny(_)));
//! grants.mode = Mode::Dev;
//! assert!(matches!(decide(&grants, git()), Decision::Allow(_)));
//!
//! let curl = ExecRequest::example("curl", &["https://example.com"]);
//! let Decision::Ask { denial, .. } = decide(&grants, curl) else { panic!("no rule is about curl") };
//! assert_eq!(denial.headline(), "plugin `notes` may not run `/usr/bin/curl`");
//! # Ok::<(), portcullis_policy::InvalidPluginId>(())
//! ```
//!
//! Read first: [`Grants`], [`ExecRequest`], [`decide`], [`Denial`].

mod address;
mod argv;
mod authorized;
mod capability;
mod decide;
mod denial;
mod env_names;
mod environment;
mod flag;
mod grants;
mod host;
mod host_rule;
mod limits;
mod net;
mod plugin_id;
mod refusal;
mod request;
mod rule;
mod text;
mod token;
mod url;

pub use address::AddressClass;
pub use argv::{ArgPath, ArgumentRule, InvalidPattern, Mismatch, PathAccess};
pub use authorized::{Authorized, ExecTerms};
pub use capability::Capability;
pub use decide::{Decision, decide};
pub use denial::{Code, Denial, GuestError, Remedy};
pub use env_names::mentions_secret;
pub use environment::{DropReason, Dropped, Environment, HostEnvironment};
pub use flag::FlagPattern;
pub use grants::{ExecGrant, FsAccess, FsGrant, Grants, Mode};
pub use host::{Host, HostName, InvalidHost, Target};
pub use host_rule::{HostPattern, HostRule, HostRules};
pub use ipnet::IpNet;
pub use limits::{Confinement, Limits};
pub use net::Net;
pub use plugin_id::{InvalidPluginId, PluginId};
pub use request::{
    Cwd, ExecRequest, FileId, Found, Interpreter, PreopenRequest, Program, Request, Unfit,
};
pub use rule::{Narrowing, Origin, ProgramRef, ProgramRule, RuleId};
pub use token::ArgToken;
