//! The calls in Portcullis, through its library.

use std::sync::Arc;
use std::time::Duration;

use portcullis::audit::{Options, Trail};
use portcullis::policy::{Confinement, ExecGrant, Grants, Mode, PluginId};
use portcullis::{Host, Plugin, Source};

use crate::Call;

/// The plugin, compiled.
pub(crate) struct Runtime {
    plugin: Plugin,
    _dir: tempfile::TempDir,
}

/// An instance of it.
pub(crate) struct Instance(portcullis::Instance);

impl Runtime {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let project = dir.path().join("project");
        std::fs::create_dir(&project)?;
        let trail = Trail::open(&dir.path().join("trail"), Options::default())?;
        let host = Host::builder()
            .project(project)
            .audit(Arc::new(trail))
            .build()?;
        let mut grants = Grants::none(PluginId::new("bench")?);
        grants.mode = Mode::Production;
        grants.limits.call = Duration::from_secs(120);
        // The capability, and no program: every request is refused.
        grants.exec = Some(ExecGrant {
            confinement: Confinement::Limits,
            ..ExecGrant::default()
        });
        let bytes = portcullis_testkit::guest_bytes("calls");
        let plugin = host.load(Source { bytes, grants }).await?;
        Ok(Self { plugin, _dir: dir })
    }

    pub(crate) async fn instance(&self) -> anyhow::Result<Instance> {
        Ok(Instance(self.plugin.instantiate("bench").await?))
    }
}

impl Instance {
    pub(crate) async fn call(&mut self, call: Call<'_>) -> anyhow::Result<String> {
        // Making the texts is part of the call, as encoding them is in the other runtime.
        let args: Vec<String> = match call {
            Call::Nothing => Vec::new(),
            Call::Text(text) => ["echo", text].map(str::to_owned).to_vec(),
            Call::Texts(texts) => std::iter::once("join")
                .chain(texts.iter().copied())
                .map(str::to_owned)
                .collect(),
        };
        self.run(&args).await
    }

    /// Asks for a command so often; how often it ran.
    pub(crate) async fn ask(&mut self, count: u32) -> anyhow::Result<u32> {
        Ok(self
            .run(&["exec".to_owned(), count.to_string()])
            .await?
            .parse()?)
    }

    async fn run(&mut self, args: &[String]) -> anyhow::Result<String> {
        self.0.run(args).await?.map_err(anyhow::Error::msg)
    }
}
