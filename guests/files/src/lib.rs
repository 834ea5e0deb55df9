//! Does one thing after the other by `portcullis:cli/fs` and answers a line for each: what it got, or `failed: KIND`.
//!
//! ```text
//! read PATH | write PATH TEXT | fill PATH BYTES | list PATH | stat PATH | mkdir PATH | remove PATH | rename FROM TO
//! again TIMES read PATH       how often it got an answer, and the answers that differ
//! again TIMES write PATH TEXT
//! wasi-write PATH TEXT        by WASI, from the first preopened directory
//! flood VERB TIMES LENGTH
//! ```
//! Each argument is one act; its parts are separated by U+001F, so that a path may be anything.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-files" });

use portcullis::cli::fs::{self, Error};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

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

fn by_wasi(path: &str, text: &str) -> Result<(), ErrorCode> {
    let (dir, _) = get_directories().swap_remove(0);
    let (open, write) = (
        OpenFlags::CREATE | OpenFlags::TRUNCATE,
        DescriptorFlags::WRITE,
    );
    let file = dir.open_at(PathFlags::SYMLINK_FOLLOW, path, open, write)?;
    file.write(text.as_bytes(), 0).map(drop)
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
        ["wasi-write", path, text] => Ok(
            by_wasi(path, text).map_or_else(|code| code.name().to_owned(), |()| "ok".to_owned())
        ),
        // As many that are not granted, each of another name of this length.
        ["flood", verb, times, length] => {
            let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
            let (times, mut name) = (number(times)?, "N".repeat(number(length)?));
            for time in 0..times {
                name.replace_range(..11, &format!("/{time:010}"));
                if done(&[verb, &name])?.is_ok() {
                    return Err(format!("{name} is there"));
                }
            }
            Ok(times.to_string())
        }
        ["mkdir", path] => fs::make_directory(path).map(ok),
        ["remove", path] => fs::remove(path).map(ok),
        ["rename", from, to] => fs::rename(from, to).map(ok),
        _ => return Err(format!("no act {parts:?}")),
    })
}

export!(Plugin);
