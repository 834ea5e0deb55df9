//! The `portcullis` binary, run as people run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "what is skipped is said")]

mod audit;
mod book;
mod broken;
mod browser;
mod cache_attacks;
mod ceiling;
mod children;
mod clawft;
mod consent;
mod consent_attacks;
mod context;
mod core_form;
mod deps_audit;
mod disk_watch;
mod doctor;
mod exec_streams;
mod exec_verb;
mod explaining;
mod fledge;
mod fledge_attacks;
mod go_command;
mod go_sdk;
mod held_children;
mod importing;
mod installing;
mod interrupted;
mod kit;
mod kv;
mod languages;
mod learning;
mod learning_attacks;
mod log;
mod packing;
mod parity;
mod policy;
mod promises;
mod reglet;
mod replay;
mod report;
mod report_attacks;
mod run;
mod secrets;
mod session;
mod signed;
mod staged;
mod stop;
mod terminal;
mod testing;
mod trust;
mod trusting;
mod wasi_command;
