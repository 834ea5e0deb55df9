//! Grants as Reglet writes them, in our words: each exactly, or narrower, or with the reason why there is no such grant.
//!
//! Pure: nothing is looked up, and what stands in a plugin's own manifest grants nothing.

mod manifest;
mod read;

use portcullis_policy::{DnsNames, FsAccess, InvalidPrograms, Places, ProgramRef, Programs};

pub use manifest::{RegletAsk, RegletManifest};

/// One thing that may be granted, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Right {
    /// Any program.
    AnyProgram,
    /// A program, or those of a directory, with any arguments.
    Program(Programs),
    /// A program that is given code in its arguments.
    InlineCode(ProgramRef),
    /// A variable that the plugin reads; a trailing `*` matches any rest.
    Variable(String),
    /// The same of a variable that its commands are given, although it makes programs run other code.
    DangerousVariable(String),
    /// A directory and all that is below it, or one file.
    Path {
        path: String,
        access: FsAccess,
        below: bool,
    },
    /// Requests to a host, or to every host: as an entry of `http.allow`.
    Host(String),
    /// Connections to a place: as an entry of `connect`.
    Connect(String),
    /// Lookups of a name, or of every name: as an entry of `lookup`.
    Lookup(String),
}

impl Right {
    /// The line of a policy that grants it.
    fn line(&self) -> String {
        match self {
            Self::AnyProgram => "reglet = [\"exec:**\"]".to_owned(),
            Self::Program(program) => format!("exec.allow = [{}]", quoted(&program.to_string())),
            Self::InlineCode(program) => {
                format!("reglet = [{}]", quoted(&format!("inline:{program}")))
            }
            Self::Variable(name) => format!("env = [{}]", quoted(name)),
            Self::DangerousVariable(name) => {
                format!("exec.allow_dangerous_env = [{}]", quoted(name))
            }
            Self::Path { path, access, .. } => match access {
                FsAccess::Read => format!("fs.read = [{}]", quoted(path)),
                FsAccess::ReadWrite => format!("fs.write = [{}]", quoted(path)),
            },
            Self::Host(host) => format!("http.allow = [{}]", quoted(host)),
            Self::Connect(place) => format!("connect = [{}]", quoted(place)),
            Self::Lookup(name) => format!("lookup = [{}]", quoted(name)),
        }
    }
}

/// A string as TOML has it.
pub(crate) fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string().trim().to_owned()
}

/// What a right is called that the two generations have in common, or why there is none of ours.
type Mapped = Result<Vec<Right>, String>;

/// An entry of the first generation: `kind:pattern`. `exec` alone is `exec:**`.
pub(crate) fn entry(text: &str) -> Mapped {
    let (kind, pattern) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "exec" if pattern.is_empty() && !text.contains(':') => Ok(vec![Right::AnyProgram]),
        "exec" => match pattern.strip_prefix("env:") {
            Some(name) => variable(name),
            None => command(pattern),
        },
        "inline" => program(pattern).map(|program| vec![Right::InlineCode(program)]),
        "fs" => match pattern.split_once(':') {
            Some(("read", glob)) => path(glob, FsAccess::Read),
            Some(("write", glob)) => path(glob, FsAccess::ReadWrite),
            _ => Err("it is `fs:read:<path>` or `fs:write:<path>`".to_owned()),
        },
        "env" => variable(pattern),
        "network" => network(pattern),
        "kv" => Err("no plugin of Reglet has a function for keys and values".to_owned()),
        _ => Err(format!(
            "there is no kind `{}`: the kinds are `exec`, `inline`, `fs`, `env` and `network`",
            kind.escape_debug()
        )),
    }
}

/// A pattern for commands.
pub(crate) fn command(pattern: &str) -> Mapped {
    match pattern {
        "**" => Ok(vec![Right::AnyProgram]),
        "" => Err("it names no program".to_owned()),
        _ => programs(pattern).map(|programs| vec![Right::Program(programs)]),
    }
}

