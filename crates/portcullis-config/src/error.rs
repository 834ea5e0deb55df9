//! What can be wrong with a file: one value per mistake, all mistakes of a file together.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use portcullis_policy::Origin;
use serde::Serialize;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The stable code of a mistake in a file. A code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ConfigCode { $($(#[doc = $doc])+ $name,)+ }

        impl ConfigCode {
            /// Every code, in order.
            pub const ALL: &'static [ConfigCode] = &[$(ConfigCode::$name,)+];

            /// The code as it is printed: `P0101`.
            pub const fn as_str(self) -> &'static str {
                match self { $(ConfigCode::$name => $code,)+ }
            }

            /// The page that `portcullis explain <code>` prints.
            pub const fn page(self) -> &'static str {
                match self { $(ConfigCode::$name => concat!($($doc, "\n",)+),)+ }
            }
        }
    };
}

codes! {
    /// The file has a key that no such file has.
    ///
    /// A misspelled key would silently grant or deny something else, so the whole file is refused. The message names
    /// the nearest key and lists the others.
    UnknownKey = "P0101",
    /// A value has the wrong type, is none of the words expected there, or a key is missing.
    ///
    /// `portcullis.toml` and `plugin.toml` each have a JSON Schema that editors can use.
    Value = "P0102",
    /// Two entries of the file have the same name.
    ///
    /// Plugin ids, rule ids and the names under which a guest sees directories are unique.
    Duplicate = "P0103",
    /// A path that is granted does not exist, or is neither a directory nor a file.
    ///
    /// Grants are real paths, looked up when the file is read: one that appears later could be somebody else's.
    Path = "P0104",
    /// A pattern for arguments, flags, programs or names of variables has no meaning.
    ///
    /// Patterns are matched argument by argument, never against a joined line.
    Pattern = "P0105",
    /// A test written in the policy fails.
    ///
    /// `[[plugins.exec.test]]` lists commands that the rules must allow or deny. The rules do something else than what
    /// was meant.
    Test = "P0106",
    /// A file that is not trusted says more than it may.
    ///
    /// A file found in the working tree may revoke, and deny, lower limits and narrow `net` for plugins that a trusted
    /// file grants something; nothing else. Name the file with `--config` to use it as the policy.
    Untrusted = "P0107",
    /// The file is not TOML.
    ///
    /// The position is where reading it failed.
    Syntax = "P0108",
    /// A time or a size is not a number with a unit.
    ///
    /// Times are `"500ms"`, `"30s"`, `"2m"`, `"1h"`; sizes are `"512B"`, `"64KiB"`, `"10MiB"`, `"1GiB"`.
    Unit = "P0109",
    /// A directory that is granted reaches files of Portcullis itself.
    ///
    /// Who can write the policy, the cache of compiled code, the audit trail or the program file can do everything.
    /// No grant reaches them, not even `-A`; grant a directory beside or below them.
    OwnState = "P0110",
    /// A secret that is kept from a plugin is also granted to it.
    ///
    /// What `http.secrets` names the host adds to requests, and neither the plugin nor its commands ever have it. So no
    /// directory in which the file is may be granted to the same plugin, and the variable stands neither in its `env` nor in
    /// its `exec.pass_env`. Move the file, or take the grant away.
    Secret = "P0111",
    /// The plugin needs a later Portcullis than this one.
    ///
    /// Its manifest names the oldest that can run it, in `minimum_host`. Update Portcullis, or take an older version of the
    /// plugin.
    Host = "P0112",
}

impl fmt::Display for ConfigCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ConfigCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The stable code.
    pub code: ConfigCode,
    /// The file with line and column of the mistake, or the flag.
    pub origin: Origin,
    /// The mistake's bytes in the text of the file; empty for a flag.
    pub span: Range<usize>,
    /// What is wrong, in one clause.
    pub message: String,
    /// A few words to stand under the marked text; empty when the message says it all.
    pub label: String,
    /// More facts, a phrase each.
    pub notes: Vec<String>,
    /// What to do, a phrase each.
    pub helps: Vec<String>,
}

impl ConfigError {
    /// The file, unless a flag is wrong.
    pub fn file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::File { file, .. } => Some(file),
            Origin::Flag { .. } | Origin::Code | Origin::Answer => None,
        }
    }

    /// Line and column in the file, counted from 1, the column in characters; zeros for a flag.
    pub fn position(&self) -> (usize, usize) {
        match self.origin {
            Origin::File { line, column, .. } => (line, column),
            Origin::Flag { .. } | Origin::Code | Origin::Answer => (0, 0),
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.helps.push(help.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { file, line, column } => write!(f, "{}:{line}:{column}", file.display())?,
            Origin::Flag { .. } | Origin::Code | Origin::Answer => write!(f, "{}", self.origin)?,
        }
        write!(f, ": error[{}]: {}", self.code, self.message)?;
        if !self.label.is_empty() {
            write!(f, ": {}", self.label)?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        for help in &self.helps {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// All mistakes of the files that were read, in their order. A file with a mistake is never applied in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Where the mistakes of one operation are put down.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<ConfigError>);

impl Report {
    pub(crate) fn push(&mut self, mut error: ConfigError) {
        for text in [&mut error.message, &mut error.label]
            .into_iter()
            .chain(&mut error.notes)
            .chain(&mut error.helps)
        {
            *text = visible(text);
        }
        // The same key can be wrong in two ways that are one mistake for the reader.
        if !self
            .0
            .iter()
            .any(|other| other.origin == error.origin && other.message == error.message)
        {
            self.0.push(error);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value`, if nothing was put down.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, ConfigErrors> {
        if self.0.is_empty() {
            return Ok(value);
        }
        // The order of layers stays, since the sort is stable and files are compared as a whole only.
        let files: Vec<_> = self
            .0
            .iter()
            .map(|error| error.file().map(Path::to_owned))
            .collect();
        let rank = |error: &ConfigError| {
            files
                .iter()
                .position(|file| file.as_deref() == error.file())
        };
        self.0.sort_by_key(|error| (rank(error), error.position()));
        Err(ConfigErrors(self.0))
    }
}

/// Whether a character changes how the text around it is shown: it has no place in a name, and is escaped in messages.
pub(crate) fn is_invisible(c: char) -> bool {
    // The bidirectional controls of Unicode, which can make a line read as another.
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_invisible(c) {
            out.extend(c.escape_unicode())
        } else {
            out.push(c)
        }
    }
    out
}
