//! Plugins in registries: a real one, and ones that lie.

use std::net::TcpListener;

use portcullis_fetch::{
    Artifact, FetchError, Limits, MANIFEST, ManifestFile, Options, Package, Publication, Reference,
    SigningKey, Source, Subject, evidence, listed, push, push_signature, read, unpack,
};
use portcullis_policy::{Digest, Provenance, Signer, Tier};
use sha2::{Digest as _, Sha256};

use crate::server::{Asked, Reply, Server, quick};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";
const MANIFEST_TEXT: &[u8] = b"id = 'notes'\nversion = '1.2.0'";

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from(<[u8; 32]>::from(Sha256::digest(bytes)))
}

fn pull(text: &str, options: &Options) -> Result<Package, FetchError> {
    read(&Source::parse(text).unwrap(), &quick(), options)
}

fn reference(text: &str) -> Reference {
    match Source::parse(text).unwrap() {
        Source::Registry(reference) => reference,
        other => panic!("{other:?}"),
    }
}

/// A registry that is really one, and its host.
struct Registry {
    host: String,
    _process: portcullis_testkit::Registry,
    _storage: tempfile::TempDir,
}

/// `None` where it is not installed.
#[expect(clippy::print_stdout, reason = "what is skipped is said")]
fn registry(test: &str) -> Option<Registry> {
    let storage = tempfile::tempdir().unwrap();
    let Some(process) = portcullis_testkit::Registry::start(storage.path(), None) else {
        println!("SKIP {test}: `docker-registry` is not installed");
        return None;
    };
    Some(Registry {
        host: process.host(),
        _process: process,
        _storage: storage,
    })
}

fn plain() -> Options {
    Options {
        plain_http: true,
        ..Options::default()
    }
}

fn publish(to: &str, component: &[u8], version: &str) -> Digest {
    let manifest = ManifestFile {
        name: MANIFEST,
        bytes: MANIFEST_TEXT.to_vec(),
    };
    let what = Publication {
        component,
        manifest: Some(&manifest),
        version: Some(version),
    };
    push(&reference(to), &Artifact::new(what), &quick(), &plain()).unwrap()
}

#[test]
fn what_was_pushed_is_pulled_by_tag_and_by_digest() {
    let Some(registry) = registry("what_was_pushed_is_pulled_by_tag_and_by_digest") else {
        return;
    };
    let tag = format!("oci://{}/acme/notes:1.2.0", registry.host);
    let digest = publish(&tag, WASM, "1.2.0");
    let package = pull(&tag, &plain()).unwrap();
    assert_eq!(package.component(), WASM);
    assert_eq!(package.version_from_source(), Some("1.2.0"));
    assert_eq!(package.manifest().unwrap().bytes, MANIFEST_TEXT);
    assert_eq!(package.manifest().unwrap().name, MANIFEST);
    // What is recorded is what the tag stood for, and what that consists of.
    assert_eq!(package.source().to_string(), format!("{tag}@{digest}"));
    let parts = listed(package.listing().unwrap()).unwrap();
    assert_eq!((parts.digest, parts.component), (digest, package.digest()));
    assert_eq!(parts.manifest, Some(sha256(MANIFEST_TEXT)));
    let by_digest = format!("oci://{}/acme/notes@{digest}", registry.host);
    assert_eq!(
        pull(&by_digest, &plain()).unwrap().digest(),
        package.digest()
    );

    let missing = pull(&format!("oci://{}/acme/notes:2", registry.host), &plain()).unwrap_err();
    assert_eq!(missing.code().as_str(), "P0859", "{missing}");
    assert!(
        missing.to_string().contains("there is no such tag"),
        "{missing}"
    );
}

#[test]
fn a_packed_file_is_what_pushing_it_makes() {
    let Some(registry) = registry("a_packed_file_is_what_pushing_it_makes") else {
        return;
    };
    let tag = format!("oci://{}/acme/notes:1.2.0", registry.host);
    let pushed = publish(&tag, WASM, "1.2.0");
    let manifest = ManifestFile {
        name: MANIFEST,
        bytes: MANIFEST_TEXT.to_vec(),
    };
    let artifact = Artifact::new(Publication {
        component: WASM,
        manifest: Some(&manifest),
        version: Some("1.2.0"),
    });
    assert_eq!(artifact.digest(), pushed);
    let source = Source::Path("notes.tar".into());
    let packed = unpack(source, &artifact.packed(&quick()).unwrap(), &quick()).unwrap();
    let pulled = pull(&tag, &plain()).unwrap();
    assert_eq!(packed.listing(), pulled.listing());
    assert_eq!(packed.published(), pulled.published());
    assert_eq!(packed.component(), pulled.component());
    assert_eq!(packed.manifest(), pulled.manifest());
    assert_eq!(packed.version_from_source(), pulled.version_from_source());
    let again = format!("oci://{}/other/notes:1.2.0", registry.host);
    let again = reference(&again);
    let artifact = Artifact::of(&packed, "another that does not count");
    assert_eq!(push(&again, &artifact, &quick(), &plain()).unwrap(), pushed);
}

