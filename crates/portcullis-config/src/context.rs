//! What the files are read against: directories given as values, since nothing here reads the environment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use portcullis_policy::{FileId, FsAccess, FsKind, PluginId};

use crate::manifest::Manifest;

/// The directories that paths and variables of a policy stand for.
#[derive(Clone, Debug)]
pub struct Context {
    /// The working directory: paths in flags are relative to it.
    pub cwd: PathBuf,
    /// What `${project}` stands for.
    pub project: PathBuf,
    /// What `~` stands for; `None` makes it an error.
    pub home: Option<PathBuf>,
    /// Files and directories of Portcullis that no grant may reach. Trusted policy files are added by themselves.
    pub own_state: Vec<OwnState>,
    /// The plugins that are installed. An entry without `path` is about the one of its name, and names its content.
    pub installed: Vec<Installed>,
}

/// An installed plugin.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The name it goes by.
    pub id: PluginId,
    /// Where its component is kept, by its real path.
    pub file: PathBuf,
    /// What the component has to be.
    pub sha256: [u8; 32],
    /// What it says of itself, as it was agreed to. The path is for messages.
    pub manifest: (PathBuf, Manifest),
    /// What its state belongs to: the same as long as it is installed, whatever is updated.
    pub record: String,
}

/// A file or directory of Portcullis itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnState {
    /// Where it is, or will be.
    pub path: PathBuf,
    /// Whether also reading it is refused: keys, the trust store, the audit trail.
    pub secret: bool,
}

impl Context {
    /// A context in which the project is also the working directory, without a home directory or state.
    pub fn new(project: impl Into<PathBuf>) -> Self {
        let project = project.into();
        Self {
            cwd: project.clone(),
            project,
            home: None,
            own_state: Vec::new(),
            installed: Vec::new(),
        }
    }

    /// The state that a granted directory would reach, if any: above it, below it, or the same under another mount.
    pub(crate) fn reached(&self, host: &Path, access: FsAccess) -> Option<&OwnState> {
        let matters = |own: &&OwnState| own.secret || access == FsAccess::ReadWrite;
        self.own_state
            .iter()
            .filter(matters)
            .find(|own| reaches(host, &own.path))
    }

    /// Whether a path is written as one in the project, and leads elsewhere.
    fn is_led_out(&self, path: &Path, leads_to: &Path) -> bool {
        let project = real(&self.project);
        let written = without_dots(path);
        let inside = |dir: &Path| written.starts_with(dir);
        (inside(&self.project) || inside(&project)) && !leads_to.starts_with(&project)
    }
}

/// What a path says before any link is followed.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain
}

pub(crate) fn reaches(host: &Path, own: &Path) -> bool {
    let own = real(own);
    if own.starts_with(host) || host.starts_with(&own) {
        return true;
    }
    let host_id = file_id(host);
    let own_id = file_id(&own);
    let above = |path: &Path, id: Option<FileId>| {
        id.is_some() && path.ancestors().any(|part| file_id(part) == id)
    };
    above(&own, host_id) || above(host, own_id)
}

fn file_id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|meta| FileId {
        dev: meta.dev(),
        ino: meta.ino(),
    })
}

/// The real path, also of what is not there yet: then of its nearest directory, with the rest as written.
pub(crate) fn real(path: &Path) -> PathBuf {
    let found = path
        .ancestors()
        .find_map(|part| Some((part, part.canonicalize().ok()?)));
    match found {
        Some((part, real)) => path.strip_prefix(part).map_or(real.clone(), |rest| {
            if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            }
        }),
        None => path.to_owned(),
    }
}

/// A path with its variables replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) path: PathBuf,
    /// The name under which a guest sees the directory when no other is written.
    pub(crate) guest: String,
}

/// What a path in one entry of one layer is relative to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    pub(crate) context: &'a Context,
    /// The directory of the file, or the working directory for flags.
    pub(crate) dir: &'a Path,
    /// The directory of the plugin's file, once it is known.
    pub(crate) plugin: Option<&'a Path>,
}

