//! In front of the guest's own files: what others execute is not changed, though the directory may be written.
//!
//! Wasmtime's implementation of `wasi:filesystem/types` does everything; each call that changes a name, or opens one to
//! write, first goes to the gate. It is then carried out in the very directory that was decided on. Reading is left as
//! it is, and so is all that is done with a file once it is open: only this opens files to write.

mod named;
mod spot;

use std::fs::File;
use std::sync::Arc;

use portcullis_policy::{Authorized, ChangeRequest, FsAct};
use rustix::fs::FileType;
use rustix::io::Errno;
use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, Dir, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, Filesize, Host, HostDescriptor, HostDirectoryEntryStream,
    MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};

use crate::gate::Gate;
use crate::state::State;
pub(crate) use named::NamedByGit;
use spot::{Named, Spot};

/// Puts the guard in the place of Wasmtime's own `wasi:filesystem/types`.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<State, Guarded>(linker, |state| FsGuard {
        inner: WasiFilesystemCtxView {
            ctx: state.wasi.filesystem(),
            table: &mut state.table,
        },
        gate: &mut state.gate,
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

struct Guarded;

impl HasData for Guarded {
    type Data<'a> = FsGuard<'a>;
}

/// One instance's files, behind its gate.
pub(crate) struct FsGuard<'a> {
    inner: WasiFilesystemCtxView<'a>,
    gate: &'a mut Gate,
}

type Fd = Resource<Descriptor>;

/// A change that was allowed, and where it takes place.
struct Allowed {
    /// The directory, as a descriptor for one call.
    dir: Fd,
    name: String,
    _authorized: Authorized<ChangeRequest>,
}

impl FsGuard<'_> {
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
        self.allow(dir, spot, request)
    }

    async fn look(&mut self, dir: &Dir, named: Named) -> FsResult<(Spot, ChangeRequest)> {
        let (grants, by_git) = (self.gate.grants(), self.gate.named_by_git());
        let from = Arc::clone(&dir.dir);
        let look = move || {
            let spot = Spot::find(&from, &named).map_err(told)?;
            fits(&spot, &named)?;
            let request = spot.request(named.act, &grants.protect);
            Ok((spot, by_git.with(&grants, request)))
        };
        blocking(look).await
    }

    fn allow(&mut self, dir: &Dir, spot: Spot, request: ChangeRequest) -> FsResult<Allowed> {
        let changes_nothing = spot.kind.is_none() && !request.act.creates();
        if changes_nothing {
            return Err(ErrorCode::NoEntry.into());
        }
        let authorized = self
            .gate
            .change(request)
            .map_err(|_| ErrorCode::NotPermitted)?;
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
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> FsResult<T> + Send + 'static,
) -> FsResult<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(ErrorCode::Io.into()))
}

/// A path that ends in a slash means a directory. The slash itself is not passed on.
fn fits(spot: &Spot, named: &Named) -> FsResult<()> {
    if !spot.must_be_directory || spot.kind == Some(FileType::Directory) {
        return Ok(());
    }
    match (spot.kind, named.act) {
        (None, FsAct::MakeDirectory | FsAct::RenameTo) => Ok(()),
        (None, FsAct::Write) => Err(ErrorCode::IsDirectory.into()),
        (None, _) => Err(ErrorCode::NoEntry.into()),
        (Some(_), _) => Err(ErrorCode::NotDirectory.into()),
    }
}

fn named(path: String, act: FsAct) -> Named {
    Named {
        path,
        act,
        follow: false,
    }
}

