//! A native command without a plugin: the same gate, the same wall.

use std::io;
use std::sync::Arc;

use portcullis_exec::{ExecAsk, Place, Quota, Status, Stdio};
use portcullis_policy::Grants;

use crate::Host;
use crate::activity::Activity;
use crate::error::LoadError;
use crate::gate::{Gate, GateParts, NotRun};
use crate::host::caches_of;
use crate::needs::Told;
use crate::repositories::with_repositories;
use crate::stdio::GuestStdio;

/// A native command that a person runs, and what it may do.
#[derive(Debug)]
pub struct Native {
    /// Whose rights it has, as a plugin's command has the plugin's.
    pub grants: Grants,
    /// What is to run. Its `stdin` is not looked at.
    pub ask: ExecAsk,
    /// Where its streams lead.
    pub stdio: Stdio,
}

/// What became of a command.
#[derive(Debug)]
pub struct Ran {
    /// How it came to its end.
    pub ending: Ending,
    /// What ran, what was refused, and what failed.
    pub activity: Activity,
}

/// How a command came to its end. Nothing of its process tree is left.
#[derive(Debug)]
pub enum Ending {
    /// It ran. A command that was killed for a limit has SIGKILL for its status, and a denial in the activity.
    Ended(Status),
    /// It did not run: the activity has the denial or the failure.
    NotRun,
    /// It was killed, because what it reads could not be had or what it wrote could not be passed on.
    CutOff(io::Error),
}

impl Host {
    /// Runs one native command with these rights, in the project directory unless it asks for another, and writes it
    /// down as command of the run `run`. The clock is that of `grants.limits.timeout` alone.
    ///
    /// # Authority
    /// Consumes `native.grants`: the command, and all it starts, have these rights and no others.
    ///
    /// # Errors
    /// [`LoadError::OwnState`] when a grant reaches files of the host, [`LoadError::Executor`] when nothing can be
    /// confined here, [`LoadError::Preopen`] when the project directory cannot be opened or a granted working tree is
    /// none. Nothing has run then.
    ///
    /// # Cancellation
    /// Dropping the future kills the command and everything it started.
    pub async fn exec(&self, run: &str, native: Native) -> Result<Ran, LoadError> {
        let Native { grants, ask, stdio } = native;
        let grants = with_repositories(grants)?;
        let plugin = grants.plugin.clone();
        let settings = self.settings();
        if let Some(reach) = settings.own_state.reached_by_any(&grants) {
            return Err(LoadError::OwnState { plugin, reach });
        }
        self.refuse_unstaged(&grants)?;
        let confinement = grants.exec.as_ref().map(|exec| exec.confinement);
        let executor = match confinement {
            Some(confinement) => {
                let host = self.clone();
                let starting = tokio::task::spawn_blocking(move || host.executor(confinement));
                let started = starting
                    .await
                    .unwrap_or_else(|panic| Err(panic.to_string()));
                Some(started.map_err(|why| LoadError::Executor {
                    plugin: plugin.clone(),
                    why,
                })?)
            }
            None => None,
        };
        let place = Place::open(self.project(), settings.host_env.clone()).map_err(|error| {
            LoadError::Preopen {
                plugin,
                path: self.project().to_owned(),
                why: error.to_string(),
            }
        })?;
        let parts = GateParts {
            quota: Arc::new(Quota::new(&grants.limits)),
            rates: Arc::default(),
            guest_log: None,
            caches_of: caches_of(&grants, ""),
            grants: Arc::new(grants),
            place: Arc::new(place),
            executor,
            named_by_git: Arc::default(),
            roots: Arc::default(),
            // What is no guest has no state.
            kept: Arc::default(),
            trail: self.trail(),
            stdio: GuestStdio::default(),
            asker: self.asker(),
            prompter: None,
            own_data: None,
            aside: confinement.unwrap_or_default(),
            tape: None,
            needs: Told::default(),
            http: Arc::clone(self.http()),
            secret_env: settings.host_env.clone(),
            guest_env: settings.host_env.clone(),
        };
        let mut gate = Gate::new(Arc::new(parts), run.into());
        let ending = match gate.command(ask.into(), stdio).await {
            Ok(completed) => Ending::Ended(completed.status),
            Err(NotRun::Guest(_)) => Ending::NotRun,
            Err(NotRun::CutOff(error)) => Ending::CutOff(error),
        };
        gate.explain().await;
        Ok(Ran {
            ending,
            activity: gate.activity,
        })
    }
}