/// One program, or with `/*` behind a directory those directly in it.
fn programs(pattern: &str) -> Result<Programs, String> {
    match pattern.strip_suffix("/*") {
        Some(dir) if !dir.contains(GLOB) => {
            let read = Programs::parse(pattern).map_err(|error| error.to_string())?;
            // Reglet compares the text of a directory, which then has no `.` and no empty part.
            if read.to_string() != pattern {
                return Err(InvalidPrograms::Directory.to_string());
            }
            Ok(read)
        }
        _ if pattern.contains(GLOB) => Err(format!(
            "a rule is about one program, or about those directly in a directory, `/usr/bin/*`: name each that `{}` stands for",
            pattern.escape_debug()
        )),
        _ => program(pattern).map(Programs::Named),
    }
}

const GLOB: [char; 5] = ['*', '?', '[', '{', '\\'];

pub(crate) fn program(text: &str) -> Result<ProgramRef, String> {
    let plain = !text.contains(GLOB) && !text.split('/').any(|part| matches!(part, "." | ".."));
    let program = ProgramRef::parse(text).filter(|_| plain);
    program.ok_or_else(|| {
        format!(
            "`{}` is neither a bare name nor an absolute path",
            text.escape_debug()
        )
    })
}

/// Variables that a command may only be given where they are named exactly.
const DANGEROUS: [&str; 13] = [
    "PATH",
    "HOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PYTHONHOME",
    "NODE_OPTIONS",
    "NODE_PATH",
    "RUBYLIB",
    "PERL5LIB",
    "LUA_PATH",
    "LUA_CPATH",
    "CDPATH",
    "PS4",
];

/// A pattern for names of variables: exact, or the beginning of names.
pub(crate) fn variable(pattern: &str) -> Mapped {
    let name = pattern.strip_suffix('*').unwrap_or(pattern);
    if pattern.is_empty() || name.contains(GLOB) || name.contains(['=', '\0']) {
        return Err("it is a name, or the beginning of names with a `*` behind it".to_owned());
    }
    let mut rights = vec![Right::Variable(pattern.to_owned())];
    if DANGEROUS.contains(&pattern) {
        rights.push(Right::DangerousVariable(pattern.to_owned()));
    }
    Ok(rights)
}

/// A pattern for paths: one file, or with `/**` behind it all that is below a directory.
pub(crate) fn path(glob: &str, access: FsAccess) -> Mapped {
    let (path, below) = match glob.strip_suffix("/**") {
        Some("") => ("/", true),
        Some(directory) => (directory, true),
        None => (glob, false),
    };
    if !path.starts_with('/') {
        return Err("a path is absolute".to_owned());
    }
    if path.contains(GLOB) {
        return Err(format!(
            "a grant is a directory with all below it, or one file: `{}` is neither",
            glob.escape_debug()
        ));
    }
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("a path has no `.` and no `..` in it".to_owned());
    }
    let path = path.to_owned();
    Ok(vec![Right::Path {
        path,
        access,
        below,
    }])
}

fn network(pattern: &str) -> Mapped {
    match pattern.strip_prefix("outbound:") {
        None => Err("it is `network:outbound:…`".to_owned()),
        Some("private") => Err(
            "addresses that are not public are unlocked for one host each: a rule of `http.allow` or of `connect` with `addresses`"
                .to_owned(),
        ),
        Some(rest) if rest.contains("://") => {
            Err("one URL is a rule of `http.allow` with `schemes` and `paths`".to_owned())
        }
        Some(ports) => hosts(&["*"], &ports.split(',').collect::<Vec<_>>()),
    }
}

/// Ports that are each an entry of `http.allow`; more of them are no list that anybody reads.
const MAX_PORTS: usize = 64;
/// Whoever may reach this port of a host may ask DNS about it.
const DNS: u16 = 53;
/// The ports of requests that an entry of `http.allow` without a port is about.
const HTTP: [u16; 2] = [80, 443];

