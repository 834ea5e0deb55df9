//! One run out of the trail, in one pass and in so much memory whatever the trail is.

use std::collections::HashMap;

use portcullis_audit::{
    Answer, Connection, Decision, DenialsFolded, Effect, Ended, Entry, Event, Masked, Outcome,
    RunStarted, Timestamp, Verdict,
};

use super::super::{ended, outcome_facts, run_of, words};
use super::model::{Host, Kind, Link, Refusal, Refused, Row, Story, Sums};
use super::shown::Shown;
use super::spread::Spread;

/// Calls that are shown, whatever they are.
const ROWS: usize = 15_000;
/// Beyond those, only what was denied or asked is shown, until there are so many rows.
const NOTABLE_ROWS: usize = 20_000;
/// Different denials, hosts, and hosts of one command that are told apart.
const REFUSALS: usize = 256;
const HOSTS: usize = 256;
const LINKS: usize = 32;
/// How the proxy says that no rule is about a host.
const NO_RULE: &str = ": no rule is about it";
/// Calls that wait for what comes of them: at once that many are under way in no run.
const WAITING: usize = 4_096;

/// Reads records, oldest first.
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// The run that is wanted; else the last that began.
    wanted: Option<String>,
    reading: Option<Reading>,
}

/// A run of which not all was read.
#[derive(Debug)]
struct Reading {
    story: Story,
    /// Rows that something may still come of, by their call.
    open: HashMap<u64, usize>,
    answers: HashMap<u64, Answer>,
    refusals: HashMap<About, usize>,
    hosts: HashMap<Shown, usize>,
}

/// Denials that are one.
type About = (String, Option<String>, Masked, Option<String>);

impl Collector {
    pub(super) fn new(wanted: Option<&str>) -> Self {
        Self {
            wanted: wanted.map(str::to_owned),
            reading: None,
        }
    }

    pub(super) fn read(&mut self, entry: &Entry) {
        let Some(event) = &entry.event else { return };
        if let Event::RunStarted(started) = event
            && self.wanted.as_ref().is_none_or(|run| *run == started.run)
        {
            self.reading = Some(Reading::new(started, entry.time));
        }
        if let Some(reading) = &mut self.reading
            && run_of(event) == Some(&reading.story.id)
        {
            reading.read(entry, event);
        }
    }

    /// The run; `None` if there was none.
    pub(super) fn finish(self) -> Option<Story> {
        let mut story = self.reading?.story;
        let last = story.ended.map_or(story.sums.last_us, |(_, took)| took);
        story.sums.last_us = last.max(story.sums.last_us);
        story.spread.reach(story.sums.last_us);
        Some(story)
    }
}

impl Reading {
    fn new(started: &RunStarted, began: Timestamp) -> Self {
        Self {
            story: Story {
                id: started.run.clone(),
                plugin: Shown::of(&started.plugin),
                plugin_id: started.plugin.clone(),
                digest: Shown::of(&started.plugin_digest),
                args: Shown::command(started.args.as_str()),
                policy_files: started
                    .policy_files
                    .iter()
                    .map(|file| Shown::of(file))
                    .collect(),
                began,
                ended: None,
                sums: Sums::default(),
                hosts: Vec::new(),
                more_hosts: 0,
                rows: Vec::new(),
                refusals: Vec::new(),
                more_refusals: 0,
                exhausted: Vec::new(),
                spread: Spread::new(),
            },
            open: HashMap::new(),
            answers: HashMap::new(),
            refusals: HashMap::new(),
            hosts: HashMap::new(),
        }
    }

    fn read(&mut self, entry: &Entry, event: &Event) {
        let since = entry.time.duration_since(self.story.began).as_micros();
        let at_us = u64::try_from(since).unwrap_or(0);
        self.story.sums.last_us = self.story.sums.last_us.max(at_us);
        match event {
            Event::RunEnded(event) => {
                self.story.ended = Some((event.exit_code, event.duration_us));
            }
            Event::Asked(event) => {
                self.story.sums.asked += 1;
                if self.answers.len() < WAITING {
                    self.answers.insert(event.call, event.answer);
                }
            }
            Event::Decision(event) => self.decision(entry.head.seq, at_us, event),
            Event::DenialsFolded(event) => self.folded(entry.head.seq, at_us, event),
            Event::Outcome(event) => self.outcome(event),
            Event::Done(event) => {
                let row = self.open.remove(&event.call);
                self.effect(row, &event.effect);
            }
            // One ends a call into the plugin: of a run there are as many as of those.
            Event::Exhausted(exhausted) if self.story.exhausted.len() < REFUSALS => {
                let text = Shown::of(&words(event));
                self.story.exhausted.push((exhausted.call, text));
            }
            _ => {}
        }
    }

