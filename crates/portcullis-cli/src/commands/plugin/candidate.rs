//! A plugin that was read and may be installed.

use std::path::Path;

use portcullis::{Inspection, Kind};
use portcullis_config::{Ask, AskKind, Manifest, SelectError, read_manifest};
use portcullis_fetch::{Evidence, FetchError, Limits, Options, Package, Source, evidence, read};
use portcullis_policy::{Digest, Grants, PluginId, Provenance, Tier};
use portcullis_registry::ManifestText;

use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Report, Result, Say, chain, diagnostic};
use crate::settings::Settings;

/// A plugin with everything that is known of it. Nothing of it has run.
#[derive(Debug)]
pub(in crate::commands) struct Candidate {
    pub(in crate::commands) package: Package,
    pub(in crate::commands) manifest: Manifest,
    pub(in crate::commands) text: ManifestText,
    pub(in crate::commands) found: Inspection,
    /// The source as it is read again later, wherever that is.
    pub(in crate::commands) source: String,
    pub(in crate::commands) evidence: Evidence,
}

impl Candidate {
    /// Reads a plugin, and looks whether it is one that could be run. A manifest that is `given` speaks for one that has none.
    ///
    /// # Errors
    /// It cannot be read, is no plugin, or does not say what it asks for.
    pub(in crate::commands) async fn read(
        settings: &Settings,
        source: &str,
        digest: Option<&str>,
        given: Option<ManifestText>,
    ) -> Result<Self> {
        let mut source = Source::parse(source)?;
        if let Some(digest) = digest {
            let wrong = || {
                Failure::usage(diagnostic(
                    code::ARGUMENT,
                    "a SHA-256 is 64 hexadecimal digits",
                ))
            };
            source = source.with_digest(Digest::parse(digest).ok_or_else(wrong)?)?;
        }
        if let Source::Path(path) = &mut source {
            *path = crate::settings::real(&settings.env.cwd.join(&*path));
        }
        let again = source.to_string();
        let options = options(settings);
        let reading =
            tokio::task::spawn_blocking(move || read(&source, &Limits::default(), &options));
        let package = reading
            .await
            .map_err(|error| Failure::unavailable(chain(code::HOST, &error)))??;
        Self::of(package, again, given, settings.provenance())
    }

    fn of(
        mut package: Package,
        source: String,
        given: Option<ManifestText>,
        provenance: &Provenance,
    ) -> Result<Self> {
        let refuse = |why: String| {
            Failure::usage(
                diagnostic(
                    code::NOT_INSTALLED,
                    format!("`{source}` cannot be installed"),
                )
                .note(why),
            )
        };
        let nobody = PluginId::new("plugin").map_err(SelectError::from)?;
        let found = portcullis::inspect(package.component(), &Grants::none(nobody));
        let Inspection {
            kind,
            malformed,
            lacks,
            ..
        } = &found;
        if !kind.is_plugin() {
            return Err(refuse(format!(
                "it is {}; {}",
                kind.describe(),
                kind.remedy()
            )));
        }
        if let Some(why) = malformed {
            return Err(refuse(format!("it is malformed: {why}")));
        }
        if let Some(export) = lacks.first() {
            return Err(refuse(format!("it exports no `{export}`")));
        }
        let text = match package.manifest() {
            Some(_) => manifest_of(&package)?,
            None => given.ok_or_else(|| {
                let why = "it has no manifest: nobody could say what it asks for; name one with `--manifest`";
                refuse(why.to_owned())
            })?,
        };
        if package.manifest().is_none() {
            package = package.with_manifest(&text.file, text.text.clone().into_bytes());
        }
        let manifest = read_manifest(&text.file, "/".as_ref(), &text.text)?;
        if (*kind == Kind::ClawftComponent) != manifest.clawft.is_some() {
            return Err(refuse(format!(
                "`{}` is about another kind of plugin",
                text.file
            )));
        }
        let evidence = evidence(
            &package,
            manifest.id.as_str(),
            &manifest.version,
            provenance,
        )?;
        let candidate = Self {
            package,
            manifest,
            text,
            found,
            source,
            evidence,
        };
        candidate.is_vouched_for()?;
        Ok(candidate)
    }

