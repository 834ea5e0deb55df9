//! Write plugins for [Portcullis](https://github.com/portcullis-rs/portcullis) in Rust.
//!
//! A plugin is a component that may do as much as its operator granted: run native commands, read and write files, send requests, keep
//! state, ask questions. It "just calls a command":
//!
//! ```
//! use portcullis::process::Command;
//!
//! /// Says which branch is checked out, in the project or in the directory that is named.
//! #[portcullis::plugin]
//! fn branch(args: Vec<String>) -> Result<String, portcullis::Error> {
//!     let mut git = Command::new("git");
//!     git.args(["branch", "--show-current"]);
//!     if let Some(directory) = args.first() {
//!         git.current_dir(directory);
//!     }
//!     let branch = git.read()?;
//!     Ok(format!("on {branch}"))
//! }
//! ```
//!
//! ```console
//! $ cargo build --release --target wasm32-wasip2
//! $ portcullis run --allow-exec=git --allow-read=. target/wasm32-wasip2/release/branch.wasm
//! on main
//! ```
//!
//! | module | does | grant |
//! |---|---|---|
//! | [`process`] | commands | `exec` |
//! | [`fs`] | whole files and single names | `fs` |
//! | [`http`] | requests | `http` |
//! | [`kv`] | what the plugin keeps | `kv` |
//! | [`mod@env`] | variables of the host | `env` |
//! | [`log`] | lines in the operator's log | `log` |
//! | [`prompt`] | questions to whoever runs the plugin | none |
//! | [`testing`] | a host for tests, in native builds | |
//!
//! A plugin imports the interfaces of what it calls and of nothing else, and needs the grants for these alone.
//!
//! # Targets
//!
//! `wasm32-wasip2` is the one to use: cargo itself makes the component, and `std` has the granted files, clocks, random numbers and a
//! standard error. `wasm32-unknown-unknown` makes smaller plugins without WASI, which `wasm-tools component new` makes components
//! of; files and clocks of `std` are not there, and the message of a panic reaches the operator all the same, since this crate passes it on.
//! A native build is for tests. With the feature `fledge`, `wasm32-wasip1` makes a plugin for hosts of fledge of the same source.

mod error;
mod host;
mod returned;

pub mod env;
#[cfg(feature = "fledge")]
pub mod fledge;
pub mod fs;
pub mod http;
pub mod kv;
pub mod log;
pub mod process;
pub mod prompt;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use error::{Error, ErrorKind, Result};

/// Makes a function what the plugin does when it is run.
///
/// It takes the plugin's arguments as a `Vec<String>`, or nothing. What it returns is printed; an error is printed to standard error, and
/// `portcullis run` ends with code 1. So it returns anything that can be displayed, `()`, or a [`Result`](std::result::Result) of
/// these and an error that can be displayed: [`Error`], `Box<dyn std::error::Error>`, `anyhow::Error`, a `String`. The longer form of an
/// error (`{:#}`) is what is printed.
///
/// A panic is a crash of the plugin: its message is told to the operator, and the code is 125.
///
/// The function stays what it was, for tests to call. A crate that has this one by another name says so:
/// `#[sdk::plugin(crate = sdk)]`.
///
/// ```
/// #[portcullis::plugin]
/// fn greet(names: Vec<String>) -> Result<String, Box<dyn std::error::Error>> {
///     if names.is_empty() {
///         return Err("usage: greet NAME...".into());
///     }
///     Ok(format!("Good morning, {}!", names.join(" and ")))
/// }
///
/// assert_eq!(greet(vec!["Ada".to_owned()]).unwrap(), "Good morning, Ada!");
/// ```
pub use portcullis_sdk_macros::plugin;

/// What the attribute writes down.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_family = "wasm")]
    pub use crate::host::bindings::*;
    pub use crate::host::prepare;
    pub use crate::returned::{Fallible, Returned, Shown};

    /// What a plugin exports, where there is nobody to export it to.
    #[cfg(not(target_family = "wasm"))]
    pub trait Guest {
        /// The plugin's work.
        fn run(args: Vec<String>) -> Result<String, String>;
    }

    #[cfg(not(target_family = "wasm"))]
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __export {
        ($plugin:ident with_types_in $($path:tt)*) => {
            const _: fn(Vec<String>) -> Result<String, String> = <$plugin as $($path)*::Guest>::run;
        };
    }
    #[cfg(not(target_family = "wasm"))]
    pub use __export as export;
}
