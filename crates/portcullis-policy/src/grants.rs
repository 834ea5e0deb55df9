use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::paths::outermost;
use crate::{
    Capability, Commit, Confinement, DataGrant, ExecCeiling, FledgePlugin, FsCeiling, HttpGrant,
    KvGrant, Limits, MetadataKey, Net, NetGrant, Origin, PluginId, ProgramRule, Protect,
    RegletGrant,
};

/// How strict the host is where the policy says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// What no rule allows is denied.
    #[default]
    Production,
    /// What no rule allows is asked at the terminal; without a terminal it is denied.
    Dev,
}

/// Everything one plugin was granted. [`Grants::none`] allows nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Whose grants these are.
    pub plugin: PluginId,
    /// The SHA-256 of the plugin's file. Without it rules that name one do not count.
    pub plugin_sha256: Option<[u8; 32]>,
    /// How strict the host is where no rule matches.
    pub mode: Mode,
    /// Native commands; `None` means the capability itself is not granted.
    pub exec: Option<ExecGrant>,
    /// Host directories and files that the guest and its commands may open, and directories that its commands may be
    /// started in.
    pub fs: Vec<FsGrant>,
    /// The only directories and files that may be granted. Whoever adds some has to [meet](Self::meet_fs_ceiling) it again.
    pub fs_ceiling: FsCeiling,
    /// Directories among them whose changes are staged: real paths. What lies in one is staged, whatever else grants it.
    /// Only a host in a staging namespace that covers them takes such grants.
    pub staged: Vec<PathBuf>,
    /// What becomes of staged changes.
    pub commit: Commit,
    /// What neither the guest nor its commands change although they may write the directory.
    pub protect: Protect,
    /// The network that its commands may reach. The guest itself has [`http`](Self::http) and [`own_net`](Self::own_net).
    pub net: Net,
    /// Names of host environment variables the guest itself may read (see [`HostEnvironment::readable`](crate::HostEnvironment::readable)).
    pub env: Vec<String>,
    /// Variables that the guest is told besides, with these values, over those of the host. Each has to be in `env` too.
    /// Its commands are not started with them.
    pub given_env: Vec<(String, String)>,
    /// Whether the guest may write lines into the operator's log.
    pub log: bool,
    /// The time of day that the guest is told, since the Unix epoch, for runs that can be repeated; `None`: the real one.
    pub clock: Option<Duration>,
    /// What the guest's random numbers come from, for runs that can be repeated; `None`: nobody can tell them before.
    pub random: Option<u64>,
    /// Whether an import of a capability that is not granted is an error when called instead of at load.
    pub late: bool,
    /// How much of the machine the plugin may use.
    pub limits: Limits,
    /// If present, the only variables that the plugin asks for: it reads no others, whatever `env` says.
    pub env_asked: Option<Vec<String>>,
    /// HTTP requests that the guest itself may send.
    pub http: HttpGrant,
    /// Names that the guest itself may look up, and places that it may connect to.
    pub own_net: NetGrant,
    /// Keys and values that it may keep; `None` means none.
    pub kv: Option<KvGrant>,
    /// A directory of its own; `None` means none. Only plugins of fledge have a name for it.
    pub data: Option<DataGrant>,
    /// Facts about the project that it may be told.
    pub metadata: Vec<MetadataKey>,
    /// What the manifest of a plugin of fledge says; `None` where there is none.
    pub fledge: Option<FledgePlugin>,
    /// What is different for a plugin of Reglet; `None` for every other, and where nothing is known of it yet.
    pub reglet: Option<RegletGrant>,
}

impl Grants {
    /// No rights at all, in production mode, with the default limits and everything protected.
    pub fn none(plugin: PluginId) -> Self {
        Self {
            plugin,
            plugin_sha256: None,
            mode: Mode::default(),
            exec: None,
            fs: Vec::new(),
            fs_ceiling: FsCeiling::default(),
            staged: Vec::new(),
            commit: Commit::default(),
            protect: Protect::default(),
            net: Net::None,
            env: Vec::new(),
            given_env: Vec::new(),
            log: false,
            clock: None,
            random: None,
            late: false,
            limits: Limits::default(),
            env_asked: None,
            http: HttpGrant::default(),
            own_net: NetGrant::default(),
            kv: None,
            data: None,
            metadata: Vec::new(),
            fledge: None,
            reglet: None,
        }
    }

    /// Whether anything of a capability is granted, so that an import of it is linked.
    pub fn has(&self, capability: Capability) -> bool {
        match capability {
            Capability::Exec => self.exec.is_some(),
            Capability::Fs => !self.fs.is_empty(),
            Capability::Env => !self.env.is_empty(),
            Capability::Http => !self.http.allow.is_empty(),
            Capability::Net => !self.own_net.is_empty(),
            Capability::Log => self.log,
            Capability::Kv => self.kv.is_some(),
            Capability::Metadata => !self.metadata.is_empty(),
            Capability::Prompt => false,
        }
    }

    /// Whether a rule counts only for a plugin with a certain SHA-256.
    pub fn names_plugin_sha256(&self) -> bool {
        let mut rules = self.exec.iter().flat_map(ExecGrant::rules);
        rules.any(|rule| rule.plugin_sha256.is_some())
    }

