//! What a command, and its init, find around them.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::Path,
};

use portcullis_confine::{Event, Protection, Status};

use crate::fixture::{Run, c_strings, cell_of, copy_of, new_cell, new_server, scratch};

crate::tests![
    the_kernel_tells_the_command_where_it_is,
    only_standard_descriptors,
    parked_init_has_only_what_it_needs,
    own_processes_only,
    cell_cannot_be_undone,
    own_session,
    environment_is_what_was_given,
    working_directory_is_what_was_given,
    first_argument_is_what_was_given,
    no_new_privileges,
    report_agrees_with_the_kernel,
    renamed_over_program_still_runs,
    standard_input_arrives,
    turns_on_the_processor,
];

fn only_standard_descriptors() {
    let list = Run::shell("ls /proc/$$/fd; true");
    assert_eq!(list.output(), "0\n1\n2\n");

    // Also if the application leaks descriptors: to the server, and from there.
    let leaked = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let server = new_server();
    let (event, output, _) = list.finish_in(&cell_of(&server));
    assert!(matches!(
        event,
        Event::Exited {
            status: Status::Code(0),
            ..
        }
    ));
    assert_eq!(output, "0\n1\n2\n");
    // The control: an ordinary child does get it.
    let number = leaked.as_raw_fd();
    let ordinary = crate::fixture::command("/bin/sh")
        .args(["-c", &format!("test -e /proc/self/fd/{number}")])
        .status()
        .unwrap();
    assert!(ordinary.success());
}

fn parked_init_has_only_what_it_needs() {
    let cell = new_cell();
    let directory = format!("/proc/{}/fd", cell.pid());
    if !rustix::process::geteuid().is_root() {
        // An ordinary user is not even shown them: the init is hidden from its like.
        let error = fs::read_dir(&directory).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
        return;
    }
    let mut found: Vec<(u32, String)> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let number = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            (
                number,
                fs::read_link(&path).unwrap().to_str().unwrap().to_owned(),
            )
        })
        .collect();
    found.sort();
    let targets: Vec<&str> = found
        .iter()
        .map(|(_, target)| target.split(":[").next().unwrap())
        .collect();
    assert_eq!(
        targets,
        [
            "/dev/null",
            "/dev/null",
            "/dev/null",
            "socket",
            "socket",
            "anon_inode:[signalfd]"
        ]
        .map(|target| target.split(":[").next().unwrap())
    );
    assert!(found.iter().map(|(number, _)| *number).eq(0..6));
}

fn own_processes_only() {
    let pids = Run::shell("echo $$; cd /proc; echo [0-9]*").output();
    assert_eq!(pids, "2\n1 2\n");
}

/// Also not by root, who could unmount its `/proc`, or trace the init.
fn cell_cannot_be_undone() {
    let attempts = Run::shell(
        "umount -l /proc 2>/dev/null && echo unmounted
         readlink /proc/1/fd/3 2>/dev/null && echo taken
         cd /proc; echo [0-9]*",
    );
    assert_eq!(attempts.output(), "1 2\n");
}

fn own_session() {
    // Group, session and terminal.
    let run = Run::program(
        "/usr/bin/cut",
        &["cut", "-d ", "-f5,6,7", "/proc/self/stat"],
    );
    assert_eq!(run.output(), "2 1 0\n");
}

fn environment_is_what_was_given() {
    let mut run = Run::program("/usr/bin/env", &["env"]);
    run.env = c_strings(&["B=2", "A=1"]);
    assert_eq!(run.output(), "B=2\nA=1\n");
    run.env.clear();
    assert_eq!(run.output(), "");
}

fn working_directory_is_what_was_given() {
    let mut run = Run::shell("pwd -P");
    run.cwd = File::open(scratch()).unwrap();
    let expected = fs::canonicalize(scratch()).unwrap();
    assert_eq!(Path::new(run.output().trim_end()), expected);
}

fn first_argument_is_what_was_given() {
    assert_eq!(
        Run::program("/bin/sh", &["a name", "-c", "echo $0"]).output(),
        "a name\n"
    );
}

fn no_new_privileges() {
    assert_eq!(
        Run::shell("grep NoNewPrivs /proc/self/status").output(),
        "NoNewPrivs:\t1\n"
    );
}

fn report_agrees_with_the_kernel() {
    let cell = new_cell();
    let report = cell.report();
    let script = "for ns in pid mnt user; do readlink /proc/self/ns/$ns; done";
    let (_, inside, _) = Run::shell(script).finish_in(&cell);
    let outside = ["pid", "mnt", "user"].map(|name| fs::read_link(format!("/proc/self/ns/{name}")));
    let differs: Vec<bool> = inside
        .lines()
        .zip(outside)
        .map(|(inside, outside)| outside.unwrap().to_str() != Some(inside))
        .collect();
    assert_eq!(
        differs,
        [
            report.has(Protection::PidNamespace),
            report.has(Protection::MountNamespace),
            report.has(Protection::UserNamespace)
        ]
    );
    assert!(report.has(Protection::PidNamespace) && report.has(Protection::MountNamespace));
    assert!(
        report.has(Protection::OwnProc)
            && report.has(Protection::NoNewPrivs)
            && report.has(Protection::HiddenInit)
    );
    assert!(!report.is_confined());
    assert!(
        report
            .to_string()
            .starts_with("children: not confined; in force: own pid namespace")
    );
}

/// The file that was opened is the file that runs.
fn renamed_over_program_still_runs() {
    let program = copy_of("/bin/echo", "swapped", 0o755);
    let run = Run::program(program.to_str().unwrap(), &["swapped", "the right one"]);
    let other = copy_of("/bin/false", "other", 0o755);
    fs::rename(other, &program).unwrap();
    assert_eq!(run.output(), "the right one\n");
}

fn standard_input_arrives() {
    let mut run = Run::program("/bin/cat", &["cat"]);
    let path = crate::fixture::file_of(b"some bytes", "input");
    run.stdin = File::open(path).unwrap().into();
    assert_eq!(run.output(), "some bytes");
}

/// The init asks for short turns; the command has those of its host.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
fn turns_on_the_processor() {
    let slice = |text: &str| -> Option<u64> {
        let line = text.lines().find(|line| line.starts_with("se.slice"))?;
        line.rsplit(' ').next()?.parse().ok()
    };
    let Ok(own) = fs::read_to_string("/proc/self/sched") else {
        eprintln!("not checked: this kernel does not show turns");
        return;
    };
    let cell = new_cell();
    let init = fs::read_to_string(format!("/proc/{}/sched", cell.pid())).unwrap();
    let (_, command, _) = Run::program("/bin/cat", &["cat", "/proc/self/sched"]).finish_in(&cell);
    assert_eq!(slice(&command), slice(&own));
    let ordinary = own
        .lines()
        .any(|line| line.starts_with("policy") && line.ends_with(" 0"));
    if ordinary && kernel_version() >= (6, 12) {
        assert_eq!(slice(&init), Some(100_000));
    }
}

fn kernel_version() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// By the system call itself: glibc hides from a program that it gets no answer.
fn the_kernel_tells_the_command_where_it_is() {
    let script = format!(
        "my $path = \"\\0\" x 4096; my $length = syscall({}, $path, 4096); print substr($path, 0, $length - 1)",
        libc::SYS_getcwd
    );
    let run = Run {
        cwd: File::open("/usr/share").unwrap(),
        ..Run::program("/usr/bin/perl", &["perl", "-e", &script])
    };
    assert_eq!(run.output(), "/usr/share");
}
