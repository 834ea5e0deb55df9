//! The same as `exec-args`, through `my:cli/process@0.1.0`.

wit_bindgen::generate!({ path: "../wit/my-cli-0.1.0", world: "plugin" });

exec_protocol::plugin!(my::cli::process);
