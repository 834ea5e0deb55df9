//! The page: one file, nothing from elsewhere, and nothing in it runs but its own script.
//!
//! Text of the trail is [`Shown`], which renders as text. Attributes have fixed words and numbers only.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use portcullis_audit::{Answer, Decision, Verification};
use sha2::{Digest as _, Sha256};

use super::super::answer;
use super::filters::{GROUP, bar, classes, rules};
use super::model::{Kind, Link, Mark, Refusal, Refused, Row, Story};
use super::shown::Shown;
use super::spread::{STRETCHES, Spread};
use super::words::{bytes, number, time};
use crate::code;
use crate::render::count;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Height of the picture, in its own units.
const HEIGHT: u64 = 100;

/// What a trail was held against.
#[derive(Debug)]
pub(super) struct Chain<'a> {
    pub(super) found: &'a Verification,
    /// A head from elsewhere was given.
    pub(super) is_given: bool,
}

/// Makes the page.
pub(super) fn page(story: &Story, chain: &Chain<'_>) -> String {
    let style = format!("{STYLE}{}", rules());
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'",
        hash(&style),
        hash(SCRIPT)
    );
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="referrer" content="no-referrer";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Run of " (story.plugin) " – Portcullis" }
                style { (PreEscaped(&style)) }
            }
            body {
                a.skip href="#calls" { "To the calls" }
                (head(story, chain))
                main {
                    (exhausted(story))
                    @if story.sums.calls > 0 { (timeline(story)) }
                    (refusals(story))
                    (hosts(story))
                    (calls(story))
                }
                footer {
                    p { "Made by Portcullis from its audit trail. What looks like a secret is masked, long text is cut, and characters that are
                        not seen are written out. " code { "portcullis audit explain " i { "N" } } " has all of record " i { "N" } "." }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    whole.into_string()
}

fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text))
}

fn head(story: &Story, chain: &Chain<'_>) -> Markup {
    let sums = &story.sums;
    html! {
        header {
            p.over { "Portcullis audit report" }
            h1 {
                (story.plugin) " "
                @match story.ended {
                    Some((code, took)) => { "ended with code " (code) " after " (time(took)) }
                    None => { "has not ended" }
                }
            }
            (seal(chain))
            dl.facts {
                dt { "Began" } dd { (format!("{:.3}", story.began)) }
                @if !story.args.is_empty() { dt { "Arguments" } dd { code { (story.args) } } }
                dt { "Policy" }
                dd {
                    @for (at, file) in story.policy_files.iter().enumerate() {
                        @if at > 0 { ", " }
                        code { (file) }
                    }
                    @if story.policy_files.is_empty() { "no file" }
                }
                dt { "Plugin" } dd { "BLAKE3 " code { (story.digest) } }
                dt { "Run" } dd { code { (Shown::of(&story.id)) } }
            }
            ul.sums aria-label="Sums" {
                (sum("", number(sums.calls), "calls"))
                (sum(if sums.denied > 0 { "denied" } else { "" }, number(sums.denied), "denied"))
                @if sums.asked > 0 { (sum("asked", number(sums.asked), "asked")) }
                @if sums.failed > 0 { (sum("", number(sums.failed), "failed")) }
                (sum("", number(sums.commands), "commands"))
                (sum("", bytes(sums.bytes_in), "to the plugin"))
                (sum("", bytes(sums.bytes_out), "from the plugin"))
                @if sums.bytes_up > 0 || sums.bytes_down > 0 {
                    (sum("", bytes(sums.bytes_up), "sent by commands"))
                    (sum("", bytes(sums.bytes_down), "got by commands"))
                }
                (sum("", number(story.hosts.len() as u64 + story.more_hosts), "hosts"))
            }
        }
    }
}

fn sum(class: &'static str, value: String, what: &'static str) -> Markup {
    html! { li class=[(!class.is_empty()).then_some(class)] { b { (value) } span.soft { (what) } } }
}

fn seal(chain: &Chain<'_>) -> Markup {
    let found = chain.found;
    let against = if chain.is_given {
        "the head that was given, and those kept with the trail and in the data directory"
    } else {
        "the heads kept with the trail and in the data directory; one that was kept elsewhere would show more"
    };
    let records = if found.records == 1 {
        "record"
    } else {
        "records"
    };
    let files = count(found.files as u64, "file");
    html! {
        @if found.is_intact() {
            p.seal { "✓ The trail is intact: " (number(found.records)) " " (records) " in " (files) "." }
        } @else {
            p.seal.broken role="alert" { "✗ The trail is not intact. What this page says may not be what happened." }
        }
        @if !found.findings.is_empty() {
            ul.findings { @for finding in found.findings.iter().take(20) { li { (Shown::of(&finding.to_string())) } } }
            @if found.findings.len() > 20 { p { "And " (found.findings.len() - 20) " more: " code { "portcullis audit verify" } } }
        }
        p.soft { "Held against " (against) ". Head " code { (Shown::of(&found.head.to_string())) } }
    }
}

