use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::{ArgToken, ArgumentRule, Confinement, ExecRequest, Grants, Net, Program, Programs};

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Origin {
    /// A policy file, lines and columns counted from 1.
    File {
        /// The file as the operator named it.
        file: PathBuf,
        /// Line of the rule's first character.
        line: usize,
        /// Column of the rule's first character, in characters.
        column: usize,
    },
    /// A command-line flag, as written.
    Flag {
        /// For instance `--allow-exec=git`.
        flag: String,
    },
    /// An application that built the policy itself.
    Code,
    /// A person who was asked while the plugin ran.
    Answer,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, .. } => write!(f, "{}:{line}", file.display()),
            Self::Flag { flag } => write!(f, "`{flag}`"),
            Self::Code => f.write_str("the application's own policy"),
            Self::Answer => f.write_str("an answer at the terminal"),
        }
    }
}

/// The name of a rule, for messages and the audit trail: what the policy calls it, or its place in the list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RuleId(pub String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One program as a rule or a request spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgramRef {
    /// A bare name, looked up on the policy's search path.
    Name(String),
    /// An absolute path.
    Path(PathBuf),
}

impl ProgramRef {
    /// The spelling's last component: what `argv[0]` is set to, and what a multi-call binary looks at.
    pub fn base_name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Path(path) => path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default(),
        }
    }

    /// Reads a spelling: with a leading `/` a path, otherwise a name. Anything else has no meaning as a program.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = !text.contains('\0') && !text.is_empty();
        if plain
            && text.starts_with('/')
            && Path::new(text)
                .file_name()
                .is_some_and(|_| !text.ends_with('/'))
        {
            Some(Self::Path(PathBuf::from(text)))
        } else if plain && !text.contains('/') && !matches!(text, "." | "..") {
            Some(Self::Name(text.to_owned()))
        } else {
            None
        }
    }
}

impl fmt::Display for ProgramRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One line of an `allow` or `deny` list: a program, which arguments, and what it takes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRule {
    /// The rule's name.
    pub id: RuleId,
    /// Where it was written.
    pub origin: Origin,
    /// The program, or those of a directory.
    pub program: Programs,
    /// The SHA-256 the program's file must have.
    pub sha256: Option<[u8; 32]>,
    /// Which arguments the rule is about. A guard against mistakes, not a wall: a program with a shell escape
    /// needs no flag to use it. What a command can reach follows from the plugin's grants.
    pub arguments: ArgumentRule,
    /// The SHA-256 that the plugin itself must have: for another one the rule is not there. A consent is bound so to the
    /// plugin that it was given to.
    pub plugin_sha256: Option<[u8; 32]>,
    /// What the rule takes away from the plugin's rights.
    pub narrowing: Narrowing,
}

impl ProgramRule {
    /// The short form `allow = ["git"]`: the program, or those of a directory, with any arguments.
    ///
    /// # Panics
    /// When `program` stands for none; use [`Programs::parse`] for text from outside.
    pub fn any_arguments(program: &str) -> Self {
        #[expect(clippy::expect_used, reason = "documented: for names written in code")]
        let programs = Programs::parse(program).expect("a bare name or an absolute path");
        Self {
            id: RuleId(program.to_owned()),
            origin: Origin::Code,
            program: programs,
            sha256: None,
            arguments: ArgumentRule::default(),
            plugin_sha256: None,
            narrowing: Narrowing::default(),
        }
    }

