//! Files that are there only for a test.

use std::collections::BTreeMap;

use crate::ErrorKind;
use crate::fs::{DirEntry, FileType, Kind, Metadata};

/// Names without `.` and a slash at the end, each with a file's content, or with nothing if it is a directory.
#[derive(Debug, Default)]
pub(crate) struct Files {
    all: BTreeMap<String, Option<Vec<u8>>>,
    denied: Vec<String>,
}

/// A path as it is kept; that of the project is empty.
fn kept(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<_> = parts.collect();
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// The directory that has it, and its name there.
fn parts(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

impl Files {
    pub(crate) fn put(&mut self, path: &str, content: Option<Vec<u8>>) {
        let path = kept(path);
        for (at, _) in path.match_indices('/').filter(|(at, _)| *at > 0) {
            self.all.entry(path[..at].to_owned()).or_default();
        }
        self.all.insert(path, content);
    }

    pub(crate) fn deny(&mut self, path: &str) {
        self.denied.push(kept(path));
    }

    /// The path as it is kept, if it was granted.
    fn granted(&self, path: &str) -> Result<String, ErrorKind> {
        if path.is_empty() || path.contains('\0') {
            return Err(ErrorKind::Invalid);
        }
        let path = kept(path);
        let beneath = |denied: &String| {
            path.strip_prefix(denied.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if path.split('/').any(|part| part == "..") || self.denied.iter().any(beneath) {
            return Err(ErrorKind::Denied);
        }
        Ok(path)
    }

    fn at(&self, path: &str) -> Result<&Option<Vec<u8>>, ErrorKind> {
        if path.is_empty() {
            return Ok(&None);
        }
        self.all.get(path).ok_or(ErrorKind::NotFound)
    }

    fn is_directory(&self, path: &str) -> Result<(), ErrorKind> {
        match self.at(path)? {
            Some(_) => Err(ErrorKind::NotADirectory),
            None => Ok(()),
        }
    }

    fn names<'a>(
        &'a self,
        directory: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Option<Vec<u8>>)> {
        let beside = self
            .all
            .iter()
            .map(|(path, content)| (parts(path), content));
        beside
            .filter(move |((place, _), _)| *place == directory)
            .map(|((_, name), content)| (name, content))
    }

    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, ErrorKind> {
        self.at(&self.granted(path)?)?
            .clone()
            .ok_or(ErrorKind::NotAFile)
    }

    pub(crate) fn write(&mut self, path: &str, content: &[u8]) -> Result<(), ErrorKind> {
        let path = self.granted(path)?;
        self.is_directory(parts(&path).0)?;
        if self.is_directory(&path).is_ok() {
            return Err(ErrorKind::NotAFile);
        }
        self.all.insert(path, Some(content.to_vec()));
        Ok(())
    }

    pub(crate) fn entries(&self, path: &str) -> Result<Vec<DirEntry>, ErrorKind> {
        let path = self.granted(path)?;
        self.is_directory(&path)?;
        let entry = |(name, content): (&str, &Option<Vec<u8>>)| DirEntry {
            name: name.to_owned(),
            kind: kind(content),
        };
        Ok(self.names(&path).map(entry).collect())
    }

    pub(crate) fn stat(&self, path: &str) -> Result<Metadata, ErrorKind> {
        let content = self.at(&self.granted(path)?)?.clone();
        let size = content.as_ref().map_or(0, Vec::len) as u64;
        Ok(Metadata {
            kind: kind(&content),
            size,
            modified: 0,
        })
    }

    pub(crate) fn make_directory(&mut self, path: &str) -> Result<(), ErrorKind> {
        let path = self.granted(path)?;
        if self.at(&path).is_ok() {
            return Err(ErrorKind::AlreadyExists);
        }
        self.is_directory(parts(&path).0)?;
        self.all.insert(path, None);
        Ok(())
    }

    pub(crate) fn remove(&mut self, path: &str) -> Result<(), ErrorKind> {
        let path = self.granted(path)?;
        self.at(&path)?;
        if self.names(&path).next().is_some() {
            return Err(ErrorKind::NotEmpty);
        }
        self.all.remove(&path);
        Ok(())
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), ErrorKind> {
        let (from, to) = (self.granted(from)?, self.granted(to)?);
        self.at(&from)?;
        self.is_directory(parts(&to).0)?;
        let beneath = format!("{from}/");
        let all = std::mem::take(&mut self.all).into_iter();
        self.all = all
            .filter(|(path, _)| *path != to || from == to)
            .map(|(path, content)| match path.strip_prefix(&beneath) {
                Some(rest) => (format!("{to}/{rest}"), content),
                None if path == from => (to.clone(), content),
                None => (path, content),
            })
            .collect();
        Ok(())
    }
}

#[expect(clippy::ref_option, reason = "it is what a map has")]
fn kind(content: &Option<Vec<u8>>) -> FileType {
    FileType(if content.is_some() {
        Kind::File
    } else {
        Kind::Directory
    })
}
