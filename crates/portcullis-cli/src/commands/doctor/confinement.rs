//! Which tiers of confinement work on this machine, found out by running a command in each, and what would help the
//! others.

use std::path::Path;

use portcullis::{
    Container, Ending, ExecAsk, Executable, Hinders, Host, Native, Obstacle, Protection, Report,
    Status, Stdio, cgroup_obstacle, obstacles,
};
use portcullis_policy::{Confinement, Mode};
use serde_json::{Value, json};

use super::{Check, chain, said};
use crate::settings::Environment;

/// The tiers, the strongest first.
const TIERS: [Confinement; 4] = [
    Confinement::Full,
    Confinement::Namespaces,
    Confinement::Landlock,
    Confinement::Limits,
];

/// Said where nothing known stands in the way.
const UNKNOWN: &str = "nothing that is known stands in the way: the step that failed and the kernel's log (`dmesg`) say more";

/// What became of a command in one tier: what was in force, or why it did not run.
type Tried = (Confinement, Result<Report, String>);

/// What all tiers came to.
pub(super) struct Confinements {
    tried: Vec<Tried>,
    obstacles: Vec<Obstacle>,
    container: Option<Container>,
}

impl Confinements {
    /// Runs a command in each tier.
    pub(super) async fn try_all(env: &Environment) -> Self {
        let mut tried = Vec::new();
        for tier in TIERS {
            tried.push((tier, run_true(env, tier).await));
        }
        let root = Path::new("/");
        let own = std::env::current_exe().unwrap_or_default();
        Self {
            tried,
            obstacles: obstacles(root, Executable::at(&own)),
            container: Container::of(root),
        }
    }

    /// The strongest tier that works.
    pub(super) fn strongest(&self) -> Option<Confinement> {
        let works = self.tried.iter().find(|(_, tried)| tried.is_ok());
        works.map(|(tier, _)| *tier)
    }

    pub(super) fn check(&self) -> Check {
        let strongest = self.strongest();
        let found = match strongest {
            Some(tier) => tier.name().to_owned(),
            None => "no tier works".to_owned(),
        };
        let result = if strongest == Some(Confinement::Full) {
            Ok(found)
        } else {
            Err(format!("not full; what works: {found}"))
        };
        let mut check = Check::new(
            "confinement",
            result,
            &self.fixes(Confinement::Full).join("; "),
        );
        check.details = self.details();
        check
    }

    fn details(&self) -> Vec<String> {
        let mut details = Vec::new();
        if let Some(container) = self.container {
            details.push(format!("runs in a container ({})", container.name()));
        }
        for (tier, tried) in &self.tried {
            let name = tier.name();
            match tried {
                Ok(_) => details.push(format!("tier {name}: works")),
                Err(why) => details.push(format!("tier {name}: {}", self.without_fixes(why))),
            }
            // What helps the strongest is said last, as for all checks.
            if tried.is_err() && *tier != Confinement::Full {
                let fixes = self.fixes(*tier).join("; ");
                details.push(format!("  {fixes}"));
            }
        }
        let protections = self.protections();
        let in_force = protections.iter().filter(|line| line.fix.is_none());
        let in_force: Vec<_> = in_force.map(|line| line.text.as_str()).collect();
        details.push(format!("in force: {}", in_force.join(", ")));
        for line in &protections {
            if let Some(fix) = &line.fix {
                details.push(format!("missing: {}: {fix}", line.text));
            }
        }
        details
    }

    /// A reason without what is told of the obstacles anyway.
    fn without_fixes(&self, why: &str) -> String {
        let told = self
            .obstacles
            .iter()
            .map(|obstacle| format!("; {}: {}", obstacle.what, obstacle.fix));
        told.fold(why.to_owned(), |why, told| why.replace(&told, ""))
    }

    /// What would help a tier that does not work.
    fn fixes(&self, tier: Confinement) -> Vec<String> {
        let concerns = |obstacle: &&Obstacle| obstacle.hinders.concerns(tier_of(tier));
        let known = self.obstacles.iter().filter(concerns);
        let fixes: Vec<_> = known
            .map(|obstacle| format!("{}: {}", obstacle.what, obstacle.fix))
            .collect();
        if fixes.is_empty() {
            vec![UNKNOWN.to_owned()]
        } else {
            fixes
        }
    }

