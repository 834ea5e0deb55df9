//! The calls that are measured beside those of another runtime, whose guest does the same: `bench/peers/guest`.
//!
//! ```text
//! (nothing)        answers with nothing
//! echo TEXT        answers with the text
//! join TEXT...     answers with all texts in one
//! exec COUNT       asks for the same command so many times
//! ```

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

use portcullis::cli::process::{ExecRequest, exec};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let mut args = args.into_iter();
        match args.next().as_deref() {
            None => Ok(String::new()),
            Some("echo") => args.next().ok_or_else(|| "echo what?".to_owned()),
            Some("join") => Ok(args.collect()),
            Some("exec") => ask(args
                .next()
                .and_then(|count| count.parse().ok())
                .unwrap_or(1)),
            Some(other) => Err(format!("unknown call `{other}`")),
        }
    }
}

/// Whether a request is allowed changes nothing of what it costs to ask.
fn ask(count: u32) -> Result<String, String> {
    let request = ExecRequest {
        program: "/usr/bin/git".to_owned(),
        args: ["log", "--oneline", "-n5"].map(str::to_owned).to_vec(),
        cwd: None,
        env: Vec::new(),
        inherit_env: false,
        stdin: None,
    };
    let mut ran = 0;
    for _ in 0..count {
        ran += u32::from(exec(&request).is_ok());
    }
    Ok(ran.to_string())
}

export!(Plugin);
