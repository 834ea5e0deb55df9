//! What a guest's path means: a granted directory or file, and the rest of the way in it. Text alone; nothing is opened,
//! so that a path outside of what was granted tells nothing.

use std::path::Path;

use portcullis_policy::{FsAccess, FsGrant, FsKind, Grants};

use super::failure::FsFailure;

/// Bytes of a path, as the kernel has it (`PATH_MAX`).
const MAX_PATH: usize = 4095;

/// A way to what the guest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) grant: FsGrant,
    /// Relative to the granted directory, or the name of the granted file.
    pub(super) rest: String,
}

/// Every way to what a path names, the one in the nearest granted directory first.
///
/// An absolute path is one of the host. A relative one lies in the project directory, or in the directory that has its
/// beginning as a name.
///
/// # Errors
/// It is no path, or it leads nowhere that was granted with this access.
pub(super) fn places(
    grants: &Grants,
    project: &Path,
    path: &str,
    access: FsAccess,
) -> Result<Vec<Place>, FsFailure> {
    if grants.fs.is_empty() {
        return Err(FsFailure::NotGranted);
    }
    if path.is_empty() || path.len() > MAX_PATH || path.contains('\0') {
        return Err(FsFailure::Invalid);
    }
    let host_path = match (path.starts_with('/'), project.to_str()) {
        (true, _) => path.to_owned(),
        (false, Some(project)) => format!("{project}/{path}"),
        (false, None) => return Err(FsFailure::Outside),
    };
    let mut found: Vec<(usize, Place)> = Vec::new();
    for grant in &grants.fs {
        let by_host = grant.host.to_str().and_then(|host| below(&host_path, host));
        // A name such as `out` or `/notes`, also where it is no path of the host.
        let by_name = below(path, &grant.guest);
        for (depth, rest) in [by_host, by_name].into_iter().flatten() {
            let place = place(grant, rest);
            found.extend(place.map(|place| (depth, place)));
        }
    }
    if found.is_empty() {
        return Err(FsFailure::Outside);
    }
    found.retain(|(_, place)| place.grant.access >= access);
    if found.is_empty() {
        return Err(FsFailure::ReadOnly);
    }
    found.sort_by_key(|(depth, _)| std::cmp::Reverse(*depth));
    let mut places: Vec<_> = found.into_iter().map(|(_, place)| place).collect();
    places.dedup();
    Ok(places)
}

/// What follows a directory's path in another path, and how deep the directory is; component by component.
fn below(path: &str, top: &str) -> Option<(usize, String)> {
    if path.starts_with('/') != top.starts_with('/') {
        return None;
    }
    let mut left = components(path);
    let mut depth = 0;
    for part in components(top) {
        if left.next() != Some(part) {
            return None;
        }
        depth += 1;
    }
    let mut rest = String::with_capacity(path.len());
    for part in left {
        if !rest.is_empty() {
            rest.push('/');
        }
        rest.push_str(part);
    }
    if !rest.is_empty() && path.ends_with('/') {
        rest.push('/');
    }
    Some((depth, rest))
}

/// Without those that change nothing. A `..` may follow a link, and is left to the kernel.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}

fn place(grant: &FsGrant, rest: String) -> Option<Place> {
    let rest = match grant.kind {
        FsKind::Directory | FsKind::Repository if rest.is_empty() => ".".to_owned(),
        FsKind::Directory | FsKind::Repository => rest,
        FsKind::File if rest.is_empty() => grant.host.file_name()?.to_str()?.to_owned(),
        FsKind::File => return None,
    };
    Some(Place {
        grant: grant.clone(),
        rest,
    })
}

/// Whether a relative path leads above its beginning even if no name in it were a link.
pub(super) fn climbs_out(rest: &str) -> bool {
    let mut depth = 0_usize;
    components(rest).any(|part| {
        let below = match part {
            ".." => depth.checked_sub(1),
            _ => depth.checked_add(1),
        };
        depth = below.unwrap_or_default();
        below.is_none()
    })
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{Origin, PluginId};

    use super::*;

    fn grants() -> Grants {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        for (host, kind, guest, access) in [
            ("/home/me/p", FsKind::Directory, ".", FsAccess::Read),
            (
                "/home/me/p/out",
                FsKind::Directory,
                "out",
                FsAccess::ReadWrite,
            ),
            ("/srv/notes", FsKind::Directory, "/notes", FsAccess::Read),
            ("/etc/hosts", FsKind::File, "/etc/hosts", FsAccess::Read),
        ] {
            grants.fs.push(FsGrant {
                host: host.into(),
                kind,
                guest: guest.to_owned(),
                access,
                origin: Origin::Code,
            });
        }
        grants
    }

    fn found(path: &str, access: FsAccess) -> Result<Vec<String>, FsFailure> {
        let places = places(&grants(), Path::new("/home/me/p"), path, access)?;
        let shown = |place: &Place| format!("{}:{}", place.grant.host.display(), place.rest);
        Ok(places.iter().map(shown).collect())
    }

    #[test]
    fn a_path_is_looked_for_in_the_nearest_directory_first() {
        let read = |path| found(path, FsAccess::Read).unwrap();
        assert_eq!(read("a/b"), ["/home/me/p:a/b"]);
        assert_eq!(read("./a//b/"), ["/home/me/p:a/b/"]);
        assert_eq!(read("/home/me/p/a"), ["/home/me/p:a"]);
        assert_eq!(read("."), ["/home/me/p:."]);
        let out = ["/home/me/p/out:x", "/home/me/p:out/x"];
        assert_eq!(read("out/x")[..1], out[..1]);
        assert!(read("out/x").contains(&out[1].to_owned()));
        assert_eq!(read("/notes/x"), ["/srv/notes:x"]);
        assert_eq!(read("/srv/notes/../secret"), ["/srv/notes:../secret"]);
        assert_eq!(read("/etc/hosts"), ["/etc/hosts:hosts"]);
    }

    #[test]
    fn what_was_not_granted_has_no_place() {
        for path in [
            "/etc/shadow",
            "/",
            "/home/me",
            "/srv/notes2/x",
            "/etc/hosts/x",
            "/etc",
        ] {
            assert_eq!(
                found(path, FsAccess::Read),
                Err(FsFailure::Outside),
                "{path}"
            );
        }
        for path in ["", "a\0b", &"a/".repeat(2048)] {
            assert_eq!(
                found(path, FsAccess::Read),
                Err(FsFailure::Invalid),
                "{path:?}"
            );
        }
        assert_eq!(found("a", FsAccess::ReadWrite), Err(FsFailure::ReadOnly));
        assert_eq!(
            found("/etc/hosts", FsAccess::ReadWrite),
            Err(FsFailure::ReadOnly)
        );
        let write = found("out/x", FsAccess::ReadWrite).unwrap();
        assert!(
            write.iter().all(|place| place == "/home/me/p/out:x"),
            "{write:?}"
        );
    }

    #[test]
    fn a_path_that_climbs_out_is_told_from_one_that_a_link_leads_out() {
        for path in ["..", "a/../..", "../x", "a/b/../../../x"] {
            assert!(climbs_out(path), "{path}");
        }
        for path in [".", "a/..", "a/../b", "a/b/../../c", "..."] {
            assert!(!climbs_out(path), "{path}");
        }
    }
}
