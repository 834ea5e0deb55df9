//! A disk that keeps what was synced, and of the rest what chance wants.
//!
//! It is told every call that changed a file. When the power fails, each file has what it had at the end of the last
//! sync that was begun after it was written, and of later writes any part: all of one, none, or some of its sectors of
//! 512 bytes. A name that was made has come to the disk only with a sync of its directory; one that was removed may be
//! there again. The index in shared memory (`-shm`) is never on the disk.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::strace::Call;

const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
struct File {
    synced: Vec<u8>,
    /// Changes since, in order.
    pending: Vec<Change>,
    /// Whether its name is on the disk.
    named: bool,
    /// Whether it was removed, and the directory not synced since.
    removed: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write {
        pid: u32,
        offset: usize,
        data: Vec<u8>,
    },
    Length(usize),
}

/// The files of one directory.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    directory: PathBuf,
    files: BTreeMap<String, File>,
    /// How much of what a sync finds it makes last, by the process that waits for it.
    syncing: HashMap<(String, u32), usize>,
}

impl Disk {
    /// With what is in the directory now, all of it synced.
    pub(crate) fn of(directory: &Path) -> Self {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let files = entries.map(|entry| {
            let file = File {
                synced: fs::read(entry.path()).unwrap(),
                named: true,
                ..File::default()
            };
            (entry.file_name().into_string().unwrap(), file)
        });
        Self {
            directory: directory.to_owned(),
            files: files.collect(),
            syncing: HashMap::new(),
        }
    }

    fn name(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(&self.directory).ok()?.to_str()?;
        (!name.is_empty() && !name.ends_with("-shm")).then(|| name.to_owned())
    }

    /// Does what a call did.
    pub(crate) fn see(&mut self, call: &Call) {
        match call.name.as_str() {
            "openat" if call.may_make() && call.moment.ends() => {
                if let Some(name) = self.name(&call.opened()) {
                    let file = self.files.entry(name).or_default();
                    if std::mem::take(&mut file.removed) {
                        *file = File::default();
                    }
                }
            }
            // What is being written may be on the disk already.
            "pwrite64" if call.moment.begins() => {
                if let Some(name) = self.name(&call.path()) {
                    let change = Change::Write {
                        pid: call.pid,
                        offset: call.last_number(),
                        data: call.data(),
                    };
                    self.files.get_mut(&name).unwrap().pending.push(change);
                }
            }
            "ftruncate" if call.moment.begins() => {
                if let Some(name) = self.name(&call.path()) {
                    let change = Change::Length(call.last_number());
                    self.files.get_mut(&name).unwrap().pending.push(change);
                }
            }
            "fsync" | "fdatasync" => self.sync(call),
            "unlink" if call.moment.begins() => {
                if let Some(file) = self
                    .name(&call.opened())
                    .and_then(|name| self.files.get_mut(&name))
                {
                    file.removed = true;
                }
            }
            "openat" | "pwrite64" | "ftruncate" | "unlink" | "write" => {}
            other => assert!(
                !call_is_about(call, &self.directory),
                "a disk does not know `{other}`"
            ),
        }
    }

    fn sync(&mut self, call: &Call) {
        let path = call.path();
        if path == self.directory && call.moment.ends() {
            self.files.retain(|_, file| !file.removed);
            self.files.values_mut().for_each(|file| file.named = true);
        }
        let Some(name) = self.name(&path) else {
            return;
        };
        let file = self.files.get_mut(&name).unwrap();
        if call.moment.begins() {
            self.syncing
                .insert((name.clone(), call.pid), file.pending.len());
        }
        if call.moment.ends() {
            let many = self.syncing.remove(&(name.clone(), call.pid)).unwrap();
            for change in file.pending.drain(..many) {
                change.make(&mut file.synced, |_| true);
            }
            // Others that wait for the same file have less before them.
            let others = self.syncing.iter_mut().filter(|((of, _), _)| *of == name);
            others.for_each(|(_, other)| *other = other.saturating_sub(many));
        }
    }

    /// Bytes of the log that a process wrote and that are not synced.
    pub(crate) fn unsynced_log(&self, pid: u32) -> usize {
        let logs = self.files.iter().filter(|(name, _)| name.ends_with("-wal"));
        let changes = logs.flat_map(|(_, file)| &file.pending);
        changes
            .map(|change| match change {
                Change::Write { pid: by, data, .. } if *by == pid => data.len(),
                Change::Write { .. } | Change::Length(_) => 0,
            })
            .sum()
    }

    /// Writes what is left after a power failure into a directory. `random` gives numbers below its argument.
    pub(crate) fn fail(&self, into: &Path, random: &mut dyn FnMut(u64) -> u64) {
        fs::create_dir(into).unwrap();
        fs::set_permissions(into, fs::Permissions::from_mode(0o700)).unwrap();
        for (name, file) in &self.files {
            let gone = (file.removed || !file.named) && random(2) == 0;
            if gone {
                continue;
            }
            let mut content = file.synced.clone();
            for change in &file.pending {
                match random(3) {
                    0 => {}
                    1 => change.make(&mut content, |_| true),
                    _ => change.make(&mut content, |_| random(2) == 0),
                }
            }
            let path = into.join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

impl Change {
    /// Makes it in those sectors that are kept.
    fn make(&self, content: &mut Vec<u8>, mut kept: impl FnMut(usize) -> bool) {
        match self {
            Self::Length(length) => {
                if kept(0) {
                    content.resize(*length, 0);
                }
            }
            Self::Write { offset, data, .. } => {
                let mut at = *offset;
                let end = offset + data.len();
                while at < end {
                    let next = ((at / SECTOR + 1) * SECTOR).min(end);
                    if kept(at) {
                        if content.len() < next {
                            content.resize(next, 0);
                        }
                        content[at..next].copy_from_slice(&data[at - offset..next - offset]);
                    }
                    at = next;
                }
            }
        }
    }
}

/// Whether a call names something in the directory, in whichever argument.
fn call_is_about(call: &Call, directory: &Path) -> bool {
    let hexadecimal: String = directory
        .to_str()
        .unwrap()
        .bytes()
        .map(|byte| format!("\\x{byte:02x}"))
        .collect();
    format!("{call:?}")
        .replace("\\\\", "\\")
        .contains(&hexadecimal)
}
