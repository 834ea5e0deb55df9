use std::path::{Path, PathBuf};

use portcullis_policy::{
    Confinement, Cut, Grants, InvalidPluginId, Mode, Origin, PluginId, Provenance,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::audit::AuditForwards;
use crate::ceiling::{self, CeilingFile, Read};
use crate::component::{self, Component, LocateError};
use crate::context::{Base, Context, Installed, OwnState};
use crate::draft::{Draft, ExecDraft, VERB};
use crate::entries::Drafts;
use crate::error::{ConfigErrors, Report};
use crate::flags::{FlagSet, Flags};
use crate::manifest::Manifest;
use crate::network::Network;
use crate::raw::PolicyFile;
use crate::reader::Reader;
use crate::source::Source;
use crate::{context, secrets, shape};

/// One source of policy.
#[expect(
    clippy::large_enum_variant,
    reason = "a handful of layers are made once for a run"
)]
#[derive(Clone, Debug)]
pub enum Layer {
    /// A policy file that was read.
    File {
        /// The file, as the operator named it. Relative paths in it start from its directory.
        path: PathBuf,
        /// Its text.
        text: String,
        /// How far it is trusted.
        trust: Trust,
    },
    /// The most that all other layers can grant, wherever it stands among them.
    Ceiling {
        /// The file.
        path: PathBuf,
        /// Its text.
        text: String,
    },
    /// The flags of the command line. They hold for the plugin that is selected.
    Flags(FlagSet),
}

/// How far a policy file is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Named by the operator, or the operator's own.
    Trusted,
    /// Found in the working tree. It may deny, lower limits and narrow `net`, for plugins that a trusted file grants something.
    Narrowing,
}

/// The policy that all layers come to.
///
/// Scalars of later files win, lists are united, a `deny` from any layer beats every `allow`, and what untrusted files
/// say comes last and only takes away. Files with a mistake are refused whole.
#[derive(Clone, Debug)]
pub struct PolicySet {
    drafts: Drafts,
    flags: Vec<Flags>,
    ceilings: Vec<Read>,
    /// The plugins that each trusted file names.
    named: Vec<(PathBuf, Vec<PluginId>)>,
    installed: Vec<Installed>,
    cwd: PathBuf,
    home: Option<PathBuf>,
    tests: usize,
}

/// A plugin and what it was granted.
#[derive(Clone, Debug)]
pub struct PluginEntry {
    /// Its name in the policy, or one made from its manifest or file.
    pub id: PluginId,
    /// The real path of the component; it need not be there. Empty for the entry of `portcullis exec`, which is no plugin.
    pub path: PathBuf,
    /// The SHA-256 the component must have. Whoever loads it checks that.
    pub sha256: Option<[u8; 32]>,
    /// What the operator granted. What the plugin did not ask for is still in it: see [`Manifest::restrict`].
    pub grants: Grants,
    /// The policy's entry, if it has one.
    pub origin: Option<Origin>,
    /// The manifest that speaks for the component, and where it is.
    pub manifest: Option<(PathBuf, Manifest)>,
    /// What was granted besides and is above the ceiling.
    pub cut: Vec<Cut>,
    /// Whether it is an installed plugin, which is meant by its name wherever it is named.
    pub installed: bool,
}

/// What was granted to commands that are run without a plugin.
#[derive(Clone, Debug)]
pub struct VerbEntry {
    /// What was granted. No limit of time or output that is not written.
    pub grants: Grants,
    /// The policy's entry, if it has one.
    pub origin: Option<Origin>,
    /// Whether the entry lists the programs that it allows: then no others are.
    pub lists_programs: bool,
    /// What was granted besides and is above the ceiling.
    pub cut: Vec<Cut>,
}

