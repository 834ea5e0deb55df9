//! `portcullis explain LINE`: what was asked, who decided, and whether today's policy would decide the same. Nothing of it is done
//! again.

use std::io::Read as _;

use portcullis_audit::{Decision, Entry, Verdict};
use serde_json::{Value, json};

use super::record::{self, Unknown};
use super::today::Today;
use crate::args::ExplainArgs;
use crate::code;
use crate::commands::audit;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::denials::Denials;
use crate::render::{Level, Printer, line, shell};
use crate::settings::{Environment, Settings};
use crate::target::Target;

/// Explains a line; `-` stands for what is on standard input.
pub(super) fn explain(
    args: &ExplainArgs,
    text: &str,
    env: Environment,
    out: Printer,
) -> Result<Exit> {
    let mut piped = String::new();
    let text = if text == "-" {
        let read = std::io::stdin()
            .take(record::LONGEST)
            .read_to_string(&mut piped);
        read.map_err(|error| Failure::unusable("read", "standard input".as_ref(), &error))?;
        &piped
    } else {
        text
    };
    let settings = Settings::load(&args.common, args.permissions.flags(), env)?;
    let entries = audit::entries(&settings.directories.audit, None)?;
    let entry = record::find(&entries, text).map_err(unknown)?;
    let written = record::decision(&entries, entry);
    let told = Told {
        settings: &settings,
        entries: &entries,
        entry,
        written,
    };
    told.tell(args.common.output.json, out)
}

fn unknown(why: Unknown) -> Failure {
    let message = match why {
        Unknown::NoLine => {
            "this is no code, and no line of `run --trace`, of `audit show`, of the trail or of a denial".to_owned()
        }
        Unknown::NotWritten => "the trail has no record like this line".to_owned(),
        Unknown::Other(number) => {
            format!("record {number} of the trail says something else than this line")
        }
    };
    let report = diagnostic(code::ARGUMENT, message);
    match why {
        Unknown::NoLine => Failure::usage(
            report
                .help("to explain a line as it was printed: portcullis explain - , and paste it")
                .help("to explain a decision: portcullis explain <plugin> exec <program> [args]"),
        ),
        Unknown::NotWritten | Unknown::Other(_) => Failure {
            exit: Exit::NEGATIVE,
            ..Failure::usage(
                report
                    .note("a plugin writes to the terminal too: what it writes is in no trail")
                    .help("portcullis audit show"),
            )
        },
    }
}

/// Everything about one line.
struct Told<'a> {
    settings: &'a Settings,
    entries: &'a [Entry],
    entry: &'a Entry,
    written: Option<&'a Decision>,
}

