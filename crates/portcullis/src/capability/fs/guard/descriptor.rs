//! The calls of a descriptor: those that change something ask first, the others go straight on.

use std::fs::File;
use std::io;
use std::sync::Arc;

use portcullis_policy::{FsAccess, FsAct};
use rustix::io::Errno;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::{Descriptor, Dir};
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntryStream, ErrorCode,
    Filesize, HostDescriptor, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult, StreamError};

use super::handles::{LISTED, OPEN, STREAMS, Stream, names};
use super::open::{How, Opened, open};
use super::streams::{Reader, Writer, gap};
use super::{Fd, FsGuard, Named, blocking};
use crate::capability::fs::spot::Spot;
use crate::capability::fs::total::Spent;

/// What has no path to be named by.
const OPENED: &str = "an opened file";

/// A name that stands for itself, also where it is a link.
fn named(path: String, act: FsAct) -> Named {
    Named {
        path,
        act,
        follow: false,
    }
}

/// A limit as a length.
fn most(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl FsGuard<'_> {
    /// Where a path leads, to open it for reading.
    async fn find(&mut self, dir: &Dir, path: String, follow: bool) -> FsResult<Spot> {
        let (from, wanted) = (Arc::clone(&dir.dir), path.clone());
        let found = blocking(move || Spot::find(&from, &wanted, follow)).await?;
        found.map_err(|errno| self.lost(&path, errno))
    }

    /// A file that may be written. `None` for everything that Wasmtime refuses by itself.
    fn written(&self, fd: &Fd) -> FsResult<Option<Arc<File>>> {
        Ok(match self.inner.table.get(fd)? {
            Descriptor::File(file) if !file.perms.write_not_permitted() => {
                Some(Arc::clone(&file.file))
            }
            Descriptor::File(_) | Descriptor::Dir(_) => None,
        })
    }

    fn stream(&mut self) -> FsResult<Stream> {
        match self.handles.stream() {
            Some(counted) => Ok(counted),
            None => {
                let most =
                    format!("it holds {STREAMS} streams of files, the most that an instance may");
                Err(self.too_many("stream", OPENED, most))
            }
        }
    }

    fn writer(
        &mut self,
        made: Resource<DynOutputStream>,
        begins: Option<(Arc<File>, u64)>,
        counted: Stream,
    ) -> FsResult<Resource<DynOutputStream>> {
        let stream: DynOutputStream = Box::new(Writer {
            inner: self.inner.table.delete(made)?,
            total: self.gate.written.clone(),
            most: most(self.gate.limits().file_write),
            begins,
            _counted: counted,
        });
        Ok(self.inner.table.push(stream)?)
    }
}

