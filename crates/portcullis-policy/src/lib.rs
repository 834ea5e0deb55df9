//! What a plugin may do: capabilities, grants, rules, and the one function that decides.
//!
//! Everything here is pure: no file is opened, no clock read, nothing logged, no WebAssembly known. Whoever acts on
//! the host first resolves what the guest asked for into a [`Request`], hands it to [`decide`] with the plugin's
//! [`Grants`], and acts only on the [`Authorized`] request that comes back. Nothing else can make one.
//!
//! ```
//! use portcullis_policy::{
//!     Decision, ExecGrant, ExecRequest, FsAccess, FsGrant, FsKind, Grants, Net, Origin, PluginId, ProgramRule, decide,
//! };
//!
//! let mut grants = Grants::none(PluginId::new("notes")?);
//! grants.exec = Some(ExecGrant {
//!     allow: vec![ProgramRule::any_arguments("git")],
//!     ..ExecGrant::default()
//! });
//! let project = || "/home/me/notes".into();
//! grants.fs.push(FsGrant {
//!     host: project(), kind: FsKind::Directory, guest: ".".into(), access: FsAccess::Read, origin: Origin::Code,
//! });
//!
//! let Decision::Allow(allowed) = decide(&grants, ExecRequest::example("git", &["status"])) else { panic!("a rule allows it") };
//! // One grant, two walls: the guest may read the project, and so may git and everything that git starts.
//! let rights = &allowed.terms().rights;
//! assert_eq!((&rights.read, &rights.write, &rights.net), (&vec![project()], &vec![], &Net::None));
//!
//! let curl = ExecRequest::example("curl", &["https://example.com"]);
//! let Decision::Deny(denial) = decide(&grants, curl) else { panic!("no rule is about curl") };
//! assert_eq!(denial.headline(), "plugin `notes` may not run `/usr/bin/curl`");
//! # Ok::<(), portcullis_policy::InvalidPluginId>(())
//! ```
//!
//! Read first: [`Grants`], [`ExecRequest`], [`decide`], [`Denial`].

mod address;
mod argv;
mod authorized;
mod bound;
mod capability;
mod ceiling;
mod change;
mod commit;
mod decide;
mod denial;
mod digest;
mod env_names;
mod env_request;
mod environment;
mod flag;
mod fledge;
mod grants;
mod host;
mod host_environment;
mod host_rule;
mod http_grant;
mod http_request;
mod http_secret;
mod http_url;
mod kv;
mod limits;
mod log_request;
mod look;
mod metadata;
mod net;
mod net_grant;
mod net_request;
mod paths;
mod plugin_id;
mod programs;
mod protect;
mod provenance;
mod refusal;
mod reglet;
mod request;
mod rights;
mod rule;
mod text;
mod token;
mod url;

pub use address::AddressClass;
pub use argv::{ArgPath, ArgumentRule, InvalidPattern, Mismatch, PathAccess};
pub use authorized::{Authorized, ExecTerms};
pub use bound::{Bound, Standing};
pub use capability::Capability;
pub use ceiling::{Bounded, Ceiling, Cut, ExecCeiling, FsCeiling};
pub use change::{ChangeRequest, FsAct, Kept};
pub use commit::Commit;
pub use decide::{Decision, decide};
pub use denial::{Code, Denial, GuestError, Remedy};
pub use digest::Digest;
pub use env_names::{is_secret_name, mentions_secret};
pub use env_request::EnvRequest;
pub use environment::{DropReason, Dropped, Environment};
pub use flag::FlagPattern;
pub use fledge::{DataGrant, FledgeFiles, FledgePlugin};
pub use grants::{ExecGrant, FsAccess, FsGrant, FsKind, Grants, Mode};
pub use host::{Host, HostName, InvalidHost, Target};
pub use host_environment::HostEnvironment;
pub use host_rule::{HostPattern, HostRule, HostRules};
pub use http_grant::{HTTP_METHODS, HttpGrant, HttpHosts, HttpRefusal, HttpRule};
pub use http_request::{HttpDial, HttpRequest, HttpTerms};
pub use http_secret::{HttpPlace, HttpSecret, InvalidPlace, SecretSource, is_own_http_header};
pub use http_url::{HttpUrl, InvalidUrl};
pub use ipnet::IpNet;
pub use kv::{KV_KEY, KV_VALUE, KvAction, KvGrant, KvOwner, KvRequest, KvSize};
pub use limits::{Confinement, Limits};
pub use log_request::{LogLevel, LogRequest};
pub use look::{FsLook, LookRequest};
pub use metadata::{MetadataKey, MetadataRequest};
pub use net::Net;
pub use net_grant::{
    ConnectRule, DnsNames, LookupRule, NetAsked, NetCeiling, NetGrant, NetRefusal, Places,
};
pub use net_request::{ConnectRequest, Connection, LookupRequest};
pub use plugin_id::{InvalidPluginId, PluginId};
pub use programs::{InvalidPrograms, ProgramDirectory, Programs};
pub use protect::{Protect, Protected};
pub use provenance::{Provenance, PublicKey, Signer, Tier};
pub use reglet::{InlineCode, RegletGrant};
pub use request::{
    Cwd, ExecRequest, FileId, Found, Interpreter, PreopenRequest, Program, Request, Unfit,
};
pub use rights::ChildRights;
pub use rule::{Narrowing, Origin, ProgramRef, ProgramRule, RuleId};
pub use text::{escape, escape_within, is_unseen, shown};
pub use token::ArgToken;
