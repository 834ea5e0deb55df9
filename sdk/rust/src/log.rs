//! Lines in the operator's log, by the macros of the crate `log`.
//!
//! ```
//! use portcullis::testing::Host;
//!
//! let host = Host::new();
//! host.run(|| {
//!     portcullis::log::init();
//!     log::info!("{} files", 3);
//! });
//! assert_eq!(host.logged(), [(log::Level::Info, "3 files".to_owned())]);
//! ```
//!
//! With the feature `tracing`, events of the crate `tracing` are such lines as well, with their fields behind the message.
//!
//! A line is one line: what would break it is shown as an escape, and what is beyond 4,096 bytes is cut off. Lines beyond what the operator
//! allows in a minute are dropped without a word. Grant: `log`.

use ::log::{LevelFilter, Log, Metadata, Record};

use crate::host;

/// The way into the operator's log.
#[derive(Clone, Copy, Debug)]
struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        host::log_write(record.level(), &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Has all lines of level info and above written into the operator's log, from here on.
pub fn init() {
    init_with(LevelFilter::Info);
}

/// As [`init`], from another level on. Each line counts to what the operator allows, whether it is shown or not.
pub fn init_with(level: LevelFilter) {
    // Who was first stays: a plugin may be called again.
    let _ = ::log::set_logger(&Logger);
    ::log::set_max_level(level);
}
