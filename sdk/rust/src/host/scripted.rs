//! The host that a test has scripted.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Page, Ran, Request, Sinks};
use crate::ErrorKind;
use crate::fs::{DirEntry, Metadata};
use crate::http;
use crate::testing::{self, State};

pub(crate) use crate::testing::{Child, InputStream, OutputStream};

/// # Panics
/// Outside of a test that has one: there is nothing that an answer could be.
fn host() -> Rc<RefCell<State>> {
    let host = testing::current();
    assert!(
        host.is_some(),
        "a native build has no host: call this in `portcullis::testing::Host::run`"
    );
    host.unwrap_or_default()
}

pub(crate) fn exec(request: &Request, stdin: Option<&[u8]>) -> Result<Ran, ErrorKind> {
    testing::run(&host(), request, stdin.unwrap_or_default())
}

pub(crate) fn spawn(request: &Request, sinks: Sinks) -> Result<Child, ErrorKind> {
    testing::spawn(&host(), request, sinks)
}

pub(crate) fn fs_read(path: &str) -> Result<Vec<u8>, ErrorKind> {
    host().borrow().files.read(path)
}

pub(crate) fn fs_write(path: &str, content: &[u8]) -> Result<(), ErrorKind> {
    host().borrow_mut().files.write(path, content)
}

pub(crate) fn fs_entries(path: &str) -> Result<Vec<DirEntry>, ErrorKind> {
    host().borrow().files.entries(path)
}

pub(crate) fn fs_stat(path: &str) -> Result<Metadata, ErrorKind> {
    host().borrow().files.stat(path)
}

pub(crate) fn fs_make_directory(path: &str) -> Result<(), ErrorKind> {
    host().borrow_mut().files.make_directory(path)
}

pub(crate) fn fs_remove(path: &str) -> Result<(), ErrorKind> {
    host().borrow_mut().files.remove(path)
}

pub(crate) fn fs_rename(from: &str, to: &str) -> Result<(), ErrorKind> {
    host().borrow_mut().files.rename(from, to)
}

#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn env_get(name: &str) -> Result<Option<String>, ErrorKind> {
    Ok(host().borrow().vars.get(name).cloned())
}

pub(crate) fn http_send(request: &http::Request) -> Result<http::Response, ErrorKind> {
    let host = host();
    let mut host = host.borrow_mut();
    host.requests.push(request.clone());
    let mut responses = host.responses.iter();
    let fits = responses.find(|(method, url, _)| (method, url) == (&request.method, &request.url));
    fits.map_or(Err(ErrorKind::Denied), |(_, _, response)| response.clone())
}

#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, ErrorKind> {
    Ok(host().borrow().keys.get(key).cloned())
}

#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn kv_set(key: &str, value: &[u8]) -> Result<(), ErrorKind> {
    host()
        .borrow_mut()
        .keys
        .insert(key.to_owned(), value.to_vec());
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn kv_delete(key: &str) -> Result<bool, ErrorKind> {
    Ok(host().borrow_mut().keys.remove(key).is_some())
}

#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn kv_list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, ErrorKind> {
    let host = host();
    let host = host.borrow();
    let keys = host.keys.keys().filter(|key| key.starts_with(prefix));
    let mut rest = keys.filter(|key| after.is_none_or(|after| key.as_str() > after));
    let keys = rest.by_ref().take(limit as usize).cloned().collect();
    Ok(Page {
        keys,
        more: rest.next().is_some(),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn kv_compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
) -> Result<bool, ErrorKind> {
    let host = host();
    let mut host = host.borrow_mut();
    let fits = host.keys.get(key).map(Vec::as_slice) == expected;
    if fits {
        host.keys.insert(key.to_owned(), value.to_vec());
    }
    Ok(fits)
}

/// Without a host there is nobody to read it.
pub(crate) fn log_write(level: log::Level, message: &str) {
    if let Some(host) = testing::current() {
        host.borrow_mut().logged.push((level, message.to_owned()));
    }
}

pub(crate) fn prompt_text(id: &str, _: &str, default: Option<&str>) -> Result<String, ErrorKind> {
    let answer = host().borrow().answers.get(id).cloned();
    answer
        .or_else(|| default.map(str::to_owned))
        .ok_or(ErrorKind::Nobody)
}

#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn prompt_confirm(id: &str, _: &str, default: bool) -> Result<bool, ErrorKind> {
    let answer = host()
        .borrow()
        .answers
        .get(id)
        .map(|answer| answer == "yes");
    Ok(answer.unwrap_or(default))
}

pub(crate) fn prompt_choose(
    id: &str,
    _: &str,
    options: &[String],
    default: Option<u32>,
) -> Result<u32, ErrorKind> {
    if options.is_empty() || default.is_some_and(|default| default as usize >= options.len()) {
        return Err(ErrorKind::Invalid);
    }
    let host = host();
    let host = host.borrow();
    let answer = host
        .answers
        .get(id)
        .and_then(|answer| place(options, answer));
    answer.or(default).ok_or(ErrorKind::Nobody)
}

pub(crate) fn prompt_choose_some(
    id: &str,
    _: &str,
    options: &[String],
    defaults: &[u32],
) -> Result<Vec<u32>, ErrorKind> {
    if options.is_empty()
        || defaults
            .iter()
            .any(|default| *default as usize >= options.len())
    {
        return Err(ErrorKind::Invalid);
    }
    let host = host();
    let host = host.borrow();
    let answer = host.answers.get(id).and_then(|answers| {
        answers
            .split(',')
            .map(|answer| place(options, answer))
            .collect()
    });
    Ok(answer.unwrap_or_else(|| defaults.to_vec()))
}

/// The place of an answer among the options, if it is one of them.
fn place(options: &[String], answer: &str) -> Option<u32> {
    let place = options.iter().position(|option| option == answer)?;
    u32::try_from(place).ok()
}

#[cfg(feature = "fledge")]
#[expect(clippy::unnecessary_wraps, reason = "a real host may refuse")]
pub(crate) fn metadata(
    keys: &[&str],
) -> Result<serde_json::Map<String, serde_json::Value>, ErrorKind> {
    let host = host();
    let host = host.borrow();
    let fact = |key: &&str| {
        (
            (*key).to_owned(),
            host.facts.get(*key).cloned().unwrap_or_default(),
        )
    };
    Ok(keys.iter().map(fact).collect())
}

/// Called before the plugin's function; there is nothing to do.
#[doc(hidden)]
pub fn prepare() {}
