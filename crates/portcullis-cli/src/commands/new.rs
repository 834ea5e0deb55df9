//! `portcullis new`: a plugin to begin with.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_policy::PluginId;
use serde_json::json;

use crate::args::NewArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::kit::{NewFile, new_files, setup};
use crate::render::{Printer, line};
use crate::settings::Environment;

pub(super) fn new(args: &NewArgs, env: &Environment, out: Printer) -> Result<Exit> {
    let dir = env.cwd.join(&args.dir);
    let name = name(&dir)?;
    let schemas = [
        (
            "manifest.json",
            format!("{:#}\n", portcullis_config::schema::manifest()),
        ),
        (
            "policy.json",
            format!("{:#}\n", portcullis_config::schema::policy()),
        ),
    ];
    let files = new_files(&name, args.lang, schemas);
    put(&dir, &files)?;
    if args.output.json {
        out.json(json!({ "directory": dir, "files": files.iter().map(|file| &file.path).collect::<Vec<_>>() }))?;
        return Ok(Exit::OK);
    }
    out.line(&line(&format!(
        "made `{}`, a plugin in {}; next:",
        args.dir.display(),
        args.lang.name()
    )))?;
    out.line(&line(&format!("  cd {}", args.dir.display())))?;
    for step in setup(args.lang).lines() {
        out.line(&format!("  {}", step.trim_start_matches("$ ")))?;
    }
    out.line("  portcullis build\n  portcullis test")?;
    Ok(Exit::OK)
}

/// The plugin's name: that of its directory. It is also a package's in every language.
fn name(dir: &Path) -> Result<String> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_one =
        name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(fits);
    match PluginId::new(&*name) {
        Ok(id) if is_one => Ok(id.to_string()),
        _ => Err(Failure::usage(
            diagnostic(
                code::ARGUMENT,
                format!("`{name}` cannot be the name of a new plugin"),
            )
            .note("it begins with a small letter, and has small letters, digits and `-` in it"),
        )),
    }
}

/// Makes the directory with all of its files, or nothing.
fn put(dir: &Path, files: &[NewFile]) -> Result<()> {
    if dir.exists() {
        return Err(Failure::usage(
            diagnostic(
                code::ARGUMENT,
                format!("`{}` is there already", dir.display()),
            )
            .note("a new plugin gets a directory of its own, and nothing is written over"),
        ));
    }
    let place = |error: &std::io::Error| Failure::unusable("make", dir, error);
    let parent: PathBuf = dir.parent().unwrap_or(dir).to_owned();
    fs::create_dir_all(&parent).map_err(|error| place(&error))?;
    let partial = tempfile::Builder::new()
        .prefix(".new-plugin-")
        .tempdir_in(&parent);
    let partial = partial.map_err(|error| place(&error))?;
    let root = partial.path().join("plugin");
    for NewFile { path, content } in files {
        let path = root.join(path);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, content))
            .map_err(|error| place(&error))?;
    }
    fs::rename(&root, dir).map_err(|error| place(&error))
}
