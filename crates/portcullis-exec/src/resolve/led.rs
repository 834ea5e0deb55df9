//! Paths that a plugin can have lead elsewhere.

use std::path::{Component, Path, PathBuf};

use portcullis_policy::{FsAccess, Grants};

/// How many links the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// What the plugin may write that a path leads through: one of its names, or of those in a link on the way, lies there. The
/// plugin could put something else under that name.
pub(super) fn led_by(grants: &Grants, path: &Path) -> Option<PathBuf> {
    leads(grants, path, &mut PathBuf::from("/"), &mut 0)
}

/// Goes on from a real place along a path, as the kernel does, until a name can be changed.
fn leads(grants: &Grants, path: &Path, place: &mut PathBuf, links: &mut usize) -> Option<PathBuf> {
    for part in path.components() {
        match part {
            Component::RootDir => *place = PathBuf::from("/"),
            Component::ParentDir => drop(place.pop()),
            Component::Normal(name) => {
                place.push(name);
                if let Some(grant) = grants.fs_grant(place, FsAccess::ReadWrite) {
                    return Some(grant.host.clone());
                }
                if let Ok(target) = std::fs::read_link(&*place) {
                    *links += 1;
                    place.pop();
                    if *links > MAX_LINKS {
                        return Some(place.clone());
                    }
                    if let Some(led) = leads(grants, &target, place, links) {
                        return Some(led);
                    }
                }
            }
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    None
}
