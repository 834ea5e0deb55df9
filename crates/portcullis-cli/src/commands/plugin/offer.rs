//! What installing a plugin would come to: what it asks for, and what it would be given.

use std::collections::BTreeSet;

use jiff::Timestamp;
use portcullis_config::{Ask, AskKind, Context, edit};
use portcullis_fetch::detached;
use portcullis_policy::{Grants, Net, Tier};
use portcullis_registry::Record;
use sha2::{Digest as _, Sha256};

use super::Candidate;
use crate::commands::inspect::ask_words;
use crate::commands::plan;
use crate::failure::{Failure, Result};
use crate::settings::Settings;

/// A plugin as it would be installed.
#[derive(Debug)]
pub(in crate::commands) struct Offer<'a> {
    pub(in crate::commands) candidate: &'a Candidate,
    /// The row that would be written.
    pub(in crate::commands) record: Record,
    /// What it may do then.
    grants: Grants,
    /// What it asks for and would not have.
    missing: Vec<Ask>,
    context: Context,
}

impl<'a> Offer<'a> {
    /// Of a new plugin; or of what comes after another content of it, which had something granted.
    ///
    /// # Errors
    /// Its name is taken, or it is larger than the policy allows.
    pub(in crate::commands) fn new(
        settings: &Settings,
        candidate: &'a Candidate,
        before: Option<&Record>,
    ) -> Result<Self> {
        let id = &candidate.manifest.id;
        let sha256 = candidate.sha256();
        let grants = match before {
            Some(before) => {
                edit::rebind(&before.grants, id, &sha256).map_err(edit::StoreError::from)?
            }
            None => edit::of_content(id, &sha256),
        };
        let now = format!("{:.0}", Timestamp::now());
        let manifest = &candidate.manifest;
        let record = Record {
            name: id.to_string(),
            record: before.map_or_else(Record::draw, |before| Ok(before.record.clone()))?,
            version: manifest.version.clone(),
            kind: candidate.found.kind.describe().to_owned(),
            world: manifest.world.clone(),
            sha256,
            blake3: candidate.found.blake3.clone(),
            bytes: candidate.found.bytes as u64,
            manifest: candidate.text.clone(),
            source: candidate.source.clone(),
            resolved: candidate.resolved(),
            listing: candidate.package.listing().map(str::to_owned),
            tier: candidate.evidence.tier.name().to_owned(),
            signer: candidate.evidence.signer.map(|key| key.hex()),
            signature: candidate.evidence.signature.as_ref().map(detached),
            imports: candidate.imports().collect(),
            asks: manifest
                .asks
                .iter()
                .map(|ask| ask_words(&ask.kind))
                .collect(),
            programs: candidate.programs().collect(),
            commands: candidate.commands().collect(),
            grants,
            gives: BTreeSet::new(),
            policy_sha256: String::new(),
            installed: before.map_or_else(|| now.clone(), |before| before.installed.clone()),
            updated: before.map(|_| now),
        };
        Self::of(settings, candidate, record)
    }

    fn of(settings: &Settings, candidate: &'a Candidate, mut record: Record) -> Result<Self> {
        let (policy, context) = settings.with_installed(&record)?;
        let entry = policy.plugin(&record.name)?;
        let manifest = entry
            .manifest
            .as_ref()
            .map_or(&candidate.manifest, |(_, manifest)| manifest);
        let missing = manifest
            .asks_not_granted(&entry.grants)
            .into_iter()
            .cloned()
            .collect();
        let grants = manifest.restrict(entry.grants.clone());
        if manifest.clawft.is_some() {
            portcullis::clawft_size(&grants, candidate.package.component())?;
        }
        record.gives = plan::words(&grants, settings.ca_file())
            .iter()
            .map(|word| without_place(word))
            .collect();
        let policy = plan::grants_json(&grants).to_string();
        record.policy_sha256 = hex::encode(Sha256::digest(policy));
        Ok(Self {
            candidate,
            record,
            grants,
            missing,
            context,
        })
    }

    /// The same with what it asks for granted, as far as that can be said exactly.
    ///
    /// # Errors
    /// What it asks for reaches what no grant reaches.
    pub(in crate::commands) fn granting(&self, settings: &Settings) -> Result<Self> {
        let asks: Vec<_> = self.missing.iter().collect();
        let file = settings.installed.file(&self.record.name);
        let id = &self.candidate.manifest.id;
        let (edited, _) = edit::grant_asked(&self.record.grants, id, &asks, &file, &self.context)
            .map_err(|error| Failure::from(edit::StoreError::from(error)))?;
        let record = Record {
            grants: edited.text,
            ..self.record.clone()
        };
        Self::of(settings, self.candidate, record)
    }

