//! Reads variables by `portcullis:cli/env`, each argument one, and answers a line each: `NAME=VALUE`, `NAME is not there` or
//! `NAME failed: ERROR`. `again TIMES NAME` reads one so often and says how often it got an answer.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-env" });

use portcullis::cli::env::get;

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        if let [again, times, name] = &args[..]
            && again == "again"
        {
            let times: u32 = times.parse().map_err(|_| "usage: again TIMES NAME")?;
            let answered = (0..times).filter(|_| get(name).is_ok()).count();
            return Ok(answered.to_string());
        }
        let lines = args.iter().map(|name| match get(name) {
            Ok(Some(value)) => format!("{name}={value}"),
            Ok(None) => format!("{name} is not there"),
            Err(error) => format!("{name} failed: {error:?}"),
        });
        Ok(lines.collect::<Vec<_>>().join("\n"))
    }
}

export!(Plugin);
