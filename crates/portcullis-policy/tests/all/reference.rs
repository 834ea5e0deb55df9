//! The decision once more, as plainly as it can be said: text in, text out, nothing shared with the real one.

use std::collections::BTreeSet;

/// One line of a list. Its place in the policy is its name.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) id: String,
    pub(crate) program: &'static str,
    pub(crate) sub: Option<Vec<&'static str>>,
    pub(crate) global: Vec<&'static str>,
    pub(crate) flags: Option<Vec<&'static str>>,
    pub(crate) args: Option<Vec<&'static str>>,
    pub(crate) timeout: Option<u64>,
    pub(crate) stdin: Option<bool>,
}

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) any: bool,
    pub(crate) allow: Vec<Line>,
    pub(crate) deny: Vec<Line>,
}

#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) program: &'static str,
    pub(crate) args: Vec<&'static str>,
    pub(crate) stdin: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed { rules: Vec<String>, timeout: u64 },
    Refused(&'static str),
}

/// Which file a spelling leads to. `git` is one file under two spellings, `sh` and `ls` are names of one file, and one of them
/// leads out of its directory.
pub(crate) fn file(program: &str) -> Option<&'static str> {
    match program {
        "git" | "/usr/bin/git" => Some("/usr/bin/git"),
        "/opt/git" => Some("/opt/git"),
        "sh" | "ls" | "/usr/bin/ls" => Some("/bin/busybox"),
        _ => None,
    }
}

fn name(program: &str) -> &str {
    program.rsplit('/').next().unwrap()
}

pub(crate) fn directory(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(directory, _)| directory)
}

/// The directory that a line is about, if it is about one.
pub(crate) fn all_of(line: &Line) -> Option<&'static str> {
    line.program.strip_suffix("/*")
}

pub(crate) fn decide(policy: &Policy, asked: &Asked) -> Verdict {
    let same_file = |line: &Line| match file(asked.program) {
        Some(found) => file(line.program) == Some(found),
        None => line.program == asked.program,
    };
    let same_name = |line: &Line| name(line.program) == name(asked.program);
    let unnamed = policy.any || policy.allow.iter().any(|line| all_of(line).is_some());
    let linked = |line: &Line| unnamed && file(asked.program).is_some() && same_file(line);
    let spelled_in =
        |line: &Line| all_of(line).is_some() && all_of(line) == directory(asked.program);
    let lies_in = |line: &Line| match file(asked.program) {
        Some(found) => all_of(line) == directory(found),
        None => spelled_in(line),
    };
    if policy.deny.iter().any(|line| {
        let about = same_name(line) || linked(line) || spelled_in(line) || lies_in(line);
        about && denies(line, &asked.args)
    }) {
        return Verdict::Refused("P0202");
    }
    let about: Vec<_> = policy
        .allow
        .iter()
        .filter(|line| same_name(line) && same_file(line) || spelled_in(line) && lies_in(line))
        .collect();
    let allowing: Vec<_> = about
        .iter()
        .filter(|line| allows(line, &asked.args))
        .collect();
    if allowing.is_empty() && !policy.any {
        return Verdict::Refused(if about.is_empty() { "P0201" } else { "P0203" });
    }
    if file(asked.program).is_none() {
        return Verdict::Refused("P0205");
    }
    if asked.stdin && allowing.iter().any(|line| line.stdin == Some(false)) {
        return Verdict::Refused("P0212");
    }
    let mut rules: Vec<_> = allowing.iter().map(|line| line.id.clone()).collect();
    rules.sort();
    Verdict::Allowed {
        rules,
        timeout: allowing
            .iter()
            .filter_map(|line| line.timeout)
            .chain([30])
            .min()
            .unwrap(),
    }
}

fn allows(line: &Line, args: &[&str]) -> bool {
    let mut rest = args;
    if let Some(sub) = &line.sub {
        while rest
            .first()
            .is_some_and(|first| line.global.contains(first))
        {
            rest = &rest[1..];
        }
        match rest.split_first() {
            Some((first, after)) if sub.contains(first) => rest = after,
            _ => return false,
        }
    }
    let listed = |flags: &Vec<&str>| {
        let over =
            (0..rest.len()).find(|&at| rest[at] == "--" && (at == 0 || !waits(rest[at - 1])));
        let looked_at = &rest[..over.map_or(rest.len(), |at| at + 1)];
        looked_at
            .iter()
            .all(|token| !token.starts_with('-') || *token == "-" || means(token, flags))
    };
    line.flags.as_ref().is_none_or(listed)
        && line.args.as_ref().is_none_or(|pattern| fits(pattern, rest))
}

/// Whether a token leaves it open if the next one is its value.
fn waits(token: &str) -> bool {
    [
        "-s", "-b", "-n", "-sb", "-n5", "-sx", "--stat", "--sta", "--force", "--forc",
    ]
    .contains(&token)
}

/// The flags that allow each flag of the alphabet.
fn means(token: &str, flags: &[&str]) -> bool {
    let has = |flag: &str| flags.contains(&flag);
    match token {
        "-n" => has("-n") || has("-n*"),
        "-n5" => has("-n*"),
        "-sb" => has("-s") && has("-b"),
        "--format=a" => has("--format=*"),
        "-sx" | "--sta" | "--forc" => false,
        _ => has(token),
    }
}

fn fits(pattern: &[&str], args: &[&str]) -> bool {
    match (pattern.split_first(), args.split_first()) {
        (None, None) | (Some((&"**", [])), _) => true,
        (None, Some(_)) => false,
        (Some((token, after)), first) => {
            let plain = token.trim_end_matches('?');
            let one = |text: &str| match plain {
                "*" => !text.starts_with('-'),
                "<int>" => text == "5",
                "status|log" => text == "status" || text == "log",
                _ => text == plain,
            };
            first.is_some_and(|(text, others)| one(text) && fits(after, others))
                || plain != *token && fits(after, args)
        }
    }
}

fn denies(line: &Line, args: &[&str]) -> bool {
    let starts: BTreeSet<usize> = match &line.sub {
        None => BTreeSet::from([0]),
        Some(sub) => (1..=args.len())
            .filter(|&at| sub.contains(&args[at - 1]))
            .collect(),
    };
    let pattern = |at: usize| {
        line.args
            .as_ref()
            .is_none_or(|pattern| fits(pattern, &args[at..]))
    };
    let spelled = |flag: &str, token: &str| match flag {
        "-s" => ["-s", "-sb", "-sx"].contains(&token),
        "-b" => token == "-sb" || token == "-b",
        "-n" | "-n*" => token == "-n" || token == "-n5",
        "--stat" => token == "--stat" || token == "--sta",
        "--force" => token == "--force" || token == "--forc",
        "--format=*" => token == "--format=a",
        _ => token == flag,
    };
    let flags = line.flags.clone().unwrap_or_default();
    let flagged = flags.is_empty()
        || args
            .iter()
            .any(|token| flags.iter().any(|flag| spelled(flag, token)));
    starts.into_iter().any(pattern) && flagged
}
