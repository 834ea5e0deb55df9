//! Who vouches for a plugin: what is signed, pinned and revoked, from files and from a registry.

use std::fs;
use std::net::TcpListener;

use portcullis_fetch::{
    Limits, MANIFEST, ManifestFile, Options, SigningKey, Source, Subject, detached, fingerprint,
};
use portcullis_registry::{Record, Registry};
use serde_json::Value;

use crate::ceiling::below;
use crate::context::{Context, skip};
use crate::installing::{ECHO, RUNS_ECHO, context, install, installed, names, runs, write};

pub(crate) const ED25519: &str =
    include_str!("../../../portcullis-fetch/tests/all/keys/ed25519.pem");
const P256: &str = include_str!("../../../portcullis-fetch/tests/all/keys/p256.pem");
/// What `openssl pkey -pubout` makes of them.
pub(crate) const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA7E/ez69YJVdiH2lycm0zagpYEWx9jzEd6KlYv2iDfRQ=
-----END PUBLIC KEY-----
";
const P256_PUBLIC: &str = include_str!("../../../portcullis-fetch/tests/all/keys/p256.pub");

pub(crate) fn policy(context: &Context, top: &str, tables: &str) {
    let text = format!("confinement = \"limits\"\n{top}\n{tables}");
    fs::write(context.own_policy(), text).unwrap();
}

pub(crate) fn signer(name: &str, public: &str) -> String {
    format!("[[signer]]\nname = \"{name}\"\nkey = \"\"\"\n{public}\"\"\"\n")
}

fn key_of(pem: &str) -> String {
    let key = SigningKey::from_pem(pem).unwrap().public().unwrap();
    fingerprint(&key).hex()
}

pub(crate) fn sign(context: &Context, pem: &str, plugin: &str) {
    context.write("key.pem", pem);
    let (code, out, error) = context.ended(&["sign", "--key", "key.pem", plugin]);
    assert_eq!(code, 0, "{error}");
    assert!(
        out.contains(&format!("by the key {}", key_of(pem))),
        "{out}"
    );
}

/// As what it is installed. It is removed again.
fn tier(context: &Context) -> Value {
    let (code, _, error) = context.ended(&["install", "--yes", "notes"]);
    assert_eq!(code, 0, "{error}");
    let plugin = context.json(&["list", "--json"])["plugins"][0].clone();
    assert_eq!(
        error.contains("warning[P0933]"),
        plugin["tier"] == "local",
        "{error}"
    );
    assert_eq!(context.ended(&["verify"]).0, 0);
    assert_eq!(context.ended(&["remove", "notes"]).0, 0);
    plugin["tier"].clone()
}

fn refused(context: &Context, code: &str, why: &str) {
    let (exit, _, error) = context.ended(&["install", "--yes", "notes"]);
    assert_ne!(exit, 0);
    assert!(error.contains(code) && error.contains(why), "{error}");
    assert_eq!(names(context), []);
}

/// What `run` and `verify` say of an installed plugin that is no longer to be run.
fn is_not_run(context: &Context, why: &str) {
    let (exit, _, error) = context.ended(&[&["run"], &ECHO[..]].concat());
    assert_eq!(exit, 125, "{error}");
    assert!(error.contains("P0614"), "{error}");
    let (exit, _, error) = context.ended(&["verify", "notes"]);
    assert_eq!(exit, 1, "{error}");
    assert!(error.contains("P0934") && error.contains(why), "{error}");
}

fn sha256(context: &Context) -> String {
    let found = context.json(&["inspect", "--json", "notes"]);
    found["plugin"]["sha256"].as_str().unwrap().to_owned()
}

#[test]
fn what_a_key_of_the_policy_signed_is_signed_for_its_names_alone() {
    for (pem, public) in [(ED25519, ED25519_PUBLIC), (P256, P256_PUBLIC)] {
        let context = context("");
        policy(&context, "", &signer("notes", public));
        assert_eq!(
            tier(&context),
            "local",
            "it lies here, and has no signature"
        );
        sign(&context, pem, "notes");
        assert_eq!(tier(&context), "signed");
        policy(&context, "", &signer("no*", public));
        assert_eq!(tier(&context), "signed");
        policy(&context, "", &signer("other", public));
        assert_eq!(tier(&context), "local", "a key for other plugins");
        policy(&context, "", "");
        assert_eq!(tier(&context), "local", "nobody named that key");
    }
}

