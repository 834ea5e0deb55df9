//! `cargo xtask bench`: what a call, a command and a load cost, beside the floor and the peers.
//!
//! All rows of a group take turns, a few dozen repetitions each, so that a busy moment of the machine falls on all of
//! them; figures are medians over the rounds, ratios are medians of the ratios within a round.

#![expect(
    clippy::disallowed_methods,
    reason = "it compares with commands that are started without us"
)]

mod calls;
mod commands;
mod loads;
mod process;
mod rounds;

use std::path::PathBuf;
use std::sync::Arc;

use portcullis::audit::{Options, Trail};
use portcullis::policy::{
    Confinement, ExecGrant, Grants, HostEnvironment, Mode, PluginId, ProgramRule,
};
use portcullis::{Host, Plugin, Source};

/// A host as the command line makes it: with a trail on disk.
pub(crate) struct Bench {
    pub(crate) host: Host,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) tiny: PathBuf,
}

impl Bench {
    fn new(pooling: bool) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let project = dir.path().join("project");
        std::fs::create_dir(&project)?;
        let trail = Trail::open(&dir.path().join("trail"), Options::default())?;
        let env = std::env::vars().collect();
        let host = Host::builder()
            .project(project)
            .audit(Arc::new(trail))
            .host_env(HostEnvironment::new(env));
        Ok(Self {
            host: host.pooling(pooling).build()?,
            tiny: commands::tiny(dir.path())?,
            dir,
        })
    }

    pub(crate) fn grants(&self) -> anyhow::Result<Grants> {
        let mut grants = Grants::none(PluginId::new("bench")?);
        grants.mode = Mode::Dev;
        grants.limits.spawns_per_minute = u32::MAX;
        grants.limits.total_output = u64::MAX;
        let tiny = self
            .tiny
            .to_str()
            .ok_or_else(|| anyhow::anyhow!("a temporary directory that is not UTF-8"))?;
        let allow = vec![ProgramRule::any_arguments(tiny)];
        grants.exec = Some(ExecGrant {
            allow,
            confinement: Confinement::Limits,
            ..ExecGrant::default()
        });
        Ok(grants)
    }

    pub(crate) async fn plugin(&self, guest: &str) -> anyhow::Result<Plugin> {
        let source = Source {
            bytes: portcullis_testkit::guest_bytes(guest),
            grants: self.grants()?,
        };
        Ok(self.host.load(source).await?)
    }
}

fn main() -> anyhow::Result<()> {
    portcullis::enter();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let bench = Bench::new(false)?;
    runtime.block_on(async {
        commands::small_host(&bench).await?;
        calls::all(&bench).await?;
        loads::all(&bench)?;
        process::all(&bench)?;
        commands::large_host().await
    })
}
