//! `[[plugins.exec.test]]`: commands that the rules must allow or deny, tried on the function that decides.

use std::path::{Path, PathBuf};

use portcullis_policy::{
    ChildRights, Code, Cwd, Decision, ExecRequest, FileId, Found, Grants, HostEnvironment, Net,
    PluginId, Program, ProgramDirectory, ProgramRef, decide,
};

use crate::context;
use crate::error::{ConfigCode, ConfigError};
use crate::raw::{Test, TestCommand, TestTable, Text};
use crate::reader::Reader;
use crate::source::At;

/// One command of a test.
#[derive(Debug)]
pub(crate) struct Trial {
    plugin: PluginId,
    asked: Asked,
    expected: Expected,
    /// The mistake to report when the rules do something else; what they do is still to be said.
    failure: ConfigError,
}

/// What a plugin asks for.
#[derive(Debug)]
struct Asked {
    program: ProgramRef,
    args: Vec<String>,
    cwd: Cwd,
    env: Vec<(String, String)>,
    stdin: bool,
}

/// What the rules must make of it.
#[derive(Debug, Default)]
struct Expected {
    allowed: bool,
    /// Names of rules, sorted.
    rules: Option<Vec<String>>,
    read: Option<Vec<PathBuf>>,
    write: Option<Vec<PathBuf>>,
    net: Option<Net>,
}

/// Reads the commands of one test.
pub(crate) fn read(reader: &mut Reader<'_>, plugin: &PluginId, test: &At<Test>) -> Vec<Trial> {
    let allow = test.allow.iter().map(|command| (command, true));
    let deny = test.deny.iter().map(|command| (command, false));
    allow
        .chain(deny)
        .filter_map(|(command, allowed)| one(reader, plugin, command, allowed))
        .collect()
}

fn one(
    reader: &mut Reader<'_>,
    plugin: &PluginId,
    command: &At<TestCommand>,
    allowed: bool,
) -> Option<Trial> {
    let (words, table) = match &**command {
        TestCommand::Words(words) => (words, None),
        TestCommand::Table(table) => (&table.run, Some(&**table)),
    };
    let Some((program, args)) = words.split_first() else {
        reader.wrong(
            ConfigCode::Value,
            command,
            "a command of a test is a program and its arguments",
        );
        return None;
    };
    let mut asked = Asked {
        program: reader.program(program, program)?,
        args: args.iter().map(|arg| (**arg).clone()).collect(),
        cwd: Cwd::Project(PathBuf::from("/")),
        env: Vec::new(),
        stdin: false,
    };
    let mut expected = Expected {
        allowed,
        ..Expected::default()
    };
    if let Some(table) = table {
        circumstances(reader, table, &mut asked)?;
        expectations(reader, table, &mut expected)?;
    }
    let words: Vec<_> = words.iter().map(|word| word.as_str()).collect();
    let must = if allowed { "allow" } else { "deny" };
    let message = format!("the rules must {must} {words:?}");
    let failure = reader.error(ConfigCode::Test, command, message);
    Some(Trial {
        plugin: plugin.clone(),
        asked,
        expected,
        failure,
    })
}

/// Reads where and with what a command of a test is asked for.
fn circumstances(reader: &mut Reader<'_>, table: &TestTable, asked: &mut Asked) -> Option<()> {
    if let Some(text) = &table.cwd {
        let path = reader.base.expand(text).map(|expanded| expanded.path);
        let path = reader.take(ConfigCode::Path, text, path)?;
        asked.cwd = Cwd::Requested {
            asked: (**text).clone(),
            real: context::real(&path),
        };
    }
    let env = table.env.iter().flat_map(|texts| texts.iter());
    for text in env {
        asked.env.push(variable(reader, text)?);
    }
    asked.stdin = table.stdin.as_ref().is_some_and(|stdin| **stdin);
    Some(())
}

