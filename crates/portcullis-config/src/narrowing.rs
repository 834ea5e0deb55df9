//! Reads a file that nobody vouched for: found in the working tree, written by whoever wrote the tree. It can deny,
//! lower limits, revoke and narrow the network, for plugins that a trusted file grants something, and nothing else.

use std::ops::Range;

use portcullis_policy::PluginId;

use crate::component;
use crate::draft::{Draft, unite};
use crate::entries::Drafts;
use crate::error::ConfigCode;
use crate::network;
use crate::raw::{Exec, Limits, Net, Plugin, PolicyFile};
use crate::reader::Reader;
use crate::rules::List;
use crate::source::At;

impl Reader<'_> {
    /// Takes away what an untrusted file says.
    pub(crate) fn narrow(&mut self, file: &PolicyFile, drafts: &mut Drafts) {
        self.only_narrows("mode", file.mode.as_ref());
        self.only_narrows("confinement", file.confinement.as_ref());
        self.only_narrows("exec_path", file.exec_path.as_ref());
        self.only_narrows("network", file.network.as_ref());
        self.only_narrows("audit", file.audit.as_ref());
        self.only_narrows("signer", file.signer.first());
        self.only_narrows("pinned", file.pinned.as_ref());
        self.revoked(file.revoked.as_ref(), &mut drafts.settings.provenance);
        let mut seen = Vec::new();
        for entry in &file.plugins {
            self.refuse_grants(entry);
            let Some(id) = self.plugin_id(&entry.id, &mut seen) else {
                continue;
            };
            match drafts.plugins.get_mut(&id) {
                Some(draft) => self.narrow_plugin(entry, draft),
                None => self.unknown_plugin(entry, &id),
            }
        }
    }

    fn narrow_plugin(&mut self, entry: &Plugin, draft: &mut Draft) {
        if let Some(text) = &entry.path {
            let located = self
                .base
                .expand(text)
                .ok()
                .and_then(|path| component::file(&path.path).ok());
            if located.is_none_or(|file| file != draft.path) {
                self.untrusted(
                    text.span(),
                    format!(
                        "plugin `{}` is another file in the trusted policy",
                        draft.id
                    ),
                );
            }
        }
        if let Some(exec) = &entry.exec {
            unite(&mut draft.deny, self.rules(exec.deny.as_ref(), List::Deny));
        }
        if let Some(net) = &entry.net {
            self.narrow_net(net, draft);
        }
        if let Some(limits) = &entry.limits {
            let mut lower = draft.limits.clone();
            self.limits(limits, &mut lower);
            self.refuse_raised(limits, &lower, draft);
            draft.limits = draft.limits.min(&lower);
        }
    }

    fn narrow_net(&mut self, raw: &At<Net>, draft: &mut Draft) {
        let wanted = self.net(raw);
        let now = draft.net.clone().unwrap_or_default();
        if !network::is_within(&wanted, &now) {
            self.untrusted(
                raw.span(),
                "`net` is wider than in the trusted policy".to_owned(),
            );
        }
        draft.net = Some(portcullis_policy::Net::narrowest([&now, &wanted]));
    }

    fn unknown_plugin(&mut self, entry: &Plugin, id: &PluginId) {
        self.untrusted(
            entry.id.span(),
            format!("no trusted policy grants plugin `{id}` anything"),
        );
    }

    fn refuse_grants(&mut self, entry: &Plugin) {
        self.only_narrows("sha256", entry.sha256.as_ref());
        self.only_narrows("env_allow_prefixes", entry.env_allow_prefixes.as_ref());
        self.only_narrows("late", entry.late.as_ref());
        self.only_narrows("env", entry.env.as_ref());
        self.only_narrows("log", entry.log.as_ref());
        self.only_narrows("clock", entry.clock.as_ref());
        self.only_narrows("random", entry.random.as_ref());
        self.only_narrows("fs", entry.fs.as_ref());
        self.only_narrows("http", entry.http.as_ref());
        self.only_narrows("connect", entry.connect.as_ref());
        self.only_narrows("lookup", entry.lookup.as_ref());
        self.only_narrows("kv", entry.kv.as_ref());
        self.only_narrows("data", entry.data.as_ref());
        self.only_narrows("metadata", entry.metadata.as_ref());
        self.only_narrows("reglet", entry.reglet.as_ref());
        if let Some(exec) = &entry.exec {
            self.refuse_exec_grants(exec);
        }
    }

    fn refuse_exec_grants(&mut self, exec: &Exec) {
        self.only_narrows("exec.inherit_env", exec.inherit_env.as_ref());
        self.only_narrows("exec.inherit_output", exec.inherit_output.as_ref());
        self.only_narrows("exec.allow", exec.allow.as_ref());
        self.only_narrows("exec.pass_env", exec.pass_env.as_ref());
        self.only_narrows("exec.strip_env_prefixes", exec.strip_env_prefixes.as_ref());
        self.only_narrows(
            "exec.allow_dangerous_env",
            exec.allow_dangerous_env.as_ref(),
        );
        self.only_narrows("exec.confinement", exec.confinement.as_ref());
        self.only_narrows("exec.path", exec.path.as_ref());
        self.only_narrows("exec.system", exec.system.as_ref());
        self.only_narrows("exec.write_exec", exec.write_exec.as_ref());
        self.only_narrows("exec.share", exec.share.as_ref());
        self.only_narrows("exec.cache", exec.cache.as_ref());
        self.only_narrows("exec.unprotect", exec.unprotect.as_ref());
        self.only_narrows("exec.timeout_ms", exec.timeout_ms.as_ref());
        self.only_narrows("exec.max_output_bytes", exec.max_output_bytes.as_ref());
        self.only_narrows("exec.test", exec.test.first());
    }

    fn refuse_raised(&mut self, raw: &Limits, wanted: &portcullis_policy::Limits, draft: &Draft) {
        let now = &draft.limits;
        let raised = [
            (
                "timeout",
                raw.timeout.as_ref().map(At::span),
                wanted.timeout > now.timeout,
            ),
            (
                "term_grace",
                raw.term_grace.as_ref().map(At::span),
                wanted.term_grace > now.term_grace,
            ),
            (
                "output",
                raw.output.as_ref().map(At::span),
                wanted.output > now.output,
            ),
            (
                "total_output",
                raw.total_output.as_ref().map(At::span),
                wanted.total_output > now.total_output,
            ),
            (
                "children",
                raw.children.as_ref().map(At::span),
                wanted.children > now.children,
            ),
            (
                "spawns_per_minute",
                raw.spawns_per_minute.as_ref().map(At::span),
                wanted.spawns_per_minute > now.spawns_per_minute,
            ),
            (
                "http_per_minute",
                raw.http_per_minute.as_ref().map(At::span),
                wanted.http_per_minute > now.http_per_minute,
            ),
            (
                "net_per_minute",
                raw.net_per_minute.as_ref().map(At::span),
                wanted.net_per_minute > now.net_per_minute,
            ),
            (
                "log_per_minute",
                raw.log_per_minute.as_ref().map(At::span),
                wanted.log_per_minute > now.log_per_minute,
            ),
            (
                "calls_per_minute",
                raw.calls_per_minute.as_ref().map(At::span),
                wanted.calls_per_minute > now.calls_per_minute,
            ),
            (
                "file_read",
                raw.file_read.as_ref().map(At::span),
                wanted.file_read > now.file_read,
            ),
            (
                "file_write",
                raw.file_write.as_ref().map(At::span),
                wanted.file_write > now.file_write,
            ),
            (
                "total_file_write",
                raw.total_file_write.as_ref().map(At::span),
                wanted.total_file_write > now.total_file_write,
            ),
            (
                "data_files",
                raw.data_files.as_ref().map(At::span),
                wanted.data_files > now.data_files,
            ),
            (
                "data_file",
                raw.data_file.as_ref().map(At::span),
                wanted.data_file > now.data_file,
            ),
            (
                "http_request",
                raw.http_request.as_ref().map(At::span),
                wanted.http_request > now.http_request,
            ),
            (
                "http_response",
                raw.http_response.as_ref().map(At::span),
                wanted.http_response > now.http_response,
            ),
            (
                "http_timeout",
                raw.http_timeout.as_ref().map(At::span),
                wanted.http_timeout > now.http_timeout,
            ),
            (
                "net_timeout",
                raw.net_timeout.as_ref().map(At::span),
                wanted.net_timeout > now.net_timeout,
            ),
            (
                "call",
                raw.call.as_ref().map(At::span),
                wanted.call > now.call,
            ),
            (
                "memory",
                raw.memory.as_ref().map(At::span),
                wanted.memory > now.memory,
            ),
            (
                "table_elements",
                raw.table_elements.as_ref().map(At::span),
                wanted.table_elements > now.table_elements,
            ),
            (
                "compile_time",
                raw.compile_time.as_ref().map(At::span),
                wanted.compile_time > now.compile_time,
            ),
            (
                "compile_memory",
                raw.compile_memory.as_ref().map(At::span),
                wanted.compile_memory > now.compile_memory,
            ),
            (
                "fuel",
                raw.fuel.as_ref().map(At::span),
                now.fuel.is_some_and(|now| wanted.fuel > Some(now)),
            ),
            (
                "clawft_module",
                raw.clawft_module.as_ref().map(At::span),
                wanted.clawft_module > now.clawft_module,
            ),
            (
                "clawft_gzip",
                raw.clawft_gzip.as_ref().map(At::span),
                wanted.clawft_gzip > now.clawft_gzip,
            ),
            (
                "clawft_directory",
                raw.clawft_directory.as_ref().map(At::span),
                wanted.clawft_directory > now.clawft_directory,
            ),
        ];
        for (key, span, raised) in raised {
            if let Some(span) = span.filter(|_| raised) {
                self.untrusted(
                    span,
                    format!("`limits.{key}` is higher than in the trusted policy"),
                );
            }
        }
    }

    fn only_narrows<T>(&mut self, key: &str, value: Option<&At<T>>) {
        if let Some(value) = value {
            self.untrusted(
                value.span(),
                format!("a file that is not trusted may not set `{key}`"),
            );
        }
    }

    fn untrusted(&mut self, span: Range<usize>, message: String) {
        let file = self.source.path.display();
        let error = self
            .source
            .error(ConfigCode::Untrusted, span, message)
            .note("this file was found, not named; it may only hold `exec.deny`, `revoked`, lower `limits` and a narrower `net`")
            .help(format!(
                "look at what it would give, and trust it as it is: portcullis trust; or for once: --config {file}"
            ));
        self.report.push(error);
    }
}