    /// clawft takes from a registry only what is signed (T37); what lies on this machine is its owner's to choose (T38).
    fn is_vouched_for(&self) -> Result<()> {
        if self.manifest.clawft.is_none() || self.evidence.tier != Tier::Unverified {
            return Ok(());
        }
        let message = format!("plugin `{}` of clawft is not signed", self.manifest.id);
        Err(Failure {
            exit: Exit::NEGATIVE,
            ..Failure::usage(
                diagnostic(code::NOT_INSTALLED, message)
                    .note("what comes from elsewhere has to be signed by a key that the policy has for its name"),
            )
        })
    }

    /// What its source stood for, where it can stand for something else later.
    pub(in crate::commands) fn resolved(&self) -> Option<String> {
        let published = self.package.published();
        published.map(|digest| digest.to_string())
    }

    pub(in crate::commands) fn sha256(&self) -> String {
        self.package.digest().hex()
    }

    /// What it imports, without versions: those come with the tools it was built with.
    pub(in crate::commands) fn imports(&self) -> impl Iterator<Item = String> {
        let names = self.found.imports.iter();
        names.map(|import| import.name.split('@').next().unwrap_or_default().to_owned())
    }

    /// The programs that it names.
    pub(in crate::commands) fn programs(&self) -> impl Iterator<Item = String> {
        self.manifest.asks.iter().filter_map(|ask| match &ask.kind {
            AskKind::Exec { program, .. } => {
                let program = program.as_ref().map(ToString::to_string);
                Some(program.unwrap_or_else(|| "any program".to_owned()))
            }
            _ => None,
        })
    }

    /// The names of its commands.
    pub(in crate::commands) fn commands(&self) -> impl Iterator<Item = String> {
        let commands = self.manifest.commands.iter();
        commands.map(|command| command.name.clone())
    }

    /// What it imports and needs a right for that it does not ask for.
    pub(in crate::commands) fn unasked(&self) -> Vec<String> {
        let asks = |capability| {
            let mut asks = self.manifest.asks.iter();
            asks.any(|ask: &Ask| ask.kind.capability() == capability)
        };
        let imports = self.found.imports.iter();
        let unasked = imports.filter_map(|import| {
            let needs = import.needs.filter(|needs| !asks(*needs))?;
            Some(format!(
                "imports `{}`, which needs `{needs}`, and does not ask for that",
                import.name
            ))
        });
        unasked.collect()
    }
}

/// The way to the network that the policy names, and where docker keeps credentials.
pub(in crate::commands) fn options(settings: &Settings) -> Options {
    let network = settings.policy.network();
    let docker = match settings.env.path("DOCKER_CONFIG") {
        Some(dir) => Some(dir.to_owned()),
        None => settings
            .directories
            .home
            .as_ref()
            .map(|home| home.join(".docker")),
    };
    Options {
        ca_file: network.ca_file.clone(),
        proxy: network.upstream_proxy.as_ref().map(ToString::to_string),
        docker_config: docker.map(|dir| dir.join("config.json")),
        ..Options::default()
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self {
            exit: Exit::USAGE,
            reports: vec![Report::Plain(chain(error.code().as_str(), &error))],
        }
    }
}

/// The manifest of a package.
///
/// # Errors
/// It has none, or one that is no text.
pub(in crate::commands) fn manifest_of(package: &Package) -> Result<ManifestText> {
    let refuse = |why: &str| {
        let message = format!("`{}` says nothing of itself", package.source());
        Failure::usage(diagnostic(code::NOT_INSTALLED, message).note(why))
    };
    let file = package
        .manifest()
        .ok_or_else(|| refuse("it has no manifest"))?;
    let text = String::from_utf8(file.bytes.clone());
    Ok(ManifestText {
        file: file.name.to_owned(),
        text: text.map_err(|_| refuse("its manifest is no text"))?,
    })
}

