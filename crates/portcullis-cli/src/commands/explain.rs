//! `portcullis explain`: the page of a code, a decision without its effect, or a line about one that was made.

mod line;
mod record;
mod today;

use portcullis::{ExecAsk, Host};
use portcullis_policy::{
    ChildRights, Decision, Denial, ExecRequest, ExecTerms, Grants, Interpreter, Net, Program,
    Remedy,
};
use serde_json::{Value, json};
use today::Today;

use super::{children, plan};
use crate::args::{ExplainArgs, StageArgs};
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::denials::Denials;
use crate::render::{Level, Printer, line as shown};
use crate::settings::{Environment, Settings};
use crate::target::Target;

pub(super) fn explain(args: &ExplainArgs, env: Environment, out: Printer) -> Result<Exit> {
    match args.subject.as_slice() {
        [code] => match code::page(code) {
            Some((code, text)) if args.common.output.json => {
                out.json(json!({ "code": code, "page": text.trim() }))?;
                Ok(Exit::OK)
            }
            Some((code, text)) => {
                out.line(&format!("{code}:"))?;
                page(text, out)?;
                Ok(Exit::OK)
            }
            None if code == "-" || code.contains(char::is_whitespace) || code.starts_with('{') => {
                line::explain(args, code, env, out)
            }
            None => Err(Failure::usage(
                diagnostic(code::ARGUMENT, format!("`{code}` is no error code"))
                    .note(
                        "to explain a decision: portcullis explain <plugin> exec <program> [args]",
                    )
                    .help(
                        "to explain a line as it was printed: portcullis explain - , and paste it",
                    ),
            )),
        },
        [plugin, exec, program, rest @ ..] if exec == "exec" => {
            decision(args, plugin, program, rest, env, out)
        }
        _ => Err(Failure::usage(
            diagnostic(
                code::ARGUMENT,
                "expected a code, a line in quotes, or a plugin, `exec` and a program",
            )
            .help("portcullis explain P0201")
            .help("to explain a line as it was printed: portcullis explain - , and paste it")
            .help("portcullis explain <plugin> exec <program> [args]"),
        )),
    }
}

/// What today's policy says to something that was denied, as a clause, and what would allow it.
///
/// # Errors
/// The project directory cannot be opened.
pub(super) fn of_today(
    settings: &Settings,
    target: &Target,
    written: &portcullis_audit::Decision,
) -> Result<(String, Vec<Remedy>)> {
    Ok(match Today::of(settings, &target.grants(), written)? {
        Today::Allowed { .. } => ("allowed".to_owned(), Vec::new()),
        Today::Denied { denial, .. } => {
            let said = format!("denied [{}]", denial.code);
            let denials = Denials::of(&[*denial], target).0.into_iter();
            (said, denials.flat_map(|one| one.denial.remedies).collect())
        }
        Today::Unknown(why) => {
            let mut remedies: Vec<_> = today::changing(&target.entry.id, written)
                .into_iter()
                .collect();
            complete(&mut remedies, target);
            (why, remedies)
        }
    })
}

/// The same of a host that a command asked for and no rule was about.
pub(super) fn host_of_today(target: &Target, place: &str) -> (String, Vec<Remedy>) {
    let is_granted = match ChildRights::of(&target.grants()).net {
        Net::Open => true,
        Net::Hosts(hosts) => hosts.iter().any(|host| host.to_string() == place),
        Net::None | Net::Loopback => false,
    };
    if is_granted {
        let said = "granted to the plugin; a rule of the command's own may leave it out".to_owned();
        return (said, Vec::new());
    }
    let text = "to allow exactly this";
    let mut remedies = vec![Remedy::grant(&target.entry.id, text, &["net", place])];
    complete(&mut remedies, target);
    ("not granted".to_owned(), remedies)
}

fn complete(remedies: &mut [Remedy], target: &Target) {
    let commands = remedies
        .iter_mut()
        .filter_map(|remedy| remedy.command.as_mut());
    commands.for_each(|command| *command = target.editing.complete(command));
}

/// Prints a page, which is written as documentation comments.
pub(super) fn page(text: &str, out: Printer) -> Result<()> {
    for line in text.trim_end().lines() {
        out.line(line.strip_prefix(' ').unwrap_or(line))?;
    }
    Ok(())
}

fn decision(
    args: &ExplainArgs,
    plugin: &str,
    program: &str,
    rest: &[String],
    env: Environment,
    out: Printer,
) -> Result<Exit> {
    let settings = Settings::load(&args.common, args.permissions.flags(), env)?;
    let mut target = Target::find(&settings, plugin)?;
    target.stage(&StageArgs::default())?;
    out.cut(&target.entry.id, &target.entry.cut);
    let grants = target.grants();
    let host = Host::builder()
        .project(&settings.project)
        .host_env(settings.env.host())
        .build()?;
    let ask = ExecAsk {
        program: program.to_owned(),
        args: rest.to_vec(),
        cwd: args.cwd.clone(),
        env: args
            .env
            .iter()
            .map(|pair| variable(pair))
            .collect::<Result<_>>()?,
        inherit_env: args.inherit_env,
        stdin: None,
    };
    let decision = host.explain(&grants, &ask).map_err(|error| {
        Failure::unusable("open the project directory", &settings.project, &error)
    })?;
    match decision {
        Decision::Allow(authorized) => {
            let found = found(authorized.request());
            if args.common.output.json {
                out.json(allowed_json(&settings, &grants, &found, authorized.terms()))?;
            } else {
                out.line("allowed")?;
                for fact in allowed_lines(&settings, &grants, &found, authorized.terms()) {
                    out.line(&shown(&format!("  {fact}")))?;
                }
            }
            Ok(Exit::OK)
        }
        Decision::Ask { mut denial, .. } => {
            denial.notes.push(
                "mode `dev`: `run` asks at the terminal, and denies it without one".to_owned(),
            );
            denied(&target, *denial, "ask", args.common.output.json, out)
        }
        Decision::Deny(denial) => denied(&target, *denial, "deny", args.common.output.json, out),
    }
}

