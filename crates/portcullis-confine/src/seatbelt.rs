//! The same plan as a profile of macOS's Seatbelt, as text.
//!
//! Nothing here is applied: cells are refused on macOS. The profile is what a helper there would hand to
//! `sandbox_init_with_parameters`, and it is kept beside [`Plan`] so that a change of one is a change of the other.
//!
//! Seatbelt takes the last rule that matches, so outer places come before inner ones.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use crate::{Access, Net, PROXY_PORT, Plan, Tier};

/// Why a plan has no profile.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeatbeltError {
    /// A path that the profile's language cannot hold.
    #[error("`{}` cannot stand in a profile: it is not plain text", .0.display())]
    Path(PathBuf),
    /// Seatbelt has nothing that does this.
    #[error("Seatbelt cannot enforce {0}")]
    Beyond(&'static str),
}

/// Directories of the system that every command reads, and from which it executes if its programs are not listed.
const SYSTEM: [&str; 9] = [
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/libexec",
    "/usr/share",
    "/System/Library",
    "/Library/Developer/CommandLineTools",
];

/// Files of the system that programs fail without.
const SYSTEM_FILES: [&str; 8] = [
    "/private/etc/hosts",
    "/private/etc/localtime",
    "/private/etc/passwd",
    "/private/etc/protocols",
    "/private/etc/services",
    "/private/etc/ssl",
    "/private/var/db/dyld",
    "/private/var/db/timezone",
];

/// Devices that hold nothing.
const DEVICES: [&str; 4] = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];

/// Services without which the C library and certificate checks fail.
const SERVICES: [&str; 3] = [
    "com.apple.system.opendirectoryd.libinfo",
    "com.apple.SecurityServer",
    "com.apple.trustd.agent",
];

/// Writes the profile of a plan.
///
/// Signals stay inside the sandbox; there is no pid namespace, so whoever starts a command has to walk its tree to kill
/// it. There is no private `/tmp` either: a command without a writable root writes nowhere.
///
/// # Errors
/// [`SeatbeltError`]: another tier than [`Tier::Full`], copies of files, shared scratch directories, or a path that is
/// not UTF-8 or has control characters.
///
/// # Source
/// `sandbox-exec(1)`; the language itself is documented by the profiles in `/System/Library/Sandbox/Profiles`.
pub fn seatbelt_profile(plan: &Plan) -> Result<String, SeatbeltError> {
    if plan.tier != Tier::Full {
        return Err(SeatbeltError::Beyond("another tier than `full`"));
    }
    if plan.shared {
        return Err(SeatbeltError::Beyond(
            "private directories, so none can be shared",
        ));
    }
    let mut profile = Profile::new();
    profile.processes(plan);
    profile.system(plan);
    for root in &plan.roots {
        profile.root(root.path(), plan.access_to(root), plan)?;
    }
    profile.network(plan.net);
    Ok(profile.0)
}

struct Profile(String);

impl Profile {
    fn new() -> Self {
        Self("(version 1)\n(deny default)\n".to_owned())
    }

    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// One rule about places that are known to be plain.
    fn places(&mut self, action: &str, filter: &str, places: &[&str]) {
        let mut rule = format!("({action}");
        for place in places {
            // Writing to a `String` does not fail.
            let _ = write!(rule, " ({filter} \"{place}\")");
        }
        self.line(&format!("{rule})"));
    }

    fn processes(&mut self, plan: &Plan) {
        self.line("(allow process-fork)");
        self.line("(allow signal (target same-sandbox))");
        self.line("(allow process-info* (target same-sandbox))");
        self.line("(allow sysctl-read)");
        if !plan.listed {
            self.places("allow process-exec", "subpath", &SYSTEM);
        }
    }

    fn system(&mut self, plan: &Plan) {
        self.places("allow file-read*", "subpath", &SYSTEM);
        self.places("allow file-read*", "subpath", &SYSTEM_FILES);
        self.places("allow file-read* file-write-data", "literal", &DEVICES);
        // The names on the way to a place must be there for a program to find it; what they hold is not.
        self.line("(allow file-read-metadata)");
        self.places("allow mach-lookup", "global-name", &SERVICES);
        if plan.net == Net::Open {
            self.places("allow file-read*", "literal", &["/private/etc/resolv.conf"]);
            self.places(
                "allow mach-lookup",
                "global-name",
                &["com.apple.dnssd.service"],
            );
        }
    }

