//! Does nothing: the floor under every measurement.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

struct Plugin;

impl Guest for Plugin {
    fn run(_args: Vec<String>) -> Result<String, String> {
        Ok(String::new())
    }
}

export!(Plugin);
