//! Who vouches for a plugin: what is signed, pinned and revoked, from files and from a registry.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use portcullis_fetch::{
    Limits, MANIFEST, ManifestFile, Options, SigningKey, Source, Subject, detached, fingerprint,
};
use portcullis_registry::{Record, Registry};
use serde_json::Value;

use crate::ceiling::below;
use crate::context::{Context, skip};
use crate::installing::{ECHO, RUNS_ECHO, context, install, installed, names, runs, write};

const ED25519: &str = include_str!("../../../portcullis-fetch/tests/all/keys/ed25519.pem");
const P256: &str = include_str!("../../../portcullis-fetch/tests/all/keys/p256.pem");
/// What `openssl pkey -pubout` makes of them.
const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA7E/ez69YJVdiH2lycm0zagpYEWx9jzEd6KlYv2iDfRQ=
-----END PUBLIC KEY-----
";
const P256_PUBLIC: &str = include_str!("../../../portcullis-fetch/tests/all/keys/p256.pub");

fn policy(context: &Context, top: &str, tables: &str) {
    let text = format!("confinement = \"limits\"\n{top}\n{tables}");
    fs::write(context.own_policy(), text).unwrap();
}

fn signer(name: &str, public: &str) -> String {
    format!("[[signer]]\nname = \"{name}\"\nkey = \"\"\"\n{public}\"\"\"\n")
}

fn key_of(pem: &str) -> String {
    let key = SigningKey::from_pem(pem).unwrap().public().unwrap();
    fingerprint(&key).hex()
}

fn sign(context: &Context, pem: &str, plugin: &str) {
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

/// Debian's `docker-registry` on loopback, with a certificate of its own.
struct Server {
    process: Child,
    host: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The server, and the table of a policy by which it is believed. `None` where it is not installed.
fn server(context: &Context) -> Option<(Server, String)> {
    const PROGRAM: &str = "/usr/bin/docker-registry";
    if !Path::new(PROGRAM).exists() {
        skip("`docker-registry` is not installed");
        return None;
    }
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap();
    drop(free);
    let root = context.root().join("registry");
    let at = |name: &str| root.join(name).display().to_string();
    fs::create_dir(&root).unwrap();
    fs::write(at("ca.pem"), made.cert.pem()).unwrap();
    fs::write(at("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let storage = format!(
        "storage:\n  filesystem:\n    rootdirectory: {}\n",
        at("blobs")
    );
    let tls = format!(
        "  tls:\n    certificate: {}\n    key: {}\n",
        at("ca.pem"),
        at("key.pem")
    );
    let config = format!("version: 0.1\n{storage}http:\n  addr: {port}\n{tls}");
    fs::write(at("config.yml"), config).unwrap();
    let mut command = context.command(PROGRAM);
    let process = command
        .args(["serve", &at("config.yml")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let host = port.to_string();
    let started = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(20));
        TcpStream::connect(port).is_ok()
    });
    let server = Server { process, host };
    assert!(started, "the registry does not start");
    let network = format!("[network]\nca_file = \"{}\"\n", at("ca.pem"));
    Some((server, network))
}

#[test]
fn from_a_registry_a_plugin_is_unverified_until_it_is_signed_there() {
    let context = context("");
    let Some((server, network)) = server(&context) else {
        return;
    };
    policy(&context, "", &network);
    let place = format!("oci://{}/acme/notes:1", server.host);
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
fn a_tag_that_moved_is_told_and_a_registry_that_is_down_changes_nothing() {
    let context = context(RUNS_ECHO);
    let Some((server, network)) = server(&context) else {
        return;
    };
    let signing = format!("{network}{}", signer("notes", ED25519_PUBLIC));
    policy(&context, "", &signing);
    let place = format!("oci://{}/notes:latest", server.host);
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
    let (code, _, error) = context.ended(&["push", "notes", "notes"]);
    assert_ne!(code, 0);
    assert!(error.contains("is no place in a registry"), "{error}");
}
