//! Whose signatures count, what is pinned, and what is refused.

use portcullis_config::Layer;
use portcullis_policy::{Digest, PublicKey};

use crate::support::Project;

const P256: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMNTILYDt85GZtCbvVw+e+RgyLCXS2CbGdGGjd5+DGjGLHtcxMxTvvP9v/QxjN2VkE4pq3mGCwTqoIHSx9cGrWA==";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA7E/ez69YJVdiH2lycm0zagpYEWx9jzEd6KlYv2iDfRQ=
-----END PUBLIC KEY-----";

fn digest(byte: u8) -> Digest {
    Digest::from([byte; 32])
}

fn text() -> String {
    format!(
        "pinned = ['{}']\nrevoked = ['{}']\n[[signer]]\nname = 'notes'\nkey = '{P256}'\n[[signer]]\nname = 'acme.*'\nkey = '''\n{ED25519}'''\n",
        digest(1),
        digest(2).hex(),
    )
}

#[test]
fn a_trusted_file_names_signers_pins_and_what_is_revoked() {
    let project = Project::new();
    let policy = project.load(&[project.trusted(&text())]).unwrap();
    let provenance = policy.provenance();
    assert_eq!(provenance.pinned, [digest(1)]);
    assert_eq!(provenance.revoked, [digest(2)]);
    let [notes, acme] = provenance.signers.as_slice() else {
        panic!("{provenance:?}");
    };
    assert!(matches!(notes.key, PublicKey::P256(_)) && notes.is_for("notes"));
    assert!(matches!(acme.key, PublicKey::Ed25519(_)) && acme.is_for("acme.notes"));
    // Nothing of it is there unless it was written.
    let empty = project.load(&[project.trusted("")]).unwrap();
    assert_eq!(empty.provenance(), &Default::default());
}

#[test]
fn a_file_of_the_tree_adds_to_what_is_revoked_and_to_nothing_else() {
    let project = Project::new();
    let trusted = project.trusted(&text());
    let found = project.found(&format!("revoked = ['{}']", digest(3)));
    let policy = project.load(&[trusted.clone(), found]).unwrap();
    assert_eq!(policy.provenance().revoked, [digest(2), digest(3)]);
    assert_eq!(policy.provenance().pinned, [digest(1)]);
    for more in [
        format!("pinned = ['{}']", digest(3)),
        format!("[[signer]]\nname = '*'\nkey = '{P256}'"),
    ] {
        let errors = project
            .load(&[trusted.clone(), project.found(&more)])
            .unwrap_err();
        assert_eq!(errors.0[0].code.as_str(), "P0107", "{more}");
    }
}

#[test]
fn a_ceiling_revokes_for_everybody() {
    let project = Project::new();
    let ceiling = Layer::Ceiling {
        path: project.root().join("ceiling.toml"),
        text: format!("revoked = ['{}']", digest(4)),
    };
    let policy = project.load(&[project.trusted(&text()), ceiling]).unwrap();
    assert_eq!(policy.provenance().revoked, [digest(2), digest(4)]);
}
