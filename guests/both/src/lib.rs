//! Does one thing after the other with files, itself or by a shell, and answers a line for each.
//!
//! ```text
//! read PATH | write PATH TEXT    by `portcullis:cli/fs`
//! sh SCRIPT                      by `portcullis:cli/process`: what it printed
//! ```
//! Each argument is one act; its parts are separated by U+001F.

wit_bindgen::generate!({
    path: "../../wit/cli-0.1.0",
    inline: "
        package test:both;

        world both {
            import portcullis:cli/fs@0.1.0;
            import portcullis:cli/process@0.1.0;
            export run: func(args: list<string>) -> result<string, string>;
        }
    ",
    world: "test:both/both",
    generate_all,
});

use portcullis::cli::fs;
use portcullis::cli::process::{ExecRequest, exec};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let lines: Result<Vec<_>, _> = args.iter().map(|act| done(act)).collect();
        Ok(lines?.join("\n"))
    }
}

fn done(act: &str) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    match act.split('\u{1f}').collect::<Vec<_>>()[..] {
        ["read", path] => fs::read(path)
            .map(text)
            .map_err(|error| error.name().to_owned()),
        ["write", path, content] => fs::write(path, content.as_bytes())
            .map(|()| "ok".to_owned())
            .map_err(|error| error.name().to_owned()),
        ["sh", script] => exec(&ExecRequest {
            program: "sh".to_owned(),
            args: vec!["-c".to_owned(), script.to_owned()],
            cwd: None,
            env: Vec::new(),
            inherit_env: false,
            stdin: None,
        })
        .map(|result| text(result.stdout)),
        _ => Err(format!("usage: read | write | sh, not {act:?}")),
    }
}

export!(Plugin);