#[test]
fn a_tag_that_moved_is_another_digest_and_the_old_one_stays() {
    let Some(registry) = registry("a_tag_that_moved_is_another_digest_and_the_old_one_stays")
    else {
        return;
    };
    let tag = format!("oci://{}/notes:latest", registry.host);
    let first = publish(&tag, WASM, "1.0.0");
    let recorded = pull(&tag, &plain()).unwrap().source().to_string();
    let second = publish(&tag, b"\0asm moved", "1.1.0");
    assert_ne!(first, second);
    assert_eq!(pull(&tag, &plain()).unwrap().component(), b"\0asm moved");
    assert_eq!(pull(&recorded, &plain()).unwrap().component(), WASM);
}

#[test]
fn a_signature_in_the_registry_makes_it_signed() {
    let Some(registry) = registry("a_signature_in_the_registry_makes_it_signed") else {
        return;
    };
    let tag = format!("oci://{}/notes:1.2.0", registry.host);
    let digest = publish(&tag, WASM, "1.2.0");
    let place = reference(&tag);
    let mut signers = Vec::new();
    for pem in [
        include_str!("keys/ed25519.pem"),
        include_str!("keys/p256.pem"),
    ] {
        let key = SigningKey::from_pem(pem).unwrap();
        let subject = Subject {
            name: "notes",
            version: "1.2.0",
            digest,
            manifest: None,
        };
        push_signature(
            &place,
            digest,
            &key.sign(&subject, &tag),
            &quick(),
            &plain(),
        )
        .unwrap();
        let key = key.public().unwrap();
        signers.push(Signer {
            name: "notes".to_owned(),
            key,
        });
    }
    let package = pull(&tag, &plain()).unwrap();
    assert_eq!(package.signatures().len(), 2);
    for signer in signers {
        let policy = Provenance {
            signers: vec![signer],
            ..Provenance::default()
        };
        assert_eq!(
            evidence(&package, "notes", "1.2.0", &policy).unwrap().tier,
            Tier::Signed
        );
        let other = evidence(&package, "notes", "1.3.0", &policy).unwrap_err();
        assert_eq!(other.code().as_str(), "P0861");
    }
    // What lies under another tag has other signatures: none.
    let moved = format!("oci://{}/notes:moved", registry.host);
    publish(&moved, b"\0asm moved", "1.2.0");
    assert!(pull(&moved, &plain()).unwrap().signatures().is_empty());
    // The digest of the whole is one by which it is pinned.
    let pinned = Provenance {
        pinned: vec![digest],
        ..Provenance::default()
    };
    assert_eq!(
        evidence(&package, "notes", "1.2.0", &pinned).unwrap().tier,
        Tier::Pinned
    );
}

/// T37: what comes from a registry without a valid signature of the key that is pinned for its name is refused.
#[test]
fn t37_a_registry_plugin_without_a_valid_signature_is_refused() {
    let server = Server::plain(honest);
    let package = pull(&format!("oci://{}/notes:1", server.host), &server.options()).unwrap();
    let key = SigningKey::from_pem(include_str!("keys/ed25519.pem")).unwrap();
    let signer = Signer {
        name: "notes".to_owned(),
        key: key.public().unwrap(),
    };
    let policy = Provenance {
        signers: vec![signer],
        ..Provenance::default()
    };
    let error = evidence(&package, "notes", "1", &policy).unwrap_err();
    assert_eq!(error.code().as_str(), "P0861");
}

/// T38: a local plugin without a signature is known to be local, and is not refused.
#[test]
fn t38_a_local_plugin_without_a_signature_is_local() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.wasm");
    std::fs::write(&file, WASM).unwrap();
    let package = read(&Source::Path(file), &Limits::default(), &Options::default()).unwrap();
    let found = evidence(&package, "notes", "1", &Provenance::default()).unwrap();
    assert_eq!((found.tier, found.signer), (Tier::Local, None));
}

const CONFIG: &str = "application/vnd.wasm.config.v0+json";

fn layer(media_type: &str, digest: Digest, size: usize) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

