//! Running the probe, as it is or through a guest and the shipped binary, and reading what it says.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use super::{
    case::{Prepare, Tier},
    machine::{User, machine},
    policy::Policy,
    scene::Scene,
};

/// What became of one act.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The probe's own line.
    Said { ok: bool, error: String },
    /// No line came: the command was refused, killed, or never started.
    Silent,
}

/// All that a run left.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// One for each command, in order.
    pub(crate) outcomes: Vec<Outcome>,
    /// Details of each command that said something, in order.
    pub(crate) details: Vec<String>,
    /// Statuses as the guest was told.
    pub(crate) statuses: Vec<String>,
    /// Both streams, for a person and to look for secrets in.
    pub(crate) text: String,
}

impl Ran {
    fn of(output: &Output) -> Self {
        let stdout = String::from_utf8_lossy(&output.stdout);
        let mut ran = Self {
            outcomes: Vec::new(),
            details: Vec::new(),
            statuses: Vec::new(),
            text: format!("{stdout}{}", String::from_utf8_lossy(&output.stderr)),
        };
        for line in stdout.lines() {
            ran.read(line);
        }
        if ran.outcomes.is_empty() {
            ran.outcomes.push(Outcome::Silent);
        }
        ran
    }

    fn read(&mut self, line: &str) {
        if let Some(status) = line.strip_prefix("status=") {
            self.statuses.push(status.to_owned());
        }
        // The lines of those around it are not about the act.
        let Ok(said) = serde_json::from_str::<Value>(line.strip_prefix("stdout=").unwrap_or(line))
        else {
            return;
        };
        if said["act"] == "with-terminal" || said["act"] == "with-handler" {
            return;
        }
        if let Some(ok) = said["ok"].as_bool() {
            let error = said["errno"].as_str().unwrap_or_default().to_owned();
            self.outcomes.push(Outcome::Said { ok, error });
            self.details
                .push(said["detail"].as_str().unwrap_or_default().to_owned());
        }
    }

    /// The only one.
    pub(crate) fn outcome(&self) -> &Outcome {
        &self.outcomes[0]
    }

    pub(crate) fn is_ok(&self) -> bool {
        matches!(self.outcome(), Outcome::Said { ok: true, .. })
    }

    /// The error of the first command.
    pub(crate) fn error(&self) -> &str {
        match self.outcome() {
            Outcome::Said { ok: false, error } => error,
            Outcome::Said { ok: true, .. } => "success",
            Outcome::Silent => "no answer",
        }
    }
}

/// A command line that is being put together.
#[derive(Debug)]
pub(crate) struct Line {
    words: Vec<String>,
}

impl Line {
    /// The probe itself, unconfined.
    pub(crate) fn direct(scene: &Scene, act: &[&str]) -> Self {
        let mut words = vec![scene.probe()];
        words.extend(act.iter().map(|word| scene.fill(word)));
        Self { words }
    }

    /// The probe as a command of a plugin of the shipped binary, once for each act.
    pub(crate) fn confined(scene: &Scene, acts: &[&[&str]]) -> Self {
        Self::confined_with(scene, &[], acts)
    }

    /// The same with options of the request, such as `--env=NAME=VALUE`.
    pub(crate) fn confined_with(scene: &Scene, options: &[&str], acts: &[&[&str]]) -> Self {
        let portcullis = machine().portcullis().display().to_string();
        let mut words: Vec<String> = vec![portcullis, "run".into(), "--config".into()];
        words.extend([
            scene.fill("{policy}"),
            "--project".into(),
            scene.fill("{project}"),
            "p".into(),
        ]);
        for (index, act) in acts.iter().enumerate() {
            if index > 0 {
                words.push(";;".into());
            }
            words.extend(["exec".into(), scene.fill("--cwd={rw}")]);
            words.extend(options.iter().map(|option| scene.fill(option)));
            words.extend(["--".into(), scene.probe()]);
            words.extend(act.iter().map(|word| scene.fill(word)));
        }
        Self { words }
    }

    /// Wrapped in what the scene needs around it.
    pub(crate) fn command(&self, scene: &Scene, user: User) -> Command {
        let words = scene.wrap(&self.words);
        let mut command = user.command(PathBuf::from(&words[0]));
        command
            .args(&words[1..])
            .current_dir(Path::new(&scene.fill("{rw}")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(scene.environment());
        command
    }

    /// Runs it to its end, while the scene does what it has to do meanwhile.
    pub(crate) fn run(&self, scene: &Scene, user: User) -> Ran {
        let mut child = self.start(scene, user);
        scene.meanwhile(&mut child);
        Ran::of(&child.wait_with_output().unwrap())
    }

    pub(crate) fn start(&self, scene: &Scene, user: User) -> Child {
        self.command(scene, user).spawn().unwrap()
    }
}

/// Writes the policy of the scene.
pub(crate) fn write_policy(scene: &Scene, policy: &Policy, tier: Tier) {
    let mut file = std::fs::File::create(scene.fill("{policy}")).unwrap();
    file.write_all(policy.text(scene, tier).as_bytes()).unwrap();
    scene.user().own(Path::new(&scene.fill("{policy}")));
}

/// The policy a case starts from.
pub(crate) fn base_policy(scene: &Scene, prepare: Prepare) -> Policy {
    let base = Policy::base(scene);
    match prepare {
        Prepare::SetId | Prepare::ForeignFormat => base.with_system(scene.fill("{sys}")),
        _ => base,
    }
}

/// What a finished process left.
pub(crate) fn ran(output: &Output) -> Ran {
    Ran::of(output)
}
