//! Who a command is: the user, or for root somebody who owns nothing.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use portcullis_confine::{Access, Plan, Tier};

use super::{OWN_ROOT, cells_of, confining, directory, is_root, open, output};
use crate::{
    fixture::{Run, cell_of, event_of},
    probe::{Tried, probe, probe_outside},
};

crate::tests![
    a_command_of_root_is_nobody_and_a_users_is_the_user,
    it_has_no_capabilities_and_gets_none,
    what_it_writes_belongs_to_the_user,
    files_of_the_user_are_its_own,
    roots_files_elsewhere_are_not,
    its_name_for_the_machine_is_its_own,
];

fn a_command_of_root_is_nobody_and_a_users_is_the_user() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        let own = rustix::process::geteuid().as_raw();
        let expected = if is_root() { 65534 } else { own };
        assert_eq!(
            output(&cells, "id -u; id -g"),
            format!("{expected}\n{expected}\n")
        );
        // As the host sees it.
        let cell = cell_of(&cells);
        let (reader, writer) = std::io::pipe().unwrap();
        let run = Run {
            stdin: reader.into(),
            ..Run::shell("read line")
        };
        let _pipes = run.start(&cell).unwrap();
        let children = loop {
            let path = format!("/proc/{0}/task/{0}/children", cell.pid());
            let children = fs::read_to_string(path).unwrap();
            if !children.is_empty() {
                break children;
            }
            std::thread::yield_now();
        };
        let command = fs::metadata(format!("/proc/{}", children.trim())).unwrap();
        if is_root() {
            assert!(command.uid() > 1_000_000_000, "{tier:?}: {}", command.uid());
        } else {
            let status = fs::read_to_string(format!("/proc/{}/status", children.trim()));
            let uid = format!("Uid:\t{own}\t{own}\t{own}\t{own}");
            assert!(status.unwrap().contains(&uid));
        }
        drop(writer);
        event_of(&cell);
    }
}

fn it_has_no_capabilities_and_gets_none() {
    for tier in confining() {
        let cells = cells_of(Plan::new(tier));
        let script = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status";
        for line in output(&cells, script).lines() {
            let (name, value) = line.split_once(":\t").unwrap();
            let expected = match name {
                "NoNewPrivs" => "1",
                "Seccomp" => "2",
                // Only whoever has a user namespace of its own can empty it.
                "CapBnd" if tier == Tier::Landlock => continue,
                _ => "0000000000000000",
            };
            assert_eq!(value.trim(), expected, "{tier:?} {line}");
        }
        for call in [libc::SYS_setuid, libc::SYS_setgid] {
            let act = ["syscall", &call.to_string(), "0"];
            let refused = matches!(
                probe(&cells, &act),
                Tried::Refused(libc::EINVAL | libc::EPERM)
            );
            assert!(refused, "{tier:?} {call}");
        }
    }
    if is_root() {
        let act = ["syscall", &libc::SYS_setuid.to_string(), "0"];
        assert_eq!(probe_outside(&act), Tried::Done, "the control");
    }
}

fn what_it_writes_belongs_to_the_user() {
    let path = directory("owner");
    for tier in confining() {
        let file = path.join("file");
        let cells = cells_of(Plan::new(tier).root(open(&path, Access::Write)));
        let script = format!("umask 022; echo > {}", file.display());
        output(&cells, &script);
        let meta = fs::metadata(&file).unwrap();
        let own = rustix::process::geteuid().as_raw();
        assert_eq!((meta.uid(), meta.gid()), (own, own), "{tier:?}");
        fs::remove_file(file).unwrap();
    }
}

/// Also what only their owner may read: it was granted.
fn files_of_the_user_are_its_own() {
    let path = directory("private");
    let file = path.join("file");
    fs::write(&file, "content").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for tier in confining() {
        let cells = cells_of(Plan::new(tier).root(open(&path, Access::Read)));
        let read = ["read", file.to_str().unwrap()];
        assert_eq!(probe(&cells, &read), Tried::Done, "{tier:?}");
        if tier != Tier::Landlock {
            let script = format!("stat -c %u {}", file.display());
            let own = output(&cells, "id -u");
            assert_eq!(output(&cells, &script), own, "{tier:?}");
        }
    }
}

/// A file that others may not read, where the system lies.
fn roots_files_elsewhere_are_not() {
    let cells = cells_of(Plan::new(Tier::Full));
    let script = "find /usr/lib /usr/share -xdev -maxdepth 2 -user 0 ! -perm /o=r ! -type l 2>/dev/null | head -n 1";
    // Found outside, where the test may be root; tried inside.
    let found = crate::fixture::command("sh").args(["-c", script]).output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    if let Some(path) = found.lines().next() {
        assert_eq!(
            probe(&cells, &["list", path]),
            Tried::Refused(libc::EACCES),
            "{path}"
        );
    }
    assert_eq!(probe(&cells, &["write", "/dev/null"]), Tried::Done);
    assert_ne!(probe(&cells, &["write", "/etc/passwd"]), Tried::Done);
}

fn its_name_for_the_machine_is_its_own() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        assert_eq!(output(&cells, "uname -n"), "cell\n");
    }
    let own = output(&crate::fixture::new_server(), "uname -n");
    assert_ne!(own, "cell\n", "the control");
}
