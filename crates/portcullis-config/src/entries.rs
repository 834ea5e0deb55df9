//! Reads the `[[plugins]]` of a trusted file into drafts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_policy::{FsAccess, KV_VALUE, KvSize, PluginId, ProgramRule};

use crate::component;
use crate::context::Installed;
use crate::draft::{Draft, ExecDraft, KvDraft, Settings, VERB, directories, unite};
use crate::error::ConfigCode;
use crate::network;
use crate::raw::{Directory, Exec, Kv, Limits, Plugin, PolicyFile, ShareWord, SizeText, Text};
use crate::reader::{Names, Reader};
use crate::rules::List;
use crate::source::At;
use crate::trial::{self, Trial};
use crate::units;

/// Everything the layers say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) settings: Settings,
    pub(crate) plugins: BTreeMap<PluginId, Draft>,
}

impl Reader<'_> {
    /// Puts a trusted file on top of the layers before it. Returns its tests, to be run when all layers are read.
    pub(crate) fn trusted(&mut self, file: &PolicyFile, drafts: &mut Drafts) -> Vec<Trial> {
        let settings = &mut drafts.settings;
        settings.mode = file
            .mode
            .as_ref()
            .map(|word| (**word).into())
            .or(settings.mode);
        settings.confinement = file
            .confinement
            .as_ref()
            .map(|word| (**word).into())
            .or(settings.confinement);
        if let Some(path) = &file.exec_path {
            settings.exec_path = Some(self.search_path(path));
        }
        if let Some(network) = &file.network {
            self.network(network, &mut settings.network);
        }
        if let Some(audit) = &file.audit {
            self.audit(audit, &mut settings.audit);
        }
        self.provenance(file, &mut settings.provenance);
        let mut trials = Vec::new();
        let mut seen = Vec::new();
        for entry in &file.plugins {
            let Some(id) = self.plugin_id(&entry.id, &mut seen) else {
                continue;
            };
            let Some(mut draft) = self.draft(id, entry, drafts) else {
                continue;
            };
            self.entry(entry, &mut draft);
            trials.extend(
                entry
                    .exec
                    .iter()
                    .flat_map(|exec| &exec.test)
                    .flat_map(|test| trial::read(self, &draft.id, test)),
            );
            drafts.plugins.insert(draft.id.clone(), draft);
        }
        trials
    }

    /// An id that the file has not used before.
    pub(crate) fn plugin_id(&mut self, text: &Text, seen: &mut Vec<PluginId>) -> Option<PluginId> {
        let id = PluginId::new(text.as_str()).map_err(|error| error.to_string());
        let id = self.take(ConfigCode::Value, text, id)?;
        if seen.contains(&id) {
            self.wrong(
                ConfigCode::Duplicate,
                text,
                format!("plugin `{id}` stands here a second time"),
            );
            return None;
        }
        seen.push(id.clone());
        Some(id)
    }

    fn draft(&mut self, id: PluginId, entry: &At<Plugin>, drafts: &Drafts) -> Option<Draft> {
        let installed = &self.base.context.installed;
        if let Some(installed) = installed.iter().find(|installed| installed.id == id) {
            return self.of_installed(installed, entry, drafts);
        }
        let before = drafts.plugins.get(&id);
        let Some(text) = &entry.path else {
            if before.is_none() && id.as_str() == VERB {
                return Some(Draft::of_the_verb(id, self.origin(entry)));
            }
            if let (None, Some(sha256)) = (before, &entry.sha256) {
                // It is about a content that is not installed here.
                self.sha256(sha256);
                return None;
            }
            if before.is_none() {
                let error = self.error(
                    ConfigCode::Value,
                    &entry.id,
                    format!("plugin `{id}` has no key `path`"),
                );
                self.report
                    .push(error.label("expected the wasm file, relative to this file, or the `sha256` of an installed plugin"));
            }
            return before.cloned();
        };
        let path = self.component(text)?;
        let taken = drafts
            .plugins
            .values()
            .find(|other| other.path == path && other.id != id);
        if let Some(other) = taken {
            self.wrong(
                ConfigCode::Duplicate,
                text,
                format!("plugin `{}` has this path already", other.id),
            );
            return None;
        }
        let mut draft = before
            .cloned()
            .unwrap_or_else(|| Draft::new(id, self.origin(entry), path.clone()));
        draft.path = path;
        Some(draft)
    }

    /// An entry under the name of an installed plugin: it is about that one, or about a content that is not installed. What is
    /// granted to a content is not granted to what comes after it under the same name.
    fn of_installed(
        &mut self,
        installed: &Installed,
        entry: &At<Plugin>,
        drafts: &Drafts,
    ) -> Option<Draft> {
        let id = &installed.id;
        match (&entry.path, &entry.sha256) {
            (Some(text), _) => {
                let path = self.component(text)?;
                if path != installed.file {
                    let message = format!(
                        "plugin `{id}` is also installed; two plugins cannot have one name"
                    );
                    let error = self.error(ConfigCode::Duplicate, text, message);
                    let help = format!("give this one another id, or: portcullis remove {id}");
                    self.report.push(error.help(help));
                    return None;
                }
            }
            (None, Some(sha256)) => {
                if self.sha256(sha256)? != installed.sha256 {
                    return None;
                }
            }
            (None, None) => {
                let message = format!(
                    "plugin `{id}` is installed, and this entry does not say which content of it is meant"
                );
                let sha256 = hex::encode(installed.sha256);
                let error = self.error(ConfigCode::Value, &entry.id, message);
                let help = format!("to mean the one that is installed now: sha256 = \"{sha256}\"");
                self.report.push(error.help(help));
                return None;
            }
        }
        Some(drafts.plugins.get(id).cloned().unwrap_or_else(|| Draft {
            sha256: Some(installed.sha256),
            record: Some(installed.record.clone()),
            ..Draft::new(id.clone(), self.origin(entry), installed.file.clone())
        }))
    }

    /// The component that an entry's path means. It need not be there yet: a policy can be older than a build.
    fn component(&mut self, text: &Text) -> Option<PathBuf> {
        let expanded = self.base.expand(text);
        let path = self.take(ConfigCode::Path, text, expanded)?.path;
        let located = component::file(&path).map_err(|error| error.to_string());
        self.take(ConfigCode::Path, text, located)
    }

    fn entry(&mut self, entry: &Plugin, draft: &mut Draft) {
        if let Some(text) = &entry.sha256 {
            draft.sha256 = self.sha256(text);
        }
        draft.late = entry.late.as_ref().map_or(draft.late, |late| **late);
        draft.log = entry.log.as_ref().map_or(draft.log, |log| **log);
        if let Some(text) = &entry.clock {
            let time = units::time_of_day(text);
            draft.clock = self.take(ConfigCode::Value, text, time).or(draft.clock);
        }
        draft.random = entry.random.as_ref().map(|seed| **seed).or(draft.random);
        unite(
            &mut draft.env,
            self.names(entry.env.as_ref(), Names::Patterns),
        );
        if entry.env_allow_prefixes.is_some() {
            draft.env_allow_prefixes =
                Some(self.names(entry.env_allow_prefixes.as_ref(), Names::Prefixes));
        }
        let dir = draft.dir().map(Path::to_owned);
        let mut inner = Reader {
            source: self.source,
            base: crate::context::Base {
                plugin: dir.as_deref(),
                ..self.base
            },
            report: &mut *self.report,
        };
        if let Some(fs) = &entry.fs {
            draft.commit = fs
                .commit
                .as_ref()
                .map(|word| (**word).into())
                .or(draft.commit);
            for (directory, access, wanted) in directories(fs) {
                let Some(grant) = inner.fs_grant(directory, access, wanted) else {
                    continue;
                };
                let staged =
                    matches!(&**directory, Directory::Named(named) if named.staged == Some(true));
                if staged && (access != FsAccess::ReadWrite || !grant.kind.is_directory()) {
                    let message = "only a directory that is written can be `staged`";
                    inner.wrong(ConfigCode::Value, directory, message.to_owned());
                    continue;
                }
                if staged && !draft.staged.contains(&grant.host) {
                    draft.staged.push(grant.host.clone());
                }
                let guest = grant.guest.clone();
                if let Err(other) = draft.add_fs(grant) {
                    let message = format!("`{guest}` is already the name of `{}`", other.display());
                    let error = inner.error(ConfigCode::Duplicate, directory, message);
                    inner.report.push(
                        error.help("give one of them another name: `{ path = \"…\", as = \"…\" }`"),
                    );
                }
            }
        }
        if let Some(net) = &entry.net {
            draft.net = Some(network::later(draft.net.take(), inner.net(net)));
        }
        if let Some(http) = &entry.http {
            unite(&mut draft.http, inner.http_rules(http, http.allow.as_ref()));
            let secrets = inner.secrets(http.secrets.as_ref());
            crate::secrets::put(&mut draft.http_secrets, secrets);
        }
        unite(
            &mut draft.connect,
            inner.connect_rules(entry.connect.as_ref()),
        );
        unite(&mut draft.lookup, inner.lookup_rules(entry.lookup.as_ref()));
        if let Some(limits) = &entry.limits {
            inner.limits(limits, &mut draft.limits);
        }
        let policy = inner.base.context.cwd.join(inner.source.path);
        if let Some(kv) = &entry.kv {
            draft.kv = inner.kv(kv).map(|size| KvDraft {
                size,
                origin: inner.origin(kv),
                policy: crate::context::real(&policy),
            });
        }
        if let Some(data) = &entry.data {
            let place = || (inner.origin(data), crate::context::real(&policy));
            draft.data = data.then(place);
        }
        let facts = entry.metadata.iter().flat_map(|facts| facts.iter());
        unite(&mut draft.metadata, facts.map(|word| (**word).into()));
        if let Some(exec) = &entry.exec {
            inner.exec(exec, draft);
            inner.limit_aliases(entry, exec, draft);
        }
        if let Some(reglet) = &entry.reglet {
            inner.reglet(reglet, draft);
        }
    }

    /// How much state is kept, if any is.
    pub(crate) fn kv(&mut self, raw: &At<Kv>) -> Option<KvSize> {
        let table = match &**raw {
            Kv::Whether(whether) => return whether.then(KvSize::default),
            Kv::Size(table) => table,
        };
        let default = KvSize::default();
        let mut size = |text: &Option<At<SizeText>>, default| match text {
            Some(text) => self.size(text).unwrap_or(default),
            None => default,
        };
        let (bytes, value) = (
            size(&table.bytes, default.bytes),
            size(&table.value, default.value),
        );
        if let Some(text) = table.value.as_ref().filter(|_| value > KV_VALUE) {
            self.wrong(ConfigCode::Value, text, "`kv.value` is at most 16MiB");
        }
        Some(KvSize {
            bytes,
            keys: table.keys.as_ref().map_or(default.keys, |keys| **keys),
            value,
        })
    }

    fn exec(&mut self, raw: &At<Exec>, draft: &mut Draft) {
        let origin = self.origin(raw);
        let exec = draft.exec.get_or_insert_with(|| ExecDraft::new(origin));
        exec.inherit_env = raw
            .inherit_env
            .as_ref()
            .map(|inherit| **inherit)
            .or(exec.inherit_env);
        exec.inherit_output = raw
            .inherit_output
            .as_ref()
            .map(|inherit| **inherit)
            .or(exec.inherit_output);
        let allow = self.rules(raw.allow.as_ref(), List::Allow);
        let deny = self.rules(raw.deny.as_ref(), List::Deny);
        self.unique_ids(raw, &allow, &deny);
        if raw.allow.is_some() {
            unite(exec.allow.get_or_insert_default(), allow);
        }
        unite(
            &mut exec.pass_env,
            self.names(raw.pass_env.as_ref(), Names::Exact),
        );
        unite(
            &mut exec.strip_env_prefixes,
            self.names(raw.strip_env_prefixes.as_ref(), Names::Prefixes),
        );
        unite(
            &mut exec.allow_dangerous_env,
            self.names(raw.allow_dangerous_env.as_ref(), Names::Exact),
        );
        exec.confinement = raw
            .confinement
            .as_ref()
            .map(|word| (**word).into())
            .or(exec.confinement);
        if let Some(path) = &raw.path {
            exec.search_path = Some(self.search_path(path));
        }
        if let Some(dirs) = &raw.system {
            unite(&mut exec.system, self.system(dirs));
        }
        if let Some(places) = &raw.write_exec {
            unite(&mut exec.write_exec, self.write_exec(places));
        }
        if let Some(word) = &raw.share {
            exec.share = matches!(**word, ShareWord::Plan);
        }
        if let Some(text) = &raw.cache {
            exec.cache = self.size(text).or(exec.cache);
        }
        if let Some(names) = &raw.unprotect {
            self.unprotect(names, &mut exec.protect);
        }
        unite(&mut draft.deny, deny);
    }

    fn unique_ids(&mut self, raw: &At<Exec>, allow: &[ProgramRule], deny: &[ProgramRule]) {
        let mut seen = Vec::new();
        for rule in allow.iter().chain(deny) {
            if seen.contains(&&rule.id) {
                let error = self.error(
                    ConfigCode::Duplicate,
                    raw,
                    format!("rule `{}` stands here a second time", rule.id),
                );
                self.report.push(crate::error::ConfigError {
                    origin: rule.origin.clone(),
                    ..error
                });
            }
            seen.push(&rule.id);
        }
    }

    /// Takes over the limits that are written.
    pub(crate) fn limits(&mut self, raw: &Limits, limits: &mut portcullis_policy::Limits) {
        let mut time = |text: &Option<_>, value: &mut _| {
            if let Some(read) = text.as_ref().and_then(|text| self.duration(text)) {
                *value = read;
            }
        };
        time(&raw.timeout, &mut limits.timeout);
        time(&raw.term_grace, &mut limits.term_grace);
        time(&raw.http_timeout, &mut limits.http_timeout);
        time(&raw.net_timeout, &mut limits.net_timeout);
        time(&raw.call, &mut limits.call);
        time(&raw.compile_time, &mut limits.compile_time);
        let mut size = |text: &Option<_>, value: &mut _| {
            if let Some(read) = text.as_ref().and_then(|text| self.size(text)) {
                *value = read;
            }
        };
        size(&raw.output, &mut limits.output);
        size(&raw.total_output, &mut limits.total_output);
        size(&raw.file_read, &mut limits.file_read);
        size(&raw.file_write, &mut limits.file_write);
        size(&raw.total_file_write, &mut limits.total_file_write);
        size(&raw.data_file, &mut limits.data_file);
        size(&raw.http_request, &mut limits.http_request);
        size(&raw.http_response, &mut limits.http_response);
        size(&raw.memory, &mut limits.memory);
        size(&raw.compile_memory, &mut limits.compile_memory);
        size(&raw.clawft_module, &mut limits.clawft_module);
        size(&raw.clawft_gzip, &mut limits.clawft_gzip);
        size(&raw.clawft_directory, &mut limits.clawft_directory);
        let count = |number: &Option<At<u32>>, value: &mut u32| {
            if let Some(written) = number {
                *value = **written;
            }
        };
        count(&raw.children, &mut limits.children);
        count(&raw.spawns_per_minute, &mut limits.spawns_per_minute);
        count(&raw.http_per_minute, &mut limits.http_per_minute);
        count(&raw.net_per_minute, &mut limits.net_per_minute);
        count(&raw.log_per_minute, &mut limits.log_per_minute);
        count(&raw.calls_per_minute, &mut limits.calls_per_minute);
        count(&raw.data_files, &mut limits.data_files);
        limits.table_elements = raw
            .table_elements
            .as_ref()
            .map_or(limits.table_elements, |value| **value);
        if let Some(fuel) = &raw.fuel {
            self.fuel(fuel, limits);
        }
    }

    fn fuel(&mut self, fuel: &At<u64>, limits: &mut portcullis_policy::Limits) {
        let possible = portcullis_policy::Limits::FUEL;
        if possible.contains(&**fuel) {
            limits.fuel = Some(**fuel);
        } else {
            let (least, most) = (possible.start(), possible.end());
            self.wrong(
                ConfigCode::Value,
                fuel,
                format!("`limits.fuel` is from {least} to {most}"),
            );
        }
    }

    /// `exec.timeout_ms` and `exec.max_output_bytes` are other names of two limits.
    fn limit_aliases(&mut self, entry: &Plugin, exec: &Exec, draft: &mut Draft) {
        let limits = entry.limits.as_ref();
        if let Some(alias) = &exec.timeout_ms {
            if limits.is_some_and(|limits| limits.timeout.is_some()) {
                self.wrong(
                    ConfigCode::Duplicate,
                    alias,
                    "`timeout_ms` is another name of `limits.timeout`, which is written too",
                );
            }
            draft.limits.timeout = std::time::Duration::from_millis(**alias);
        }
        if let Some(alias) = &exec.max_output_bytes {
            if limits.is_some_and(|limits| limits.output.is_some()) {
                self.wrong(
                    ConfigCode::Duplicate,
                    alias,
                    "`max_output_bytes` is another name of `limits.output`, which is written too",
                );
            }
            draft.limits.output = **alias;
        }
    }
}
