//! Test support: the guests that tests load. For tests only; nothing of it is part of a release.

mod hostile;
mod registry;
mod written;

use std::path::{Path, PathBuf};

pub use hostile::Hostile;
pub use registry::Registry;
pub use written::is_current;

/// The root of the repository.
pub fn repository() -> PathBuf {
    #[expect(
        clippy::expect_used,
        reason = "this crate lies two directories below the root"
    )]
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("a root");
    root.to_owned()
}

/// The component of a test guest (`exec-args`, `spin`, …), built by `cargo xtask guests`.
///
/// # Panics
/// When it was not built.
pub fn guest(name: &str) -> PathBuf {
    let path = repository()
        .join("target/guests")
        .join(name)
        .with_extension("wasm");
    assert!(
        path.is_file(),
        "guest `{name}` is not built: run `cargo xtask guests`"
    );
    path
}

/// The component of a guest that brings its interpreter along, if it was built: a machine may have neither its tool nor
/// the network to fetch that.
pub fn interpreted(name: &str) -> Option<PathBuf> {
    let path = repository()
        .join("target/guests")
        .join(name)
        .with_extension("wasm");
    path.is_file().then_some(path)
}

/// The bytes of a test guest.
///
/// # Panics
/// When it was not built.
pub fn guest_bytes(name: &str) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "documented")]
    std::fs::read(guest(name)).expect("a readable guest")
}

/// A fixture of `guests/wat`, assembled.
///
/// # Panics
/// When there is none of that name, or its text is wrong.
pub fn wat(name: &str) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "documented")]
    wat::parse_file(
        repository()
            .join("guests/wat")
            .join(name)
            .with_extension("wat"),
    )
    .expect("a fixture")
}

/// Names the tests of a module for a test binary with a `main` of its own, which has to call `enter` first:
/// `tests![this_holds, that_is_refused];` makes a constant `TESTS` of names and functions.
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TESTS: &[(&str, fn())] = &[
            $((concat!(module_path!(), "::", stringify!($name)), $name as fn()),)*
        ];
    };
}

/// Assembles a component or module written in the text format.
///
/// # Errors
/// When the text is wrong.
pub fn assemble(text: &[u8]) -> Result<Vec<u8>, wat::Error> {
    wat::parse_bytes(text).map(std::borrow::Cow::into_owned)
}
