//! A host for tests of a plugin, scripted: a native build has no other.
//!
//! A plugin's functions are tested by `cargo test` as any others. [`Host::run`] is what they see meanwhile, in this thread.
//!
//! ```
//! use portcullis::process::Command;
//! use portcullis::testing::{Host, Reply};
//! use portcullis::{Error, ErrorKind};
//!
//! fn main_is_checked_out() -> Result<bool, Error> {
//!     Ok(Command::new("git").args(["branch", "--show-current"]).read()? == "main")
//! }
//!
//! let host = Host::new().command(["git", "branch", "*"], Reply::new().stdout("main\n"));
//! assert!(host.run(main_is_checked_out)?);
//! assert_eq!(host.calls()[0].args, ["branch", "--show-current"]);
//!
//! // What is not scripted is not granted.
//! assert_eq!(Host::new().run(main_is_checked_out).unwrap_err().kind(), ErrorKind::Denied);
//! # Ok::<_, Error>(())
//! ```

mod command;
mod files;
mod pattern;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

pub use command::{Call, Reply};
pub(crate) use command::{Child, InputStream, OutputStream, Script, run, spawn};
pub(crate) use files::Files;

use crate::ErrorKind;
use crate::http::{Request, Response};

/// A host that does what a test says: nothing is granted but what stands in it, and nothing of the machine is touched.
///
/// It is built by methods that take and return it, then [run](Self::run), then asked what was done.
#[derive(Default)]
pub struct Host(pub(crate) Rc<RefCell<State>>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) commands: Vec<(Vec<String>, Script)>,
    pub(crate) calls: Vec<Rc<RefCell<Call>>>,
    pub(crate) files: Files,
    pub(crate) vars: BTreeMap<String, String>,
    pub(crate) responses: Vec<(String, String, Result<Response, ErrorKind>)>,
    pub(crate) requests: Vec<Request>,
    pub(crate) keys: BTreeMap<String, Vec<u8>>,
    pub(crate) answers: BTreeMap<String, String>,
    #[cfg(feature = "fledge")]
    pub(crate) facts: serde_json::Map<String, serde_json::Value>,
    pub(crate) logged: Vec<(log::Level, String)>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

thread_local! {
    /// The hosts that run something in this thread, the innermost last.
    static RUNNING: RefCell<Vec<Rc<RefCell<State>>>> = const { RefCell::new(Vec::new()) };
}

/// What the host of this thread knows, or nothing where there is none.
pub(crate) fn current() -> Option<Rc<RefCell<State>>> {
    RUNNING.with_borrow(|running| running.last().cloned())
}

impl Host {
    /// A host that grants nothing, and has nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.0.borrow_mut());
        self
    }

    /// Grants commands, and says how they end. A pattern has the program and its arguments, as in a file for `portcullis test`: `*` is any
    /// text, a last `**` any further arguments, and `\` makes the next character an ordinary one. Of several patterns that fit, the first
    /// counts.
    #[must_use]
    pub fn command<S: Into<String>>(
        self,
        pattern: impl IntoIterator<Item = S>,
        reply: Reply,
    ) -> Self {
        let pattern = pattern.into_iter().map(Into::into).collect();
        self.with(|state| state.commands.push((pattern, Script::Fixed(reply))))
    }

    /// As [`command`](Self::command), with an answer that depends on the call. That of a child is asked for when its output is first
    /// read, or when it is waited for.
    #[must_use]
    pub fn command_with<S: Into<String>>(
        self,
        pattern: impl IntoIterator<Item = S>,
        reply: impl Fn(&Call) -> Reply + 'static,
    ) -> Self {
        let pattern = pattern.into_iter().map(Into::into).collect();
        self.with(|state| state.commands.push((pattern, Script::With(Rc::new(reply)))))
    }

    /// Puts a file into the project, and the directories that lead to it.
    #[must_use]
    pub fn file(self, path: impl AsRef<str>, content: impl Into<Vec<u8>>) -> Self {
        self.with(|state| state.files.put(path.as_ref(), Some(content.into())))
    }

    /// Puts an empty directory into the project.
    #[must_use]
    pub fn directory(self, path: impl AsRef<str>) -> Self {
        self.with(|state| state.files.put(path.as_ref(), None))
    }

    /// Does not grant a path and what is beneath it.
    #[must_use]
    pub fn denied(self, path: impl AsRef<str>) -> Self {
        self.with(|state| state.files.deny(path.as_ref()))
    }

    /// Grants a variable, and sets it.
    #[must_use]
    pub fn var(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|state| _ = state.vars.insert(name.into(), value.into()))
    }

    /// Grants requests by this method to this URL, and answers them.
    #[must_use]
    pub fn response(
        self,
        method: impl Into<String>,
        url: impl Into<String>,
        response: Response,
    ) -> Self {
        self.with(|state| {
            state
                .responses
                .push((method.into(), url.into(), Ok(response)));
        })
    }

    /// Has requests by this method to this URL fail.
    #[must_use]
    pub fn no_response(
        self,
        method: impl Into<String>,
        url: impl Into<String>,
        kind: ErrorKind,
    ) -> Self {
        self.with(|state| state.responses.push((method.into(), url.into(), Err(kind))))
    }

    /// Gives a key a value.
    #[must_use]
    pub fn key(self, key: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.with(|state| _ = state.keys.insert(key.into(), value.into()))
    }

    /// Answers a question: with text, `yes` or `no`, an option, or options with commas between them. A question without an answer has its
    /// default.
    #[must_use]
    pub fn answer(self, id: impl Into<String>, answer: impl Into<String>) -> Self {
        self.with(|state| _ = state.answers.insert(id.into(), answer.into()))
    }

    /// Grants a fact of the project, and says what it is.
    #[cfg(feature = "fledge")]
    #[must_use]
    pub fn fact(self, key: impl Into<String>, value: impl Into<serde_json::Value>) -> Self {
        self.with(|state| _ = state.facts.insert(key.into(), value.into()))
    }

    /// Runs a function of a plugin on this host, in this thread.
    pub fn run<T>(&self, function: impl FnOnce() -> T) -> T {
        struct Running;
        impl Drop for Running {
            fn drop(&mut self) {
                RUNNING.with_borrow_mut(|running| _ = running.pop());
            }
        }
        RUNNING.with_borrow_mut(|running| running.push(Rc::clone(&self.0)));
        let _running = Running;
        function()
    }

    /// The commands that were started, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.0
            .borrow()
            .calls
            .iter()
            .map(|call| call.borrow().clone())
            .collect()
    }

    /// The content of a file, if there is one of that name.
    #[must_use]
    pub fn content(&self, path: impl AsRef<str>) -> Option<Vec<u8>> {
        self.0.borrow().files.read(path.as_ref()).ok()
    }

    /// The requests that were sent, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.0.borrow().requests.clone()
    }

    /// The value of a key, if it has one.
    #[must_use]
    pub fn value(&self, key: impl AsRef<str>) -> Option<Vec<u8>> {
        self.0.borrow().keys.get(key.as_ref()).cloned()
    }

    /// The lines that were logged, in order.
    #[must_use]
    pub fn logged(&self) -> Vec<(log::Level, String)> {
        self.0.borrow().logged.clone()
    }
}
