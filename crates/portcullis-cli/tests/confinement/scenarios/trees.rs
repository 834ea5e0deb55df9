//! Nothing outlives its call: not a daemon of a command that went well, not a tree that will not go, not when the
//! host or its spawn server is killed.

use std::{fs, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use super::{fifo::Fifo, plays};
use crate::kit::{
    case::{Prepare, Tier},
    machine::User,
    policy::Policy,
    run::{Line, ran, write_policy},
    scene::Scene,
};

plays![
    a_daemon_of_a_command_that_went_well_is_dead_before_its_result,
    a_tree_that_ignores_every_signal_ends_with_its_time,
    processes_that_never_stay_end_with_their_time,
    nothing_is_left_of_a_killed_host,
    nothing_is_left_of_a_killed_spawn_server,
];

/// How long a tree may take to be gone.
const GONE: Duration = Duration::from_secs(1);

fn a_daemon_of_a_command_that_went_well_is_dead_before_its_result(tier: Tier, user: User) {
    unconfined_the_daemon_stays(user);
    let scene = Scene::new(user, Prepare::Nothing);
    let mut fifo = Fifo::new(&scene);
    write_policy(&scene, &Policy::base(&scene), tier);
    let acts: [&[&str]; 2] = [
        &["leave-daemon", "{rw}/fifo"],
        &["read-after", "{rw}/ready", "{rw}/go", "{ro}/file"],
    ];
    let mut child = Line::confined(&scene, &acts).start(&scene, user);
    // The second command begins after the first one's result.
    let second = scene.wait_for("{rw}/ready", &mut child);
    let gone = fifo.is_at_end();
    scene.file("project/rw/go", "");
    let ran = ran(&child.wait_with_output().unwrap());
    assert!(second, "{}", ran.text);
    assert!(gone, "the daemon lived on: {}", ran.text);
    assert!(ran.is_ok(), "{}", ran.text);
}

/// The control: without a cell the daemon is there after its parent's end.
fn unconfined_the_daemon_stays(user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let mut fifo = Fifo::new(&scene);
    let ran = Line::direct(&scene, &["leave-daemon", "{rw}/fifo"]).run(&scene, user);
    fifo.wait_for_letters(1);
    assert!(!fifo.is_at_end(), "INVALID: {}", ran.text);
    let pid = ran.details[0]
        .trim_start_matches("daemon ")
        .parse()
        .unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    fifo.wait_for_end();
}

fn a_tree_that_ignores_every_signal_ends_with_its_time(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let mut fifo = Fifo::new(&scene);
    let policy = Policy::base(&scene).with_rule("timeout = \"1s\"");
    write_policy(&scene, &policy, tier);
    let child = Line::confined(&scene, &[&["stubborn", "{rw}/fifo"]]).start(&scene, user);
    fifo.wait_for_letters(3);
    let ran = ran(&child.wait_with_output().unwrap());
    assert!(fifo.is_at_end(), "something is left: {}", ran.text);
    assert_eq!(ran.statuses, ["124"], "{}", ran.text);
}

/// Who would look for them one by one would find none.
fn processes_that_never_stay_end_with_their_time(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let mut fifo = Fifo::new(&scene);
    let policy = Policy::base(&scene).with_rule("timeout = \"1s\"");
    write_policy(&scene, &policy, tier);
    let child = Line::confined(&scene, &[&["hop", "{rw}/fifo"]]).start(&scene, user);
    fifo.wait_for_letters(9);
    let ran = ran(&child.wait_with_output().unwrap());
    assert!(fifo.is_at_end(), "something is left: {}", ran.text);
    assert_eq!(ran.statuses, ["124"], "{}", ran.text);
}

/// Starts a tree that will not go, as the command of a running host.
fn stubborn(scene: &Scene, tier: Tier) -> (std::process::Child, Fifo) {
    let mut fifo = Fifo::new(scene);
    write_policy(scene, &Policy::base(scene), tier);
    let line = Line::confined(scene, &[&["stubborn", "{rw}/fifo"]]);
    let child = line.start(scene, scene.user());
    fifo.wait_for_letters(3);
    assert!(!fifo.is_at_end(), "INVALID: the tree is gone already");
    (child, fifo)
}

fn nothing_is_left_of_a_killed_host(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let (mut host, mut fifo) = stubborn(&scene, tier);
    host.kill().unwrap();
    host.wait().unwrap();
    let time = fifo.wait_for_end();
    assert!(time < GONE, "it took {time:?}");
}

fn nothing_is_left_of_a_killed_spawn_server(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let (host, mut fifo) = stubborn(&scene, tier);
    for server in children(host.id()) {
        kill_process(server, Signal::KILL).unwrap();
    }
    let time = fifo.wait_for_end();
    assert!(time < GONE, "it took {time:?}");
    let output = host.wait_with_output().unwrap();
    let ran = ran(&output);
    assert!(
        !output.status.success(),
        "a command was lost, and nobody said so: {}",
        ran.text
    );
}

/// The processes that this process started, whichever of its threads did.
fn children(pid: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let text = fs::read_to_string(thread.unwrap().path().join("children")).unwrap();
        found.extend(
            text.split_whitespace()
                .filter_map(|number| Pid::from_raw(number.parse().ok()?)),
        );
    }
    assert!(!found.is_empty(), "INVALID: no spawn server to kill");
    found
}
