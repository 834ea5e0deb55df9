//! What hostile input is tried on, and what must hold for all of it. For tests only; nothing of it is part of a release.
//!
//! A target takes any bytes and panics when something that must hold does not. `cargo xtask fuzz` runs one under
//! libFuzzer, whose front is the workspace `fuzz/`; `cargo xtask test` runs each over `fuzz/corpus`, as an ordinary
//! test.
//!
//! What a target checks is said twice, once by the product and once here, in other words: a second matcher of
//! arguments, a second reader of what a terminal obeys, a list of what may run. With the feature `planted` each has a
//! bug that is found within its time.
//!
//! Read first: [`TARGETS`].

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a target tells what it found"
)]

mod abi;
mod argv;
mod capability;
mod clawft;
mod core_form;
mod fledge;
mod gate;
mod lifted;
mod paths;
mod policy;
mod proxy;
mod record;
mod reference;
mod reglet;
mod smtp;
mod terminal;
mod url;
mod url_reference;
mod wire;

/// What the source of another crate looks for under this name.
mod engine {
    /// As there.
    pub(crate) const HOST_CALL_BYTES: usize = 16 * 1024 * 1024;
}

/// What the source of another crate looks for under this name.
mod recognize {
    /// As there, of as many kinds as matter here.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub(crate) enum Kind {
        Component,
        FledgeModule,
    }
}

/// What the source of another crate looks for under this name.
mod state {
    use crate::gate::Gate;

    /// As there.
    pub(crate) struct State {
        pub(crate) gate: Gate,
    }
}

use std::path::PathBuf;

/// Runs a target on one input.
pub type Run = Box<dyn FnMut(&[u8])>;

/// One kind of hostile input.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its directory in `fuzz/corpus`.
    pub name: &'static str,
    /// What it is about, in a few words.
    pub about: &'static str,
    /// Prepares it: makes the directories that it needs.
    pub make: fn() -> Run,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "policy",
        about: "the text of policy files, layers, and edits",
        make: policy::target,
    },
    Target {
        name: "argv",
        about: "rules about arguments, beside a second matcher",
        make: argv::target,
    },
    Target {
        name: "lifted",
        about: "what a guest may ask for: nothing outside its grants is allowed",
        make: lifted::target,
    },
    Target {
        name: "core",
        about: "what a core module passes: packed pointers and messages",
        make: core_form::target,
    },
    Target {
        name: "terminal",
        about: "what a guest writes to a terminal",
        make: terminal::target,
    },
    Target {
        name: "wire",
        about: "messages between host, server and cell",
        make: wire::target,
    },
    Target {
        name: "proxy",
        about: "what a command sends to its proxy: HTTP, SOCKS, the first message of TLS",
        make: proxy::target,
    },
    Target {
        name: "clawft",
        about: "the JSON of a plugin of clawft: its manifest, and its description of itself",
        make: clawft::target,
    },
    Target {
        name: "fledge",
        about: "the messages of a plugin of fledge, and its lines for a shell",
        make: fledge::target,
    },
    Target {
        name: "reglet",
        about: "the requests of a plugin of Reglet, and what it is answered",
        make: reglet::target,
    },
    Target {
        name: "record",
        about: "a record of a run, beside a reader that knows only JSON",
        make: record::target,
    },
    Target {
        name: "smtp",
        about: "what a mail server says, beside a second reader of replies",
        make: smtp::target,
    },
    Target {
        name: "paths",
        about: "what a guest's path leads to, beside a plain walk of the same tree",
        make: paths::target,
    },
    Target {
        name: "url",
        about: "URLs of requests and where they may lead, beside a second reader of both",
        make: url::target,
    },
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// Where the inputs of a target are kept.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    let mut above = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = above.nth(2).unwrap();
    root.join("fuzz/corpus").join(name)
}

/// The lines of an input: what a line is about is its first character, the rest is its text.
fn lines(data: &[u8]) -> Option<impl Iterator<Item = (char, &str)>> {
    let text = std::str::from_utf8(data).ok()?;
    Some(text.split('\n').filter_map(|line| {
        let mut chars = line.chars();
        Some((chars.next()?, chars.as_str()))
    }))
}
