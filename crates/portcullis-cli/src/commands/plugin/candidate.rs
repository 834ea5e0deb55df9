//! A plugin that was read and may be installed.

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
    /// Reads a plugin, and looks whether it is one that could be run.
    ///
    /// # Errors
    /// It cannot be read, is no plugin, or does not say what it asks for.
    pub(in crate::commands) async fn read(
        settings: &Settings,
        source: &str,
        digest: Option<&str>,
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
        Self::of(package, again, &settings.provenance())
    }

    fn of(package: Package, source: String, provenance: &Provenance) -> Result<Self> {
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
        let Some(file) = package.manifest() else {
            return Err(refuse(
                "it has no manifest: nobody could say what it asks for".to_owned(),
            ));
        };
        let text = String::from_utf8(file.bytes.clone())
            .map_err(|_| refuse(format!("its `{}` is no text", file.name)))?;
        let text = ManifestText {
            file: file.name.to_owned(),
            text,
        };
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
        match self.package.source() {
            Source::Registry(reference) => reference.digest.map(|digest| digest.to_string()),
            Source::Path(_) | Source::Url { .. } => None,
        }
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
fn options(settings: &Settings) -> Options {
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
