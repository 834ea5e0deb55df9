//! What a plugin is told of a command that did not simply end: signals, time, output, memory.

use std::path::Path;

use super::plays;
use crate::kit::{
    case::{Prepare, Tier},
    machine::User,
    policy::Policy,
    run::{Line, Ran, write_policy},
    scene::Scene,
};

plays![
    signals_are_told_as_128_and_their_number,
    a_command_that_is_asked_to_end_may_do_so,
    output_beyond_its_limit_is_an_error,
    memory_beyond_its_limit_is_not_had,
    memory_that_nobody_maps_counts,
];

fn confined(scene: &Scene, policy: &Policy, tier: Tier, acts: &[&[&str]]) -> Ran {
    write_policy(scene, policy, tier);
    Line::confined(scene, acts).run(scene, scene.user())
}

fn signals_are_told_as_128_and_their_number(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let acts: [&[&str]; 4] = [
        &["raise", "15"],
        &["raise", "13"],
        &["raise", "6"],
        &["ran"],
    ];
    let ran = confined(&scene, &Policy::base(&scene), tier, &acts);
    assert_eq!(ran.statuses, ["143", "141", "134", "0"], "{}", ran.text);
}

fn a_command_that_is_asked_to_end_may_do_so(tier: Tier, user: User) {
    for (grace, told) in [("500ms", true), ("0s", false)] {
        let scene = Scene::new(user, Prepare::Nothing);
        let limits = format!("limits = {{ timeout = \"1s\", term_grace = \"{grace}\" }}");
        let policy = Policy::base(&scene).with_plugin(&limits);
        let ran = confined(&scene, &policy, tier, &[&["on-term", "{rw}/told"]]);
        assert_eq!(ran.statuses, ["124"], "{}", ran.text);
        assert_eq!(
            Path::new(&scene.fill("{rw}/told")).exists(),
            told,
            "grace {grace}: {}",
            ran.text
        );
    }
}

fn output_beyond_its_limit_is_an_error(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let act: [&[&str]; 1] = [&["output", "3"]];
    let free = Line::direct(&scene, act[0]).run(&scene, user);
    assert!(free.text.len() > 3 << 20, "INVALID: {}", free.text.len());
    let policy = Policy::base(&scene).with_rule("output = \"2MiB\"");
    let ran = confined(&scene, &policy, tier, &act);
    assert!(ran.text.contains("output limit"), "{}", ran.text);
    assert!(
        ran.text.len() < 1 << 20,
        "what is cut may not pass as whole"
    );
    let policy = Policy::base(&scene).with_rule("output = \"4MiB\"");
    let ran = confined(&scene, &policy, tier, &act);
    assert!(ran.text.len() > 3 << 20, "INVALID: {}", ran.text);
}

fn memory_beyond_its_limit_is_not_had(tier: Tier, user: User) {
    let scene = Scene::new(user, Prepare::Nothing);
    let act: [&[&str]; 1] = [&["memory", "600"]];
    assert!(
        Line::direct(&scene, act[0]).run(&scene, user).is_ok(),
        "INVALID"
    );
    for (limit, fits) in [("128MiB", false), ("1GiB", true)] {
        let policy = Policy::base(&scene).with_rule(&format!("memory = \"{limit}\""));
        let ran = confined(&scene, &policy, tier, &act);
        assert_eq!(ran.is_ok(), fits, "{limit}: {}", ran.text);
    }
}

fn memory_that_nobody_maps_counts(tier: Tier, user: User) {
    if tier == Tier::Landlock {
        // There no such memory can be had: cases 54.
        return;
    }
    let scene = Scene::new(user, Prepare::Nothing);
    let act: [&[&str]; 1] = [&["hidden-memory", "600"]];
    for (limit, fits) in [("128MiB", false), ("1GiB", true)] {
        let policy = Policy::base(&scene).with_rule(&format!("memory = \"{limit}\""));
        let ran = confined(&scene, &policy, tier, &act);
        assert_eq!(ran.is_ok(), fits, "{limit}: {}", ran.text);
    }
}
