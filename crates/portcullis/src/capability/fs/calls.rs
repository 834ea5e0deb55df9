//! The plain calls: whole files and single names, without descriptors that a guest would hold.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use portcullis_audit::{Effect, Masked};
use portcullis_policy::{
    Capability, Code, Denial, FsAccess, FsAct, FsLook, Grants, GuestError, LookRequest, Origin,
    Remedy, RuleId, shown,
};
use rustix::fs::{AtFlags, Dir, FileType, Mode};

use super::failure::FsFailure;
use super::open::{Held, spot};
use super::place::places;
use super::spot::Spot;
use super::write;
use crate::gate::{Gate, Use};

/// Names that a directory may have to be listed.
const MAX_ENTRIES: usize = 65_536;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// What is known of a file or directory from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    /// Bytes.
    pub(crate) size: u64,
    /// Nanoseconds since 1970, UTC; 0 for what is older.
    pub(crate) modified: u64,
}

/// A call under way: its line in the trail, and what it does.
struct Call {
    used: Use,
    doing: Doing,
    path: String,
    access: FsAccess,
}

#[derive(Clone, Copy)]
enum Doing {
    Look(FsLook),
    Act(FsAct),
}

impl Call {
    /// As a phrase after the plugin's name.
    fn action(&self) -> String {
        let path = shown(&self.path);
        match self.doing {
            Doing::Look(look) => look.of(&path),
            Doing::Act(act) => act.of(&path),
        }
    }
}

type Allowed = Option<(RuleId, Origin)>;

impl Gate {
    /// The content of a regular file.
    ///
    /// # Errors
    /// [`FsFailure`]; a file longer than `limits.file_read` is read no further than that.
    pub(crate) async fn read_file(&mut self, path: String) -> Result<Vec<u8>, FsFailure> {
        let call = self.looking("read", FsLook::Read, path)?;
        let max = self.limits().file_read;
        let (held, rule) = self.held(&call, FsLook::Read).await?;
        let read = match held.content_at_hand(max) {
            Some(content) => Ok(content),
            None => blocking(move || content(&held, max)).await,
        };
        self.tell(&call, rule, read, Vec::len)
    }

    /// Puts a file with this content in place, whether there is one or not, whole or not at all.
    ///
    /// # Errors
    /// [`FsFailure`]
    pub(crate) async fn write_file(
        &mut self,
        path: String,
        content: Vec<u8>,
    ) -> Result<(), FsFailure> {
        let call = self.changing("write", FsAct::Write, path)?;
        let bytes = content.len() as u64;
        let (max, total) = (self.limits().file_write, self.limits().total_file_write);
        if bytes > max {
            return Err(self.fails(&call, None, FsFailure::TooLarge { bytes, max }));
        }
        if self.written.take(bytes).is_err() {
            return Err(self.fails(&call, None, FsFailure::Total { max: total }));
        }
        let found = self.spot(&call, FsAct::Write, true).await;
        let (spot, rule) = found.inspect_err(|_| self.written.give_back(bytes))?;
        self.act(&call, rule, bytes, move || {
            if spot.must_be_directory {
                return Err(FsFailure::NotRegular);
            }
            write::replace(&spot, &content)
        })
        .await
    }

    /// The names in a directory, sorted. Those that are not UTF-8 are left out.
    ///
    /// # Errors
    /// [`FsFailure`]
    pub(crate) async fn list_directory(&mut self, path: String) -> Result<Vec<Entry>, FsFailure> {
        let call = self.looking("list", FsLook::List, path)?;
        let (held, rule) = self.held(&call, FsLook::List).await?;
        let listed = blocking(move || entries(&held)).await;
        self.tell(&call, rule, listed, Vec::len)
    }

    /// What something is, links followed.
    ///
    /// # Errors
    /// [`FsFailure`]
    pub(crate) async fn stat(&mut self, path: String) -> Result<Stat, FsFailure> {
        let call = self.looking("stat", FsLook::Stat, path)?;
        let (held, rule) = self.held(&call, FsLook::Stat).await?;
        let looked = held.stat().map(|stat| Stat::of(&stat));
        self.tell(&call, rule, looked, |_| 0)
    }

    /// Makes a directory in one that is there.
    ///
    /// # Errors
    /// [`FsFailure`]
    pub(crate) async fn make_directory(&mut self, path: String) -> Result<(), FsFailure> {
        let call = self.changing("make-directory", FsAct::MakeDirectory, path)?;
        let (spot, rule) = self.spot(&call, FsAct::MakeDirectory, false).await?;
        self.act(&call, rule, 0, move || {
            let mode = Mode::RWXU | Mode::RWXG | Mode::RWXO;
            Ok(rustix::fs::mkdirat(&spot.parent, &spot.name, mode)?)
        })
        .await
    }

