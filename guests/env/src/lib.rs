//! Reads variables by `portcullis:cli/env`, each argument one, and answers a line each: `NAME=VALUE`, `NAME is not there` or
//! `NAME failed: ERROR`. `again TIMES NAME` reads one so often and says how often it got an answer; `flood TIMES LENGTH` reads as many
//! different ones.

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
        if let [flood, times, length] = &args[..]
            && flood == "flood"
        {
            let number = |text: &str| text.parse::<u32>().map_err(|error| error.to_string());
            let (times, length) = (number(times)?, number(length)?);
            let mut name = "N".repeat(length as usize);
            for time in 0..times {
                let digits = format!("{time:010}");
                name.replace_range(..10, &digits);
                if matches!(get(&name), Ok(Some(_))) {
                    return Err(format!("{name} is there"));
                }
            }
            return Ok(times.to_string());
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
