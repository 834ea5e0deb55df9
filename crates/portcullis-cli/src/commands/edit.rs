//! `portcullis grant` and `portcullis revoke`: one change to the operator's own policy file.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use portcullis_config::edit::{self, Edit, EditError, Right, StoreError};
use portcullis_config::{Context, Layer, PluginEntry, PolicySet, SelectError, Trust};
use portcullis_policy::{FsAccess, Grants, Origin, PluginId};
use serde_json::json;

use crate::args::{Common, EditArgs, RightVerb};
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Report, Result, Say, chain, diagnostic};
use crate::packed;
use crate::render::{Printer, line};
use crate::settings::installed::Installed;
use crate::settings::{self, Environment, Role};

/// The direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Grant,
    Revoke,
}

pub(super) fn edit(
    args: &EditArgs,
    change: Change,
    env: &Environment,
    out: Printer,
) -> Result<Exit> {
    let common = Common {
        project: args.project.clone(),
        data_dir: args.data_dir.clone(),
        ..Common::default()
    };
    let (project, directories) = settings::places(&common, env)?;
    let installed = Installed::read(&directories, true)?;
    let context = settings::context(&project, &directories, env, &installed)?;
    if let (None, Some(record)) = (&args.config, installed.get(&args.plugin)) {
        let edit = Edit {
            plugin: PluginId::new(&record.name).map_err(SelectError::from)?,
            path: None,
            right: right(&args.right, env)?,
        };
        let (changed, after) = edit_installed(&installed, &context, &edit, change)?;
        let file = installed.file(&record.name);
        let done = Changed {
            change,
            changed,
            edit: &edit,
            file: &file,
            after: &after,
        };
        report(&done, args.output.json, out)?;
        return Ok(Exit::OK);
    }
    let file = match &args.config {
        Some(file) => env.cwd.join(file),
        None => directories.policy.clone(),
    };
    if args.config.is_none() {
        prepare(&file, env)?;
    }
    let before = load(&file, &context)?;
    let entry = packed::entry(&before, &args.plugin)?.map_err(|error| unknown(error, &file))?;
    let edit = Edit {
        plugin: entry.id.clone(),
        path: entry
            .origin
            .is_none()
            .then(|| entry.path.display().to_string()),
        right: right(&args.right, env)?,
    };
    let edited = edit::update(&file, |text| match change {
        Change::Grant => edit::grant(text, &edit, &file, &context),
        Change::Revoke => edit::revoke(text, &edit, &file, &context),
    });
    let changed = edited.map_err(Failure::from)?.changed;
    let after = load(&file, &context)?.plugin(entry.id.as_str())?;
    report(
        &Changed {
            change,
            changed,
            edit: &edit,
            file: &file,
            after: &after,
        },
        args.output.json,
        out,
    )?;
    Ok(Exit::OK)
}

/// Changes what was granted to the content of an installed plugin. Whether that was a change, and the entry afterwards.
pub(crate) fn edit_installed(
    installed: &Installed,
    context: &Context,
    edit: &Edit,
    change: Change,
) -> Result<(bool, PluginEntry)> {
    let name = edit.plugin.as_str();
    let unknown = || {
        Failure::usage(diagnostic(
            code::NO_PLUGIN,
            format!("plugin `{name}` is not installed"),
        ))
    };
    let record = installed.get(name).ok_or_else(unknown)?;
    let file = installed.file(name);
    let edited = match change {
        Change::Grant => edit::grant(&record.grants, edit, &file, context),
        Change::Revoke => edit::revoke(&record.grants, edit, &file, context),
    };
    let edited = edited.map_err(StoreError::from)?;
    let after = policy_of(&file, edited.text.clone(), context)?.plugin(name)?;
    if edited.changed {
        installed.regrant(record, edited.text)?;
    }
    Ok((edited.changed, after))
}

/// The user's own file is made when there is none, and refused when others can write it.
pub(crate) fn prepare(file: &Path, env: &Environment) -> Result<()> {
    if file.exists() {
        return settings::PolicyFile::read(file, Role::Own, env).map(drop);
    }
    let dir = file.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| Failure::unusable("make the directory", dir, &error))
}

pub(crate) fn load(file: &Path, context: &Context) -> Result<PolicySet> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| Failure::unusable("read the policy file", file, &error))?,
    };
    policy_of(file, text, context)
}

fn policy_of(file: &Path, text: String, context: &Context) -> Result<PolicySet> {
    let layer = Layer::File {
        path: file.to_owned(),
        text,
        trust: Trust::Trusted,
    };
    Ok(PolicySet::load(&[layer], context)?)
}

fn unknown(error: SelectError, file: &Path) -> Failure {
    let unknown = matches!(error, SelectError::Unknown { .. });
    let mut failure = Failure::from(error);
    if let (true, Some(Report::Plain(report))) = (unknown, failure.reports.first_mut()) {
        report
            .notes
            .insert(0, format!("the policy file is `{}`", file.display()));
        *report = report
            .clone()
            .help("name the plugin by its path, or the policy file that has it with `--config`");
    }
    failure
}

fn right(verb: &RightVerb, env: &Environment) -> Result<Right> {
    Ok(match verb {
        RightVerb::Exec { program, args } => Right::Exec {
            program: program.clone(),
            args: args.as_deref().map(arguments).transpose()?,
        },
        RightVerb::Read { path } => Right::Read(directory(path, env)),
        RightVerb::Write { path } => Right::Write(directory(path, env)),
        RightVerb::Net { host } => Right::Net(host.clone()),
        RightVerb::Env { name } => Right::Env(name.clone()),
        RightVerb::Log => Right::Log,
        RightVerb::Http { host } => Right::Http(host.clone()),
        RightVerb::Connect { place } => Right::Connect(place.clone()),
        RightVerb::Lookup { name } => Right::Lookup(name.clone()),
        RightVerb::Kv => Right::Kv,
        RightVerb::Data => Right::Data,
        RightVerb::Metadata { key } => Right::Metadata((*key).into()),
    })
}