    fn decision(&mut self, seq: u64, at_us: u64, event: &Decision) {
        let is_allowed = event.verdict == Verdict::Allow;
        let answer = self.answers.remove(&event.call);
        // A look is written down when it is over.
        let took_us = event.effect.as_ref().map(|effect| effect.duration_us);
        let at_us = at_us.saturating_sub(took_us.unwrap_or(0));
        self.story.sums.calls += 1;
        self.story.spread.add(at_us, is_allowed, 1);
        let mut refusal = None;
        if !is_allowed {
            self.story.sums.denied += 1;
            refusal = self.refusal(event, event.call, 1);
        }
        if event.capability == "http" {
            let url = event.object.as_str().split_once(' ').map(|(_, url)| url);
            self.host(url.unwrap_or_default(), is_allowed, 1, 0, 0);
        } else if event.capability == "net" && event.function.as_deref() != Some("lookup") {
            self.host(event.object.as_str(), is_allowed, 1, 0, 0);
        }
        let kept = self.keep(!is_allowed || answer.is_some(), || Row {
            took_us,
            answer,
            refusal,
            ..row(seq, at_us, event)
        });
        match (&event.effect, kept) {
            (Some(effect), kept) => self.effect(kept, effect),
            (None, Some(row)) if is_allowed && self.open.len() < WAITING => {
                self.open.insert(event.call, row);
            }
            (None, _) => {}
        }
    }

    fn folded(&mut self, seq: u64, at_us: u64, event: &DenialsFolded) {
        let sums = &mut self.story.sums;
        sums.calls = sums.calls.saturating_add(event.count);
        sums.denied = sums.denied.saturating_add(event.count);
        self.story.spread.add(at_us, false, event.count);
        let written = Decision {
            run: event.run.clone(),
            call: event.first_call,
            plugin: event.plugin.clone(),
            capability: event.capability.clone(),
            function: event.function.clone(),
            object: event.object.clone(),
            request_id: None,
            verdict: Verdict::Deny,
            rule: None,
            code: event.code.clone(),
            reason: None,
            effect: None,
        };
        let refusal = self.refusal(&written, event.first_call, event.count);
        self.keep(true, || Row {
            folded: Some((event.count, event.last_call)),
            refusal,
            ..row(seq, at_us, &written)
        });
    }

    /// Adds a row, if there is room for one like it.
    fn keep(&mut self, is_notable: bool, row: impl FnOnce() -> Row) -> Option<usize> {
        let rows = &mut self.story.rows;
        let most = if is_notable { NOTABLE_ROWS } else { ROWS };
        (rows.len() < most).then(|| {
            rows.push(row());
            rows.len() - 1
        })
    }

    fn outcome(&mut self, event: &Outcome) {
        let has_failed = !matches!(event.ended, Ended::Exited(0));
        let read = event.stdout_bytes.saturating_add(event.stderr_bytes);
        let sums = &mut self.story.sums;
        sums.commands += 1;
        sums.failed += u64::from(has_failed);
        sums.bytes_in = sums.bytes_in.saturating_add(read);
        for link in &event.connections {
            sums.bytes_up = sums.bytes_up.saturating_add(link.bytes_up);
            sums.bytes_down = sums.bytes_down.saturating_add(link.bytes_down);
        }
        for link in &event.connections {
            let place = format!("{}:{}", link.host.as_str(), link.port);
            let (up, down) = (link.bytes_up, link.bytes_down);
            self.host(&place, link.allowed, link.count, up, down);
        }
        let refused = event.connections.iter().filter(|link| !link.allowed);
        let mut refusal = None;
        for link in refused {
            refusal = self.refused_host(link, event.call).or(refusal);
        }
        let row = self.open.remove(&event.call);
        let Some(row) = row.and_then(|row| self.story.rows.get_mut(row)) else {
            return;
        };
        row.refusal = refusal;
        let mut facts = Vec::new();
        outcome_facts(event, &mut facts);
        facts.retain(|(name, _)| *name != "network");
        let trees = event.trees.iter();
        facts.extend(trees.map(|tree| ("working tree", tree.as_str().to_owned())));
        row.came = Some(Shown::of(&ended(&event.ended)));
        row.has_failed = has_failed;
        row.took_us = Some(event.duration_us);
        row.bytes_in = read;
        row.facts = facts
            .into_iter()
            .map(|(name, text)| (name, Shown::of(&text)))
            .collect();
        row.links = event.connections.iter().take(LINKS).map(link).collect();
        row.more_links = event.connections.len().saturating_sub(LINKS) as u64;
    }

    fn effect(&mut self, row: Option<usize>, event: &Effect) {
        let sums = &mut self.story.sums;
        sums.failed += u64::from(event.failed.is_some());
        sums.bytes_in = sums.bytes_in.saturating_add(event.bytes_in);
        sums.bytes_out = sums.bytes_out.saturating_add(event.bytes_out);
        let Some(row) = row.and_then(|row| self.story.rows.get_mut(row)) else {
            return;
        };
        row.came = match (&event.failed, event.http_status) {
            (Some(why), _) => Some(Shown::of(why.as_str())),
            (None, Some(status)) => Some(Shown::of(&format!("status {status}"))),
            (None, None) => None,
        };
        row.has_failed = event.failed.is_some();
        row.took_us = Some(event.duration_us);
        row.bytes_in = event.bytes_in;
        row.bytes_out = event.bytes_out;
        let address = event
            .address
            .iter()
            .map(|address| ("connected to", Shown::of(address)));
        let secrets = event
            .secrets
            .iter()
            .map(|secret| ("with the secret", Shown::of(secret)));
        row.facts.extend(address.chain(secrets));
    }

