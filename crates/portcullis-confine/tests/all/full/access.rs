//! Each access does what it says, and nothing more, in every tier that keeps files from a command.

use std::{fs, path::Path};

use portcullis_confine::{Access, Plan, Tier};

use super::{OWN_ROOT, cells_of, confining, directory, open};
use crate::{
    fixture::Cells,
    probe::{Tried, probe, probe_outside},
};

crate::tests![
    each_access_and_no_other,
    nothing_without_a_root,
    a_file_alone,
    a_named_pipe_is_kept_by_landlock_alone,
    masked_inside_what_can_be_read,
    one_inside_another_narrows_and_widens,
    what_lies_inside_another_cannot_be_moved_away,
];

/// A directory with a file, and a program.
fn furnished(name: &str) -> std::path::PathBuf {
    let path = directory(name);
    fs::write(path.join("file"), "content").unwrap();
    fs::copy("/bin/echo", path.join("program")).unwrap();
    path
}

struct Allowed {
    read: bool,
    write: bool,
    execute: bool,
}

const fn allowed(read: bool, write: bool, execute: bool) -> Allowed {
    Allowed {
        read,
        write,
        execute,
    }
}

/// Reads, writes, makes and executes in a directory, and holds what came of it against what may.
fn check(cells: &Cells, path: &Path, may: &Allowed, case: &str) {
    let at = |name: &str| path.join(name).to_str().unwrap().to_owned();
    let made = at("made");
    for (act, expected) in [
        (&["read", &at("file")][..], may.read),
        (&["list", path.to_str().unwrap()], may.read),
        (&["write", &at("file")], may.write),
        (&["create", &made], may.write),
        (&["remove", &made], may.write),
        (&["mkdir", &made], may.write),
        (&["execute", &at("program")], may.execute),
    ] {
        let tried = probe(cells, act);
        assert_eq!(tried == Tried::Done, expected, "{case} {act:?}: {tried:?}");
    }
    let _: std::io::Result<()> = fs::remove_dir(path.join("made"));
}

fn each_access_and_no_other() {
    let path = furnished("each-access");
    // The control: outside all of it works, and the program is one.
    for act in ["read", "write"] {
        let file = path.join("file");
        assert_eq!(
            probe_outside(&[act, file.to_str().unwrap()]),
            Tried::Done,
            "{act}"
        );
    }
    let program = path.join("program");
    assert_eq!(
        probe_outside(&["execute", program.to_str().unwrap()]),
        Tried::Done
    );
    for tier in confining() {
        for (access, may) in [
            (Access::Read, allowed(true, false, false)),
            (Access::Program, allowed(true, false, true)),
            // What holds a file from being executed without Landlock is its mount.
            (Access::Write, allowed(true, true, false)),
            (Access::WriteExec, allowed(true, true, true)),
        ] {
            let cells = cells_of(Plan::new(tier).root(open(&path, access)));
            check(&cells, &path, &may, &format!("{tier:?} {access:?}"));
        }
    }
}

fn nothing_without_a_root() {
    let path = furnished("no-root");
    for tier in confining() {
        let cells = cells_of(Plan::new(tier));
        check(
            &cells,
            &path,
            &allowed(false, false, false),
            &format!("{tier:?}"),
        );
        let expected = match tier {
            Tier::Landlock => libc::EACCES,
            _ => libc::ENOENT,
        };
        let file = path.join("file");
        let tried = probe(&cells, &["read", file.to_str().unwrap()]);
        assert_eq!(tried, Tried::Refused(expected), "{tier:?}");
    }
}

fn a_file_alone() {
    let path = furnished("file-alone");
    let (file, other) = (path.join("file"), path.join("program"));
    for tier in confining() {
        let cells = cells_of(Plan::new(tier).root(open(&file, Access::Read)));
        assert_eq!(
            probe(&cells, &["read", file.to_str().unwrap()]),
            Tried::Done
        );
        for act in [
            ["write", file.to_str().unwrap()],
            ["read", other.to_str().unwrap()],
        ] {
            assert_ne!(probe(&cells, &act), Tried::Done, "{tier:?} {act:?}");
        }
    }
}

