//! The spawn server: who may be one, how it ends, what it leaves.

use std::{
    fs,
    os::fd::OwnedFd,
    os::unix::{net::UnixStream, process::CommandExt},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use portcullis_confine::{Helper, HelperError, Plan, ServerError, SpawnServer, StartError, Status};
use rustix::process::{Pid, Signal};

use crate::fixture::{
    Cells, PATIENCE, Run, STUBBORN_TREE, STUBBORN_TREE_LINES, Witness, cell_of, command, copy_of,
    file_of, new_server, scratch, this_executable, wait_readable,
};

crate::tests![PROCESSES:
    no_zombies,
    killed_server_takes_everything_with_it,
    dropped_server_takes_everything_with_it,
];

crate::tests![
    helpers_are_checked,
    helper_that_does_not_serve,
    forged_servers_end,
    cookie_alone_makes_no_server,
    cookie_keeps_from_starting_another,
];

const COOKIE: &str = "PORTCULLIS_SPAWN_SERVER";
const NAME: &str = "portcullis-spawn-server";

/// Number and state of all children of a process.
fn children_of(parent: u32) -> Vec<(u32, String)> {
    let state = |text: &str| {
        let number = text.split_whitespace().next()?.parse().ok()?;
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.to_owned();
        (fields.next()? == parent.to_string()).then_some((number, state))
    };
    let stat = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("stat")).ok();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(stat)
        .filter_map(|s| state(&s))
        .collect()
}

fn no_zombies() {
    let server = new_server();
    let mut last = cell_of(&server);
    for _ in 0..200 {
        let status = Run::program("/bin/true", &["true"]).finish_in(&last).0;
        assert!(matches!(
            status,
            portcullis_confine::Event::Exited {
                status: Status::Code(0),
                ..
            }
        ));
        assert!(wait_readable(last.pidfd(), PATIENCE));
        last = cell_of(&server);
    }
    // By the answer to the second request the template has been round its loop since the last end.
    let parked = [cell_of(&server), cell_of(&server)];
    // The template that was the server's proof ends by itself.
    let templates = children_of(server.server.pid());
    let inits: Vec<_> = templates
        .iter()
        .flat_map(|(pid, _)| children_of(*pid))
        .collect();
    assert_eq!(inits.len(), 1 + parked.len(), "{templates:?} {inits:?}");
    let zombies = inits.iter().filter(|(_, state)| state == "Z").count();
    assert_eq!(zombies, 0, "{inits:?}");
}

/// A server with a stubborn tree in one of its cells.
fn busy_server() -> (Cells, portcullis_confine::Cell, Witness) {
    let server = new_server();
    let cell = cell_of(&server);
    let mut witness = Witness::new();
    let run = Run {
        stdin: witness.hand_over(),
        ..Run::shell(STUBBORN_TREE)
    };
    run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(STUBBORN_TREE_LINES);
    (server, cell, witness)
}

