//! What a plugin of clawft or of Reglet says of itself. That is the one thing of `inspect` that runs code of it: with nothing granted, for a
//! second, and nothing that it says is believed.

use std::time::Duration;

use portcullis::{Description, Kind, Source};
use portcullis_config::RegletManifest;
use portcullis_policy::{Grants, Limits, escape_within};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::session;
use crate::settings::Settings;
use crate::target::Target;

/// How long it may take to make itself ready, and to describe itself.
const TIME: Duration = Duration::from_secs(1);

/// What it said.
pub(super) enum Described {
    Clawft(Description),
    Reglet(RegletManifest),
}

/// Asks a plugin. The inner error is why there is no description, as a clause.
///
/// # Errors
/// It cannot be loaded.
pub(super) async fn describe(
    settings: &Settings,
    target: &Target,
) -> Result<std::result::Result<Described, String>> {
    let kind = Kind::of(&target.bytes);
    if !matches!(kind, Kind::ClawftComponent | Kind::RegletModule) {
        return Ok(Err("only plugins of clawft and of Reglet do".to_owned()));
    }
    let limits = target.grants().limits;
    let grants = Grants {
        // A plugin of Reglet imports what it is not granted now.
        late: kind == Kind::RegletModule,
        limits: Limits {
            call: TIME.min(limits.call),
            ..limits
        },
        ..Grants::none(target.entry.id.clone())
    };
    let host = session::builder(settings)
        .code_cache(session::open_cache(&settings.directories)?)
        .build()?;
    let bytes = target.bytes.clone();
    let loaded = host.load(Source { bytes, grants }).await;
    let plugin = loaded.map_err(Failure::from)?;
    let session = plugin.session("describe");
    if kind == Kind::RegletModule {
        return Ok(match session.describe_reglet().await {
            Ok(Ok(json)) => RegletManifest::parse(&json).map(Described::Reglet),
            Ok(Err(observation)) => Err(observation.error.unwrap_or_default().message),
            Err(error) => Err(error.to_string()),
        });
    }
    Ok(match session.describe().await {
        Ok(text) => Description::parse(&text).map(Described::Clawft),
        Err(error) => Err(error.to_string()),
    })
}

impl Described {
    /// A line each.
    pub(super) fn words(&self) -> Vec<String> {
        match self {
            Self::Clawft(described) => words(described),
            Self::Reglet(manifest) => asks(manifest),
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Clawft(described) => json!(described),
            Self::Reglet(manifest) => {
                let asks = manifest.asks.iter().map(|ask| match &ask.granted_by {
                    Ok(lines) => json!({ "asks": ask.asked, "granted_by": lines }),
                    Err(why) => json!({ "asks": ask.asked, "no_grant": why }),
                });
                json!({
                    "name": manifest.name, "version": manifest.version,
                    "description": manifest.description, "asks": asks.collect::<Vec<_>>(),
                })
            }
        }
    }
}

/// Bytes of a text of a plugin that are shown.
const MAX_TEXT: usize = 400;

fn asks(manifest: &RegletManifest) -> Vec<String> {
    let shown = |text: &str| escape_within(text, MAX_TEXT, "…");
    let mut lines = vec![format!(
        "describes itself as `{}` {}: {}",
        shown(&manifest.name),
        shown(&manifest.version),
        shown(&manifest.description)
    )];
    for ask in &manifest.asks {
        let granted = match &ask.granted_by {
            Ok(lines) => format!("granted by {}", lines.join(" and ")),
            Err(why) => format!("no grant is that: {why}"),
        };
        lines.push(format!(
            "asks for `{}`: {}",
            shown(&ask.asked),
            shown(&granted)
        ));
    }
    lines
}

fn words(described: &Description) -> Vec<String> {
    let mut lines = vec![format!(
        "describes itself as `{}` {}",
        described.name, described.version
    )];
    for tool in &described.tools {
        let what = tool.description.iter();
        let what: String = what.map(|text| format!(": {text}")).collect();
        lines.push(format!("tool `{}`{what}", tool.name));
        let schema = tool.parameters.iter();
        lines.extend(schema.map(|schema| format!("  parameters {schema}")));
    }
    lines
}
