//! `portcullis:cli/fs`.

use serde::Serialize;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower};

use crate::capability::fs::{self, FsFailure};
use crate::state::State;

pub(crate) const FS: &str = "portcullis:cli/fs@0.1.0";

#[derive(ComponentType, Lower, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "exists")]
    Exists,
    #[component(name = "not-empty")]
    NotEmpty,
    #[component(name = "not-a-file")]
    NotAFile,
    #[component(name = "not-a-directory")]
    NotADirectory,
    #[component(name = "too-large")]
    TooLarge,
    #[component(name = "limit")]
    Limit,
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "io")]
    Io,
}

impl From<FsFailure> for Error {
    fn from(failure: FsFailure) -> Self {
        match failure {
            FsFailure::NotGranted
            | FsFailure::Outside
            | FsFailure::LinkOutside
            | FsFailure::ReadOnly
            | FsFailure::Protected => Self::Denied,
            FsFailure::NotFound => Self::NotFound,
            FsFailure::Exists => Self::Exists,
            FsFailure::NotEmpty => Self::NotEmpty,
            FsFailure::NotRegular => Self::NotAFile,
            FsFailure::NotDirectory => Self::NotADirectory,
            FsFailure::TooLarge { .. } => Self::TooLarge,
            FsFailure::Rate | FsFailure::Total { .. } => Self::Limit,
            FsFailure::Invalid => Self::Invalid,
            FsFailure::Io(_) | FsFailure::Closed => Self::Io,
        }
    }
}

#[derive(ComponentType, Lower, Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
#[component(enum)]
#[repr(u8)]
pub(crate) enum Kind {
    #[component(name = "file")]
    File,
    #[component(name = "directory")]
    Directory,
    #[component(name = "link")]
    Link,
    #[component(name = "other")]
    Other,
}

impl From<fs::Kind> for Kind {
    fn from(kind: fs::Kind) -> Self {
        match kind {
            fs::Kind::File => Self::File,
            fs::Kind::Directory => Self::Directory,
            fs::Kind::Link => Self::Link,
            fs::Kind::Other => Self::Other,
        }
    }
}

#[derive(ComponentType, Lower, Serialize)]
#[component(record)]
pub(crate) struct Entry {
    name: String,
    kind: Kind,
}

#[derive(ComponentType, Lower, Serialize)]
#[component(record)]
pub(crate) struct Metadata {
    kind: Kind,
    size: u64,
    modified: u64,
}

/// Makes the interface known to the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut fs = linker.instance(FS)?;
    type Store<'a> = StoreContextMut<'a, State>;
    fs.func_wrap_async("read", |mut store: Store<'_>, (path,): (String,)| {
        Box::new(async move {
            let read = store.data_mut().gate.read_file(path).await;
            Ok((read.map_err(Error::from),))
        })
    })?;
    fs.func_wrap_async(
        "write",
        |mut store: Store<'_>, (path, content): (String, Vec<u8>)| {
            Box::new(async move {
                let written = store.data_mut().gate.write_file(path, content).await;
                Ok((written.map_err(Error::from),))
            })
        },
    )?;
    fs.func_wrap_async("entries", |mut store: Store<'_>, (path,): (String,)| {
        Box::new(async move {
            let listed = store.data_mut().gate.list_directory(path).await;
            Ok((listed.map(all).map_err(Error::from),))
        })
    })?;
    fs.func_wrap_async("stat", |mut store: Store<'_>, (path,): (String,)| {
        Box::new(async move {
            let looked = store.data_mut().gate.stat(path).await;
            Ok((looked.map(Metadata::from).map_err(Error::from),))
        })
    })?;
    fs.func_wrap_async(
        "make-directory",
        |mut store: Store<'_>, (path,): (String,)| {
            Box::new(async move {
                let made = store.data_mut().gate.make_directory(path).await;
                Ok((made.map_err(Error::from),))
            })
        },
    )?;
    fs.func_wrap_async("remove", |mut store: Store<'_>, (path,): (String,)| {
        Box::new(async move {
            let removed = store.data_mut().gate.remove(path).await;
            Ok((removed.map_err(Error::from),))
        })
    })?;
    fs.func_wrap_async(
        "rename",
        |mut store: Store<'_>, (from, to): (String, String)| {
            Box::new(async move {
                let renamed = store.data_mut().gate.rename(from, to).await;
                Ok((renamed.map_err(Error::from),))
            })
        },
    )
}

pub(crate) fn all(entries: Vec<fs::Entry>) -> Vec<Entry> {
    entries.into_iter().map(Entry::from).collect()
}

impl From<fs::Entry> for Entry {
    fn from(entry: fs::Entry) -> Self {
        Self {
            name: entry.name,
            kind: entry.kind.into(),
        }
    }
}

impl From<fs::Stat> for Metadata {
    fn from(stat: fs::Stat) -> Self {
        Self {
            kind: stat.kind.into(),
            size: stat.size,
            modified: stat.modified,
        }
    }
}
