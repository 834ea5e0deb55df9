//! The matcher of arguments once more, from what the documentation of the rules says: text in, text out, and nothing
//! shared with the real one.

/// A directory granted for reading.
pub(crate) const READ: &str = "/r";
/// A directory granted for writing.
pub(crate) const WRITE: &str = "/w";

/// An argument rule, as a person writes it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) pattern: Option<Vec<String>>,
    pub(crate) sub: Option<Vec<String>>,
    pub(crate) global: Vec<String>,
    pub(crate) flags: Option<Vec<String>>,
    pub(crate) denied: Vec<String>,
    pub(crate) paths: bool,
}

impl Rule {
    /// The same with something taken away that it lists, one after the other.
    pub(crate) fn narrower(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut less = self.clone();
        if less.sub.as_mut().and_then(Vec::pop).is_some() {
            all.push(less);
        }
        let mut less = self.clone();
        if less.flags.as_mut().and_then(Vec::pop).is_some() {
            all.push(less);
        }
        let mut less = self.clone();
        if less.global.pop().is_some() {
            all.push(less);
        }
        let more = "--force".to_owned();
        all.push(Self {
            denied: [self.denied.clone(), vec![more]].concat(),
            ..self.clone()
        });
        all.push(Self {
            flags: self.flags.clone().or(Some(Vec::new())),
            ..self.clone()
        });
        all.push(Self {
            paths: true,
            ..self.clone()
        });
        all
    }
}

/// Whether something is said to be at a path.
pub(crate) fn exists(path: &str) -> bool {
    !path.ends_with("new")
}

/// A command by an allow rule: nothing that the rule does not list.
pub(crate) fn allows(rule: &Rule, args: &[String]) -> bool {
    if args.iter().any(|arg| arg.contains('\0')) {
        return false;
    }
    let mut rest = args;
    if let Some(sub) = &rule.sub {
        let first = args.iter().position(|arg| !arg.starts_with('-'));
        let Some(first) = first.filter(|&first| sub.contains(&args[first])) else {
            return false;
        };
        if !args[..first].iter().all(|flag| listed(&rule.global, flag)) {
            return false;
        }
        rest = &args[first + 1..];
    }
    let denied = args
        .iter()
        .any(|arg| rule.denied.iter().any(|flag| could_mean(flag, arg)));
    let unlisted = rule.flags.as_ref().is_some_and(|flags| {
        let looked_at = &rest[..options_end(rest)];
        looked_at
            .iter()
            .any(|arg| arg.len() > 1 && arg.starts_with('-') && !listed(flags, arg))
    });
    let outside = rule.paths
        && args
            .iter()
            .any(|arg| arg.starts_with('/') && !inside(arg, &[WRITE]));
    let fits = rule
        .pattern
        .as_ref()
        .is_none_or(|pattern| fits(pattern, rest));
    !denied && !unlisted && !outside && fits
}

/// Whether a deny rule is about a command: whatever could be meant by what it names.
pub(crate) fn denies(rule: &Rule, args: &[String]) -> bool {
    if args.iter().any(|arg| arg.contains('\0')) {
        return true;
    }
    let starts: Vec<usize> = match &rule.sub {
        None => vec![0],
        Some(sub) => (0..args.len())
            .filter(|&at| sub.contains(&args[at]))
            .map(|at| at + 1)
            .collect(),
    };
    let about = starts.iter().any(|&start| {
        rule.pattern
            .as_ref()
            .is_none_or(|pattern| fits(pattern, &args[start..]))
    });
    let named: Vec<&String> = rule.flags.iter().flatten().chain(&rule.denied).collect();
    about
        && (named.is_empty()
            || args
                .iter()
                .any(|arg| named.iter().any(|flag| could_mean(flag, arg))))
}

/// How many arguments can be flags: `--` ends them, unless it may be the value of the flag before it.
fn options_end(args: &[String]) -> usize {
    let waits = |arg: &str| {
        arg.len() > 1
            && arg.starts_with('-')
            && arg != "--"
            && (!arg.starts_with("--") || !arg.contains('='))
    };
    let end = (0..args.len()).find(|&at| args[at] == "--" && (at == 0 || !waits(&args[at - 1])));
    end.map_or(args.len(), |at| at + 1)
}

/// Whether a flag is in a list: as it is written there, with a value where a `*` says so, or as a cluster of letters
/// that are.
fn listed(flags: &[String], arg: &str) -> bool {
    let one = |arg: &str| {
        flags.iter().any(|flag| match flag.strip_suffix('*') {
            Some(start) => arg.strip_prefix(start).is_some(),
            None => flag == arg,
        })
    };
    let letters: Vec<char> = arg.chars().skip(1).collect();
    let cluster = letters.len() > 1 && letters.iter().all(char::is_ascii_alphabetic);
    one(arg) || (cluster && letters.iter().all(|letter| one(&format!("-{letter}"))))
}

