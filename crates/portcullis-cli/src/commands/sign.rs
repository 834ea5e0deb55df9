//! `portcullis sign`: signs the name, the version and the content of a plugin, in files or in a registry.

use std::fs;
use std::path::PathBuf;

use portcullis_config::{FlagSet, read_manifest};
use portcullis_fetch::{
    Limits, Options, Package, Signature, SigningKey, Source, Subject, detached, fingerprint,
    push_signature,
};
use serde_json::json;

use super::plugin;
use crate::args::SignArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn sign(args: &SignArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load_apart(&args.common, FlagSet::default(), env)?;
    let mut source = Source::parse(&args.plugin)?;
    if let Source::Url { .. } = source {
        return Err(not_there());
    }
    let pem = fs::read_to_string(settings.env.cwd.join(&args.key))
        .map_err(|error| Failure::unusable("read the key", &args.key, &error))?;
    let key = SigningKey::from_pem(&pem)?;
    if let Source::Path(path) = &mut source {
        *path = settings.env.cwd.join(&*path);
    }
    let options = plugin::options(&settings);
    let package = portcullis_fetch::read(&source, &Limits::default(), &options)?;
    let file = plugin::manifest_of(&package)?;
    let manifest = read_manifest(&file.file, "/".as_ref(), &file.text)?;
    let (name, version) = (manifest.id.as_str(), &manifest.version);
    let subject = Subject::of(&package, name, version);
    let reference = match package.source() {
        Source::Registry(reference) => format!("{}/{}", reference.host, reference.repository),
        Source::Path(_) | Source::Url { .. } => name.to_owned(),
    };
    let signature = key.sign(&subject, &reference);
    let place = keep(&package, &subject, &signature, &options)?;
    let by = key.public().as_ref().map(fingerprint);
    let by = by.map(|key| key.hex()).unwrap_or_default();
    if args.common.output.json {
        out.json(json!({
            "name": name, "version": version, "digest": subject.digest.to_string(),
            "signer": by, "signature": place,
        }))?;
    } else {
        out.line(&line(&format!(
            "signed {name} {version} by the key {by}: `{place}`"
        )))?;
    }
    Ok(Exit::OK)
}

/// Adds a signature to those that a plugin has. Answers where.
fn keep(
    package: &Package,
    subject: &Subject<'_>,
    signature: &Signature,
    options: &Options,
) -> Result<String> {
    match (package.source(), package.file()) {
        (Source::Registry(reference), _) => {
            push_signature(
                reference,
                subject.digest,
                signature,
                &Limits::default(),
                options,
            )?;
            Ok(format!("oci://{reference}"))
        }
        (_, Some(file)) => {
            let path = PathBuf::from(format!("{}.sig", file.display()));
            let known = package.signatures().iter();
            let all = known.filter(|known| *known != signature).chain([signature]);
            let lines: String = all.map(|known| detached(known) + "\n").collect();
            fs::write(&path, lines)
                .map_err(|error| Failure::unusable("write the signature", &path, &error))?;
            Ok(path.display().to_string())
        }
        (_, None) => Err(not_there()),
    }
}

/// Nobody can write beside what is behind a URL.
fn not_there() -> Failure {
    let message = "what is behind a URL cannot be signed there";
    let help = "sign the file that you publish, and publish its `.sig` beside it";
    Failure::usage(diagnostic(code::ARGUMENT, message).help(help))
}