fn exhausted(story: &Story) -> Markup {
    html! {
        @if !story.exhausted.is_empty() {
            section aria-labelledby="limits" {
                h2 #limits { "Limits that were reached" }
                @for (_, text) in &story.exhausted { p.card { span.pill.denied { "ended" } " " (text) } }
            }
        }
    }
}

fn timeline(story: &Story) -> Markup {
    let spread = &story.spread;
    let most = spread
        .counts
        .iter()
        .map(|[allowed, denied]| allowed + denied)
        .max();
    let most = most.unwrap_or(0);
    // Stretches go on after the end; the picture does not.
    let used = (story.sums.last_us / spread.width_us).min(STRETCHES as u64 - 1) + 1;
    let end = story.sums.last_us;
    html! {
        section aria-labelledby="when" {
            h2 #when { "When" }
            p.key { span { i {} "allowed" } span { i.no {} "denied" } "calls in each " (time(spread.width_us)) ", at most " (number(most)) }
            figure {
                svg viewBox={ "0 0 " (used) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                    aria-label={ (number(story.sums.calls)) " calls in " (time(end)) ", " (number(story.sums.denied)) " of them denied" } {
                    (columns(spread, most))
                }
                figcaption { span { "0" } span { (time(end / 4)) } span { (time(end / 2)) } span { (time(end / 4 * 3)) } span { (time(end)) } }
            }
        }
    }
}

fn columns(spread: &Spread, most: u64) -> Markup {
    let height = |count: u64| {
        let height = u128::from(count) * u128::from(HEIGHT) / u128::from(most.max(1));
        // One call is seen beside thousands.
        u64::try_from(height)
            .unwrap_or(HEIGHT)
            .max(if count > 0 { 2 } else { 0 })
    };
    html! {
        @for (at, [allowed, denied]) in spread.counts.iter().enumerate() {
            @let (low, high) = (height(*allowed), height(*denied));
            @if low > 0 { rect.ok x=(at) y=(HEIGHT - low) width="0.9" height=(low) {} }
            @if high > 0 { rect.no x=(at) y=(HEIGHT.saturating_sub(low + high)) width="0.9" height=(high) {} }
        }
    }
}

fn refusals(story: &Story) -> Markup {
    html! {
        @if !story.refusals.is_empty() {
            section aria-labelledby="denied" {
                h2 #denied { "What was denied" }
                p.soft { "Each once. A command is what would allow exactly that, by the policy as it is now." }
                @for (at, refusal) in story.refusals.iter().enumerate() { (refused(at, refusal)) }
                @if story.more_refusals > 0 { p { "And " (number(story.more_refusals)) " denials of other things, which are not told apart here." } }
            }
        }
    }
}

fn refused(at: usize, refusal: &Refusal) -> Markup {
    let seen =
        html! { small { (times(refusal.count)) ", first in call " (number(refusal.first_call)) } };
    html! {
        article.card id={ "d" (at) } {
            @match &refusal.what {
                Refused::Request(written) => { (request(written, &seen)) }
                Refused::Host { name, why, .. } => {
                    h3 { span.pill.denied { "host" } " " code { (name) } " " (seen) }
                    p { (why) }
                }
            }
            @if let Some(today) = &refusal.today { p { "Today: " (today) } }
            @for (what, command) in &refusal.remedies {
                p { (what) @if command.is_some() { ":" } }
                @if let Some(command) = command { pre { (command) } }
            }
        }
    }
}

fn request(written: &Decision, seen: &Markup) -> Markup {
    let object = written.object.as_str();
    let object = match Kind::of(&written.capability) {
        Kind::Exec => Shown::command(object),
        _ => Shown::of(object),
    };
    let known = written.code.as_deref().and_then(code::page);
    html! {
        h3 {
            @match (known, &written.code) {
                (Some((code, _)), _) => { span.pill.denied { (code) } " " }
                (None, Some(code)) => { span.pill.denied { (Shown::of(code)) } " " }
                (None, None) => {}
            }
            (Shown::of(&written.capability))
            @if let Some(function) = &written.function { "." (Shown::of(function)) }
            " " code { (object) } " " (seen)
        }
        @if let Some(reason) = &written.reason { p { (Shown::of(reason.as_str())) } }
        @if let Some((_, page)) = known { p.soft { (page.lines().next().unwrap_or_default().trim()) } }
        @if let Some(rule) = &written.rule { p { "By rule " code { (Shown::of(&rule.id)) } " (" (Shown::of(&rule.origin)) ")" } }
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{} times", number(count)),
    }
}

fn hosts(story: &Story) -> Markup {
    html! {
        @if !story.hosts.is_empty() {
            section aria-labelledby="hosts" {
                h2 #hosts { "Hosts" }
                p.soft { "Those that the plugin or its commands asked for. Bytes are those of commands; the plugin's own are with its calls." }
                div.scroll { table {
                    thead { tr { th scope="col" { "host" } th.r scope="col" { "allowed" } th.r scope="col" { "denied" } th.r scope="col" { "sent" } th.r scope="col" { "got" } } }
                    tbody { @for host in &story.hosts { tr {
                        th scope="row" { code { (host.name) } }
                        td.r { (number(host.allowed)) } td.r { (number(host.denied)) } td.r { (bytes(host.up)) } td.r { (bytes(host.down)) }
                    } } }
                } }
                @if story.more_hosts > 0 { p { "And " (number(story.more_hosts)) " more that are not listed." } }
            }
        }
    }
}

fn calls(story: &Story) -> Markup {
    let shown: u64 = story
        .rows
        .iter()
        .map(|row| row.folded.map_or(1, |(count, _)| count))
        .sum();
    let left_out = story.sums.calls.saturating_sub(shown);
    let is_one = story.rows.len() <= GROUP;
    html! {
        section aria-labelledby="calls" {
            h2 #calls { "Calls" }
            @if !story.rows.is_empty() { (choices(story)) }
            @if story.rows.is_empty() { p { "The plugin asked for nothing." } }
            @else if is_one { p.soft { "Bars span the run." } }
            @else { p.soft { "Bars of a group span the run, those of its calls the group." } }
            @for rows in story.rows.chunks(GROUP) { (group(rows, story, is_one)) }
            @if left_out > 0 {
                p.card { b { (number(left_out)) " calls are not shown" } ": a page has room for so many. All are in the sums and the picture; those that were
                    denied or asked come first. " code { "portcullis audit show --run " (Shown::of(&story.id)) } " has every one." }
            }
        }
    }
}

fn choices(story: &Story) -> Markup {
    let kinds = Kind::ALL
        .into_iter()
        .filter(|kind| story.rows.iter().any(|row| row.kind == *kind));
    let kinds: Vec<_> = kinds.collect();
    let marks = Mark::ALL
        .into_iter()
        .filter(|mark| story.rows.iter().any(|row| row.is(*mark)));
    html! {
        div.filter role="group" aria-label="Which calls are shown" {
            fieldset { legend { "Show" }
                label { input.all type="radio" name="m" checked; "all" }
                @for mark in marks { label { input type="radio" name="m" id={ "m-" (mark.class()) }; (mark.class()) } }
            }
            @if kinds.len() > 1 { fieldset { legend { "of" }
                label { input.all type="radio" name="k" checked; "everything" }
                @for kind in kinds { label { input type="radio" name="k" id={ "k-" (kind.class()) }; (kind.words()) } }
            } }
            div #find hidden { input #text type="search" placeholder="Find text" aria-label="Find text in calls"; span.soft #found role="status" {} }
        }
    }
}

fn group(rows: &[Row], story: &Story, is_open: bool) -> Markup {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return html! {};
    };
    let from = rows.iter().map(|row| row.at_us).min().unwrap_or(0);
    let to = rows.iter().map(Row::end_us).max().unwrap_or(from);
    let (span_from, span) = if is_open {
        (0, story.sums.last_us)
    } else {
        (from, to - from)
    };
    let denied = rows.iter().filter(|row| !row.is_allowed);
    let denied: u64 = denied
        .map(|row| row.folded.map_or(1, |(count, _)| count))
        .sum();
    html! {
        details class={ "g " (classes(rows)) } open[is_open] {
            summary {
                span { "Calls " (number(first.call)) "–" (number(last.folded.map_or(last.call, |(_, last)| last))) }
                span.soft { (time(from)) " – " (time(to)) }
                (track(bar(from, to, 0, story.sums.last_us), denied > 0 && denied >= rows.len() as u64))
                span.r { @if denied > 0 { span.pill.denied { (number(denied)) " denied" } } }
            }
            div.scroll { table {
                thead { tr {
                    th.cn scope="col" { "call" } th.ca scope="col" { "at" } th scope="col" { "asked for" } th.cd scope="col" { "decision" }
                    th.co scope="col" { "came of it" } th.ct scope="col" { "took" }
                } }
                tbody { @for row in rows { (call(row, span_from, span)) } }
            } }
        }
    }
}

fn track((begins, length): (u64, u64), is_denied: bool) -> Markup {
    let no = if is_denied { " no" } else { "" };
    html! { span.t { i class={ "b l" (begins) " w" (length) (no) } {} } }
}

fn call(row: &Row, from_us: u64, span_us: u64) -> Markup {
    let class = classes(std::slice::from_ref(row));
    html! {
        tr class={ "c " (class) } {
            th.n scope="row" {
                (row.call)
                @if let Some((_, last)) = row.folded { "–" (last) }
            }
            td.n { (time(row.at_us)) }
            td {
                span.soft { (row.name) @if let Some(id) = &row.request { " for " (id) } " " }
                code { (row.object) }
                (links(row))
                (more(row))
            }
            td { (decision(row)) }
            td {
                @if let Some(came) = &row.came { span class=[row.has_failed.then_some("pill failed")] { (came) } " " }
                @if row.bytes_in > 0 { small { (bytes(row.bytes_in)) " in" } }
                @if row.bytes_out > 0 { small { (bytes(row.bytes_out)) " out" } }
            }
            td.n { (track(bar(row.at_us, row.end_us(), from_us, span_us), !row.is_allowed)) @if let Some(took) = row.took_us { (time(took)) } }
        }
    }
}

fn decision(row: &Row) -> Markup {
    html! {
        @if row.is_allowed { span.pill.allowed { "allowed" } }
        @else {
            span.pill.denied { "denied" @if let Some(code) = &row.code { " " (code) } }
            @if let Some((count, _)) = row.folded { " " (number(count)) " more times" }
        }
        @if let Some(given) = row.answer { " " (asked(given)) }
        @if let Some((rule, origin)) = &row.rule { small { (rule) " · " (origin) } }
        @if let Some(refusal) = row.refusal { small { a href={ "#d" (refusal) } { "what would allow it" } } }
        @else if let Some(reason) = &row.reason { small { (reason) } }
    }
}

fn asked(given: Answer) -> Markup {
    html! { span.pill.asked { "asked: " (answer(given)) } }
}

fn links(row: &Row) -> Markup {
    html! {
        @if !row.links.is_empty() {
            ul aria-label="Hosts that the command asked for" {
                @for link in &row.links { (linked(link)) }
                @if row.more_links > 0 { li { "and " (number(row.more_links)) " more" } }
            }
        }
    }
}

fn linked(link: &Link) -> Markup {
    html! {
        li {
            span class=(if link.is_allowed { "pill allowed" } else { "pill denied" }) { (if link.is_allowed { "allowed" } else { "denied" }) }
            " " code { (link.host) }
            @if link.count > 1 { " " (times(link.count)) }
            small {
                (link.why)
                @if let Some(rule) = &link.rule { " · rule " (rule) }
                " · " (bytes(link.up)) " sent, " (bytes(link.down)) " got"
            }
        }
    }
}

fn more(row: &Row) -> Markup {
    html! {
        @if !row.facts.is_empty() {
            details { summary { "more" } dl {
                @for (name, text) in &row.facts { dt { (name) } dd { (text) } }
                dt { "record" } dd { (row.seq) }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written on what, by the names of the colours.
    const PAIRS: [(&str, &[&str]); 6] = [
        ("ink", &["bg", "card", "code"]),
        ("soft", &["bg", "card"]),
        ("link", &["bg", "card"]),
        ("ok", &["ok-bg"]),
        ("no", &["no-bg", "card"]),
        ("ask", &["ask-bg", "card"]),
    ];

    /// The luminance of a colour, after WCAG 2.2.
    fn luminance(block: &str, name: &str) -> f64 {
        let (_, rest) = block.split_once(&format!("--{name}:#")).unwrap();
        let part = |at: usize| {
            let value = u8::from_str_radix(&rest[at..at + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    }

    #[test]
    fn text_can_be_read_in_both_schemes() {
        let (light, rest) = STYLE
            .split_once("@media (prefers-color-scheme:dark)")
            .unwrap();
        let (dark, _) = rest.split_once("}}").unwrap();
        for (scheme, block) in [("light", light), ("dark", dark)] {
            for (text, grounds) in PAIRS {
                for ground in grounds {
                    let mut both = [luminance(block, text), luminance(block, ground)];
                    both.sort_by(f64::total_cmp);
                    let contrast = (both[1] + 0.05) / (both[0] + 0.05);
                    assert!(
                        contrast >= 4.5,
                        "{scheme}: {text} on {ground}: {contrast:.2}"
                    );
                }
            }
        }
    }

    #[test]
    fn style_and_script_end_where_they_end() {
        // They are the only text that is not escaped.
        for ours in [&format!("{STYLE}{}", rules()), SCRIPT] {
            assert!(!ours.contains("</") && !ours.contains("<!--"), "{ours}");
        }
    }
}
