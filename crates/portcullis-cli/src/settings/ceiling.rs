//! The ceiling that an administrator put over all users of the machine.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{MAX_POLICY, PolicyFile, Role};
use crate::code;
use crate::failure::{Failure, Result, Say, diagnostic, system};

/// Where it is. No flag and no variable names another place: what bounds them cannot be chosen by them.
const CEILING: &str = "/etc/portcullis/ceiling.toml";
/// As it was before this process went into a user namespace.
static HELD: OnceLock<Option<PolicyFile>> = OnceLock::new();
/// Write permission for the group and for everyone.
const OTHERS_WRITE: u32 = 0o022;

/// Reads the ceiling, if there is one.
///
/// # Errors
/// When it is there and cannot be read, or somebody else than root could have written it: nothing is run then, since a
/// ceiling that is not obeyed would be worse than none.
pub(super) fn read() -> Result<Option<PolicyFile>> {
    match HELD.get() {
        Some(held) => Ok(held.clone()),
        None => read_at(Path::new(CEILING), 0),
    }
}

/// Reads it for good, before this process goes where root's files belong to nobody: into a user namespace.
///
/// # Errors
/// As [`read`].
pub(crate) fn hold() -> Result<()> {
    let ceiling = read()?;
    let _: &Option<PolicyFile> = HELD.get_or_init(|| ceiling);
    Ok(())
}

fn read_at(path: &Path, root: u32) -> Result<Option<PolicyFile>> {
    let refuse = |why: String| {
        Failure::usage(
            diagnostic(
                code::CEILING,
                format!("cannot obey the ceiling `{}`", path.display()),
            )
            .note(why)
            .help(
                "have whoever administers this machine mend it: root's, and written by nobody else",
            ),
        )
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(refuse("it is a link".to_owned())),
        Err(errno) => return Err(refuse(system(&errno.into()))),
    };
    let failed = |error: io::Error| refuse(system(&error));
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() || meta.len() > MAX_POLICY {
        return Err(refuse(
            "it is not a regular file of at most 1 MiB".to_owned(),
        ));
    }
    let is_roots = |meta: &std::fs::Metadata| meta.uid() == root && meta.mode() & OTHERS_WRITE == 0;
    if !is_roots(&meta) {
        return Err(refuse(
            "somebody else than root could have written it".to_owned(),
        ));
    }
    // Whoever can rename a directory above it can put another one in its place.
    for above in path.ancestors().skip(1) {
        if !is_roots(&above.metadata().map_err(failed)?) {
            let why = format!("somebody else than root can change `{}`", above.display());
            return Err(refuse(why));
        }
    }
    let mut text = String::new();
    file.take(MAX_POLICY)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(Some(PolicyFile {
        path: path.to_owned(),
        role: Role::Ceiling,
        text,
    }))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn why(path: &Path, root: u32) -> String {
        let failure = read_at(path, root).unwrap_err();
        let [crate::failure::Report::Plain(report)] = failure.reports.as_slice() else {
            panic!("{failure:?}")
        };
        report.notes[0].clone()
    }

    #[test]
    fn only_what_nobody_else_can_have_written_is_a_ceiling() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("ceiling.toml");
        let user = rustix::process::geteuid().as_raw();
        assert!(read_at(&path, user).unwrap().is_none());
        fs::write(&path, "").unwrap();
        assert!(why(&path, user + 1).contains("could have written it"));
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(why(&path, user).contains("could have written it"));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        // Temporary directories lie where everyone may write.
        assert!(why(&path, user).contains("can change `"));
        fs::rename(&path, path.with_extension("real")).unwrap();
        std::os::unix::fs::symlink(path.with_extension("real"), &path).unwrap();
        assert!(why(&path, user).contains("link"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(why(&path, user).contains("regular file"));
    }
}