fn masked_inside_what_can_be_read() {
    let path = furnished("masked");
    let (secret, key) = (path.join("secret"), path.join("key"));
    fs::create_dir_all(&secret).unwrap();
    fs::write(secret.join("file"), "secret").unwrap();
    fs::write(&key, "secret").unwrap();
    let plan = |tier| Plan::new(tier).root(open(&path, Access::Write));
    for tier in OWN_ROOT {
        let inside = secret.join("file");
        let read = ["read", inside.to_str().unwrap()];
        let open_cells = cells_of(plan(tier));
        assert_eq!(probe(&open_cells, &read), Tried::Done, "the control");
        let masks = [&secret, &key].map(|path| open(path, Access::Masked));
        let cells = cells_of(plan(tier).roots_of(masks));
        assert_eq!(probe(&cells, &read), Tried::Refused(libc::ENOENT));
        let script = format!("cat {}; ls -A {}", key.display(), secret.display());
        assert_eq!(super::output(&cells, &script), "", "{tier:?}");
        for act in [
            &["write", key.to_str().unwrap()][..],
            &["create", inside.to_str().unwrap()],
            &["remove", key.to_str().unwrap()],
            &[
                "rename",
                secret.to_str().unwrap(),
                path.join("moved").to_str().unwrap(),
            ],
        ] {
            assert_ne!(probe(&cells, act), Tried::Done, "{tier:?} {act:?}");
        }
    }
}

fn one_inside_another_narrows_and_widens() {
    let outer = furnished("nested");
    let inner = furnished("nested/inner");
    for tier in OWN_ROOT {
        let plan = |outside, inside| {
            Plan::new(tier)
                .root(open(&outer, outside))
                .root(open(&inner, inside))
        };
        let (reads, writes) = (allowed(true, false, false), allowed(true, true, false));
        let narrowed = cells_of(plan(Access::Write, Access::Read));
        check(&narrowed, &outer, &writes, "outside a narrower one");
        if tier == Tier::Namespaces {
            check(&narrowed, &inner, &reads, "the narrower one");
        }
        let file = inner.join("file");
        let write = ["write", file.to_str().unwrap()];
        assert_eq!(
            probe(&narrowed, &write),
            Tried::Refused(libc::EROFS),
            "{tier:?}"
        );
        let widened = cells_of(plan(Access::Read, Access::Write));
        check(&widened, &outer, &reads, "outside a wider one");
        check(&widened, &inner, &writes, "the wider one");
    }
}

fn what_lies_inside_another_cannot_be_moved_away() {
    let outer = furnished("pinned");
    let inner = furnished("pinned/inner");
    let moved = outer.join("moved");
    for tier in OWN_ROOT {
        let plan = Plan::new(tier)
            .root(open(&outer, Access::Write))
            .root(open(&inner, Access::Read));
        let rename = ["rename", inner.to_str().unwrap(), moved.to_str().unwrap()];
        let tried = probe(&cells_of(plan), &rename);
        assert_eq!(tried, Tried::Refused(libc::EBUSY), "{tier:?}");
        assert!(inner.join("file").exists());
    }
    // The control: what is not mounted for itself can be.
    let plan = Plan::new(Tier::Full).root(open(&outer, Access::Write));
    let rename = ["rename", inner.to_str().unwrap(), moved.to_str().unwrap()];
    assert_eq!(probe(&cells_of(plan), &rename), Tried::Done);
    assert!(moved.join("file").exists());
}

/// A named pipe can be written on a read-only mount, so what keeps it is Landlock. That adds up along a path: below a
/// scratch directory, which can be written, nothing is left that would.
fn a_named_pipe_is_kept_by_landlock_alone() {
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let places = [
        (directory("named-pipe"), true),
        (elsewhere.path().canonicalize().unwrap(), false),
    ];
    for (path, below_scratch) in places {
        let pipe = path.join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
        let _reader = rustix::fs::open(&pipe, flags, rustix::fs::Mode::empty()).unwrap();
        let write = ["write", pipe.to_str().unwrap()];
        for tier in confining() {
            let read = cells_of(Plan::new(tier).root(open(&path, Access::Read)));
            let kept = match tier {
                Tier::Namespaces => false,
                Tier::Full => !below_scratch,
                _ => true,
            };
            let tried = probe(&read, &write);
            assert_eq!(tried != Tried::Done, kept, "{tier:?}: {tried:?}");
            let granted = cells_of(Plan::new(tier).root(open(&path, Access::Write)));
            assert_eq!(probe(&granted, &write), Tried::Done, "{tier:?}");
        }
    }
}
