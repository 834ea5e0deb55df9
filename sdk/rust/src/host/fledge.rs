//! A host of fledge, by its functions and by preview 1 of WASI, which has the files. What it has no word for is unsupported.

use std::io;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{Outcome, Page, Ran, Request, Sinks};
use crate::ErrorKind;
use crate::fs::{DirEntry, FileType, Kind, Metadata};
use crate::http;
use crate::process::{Exit, ExitStatus};

#[allow(unsafe_code, reason = "the host's functions take places in memory")]
mod raw {
    mod host {
        #[link(wasm_import_module = "fledge")]
        unsafe extern "C" {
            pub(super) fn recv(at: *mut u8, room: i32) -> i32;
            pub(super) fn send(at: *const u8, length: i32);
            pub(super) fn exit(code: i32) -> !;
            pub(super) fn exec(at: *const u8, length: i32) -> i32;
            pub(super) fn store_set(at: *const u8, length: i32);
            pub(super) fn store_get(at: *const u8, length: i32) -> i32;
            pub(super) fn metadata(at: *const u8, length: i32) -> i32;
        }
    }

    /// The length as the host takes it: no memory of a plugin is larger.
    fn length(bytes: &[u8]) -> i32 {
        i32::try_from(bytes.len()).unwrap_or(i32::MAX)
    }

    /// Everything that waits for the plugin.
    pub(super) fn recv() -> Vec<u8> {
        let (mut all, mut part) = (Vec::new(), [0; 4096]);
        loop {
            // SAFETY: the host writes at most as many bytes as there is room for.
            let read = unsafe { host::recv(part.as_mut_ptr(), length(&part)) };
            let read = usize::try_from(read).unwrap_or(0).min(part.len());
            if read == 0 {
                return all;
            }
            all.extend_from_slice(&part[..read]);
        }
    }

    pub(super) fn exit(code: i32) -> ! {
        // SAFETY: the host ends the plugin.
        unsafe { host::exit(code) }
    }

    /// Functions that take bytes; what they answer is received.
    macro_rules! takes {
        ($($name:ident)*) => {$(
            pub(super) fn $name(bytes: &[u8]) {
                // SAFETY: the host reads these bytes and no others.
                _ = unsafe { host::$name(bytes.as_ptr(), length(bytes)) };
            }
        )*};
    }
    takes! { send exec store_set store_get metadata }
}

/// What a plugin exports: the same trait as that of a component.
#[doc(hidden)]
#[allow(unreachable_pub, reason = "what the attribute writes down reaches it")]
pub mod bindings {
    pub trait Guest {
        fn run(args: Vec<String>) -> Result<String, String>;
    }

    /// The start of a plugin of fledge, exported from a library: the linker has it call what has to be called before.
    #[doc(hidden)]
    #[macro_export]
    macro_rules! __export {
        ($plugin:ident with_types_in $($path:tt)*) => {
            #[allow(unsafe_code, reason = "it is what the host calls")]
            #[unsafe(export_name = "_start")]
            extern "C" fn start() {
                $($path)*::start(<$plugin as $($path)*::Guest>::run);
            }
        };
    }
    pub use __export as export;

    /// Does the plugin's work, as fledge has it: the arguments come with the first message, and the text is one.
    pub fn start(run: fn(Vec<String>) -> Result<String, String>) {
        let init = super::received();
        let args = init["args"].as_array().into_iter().flatten();
        let args = args.filter_map(super::Value::as_str).map(str::to_owned);
        match run(args.collect()) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => {
                super::say(&super::json!({ "type": "output", "text": format!("{text}\n") }));
            }
            Err(why) => {
                super::log_write(log::Level::Error, &why);
                super::raw::exit(1);
            }
        }
    }
}

/// Called before the plugin's function: fledge shows nobody what is written to standard error.
#[doc(hidden)]
pub fn prepare() {
    std::panic::set_hook(Box::new(|panic| {
        log_write(log::Level::Error, &panic.to_string());
    }));
}

fn say(message: &Value) {
    raw::send(message.to_string().as_bytes());
}

fn received() -> Value {
    serde_json::from_slice(&raw::recv()).unwrap_or_default()
}

/// What a person answered, or nothing.
fn answer(question: &Value) -> Value {
    say(question);
    received()["value"].take()
}

/// A child beside the plugin, which fledge does not have.
#[derive(Debug)]
pub(crate) enum Child {}

