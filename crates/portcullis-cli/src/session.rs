//! The host and the audit trail of one run.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portcullis::{CodeCache, Compilation, GuestStdio, Host, HostBuilder, Recorder};
use portcullis_audit::{
    Destination, DigestKey, Event, Folding, Forward, Forwarding, Head, Lost, Masked, Options,
    RunEnded, RunStarted, Select, Sink, Trail,
};
use portcullis_config::{AuditForwards, Forwarded, ForwardedEvents};
use portcullis_policy::PluginId;

use crate::code;
use crate::consent::AtTheTerminal;
use crate::exit::Exit;
use crate::failure::{Failure, Result, chain};
use crate::learning::Notes;
use crate::questions::Questions;
use crate::render::guest_log::ShownLog;
use crate::render::{Printer, count, line};
use crate::settings::{Directories, Settings};

/// How long the end of a run waits until all of the trail is passed on.
const SETTLE: Duration = Duration::from_secs(2);

/// The trail of this user, with equal denials counted instead of written one by one.
pub(crate) type AuditTrail = Arc<Folding<Forwarding<Trail>>>;

/// Opens the trail. Without one nothing is run.
pub(crate) fn open_trail(
    directories: &Directories,
    forwards: &AuditForwards,
) -> Result<AuditTrail> {
    let mut options = Options::default();
    options.keep_head_in = Some(directories.data.clone());
    let trail = Trail::open(&directories.audit, options).map_err(|error| Failure::audit(&error))?;
    let trail =
        Forwarding::new(trail, forwards_of(forwards)).map_err(|error| Failure::audit(&error))?;
    Ok(Arc::new(Folding::new(
        trail,
        portcullis_audit::FoldOptions::default(),
    )))
}

/// Writes one event down that is about no run. What is not written down is not done.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_down(
    directories: &Directories,
    forwards: &AuditForwards,
    event: &Event,
    out: Printer,
) -> Result<()> {
    let trail = open_trail(directories, forwards)?;
    trail
        .append(Timestamp::now(), event)
        .map_err(|error| Failure::audit(&error))?;
    settle(&trail, out);
    Ok(())
}

/// Waits until the trail is passed on, and says what could not be.
pub(crate) fn settle(trail: &AuditTrail, out: Printer) {
    for Lost { to, messages, why } in trail.sink().settle(SETTLE) {
        let lost = count(messages, "audit message");
        out.tell(&line(&format!(
            "{lost} could not be passed on to {to}: {why}"
        )));
    }
}

fn forwards_of(forwards: &AuditForwards) -> Vec<Forward> {
    let forward = |to, forwarded: Forwarded| Forward {
        to,
        events: match forwarded.events {
            ForwardedEvents::None => Select::None,
            ForwardedEvents::Denials => Select::Denials,
            ForwardedEvents::All => Select::All,
        },
        head_every: forwarded.head_every,
        required: forwarded.required,
    };
    let syslog = forwards.syslog.clone();
    let syslog = syslog.map(|(socket, how)| forward(Destination::Syslog(socket), how));
    let otlp = forwards.otlp.clone();
    let otlp = otlp.map(|(endpoint, how)| forward(Destination::Otlp(endpoint), how));
    syslog.into_iter().chain(otlp).collect()
}

/// Opens the cache of compiled code.
pub(crate) fn open_cache(directories: &Directories) -> Result<CodeCache> {
    CodeCache::open(&directories.cache, &directories.data, Default::default())
        .map_err(|error| Failure::unavailable(chain(code::CACHE, &error)))
}

/// Who is told what a plugin does.
#[derive(Default)]
pub(crate) struct Witnesses<'a> {
    pub(crate) recorder: Option<&'a Arc<Recorder>>,
    pub(crate) notes: Option<Arc<Notes>>,
}

/// Builds the host as the settings say.
pub(crate) fn host(
    settings: &Settings,
    trail: Arc<dyn Sink>,
    stdio: GuestStdio,
    log: Option<Arc<ShownLog>>,
    consent: AtTheTerminal,
    questions: Option<Questions>,
    witnesses: Witnesses<'_>,
) -> Result<Host> {
    let directories = &settings.directories;
    let key =
        DigestKey::open_or_create(&directories.data).map_err(|error| Failure::audit(&error))?;
    let mut host = builder(settings);
    if let Some(log) = log {
        host = host.guest_log(log);
    }
    if let Some(recorder) = witnesses.recorder {
        host = host.record(Arc::clone(recorder));
    }
    if let Some(notes) = witnesses.notes {
        host = host.needs(notes);
    }
    if let Some(questions) = questions {
        host = host.prompter(Arc::new(questions));
    }
    let host = host
        .code_cache(open_cache(directories)?)
        .audit(trail)
        .digest_key(key)
        .guest_stdio(stdio)
        .consent(Arc::new(consent))
        .build()?;
    Ok(host)
}

/// What does not depend on whether anything is run: where the host is, and how it reaches the network.
pub(crate) fn builder(settings: &Settings) -> HostBuilder {
    let host = Host::builder()
        .project(&settings.project)
        .host_env(settings.env.host())
        .own_state(settings.own_state())
        .staged(settings.env.staged.clone())
        .caches(settings.directories.commands())
        .state(&settings.directories.state)
        .revoked(settings.policy.provenance().revoked.clone())
        .compilation(Compilation::Confined(settings.policy.compile_confinement()));
    let network = settings.policy.network();
    let host = match &network.upstream_proxy {
        Some(proxy) => host.upstream_proxy(proxy.clone()),
        None => host,
    };
    match &network.ca_file {
        Some(file) => host.ca_file(file),
        None => host,
    }
}

/// One run of a plugin in the trail.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: String,
    trail: AuditTrail,
    started: Instant,
}

impl Run {
    /// Writes down that a plugin begins to run.
    ///
    /// # Errors
    /// When it cannot be written: then nothing may be run.
    pub(crate) fn start(
        settings: &Settings,
        trail: AuditTrail,
        plugin: &PluginId,
        digest: &str,
        args: &[String],
    ) -> Result<Self> {
        let mut random = [0; 6];
        getrandom::fill(&mut random)
            .map_err(|error| Failure::unavailable(chain(code::HOST, &error)))?;
        let id = hex::encode(random);
        let event = Event::RunStarted(RunStarted {
            run: id.clone(),
            plugin: plugin.to_string(),
            plugin_digest: digest.to_owned(),
            policy_files: settings
                .files
                .iter()
                .map(|file| file.path.display().to_string())
                .collect(),
            args: Masked::argv(args.iter().map(String::as_str)),
        });
        trail
            .append(Timestamp::now(), &event)
            .map_err(|error| Failure::audit(&error))?;
        Ok(Self {
            id,
            trail,
            started: Instant::now(),
        })
    }

    /// Writes down how the run ended, and gives the head of the trail. Says what could not be passed on of it.
    pub(crate) fn end(self, exit: Exit, out: Printer) -> Result<Option<Head>> {
        let event = Event::RunEnded(RunEnded {
            run: self.id,
            exit_code: i32::from(exit.0),
            duration_us: u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
        });
        let written = self.trail.append(Timestamp::now(), &event);
        settle(&self.trail, out);
        written.map_err(|error| Failure::audit(&error))?;
        Ok(self.trail.sink().sink().head())
    }
}
