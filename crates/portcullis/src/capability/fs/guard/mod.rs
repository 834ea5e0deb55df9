//! In front of the guest's own files, by WASI 0.2 and preview 1: what others execute is not changed, though the directory may
//! be written.
//!
//! Wasmtime's implementation of `wasi:filesystem/types` does everything; each call that changes a name, or opens one to
//! write, first goes to the gate. It is then carried out in the very directory that was decided on. Only this opens files,
//! and counts what is written to them, what is held, and how often a name is looked up to open or to change it.

mod descriptor;
mod handles;
mod open;
mod room;
mod streams;

use std::path::PathBuf;
use std::sync::Arc;

use portcullis_audit::Masked;
use portcullis_policy::{
    Authorized, Capability, ChangeRequest, Code, Denial, FsAct, Grants, GuestError,
};
use rustix::fs::FileType;
use rustix::io::Errno;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, DirectoryEntry, DirectoryEntryStream, ErrorCode, Host, HostDirectoryEntryStream,
};
use wasmtime_wasi::p2::{FsError, FsResult};

use super::named::NamedByGit;
use super::spot::Spot;
use super::total::Spent;
use crate::gate::Gate;
use crate::state::State;
pub(crate) use handles::Handles;

/// Puts the guard in the place of Wasmtime's own `wasi:filesystem/types`.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<State, Guarded>(linker, guard)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// The files of an instance.
pub(crate) fn guard(state: &mut State) -> FsGuard<'_> {
    FsGuard {
        inner: WasiFilesystemCtxView {
            ctx: state.wasi.filesystem(),
            table: &mut state.table,
        },
        gate: &mut state.gate,
        handles: &mut state.handles,
    }
}

struct Guarded;

impl HasData for Guarded {
    type Data<'a> = FsGuard<'a>;
}

/// One instance's files, behind its gate.
pub(crate) struct FsGuard<'a> {
    inner: WasiFilesystemCtxView<'a>,
    gate: &'a mut Gate,
    handles: &'a mut Handles,
}

type Fd = Resource<Descriptor>;

/// What the guest names, and how.
#[derive(Clone, Debug)]
struct Named {
    /// Relative to a directory it has opened.
    path: String,
    act: FsAct,
    /// Whether a link in the last place stands for what it leads to.
    follow: bool,
}

/// A change that was allowed, and where it takes place.
struct Allowed {
    /// The directory, as a descriptor for one call.
    dir: Fd,
    name: String,
    _authorized: Authorized<ChangeRequest>,
}

/// What a request is made with, where that may take a while.
struct Asked {
    grants: Arc<Grants>,
    by_git: Arc<NamedByGit>,
    own: Option<PathBuf>,
}

impl Asked {
    fn request(&self, spot: &Spot, act: FsAct) -> ChangeRequest {
        let request = spot.request(act, &self.grants.protect);
        let own = self.own.as_ref();
        if own.is_some_and(|own| request.path.starts_with(own)) {
            return ChangeRequest {
                own: true,
                ..request
            };
        }
        self.by_git.with(&self.grants, request)
    }
}

