//! Sets two variables for all its commands, then overrides one of them in a call.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin-with-overlay" });

use portcullis::cli::process::{ExecRequest, exec};

struct Plugin;

impl Guest for Plugin {
    fn env_overlay() -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            pair("OVERLAY_ONE", "overlay"),
            pair("OVERLAY_BOTH", "overlay"),
        ]
    }

    /// Returns what `env` prints.
    fn run(_args: Vec<String>) -> Result<String, String> {
        let result = exec(&ExecRequest {
            program: "env".to_owned(),
            args: Vec::new(),
            cwd: None,
            env: vec![("OVERLAY_BOTH".to_owned(), "call".to_owned())],
            inherit_env: false,
            stdin: None,
        })?;
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    }
}

export!(Plugin);
