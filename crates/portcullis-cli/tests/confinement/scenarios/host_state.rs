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

/// A file of the host's state, made by an earlier run.
fn state(scene: &Scene) -> String {
    let home = machine().home(scene.user());
    let mut found = Vec::new();
    for part in ["share", "state"] {
        walk(
            &home.join(".local").join(part).join("portcullis"),
            &mut found,
        );
    }
    walk(&home.join(".cache/portcullis"), &mut found);
    let first = found
        .into_iter()
        .find(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0));
    first
        .expect("INVALID: the host has no state to protect")
        .display()
        .to_string()
}

fn walk(directory: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn scene_with_state(tier: Tier, user: User) -> (Scene, String) {
    let scene = Scene::new(user, Prepare::Nothing);
    write_policy(&scene, &Policy::base(&scene), tier);
    let first = Line::confined(&scene, &[&["ran"]]).run(&scene, user);
    assert!(first.is_ok(), "INVALID: {}", first.text);
    let state = state(&scene);
    let free = Line::direct(&scene, &["read", &state]).run(&scene, user);
    assert!(free.is_ok(), "INVALID: {}", free.text);
    (scene, state)
}

/// The grant is refused, or what it names is not there.
fn a_grant_to_read_the_home_does_not_reach_the_hosts_state(tier: Tier, user: User) {
    let (scene, state) = scene_with_state(tier, user);
    let home = machine().home(user).display().to_string();
    write_policy(&scene, &Policy::base(&scene).with_read(home), tier);
    let ran = Line::confined(&scene, &[&["read", &state]]).run(&scene, user);
    assert!(!ran.is_ok(), "it read `{state}`: {}", ran.text);
}

/// Such a grant is refused whole, in every tier.
fn a_grant_to_write_the_home_does_not_reach_the_hosts_state(tier: Tier, user: User) {
    let (scene, state) = scene_with_state(tier, user);
    let before = fs::read(&state).unwrap();
    let home = machine().home(user).display().to_string();
    write_policy(&scene, &Policy::base(&scene).with_write(home), tier);
    let ran = Line::confined(&scene, &[&["truncate", &state]]).run(&scene, user);
    assert!(ran.details.is_empty(), "a command ran: {}", ran.text);
    // The trail grows, but nothing of it is lost.
    assert!(
        fs::read(&state).unwrap().starts_with(&before),
        "{}",
        ran.text
    );
}

fn a_grant_to_write_does_not_reach_the_executable(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let directory = machine().root().join("bin").display().to_string();
    write_policy(&scene, &Policy::base(&scene).with_write(directory), tier);
    let ran = Line::confined(&scene, &[&["ran"]]).run(&scene, user);
    assert!(ran.details.is_empty(), "a command ran: {}", ran.text);
}
