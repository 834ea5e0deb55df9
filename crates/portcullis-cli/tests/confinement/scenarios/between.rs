//! Between two commands there is nothing: not of two at once, not of one after the other.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};

use super::plays;
use crate::kit::{
    case::{Prepare, Tier},
    machine::User,
    policy::Policy,
    run::{Line, Outcome, ran, write_policy},
    scene::Scene,
};

plays![
    a_third_command_finds_what_the_first_found,
    nothing_of_a_command_is_left_outside,
    two_commands_at_once_cannot_reach_each_other,
];

const MARK: &str = "left-behind";

/// `/tmp`, `/dev/shm`, `HOME`, shared memory, queues, names of sockets, limits, priority, processors.
fn a_third_command_finds_what_the_first_found(tier: Tier, user: User) {
    if tier == Tier::Landlock {
        // It has no places of its own: there it is shown that none of them can be written.
        return nothing_of_a_command_is_left_outside(tier, user);
    }
    let scene = Scene::new(user, Prepare::Nothing);
    write_policy(&scene, &Policy::base(&scene), tier);
    let acts: [&[&str]; 3] = [
        &["snapshot"],
        &["leave-behind", MARK, "{shm_key}", "{queue}"],
        &["snapshot"],
    ];
    let ran = Line::confined(&scene, &acts).run(&scene, user);
    assert_eq!(ran.details.len(), 3, "{}", ran.text);
    assert!(
        ran.details[1].contains(&format!("/tmp/{MARK} planted")),
        "INVALID: it could leave nothing: {}",
        ran.details[1]
    );
    assert_eq!(
        ran.details[0], ran.details[2],
        "what the second left was found"
    );
}

fn nothing_of_a_command_is_left_outside(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let mark = format!("{MARK}-{}", scene.fill("{nonce}"));
    let places = [format!("/tmp/{mark}"), format!("/dev/shm/{mark}")];
    unconfined_it_is_left(&scene, &mark, &places);
    write_policy(&scene, &Policy::base(&scene), tier);
    let ran = Line::confined(&scene, &[&["leave-behind", &mark, "{shm_key}", "{queue}"]])
        .run(&scene, user);
    assert!(ran.is_ok(), "{}", ran.text);
    for place in &places {
        assert!(
            !Path::new(place).exists(),
            "`{place}` was left: {}",
            ran.text
        );
    }
    assert!(
        !scene.helper(&["read-shm", "{shm_key}"]),
        "shared memory was left"
    );
    assert!(!scene.helper(&["read-mq", "{queue}"]), "a queue was left");
}

/// The control, which has to clean up after itself.
fn unconfined_it_is_left(scene: &Scene, mark: &str, places: &[String]) {
    let free = Line::direct(scene, &["leave-behind", mark, "{shm_key}", "{queue}"])
        .run(scene, scene.user());
    let daemon = free.details[0]
        .rsplit("daemon ")
        .next()
        .unwrap()
        .parse()
        .unwrap();
    kill_process(Pid::from_raw(daemon).unwrap(), Signal::KILL).unwrap();
    for place in places {
        assert!(fs::remove_file(place).is_ok(), "INVALID: {}", free.text);
    }
    let home = crate::kit::machine::machine().home(scene.user());
    assert!(
        fs::remove_file(home.join(mark)).is_ok(),
        "INVALID: {}",
        free.text
    );
    assert!(
        scene.helper(&["remove-shm", "{shm_key}"]),
        "INVALID: {}",
        free.text
    );
    assert!(
        scene.helper(&["remove-mq", "{queue}"]),
        "INVALID: {}",
        free.text
    );
}

/// What one command does to another, by the number that the host gives it.
const ATTACKS: [&[&str]; 9] = [
    &["kill", "{pid}", "9"],
    &["pidfd-kill", "{pid}", "9"],
    &["ptrace", "{pid}"],
    &["process_vm_writev", "{pid}", "{address}", "changed"],
    &["read-proc", "{pid}", "environ"],
    &["prlimit", "{pid}"],
    &["setpriority", "{pid}"],
    &["sched_setaffinity", "{pid}"],
    &["pidfd_getfd", "{pid}", "0"],
];

fn two_commands_at_once_cannot_reach_each_other(tier: Tier, user: User) {
    let victim_scene = Scene::new(user, Prepare::Nothing);
    write_policy(&victim_scene, &Policy::base(&victim_scene), tier);
    let act: [&[&str]; 1] = [&["victim-in-cell", "{nonce}", "{rw}/ready", "{rw}/done"]];
    let mut victim = Line::confined(&victim_scene, &act).start(&victim_scene, user);
    let ready = victim_scene.wait_for("{rw}/ready", &mut victim);
    let mut scene = Scene::new(user, Prepare::Nothing);
    let nonce = victim_scene.fill("{nonce}");
    let mut results = Vec::new();
    if ready {
        let told = wait_for_text(&victim_scene.fill("{rw}/ready"));
        scene.set("address", told.trim().rsplit(' ').next().unwrap());
        scene.set("pid", host_pid(&nonce));
        write_policy(&scene, &Policy::base(&scene), tier);
        let line = Line::confined(&scene, &ATTACKS);
        results = line.run(&scene, user).outcomes;
    }
    victim_scene.file("project/rw/done", "");
    let end = ran(&victim.wait_with_output().unwrap());
    assert!(ready && end.is_ok(), "the victim: {}", end.text);
    let nice = rustix::process::getpriority_process(None).unwrap();
    assert_eq!(
        end.details[0],
        format!("{nonce} nice {nice}"),
        "the victim was changed"
    );
    assert_eq!(results.len(), ATTACKS.len(), "{results:?}");
    for (attack, result) in ATTACKS.iter().zip(&results) {
        assert!(
            matches!(result, Outcome::Said { ok: false, .. }),
            "{attack:?} got through"
        );
    }
}

/// The file is made before it is written.
fn wait_for_text(path: &str) -> String {
    loop {
        let text = fs::read_to_string(path).unwrap();
        if text.ends_with('\n') {
            return text;
        }
        std::thread::yield_now();
    }
}

/// The number of the probe that has this text among its arguments, outside.
fn host_pid(text: &str) -> u32 {
    for entry in fs::read_dir("/proc").unwrap() {
        let entry = entry.unwrap();
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        if arguments.contains("\0victim-in-cell\0")
            && arguments.contains(text)
            && !arguments.contains("portcullis\0")
        {
            return pid;
        }
    }
    panic!("INVALID: the victim is not to be found");
}
