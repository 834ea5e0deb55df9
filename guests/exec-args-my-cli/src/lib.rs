//! The same as `exec-args`, through `my:cli/process`: the name without a version.

wit_bindgen::generate!({ path: "../wit/my-cli", world: "plugin" });

exec_protocol::plugin!(my::cli::process);
