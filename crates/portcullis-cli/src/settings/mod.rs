//! From the command line and the environment to what the verbs need: directories, the policy and its files.

mod ceiling;
mod directories;
mod environment;
mod found;
pub(crate) mod installed;
mod trust;
pub(crate) mod trusted;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_config::{ConfigCode, Context, FlagSet, Layer, OwnState, PolicySet, Trust};
use portcullis_policy::Provenance;
use portcullis_registry::Record;
use sha2::{Digest, Sha256};

use crate::args::Common;
use crate::code;
use crate::failure::{Failure, Report, Result, Say, diagnostic};
pub(crate) use ceiling::hold as hold_ceiling;
use installed::Installed;
pub(crate) use installed::revoked;

pub(crate) use directories::{Directories, POLICY_FILE};
pub(crate) use environment::Environment;

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
    /// What policy files are read against.
    pub(crate) context: Context,
    pub(crate) installed: Installed,
    /// What plugins of a trusted file have to be.
    pins: BTreeMap<PathBuf, Option<[u8; 32]>>,
}

/// A policy file, and what it counts for.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFile {
    pub(crate) path: PathBuf,
    pub(crate) role: Role,
    pub(crate) text: String,
}

/// What a policy file counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The user's own.
    Own,
    /// Found in the working tree: it only takes away.
    Found,
    /// Found in the working tree, and trusted as it is.
    Trusted,
    /// An administrator's, over everything.
    Ceiling,
    /// Named on the command line.
    Named,
}

impl Role {
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Own => "your own policy",
            Self::Found => "found in the working tree; only takes away",
            Self::Trusted => "found in the working tree, and trusted by you",
            Self::Ceiling => "the ceiling: nothing is granted beyond it",
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
        Self::load_for(About::Plugins, common, flags, env)
    }

    /// As [`Self::load`], for a verb that is about no installed plugin: it does not look at them unless the policy names one.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn load_apart(common: &Common, flags: FlagSet, env: Environment) -> Result<Self> {
        Self::load_for(About::NoPlugin, common, flags, env)
    }

    /// As [`Self::load_apart`], and without the policy of the working tree: for a verb about what somebody works on there, whose
    /// policy is about its use.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn load_own(common: &Common, flags: FlagSet, env: Environment) -> Result<Self> {
        let (place, mut files) = Place::of(About::NoPlugin, common, env)?;
        files.retain(|file| file.role != Role::Found);
        Self::with_files(place, files, flags)
    }

    fn load_for(about: About, common: &Common, flags: FlagSet, env: Environment) -> Result<Self> {
        let (place, files) = Place::of(about, common, env)?;
        let Some(at) = files.iter().position(|file| file.role == Role::Found) else {
            return Self::with_files(place, files, flags);
        };
        let path = real(&place.env.cwd.join(&files[at].path));
        let store = trusted::Store::read(&place.directories.data)?;
        let Some(record) = store.files.get(&path) else {
            return Self::with_files(place, files, flags);
        };
        let mut believed = files.clone();
        believed[at].role = Role::Trusted;
        let is_same = record.sha256 == hex::encode(Sha256::digest(&files[at].text));
        if is_same {
            let mut settings = Self::with_files(place.clone(), believed, flags.clone())?;
            // What is hashed is what was parsed; what is loaded later is held to it once more.
            if settings.policy.forbids_trust().is_some() {
                return Self::with_files(place, files, flags);
            }
            let now = settings.record(at)?;
            if now == *record {
                settings.pins = now.pins();
                return Ok(settings);
            }
        }
        Self::with_files(place, files, flags).map_err(was_trusted)
    }

    /// As [`Self::load`], as if the policy of the working tree were trusted. The second is its place among the files.
    ///
    /// # Errors
    /// As [`Self::load`], and when there is no such policy.
    pub(crate) fn believing(
        common: &Common,
        flags: FlagSet,
        env: Environment,
    ) -> Result<(Self, usize)> {
        let (place, mut files) = Place::of(About::Plugins, common, env)?;
        let Some(at) = files.iter().position(|file| file.role == Role::Found) else {
            return Err(nothing_found(&place.project));
        };
        files[at].role = Role::Trusted;
        let settings = Self::with_files(place, files, flags)?;
        Ok((settings, at))
    }

    /// The policy file at a place in the list as it is now.
    pub(crate) fn record(&self, at: usize) -> Result<trusted::Record> {
        let file = &self.files[at];
        trusted::Record::of(&file.path, &file.text, &self.policy)
    }

    /// What a plugin has to be because a trusted file named it.
    pub(crate) fn pin(&self, plugin: &Path) -> Option<[u8; 32]> {
        self.pins.get(plugin).copied().flatten()
    }

    /// As [`Self::load`], with these files and no others.
    pub(crate) fn with_only(common: &Common, files: &[PathBuf], env: Environment) -> Result<Self> {
        let (project, directories) = places(common, &env)?;
        let files = files
            .iter()
            .map(|path| PolicyFile::read(path, Role::Named, &env))
            .collect::<Result<_>>()?;
        let installed = Installed::read(&directories, false)?;
        let place = Place {
            project,
            directories,
            installed,
            env,
        };
        Self::with_files(place, files, FlagSet::default())
    }

    fn with_files(place: Place, files: Vec<PolicyFile>, flags: FlagSet) -> Result<Self> {
        let Place {
            project,
            directories,
            installed,
            env,
        } = place;
        let context = context(&project, &directories, &env, &installed)?;
        let policy = policy(&files, &installed, flags, &context)?;
        Ok(Self {
            env,
            project,
            directories,
            files,
            policy,
            context,
            installed,
            pins: BTreeMap::new(),
        })
    }

    /// The policy, and what it was read against, as if this were installed besides, or instead of what has its name.
    pub(crate) fn with_installed(&self, record: &Record) -> Result<(PolicySet, Context)> {
        let installed = self.installed.with(record);
        let context = context(&self.project, &self.directories, &self.env, &installed)?;
        let policy = policy(&self.files, &installed, FlagSet::default(), &context)?;
        Ok((policy, context))
    }

    /// Whose signatures count, and which contents do or never do.
    pub(crate) fn provenance(&self) -> &Provenance {
        self.policy.provenance()
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

/// Whether a verb may be about an installed plugin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Plugins,
    NoPlugin,
}

