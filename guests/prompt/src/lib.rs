//! Asks by `portcullis:cli/prompt`: `text [DEFAULT]`, `confirm yes|no`, `choose DEFAULT|- OPTIONS…`, `some DEFAULTS|- OPTIONS…`, with the
//! name of the function as id; `flood TIMES` confirms so often. It answers with what it was answered.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-prompt" });

use portcullis::cli::prompt::{Error, choose, choose_some, confirm, text};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let words: Vec<_> = args.iter().map(String::as_str).collect();
        let said = match words.as_slice() {
            ["text"] => show(text("text", "Which name?", None)),
            ["text", default] => show(text("text", "Which name?", Some(default))),
            ["confirm", default] => show(confirm("confirm", "Really?", *default == "yes")),
            ["choose", default, ..] => {
                let default = default.parse().ok();
                show(choose("choose", "Which one?", &args[2..], default))
            }
            ["some", defaults, ..] => {
                let defaults = defaults.split(',').filter_map(|place| place.parse().ok());
                let defaults: Vec<_> = defaults.collect();
                show(choose_some("some", "Which ones?", &args[2..], &defaults))
            }
            ["flood", times] => {
                let times: u32 = times.parse().map_err(|_| "usage: flood TIMES")?;
                let limited = (0..times).filter(|_| confirm("flood", "Really?", true).is_err());
                limited.count().to_string()
            }
            _ => return Err("usage: text|confirm|choose|some|flood …".to_owned()),
        };
        Ok(said)
    }
}

fn show<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    format!("{:?}", answer.map_err(|error| error.name()))
}

export!(Plugin);
