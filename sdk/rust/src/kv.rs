//! Keys and values that the plugin keeps from one run to the next. They are its own: no other plugin and no command reaches them.
//!
//! Several instances may use them at once. Each call is done whole or not at all, and on disk when it returns.
//!
//! ```
//! use portcullis::kv;
//! use portcullis::testing::Host;
//!
//! Host::new().run(|| {
//!     kv::set("runs", "1")?;
//!     assert!(kv::compare_and_swap("runs", Some(b"1"), "2")?);
//!     assert_eq!(kv::get("runs")?.as_deref(), Some(&b"2"[..]));
//!     assert_eq!(kv::keys("").collect::<Result<Vec<_>, _>>()?, ["runs"]);
//!     # Ok::<_, portcullis::Error>(())
//! })?;
//! # Ok::<_, portcullis::Error>(())
//! ```
//!
//! Grant: `kv`. Errors of every function: [`Denied`](crate::ErrorKind::Denied), [`TooLarge`](crate::ErrorKind::TooLarge) for a
//! key of more than 256 bytes or a value that is longer than may be kept, [`Full`](crate::ErrorKind::Full),
//! [`Limit`](crate::ErrorKind::Limit), [`Io`](crate::ErrorKind::Io).

use crate::{Error, Result, host};

/// The value of a key, if it has one.
///
/// # Errors
/// See [the module](self).
pub fn get(key: impl AsRef<str>) -> Result<Option<Vec<u8>>> {
    let key = key.as_ref();
    host::kv_get(key).map_err(|kind| Error::of(format_args!("cannot get the key `{key}`"), kind))
}

/// Gives a key a value, whatever it had.
///
/// # Errors
/// See [the module](self).
pub fn set(key: impl AsRef<str>, value: impl AsRef<[u8]>) -> Result<()> {
    let key = key.as_ref();
    let done = host::kv_set(key, value.as_ref());
    done.map_err(|kind| Error::of(format_args!("cannot set the key `{key}`"), kind))
}

/// Takes a key and its value away. The answer is whether it was there.
///
/// # Errors
/// See [the module](self).
pub fn delete(key: impl AsRef<str>) -> Result<bool> {
    let key = key.as_ref();
    host::kv_delete(key)
        .map_err(|kind| Error::of(format_args!("cannot delete the key `{key}`"), kind))
}

/// Gives a key a value if it has the expected one, or if it has none and none is expected. The answer is whether it did.
///
/// # Errors
/// See [the module](self).
pub fn compare_and_swap(
    key: impl AsRef<str>,
    expected: Option<&[u8]>,
    value: impl AsRef<[u8]>,
) -> Result<bool> {
    let key = key.as_ref();
    let done = host::kv_compare_and_swap(key, expected, value.as_ref());
    done.map_err(|kind| Error::of(format_args!("cannot swap the key `{key}`"), kind))
}

/// The keys that begin with a prefix, in the order of their bytes. They are asked for by the thousand, as they are needed.
pub fn keys(prefix: impl Into<String>) -> Keys {
    Keys {
        prefix: prefix.into(),
        page: Vec::new().into_iter(),
        last: None,
        more: true,
    }
}

/// Keys, each of which may be an error of the kinds that [the module](self) says; there is no other after that.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
    page: std::vec::IntoIter<String>,
    last: Option<String>,
    more: bool,
}

/// As many keys as a host gives at once.
const PAGE: u32 = 1000;

impl Iterator for Keys {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.page.next() {
                return Some(Ok(key));
            }
            if !self.more {
                return None;
            }
            match host::kv_list(&self.prefix, self.last.as_deref(), PAGE) {
                Ok(page) => {
                    self.more = page.more && !page.keys.is_empty();
                    self.last = page.keys.last().cloned();
                    self.page = page.keys.into_iter();
                }
                Err(kind) => {
                    self.more = false;
                    return Some(Err(Error::of("cannot list the keys", kind)));
                }
            }
        }
    }
}