    /// Each protection, in the strongest tier that works.
    fn protections(&self) -> Vec<Line> {
        let report = self.tried.iter().find_map(|(_, tried)| tried.as_ref().ok());
        let line = |&protection: &Protection| {
            let in_force = report.is_some_and(|report| report.has(protection));
            let text = match report {
                Some(report) if in_force && protection == Protection::Landlock => {
                    format!("{} (ABI {})", protection.text(), report.landlock_abi())
                }
                _ => protection.text().to_owned(),
            };
            Line {
                text,
                fix: (!in_force).then(|| self.fix(protection)),
            }
        };
        // A cgroup takes the place of the watch.
        let has_cgroup = report.is_some_and(|report| report.has(Protection::MemoryCgroup));
        let all = Protection::ALL.iter();
        let shown =
            all.filter(|&&protection| !(has_cgroup && protection == Protection::MemoryWatch));
        shown.map(line).collect()
    }

    /// What would bring a protection in force.
    fn fix(&self, protection: Protection) -> String {
        if matches!(
            protection,
            Protection::MemoryCgroup | Protection::ProcessesCgroup
        ) {
            let obstacle = cgroup_obstacle(protection);
            return obstacle.map_or_else(
                || UNKNOWN.to_owned(),
                |obstacle| format!("{}: {}", obstacle.what, obstacle.fix),
            );
        }
        let is_it = |hinders: Hinders| match protection {
            Protection::Landlock => matches!(hinders, Hinders::Landlock | Hinders::Everything),
            Protection::OwnProc => !matches!(hinders, Hinders::Landlock | Hinders::LandlockAlone),
            Protection::NoNewPrivs | Protection::Seccomp | Protection::HiddenInit => {
                hinders == Hinders::Everything
            }
            _ => matches!(hinders, Hinders::Namespaces | Hinders::Everything),
        };
        let mut known = self.obstacles.iter();
        match known.find(|obstacle| is_it(obstacle.hinders)) {
            Some(obstacle) => obstacle.fix.clone(),
            // It comes with a tier that does not work here.
            None => self.fixes(Confinement::Full).swap_remove(0),
        }
    }

    pub(super) fn json(&self) -> Value {
        let tiers = self.tried.iter().map(|(tier, tried)| {
            json!({
                "tier": tier,
                "works": tried.is_ok(),
                "why": tried.as_ref().err(),
                "fixes": tried.as_ref().err().map(|_| self.fixes(*tier)),
                "landlock_abi": tried.as_ref().ok().map(|report| report.landlock_abi()),
                "in_force": tried.as_ref().ok().map(|report| {
                    report.in_force().map(Protection::text).collect::<Vec<_>>()
                }),
            })
        });
        let protections = self.protections().into_iter().map(
            |line| json!({ "name": line.text, "in_force": line.fix.is_none(), "fix": line.fix }),
        );
        let obstacles = self
            .obstacles
            .iter()
            .map(|obstacle| json!({ "what": obstacle.what, "fix": obstacle.fix }));
        json!({
            "tier": self.strongest(),
            "container": self.container.map(Container::name),
            "tiers": tiers.collect::<Vec<_>>(),
            "protections": protections.collect::<Vec<_>>(),
            "obstacles": obstacles.collect::<Vec<_>>(),
        })
    }
}

/// A protection, and how to have it where it is missing.
struct Line {
    text: String,
    fix: Option<String>,
}

fn tier_of(confinement: Confinement) -> portcullis::Tier {
    match confinement {
        Confinement::Full => portcullis::Tier::Full,
        Confinement::Namespaces => portcullis::Tier::Namespaces,
        Confinement::Landlock => portcullis::Tier::Landlock,
        Confinement::Limits => portcullis::Tier::Limits,
    }
}

/// Runs `true` in one tier, and gives what its cell read back from the kernel.
async fn run_true(env: &Environment, confinement: Confinement) -> Result<Report, String> {
    let grants = super::only_true(Mode::Production, confinement)?;
    let ask = ExecAsk {
        program: "true".to_owned(),
        ..ExecAsk::default()
    };
    // A directory that is there everywhere and never a home.
    let host = Host::builder()
        .project("/usr")
        .host_env(env.host())
        .build()
        .map_err(|error| chain(&error))?;
    let stdio = Stdio::default();
    let native = Native { grants, ask, stdio };
    let ran = host.exec("doctor", native).await;
    let ran = ran.map_err(|error| error.diagnostic().notes.join("; "))?;
    match (ran.ending, ran.activity.commands.as_slice()) {
        (Ending::Ended(Status::Exited(0)), [command]) => Ok(command.report),
        (Ending::Ended(status), _) => Err(format!("`true` ended with {status:?}")),
        _ => {
            let denials = ran.activity.denials.iter();
            let why = denials.map(|denial| said(&denial.into()));
            Err(why
                .chain(ran.activity.failures.clone())
                .collect::<Vec<_>>()
                .join("; "))
        }
    }
}