/// A rule of the second generation: each of these hosts at each of these ports. Of requests over HTTP it may be less: to every
/// host there are only those to both ports of HTTP, and to a host with many ports as well.
pub(crate) fn hosts(hosts: &[&str], ports: &[&str]) -> Mapped {
    if hosts.is_empty() || ports.is_empty() {
        return Err("a rule is about hosts and ports: it has none of one of them".to_owned());
    }
    if ports.len() > MAX_PORTS {
        return Err(format!("it has more than {MAX_PORTS} ports"));
    }
    let ports: Result<Vec<_>, _> = ports.iter().map(|port| range(port)).collect();
    let ports = ports?;
    let mut rights = Vec::new();
    for host in hosts {
        let below = host.strip_prefix("*.").unwrap_or(host);
        if *host != "*" && (below.contains(GLOB) || below.is_empty()) {
            return Err(format!(
                "`{}` is no host: a `*` stands for the whole beginning of a name",
                host.escape_debug()
            ));
        }
        at(host, &ports, &mut rights)?;
    }
    Ok(rights)
}

/// The rights to one host at these ports.
fn at(host: &str, ports: &[(u16, u16)], rights: &mut Vec<Right>) -> Result<(), String> {
    let has = |port: &u16| ports.iter().any(|(from, to)| (from..=to).contains(&port));
    let all = || ports.iter().flat_map(|&(from, to)| from..=to);
    if host != "*" && all().count() <= MAX_PORTS {
        rights.extend(all().map(|port| Right::Host(format!("{host}:{port}"))));
    } else if HTTP.iter().all(has) {
        rights.push(Right::Host(host.to_owned()));
    }
    for range in ports {
        let place = match range {
            (1, u16::MAX) => format!("{host}:*"),
            (from, to) if from == to => format!("{host}:{from}"),
            (from, to) => format!("{host}:{from}-{to}"),
        };
        Places::parse(&place).map_err(|error| error.to_string())?;
        rights.push(Right::Connect(place));
    }
    // An address is not looked up.
    if has(&DNS) && DnsNames::parse(host).is_ok() {
        rights.push(Right::Lookup(host.to_owned()));
    }
    Ok(())
}

