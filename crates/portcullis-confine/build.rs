//! Says once which platforms have cells, as `cfg(cells)`.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo tells a build script everything in its environment"
)]

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(cells)");
    // Builds as on a platform without them, to check that it can be built there.
    println!("cargo::rerun-if-env-changed=PORTCULLIS_NO_CELLS");
    let is =
        |name: &str, values: &[&str]| env::var(name).is_ok_and(|value| values.contains(&&*value));
    let linux = is("CARGO_CFG_TARGET_OS", &["linux"]);
    let known = is("CARGO_CFG_TARGET_ARCH", &["x86_64", "aarch64"]);
    if linux && known && env::var_os("PORTCULLIS_NO_CELLS").is_none() {
        println!("cargo::rustc-cfg=cells");
    }
}
