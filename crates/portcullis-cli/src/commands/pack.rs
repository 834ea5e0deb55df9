//! `portcullis pack`: what `push` would publish of a plugin, in one file. Nothing of it runs.

use std::io::Write as _;
use std::path::Path;

use portcullis_config::{FlagSet, read_manifest};
use portcullis_fetch::{Artifact, Limits, Source};
use serde_json::json;

use super::plugin;
use crate::args::PackArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::render::{Printer, line};
use crate::settings::{Environment, Settings};

pub(super) fn pack(args: &PackArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load_apart(&args.common, FlagSet::default(), env)?;
    let from = args.plugin.as_deref().unwrap_or(Path::new("."));
    let source = Source::Path(settings.env.cwd.join(from));
    let (limits, options) = (Limits::default(), plugin::options(&settings));
    let package = portcullis_fetch::read(&source, &limits, &options)?;
    let file = plugin::manifest_of(&package)?;
    let manifest = read_manifest(&file.file, "/".as_ref(), &file.text)?;
    let (name, version) = (&manifest.id, &manifest.version);
    let artifact = Artifact::of(&package, version);
    let bytes = artifact.packed(&limits)?;
    let to = match &args.output {
        Some(to) => to.clone(),
        // A version is any text; it leads nowhere.
        None => format!("{name}-{}.tar", version.replace('/', "-")).into(),
    };
    let path = settings.env.cwd.join(&to);
    put(&path, &bytes).map_err(|error| Failure::unusable("write the packed file", &to, &error))?;
    let digest = artifact.digest();
    if args.common.output.json {
        out.json(json!({
            "name": name.as_str(), "version": version, "sha256": package.digest().hex(),
            "resolved": digest.to_string(), "file": path, "bytes": bytes.len(),
        }))?;
    } else {
        out.line(&line(&format!(
            "packed {name} {version} as `{}`, in a registry {digest}",
            to.display()
        )))?;
    }
    Ok(Exit::OK)
}

/// Puts the file into its place at once, or not at all.
fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    let dir = path.parent().unwrap_or(path);
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(0o644))?;
    file.persist(path)?;
    Ok(())
}
