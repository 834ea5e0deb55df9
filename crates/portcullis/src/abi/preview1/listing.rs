//! Listing a directory: a stream of names, read on from where the guest is.

use wasmtime::component::Resource;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p1::types::{Dircookie, Dirent, Error, Filetype, Size};
use wasmtime_wasi::p2::FsError;
use wasmtime_wasi::p2::bindings::filesystem::types::{
    DirectoryEntry, DirectoryEntryStream, ErrorCode, HostDescriptor as _, HostDirectoryEntryStream,
    PathFlags,
};
use wiggle::{GuestMemory, GuestPtr, GuestType as _};

use super::convert::filetype;
use super::{Result, put};
use crate::capability::fs::guard::FsGuard;

/// The names that every directory begins with, though 0.2 does not tell them.
const FIRST: [&str; 2] = [".", ".."];

/// A listing that has begun. Every name has a number, and is told with that of the next.
pub(super) struct Listing {
    names: Resource<DirectoryEntryStream>,
    /// The number of the name that comes next.
    next: Dircookie,
    /// That name, if it is taken from the stream and was not told whole.
    kept: Option<DirectoryEntry>,
}

/// A name as it is told.
struct Told {
    name: String,
    kind: Filetype,
    inode: u64,
}

impl Listing {
    /// A listing that goes on with the name of a number: this one, or another if it is beyond that already.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub(super) async fn at(
        begun: Option<Self>,
        number: Dircookie,
        dir: &Resource<Descriptor>,
        guard: &mut FsGuard<'_>,
    ) -> Result<Self> {
        match begun {
            // From its beginning a directory is listed as it is now.
            Some(begun) if begun.next <= number && number > 0 => return Ok(begun),
            Some(begun) => begun.end(guard)?,
            None => {}
        }
        Ok(Self {
            names: guard.read_directory(borrow(dir)).await?,
            next: 0,
            kept: None,
        })
    }

    /// Fills the guest's room with names, from that of a number on. The last may be cut off: it is told again when it is
    /// asked for.
    ///
    /// # Errors
    /// A name is no text, or the room does not lie in the guest's memory.
    pub(super) async fn tell(
        &mut self,
        number: Dircookie,
        dir: &Resource<Descriptor>,
        guard: &mut FsGuard<'_>,
        memory: &mut GuestMemory<'_>,
        room: (GuestPtr<u8>, Size),
    ) -> Result<Size> {
        while self.next < number {
            if self.next >= FIRST.len() as u64 && self.take(guard).await?.is_none() {
                return Ok(0);
            }
            self.next += 1;
        }
        let (mut at, mut left) = room;
        while left > 0 {
            let first = usize::try_from(self.next)
                .ok()
                .and_then(|next| FIRST.get(next));
            let told = if let Some(first) = first {
                Told {
                    name: (*first).to_owned(),
                    kind: Filetype::Directory,
                    inode: guard.metadata_hash(borrow(dir)).await?.lower,
                }
            } else {
                let Some(entry) = self.take(guard).await? else {
                    break;
                };
                let name = entry.name.clone();
                let hash = guard.metadata_hash_at(borrow(dir), PathFlags::empty(), name);
                let inode = match hash.await.map_err(FsError::downcast) {
                    Ok(hash) => hash.lower,
                    // It has gone meanwhile.
                    Err(Ok(ErrorCode::NoEntry)) => {
                        self.next += 1;
                        continue;
                    }
                    Err(Ok(code)) => return Err(code.into()),
                    Err(Err(trap)) => return Err(Error::trap(trap)),
                };
                let told = Told {
                    name: entry.name.clone(),
                    kind: filetype(entry.type_),
                    inode,
                };
                self.kept = Some(entry);
                told
            };
            let bytes = told.bytes(self.next + 1)?;
            let fits = bytes.len().min(usize::try_from(left)?);
            at = put(memory, at, bytes.get(..fits).unwrap_or_default())?;
            left -= Size::try_from(fits)?;
            if fits == bytes.len() {
                self.next += 1;
                self.kept = None;
            }
        }
        Ok(room.1 - left)
    }

    /// The next name of the stream.
    async fn take(&mut self, guard: &mut FsGuard<'_>) -> Result<Option<DirectoryEntry>> {
        if let Some(kept) = self.kept.take() {
            return Ok(Some(kept));
        }
        let names = Resource::new_borrow(self.names.rep());
        Ok(guard.read_directory_entry(names).await?)
    }

    /// Lets go of it.
    ///
    /// # Errors
    /// None that a guest could cause.
    pub(super) fn end(self, guard: &mut FsGuard<'_>) -> Result<()> {
        HostDirectoryEntryStream::drop(guard, self.names).map_err(Error::trap)
    }
}

impl Told {
    /// As it lies in the guest's memory, a `dirent` and the name, with the number of the name after it.
    fn bytes(&self, next: Dircookie) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&next.to_le_bytes());
        bytes.extend_from_slice(&self.inode.to_le_bytes());
        bytes.extend_from_slice(&Size::try_from(self.name.len())?.to_le_bytes());
        bytes.push(self.kind.into());
        bytes.resize(usize::try_from(Dirent::guest_size())?, 0);
        bytes.extend_from_slice(self.name.as_bytes());
        Ok(bytes)
    }
}

fn borrow(dir: &Resource<Descriptor>) -> Resource<Descriptor> {
    Resource::new_borrow(dir.rep())
}
