//! The host is killed with SIGKILL, at points that are named: everything it started is gone.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::fd::{AsFd, OwnedFd},
    os::unix::net::UnixStream,
    process::{Child, ChildStdout, ExitCode, Stdio},
    time::Duration,
};

use portcullis_confine::{Helper, Plan, SpawnServer, TestPoint, Tier};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::fixture::{
    Cells, Run, STUBBORN_TREE, STUBBORN_TREE_LINES, Witness, cell_of, children, command,
    descendants, in_tier, new_server, soak, this_executable, tier, wait_readable,
};

crate::tests![
    while_running,
    while_parked,
    before_clone,
    between_clone_and_exec,
    before_a_template,
    in_a_template,
    before_a_cell,
    in_a_cell,
    while_starting,
];

/// How often the host is killed at each of the points.
fn times() -> usize {
    soak(25).max(2)
}

const ONE_SECOND: Duration = Duration::from_secs(1);

/// A host of its own process, which holds the witness as its standard input and hands it on.
struct Host {
    process: Child,
    output: BufReader<ChildStdout>,
    /// The spawn server and the cells' inits.
    pidfds: Vec<OwnedFd>,
}

impl Host {
    fn start(how: &str, witness: OwnedFd) -> Self {
        let mut process = command(this_executable())
            .args(["--role", "host", tier().name(), how])
            .stdin(witness)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut pids = String::new();
        output.read_line(&mut pids).unwrap();
        let pidfd = |text: &str| {
            let pid = Pid::from_raw(text.parse().unwrap()).unwrap();
            rustix::process::pidfd_open(pid, PidfdFlags::empty()).unwrap()
        };
        Self {
            process,
            output,
            pidfds: pids.split_whitespace().map(pidfd).collect(),
        }
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word);
    }

    /// Kills the host; everything it had must be gone within a second.
    fn kill(mut self, witness: &mut Witness) {
        // The template in which the server proved itself may be about to end.
        self.pidfds.retain(|fd| !wait_readable(fd, Duration::ZERO));
        assert!(!self.pidfds.is_empty());
        assert!(!witness.is_at_end());
        rustix::process::kill_process(Pid::from_child(&self.process), Signal::KILL).unwrap();
        assert!(witness.wait_for_end() < ONE_SECOND);
        for pidfd in &self.pidfds {
            assert!(
                wait_readable(pidfd, ONE_SECOND),
                "the server or an init is left"
            );
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Also when the test has failed; mostly it is dead already.
        let _: io::Result<()> = self.process.kill();
        let _: io::Result<std::process::ExitStatus> = self.process.wait();
    }
}

fn while_running() {
    for _ in 0..times() {
        let mut witness = Witness::new();
        let host = Host::start("run", witness.hand_over());
        witness.wait_for_lines(STUBBORN_TREE_LINES);
        host.kill(&mut witness);
    }
}

fn while_parked() {
    for _ in 0..times() {
        let mut witness = Witness::new();
        let host = Host::start("park", witness.hand_over());
        host.kill(&mut witness);
    }
}

fn before_clone() {
    kill_stopped("before-clone");
}

/// Kills a host when something of its own has stopped.
fn kill_stopped(point: &str) {
    for _ in 0..times() {
        let mut witness = Witness::new();
        let mut host = Host::start(point, witness.hand_over());
        host.wait_for("stopped");
        host.kill(&mut witness);
    }
}

fn between_clone_and_exec() {
    kill_stopped("between-clone-and-exec");
}

fn before_a_template() {
    kill_stopped("before-template");
}

fn in_a_template() {
    kill_stopped("in-template");
}

fn before_a_cell() {
    kill_stopped("before-cell");
}

fn in_a_cell() {
    kill_stopped("in-cell");
}

/// Before the server has proved itself.
fn while_starting() {
    kill_stopped("starting");
}

/// The host that is going to be killed: two cells, one of which is used.
#[expect(clippy::print_stdout, reason = "its parent reads it")]
pub(crate) fn play_host(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let tier = tier_of(&arguments.next().unwrap());
    let how = arguments.next().unwrap();
    if how == "starting" {
        return stop_in_start(tier);
    }
    let server = in_tier(tier, new_server);
    let cells = [cell_of(&server), cell_of(&server)];
    if let Some(point) = in_making(&how) {
        return stop_in_making(&server, tier, point);
    }
    println!(
        "{} {} {}",
        server.server.pid(),
        cells[0].pid(),
        cells[1].pid()
    );
    let witness = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut run = Run {
        stdin: witness,
        ..Run::shell(STUBBORN_TREE)
    };
    let (mut announced, announce) = UnixStream::pair().unwrap();
    let point = match how.as_str() {
        "park" => None,
        "run" => {
            run.start(&cells[0]).unwrap();
            None
        }
        "before-clone" => Some(TestPoint::BeforeClone),
        "between-clone-and-exec" => Some(TestPoint::BetweenCloneAndExec),
        other => panic!("no point `{other}`"),
    };
    let held = point.map(|point| {
        run.stop = Some((point, announce.into()));
        let pipes = run.start(&cells[0]).unwrap();
        announced.read_exact(&mut [0]).unwrap();
        println!("stopped");
        pipes
    });
    stay();
    drop(held);
    ExitCode::FAILURE
}

pub(crate) fn tier_of(name: &str) -> Tier {
    match name {
        "full" => Tier::Full,
        _ => Tier::Limits,
    }
}

/// Stays until it is killed: nobody ever writes here.
fn stay() {
    io::stdout().flush().unwrap();
    let forever = io::pipe().unwrap();
    wait_readable(&forever.0, Duration::from_secs(600));
}

pub(crate) fn in_making(how: &str) -> Option<TestPoint> {
    Some(match how {
        "before-template" => TestPoint::BeforeTemplate,
        "in-template" => TestPoint::InTemplate,
        "before-cell" => TestPoint::BeforeCell,
        "in-cell" => TestPoint::InCell,
        _ => return None,
    })
}

/// Stops while a template or a cell is being made; the end of the host lets go of whatever has stopped.
fn stop_in_making(server: &Cells, tier: Tier, point: TestPoint) -> ExitCode {
    // The template with which the server proved itself ends in its own time.
    while children(server.server.pid()).len() > 1 {
        std::thread::yield_now();
    }
    let (mut announced, announce) = UnixStream::pair().unwrap();
    let plan = Plan::new(tier).stopping_at(point, announce.into());
    let template = server.server.template(&plan).unwrap();
    drop(plan);
    template.request_cell().unwrap();
    announced.read_exact(&mut [0]).unwrap();
    stay_stopped()
}

/// Stops while the server's first cell is being made.
fn stop_in_start(tier: Tier) -> ExitCode {
    let (mut announced, announce) = UnixStream::pair().unwrap();
    let plan = Plan::new(tier).stopping_at(TestPoint::InCell, announce.into());
    let start = std::thread::spawn(move || {
        SpawnServer::start(&Helper::find(None).unwrap(), &plan).unwrap();
    });
    announced.read_exact(&mut [0]).unwrap();
    let code = stay_stopped();
    drop(start);
    code
}

/// Tells the test what there is, and stays.
#[expect(clippy::print_stdout, reason = "its parent reads it")]
fn stay_stopped() -> ExitCode {
    let family = descendants(std::process::id());
    let numbers: Vec<String> = family.iter().map(ToString::to_string).collect();
    println!("{}\nstopped", numbers.join(" "));
    stay();
    ExitCode::FAILURE
}
