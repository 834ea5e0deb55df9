//! The verbs, one file each.

mod asks;
mod audit;
mod build;
mod cache;
mod call;
mod check;
pub(crate) mod children;
mod completions;
mod describe;
mod dev;
mod doctor;
pub(crate) mod edit;
mod exec;
mod explain;
mod import;
mod inspect;
mod install;
mod kv;
mod list;
mod new;
mod observed;
mod pack;
mod plan;
mod plugin;
mod push;
mod remove;
mod replay;
mod review;
mod run;
mod schema;
mod show;
mod sign;
mod stages;
mod test;
mod trust;
mod update;
mod verify;

use portcullis_policy::Grants;

use crate::args::Verb;
use crate::exit::Exit;
use crate::failure::Result;
use crate::render::Printer;
use crate::settings::{Environment, Settings};
use crate::target::Target;

/// Does what the verb says.
pub(crate) async fn dispatch(verb: &Verb, env: Environment, out: Printer) -> Result<Exit> {
    match verb {
        Verb::Run(args) => run::run(args, env, out).await,
        Verb::Exec(args) => exec::exec(args, env, out).await,
        Verb::Call(args) => call::call(args, env, out).await,
        Verb::Replay(args) => replay::replay(args, env, out).await,
        Verb::Inspect(args) => inspect::inspect(args, env, out).await,
        Verb::Install(args) => install::install(args, env, out).await,
        Verb::List(args) => list::list(args, env, out),
        Verb::Show(args) => show::show(args, env, out),
        Verb::Review(args) => review::review(args, env, out),
        Verb::Update(args) => update::update(args, env, out).await,
        Verb::Remove(args) => remove::remove(args, env, out).await,
        Verb::Verify(args) => verify::verify(args, env, out),
        Verb::Pack(args) => pack::pack(args, env, out),
        Verb::Push(args) => push::push(args, env, out),
        Verb::Sign(args) => sign::sign(args, env, out),
        Verb::New(args) => new::new(args, &env, out),
        Verb::Build(args) => build::build(args, env, out).await,
        Verb::Dev(args) => dev::dev(args, env, out).await,
        Verb::Test(args) => test::test(args, env, out).await,
        Verb::Import(args) => import::import(args, &env, out),
        Verb::Check(args) => check::check(args, env, out),
        Verb::Explain(args) => explain::explain(args, env, out),
        Verb::Grant(args) => edit::edit(args, edit::Change::Grant, &env, out),
        Verb::Revoke(args) => edit::edit(args, edit::Change::Revoke, &env, out),
        Verb::Trust(args) => trust::trust(args, env, out).await,
        Verb::Audit(verb) => audit::audit(verb, env, out),
        Verb::Cache(verb) => cache::cache(verb, &env, out),
        Verb::Kv(verb) => kv::kv(verb, env, out),
        Verb::Stages(verb) => stages::stages(verb, &env, out),
        Verb::Doctor(args) => doctor::doctor(args, env, out).await,
        Verb::Completions { shell } => completions::completions(*shell),
        Verb::Schema { format } => schema::schema(*format, out),
    }
}

/// What a verb that runs something is granted, with what of it is staged.
///
/// # Errors
/// As those of the verb.
pub(crate) fn granted(verb: &Verb, env: Environment) -> Result<(Settings, Grants)> {
    let of_plugin = |common, flags, selector: &str, stage| {
        let (settings, mut target) = Target::load(common, &flags, &env, selector)?;
        target.stage(stage)?;
        Ok((settings, target.entry.grants))
    };
    match verb {
        Verb::Run(args) => {
            let (selector, _) = args.called();
            of_plugin(&args.common, args.flags(), selector, &args.stage)
        }
        Verb::Call(args) => {
            let flags = args.permissions.flags();
            of_plugin(&args.common(), flags, &args.plugin, &args.stage)
        }
        Verb::Exec(args) => {
            let settings = Settings::load_apart(&args.common(), args.flags(), env)?;
            let grants = exec::Asked::of(args, &settings)?.grants;
            Ok((settings, grants))
        }
        _ => Err(crate::failure::Failure::usage(crate::failure::diagnostic(
            crate::code::UNSTAGED,
            "nothing is run",
        ))),
    }
}
