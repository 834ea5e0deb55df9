//! Does one thing after the other by `portcullis:cli/fs` and answers a line for each: what it got, or `failed: KIND`.
//!
//! ```text
//! read PATH | write PATH TEXT | fill PATH BYTES | list PATH | stat PATH | mkdir PATH | remove PATH | rename FROM TO
//! again TIMES read PATH       how often it got an answer, and the answers that differ
//! again TIMES write PATH TEXT
//! ```
//! Each argument is one act; its parts are separated by U+001F, so that a path may be anything.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-files" });

use portcullis::cli::fs::{self, Error};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let lines: Result<Vec<_>, _> = args.iter().map(|act| line(act)).collect();
        Ok(lines?.join("\n"))
    }
}

fn line(act: &str) -> Result<String, String> {
    let parts: Vec<_> = act.split('\u{1f}').collect();
    if let ["again", times, rest @ ..] = &parts[..] {
        let times: u32 = times.parse().map_err(|_| "usage: again TIMES ACT")?;
        let mut answers = Vec::new();
        for _ in 0..times {
            let answer = said(done(rest)?);
            if !answers.contains(&answer) {
                answers.push(answer);
            }
        }
        return Ok(answers.join("|"));
    }
    Ok(said(done(&parts)?))
}

fn said(done: Result<String, Error>) -> String {
    done.unwrap_or_else(|error| format!("failed: {}", error.name()))
}

fn done(parts: &[&str]) -> Result<Result<String, Error>, String> {
    let ok = |()| "ok".to_owned();
    Ok(match parts {
        ["read", path] => fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        ["size", path] => fs::read(path).map(|bytes| bytes.len().to_string()),
        ["write", path, text] => fs::write(path, text.as_bytes()).map(ok),
        ["fill", path, bytes] => {
            let bytes = bytes.parse().map_err(|_| "usage: fill PATH BYTES")?;
            fs::write(path, &vec![b'x'; bytes]).map(ok)
        }
        ["list", path] => fs::entries(path).map(|entries| {
            let shown = entries
                .iter()
                .map(|entry| format!("{}:{:?}", entry.name, entry.kind));
            shown.collect::<Vec<_>>().join(" ")
        }),
        ["stat", path] => fs::stat(path).map(|stat| format!("{:?} {}", stat.kind, stat.size)),
        ["mkdir", path] => fs::make_directory(path).map(ok),
        ["remove", path] => fs::remove(path).map(ok),
        ["rename", from, to] => fs::rename(from, to).map(ok),
        _ => return Err(format!("no act {parts:?}")),
    })
}

export!(Plugin);