    /// Removes a file, a link itself, or an empty directory.
    ///
    /// # Errors
    /// [`FsFailure`]
    pub(crate) async fn remove(&mut self, path: String) -> Result<(), FsFailure> {
        let call = self.changing("remove", FsAct::Remove, path)?;
        let (spot, rule) = self.spot(&call, FsAct::Remove, false).await?;
        self.act(&call, rule, 0, move || {
            let flags = match spot.kind {
                None => return Err(FsFailure::NotFound),
                Some(FileType::Directory) => AtFlags::REMOVEDIR,
                Some(_) if spot.must_be_directory => return Err(FsFailure::NotDirectory),
                Some(_) => AtFlags::empty(),
            };
            Ok(rustix::fs::unlinkat(&spot.parent, &spot.name, flags)?)
        })
        .await
    }

    /// Gives a file, a link itself or a directory another name, in place of what has it.
    ///
    /// # Errors
    /// [`FsFailure`]
    pub(crate) async fn rename(&mut self, from: String, to: String) -> Result<(), FsFailure> {
        let call = self.changing("rename", FsAct::Rename, from)?;
        let (old, _) = self.spot(&call, FsAct::Rename, false).await?;
        let call = Call {
            doing: Doing::Act(FsAct::RenameTo),
            path: to,
            ..call
        };
        let (new, rule) = self.spot(&call, FsAct::RenameTo, false).await?;
        self.act(&call, rule, 0, move || {
            if old.kind.is_none() {
                return Err(FsFailure::NotFound);
            }
            let done = rustix::fs::renameat(&old.parent, &old.name, &new.parent, &new.name);
            Ok(done?)
        })
        .await
    }

    fn changing(
        &mut self,
        function: &'static str,
        act: FsAct,
        path: String,
    ) -> Result<Call, FsFailure> {
        self.file_call(function, Doing::Act(act), path, FsAccess::ReadWrite)
    }

    fn looking(
        &mut self,
        function: &'static str,
        look: FsLook,
        path: String,
    ) -> Result<Call, FsFailure> {
        self.file_call(function, Doing::Look(look), path, FsAccess::Read)
    }

    fn file_call(
        &mut self,
        function: &'static str,
        doing: Doing,
        path: String,
        access: FsAccess,
    ) -> Result<Call, FsFailure> {
        let used = self.begin(Capability::Fs, function, Masked::new(&path))?;
        Ok(Call {
            used,
            doing,
            path,
            access,
        })
    }

    /// What a path means, held and decided on.
    async fn held(&mut self, call: &Call, look: FsLook) -> Result<(Held, Allowed), FsFailure> {
        let (grants, roots) = (self.grants(), self.roots());
        let found = match places(&grants, self.project(), &call.path, call.access) {
            Ok(places) => match Held::at_hand(&roots, &places) {
                Some(held) => Ok(held),
                None => blocking(move || Held::find(&roots, &places)).await,
            },
            Err(failure) => Err(failure),
        };
        let held = found.map_err(|failure| self.fails(call, None, failure))?;
        let path = held.real.clone();
        let authorized = self.authorize(&call.used, LookRequest { look, path })?;
        let path = &authorized.request().path;
        self.needs_file(path, call.access);
        let rule = allowing(&grants, path, call.access);
        Ok((held, rule))
    }

    /// Where a change takes place, decided on.
    async fn spot(
        &mut self,
        call: &Call,
        act: FsAct,
        follow: bool,
    ) -> Result<(Spot, Allowed), FsFailure> {
        let (grants, roots, by_git) = (self.grants(), self.roots(), self.named_by_git());
        let found = match places(&grants, self.project(), &call.path, call.access) {
            Ok(places) => {
                let grants = Arc::clone(&grants);
                blocking(move || {
                    let spot = spot(&roots, &places, follow)?;
                    let request = spot.request(act, &grants.protect);
                    Ok((spot, by_git.with(&grants, request)))
                })
                .await
            }
            Err(failure) => Err(failure),
        };
        let (spot, request) = found.map_err(|failure| self.fails(call, None, failure))?;
        let authorized = self.authorize(&call.used, request)?;
        let path = &authorized.request().path;
        self.needs_file(path, call.access);
        let rule = allowing(&grants, path, call.access);
        Ok((spot, rule))
    }

    /// Changes something: written down before, and afterwards what came of it.
    async fn act(
        &mut self,
        call: &Call,
        rule: Allowed,
        bytes: u64,
        change: impl FnOnce() -> Result<(), FsFailure> + Send + 'static,
    ) -> Result<(), FsFailure> {
        self.before(&call.used, rule.as_ref())?;
        let changed = blocking(change).await;
        let effect = Effect {
            bytes_out: if changed.is_ok() { bytes } else { 0 },
            ..effect(changed.as_ref().err())
        };
        self.done(&call.used, effect)?;
        changed
    }

