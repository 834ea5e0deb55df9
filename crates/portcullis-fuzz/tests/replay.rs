//! Every target over its whole corpus: what was found once is not found again, and what a person thought of holds.

#![expect(clippy::unwrap_used, reason = "tests panic by design")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use portcullis_fuzz::{TARGETS, corpus, target};

/// Fewer inputs than this are no corpus.
const FEWEST: usize = 5;

fn replay(name: &str) {
    let mut run = (target(name).unwrap().make)();
    let inputs = fs::read_dir(corpus(name)).unwrap();
    let mut inputs: Vec<_> = inputs.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= FEWEST, "{name} has {} inputs", inputs.len());
    let mut failed = Vec::new();
    for input in &inputs {
        let bytes = fs::read(input).unwrap();
        if catch_unwind(AssertUnwindSafe(|| run(&bytes))).is_err() {
            failed.push(input.display().to_string());
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_text_of_policies() {
    replay("policy");
}

#[test]
fn rules_about_arguments() {
    replay("argv");
}

#[test]
fn what_guests_ask_for() {
    replay("lifted");
}

#[test]
fn what_core_modules_pass() {
    replay("core");
}

#[test]
fn what_guests_write_to_a_terminal() {
    replay("terminal");
}

#[test]
fn messages_between_host_and_cells() {
    replay("wire");
}

#[test]
fn what_commands_send_to_their_proxy() {
    replay("proxy");
}

#[test]
fn the_json_of_plugins_of_clawft() {
    replay("clawft");
}

#[test]
fn the_messages_of_plugins_of_fledge() {
    replay("fledge");
}

#[test]
fn the_requests_of_plugins_of_reglet() {
    replay("reglet");
}

#[test]
fn records_of_runs() {
    replay("record");
}

#[test]
fn what_mail_servers_say() {
    replay("smtp");
}

#[test]
fn paths_of_guests() {
    replay("paths");
}

#[test]
fn urls_of_requests() {
    replay("url");
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let root = corpus("").components().as_path().to_owned();
    let there: BTreeSet<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let wanted: BTreeSet<_> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    assert_eq!(there, wanted);
}
