//! What a guest may ask for: whatever it is, what is allowed lies inside the grants, by a list of its own here.
//!
//! An input is lines. The first character says what the rest is: `x` the program, `a` an argument, `c` the working
//! directory, `e` a variable as `NAME=VALUE`, `I` that the host's environment is wanted, `i` that there is standard
//! input. `@` stands for the fixture's directory.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use portcullis_exec::{ExecAsk, Place, resolve};
use portcullis_policy::{
    ArgToken, ArgumentRule, Authorized, Confinement, Cwd, Decision, ExecGrant, ExecRequest,
    ExecTerms, FileId, FlagPattern, FsAccess, FsGrant, FsKind, Grants, GuestError, HostEnvironment,
    Mode, Narrowing, Origin, PluginId, Program, ProgramRef, ProgramRule, RuleId, decide,
};

use crate::reference::{self, Rule};
use crate::{Run, lines};

/// A value that the host has and no guest knows.
const SECRET: &str = "9f3c-only-the-host-has-this-77aa";
/// A variable that the policy passes by name.
const PASSED: &str = "GH_TOKEN";
/// What makes common programs run other code, by the manuals: beginnings, and whole names; a part of the product's list.
const DANGEROUS: [&str; 6] = [
    "LD_",
    "DYLD_",
    "GIT_SSH",
    "PYTHONP",
    "NODE_OPTIONS",
    "PERL5",
];
const DANGEROUS_NAMES: [&str; 4] = ["BASH_ENV", "GCONV_PATH", "IFS", "VISUAL"];

pub(crate) fn target() -> Run {
    let world = World::new();
    Box::new(move |data| {
        if let Some(ask) = world.read(data) {
            world.check(&ask);
        }
    })
}

