//! Grows its memory a mebibyte at a time until the host refuses, and says how far it came.

wit_bindgen::generate!({ path: "../../wit/cli-0.1.0", world: "plugin" });

struct Plugin;

/// Pages of 64 KiB.
const STEP: usize = 16;

impl Guest for Plugin {
    /// Returns `pages=N`, the size at which growing failed, in pages of 64 KiB.
    fn run(_args: Vec<String>) -> Result<String, String> {
        while core::arch::wasm32::memory_grow::<0>(STEP) != usize::MAX {}
        Ok(format!("pages={}", core::arch::wasm32::memory_size::<0>()))
    }
}

export!(Plugin);
