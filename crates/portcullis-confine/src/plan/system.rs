//! The system: what every confined command may read and execute, unless its programs are listed.

use std::path::Path;

/// Directories of programs and libraries, where the system has them.
pub(crate) const DIRECTORIES: [&str; 8] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
];

/// Whether a real path lies in the system's directories, which every cell has, read-only.
#[must_use]
pub fn is_system(path: &Path) -> bool {
    DIRECTORIES
        .iter()
        .any(|directory| path.starts_with(directory))
}
