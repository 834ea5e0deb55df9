//! Runs `env` through a context, and again through a second one, to show that contexts do not share.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-context" });

use portcullis::cli::process::ExecRequest;
use portcullis::cli::process_context::Context;

struct Plugin;

impl Guest for Plugin {
    /// Each argument `NAME=VALUE` is set in the first context, after its own two variables. Returns what `env`
    /// prints under the first context, a line `--`, and what it prints under the second.
    fn run(args: Vec<String>) -> Result<String, String> {
        let first = Context::new();
        first.set_env("CONTEXT_ONE", "context");
        first.set_env("CONTEXT_BOTH", "context");
        for arg in &args {
            let (name, value) = arg.split_once('=').unwrap_or((arg, ""));
            first.set_env(name, value);
        }
        let second = Context::new();
        Ok(format!("{}--\n{}", env(&first)?, env(&second)?))
    }
}

fn env(context: &Context) -> Result<String, String> {
    let result = context.exec(&ExecRequest {
        program: "env".to_owned(),
        args: Vec::new(),
        cwd: None,
        env: vec![("CONTEXT_BOTH".to_owned(), "call".to_owned())],
        inherit_env: false,
        stdin: None,
    })?;
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

export!(Plugin);
