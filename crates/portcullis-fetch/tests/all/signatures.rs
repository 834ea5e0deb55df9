//! Who signed a plugin, and what that is worth.

use std::fs;

use portcullis_fetch::{
    Evidence, FetchError, Limits, MANIFEST, Options, Package, SigningKey, Source, Subject,
    detached, evidence, fingerprint, may_replace, read,
};
use portcullis_policy::{Provenance, Signer, Tier};

use crate::server::{Reply, Server, quick};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

/// Made with `openssl genpkey`.
const ED25519: &str = include_str!("keys/ed25519.pem");
const P256: &str = include_str!("keys/p256.pem");
/// Made with `openssl` over `keys/cosign.json` and the public key of [`P256`].
const BY_OPENSSL: &[u8] = include_bytes!("keys/cosign.json.sig");

fn key(pem: &str) -> SigningKey {
    SigningKey::from_pem(pem).unwrap()
}

fn pins(name: &str, pem: &str) -> Provenance {
    Provenance {
        signers: vec![Signer {
            name: name.to_owned(),
            key: key(pem).public().unwrap(),
        }],
        ..Provenance::default()
    }
}

/// A plugin on disk, with a manifest, and with these signature lines beside it.
fn package(lines: &[String]) -> Package {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("p.wasm"), WASM).unwrap();
    fs::write(dir.path().join(MANIFEST), "component = 'p.wasm'").unwrap();
    if !lines.is_empty() {
        fs::write(dir.path().join("p.wasm.sig"), lines.join("\n")).unwrap();
    }
    read(
        &Source::Path(dir.path().to_owned()),
        &Limits::default(),
        &Options::default(),
    )
    .unwrap()
}

fn line(pem: &str, name: &str, version: &str) -> String {
    let plain = package(&[]);
    let subject = Subject::of_files(name, version, WASM, plain.manifest());
    detached(&key(pem).sign(&subject, "notes"))
}

fn judge(package: &Package, policy: &Provenance) -> Result<Evidence, FetchError> {
    evidence(package, "notes", "1.2.0", policy)
}

