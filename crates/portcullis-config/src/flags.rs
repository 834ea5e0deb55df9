//! Permissions on the command line. They add to what the files grant, for the one plugin that is run.

use portcullis_policy::{
    ArgumentRule, Confinement, ConnectRule, FsAccess, FsGrant, HostRule, HttpRule, InvalidHost,
    LookupRule, Mode, Narrowing, Net, Origin, ProgramRule, RuleId,
};

use crate::context::{Base, Context};
use crate::draft::{Draft, ExecDraft, Settings, unite};
use crate::error::{ConfigCode, ConfigError, Report};
use crate::network;
use crate::reader::{Names, own_state, programs};

/// The flags as they were written, lists already split at commas.
///
/// # Defaults
/// Nothing is granted and nothing changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagSet {
    /// `-A`: any program, the project to read and write, any variable, lines in the log. It lowers no confinement, lifts no denial and
    /// no veto, and reaches no file of Portcullis itself.
    pub allow_all: bool,
    /// `--allow-exec`: programs with any arguments.
    pub allow_exec: Option<AllowExec>,
    /// `--deny-exec`: programs that are denied whatever else is allowed.
    pub deny_exec: Vec<String>,
    /// `--allow-env`: variables that the plugin may read. `AWS_*` also lets it set such variables for its commands,
    /// where `env_allow_prefixes` would not; no flag lifts the veto on variables that make programs run other code.
    pub allow_env: Vec<String>,
    /// `--allow-log`: lines in the log.
    pub allow_log: bool,
    /// `--allow-read`: directories and files, relative to the working directory.
    pub allow_read: Vec<String>,
    /// `--allow-write`: directories and files, relative to the working directory, to read and write.
    pub allow_write: Vec<String>,
    /// `--dir`: directories to read and write, as `--allow-write`, each with the name that the guest sees: `host::guest`, or the
    /// name that is written. A single file is refused.
    pub dirs: Vec<String>,
    /// `--env`: variables that the guest is told, `NAME` with the host's value or `NAME=value` with this one. Commands are not
    /// started with them.
    pub env: Vec<String>,
    /// `--allow-net`: what commands may reach, `host:port` each, `loopback` or `open`.
    pub allow_net: Vec<String>,
    /// `--allow-http`: hosts that the plugin itself may send requests to.
    pub allow_http: Vec<String>,
    /// `--allow-connect`: where the plugin itself may connect to, `host:port` each.
    pub allow_connect: Vec<String>,
    /// `--allow-lookup`: names that the plugin itself may look up.
    pub allow_lookup: Vec<String>,
    /// `--mode`, over the files.
    pub mode: Option<Mode>,
    /// `--confinement`, over the files; a stronger one also holds where a rule has a weaker one.
    pub confinement: Option<Confinement>,
    /// How the flags are called in reports.
    pub spelling: Spelling,
}

/// How flags are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spelling {
    /// `--allow-read=PATH`, as for `portcullis run`.
    #[default]
    Plugin,
    /// `--read PATH`, as for `portcullis exec`.
    Command,
}

impl Spelling {
    /// The flag with its value.
    fn of(self, flag: &str, value: &str) -> String {
        match self {
            Self::Plugin => format!("--allow-{flag}={value}"),
            Self::Command => format!("--{flag} {value}"),
        }
    }
}

/// The programs of `--allow-exec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowExec {
    /// `--allow-exec` without a list: any program.
    All,
    /// `--allow-exec=git,/usr/bin/df`: these.
    Programs(Vec<String>),
}

/// Flags that were checked: what they add.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    any_program: Option<Origin>,
    allow: Vec<ProgramRule>,
    deny: Vec<ProgramRule>,
    env: Vec<String>,
    given_env: Vec<(String, String)>,
    log: bool,
    fs: Vec<FsGrant>,
    net: Option<Net>,
    http: Vec<HttpRule>,
    connect: Vec<ConnectRule>,
    lookup: Vec<LookupRule>,
    inherit_env: bool,
    mode: Option<Mode>,
    confinement: Option<Confinement>,
}

impl Flags {
    pub(crate) fn confinement(&self) -> Option<Confinement> {
        self.confinement
    }

