//! Reads a ceiling: the most that any policy, flag or answer can grant, as an administrator wrote it.

use std::path::PathBuf;
use std::time::Duration;

use portcullis_policy::{
    Bounded, Ceiling, ExecCeiling, FsCeiling, HttpPlace, HttpRule, Limits as PolicyLimits, Mode,
    NetCeiling, ProgramRef, ProgramRule,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::ConfigCode;
use crate::raw::{
    ConfinementWord, HostEntry, HttpEntry, Kv, Limits, MetadataWord, ModeWord, Net, Rule, Texts,
};
use crate::reader::{Names, Reader};
use crate::rules::List;
use crate::source::At;

/// The most that any policy, flag, answer or `portcullis trust` can grant to any plugin. What is not written is no bound.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "ceiling.toml")]
pub(crate) struct CeilingFile {
    /// With `production` nobody is asked.
    mode: Option<At<ModeWord>>,
    /// The weakest confinement.
    confinement: Option<At<ConfinementWord>>,
    /// Whether `portcullis trust` counts. Default: `true`.
    trust: Option<At<bool>>,
    /// Where bare program names are looked up, whatever policies say.
    exec_path: Option<Texts>,
    /// What concerns commands.
    exec: Option<At<CeilingExec>>,
    /// The only directories and files that may be granted.
    fs: Option<At<CeilingFs>>,
    /// The widest network of commands.
    net: Option<At<Net>>,
    /// The only host variables that plugins may read; a trailing `*` matches any rest.
    env: Option<Texts>,
    /// With `false` no plugin writes lines into the log.
    log: Option<At<bool>>,
    /// The highest limits.
    limits: Option<At<Limits>>,
    /// HTTP requests of plugins themselves.
    http: Option<At<CeilingHttp>>,
    /// The only connections of plugins themselves, as in a policy; `[]` leaves none.
    connect: Option<At<Vec<At<HostEntry>>>>,
    /// The only names that plugins themselves look up, as in a policy; `[]` leaves none.
    lookup: Option<Texts>,
    /// The most state of a plugin's own, or with `false` none.
    kv: Option<At<Kv>>,
    /// With `false` no plugin has a directory of its own.
    data: Option<At<bool>>,
    /// The only facts about projects that plugins are told.
    metadata: Option<At<Vec<At<MetadataWord>>>>,
    /// The SHA-256 of plugins that are not loaded, and fingerprints of keys whose signatures count no more.
    pub(crate) revoked: Option<Texts>,
}

/// What concerns commands.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CeilingExec {
    /// The only commands: programs by their absolute paths, or by names where `exec_path` is written.
    allow: Option<At<Vec<At<Rule>>>>,
    /// What is denied besides.
    deny: Option<At<Vec<At<Rule>>>>,
    /// With `false` the host's environment is not inherited.
    inherit_env: Option<At<bool>>,
    /// The only host variables that are passed by name.
    pass_env: Option<Texts>,
    /// The only dangerous variables that plugins may set.
    allow_dangerous_env: Option<Texts>,
    /// The only names whose protection may be lifted.
    unprotect: Option<Texts>,
}

/// The only directories and files that may be granted. Where `write` is not written, it is as `read`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CeilingFs {
    /// To read.
    read: Option<Texts>,
    /// To write, and so to read.
    write: Option<Texts>,
}

/// HTTP requests of plugins themselves. An empty table leaves none.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct CeilingHttp {
    /// The only requests, as in a policy.
    allow: Option<At<Vec<At<HttpEntry>>>>,
    /// The only places that secrets are sent to, such as `"https://api.example.com/v1"`; `[]` leaves none.
    secrets: Option<Texts>,
}

/// A ceiling, and whether files of a tree can be trusted below it.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) ceiling: Ceiling,
    pub(crate) no_trust: Option<portcullis_policy::Origin>,
}