    /// Tells the guest what it asked for, once that is written down.
    fn tell<T>(
        &mut self,
        call: &Call,
        rule: Allowed,
        found: Result<T, FsFailure>,
        length: impl Fn(&T) -> usize,
    ) -> Result<T, FsFailure> {
        let found = found.map_err(|failure| self.fails(call, rule.clone(), failure))?;
        let told = Effect {
            bytes_in: length(&found) as u64,
            ..Effect::default()
        };
        self.told(&call.used, rule.as_ref(), told)?;
        Ok(found)
    }

    /// Writes down why the guest does not get it.
    fn fails(&mut self, call: &Call, rule: Allowed, failure: FsFailure) -> FsFailure {
        let written = match self.denial(call, &failure) {
            Some(denial) => self
                .refused(&call.used, denial)
                .map(drop)
                .map_err(Into::into),
            None => {
                let told = effect(Some(&failure));
                self.told(&call.used, rule.as_ref(), told)
                    .map_err(FsFailure::from)
            }
        };
        match written {
            Ok(()) => failure,
            Err(closed) => closed,
        }
    }

    /// What the operator could change, if it was that.
    fn denial(&self, call: &Call, failure: &FsFailure) -> Option<Denial> {
        let (code, guest) = match failure {
            FsFailure::NotGranted | FsFailure::Outside => (Code::FsNotGranted, GuestError::Denied),
            FsFailure::LinkOutside => (Code::FsLinkLeadsOut, GuestError::Denied),
            FsFailure::ReadOnly => (Code::FsReadOnly, GuestError::Denied),
            FsFailure::TooLarge { .. } => (Code::FsTooLarge, GuestError::Limit),
            FsFailure::Total { .. } => (Code::FsTotal, GuestError::Limit),
            FsFailure::Protected
            | FsFailure::Invalid
            | FsFailure::NotFound
            | FsFailure::Exists
            | FsFailure::NotEmpty
            | FsFailure::NotRegular
            | FsFailure::NotDirectory
            | FsFailure::Rate
            | FsFailure::Io(_)
            | FsFailure::Closed => return None,
        };
        let grants = self.grants();
        let right = match call.access {
            FsAccess::Read => "read",
            FsAccess::ReadWrite => "write",
        };
        // A link is followed no further by granting where it lies.
        let by_path = matches!(code, Code::FsNotGranted | Code::FsReadOnly);
        let remedies = by_path.then(|| {
            let text = format!("to let the plugin {right} that");
            Remedy::grant(&grants.plugin, text, &[right, &call.path])
        });
        Some(Denial {
            code,
            plugin: grants.plugin.clone(),
            capability: Capability::Fs,
            action: call.action(),
            object: call.path.clone(),
            notes: vec![failure.why()],
            remedies: remedies.into_iter().collect(),
            rule: None,
            guest,
        })
    }
}

/// What the trail has for the rule: the name under which the guest sees what was granted.
fn allowing(grants: &Grants, path: &Path, access: FsAccess) -> Allowed {
    let grant = grants.fs_grant(path, access)?;
    Some((RuleId(grant.guest.clone()), grant.origin.clone()))
}

fn effect(failure: Option<&FsFailure>) -> Effect {
    Effect {
        failed: failure.map(|failure| Masked::new(&failure.why())),
        ..Effect::default()
    }
}

/// On a thread of its own, so that a file system that hangs does not keep a deadline from passing.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FsFailure> + Send + 'static,
) -> Result<T, FsFailure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(FsFailure::Io(error.to_string())))
}

/// Reads to the end, or to one byte more than may be read: what the system says of the length is only for the message.
fn content(held: &Held, max: u64) -> Result<Vec<u8>, FsFailure> {
    let said = u64::try_from(held.stat()?.st_size).unwrap_or_default();
    let file = held.file()?;
    if said > max {
        return Err(FsFailure::TooLarge { bytes: said, max });
    }
    let mut content = Vec::with_capacity(usize::try_from(said).unwrap_or_default());
    let mut limited = file.take(max.saturating_add(1));
    let read = limited.read_to_end(&mut content);
    read.map_err(|error| FsFailure::Io(error.to_string()))?;
    let bytes = content.len() as u64;
    if bytes > max {
        return Err(FsFailure::TooLarge { bytes, max });
    }
    Ok(content)
}

fn entries(held: &Held) -> Result<Vec<Entry>, FsFailure> {
    let mut entries = Vec::new();
    for entry in Dir::new(held.directory()?)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if matches!(name, "." | "..") {
            continue;
        }
        if entries.len() == MAX_ENTRIES {
            let max = MAX_ENTRIES as u64;
            return Err(FsFailure::TooLarge {
                bytes: max + 1,
                max,
            });
        }
        entries.push(Entry {
            name: name.to_owned(),
            kind: Kind::of(entry.file_type()),
        });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

impl Kind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Self::Other,
        }
    }
}

impl Stat {
    fn of(stat: &rustix::fs::Stat) -> Self {
        let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
        Self {
            kind: Kind::of(FileType::from_raw_mode(stat.st_mode)),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(stat.st_mtime_nsec),
        }
    }
}
