//! `portcullis test`: whether a plugin does what its tests say, in a scripted world.

mod trial;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::Compilation;
use portcullis_config::FlagSet;
use serde_json::{Value, json};

use crate::args::TestArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::{Printer, count, line};
use crate::scripted::{TestFile, Workshop};
use crate::settings::{Environment, POLICY_FILE, Settings};
use trial::{Shared, Subject, Trial};

/// Bytes of a test file.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Where tests are looked for.
pub(super) const DIRECTORY: &str = "tests";

pub(super) async fn test(args: &TestArgs, env: Environment, out: Printer) -> Result<Exit> {
    let json = args.common.output.json;
    let paths = files(args, &env.cwd)?;
    // All are read before any is run.
    let files = paths.into_iter().map(|path| Ok((read(&path)?, path)));
    let files = files.collect::<Result<Vec<_>>>()?;
    let settings = Settings::load_own(&args.common, FlagSet::default(), env)?;
    let workshop = Workshop::new();
    let workshop =
        workshop.map_err(|error| Failure::unusable("use", &std::env::temp_dir(), &error))?;
    let shared = Shared {
        workshop,
        compilation: Compilation::Confined(settings.policy.compile_confinement()),
        directories: settings.directories,
    };
    let mut results = Vec::new();
    let (mut passed, mut failed) = (0_u64, 0_u64);
    for (file, path) in &files {
        let subject = subject(file, path)?;
        let named = |name: &str| {
            args.filter
                .as_ref()
                .is_none_or(|filter| name.contains(filter))
        };
        for test in file.tests.iter().filter(|test| named(&test.name)) {
            let trial = trial::run(test, &subject, &shared).await?;
            let well = trial.differences.is_empty();
            *if well { &mut passed } else { &mut failed } += 1;
            if json {
                results.push(document(path, &test.name, &trial));
            } else {
                print(&test.name, &trial, out)?;
            }
        }
    }
    if json {
        out.json(json!({ "tests": results, "passed": passed, "failed": failed }))?;
    } else {
        out.line(&format!(
            "{}: {passed} passed, {failed} failed",
            count(passed + failed, "test")
        ))?;
    }
    Ok(if failed == 0 {
        Exit::OK
    } else {
        Exit::NEGATIVE
    })
}

/// The test files that are named, and those of directories that are.
fn files(args: &TestArgs, cwd: &Path) -> Result<Vec<PathBuf>> {
    let named = match args.paths.as_slice() {
        [] => vec![PathBuf::from(DIRECTORY)],
        paths => paths.to_vec(),
    };
    let mut files = Vec::new();
    for path in named {
        let whole = cwd.join(&path);
        if !whole.is_dir() {
            files.push(whole);
            continue;
        }
        let unreadable = |error: &std::io::Error| Failure::unusable("look through", &path, error);
        let listed = fs::read_dir(&whole).map_err(|error| unreadable(&error))?;
        let listed = listed.map(|entry| entry.map(|entry| entry.path()));
        let listed = listed.collect::<std::io::Result<Vec<_>>>();
        let mut listed = listed.map_err(|error| unreadable(&error))?;
        listed.retain(|file| {
            file.extension()
                .is_some_and(|form| form == "toml" || form == "md")
        });
        listed.sort();
        files.extend(listed);
    }
    if files.is_empty() {
        return Err(Failure::usage(
            diagnostic(code::TEST, "there are no test files")
                .note("a test file is named, or lies in a directory and ends in `.toml` or `.md`")
                .help("`portcullis new` makes a plugin with a test"),
        ));
    }
    Ok(files)
}

fn read(path: &Path) -> Result<TestFile> {
    let unreadable = |error: &std::io::Error| Failure::unusable("read the tests in", path, error);
    let meta = fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !meta.is_file() || meta.len() > MAX_FILE {
        let error = std::io::Error::other("it is no file of at most 4 MiB");
        return Err(unreadable(&error));
    }
    let text = fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    TestFile::parse(path, &text).map_err(|mistake| {
        let line = mistake.line.map(|line| format!(":{line}"));
        let place = format!("{}{}", path.display(), line.unwrap_or_default());
        Failure::usage(
            diagnostic(
                code::TEST,
                format!("cannot understand the tests in `{place}`"),
            )
            .note(mistake.message),
        )
    })
}

/// What a file is about: what it says, or the plugin in whose directory it lies.
fn subject(file: &TestFile, path: &Path) -> Result<Subject> {
    let here = path.parent().unwrap_or(path);
    let has_manifest = |dir: &&Path| portcullis_config::has_manifest(dir);
    let around = here.ancestors().take(2).find(has_manifest);
    let plugin = match (&file.plugin, around) {
        (Some(plugin), _) => here.join(plugin),
        (None, Some(around)) => around.to_owned(),
        (None, None) => {
            return Err(Failure::usage(
                diagnostic(
                    code::TEST,
                    format!("the tests in `{}` are about no plugin", path.display()),
                )
                .note(
                    "they are about the plugin in whose directory, or directory `tests`, they lie",
                )
                .help("or name it at the top of the file: plugin = \"../plugin.wasm\""),
            ));
        }
    };
    let plugin = plugin
        .canonicalize()
        .map_err(|error| Failure::unusable("use the plugin", &plugin, &error))?;
    let policy = file.policy.as_ref().map(|policy| here.join(policy));
    let mut subject = Subject { plugin, policy };
    if subject.policy.is_none() {
        let beside = subject.directory().join(POLICY_FILE);
        subject.policy = beside.is_file().then_some(beside);
    }
    Ok(subject)
}

fn print(name: &str, trial: &Trial, out: Printer) -> Result<()> {
    let time = trial.duration.as_millis();
    if trial.differences.is_empty() {
        out.line(&format!("ok      {} ({time} ms)", line(name)))?;
        return Ok(());
    }
    out.line(&format!("FAILED  {} ({time} ms)", line(name)))?;
    for difference in &trial.differences {
        out.line(&format!("  {}", difference.replace('\n', "\n  ")))?;
    }
    Ok(())
}

fn document(path: &Path, name: &str, trial: &Trial) -> Value {
    json!({
        "file": path,
        "name": name,
        "passed": trial.differences.is_empty(),
        "differences": trial.differences,
        "duration_ms": u64::try_from(trial.duration.as_millis()).unwrap_or(u64::MAX),
    })
}