/// A manifest that the operator names, which speaks for a plugin that has none.
///
/// # Errors
/// It cannot be read.
pub(in crate::commands) fn given(settings: &Settings, file: &Path) -> Result<ManifestText> {
    let path = settings.env.cwd.join(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::unusable("read the manifest", file, &error))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(ManifestText {
        file: name.into_owned(),
        text,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use portcullis_fetch::{SigningKey, Subject, detached};
    use portcullis_policy::Signer;

    use super::*;

    /// A plugin of clawft behind a URL on loopback, and this in the file with its signatures, if there is one.
    fn from_elsewhere(signatures: Option<String>) -> (Package, String) {
        let component = std::fs::read(portcullis_testkit::guest("clawft")).unwrap();
        let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&component));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "http://{}/tool.wasm#sha256={digest}",
            listener.local_addr().unwrap()
        );
        let serving = std::thread::spawn(move || {
            for body in [Some(component), signatures.map(String::into_bytes)] {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                let status = if body.is_some() {
                    "200 OK"
                } else {
                    "404 Not Found"
                };
                let body = body.unwrap_or_default();
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
            }
        });
        let options = Options {
            plain_http: true,
            ..Options::default()
        };
        let source = Source::parse(&url).unwrap();
        let package = read(&source, &Limits::default(), &options).unwrap();
        serving.join().unwrap();
        (package, url)
    }

    fn manifest() -> ManifestText {
        ManifestText {
            file: portcullis_config::CLAWFT_MANIFEST_FILE.to_owned(),
            text: r#"{ "id": "tool", "name": "T", "version": "1.0.0", "capabilities": ["tool"], "wasm_module": "t.wasm" }"#
                .to_owned(),
        }
    }

    #[test]
    fn t37_a_plugin_of_clawft_from_elsewhere_has_to_be_signed() {
        let (package, url) = from_elsewhere(None);
        let content = package.digest();
        let of = |provenance: &Provenance| {
            Candidate::of(package.clone(), url.clone(), Some(manifest()), provenance)
        };
        let refused = of(&Provenance::default()).unwrap_err();
        let [Report::Plain(report)] = &refused.reports[..] else {
            panic!("{refused:?}")
        };
        assert!(report.message.contains("is not signed"), "{report:?}");
        // Or known to the operator by its content.
        let pinned = Provenance {
            pinned: vec![content],
            ..Provenance::default()
        };
        assert_eq!(of(&pinned).unwrap().evidence.tier, Tier::Pinned);
        let revoked = Provenance {
            revoked: vec![content],
            ..pinned
        };
        assert!(of(&revoked).is_err());
    }

    #[test]
    fn a_manifest_that_is_named_has_to_be_the_one_that_was_signed() {
        let pem = include_str!("../../../../portcullis-fetch/tests/all/keys/ed25519.pem");
        let key = SigningKey::from_pem(pem).unwrap();
        let (plain, _) = from_elsewhere(None);
        let plain = plain.with_manifest(&manifest().file, manifest().text.into_bytes());
        let signature = key.sign(&Subject::of(&plain, "tool", "1.0.0"), "tool");
        let (package, url) = from_elsewhere(Some(detached(&signature)));
        let provenance = Provenance {
            signers: vec![Signer {
                name: "tool".to_owned(),
                key: key.public().unwrap(),
            }],
            ..Provenance::default()
        };
        let of = |text: ManifestText| {
            Candidate::of(package.clone(), url.clone(), Some(text), &provenance)
        };
        assert_eq!(of(manifest()).unwrap().evidence.tier, Tier::Signed);
        let mut other = manifest();
        other.text = other.text.replace("\"tool\"]", "\"tool\"] ");
        assert_ne!(other, manifest());
        let refused = of(other).unwrap_err();
        let Report::Plain(report) = &refused.reports[0] else {
            panic!("a report")
        };
        assert_eq!(report.code, "P0861", "{report:?}");
    }

    #[test]
    fn what_has_no_manifest_is_spoken_for_by_none_but_a_named_one() {
        let (package, url) = from_elsewhere(None);
        let refused = Candidate::of(package, url, None, &Provenance::default());
        let Report::Plain(report) = &refused.unwrap_err().reports[0] else {
            panic!("a report")
        };
        assert!(report.notes[0].contains("it has no manifest"), "{report:?}");
    }
}
