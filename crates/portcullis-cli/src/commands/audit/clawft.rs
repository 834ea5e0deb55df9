//! The trail as clawft documents its audit lines: a view of our records, of plugins of every world.

use std::collections::HashMap;

use portcullis_audit::{Decision, DenialsFolded, Effect, Entry, Event, Exhausted, Verdict};

/// The code of calls that were one too many.
const TOO_OFTEN: &str = "P0226";

/// The lines of these records, in their order. What clawft has no line for has none.
pub(super) fn lines(entries: &[Entry]) -> Vec<String> {
    // Decisions whose effect stands in a record of its own.
    let mut begun: HashMap<(&str, u64), &Decision> = HashMap::new();
    let mut lines = Vec::new();
    for event in entries.iter().filter_map(|entry| entry.event.as_ref()) {
        match event {
            Event::Decision(decision) => {
                if decision.verdict == Verdict::Allow && decision.effect.is_none() {
                    begun.insert((&decision.run, decision.call), decision);
                } else {
                    lines.extend(line(decision, decision.effect.as_ref()));
                }
            }
            Event::Done(done) => {
                let decision = begun.remove(&(done.run.as_str(), done.call));
                lines.extend(decision.and_then(|decision| line(decision, Some(&done.effect))));
            }
            Event::DenialsFolded(folded) => lines.extend(of_folded(folded)),
            Event::Exhausted(exhausted) => lines.push(of_exhausted(exhausted)),
            _ => {}
        }
    }
    lines
}

fn line(decision: &Decision, effect: Option<&Effect>) -> Option<String> {
    let (plugin, object) = (value(&decision.plugin), decision.object.as_str());
    let denied = decision.verdict == Verdict::Deny;
    let failed = effect.is_some_and(|effect| effect.failed.is_some());
    let bytes = effect.map_or(0, |effect| effect.bytes_in + effect.bytes_out);
    let outcome = |succeeded| match (denied, failed) {
        (true, _) if decision.code.as_deref() == Some(TOO_OFTEN) => "rate_limited",
        (true, _) => "denied",
        (false, true) => "error",
        (false, false) => succeeded,
    };
    Some(match decision.capability.as_str() {
        "http" => {
            let (method, url) = object.split_once(' ').unwrap_or(("", object));
            let answered = effect.and_then(|effect| effect.http_status);
            let status = answered.map_or_else(|| outcome("ok").to_owned(), |code| code.to_string());
            let (method, url) = (value(method), value(url));
            let bytes = effect.map_or(0, |effect| effect.bytes_in);
            format!(
                "[PLUGIN_HTTP] plugin={plugin} method={method} url={url} status={status} bytes={bytes}"
            )
        }
        "fs" => {
            let op = value(decision.function.as_deref().unwrap_or("open"));
            let (path, result) = (value(object), outcome("ok"));
            format!("[PLUGIN_FS] plugin={plugin} op={op} path={path} bytes={bytes} result={result}")
        }
        "env" => {
            let result = match outcome("found") {
                "error" => "not_found",
                // There are three results only.
                "rate_limited" => "denied",
                result => result,
            };
            format!(
                "[PLUGIN_ENV] plugin={plugin} var={} result={result}",
                value(object)
            )
        }
        "log" if denied => {
            let dropped = dropped(decision)?;
            format!("[PLUGIN_LOG_THROTTLE] plugin={plugin} dropped={dropped} in last 60s")
        }
        _ => return None,
    })
}

/// How many lines of log a record says were dropped; the first of them has a record of its own, without a number.
fn dropped(decision: &Decision) -> Option<u64> {
    let reason = decision.reason.as_ref()?.as_str();
    let mut clauses = reason.split("; ");
    clauses.find_map(|clause| clause.strip_suffix(" lines were dropped")?.parse().ok())
}

fn of_folded(folded: &DenialsFolded) -> Option<String> {
    let (plugin, object, count) = (value(&folded.plugin), folded.object.as_str(), folded.count);
    let object = value(object);
    Some(match folded.capability.as_str() {
        "http" => format!(
            "[PLUGIN_HTTP] plugin={plugin} url={object} status=denied bytes=0 count={count}"
        ),
        "fs" => {
            format!("[PLUGIN_FS] plugin={plugin} path={object} bytes=0 result=denied count={count}")
        }
        "env" => format!("[PLUGIN_ENV] plugin={plugin} var={object} result=denied count={count}"),
        _ => return None,
    })
}

fn of_exhausted(exhausted: &Exhausted) -> String {
    let Exhausted {
        plugin,
        resource,
        used,
        limit,
        ..
    } = exhausted;
    let (plugin, resource) = (value(plugin), value(resource));
    match resource.as_str() {
        "memory" => format!("[PLUGIN_RESOURCE] plugin={plugin} resource=memory limit={limit}"),
        _ => format!(
            "[PLUGIN_RESOURCE] plugin={plugin} resource={resource} used={used} limit={limit}"
        ),
    }
}

/// A value as it stands in a line: what could pass for another field is quoted.
fn value(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\');
    if !text.is_empty() && text.chars().all(plain) || is_url(text) {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

/// A URL has `=` in its query, and no space.
fn is_url(text: &str) -> bool {
    text.contains("://") && text.chars().all(|c| c.is_ascii_graphic() && c != '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_passes_for_another_field() {
        for (text, shown) in [
            ("/tmp/a.txt", "/tmp/a.txt"),
            ("/tmp/a result=ok", "\"/tmp/a result=ok\""),
            ("a\n[PLUGIN_FS] x", "\"a\\n[PLUGIN_FS] x\""),
            ("a=b", "\"a=b\""),
            ("", "\"\""),
            ("https://a/?b=c", "https://a/?b=c"),
            ("https://a/ x=y", "\"https://a/ x=y\""),
        ] {
            assert_eq!(value(text), shown);
        }
    }
}