fn variable(reader: &mut Reader<'_>, text: &Text) -> Option<(String, String)> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pair = pair.ok_or_else(|| format!("`{text}` is no variable: expected `NAME=value`"));
    reader.take(ConfigCode::Value, text, pair)
}

fn expectations(reader: &mut Reader<'_>, table: &TestTable, expected: &mut Expected) -> Option<()> {
    if let Some(names) = &table.rules {
        let mut rules: Vec<_> = names.iter().map(|name| (**name).clone()).collect();
        rules.sort();
        expected.rules = Some(rules);
    }
    let rights = [
        table.read.as_ref().map(At::span),
        table.write.as_ref().map(At::span),
        table.net.as_ref().map(At::span),
    ];
    if let Some(span) = rights
        .into_iter()
        .flatten()
        .next()
        .filter(|_| !expected.allowed)
    {
        let message =
            "a command that is denied is left nothing: `read`, `write` and `net` are for `allow`";
        reader
            .report
            .push(reader.source.error(ConfigCode::Value, span, message));
        return None;
    }
    expected.read = table.read.as_ref().map(|paths| reader.real_paths(paths));
    expected.write = table.write.as_ref().map(|paths| reader.real_paths(paths));
    expected.net = table.net.as_ref().map(|net| reader.net(net));
    Some(())
}

impl Trial {
    /// The failure, unless the rules do what the test says.
    pub(crate) fn run(self, grants: &Grants) -> Option<ConfigError> {
        debug_assert_eq!(grants.plugin, self.plugin);
        let Self {
            asked,
            expected,
            failure,
            ..
        } = self;
        let fails = |why: String, notes: Vec<String>| {
            let mut failure = notes.into_iter().fold(failure, ConfigError::note);
            failure.message = format!("{}, and {why}", failure.message);
            Some(failure)
        };
        match decide(grants, request(grants, asked)) {
            Decision::Allow(_) if !expected.allowed => fails("allow it".to_owned(), Vec::new()),
            Decision::Allow(authorized) => {
                let terms = authorized.terms();
                let rules = terms.rules.iter().map(ToString::to_string);
                let wrong = expected
                    .other_rules(rules)
                    .or_else(|| expected.other_rights(&terms.rights));
                wrong.and_then(|why| fails(why, Vec::new()))
            }
            // The last note of a denial repeats the request.
            Decision::Ask { denial, .. } | Decision::Deny(denial) if expected.allowed => fails(
                "do not".to_owned(),
                denial.notes.into_iter().take(1).collect(),
            ),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                // Other denials name the rule that came nearest to allowing it.
                let rule = denial
                    .rule
                    .iter()
                    .filter(|_| denial.code == Code::ExecDenied);
                let rule = rule.map(|(rule, _)| rule.to_string());
                let wrong = expected.other_rules(rule);
                wrong.and_then(|why| fails(why, denial.notes.into_iter().take(1).collect()))
            }
        }
    }

    pub(crate) fn plugin(&self) -> &PluginId {
        &self.plugin
    }
}

impl Expected {
    /// What is wrong with the rules that decided.
    fn other_rules(&self, found: impl Iterator<Item = String>) -> Option<String> {
        let expected = self.rules.as_ref()?;
        let mut found: Vec<_> = found.collect();
        found.sort();
        (found != *expected).then(|| {
            let by = |rules: &[String]| match rules {
                [] => "by no rule".to_owned(),
                rules => format!("by {rules:?}"),
            };
            format!("do so {}, not {}", by(&found), by(expected))
        })
    }

