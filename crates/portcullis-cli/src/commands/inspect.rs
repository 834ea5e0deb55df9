//! `portcullis inspect`: what a plugin is, without running any of it unless that is asked for.

use std::path::Path;

use portcullis::{Import, Inspection, Kind};
use portcullis_config::AskKind;
use portcullis_policy::{FsAccess, Grants};
use serde_json::{Value, json};

use super::describe::{self, Described};
use super::{asks, children, plan};
use crate::args::{InspectArgs, StageArgs};
use crate::exit::Exit;
use crate::failure::Result;
use crate::render::{Printer, line, shell};
use crate::settings::Environment;
use crate::target::Target;

/// What a plugin has to export.
const RUN: &str = "run";

/// All that is known of a plugin.
struct Facts<'a> {
    target: &'a Target,
    grants: Grants,
    found: Inspection,
    ca_file: Option<&'a Path>,
    /// What it says of itself, where it was asked.
    described: Option<std::result::Result<Described, String>>,
}

pub(super) async fn inspect(args: &InspectArgs, env: Environment, out: Printer) -> Result<Exit> {
    let flags = args.permissions.flags();
    let (settings, mut target) = Target::load_to_see(&args.common, &flags, &env, &args.plugin)?;
    target.stage(&StageArgs::default())?;
    out.cut(&target.entry.id, &target.entry.cut);
    let grants = target.grants();
    let found = portcullis::inspect(&target.bytes, &grants);
    let described = match &target.other {
        _ if !args.describe => None,
        // It would be written down as the other.
        Some(_) => Some(Err("another plugin has its name".to_owned())),
        None => Some(describe::describe(&settings, &target).await?),
    };
    let facts = Facts {
        target: &target,
        grants,
        found,
        ca_file: settings.ca_file(),
        described,
    };
    if args.common.output.json {
        out.json(facts.json())?;
    } else {
        for text in facts.lines() {
            out.line(&line(&text))?;
        }
    }
    Ok(if facts.problems().is_empty() {
        Exit::OK
    } else {
        Exit::NEGATIVE
    })
}