fn refused(package: &Package, policy: &Provenance, code: &str, why: &str) {
    let error = judge(package, policy).unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_signature_of_a_pinned_key_makes_it_signed() {
    for pem in [ED25519, P256] {
        let policy = pins("notes", pem);
        let signed = package(&[line(pem, "notes", "1.2.0")]);
        let found = judge(&signed, &policy).unwrap();
        assert_eq!(found.tier, Tier::Signed);
        assert_eq!(found.signer, Some(fingerprint(&policy.signers[0].key)));
        // Nobody named that key.
        assert_eq!(
            judge(&signed, &Provenance::default()).unwrap().tier,
            Tier::Local
        );
        // A key for other plugins.
        assert_eq!(
            judge(&signed, &pins("other", pem)).unwrap().tier,
            Tier::Local
        );
    }
}

#[test]
fn a_signature_counts_for_one_name_one_version_and_one_content_only() {
    for pem in [ED25519, P256] {
        let policy = pins("*", pem);
        let of = |name, version| package(&[line(pem, name, version)]);
        refused(
            &of("other", "1.2.0"),
            &policy,
            "P0861",
            "it signs version 1.2.0 of `other`",
        );
        refused(
            &of("notes", "1.1.0"),
            &policy,
            "P0861",
            "it signs version 1.1.0 of `notes`",
        );
        let sign = |component: &[u8], manifest: Option<&_>| {
            let subject = Subject::of_files("notes", "1.2.0", component, manifest);
            package(&[detached(&key(pem).sign(&subject, ""))])
        };
        let plain = package(&[]);
        refused(
            &sign(b"other", plain.manifest()),
            &policy,
            "P0861",
            "another content",
        );
        refused(
            &sign(WASM, None),
            &policy,
            "P0861",
            "does not sign this manifest",
        );
        // One that fits, among others.
        let both = [line(pem, "other", "1.2.0"), line(pem, "notes", "1.2.0")];
        assert_eq!(judge(&package(&both), &policy).unwrap().tier, Tier::Signed);
    }
}

#[test]
fn a_changed_payload_or_signature_is_nobodys() {
    for pem in [ED25519, P256] {
        let plain = package(&[]);
        let subject = Subject::of_files("notes", "1.2.0", WASM, plain.manifest());
        let signature = key(pem).sign(&subject, "");
        for at in [0, signature.payload.len() / 2, signature.payload.len() - 1] {
            let mut changed = signature.clone();
            changed.payload[at] ^= 1;
            refused(
                &package(&[detached(&changed)]),
                &pins("notes", pem),
                "P0861",
                "no signature of that key",
            );
        }
        for at in 0..signature.signature.len() {
            let mut changed = signature.clone();
            changed.signature[at] ^= 1;
            refused(
                &package(&[detached(&changed)]),
                &pins("notes", pem),
                "P0861",
                "no signature of that key",
            );
        }
    }
    // Rightly signed, by the wrong key.
    let other = package(&[line(P256, "notes", "1.2.0")]);
    refused(
        &other,
        &pins("notes", ED25519),
        "P0861",
        "no signature of that key",
    );
}

#[test]
fn what_another_tool_signed_without_name_and_version_is_not_signed() {
    let payload = include_bytes!("keys/cosign.json").to_vec();
    let signature = portcullis_fetch::Signature {
        payload,
        signature: BY_OPENSSL.to_vec(),
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.wasm");
    fs::write(&file, WASM).unwrap();
    fs::write(dir.path().join("p.wasm.sig"), detached(&signature)).unwrap();
    let package = read(&Source::Path(file), &Limits::default(), &Options::default()).unwrap();
    // It is found to be by that key, and to say too little.
    refused(
        &package,
        &pins("notes", P256),
        "P0861",
        "neither name nor version",
    );
}

#[test]
fn a_tier_is_decided_by_evidence_and_not_by_the_address() {
    let policy = Provenance::default();
    let local = package(&[]);
    assert_eq!(judge(&local, &policy).unwrap().tier, Tier::Local);
    let server = Server::plain(|asked| match asked.path.as_str() {
        "/signed/pinned/local.wasm" => Reply::ok(WASM),
        _ => Reply::status(404),
    });
    let url = format!(
        "{}#sha256={}",
        server.url("/signed/pinned/local.wasm"),
        local.digest().hex()
    );
    let remote = read(&Source::parse(&url).unwrap(), &quick(), &server.options()).unwrap();
    assert_eq!(judge(&remote, &policy).unwrap().tier, Tier::Unverified);
    let pinned = Provenance {
        pinned: vec![local.digest()],
        ..Provenance::default()
    };
    assert_eq!(judge(&remote, &pinned).unwrap().tier, Tier::Pinned);
    // A plugin that has to be signed does not come from afar without.
    refused(
        &remote,
        &pins("notes", ED25519),
        "P0861",
        "no signature of that key",
    );
    let pinned = Provenance {
        pinned: vec![local.digest()],
        ..pins("notes", ED25519)
    };
    assert_eq!(judge(&remote, &pinned).unwrap().tier, Tier::Pinned);
    assert_eq!(
        judge(&local, &pins("notes", ED25519)).unwrap().tier,
        Tier::Local
    );
}

#[test]
fn a_signature_beside_a_url_counts() {
    let manifestless = Subject::of_files("notes", "1.2.0", WASM, None);
    let line = detached(&key(ED25519).sign(&manifestless, ""));
    let server = Server::plain(move |asked| match asked.path.as_str() {
        "/notes.wasm" => Reply::ok(WASM),
        "/notes.wasm.sig" => Reply::ok(line.clone()),
        _ => Reply::status(404),
    });
    let url = format!(
        "{}#sha256={}",
        server.url("/notes.wasm"),
        package(&[]).digest().hex()
    );
    let remote = read(&Source::parse(&url).unwrap(), &quick(), &server.options()).unwrap();
    assert_eq!(
        judge(&remote, &pins("notes", ED25519)).unwrap().tier,
        Tier::Signed
    );
}

#[test]
fn what_is_revoked_is_refused_whoever_signed_or_pinned_it() {
    let signed = package(&[line(ED25519, "notes", "1.2.0")]);
    let policy = Provenance {
        pinned: vec![signed.digest()],
        ..pins("notes", ED25519)
    };
    assert!(judge(&signed, &policy).is_ok());
    let content = Provenance {
        revoked: vec![signed.digest()],
        ..policy
    };
    refused(&signed, &content, "P0862", "its content is revoked");
    let known = pins("notes", ED25519);
    let revoked = vec![fingerprint(&known.signers[0].key)];
    refused(
        &signed,
        &Provenance {
            revoked: revoked.clone(),
            ..known.clone()
        },
        "P0862",
        "the key that signed it is revoked",
    );
    // Another key signed it too.
    let both = package(&[
        line(ED25519, "notes", "1.2.0"),
        line(P256, "notes", "1.2.0"),
    ]);
    let mut policy = Provenance { revoked, ..known };
    policy.signers.extend(pins("notes", P256).signers);
    let found = judge(&both, &policy).unwrap();
    assert_eq!(found.signer, Some(fingerprint(&policy.signers[1].key)));
}

#[test]
fn a_lower_version_does_not_replace_a_higher_one() {
    for (old, new) in [
        ("1.2.0", "1.2.0"),
        ("1.2.0", "1.10.0"),
        ("1.2.0-rc.1", "1.2.0"),
        ("x", "x"),
    ] {
        assert!(may_replace("notes", old, new).is_ok(), "{old} {new}");
    }
    for (old, new) in [
        ("1.10.0", "1.2.0"),
        ("1.2.0", "1.2.0-rc.1"),
        ("1.2.0", "next"),
        ("x", "y"),
    ] {
        let error = may_replace("notes", old, new).unwrap_err();
        assert_eq!(error.code().as_str(), "P0863", "{old} {new}");
    }
}

#[test]
fn a_key_is_read_or_it_is_none() {
    for text in [
        "",
        "-----BEGIN PRIVATE KEY-----",
        include_str!("keys/p256.pub"),
    ] {
        assert_eq!(
            SigningKey::from_pem(text).unwrap_err().code().as_str(),
            "P0864"
        );
    }
}
