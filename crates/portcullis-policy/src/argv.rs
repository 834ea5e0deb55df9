//! The rule language for arguments: lists of tokens against lists of tokens, never text against a joined line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::flag::{could_take_value, is_allowed, is_flag};
use crate::text::shown;
use crate::{ArgToken, FlagPattern, FsAccess, FsGrant};

/// Which arguments a rule is about. Each part that is present narrows it; without any part, all arguments match.
///
/// # What it does not see
/// It is a guard against mistakes, not a wall: what a command can reach follows from the plugin's grants.
/// - which flags take a value: see `global_flags` and [`FlagPattern`]
/// - options without a dash: `+x`, `@file`, `of=x` are operands here
/// - what follows `--` where the program hands it to another one (`npm run x -- --flag`)
/// - what a program runs by its configuration, hooks and aliases, or because that is its purpose (`env`, `xargs`)
/// - in a `deny` rule: aliases and short forms of sub-commands (`ip a`), and any spelling it does not name
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgumentRule {
    /// A pattern for the whole list; with `sub`, for what follows the sub-command.
    pub args: Option<Vec<ArgToken>>,
    /// The sub-commands: the first argument that is not a global flag must be one of them. A `deny` rule finds one
    /// anywhere.
    pub sub: Option<Vec<String>>,
    /// Flags allowed before the sub-command. Without them none is: `git -c …` and `git -C …` need to be listed. Only
    /// flags without a separate value belong here: with `-C`, `git -C status push` passes for `status`.
    pub global_flags: Vec<FlagPattern>,
    /// The only flags allowed after the sub-command; `--` is one of them, and after it come operands. After a flag
    /// that may take a value, `--` may be that value, and flags are still looked at.
    pub flags: Option<Vec<FlagPattern>>,
    /// Flags refused anywhere although `flags` would let them pass. Weak: it has to know every spelling.
    pub deny_flags: Vec<FlagPattern>,
    /// If present, each argument that is a path must lie in a directory granted with this access. A value written
    /// into a short flag (`-o/etc/x`) is not seen.
    pub paths: Option<PathAccess>,
}

/// What the arguments of a command that are paths must be granted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PathAccess {
    /// Inside a directory granted for reading.
    Read,
    /// Inside a directory granted for writing.
    Write,
}

impl PathAccess {
    const fn needs(self) -> FsAccess {
        match self {
            Self::Read => FsAccess::Read,
            Self::Write => FsAccess::ReadWrite,
        }
    }
}

/// An argument, or the value of a `--flag=value`, that names a path; resolved by the host before the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgPath {
    /// Which argument.
    pub index: usize,
    /// The real path of what is there, or of its directory joined with the name when nothing is there yet. What
    /// cannot be resolved is listed as it was written: relative, or with a `..`, it is inside no directory.
    pub real: PathBuf,
    /// Whether something is there.
    pub exists: bool,
}

/// A pattern that has no meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

impl InvalidPattern {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }
}

/// What an argument rule needs to know besides the arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArgumentContext<'a> {
    pub(crate) paths: &'a [ArgPath],
    pub(crate) grants: &'a [FsGrant],
}

impl ArgumentContext<'_> {
    pub(crate) fn inside(&self, index: usize, access: FsAccess, exists: Option<bool>) -> bool {
        let mut resolved = self
            .paths
            .iter()
            .filter(|path| path.index == index)
            .peekable();
        resolved.peek().is_some()
            && resolved.all(|path| {
                exists.is_none_or(|wanted| wanted == path.exists)
                    && granted(self.grants, &path.real, access)
            })
    }
}

fn granted(grants: &[FsGrant], real: &Path, access: FsAccess) -> bool {
    grants.iter().any(|grant| grant.covers(real, access))
}

/// Why the arguments are not what a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which argument, counted from 1; one more than there are when one is missing.
    pub position: usize,
    /// What is wrong with it, for the operator.
    pub reason: String,
}