impl Told<'_> {
    fn tell(&self, json: bool, out: Printer) -> Result<Exit> {
        let today = match self.written {
            Some(written) => Some((written, self.today(written)?)),
            None => None,
        };
        if json {
            out.json(self.json(today.as_ref()))?;
            return Ok(Exit::OK);
        }
        audit::show(self.entry, out)?;
        let Some((written, (target, today))) = today else {
            return Ok(Exit::OK);
        };
        for fact in self.facts(written, target.as_ref(), &today) {
            out.line(&line(&format!("  {fact}")))?;
        }
        if let (Today::Denied { denial, .. }, Some(target)) = (today, target) {
            out.denials(Level::Error, &Denials::of(&[*denial], &target));
        }
        Ok(Exit::OK)
    }

    /// What is said today, and to whom.
    fn today(&self, written: &Decision) -> Result<(Option<Target>, Today)> {
        let target = match Target::find(self.settings, &written.plugin) {
            Ok(target) => target,
            Err(_) => {
                let why = format!(
                    "no plugin `{}` is in the policy or installed; name its policy with `--config`, as `run` was told",
                    written.plugin
                );
                return Ok((None, Today::Unknown(why)));
            }
        };
        let today = Today::of(self.settings, &target.grants(), written)?;
        Ok((Some(target), today))
    }

    fn facts(&self, written: &Decision, target: Option<&Target>, today: &Today) -> Vec<String> {
        let mut facts = Vec::new();
        if !matches!(self.entry.event, Some(portcullis_audit::Event::Decision(_))) {
            facts.push(format!("asked: {} {}", written.capability, written.object));
            facts.push(format!("by: plugin `{}`", written.plugin));
        }
        for other in self.others(written) {
            facts.push(other);
        }
        if let Some((origin, text)) = self.rule(written) {
            facts.push(match text {
                Some(text) => format!("{origin} is now: {text}"),
                None => format!("{origin} is in no policy that counts now"),
            });
        }
        facts.push(match (today, today.differs(written)) {
            (Today::Unknown(why), _) => format!("today: {why}"),
            (Today::Allowed { by }, differs) => format!(
                "today: {}allowed{}",
                word(differs),
                by.iter()
                    .map(|(id, origin)| format!(" by rule `{id}` ({origin})"))
                    .collect::<String>()
            ),
            (Today::Denied { denial, asks }, differs) => format!(
                "today: {}denied [{}]{}",
                word(differs),
                denial.code,
                if *asks {
                    ", unless somebody at the terminal allows it"
                } else {
                    ""
                }
            ),
        });
        if written.capability == "exec" && !matches!(today, Today::Unknown(_)) {
            facts.push("  in the project's directory, with no variables of its own: those are not written down".to_owned());
        }
        if let (Today::Allowed { .. }, Some(target)) = (today, target) {
            facts.extend(denying(written, target));
        }
        facts
    }

    /// The other records of the call.
    fn others(&self, written: &Decision) -> Vec<String> {
        let about = self.entries.iter().filter(|other| {
            other.head.seq != self.entry.head.seq
                && record::decision(self.entries, other) == Some(written)
        });
        about
            .filter_map(|other| {
                let words = audit::words(other.event.as_ref()?);
                Some(format!("record {}: {words}", other.head.seq))
            })
            .collect()
    }

    /// Where the rule that decided was written, and what stands there now, in a policy file that counts now. No other file is
    /// read.
    fn rule(&self, written: &Decision) -> Option<(String, Option<String>)> {
        let origin = &written.rule.as_ref()?.origin;
        let (file, number) = origin.rsplit_once(':')?;
        let number: usize = number.parse().ok()?;
        let mut files = self.settings.files.iter();
        let known = files.find(|known| {
            let path = &known.path;
            path.display().to_string() == file || self.settings.env.cwd.join(file) == **path
        });
        let text = known.and_then(|known| known.text.lines().nth(number.checked_sub(1)?));
        Some((origin.clone(), text.map(|text| text.trim().to_owned())))
    }

    fn json(&self, today: Option<&(&Decision, (Option<Target>, Today))>) -> Value {
        let decided = today.map(|(written, (target, today))| {
            let rule = self.rule(written);
            let rule = rule.map(|(origin, text)| json!({ "origin": origin, "text": text }));
            let differs = today.differs(written);
            let today = match (today, target) {
                (Today::Allowed { by }, _) => json!({ "decision": "allow", "rules": by }),
                (Today::Denied { denial, asks }, Some(target)) => json!({
                    "decision": if *asks { "ask" } else { "deny" },
                    "denial": Denials::of(&[(**denial).clone()], target).0.first(),
                }),
                (Today::Denied { .. }, None) => Value::Null,
                (Today::Unknown(why), _) => json!({ "decision": null, "why": why }),
            };
            json!({ "asked": written, "rule": rule, "today": today, "differs": differs })
        });
        json!({ "record": self.entry.json, "decided": decided })
    }
}

fn word(differs: Option<bool>) -> &'static str {
    match differs {
        Some(true) => "no longer so: ",
        _ => "the same, ",
    }
}

/// What would take away exactly this.
fn denying(written: &Decision, target: &Target) -> Vec<String> {
    if written.capability != "exec" || written.verdict != Verdict::Allow {
        return Vec::new();
    }
    let Ok(argv) = serde_json::from_str::<Vec<String>>(written.object.as_str()) else {
        return Vec::new();
    };
    let Some((program, args)) = argv.split_first() else {
        return Vec::new();
    };
    let plugin = &written.plugin;
    let revoke = ["portcullis", "revoke", plugin, "exec", program].map(str::to_owned);
    let rule = if args.is_empty() {
        format!("{{ program = {program:?}, args = [] }}")
    } else {
        format!("{{ program = {program:?}, args = {args:?} }}")
    };
    vec![
        format!("to deny exactly this: add {rule} to `exec.deny` of `{plugin}`"),
        format!(
            "to take the program away where it was granted: {}",
            shell(&target.editing.complete(&revoke))
        ),
    ]
}