    fn root(&mut self, path: &Path, access: Access, plan: &Plan) -> Result<(), SeatbeltError> {
        let place = quoted(path)?;
        let at = format!("(subpath {place})");
        let nested = plan
            .roots
            .iter()
            .any(|outer| outer.path() != path && path.starts_with(outer.path()));
        match access {
            Access::Read => self.line(&format!("(allow file-read* {at})")),
            Access::Program => self.line(&format!("(allow file-read* process-exec {at})")),
            Access::Write => self.line(&format!("(allow file-read* file-write* {at})")),
            Access::WriteExec => {
                self.line(&format!("(allow file-read* file-write* process-exec {at})"))
            }
            Access::Masked => {
                self.line(&format!("(deny file-read* file-write* process-exec {at})"))
            }
            Access::Copied => {
                return Err(SeatbeltError::Beyond("a copy of a file for one command"));
            }
        }
        if nested && access == Access::Read {
            self.line(&format!("(deny file-write* {at})"));
        }
        if nested {
            // As a mount point cannot be renamed or removed.
            self.line(&format!("(deny file-write-unlink (literal {place}))"));
        }
        Ok(())
    }

    fn network(&mut self, net: Net) {
        match net {
            Net::None => {}
            Net::Loopback => {
                self.line(
                    "(allow network* (local ip \"localhost:*\") (remote ip \"localhost:*\"))",
                );
            }
            Net::Proxy => {
                self.line(&format!(
                    "(allow network-outbound (remote ip \"localhost:{PROXY_PORT}\"))"
                ));
            }
            Net::Open => self.line("(allow network*)"),
        }
    }
}

/// A path as the profile's language writes text.
fn quoted(path: &Path) -> Result<String, SeatbeltError> {
    let text = path
        .to_str()
        .filter(|text| !text.chars().any(char::is_control))
        .ok_or_else(|| SeatbeltError::Path(path.to_owned()))?;
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{escaped}\""))
}