impl Base<'_> {
    /// Replaces `${project}`, `${plugin}` and `~` at the beginning of a path.
    pub(crate) fn expand(&self, text: &str) -> Result<Expanded, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("a path is not empty and has no NUL".to_owned());
        }
        let in_dir = |dir: &Path, rest: &str| match rest.strip_prefix('/') {
            Some(rest) if !rest.is_empty() => dir.join(rest),
            _ => dir.to_owned(),
        };
        let named = |path: PathBuf| Expanded {
            guest: path.display().to_string(),
            path,
        };
        if let Some(rest) = variable(text, "${project}") {
            let guest = rest.trim_matches('/');
            let guest = if guest.is_empty() { "." } else { guest };
            return Ok(Expanded {
                path: in_dir(&self.context.project, rest),
                guest: guest.to_owned(),
            });
        }
        if let Some(rest) = variable(text, "${plugin}") {
            let dir = self
                .plugin
                .ok_or("`${plugin}` stands for nothing here: no file of the plugin is known")?;
            return Ok(named(in_dir(dir, rest)));
        }
        if let Some(rest) = variable(text, "~") {
            let home = self
                .context
                .home
                .as_deref()
                .ok_or("`~` stands for nothing: no home directory is known")?;
            return Ok(named(in_dir(home, rest)));
        }
        if text.contains("${") || text.starts_with('~') {
            return Err(format!(
                "`{text}` has an unknown variable: known are `${{project}}`, `${{plugin}}` and `~`, first in the path"
            ));
        }
        Ok(Expanded {
            path: self.dir.join(text),
            guest: text.to_owned(),
        })
    }

    /// As [`Self::expand`], then the real path of the directory or file that must be there.
    ///
    /// A path in the project may not leave it by a link: whoever wrote the tree would choose what is granted.
    pub(crate) fn place(&self, text: &str) -> Result<Place, String> {
        let Expanded { path, guest } = self.expand(text)?;
        let opened = path.canonicalize();
        let opened = opened.and_then(|real| Ok((fs::metadata(&real)?.file_type(), real)));
        let (kind, real) = opened
            .map_err(|error| format!("`{}` cannot be opened: {}", path.display(), plain(&error)))?;
        if self.context.is_led_out(&path, &real) {
            return Err(format!(
                "`{}` is led out of the project by a link: write `{}` if that is meant",
                path.display(),
                real.display()
            ));
        }
        let kind = if kind.is_dir() {
            FsKind::Directory
        } else if kind.is_file() {
            FsKind::File
        } else {
            return Err(format!(
                "`{}` is neither a directory nor a file",
                path.display()
            ));
        };
        Ok(Place {
            path: real,
            guest,
            kind,
        })
    }

    /// As [`Self::place`], for a directory.
    pub(crate) fn directory(&self, text: &str) -> Result<PathBuf, String> {
        let place = self.place(text)?;
        match place.kind {
            FsKind::Directory | FsKind::Repository => Ok(place.path),
            FsKind::File => Err(format!("`{}` is not a directory", place.path.display())),
        }
    }

    /// As [`Self::place`], for a file.
    pub(crate) fn file(&self, text: &str) -> Result<PathBuf, String> {
        let place = self.place(text)?;
        match place.kind {
            FsKind::File => Ok(place.path),
            FsKind::Directory | FsKind::Repository => {
                Err(format!("`{}` is not a file", place.path.display()))
            }
        }
    }
}

/// A directory or file that is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// The name under which a guest sees a directory when no other is written.
    pub(crate) guest: String,
    pub(crate) kind: FsKind,
}

fn variable<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.strip_prefix(name)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The message of an error of the system without its number.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text[..end].to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_first_in_a_path() {
        let context = Context {
            home: Some("/home/u".into()),
            ..Context::new("/p")
        };
        let base = Base {
            context: &context,
            dir: Path::new("/etc/x"),
            plugin: Some(Path::new("/plugins")),
        };
        let expand = |text| {
            base.expand(text)
                .map(|e| (e.path.display().to_string(), e.guest))
        };
        for (text, path, guest) in [
            ("${project}", "/p", "."),
            ("${project}/", "/p", "."),
            ("${project}/a/b", "/p/a/b", "a/b"),
            ("${plugin}/data", "/plugins/data", "/plugins/data"),
            ("~", "/home/u", "/home/u"),
            ("~/notes", "/home/u/notes", "/home/u/notes"),
            ("out", "/etc/x/out", "out"),
            ("/srv", "/srv", "/srv"),
        ] {
            assert_eq!(
                expand(text),
                Ok((path.to_owned(), guest.to_owned())),
                "{text}"
            );
        }
        for bad in [
            "",
            "a\0",
            "~root/x",
            "${HOME}/x",
            "x/${project}",
            "${projects}",
        ] {
            assert!(expand(bad).is_err(), "{bad}");
        }
        let nameless = Base {
            plugin: None,
            context: &Context::new("/p"),
            ..base
        };
        assert!(nameless.expand("${plugin}").is_err());
        assert!(nameless.expand("~/x").is_err());
    }

    #[test]
    fn state_is_reached_from_above_and_from_below() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("cache/code")).unwrap();
        fs::create_dir_all(root.join("work")).unwrap();
        std::os::unix::fs::symlink(root.join("cache"), root.join("link")).unwrap();
        let own = |secret| {
            vec![OwnState {
                path: root.join("link/code"),
                secret,
            }]
        };
        let context = Context {
            own_state: own(false),
            ..Context::new(&root)
        };
        let reached = |path: &str, access| context.reached(&root.join(path), access).is_some();
        assert!(reached("", FsAccess::ReadWrite));
        assert!(reached("cache", FsAccess::ReadWrite));
        assert!(reached("cache/code", FsAccess::ReadWrite));
        assert!(reached("cache/code/later", FsAccess::ReadWrite));
        assert!(!reached("work", FsAccess::ReadWrite));
        assert!(!reached("cache", FsAccess::Read));
        let secret = Context {
            own_state: own(true),
            ..context
        };
        assert!(
            secret
                .reached(&root.join("cache"), FsAccess::Read)
                .is_some()
        );
        assert!(secret.reached(&root.join("work"), FsAccess::Read).is_none());
    }
}
