//! The calls of a descriptor: those that change something ask first, the others go straight on.

use std::fs::File;
use std::sync::Arc;

use portcullis_policy::FsAct;
use rustix::io::Errno;
use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntryStream, ErrorCode,
    Filesize, HostDescriptor, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsResult};

use super::{Fd, FsGuard, blocking};
use crate::capability::fs::spot::{Named, Spot};

/// A name that stands for itself, also where it is a link.
fn named(path: String, act: FsAct) -> Named {
    Named {
        path,
        act,
        follow: false,
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
            let find = move || {
                let spot = Spot::of(&opened)?;
                let request = spot.request(FsAct::SetTimes, &grants.protect);
                Ok(by_git.with(&grants, request))
            };
            match blocking(find).await? {
                Ok(request) => {
                    let asked = self.gate.change(request);
                    asked.map_err(|_| ErrorCode::NotPermitted)?;
                }
                // What has no name any more is nothing that others execute.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(self.lost("an opened file", errno)),
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
