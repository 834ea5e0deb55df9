//! What is never proposed: programs that run anything, unasked, and what looks like a secret.

use std::path::Path;

use portcullis_audit::{MAX_ARGS, Masked, secrets};

use super::seen::Command;
use crate::dual_use::DUAL_USE;

/// Kinds of programs that are proposed only if they were asked for by name: they run any text, or any program.
const UNASKED: [&str; 5] = ["shells", "interpreters", "editors", "wrappers", "debuggers"];
/// Programs of other kinds, or of none, that do the same by what is on their input, or by their arguments.
const ALIKE: [&str; 17] = [
    "awk",
    "dc",
    "entr",
    "gawk",
    "julia",
    "ld.so",
    "m4",
    "mawk",
    "nawk",
    "nodejs",
    "original-awk",
    "parallel",
    "pwsh",
    "pypy",
    "rbash",
    "toybox",
    "xargs",
];
/// The loaders of programs, each with the name of a machine after it: they run the program that is their argument.
const LOADERS: [&str; 2] = ["ld-linux", "ld-musl"];
/// Arguments that are looked at together for what looks like a secret.
const TOGETHER: usize = MAX_ARGS - 1;

/// What a program does that runs any text or program, in words; by the name that it was called by, or its own.
pub(super) fn runs_anything(command: &Command) -> Option<&'static str> {
    let named = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let is_alike = ALIKE.contains(&name) || ALIKE.contains(&stem(name));
        let is_alike = is_alike || LOADERS.iter().any(|loader| name.starts_with(loader));
        let alike = is_alike.then_some("runs what its input or its arguments say");
        kind(path, &UNASKED).or(alike)
    };
    named(Path::new(&command.program)).or_else(|| named(&command.file))
}

/// What a program of one of these kinds does, in words.
pub(super) fn kind(program: &Path, kinds: &[&str]) -> Option<&'static str> {
    let name = program.file_name()?.to_str()?;
    let of_kind = DUAL_USE.iter().filter(|(kind, _, _)| kinds.contains(kind));
    of_kind
        .into_iter()
        .find(|(_, _, names)| names.contains(&name) || names.contains(&stem(name)))
        .map(|(_, what, _)| *what)
}

/// A name without its version or variant: `python3.11`, `lua5.4` and `bash-static` are `python`, `lua` and `bash`.
fn stem(name: &str) -> &str {
    let end = name.find(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-'));
    &name[..end.filter(|&end| end > 0).unwrap_or(name.len())]
}

/// The program and its arguments.
pub(super) fn words(command: &Command) -> impl Iterator<Item = &str> {
    std::iter::once(&command.program)
        .chain(&command.args)
        .map(String::as_str)
}

/// Whether an argument looks like a secret, by itself, or after the one before or the program.
pub(super) fn has_secret(command: &Command) -> bool {
    const MASKED: &str = "[masked]";
    let args: Vec<_> = command.args.iter().map(String::as_str).collect();
    (0..args.len()).step_by(TOGETHER / 2).any(|at| {
        let some = &args[at..args.len().min(at + TOGETHER)];
        let program = std::iter::once(command.program.as_str());
        let masked = Masked::argv(program.chain(some.iter().copied()));
        masked.as_str().contains(MASKED)
    }) || args.iter().any(|arg| !secrets(arg).is_empty())
}
