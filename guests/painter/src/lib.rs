//! Writes to its own standard output, then runs a command, as often as it is told.
//!
//! ```text
//! TEXT PROGRAM [ARG]... [;; TEXT PROGRAM [ARG]...]...
//! ```
//! Answers `status=…` or `error=…`, a line for each command.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

use portcullis::cli::process::{ExecRequest, exec};

struct Plugin;

impl Guest for Plugin {
    fn run(args: Vec<String>) -> Result<String, String> {
        let mut answers = String::new();
        for words in args.split(|arg| arg == ";;") {
            let [text, program, args @ ..] = words else {
                return Err("usage: TEXT PROGRAM [ARG]... [;; …]".to_owned());
            };
            paint(text);
            let answer = exec(&ExecRequest {
                program: program.clone(),
                args: args.to_vec(),
                cwd: None,
                env: Vec::new(),
                inherit_env: false,
                stdin: None,
            });
            answers.push_str(&match answer {
                Ok(result) => format!("status={}\n", result.status),
                Err(error) => format!("error={error}\n"),
            });
        }
        Ok(answers)
    }
}

fn paint(text: &str) {
    if text.is_empty() {
        return;
    }
    let stdout = wasip2::cli::stdout::get_stdout();
    for part in text.as_bytes().chunks(4096) {
        // Whether anybody reads it is not what this is about.
        let _ = stdout.blocking_write_and_flush(part);
    }
}

export!(Plugin);
