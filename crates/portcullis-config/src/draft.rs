//! One plugin while the layers are put on top of each other: scalars, later wins; lists are united.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_policy::{
    Commit, Confinement, ConnectRule, DataGrant, ExecGrant, FsAccess, FsGrant, FsKind, Grants,
    HttpGrant, HttpRule, HttpSecret, KvGrant, KvOwner, KvSize, Limits, LookupRule, MetadataKey,
    Mode, Net, NetGrant, Origin, PluginId, ProgramRule, Protect, RegletGrant,
};

use crate::audit::AuditForwards;
use crate::network::Network;
use crate::raw;

/// The id of the entry that is no plugin's: what `portcullis exec` may do.
pub(crate) const VERB: &str = "exec";

/// What the trusted files say for all plugins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) mode: Option<Mode>,
    pub(crate) confinement: Option<Confinement>,
    pub(crate) exec_path: Option<Vec<PathBuf>>,
    pub(crate) network: Network,
    pub(crate) audit: AuditForwards,
    pub(crate) provenance: portcullis_policy::Provenance,
}

/// What the layers read so far say about one plugin.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) id: PluginId,
    pub(crate) origin: Origin,
    /// The real path of the component, or where it will be.
    pub(crate) path: PathBuf,
    pub(crate) sha256: Option<[u8; 32]>,
    /// Of an installed plugin: what its state belongs to.
    pub(crate) record: Option<String>,
    pub(crate) late: bool,
    pub(crate) env: Vec<String>,
    /// Variables that flags give a value.
    pub(crate) given_env: Vec<(String, String)>,
    pub(crate) log: bool,
    pub(crate) clock: Option<Duration>,
    pub(crate) random: Option<u64>,
    pub(crate) fs: Vec<FsGrant>,
    /// Directories among them that some layer wants staged: they are, whatever another says.
    pub(crate) staged: Vec<PathBuf>,
    pub(crate) commit: Option<Commit>,
    /// Kept beside `exec`, as it is written.
    pub(crate) net: Option<Net>,
    pub(crate) limits: Limits,
    pub(crate) exec: Option<ExecDraft>,
    /// Kept beside `exec`, because a denial also counts where only a flag grants the capability.
    pub(crate) deny: Vec<ProgramRule>,
    pub(crate) env_allow_prefixes: Option<Vec<String>>,
    pub(crate) http: Vec<HttpRule>,
    pub(crate) http_secrets: Vec<HttpSecret>,
    pub(crate) connect: Vec<ConnectRule>,
    pub(crate) lookup: Vec<LookupRule>,
    pub(crate) kv: Option<KvDraft>,
    /// A directory of its own: the line that grants it, and the file that vouches for the plugin's name.
    pub(crate) data: Option<(Origin, PathBuf)>,
    pub(crate) metadata: Vec<MetadataKey>,
    pub(crate) reglet: Option<RegletGrant>,
}

/// How much state a plugin keeps.
#[derive(Clone, Debug)]
pub(crate) struct KvDraft {
    pub(crate) size: KvSize,
    pub(crate) origin: Origin,
    /// The real path of the file that says so: it vouches for the plugin's name.
    pub(crate) policy: PathBuf,
}

/// What the layers say about the commands of one plugin.
#[derive(Clone, Debug)]
pub(crate) struct ExecDraft {
    pub(crate) origin: Origin,
    pub(crate) inherit_env: Option<bool>,
    pub(crate) inherit_output: Option<bool>,
    /// `None` while no layer has an `allow` list: then any program is allowed in dev mode, none in production.
    pub(crate) allow: Option<Vec<ProgramRule>>,
    pub(crate) any_program: bool,
    pub(crate) pass_env: Vec<String>,
    pub(crate) strip_env_prefixes: Vec<String>,
    pub(crate) allow_dangerous_env: Vec<String>,
    pub(crate) confinement: Option<Confinement>,
    pub(crate) search_path: Option<Vec<PathBuf>>,
    pub(crate) system: Vec<PathBuf>,
    pub(crate) write_exec: Vec<PathBuf>,
    pub(crate) share: bool,
    pub(crate) cache: Option<u64>,
    pub(crate) protect: Protect,
}

impl ExecDraft {
    pub(crate) fn new(origin: Origin) -> Self {
        Self {
            origin,
            inherit_env: None,
            inherit_output: None,
            allow: None,
            any_program: false,
            pass_env: Vec::new(),
            strip_env_prefixes: Vec::new(),
            allow_dangerous_env: Vec::new(),
            confinement: None,
            search_path: None,
            system: Vec::new(),
            write_exec: Vec::new(),
            share: false,
            cache: None,
            protect: Protect::default(),
        }
    }
}

impl Draft {
    pub(crate) fn new(id: PluginId, origin: Origin, path: PathBuf) -> Self {
        Self {
            id,
            origin,
            path,
            sha256: None,
            record: None,
            late: false,
            env: Vec::new(),
            given_env: Vec::new(),
            log: false,
            clock: None,
            random: None,
            fs: Vec::new(),
            staged: Vec::new(),
            commit: None,
            net: None,
            limits: Limits::default(),
            exec: None,
            deny: Vec::new(),
            env_allow_prefixes: None,
            http: Vec::new(),
            http_secrets: Vec::new(),
            connect: Vec::new(),
            lookup: Vec::new(),
            kv: None,
            data: None,
            metadata: Vec::new(),
            reglet: None,
        }
    }

