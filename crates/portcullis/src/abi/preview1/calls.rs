//! The calls of preview 1. What a call on a file is answered is the [guard's](FsGuard) answer.

use wasmtime::component::Resource;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemCtxView};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{
    Advice, CiovecArray, Clockid, Dircookie, Errno, Event, Exitcode, Fd, Fdflags, Fdstat,
    Filedelta, Filesize, Filestat, Fstflags, IovecArray, Lookupflags, Oflags, Prestat, PrestatDir,
    Riflags, Rights, Roflags, Sdflags, Siflags, Signal, Size, Subscription, Timestamp, Whence,
};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, HostDescriptor,
};
use wiggle::{GuestMemory, GuestPtr};

use super::listing::Listing;
use super::numbers::{Directory, File, Numbers, Opened};
use super::{Error, Result, convert, not_one, poll, put, to_fill, to_take};
use crate::capability::fs::guard::{FsGuard, guard};
use crate::state::State;

impl State {
    pub(super) fn numbers(&mut self) -> Result<&mut Numbers> {
        let Self {
            preview1,
            wasi,
            table,
            ..
        } = self;
        let numbers = &mut preview1.as_mut().ok_or_else(not_one)?.numbers;
        if numbers.is_none() {
            let mut files = WasiFilesystemCtxView {
                ctx: wasi.filesystem(),
                table,
            };
            *numbers = Some(Numbers::new(&mut files).map_err(Error::trap)?);
        }
        numbers.as_mut().ok_or_else(not_one)
    }

    fn rest(&mut self) -> &mut WasiP1Ctx {
        &mut self.preview1().rest
    }

    fn opened(&mut self, fd: Fd) -> Result<&mut Opened> {
        self.numbers()?.get(fd)
    }

    /// A standard stream, by the number that Wasmtime knows it by.
    fn stream(&mut self, fd: Fd) -> Result<Option<Fd>> {
        Ok(match self.opened(fd)? {
            Opened::Stream(own) => Some((*own).into()),
            Opened::File(_) | Opened::Directory(_) => None,
        })
    }

    /// A file or directory, and who guards it.
    fn guarded(&mut self, fd: Fd) -> Result<(Resource<Descriptor>, FsGuard<'_>)> {
        let descriptor = self.opened(fd)?.descriptor()?;
        Ok((descriptor, guard(self)))
    }

    /// As [`guarded`](Self::guarded), with a path.
    fn at(
        &mut self,
        memory: &GuestMemory<'_>,
        fd: Fd,
        path: GuestPtr<str>,
    ) -> Result<(Resource<Descriptor>, String, FsGuard<'_>)> {
        let path = self.preview1().text(memory, path)?;
        let (dir, guard) = self.guarded(fd)?;
        Ok((dir, path, guard))
    }

    /// As [`at`](Self::at), for two paths.
    #[expect(clippy::type_complexity, reason = "each of them is one of `at`")]
    fn both(
        &mut self,
        memory: &GuestMemory<'_>,
        (one, one_path): (Fd, GuestPtr<str>),
        (other, other_path): (Fd, GuestPtr<str>),
    ) -> Result<(
        (Resource<Descriptor>, String),
        (Resource<Descriptor>, String),
        FsGuard<'_>,
    )> {
        let one_path = self.preview1().text(memory, one_path)?;
        let one = self.opened(one)?.descriptor()?;
        let (other, other_path, guard) = self.at(memory, other, other_path)?;
        Ok(((one, one_path), (other, other_path), guard))
    }

    fn close(&mut self, opened: Opened) -> Result<()> {
        let (fd, listing) = match opened {
            // Somebody else may be given it later.
            Opened::Stream(_) => return Ok(()),
            Opened::File(file) => (file.fd, None),
            Opened::Directory(directory) => (directory.fd, directory.listing),
        };
        let mut guard = guard(self);
        if let Some(listing) = listing {
            listing.end(&mut guard)?;
        }
        HostDescriptor::drop(&mut guard, fd).map_err(Error::trap)
    }

