//! A base, a stage of it, and what is put into the upper layer.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use portcullis_stage::{CommitError, Committed, Difference, Judge, Stage, Stages};
use rustix::fs::{CWD, FileType, Mode, XattrFlags};

pub(crate) const UPPER: &str = "upper";

pub(crate) struct Scene {
    /// Kept until the scene is over.
    _dir: tempfile::TempDir,
    pub(crate) base: PathBuf,
    pub(crate) data: PathBuf,
}

/// Where a stage's upper layer of its only root is.
pub(crate) fn upper(stage: &Stage) -> PathBuf {
    stage.layers(0).join(UPPER)
}

impl Scene {
    /// A base with a file, a directory with two files, a link and a file that can be executed.
    pub(crate) fn new() -> Self {
        // As a user who is not root sees it: modes are kept whatever the mask is.
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let (base, data) = (top.join("base"), top.join("stages"));
        fs::create_dir_all(base.join("dir/inner")).unwrap();
        fs::write(base.join("file"), "old").unwrap();
        fs::write(base.join("gone"), "old").unwrap();
        fs::write(base.join("dir/one"), "1").unwrap();
        fs::write(base.join("dir/inner/two"), "2").unwrap();
        fs::write(base.join("tool"), "#!").unwrap();
        fs::set_permissions(base.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("file", base.join("link")).unwrap();
        Self {
            _dir: dir,
            base,
            data,
        }
    }

    pub(crate) fn stages(&self) -> Stages {
        Stages::open(&self.data).unwrap()
    }

    /// Begins a stage, with an empty upper layer.
    pub(crate) fn begin(&self) -> Stage {
        let stage = self
            .stages()
            .begin("p", std::slice::from_ref(&self.base))
            .unwrap();
        let mode = fs::metadata(&self.base).unwrap().permissions();
        fs::create_dir(upper(&stage)).unwrap();
        fs::set_permissions(upper(&stage), mode).unwrap();
        stage
    }

    /// Everything in the base: kind, mode and content.
    pub(crate) fn tree(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        walk(&self.base, Path::new(""), &mut all);
        all
    }

    /// What is kept in the directory of stages: their own directories.
    pub(crate) fn left(&self) -> usize {
        let entries = fs::read_dir(&self.data).unwrap().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    }
}

fn walk(top: &Path, path: &Path, all: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(top.join(path)).unwrap() {
        let path = path.join(entry.unwrap().file_name());
        let meta = fs::symlink_metadata(top.join(&path)).unwrap();
        let what = if meta.is_symlink() {
            format!("link {}", fs::read_link(top.join(&path)).unwrap().display())
        } else if meta.is_dir() {
            walk(top, &path, all);
            format!("dir {:o}", meta.mode())
        } else {
            let content = fs::read(top.join(&path)).unwrap();
            format!(
                "file {:o} {}",
                meta.mode(),
                String::from_utf8_lossy(&content)
            )
        };
        all.insert(path, what);
    }
}

/// A whiteout, as overlayfs makes it.
pub(crate) fn whiteout(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
}

pub(crate) fn attribute(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
}

/// A file of the upper layer, with its directories.
pub(crate) fn put(stage: &Stage, path: impl AsRef<Path>, content: &str) -> PathBuf {
    let path = upper(stage).join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

pub(crate) fn difference(stage: &Stage) -> Difference {
    stage.difference(UPPER, &()).unwrap()
}

pub(crate) fn commit(stage: Stage) -> Result<Committed, CommitError> {
    let difference = difference(&stage);
    stage.commit(UPPER, &difference)
}

/// The changes as lines: `+ path`, `- path`, `~ path`.
pub(crate) fn lines(difference: &Difference) -> Vec<String> {
    let line = |change: &portcullis_stage::Change| {
        let sign = match (&change.before, &change.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        format!(
            "{sign} {}",
            String::from_utf8_lossy(change.path.as_os_str().as_bytes())
        )
    };
    difference.changes.iter().map(line).collect()
}

/// Refuses every name that begins so.
pub(crate) struct Not(pub(crate) &'static str);

impl Judge for Not {
    fn judge(
        &self,
        _: &portcullis_stage::Root,
        _: &std::os::fd::OwnedFd,
        change: &portcullis_stage::Change,
    ) -> portcullis_stage::Verdict {
        match change.path.starts_with(self.0) {
            true => portcullis_stage::Verdict::Refused("it is kept".to_owned()),
            false => portcullis_stage::Verdict::AsItIs,
        }
    }
}

/// Some of everything: added, changed, removed, other modes, a directory for a file and a file for a directory.
pub(crate) fn some_of_everything(stage: &Stage) {
    put(stage, "new", "n");
    put(stage, "made/deep/er", "d");
    fs::set_permissions(upper(stage).join("made"), fs::Permissions::from_mode(0o500)).unwrap();
    put(stage, "file", "new content");
    let tool = put(stage, "tool", "#!");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o644)).unwrap();
    whiteout(&upper(stage).join("gone"));
    whiteout(&upper(stage).join("link"));
    symlink("made/deep", upper(stage).join("to")).unwrap();
    put(stage, "dir", "a file now");
}

/// What [`some_of_everything`] makes of the base.
pub(crate) fn everything() -> BTreeMap<PathBuf, String> {
    let all = [
        ("new", "file 100644 n"),
        ("made", "dir 40500"),
        ("made/deep", "dir 40755"),
        ("made/deep/er", "file 100644 d"),
        ("file", "file 100644 new content"),
        ("tool", "file 100644 #!"),
        ("to", "link made/deep"),
        ("dir", "file 100644 a file now"),
    ];
    all.into_iter()
        .map(|(path, what)| (path.into(), what.to_owned()))
        .collect()
}
