//! The spawn server, a template or an init is killed with SIGKILL, at points that are named: everything below is gone,
//! whoever waits is told, and what was not killed goes on.

use std::{
    io::{Read, Write},
    os::fd::OwnedFd,
    os::unix::net::UnixStream,
    time::Duration,
};

use portcullis_confine::{Cell, Plan, ServerError, SpawnServer, Template, TestPoint};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::fixture::{
    Cells, PATIENCE, Run, STUBBORN_TREE, STUBBORN_TREE_LINES, Witness, cell_from, children,
    descendants, new_server, soak, tier, wait_readable,
};

crate::tests![
    before_a_template,
    in_a_template,
    before_a_cell,
    in_a_cell,
    while_parked,
    before_clone,
    between_clone_and_exec,
    while_running,
    while_starting,
];

const ONE_SECOND: Duration = Duration::from_secs(1);

/// How often each victim is killed at each of the points: the server more than 200 times in all.
fn times() -> usize {
    soak(25).max(2)
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Template,
    Init,
}

/// A server with a template that nobody touches, and one that loses something.
struct Stage {
    bystander: Template,
    /// Those that were there before.
    templates: Vec<u32>,
    template: Template,
    server: SpawnServer,
}

impl Stage {
    fn new(plan: &Plan) -> Self {
        let Cells {
            template: bystander,
            server,
        } = new_server();
        drop(cell_from(&bystander));
        let templates = children(server.pid());
        Self {
            bystander,
            templates,
            template: server.template(plan).unwrap(),
            server,
        }
    }

    /// Kills, and gives back everything that must not outlive that.
    fn kill(&self, victim: Victim) -> Vec<OwnedFd> {
        let is_new = |pid: &u32| !self.templates.contains(pid);
        let template = || {
            children(self.server.pid())
                .into_iter()
                .find(is_new)
                .unwrap()
        };
        let victim = pid_of(match victim {
            Victim::Server => self.server.pid(),
            Victim::Template => template(),
            Victim::Init => children(template())[0],
        });
        kill_head_of(family(victim), victim)
    }

    /// What was not killed works, and another of the same can be made.
    fn goes_on(self) {
        drop(self.template);
        let again = self.server.template(&Plan::new(tier())).unwrap();
        for template in [&self.bystander, &again] {
            let (_, output, _) = Run::shell("echo ok").finish_in(&cell_from(template));
            assert_eq!(output, "ok\n");
        }
    }
}

fn pid_of(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

fn number_of(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().try_into().unwrap()
}

/// A process and all that descends from it.
fn family(head: Pid) -> Vec<OwnedFd> {
    let below = descendants(number_of(head)).into_iter().map(pid_of);
    // One that has just ended has no descriptor, and needs none.
    std::iter::once(head)
        .chain(below)
        .filter_map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok())
        .collect()
}

/// Kills the first of a family and waits until it is dead: what depends on it then has its signal.
fn kill_head_of(family: Vec<OwnedFd>, head: Pid) -> Vec<OwnedFd> {
    rustix::process::kill_process(head, Signal::KILL).unwrap();
    assert!(wait_readable(&family[0], PATIENCE));
    family
}

fn assert_gone(family: &[OwnedFd], case: &str) {
    let gone = family.iter().all(|pidfd| wait_readable(pidfd, ONE_SECOND));
    assert!(gone, "{case}: something is left");
}