/// Why a selector means no plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// Neither an id of the policy nor something that is there.
    #[error("`{}` is neither a plugin of the policy nor a file", .selector.escape_debug())]
    Unknown {
        /// As the operator wrote it.
        selector: String,
        /// The id of the policy that it most resembles.
        nearest: Option<PluginId>,
    },
    /// A file without entry would go by the name of another plugin.
    #[error("`{}` calls itself `{id}`, which the policy has for `{}`", .path.display(), .other.display())]
    IdTaken {
        /// The file.
        path: PathBuf,
        /// The name.
        id: PluginId,
        /// The file that the policy has under this name.
        other: PathBuf,
        /// Whether that one is installed.
        installed: bool,
        /// What it is on its own, with what flags grant and nothing else: to be looked at, and never to be run under this name.
        itself: Box<PluginEntry>,
    },
    /// The name that stands for `portcullis exec` is taken by a plugin.
    #[error("plugin `{id}` of the policy has the name that stands for `portcullis exec`")]
    IsPlugin {
        /// The name.
        id: PluginId,
        /// The file that the policy has under this name.
        path: PathBuf,
    },
    /// The name of a file without entry cannot be a plugin id.
    #[error("the file name gives no plugin id; give the plugin an entry in the policy")]
    Nameless(#[from] InvalidPluginId),
    /// Its manifest cannot be used.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The flags contradict the policy of this plugin.
    #[error(transparent)]
    Flags(#[from] ConfigErrors),
}

impl PolicySet {
    /// Reads all layers. Directories that are granted are looked up, and where an entry names the directory
    /// of a plugin its manifest is read; nothing is written.
    ///
    /// # Errors
    /// All mistakes of all layers. No layer is applied when one has a mistake.
    pub fn load(layers: &[Layer], context: &Context) -> Result<Self, ConfigErrors> {
        let mut report = Report::default();
        let context = with_policy_files(layers, context);
        let mut drafts = Drafts::default();
        let mut trials = Vec::new();
        let mut flags = Vec::new();
        let mut ceilings = Vec::new();
        let mut named = Vec::new();
        for layer in layers {
            match layer {
                Layer::File {
                    path,
                    text,
                    trust: Trust::Trusted,
                } => {
                    read_file(
                        path,
                        text,
                        &context,
                        &mut report,
                        |reader, file: &PolicyFile| {
                            let ids = file.plugins.iter().map(|entry| &entry.id);
                            let ids = ids.filter_map(|id| PluginId::new(id.as_str()).ok());
                            named.push((path.clone(), ids.collect()));
                            trials.extend(reader.trusted(file, &mut drafts));
                        },
                    );
                }
                Layer::File {
                    trust: Trust::Narrowing,
                    ..
                } => {}
                Layer::Ceiling { path, text } => {
                    read_file(
                        path,
                        text,
                        &context,
                        &mut report,
                        |reader, file: &CeilingFile| {
                            ceilings.push(reader.ceiling(file));
                            let provenance = &mut drafts.settings.provenance;
                            reader.revoked(file.revoked.as_ref(), provenance);
                        },
                    );
                }
                Layer::Flags(set) => flags.push(Flags::read(set, &context, &mut report)),
            }
        }
        let tests = trials.len();
        // Tests are about the trusted files: neither a flag nor a file of the tree can make them fail.
        if report.is_empty() {
            for trial in trials {
                let grants = drafts
                    .plugins
                    .get(trial.plugin())
                    .map(|draft| draft.grants(&drafts.settings));
                if let Some(failure) = grants.and_then(|grants| trial.run(&grants)) {
                    report.push(failure);
                }
            }
        }
        for layer in layers {
            if let Layer::File {
                path,
                text,
                trust: Trust::Narrowing,
            } = layer
            {
                read_file(
                    path,
                    text,
                    &context,
                    &mut report,
                    |reader, file: &PolicyFile| reader.narrow(file, &mut drafts),
                );
            }
        }
        if report.is_empty() {
            for draft in drafts.plugins.values() {
                secrets::kept(&draft.grants(&drafts.settings), &mut report);
            }
        }
        report.finish(Self {
            drafts,
            flags,
            ceilings,
            named,
            installed: context.installed.clone(),
            cwd: context.cwd.clone(),
            home: context.home.clone(),
            tests,
        })
    }

    /// Cuts off what is above the ceiling, if there is one. To be called by whoever adds to the grants of an entry.
    pub fn meet_ceiling(&self, grants: &mut Grants) -> Vec<Cut> {
        let ceilings = self.ceilings.iter();
        ceilings
            .flat_map(|read| read.ceiling.meet(grants))
            .collect()
    }

    /// Where a ceiling says that no file of a tree is trusted.
    pub fn forbids_trust(&self) -> Option<&Origin> {
        self.ceilings.iter().find_map(|read| read.no_trust.as_ref())
    }

    /// Where the audit trail is passed on to, as the trusted files have it.
    pub fn audit(&self) -> &AuditForwards {
        &self.drafts.settings.audit
    }

    /// How many commands were tried for the `[[plugins.exec.test]]` of the trusted files. All went as they say.
    pub fn tests(&self) -> usize {
        self.tests
    }

    /// How the host itself reaches the network, as the trusted files have it.
    pub fn network(&self) -> &Network {
        &self.drafts.settings.network
    }

    /// What the layers hold of plugins by where they come from: signers and pins of the trusted files, and what any of
    /// them, a ceiling or a file of the tree revokes.
    pub fn provenance(&self) -> &Provenance {
        &self.drafts.settings.provenance
    }

    /// The plugins that a trusted file names, each with the real path of its component; it need not be there. The entry
    /// of `portcullis exec` is not among them.
    pub fn named_in(&self, file: &Path) -> Vec<(PluginId, PathBuf)> {
        let ids = self.named.iter().filter(|(path, _)| path == file);
        let drafts = ids
            .flat_map(|(_, ids)| ids)
            .filter_map(|id| self.drafts.plugins.get(id));
        drafts
            .filter(|draft| !draft.is_of_the_verb())
            .map(|draft| (draft.id.clone(), draft.path.clone()))
            .collect()
    }

    /// What is to be enforced on the process that compiles plugins: the last `--confinement`, or else that of the
    /// trusted files for all plugins; full by default.
    pub fn compile_confinement(&self) -> Confinement {
        let flags = self.flags.iter().rev();
        flags
            .filter_map(Flags::confinement)
            .next()
            .or(self.drafts.settings.confinement)
            .unwrap_or_default()
    }

    /// The ids of all entries, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &PluginId> {
        self.drafts.plugins.keys()
    }

    /// The plugin that a selector means: an id, the path of an entry, or another path.
    ///
    /// A path may be a component or the directory of a plugin; two paths are equal when they lead to the same real
    /// path. A path without entry is granted nothing but what flags grant.
    ///
    /// # Errors
    /// [`SelectError`] when there is no such plugin, or it would pass for another.
    pub fn plugin(&self, selector: &str) -> Result<PluginEntry, SelectError> {
        if let Some(draft) = self.draft_of(selector) {
            if draft.is_of_the_verb() || draft.record.is_some() {
                return self.entry(draft, true, Component::default());
            }
            return self.entry(draft, true, component::locate(&draft.path)?);
        }
        let path = self.cwd.join(selector);
        if selector.is_empty() || !context::real(&path).exists() {
            let ids = self.ids().map(PluginId::as_str);
            let nearest = shape::nearest(selector, ids).and_then(|id| PluginId::new(id).ok());
            return Err(SelectError::Unknown {
                selector: selector.to_owned(),
                nearest,
            });
        }
        self.at(component::locate(&path)?)
    }

    /// The same, where the component and the manifest that speaks for it were found by other means, as in a packed file.
    ///
    /// # Errors
    /// As [`Self::plugin`] has them.
    pub fn plugin_of(
        &self,
        selector: &str,
        component: Component,
    ) -> Result<PluginEntry, SelectError> {
        match self.draft_of(selector) {
            Some(draft) => self.entry(draft, true, component),
            None => self.at(component),
        }
    }

    /// The file that a selector is about: of the entry with this id, or what it names itself. Nothing needs to be there.
    pub fn file_of(&self, selector: &str) -> PathBuf {
        match self.draft_of(selector) {
            Some(draft) => draft.path.clone(),
            None => context::real(&self.cwd.join(selector)),
        }
    }

    /// The entry with this id.
    fn draft_of(&self, selector: &str) -> Option<&Draft> {
        let id = PluginId::new(selector).ok()?;
        self.drafts.plugins.get(&id)
    }

    /// The entry of a component, or without one what it is granted all the same.
    fn at(&self, component: Component) -> Result<PluginEntry, SelectError> {
        if let Some(draft) = self
            .drafts
            .plugins
            .values()
            .find(|draft| draft.path == component.file)
        {
            return self.entry(draft, true, component);
        }
        let id = match &component.manifest {
            Some((_, manifest)) => manifest.id.clone(),
            None => PluginId::new(
                component
                    .file
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy(),
            )?,
        };
        let path = component.file.clone();
        let draft = Draft::new(id.clone(), Origin::Code, path.clone());
        let entry = self.entry(&draft, false, component)?;
        match self.drafts.plugins.get(&id) {
            None => Ok(entry),
            Some(other) => Err(SelectError::IdTaken {
                path,
                id,
                other: other.path.clone(),
                installed: other.record.is_some(),
                itself: Box::new(entry),
            }),
        }
    }

    /// What `portcullis exec` may do: the entry with the id `exec` and without `path`, if there is one, and the flags.
    /// Without an entry nothing but what the flags grant, and no program.
    ///
    /// # Errors
    /// [`SelectError::IsPlugin`] when the policy has a plugin of that name.
    pub fn verb(&self) -> Result<VerbEntry, SelectError> {
        let id = PluginId::new(VERB)?;
        let written = self.drafts.plugins.get(&id);
        if let Some(draft) = written.filter(|draft| !draft.is_of_the_verb()) {
            return Err(SelectError::IsPlugin {
                id,
                path: draft.path.clone(),
            });
        }
        let flag = Origin::Flag {
            flag: "portcullis exec".to_owned(),
        };
        let mut draft = written
            .cloned()
            .unwrap_or_else(|| Draft::of_the_verb(id, flag.clone()));
        let exec = draft.exec.get_or_insert_with(|| ExecDraft::new(flag));
        let lists_programs = exec.allow.is_some();
        exec.allow.get_or_insert_default();
        let entry = self.entry(&draft, written.is_some(), Component::default())?;
        Ok(VerbEntry {
            grants: entry.grants,
            origin: entry.origin,
            lists_programs,
            cut: entry.cut,
        })
    }

    fn entry(
        &self,
        draft: &Draft,
        named: bool,
        component: Component,
    ) -> Result<PluginEntry, SelectError> {
        let mut report = Report::default();
        let mut draft = draft.clone();
        let mut settings = self.drafts.settings.clone();
        for flags in &self.flags {
            flags.apply(&mut draft, &mut settings, &mut report);
        }
        if self
            .ceilings
            .iter()
            .any(|read| ceiling::forbids_dev(&read.ceiling))
        {
            // Before the grants: what is not written means more in `dev`.
            settings.mode = Some(Mode::Production);
        }
        let mut grants = draft.grants(&settings);
        let cut = self.meet_ceiling(&mut grants);
        secrets::kept(&grants, &mut report);
        let mut installed = self.installed.iter();
        let installed = installed.find(|installed| installed.file == draft.path);
        // Nothing that lies beside an installed component speaks for it.
        let manifest = match installed {
            Some(installed) => Some(installed.manifest.clone()),
            None => component.manifest,
        };
        let entry = PluginEntry {
            installed: installed.is_some(),
            grants,
            cut,
            id: draft.id,
            path: draft.path,
            sha256: draft.sha256,
            origin: named.then_some(draft.origin),
            manifest: manifest
                .map(|(path, manifest)| (path, manifest.at_home(self.home.as_deref()))),
        };
        Ok(report.finish(entry)?)
    }
}

fn read_file<T: DeserializeOwned + JsonSchema>(
    path: &Path,
    text: &str,
    context: &Context,
    report: &mut Report,
    take: impl FnOnce(&mut Reader<'_>, &T),
) {
    let source = Source { path, text };
    let dir = context.cwd.join(path);
    let dir = dir.parent().unwrap_or(&context.cwd);
    if let Some(file) = shape::read::<T>(&source, report) {
        let base = Base {
            context,
            dir,
            plugin: None,
        };
        take(
            &mut Reader {
                source,
                base,
                report,
            },
            &file,
        );
    }
}

/// Who can write a trusted policy file decides everything: no grant may reach it.
fn with_policy_files(layers: &[Layer], context: &Context) -> Context {
    let mut context = context.clone();
    for layer in layers {
        if let Layer::File {
            path,
            trust: Trust::Trusted,
            ..
        } = layer
        {
            context.own_state.push(OwnState {
                path: context.cwd.join(path),
                secret: false,
            });
        }
    }
    context
}