impl Reader<'_> {
    pub(crate) fn ceiling(&mut self, file: &CeilingFile) -> Read {
        let exec = file.exec.as_deref();
        let allow = exec.and_then(|exec| exec.allow.as_ref());
        let written_false = |at: &Option<At<bool>>| {
            at.as_ref()
                .filter(|value| !***value)
                .map(|value| self.origin(value))
        };
        let no_trust = written_false(&file.trust);
        let no_log = written_false(&file.log);
        let no_data = written_false(&file.data);
        let no_inherit_env = exec.and_then(|exec| written_false(&exec.inherit_env));
        let ceiling = Ceiling {
            mode: file.mode.as_ref().map(|word| (**word).into()),
            confinement: file.confinement.as_ref().map(|word| Bounded {
                most: (**word).into(),
                origin: self.origin(word),
            }),
            exec: allow.map(|list| self.only(list, file.exec_path.is_some())),
            deny: self.rules(exec.and_then(|exec| exec.deny.as_ref()), List::Deny),
            search_path: file.exec_path.as_ref().map(|path| self.search_path(path)),
            no_inherit_env,
            pass_env: self.bound(exec.and_then(|exec| exec.pass_env.as_ref()), Names::Exact),
            allow_dangerous_env: self.bound(
                exec.and_then(|exec| exec.allow_dangerous_env.as_ref()),
                Names::Exact,
            ),
            unprotect: self.bound(exec.and_then(|exec| exec.unprotect.as_ref()), Names::Exact),
            env: self.bound(file.env.as_ref(), Names::Patterns),
            no_log,
            fs: FsCeiling {
                read: self.places(file.fs.as_deref().and_then(|fs| fs.read.as_ref())),
                write: self.places(file.fs.as_deref().and_then(|fs| fs.write.as_ref())),
            },
            net: file.net.as_ref().map(|net| Bounded {
                most: self.net(net),
                origin: self.origin(net),
            }),
            http: self.only_http(file.http.as_ref()),
            http_secrets: self.only_secrets(file.http.as_ref()),
            own_net: NetCeiling {
                connect: file.connect.as_ref().map(|list| Bounded {
                    most: self.connect_rules(Some(list)),
                    origin: self.origin(list),
                }),
                lookup: file.lookup.as_ref().map(|list| Bounded {
                    most: self.lookup_rules(Some(list)),
                    origin: self.origin(list),
                }),
            },
            limits: file.limits.as_ref().map(|limits| {
                let mut most = unlimited();
                self.limits(limits, &mut most);
                most
            }),
            kv: file.kv.as_ref().map(|kv| Bounded {
                most: self.kv(kv),
                origin: self.origin(kv),
            }),
            no_data,
            metadata: file.metadata.as_ref().map(|facts| Bounded {
                most: facts.iter().map(|word| (**word).into()).collect(),
                origin: self.origin(facts),
            }),
        };
        Read { ceiling, no_trust }
    }

    /// The only commands. A bare name would mean whatever a policy has under it in a directory of its own.
    fn only(&mut self, list: &At<Vec<At<Rule>>>, with_path: bool) -> ExecCeiling {
        let allow = self.rules(Some(list), List::Allow);
        let by_name =
            |rule: &&ProgramRule| matches!(rule.program.named(), Some(ProgramRef::Name(_)));
        if let Some(rule) = allow.iter().find(by_name).filter(|_| !with_path) {
            let message = format!("`{}` is no absolute path", rule.program);
            let mut error = self
                .error(ConfigCode::Value, list, message)
                .label("expected absolute paths, or `exec_path` in this file");
            error.origin = rule.origin.clone();
            self.report.push(error);
        }
        ExecCeiling {
            allow,
            origin: self.origin(list),
        }
    }

    fn only_http(&mut self, http: Option<&At<CeilingHttp>>) -> Option<Bounded<Vec<HttpRule>>> {
        let http = http.filter(|http| http.allow.is_some() || http.secrets.is_none())?;
        Some(Bounded {
            most: self.http_rules(http, http.allow.as_ref()),
            origin: self.origin(http),
        })
    }

    fn only_secrets(&mut self, http: Option<&At<CeilingHttp>>) -> Option<Bounded<Vec<HttpPlace>>> {
        let texts = http?.secrets.as_ref()?;
        Some(Bounded {
            most: texts
                .iter()
                .filter_map(|text| self.secret_place(text))
                .collect(),
            origin: self.origin(texts),
        })
    }

    fn bound(&mut self, names: Option<&Texts>, kind: Names) -> Option<Bounded<Vec<String>>> {
        let origin = self.origin(names?);
        Some(Bounded {
            most: self.names(names, kind),
            origin,
        })
    }

    /// Real paths; one that is not there bounds nothing that is, and is none.
    fn places(&mut self, texts: Option<&Texts>) -> Option<Bounded<Vec<PathBuf>>> {
        let texts = texts?;
        let mut most = Vec::new();
        for text in texts.iter() {
            let expanded = self.base.expand(text);
            let path = self.take(ConfigCode::Path, text, expanded);
            most.extend(path.map(|path| crate::context::real(&path.path)));
        }
        Some(Bounded {
            most,
            origin: self.origin(texts),
        })
    }
}

/// No limit at all.
fn unlimited() -> PolicyLimits {
    PolicyLimits {
        timeout: Duration::MAX,
        term_grace: Duration::MAX,
        output: u64::MAX,
        total_output: u64::MAX,
        children: u32::MAX,
        spawns_per_minute: u32::MAX,
        http_per_minute: u32::MAX,
        net_per_minute: u32::MAX,
        log_per_minute: u32::MAX,
        calls_per_minute: u32::MAX,
        file_read: u64::MAX,
        file_write: u64::MAX,
        total_file_write: u64::MAX,
        data_files: u32::MAX,
        data_file: u64::MAX,
        http_request: u64::MAX,
        http_response: u64::MAX,
        http_timeout: Duration::MAX,
        net_timeout: Duration::MAX,
        call: Duration::MAX,
        memory: u64::MAX,
        table_elements: u64::MAX,
        compile_time: Duration::MAX,
        compile_memory: u64::MAX,
        fuel: None,
        clawft_module: u64::MAX,
        clawft_gzip: u64::MAX,
        clawft_directory: u64::MAX,
    }
}

/// Whether a ceiling lets nobody be asked.
pub(crate) fn forbids_dev(ceiling: &Ceiling) -> bool {
    ceiling.mode == Some(Mode::Production)
}