fn killed_server_takes_everything_with_it() {
    let (server, cell, mut witness) = busy_server();
    let pid = Pid::from_raw(server.server.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    assert!(witness.wait_for_end() < Duration::from_secs(1));
    assert!(wait_readable(cell.socket(), PATIENCE));
    assert!(matches!(cell.receive(), Err(ServerError::Gone { .. })));
    // It fails closed, first with the reason.
    assert!(matches!(
        server.template.request_cell(),
        Err(ServerError::Gone { .. })
    ));
    assert!(matches!(
        server.template.request_cell(),
        Err(ServerError::GivenUp)
    ));
    assert!(matches!(
        server.template.receive_cell(),
        Err(ServerError::GivenUp)
    ));
    // And another can be started.
    assert_eq!(
        Run::shell("echo ok").finish_in(&cell_of(&new_server())).1,
        "ok\n"
    );
}

fn dropped_server_takes_everything_with_it() {
    let (server, cell, mut witness) = busy_server();
    let parked = cell_of(&server);
    let of_init = |cell: &portcullis_confine::Cell| format!("/proc/{}", cell.pid());
    assert!(
        [&cell, &parked]
            .iter()
            .all(|cell| Path::new(&of_init(cell)).exists())
    );
    drop(server);
    assert!(witness.is_let_go());
    // Reaped by the server: a zombie would still be there.
    assert!(
        ![&cell, &parked]
            .iter()
            .any(|cell| Path::new(&of_init(cell)).exists())
    );
}

fn helpers_are_checked() {
    let find = |path: &Path| Helper::find(Some(path));
    assert!(matches!(
        find(Path::new("sh")),
        Err(HelperError::NotAbsolute { .. })
    ));
    assert!(matches!(
        find(&scratch().join("none")),
        Err(HelperError::Open { .. })
    ));
    assert!(matches!(
        find(scratch()),
        Err(HelperError::Unfit {
            problem: "is not a file",
            ..
        })
    ));
    let plain = copy_of("/bin/true", "plain", 0o644);
    assert!(matches!(
        find(&plain),
        Err(HelperError::Unfit {
            problem: "is not executable",
            ..
        })
    ));
    let open = copy_of("/bin/true", "open", 0o777);
    assert!(matches!(
        find(&open),
        Err(HelperError::Unfit {
            problem: "is writable by everyone",
            ..
        })
    ));
    assert!(SpawnServer::start(&find(&this_executable()).unwrap(), &Plan::limits()).is_ok());
}

fn helper_that_does_not_serve() {
    let helper = Helper::find(Some(Path::new("/bin/true"))).unwrap();
    match SpawnServer::start(&helper, &Plan::limits()) {
        Err(error @ StartError::NotServing { .. }) => {
            assert!(error.to_string().contains("portcullis::enter()"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let text = file_of(b"no program", "text");
    let helper = Helper::find(Some(&text)).unwrap();
    assert!(matches!(
        SpawnServer::start(&helper, &Plan::limits()),
        Err(StartError::Run { .. })
    ));
}

/// With cookie and name but without a socket of its parent's a process ends at once.
fn forged_servers_end() {
    let run = |cookie: &str, stdin: OwnedFd| {
        let mut forged = command(this_executable());
        forged
            .arg0(NAME)
            .args(["--role", "start-server"])
            .env(COOKIE, cookie)
            .stdin(stdin);
        forged.status().unwrap().code()
    };
    let ours = std::process::id().to_string();
    let null = || OwnedFd::from(fs::File::open("/dev/null").unwrap());
    let stream = || OwnedFd::from(UnixStream::pair().unwrap().0);
    let packets = || {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
        let flags = SocketFlags::CLOEXEC;
        let (one, _) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        one
    };
    assert_eq!(run(&ours, null()), Some(125));
    assert_eq!(run(&ours, stream()), Some(125));
    assert_eq!(run("1", packets()), Some(125), "the parent is another");
    assert_eq!(run("nonsense", packets()), Some(125));
    // The control: all of it right, and the other end closed, is a server that ends well.
    assert_eq!(run(&ours, packets()), Some(0));
}

/// A variable that some tree sets does not turn a program into a server.
fn cookie_alone_makes_no_server() {
    let mut plain = command(this_executable());
    plain
        .args(["--list"])
        .env(COOKIE, std::process::id().to_string());
    let output = plain.output().unwrap();
    assert!(output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("server::no_zombies")
    );
}

fn cookie_keeps_from_starting_another() {
    let run = |cookie: Option<&str>| {
        let mut starter = command(this_executable());
        starter.args(["--role", "start-server"]).env_remove(COOKIE);
        starter
            .envs(cookie.map(|value| (COOKIE, value)))
            .status()
            .unwrap()
            .code()
    };
    assert_eq!(run(Some("1")), Some(3));
    assert_eq!(run(None), Some(0));
}

/// Starts a server and says how that went.
pub(crate) fn play_starter() -> ExitCode {
    match SpawnServer::start(&Helper::find(None).unwrap(), &Plan::limits()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(StartError::Reentered) => ExitCode::from(3),
        Err(_) => ExitCode::FAILURE,
    }
}
