//! `cargo xtask bench`: what a call, a command and a load cost, beside the floor and the peers. With names of groups
//! after `--`, those alone.
//!
//! All rows of a group take turns, a few dozen repetitions each, so that a busy moment of the machine falls on all of
//! them; figures are medians over the rounds, ratios are medians of the ratios within a round.

#![expect(
    clippy::disallowed_methods,
    reason = "it compares with commands that are started without us"
)]

mod calls;
mod commands;
mod go;
mod lift;
mod loads;
mod process;
mod records;
mod streams;
mod uses;

use std::path::PathBuf;
use std::sync::Arc;

use portcullis::audit::{Options, Trail};
use portcullis::policy::{
    Confinement, ExecGrant, FsAccess, FsGrant, FsKind, Grants, HostEnvironment, Mode, Origin,
    PluginId, ProgramRule,
};
use portcullis::{Host, Plugin, Source};
use portcullis_spawn_bench::rounds::section;
use portcullis_spawn_bench::tiny;

/// What a plugin's commands may do.
#[derive(Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) confinement: Confinement,
    pub(crate) write: bool,
    pub(crate) share: bool,
}

impl Wish {
    pub(crate) const LIMITS: Self = Self {
        confinement: Confinement::Limits,
        write: false,
        share: false,
    };
}

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
        for path in [".git/hooks", ".git/info", ".vscode", "src"] {
            std::fs::create_dir_all(project.join(path))?;
        }
        for path in [".git/config", ".git/HEAD", ".envrc"] {
            std::fs::write(project.join(path), "")?;
        }
        let trail = Trail::open(&dir.path().join("trail"), Options::default())?;
        let env = std::env::vars().collect();
        let host = Host::builder()
            .project(project)
            .audit(Arc::new(trail))
            .host_env(HostEnvironment::new(env));
        Ok(Self {
            host: host.pooling(pooling).build()?,
            tiny: tiny::build(&dir.path().canonicalize()?)?,
            dir,
        })
    }

    pub(crate) fn grants(&self, wish: Wish) -> anyhow::Result<Grants> {
        let mut grants = Grants::none(PluginId::new("bench")?);
        let access = if wish.write {
            FsAccess::ReadWrite
        } else {
            FsAccess::Read
        };
        if wish.confinement != Confinement::Limits {
            grants.fs = vec![FsGrant {
                host: self.host.project().to_owned(),
                kind: FsKind::Directory,
                guest: "/project".to_owned(),
                access,
                origin: Origin::Code,
            }];
        }
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
            confinement: wish.confinement,
            share: wish.share,
            ..ExecGrant::default()
        });
        Ok(grants)
    }

    pub(crate) async fn plugin(&self, guest: &str, wish: Wish) -> anyhow::Result<Plugin> {
        let source = Source {
            bytes: portcullis_testkit::guest_bytes(guest),
            grants: self.grants(wish)?,
        };
        Ok(self.host.load(source).await?)
    }
}

/// The groups of rows, by the names that choose them.
const GROUPS: [&str; 10] = [
    "records", "cells", "commands", "calls", "uses", "go", "streams", "loads", "process", "large",
];
/// How often each row of the cells is measured.
const ROUNDS: usize = 200;

fn main() -> anyhow::Result<()> {
    portcullis::enter();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !GROUPS.contains(&name.as_str())) {
        anyhow::bail!("no group `{unknown}`; there are {}", GROUPS.join(", "));
    }
    let wanted = |group: &str| {
        let chosen = wanted.is_empty() || wanted.iter().any(|name| name == group);
        if chosen {
            section(group);
        }
        chosen
    };
    let mut small = None;
    if wanted("cells") {
        // Before anything else, while this process is small.
        let title = "cells alone, a command, captured, from a small host";
        small = portcullis_spawn_bench::run(title, ROUNDS, &[])?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let bench = Bench::new(false)?;
    runtime.block_on(async {
        if wanted("commands") {
            commands::small_host(&bench).await?;
        }
        if wanted("calls") {
            calls::all(&bench).await?;
        }
        if wanted("uses") {
            calls::uses().await?;
        }
        if wanted("go") {
            go::all(&bench).await?;
        }
        if wanted("streams") {
            streams::all(&bench).await?;
        }
        if wanted("loads") {
            loads::all(&bench)?;
            loads::cold(&bench).await?;
            loads::kept(&bench).await?;
        }
        if wanted("records") {
            records::all(&bench).await?;
        }
        if wanted("process") {
            process::all(&bench)?;
        }
        if wanted("large") {
            commands::large_host(ROUNDS, small).await?;
        }
        anyhow::Ok(())
    })
}
