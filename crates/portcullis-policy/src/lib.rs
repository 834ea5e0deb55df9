//! What a plugin may do: capabilities, grants, rules, and the one function that decides.
//!
//! Everything here is pure: no file is opened, no clock read, nothing logged, no WebAssembly known. Whoever acts on
//! the host first resolves what the guest asked for into a [`Request`], hands it to [`decide`] with the plugin's
//! [`Grants`], and acts only on the [`Authorized`] request that comes back. Nothing else can make one.
//!
//! ```
//! use portcullis_policy::{Decision, ExecGrant, ExecRequest, Grants, PluginId, ProgramRule, decide};
//!
//! let mut grants = Grants::none(PluginId::new("notes")?);
//! grants.exec = Some(ExecGrant { allow: vec![ProgramRule::any_arguments("git")], ..ExecGrant::default() });
//!
//! let git = ExecRequest::example("git", &["status"]);
//! assert!(matches!(decide(&grants, git), Decision::Allow(_)));
//!
//! let curl = ExecRequest::example("curl", &["https://example.com"]);
//! let Decision::Deny(denial) = decide(&grants, curl) else { panic!("the default is deny") };
//! assert_eq!(denial.headline(), "plugin `notes` may not run `/usr/bin/curl`");
//! # Ok::<(), portcullis_policy::InvalidPluginId>(())
//! ```
//!
//! Read first: [`Grants`], [`ExecRequest`], [`decide`], [`Denial`].

mod argv;
mod authorized;
mod capability;
mod decide;
mod denial;
mod environment;
mod grants;
mod limits;
mod plugin_id;
mod request;
mod rule;

pub use argv::{ArgPath, ArgToken, ArgumentRule, FlagPattern, InvalidPattern, Mismatch, PathAccess};
pub use authorized::{Authorized, ExecTerms};
pub use capability::Capability;
pub use decide::{Decision, decide};
pub use denial::{Code, Denial, GuestError, Remedy};
pub use environment::{Dropped, DropReason, Environment, HostEnvironment, mentions_secret};
pub use grants::{ExecGrant, FsAccess, FsGrant, Grants, Mode};
pub use limits::{Confinement, Limits};
pub use plugin_id::{InvalidPluginId, PluginId};
pub use request::{
    Cwd, ExecRequest, FileId, Found, Interpreter, PreopenRequest, Program, Request, Unfit,
};
pub use rule::{Narrowing, Net, Origin, ProgramRef, ProgramRule, RuleId};
