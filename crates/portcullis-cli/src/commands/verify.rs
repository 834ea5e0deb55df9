//! `portcullis verify`: whether installed plugins are what was installed.

use portcullis_config::FlagSet;
use portcullis_fetch::{Listed, Subject, fingerprint, from_detached, listed};
use portcullis_policy::{Digest, Provenance, Tier};
use portcullis_registry::{Record, Registry};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::plugin;
use crate::args::SomeArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Report, Result, Say, diagnostic};
use crate::render::{Level, Printer, line};
use crate::settings::{Environment, Settings, revoked};

pub(super) fn verify(args: &SomeArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let records = plugin::chosen(&settings, args.name.as_deref())?;
    let Some(registry) = Registry::existing(&settings.directories.plugins())? else {
        out.line("no plugin is installed")?;
        return Ok(Exit::OK);
    };
    registry.verify_rows()?;
    let provenance = settings.provenance();
    let mut plugins = Vec::new();
    let mut exit = Exit::OK;
    for record in records {
        let intact = registry.verify(record).map_err(|error| error.to_string());
        let linked = intact.and_then(|()| is_of_its_registry(record));
        let wrong = linked.and_then(|()| still_counts(record, provenance)).err();
        if let Some(why) = &wrong {
            exit = Exit::NEGATIVE;
            let message = format!("plugin `{}` is not as it was installed", record.name);
            let report = diagnostic(code::NOT_VERIFIED, message).note(why);
            out.report(Level::Error, &Report::Plain(report));
        } else if !args.common.output.json {
            out.line(&line(&format!("intact: {}", plugin::summary(record))))?;
        }
        plugins.push(json!({
            "plugin": plugin::json(record), "intact": wrong.is_none(), "wrong": wrong,
        }));
    }
    if args.common.output.json {
        out.json(json!({ "plugins": plugins, "intact": exit == Exit::OK }))?;
    }
    Ok(exit)
}

/// Whether what is kept is what the digest of the registry stands for, where it came from one: that digest is what was signed,
/// pinned and shown.
///
/// # Errors
/// Why not, as a clause.
fn is_of_its_registry(record: &Record) -> Result<(), String> {
    let Some(resolved) = &record.resolved else {
        return Ok(());
    };
    let wrong = |why: &str| format!("it is not what `{resolved}` stands for: {why}");
    let listing = record.listing.as_deref();
    let Listed {
        digest,
        component,
        manifest,
    } = listing
        .ok_or_else(|| wrong("what the registry said of it is not there"))
        .and_then(|listing| listed(listing).map_err(|why| wrong(&why)))?;
    if Digest::parse(resolved) != Some(digest) {
        return Err(wrong("the registry said something else of it"));
    }
    if Digest::parse(&record.sha256) != Some(component) {
        return Err(wrong("its component is another"));
    }
    let kept = Digest::from(<[u8; 32]>::from(Sha256::digest(&record.manifest.text)));
    // Without one in the registry, it is one that was named by hand.
    match manifest {
        Some(manifest) if manifest != kept => Err(wrong("its manifest is another")),
        Some(_) | None => Ok(()),
    }
}

/// Whether what vouched for a plugin when it was installed still does.
///
/// # Errors
/// Why not, as a clause.
fn still_counts(record: &Record, provenance: &Provenance) -> Result<(), String> {
    if let Some((what, digest)) = revoked(record, provenance) {
        return Err(format!("{what} is revoked ({digest})"));
    }
    if record.tier == Tier::Pinned.name() {
        let contents = [Some(&record.sha256), record.resolved.as_ref()];
        let mut contents = contents.into_iter().flatten();
        let is_pinned = contents.any(|text| {
            Digest::parse(text).is_some_and(|digest| provenance.pinned.contains(&digest))
        });
        return is_pinned
            .then_some(())
            .ok_or_else(|| "the policy pins its content no more".to_owned());
    }
    match &record.signer {
        Some(signer) => is_signed(record, signer, provenance),
        None => Ok(()),
    }
}

/// Whether the signature that was kept is one over what is kept, by a key that the policy has for this name.
fn is_signed(record: &Record, signer: &str, provenance: &Provenance) -> Result<(), String> {
    let mut signers = provenance.signers.iter();
    let known =
        signers.find(|known| known.is_for(&record.name) && fingerprint(&known.key).hex() == signer);
    let Some(known) = known else {
        return Err(format!(
            "the policy has the key that signed it, `{signer}`, no more"
        ));
    };
    let wrong = |why: &str| format!("its signature by the key `{signer}` is wrong: {why}");
    let signature = record.signature.as_deref().and_then(from_detached);
    let signature = signature.ok_or_else(|| wrong("it is not there"))?;
    let content = record.resolved.as_ref().unwrap_or(&record.sha256);
    let digest = Digest::parse(content).ok_or_else(|| wrong("its content has no digest"))?;
    let manifest: [u8; 32] = Sha256::digest(&record.manifest.text).into();
    let subject = Subject {
        name: &record.name,
        version: &record.version,
        digest,
        // In a registry the digest is of the manifest as well.
        manifest: record.resolved.is_none().then(|| manifest.into()),
    };
    let signed = subject.is_signed(&known.key, &signature);
    signed.map_err(|why| wrong(&why))
}
