//! The `portcullis` binary, run as people run it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod audit;
mod broken;
mod children;
mod context;
mod core_form;
mod doctor;
mod exec_streams;
mod exec_verb;
mod policy;
mod run;
mod stop;
mod terminal;
mod trust;