fn arguments(json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|error| {
        Failure::usage(
            diagnostic(
                code::ARGUMENT,
                format!("`--args` is no JSON list of strings: {error}"),
            )
            .help(r#"write it as `--args '["log", "--oneline"]'`"#),
        )
    })
}

/// A directory as the file is to name it: what begins with a variable stays so, other paths are those of this shell.
fn directory(path: &str, env: &Environment) -> String {
    if path.starts_with("${") || path.starts_with('~') {
        return path.to_owned();
    }
    let whole: PathBuf = env.cwd.join(path);
    whole.canonicalize().unwrap_or(whole).display().to_string()
}

struct Changed<'a> {
    change: Change,
    changed: bool,
    edit: &'a Edit,
    file: &'a Path,
    after: &'a PluginEntry,
}

fn report(done: &Changed<'_>, json: bool, out: Printer) -> Result<()> {
    let right = words(&done.edit.right, done.change);
    let place =
        place(&done.after.grants, &done.edit.right).filter(|_| done.change == Change::Grant);
    if json {
        out.json(json!({
            "changed": done.changed, "plugin": done.after.id, "right": right, "file": done.file,
            "place": place.map(ToString::to_string),
        }))?;
        return Ok(());
    }
    let verb = match (done.change, done.changed) {
        (Change::Grant, true) => "granted to",
        (Change::Grant, false) => "nothing to change: already granted to",
        (Change::Revoke, true) => "revoked from",
        (Change::Revoke, false) => "nothing to change: not granted to",
    };
    let place = place.map_or_else(|| done.file.display().to_string(), ToString::to_string);
    out.line(&line(&format!(
        "{verb} plugin `{}`: {right} ({place})",
        done.after.id
    )))?;
    Ok(())
}

fn words(right: &Right, change: Change) -> String {
    match right {
        // All rules of the program are taken away, whatever their arguments.
        Right::Exec {
            program,
            args: None,
        } if change == Change::Revoke => format!("run `{program}`"),
        Right::Exec {
            program,
            args: None,
        } => format!("run `{program}` with any arguments"),
        Right::Exec {
            program,
            args: Some(args),
        } => format!("run `{program}` with exactly {}", json!(args)),
        Right::Read(path) => format!("read `{path}`"),
        Right::Write(path) => format!("read and write `{path}`"),
        Right::Net(net) => match net.as_str() {
            "open" => "reach all of the network with its commands".to_owned(),
            "loopback" => "reach its own loopback with its commands".to_owned(),
            host => format!("reach `{host}` with its commands"),
        },
        Right::Env(name) => format!("read the environment variable `{name}`"),
        Right::Log => "write lines into your log".to_owned(),
        Right::Http(host) => format!("send HTTP requests to `{host}`"),
        Right::Connect(place) => format!("connect to `{place}`"),
        Right::Lookup(name) => format!("look up `{name}`"),
        Right::Kv => "keep state of its own".to_owned(),
        Right::Data => "have a directory of its own".to_owned(),
        Right::Metadata(key) => format!("be told `{key}` of the project"),
        Right::Answer(rule) => format!("what rule `{}` says", rule.id),
        Right::Rule(rule) => format!("do what rule `{rule}` allows"),
    }
}

/// The line of the file that has the right: the last one about it, which is where a new one was put.
fn place<'a>(grants: &'a Grants, right: &Right) -> Option<&'a Origin> {
    let directory = |path: &str, access| {
        let fs = grants.fs.iter().rev();
        fs.into_iter()
            .find(|grant| grant.access >= access && grant.host == Path::new(path))
            .map(|grant| &grant.origin)
    };
    match right {
        Right::Exec { program, .. } => {
            let rules = grants.exec.iter().flat_map(|exec| exec.allow.iter().rev());
            rules
                .into_iter()
                .find(|rule| rule.program.to_string() == *program)
                .map(|rule| &rule.origin)
        }
        Right::Read(path) => directory(path, FsAccess::Read),
        Right::Write(path) => directory(path, FsAccess::ReadWrite),
        Right::Http(host) => {
            let mut rules = grants.http.allow.iter().rev();
            rules
                .find(|rule| rule.hosts.to_string() == *host)
                .map(|rule| &rule.origin)
        }
        Right::Connect(place) => {
            let mut rules = grants.own_net.connect.iter().rev();
            rules
                .find(|rule| rule.places.to_string() == *place)
                .map(|rule| &rule.origin)
        }
        Right::Lookup(name) => {
            let mut rules = grants.own_net.lookup.iter().rev();
            rules
                .find(|rule| rule.names.to_string() == *name)
                .map(|rule| &rule.origin)
        }
        Right::Kv => grants.kv.as_ref().map(|kv| &kv.origin),
        Right::Data => grants.data.as_ref().map(|data| &data.origin),
        Right::Net(_)
        | Right::Env(_)
        | Right::Log
        | Right::Metadata(_)
        | Right::Answer(_)
        | Right::Rule(_) => None,
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Edit(EditError::Before(errors) | EditError::After(errors)) => errors.into(),
            StoreError::Edit(EditError::Select(error)) => error.into(),
            StoreError::Edit(error) => Self {
                exit: Exit::NEGATIVE,
                ..Self::usage(diagnostic(code::EDIT, "the policy was not changed").note(error))
            },
            error => Self::usage(chain(code::UNUSABLE, &error)),
        }
    }
}
