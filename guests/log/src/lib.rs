//! Writes into the log by `portcullis:cli/log`: the arguments are `LEVEL TIMES CHARACTER COUNT TEXT`, a line that is so many
//! of that character and then the text, written so often.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-log" });

use portcullis::cli::log::{Level, write};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let [level, times, character, count, text] = &args[..] else {
            return Err("usage: LEVEL TIMES CHARACTER COUNT TEXT".to_owned());
        };
        let level = match level.as_str() {
            "error" => Level::Error,
            "warn" => Level::Warn,
            "info" => Level::Info,
            "debug" => Level::Debug,
            _ => Level::Trace,
        };
        let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
        let line = character.repeat(number(count)?) + text;
        for _ in 0..number(times)? {
            write(level, &line);
        }
        Ok("written".to_owned())
    }
}

export!(Plugin);
