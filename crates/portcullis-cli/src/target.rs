//! The plugin that a command is about: its file, its entry in the policy and its manifest.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use portcullis::{Diagnostic, Kind, LoadError, Source};
use portcullis_config::{FlagSet, LocateError, Manifest, PluginEntry, SelectError};
use portcullis_policy::{
    self as policy, Code, Denial, Grants, HTTP_METHODS, HostName, HttpUrl, Origin, ProgramRule,
    Programs,
};
use portcullis_registry::RegistryError;
use sha2::{Digest, Sha256};

use crate::args::Common;
use crate::code;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::settings::{Environment, Role, Settings, revoked};

/// Bytes read of a plugin: one more than any plugin may have.
pub(crate) const MAX_READ: u64 = 128 * 1024 * 1024 + 1;

/// A plugin that was found and read.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) entry: PluginEntry,
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: String,
    /// The same as bytes.
    pub(crate) digest: [u8; 32],
    /// What of an installed plugin is revoked besides its content, which the host looks at itself.
    revoked: Option<portcullis_policy::Digest>,
    /// Where `grant` would have to write for this plugin.
    pub(crate) editing: Editing,
    /// Arguments that the command it was called by puts before all others.
    pub(crate) first_args: Vec<String>,
    /// The file that the policy has under its name, where that is another one.
    pub(crate) other: Option<PathBuf>,
    /// What the plugin's relative paths begin at.
    project: PathBuf,
}

/// How `grant` and `revoke` have to be told which plugin is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Editing {
    /// By its id: in the user's own file, or with the plugin where that is installed.
    Own,
    /// By its id, in the file that has its entry.
    File(PathBuf),
    /// By its path, since it has no entry.
    Path(PathBuf),
}

impl Target {
    /// Finds and reads what `selector` means.
    pub(crate) fn find(settings: &Settings, selector: &str) -> Result<Self> {
        let (entry, first_args) = called_by(settings, selector)?;
        Self::read(settings, entry, first_args, selector)
    }

    /// The same for what is only looked at: a file that goes by the name of another plugin is itself, and has nothing of the
    /// other's.
    fn see(settings: &Settings, selector: &str) -> Result<Self> {
        match settings.policy.plugin(selector) {
            Err(SelectError::IdTaken { other, itself, .. }) => Ok(Self {
                other: Some(other),
                ..Self::read(settings, *itself, Vec::new(), selector)?
            }),
            _ => Self::find(settings, selector),
        }
    }

    fn read(
        settings: &Settings,
        mut entry: PluginEntry,
        first_args: Vec<String>,
        selector: &str,
    ) -> Result<Self> {
        if entry.path.as_os_str().is_empty() {
            return Err(Failure::usage(
                diagnostic(code::NO_PLUGIN, format!("`{selector}` is no plugin"))
                    .note("its entry in the policy has no `path`: it is about `portcullis exec`")
                    .help("portcullis exec --dry-run -- <program> [args]"),
            ));
        }
        entry.grants = portcullis::with_repositories(entry.grants)?;
        let mut bytes = Vec::new();
        File::open(&entry.path)
            .and_then(|file| file.take(MAX_READ).read_to_end(&mut bytes))
            .map_err(|source| unread(&entry, source))?;
        let digest = Sha256::digest(&bytes).into();
        // What the policy binds to a plugin's content it binds to what was read here.
        entry.grants.plugin_sha256 = Some(digest);
        // What was trusted was trusted as it was.
        entry.sha256 = entry.sha256.or(settings.pin(&entry.path));
        let record = settings.installed.get(entry.id.as_str());
        let record = record.filter(|_| entry.installed);
        let revoked = record.and_then(|record| revoked(record, settings.provenance()));
        let editing = Editing::of(&entry, settings);
        Ok(Self {
            entry,
            bytes,
            sha256: hex::encode(digest),
            digest,
            revoked: revoked.map(|(_, digest)| digest),
            editing,
            first_args,
            other: None,
            project: settings.project.clone(),
        })
    }

    /// The settings, and what `selector` means under them. An installed plugin that is updated or removed meanwhile is looked
    /// for again.
    pub(crate) fn load(
        common: &Common,
        flags: &FlagSet,
        env: &Environment,
        selector: &str,
    ) -> Result<(Settings, Self)> {
        Self::settle(common, flags, env, |settings| {
            Self::find(settings, selector)
        })
    }