fn image(config: &str, layers: &[String]) -> String {
    let config = layer(config, sha256(b"{}"), 2);
    format!(
        r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#,
        layers.join(",")
    )
}

fn one_layer() -> Vec<String> {
    vec![layer("application/wasm", sha256(WASM), WASM.len())]
}

/// A registry that has one plugin under every tag, and no signatures.
fn honest(asked: &Asked) -> Reply {
    with_image(asked, &image(CONFIG, &one_layer()), WASM)
}

fn with_image(asked: &Asked, image: &str, blob: &[u8]) -> Reply {
    match asked.path.as_str() {
        path if path.ends_with(".sig") => Reply::status(404),
        path if path.contains("/manifests/") => Reply::ok(image),
        path if path.contains("/blobs/") => Reply::ok(blob),
        _ => Reply::status(404),
    }
}

fn refused(server: &Server, what: &str, code: &str, why: &str) {
    let text = format!("oci://{}/notes{what}", server.host);
    let error = pull(&text, &server.options()).unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn what_is_not_one_plugin_is_said() {
    let wasm = || one_layer().remove(0);
    let ours = || {
        layer(
            "application/vnd.portcullis.plugin.v1+toml",
            sha256(WASM),
            WASM.len(),
        )
    };
    let other = layer("application/x-tar", sha256(WASM), WASM.len());
    let sha512 = wasm().replace("sha256:", "sha512:");
    for (image, why) in [
        (
            r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
            "it is a list of manifests",
        ),
        (
            r#"{"schemaVersion":2,"mediaType":"application/x-old"}"#.to_owned(),
            "media type `application/x-old`",
        ),
        (
            image("application/vnd.oci.image.config.v1+json", &one_layer()),
            "it is no WebAssembly",
        ),
        (
            image(CONFIG, &[wasm(), other]),
            "unknown media type `application/x-tar`",
        ),
        (
            image(CONFIG, &[wasm(), wasm()]),
            "two layers of `application/wasm`",
        ),
        (
            image(CONFIG, &[wasm(), ours(), ours()]),
            "two layers of `application/vnd.portcullis",
        ),
        (image(CONFIG, &[]), "it has no component"),
        (image(CONFIG, &[sha512]), "is no SHA-256"),
        ("nonsense".to_owned(), "expected"),
    ] {
        let server = Server::plain(move |asked| with_image(asked, &image, WASM));
        refused(&server, ":1", "P0859", why);
    }
}

#[test]
fn bytes_that_are_not_those_that_were_said_are_refused() {
    let server = Server::plain(honest);
    let other = Digest::from([7; 32]);
    refused(
        &server,
        &format!("@{other}"),
        "P0855",
        "and was to be sha256:0707",
    );

    let swapped =
        Server::plain(|asked| with_image(asked, &image(CONFIG, &one_layer()), b"\0asm evi"));
    refused(&swapped, ":1", "P0855", "and was to be");
    let shorter =
        Server::plain(|asked| with_image(asked, &image(CONFIG, &one_layer()), &WASM[..5]));
    refused(&shorter, ":1", "P0859", "only 5 of 8 bytes");
    let longer = Server::plain(|asked| with_image(asked, &image(CONFIG, &one_layer()), &[7; 9]));
    refused(&longer, ":1", "P0856", "more than 8 bytes");
    // Broken off: fewer bytes than the response says.
    let cut = Server::plain(|asked| match asked.path.contains("/blobs/") {
        true => Reply::ok(&WASM[..4]).with("Content-Length", "8"),
        false => honest(asked),
    });
    refused(&cut, ":1", "P0857", "");
}

#[test]
fn a_size_is_refused_before_anything_of_it_is_read() {
    let huge = || vec![layer("application/wasm", sha256(WASM), 1 << 40)];
    let server = Server::plain(move |asked| with_image(asked, &image(CONFIG, &huge()), WASM));
    refused(&server, ":1", "P0856", "more than 134217728 bytes");
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| !asked.path.contains("/blobs/"))
    );
    let server = Server::plain(|asked| with_image(asked, &" ".repeat(70_000), WASM));
    refused(&server, ":1", "P0856", "more than 65536 bytes");
}

#[test]
fn a_document_that_is_not_of_one_plugin_lists_none() {
    let honest = image(CONFIG, &one_layer());
    let parts = listed(&honest).unwrap();
    assert_eq!(parts.digest, sha256(honest.as_bytes()));
    assert_eq!((parts.component, parts.manifest), (sha256(WASM), None));
    for document in [
        String::new(),
        honest.replace("sha256:", "sha512:"),
        honest.replace(CONFIG, "other"),
        image(CONFIG, &[]),
    ] {
        assert!(listed(&document).is_err(), "{document}");
    }
}

