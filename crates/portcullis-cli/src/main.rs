//! The `portcullis` command: arguments, settings, host, report.

mod args;
mod code;
mod commands;
mod consent;
mod dual_use;
mod exit;
mod failure;
mod kit;
mod learning;
mod lint;
mod packed;
mod questions;
mod render;
mod scripted;
mod session;
mod settings;
mod signals;
mod staging;
mod target;

use std::process::ExitCode;

use args::{Cli, Verb};
use clap::Parser;
use clap::error::ErrorKind;
use exit::Exit;
use failure::{Failure, Result, diagnostic};
use render::Printer;
use serde_json::json;
use settings::Environment;

fn main() -> ExitCode {
    // First: this executable is also the spawn server.
    portcullis::enter();
    if let Some(code) = scripted::enter() {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let output = cli.verb.output();
    let out = Printer {
        quiet: output.quiet,
        verbose: output.verbose,
    };
    if matches!(
        cli.verb,
        Verb::Run(_)
            | Verb::Exec(_)
            | Verb::Call(_)
            | Verb::Replay(_)
            | Verb::Test(_)
            | Verb::Build(_)
            | Verb::Dev(_)
            | Verb::Doctor(_)
    ) {
        // Before there is anything to move along. Without it limits are kept in another way, as the report says.
        let _: std::io::Result<bool> = portcullis::enter_leaf_cgroup();
    }
    if let Verb::Run(args) = &cli.verb
        && let Some(state) = &args.learn.state
        && !learning::follow(state).unwrap_or(false)
    {
        // Nobody looks at what comes of it.
        return Exit::OURS.into();
    }
    // Before there is a second thread.
    let staged = match staging::divide(&cli.verb, out) {
        Ok(staging::Part::Run(staged)) => staged,
        Ok(staging::Part::Done(exit)) => return exit.into(),
        Err(failure) => return fail(&cli.verb, failure, out).into(),
    };
    let exit = match serve(&cli.verb, staged, out) {
        Ok(exit) => exit,
        Err(failure) => fail(&cli.verb, failure, out),
    };
    exit.into()
}

fn serve(verb: &Verb, staged: Option<portcullis::Staged>, out: Printer) -> Result<Exit> {
    let mut env = Environment::of_process().map_err(|error| {
        Failure::usage(diagnostic(
            code::UNUSABLE,
            format!("the working directory is gone: {}", failure::system(&error)),
        ))
    })?;
    env.staged = staged;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::unavailable(failure::chain(code::HOST, &error)))?;
    let exit = runtime.block_on(commands::dispatch(verb, env, out));
    // A compilation that nobody waits for any more is not waited for here either.
    runtime.shutdown_background();
    exit
}

/// Reports a failure, also as JSON where that was asked for, and says how the process ends for it.
fn fail(verb: &Verb, failure: Failure, out: Printer) -> Exit {
    let exit = match verb {
        Verb::Run(_) | Verb::Exec(_) if failure.exit != Exit::BROKEN_PIPE => Exit::OURS,
        _ => failure.exit,
    };
    if verb.output().json && !failure.reports.is_empty() {
        // The same is said on standard error, should nobody read this.
        let _ = out.json(json!({ "exit_code": exit.0, "errors": failure.reports }));
    }
    out.failure(&failure);
    exit
}

/// Prints what clap has to say: help and version are answers, all else is wrong usage.
fn usage(error: &clap::Error) -> Exit {
    let printed = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion if printed.is_ok() => Exit::OK,
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::BROKEN_PIPE,
        // What `run` and `exec` return is not ours, so our failures have a code that others do not use.
        _ if std::env::args_os()
            .nth(1)
            .is_some_and(|verb| verb == "run" || verb == "exec") =>
        {
            Exit::OURS
        }
        _ => Exit::USAGE,
    }
}