/// Whether an argument could be a spelling of a flag.
fn could_mean(flag: &str, arg: &str) -> bool {
    let name = |text: &str| {
        text.trim_start_matches('-')
            .split('=')
            .next()
            .unwrap_or("")
            .to_owned()
    };
    let (wanted, given) = (name(flag.trim_end_matches('*')), name(arg));
    if !arg.starts_with('-') || wanted.is_empty() || given.is_empty() {
        return flag == arg;
    }
    let long = arg.starts_with("--");
    if wanted.chars().count() == 1 {
        return given == wanted || (!long && arg.contains(&wanted));
    }
    let short_for = wanted.starts_with(&given) && (long || given.chars().count() > 1);
    let letters = !long && !flag.starts_with("--") && wanted.chars().all(|c| given.contains(c));
    short_for || letters
}

/// Whether all arguments are what the tokens of a pattern stand for, by trying every way.
fn fits(pattern: &[String], args: &[String]) -> bool {
    // How many arguments may be left when each token begins, by the tokens before it.
    let mut reached = vec![false; args.len() + 1];
    reached[0] = true;
    for token in pattern {
        let (token, optional) = match token.strip_suffix('?') {
            Some(inner) if !escaped(inner) => (inner, true),
            _ => (token.as_str(), false),
        };
        let mut next = vec![false; args.len() + 1];
        for at in 0..=args.len() {
            if !reached[at] {
                continue;
            }
            if token == "**" {
                next[at..].fill(true);
            }
            if optional {
                next[at] = true;
            }
            if at < args.len() && stands_for(token, &args[at]) {
                next[at + 1] = true;
            }
        }
        reached = next;
    }
    reached[args.len()]
}

/// Whether the character after this text has lost its meaning to a backslash.
fn escaped(text: &str) -> bool {
    let plain = text.trim_end_matches('\\');
    (text.len() - plain.len()) % 2 == 1
}

fn stands_for(token: &str, arg: &str) -> bool {
    let dash = arg.starts_with('-');
    let path = !dash && arg.starts_with('/');
    match token {
        "*" => !dash,
        "**" => true,
        "<int>" => !arg.is_empty() && arg.chars().all(|c| c.is_ascii_digit()),
        "<word>" => {
            let plain = |c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '/' | '-');
            !arg.is_empty() && !dash && arg.chars().all(plain)
        }
        "<read>" => path && exists(arg) && inside(arg, &[READ, WRITE]),
        "<write>" => path && inside(arg, &[WRITE]),
        "<new>" => path && !exists(arg) && inside(arg, &[WRITE]),
        _ => match token
            .strip_prefix("<url:")
            .and_then(|rest| rest.strip_suffix('>'))
        {
            Some(pattern) => url(pattern, arg),
            None => words(token).iter().any(|word| word == arg),
        },
    }
}

/// The alternatives of a token, without their backslashes.
fn words(token: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut literal = false;
    for c in token.chars() {
        let last = words.last_mut().unwrap();
        match c {
            _ if literal => {
                last.push(c);
                literal = false;
            }
            '\\' => literal = true,
            '|' => words.push(String::new()),
            _ => last.push(c),
        }
    }
    words
}

fn inside(path: &str, roots: &[&str]) -> bool {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    !parts.contains(&"..")
        && parts
            .first()
            .is_some_and(|first| roots.contains(&format!("/{first}").as_str()))
}

/// Whether every reader of a URL takes it for one that the pattern is about.
fn url(pattern: &str, url: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic() && !"\\@\"<>^`{|}".contains(c);
    let (Some(wanted), Some(given)) = (origin(pattern), origin(url)) else {
        return false;
    };
    let path = &url[given.len()..];
    if wanted != given || !url.chars().all(plain) || path.contains(['[', ']']) {
        return false;
    }
    let decoded = path
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/");
    let dots = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
    if decoded.split(['/', '?', '#']).any(dots) {
        return false;
    }
    let (wanted, given): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), url.split('/').collect());
    let any_rest = wanted.last() == Some(&"**");
    let fixed = wanted.len() - usize::from(any_rest);
    let long_enough = if any_rest {
        given.len() >= fixed
    } else {
        given.len() == fixed
    };
    long_enough
        && wanted[..fixed]
            .iter()
            .zip(&given)
            .all(|(wanted, given)| match *wanted {
                "*" => !given.is_empty(),
                _ => wanted == given,
            })
}

/// Scheme and host of a URL, as they are written.
fn origin(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let named = !scheme.is_empty()
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '+');
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    named.then(|| &url[..scheme.len() + 3 + host])
}