#[cfg(all(test, target_os = "linux"))]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use super::*;
    use crate::Root;

    /// A directory for the roots of a test, each made first.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn root(&self, name: &OsStr, access: Access) -> Root {
            let path = self.0.path().canonicalize().unwrap().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Root::open(&path, access).unwrap()
        }
    }

    /// Reads one list of the language: its words and texts, each list in it in parentheses. `None` if it is none.
    fn lists(profile: &str) -> Option<Vec<Vec<String>>> {
        let mut chars = profile.chars().peekable();
        let (mut all, mut list, mut depth) = (Vec::new(), Vec::new(), 0_u32);
        while let Some(char) = chars.next() {
            match char {
                '(' => depth += 1,
                ')' => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        all.push(std::mem::take(&mut list));
                    }
                }
                '"' => {
                    let mut text = String::from("\"");
                    loop {
                        match chars.next()? {
                            '\\' => text.push(chars.next()?),
                            '"' => break,
                            char => text.push(char),
                        }
                    }
                    list.push(text);
                }
                char if char.is_whitespace() => {}
                char => {
                    let mut word = String::from(char);
                    while let Some(char) = chars.next_if(|char| !" ()\"\n".contains(*char)) {
                        word.push(char);
                    }
                    list.push(word);
                }
            }
        }
        (depth == 0 && list.is_empty()).then_some(all)
    }

    fn rules(plan: &Plan) -> Vec<Vec<String>> {
        lists(&seatbelt_profile(plan).unwrap()).unwrap()
    }

    #[test]
    fn nothing_granted_is_the_system_and_no_more() {
        let profile = seatbelt_profile(&Plan::new(Tier::Full)).unwrap();
        assert!(profile.starts_with("(version 1)\n(deny default)\n"));
        assert!(!profile.contains("network"));
        assert!(!profile.contains("file-write* "));
        let listed = seatbelt_profile(&Plan::new(Tier::Full).only_listed_programs()).unwrap();
        assert!(profile.contains("process-exec") && !listed.contains("process-exec"));
        let toolchain = Place::new().root(OsStr::new("tools"), Access::Program);
        let plan = Plan::new(Tier::Full).only_listed_programs();
        let profile = seatbelt_profile(&plan.root(toolchain)).unwrap();
        assert!(!profile.contains("process-exec"));
    }

    #[test]
    fn each_access_and_network_has_its_rule() {
        let place = Place::new();
        let expected = [
            (Access::Read, "allow file-read* subpath"),
            (Access::Program, "allow file-read* process-exec subpath"),
            (Access::Write, "allow file-read* file-write* subpath"),
            (
                Access::WriteExec,
                "allow file-read* file-write* process-exec subpath",
            ),
            (
                Access::Masked,
                "deny file-read* file-write* process-exec subpath",
            ),
        ];
        for (access, rule) in expected {
            let root = place.root(OsStr::new("r"), access);
            let text = format!("{rule} \"{}", root.path().display());
            let rules = rules(&Plan::new(Tier::Full).root(root));
            assert_eq!(
                rules.iter().filter(|list| list.join(" ") == text).count(),
                1,
                "{access:?} {rules:?}"
            );
        }
        let network = |net| {
            rules(&Plan::new(Tier::Full).network(net))
                .pop()
                .unwrap()
                .join(" ")
        };
        assert_eq!(network(Net::Open), "allow network*");
        assert_eq!(
            network(Net::Proxy),
            "allow network-outbound remote ip \"localhost:3128"
        );
        assert!(network(Net::Loopback).starts_with("allow network* local ip \"localhost:*"));
    }

    #[test]
    fn an_inner_place_comes_later_and_stays_where_it_is() {
        let place = Place::new();
        let inner = place.root(OsStr::new("tree/.git/hooks"), Access::Read);
        let outer = place.root(OsStr::new("tree"), Access::Write);
        let (hooks, tree) = (
            inner.path().display().to_string(),
            outer.path().display().to_string(),
        );
        let rules = rules(&Plan::new(Tier::Full).root(inner).root(outer));
        let at = |text: String| {
            rules
                .iter()
                .position(|list| list.join(" ") == text)
                .unwrap()
        };
        let write = at(format!("allow file-read* file-write* subpath \"{tree}"));
        assert!(write < at(format!("deny file-write* subpath \"{hooks}")));
        assert!(write < at(format!("deny file-write-unlink literal \"{hooks}")));
    }

    #[test]
    fn a_path_is_text_whatever_is_in_it() {
        let place = Place::new();
        for name in ["a b", "\")(allow default)(\"", "back\\slash", "\\\"", "ünï"] {
            let root = place.root(OsStr::new(name), Access::Read);
            let text = format!("\"{}", root.path().display());
            let rules = rules(&Plan::new(Tier::Full).root(root));
            assert_eq!(
                rules.iter().filter(|list| list.contains(&text)).count(),
                1,
                "{name}"
            );
            assert!(
                !rules.iter().any(|list| list == &["allow", "default"]),
                "{name}"
            );
        }
        for name in [&b"new\nline"[..], b"\xff", b"\x1b[0m"] {
            let root = place.root(OsStr::from_bytes(name), Access::Read);
            let plan = Plan::new(Tier::Full).root(root);
            assert!(
                matches!(seatbelt_profile(&plan), Err(SeatbeltError::Path(_))),
                "{name:?}"
            );
        }
    }

    #[test]
    fn what_it_cannot_do_is_refused() {
        let beyond = |plan| matches!(seatbelt_profile(&plan), Err(SeatbeltError::Beyond(_)));
        for tier in [Tier::Namespaces, Tier::Landlock, Tier::Limits] {
            assert!(beyond(Plan::new(tier)), "{tier:?}");
        }
        assert!(beyond(Plan::new(Tier::Full).share_scratch()));
        let copied = Place::new().root(OsStr::new("c"), Access::Copied);
        assert!(beyond(Plan::new(Tier::Full).root(copied)));
        assert!(!beyond(Plan::new(Tier::Full)));
    }
}