/// What a guest is told of an error of the system. A path that leads out of what was granted is not permitted.
fn told(errno: Errno) -> FsError {
    match errno {
        Errno::XDEV => ErrorCode::NotPermitted.into(),
        errno => std::io::Error::from(errno).into(),
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
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}

impl HostDescriptor for FsGuard<'_> {
    async fn open_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Fd> {
        let writes = open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE)
            || flags.contains(DescriptorFlags::WRITE);
        let dir = self.writable(&fd)?.filter(|_| writes);
        let Some(dir) = dir else {
            return self
                .inner
                .open_at(fd, path_flags, path, open_flags, flags)
                .await;
        };
        let wanted = Named {
            path,
            act: FsAct::Write,
            follow: path_flags.contains(PathFlags::SYMLINK_FOLLOW),
        };
        let (spot, request) = self.look(&dir, wanted).await?;
        if spot.kind.is_none() && !open_flags.contains(OpenFlags::CREATE) {
            return Err(ErrorCode::NoEntry.into());
        }
        let at = self.allow(&dir, spot, request)?;
        let here = Resource::new_borrow(at.dir.rep());
        let opened = self
            .inner
            .open_at(here, PathFlags::empty(), at.name, open_flags, flags);
        let opened = opened.await;
        self.done(at.dir)?;
        opened
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let Some(dir) = self.writable(&fd)? else {
            return self.inner.create_directory_at(fd, path).await;
        };
        let at = self.ask(&dir, named(path, FsAct::MakeDirectory)).await?;
        let here = Resource::new_borrow(at.dir.rep());
        let made = self.inner.create_directory_at(here, at.name).await;
        self.done(at.dir)?;
        made
    }

    async fn remove_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let Some(dir) = self.writable(&fd)? else {
            return self.inner.remove_directory_at(fd, path).await;
        };
        let at = self.ask(&dir, named(path, FsAct::Remove)).await?;
        let here = Resource::new_borrow(at.dir.rep());
        let removed = self.inner.remove_directory_at(here, at.name).await;
        self.done(at.dir)?;
        removed
    }

    async fn unlink_file_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        let Some(dir) = self.writable(&fd)? else {
            return self.inner.unlink_file_at(fd, path).await;
        };
        let at = self.ask(&dir, named(path, FsAct::Remove)).await?;
        let here = Resource::new_borrow(at.dir.rep());
        let removed = self.inner.unlink_file_at(here, at.name).await;
        self.done(at.dir)?;
        removed
    }

    async fn symlink_at(&mut self, fd: Fd, target: String, path: String) -> FsResult<()> {
        let Some(dir) = self.writable(&fd)? else {
            return self.inner.symlink_at(fd, target, path).await;
        };
        let at = self.ask(&dir, named(path, FsAct::MakeLink)).await?;
        let here = Resource::new_borrow(at.dir.rep());
        let made = self.inner.symlink_at(here, target, at.name).await;
        self.done(at.dir)?;
        made
    }

    async fn link_at(
        &mut self,
        fd: Fd,
        old_flags: PathFlags,
        old_path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        let dirs = (self.writable(&fd)?, self.writable(&new_fd)?);
        let (Some(old_dir), Some(new_dir)) = dirs else {
            return self
                .inner
                .link_at(fd, old_flags, old_path, new_fd, new_path)
                .await;
        };
        let old = self.ask(&old_dir, named(old_path, FsAct::LinkTo)).await?;
        let new = match self.ask(&new_dir, named(new_path, FsAct::MakeLink)).await {
            Ok(new) => new,
            Err(error) => return self.done(old.dir).and(Err(error)),
        };
        let from = Resource::new_borrow(old.dir.rep());
        let to = Resource::new_borrow(new.dir.rep());
        let linked = self.inner.link_at(from, old_flags, old.name, to, new.name);
        let linked = linked.await;
        self.done(old.dir)?;
        self.done(new.dir)?;
        linked
    }

    async fn rename_at(
        &mut self,
        fd: Fd,
        old_path: String,
        new_fd: Fd,
        new_path: String,
    ) -> FsResult<()> {
        let dirs = (self.writable(&fd)?, self.writable(&new_fd)?);
        let (Some(old_dir), Some(new_dir)) = dirs else {
            return self.inner.rename_at(fd, old_path, new_fd, new_path).await;
        };
        let old = self.ask(&old_dir, named(old_path, FsAct::Rename)).await?;
        let new = match self.ask(&new_dir, named(new_path, FsAct::RenameTo)).await {
            Ok(new) => new,
            Err(error) => return self.done(old.dir).and(Err(error)),
        };
        let from = Resource::new_borrow(old.dir.rep());
        let to = Resource::new_borrow(new.dir.rep());
        let renamed = self.inner.rename_at(from, old.name, to, new.name).await;
        self.done(old.dir)?;
        self.done(new.dir)?;
        renamed
    }

    async fn set_times_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        let Some(dir) = self.writable(&fd)? else {
            return self
                .inner
                .set_times_at(fd, path_flags, path, accessed, modified)
                .await;
        };
        let wanted = Named {
            path,
            act: FsAct::SetTimes,
            follow: path_flags.contains(PathFlags::SYMLINK_FOLLOW),
        };
        let at = self.ask(&dir, wanted).await?;
        let here = Resource::new_borrow(at.dir.rep());
        let set = self
            .inner
            .set_times_at(here, PathFlags::empty(), at.name, accessed, modified)
            .await;
        self.done(at.dir)?;
        set
    }

    async fn set_times(
        &mut self,
        fd: Fd,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        // A file that is open for reading only is enough for this.
        let opened: Option<Arc<File>> = match self.inner.table.get(&fd)? {
            Descriptor::File(file) if !file.perms.write_not_permitted() => {
                Some(Arc::clone(&file.file))
            }
            Descriptor::Dir(dir) if !dir.perms.write_not_permitted() => Some(Arc::clone(&dir.dir)),
            Descriptor::File(_) | Descriptor::Dir(_) => None,
        };
        if let Some(opened) = opened {
            let (grants, by_git) = (self.gate.grants(), self.gate.named_by_git());
            let find = move || match Spot::of(&opened) {
                Ok(spot) => {
                    let request = spot.request(FsAct::SetTimes, &grants.protect);
                    Ok(Some(by_git.with(&grants, request)))
                }
                // What has no name any more is nothing that others execute.
                Err(Errno::NOENT) => Ok(None),
                Err(errno) => Err(told(errno)),
            };
            if let Some(request) = blocking(find).await? {
                self.gate
                    .change(request)
                    .map_err(|_| ErrorCode::NotPermitted)?;
            }
        }
        self.inner.set_times(fd, accessed, modified).await
    }

    async fn advise(
        &mut self,
        fd: Fd,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.inner.advise(fd, offset, length, advice).await
    }

    async fn sync_data(&mut self, fd: Fd) -> FsResult<()> {
        self.inner.sync_data(fd).await
    }

    async fn sync(&mut self, fd: Fd) -> FsResult<()> {
        self.inner.sync(fd).await
    }

    async fn get_flags(&mut self, fd: Fd) -> FsResult<DescriptorFlags> {
        self.inner.get_flags(fd).await
    }

    async fn get_type(&mut self, fd: Fd) -> FsResult<DescriptorType> {
        self.inner.get_type(fd).await
    }

    async fn set_size(&mut self, fd: Fd, size: Filesize) -> FsResult<()> {
        self.inner.set_size(fd, size).await
    }

    async fn read(
        &mut self,
        fd: Fd,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.inner.read(fd, length, offset).await
    }

    async fn write(&mut self, fd: Fd, bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        self.inner.write(fd, bytes, offset).await
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        self.inner.read_directory(fd).await
    }

    async fn stat(&mut self, fd: Fd) -> FsResult<DescriptorStat> {
        self.inner.stat(fd).await
    }

    async fn stat_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        self.inner.stat_at(fd, path_flags, path).await
    }

    async fn readlink_at(&mut self, fd: Fd, path: String) -> FsResult<String> {
        self.inner.readlink_at(fd, path).await
    }

    fn drop(&mut self, fd: Fd) -> wasmtime::Result<()> {
        HostDescriptor::drop(&mut self.inner, fd)
    }

    fn read_via_stream(&mut self, fd: Fd, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.inner.read_via_stream(fd, offset)
    }

    fn write_via_stream(
        &mut self,
        fd: Fd,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.inner.write_via_stream(fd, offset)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        self.inner.append_via_stream(fd)
    }

    async fn is_same_object(&mut self, one: Fd, other: Fd) -> wasmtime::Result<bool> {
        self.inner.is_same_object(one, other).await
    }

    async fn metadata_hash(&mut self, fd: Fd) -> FsResult<MetadataHashValue> {
        self.inner.metadata_hash(fd).await
    }

    async fn metadata_hash_at(
        &mut self,
        fd: Fd,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.inner.metadata_hash_at(fd, path_flags, path).await
    }
}