#[test]
fn who_signed_it_is_shown_before_anybody_agrees() {
    let context = context("");
    policy(&context, "", &signer("notes", ED25519_PUBLIC));
    sign(&context, ED25519, "notes");
    let (code, text) = install(&context, "yes\n");
    assert_eq!(code, 0, "{text}");
    for shown in [
        "tier signed: signed by a key that your policy has for its name",
        "signed by the key ",
        "installed notes 1.0.0 (signed)",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let plugin = context.json(&["list", "--json"])["plugins"][0].clone();
    assert_eq!(plugin["signer"], key_of(ED25519));
}

#[test]
fn a_signature_over_something_else_is_refused_and_what_it_is_over_is_told() {
    let context = context("");
    policy(&context, "", &signer("*", ED25519_PUBLIC));
    let place = context.project().join("notes");
    let component = fs::read(place.join("notes.wasm")).unwrap();
    let manifest = ManifestFile {
        name: MANIFEST,
        bytes: fs::read(place.join("plugin.toml")).unwrap(),
    };
    let put = |pem: &str, name: &str, version: &str, bytes: &[u8], with: Option<&ManifestFile>| {
        let subject = Subject::of_files(name, version, bytes, with);
        let signature = SigningKey::from_pem(pem).unwrap().sign(&subject, "notes");
        fs::write(place.join("notes.wasm.sig"), detached(&signature)).unwrap();
    };
    let with = Some(&manifest);
    put(P256, "notes", "1.0.0", &component, with);
    refused(&context, "P0861", "it has no signature of that key");
    put(ED25519, "other", "1.0.0", &component, with);
    refused(&context, "P0861", "it signs version 1.0.0 of `other`");
    put(ED25519, "notes", "1.0.1", &component, with);
    refused(&context, "P0861", "it signs version 1.0.1 of `notes`");
    put(ED25519, "notes", "1.0.0", b"other", with);
    refused(&context, "P0861", "it signs another content");
    put(ED25519, "notes", "1.0.0", &component, None);
    refused(&context, "P0861", "it does not sign this manifest");
    put(ED25519, "notes", "1.0.0", &component, with);
    assert_eq!(tier(&context), "signed");
}

#[test]
fn what_comes_after_what_was_signed_has_to_be_signed_too() {
    let context = context("");
    policy(&context, "", &signer("notes", ED25519_PUBLIC));
    sign(&context, ED25519, "notes");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    write(&context, "1.1.0", "", b'b');
    let (code, _, error) = context.ended(&["update", "notes"]);
    assert_ne!(code, 0);
    assert!(error.contains("P0861"), "{error}");
    assert_eq!(names(&context), installed("1.0.0"));
    sign(&context, ED25519, "notes");
    let (code, _, error) = context.ended(&["update", "notes"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(names(&context), installed("1.1.0"));
    // One of a lower tier is more than what was agreed to.
    write(&context, "1.2.0", "", b'c');
    fs::remove_file(context.project().join("notes/notes.wasm.sig")).unwrap();
    let (code, _, error) = context.ended(&["update", "--yes", "notes"]);
    assert_eq!(code, 1, "{error}");
    assert_eq!(names(&context), installed("1.1.0"));
}

#[test]
fn what_the_policy_pins_is_pinned_as_long_as_it_does() {
    let context = context("");
    let content = sha256(&context);
    policy(&context, &format!("pinned = [\"{}\"]", "a".repeat(64)), "");
    assert_eq!(tier(&context), "local");
    policy(&context, &format!("pinned = [\"{content}\"]"), "");
    assert_eq!(tier(&context), "pinned");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    policy(&context, "", "");
    let (code, _, error) = context.ended(&["verify"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("the policy pins its content no more"),
        "{error}"
    );
}

#[test]
fn a_revoked_content_is_neither_installed_nor_run() {
    let context = context(RUNS_ECHO);
    let content = sha256(&context);
    let revoked = format!("revoked = [\"{content}\"]\n");
    policy(&context, &revoked, "");
    refused(&context, "P0862", "its content is revoked");
    policy(&context, "", "");
    assert_eq!(install(&context, "grant\n").0, 0);
    assert!(runs(&context));
    policy(&context, &revoked, "");
    is_not_run(&context, "its content is revoked");
    policy(&context, "", "");
    assert!(runs(&context));
    // From the tree, which nobody vouched for.
    let found = context.write("portcullis.toml", &revoked);
    is_not_run(&context, "its content is revoked");
    assert_eq!(context.ended(&["remove", "notes"]).0, 0);
    refused(&context, "P0862", "its content is revoked");
    fs::remove_file(found).unwrap();
    assert_eq!(install(&context, "grant\n").0, 0);
    assert!(runs(&context));
}

#[test]
fn what_a_ceiling_revokes_no_policy_brings_back() {
    let context = context(RUNS_ECHO);
    let content = sha256(&context);
    assert_eq!(install(&context, "grant\n").0, 0);
    assert!(runs(&context));
    policy(&context, &format!("pinned = [\"{content}\"]"), "");
    let test = "what_a_ceiling_revokes_no_policy_brings_back";
    let run = [&["run"], &ECHO[..]].concat();
    let revoking = |digest: &str| format!("revoked = [\"{digest}\"]\n");
    let Some(below) = below(test, context, &revoking(&content)) else {
        return;
    };
    assert_eq!(below.code(&run), 125);
    assert!(below.stderr(&run).contains("P0614"));
    assert!(below.stderr(&["verify"]).contains("its content is revoked"));
    let ceiling = below.0.root().join("etc/portcullis/ceiling.toml");
    fs::write(ceiling, revoking(&"a".repeat(64))).unwrap();
    assert_eq!(below.code(&run), 0, "{}", below.stderr(&run));
}

#[test]
fn what_a_revoked_key_signed_is_neither_installed_nor_run() {
    let context = context(RUNS_ECHO);
    let signer = signer("notes", ED25519_PUBLIC);
    let revoked = format!("revoked = [\"{}\"]", key_of(ED25519));
    policy(&context, &revoked, &signer);
    sign(&context, ED25519, "notes");
    refused(&context, "P0862", "the key that signed it is revoked");
    policy(&context, "", &signer);
    assert_eq!(install(&context, "grant\n").0, 0);
    assert!(runs(&context));
    policy(&context, &revoked, &signer);
    is_not_run(&context, "the key that signed it is revoked");
    policy(&context, "", &signer);
    assert!(runs(&context));
}

#[test]
fn a_signature_is_verified_again_over_what_is_kept() {
    let context = context("");
    policy(&context, "", &signer("notes", ED25519_PUBLIC));
    sign(&context, ED25519, "notes");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    let registry = Registry::open(&context.home().join(".local/share/portcullis/plugins")).unwrap();
    let record = registry.get("notes").unwrap().unwrap();
    let tampered = |change: fn(&mut Record)| {
        let mut changed = record.clone();
        change(&mut changed);
        let put = |from: &Record, to: &Record| {
            registry.write().unwrap().replace(from, to, None).unwrap();
        };
        put(&record, &changed);
        let (code, _, error) = context.ended(&["verify"]);
        put(&changed, &record);
        assert_eq!(context.ended(&["verify"]).0, 0);
        assert_eq!(code, 1);
        assert!(
            error.contains("P0934") && error.contains("its signature by the key"),
            "{error}"
        );
    };
    tampered(|record| record.version = "2.0.0".to_owned());
    tampered(|record| record.manifest.text.push('\n'));
    tampered(|record| record.signature = None);
    tampered(|record| {
        let signature = record.signature.take().unwrap();
        record.signature = Some(signature.replace("\"signature\":\"", "\"signature\":\"AAAA"));
    });
}

#[test]
fn a_key_that_the_policy_has_no_more_vouches_for_nothing() {
    let context = context("");
    policy(&context, "", &signer("notes", ED25519_PUBLIC));
    sign(&context, ED25519, "notes");
    assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
    assert_eq!(context.ended(&["verify"]).0, 0);
    for tables in [
        String::new(),
        signer("other", ED25519_PUBLIC),
        signer("notes", P256_PUBLIC),
    ] {
        policy(&context, "", &tables);
        let (code, _, error) = context.ended(&["verify"]);
        assert_eq!(code, 1, "{tables}");
        assert!(
            error.contains("the policy has the key that signed it"),
            "{error}"
        );
    }
}

/// A registry, and the table of a policy by which it is believed. `None` where it is not installed.
pub(crate) fn registry_of(context: &Context) -> Option<(portcullis_testkit::Registry, String)> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let root = context.root().join("registry");
    fs::create_dir(&root).unwrap();
    let authority = root.join("ca.pem");
    fs::write(&authority, &certificate).unwrap();
    let registry = portcullis_testkit::Registry::start(&root, Some((&certificate, &key)));
    if registry.is_none() {
        skip("`docker-registry` is not installed");
    }
    let network = format!("[network]\nca_file = \"{}\"\n", authority.display());
    Some((registry?, network))
}

#[test]
fn from_a_registry_a_plugin_is_unverified_until_it_is_signed_there() {
    let context = context("");
    let Some((server, network)) = registry_of(&context) else {
        return;
    };
    policy(&context, "", &network);
    let place = format!("oci://{}/acme/notes:1", server.host());
    let (code, out, error) = context.ended(&["push", &place, "notes"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("pushed notes 1.0.0 to"), "{out}");
    let (code, out, error) = context.ended(&["install", "--yes", &place]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("installed notes 1.0.0 (unverified)"), "{out}");
    assert_eq!(context.ended(&["remove", "notes"]).0, 0);

    let signing = format!("{network}{}", signer("notes", P256_PUBLIC));
    policy(&context, "", &signing);
    let (code, _, error) = context.ended(&["install", "--yes", &place]);
    assert_ne!(code, 0);
    assert!(error.contains("P0861"), "{error}");
    sign(&context, P256, &place);
    let (code, out, error) = context.ended(&["install", "--yes", &place]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("installed notes 1.0.0 (signed)"), "{out}");
    assert_eq!(context.ended(&["verify"]).0, 0);

    // What is revoked may be the registry's manifest too.
    let plugin = context.json(&["list", "--json"])["plugins"][0].clone();
    let resolved = plugin["resolved"].as_str().unwrap();
    policy(&context, &format!("revoked = [\"{resolved}\"]"), &signing);
    is_not_run(&context, "its content is revoked");
    assert_eq!(context.ended(&["remove", "notes"]).0, 0);
    let (code, _, error) = context.ended(&["install", "--yes", &place]);
    assert_ne!(code, 0);
    assert!(error.contains("P0862"), "{error}");
}

#[test]
fn what_came_from_a_registry_is_held_to_the_digest_that_it_had_there() {
    let context = context("");
    let Some((server, network)) = registry_of(&context) else {
        return;
    };
    policy(&context, "", &network);
    let place = format!("oci://{}/acme/notes:1", server.host());
    let (code, _, error) = context.ended(&["push", &place, "notes"]);
    assert_eq!(code, 0, "{error}");
    let (code, _, error) = context.ended(&["install", "--yes", &place]);
    assert_eq!(code, 0, "{error}");
    let registry = Registry::open(&context.home().join(".local/share/portcullis/plugins")).unwrap();
    let record = registry.get("notes").unwrap().unwrap();
    let component = fs::read(context.project().join("notes/notes.wasm")).unwrap();
    // All of it is in order, but it is not what the digest stands for.
    let other = fs::read(portcullis_testkit::guest("noop")).unwrap();
    let sha256 = hex_of(&other);
    let swapped = |record: &mut Record| record.sha256.clone_from(&sha256);
    let tampered = |change: &dyn Fn(&mut Record), content: &[u8], why: &str| {
        let mut changed = record.clone();
        change(&mut changed);
        let put = |from: &Record, to: &Record, content: &[u8]| {
            let writer = registry.write().unwrap();
            writer.replace(from, to, Some(content)).unwrap();
        };
        put(&record, &changed, content);
        let (code, _, error) = context.ended(&["verify", "notes"]);
        put(&changed, &record, &component);
        assert_eq!(code, 1, "{why}");
        assert!(error.contains("P0934") && error.contains(why), "{error}");
        assert_eq!(context.ended(&["verify"]).0, 0);
    };
    tampered(&swapped, &other, "its component is another");
    tampered(
        &|record| record.manifest.text.push('\n'),
        &component,
        "its manifest is another",
    );
    tampered(
        &|record| record.listing = None,
        &component,
        "what the registry said of it is not there",
    );
    tampered(
        &|record| {
            swapped(record);
            let listing = record.listing.take().unwrap();
            record.listing = Some(listing.replace(&hex_of(&component), &record.sha256));
        },
        &other,
        "the registry said something else of it",
    );
}

fn hex_of(content: &[u8]) -> String {
    let digest = Subject::of_files("", "", content, None).digest;
    digest.hex()
}

#[test]
fn a_tag_that_moved_is_told_and_a_registry_that_is_down_changes_nothing() {
    let context = context(RUNS_ECHO);
    let Some((server, network)) = registry_of(&context) else {
        return;
    };
    let signing = format!("{network}{}", signer("notes", ED25519_PUBLIC));
    policy(&context, "", &signing);
    let place = format!("oci://{}/notes:latest", server.host());
    let publish = || {
        let (code, _, error) = context.ended(&["push", &place, "notes"]);
        assert_eq!(code, 0, "{error}");
    };
    publish();
    sign(&context, ED25519, &place);
    let mut session = crate::session::Session::start(&context, &["install", &place]);
    session
        .waits_for("Agree? [")
        .waits_for("] ")
        .types("grant\n");
    let (code, text) = session.ends();
    assert_eq!(code, 0, "{text}");
    assert!(runs(&context));

    write(&context, "1.1.0", RUNS_ECHO, b'b');
    publish();
    let (code, _, error) = context.ended(&["update", "notes"]);
    assert_ne!(code, 0, "the tag is now something that nobody signed");
    assert!(error.contains("P0861"), "{error}");
    assert_eq!(names(&context), installed("1.0.0"));
    sign(&context, ED25519, &place);
    let (code, out, error) = context.ended(&["update", "notes"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("stands for"), "{out}");
    assert_eq!(names(&context), installed("1.1.0"));

    drop(server);
    let (code, _, error) = context.ended(&["update", "notes"]);
    assert_ne!(code, 0);
    assert!(error.contains("P0857"), "{error}");
    assert_eq!(names(&context), installed("1.1.0"));
    assert!(runs(&context));
    assert_eq!(context.ended(&["verify"]).0, 0);
    assert_eq!(context.ended(&["remove", "notes"]).0, 0);
    let (code, _, error) = context.ended(&["install", "--yes", &place]);
    assert_ne!(code, 0);
    assert!(error.contains("P0857"), "{error}");
    assert_eq!(names(&context), []);
}

#[test]
fn a_second_signature_is_added_and_what_is_no_key_signs_nothing() {
    let context = context("");
    sign(&context, ED25519, "notes");
    sign(&context, P256, "notes");
    sign(&context, P256, "notes");
    let source = Source::Path(context.project().join("notes"));
    let package = portcullis_fetch::read(&source, &Limits::default(), &Options::default()).unwrap();
    assert_eq!(package.signatures().len(), 2, "the same is not there twice");
    for public in [ED25519_PUBLIC, P256_PUBLIC] {
        policy(&context, "", &signer("notes", public));
        assert_eq!(tier(&context), "signed");
    }
    context.write("key.pem", ED25519_PUBLIC);
    let (code, _, error) = context.ended(&["sign", "--key", "key.pem", "notes"]);
    assert_ne!(code, 0);
    assert!(error.contains("P0864"), "{error}");
    // Nothing is read of what cannot be signed, neither the key nor the plugin.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    nobody.set_nonblocking(true).unwrap();
    let place = nobody.local_addr().unwrap();
    let url = format!("https://{place}/notes.wasm#sha256={}", "a".repeat(64));
    let (code, _, error) = context.ended(&["sign", "--key", "nowhere.pem", &url]);
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("cannot be signed there"), "{error}");
    assert!(nobody.accept().is_err(), "it was asked");
    let (code, _, error) = context.ended(&["push", "notes", "notes"]);
    assert_ne!(code, 0);
    assert!(error.contains("is no place in a registry"), "{error}");
}
