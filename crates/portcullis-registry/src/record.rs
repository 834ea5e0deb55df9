use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::RegistryError;

/// All that is known of an installed plugin, as somebody agreed to it.
///
/// # Shapes and units
/// Digests are 64 hexadecimal digits; times are RFC 3339 in UTC. Texts of the plugin are not filtered for terminals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name it goes by.
    pub name: String,
    /// Made at random when it was installed; an update keeps it. Its state belongs to this.
    pub record: String,
    /// Its version, as its manifest has it.
    pub version: String,
    /// What kind of file it is, such as `component`.
    pub kind: String,
    /// The world that it is built for, as its manifest has it.
    pub world: String,
    /// The SHA-256 of the component.
    pub sha256: String,
    /// The BLAKE3 of the component: the one in the audit trail.
    pub blake3: String,
    /// The size of the component, in bytes.
    pub bytes: u64,
    /// Its manifest.
    pub manifest: ManifestText,
    /// Where it came from, as `update` reads it again.
    pub source: String,
    /// What the source stood for at that time, where it can stand for something else later: a digest.
    pub resolved: Option<String>,
    /// The document of the registry that this is the digest of: it says which component and manifest are meant.
    #[serde(default)]
    pub listing: Option<String>,
    /// How its origin is vouched for, such as `signed`.
    pub tier: String,
    /// The key that signed it, if a pinned one did.
    pub signer: Option<String>,
    /// The signature of that key, as a line of a `.sig` file.
    pub signature: Option<String>,
    /// What it imports.
    pub imports: BTreeSet<String>,
    /// What its manifest asks for, in words.
    pub asks: BTreeSet<String>,
    /// The programs that its manifest names.
    pub programs: BTreeSet<String>,
    /// The names of its commands, by which it is called besides its own.
    #[serde(default)]
    pub commands: BTreeSet<String>,
    /// What was granted to this content: the text of a policy with one entry.
    pub grants: String,
    /// What it was given in all when it was agreed to, in words.
    pub gives: BTreeSet<String>,
    /// The SHA-256 of the same.
    pub policy_sha256: String,
    /// When it was installed.
    pub installed: String,
    /// When it was last updated.
    pub updated: Option<String>,
}

/// The manifest of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestText {
    /// What its file is called, which says in what form it is.
    pub file: String,
    /// All of it.
    pub text: String,
}

/// The form of a row. Another one is that of another release.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Writing<'a> {
    schema_version: u32,
    #[serde(flatten)]
    record: &'a Record,
}

#[derive(Deserialize)]
struct Reading {
    schema_version: u32,
    #[serde(flatten)]
    record: Record,
}

impl Record {
    /// A name for a new row's state.
    ///
    /// # Errors
    /// The system has no random bytes.
    pub fn draw() -> Result<String, RegistryError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| RegistryError::Random(error.to_string()))?;
        Ok(hex::encode(random))
    }

    /// Everything it is called by.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.name)
            .chain(&self.commands)
            .map(String::as_str)
    }

    /// Whether it is called by this, in whatever case.
    pub fn goes_by(&self, name: &str) -> bool {
        self.names().any(|own| own.eq_ignore_ascii_case(name))
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, RegistryError> {
        let row = Writing {
            schema_version: SCHEMA_VERSION,
            record: self,
        };
        serde_json::to_vec(&row).map_err(|error| self.damaged(&error.to_string()))
    }

    pub(crate) fn of_bytes(name: &str, bytes: &[u8]) -> Result<Self, RegistryError> {
        let damaged = |why: String| RegistryError::Damaged {
            name: name.to_owned(),
            why,
        };
        let row: Reading =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if row.schema_version != SCHEMA_VERSION {
            return Err(damaged("another release wrote it".to_owned()));
        }
        if row.record.name != name {
            return Err(damaged(format!("it calls itself `{}`", row.record.name)));
        }
        if !is_digest(&row.record.sha256) {
            return Err(damaged("its SHA-256 is none".to_owned()));
        }
        Ok(row.record)
    }

    fn damaged(&self, why: &str) -> RegistryError {
        RegistryError::Damaged {
            name: self.name.clone(),
            why: why.to_owned(),
        }
    }
}

/// Whether a text is a SHA-256 as this crate writes it: it becomes the name of a directory.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