    /// As [`load`](Self::load), for what is only looked at: [`other`](Self::other) says whose name it has.
    pub(crate) fn load_to_see(
        common: &Common,
        flags: &FlagSet,
        env: &Environment,
        selector: &str,
    ) -> Result<(Settings, Self)> {
        Self::settle(common, flags, env, |settings| Self::see(settings, selector))
    }

    fn settle(
        common: &Common,
        flags: &FlagSet,
        env: &Environment,
        find: impl Fn(&Settings) -> Result<Self>,
    ) -> Result<(Settings, Self)> {
        let mut settings = Settings::load(common, flags.clone(), env.clone())?;
        loop {
            let failure = match find(&settings) {
                Ok(target) => return Ok((settings, target)),
                Err(failure) => failure,
            };
            let now = Settings::load(common, flags.clone(), env.clone())?;
            if now.installed.records == settings.installed.records {
                return Err(failure);
            }
            settings = now;
        }
    }

    /// What it may do: what was granted and asked for, two keys to one door.
    pub(crate) fn grants(&self) -> Grants {
        let mut grants = self.entry.grants.clone();
        if Kind::of(&self.bytes) == Kind::RegletModule {
            // What is decided differently for those is so wherever it is explained.
            grants.reglet.get_or_insert_default();
        }
        match self.manifest() {
            Some(manifest) => manifest.restrict(grants),
            None => grants,
        }
    }