impl FsGuard<'_> {
    /// Writes bytes to the end of a file, and says how many.
    ///
    /// # Errors
    /// The file may not be written, or no more of it.
    pub(crate) async fn append(&mut self, fd: Fd, mut bytes: Vec<u8>) -> FsResult<Filesize> {
        bytes.truncate(most(self.gate.limits().file_write));
        let length = bytes.len() as u64;
        if let Some(file) = self.written(&fd)? {
            self.fits(&file, |end| end.saturating_add(length)).await?;
        }
        let made = self.append_via_stream(fd)?;
        let mut stream = self.inner.table.delete(made)?;
        match stream.blocking_write_and_flush(bytes.into()).await {
            Ok(()) => Ok(length),
            Err(StreamError::Closed) => Err(ErrorCode::Io.into()),
            Err(StreamError::Trap(error)) => Err(FsError::trap(error)),
            Err(StreamError::LastOperationFailed(error)) if error.is::<Spent>() => {
                Err(ErrorCode::Quota.into())
            }
            Err(StreamError::LastOperationFailed(error)) => {
                Err(error.downcast().unwrap_or_else(io::Error::other).into())
            }
        }
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
        self.count("open", &path)?;
        let dir = match self.inner.table.get(&fd)? {
            Descriptor::Dir(dir) => dir.clone(),
            Descriptor::File(_) => return Err(ErrorCode::NotDirectory.into()),
        };
        let how = How::of(open_flags, flags)?;
        if how.writes() && dir.perms.write_not_permitted() {
            return Err(ErrorCode::NotPermitted.into());
        }
        if !self.handles.has_room() {
            let most = format!(
                "it holds {OPEN} files and directories open, the most that an instance may"
            );
            return Err(self.too_many("open", &path, most));
        }
        let follow = path_flags.contains(PathFlags::SYMLINK_FOLLOW);
        let spot = if how.writes() {
            let act = FsAct::Write;
            let (spot, request) = self.look(&dir, Named { path, act, follow }).await?;
            if spot.kind.is_none() && !how.create {
                return Err(ErrorCode::NoEntry.into());
            }
            self.count_name(&spot, &request).await?;
            self.decide(&spot, request)?;
            spot
        } else {
            let spot = self.find(&dir, path, follow).await?;
            self.gate.needs_file(&spot.path(), FsAccess::Read);
            spot
        };
        let opened = blocking(move || open(&spot, how)).await??;
        let descriptor = match opened {
            Opened::File(file) => {
                let file = wasmtime_wasi::filesystem::File::new(file, dir.perms, how.mode(), false);
                self.handles.opened(&file.file);
                Descriptor::File(file)
            }
            Opened::Directory(opened) => {
                let opened = Dir::new(opened, dir.perms, how.mode(), false);
                self.handles.opened(&opened.dir);
                Descriptor::Dir(opened)
            }
        };
        Ok(self.inner.table.push(descriptor)?)
    }

    async fn create_directory_at(&mut self, fd: Fd, path: String) -> FsResult<()> {
        self.count("make-directory", &path)?;
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
        self.count("remove", &path)?;
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
        self.count("remove", &path)?;
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
        self.count("link", &path)?;
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
        self.count("link", &new_path)?;
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
        self.count("rename", &old_path)?;
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
        self.count("set-times", &path)?;
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
        self.count("set-times", OPENED)?;
        // A file that is open for reading only is enough for this.
        let opened: Option<Arc<File>> = match self.inner.table.get(&fd)? {
            Descriptor::File(file) if !file.perms.write_not_permitted() => {
                Some(Arc::clone(&file.file))
            }
            Descriptor::Dir(dir) if !dir.perms.write_not_permitted() => Some(Arc::clone(&dir.dir)),
            Descriptor::File(_) | Descriptor::Dir(_) => None,
        };
        if let Some(opened) = opened {
            let asked = self.asked();
            let find = move || Spot::of(&opened).map(|spot| asked.request(&spot, FsAct::SetTimes));
            match blocking(find).await? {
                Ok(request) => {
                    let asked = self.gate.change(request);
                    asked.map_err(|_| ErrorCode::NotPermitted)?;
                }
                // What has no name any more is nothing that others execute.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(self.lost(OPENED, errno)),
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
        let grows = match self.written(&fd)? {
            Some(file) => {
                self.fits(&file, |_| size).await?;
                blocking(move || gap(&file, size)).await??
            }
            None => 0,
        };
        let total = self.gate.written.clone();
        total
            .take_or_tell(grows)
            .map_err(|Spent| ErrorCode::Quota)?;
        let set = self.inner.set_size(fd, size).await;
        if set.is_err() {
            total.give_back(grows);
        }
        set
    }

    async fn read(
        &mut self,
        fd: Fd,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let most = self.gate.limits().file_read;
        self.inner.read(fd, length.min(most), offset).await
    }

    async fn write(&mut self, fd: Fd, mut bytes: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        bytes.truncate(most(self.gate.limits().file_write));
        let Some(file) = self.written(&fd)?.filter(|_| !bytes.is_empty()) else {
            return self.inner.write(fd, bytes, offset).await;
        };
        let length = bytes.len() as u64;
        self.fits(&file, |_| offset.saturating_add(length)).await?;
        let gap = blocking(move || gap(&file, offset)).await??;
        let cost = gap.saturating_add(length);
        let total = self.gate.written.clone();
        total.take_or_tell(cost).map_err(|Spent| ErrorCode::Quota)?;
        let written = self.inner.write(fd, bytes, offset).await;
        total.give_back(match &written {
            Ok(written) => length.saturating_sub(*written),
            Err(_) => cost,
        });
        written
    }

    async fn read_directory(&mut self, fd: Fd) -> FsResult<Resource<DirectoryEntryStream>> {
        self.count("list", OPENED)?;
        let dir = match self.inner.table.get(&fd)? {
            Descriptor::Dir(dir) => Arc::clone(&dir.dir),
            Descriptor::File(_) => return Err(ErrorCode::NotDirectory.into()),
        };
        // All of them are read at once, and kept until they are asked for.
        let most = self.handles.names_left();
        let names = blocking(move || names(&dir, most)).await?;
        let names = names.map_err(std::io::Error::from)?;
        if names > most {
            let most = format!(
                "the directories that it lists have {LISTED} names in all, the most that an instance may keep"
            );
            return Err(self.too_many("list", OPENED, most));
        }
        let listing = self.inner.read_directory(fd).await?;
        self.handles.listing(listing.rep(), names);
        Ok(listing)
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
        let counted = self.stream()?;
        let made = self.inner.read_via_stream(fd, offset)?;
        let stream: DynInputStream = Box::new(Reader {
            inner: self.inner.table.delete(made)?,
            most: most(self.gate.limits().file_read),
            _counted: counted,
        });
        Ok(self.inner.table.push(stream)?)
    }

    fn write_via_stream(
        &mut self,
        fd: Fd,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        let counted = self.stream()?;
        let begins = self.written(&fd)?.map(|file| (file, offset));
        let made = self.inner.write_via_stream(fd, offset)?;
        self.writer(made, begins, counted)
    }

    fn append_via_stream(&mut self, fd: Fd) -> FsResult<Resource<DynOutputStream>> {
        let counted = self.stream()?;
        let made = self.inner.append_via_stream(fd)?;
        self.writer(made, None, counted)
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
