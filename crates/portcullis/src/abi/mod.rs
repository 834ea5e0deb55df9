//! Guest interfaces. Each adapter decodes what a guest passed, asks the [`Gate`](crate::gate::Gate), and encodes the
//! answer. No adapter decides.

pub(crate) mod clawft;
pub(crate) mod command;
pub(crate) mod component;
pub(crate) mod core_command;
pub(crate) mod env;
pub(crate) mod fledge;
pub(crate) mod fs;
pub(crate) mod http;
pub(crate) mod keyvalue;
pub(crate) mod kv;
pub(crate) mod log;
pub(crate) mod module;
pub(crate) mod object;
pub(crate) mod packed;
pub(crate) mod place;
pub(crate) mod preview1;
pub(crate) mod prompt;
pub(crate) mod reglet;
pub(crate) mod signature;
pub(crate) mod streams;
pub(crate) mod wasi_command;
pub(crate) mod wasi_http;
