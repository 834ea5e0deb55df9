//! `portcullis call`: a tool of a plugin of clawft, or what a plugin of Reglet can be asked.

mod reglet;

use std::io::Read;

use portcullis::Kind;

use super::run::{self, Ask, Job};
use crate::args::{CallArgs, LearnArgs};
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::Printer;
use crate::settings::Environment;
use crate::target::Target;

/// Bytes of parameters; a guest could not be passed more in one call.
pub(super) const MAX_PARAMS: u64 = 16 * 1024 * 1024;

pub(super) async fn call(args: &CallArgs, env: Environment, out: Printer) -> Result<Exit> {
    let json = args.params.as_ref().unwrap_or(&args.json);
    let params = match json.as_str() {
        "-" => from_stdin()?,
        json => json.to_owned(),
    };
    let common = args.common();
    let job = Job {
        common: &common,
        flags: args.permissions.flags(),
        dry_run: false,
        trace: false,
        stdin: false,
        record: args.record.as_deref(),
        learnt: &LearnArgs::default(),
        stage: &args.stage,
        answers: Default::default(),
        selector: &args.plugin,
        ask: tool(args.tool.clone(), params)?,
        is_call: true,
    };
    run::perform(job, env, out).await
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin()
        .take(MAX_PARAMS + 1)
        .read_to_string(&mut text);
    read.map_err(|error| {
        let report = diagnostic(code::ARGUMENT, "cannot read the parameters");
        Failure::usage(report.note(crate::failure::system(&error)))
    })?;
    Ok(text)
}

/// A call of a tool. What is no JSON is not passed on.
///
/// # Errors
/// The parameters are no JSON, or too long.
pub(super) fn tool(name: String, params: String) -> Result<Ask> {
    if params.len() as u64 > MAX_PARAMS {
        let message = format!("the parameters are longer than {MAX_PARAMS} bytes");
        return Err(Failure::usage(diagnostic(code::ARGUMENT, message)));
    }
    match serde_json::from_str::<serde::de::IgnoredAny>(&params) {
        Ok(_) => Ok(Ask::Tool { name, params }),
        Err(error) => Err(Failure::usage(
            diagnostic(code::ARGUMENT, "the parameters of the tool are no JSON")
                .note(error.to_string()),
        )),
    }
}

/// What `run` asks of a plugin of this kind.
///
/// # Errors
/// A plugin of clawft is not named a tool, or another one is.
pub(super) fn of_kind(ask: Ask, kind: Kind, target: &Target, selector: &str) -> Result<Ask> {
    let ask = match ask {
        Ask::Args(args) => Ask::Args([target.first_args.clone(), args].concat()),
        ask => ask,
    };
    match (ask, kind) {
        (Ask::Args(args), Kind::ClawftComponent) => match &args[..] {
            [name] => tool(name.clone(), "{}".to_owned()),
            [name, params] => tool(name.clone(), params.clone()),
            _ => Err(Failure::usage(
                diagnostic(
                    code::ARGUMENT,
                    "a plugin of clawft is run with the name of a tool and its parameters",
                )
                .help(format!("portcullis run {selector} -- <tool> '<JSON>'"))
                .help(format!(
                    "to see its tools: portcullis inspect --describe {selector}"
                )),
            )),
        },
        (Ask::Args(args), Kind::WasiComponent | Kind::WasiCommand) => Ok(Ask::Command {
            name: target.file_name(),
            args,
        }),
        (Ask::Args(args), Kind::FledgeModule) => Ok(Ask::Start(args)),
        (Ask::Args(args), Kind::RegletModule) => reglet::config(&args, selector),
        (Ask::Tool { name, params }, Kind::RegletModule) => reglet::asked(&name, params, selector),
        (
            Ask::Tool { .. },
            Kind::Component
            | Kind::PortcullisModule
            | Kind::WasiComponent
            | Kind::WasiCommand
            | Kind::FledgeModule,
        ) => Err(Failure::usage(
            diagnostic(
                code::ARGUMENT,
                "only plugins of clawft and of Reglet can be called",
            )
            .help(format!("portcullis run {selector} [args]")),
        )),
        (ask, _) => Ok(ask),
    }
}