#[test]
fn a_registry_that_is_down_is_said() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = pull(&format!("oci://{free}/notes:1"), &plain()).unwrap_err();
    assert_eq!(error.code().as_str(), "P0857", "{error}");
    let broken = Server::plain(|_| Reply::status(503));
    refused(&broken, ":1", "P0857", "status 503");
    // Without the choice to do without TLS, nothing is said in the clear.
    let server = Server::plain(honest);
    let error = pull(
        &format!("oci://{}/notes:1", server.host),
        &Options::default(),
    )
    .unwrap_err();
    assert_eq!(error.code().as_str(), "P0857", "{error}");
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| !asked.path.contains("/v2/"))
    );
}

/// A registry that wants a token from `realm`, which is given out by whoever serves `/token`.
fn with_tokens(realm: impl Fn() -> String + Send + Sync + 'static) -> Server {
    Server::secure(move |asked| {
        if asked.path.starts_with("/token") {
            return Reply::ok(r#"{"token":"t0k3n"}"#);
        }
        match asked.authorization.as_deref() {
            Some("Bearer t0k3n") => honest(asked),
            _ => Reply::status(401).with(
                "WWW-Authenticate",
                format!(r#"Bearer realm="{}",service="r""#, realm()),
            ),
        }
    })
}

fn own_realm() -> (Server, std::sync::Arc<std::sync::OnceLock<String>>) {
    let host = std::sync::Arc::new(std::sync::OnceLock::new());
    let known = std::sync::Arc::clone(&host);
    let server = with_tokens(move || format!("https://{}/token", known.get().unwrap()));
    host.set(server.host.clone()).unwrap();
    (server, host)
}

#[test]
fn credentials_go_to_the_registrys_own_host_and_the_token_back() {
    let (server, _) = own_realm();
    let options = server.options_with_credentials(&server.host);
    pull(&format!("oci://{}/notes:1", server.host), &options).unwrap();
    let tokens: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.path.starts_with("/token"))
        .collect();
    assert_eq!(
        tokens[0].path,
        "/token?service=r&scope=repository%3Anotes%3Apull"
    );
    assert_eq!(
        tokens[0].authorization.as_deref(),
        Some("Basic bWU6c2VjcmV0")
    );
    // Those of another registry stay where they are; a token for what is public is asked for without.
    let (server, _) = own_realm();
    let options = server.options_with_credentials("ghcr.io");
    pull(&format!("oci://{}/notes:1", server.host), &options).unwrap();
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.authorization.as_deref() != Some("Basic bWU6c2VjcmV0"))
    );
}

#[test]
fn credentials_do_not_go_to_another_host_that_a_registry_names() {
    let thief = Server::plain(|_| Reply::ok(r#"{"token":"t0k3n"}"#));
    for (realm, code) in [
        ("https://192.0.2.1/token".to_owned(), "P0860"),
        (thief.url("/token"), "P0858"),
    ] {
        let server = with_tokens(move || realm.clone());
        let options = server.options_with_credentials(&server.host);
        let error = pull(&format!("oci://{}/notes:1", server.host), &options).unwrap_err();
        assert_eq!(error.code().as_str(), code, "{error}");
    }
    assert!(thief.asked().is_empty());
}

#[test]
fn credentials_do_not_follow_a_redirect() {
    let server = Server::secure(|asked| match asked.authorization {
        _ if asked.path == "/elsewhere" => Reply::ok(WASM),
        None => Reply::status(401).with("WWW-Authenticate", "Basic realm=\"r\""),
        Some(_) if asked.path.contains("/blobs/") => {
            Reply::status(307).with("Location", "/elsewhere")
        }
        Some(_) => honest(asked),
    });
    let options = server.options_with_credentials(&server.host);
    let text = format!("oci://{}/notes:1", server.host);
    pull(&text, &options).unwrap();
    let asked = server.asked();
    let elsewhere = asked.iter().find(|asked| asked.path == "/elsewhere");
    assert_eq!(elsewhere.unwrap().authorization, None);
    // In the clear, as it may be on loopback, nobody is told anything.
    let plain = Server::plain(|_| Reply::status(401).with("WWW-Authenticate", "Basic realm=\"r\""));
    let options = plain.options_with_credentials(&plain.host);
    let text = format!("oci://{}/notes:1", plain.host);
    assert!(pull(&text, &options).is_err());
    assert!(
        plain
            .asked()
            .iter()
            .all(|asked| asked.authorization.is_none())
    );
}