impl ArgumentRule {
    /// Whether the rule says anything about arguments at all.
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }

    /// Whether deciding by this rule needs the arguments that are paths resolved first.
    pub fn needs_paths(&self) -> bool {
        fn wants(token: &ArgToken) -> bool {
            match token {
                ArgToken::ReadPath | ArgToken::WritePath | ArgToken::NewPath => true,
                ArgToken::Optional(inner) => wants(inner),
                ArgToken::Literal(_)
                | ArgToken::Any
                | ArgToken::Rest
                | ArgToken::Int
                | ArgToken::Word
                | ArgToken::Url(_) => false,
            }
        }
        self.paths.is_some() || self.args.iter().flatten().any(wants)
    }

    /// Checks the arguments of an `allow` rule: everything that is not listed is a mismatch.
    pub(crate) fn allows(
        &self,
        args: &[String],
        context: &ArgumentContext<'_>,
    ) -> Result<(), Mismatch> {
        let rest = match &self.sub {
            Some(sub) => self.sub_command(sub, args)? + 1,
            None => 0,
        };
        self.allows_flags(args, rest)?;
        if let Some(pattern) = &self.args {
            match_list(pattern, args, rest, context)?;
        }
        if let Some(access) = self.paths {
            let outside = context
                .paths
                .iter()
                .find(|path| !granted(context.grants, &path.real, access.needs()));
            if let Some(path) = outside {
                return Err(mismatch(
                    path.index,
                    "the path is in no directory granted for it".to_owned(),
                ));
            }
        }
        Ok(())
    }

    fn allows_flags(&self, args: &[String], rest: usize) -> Result<(), Mismatch> {
        let denied = |token: &String| {
            self.deny_flags
                .iter()
                .any(|denied| denied.could_mean(token))
        };
        if let Some(index) = args.iter().position(denied) {
            return Err(mismatch(
                index,
                format!("`{}` could mean a flag it denies", shown(&args[index])),
            ));
        }
        let Some(flags) = &self.flags else {
            return Ok(());
        };
        let mut before = None;
        for (index, token) in args.iter().enumerate().skip(rest) {
            if is_flag(token) && !is_allowed(flags, token) {
                return Err(mismatch(
                    index,
                    format!("`{}` is not one of its flags", shown(token)),
                ));
            }
            if token == "--" && !before.is_some_and(could_take_value) {
                break;
            }
            before = Some(token.as_str());
        }
        Ok(())
    }

    fn sub_command(&self, sub: &[String], args: &[String]) -> Result<usize, Mismatch> {
        for (index, token) in args.iter().enumerate() {
            if token.starts_with('-') {
                if !is_allowed(&self.global_flags, token) {
                    return Err(mismatch(
                        index,
                        format!("`{}` stands before the sub-command", shown(token)),
                    ));
                }
            } else if sub.contains(token) {
                return Ok(index);
            } else {
                return Err(mismatch(
                    index,
                    format!("`{}` is not one of its sub-commands", shown(token)),
                ));
            }
        }
        Err(mismatch(
            args.len(),
            "the sub-command is missing".to_owned(),
        ))
    }

    /// Checks the arguments of a `deny` rule: whatever could mean what it names matches.
    pub(crate) fn denies(&self, args: &[String], context: &ArgumentContext<'_>) -> bool {
        let mut starts: Vec<usize> = match &self.sub {
            Some(sub) => (0..args.len())
                .filter(|&at| sub.contains(&args[at]))
                .map(|at| at + 1)
                .collect(),
            None => vec![0],
        };
        if let Some(pattern) = &self.args {
            starts.retain(|&start| match_list(pattern, args, start, context).is_ok());
        }
        let flags: Vec<_> = self
            .flags
            .iter()
            .flatten()
            .chain(&self.deny_flags)
            .collect();
        let flagged = |token: &String| flags.iter().any(|flag| flag.could_mean(token));
        !starts.is_empty() && (flags.is_empty() || args.iter().any(flagged))
    }
}

fn mismatch(index: usize, reason: String) -> Mismatch {
    Mismatch {
        position: index + 1,
        reason,
    }
}

/// Matches all arguments from `start` on. Every way to take optional tokens is followed at once, so that the work is
/// bounded by tokens times arguments.
fn match_list(
    pattern: &[ArgToken],
    args: &[String],
    start: usize,
    context: &ArgumentContext<'_>,
) -> Result<(), Mismatch> {
    // How many arguments the tokens so far can have taken.
    let mut ends = BTreeSet::from([start]);
    let mut furthest = start;
    for token in pattern {
        let matching = |&at: &usize| {
            args.get(at)
                .is_some_and(|text| token.matches(at, text, context))
        };
        let mut next: BTreeSet<usize> = match token {
            ArgToken::Rest => ends
                .first()
                .map_or(0..0, |&least| least..args.len() + 1)
                .collect(),
            ArgToken::Optional(_) => ends.clone(),
            _ => BTreeSet::new(),
        };
        next.extend(ends.iter().filter(|at| matching(at)).map(|at| at + 1));
        furthest = next.last().copied().unwrap_or(furthest).max(furthest);
        ends = next;
    }
    if ends.contains(&args.len()) {
        return Ok(());
    }
    let reason = match args.get(furthest) {
        Some(text) if ends.contains(&furthest) => format!("`{}` is one too many", shown(text)),
        Some(text) => format!("`{}` is not what its pattern has there", shown(text)),
        None => "an argument is missing".to_owned(),
    };
    Err(mismatch(furthest, reason))
}
