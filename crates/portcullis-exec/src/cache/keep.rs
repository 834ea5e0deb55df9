//! What is kept of caches: seen, emptied, and made room in.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use portcullis_policy::PluginId;
use portcullis_private::PrivateDir;
use serde::Deserialize;

use super::{ABOUT, FILES, LOCK, MAX_CACHES, exclusive, old, tidy};

/// One cache that is kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeptCache {
    /// Whose commands have it.
    pub plugin: String,
    /// The program that they run.
    pub program: PathBuf,
    /// The rules that allow it.
    pub rules: Vec<String>,
    /// Where they have it.
    pub path: PathBuf,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Files and directories in it.
    pub files: u64,
    /// Whether a command has it now.
    pub in_use: bool,
}

/// What became of caches that were to be removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Those that are gone.
    pub removed: usize,
    /// Those that a command had.
    pub in_use: usize,
}

/// What a file `about.json` says.
#[derive(Deserialize)]
struct About {
    program: PathBuf,
    rules: Vec<String>,
}

/// The caches at a place, in the order of their plugins; none where there is no such place.
///
/// # Errors
/// When the place cannot be read.
pub fn caches(place: &Path) -> io::Result<Vec<KeptCache>> {
    let mut kept = Vec::new();
    for (plugin, caches) in plugins(place)? {
        for path in caches {
            let about = fs::read(path.join(ABOUT)).ok();
            let about: Option<About> = about.and_then(|text| serde_json::from_slice(&text).ok());
            let Some(about) = about else {
                continue;
            };
            let size = tidy::open(&path, FILES);
            let size = size.map(|files| tidy::measure(files, u64::MAX, u64::MAX));
            let size = size.unwrap_or_default();
            kept.push(KeptCache {
                plugin: plugin.clone(),
                program: about.program,
                rules: about.rules,
                bytes: size.bytes,
                files: size.files,
                in_use: exclusive(&path)?.is_none(),
                path: path.join(FILES),
            });
        }
    }
    Ok(kept)
}

/// Removes the caches at a place, or those of one plugin, but for those that a command has now.
///
/// # Errors
/// When one cannot be removed; others may be gone then.
pub fn clear_caches(place: &Path, of: Option<&PluginId>) -> io::Result<Cleared> {
    let mut cleared = Cleared::default();
    for (plugin, caches) in plugins(place)? {
        if of.is_some_and(|of| of.as_str() != plugin) {
            continue;
        }
        for path in caches {
            if remove(&place.join(&plugin), &path)? {
                cleared.removed += 1;
            } else {
                cleared.in_use += 1;
            }
        }
        old::sweep(&place.join(&plugin))?;
    }
    Ok(cleared)
}

/// Makes room for one more cache of a plugin: those go that were unused for the longest time.
pub(super) fn make_room(plugin: &Path, but: &str) -> io::Result<()> {
    let mut caches = directories(plugin)?;
    caches.retain(|path| !path.ends_with(but));
    caches.sort_by_cached_key(|path| used(path));
    let most = MAX_CACHES - 1;
    let mut many = caches.len().saturating_sub(most);
    for path in caches {
        if many == 0 {
            break;
        }
        match remove(plugin, &path) {
            Ok(removed) => many -= usize::from(removed),
            // Somebody else may just be doing the same.
            Err(error) => tracing::warn!(%error, path = %path.display(), "a cache was not removed"),
        }
    }
    Ok(())
}

/// When a command had it last.
fn used(cache: &Path) -> Option<SystemTime> {
    fs::metadata(cache.join(LOCK))
        .and_then(|meta| meta.modified())
        .ok()
}

/// Takes a cache out of use; not one that a command has.
fn remove(plugin: &Path, cache: &Path) -> io::Result<bool> {
    let Some(lock) = exclusive(cache)? else {
        return Ok(false);
    };
    old::set_aside(plugin, cache)?;
    drop(lock);
    Ok(true)
}

/// The plugins that have caches, with the directories of these.
fn plugins(place: &Path) -> io::Result<Vec<(String, Vec<PathBuf>)>> {
    match PrivateDir::open(place) {
        Ok(_) => {}
        Err(_) if !place.exists() => return Ok(Vec::new()),
        Err(error) => return Err(io::Error::other(error)),
    }
    let plugins = directories(place)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        Some(directories(&path).map(|caches| (name, caches)))
    });
    plugins.collect()
}

fn directories(at: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(at)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && !old::is_old(&entry.file_name()) {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}
