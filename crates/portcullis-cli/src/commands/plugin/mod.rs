//! What the verbs about installed plugins share.

mod agreement;
mod candidate;
mod difference;
mod offer;

use portcullis_audit::{Event, PluginChanged};
use portcullis_registry::{Record, Registry};
use serde_json::{Value, json};

use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::Printer;
use crate::session;
use crate::settings::Settings;

pub(super) use agreement::{Agreed, Question};
pub(super) use candidate::{Candidate, given, manifest_of, options};
pub(super) use difference::Difference;
pub(super) use offer::Offer;

/// The plugin of a name, or all of them without one.
///
/// # Errors
/// There is none of that name.
pub(super) fn chosen<'a>(settings: &'a Settings, name: Option<&str>) -> Result<Vec<&'a Record>> {
    let records = &settings.installed.records;
    let Some(name) = name else {
        return Ok(records.iter().collect());
    };
    let found = settings.installed.get(name);
    found.map(|record| vec![record]).ok_or_else(|| Failure {
        exit: Exit::NEGATIVE,
        ..Failure::usage(
            diagnostic(
                code::NO_SUCH_PLUGIN,
                format!("no plugin `{name}` is installed"),
            )
            .help("portcullis list"),
        )
    })
}

/// Writes down what is about to be done; what is not written down is not done.
pub(super) fn write_down(
    settings: &Settings,
    before: Option<&Record>,
    after: Option<&Record>,
    agreed: bool,
    out: Printer,
) -> Result<()> {
    let Some(about) = after.or(before) else {
        return Ok(());
    };
    let digest = |record: Option<&Record>| record.map(|record| record.sha256.clone());
    let event = Event::PluginChanged(PluginChanged {
        plugin: about.name.clone(),
        from: digest(before),
        to: digest(after),
        source: about.source.clone(),
        tier: about.tier.clone(),
        agreed,
    });
    session::write_down(&settings.directories, settings.policy.audit(), &event, out)
}

/// The registry, made if there is none.
pub(super) fn registry(settings: &Settings) -> Result<Registry> {
    Ok(Registry::open(&settings.directories.plugins())?)
}

/// A record as data.
pub(super) fn json(record: &Record) -> Value {
    json!({
        "name": record.name, "version": record.version, "kind": record.kind, "world": record.world,
        "sha256": record.sha256, "blake3": record.blake3, "bytes": record.bytes,
        "source": record.source, "resolved": record.resolved,
        "tier": record.tier, "signer": record.signer,
        "imports": record.imports, "asks": record.asks, "programs": record.programs,
        "gives": record.gives, "policy_sha256": record.policy_sha256,
        "installed": record.installed, "updated": record.updated,
    })
}

/// One line about a record.
pub(super) fn summary(record: &Record) -> String {
    let Record {
        name,
        version,
        tier,
        source,
        ..
    } = record;
    format!("{name} {version} ({tier}) from `{source}`")
}
