//! `permissions.storage` of Wassette: directories and files. A denial takes away whatever it could be about.

use std::collections::BTreeSet;

use portcullis_policy::is_unseen;

use super::entry::{Entry, Key};
use super::wassette::{Access, List, Spot as _, Storage};
use crate::reglet::quoted;

/// What a denial could be about.
struct Denial {
    /// The beginning of every path that it could be about; empty: any.
    prefix: String,
    access: BTreeSet<Access>,
    uri: String,
}

pub(super) fn import(list: &List<Storage>, entry: &mut Entry<'_>) {
    let denials: Vec<_> = list.deny.iter().flatten().map(denial).collect();
    for allowed in list.allow.iter().flatten() {
        let uri = &allowed.uri.value;
        let at = allowed.uri.at(entry.source);
        let path = match path(uri) {
            Ok(path) => path,
            Err(why) => {
                entry.note(Key::Read, at, uri, format!("is left out: {why}"));
                continue;
            }
        };
        let mut access: BTreeSet<_> = allowed.access.iter().copied().collect();
        for denial in &denials {
            if overlap(&denial.prefix, path) && !access.is_disjoint(&denial.access) {
                access.retain(|kind| !denial.access.contains(kind));
                let left = match access.contains(&Access::Read) {
                    true => "may only be read",
                    false => "is left out",
                };
                let why = format!("{left}: a denial, `{}`, is about some of it", denial.uri);
                entry.note(Key::Read, at, uri, why);
            }
        }
        match (
            access.contains(&Access::Read),
            access.contains(&Access::Write),
        ) {
            (true, true) => entry.value(Key::Write, quoted(path)),
            (true, false) => entry.value(Key::Read, quoted(path)),
            (false, true) => entry.note(
                Key::Write,
                at,
                uri,
                "is left out: what may be written here may also be read",
            ),
            (false, false) if allowed.access.is_empty() => {
                entry.note(Key::Read, at, uri, "is left out: it has no `access`");
            }
            (false, false) => {}
        }
    }
}

/// The directory or file that a grant is about, or why there is no such grant here.
fn path(uri: &str) -> Result<&str, String> {
    let path = uri
        .strip_prefix("fs://")
        .ok_or("only `fs://` is about files")?;
    if !path.starts_with('/') {
        return Err("it is relative to where Wassette keeps components".to_owned());
    }
    let path = path.strip_suffix("/**").unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Err("no grant is about all files: name the directories".to_owned());
    }
    if path.ends_with("/*") {
        return Err("a directory is granted with all below it, and not one level of it".to_owned());
    }
    if path.contains('*') {
        return Err("a grant is one directory with all below it, or one file".to_owned());
    }
    let parts = path.split('/').skip(1);
    if parts.clone().any(|part| matches!(part, "" | "." | "..")) {
        return Err("a path has no `.`, no `..` and nothing empty in it".to_owned());
    }
    if path.contains("${") || path.chars().any(|c| c.is_control() || is_unseen(c)) {
        return Err("it has a variable, or characters that are not seen".to_owned());
    }
    Ok(path)
}

fn denial(denied: &Storage) -> Denial {
    let uri = &denied.uri.value;
    let path = uri.strip_prefix("fs://").unwrap_or_default();
    let up = path.split('/').any(|part| part == "..");
    let plain = |part: &&str| !part.contains('*') && !matches!(*part, "" | ".");
    let prefix = match path.strip_prefix('/').filter(|_| !up) {
        Some(parts) => {
            let parts = parts.split('/').take_while(plain);
            parts.fold(String::new(), |prefix, part| prefix + "/" + part)
        }
        // Of what it is about nothing is known.
        None => String::new(),
    };
    let every = [Access::Read, Access::Write];
    let access = match denied.access.as_slice() {
        [] => every.as_slice(),
        some => some,
    };
    Denial {
        prefix,
        access: access.iter().copied().collect(),
        uri: uri.clone(),
    }
}

/// Whether one of two paths is the other, or above it.
fn overlap(one: &str, two: &str) -> bool {
    let above = |high: &str, low: &str| {
        low.strip_prefix(high)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    above(one, two) || above(two, one)
}