impl Child {
    pub(crate) fn stdin(&self) -> Option<OutputStream> {
        match *self {}
    }

    pub(crate) fn stdout(&self) -> Option<InputStream> {
        match *self {}
    }

    pub(crate) fn stderr(&self) -> Option<InputStream> {
        match *self {}
    }

    pub(crate) fn wait(&self) -> Result<Outcome, ErrorKind> {
        match *self {}
    }

    pub(crate) fn try_wait(&self) -> Option<Result<Outcome, ErrorKind>> {
        match *self {}
    }

    pub(crate) fn kill(&self) {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum InputStream {}

impl io::Read for InputStream {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum OutputStream {}

impl io::Write for OutputStream {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        match *self {}
    }

    fn flush(&mut self) -> io::Result<()> {
        match *self {}
    }
}

/// A word as a shell and a host without one read it: nothing in it means anything.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

pub(crate) fn exec(request: &Request, stdin: Option<&[u8]>) -> Result<Ran, ErrorKind> {
    if stdin.is_some() || !request.env.is_empty() {
        return Err(ErrorKind::Unsupported);
    }
    if request.program.is_empty() || request.args.iter().any(|arg| arg.contains('\0')) {
        return Err(ErrorKind::Invalid);
    }
    let words = [&request.program].into_iter().chain(&request.args);
    let line: Vec<_> = words.map(|word| quoted(word)).collect();
    let mut asked = json!({ "command": line.join(" ") });
    if let Some(cwd) = &request.cwd {
        asked["cwd"] = cwd.as_str().into();
    }
    if let Some(timeout) = request.timeout {
        // It takes whole seconds.
        asked["timeout"] = timeout
            .as_millis()
            .div_ceil(1000)
            .try_into()
            .unwrap_or(u64::MAX)
            .into();
    }
    raw::exec(asked.to_string().as_bytes());
    let answer = received();
    let exit = match answer["code"].as_u64() {
        Some(124) => Exit::TimedOut,
        Some(126) => return Err(ErrorKind::Denied),
        Some(127) => return Err(ErrorKind::NotFound),
        Some(code) => Exit::Exited(u8::try_from(code).unwrap_or(u8::MAX)),
        None => return Err(ErrorKind::Io),
    };
    let text = |name: &str| {
        answer[name]
            .as_str()
            .unwrap_or_default()
            .as_bytes()
            .to_vec()
    };
    Ok(Ran {
        outcome: Outcome {
            status: ExitStatus(exit),
            stdout_truncated: false,
            stderr_truncated: false,
            duration: Duration::ZERO,
        },
        stdout: text("stdout"),
        stderr: text("stderr"),
    })
}

pub(crate) fn spawn(_: &Request, _: Sinks) -> Result<Child, ErrorKind> {
    Err(ErrorKind::Unsupported)
}

/// Where the project is for a plugin of fledge.
fn place(path: &str) -> std::path::PathBuf {
    std::path::Path::new("/project").join(path)
}

fn done<T>(result: io::Result<T>) -> Result<T, ErrorKind> {
    result.map_err(|error| match error.raw_os_error() {
        // A directory that was not granted is none that preview 1 knows of.
        None | Some(NOT_CAPABLE) => ErrorKind::Denied,
        Some(_) => error.kind().into(),
    })
}

/// The number of preview 1 for what a directory was not granted for.
const NOT_CAPABLE: i32 = 76;

pub(crate) fn fs_read(path: &str) -> Result<Vec<u8>, ErrorKind> {
    done(std::fs::read(place(path)))
}

pub(crate) fn fs_write(path: &str, content: &[u8]) -> Result<(), ErrorKind> {
    done(std::fs::write(place(path), content))
}

pub(crate) fn fs_entries(path: &str) -> Result<Vec<DirEntry>, ErrorKind> {
    let mut entries = Vec::new();
    for entry in done(std::fs::read_dir(place(path)))? {
        let entry = done(entry)?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push(DirEntry {
                name,
                kind: kind(done(entry.file_type())?),
            });
        }
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

pub(crate) fn fs_stat(path: &str) -> Result<Metadata, ErrorKind> {
    let metadata = done(std::fs::metadata(place(path)))?;
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let modified = modified.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    Ok(Metadata {
        kind: kind(metadata.file_type()),
        size: metadata.len(),
        modified,
    })
}

fn kind(kind: std::fs::FileType) -> FileType {
    FileType(match kind {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
    })
}

pub(crate) fn fs_make_directory(path: &str) -> Result<(), ErrorKind> {
    done(std::fs::create_dir(place(path)))
}

pub(crate) fn fs_remove(path: &str) -> Result<(), ErrorKind> {
    let path = place(path);
    let is_directory = done(std::fs::symlink_metadata(&path))?.is_dir();
    done(if is_directory {
        std::fs::remove_dir(path)
    } else {
        std::fs::remove_file(path)
    })
}

pub(crate) fn fs_rename(from: &str, to: &str) -> Result<(), ErrorKind> {
    done(std::fs::rename(place(from), place(to)))
}

pub(crate) fn metadata(keys: &[&str]) -> Result<Map<String, Value>, ErrorKind> {
    raw::metadata(json!(keys).to_string().as_bytes());
    match received() {
        Value::Object(facts) => Ok(facts),
        _ => Err(ErrorKind::Io),
    }
}

pub(crate) fn env_get(name: &str) -> Result<Option<String>, ErrorKind> {
    let facts = metadata(&["env"])?;
    let value = facts.get("env").and_then(|env| env[name].as_str());
    Ok(value.map(str::to_owned))
}

pub(crate) fn http_send(_: &http::Request) -> Result<http::Response, ErrorKind> {
    Err(ErrorKind::Unsupported)
}

#[expect(clippy::unnecessary_wraps, reason = "another host may refuse")]
pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, ErrorKind> {
    raw::store_get(key.as_bytes());
    Ok(received().as_str().map(|value| value.as_bytes().to_vec()))
}

/// Values are text there, and one that is not kept ends the plugin.
pub(crate) fn kv_set(key: &str, value: &[u8]) -> Result<(), ErrorKind> {
    let value = std::str::from_utf8(value).map_err(|_| ErrorKind::Invalid)?;
    raw::store_set(json!({ "key": key, "value": value }).to_string().as_bytes());
    Ok(())
}

pub(crate) fn kv_delete(_: &str) -> Result<bool, ErrorKind> {
    Err(ErrorKind::Unsupported)
}

pub(crate) fn kv_list(_: &str, _: Option<&str>, _: u32) -> Result<Page, ErrorKind> {
    Err(ErrorKind::Unsupported)
}

pub(crate) fn kv_compare_and_swap(_: &str, _: Option<&[u8]>, _: &[u8]) -> Result<bool, ErrorKind> {
    Err(ErrorKind::Unsupported)
}

pub(crate) fn log_write(level: log::Level, message: &str) {
    let level = level.as_str().to_ascii_lowercase();
    say(&json!({ "type": "log", "level": level, "message": message }));
}

pub(crate) fn prompt_text(
    id: &str,
    message: &str,
    default: Option<&str>,
) -> Result<String, ErrorKind> {
    let value =
        answer(&json!({ "type": "prompt", "id": id, "message": message, "default": default }));
    value.as_str().map(str::to_owned).ok_or(ErrorKind::Nobody)
}

pub(crate) fn prompt_confirm(id: &str, message: &str, default: bool) -> Result<bool, ErrorKind> {
    let value =
        answer(&json!({ "type": "confirm", "id": id, "message": message, "default": default }));
    value.as_bool().ok_or(ErrorKind::Nobody)
}

pub(crate) fn prompt_choose(
    id: &str,
    message: &str,
    options: &[String],
    default: Option<u32>,
) -> Result<u32, ErrorKind> {
    let question = json!({ "type": "select", "id": id, "message": message, "options": options, "default": default });
    chosen(options, &answer(&question)).ok_or(ErrorKind::Nobody)
}

pub(crate) fn prompt_choose_some(
    id: &str,
    message: &str,
    options: &[String],
    defaults: &[u32],
) -> Result<Vec<u32>, ErrorKind> {
    let question = json!({ "type": "multi_select", "id": id, "message": message, "options": options, "defaults": defaults });
    let value = answer(&question);
    let values = value.as_array().ok_or(ErrorKind::Nobody)?;
    values
        .iter()
        .map(|value| chosen(options, value).ok_or(ErrorKind::Io))
        .collect()
}

/// The place of an option; fledge answers with its text.
fn chosen(options: &[String], value: &Value) -> Option<u32> {
    let place = options
        .iter()
        .position(|option| Some(option.as_str()) == value.as_str())?;
    u32::try_from(place).ok()
}
