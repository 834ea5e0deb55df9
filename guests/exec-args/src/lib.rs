//! Runs the commands its arguments describe, through `portcullis:cli/process@0.1.0`.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

exec_protocol::plugin!(portcullis::cli::process);
