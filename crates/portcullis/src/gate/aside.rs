//! A command that the host runs for itself while it serves a plugin: the same gate, with rights of its own.

use std::sync::Arc;
use std::time::Duration;

use portcullis_exec::{Completed, ExecAsk, Quota};
use portcullis_policy::{
    ExecGrant, FsAccess, FsGrant, FsKind, Grants, Limits, Origin, ProgramRule,
};

use super::{Gate, GateParts};
use crate::needs::Told;
use crate::repositories::with_repositories;

/// How long such a command may take, and how much it may say.
const TIME: Duration = Duration::from_secs(10);
const OUTPUT: u64 = 1024 * 1024;

impl Gate {
    /// Runs a program that can read the project and reaches nothing else. The plugin is told nothing of it but what the host
    /// makes of its output. The operator is told why it could not be run.
    pub(crate) async fn aside(&mut self, ask: ExecAsk) -> Option<Completed> {
        let grants = self.aside_grants(&ask.program);
        let parts = &self.parts;
        let parts = GateParts {
            quota: Arc::new(Quota::new(&grants.limits)),
            grants: Arc::new(grants),
            place: Arc::clone(&parts.place),
            executor: parts.executor.clone(),
            rates: Arc::default(),
            caches_of: None,
            named_by_git: Arc::default(),
            roots: Arc::default(),
            kept: Arc::default(),
            trail: parts.trail.clone(),
            stdio: Default::default(),
            guest_log: None,
            asker: Default::default(),
            prompter: None,
            http: Arc::clone(&parts.http),
            secret_env: Default::default(),
            guest_env: Default::default(),
            own_data: None,
            aside: parts.aside,
            tape: None,
            needs: Told::default(),
        };
        let mut gate = Self::new(Arc::new(parts), Arc::clone(&self.run));
        gate.calls = self.calls;
        gate.clock = self.clock.clone();
        let ran = gate.exec(ask.into()).await;
        self.calls = gate.calls;
        if ran.is_err() {
            let denials = gate.activity.denials.iter().map(|denial| {
                format!(
                    "the host itself cannot {}: {}",
                    denial.action,
                    denial.notes.join("; ")
                )
            });
            let failures = gate.activity.failures.iter().cloned();
            for why in denials.chain(failures) {
                self.activity.failure(why);
            }
        }
        ran.ok()
    }

    fn aside_grants(&self, program: &str) -> Grants {
        let project = FsGrant {
            host: self.project().to_owned(),
            kind: FsKind::Repository,
            guest: ".".to_owned(),
            access: FsAccess::Read,
            origin: Origin::Code,
        };
        let own = self.grants.exec.as_ref();
        let exec = ExecGrant {
            allow: vec![ProgramRule::any_arguments(program)],
            confinement: self.parts.aside,
            ..ExecGrant::default()
        };
        let search_path = own.map_or(exec.search_path.clone(), |own| own.search_path.clone());
        let grants = Grants {
            exec: Some(ExecGrant {
                search_path,
                ..exec
            }),
            limits: Limits {
                timeout: TIME.min(self.limits().timeout),
                output: OUTPUT,
                ..Limits::default()
            },
            fs: vec![project.clone()],
            ..Grants::none(self.grants.plugin.clone())
        };
        // What is no working tree is a directory.
        with_repositories(grants.clone()).unwrap_or(Grants {
            fs: vec![FsGrant {
                kind: FsKind::Directory,
                ..project
            }],
            ..grants
        })
    }
}