    /// The entry without a file. A person who types a command waits for it as long as it takes: only limits that are
    /// written hold.
    pub(crate) fn of_the_verb(id: PluginId, origin: Origin) -> Self {
        let limits = Limits {
            timeout: Duration::MAX,
            output: u64::MAX,
            total_output: u64::MAX,
            call: Duration::MAX,
            ..Limits::default()
        };
        Self {
            limits,
            ..Self::new(id, origin, PathBuf::new())
        }
    }

    /// Whether it stands for no plugin.
    pub(crate) fn is_of_the_verb(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// Adds a directory. The same directory under the same name is one grant with the greater access.
    ///
    /// # Errors
    /// The other directory that the guest already sees under this name.
    pub(crate) fn add_fs(&mut self, grant: FsGrant) -> Result<(), PathBuf> {
        match self.fs.iter_mut().find(|other| other.guest == grant.guest) {
            None => self.fs.push(grant),
            Some(other) if other.host != grant.host => return Err(other.host.clone()),
            Some(other) if other.access < grant.access || grant.kind == FsKind::Repository => {
                *other = grant;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// The grants that the layers come to.
    pub(crate) fn grants(&self, settings: &Settings) -> Grants {
        let mode = settings.mode.unwrap_or_default();
        let written = self.exec.as_ref();
        let protect = written.map(|exec| exec.protect.clone()).unwrap_or_default();
        let exec = self.exec.as_ref().map(|exec| {
            let default = ExecGrant::default();
            ExecGrant {
                any_program: exec.any_program || (exec.allow.is_none() && mode == Mode::Dev),
                allow: exec.allow.clone().unwrap_or_default(),
                deny: self.deny.clone(),
                ceiling: None,
                search_path: [&exec.search_path, &settings.exec_path]
                    .into_iter()
                    .find_map(Clone::clone)
                    .unwrap_or(default.search_path),
                inherit_env: exec.inherit_env.unwrap_or(mode == Mode::Dev),
                inherit_output: exec.inherit_output.unwrap_or(default.inherit_output),
                pass_env: exec.pass_env.clone(),
                strip_env_prefixes: exec.strip_env_prefixes.clone(),
                env_allow_prefixes: self.env_allow_prefixes.clone(),
                allow_dangerous_env: exec.allow_dangerous_env.clone(),
                confinement: exec
                    .confinement
                    .or(settings.confinement)
                    .unwrap_or_default(),
                system: exec.system.clone(),
                write_exec: exec.write_exec.clone(),
                share: exec.share,
                cache: exec.cache,
                origin: exec.origin.clone(),
            }
        });
        Grants {
            plugin: self.id.clone(),
            plugin_sha256: None,
            mode,
            exec,
            fs: self.fs.clone(),
            fs_ceiling: Default::default(),
            staged: self.staged.clone(),
            commit: self.commit.unwrap_or_default(),
            protect,
            net: self.net.clone().unwrap_or_default(),
            env: self.env.clone(),
            given_env: self.given_env.clone(),
            log: self.log,
            clock: self.clock,
            random: self.random,
            late: self.late,
            limits: self.limits.clone(),
            env_asked: None,
            http: HttpGrant {
                allow: self.http.clone(),
                secrets: self.http_secrets.clone(),
                ..HttpGrant::default()
            },
            own_net: NetGrant {
                connect: self.connect.clone(),
                lookup: self.lookup.clone(),
                ..NetGrant::default()
            },
            kv: self.kv.as_ref().map(|kv| KvGrant {
                size: kv.size,
                owner: self.owner(&kv.policy),
                origin: kv.origin.clone(),
            }),
            data: self.data.as_ref().map(|(origin, policy)| DataGrant {
                owner: self.owner(policy),
                origin: origin.clone(),
            }),
            metadata: self.metadata.clone(),
            fledge: None,
            reglet: self.reglet.clone(),
        }
    }

    /// Whose what is kept is, by the word of a policy file.
    fn owner(&self, policy: &Path) -> KvOwner {
        match &self.record {
            Some(record) => KvOwner::Installed {
                record: record.clone(),
            },
            None => KvOwner::Policy {
                policy: policy.to_owned(),
                file: self.path.clone(),
            },
        }
    }

    /// The directory that `${plugin}` stands for.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.path.parent()
    }
}

/// Appends what is not there yet.
pub(crate) fn unite<T: PartialEq>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

/// The lists of a policy's `fs` table, with what they grant.
pub(crate) fn directories(
    fs: &raw::Fs,
) -> impl Iterator<Item = (&crate::source::At<raw::Directory>, FsAccess, Wanted)> {
    let any = |list, access| listed(list, access, Wanted::Any);
    let repositories = listed(&fs.repository, FsAccess::ReadWrite, Wanted::Repository);
    any(&fs.read, FsAccess::Read)
        .chain(any(&fs.write, FsAccess::ReadWrite))
        .chain(repositories)
}

/// What an entry of a list has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Any,
    Repository,
}

type Entries = [crate::source::At<raw::Directory>];

fn listed(
    list: &Entries,
    access: FsAccess,
    wanted: Wanted,
) -> impl Iterator<Item = (&crate::source::At<raw::Directory>, FsAccess, Wanted)> {
    list.iter().map(move |entry| (entry, access, wanted))
}
