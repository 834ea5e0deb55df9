//! Pages of the documentation that are written from code.

use std::fs;

use crate::repository;

/// Holds a page to what it is written from. With `UPDATE` in the environment it is written first.
///
/// # Panics
/// When the page says something else.
pub fn is_current(page: &str, text: &str) {
    let path = repository().join(page);
    if std::env::vars_os().any(|(name, _)| name == "UPDATE") {
        #[expect(clippy::expect_used, reason = "documented")]
        fs::write(&path, text).expect("a page that can be written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "`{page}` is out of date: run this test with UPDATE=1 to write it"
    );
}