impl Facts<'_> {
    /// Everything that would keep `run` from loading it under the present policy, as far as that shows without
    /// compiling it.
    fn problems(&self) -> Vec<String> {
        let Inspection {
            kind,
            malformed,
            imports,
            lacks,
            ..
        } = &self.found;
        let mut problems = Vec::new();
        if !kind.is_plugin() {
            problems.push(format!("it is {}; {}", kind.describe(), kind.remedy()));
            return problems;
        }
        problems.extend(
            malformed
                .iter()
                .map(|why| format!("it is malformed: {why}")),
        );
        if let Some(other) = &self.target.other {
            problems.push(format!(
                "another plugin has the name `{}`, from `{}`",
                self.target.entry.id,
                other.display()
            ));
        }
        if let Some(expected) = self
            .target
            .entry
            .sha256
            .map(hex::encode)
            .filter(|expected| *expected != self.target.sha256)
        {
            problems.push(format!("the policy names another SHA-256: `{expected}`"));
        }
        let missing = |import: &Import| {
            import
                .missing
                .as_ref()
                .map(|why| format!("`{}`: {why}", import.name))
        };
        problems.extend(imports.iter().filter_map(missing));
        if let Some(Err(why)) = &self.described {
            problems.push(format!("it does not describe itself: {why}"));
        }
        problems.extend(lacks.iter().map(|export| match (kind, *export) {
            (Kind::Component, RUN) => {
                "it exports no `run: func(args: list<string>) -> result<string, string>`".to_owned()
            }
            (_, export) => format!("it exports no `{export}`"),
        }));
        problems
    }

    fn lines(&self) -> Vec<String> {
        let Target { entry, sha256, .. } = self.target;
        let found = &self.found;
        let mut lines = vec![
            format!("plugin `{}` from `{}`", entry.id, entry.path.display()),
            format!("{}, {} bytes", found.kind.describe(), found.bytes),
            format!("sha256 {sha256}"),
            format!("blake3 {}", found.blake3),
        ];
        lines.extend(
            found
                .imports
                .iter()
                .map(|import| match (import.needs, &import.missing) {
                    (None, _) => format!("imports `{}`", import.name),
                    (Some(capability), None) => {
                        format!("imports `{}`: needs `{capability}`, granted", import.name)
                    }
                    (Some(capability), Some(_)) => format!(
                        "imports `{}`: needs `{capability}`, not granted",
                        import.name
                    ),
                }),
        );
        lines.extend(
            found
                .exports
                .iter()
                .map(|export| format!("exports `{export}`")),
        );
        for notice in &found.notices {
            lines.push(format!("note: {}", notice.message));
            lines.extend(notice.notes.iter().cloned());
        }
        self.asks(&mut lines);
        if let Some(Ok(described)) = &self.described {
            lines.extend(described.words());
        }
        lines.push(match &entry.origin {
            Some(origin) => format!("under the policy ({origin}) it"),
            None => "the policy has no entry for it; it".to_owned(),
        });
        lines.extend(
            plan::words(&self.grants, self.ca_file)
                .into_iter()
                .map(|word| format!("  {word}")),
        );
        lines.extend(
            self.commands()
                .into_iter()
                .map(|command| format!("to grant what it asks for: {}", shell(&command))),
        );
        lines.extend(
            self.problems()
                .into_iter()
                .map(|problem| format!("cannot be run: {problem}")),
        );
        lines
    }

    fn asks(&self, lines: &mut Vec<String>) {
        let Some(manifest) = self.target.manifest() else {
            return;
        };
        lines.push(format!(
            "version {} for world `{}`",
            manifest.version, manifest.world
        ));
        let missing = manifest.asks_not_granted(&self.target.entry.grants);
        for ask in &manifest.asks {
            let granted = if missing.contains(&ask) {
                "not granted"
            } else {
                "granted"
            };
            lines.push(format!(
                "asks for {}: {} ({granted})",
                ask_words(&ask.kind),
                ask.reason
            ));
        }
    }

    /// The commands that grant what it asks for and does not have.
    fn commands(&self) -> Vec<Vec<String>> {
        if self.target.other.is_some() {
            // They would grant it to the other.
            return Vec::new();
        }
        asks::commands(self.target)
    }

    fn json(&self) -> Value {
        let Target { entry, sha256, .. } = self.target;
        let manifest = self.target.manifest().map(|manifest| {
            let missing = manifest.asks_not_granted(&entry.grants);
            let asks: Vec<_> = manifest
                .asks
                .iter()
                .map(|ask| {
                    json!({
                        "capability": ask.kind.capability(), "asks": ask_words(&ask.kind), "reason": ask.reason,
                        "granted": !missing.contains(&ask),
                    })
                })
                .collect();
            json!({
                "id": manifest.id, "version": manifest.version, "world": manifest.world,
                "description": manifest.description, "asks": asks,
            })
        });
        json!({
            "plugin": { "id": entry.id, "path": entry.path, "sha256": sha256 },
            "found": self.found,
            "problems": self.problems(),
            "manifest": manifest,
            "described": self.described.as_ref().and_then(|described| described.as_ref().ok()).map(Described::json),
            "remedy": self.commands(),
            "entry": entry.origin,
            "grants": plan::grants_json(&self.grants),
            "plan": plan::words(&self.grants, self.ca_file),
            "children": children::plan_json(&self.grants, self.ca_file),
        })
    }
}

pub(super) fn ask_words(kind: &AskKind) -> String {
    let detail = match kind {
        AskKind::Exec { program, sub } => {
            let program = program.as_ref().map_or_else(
                || "any program".to_owned(),
                |program| format!("`{program}`"),
            );
            match sub {
                Some(sub) => format!(" {program} {}", plan::quoted(sub)),
                None => format!(" {program}"),
            }
        }
        AskKind::Fs { path, access } => {
            let path = path.as_ref().map(|path| format!(" `{path}`"));
            let access = match access {
                FsAccess::Read => "read",
                FsAccess::ReadWrite => "write",
            };
            format!(" {access}{}", path.unwrap_or_default())
        }
        AskKind::Env { name } => name
            .as_ref()
            .map(|name| format!(" `{name}`"))
            .unwrap_or_default(),
        AskKind::Net { connect, lookup } => {
            let one = |verb, what: &Option<String>| {
                let what = what.iter();
                what.map(|what| format!(" {verb} `{what}`"))
                    .collect::<String>()
            };
            one("connect", connect) + &one("lookup", lookup)
        }
        AskKind::Http { host } => host
            .as_ref()
            .map(|host| format!(" `{host}`"))
            .unwrap_or_default(),
        _ => String::new(),
    };
    format!("{}{detail}", kind.capability())
}
