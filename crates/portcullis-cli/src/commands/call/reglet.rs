//! What a plugin of Reglet can be asked: to observe with a configuration, or to describe itself.

use std::io::Read;
use std::path::Path;

use super::MAX_PARAMS;
use crate::code;
use crate::commands::run::Ask;
use crate::failure::{Failure, Result, Say, diagnostic};

/// What `portcullis run` passes: nothing, or `--config` with JSON or `@` and the name of a file.
///
/// # Errors
/// Other arguments, or a configuration that is none.
pub(super) fn config(args: &[String], selector: &str) -> Result<Ask> {
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let text = match words[..] {
        [] => "{}".to_owned(),
        ["--config", text] => text.to_owned(),
        [one] if one.starts_with("--config=") => one["--config=".len()..].to_owned(),
        _ => {
            let said = "a plugin of Reglet is run with its configuration, or with nothing";
            return Err(usage(said, selector));
        }
    };
    let text = match text.strip_prefix('@') {
        Some(file) => read(Path::new(file))?,
        None => text,
    };
    observe(text)
}

/// What `portcullis call` names.
///
/// # Errors
/// The plugin cannot be asked that, or the configuration is none.
pub(super) fn asked(name: &str, params: String, selector: &str) -> Result<Ask> {
    let unused = params.trim() == "{}";
    match name {
        "observe" => observe(params),
        "describe" | "manifest" if unused => Ok(Ask::Describe),
        "schema" if unused => Ok(Ask::Schema),
        "describe" | "manifest" | "schema" => {
            Err(usage("only `observe` is given a configuration", selector))
        }
        _ => Err(usage(
            "a plugin of Reglet can be asked to `observe`, to `describe` itself, and for its `manifest` and `schema`",
            selector,
        )),
    }
}

fn usage(said: &str, selector: &str) -> Failure {
    Failure::usage(
        diagnostic(code::ARGUMENT, said)
            .help(format!("portcullis run {selector} -- --config '<JSON>'"))
            .help(format!("portcullis call {selector} describe")),
    )
}

fn observe(config: String) -> Result<Ask> {
    if config.len() as u64 > MAX_PARAMS {
        let message = format!("the configuration is longer than {MAX_PARAMS} bytes");
        return Err(Failure::usage(diagnostic(code::ARGUMENT, message)));
    }
    type Object = serde_json::Map<String, serde_json::Value>;
    match serde_json::from_str::<Object>(&config) {
        Ok(_) => Ok(Ask::Observe { config }),
        Err(error) => Err(Failure::usage(
            diagnostic(code::ARGUMENT, "the configuration is no JSON object")
                .note(error.to_string()),
        )),
    }
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_PARAMS + 1).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(error) => {
            let message = format!("cannot read the configuration `{}`", path.display());
            let report = diagnostic(code::ARGUMENT, message);
            Err(Failure::usage(report.note(crate::failure::system(&error))))
        }
    }
}