    /// Reads from a place in a file into the guest's memory.
    async fn fill(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        parts: IovecArray,
        at: Filesize,
    ) -> Result<Size> {
        let parts = parts.iter().map(|part| to_fill(memory, part));
        let room = self.preview1().first(parts)?;
        let (file, mut guard) = self.guarded(fd)?;
        let (bytes, _end) = guard.read(file, room.len().into(), at).await?;
        put(memory, room.as_ptr(), &bytes)?;
        Ok(Size::try_from(bytes.len())?)
    }

    /// Writes from the guest's memory to a place in a file, or to its end if that is how it was opened.
    async fn take(
        &mut self,
        memory: &GuestMemory<'_>,
        fd: Fd,
        parts: CiovecArray,
        at: Filesize,
    ) -> Result<Size> {
        let parts = parts.iter().map(|part| to_take(memory, part));
        let bytes = self.preview1().first(parts)?;
        let bytes = memory.to_vec(bytes)?;
        let asked = bytes.len();
        let append = self.opened(fd)?.file()?.append;
        let (file, mut guard) = self.guarded(fd)?;
        let written = if append {
            Size::try_from(guard.append(file, bytes).await?)?
        } else {
            Size::try_from(guard.write(file, bytes, at).await?)?
        };
        if written == 0 && asked > 0 {
            // One that writes until all is written would never come to an end.
            return Err(Errno::Dquot.into());
        }
        Ok(written)
    }

    /// Writes to a standard stream, of which a plugin of fledge may write so much.
    async fn say(
        &mut self,
        memory: &mut GuestMemory<'_>,
        stream: Fd,
        parts: CiovecArray,
    ) -> Result<Size> {
        let list = parts.iter().map(|part| to_take(memory, part));
        let bytes = self.preview1().first(list)?.len();
        if let Some(fledge) = &mut self.fledge
            && !fledge.may_say(bytes.into())
        {
            return Err(Errno::Dquot.into());
        }
        self.rest().fd_write(memory, stream, parts).await
    }
}

impl WasiSnapshotPreview1 for State {
    fn set_hostcall_fuel(&mut self, fuel: usize) {
        self.preview1().set_fuel(fuel);
    }