    /// Whether there is anything that could be granted besides.
    pub(in crate::commands) fn can_grant(&self, settings: &Settings) -> bool {
        let granted = self.granting(settings);
        granted.is_ok_and(|granted| granted.record.grants != self.record.grants)
    }

    /// All of it, in plain words, a line each.
    pub(in crate::commands) fn lines(&self) -> Vec<String> {
        let Self {
            candidate, record, ..
        } = self;
        let mut lines = vec![
            format!(
                "plugin `{}` {}: {}, {} bytes",
                record.name, record.version, record.kind, record.bytes
            ),
            format!("from `{}`", record.source),
            format!("sha256 {}", record.sha256),
            format!("tier {}: {}", record.tier, of_tier(candidate.evidence.tier)),
        ];
        lines.extend(
            record
                .signer
                .iter()
                .map(|key| format!("signed by the key {key}")),
        );
        lines.extend(
            record
                .resolved
                .iter()
                .map(|digest| format!("which stands for {digest}")),
        );
        lines.extend(
            candidate
                .manifest
                .description
                .iter()
                .map(|what| format!("it says of itself: \"{what}\"")),
        );
        lines.extend(candidate.package.no_signatures().map(str::to_owned));
        if candidate.manifest.asks.is_empty() {
            lines.push("it asks for nothing".to_owned());
        }
        for ask in &candidate.manifest.asks {
            let given = if self.missing.contains(ask) {
                "your policy does not give it"
            } else {
                "given"
            };
            lines.push(format!(
                "asks for {} ({given}), because: \"{}\"",
                ask_words(&ask.kind),
                ask.reason
            ));
        }
        lines.extend(candidate.unasked());
        lines.extend(self.risks().into_iter().map(|risk| format!("risk: {risk}")));
        lines.push("as your policy is, it".to_owned());
        lines.extend(record.gives.iter().map(|word| format!("  {word}")));
        lines
    }

    /// What could come of it, if it had what it asks for and what it is given.
    fn risks(&self) -> Vec<&'static str> {
        let asks = &self.candidate.manifest.asks;
        let asked = |is: fn(&AskKind) -> bool| asks.iter().any(|ask| is(&ask.kind));
        let grants = &self.grants;
        let exec = asked(|ask| matches!(ask, AskKind::Exec { .. })) || grants.exec.is_some();
        let any = asked(|ask| matches!(ask, AskKind::Exec { program: None, .. }));
        let net = asked(|ask| matches!(ask, AskKind::Http { .. } | AskKind::Net { .. }))
            || !grants.http.allow.is_empty()
            || !grants.own_net.is_empty()
            || grants.net != Net::None;
        let everywhere = asks.iter().any(|ask| match &ask.kind {
            AskKind::Http { host } => host.as_ref().is_none_or(|host| host == "*"),
            AskKind::Net { connect, lookup } => match connect {
                Some(place) => place.starts_with("*:"),
                None => lookup.is_none(),
            },
            _ => false,
        });
        let env = asked(|ask| matches!(ask, AskKind::Env { .. }));
        [
            (exec && net, "it runs commands and talks to the network: what they can read can leave this machine"),
            (any, "it wants to run any program: such a plugin can do whatever those programs can"),
            (everywhere, "it wants to talk to any host of the public network"),
            (env, "it reads environment variables, which often hold passwords and tokens"),
            (self.candidate.evidence.tier == Tier::Unverified, "nobody vouches for it: it may not be what its author wrote"),
        ]
        .into_iter()
        .filter_map(|(is, risk)| is.then_some(risk))
        .collect()
    }
}

const fn of_tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Signed => "signed by a key that your policy has for its name",
        Tier::Pinned => "your policy names this very content",
        Tier::Local => "it lies on this machine, and nobody signed it",
        Tier::Unverified => "nobody vouches for it",
    }
}

/// A right without the line that grants it: a policy that is only written otherwise gives the same.
fn without_place(word: &str) -> String {
    match word.rsplit_once(" (") {
        Some((right, place)) if place.ends_with(')') => right.to_owned(),
        _ => word.to_owned(),
    }
}
