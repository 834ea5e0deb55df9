use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{ArgPath, FsGrant, HostEnvironment, ProgramRef};

/// Something a guest asks for, resolved so far that it can be decided on.
pub trait Request: sealed::Sealed {
    /// What the decision adds: the terms under which it may be carried out.
    type Terms: fmt::Debug;
}

pub(crate) mod sealed {
    use crate::{Decision, Grants};

    pub trait Sealed: Sized {
        fn decide(self, grants: &Grants) -> Decision<Self>
        where
            Self: super::Request;
    }
}

/// A file by device and inode: the same file under any name, links included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FileId {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
}

/// A command a plugin wants to run.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    /// The program as the plugin spelled it.
    pub program: ProgramRef,
    /// What the host found under that spelling.
    pub found: Program,
    /// The arguments after `argv[0]`.
    pub args: Vec<String>,
    /// The arguments that are paths; empty when no rule for this program asks (see
    /// [`ArgumentRule::needs_paths`](crate::ArgumentRule::needs_paths)).
    pub arg_paths: Vec<ArgPath>,
    /// Where it is to run.
    pub cwd: Cwd,
    /// What the plugin sets: its overlay, then its context, then the call's own; of two, the later wins.
    pub env: Vec<(String, String)>,
    /// Whether the plugin wants the host's environment.
    pub inherit_env: bool,
    /// The environment the host was started with.
    pub host_env: HostEnvironment,
    /// Whether bytes are given for standard input.
    pub stdin: bool,
    /// Whether output is to go where the plugin's own goes.
    pub inherit_output: bool,
}

/// What the host found for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// One opened file.
    Found(Found),
    /// The text is neither a bare name nor an absolute path: it never means a file.
    Malformed,
    /// No such file on the search path, or at the path.
    Missing,
    /// A file that is never run, whoever asks.
    Unfit {
        /// Its real path.
        path: PathBuf,
        /// What is wrong with it.
        why: Unfit,
    },
}

impl Program {
    /// The file, if there is one that could run.
    pub fn file(&self) -> Option<&Found> {
        match self {
            Self::Found(found) => Some(found),
            Self::Malformed | Self::Missing | Self::Unfit { .. } => None,
        }
    }
}

/// A program that was found and opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The real path of the opened file.
    pub path: PathBuf,
    /// The opened file.
    pub file: FileId,
    /// The real path if it has this base name, and every spelling in the plugin's rules that leads to this same file:
    /// those with this base name, and where programs are allowed that no rule names those of deny rules under any name.
    pub same_as: Vec<ProgramRef>,
    /// Of the directories whose programs rules allow, those that hold its real path directly. The plugin can lead none of
    /// them elsewhere.
    pub lies_in: Vec<PathBuf>,
    /// Of the directories whose programs rules deny, those that it belongs to: its real path or the path that it was found
    /// at lies directly in them, or, where programs are allowed that no rule names, that of its interpreter.
    pub denied_in: Vec<PathBuf>,
    /// The file's SHA-256, computed when one of those rules asks for one.
    pub sha256: Option<[u8; 32]>,
    /// For a `#!` script, what reads it.
    pub interpreter: Option<Interpreter>,
}

/// The program that a `#!` line names. The rule for the script implies it, for that script only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The real path of the opened interpreter.
    pub path: PathBuf,
    /// The opened interpreter.
    pub file: FileId,
}

/// Why a file is never run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// A directory, device, socket or pipe.
    #[error("it is not a regular file")]
    NotRegular,
    /// No execute permission.
    #[error("it is not executable")]
    NotExecutable,
    /// It would change the user or group.
    #[error("it is setuid or setgid")]
    SetId,
    /// Others than its owner could replace its content.
    #[error("its group or everyone may write it")]
    WritableByOthers,
    /// The plugin itself could replace it.
    #[error("it lies in `{}`, which the plugin may write", .0.display())]
    InWritableGrant(PathBuf),
    /// The plugin itself could have its path lead to another program.
    #[error("its path leads through `{}`, which the plugin may write", .0.display())]
    LedByWritableGrant(PathBuf),
    /// The host itself: a plugin that could start it could change policy.
    #[error("it is the host's own executable, and policy is not changed by plugins")]
    OwnExecutable,
    /// Neither ELF nor `#!`; another program (binfmt_misc) would be chosen by the kernel.
    #[error("it is neither an ELF program nor a `#!` script")]
    UnknownFormat,
    /// A script whose `#!` line cannot be followed.
    #[error("its `#!` line cannot be followed: {0}")]
    Script(String),
    /// A script that an ordinary user could swap between the decision and the start.
    #[error("it is a script, and `{}` can be changed by an ordinary user", .0.display())]
    ScriptNotPinned(PathBuf),
    /// The file is there, but the host may not open it.
    #[error("it cannot be opened: {0}")]
    Unreadable(String),
}

/// A working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cwd {
    /// None was asked for: the project directory.
    Project(PathBuf),
    /// One was asked for, and opened.
    Requested {
        /// As the plugin wrote it.
        asked: String,
        /// The real path of the opened directory.
        real: PathBuf,
    },
    /// One was asked for that cannot be opened.
    Unusable {
        /// As the plugin wrote it.
        asked: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Cwd {
    /// The real path of the directory, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Project(path) | Self::Requested { real: path, .. } => Some(path),
            Self::Unusable { .. } => None,
        }
    }
}

/// A host directory to be opened for the guest before it starts.
#[derive(Clone, Debug)]
pub struct PreopenRequest {
    /// The directory, its guest name and its access.
    pub grant: FsGrant,
}

impl Request for ExecRequest {
    type Terms = crate::ExecTerms;
}

impl Request for PreopenRequest {
    type Terms = ();
}

impl ExecRequest {
    /// A request for `/usr/bin/<name>` in `/`, with nothing set: for examples and tests of policies.
    ///
    /// # Panics
    /// When `name` is not a bare name.
    pub fn example(name: &str, args: &[&str]) -> Self {
        #[expect(clippy::expect_used, reason = "documented: for names written in code")]
        let program = ProgramRef::parse(name).expect("a bare name");
        let path = PathBuf::from("/usr/bin").join(name);
        Self {
            found: Program::Found(Found {
                same_as: vec![program.clone(), ProgramRef::Path(path.clone())],
                path,
                file: FileId { dev: 1, ino: 1 },
                lies_in: Vec::new(),
                denied_in: Vec::new(),
                sha256: None,
                interpreter: None,
            }),
            program,
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            arg_paths: Vec::new(),
            cwd: Cwd::Project(PathBuf::from("/")),
            env: Vec::new(),
            inherit_env: false,
            host_env: HostEnvironment::default(),
            stdin: false,
            inherit_output: false,
        }
    }
}
