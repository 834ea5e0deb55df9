//! `portcullis push`: publishes a plugin in a registry. Nothing of it runs.

use portcullis_config::{FlagSet, read_manifest};
use portcullis_fetch::{Artifact, Limits, Source};
use serde_json::json;

use super::plugin;
use crate::args::PushArgs;
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn push(args: &PushArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load_apart(&args.common, FlagSet::default(), env)?;
    let Source::Registry(to) = Source::parse(&args.to)? else {
        let message = format!("`{}` is no place in a registry", args.to);
        let report = diagnostic(code::ARGUMENT, message);
        return Err(Failure::usage(
            report.help("portcullis push oci://host/repository:tag <plugin>"),
        ));
    };
    let from = settings.env.cwd.join(&args.plugin);
    let limits = Limits::default();
    let options = plugin::options(&settings);
    let package = portcullis_fetch::read(&Source::Path(from), &limits, &options)?;
    let file = plugin::manifest_of(&package)?;
    let manifest = read_manifest(&file.file, "/".as_ref(), &file.text)?;
    let what = Artifact::of(&package, &manifest.version);
    let digest = portcullis_fetch::push(&to, &what, &limits, &options)?;
    if package.published() == Some(digest) {
        // What was signed of a packed file is what is there now.
        for signature in package.signatures() {
            portcullis_fetch::push_signature(&to, digest, signature, &limits, &options)?;
        }
    }
    if args.common.output.json {
        out.json(json!({
            "name": manifest.id.as_str(), "version": manifest.version,
            "sha256": package.digest().hex(), "resolved": digest.to_string(), "to": args.to,
        }))?;
    } else {
        let (name, version) = (&manifest.id, &manifest.version);
        out.line(&line(&format!(
            "pushed {name} {version} to `{}`, which stands for {digest}",
            args.to
        )))?;
    }
    Ok(Exit::OK)
}