/// Directories, programs and grants.
pub(crate) struct World {
    root: PathBuf,
    grants: Grants,
    place: Place,
    /// The files that may run, with the names under which they may.
    runnable: Vec<(FileId, &'static str)>,
    _dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["bin", "project/src", "project/out", "elsewhere"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let bin = root.join("bin");
        let program = |path: &Path| {
            fs::write(path, b"\x7fELF it is never run").unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        for name in ["tool", "quiet", "other"] {
            program(&bin.join(name));
        }
        program(&root.join("project/out/tool"));
        symlink("tool", bin.join("link")).unwrap();
        symlink("other", bin.join("sneaky")).unwrap();
        symlink(root.join("elsewhere"), root.join("project/src/away")).unwrap();
        fs::hard_link(bin.join("tool"), root.join("elsewhere/tool")).unwrap();
        let id = |name: &str| {
            let meta = fs::metadata(bin.join(name)).unwrap();
            FileId {
                dev: meta.dev(),
                ino: meta.ino(),
            }
        };
        let host_env = [
            (PASSED, SECRET),
            ("SECRET_KEY", SECRET),
            ("LD_PRELOAD", SECRET),
            ("LANG", "C"),
            ("EDITION", "2"),
        ];
        let host_env = host_env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            runnable: vec![(id("tool"), "tool"), (id("quiet"), "quiet")],
            place: Place::open(
                &root.join("project"),
                HostEnvironment::new(host_env.to_vec()),
            )
            .unwrap(),
            grants: grants(&root),
            root,
            _dir: dir,
        }
    }

    fn read(&self, data: &[u8]) -> Option<ExecAsk> {
        let mut ask = ExecAsk::default();
        let root = self.root.to_str().unwrap();
        for (kind, text) in lines(data)?.take(64) {
            let text = text.replace('@', root);
            match kind {
                'x' => ask.program = text,
                'a' => ask.args.push(text),
                'c' => ask.cwd = Some(text),
                'e' => {
                    let (name, value) = text.split_once('=').unwrap_or((&text, ""));
                    ask.env.push((name.to_owned(), value.to_owned()));
                }
                'I' => ask.inherit_env = true,
                'i' => ask.stdin = Some(text.into_bytes()),
                _ => {}
            }
        }
        Some(ask)
    }

    pub(crate) fn check(&self, ask: &ExecAsk) {
        let (request, _opened) = resolve(&self.grants, &self.place, ask);
        let (name, args) = (request.program.base_name().to_owned(), request.args.clone());
        match decide(&self.grants, request) {
            Decision::Allow(authorized) => self.allowed(ask, &authorized),
            Decision::Ask { .. } => panic!("nobody is there to be asked"),
            Decision::Deny(denial) => {
                let remedies = denial.remedies.iter().map(|remedy| &remedy.text);
                for text in denial.notes.iter().chain([&denial.action]).chain(remedies) {
                    assert!(!text.chars().any(char::is_control), "{text:?}");
                }
                if denial.guest == GuestError::NotFound {
                    assert!(
                        name == "missing" || allows(&name, &args),
                        "told what is not there"
                    );
                }
            }
        }
    }

    fn allowed(&self, ask: &ExecAsk, authorized: &Authorized<ExecRequest>) {
        let (request, terms) = (authorized.request(), authorized.terms());
        let Program::Found(found) = &request.found else {
            panic!("no file was found: {ask:?}");
        };
        let name = request.program.base_name();
        let runnable = self.runnable.contains(&(found.file, name));
        assert!(runnable, "another file, or another name of it: {ask:?}");
        assert!(
            planted(allows(name, &ask.args), ask),
            "other arguments: {ask:?}"
        );
        assert!(
            name != "quiet" || ask.stdin.is_none(),
            "standard input: {ask:?}"
        );
        let cwd = match &request.cwd {
            Cwd::Project(path) | Cwd::Requested { real: path, .. } => path,
            Cwd::Unusable { .. } => panic!("no directory: {ask:?}"),
        };
        assert!(
            cwd.starts_with(self.root.join("project")),
            "{} : {ask:?}",
            cwd.display()
        );
        assert_eq!(
            fs::canonicalize(cwd).unwrap(),
            *cwd,
            "a directory by another name"
        );
        self.environment(ask, terms);
        assert!(
            terms.timeout <= self.grants.limits.timeout
                && terms.output <= self.grants.limits.output
        );
        let project = self.root.join("project");
        for path in terms.rights.read.iter().chain(&terms.rights.write) {
            assert!(path.starts_with(&project), "may reach {}", path.display());
        }
    }

    fn environment(&self, ask: &ExecAsk, terms: &ExecTerms) {
        let mut seen = BTreeSet::new();
        for (name, value) in &terms.environment.vars {
            assert!(seen.insert(name), "`{name}` twice: {ask:?}");
            assert!(
                !name.is_empty() && !name.contains(['=', '\0']),
                "`{name:?}`"
            );
            assert!(!value.contains('\0'), "a NUL in `{name}`");
            let dangerous = DANGEROUS.iter().any(|start| name.starts_with(start))
                || DANGEROUS_NAMES.contains(&&**name);
            assert!(!dangerous, "`{name}`: {ask:?}");
            assert!(
                name == PASSED || !value.contains(SECRET),
                "a secret in `{name}`: {ask:?}"
            );
            if name == "PATH" {
                assert_eq!(*value, self.root.join("bin").display().to_string());
            }
        }
    }
}

/// The bug: an argument with a character of more than two bytes in it is as good as another.
fn planted(right: bool, ask: &ExecAsk) -> bool {
    let wide = |arg: &String| arg.chars().any(|c| c.len_utf8() > 2);
    right && !(cfg!(feature = "planted") && ask.args.iter().any(wide))
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

/// The rules of `tool` and `quiet`, as the reference has them.
fn rules(name: &str) -> Vec<Rule> {
    match name {
        "tool" => vec![
            Rule {
                sub: Some(strings(&["show", "list"])),
                global: strings(&["--no-pager"]),
                flags: Some(strings(&["--all", "-n*", "-s", "--"])),
                denied: strings(&["--force"]),
                ..Rule::default()
            },
            Rule {
                pattern: Some(strings(&["count", "<int>", "*?"])),
                ..Rule::default()
            },
        ],
        "quiet" => vec![Rule::default()],
        _ => Vec::new(),
    }
}

fn allows(name: &str, args: &[String]) -> bool {
    let denied = args.iter().any(|arg| arg == "erase") && name == "tool";
    !denied && rules(name).iter().any(|rule| reference::allows(rule, args))
}

fn grants(root: &Path) -> Grants {
    let flags = |flags: &[String]| {
        flags
            .iter()
            .map(|flag| FlagPattern::parse(flag).unwrap())
            .collect()
    };
    let rule = |name: &str, narrowing: Narrowing| {
        let narrowing = &narrowing;
        let rules = rules(name)
            .into_iter()
            .enumerate()
            .map(move |(at, rule)| ProgramRule {
                id: RuleId(format!("{name}-{at}")),
                arguments: ArgumentRule {
                    args: rule.pattern.map(|tokens| {
                        tokens
                            .iter()
                            .map(|token| ArgToken::parse(token).unwrap())
                            .collect()
                    }),
                    sub: rule.sub,
                    global_flags: flags(&rule.global),
                    flags: rule.flags.as_deref().map(flags),
                    deny_flags: flags(&rule.denied),
                    paths: None,
                },
                narrowing: narrowing.clone(),
                ..ProgramRule::any_arguments(name)
            });
        rules.collect::<Vec<_>>()
    };
    let quiet = Narrowing {
        stdin: Some(false),
        env: Some(strings(&["LC_*", "EDITION"])),
        ..Narrowing::default()
    };
    let erase = ArgumentRule {
        sub: Some(strings(&["erase"])),
        ..ArgumentRule::default()
    };
    let fs = |path: &str, access| FsGrant {
        host: root.join(path),
        kind: FsKind::Directory,
        guest: path.to_owned(),
        access,
        origin: Origin::Code,
    };
    Grants {
        mode: Mode::Production,
        exec: Some(ExecGrant {
            allow: [
                rule("tool", Narrowing::default()),
                rule("quiet", quiet),
                vec![
                    ProgramRule::any_arguments("missing"),
                    absolute(root, "project/out/tool"),
                ],
            ]
            .concat(),
            deny: vec![ProgramRule {
                arguments: erase,
                ..ProgramRule::any_arguments("tool")
            }],
            search_path: vec![root.join("bin")],
            inherit_env: true,
            pass_env: strings(&[PASSED]),
            confinement: Confinement::Limits,
            ..ExecGrant::default()
        }),
        fs: vec![
            fs("project", FsAccess::Read),
            fs("project/out", FsAccess::ReadWrite),
        ],
        ..Grants::none(PluginId::new("notes").unwrap())
    }
}

/// A rule for a program that the plugin could replace: it is never run.
fn absolute(root: &Path, path: &str) -> ProgramRule {
    ProgramRule {
        program: ProgramRef::Path(root.join(path)).into(),
        ..ProgramRule::any_arguments("tool")
    }
}
