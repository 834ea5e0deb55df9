//! Files that are never run, whatever the policy says.

use std::fs;
use std::path::Path;

use portcullis_exec::{ExecFailure, Status, Step};
use portcullis_policy::{Code, FsAccess, GuestError, Program, ProgramRule, Unfit};
use rustix::fs::Mode;

use crate::fixture::{Plugin, ask, ask_path, grant, is_root};

crate::tests![
    a_sound_copy_runs,
    set_user_id_and_set_group_id,
    writable_by_others,
    in_a_directory_the_plugin_may_write,
    a_path_that_the_plugin_can_lead_elsewhere,
    no_execute_permission,
    no_read_permission,
    a_directory,
    a_fifo_without_waiting_for_it,
    a_device,
    the_host_itself,
    formats_of_other_loaders,
    an_elf_file_that_the_kernel_refuses,
    links_into_proc,
    a_deleted_file_is_missing,
];

fn plugin() -> Plugin {
    let mut plugin = Plugin::new(&[]);
    plugin.exec().any_program = true;
    plugin
}

/// Checks that an unfit file is found out and denied, and returns why.
fn unfit(plugin: &Plugin, path: &Path) -> Unfit {
    let ask = ask_path(path, &["-c", "exit 7"]);
    let denial = plugin.decide(&ask).map(|_| ()).unwrap_err();
    assert_eq!(
        (denial.code, denial.guest),
        (Code::ExecUnfit, GuestError::CannotStart)
    );
    match plugin.resolve(&ask).0.found {
        Program::Unfit { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

fn chmod(path: &Path, mode: u32) {
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).unwrap();
}

/// Without this the others could be refused for another reason.
async fn a_sound_copy_runs() {
    let plugin = plugin();
    let tool = plugin.copy("/bin/sh", "tool");
    let completed = plugin.run(ask_path(&tool, &["-c", "exit 7"])).await;
    assert_eq!(completed.status, Status::Exited(7));
}

async fn set_user_id_and_set_group_id() {
    let plugin = plugin();
    let tool = plugin.copy("/bin/sh", "tool");
    for mode in [0o4755, 0o2755, 0o6755] {
        chmod(&tool, mode);
        assert_eq!(unfit(&plugin, &tool), Unfit::SetId);
    }
}

async fn writable_by_others() {
    let plugin = plugin();
    let tool = plugin.copy("/bin/sh", "tool");
    for mode in [0o775, 0o757, 0o777] {
        chmod(&tool, mode);
        assert_eq!(unfit(&plugin, &tool), Unfit::WritableByOthers);
    }
}

async fn in_a_directory_the_plugin_may_write() {
    let mut plugin = plugin();
    let writable = plugin.make_dir("writable");
    fs::create_dir(writable.join("deep")).unwrap();
    let tool = plugin.copy("/bin/sh", "writable/deep/tool");
    let link = plugin.path("link");
    std::os::unix::fs::symlink(&tool, &link).unwrap();
    plugin
        .grants
        .fs
        .push(grant(&writable, "/w", FsAccess::ReadWrite));
    for path in [&tool, &link] {
        assert_eq!(
            unfit(&plugin, path),
            Unfit::InWritableGrant(writable.clone())
        );
    }
    plugin.grants.fs.last_mut().unwrap().access = FsAccess::Read;
    let completed = plugin.run(ask_path(&tool, &["-c", "exit 7"])).await;
    assert_eq!(completed.status, Status::Exited(7));
}

/// A rule names the path, and the plugin says where it leads.
async fn a_path_that_the_plugin_can_lead_elsewhere() {
    let mut plugin = plugin();
    let writable = plugin.make_dir("writable");
    let tool = plugin.copy("/bin/sh", "tool");
    let exchanged = writable.join("tool");
    std::os::unix::fs::symlink(&tool, &exchanged).unwrap();
    plugin.exec().allow = vec![ProgramRule::any_arguments(exchanged.to_str().unwrap())];
    let exits = ["-c", "exit 7"];
    let completed = plugin.run(ask_path(&exchanged, &exits)).await;
    assert_eq!(completed.status, Status::Exited(7));
    plugin
        .grants
        .fs
        .push(grant(&writable, "/w", FsAccess::ReadWrite));
    assert_eq!(
        unfit(&plugin, &exchanged),
        Unfit::LedByWritableGrant(writable.clone())
    );
    // By its name, from a directory of the search path that the plugin may write.
    plugin.exec().allow = vec![ProgramRule::any_arguments("tool")];
    plugin.exec().search_path = vec![writable.clone()];
    let denial = plugin.denial(&ask("tool", &exits));
    assert_eq!(denial.0, Code::ExecUnfit, "{}", denial.1);
}

async fn no_execute_permission() {
    let plugin = plugin();
    let tool = plugin.copy("/bin/sh", "tool");
    chmod(&tool, 0o644);
    assert_eq!(unfit(&plugin, &tool), Unfit::NotExecutable);
}

async fn no_read_permission() {
    let plugin = plugin();
    let tool = plugin.copy("/bin/sh", "tool");
    chmod(&tool, 0o111);
    if is_root() {
        let completed = plugin.run(ask_path(&tool, &["-c", "exit 7"])).await;
        assert_eq!(completed.status, Status::Exited(7));
    } else {
        assert!(matches!(unfit(&plugin, &tool), Unfit::Unreadable(_)));
    }
}

async fn a_directory() {
    let plugin = plugin();
    let dir = plugin.make_dir("dir");
    assert_eq!(unfit(&plugin, &dir), Unfit::NotRegular);
}

async fn a_fifo_without_waiting_for_it() {
    let plugin = plugin();
    let fifo = plugin.path("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::from_raw_mode(0o755)).unwrap();
    assert_eq!(unfit(&plugin, &fifo), Unfit::NotRegular);
}

async fn a_device() {
    assert_eq!(unfit(&plugin(), Path::new("/dev/null")), Unfit::NotRegular);
}

async fn formats_of_other_loaders() {
    let plugin = plugin();
    for (name, bytes) in [
        ("pe", &b"MZ\x90\0\x03\0\0\0PE\0\0"[..]),
        ("wasm", b"\0asm\x01\0\0\0"),
        ("text", b"echo no interpreter\n"),
        ("empty", b""),
        ("short", b"\x7fEL"),
        ("late", b"\n#!/bin/sh\n"),
    ] {
        let file = plugin.write(name, bytes, 0o755);
        assert_eq!(unfit(&plugin, &file), Unfit::UnknownFormat, "{name}");
    }
}

async fn an_elf_file_that_the_kernel_refuses() {
    let plugin = plugin();
    let file = plugin.write("broken", b"\x7fELF, or so it says", 0o755);
    match plugin.failure(ask_path(&file, &[])).await {
        ExecFailure::CannotStart {
            step: Step::Exec,
            errno,
        } => {
            assert_eq!(errno, rustix::io::Errno::NOEXEC.raw_os_error());
        }
        other => panic!("{other:?}"),
    }
}

async fn links_into_proc() {
    let plugin = plugin();
    for path in [
        "/proc/self/exe",
        "/proc/self/root/bin/sh",
        "/proc/thread-self/exe",
    ] {
        assert!(
            matches!(unfit(&plugin, Path::new(path)), Unfit::Unreadable(_)),
            "{path}"
        );
    }
}

async fn a_deleted_file_is_missing() {
    let plugin = plugin();
    let tool = plugin.copy("/bin/sh", "tool");
    fs::remove_file(&tool).unwrap();
    assert_eq!(plugin.denial(&ask_path(&tool, &[])).0, Code::ExecNotFound);
}

/// Under any name: a plugin that could start the host could change policy.
async fn the_host_itself() {
    let plugin = plugin();
    let own = std::env::current_exe().unwrap();
    assert_eq!(unfit(&plugin, &own), Unfit::OwnExecutable);
    let link = plugin.path("link");
    std::os::unix::fs::symlink(&own, &link).unwrap();
    assert_eq!(unfit(&plugin, &link), Unfit::OwnExecutable);
}
