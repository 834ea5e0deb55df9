//! From the command line and the environment to what the verbs need: directories, the policy and its files.

mod directories;
mod environment;
mod found;
mod trust;

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_config::{Context, FlagSet, Layer, OwnState, PolicySet, Trust};

use crate::args::Common;
use crate::code;
use crate::failure::{Failure, Result, Say, diagnostic};

pub(crate) use directories::Directories;
pub(crate) use environment::Environment;

/// A ceiling that an administrator put over all users of the machine.
const CEILING: &str = "/etc/portcullis/ceiling.toml";
/// Bytes a policy file may have.
const MAX_POLICY: u64 = 1024 * 1024;

/// Everything a verb has to know about where it runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) env: Environment,
    pub(crate) project: PathBuf,
    pub(crate) directories: Directories,
    /// The policy files that were read, in order.
    pub(crate) files: Vec<PolicyFile>,
    pub(crate) policy: PolicySet,
}

/// A policy file, and what it counts for.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFile {
    pub(crate) path: PathBuf,
    pub(crate) role: Role,
    text: String,
}

/// What a policy file counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The user's own.
    Own,
    /// Found in the working tree: it only takes away.
    Found,
    /// Named on the command line.
    Named,
}

impl Role {
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Own => "your own policy",
            Self::Found => "found in the working tree; only takes away",
            Self::Named => "named with `--config`",
        }
    }
}

impl Settings {
    /// Finds the directories and reads the policy.
    ///
    /// # Errors
    /// Every mistake of the environment, of a file or of a flag.
    pub(crate) fn load(common: &Common, flags: FlagSet, env: Environment) -> Result<Self> {
        let (project, directories) = places(common, &env)?;
        let files = policy_files(common, &env, &project, &directories)?;
        Self::with_files(project, directories, files, flags, env)
    }

    /// As [`Self::load`], with these files and no others.
    pub(crate) fn with_only(common: &Common, files: &[PathBuf], env: Environment) -> Result<Self> {
        let (project, directories) = places(common, &env)?;
        let files = files
            .iter()
            .map(|path| PolicyFile::read(path, Role::Named, &env))
            .collect::<Result<_>>()?;
        Self::with_files(project, directories, files, FlagSet::default(), env)
    }

    fn with_files(
        project: PathBuf,
        directories: Directories,
        files: Vec<PolicyFile>,
        flags: FlagSet,
        env: Environment,
    ) -> Result<Self> {
        let files_as_layers = files.iter().map(PolicyFile::layer);
        let layers: Vec<_> = files_as_layers.chain([Layer::Flags(flags)]).collect();
        let policy = PolicySet::load(&layers, &context(&project, &directories, &env))?;
        Ok(Self {
            env,
            project,
            directories,
            files,
            policy,
        })
    }

    /// The certificates that commands trust, if they are not the system's.
    pub(crate) fn ca_file(&self) -> Option<&Path> {
        self.policy.network().ca_file.as_deref()
    }

    /// What no grant reaches.
    pub(crate) fn own_state(&self) -> portcullis::OwnState {
        let trusted = self
            .files
            .iter()
            .filter(|file| file.role != Role::Found)
            .map(|file| self.env.cwd.join(&file.path));
        let Directories {
            policy,
            config,
            cache,
            data,
            audit,
            ..
        } = self.directories.clone();
        portcullis::OwnState {
            secret: vec![data, audit],
            protected: [policy, config, cache]
                .into_iter()
                .chain(trusted)
                // Whoever may write it says whom commands trust.
                .chain(self.ca_file().map(Path::to_owned))
                .collect(),
        }
    }
}