    /// The name of its file: what a command is called by.
    pub(crate) fn file_name(&self) -> String {
        let name = self.entry.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(crate) fn manifest(&self) -> Option<&Manifest> {
        self.entry.manifest.as_ref().map(|(_, manifest)| manifest)
    }

    /// Says of a denial that the policy is not what is missing: the plugin itself did not ask.
    pub(crate) fn explain(&self, mut denial: Denial) -> Denial {
        if let Some((path, _)) = &self.entry.manifest
            && self.would_allow(&self.entry.grants, &denial)
            && !self.would_allow(&self.grants(), &denial)
        {
            denial.notes = vec![format!(
                "the policy allows it, but the plugin does not ask for it in `{}`",
                path.display()
            )];
            denial.remedies.clear();
        }
        denial
    }

    /// Whether these rights are about what was denied for want of any.
    fn would_allow(&self, grants: &Grants, denial: &Denial) -> bool {
        let object = Path::new(&denial.object);
        match denial.code {
            Code::ExecNoRule | Code::ExecNotGranted => grants.exec.as_ref().is_some_and(|exec| {
                let same = |rule: &ProgramRule| match &rule.program {
                    Programs::Named(program) => {
                        object.file_name() == Some(OsStr::new(program.base_name()))
                    }
                    Programs::In(directory) => directory.holds(object),
                };
                exec.any_program || exec.allow.iter().any(same)
            }),
            Code::FsNotGranted => {
                let path = self.project.join(object);
                grants.fs.iter().any(|grant| path.starts_with(&grant.host))
            }
            // The directory is what would have to be granted.
            Code::ExecCwd => {
                let mut commands = denial.remedies.iter().flat_map(|remedy| &remedy.command);
                let directory = commands.find_map(|command| command.last());
                directory.is_some_and(|directory| {
                    let path = self.project.join(directory);
                    grants.fs.iter().any(|grant| path.starts_with(&grant.host))
                })
            }
            Code::HttpNotGranted => HttpUrl::parse(&denial.object).is_ok_and(|url| {
                let mut methods = HTTP_METHODS.iter();
                methods.any(|method| grants.http.decide(method, &url).is_ok())
            }),
            Code::NetConnect => policy::Target::parse(&denial.object)
                .is_ok_and(|target| grants.own_net.decide(&target).is_ok()),
            Code::NetLookup => HostName::parse(&denial.object)
                .is_ok_and(|name| grants.own_net.decide_lookup(&name).is_ok()),
            _ => false,
        }
    }

    /// The bytes and rights to load, once the bytes are those that the policy names.
    pub(crate) fn source(&mut self) -> Result<Source> {
        if let Some(expected) = self.entry.sha256.map(hex::encode)
            && expected != self.sha256
        {
            if self.entry.installed {
                return Err(RegistryError::Tampered {
                    name: self.entry.id.to_string(),
                    expected,
                    found: self.sha256.clone(),
                }
                .into());
            }
            let plugin = self.entry.id.clone();
            return Err(LoadError::Digest {
                plugin,
                expected,
                found: self.sha256.clone(),
            }
            .into());
        }
        if let Some(digest) = self.revoked {
            let plugin = self.entry.id.clone();
            return Err(LoadError::Revoked { plugin, digest }.into());
        }
        self.fits()?;
        Ok(Source {
            bytes: std::mem::take(&mut self.bytes),
            grants: self.grants(),
        })
    }
}

/// What a selector means: a plugin of the policy, or of what is installed by the name of one of its commands. Also the
/// arguments that such a command puts first.
fn called_by(settings: &Settings, selector: &str) -> Result<(PluginEntry, Vec<String>)> {
    let unknown = match settings.policy.plugin(selector) {
        Err(unknown @ SelectError::Unknown { .. }) => unknown,
        found => return Ok((found?, Vec::new())),
    };
    let mut records = settings.installed.records.iter();
    let Some(record) = records.find(|record| record.commands.contains(selector)) else {
        return Err(unknown.into());
    };
    let entry = settings.policy.plugin(&record.name)?;
    let manifest = entry.manifest.as_ref().map(|(_, manifest)| manifest);
    let mut commands = manifest.into_iter().flat_map(|manifest| &manifest.commands);
    let args = commands.find(|command| command.name == selector);
    let args = args.map(|command| command.args.clone()).unwrap_or_default();
    Ok((entry, args))
}

/// Why a plugin's file was not read. Where its manifest is there and it is not, somebody has to build it first.
fn unread(entry: &PluginEntry, source: io::Error) -> Failure {
    let missing = source.kind() == io::ErrorKind::NotFound;
    let error = LoadError::Read {
        plugin: entry.id.clone(),
        path: entry.path.clone(),
        source,
    };
    match &entry.manifest {
        Some((manifest, _)) if missing => Failure::usage(
            error
                .diagnostic()
                .note(format!(
                    "its manifest `{}` is there: the plugin itself is not built, or was not copied",
                    manifest.display()
                ))
                .help("to build it: portcullis build, in its directory; the examples of Portcullis: cargo xtask guests"),
        ),
        Some(_) | None => error.into(),
    }
}

impl Target {
    /// Whether the directory of a plugin of clawft is of a size that it may have.
    ///
    /// # Errors
    /// It is larger, or cannot be looked through.
    pub(crate) fn fits(&self) -> Result<()> {
        let manifest = self.entry.manifest.as_ref();
        let Some((path, _)) = manifest.filter(|(_, manifest)| manifest.clawft.is_some()) else {
            return Ok(());
        };
        let dir = path.parent().unwrap_or(path);
        let (plugin, limit) = (&self.entry.id, self.entry.grants.limits.clawft_directory);
        let size = portcullis_config::directory_size(dir, limit);
        match size.map_err(|error| Failure::unusable("look through", dir, &error))? {
            size if size > limit => Err(Failure::usage(
                diagnostic(
                    code::TOO_LARGE,
                    format!("plugin `{plugin}` has more than {limit} bytes in its directory"),
                )
                .note(format!("directory `{}`", dir.display()))
                .help(format!("raise `limits.clawft_directory` for `{plugin}`")),
            )),
            _ => Ok(()),
        }
    }
}

impl Target {
    /// The same commands told in full, as [`Editing::complete`].
    pub(crate) fn complete_all(&self, notices: &mut [Diagnostic]) {
        let helps = notices.iter_mut().flat_map(|notice| &mut notice.helps);
        for command in helps.filter_map(|help| help.command.as_mut()) {
            *command = self.editing.complete(command);
        }
    }
}

impl Editing {
    fn of(entry: &PluginEntry, settings: &Settings) -> Self {
        if entry.installed {
            return Self::Own;
        }
        match &entry.origin {
            Some(Origin::File { file, .. }) => {
                let known = settings.files.iter().find(|known| known.path == *file);
                match known.map(|known| known.role) {
                    Some(Role::Own) => Self::Own,
                    // A change there would be one of the tree, and no longer trusted.
                    Some(Role::Trusted) => Self::Path(entry.path.clone()),
                    _ => Self::File(file.clone()),
                }
            }
            Some(Origin::Flag { .. } | Origin::Code | Origin::Answer) | None => {
                Self::Path(entry.path.clone())
            }
        }
    }

