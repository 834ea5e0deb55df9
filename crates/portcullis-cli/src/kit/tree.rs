//! The plugin's directory, as the host itself uses it. Whoever wrote it is not trusted: no link in it is followed, neither to read
//! what lies elsewhere nor to write there.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::recipe::TARGET;

/// Bytes that a component may have.
const MAX_BYTES: u64 = 128 * 1024 * 1024;

/// A directory that is built in.
#[derive(Debug)]
pub(crate) struct Tree {
    dir: File,
    path: PathBuf,
}

impl Tree {
    /// Opens it, and makes the directory in it that tools write to.
    ///
    /// # Errors
    /// As the system has them.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let dir = File::open(path)?;
        match rustix::fs::mkdirat(&dir, TARGET, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(Self {
                dir,
                path: path.to_owned(),
            }),
            Err(errno) => Err(errno.into()),
        }
    }

    /// All of a regular file beneath it.
    ///
    /// # Errors
    /// It is none, or has more than any component may have; or a link is on the way.
    pub(crate) fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let beneath = path.strip_prefix(&self.path).map_err(io::Error::other)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = rustix::fs::openat2(&self.dir, beneath, flags, Mode::empty(), resolve)?;
        let file = File::from(file);
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > MAX_BYTES {
            return Err(io::Error::other("it is no file of at most 128 MiB"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Puts a file in its place at once: what runs it meanwhile has the one before.
    ///
    /// # Errors
    /// As the system has them.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
        file.write_all(bytes)?;
        fs::set_permissions(file.path(), Permissions::from_mode(0o644))?;
        // A link of that name is replaced, and where it leads is left alone.
        file.persist(path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (tree_path, outside) = (root.join("tree"), root.join("outside"));
        for path in [&tree_path, &outside] {
            fs::create_dir(path).unwrap();
        }
        fs::write(outside.join("plugin.wasm"), "secret").unwrap();
        let tree = Tree::open(&tree_path).unwrap();
        let product = tree_path.join("target/plugin.wasm");
        fs::write(&product, "made").unwrap();
        assert_eq!(tree.read(&product).unwrap(), b"made");
        fs::remove_file(&product).unwrap();
        symlink(outside.join("plugin.wasm"), &product).unwrap();
        assert!(tree.read(&product).is_err(), "at its end");
        fs::remove_dir_all(tree_path.join("target")).unwrap();
        symlink(&outside, tree_path.join("target")).unwrap();
        assert!(tree.read(&product).is_err(), "on the way");
        assert!(Tree::open(&tree_path).is_ok());

        let component = tree_path.join("p.wasm");
        symlink(outside.join("plugin.wasm"), &component).unwrap();
        tree.put(&component, b"new").unwrap();
        assert_eq!(fs::read(&component).unwrap(), b"new");
        assert_eq!(fs::read(outside.join("plugin.wasm")).unwrap(), b"secret");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let tree = Tree::open(&root).unwrap();
        let pipe = root.join("target/plugin.wasm");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RWXU).unwrap();
        assert!(tree.read(&pipe).is_err());
    }
}