/// A port, a range of them, or all.
fn range(text: &str) -> Result<(u16, u16), String> {
    if text == "*" {
        return Ok((1, u16::MAX));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.parse::<u16>(), to.parse::<u16>()) {
        (Ok(from), Ok(to)) if 0 < from && from <= to => Ok((from, to)),
        _ => Err(format!(
            "`{}` is no port, and no range of them",
            text.escape_debug()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mapped: Mapped) -> Result<Vec<String>, String> {
        mapped.map(|rights| rights.iter().map(Right::line).collect())
    }

    #[test]
    fn entries_of_the_first_generation_are_ours_or_say_why_not() {
        for (text, line) in [
            ("exec", &["reglet = [\"exec:**\"]"][..]),
            ("exec:**", &["reglet = [\"exec:**\"]"]),
            ("exec:git", &["exec.allow = [\"git\"]"]),
            ("exec:/bin/sh", &["exec.allow = [\"/bin/sh\"]"]),
            ("exec:/usr/bin/*", &["exec.allow = [\"/usr/bin/*\"]"]),
            ("inline:python3", &["reglet = [\"inline:python3\"]"]),
            ("env:LANG", &["env = [\"LANG\"]"]),
            ("env:LC_*", &["env = [\"LC_*\"]"]),
            ("env:*", &["env = [\"*\"]"]),
            (
                "env:PATH",
                &["env = [\"PATH\"]", "exec.allow_dangerous_env = [\"PATH\"]"],
            ),
            (
                "exec:env:HOME",
                &["env = [\"HOME\"]", "exec.allow_dangerous_env = [\"HOME\"]"],
            ),
            ("env:LD_PRELOAD", &["env = [\"LD_PRELOAD\"]"]),
            ("fs:read:/data/**", &["fs.read = [\"/data\"]"]),
            ("fs:read:/etc/hosts", &["fs.read = [\"/etc/hosts\"]"]),
            ("fs:write:/srv/out/**", &["fs.write = [\"/srv/out\"]"]),
            (
                "network:outbound:*",
                &[
                    "http.allow = [\"*\"]",
                    "connect = [\"*:*\"]",
                    "lookup = [\"*\"]",
                ],
            ),
            ("network:outbound:25", &["connect = [\"*:25\"]"]),
            (
                "network:outbound:53,8000-8999",
                &[
                    "connect = [\"*:53\"]",
                    "connect = [\"*:8000-8999\"]",
                    "lookup = [\"*\"]",
                ],
            ),
            (
                "network:outbound:80,443",
                &[
                    "http.allow = [\"*\"]",
                    "connect = [\"*:80\"]",
                    "connect = [\"*:443\"]",
                ],
            ),
        ] {
            let line: Vec<_> = line.iter().map(|&line| line.to_owned()).collect();
            assert_eq!(lines(entry(text)), Ok(line), "{text}");
        }
        for (text, why) in [
            ("", "no kind"),
            ("exec:", "no program"),
            ("exec:*", "name each"),
            ("exec:/usr/**", "name each"),
            ("exec:/usr/bin/g*", "name each"),
            ("exec:/usr/{bin,sbin}/*", "name each"),
            ("exec:/*", "below `/`"),
            ("exec:bin/*", "absolute"),
            ("exec:/usr//bin/*", "absolute"),
            ("exec:/usr/./bin/*", "absolute"),
            ("exec:/usr/bin/../*", "without `..`"),
            ("inline:/usr/bin/*", "neither a bare name nor"),
            ("exec:/usr/bin/../bin/sh", "neither a bare name nor"),
            ("exec:bin/sh", "neither a bare name nor"),
            ("exec:{a,b}", "name each"),
            ("inline:*", "neither a bare name nor"),
            ("env:", "it is a name"),
            ("env:A?", "it is a name"),
            ("env:A*B", "it is a name"),
            ("fs:/data", "fs:read:<path>"),
            ("fs:read:data/**", "absolute"),
            ("fs:read:**", "absolute"),
            ("fs:read:/etc/*.conf", "neither"),
            ("fs:read:/data/../etc/**", "no `..`"),
            ("network:inbound:80", "outbound"),
            ("network:outbound:", "no port"),
            ("network:outbound:443,", "no port"),
            ("network:outbound:https", "no port"),
            ("network:outbound:private", "`addresses`"),
            ("network:outbound:https://a.example/x", "`paths`"),
            ("kv:read:x", "keys and values"),
            ("gpu:0", "no kind `gpu`"),
        ] {
            let told = lines(entry(text)).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn rules_of_the_second_generation_are_hosts_with_their_ports() {
        for (names, ports, line) in [
            (
                &["a.example"][..],
                &["443"][..],
                &["http.allow a.example:443", "connect a.example:443"][..],
            ),
            (
                &["a.example"],
                &["*"],
                &[
                    "http.allow a.example",
                    "connect a.example:*",
                    "lookup a.example",
                ],
            ),
            (
                &["*.a.example"],
                &["53", "8000-8001"],
                &[
                    "http.allow *.a.example:53",
                    "http.allow *.a.example:8000",
                    "http.allow *.a.example:8001",
                    "connect *.a.example:53",
                    "connect *.a.example:8000-8001",
                    "lookup *.a.example",
                ],
            ),
            (&["a"], &["1000-2000"], &["connect a:1000-2000"]),
            (&["*"], &["*"], &["http.allow *", "connect *:*", "lookup *"]),
            (&["*"], &["443"], &["connect *:443"]),
            (
                &["9.9.9.9"],
                &["53"],
                &["http.allow 9.9.9.9:53", "connect 9.9.9.9:53"],
            ),
        ] {
            let line: Vec<_> = line
                .iter()
                .map(|line| line.replacen(' ', " = [\"", 1) + "\"]")
                .collect();
            assert_eq!(lines(hosts(names, ports)), Ok(line), "{names:?}");
        }
        for (names, ports, why) in [
            (&[][..], &["80"][..], "none of one"),
            (&["a"], &[], "none of one"),
            (&["a*"], &["80"], "no host"),
            (&["a"], &["x"], "no port"),
            (&["a"], &["0"], "no port"),
            (&["a"], &["0-65535"], "no port"),
            (&["a"], &["90-80"], "no port"),
            (&["127.0.0.1"], &["*"], "one port"),
            (&["localhost"], &["80"], "loopback"),
        ] {
            let told = hosts(names, ports).unwrap_err();
            assert!(told.contains(why), "{names:?} {ports:?}: {told}");
        }
    }
}
