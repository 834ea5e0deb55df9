//! What a command tries in its cell: this executable again, in the role of a command that does one thing and says how
//! that went. No shell stands between a test and the error number.
#![expect(
    unsafe_code,
    reason = "system calls by number, as a hostile command makes them"
)]

use std::{
    fs::File,
    io::{self, Write},
    net::{TcpListener, TcpStream},
    os::{fd::AsRawFd, linux::net::SocketAddrExt, unix::net},
    process::ExitCode,
};

use portcullis_confine::{Access, Cell, Event, Observed, Plan, Root, Status};

use crate::fixture::{Cells, Run, c_strings, cell_of, this_executable};

/// What came of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    Done,
    Refused(i32),
}

/// Adds what a probe needs to run at all: the file of this executable.
pub(crate) fn with_probe(plan: Plan) -> Plan {
    let file = this_executable().canonicalize().unwrap();
    plan.root(Root::open(&file, Access::Program).unwrap())
}

/// As [`probe`], and what the host saw of it.
pub(crate) fn probe_observed(cells: &Cells, act: &[&str]) -> (Tried, Observed) {
    let mut run = run_of(act);
    run.observed = true;
    let cell = cell_of(cells);
    let tried = tried(&run, &cell, act);
    (tried, cell.take_observing().unwrap().finish())
}

fn run_of(act: &[&str]) -> Run {
    let file = this_executable();
    let mut run = Run::program(file.to_str().unwrap(), &["probe", "--role", "probe"]);
    run.argv.extend(c_strings(act));
    run
}

/// Tries one thing in a new cell.
pub(crate) fn probe(cells: &Cells, act: &[&str]) -> Tried {
    tried(&run_of(act), &cell_of(cells), act)
}

fn tried(run: &Run, cell: &Cell, act: &[&str]) -> Tried {
    let (event, output, errors) = run.finish_in(cell);
    let ended_well = matches!(
        event,
        Event::Exited {
            status: Status::Code(0),
            ..
        }
    );
    assert!(ended_well, "{act:?}: {event:?} {output} {errors}");
    answer(&output)
}

/// Tries the same outside, as the user that runs the tests: the control.
pub(crate) fn probe_outside(act: &[&str]) -> Tried {
    let output = crate::fixture::command(this_executable())
        .args(["--role", "probe"])
        .args(act)
        .output()
        .unwrap();
    assert!(output.status.success(), "{act:?}: {output:?}");
    answer(&String::from_utf8(output.stdout).unwrap())
}

fn answer(output: &str) -> Tried {
    match output.lines().last().unwrap().parse().unwrap() {
        0 => Tried::Done,
        errno => Tried::Refused(errno),
    }
}

/// Does what the arguments say and prints the error number; 0 is success.
#[expect(clippy::print_stdout, reason = "this is the answer")]
pub(crate) fn play(arguments: impl Iterator<Item = String>) -> ExitCode {
    let arguments: Vec<String> = arguments.collect();
    let act: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let errno = match attempt(&act) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(-1),
    };
    println!("{errno}");
    ExitCode::SUCCESS
}

fn attempt(act: &[&str]) -> io::Result<()> {
    match act {
        ["read", path] => std::fs::read(path).map(drop),
        ["list", path] => std::fs::read_dir(path).map(drop),
        ["write", path] => File::options().write(true).open(path).map(drop),
        ["put", path, text] => File::options()
            .write(true)
            .open(path)?
            .write_all(text.as_bytes()),
        ["create", path] => File::create_new(path).map(drop),
        ["mkdir", path] => std::fs::create_dir(path),
        ["remove", path] => std::fs::remove_file(path),
        ["rename", from, to] => std::fs::rename(from, to),
        ["chmod", path, mode] => chmod(path, mode),
        ["execute", path] => execute(path),
        ["memfd", flags] => run_memfd(flags.parse().unwrap_or(0)),
        ["map", path] => map_executable(path),
        ["socket", family, kind] => call(libc::SYS_socket, &[number(family), number(kind), 0]),
        ["connect", address] => TcpStream::connect(address).map(drop),
        ["loopback"] => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            TcpStream::connect(listener.local_addr()?)?;
            listener.accept().map(drop)
        }
        ["abstract", name] => {
            let address = net::SocketAddr::from_abstract_name(name)?;
            net::UnixStream::connect_addr(&address).map(drop)
        }
        ["unix", path] => net::UnixStream::connect(path).map(drop),
        ["queue", name] => open_queue(name),
        ["signal", pid] => call(libc::SYS_kill, &[number(pid), 0]),
        ["syscall", name, arguments @ ..] => {
            let arguments: Vec<usize> = arguments.iter().map(|text| number(text)).collect();
            call(number(name).try_into().unwrap_or(-1), &arguments)
        }
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

fn number(text: &str) -> usize {
    text.parse::<isize>()
        .map_or(usize::MAX, isize::cast_unsigned)
}

fn call(number: libc::c_long, arguments: &[usize]) -> io::Result<()> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: the tests pass null and small numbers where a call expects addresses.
    check(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Opens a POSIX queue that somebody else has made.
fn open_queue(name: &str) -> io::Result<()> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: the name is a string that lives until the call returns.
    check(unsafe { libc::mq_open(name.as_ptr(), libc::O_RDONLY) }.into())
}

/// Whether one byte could be written into another process, by the call for that.
pub(crate) fn write_into(pid: u32) -> bool {
    let mut byte = 0_u8;
    let local = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    // An address that is never mapped: the right to write is looked at first.
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut(8),
        iov_len: 1,
    };
    let pid = pid.try_into().unwrap_or(-1);
    // SAFETY: one byte is read from here; the other address lies in another process.
    let written =
        unsafe { libc::process_vm_writev(pid, &raw const local, 1, &raw const remote, 1, 0) };
    written == 1 || io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

fn chmod(path: &str, mode: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = u32::from_str_radix(mode, 8).map_err(io::Error::other)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

/// Executes a program, which ends with 0 and prints the 0 of its own success: see [`Tried`].
fn execute(path: &str) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(crate::fixture::command(path).args(["0"]).exec())
}

/// A program in memory: the classical way around every list of programs.
fn run_memfd(flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: the name is a constant; the descriptor is a new one.
    let fd = unsafe { libc::memfd_create(c"program".as_ptr(), flags) };
    check(fd.into())?;
    let program = std::fs::read("/bin/echo")?;
    std::fs::write(format!("/proc/self/fd/{fd}"), program)?;
    execute(&format!("/proc/self/fd/{fd}"))
}

/// Maps a file as a loader maps a library.
fn map_executable(path: &str) -> io::Result<()> {
    let file = File::open(path)?;
    let protection = libc::PROT_READ | libc::PROT_EXEC;
    let null = std::ptr::null_mut();
    // SAFETY: a new mapping that nobody uses.
    let mapped = unsafe {
        libc::mmap(
            null,
            4096,
            protection,
            libc::MAP_PRIVATE,
            file.as_raw_fd(),
            0,
        )
    };
    if mapped == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