    /// The command that a remedy names, told in full which plugin and file is meant.
    pub(crate) fn complete(&self, command: &[String]) -> Vec<String> {
        let mut words = command.to_vec();
        // `portcullis grant <id> …`: remedies of the policy know the id only.
        let is_edit = words
            .get(1)
            .is_some_and(|verb| verb == "grant" || verb == "revoke")
            && words.len() > 2;
        match self {
            Self::File(file) if is_edit => {
                words.splice(2..2, ["--config".to_owned(), file.display().to_string()]);
            }
            Self::Path(path) if is_edit => words[2] = path.display().to_string(),
            Self::Own | Self::File(_) | Self::Path(_) => {}
        }
        words
    }
}

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        let message = error.to_string();
        match error {
            SelectError::Unknown { nearest, .. } => {
                let report = diagnostic(code::NO_PLUGIN, message);
                Self::usage(match nearest {
                    Some(id) => report.help(format!("the policy has a plugin `{id}`")),
                    None => report.note("a plugin is named by its id in the policy, or by the path of its file or directory"),
                })
            }
            SelectError::IdTaken { id, installed, .. } => {
                let report = diagnostic(code::NO_PLUGIN, message)
                    .note("a plugin never gets the rights of another one of the same name");
                Self::usage(report.help(match installed {
                    true => format!(
                        "rename it; `portcullis update {id}` where that one was installed from it, `portcullis remove {id}` otherwise"
                    ),
                    false => format!("rename it, or change the `path` of `{id}` in the policy"),
                }))
            }
            SelectError::Locate(LocateError::Manifest { errors, .. })
            | SelectError::Flags(errors) => errors.into(),
            SelectError::Locate(LocateError::Unreadable { path, source }) => {
                Self::unusable("read", &path, &source)
            }
            _ => Self::usage(diagnostic(code::NO_PLUGIN, message)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use portcullis_config::FlagSet;

    use super::{Editing, Target};
    use crate::args::Common;
    use crate::settings::trusted::Store;
    use crate::settings::{Environment, Role, Settings};

    #[test]
    fn a_plugin_that_is_swapped_after_it_was_looked_at_is_not_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (home, project) = (root.join("home"), root.join("project"));
        for dir in [&home, &project] {
            fs::create_dir(dir).unwrap();
        }
        let policy = project.join("portcullis.toml");
        fs::write(&policy, "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n").unwrap();
        fs::write(project.join("p.wasm"), "one").unwrap();
        let (common, env) = (Common::default(), Environment::of_home(&home, &project));
        let (settings, at) = Settings::believing(&common, FlagSet::default(), env.clone()).unwrap();
        let record = settings.record(at).unwrap();
        Store::update(&settings.directories.data, |store| {
            store.files.insert(policy, record)
        })
        .unwrap();
        let settings = Settings::load(&common, FlagSet::default(), env).unwrap();
        assert_eq!(settings.files[0].role, Role::Trusted);
        let source = || Target::find(&settings, "p").unwrap().source();
        assert!(source().is_ok());
        fs::write(project.join("p.wasm"), "two").unwrap();
        assert!(source().is_err());
    }

    #[test]
    fn a_remedy_says_which_file_is_meant() {
        let remedy = ["portcullis", "grant", "p", "exec", "git"].map(str::to_owned);
        let complete = |editing: Editing| editing.complete(&remedy).join(" ");
        assert_eq!(complete(Editing::Own), "portcullis grant p exec git");
        assert_eq!(
            complete(Editing::File("x.toml".into())),
            "portcullis grant --config x.toml p exec git"
        );
        assert_eq!(
            complete(Editing::Path("/x/p.wasm".into())),
            "portcullis grant /x/p.wasm exec git"
        );
    }
}
