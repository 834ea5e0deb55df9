//! What is no program of this kernel's own is refused, whatever would run it.

use std::{fs::File, path::Path};

use portcullis_confine::{Event, SendError, Step};
use rustix::fs::{Mode, OFlags};

use crate::fixture::{PATIENCE, Run, cell_of, file_of, new_cell, new_server, wait_readable};

crate::tests![
    scripts_and_foreign_formats_are_refused,
    unreadable_descriptors_are_refused,
    directories_are_refused,
    dead_cells_take_no_command,
    cells_come_ahead,
];

fn refusal(program: File) -> i32 {
    match (Run {
        program,
        ..Run::shell("echo ran")
    })
    .finish()
    {
        (
            Event::Failed {
                step: Step::CheckProgram,
                errno,
            },
            output,
            _,
        ) => {
            assert_eq!(output, "");
            errno
        }
        (other, ..) => panic!("{other:?}"),
    }
}

fn scripts_and_foreign_formats_are_refused() {
    let formats: [(&str, &[u8]); 5] = [
        ("script", b"#!/bin/sh\necho ran\n"),
        ("portable-executable", b"MZ\x90\0\x03\0\0\0"),
        ("java-class", b"\xca\xfe\xba\xbe\0\0\0\x34"),
        ("short", b"\x7fEL"),
        ("empty", b""),
    ];
    for (name, bytes) in formats {
        let path = file_of(bytes, name);
        assert_eq!(refusal(File::open(path).unwrap()), libc::ENOEXEC, "{name}");
    }
}

/// Without the right to read it the format cannot be checked.
fn unreadable_descriptors_are_refused() {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let path_only = rustix::fs::open("/bin/sh", flags, Mode::empty()).unwrap();
    assert_eq!(refusal(path_only.into()), libc::EBADF);
}

fn directories_are_refused() {
    assert_eq!(refusal(File::open(Path::new("/")).unwrap()), libc::EISDIR);
}

fn dead_cells_take_no_command() {
    let cell = new_cell();
    cell.kill();
    assert!(wait_readable(cell.pidfd(), PATIENCE));
    assert!(matches!(
        Run::shell("echo ran").start(&cell),
        Err(SendError::Gone)
    ));
}

/// Cells are asked for together, and each is a cell of its own.
fn cells_come_ahead() {
    let server = new_server();
    for _ in 0..4 {
        server.template.request_cell().unwrap();
    }
    let mut cells = Vec::new();
    while cells.len() < 4 {
        assert!(wait_readable(server.template.socket(), PATIENCE));
        cells.extend(server.template.receive_cell().unwrap());
    }
    assert!(server.template.receive_cell().unwrap().is_none());
    let mut pids: Vec<u32> = cells.iter().map(portcullis_confine::Cell::pid).collect();
    pids.dedup();
    assert_eq!(pids.len(), 4);
    for cell in cells.iter().chain([&cell_of(&server)]) {
        assert_eq!(Run::shell("echo $$").finish_in(cell).1, "2\n");
    }
}