    /// Checks the flags and looks the directories up.
    pub(crate) fn read(set: &FlagSet, context: &Context, report: &mut Report) -> Self {
        let mut flags = Self {
            log: set.allow_log || set.allow_all,
            mode: set.mode,
            confinement: set.confinement,
            ..Self::default()
        };
        let base = Base {
            context,
            dir: &context.cwd,
            plugin: None,
        };
        match &set.allow_exec {
            Some(AllowExec::All) => flags.any_program = Some(origin("--allow-exec")),
            Some(AllowExec::Programs(programs)) => {
                flags.allow = rules("--allow-exec", programs, report)
            }
            None => {}
        }
        flags.deny = rules("--deny-exec", &set.deny_exec, report);
        for name in &set.allow_env {
            flags.env.extend(env_name(name, report));
        }
        for path in &set.allow_read {
            flags.fs.extend(directory(
                &set.spelling.of("read", path),
                path,
                FsAccess::Read,
                &base,
                report,
            ));
        }
        for path in &set.allow_write {
            flags.fs.extend(directory(
                &set.spelling.of("write", path),
                path,
                FsAccess::ReadWrite,
                &base,
                report,
            ));
        }
        for text in &set.dirs {
            flags.fs.extend(mapped(text, &base, report));
        }
        for text in &set.env {
            flags.variable(text, report);
        }
        if set.spelling == Spelling::Command {
            // There is no guest that would see the directories under other names.
            for grant in &mut flags.fs {
                grant.guest = grant.host.display().to_string();
            }
        }
        for text in &set.allow_net {
            if let Some(net) = net(text, set.spelling, report) {
                flags.net = Some(network::wider(flags.net.take(), &net));
            }
        }
        for host in &set.allow_http {
            flags.http.extend(http_rule(host, report));
        }
        for place in &set.allow_connect {
            let flag = format!("--allow-connect={place}");
            let rule = entry(&flag, ConnectRule::parse(place), "`host:port`", report);
            flags.connect.extend(rule.map(|rule| ConnectRule {
                id: RuleId(flag.clone()),
                origin: origin(&flag),
                ..rule
            }));
        }
        for name in &set.allow_lookup {
            let flag = format!("--allow-lookup={name}");
            let rule = entry(&flag, LookupRule::parse(name), "a name, or `*`", report);
            flags.lookup.extend(rule.map(|rule| LookupRule {
                id: RuleId(flag.clone()),
                origin: origin(&flag),
                ..rule
            }));
        }
        if set.allow_all {
            flags.any_program = Some(origin("-A"));
            flags.inherit_env = true;
            flags.env.push("*".to_owned());
            flags.fs.extend(directory(
                "-A",
                "${project}",
                FsAccess::ReadWrite,
                &base,
                report,
            ));
        }
        flags
    }

    /// Takes one `--env`. Of one name the last value counts.
    fn variable(&mut self, text: &str, report: &mut Report) {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if !Names::Exact.has(name) {
            let message = format!("`{name}` is not {}", Names::Exact.describe());
            report.push(error(ConfigCode::Pattern, "--env", message));
            return;
        }
        unite(&mut self.env, [name.to_owned()]);
        self.given_env.retain(|(other, _)| other != name);
        let given = value.map(|value| (name.to_owned(), value.to_owned()));
        self.given_env.extend(given);
    }

    /// Puts the flags on top of the files.
    pub(crate) fn apply(&self, draft: &mut Draft, settings: &mut Settings, report: &mut Report) {
        settings.mode = self.mode.or(settings.mode);
        if self.any_program.is_some() || !self.allow.is_empty() {
            let first = self
                .any_program
                .clone()
                .or_else(|| Some(self.allow.first()?.origin.clone()));
            let exec = draft.exec.get_or_insert_with(|| ExecDraft {
                // Without a file's `exec` there is no list whose absence could mean any program.
                allow: Some(Vec::new()),
                ..ExecDraft::new(first.unwrap_or(Origin::Code))
            });
            exec.any_program |= self.any_program.is_some();
            match &mut exec.allow {
                Some(allow) => unite(allow, self.allow.iter().cloned()),
                // In dev mode everything is allowed anyway, and a flag takes nothing away.
                None if settings.mode == Some(Mode::Dev) => {}
                None => exec.allow = Some(self.allow.clone()),
            }
        }
        if let Some(exec) = &mut draft.exec {
            exec.confinement = self.confinement.or(exec.confinement);
            for rule in exec.allow.iter_mut().flatten() {
                let tier = &mut rule.narrowing.confinement;
                // The tiers are in order, the strongest first.
                *tier = tier.filter(|tier| self.confinement.is_none_or(|flag| *tier <= flag));
            }
            if self.inherit_env {
                exec.inherit_env = Some(true);
            }
        }
        unite(&mut draft.deny, self.deny.iter().cloned());
        unite(&mut draft.env, self.env.iter().cloned());
        draft.given_env.clone_from(&self.given_env);
        draft.log |= self.log;
        if let Some(prefixes) = &mut draft.env_allow_prefixes {
            unite(
                prefixes,
                self.env
                    .iter()
                    .filter_map(|name| name.strip_suffix('*'))
                    .map(str::to_owned),
            );
        }
        if let Some(net) = &self.net {
            draft.net = Some(network::wider(draft.net.take(), net));
        }
        unite(&mut draft.http, self.http.iter().cloned());
        unite(&mut draft.connect, self.connect.iter().cloned());
        unite(&mut draft.lookup, self.lookup.iter().cloned());
        for grant in &self.fs {
            if let Err(other) = draft.add_fs(grant.clone()) {
                let message = format!(
                    "`{}` is already the name of `{}`",
                    grant.guest,
                    other.display()
                );
                report.push(ConfigError {
                    origin: grant.origin.clone(),
                    ..error(ConfigCode::Duplicate, "", message)
                });
            }
        }
    }
}

