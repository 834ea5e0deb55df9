//! Why a plugin cannot be had from where it is said to be.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_policy::{Digest, shown};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The stable code of a [`FetchError`]. A code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FetchCode { $($(#[doc = $doc])+ $name,)+ }

        impl FetchCode {
            /// Every code, in order.
            pub const ALL: &'static [FetchCode] = &[$(FetchCode::$name,)+];

            /// The code as it is printed: `P0851`.
            pub const fn as_str(self) -> &'static str {
                match self { $(FetchCode::$name => $code,)+ }
            }

            /// The page that `portcullis explain <code>` prints.
            pub const fn page(self) -> &'static str {
                match self { $(FetchCode::$name => concat!($($doc, "\n",)+),)+ }
            }
        }
    };
}

codes! {
    /// This is no place that plugins come from.
    ///
    /// A source is a file, the directory of a plugin, `https://…#sha256=<digits>`, `oci://host/repository:tag` or
    /// `oci://host/repository@sha256:<digits>`. No URL has a user name or a password.
    Source = "P0851",
    /// The plugin's files cannot be read.
    ///
    /// Check the path, and that you may read what is there.
    Unreadable = "P0852",
    /// What is there is not laid out as a plugin.
    ///
    /// A directory has the file that its `plugin.toml` names under `component`, or `clawft.plugin.json` under `wasm_module`,
    /// or one called like the directory, with `.wasm`. It lies in the directory; links and special files are not read.
    /// A tar is what `portcullis pack` makes: the files of an OCI image layout with one plugin, each once, and nothing besides.
    /// Its `.sig` has a line for each signature, as `portcullis sign` writes it; without that file it is not signed.
    Package = "P0853",
    /// A plugin is read from a URL only with the digest of what is expected.
    ///
    /// Whoever serves the file could exchange it. Write `#sha256=` and the digest that its author published after the URL,
    /// or use `--digest`.
    NoDigest = "P0854",
    /// What was read has another digest than was named.
    ///
    /// It was damaged on the way, exchanged, or is another version. Nothing of it is used. Ask its author for the digest; do
    /// not take the one in the message for it.
    Digest = "P0855",
    /// A file is larger than it may be.
    ///
    /// A component has at most 128 MiB, a manifest 64 KiB. What is larger is not read to its end.
    TooLarge = "P0856",
    /// The place where the plugin is cannot be reached, or does not have it.
    ///
    /// The message says what was asked for and what came back. Certificates and a proxy are named under `network` in the
    /// policy; variables of the environment do not count.
    Unreachable = "P0857",
    /// The plugin would come over a connection that anybody on the way can read and change.
    ///
    /// Only `https` is spoken, and only `https` is led on to. A registry or server on this machine is spoken to without it where
    /// `--plain-http` says so.
    Insecure = "P0858",
    /// The registry has something else there than one plugin.
    ///
    /// A plugin is an image manifest with the configuration `application/vnd.wasm.config.v0+json`, one layer `application/wasm`,
    /// and at most one with its manifest, as `portcullis push` makes it. Of a list of manifests name the one that is meant.
    Registry = "P0859",
    /// The registry asks who you are, and was not told.
    ///
    /// Credentials come from docker's `config.json` and the helpers that it names. They go over `https` to the registry's own
    /// host; a registry that wants them sent to another one is refused. Without credentials, tokens for what is public are
    /// asked for there.
    Credentials = "P0860",
    /// The plugin has to be signed, and is not signed by the key that the policy names.
    ///
    /// A `[[signer]]` is for plugins of this name. A signature counts if it says the plugin's name, its version and its content;
    /// one that was made for another plugin, another version or by another tool does not. Ask the author for the signature, or
    /// pin the content with `pinned`.
    Unsigned = "P0861",
    /// The plugin, or the key that signed it, is revoked.
    ///
    /// Its SHA-256, or the key's fingerprint, is listed under `revoked` in a policy or in `/etc/portcullis/ceiling.toml`. Get a
    /// newer version; nothing overrides the list.
    Revoked = "P0862",
    /// The plugin would go back to a lower version.
    ///
    /// What the higher one has closed would be open again. Say `--downgrade` if that is meant.
    Downgrade = "P0863",
    /// A file is no private key that can sign plugins.
    ///
    /// It is PEM with `BEGIN PRIVATE KEY`, of Ed25519 or P-256, without a password. `openssl genpkey -algorithm ed25519` makes one.
    Key = "P0864",
}

