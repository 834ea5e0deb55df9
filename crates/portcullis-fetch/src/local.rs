//! A plugin in a file or a directory.
//!
//! Nothing is read through a link, and nothing but regular files: a directory that somebody else made must not be able
//! to have other files of this machine read, or a pipe waited for.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use serde::Deserialize;

use crate::error::FetchError;
use crate::package::{CLAWFT_MANIFEST, Limits, MANIFEST, ManifestFile, Package, Signature};
use crate::source::Source;
use crate::{bounded, detached, layout};

pub(crate) fn read(path: &Path, limits: &Limits) -> Result<Package, FetchError> {
    let unreadable = |source| FetchError::read(path, source);
    let real = fs::canonicalize(path).map_err(unreadable)?;
    let is_dir = fs::metadata(&real).map_err(unreadable)?.is_dir();
    let (dir, file) = if is_dir {
        (real.as_path(), None)
    } else {
        (real.parent().unwrap_or(Path::new("/")), real.file_name())
    };
    let dir = Directory::open(dir)?;
    if let Some(name) = file.map(Path::new)
        && let Some(bytes) = dir.packed(name, limits)?
    {
        let mut package = layout::unpack(Source::Path(real.clone()), &bytes, limits)?;
        package.signatures = dir.signatures(name, limits)?;
        package.file = Some(real);
        return Ok(package);
    }
    let manifest = dir.manifest(limits)?;
    let mut named = match &manifest {
        Some(manifest) => named(manifest).map_err(|why| dir.wrong(why))?,
        None => Vec::new(),
    };
    if named.is_empty() {
        named.push(dir.default_name());
    }
    let (component, manifest) = match file {
        // A manifest speaks for no other file than those that it names.
        Some(file) => (
            PathBuf::from(file),
            manifest.filter(|_| named.iter().any(|named| named == Path::new(file))),
        ),
        None => (named.swap_remove(0), manifest),
    };
    let Some(bytes) = dir.bytes(&component, limits.component)? else {
        let why = format!("the plugin's file `{}` is not there", component.display());
        return Err(dir.wrong(why));
    };
    let mut package = Package::new(Source::Path(real), bytes);
    package.manifest = manifest;
    package.file = Some(dir.path.join(&component));
    package.signatures = dir.signatures(&component, limits)?;
    Ok(package)
}

/// The files that a manifest is about: one, or one for each command of a plugin of fledge. The rest of it is read by others.
fn named(manifest: &ManifestFile) -> Result<Vec<PathBuf>, String> {
    /// Ours, or fledge's, which has a table `plugin`.
    #[derive(Deserialize)]
    struct Toml {
        component: Option<PathBuf>,
        plugin: Option<toml::Table>,
        #[serde(default)]
        commands: Vec<Command>,
    }
    #[derive(Deserialize)]
    struct Command {
        binary: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Clawft {
        wasm_module: Option<PathBuf>,
    }
    let wrong = |error: String| format!("`{}` cannot be read: {error}", manifest.name);
    if manifest.name == CLAWFT_MANIFEST {
        let read: Result<Clawft, _> = serde_json::from_slice(&manifest.bytes);
        return read
            .map(|read| read.wasm_module.into_iter().collect())
            .map_err(|error| wrong(error.to_string()));
    }
    let read: Result<Toml, _> = toml::from_slice(&manifest.bytes);
    let read = read.map_err(|error| wrong(error.message().to_owned()))?;
    let binaries = read.commands.into_iter().map(|command| command.binary);
    Ok(match read.plugin {
        Some(_) => binaries.flatten().collect(),
        None => read.component.into_iter().collect(),
    })
}

/// An open directory: whatever takes its name later, what is read is read in it.
struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    fn open(path: &Path) -> Result<Self, FetchError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty());
        Ok(Self {
            fd: fd.map_err(|errno| FetchError::read(path, errno.into()))?,
            path: path.to_owned(),
        })
    }

    fn wrong(&self, why: impl Into<String>) -> FetchError {
        FetchError::Package {
            from: self.path.display().to_string(),
            why: why.into(),
        }
    }

    /// The name of the directory, and `.wasm`.
    fn default_name(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default();
        PathBuf::from(format!("{}.wasm", name.to_string_lossy()))
    }

    fn manifest(&self, limits: &Limits) -> Result<Option<ManifestFile>, FetchError> {
        for name in [MANIFEST, CLAWFT_MANIFEST] {
            if let Some(bytes) = self.bytes(Path::new(name), limits.document)? {
                return Ok(Some(ManifestFile { name, bytes }));
            }
        }
        Ok(None)
    }

    /// The bytes of a file that `pack` made; `None` of any other.
    fn packed(&self, name: &Path, limits: &Limits) -> Result<Option<Vec<u8>>, FetchError> {
        let unreadable = |source| FetchError::read(&self.path.join(name), source);
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        let head = bounded::head(&file, layout::HEAD).map_err(unreadable)?;
        if layout::is_packed(&head) {
            self.bytes(name, limits.component)
        } else {
            Ok(None)
        }
    }

    /// The signatures beside a file.
    fn signatures(&self, name: &Path, limits: &Limits) -> Result<Vec<Signature>, FetchError> {
        let beside = PathBuf::from(format!("{}.sig", name.display()));
        match self.bytes(&beside, limits.signatures)? {
            Some(bytes) => detached::parse(&beside.to_string_lossy(), &bytes, limits),
            None => Ok(Vec::new()),
        }
    }

    /// The bytes of a file below the directory; `None` if there is none of that name.
    fn bytes(&self, name: &Path, most: u64) -> Result<Option<Vec<u8>>, FetchError> {
        let path = self.path.join(name);
        let Some(file) = self.file(name)? else {
            return Ok(None);
        };
        match bounded::read(file, most).map_err(|source| FetchError::read(&path, source))? {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(FetchError::TooLarge {
                what: path.display().to_string(),
                limit: most,
            }),
        }
    }

    /// Opens a file, one part of its name after the other, each without following a link.
    fn file(&self, name: &Path) -> Result<Option<File>, FetchError> {
        let shown = name.display();
        let mut parts = Vec::new();
        for part in name.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(part) => parts.push(part),
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(
                        self.wrong(format!("`{shown}` leads out of the plugin's directory"))
                    );
                }
            }
        }
        let mut at = None;
        for (index, part) in parts.iter().enumerate() {
            let is_last = index + 1 == parts.len();
            // Without `NONBLOCK`, a pipe would hold this up before it is refused.
            let kind = if is_last {
                OFlags::NONBLOCK
            } else {
                OFlags::DIRECTORY
            };
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | kind;
            let dir = at.as_ref().unwrap_or(&self.fd);
            match rustix::fs::openat(dir, *part, flags, Mode::empty()) {
                Ok(fd) => at = Some(fd),
                Err(Errno::NOENT) => return Ok(None),
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    return Err(self.wrong(format!("`{shown}` leads through a link")));
                }
                Err(errno) => return Err(FetchError::read(&self.path.join(name), errno.into())),
            }
        }
        let file = File::from(at.ok_or_else(|| self.wrong(format!("`{shown}` names no file")))?);
        let unreadable = |source: io::Error| FetchError::read(&self.path.join(name), source);
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(self.wrong(format!("`{shown}` is not a regular file")));
        }
        Ok(Some(file))
    }
}