fn origin(flag: &str) -> Origin {
    Origin::Flag {
        flag: flag.to_owned(),
    }
}

fn error(code: ConfigCode, flag: &str, message: String) -> ConfigError {
    let (label, notes, helps) = (String::new(), Vec::new(), Vec::new());
    ConfigError {
        code,
        origin: origin(flag),
        span: 0..0,
        message,
        label,
        notes,
        helps,
    }
}

fn rules(flag: &str, texts: &[String], report: &mut Report) -> Vec<ProgramRule> {
    let mut rules = Vec::new();
    for program in texts {
        let written = format!("{flag}={program}");
        match programs(program) {
            Ok(program) => rules.push(ProgramRule {
                id: RuleId(written.clone()),
                origin: origin(&written),
                program,
                sha256: None,
                arguments: ArgumentRule::default(),
                plugin_sha256: None,
                narrowing: Narrowing::default(),
            }),
            Err(why) => {
                let message = format!("`{program}` is not a program");
                report.push(error(ConfigCode::Pattern, &written, message).label(why));
            }
        }
    }
    rules
}

fn env_name(name: &str, report: &mut Report) -> Option<String> {
    if Names::Patterns.has(name) {
        return Some(name.to_owned());
    }
    let message = format!("`{}` is not {}", name, Names::Patterns.describe());
    report.push(error(
        ConfigCode::Pattern,
        &format!("--allow-env={name}"),
        message,
    ));
    None
}

fn directory(
    flag: &str,
    text: &str,
    access: FsAccess,
    base: &Base<'_>,
    report: &mut Report,
) -> Option<FsGrant> {
    let place = match base.place(text) {
        Ok(place) => place,
        Err(message) => {
            report.push(error(ConfigCode::Path, flag, message));
            return None;
        }
    };
    if let Some(own) = base.context.reached(&place.path, access) {
        let error = error(ConfigCode::OwnState, flag, String::new());
        report.push(own_state(error, &place.path, access, &own.path));
        return None;
    }
    Some(FsGrant {
        host: place.path,
        kind: place.kind,
        guest: place.guest,
        access,
        origin: origin(flag),
    })
}

/// One `--dir`: a directory, and the name that the guest sees.
fn mapped(text: &str, base: &Base<'_>, report: &mut Report) -> Option<FsGrant> {
    let flag = format!("--dir {text}");
    let (host, guest) = match text.split_once("::") {
        Some((host, guest)) => (host, Some(guest)),
        None => (text, None),
    };
    let grant = directory(&flag, host, FsAccess::ReadWrite, base, report)?;
    let wrong = if !grant.kind.is_directory() {
        format!("`{}` is not a directory", grant.host.display())
    } else if guest == Some("") {
        "the name that the plugin sees is empty".to_owned()
    } else {
        let guest = guest.map_or(grant.guest, str::to_owned);
        return Some(FsGrant { guest, ..grant });
    };
    report.push(error(ConfigCode::Path, &flag, wrong));
    None
}

fn http_rule(host: &str, report: &mut Report) -> Option<HttpRule> {
    let flag = format!("--allow-http={host}");
    let expected = "a host, with or without a port, or `*`";
    let rule = entry(&flag, HttpRule::any_request(host), expected, report)?;
    Some(HttpRule {
        id: RuleId(flag.clone()),
        origin: origin(&flag),
        ..rule
    })
}

/// What a flag names, or a mistake.
fn entry<R>(
    flag: &str,
    read: Result<R, InvalidHost>,
    expected: &str,
    report: &mut Report,
) -> Option<R> {
    match read {
        Ok(rule) => Some(rule),
        Err(wrong) => {
            let error = error(ConfigCode::Pattern, flag, wrong.to_string());
            report.push(error.label(format!("expected {expected}")));
            None
        }
    }
}

fn net(text: &str, spelling: Spelling, report: &mut Report) -> Option<Net> {
    match text {
        "open" => return Some(Net::Open),
        "loopback" => return Some(Net::Loopback),
        _ => {}
    }
    match HostRule::parse(text) {
        Ok(rule) => Some(Net::Hosts(vec![rule])),
        Err(wrong) => {
            let flag = spelling.of("net", text);
            let error = error(ConfigCode::Pattern, &flag, wrong.to_string());
            report.push(error.label("expected `host:port`, `loopback` or `open`"));
            None
        }
    }
}