pub(super) fn variable(pair: &str) -> Result<(String, String)> {
    let (name, value) = pair.split_once('=').ok_or_else(|| {
        Failure::usage(diagnostic(
            code::ARGUMENT,
            format!("`{pair}` is no variable: expected NAME=VALUE"),
        ))
    })?;
    Ok((name.to_owned(), value.to_owned()))
}

/// What would run, a phrase each.
fn found(request: &ExecRequest) -> Vec<String> {
    let mut found = Vec::new();
    if let Program::Found(program) = &request.found {
        found.push(format!("program `{}`", program.path.display()));
        if let Some(Interpreter { path, .. }) = &program.interpreter {
            found.push(format!(
                "a script, read by `{}`, which its rule implies for it alone",
                path.display()
            ));
        }
    }
    if let Some(dir) = request.cwd.path() {
        found.push(format!("in `{}`", dir.display()));
    }
    found
}

/// The rules that allow a command, each with its place.
fn rules(grants: &Grants, terms: &ExecTerms) -> Vec<(String, String)> {
    let allow = grants.exec.iter().flat_map(|exec| &exec.allow);
    allow
        .filter(|rule| terms.rules.contains(&rule.id))
        .map(|rule| (rule.id.to_string(), rule.origin.to_string()))
        .collect()
}

fn variables(terms: &ExecTerms) -> Vec<&str> {
    terms
        .environment
        .vars
        .iter()
        .map(|(name, _)| &**name)
        .collect()
}

fn allowed_json(
    settings: &Settings,
    grants: &Grants,
    found: &[String],
    terms: &ExecTerms,
) -> Value {
    let rules = rules(grants, terms);
    let rules: Vec<_> = rules
        .iter()
        .map(|(id, origin)| json!({ "id": id, "origin": origin }))
        .collect();
    json!({
        "decision": "allow",
        "found": found,
        "rules": rules,
        "ceiling": terms.ceiling,
        "environment": variables(terms),
        "dropped": terms.environment.dropped,
        "timeout_ms": u64::try_from(terms.timeout.as_millis()).unwrap_or(u64::MAX),
        "output_bytes": terms.output,
        "confinement": terms.confinement,
        "staged": plan::staged_json(grants),
        "children": children::json(&terms.rights, terms.confinement, settings.ca_file()),
        "not_in_force": terms.not_in_force,
    })
}

/// The same in words, a line each.
fn allowed_lines(
    settings: &Settings,
    grants: &Grants,
    found: &[String],
    terms: &ExecTerms,
) -> Vec<String> {
    let mut lines = found.to_vec();
    let rules = rules(grants, terms);
    if rules.is_empty() {
        lines.push("by the grant of any program".to_owned());
    }
    lines.extend(
        rules
            .iter()
            .map(|(id, origin)| format!("by rule `{id}` ({origin})")),
    );
    let ceiling = terms.ceiling.iter();
    lines.extend(
        ceiling.map(|(id, origin)| format!("within rule `{id}` of the ceiling ({origin})")),
    );
    lines.push(format!(
        "with the variables {}",
        plan::quoted(&variables(terms))
    ));
    let dropped: Vec<_> = terms
        .environment
        .dropped
        .iter()
        .map(|dropped| dropped.name.as_str())
        .collect();
    if !dropped.is_empty() {
        lines.push(format!(
            "left out of its environment: {}",
            plan::quoted(&dropped)
        ));
    }
    lines.push(format!(
        "for at most {} ms and {} bytes a stream",
        terms.timeout.as_millis(),
        terms.output
    ));
    lines.extend(plan::staged(grants));
    if !terms.not_in_force.is_empty() {
        let keys = plan::quoted(&terms.not_in_force);
        lines.push(format!("keys of its rules that are not in force: {keys}"));
    }
    lines.extend(children::lines(
        "children",
        &terms.rights,
        terms.confinement,
        settings.ca_file(),
    ));
    lines
}

fn denied(
    target: &Target,
    denial: Denial,
    decision: &str,
    json: bool,
    out: Printer,
) -> Result<Exit> {
    let denials = Denials::of(&[denial], target);
    if json {
        out.json(json!({ "decision": decision, "denial": denials.0.first() }))?;
    } else {
        out.denials(Level::Error, &denials);
    }
    Ok(Exit::NEGATIVE)
}
