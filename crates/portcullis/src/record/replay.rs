//! Playing a record, in a process of its own where there is nothing that the record has not.

use std::io::{self, Read, Write};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use portcullis_exec::{Job, JobError};
use portcullis_policy::{Confinement, FledgePlugin, Grants, PluginId};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::line::{Asked, Header, Record, Unreadable};
use super::replayer::{Refused, Replayed, Replayer};
use crate::compile::Compilation;
use crate::gate::with_causes;
use crate::host::{Host, Source};
use crate::recognize::Kind;
use crate::session::Session;

/// What the process is called.
pub(crate) const ROLE: &str = "portcullis: replay";

/// Bytes of memory that the process has beside what compiling takes and the plugin may have.
const MEMORY: u64 = 1024 * 1024 * 1024;
/// Bytes of memory that a plugin ever has.
const MOST_MEMORY: u64 = 4 * 1024 * 1024 * 1024;
/// How long a call is played at most.
const MOST_TIME: Duration = Duration::from_secs(600);
/// Bytes that it may answer with.
const ANSWER: u64 = 512 * 1024 * 1024;
/// Bytes of the length in front of a plugin.
const LENGTH: usize = 8;

/// Why a record was not played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The plugin cannot be loaded, or is of another kind.
    #[error("{0}")]
    Refused(String),
    /// The time for it was up.
    #[error("it took longer than {} s", .0.as_secs())]
    Time(Duration),
    /// The process for it cannot be started, or was lost.
    #[error("{0}")]
    Failed(String),
}

#[derive(Serialize, Deserialize)]
enum Played {
    To(Replayed),
    Refused(String),
}

impl Host {
    /// Runs a plugin with nothing but a record, and compares what it asks for with that.
    ///
    /// The plugin runs in a process of its own that can start no process, reach no network and open no file of the user,
    /// whatever the record or the plugin is. Nothing is written to the audit trail.
    ///
    /// # Errors
    /// [`ReplayError`]. What is different is no error.
    pub async fn replay(&self, plugin: &[u8], record: &[u8]) -> Result<Replayed, ReplayError> {
        let header = Record::read(record)?.header;
        let limits = portcullis_policy::Limits::default();
        // What a record says of the limits is believed as far as no machine is the worse for it.
        let time = limits.compile_time + call_time(&header);
        let memory = limits.compile_memory;
        let memory = memory
            .saturating_add(MEMORY)
            .saturating_add(header.memory.min(MOST_MEMORY));
        let input = [&(plugin.len() as u64).to_le_bytes()[..], plugin, record].concat();
        // Whatever compiling may do without.
        let confinement = Confinement::Full;
        let host = self.clone();
        let executor = spawn_blocking(move || host.executor(confinement)).await;
        let executor = executor.unwrap_or_else(|error| Err(error.to_string()));
        let job = Job {
            role: ROLE,
            input,
            time,
            memory,
            output: ANSWER,
        };
        let answer = executor.map_err(ReplayError::Failed)?.work(job).await;
        let answer = answer.map_err(|error| match error {
            JobError::Time => ReplayError::Time(time),
            error => ReplayError::Failed(with_causes(&error)),
        })?;
        match serde_json::from_slice(&answer) {
            Ok(Played::To(replayed)) => Ok(replayed),
            Ok(Played::Refused(why)) => Err(ReplayError::Refused(why)),
            Err(error) => Err(ReplayError::Failed(error.to_string())),
        }
    }
}

fn call_time(header: &Header) -> Duration {
    Duration::from_millis(header.call_ms).min(MOST_TIME)
}

/// Plays what comes on `input`, which is read to its end.
///
/// # Errors
/// When `input` or `output` fails.
pub(crate) fn serve(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut message = Vec::new();
    input.read_to_end(&mut message)?;
    let (length, rest) = message
        .split_first_chunk::<LENGTH>()
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(io::Error::other)?;
    let (plugin, record) = rest
        .split_at_checked(length)
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let refused = seal()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let played = match Record::read(record) {
        Ok(record) => runtime.block_on(play(plugin.to_vec(), record)),
        Err(error) => Err(error.to_string()),
    };
    let played = played.map(|played| Replayed { refused, ..played });
    let played = played.map_or_else(Played::Refused, Played::To);
    serde_json::to_writer(&mut output, &played)?;
    output.flush()
}

/// Gives up what the cell leaves: starting itself again, and sockets. Both are tried, and what the kernel says to that is
/// returned.
///
/// # Errors
/// It cannot be given up, or one of them is not refused: then nothing is played.
fn seal() -> io::Result<Refused> {
    portcullis_exec::stay_alone()?;
    #[expect(clippy::disallowed_methods, reason = "it is to be refused")]
    let started = std::process::Command::new("/proc/self/exe").spawn();
    let connected = UdpSocket::bind("127.0.0.1:0");
    match (started, connected) {
        // The cell itself refuses these for other reasons, and not as surely.
        (Err(process), Err(network))
            if [&process, &network].map(io::Error::raw_os_error)
                == [Some(Errno::PERM.raw_os_error()); 2] =>
        {
            Ok(Refused {
                process: process.to_string(),
                network: network.to_string(),
            })
        }
        _ => Err(io::Error::other(
            "the kernel lets a replay start processes, or reach others",
        )),
    }
}

/// # Errors
/// In words, why it cannot be played.
async fn play(bytes: Vec<u8>, record: Record) -> Result<Replayed, String> {
    let header = record.header.clone();
    let id = PluginId::new(header.plugin.clone()).map_err(|error| error.to_string())?;
    let mut grants = Grants::none(id);
    grants.limits.memory = header.memory.min(MOST_MEMORY);
    grants.limits.table_elements = header.table_elements;
    grants.limits.fuel = header.fuel;
    grants.limits.call = call_time(&header);
    if header.kind == Kind::FledgeModule {
        grants.fledge = Some(FledgePlugin::default());
    }
    let replayer = Arc::new(Replayer::new(record));
    let host = Host::builder()
        // Empty, and the cell's own. Nothing of the plugin ever gets there.
        .project("/tmp")
        .compilation(Compilation::InProcess)
        .replay(Arc::clone(&replayer))
        .build();
    let host = host.map_err(|error| with_causes(&error))?;
    let plugin = host.load(Source { bytes, grants }).await;
    let plugin = plugin.map_err(|error| with_causes(&error))?;
    if plugin.kind() != header.kind {
        let (is, was) = (plugin.kind().describe(), header.kind.describe());
        return Err(format!("it is {is}, and the record is of {was}"));
    }
    let session = plugin.session("replay");
    while let Some(asked) = replayer.next() {
        ask(&session, asked).await;
    }
    Ok(replayer.finish())
}

/// Calls the guest as it was called. What it answers is compared on its way.
async fn ask(session: &Session, asked: Asked) {
    match asked {
        Asked::Run(args) => _ = session.run(&args).await,
        Asked::Command(args) => _ = session.command(&args).await,
        Asked::Start(args) => _ = session.start_fledge(&args).await,
        Asked::Tool { name, params } => _ = session.execute_tool(&name, &params).await,
        Asked::DescribeTools => _ = session.describe().await,
        Asked::Observe(config) => _ = session.observe(&config).await,
        Asked::Describe => _ = session.describe_reglet().await,
        Asked::Schema => _ = session.config_schema().await,
    }
}