/// The project directory and our own.
pub(crate) fn places(common: &Common, env: &Environment) -> Result<(PathBuf, Directories)> {
    let project = common.project.as_deref().unwrap_or(&env.cwd);
    let project = env
        .cwd
        .join(project)
        .canonicalize()
        .map_err(|error| Failure::unusable("use the project directory", project, &error))?;
    if project.parent().is_none() && common.project.is_some() {
        return Err(Failure::usage(
            diagnostic(code::UNUSABLE, "cannot use `/` as the project directory")
                .help("name a directory of your own"),
        ));
    }
    let directories = Directories::find(env, &project, common.data_dir.as_deref())?;
    Ok((project, directories))
}

/// What policy files are read against.
pub(crate) fn context(project: &Path, directories: &Directories, env: &Environment) -> Context {
    let Directories {
        home,
        policy,
        config,
        data,
        cache,
        audit,
    } = directories.clone();
    let own = |path: PathBuf, secret| OwnState { path, secret };
    Context {
        cwd: env.cwd.clone(),
        home,
        own_state: vec![
            own(policy, false),
            own(config, false),
            own(cache, false),
            own(data, true),
            own(audit, true),
        ],
        ..Context::new(project)
    }
}

fn policy_files(
    common: &Common,
    env: &Environment,
    project: &Path,
    directories: &Directories,
) -> Result<Vec<PolicyFile>> {
    refuse_ceiling()?;
    let mut files = Vec::new();
    if !common.no_config && directories.policy.exists() {
        files.push(PolicyFile::read(&directories.policy, Role::Own, env)?);
    }
    let named: Vec<_> = common
        .config
        .iter()
        .map(|path| PolicyFile::read(path, Role::Named, env))
        .collect::<Result<_>>()?;
    if !common.no_config
        && let Some(path) = found::search(project, directories.home.as_deref(), env.user)
        && !files
            .iter()
            .chain(&named)
            .any(|file| same_file(&env.cwd.join(&file.path), &path))
    {
        files.push(PolicyFile::read(&path, Role::Found, env)?);
    }
    files.extend(named);
    Ok(files)
}

/// A ceiling that is not obeyed would be worse than none.
fn refuse_ceiling() -> Result<()> {
    if Path::new(CEILING).symlink_metadata().is_err() {
        return Ok(());
    }
    Err(Failure::usage(
        diagnostic(code::UNUSABLE, format!("cannot obey `{CEILING}`")).note(
            "this release knows no ceiling, and runs nothing where an administrator has set one",
        ),
    ))
}

fn same_file(one: &Path, other: &Path) -> bool {
    one.canonicalize()
        .is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

impl PolicyFile {
    /// Reads a policy file; the user's own only if nobody else can have written it.
    pub(crate) fn read(path: &Path, role: Role, env: &Environment) -> Result<Self> {
        let whole = env.cwd.join(path);
        let failed =
            |error: &std::io::Error| Failure::unusable("read the policy file", path, error);
        let meta = fs::metadata(&whole).map_err(|error| failed(&error))?;
        if role == Role::Own && !trust::is_own_file(&meta, env.user) {
            return Err(Failure::usage(
                diagnostic(
                    code::FILE_NOT_OURS,
                    format!(
                        "your policy file `{}` can be changed by others",
                        path.display()
                    ),
                )
                .note("it decides what plugins may do")
                .help(format!(
                    "chown it to yourself and `chmod go-w {}`",
                    path.display()
                )),
            ));
        }
        if !meta.is_file() || meta.len() > MAX_POLICY {
            return Err(Failure::usage(
                diagnostic(
                    code::UNUSABLE,
                    format!("cannot read the policy file `{}`", path.display()),
                )
                .note("it is not a regular file of at most 1 MiB"),
            ));
        }
        let text = fs::read_to_string(&whole).map_err(|error| failed(&error))?;
        Ok(Self {
            path: path.to_owned(),
            role,
            text,
        })
    }

    fn layer(&self) -> Layer {
        let trust = if self.role == Role::Found {
            Trust::Narrowing
        } else {
            Trust::Trusted
        };
        Layer::File {
            path: self.path.clone(),
            text: self.text.clone(),
            trust,
        }
    }
}