    fn args_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        mut list: GuestPtr<GuestPtr<u8>>,
        mut text: GuestPtr<u8>,
    ) -> Result<()> {
        for arg in &self.args {
            memory.write(list, text)?;
            list = list.add(1)?;
            text = put(memory, text, arg.as_bytes())?;
            text = put(memory, text, &[0])?;
        }
        Ok(())
    }

    fn args_sizes_get(&mut self, _memory: &mut GuestMemory<'_>) -> Result<(Size, Size)> {
        let bytes: usize = self.args.iter().map(|arg| arg.len() + 1).sum();
        Ok((self.args.len().try_into()?, bytes.try_into()?))
    }

    fn environ_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        list: GuestPtr<GuestPtr<u8>>,
        text: GuestPtr<u8>,
    ) -> Result<()> {
        self.rest().environ_get(memory, list, text)
    }

    fn environ_sizes_get(&mut self, memory: &mut GuestMemory<'_>) -> Result<(Size, Size)> {
        self.rest().environ_sizes_get(memory)
    }

    fn clock_res_get(&mut self, memory: &mut GuestMemory<'_>, clock: Clockid) -> Result<Timestamp> {
        self.rest().clock_res_get(memory, clock)
    }

    fn clock_time_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        clock: Clockid,
        precision: Timestamp,
    ) -> Result<Timestamp> {
        self.rest().clock_time_get(memory, clock, precision)
    }

    async fn fd_advise(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        fd: Fd,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> Result<()> {
        let (file, mut guard) = self.guarded(fd)?;
        Ok(guard.advise(file, offset, length, advice.into()).await?)
    }

    fn fd_allocate(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        fd: Fd,
        _offset: Filesize,
        _length: Filesize,
    ) -> Result<()> {
        self.opened(fd)?.file()?;
        Err(Errno::Notsup.into())
    }

    async fn fd_close(&mut self, _memory: &mut GuestMemory<'_>, fd: Fd) -> Result<()> {
        let opened = self.numbers()?.remove(fd)?;
        self.close(opened)
    }

    async fn fd_datasync(&mut self, _memory: &mut GuestMemory<'_>, fd: Fd) -> Result<()> {
        let (file, mut guard) = self.guarded(fd)?;
        Ok(guard.sync_data(file).await?)
    }

    async fn fd_fdstat_get(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<Fdstat> {
        if let Some(stream) = self.stream(fd)? {
            return self.rest().fd_fdstat_get(memory, stream).await;
        }
        let (opened, mut guard) = self.guarded(fd)?;
        let flags = guard.get_flags(Resource::new_borrow(opened.rep())).await?;
        let kind = guard.get_type(opened).await?;
        Ok(convert::fdstat(self.opened(fd)?, kind, flags))
    }

    fn fd_fdstat_set_flags(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        fd: Fd,
        flags: Fdflags,
    ) -> Result<()> {
        let file = self.opened(fd)?.file()?;
        if flags.intersects(Fdflags::DSYNC | Fdflags::SYNC | Fdflags::RSYNC) {
            return Err(Errno::Inval.into());
        }
        file.append = flags.contains(Fdflags::APPEND);
        file.nonblocking = flags.contains(Fdflags::NONBLOCK);
        Ok(())
    }

    fn fd_fdstat_set_rights(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        fd: Fd,
        _rights: Rights,
        _inherited: Rights,
    ) -> Result<()> {
        self.opened(fd)?;
        Err(Errno::Notsup.into())
    }

    async fn fd_filestat_get(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<Filestat> {
        if let Some(stream) = self.stream(fd)? {
            return self.rest().fd_filestat_get(memory, stream).await;
        }
        let (opened, mut guard) = self.guarded(fd)?;
        let stat = guard.stat(Resource::new_borrow(opened.rep())).await?;
        convert::filestat(&stat, &guard.metadata_hash(opened).await?)
    }

    async fn fd_filestat_set_size(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        fd: Fd,
        size: Filesize,
    ) -> Result<()> {
        let (file, mut guard) = self.guarded(fd)?;
        Ok(guard.set_size(file, size).await?)
    }

    async fn fd_filestat_set_times(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        fd: Fd,
        accessed: Timestamp,
        modified: Timestamp,
        flags: Fstflags,
    ) -> Result<()> {
        let (accessed, modified) = convert::times(accessed, modified, flags)?;
        let (opened, mut guard) = self.guarded(fd)?;
        Ok(guard.set_times(opened, accessed, modified).await?)
    }

    async fn fd_pread(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        parts: IovecArray,
        offset: Filesize,
    ) -> Result<Size> {
        self.opened(fd)?.file()?;
        self.fill(memory, fd, parts, offset).await
    }

    fn fd_prestat_get(&mut self, _memory: &mut GuestMemory<'_>, fd: Fd) -> Result<Prestat> {
        match self.opened(fd)? {
            Opened::Directory(Directory {
                name: Some(name), ..
            }) => Ok(Prestat::Dir(PrestatDir {
                pr_name_len: name.len().try_into()?,
            })),
            Opened::Directory(_) | Opened::File(_) | Opened::Stream(_) => Err(not_one()),
        }
    }

    fn fd_prestat_dir_name(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        path: GuestPtr<u8>,
        room: Size,
    ) -> Result<()> {
        let Some(name) = &self.opened(fd)?.directory()?.name else {
            return Err(Errno::Notdir.into());
        };
        if name.len() > usize::try_from(room)? {
            return Err(Errno::Nametoolong.into());
        }
        put(memory, path, name.as_bytes()).map(drop)
    }

    async fn fd_pwrite(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        parts: CiovecArray,
        offset: Filesize,
    ) -> Result<Size> {
        self.take(memory, fd, parts, offset).await
    }

    async fn fd_read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        parts: IovecArray,
    ) -> Result<Size> {
        if let Some(stream) = self.stream(fd)? {
            return self.rest().fd_read(memory, stream, parts).await;
        }
        let position = self.opened(fd)?.file()?.position;
        let read = self.fill(memory, fd, parts, position).await?;
        self.opened(fd)?.file()?.position = position.saturating_add(read.into());
        Ok(read)
    }

    async fn fd_readdir(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        start: GuestPtr<u8>,
        room: Size,
        cookie: Dircookie,
    ) -> Result<Size> {
        let begun = self.opened(fd)?.directory()?.listing.take();
        let (dir, mut guard) = self.guarded(fd)?;
        let mut listing = Listing::at(begun, cookie, &dir, &mut guard).await?;
        let told = listing
            .tell(cookie, &dir, &mut guard, memory, (start, room))
            .await;
        if told.is_err() {
            listing.end(&mut guard)?;
            return told;
        }
        self.opened(fd)?.directory()?.listing = Some(listing);
        told
    }

    async fn fd_renumber(&mut self, _memory: &mut GuestMemory<'_>, from: Fd, to: Fd) -> Result<()> {
        match self.numbers()?.renumber(from, to)? {
            Some(replaced) => self.close(replaced),
            None => Ok(()),
        }
    }

    async fn fd_seek(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        fd: Fd,
        offset: Filedelta,
        whence: Whence,
    ) -> Result<Filesize> {
        let from = match whence {
            Whence::Set => 0,
            Whence::Cur => self.opened(fd)?.file()?.position,
            Whence::End => {
                self.opened(fd)?.file()?;
                let (file, mut guard) = self.guarded(fd)?;
                guard.stat(file).await?.size
            }
        };
        let position = from.checked_add_signed(offset).ok_or(Errno::Inval)?;
        self.opened(fd)?.file()?.position = position;
        Ok(position)
    }

    async fn fd_sync(&mut self, _memory: &mut GuestMemory<'_>, fd: Fd) -> Result<()> {
        let (file, mut guard) = self.guarded(fd)?;
        Ok(guard.sync(file).await?)
    }

    fn fd_tell(&mut self, _memory: &mut GuestMemory<'_>, fd: Fd) -> Result<Filesize> {
        Ok(self.opened(fd)?.file()?.position)
    }

    async fn fd_write(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        parts: CiovecArray,
    ) -> Result<Size> {
        if let Some(stream) = self.stream(fd)? {
            return self.say(memory, stream, parts).await;
        }
        let File {
            position, append, ..
        } = *self.opened(fd)?.file()?;
        let written = self.take(memory, fd, parts, position).await?;
        let end = if append {
            let (file, mut guard) = self.guarded(fd)?;
            guard.stat(file).await?.size
        } else {
            position.saturating_add(written.into())
        };
        self.opened(fd)?.file()?.position = end;
        Ok(written)
    }

    async fn path_create_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        dir: Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        Ok(guard.create_directory_at(dir, path).await?)
    }

    async fn path_filestat_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        dir: Fd,
        flags: Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<Filestat> {
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        let here = Resource::new_borrow(dir.rep());
        let stat = guard.stat_at(here, flags.into(), path.clone()).await?;
        let hash = guard.metadata_hash_at(dir, flags.into(), path).await?;
        convert::filestat(&stat, &hash)
    }

    async fn path_filestat_set_times(
        &mut self,
        memory: &mut GuestMemory<'_>,
        dir: Fd,
        flags: Lookupflags,
        path: GuestPtr<str>,
        accessed: Timestamp,
        modified: Timestamp,
        which: Fstflags,
    ) -> Result<()> {
        let (accessed, modified) = convert::times(accessed, modified, which)?;
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        let set = guard.set_times_at(dir, flags.into(), path, accessed, modified);
        Ok(set.await?)
    }

    async fn path_link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        flags: Lookupflags,
        from_path: GuestPtr<str>,
        to: Fd,
        to_path: GuestPtr<str>,
    ) -> Result<()> {
        let (from, to, mut guard) = self.both(memory, (from, from_path), (to, to_path))?;
        let linked = guard.link_at(from.0, flags.into(), from.1, to.0, to.1);
        Ok(linked.await?)
    }

    async fn path_open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        dir: Fd,
        lookup: Lookupflags,
        path: GuestPtr<str>,
        how: Oflags,
        rights: Rights,
        _inherited: Rights,
        flags: Fdflags,
    ) -> Result<Fd> {
        let mut access = DescriptorFlags::empty();
        for (wanted, flag) in [
            (rights.contains(Rights::FD_READ), DescriptorFlags::READ),
            (rights.contains(Rights::FD_WRITE), DescriptorFlags::WRITE),
            (
                flags.contains(Fdflags::SYNC),
                DescriptorFlags::FILE_INTEGRITY_SYNC,
            ),
            (
                flags.contains(Fdflags::DSYNC),
                DescriptorFlags::DATA_INTEGRITY_SYNC,
            ),
            (
                flags.contains(Fdflags::RSYNC),
                DescriptorFlags::REQUESTED_WRITE_SYNC,
            ),
        ] {
            if wanted {
                access |= flag;
            }
        }
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        let fd = guard
            .open_at(dir, lookup.into(), path, how.into(), access)
            .await?;
        let kind = guard.get_type(Resource::new_borrow(fd.rep())).await?;
        let opened = if kind == DescriptorType::Directory {
            Opened::Directory(Directory {
                fd,
                name: None,
                listing: None,
            })
        } else {
            Opened::File(File {
                fd,
                position: 0,
                append: flags.contains(Fdflags::APPEND),
                nonblocking: flags.contains(Fdflags::NONBLOCK),
            })
        };
        Ok(self.numbers()?.add(opened))
    }

    async fn path_readlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        dir: Fd,
        path: GuestPtr<str>,
        start: GuestPtr<u8>,
        room: Size,
    ) -> Result<Size> {
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        let target = guard.readlink_at(dir, path).await?;
        let fits = target.len().min(usize::try_from(room)?);
        put(
            memory,
            start,
            target.as_bytes().get(..fits).unwrap_or_default(),
        )?;
        Ok(Size::try_from(fits)?)
    }

    async fn path_remove_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        dir: Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        Ok(guard.remove_directory_at(dir, path).await?)
    }

    async fn path_rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        from_path: GuestPtr<str>,
        to: Fd,
        to_path: GuestPtr<str>,
    ) -> Result<()> {
        let (from, to, mut guard) = self.both(memory, (from, from_path), (to, to_path))?;
        Ok(guard.rename_at(from.0, from.1, to.0, to.1).await?)
    }

    async fn path_symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        target: GuestPtr<str>,
        dir: Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let target = self.preview1().text(memory, target)?;
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        Ok(guard.symlink_at(dir, target, path).await?)
    }

    async fn path_unlink_file(
        &mut self,
        memory: &mut GuestMemory<'_>,
        dir: Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let (dir, path, mut guard) = self.at(memory, dir, path)?;
        Ok(guard.unlink_file_at(dir, path).await?)
    }

    async fn poll_oneoff(
        &mut self,
        memory: &mut GuestMemory<'_>,
        wanted: GuestPtr<Subscription>,
        events: GuestPtr<Event>,
        count: Size,
    ) -> Result<Size> {
        poll::poll(self, memory, wanted, events, count).await
    }

    fn proc_exit(&mut self, _memory: &mut GuestMemory<'_>, status: Exitcode) -> wasmtime::Error {
        I32Exit(status.cast_signed()).into()
    }

    fn proc_raise(&mut self, _memory: &mut GuestMemory<'_>, _signal: Signal) -> Result<()> {
        Err(Errno::Notsup.into())
    }

    fn sched_yield(&mut self, _memory: &mut GuestMemory<'_>) -> Result<()> {
        Ok(())
    }

    fn random_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        start: GuestPtr<u8>,
        length: Size,
    ) -> Result<()> {
        self.preview1().spend(length, 1)?;
        self.rest().random_get(memory, start, length)
    }

    fn sock_accept(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        _fd: Fd,
        _flags: Fdflags,
    ) -> Result<Fd> {
        Err(Errno::Notsup.into())
    }

    fn sock_recv(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        _fd: Fd,
        _parts: IovecArray,
        _flags: Riflags,
    ) -> Result<(Size, Roflags)> {
        Err(Errno::Notsup.into())
    }

    fn sock_send(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        _fd: Fd,
        _parts: CiovecArray,
        _flags: Siflags,
    ) -> Result<Size> {
        Err(Errno::Notsup.into())
    }

    fn sock_shutdown(
        &mut self,
        _memory: &mut GuestMemory<'_>,
        _fd: Fd,
        _how: Sdflags,
    ) -> Result<()> {
        Err(Errno::Notsup.into())
    }
}
