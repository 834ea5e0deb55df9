//! The working directory, opened; whether it is inside a grant is decided on its real path.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_policy::{Cwd, Grants};

use super::{OpenedDirectory, open};
use crate::ask::Place;

/// Opens the directory that the guest asks for, or passes on the project's.
pub(super) fn open(
    grants: &Grants,
    place: &Place,
    asked: Option<&str>,
) -> (Cwd, Option<OpenedDirectory>) {
    let Some(asked) = asked else {
        let project = OpenedDirectory {
            dir: place.project.clone(),
            real: place.path.clone(),
        };
        return (Cwd::Project(place.path.clone()), Some(project));
    };
    let path = on_the_host(grants, asked);
    // A relative path starts at the opened project; an absolute one ignores it.
    let opened = open::directory(&place.project, &path)
        .map_err(std::io::Error::from)
        .and_then(|dir| Ok((open::real_path(&dir)?, dir)));
    match opened {
        Ok((real, dir)) => {
            let cwd = Cwd::Requested {
                asked: asked.to_owned(),
                real: real.clone(),
            };
            (
                cwd,
                Some(OpenedDirectory {
                    dir: Arc::new(dir),
                    real,
                }),
            )
        }
        Err(error) => {
            let why = format!("it cannot be opened: {error}");
            (
                Cwd::Unusable {
                    asked: asked.to_owned(),
                    why,
                },
                None,
            )
        }
    }
}

/// Follows the longest guest name of a granted directory that the path begins with.
fn on_the_host(grants: &Grants, asked: &str) -> PathBuf {
    let asked = Path::new(asked);
    let inside = grants.fs.iter().filter_map(|grant| {
        let guest = Path::new(&grant.guest);
        let rest = asked
            .strip_prefix(guest)
            .ok()
            .filter(|_| !grant.guest.is_empty())?;
        Some((guest.components().count(), grant, rest))
    });
    match inside.max_by_key(|(length, ..)| *length) {
        Some((_, grant, rest)) => grant.host.join(rest),
        None => asked.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{FsAccess, FsGrant, Origin, PluginId};

    use super::*;

    #[test]
    fn the_longest_guest_name_counts_by_components() {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        for (host, guest) in [
            ("/srv/a", "/data"),
            ("/srv/b", "/data/b"),
            ("/srv/c", "rel"),
        ] {
            grants.fs.push(FsGrant {
                host: host.into(),
                kind: portcullis_policy::FsKind::Directory,
                guest: guest.to_owned(),
                access: FsAccess::Read,
                origin: Origin::Code,
            });
        }
        for (asked, host) in [
            ("/data", "/srv/a/"),
            ("/data/x", "/srv/a/x"),
            ("/data/b/x", "/srv/b/x"),
            ("/database", "/database"),
            ("rel/x", "/srv/c/x"),
            ("other", "other"),
            ("", ""),
        ] {
            assert_eq!(on_the_host(&grants, asked), Path::new(host), "{asked}");
        }
    }
}
