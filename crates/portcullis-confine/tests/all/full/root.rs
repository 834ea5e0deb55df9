//! The root of a cell: the system, what was granted, and nothing else; nobody can write it.

use std::{fs, path::Path};

use portcullis_confine::{Access, Plan, Tier};

use super::{OWN_ROOT, cells_of, directory, open, output};
use crate::probe::{Tried, probe, probe_outside};

crate::tests![
    roots_are_where_they_were,
    it_has_the_system_and_no_more,
    it_cannot_be_written,
    secrets_of_the_system_are_not_there,
    the_system_can_be_used,
    an_empty_directory_is_empty,
];

fn roots_are_where_they_were() {
    let (read, write) = (directory("read"), directory("write"));
    fs::write(read.join("file"), "content").unwrap();
    for tier in OWN_ROOT {
        let plan = Plan::new(tier)
            .root(open(&read, Access::Read))
            .root(open(&write, Access::Write));
        let script = format!(
            "cat {0}/file; cd {1} && pwd; echo new > file",
            read.display(),
            write.display()
        );
        assert_eq!(
            output(&cells_of(plan), &script),
            format!("content{}\n", write.display())
        );
        let file = write.join("file");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new\n");
        fs::remove_file(file).unwrap();
    }
}

fn it_has_the_system_and_no_more() {
    const EXPECTED: [&str; 13] = [
        ".cell", "bin", "dev", "etc", "lib", "lib32", "lib64", "libx32", "nix", "proc", "sbin",
        "tmp", "usr",
    ];
    for tier in OWN_ROOT {
        let cells = super::Cells::of(&Plan::new(tier));
        let found = output(&cells, "ls -A /; ls -A /.cell");
        for name in found.lines() {
            let canary = name == "canary";
            assert!(canary || EXPECTED.contains(&name), "{tier:?}: {name}");
        }
        for needed in ["bin", "dev", "etc", "proc", "tmp", "usr"] {
            assert!(found.lines().any(|name| name == needed), "{needed}");
        }
    }
}

fn it_cannot_be_written() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier).home("/home/ann"));
        for path in [
            "/", "/usr", "/usr/bin", "/etc", "/proc", "/dev", "/home", "/.cell",
        ] {
            let file = Path::new(path).join("made");
            let tried = probe(&cells, &["create", file.to_str().unwrap()]);
            let expected = match path {
                // There is nothing to make files of in /proc.
                "/proc" => &[libc::ENOENT, libc::EROFS, libc::EACCES][..],
                _ => &[libc::EROFS, libc::EACCES],
            };
            let refused = matches!(tried, Tried::Refused(errno) if expected.contains(&errno));
            assert!(refused, "{tier:?} {path}: {tried:?}");
        }
        for act in [
            ["write", "/usr/bin/env"],
            ["write", "/etc/passwd"],
            ["remove", "/usr/bin/env"],
        ] {
            assert_ne!(probe(&cells, &act), Tried::Done, "{tier:?} {act:?}");
        }
        // The control: the cell has places that can be written.
        for place in ["/tmp/made", "/dev/shm/made", "/home/ann/made"] {
            assert_eq!(probe(&cells, &["create", place]), Tried::Done, "{place}");
        }
    }
}

fn secrets_of_the_system_are_not_there() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        for path in [
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/sudoers",
            "/etc/machine-id",
            "/etc/ssh",
            "/etc/hostname",
            "/root",
            "/home",
            "/var",
            "/run",
            "/srv",
            "/sys",
            "/boot",
        ] {
            let tried = probe(&cells, &["list", path]);
            assert_eq!(tried, Tried::Refused(libc::ENOENT), "{tier:?} {path}");
        }
    }
    assert_eq!(probe_outside(&["list", "/var"]), Tried::Done, "the control");
}

fn the_system_can_be_used() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        assert_eq!(
            output(&cells, "ls /usr/bin/env && grep -c ^root: /etc/passwd"),
            "/usr/bin/env\n1\n"
        );
        assert_eq!(probe(&cells, &["execute", "/bin/echo"]), Tried::Done);
    }
}

fn an_empty_directory_is_empty() {
    let path = directory("empty");
    fs::write(path.join("file"), "content").unwrap();
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier).empty_directory(&path));
        let script = format!("cd {} && pwd && ls -A", path.display());
        assert_eq!(output(&cells, &script), format!("{}\n", path.display()));
    }
    let cells = cells_of(Plan::new(Tier::Full));
    let tried = probe(&cells, &["list", path.to_str().unwrap()]);
    assert_eq!(tried, Tried::Refused(libc::ENOENT), "the control");
}
