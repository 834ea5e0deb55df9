//! Microseconds to run a tiny static program and capture its output: the standard library against a
//! cell that was parked ahead, one after the other in the same run.
//!
//! `cargo run --release -p portcullis-confine --example spawn_bench [rounds [tier]]`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, or fails"
)]

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use portcullis_confine::{
    Access, Cell, CellCommand, Event, Helper, Plan, Rlimits, Root, SpawnServer, Status, Template, Tier, enter,
};
use rustix::event::{PollFd, PollFlags};

const WARM_UP: usize = 50;
/// Cells that are parked when a measurement starts.
const PARKED: usize = 4;

fn main() {
    enter();
    let rounds = std::env::args()
        .nth(1)
        .map_or(1000, |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let tiny = build_tiny(directory.path());
    let plan = match std::env::args().nth(2).as_deref() {
        Some("full") => Plan::new(Tier::Full),
        Some("shared") => Plan::new(Tier::Full).share_scratch(),
        Some("namespaces") => Plan::new(Tier::Namespaces),
        Some("landlock") => Plan::new(Tier::Landlock),
        _ => Plan::limits(),
    };
    // The tiny program must be there, and a directory to stand in.
    let root = Root::open(&directory.path().canonicalize().unwrap(), Access::Program).unwrap();
    let plan = plan.root(root);
    let process = SpawnServer::start(&Helper::find(None).unwrap(), &plan).unwrap();
    let server = process.template(&plan).unwrap();
    let mut pool: Vec<Cell> = (0..PARKED).map(|_| next_cell(&server)).collect();
    println!("{}", pool[0].report());

    let (mut std_times, mut cell_times, mut inline_times) = (vec![], vec![], vec![]);
    for round in 0..WARM_UP + rounds {
        let plain = || time(|| run_std(&tiny));
        // Each takes its turn at being first.
        let before = (round % 2 == 0).then(plain);
        let cell = pool.remove(0);
        let parked = time(|| run_cell(&tiny, &cell));
        settle(&cell);
        let plain = before.unwrap_or_else(plain);
        // Off the measured path, as a host would do it while the command runs or afterwards.
        pool.push(next_cell(&server));
        let start = Instant::now();
        let cell = next_cell(&server);
        run_cell(&tiny, &cell);
        let inline = start.elapsed();
        settle(&cell);
        if round >= WARM_UP {
            std_times.push(plain);
            cell_times.push(parked);
            inline_times.push(inline);
        }
    }
    let base = median(&mut std_times);
    println!("{:24}{base:8.1} us   1.00x", "Command::output");
    for (name, times) in [
        ("parked cell", &mut cell_times),
        ("cell made inline", &mut inline_times),
    ] {
        let figure = median(times);
        println!("{name:24}{figure:8.1} us   {:.2}x", figure / base);
    }
}

/// Compiles the program with the system's compiler.
#[expect(clippy::disallowed_methods, reason = "a benchmark's own tool")]
fn build_tiny(directory: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/tiny.c");
    let program = directory.join("tiny");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-static", "-nostdlib", "-O2", "-o"])
        .arg(&program)
        .arg(source);
    assert!(compiler.status().unwrap().success());
    program
}

#[expect(clippy::disallowed_methods, reason = "what a cell is compared with")]
fn run_std(program: &Path) {
    let output = Command::new(program).env_clear().output().unwrap();
    assert_eq!(output.stdout, b"hello\n");
}

/// Everything that a call does: open the program, make the pipes, start, drain, wait.
fn run_cell(program: &Path, cell: &Cell) {
    let program = File::open(program).unwrap();
    let cwd = File::open("/").unwrap();
    let stdin = File::open("/dev/null").unwrap();
    let (stdout, stdout_end) = io::pipe().unwrap();
    let (stderr, stderr_end) = io::pipe().unwrap();
    cell.start(&CellCommand {
        program: program.as_fd(),
        argv: &[CString::new("tiny").unwrap()],
        env: &[],
        cwd: cwd.as_fd(),
        stdin: stdin.as_fd(),
        stdout: stdout_end.as_fd(),
        stderr: stderr_end.as_fd(),
        limits: Rlimits::default(),
    })
    .unwrap();
    drop((stdout_end, stderr_end));
    assert_eq!(read_to_end(stdout.into()), b"hello\n");
    assert_eq!(read_to_end(stderr.into()), b"");
    wait_readable(cell.socket());
    let event = cell.receive().unwrap();
    assert!(
        matches!(
            event,
            Some(Event::Exited {
                status: Status::Code(0),
                ..
            })
        ),
        "{event:?}"
    );
}

/// Waits until the cell is gone, so that its end is not part of what is measured next.
fn settle(cell: &Cell) {
    wait_readable(cell.pidfd());
}

fn read_to_end(pipe: OwnedFd) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::from(pipe).read_to_end(&mut bytes).unwrap();
    bytes
}

fn next_cell(server: &Template) -> Cell {
    server.request_cell().unwrap();
    loop {
        wait_readable(server.socket());
        if let Some(cell) = server.receive_cell().unwrap() {
            return cell;
        }
    }
}

fn wait_readable(fd: impl AsFd) {
    rustix::event::poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).unwrap();
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