impl fmt::Display for FetchCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a plugin could not be read. What others wrote is escaped and cut in the text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is no source.
    #[error("`{}` is no source of plugins: {}", shown(.text), shown(.why))]
    Source {
        /// The text.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file or directory cannot be read.
    #[error("cannot read `{}`", shown(&.path.to_string_lossy()))]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is no plugin.
    #[error("`{}` is no plugin: {}", shown(.from), shown(.why))]
    Package {
        /// From where.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// What lies in the place of signatures is none.
    #[error("`{}` has no signatures: {}", shown(.from), shown(.why))]
    Signatures {
        /// Where it lies.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// The digest of what is behind a URL was not named.
    #[error("`{}` is not read without the digest of what is expected", shown(.url))]
    NoDigest {
        /// The URL.
        url: String,
    },
    /// What was read has another digest.
    #[error("`{}` is {found}, and was to be {expected}", shown(.what))]
    Digest {
        /// What was read.
        what: String,
        /// The digest that was named.
        expected: Digest,
        /// That of what was read.
        found: Digest,
    },
    /// Something is larger than it may be.
    #[error("`{}` has more than {limit} bytes", shown(.what))]
    TooLarge {
        /// What.
        what: String,
        /// Bytes it may have.
        limit: u64,
    },
    /// The network cannot be used as the options say.
    #[error("cannot reach the network: {}", shown(.why))]
    Network {
        /// Why.
        why: String,
    },
    /// A server cannot be reached, or broke off.
    #[error("cannot read `{}`: {}", shown(.url), shown(.why))]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        why: String,
    },
    /// A server answered that it does not have it, or not for us.
    #[error("cannot read `{}`: the server answers with status {status}", shown(.url))]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// A URL leads somewhere without TLS.
    #[error("`{}` is not reached: it is not `https`", shown(.url))]
    Insecure {
        /// The URL, without a user name and password.
        url: String,
    },
    /// A registry has something else there.
    #[error("`{}` cannot be read: {}", shown(.reference), shown(.why))]
    Registry {
        /// What was asked for.
        reference: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key of the policy is for plugins of this name, and has not signed it.
    #[error("plugin `{}` has to be signed by the key {key}, and is not: {}", shown(.name), shown(.why))]
    Unsigned {
        /// The plugin.
        name: String,
        /// The fingerprint of the key.
        key: Digest,
        /// What is wrong with its signatures.
        why: String,
    },
    /// The content or the key is refused for ever.
    #[error("plugin `{}` is refused: {what} is revoked ({digest})", shown(.name))]
    Revoked {
        /// The plugin.
        name: String,
        /// What of it.
        what: &'static str,
        /// The entry of `revoked`.
        digest: Digest,
    },
    /// The version is lower than that of the plugin which it would replace.
    #[error("plugin `{}` would go back from version {} to {}", shown(.name), shown(.installed), shown(.new))]
    Downgrade {
        /// The plugin.
        name: String,
        /// The version that is installed.
        installed: String,
        /// The other.
        new: String,
    },
    /// The text is no key that signs.
    #[error("the key is no private key of Ed25519 or P-256 in PEM without a password")]
    Key,
    /// A registry cannot be told who we are.
    #[error("registry `{}` is told no credentials: {}", shown(.host), shown(.why))]
    Credentials {
        /// The registry.
        host: String,
        /// Why.
        why: String,
    },
}

impl FetchError {
    /// The stable code.
    pub const fn code(&self) -> FetchCode {
        match self {
            Self::Source { .. } => FetchCode::Source,
            Self::Unreadable { .. } => FetchCode::Unreadable,
            Self::Package { .. } | Self::Signatures { .. } => FetchCode::Package,
            Self::NoDigest { .. } => FetchCode::NoDigest,
            Self::Digest { .. } => FetchCode::Digest,
            Self::TooLarge { .. } => FetchCode::TooLarge,
            Self::Network { .. } | Self::Unreachable { .. } | Self::Status { .. } => {
                FetchCode::Unreachable
            }
            Self::Insecure { .. } => FetchCode::Insecure,
            Self::Registry { .. } => FetchCode::Registry,
            Self::Credentials { .. } => FetchCode::Credentials,
            Self::Unsigned { .. } => FetchCode::Unsigned,
            Self::Revoked { .. } => FetchCode::Revoked,
            Self::Downgrade { .. } => FetchCode::Downgrade,
            Self::Key => FetchCode::Key,
        }
    }

    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }
}