impl FsGuard<'_> {
    fn asked(&self) -> Asked {
        Asked {
            grants: self.gate.grants(),
            by_git: self.gate.named_by_git(),
            own: self.gate.own_data(),
        }
    }

    /// A directory that may be written. `None` for everything that Wasmtime refuses by itself.
    fn writable(&self, fd: &Fd) -> FsResult<Option<Dir>> {
        Ok(match self.inner.table.get(fd)? {
            Descriptor::Dir(dir) if !dir.perms.write_not_permitted() => Some(dir.clone()),
            Descriptor::Dir(_) | Descriptor::File(_) => None,
        })
    }

    /// Finds where a change takes place, and asks whether it may.
    async fn ask(&mut self, dir: &Dir, named: Named) -> FsResult<Allowed> {
        let (spot, request) = self.look(dir, named).await?;
        self.count_name(&spot, &request).await?;
        self.allow(dir, spot, request)
    }

    async fn look(&mut self, dir: &Dir, named: Named) -> FsResult<(Spot, ChangeRequest)> {
        let asked = self.asked();
        let from = Arc::clone(&dir.dir);
        let path = named.path.clone();
        let look = move || {
            let spot = Spot::find(&from, &named.path, named.follow)?;
            let request = asked.request(&spot, named.act);
            Ok(fits(&spot, named.act).map(|()| (spot, request)))
        };
        match blocking(look).await? {
            Ok(found) => found.map_err(FsError::from),
            Err(errno) => Err(self.lost(&path, errno)),
        }
    }

    /// What a guest is told of an error of the system. The operator is told of one that is not the guest's.
    fn lost(&mut self, path: &str, errno: Errno) -> FsError {
        match errno {
            // The path leads out of what was granted.
            Errno::XDEV => ErrorCode::NotPermitted.into(),
            Errno::NOSYS => {
                self.gate.unplaced(path);
                ErrorCode::NotPermitted.into()
            }
            errno => std::io::Error::from(errno).into(),
        }
    }

    /// Counts a call, which a rate may not leave room for.
    fn count(&mut self, function: &'static str, path: &str) -> FsResult<()> {
        let counted = self.gate.count(Capability::Fs, function, path);
        counted.map_err(|refused| match refused.code {
            Some(_) => ErrorCode::Quota.into(),
            None => ErrorCode::Io.into(),
        })
    }

    /// Refuses what would be one too many of what an instance holds.
    fn too_many(&mut self, function: &'static str, object: &str, most: String) -> FsError {
        let denial = Denial {
            code: Code::FsHandles,
            plugin: self.gate.grants().plugin.clone(),
            capability: Capability::Fs,
            action: format!(
                "{function} `{}` now",
                Masked::new(object).as_str().escape_debug()
            ),
            object: object.to_owned(),
            notes: vec![most],
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Limit,
        };
        let used = self
            .gate
            .uncounted(Capability::Fs, function, Masked::new(object));
        match self.gate.refused(&used, denial) {
            Ok(_) => ErrorCode::Quota.into(),
            Err(_) => ErrorCode::Io.into(),
        }
    }

    fn decide(
        &mut self,
        spot: &Spot,
        request: ChangeRequest,
    ) -> FsResult<Authorized<ChangeRequest>> {
        let changes_nothing = spot.kind.is_none() && !request.act.creates();
        if changes_nothing {
            return Err(ErrorCode::NoEntry.into());
        }
        let authorized = self
            .gate
            .change(request)
            .map_err(|_| ErrorCode::NotPermitted)?;
        Ok(authorized)
    }

    fn allow(&mut self, dir: &Dir, spot: Spot, request: ChangeRequest) -> FsResult<Allowed> {
        let authorized = self.decide(&spot, request)?;
        let parent = Dir::new(spot.parent, dir.perms, dir.open_mode, false);
        Ok(Allowed {
            dir: self.inner.table.push(Descriptor::Dir(parent))?,
            name: spot.name,
            _authorized: authorized,
        })
    }

    fn done(&mut self, allowed: Fd) -> FsResult<()> {
        self.inner.table.delete(allowed)?;
        Ok(())
    }
}

/// Runs what may block on a thread of its own, so that a file system that hangs does not keep deadlines from passing.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> FsResult<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ErrorCode::Io.into())
}

/// A path that ends in a slash means a directory. The slash itself is not passed on.
fn fits(spot: &Spot, act: FsAct) -> Result<(), ErrorCode> {
    if !spot.must_be_directory || spot.kind == Some(FileType::Directory) {
        return Ok(());
    }
    match (spot.kind, act) {
        (None, FsAct::MakeDirectory | FsAct::RenameTo) => Ok(()),
        (None, FsAct::Write) => Err(ErrorCode::IsDirectory),
        (None, _) => Err(ErrorCode::NoEntry),
        (Some(_), _) => Err(ErrorCode::NotDirectory),
    }
}

impl Host for FsGuard<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        if self.inner.table.get(&error)?.is::<Spent>() {
            return Ok(Some(ErrorCode::Quota));
        }
        self.inner.filesystem_error_code(error)
    }
}

impl HostDirectoryEntryStream for FsGuard<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.handles.listing_is_over(stream.rep());
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}