    fn refusal(&mut self, written: &Decision, call: u64, count: u64) -> Option<usize> {
        let about = (
            written.capability.clone(),
            written.function.clone(),
            written.object.clone(),
            written.code.clone(),
        );
        let what = || Refused::Request(Box::new(written.clone()));
        self.refused(about, what, call, count)
    }

    fn refused_host(&mut self, asked: &Connection, call: u64) -> Option<usize> {
        let host = asked.host.as_str();
        let place = format!("{host}:{}", asked.port);
        let why = asked.why.as_str();
        let is_whole = asked.port != 0 && !host.contains("…(+") && !host.contains("[masked]");
        let is_ruled = asked.rule.is_some() || !why.ends_with(NO_RULE);
        let about = ("net".to_owned(), None, Masked::new(&place), None);
        let what = || Refused::Host {
            name: Shown::of(&place),
            why: Shown::of(why),
            place: (is_whole && !is_ruled).then(|| place.clone()),
        };
        self.refused(about, what, call, asked.count)
    }

    fn refused(
        &mut self,
        about: About,
        what: impl FnOnce() -> Refused,
        call: u64,
        count: u64,
    ) -> Option<usize> {
        let refusals = &mut self.story.refusals;
        let at = match self.refusals.get(&about) {
            Some(at) => *at,
            None if refusals.len() < REFUSALS => {
                refusals.push(Refusal {
                    what: what(),
                    first_call: call,
                    count: 0,
                    today: None,
                    remedies: Vec::new(),
                });
                self.refusals.insert(about, refusals.len() - 1);
                refusals.len() - 1
            }
            None => {
                let more = &mut self.story.more_refusals;
                *more = more.saturating_add(count);
                return None;
            }
        };
        refusals[at].count = refusals[at].count.saturating_add(count);
        Some(at)
    }

    fn host(&mut self, place: &str, is_allowed: bool, count: u64, up: u64, down: u64) {
        // Of a URL, what comes before the path.
        let place = match place.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
                format!("{scheme}://{host}")
            }
            None => place.to_owned(),
        };
        let name = Shown::of(&place);
        let hosts = &mut self.story.hosts;
        let at = match self.hosts.get(&name) {
            Some(at) => *at,
            None if hosts.len() < HOSTS => {
                hosts.push(Host {
                    name: name.clone(),
                    ..Host::default()
                });
                self.hosts.insert(name, hosts.len() - 1);
                hosts.len() - 1
            }
            None => {
                self.story.more_hosts += 1;
                return;
            }
        };
        let host = &mut hosts[at];
        let of = if is_allowed {
            &mut host.allowed
        } else {
            &mut host.denied
        };
        *of = of.saturating_add(count);
        host.up = host.up.saturating_add(up);
        host.down = host.down.saturating_add(down);
    }
}

/// The row of a decision, before anything came of it.
fn row(seq: u64, at_us: u64, event: &Decision) -> Row {
    let kind = Kind::of(&event.capability);
    Row {
        call: event.call,
        seq,
        at_us,
        took_us: None,
        kind,
        name: name(&event.capability, event.function.as_deref()),
        object: object(kind, &event.object),
        request: event.request_id.as_ref().map(|id| Shown::of(id.as_str())),
        is_allowed: event.verdict == Verdict::Allow,
        answer: None,
        rule: event
            .rule
            .as_ref()
            .map(|rule| (Shown::of(&rule.id), Shown::of(&rule.origin))),
        code: event.code.as_deref().map(Shown::of),
        reason: event.reason.as_ref().map(|why| Shown::of(why.as_str())),
        folded: None,
        came: None,
        has_failed: false,
        bytes_in: 0,
        bytes_out: 0,
        facts: Vec::new(),
        links: Vec::new(),
        more_links: 0,
        refusal: None,
    }
}

fn name(capability: &str, function: Option<&str>) -> Shown {
    match function {
        Some(function) => Shown::of(&format!("{capability}.{function}")),
        None => Shown::of(capability),
    }
}

fn object(kind: Kind, object: &Masked) -> Shown {
    match kind {
        Kind::Exec => Shown::command(object.as_str()),
        _ => Shown::of(object.as_str()),
    }
}

fn link(connection: &Connection) -> Link {
    let Connection { host, port, .. } = connection;
    Link {
        host: Shown::of(&format!("{}:{port}", host.as_str())),
        is_allowed: connection.allowed,
        rule: connection.rule.as_deref().map(Shown::of),
        why: Shown::of(connection.why.as_str()),
        count: connection.count,
        up: connection.bytes_up,
        down: connection.bytes_down,
    }
}
