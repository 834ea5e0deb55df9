//! Never returns: only a deadline ends it.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

struct Plugin;

impl Guest for Plugin {
    fn run(_args: Vec<String>) -> Result<String, String> {
        loop {
            std::hint::spin_loop();
        }
    }
}

export!(Plugin);
