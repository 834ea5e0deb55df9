//! Finds the component that a path means, and the manifest that speaks for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::clawft::{CLAWFT_MANIFEST_FILE, ClawftManifest, beneath};
use crate::context;
use crate::error::{ConfigCode, ConfigErrors, Report};
use crate::fledge;
use crate::manifest::Manifest;
use crate::source::Source;

/// The name of a plugin's manifest, beside its component.
pub const MANIFEST_FILE: &str = "plugin.toml";

/// Bytes that a manifest can have: it is read before anything is decided about its plugin.
const MAX_MANIFEST_BYTES: u64 = 64 * 1024;

/// A component file, and its manifest if one speaks for it.
#[derive(Clone, Debug, Default)]
pub struct Component {
    /// The real path of the component, or where it would be.
    pub file: PathBuf,
    /// Where the manifest is, and what it says.
    pub manifest: Option<(PathBuf, Manifest)>,
}

/// Why a path means no component.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    /// The manifest has mistakes.
    #[error("`{}` has mistakes: {}", .path.display(), .errors.0.first().map(|error| error.message.as_str()).unwrap_or_default())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Its text, to show the mistakes in.
        text: String,
        /// What is wrong with it.
        errors: ConfigErrors,
    },
    /// The manifest cannot be read.
    #[error("failed to read `{}`", .path.display())]
    Unreadable {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Whether a manifest of any of the worlds lies in a directory.
pub fn has_manifest(dir: &Path) -> bool {
    [MANIFEST_FILE, CLAWFT_MANIFEST_FILE]
        .iter()
        .any(|name| dir.join(name).is_file())
}

/// Finds the component that a path means: a file, or the directory of a plugin.
///
/// In a directory it is the file that `component` in `plugin.toml` names, the first command where that is one of fledge, or `wasm_module` in `clawft.plugin.json` where
/// there is no `plugin.toml`, or the one called like the directory, with `.wasm`. A manifest speaks for no other file than that one. What is not there is taken for a file.
///
/// # Errors
/// [`LocateError`] when the manifest cannot be read or has mistakes.
pub fn locate(path: &Path) -> Result<Component, LocateError> {
    let real = context::real(path);
    let is_dir = real.is_dir();
    let dir = if is_dir {
        real.as_path()
    } else {
        real.parent().unwrap_or(Path::new("/"))
    };
    let manifest = read(&dir.join(MANIFEST_FILE), Manifest::parse)?;
    let manifest = match manifest {
        Some(manifest) => Some(manifest),
        None => read(&dir.join(CLAWFT_MANIFEST_FILE), |path, text| {
            of_clawft(path, text, dir)
        })?,
    };
    let named = manifest
        .as_ref()
        .and_then(|(_, manifest)| manifest.component.clone());
    let by_dir = dir
        .file_name()
        .map(|name| format!("{}.wasm", name.to_string_lossy()));
    let component = context::real(&dir.join(named.or(by_dir).unwrap_or_default()));
    if let Some((path, manifest)) = &manifest
        && manifest.fledge.is_some()
        && fledge::first(dir, manifest).is_none()
    {
        return Err(leads_out(path));
    }
    if is_dir {
        return Ok(Component {
            file: component,
            manifest,
        });
    }
    let manifest = manifest
        .filter(|(_, manifest)| component == real || fledge::names(dir, manifest, &real))
        .or_else(|| above(&real));
    Ok(Component {
        file: real,
        manifest,
    })
}

/// Reads the text of a manifest that is called `name`: of clawft, or else one of ours or of fledge. It is that of a plugin whose
/// files are in `dir`.
///
/// # Errors
/// All mistakes of the text.
pub fn manifest(name: &str, dir: &Path, text: &str) -> Result<Manifest, ConfigErrors> {
    let path = dir.join(name);
    if name == CLAWFT_MANIFEST_FILE {
        of_clawft(&path, text, dir)
    } else {
        Manifest::parse(&path, text)
    }
}

/// The manifest of clawft or fledge that names a file some directories below it. One with mistakes speaks for nothing.
fn above(file: &Path) -> Option<(PathBuf, Manifest)> {
    const LEVELS: usize = 8;
    let dirs = file.ancestors().skip(2).take(LEVELS);
    let mut found = dirs.filter_map(|dir| {
        if let Ok(Some((path, manifest))) = read(&dir.join(MANIFEST_FILE), Manifest::parse)
            && fledge::names(dir, &manifest, file)
        {
            return Some((path, manifest));
        }
        let parse = |path: &Path, text: &str| of_clawft(path, text, dir);
        let (path, manifest) = read(&dir.join(CLAWFT_MANIFEST_FILE), parse).ok()??;
        let component = beneath(dir, manifest.component.as_deref()?)?;
        (component == file).then_some((path, manifest))
    });
    found.next()
}

/// A link in the place of a command of fledge leads elsewhere.
fn leads_out(path: &Path) -> LocateError {
    LocateError::Unreadable {
        path: path.to_owned(),
        source: io::Error::new(
            io::ErrorKind::InvalidData,
            "the `binary` of its first command leads out of the plugin's directory",
        ),
    }
}

/// The file of [`locate`] alone: beside a file no manifest is read, so that a broken one is no mistake of the policy.
pub(crate) fn file(path: &Path) -> Result<PathBuf, LocateError> {
    let real = context::real(path);
    if real.is_dir() {
        locate(&real).map(|located| located.file)
    } else {
        Ok(real)
    }
}

fn read(
    path: &Path,
    parse: impl Fn(&Path, &str) -> Result<Manifest, ConfigErrors>,
) -> Result<Option<(PathBuf, Manifest)>, LocateError> {
    let text = match read_bounded(path) {
        Ok(text) => text,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(source) => {
            return Err(LocateError::Unreadable {
                path: path.to_owned(),
                source,
            });
        }
    };
    match parse(path, &text) {
        Ok(manifest) => Ok(Some((path.to_owned(), manifest))),
        Err(errors) => Err(LocateError::Manifest {
            path: path.to_owned(),
            text,
            errors,
        }),
    }
}

/// Reads a manifest of clawft, whose component lies below its directory also when links are followed.
fn of_clawft(path: &Path, text: &str, dir: &Path) -> Result<Manifest, ConfigErrors> {
    let mut report = Report::default();
    let source = Source { path, text };
    let mut wrong = |at: usize, message: String| {
        report.push(source.error(ConfigCode::Value, at..at, message));
    };
    let manifest = match ClawftManifest::parse(text) {
        Ok(manifest) => {
            let module = manifest.wasm_module.as_deref();
            if module.is_some_and(|module| beneath(dir, module).is_none()) {
                wrong(
                    0,
                    "plugin load failed: manifest: wasm_module leads out of the plugin's directory"
                        .to_owned(),
                );
            }
            manifest.into_manifest()
        }
        Err(error) => {
            wrong(offset(text, error.place), error.to_string());
            None
        }
    };
    // Without a manifest there is a mistake in the report, so the second error is never the answer.
    report
        .finish(manifest)?
        .ok_or_else(|| ConfigErrors(Vec::new()))
}

/// Bytes before a line and column that are counted from 1.
fn offset(text: &str, (line, column): (usize, usize)) -> usize {
    let before = text.split_inclusive('\n').take(line.saturating_sub(1));
    let start: usize = before.map(str::len).sum();
    text.floor_char_boundary(start + column.saturating_sub(1))
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let meta = fs::metadata(path)?;
    if !meta.is_file() || meta.len() > MAX_MANIFEST_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a file of at most 64 KiB",
        ));
    }
    fs::read_to_string(path)
}
