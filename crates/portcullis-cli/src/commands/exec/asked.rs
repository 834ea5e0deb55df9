//! What `portcullis exec` was asked for: flags on top of the policy's entry.

use portcullis::ExecAsk;
use portcullis_config::VerbEntry;
use portcullis_policy::{
    Cut, ExecGrant, Grants, Narrowing, Net, Origin, ProgramRef, ProgramRule, RuleId,
};

use super::refused;
use crate::args::ExecArgs;
use crate::code;
use crate::commands::explain;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::settings::Settings;
use crate::staging;

/// What helps against a denial by a policy that lists programs.
const LISTED: &str =
    "write it into `exec.allow` of the entry `exec` in the policy, or read none: `--no-config`";

/// A command that was asked for.
pub(in crate::commands) struct Asked {
    pub(in crate::commands) grants: Grants,
    pub(in crate::commands) ask: ExecAsk,
    /// What was asked for and is above the ceiling.
    pub(super) cut: Vec<Cut>,
    /// What helps when no rule allows it.
    pub(super) help: Option<&'static str>,
}

impl Asked {
    /// What only flags come to that are in the settings already.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(in crate::commands) fn by_flags(ask: ExecAsk, settings: &Settings) -> Result<Self> {
        let VerbEntry {
            grants, mut cut, ..
        } = settings.policy.verb()?;
        let mut grants = portcullis::with_repositories(grants).map_err(refused)?;
        cut.extend(settings.policy.meet_ceiling(&mut grants));
        Ok(Self {
            grants,
            ask,
            cut,
            help: None,
        })
    }

    /// What the flags and the policy's entry come to.
    ///
    /// # Errors
    /// A flag that means nothing, and a granted working tree that is none.
    pub(in crate::commands) fn of(args: &ExecArgs, settings: &Settings) -> Result<Self> {
        let VerbEntry {
            grants,
            lists_programs,
            cut,
            ..
        } = settings.policy.verb()?;
        let mut grants = portcullis::with_repositories(grants).map_err(refused)?;
        let (program, rest) = args
            .command
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut ask = ExecAsk {
            program: whole_path(program, settings),
            args: rest.to_vec(),
            ..ExecAsk::default()
        };
        take_away(args, &mut grants)?;
        if let Some(exec) = &mut grants.exec {
            if !lists_programs {
                exec.allow.extend(typed(&ask.program));
            }
            list_programs(args, exec)?;
            variables(args, exec, &mut ask)?;
        }
        let mut cut = cut;
        cut.extend(settings.policy.meet_ceiling(&mut grants));
        let granted = grants.clone();
        staging::settle(&args.stage, &mut grants, &granted)?;
        Ok(Self {
            grants,
            cut,
            ask,
            help: lists_programs.then_some(LISTED),
        })
    }
}

/// What flags take away from everything else: the network, and time.
fn take_away(args: &ExecArgs, grants: &mut Grants) -> Result<()> {
    if args.without_net() {
        if args.net.len() > 1 {
            return Err(Failure::usage(diagnostic(
                code::ARGUMENT,
                "`--net none` stands alone: it takes the network away",
            )));
        }
        grants.net = Net::None;
    }
    if let Some(text) = &args.timeout {
        let timeout = portcullis_config::duration(text).map_err(|why| {
            Failure::usage(
                diagnostic(code::ARGUMENT, why)
                    .note("expected a whole number and `ms`, `s`, `m` or `h`, such as 30s"),
            )
        })?;
        grants.limits.timeout = grants.limits.timeout.min(timeout);
    }
    Ok(())
}

/// The only other programs that it may start, as far as no rule says so already.
fn list_programs(args: &ExecArgs, exec: &mut ExecGrant) -> Result<()> {
    if let Some(programs) = args.programs() {
        let programs = programs_of(&programs)?;
        for rule in &mut exec.allow {
            rule.narrowing.exec.get_or_insert_with(|| programs.clone());
        }
    }
    Ok(())
}

fn variables(args: &ExecArgs, exec: &mut ExecGrant, ask: &mut ExecAsk) -> Result<()> {
    for text in &args.env {
        if text.contains('=') {
            let (name, value) = explain::variable(text)?;
            // Whoever writes a name out knows what it does, and it does it in the cell.
            exec.allow_dangerous_env.push(name.clone());
            ask.env.push((name, value));
        } else {
            exec.pass_env.push(text.clone());
        }
    }
    Ok(())
}

/// A program that is named by a path that does not begin at the root is meant from here.
fn whole_path(program: &str, settings: &Settings) -> String {
    if program.contains('/') && !program.starts_with('/') {
        let path = settings.env.cwd.join(program);
        return path.canonicalize().unwrap_or(path).display().to_string();
    }
    program.to_owned()
}

/// The rule that somebody who types a command writes by that.
fn typed(program: &str) -> Option<ProgramRule> {
    let origin = Origin::Flag {
        flag: "portcullis exec".to_owned(),
    };
    Some(ProgramRule {
        id: RuleId("command line".to_owned()),
        origin,
        program: ProgramRef::parse(program)?.into(),
        sha256: None,
        arguments: Default::default(),
        plugin_sha256: None,
        narrowing: Narrowing::default(),
    })
}

fn programs_of(texts: &[&str]) -> Result<Vec<ProgramRef>> {
    let parse = |text: &&str| {
        ProgramRef::parse(text).ok_or_else(|| {
            Failure::usage(
                diagnostic(code::ARGUMENT, format!("`{text}` is not a program"))
                    .note("expected a bare name or an absolute path, or `none`"),
            )
        })
    };
    texts.iter().map(parse).collect()
}
