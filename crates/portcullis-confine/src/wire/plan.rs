//! The plan of a template, as it goes from the host to the spawn server: words and paths, and a descriptor for
//! each root in the same order.

use std::{
    ffi::OsStr,
    fs::File,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use super::{MAKE_TEMPLATE, MAX_REQUEST_BYTES, Refusal, Words};
use crate::{Access, Certificates, Net, Plan, Root, Tier};

/// Longest path that the kernel takes (`PATH_MAX`).
const MAX_PATH_BYTES: usize = 4096;

/// The message and the descriptors that belong to it; `None` for a plan with more or longer paths than fit.
pub(crate) fn encode(plan: &Plan) -> Option<(Vec<u8>, Vec<BorrowedFd<'_>>)> {
    let mut message = Vec::with_capacity(256);
    let mut word = |value: u32| message.extend(value.to_le_bytes());
    word(MAKE_TEMPLATE);
    word(plan.tier.code());
    word(plan.net.code());
    for flag in [plan.listed, plan.shared, plan.home.is_some()] {
        word(u32::from(flag));
    }
    if plan.roots.len() + plan.empty.len() > Plan::MAX_ROOTS {
        return None;
    }
    word(u32::try_from(plan.roots.len()).ok()?);
    word(u32::try_from(plan.empty.len()).ok()?);
    // One more than there are, so that none and an empty list are two things.
    let subjects = plan.certificates.as_ref().map(Certificates::subjects);
    word(subjects.map_or(Some(0), |list| u32::try_from(list.len() + 1).ok())?);
    let stop = stop_of(plan);
    word(stop.map_or(0, |(point, _)| point));
    for subject in subjects.into_iter().flatten() {
        message.extend(subject.to_le_bytes());
    }
    if let Some(home) = &plan.home {
        path(&mut message, home)?;
    }
    for root in &plan.roots {
        let code = Access::ALL
            .iter()
            .position(|&access| access == root.access())?;
        message.extend(u32::try_from(code).ok()?.to_le_bytes());
        path(&mut message, root.path())?;
    }
    for directory in &plan.empty {
        path(&mut message, directory)?;
    }
    let roots = plan.roots.iter().map(|root| root.file().as_fd());
    let certificates = plan.certificates.as_ref();
    let certificates =
        certificates.map(|certificates| [certificates.bundle(), certificates.store()]);
    let certificates = certificates.into_iter().flatten().map(AsFd::as_fd);
    let roots = roots.chain(certificates);
    let fds = roots.chain(stop.map(|(_, announce)| announce)).collect();
    (message.len() <= MAX_REQUEST_BYTES).then_some((message, fds))
}

/// The test point of a plan; in a release build there are none.
#[cfg(feature = "test-points")]
fn stop_of(plan: &Plan) -> Option<(u32, BorrowedFd<'_>)> {
    plan.stop.as_ref().map(crate::linux::Stop::parts)
}

#[cfg(not(feature = "test-points"))]
fn stop_of(_: &Plan) -> Option<(u32, BorrowedFd<'_>)> {
    None
}

/// Takes over the test point of a message, whose descriptor is the last one.
#[cfg(feature = "test-points")]
fn set_stop(plan: &mut Plan, flags: u32, fds: &mut Vec<OwnedFd>) -> Result<(), Refusal> {
    if let Some(point) = crate::TestPoint::from_flags(flags) {
        let announce = fds.pop().ok_or("a test point without a descriptor")?;
        plan.stop = Some(crate::linux::Stop::new(point, announce));
    } else if flags != 0 {
        return Err("its flags are unknown");
    }
    Ok(())
}

#[cfg(not(feature = "test-points"))]
fn set_stop(_: &mut Plan, flags: u32, _: &mut Vec<OwnedFd>) -> Result<(), Refusal> {
    if flags == 0 {
        Ok(())
    } else {
        Err("its flags are unknown")
    }
}

fn path(message: &mut Vec<u8>, path: &Path) -> Option<()> {
    let bytes = path.as_os_str().as_bytes();
    let fits = bytes.len() <= MAX_PATH_BYTES && !bytes.contains(&0) && path.is_absolute();
    fits.then(|| {
        message.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        message.extend(bytes);
    })
}

/// Reads a plan; the descriptors must be those of its roots.
pub(crate) fn parse(message: &[u8], mut fds: Vec<OwnedFd>) -> Result<Plan, Refusal> {
    let mut words = Words(message);
    if words.u32()? != MAKE_TEMPLATE {
        return Err("its kind is unknown");
    }
    let mut plan = Plan::new(Tier::from_code(words.u32()?).ok_or("its tier is unknown")?);
    plan.net = Net::from_code(words.u32()?).ok_or("its network is unknown")?;
    plan.listed = words.flag()?;
    plan.shared = words.flag()?;
    let has_home = words.flag()?;
    let (roots, empty) = (words.u32()? as usize, words.u32()? as usize);
    let subjects = words.u32()?;
    set_stop(&mut plan, words.u32()?, &mut fds)?;
    if let Some(count) = subjects.checked_sub(1) {
        plan.certificates = Some(certificates(&mut words, count, &mut fds)?);
    }
    if roots != fds.len() || roots.saturating_add(empty) > Plan::MAX_ROOTS {
        return Err("its descriptors are not what it says");
    }
    if has_home {
        plan.home = Some(read_path(&mut words)?);
    }
    for fd in fds {
        let access = Access::ALL.get(words.u32()? as usize);
        let access = *access.ok_or("an access is unknown")?;
        let path = read_path(&mut words)?;
        let root = Root::new(&path, access, File::from(fd));
        plan.roots.push(root.map_err(|_| "a root is none")?);
    }
    for _ in 0..empty {
        plan.empty.push(read_path(&mut words)?);
    }
    words.end()?;
    Ok(plan)
}

/// Takes over certificates, whose descriptors are the last ones.
fn certificates(
    words: &mut Words<'_>,
    count: u32,
    fds: &mut Vec<OwnedFd>,
) -> Result<Certificates, Refusal> {
    if count as usize > Certificates::MAX_SUBJECTS {
        return Err("it has more certificates than there can be");
    }
    let subjects = (0..count).map(|_| words.u32());
    let subjects = subjects.collect::<Result<_, _>>()?;
    let (Some(store), Some(bundle)) = (fds.pop(), fds.pop()) else {
        return Err("certificates without descriptors");
    };
    Certificates::received(bundle.into(), store.into(), subjects)
        .map_err(|_| "its certificates are none")
}

fn read_path(words: &mut Words<'_>) -> Result<PathBuf, Refusal> {
    let length = words.u32()? as usize;
    let (bytes, rest) = words
        .0
        .split_at_checked(length)
        .filter(|_| length <= MAX_PATH_BYTES)
        .ok_or("a path is longer than it can be")?;
    words.0 = rest;
    let path = Path::new(OsStr::from_bytes(bytes));
    let plain = path
        .components()
        .all(|part| !matches!(part, std::path::Component::ParentDir));
    if path.is_absolute() && plain && !bytes.contains(&0) {
        Ok(path.to_owned())
    } else {
        Err("a path is not absolute")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let usr = Root::open(Path::new("/usr"), Access::Program).unwrap();
        let share = Root::open(Path::new("/usr/share"), Access::Read).unwrap();
        let plan = Plan::new(Tier::Full)
            .root(share)
            .root(usr)
            .network(Net::Proxy)
            .home("/home/ann")
            .empty_directory("/srv/project")
            .only_listed_programs()
            .certificates(Certificates::new(b"pem", b"jks", vec![7, 9]).unwrap())
            .share_scratch();
        let (message, fds) = encode(&plan).unwrap();
        let copies = |fds: &[BorrowedFd<'_>]| -> Vec<OwnedFd> {
            fds.iter()
                .map(|fd| fd.try_clone_to_owned().unwrap())
                .collect()
        };
        assert_eq!(parse(&message, copies(&fds)).unwrap(), plan);
        assert!(parse(&message, copies(&fds[1..])).is_err());
        for length in 0..message.len() {
            assert!(parse(&message[..length], copies(&fds)).is_err(), "{length}");
        }
        let swapped = copies(&[fds[1], fds[0], fds[2], fds[3]]);
        assert_ne!(parse(&message, swapped).unwrap(), plan, "identity counts");
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let many = (0..=Plan::MAX_ROOTS).fold(Plan::limits(), |plan, n| {
            plan.empty_directory(format!("/empty/{n}"))
        });
        assert!(encode(&many).is_none());
        let long = Plan::limits().home(format!("/{}", "x".repeat(MAX_PATH_BYTES)));
        assert!(encode(&long).is_none());
        assert!(encode(&Plan::limits().home("relative")).is_none());
    }
}