    /// What somebody consents to who is shown this request: the program that was found, exactly these arguments, no
    /// other variables than the plugin sets now, and standard input only if it is given now.
    ///
    /// `None` where there is no program that could run, and where its name or that of a variable would be a pattern.
    pub fn exactly(request: &ExecRequest, id: RuleId) -> Option<Self> {
        let Program::Found(found) = &request.found else {
            return None;
        };
        // The place that is shown, where the name leads there by itself; else the name, which decides what a program
        // with many names does.
        let shown = ProgramRef::Path(found.path.clone());
        let is_called_so = shown.base_name() == request.program.base_name();
        let literal = |arg: &String| ArgToken::Literal(vec![arg.clone()]);
        let mut env: Vec<_> = request.env.iter().map(|(name, _)| name.clone()).collect();
        env.sort_unstable();
        env.dedup();
        if env.iter().any(|name| name.ends_with('*')) {
            return None;
        }
        let program = if is_called_so {
            shown
        } else {
            request.program.clone()
        };
        Some(Self {
            id,
            origin: Origin::Answer,
            program: Programs::written(&program)?,
            sha256: None,
            arguments: ArgumentRule {
                args: Some(request.args.iter().map(literal).collect()),
                ..ArgumentRule::default()
            },
            plugin_sha256: None,
            narrowing: Narrowing {
                stdin: (!request.stdin).then_some(false),
                env: Some(env),
                ..Narrowing::default()
            },
        })
    }

    /// Whether the rule counts for the plugin that has these grants.
    pub(crate) fn is_for(&self, grants: &Grants) -> bool {
        self.plugin_sha256
            .is_none_or(|wanted| grants.plugin_sha256 == Some(wanted))
    }
}

/// What one rule takes away from the plugin's rights. `None` takes nothing away.
///
/// From `net` on the kernel has to enforce them; what it does not under a confinement is told by
/// [`not_in_force`](Narrowing::not_in_force), and with the result of each command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Wall-clock time of the command.
    pub timeout: Option<Duration>,
    /// Bytes of each output stream.
    pub output: Option<u64>,
    /// Whether the command may be given standard input.
    pub stdin: Option<bool>,
    /// The only names the plugin may set for this command (a trailing `*` matches any rest).
    pub env: Option<Vec<String>>,
    /// The confinement of this command, for better or worse than the plugin's. It is the one key that can give more:
    /// of several rules that allow a command the strongest confinement holds.
    pub confinement: Option<Confinement>,
    /// The network.
    pub net: Option<Net>,
    /// The only directories and files it may read, besides those it may write: real paths.
    pub read: Option<Vec<PathBuf>>,
    /// The only directories and files it may write: real paths.
    pub write: Option<Vec<PathBuf>>,
    /// The only directories in which it may execute what was written: names in each directory the plugin may write, or
    /// real paths.
    pub write_exec: Option<Vec<PathBuf>>,
    /// The only other programs the command may start.
    pub exec: Option<Vec<ProgramRef>>,
    /// Bytes of memory of the command and everything it starts.
    pub memory: Option<u64>,
    /// Processes and threads at once.
    pub processes: Option<u32>,
    /// Whether its caches are kept, as far as the plugin's are.
    pub cache: Option<bool>,
}

impl Narrowing {
    /// The keys written in this rule that only the kernel can enforce.
    pub fn kernel_keys(&self) -> Vec<&'static str> {
        let written = [
            ("net", self.net.is_some()),
            ("read", self.read.is_some()),
            ("write", self.write.is_some()),
            ("write_exec", self.write_exec.is_some()),
            ("exec", self.exec.is_some()),
            ("memory", self.memory.is_some()),
            ("processes", self.processes.is_some()),
        ];
        written
            .into_iter()
            .filter_map(|(key, present)| present.then_some(key))
            .collect()
    }

    /// The written keys that the kernel does not enforce under a confinement.
    pub fn not_in_force(&self, confinement: Confinement) -> Vec<&'static str> {
        let in_force = |key: &str| match confinement {
            Confinement::Full => true,
            // Without Landlock nothing says which file of the system may be executed.
            Confinement::Namespaces => key != "exec",
            // Without a network of its own a command has either none or all; without namespaces of its own its
            // processes are counted together with the operator's.
            Confinement::Landlock => match key {
                "read" | "write" | "write_exec" | "exec" | "memory" => true,
                "net" => matches!(self.net, Some(Net::None | Net::Open)),
                _ => false,
            },
            Confinement::Limits => false,
        };
        let mut keys = self.kernel_keys();
        keys.retain(|key| !in_force(key));
        keys
    }
}
