//! `portcullis import`: the policy of another host as an entry of ours. It changes no file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use portcullis_config::{Imported, SelectError};
use portcullis_policy::PluginId;
use serde_json::json;

use crate::args::ImportArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Report, Result, Say, diagnostic};
use crate::render::{Level, Printer, line};
use crate::settings::Environment;

/// Bytes that are read of a file: one more than may be imported.
const MOST: u64 = 1024 * 1024 + 1;

pub(super) fn import(args: &ImportArgs, env: &Environment, out: Printer) -> Result<Exit> {
    let plugin = PluginId::new(&args.plugin).map_err(SelectError::from)?;
    let file = env.cwd.join(&args.file);
    let text = read(&file).map_err(|error| Failure::unusable("read", &args.file, &error))?;
    let component = match &args.path {
        Some(path) => path.clone(),
        None => format!("{plugin}.wasm"),
    };
    let imported = portcullis_config::import(&args.file, &text, &plugin, &component)?;
    match &args.into {
        Some(new) => {
            write(&env.cwd.join(new), &imported.toml)
                .map_err(|error| Failure::unusable("make", new, &error))?;
            out.line(&line(&format!("wrote `{}`", new.display())))?;
        }
        None if args.output.json => out.json(document(&imported))?,
        None => out.line(imported.toml.trim_end())?,
    }
    for note in &imported.notes {
        let message = format!("`{}` {}", note.what, note.why);
        let report = diagnostic(code::IMPORT, message).note(format!("written at {}", note.origin));
        out.report(Level::Warning, &Report::Plain(report));
    }
    Ok(if args.strict && !imported.notes.is_empty() {
        Exit::NEGATIVE
    } else {
        Exit::OK
    })
}

fn read(file: &Path) -> io::Result<String> {
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    let mut text = String::new();
    File::open(file)?.take(MOST).read_to_string(&mut text)?;
    Ok(text)
}

/// Makes a file that is not there yet.
fn write(file: &Path, text: &str) -> io::Result<()> {
    File::create_new(file)?.write_all(text.as_bytes())
}

fn document(imported: &Imported) -> serde_json::Value {
    let notes = imported
        .notes
        .iter()
        .map(|note| json!({ "what": note.what, "why": note.why, "at": note.origin.to_string() }));
    json!({ "from": imported.from, "toml": imported.toml, "notes": notes.collect::<Vec<_>>() })
}
