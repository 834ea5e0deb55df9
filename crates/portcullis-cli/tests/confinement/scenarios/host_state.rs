//! No grant reaches what Portcullis itself lives by: its policy, key, cache, trail and executable.

use std::fs;

use super::plays;
use crate::kit::{
    case::{Prepare, Tier},
    machine::{User, machine},
    policy::Policy,
    run::{Line, write_policy},
    scene::Scene,
};

plays![
    a_grant_to_read_the_home_does_not_reach_the_hosts_state,
    a_grant_to_write_the_home_does_not_reach_the_hosts_state,
    a_grant_to_write_does_not_reach_the_executable,
];

/// What nobody but the host may read or write; an earlier run made it. Other runs only add to the trail.
const STATE: [&str; 3] = [
    ".local/share/portcullis/cache.key",
    ".local/share/portcullis/audit-digest.key",
    ".local/state/portcullis/audit/audit-000001.jsonl",
];

fn state(user: User) -> [String; 3] {
    STATE.map(|name| machine().home(user).join(name).display().to_string())
}

fn scene_with_state(tier: Tier, user: User) -> Scene {
    let scene = Scene::new(user, Prepare::Nothing);
    write_policy(&scene, &Policy::base(&scene), tier);
    let first = Line::confined(&scene, &[&["ran"]]).run(&scene, user);
    assert!(first.is_ok(), "INVALID: {}", first.text);
    for file in state(user) {
        let free = Line::direct(&scene, &["read", &file]).run(&scene, user);
        assert!(
            free.is_ok() && !free.details[0].is_empty(),
            "INVALID: {}",
            free.text
        );
    }
    scene
}

/// The grant is refused, or what it names is not there.
fn a_grant_to_read_the_home_does_not_reach_the_hosts_state(tier: Tier, user: User) {
    let scene = scene_with_state(tier, user);
    let home = machine().home(user).display().to_string();
    write_policy(&scene, &Policy::base(&scene).with_read(home), tier);
    for file in state(user) {
        let ran = Line::confined(&scene, &[&["read", &file]]).run(&scene, user);
        let read = ran.details.iter().any(|detail| !detail.is_empty());
        assert!(!read, "it read `{file}`: {}", ran.text);
    }
}

/// Such a grant is refused whole, in every tier.
fn a_grant_to_write_the_home_does_not_reach_the_hosts_state(tier: Tier, user: User) {
    let scene = scene_with_state(tier, user);
    let home = machine().home(user).display().to_string();
    write_policy(&scene, &Policy::base(&scene).with_write(home), tier);
    for file in state(user) {
        let before = fs::read(&file).unwrap();
        let ran = Line::confined(&scene, &[&["truncate", &file]]).run(&scene, user);
        assert!(ran.details.is_empty(), "a command ran: {}", ran.text);
        assert!(
            fs::read(&file).unwrap().starts_with(&before),
            "{}",
            ran.text
        );
    }
}

fn a_grant_to_write_does_not_reach_the_executable(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let directory = machine().root().join("bin").display().to_string();
    write_policy(&scene, &Policy::base(&scene).with_write(directory), tier);
    let ran = Line::confined(&scene, &[&["ran"]]).run(&scene, user);
    assert!(ran.details.is_empty(), "a command ran: {}", ran.text);
}