    /// Has every directory staged that may be written. Gives the files that may be written and lie in none, which cannot be.
    pub fn stage_all(&mut self) -> Vec<PathBuf> {
        let written = || {
            let grants = self.fs.iter();
            grants.filter(|grant| grant.access == FsAccess::ReadWrite)
        };
        let directories = written().filter(|grant| grant.kind.is_directory());
        let staged = outermost(directories.map(|grant| grant.host.clone()));
        let lies_in_none = |path: &&FsGrant| !staged.iter().any(|dir| path.host.starts_with(dir));
        let files = written().filter(lies_in_none);
        let files = files.map(|grant| grant.host.clone()).collect();
        self.staged = staged;
        files
    }

    /// The grant that covers a real path with this access, if one does.
    pub fn fs_grant(&self, real: &Path, access: FsAccess) -> Option<&FsGrant> {
        self.fs.iter().find(|grant| grant.covers(real, access))
    }
}

/// The right to start native commands, and its bounds.
///
/// # Defaults
/// - no program is allowed, none is denied by name
/// - nothing of the host's environment is inherited or passed
/// - no output of a command goes to the operator but through the plugin
/// - the plugin may set any variable that is not vetoed
/// - programs are found in `/usr/local/bin`, `/usr/bin`, `/bin`
/// - children are fully confined, or not started; they execute nothing that they can write, and share and keep
///   nothing
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecGrant {
    /// Whether any program is allowed that no rule denies (`-A`, or `exec = {}` in dev mode).
    pub any_program: bool,
    /// What is allowed.
    pub allow: Vec<ProgramRule>,
    /// What is denied; a denial wins over every allowance.
    pub deny: Vec<ProgramRule>,
    /// If present, what a command must be allowed by as well, whatever else allows it.
    pub ceiling: Option<ExecCeiling>,
    /// Where bare program names are looked up: absolute directories, in order.
    pub search_path: Vec<PathBuf>,
    /// Whether the host's environment, less the vetoed and secret names, is passed when the request asks for it.
    pub inherit_env: bool,
    /// Whether a command's output may go where the plugin's own goes, unread by the plugin.
    pub inherit_output: bool,
    /// Host variables passed by name to every command, secret or not. They are never shown to the guest.
    pub pass_env: Vec<String>,
    /// Inherited names with these prefixes are dropped, besides the built-in tables.
    pub strip_env_prefixes: Vec<String>,
    /// If present, the plugin may set only names with one of these prefixes.
    pub env_allow_prefixes: Option<Vec<String>>,
    /// Vetoed names that the plugin may set all the same.
    pub allow_dangerous_env: Vec<String>,
    /// What the kernel must enforce on the children.
    pub confinement: Confinement,
    /// Toolchains outside `/usr` that children read and execute: real paths.
    pub system: Vec<PathBuf>,
    /// Where children may execute what was written: names in each directory they may write, or real paths.
    pub write_exec: Vec<PathBuf>,
    /// Whether children of one instance with equal rights share their scratch space.
    pub share: bool,
    /// Bytes of the caches that are kept between children with equal rights, of each; `None`: none is kept.
    pub cache: Option<u64>,
    /// The line that granted the capability.
    pub origin: Origin,
}

impl Default for ExecGrant {
    fn default() -> Self {
        Self {
            any_program: false,
            allow: Vec::new(),
            deny: Vec::new(),
            ceiling: None,
            search_path: ["/usr/local/bin", "/usr/bin", "/bin"]
                .map(PathBuf::from)
                .to_vec(),
            inherit_env: false,
            inherit_output: false,
            pass_env: Vec::new(),
            strip_env_prefixes: Vec::new(),
            env_allow_prefixes: None,
            allow_dangerous_env: Vec::new(),
            confinement: Confinement::default(),
            system: Vec::new(),
            write_exec: Vec::new(),
            share: false,
            cache: None,
            origin: Origin::Code,
        }
    }
}

impl ExecGrant {
    /// Whether programs are allowed that no rule names: any, or those of a directory. A denial then counts for a file under
    /// all of its names.
    pub fn allows_unnamed(&self) -> bool {
        let unnamed = |rule: &ProgramRule| rule.program.named().is_none();
        self.any_program || self.allow.iter().any(unnamed)
    }

    /// Every rule that a command can meet.
    pub fn rules(&self) -> impl Iterator<Item = &ProgramRule> {
        let ceiling = self.ceiling.iter().flat_map(|ceiling| &ceiling.allow);
        self.allow.iter().chain(&self.deny).chain(ceiling)
    }
}

/// What may be done below a granted directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FsAccess {
    /// Open and list.
    Read,
    /// Also create, change and remove.
    ReadWrite,
}

/// What a grant is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FsKind {
    /// A directory and everything below it.
    #[default]
    Directory,
    /// The top of a git working tree, as [`FsKind::Directory`]; the host adds where git keeps its things for it.
    Repository,
    /// One file. The guest reads and writes it by the interface of files; WASI knows only directories.
    File,
}

impl FsKind {
    /// Whether it is a directory, of whatever kind.
    pub fn is_directory(self) -> bool {
        matches!(self, Self::Directory | Self::Repository)
    }
}

/// One host directory or file, and what may be done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FsGrant {
    /// The real path: absolute, without links.
    pub host: PathBuf,
    /// What it is.
    pub kind: FsKind,
    /// The name under which the guest sees it.
    pub guest: String,
    /// What may be done below it.
    pub access: FsAccess,
    /// The line that granted it.
    pub origin: Origin,
}

impl FsGrant {
    /// Whether a real path lies in the directory, with this access. A path with a `..` is not real.
    pub(crate) fn covers(&self, real: &Path, access: FsAccess) -> bool {
        self.access >= access
            && real.starts_with(&self.host)
            && !real.components().any(|part| part == Component::ParentDir)
    }
}
