//! What a plugin of clawft says of itself. That is the one thing of `inspect` that runs code of it: with nothing granted, for a
//! second, and nothing that it says is believed.

use std::time::Duration;

use portcullis::{Description, Kind, Source};
use portcullis_policy::{Grants, Limits};

use crate::failure::{Failure, Result};
use crate::session;
use crate::settings::Settings;
use crate::target::Target;

/// How long it may take to make itself ready, and to describe itself.
const TIME: Duration = Duration::from_secs(1);

/// Asks a plugin. The inner error is why there is no description, as a clause.
///
/// # Errors
/// It cannot be loaded.
pub(super) async fn describe(
    settings: &Settings,
    target: &Target,
) -> Result<std::result::Result<Description, String>> {
    if Kind::of(&target.bytes) != Kind::ClawftComponent {
        return Ok(Err("only plugins of clawft do".to_owned()));
    }
    let limits = target.grants().limits;
    let grants = Grants {
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
    Ok(match plugin.session("describe").describe().await {
        Ok(text) => Description::parse(&text),
        Err(error) => Err(error.to_string()),
    })
}

/// A description, a line each.
pub(super) fn words(described: &Description) -> Vec<String> {
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