/// Nobody holds the other end of the socket on which something stopped.
fn assert_released(announced: &mut UnixStream, case: &str) {
    announced.set_read_timeout(Some(ONE_SECOND)).unwrap();
    let released = match announced.read(&mut [0; 8]) {
        Ok(bytes) => bytes == 0,
        // Whoever was let go was dead already, and never read that.
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    assert!(released, "{case}: somebody still holds the socket");
}

/// Kills while a template or a cell is being made.
fn kill_in_making(point: TestPoint, victim: Victim) {
    let case = format!("{point:?}, {victim:?}");
    let (mut announced, announce) = UnixStream::pair().unwrap();
    let stage = Stage::new(&Plan::new(tier()).stopping_at(point, announce.into()));
    stage.template.request_cell().unwrap();
    announced.read_exact(&mut [0]).unwrap();
    let family = stage.kill(victim);
    // What has stopped is let go, and finds out by itself, unless it is dead already.
    let _: std::io::Result<usize> = announced.write(b".");
    assert_gone(&family, &case);
    assert!(wait_readable(stage.template.socket(), PATIENCE), "{case}");
    match (stage.template.receive_cell(), victim) {
        (Err(ServerError::Gone { .. }), Victim::Server | Victim::Template)
        | (Err(ServerError::Cell { .. }), Victim::Init) => {}
        (other, _) => panic!("{case}: {other:?}"),
    }
    if victim != Victim::Server {
        stage.goes_on();
    }
    assert_released(&mut announced, &case);
}

fn all(victims: &[Victim], kill: impl Fn(Victim)) {
    for &victim in victims {
        for _ in 0..times() {
            kill(victim);
        }
    }
}

fn before_a_template() {
    all(&[Victim::Server], |victim| {
        kill_in_making(TestPoint::BeforeTemplate, victim);
    });
}

fn in_a_template() {
    all(&[Victim::Server, Victim::Template], |victim| {
        kill_in_making(TestPoint::InTemplate, victim);
    });
}

fn before_a_cell() {
    all(&[Victim::Server, Victim::Template], |victim| {
        kill_in_making(TestPoint::BeforeCell, victim);
    });
}

const EVERYBODY: [Victim; 3] = [Victim::Server, Victim::Template, Victim::Init];

fn in_a_cell() {
    all(&EVERYBODY, |victim| {
        kill_in_making(TestPoint::InCell, victim);
    });
}

/// Whoever waits for the cell is told.
fn assert_lost(cell: &Cell, case: &str) {
    assert!(wait_readable(cell.socket(), PATIENCE), "{case}");
    let event = cell.receive();
    let gone = matches!(event, Err(ServerError::Gone { .. }));
    assert!(gone, "{case}: {event:?}");
}

fn finish(stage: Stage, victim: Victim) {
    if victim != Victim::Server {
        stage.goes_on();
    }
}

fn while_parked() {
    all(&EVERYBODY, |victim| {
        let stage = Stage::new(&Plan::new(tier()));
        let cell = cell_from(&stage.template);
        let family = stage.kill(victim);
        assert_gone(&family, "parked");
        assert_lost(&cell, "parked");
        finish(stage, victim);
    });
}

fn while_running() {
    all(&EVERYBODY, |victim| {
        let stage = Stage::new(&Plan::new(tier()));
        let cell = cell_from(&stage.template);
        let mut witness = Witness::new();
        let run = Run {
            stdin: witness.hand_over(),
            ..Run::shell(STUBBORN_TREE)
        };
        run.start(&cell).unwrap();
        drop(run);
        witness.wait_for_lines(STUBBORN_TREE_LINES);
        let family = stage.kill(victim);
        assert!(witness.wait_for_end() < ONE_SECOND, "{victim:?}");
        assert_gone(&family, "running");
        assert_lost(&cell, "running");
        finish(stage, victim);
    });
}

/// Kills while a command is being started.
fn kill_in_start(point: TestPoint, victim: Victim) {
    let case = format!("{point:?}, {victim:?}");
    let stage = Stage::new(&Plan::new(tier()));
    let cell = cell_from(&stage.template);
    let (mut announced, announce) = UnixStream::pair().unwrap();
    let run = Run {
        stop: Some((point, announce.into())),
        ..Run::shell("echo ran")
    };
    let mut pipes = run.start(&cell).unwrap();
    drop(run);
    announced.read_exact(&mut [0]).unwrap();
    let family = stage.kill(victim);
    // It stays where it stopped: only the kernel can end it.
    assert_released(&mut announced, &case);
    assert_gone(&family, &case);
    assert_eq!(crate::fixture::read_all(&mut pipes.stdout), "");
    assert_lost(&cell, &case);
    finish(stage, victim);
}

fn before_clone() {
    all(&EVERYBODY, |victim| {
        kill_in_start(TestPoint::BeforeClone, victim);
    });
}

fn between_clone_and_exec() {
    all(&EVERYBODY, |victim| {
        kill_in_start(TestPoint::BetweenCloneAndExec, victim);
    });
}

/// The server is killed before it has proved itself: whoever starts it is told at once, and can start another.
fn while_starting() {
    for point in STARTING {
        for _ in 0..times() {
            let mut starter = crate::fixture::command(crate::fixture::this_executable());
            let arguments = ["--role", "killed-start", tier().name(), point];
            let output = starter.args(arguments).output().unwrap();
            assert!(output.status.success(), "{point}: {output:?}");
        }
    }
}

const STARTING: [&str; 4] = ["before-template", "in-template", "before-cell", "in-cell"];

/// Starts a server, kills it on its way, and starts another.
pub(crate) fn play_starter(mut arguments: impl Iterator<Item = String>) -> std::process::ExitCode {
    let tier = crate::killed_host::tier_of(&arguments.next().unwrap());
    let point = crate::killed_host::in_making(&arguments.next().unwrap()).unwrap();
    let (mut announced, announce) = UnixStream::pair().unwrap();
    let plan = Plan::new(tier).stopping_at(point, announce.into());
    let helper = portcullis_confine::Helper::find(None).unwrap();
    let start = std::thread::spawn(move || SpawnServer::start(&helper, &plan).map(drop));
    announced.read_exact(&mut [0]).unwrap();
    let server = children(std::process::id())[0];
    let family = kill_head_of(family(pid_of(server)), pid_of(server));
    let _: std::io::Result<usize> = announced.write(b".");
    let error = start.join().unwrap().unwrap_err();
    let told = matches!(error, portcullis_confine::StartError::NotServing { .. });
    assert!(told, "{error:?}");
    assert_gone(&family, "starting");
    let again = crate::fixture::in_tier(tier, new_server);
    let (_, output, _) = Run::shell("echo ok").finish_in(&cell_from(&again.template));
    assert_eq!(output, "ok\n");
    std::process::ExitCode::SUCCESS
}