    /// What is wrong with what the command is left.
    fn other_rights(&self, found: &ChildRights) -> Option<String> {
        let paths = [
            ("read", &self.read, &found.read),
            ("write", &self.write, &found.write),
        ];
        for (verb, expected, found) in paths {
            let Some(expected) = expected else { continue };
            let sorted = |paths: &[PathBuf]| {
                let mut paths = paths.to_vec();
                paths.sort();
                paths
            };
            let (found, expected) = (sorted(found), sorted(expected));
            if found != expected {
                return Some(format!("leave it {found:?} to {verb}, not {expected:?}"));
            }
        }
        let net = self.net.as_ref()?;
        let same = Net::narrowest([net]) == Net::narrowest([&found.net]);
        (!same).then(|| format!("leave it the network {:?}, not {net:?}", found.net))
    }
}

/// Whether the rules allow a command, wherever it would be found and however it would be confined.
///
/// # Errors
/// What a denial would say.
pub(crate) fn allows(
    grants: &Grants,
    program: &ProgramRef,
    args: &[String],
) -> Result<(), Vec<String>> {
    let asked = Asked {
        program: program.clone(),
        args: args.to_vec(),
        cwd: Cwd::Project(PathBuf::from("/")),
        env: Vec::new(),
        stdin: false,
    };
    match decide(grants, request(grants, asked)) {
        Decision::Allow(_) => Ok(()),
        // The last note of a denial repeats the request.
        Decision::Ask { denial, .. } | Decision::Deny(denial) => {
            Err(denial.notes.into_iter().take(1).collect())
        }
    }
}

fn request(grants: &Grants, asked: Asked) -> ExecRequest {
    ExecRequest {
        found: Program::Found(found(grants, &asked.program)),
        program: asked.program,
        args: asked.args,
        arg_paths: Vec::new(),
        cwd: asked.cwd,
        env: asked.env,
        inherit_env: false,
        host_env: HostEnvironment::default(),
        stdin: asked.stdin,
        inherit_output: false,
    }
}

/// The program as if it were installed: a name and its path on the search path are one file.
fn found(grants: &Grants, program: &ProgramRef) -> Found {
    let dirs = grants
        .exec
        .as_ref()
        .map(|exec| exec.search_path.as_slice())
        .unwrap_or_default();
    let on_search_path = |path: &Path| {
        path.parent()
            .is_some_and(|dir| dirs.iter().any(|known| known == dir))
    };
    let mut same_as = vec![program.clone()];
    let rules = grants
        .exec
        .iter()
        .flat_map(|exec| exec.allow.iter().chain(&exec.deny));
    let about: Vec<_> = rules
        .clone()
        .filter(|rule| rule.program.is_called(program.base_name()))
        .collect();
    for spelling in about.iter().filter_map(|rule| rule.program.named()) {
        let same = match (spelling, program) {
            (ProgramRef::Path(path), ProgramRef::Name(_))
            | (ProgramRef::Name(_), ProgramRef::Path(path)) => on_search_path(path),
            (ProgramRef::Name(_), ProgramRef::Name(_))
            | (ProgramRef::Path(_), ProgramRef::Path(_)) => false,
        };
        if same && !same_as.contains(spelling) {
            same_as.push(spelling.clone());
        }
    }
    // A name may be found in each directory of the search path, so it is denied with each of them.
    let holds = |directory: &&ProgramDirectory| match program {
        ProgramRef::Name(_) => dirs.iter().any(|dir| dir == directory.path()),
        ProgramRef::Path(path) => directory.holds(path),
    };
    let directories = rules.filter_map(|rule| rule.program.directory());
    let inside: Vec<_> = directories
        .filter(holds)
        .map(|directory| directory.path().to_owned())
        .collect();
    let path = match program {
        ProgramRef::Name(name) => dirs
            .first()
            .map_or(PathBuf::from("/usr/bin"), PathBuf::clone)
            .join(name),
        ProgramRef::Path(path) => path.clone(),
    };
    let sha256 = about.iter().find_map(|rule| rule.sha256);
    Found {
        path,
        file: FileId { dev: 0, ino: 0 },
        same_as,
        lies_in: inside.clone(),
        denied_in: inside,
        sha256,
        interpreter: None,
    }
}
