use portcullis_policy::{Digest, Provenance, Tier};

use crate::error::FetchError;
use crate::package::{Package, Signature};
use crate::signature::{Subject, fingerprint, is_by};
use crate::source::Source;

/// What is known about where a package comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// How much that is.
    pub tier: Tier,
    /// The fingerprint of the key that has signed it, if one that counts has.
    pub signer: Option<Digest>,
    /// The signature of that key.
    pub signature: Option<Signature>,
}

/// Judges a package that is about to be used under a name and as a version, both of which its manifest says.
///
/// A signature counts if it is by a key that the policy names for this name and says this name, this version and this
/// content. For a plugin that has such a key, the signature may be missing only where the policy pins its content, or for a
/// path without signatures.
///
/// # Errors
/// [`FetchError::Revoked`] when the content or the only key that signed it is revoked; [`FetchError::Unsigned`] when it
/// has to be signed and is not.
pub fn evidence(
    package: &Package,
    name: &str,
    version: &str,
    provenance: &Provenance,
) -> Result<Evidence, FetchError> {
    let contents = contents(package);
    let among = |digests: &[Digest]| {
        contents
            .iter()
            .find(|digest| digests.contains(digest))
            .copied()
    };
    if let Some(digest) = among(&provenance.revoked) {
        return Err(FetchError::Revoked {
            name: name.to_owned(),
            what: "its content",
            digest,
        });
    }
    let signed = signed(package, &Subject::of(package, name, version), provenance);
    if let Ok((signer, signature)) = signed {
        return Ok(Evidence {
            tier: Tier::Signed,
            signer: Some(signer),
            signature: Some(signature.clone()),
        });
    }
    let unsigned = |tier| {
        Ok(Evidence {
            tier,
            signer: None,
            signature: None,
        })
    };
    if among(&provenance.pinned).is_some() {
        return unsigned(Tier::Pinned);
    }
    let is_local = matches!(package.source(), Source::Path(_));
    match signed {
        Err(Some(error)) if !is_local || !package.signatures().is_empty() => Err(error),
        _ if is_local => unsigned(Tier::Local),
        _ => unsigned(Tier::Unverified),
    }
}

/// The digests by which a package is pinned or revoked.
fn contents(package: &Package) -> Vec<Digest> {
    let mut contents = vec![package.digest()];
    contents.extend(package.published());
    contents
}

/// The key that has signed the package, and its signature; else what is wrong with that, if it has to be signed.
fn signed<'a>(
    package: &'a Package,
    subject: &Subject<'_>,
    provenance: &Provenance,
) -> Result<(Digest, &'a Signature), Option<FetchError>> {
    let mut wrong = None;
    let signers = provenance
        .signers
        .iter()
        .filter(|signer| signer.is_for(subject.name));
    for signer in signers {
        let known = fingerprint(&signer.key);
        let unsigned = |why: String| FetchError::Unsigned {
            name: subject.name.to_owned(),
            key: known,
            why,
        };
        wrong.get_or_insert_with(|| {
            let none = "it has no signature of that key".to_owned();
            unsigned(match package.no_signatures() {
                Some(why) => format!("{none}; {why}"),
                None => none,
            })
        });
        for signature in package
            .signatures()
            .iter()
            .filter(|signature| is_by(&signer.key, signature))
        {
            match subject.differs(&signature.payload) {
                None if provenance.revoked.contains(&known) => {
                    wrong = Some(FetchError::Revoked {
                        name: subject.name.to_owned(),
                        what: "the key that signed it",
                        digest: known,
                    });
                }
                None => return Ok((known, signature)),
                Some(why) => wrong = Some(unsigned(why)),
            }
        }
    }
    Err(wrong)
}
