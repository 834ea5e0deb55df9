//! What a path means, once more and in plain words: name after name, looking at each and opening nothing. Good for a tree in
//! which nobody changes anything meanwhile.

use std::collections::VecDeque;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use portcullis_policy::{FsAccess, FsGrant, Grants};

/// Links on one way. The kernel follows as many; where the walk begins anew they are counted anew.
const LINKS: usize = 40;

/// What a path means.
#[derive(Debug)]
pub(super) enum Meant {
    There(PathBuf),
    /// Nothing has this name, in a directory that is there.
    Absent(PathBuf),
    /// This has the name, and the path ends in a slash. To change it, that is told when it is done.
    NoDirectory(PathBuf),
    Refused,
    TooManyLinks,
}

/// A walk leads out of the granted directory, so that another grant may have it.
struct Out;

/// What a guest means that asks for this path.
pub(super) fn meant(grants: &Grants, project: &Path, path: &str, access: FsAccess) -> Meant {
    if path.is_empty() || path.contains('\0') {
        return Meant::Refused;
    }
    let host = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}/{path}", project.display()),
    };
    let mut ways = Vec::new();
    for grant in grants.fs.iter().filter(|grant| grant.access >= access) {
        let names = [
            (host.as_str(), grant.host.to_str().unwrap()),
            (path, &*grant.guest),
        ];
        for (path, top) in names {
            if let Some(rest) = beneath(path, top)
                && (grant.kind.is_directory() || rest.is_empty())
            {
                ways.push((parts(top).len(), grant, rest));
            }
        }
    }
    // The nearest first.
    ways.sort_by_key(|(depth, ..)| usize::MAX - depth);
    for (_, grant, rest) in ways {
        let slash = path.ends_with('/') && !rest.is_empty();
        if let Ok(meant) = way(grant, &rest, slash) {
            return meant;
        }
    }
    Meant::Refused
}

fn parts(path: &str) -> Vec<&str> {
    let all = path.split('/');
    all.filter(|part| !part.is_empty() && *part != ".")
        .collect()
}

/// The names that follow `top` in a path.
fn beneath<'a>(path: &'a str, top: &str) -> Option<Vec<&'a str>> {
    let (path_parts, top_parts) = (parts(path), parts(top));
    let same_kind = path.starts_with('/') == top.starts_with('/');
    (same_kind && path_parts.starts_with(&top_parts))
        .then(|| path_parts[top_parts.len()..].to_vec())
}

/// Goes one way. What stands in the place of the grant by now is nothing that was granted.
fn way(grant: &FsGrant, rest: &[&str], slash: bool) -> Result<Meant, Out> {
    let is_file = !grant.kind.is_directory();
    let top = if is_file {
        grant.host.parent().unwrap()
    } else {
        &grant.host
    };
    if !top.is_dir() || top.canonicalize().ok().as_deref() != Some(top) {
        return Ok(Meant::Refused);
    }
    if is_file {
        let there = fs::symlink_metadata(&grant.host).is_ok();
        let host = grant.host.clone();
        return Ok(if there {
            Meant::There(host)
        } else {
            Meant::Absent(host)
        });
    }
    walk(top, rest, slash)
}

fn walk(top: &Path, rest: &[&str], mut slash: bool) -> Result<Meant, Out> {
    let mut left: VecDeque<String> = rest.iter().map(|&part| part.to_owned()).collect();
    let mut here = top.to_owned();
    let mut links = 0;
    while let Some(part) = left.pop_front() {
        match part.as_str() {
            "." => continue,
            ".." if here == top => return Err(Out),
            ".." => {
                here.pop();
                continue;
            }
            _ => {}
        }
        let next = here.join(&part);
        let meta = match fs::symlink_metadata(&next) {
            Ok(meta) => meta,
            Err(error) if error.kind() == ErrorKind::NotFound && left.is_empty() => {
                return Ok(Meant::Absent(next));
            }
            Err(_) => return Ok(Meant::Refused),
        };
        if meta.is_dir() {
            here = next;
        } else if meta.is_symlink() {
            links += 1;
            if links > LINKS {
                return Ok(Meant::TooManyLinks);
            }
            let target = fs::read_link(&next).unwrap();
            let target = target.to_str().unwrap();
            if target.starts_with('/') {
                return Err(Out);
            }
            slash |= left.is_empty() && target.ends_with('/');
            for part in target.split('/').rev().filter(|part| !part.is_empty()) {
                left.push_front(part.to_owned());
            }
        } else {
            return Ok(match (left.is_empty(), slash) {
                (true, false) => Meant::There(next),
                (true, true) => Meant::NoDirectory(next),
                (false, _) => Meant::Refused,
            });
        }
    }
    Ok(Meant::There(here))
}