/// Where a verb is, before anything of the policy is understood.
#[derive(Clone)]
struct Place {
    project: PathBuf,
    directories: Directories,
    installed: Installed,
    env: Environment,
}

impl Place {
    /// The place, and the policy files there.
    fn of(about: About, common: &Common, env: Environment) -> Result<(Self, Vec<PolicyFile>)> {
        let (project, directories) = places(common, &env)?;
        let files = policy_files(common, &env, &project, &directories)?;
        // An entry about an installed plugin names its content.
        let names_one = files.iter().any(|file| file.text.contains("sha256"));
        let installed = if about == About::NoPlugin && !names_one {
            Installed::none(&directories)
        } else {
            Installed::read(&directories, !common.no_config)?
        };
        let place = Self {
            project,
            directories,
            installed,
            env,
        };
        Ok((place, files))
    }
}

/// All layers: what was granted to installed plugins comes first, so that files can say more of it.
fn policy(
    files: &[PolicyFile],
    installed: &Installed,
    flags: FlagSet,
    context: &Context,
) -> Result<PolicySet> {
    let files = files.iter().map(PolicyFile::layer);
    let layers = installed.layers().chain(files);
    let layers: Vec<_> = layers.chain([Layer::Flags(flags)]).collect();
    Ok(PolicySet::load(&layers, context)?)
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
///
/// # Errors
/// What an installed plugin says of itself cannot be understood.
pub(crate) fn context(
    project: &Path,
    directories: &Directories,
    env: &Environment,
    installed: &Installed,
) -> Result<Context> {
    let Directories {
        home,
        policy,
        config,
        data,
        cache,
        audit,
        ..
    } = directories.clone();
    let own = |path: PathBuf, secret| OwnState { path, secret };
    Ok(Context {
        installed: installed.described()?,
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
    })
}

fn policy_files(
    common: &Common,
    env: &Environment,
    project: &Path,
    directories: &Directories,
) -> Result<Vec<PolicyFile>> {
    let mut files: Vec<_> = ceiling::read()?.into_iter().collect();
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

/// Says of mistakes of a file that it was trusted as it was before.
fn was_trusted(mut failure: Failure) -> Failure {
    let mistakes = failure
        .reports
        .iter_mut()
        .filter_map(|report| match report {
            Report::File(error) if error.code == ConfigCode::Untrusted => Some(error),
            Report::File(_) | Report::Plain(_) => None,
        });
    for mistake in mistakes {
        mistake
            .notes
            .push("it was trusted, but it or a plugin that it names has changed since".to_owned());
    }
    failure
}

/// The policy file of the working tree.
///
/// # Errors
/// When there is none.
pub(crate) fn found(
    project: &Path,
    directories: &Directories,
    env: &Environment,
) -> Result<PathBuf> {
    found::search(project, directories.home.as_deref(), env.user)
        .ok_or_else(|| nothing_found(project))
}

fn nothing_found(project: &Path) -> Failure {
    Failure::usage(
        diagnostic(
            code::TRUST,
            format!(
                "there is no `portcullis.toml` of a working tree in `{}` or above",
                project.display()
            ),
        )
        .note("what you name with `--config` is trusted anyway"),
    )
}

pub(crate) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
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
        if self.role == Role::Ceiling {
            return Layer::Ceiling {
                path: self.path.clone(),
                text: self.text.clone(),
            };
        }
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
