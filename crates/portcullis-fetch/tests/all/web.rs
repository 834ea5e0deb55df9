//! Plugins behind URLs.

use portcullis_fetch::{
    FetchError, Limits, Package, SigningKey, Source, Subject, detached, evidence, read,
};
use portcullis_policy::{Provenance, Signer, Tier};
use sha2::{Digest as _, Sha256};

use crate::server::{Reply, Server, quick};

const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

fn digits() -> String {
    Sha256::digest(WASM)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read_from(server: &Server, path: &str, limits: &Limits) -> Result<Package, FetchError> {
    let source = Source::parse(&format!("{}#sha256={}", server.url(path), digits())).unwrap();
    read(&source, limits, &server.options())
}

fn refused(server: &Server, path: &str, limits: &Limits, code: &str, why: &str) {
    let error = read_from(server, path, limits).unwrap_err();
    assert_eq!(error.code().as_str(), code, "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_file_is_read_over_tls_with_the_digest_that_was_named() {
    let server = Server::secure(|asked| match asked.path.as_str() {
        "/notes.wasm?v=1" => Reply::ok(WASM),
        _ => Reply::status(404),
    });
    let package = read_from(&server, "/notes.wasm?v=1", &quick()).unwrap();
    assert_eq!(package.component(), WASM);
    assert_eq!(package.digest().hex(), digits());
    refused(&server, "/other.wasm", &quick(), "P0857", "status 404");
}

#[test]
fn another_content_is_refused() {
    let server = Server::plain(|_| Reply::ok("other"));
    refused(
        &server,
        "/notes.wasm",
        &quick(),
        "P0855",
        "and was to be sha256:",
    );
}

#[test]
fn nothing_is_asked_for_without_a_digest() {
    let server = Server::plain(|_| Reply::ok(WASM));
    let source = Source::parse(&server.url("/notes.wasm")).unwrap();
    let error = read(&source, &quick(), &server.options()).unwrap_err();
    assert_eq!(error.code().as_str(), "P0854");
    assert!(server.asked().is_empty());
}

#[test]
fn a_certificate_that_is_not_trusted_is_refused() {
    let server = Server::secure(|_| Reply::ok(WASM));
    let other = Server::secure(|_| Reply::ok(WASM));
    let text = format!("{}#sha256={}", server.url("/notes.wasm"), digits());
    let error = read(&Source::parse(&text).unwrap(), &quick(), &other.options()).unwrap_err();
    assert_eq!(error.code().as_str(), "P0857", "{error}");
    assert!(server.asked().is_empty());
}

#[test]
fn nothing_goes_without_tls_unless_to_loopback_and_by_choice() {
    let server = Server::plain(|asked| match asked.path.as_str() {
        "/notes.wasm" => Reply::ok(WASM),
        _ => Reply::status(404),
    });
    let read = |text: &str, plain_http| {
        let options = portcullis_fetch::Options {
            plain_http,
            ..server.options()
        };
        let source = Source::parse(&format!("{text}#sha256={}", digits())).unwrap();
        read(&source, &quick(), &options)
    };
    let url = server.url("/notes.wasm");
    assert!(read(&url, true).is_ok());
    for (url, plain_http) in [(&*url, false), ("http://192.0.2.1/notes.wasm", true)] {
        let error = read(url, plain_http).unwrap_err();
        assert_eq!(error.code().as_str(), "P0858", "{error}");
    }
}

#[test]
fn a_redirect_is_followed_to_https_only_and_not_for_ever() {
    let server = Server::secure(|asked| match asked.path.as_str() {
        "/moved" => Reply::status(302).with("Location", "/notes.wasm"),
        "/notes.wasm" => Reply::ok(WASM),
        "/down" => Reply::status(302).with("Location", "http://127.0.0.1:9/notes.wasm"),
        "/secret" => Reply::status(302).with("Location", "https://me:pw@127.0.0.1:9/notes.wasm"),
        "/file" => Reply::status(302).with("Location", "file:///etc/passwd"),
        "/nowhere" => Reply::status(302),
        "/round" => Reply::status(302).with("Location", "/round"),
        _ => Reply::status(404),
    });
    assert!(read_from(&server, "/moved", &quick()).is_ok());
    refused(&server, "/down", &quick(), "P0858", "is not `https`");
    refused(
        &server,
        "/secret",
        &quick(),
        "P0858",
        "https://127.0.0.1:9/notes.wasm",
    );
    refused(&server, "/file", &quick(), "P0858", "file:///etc/passwd");
    refused(&server, "/nowhere", &quick(), "P0857", "leads nowhere");
    refused(&server, "/round", &quick(), "P0857", "more than 5 times");
}

#[test]
fn a_body_is_as_long_as_it_may_be_whatever_is_announced() {
    let server = Server::plain(|asked| match asked.path.as_str() {
        "/announced" => Reply::ok(WASM).with("Content-Length", "1000000000000"),
        "/unannounced" => Reply::ok([b"3e8\r\n", &[7; 1000][..], b"\r\n0\r\n\r\n"].concat())
            .with("Transfer-Encoding", "chunked")
            .with("Content-Length", "1"),
        "/cut" => Reply::ok(&WASM[..4]).with("Content-Length", "8"),
        "/fits" => Reply::ok(WASM),
        _ => Reply::status(404),
    });
    let limits = Limits {
        component: WASM.len() as u64,
        ..quick()
    };
    assert!(read_from(&server, "/fits", &limits).is_ok());
    refused(&server, "/announced", &limits, "P0856", "more than 8 bytes");
    let shorter = Limits {
        component: limits.component - 1,
        ..limits.clone()
    };
    refused(&server, "/fits", &shorter, "P0856", "more than 7 bytes");
    refused(&server, "/cut", &limits, "P0857", "");
    let error = read_from(&server, "/unannounced", &limits).unwrap_err();
    assert!(
        matches!(error.code().as_str(), "P0856" | "P0857"),
        "{error}"
    );
}

#[test]
fn a_page_in_the_place_of_signatures_is_none_and_is_told() {
    const PAGE: &str = "<!DOCTYPE html>\n<html>nothing here</html>\n";
    let key = SigningKey::from_pem(include_str!("keys/ed25519.pem")).unwrap();
    let subject = Subject::of_files("notes", "1", WASM, None);
    let line = detached(&key.sign(&subject, "notes"));
    let half = format!("{line}\n{PAGE}");
    let server = Server::plain(move |asked| match asked.path.as_str() {
        path if !path.ends_with(".sig") => Reply::ok(WASM),
        "/page.sig" => Reply::ok(PAGE),
        "/long.sig" => Reply::ok(PAGE.repeat(10_000)),
        "/bytes.sig" => Reply::ok([0xff; 100]),
        "/signed.sig" => Reply::ok(line.as_str()),
        "/half.sig" => Reply::ok(half.as_str()),
        "/broken.sig" => Reply::status(500),
        _ => Reply::status(404),
    });
    let signer = Signer {
        name: "notes".to_owned(),
        key: key.public().unwrap(),
    };
    let policy = Provenance {
        signers: vec![signer],
        ..Provenance::default()
    };
    let judge = |package: &Package, policy: &Provenance| evidence(package, "notes", "1", policy);
    let signed = read_from(&server, "/signed", &quick()).unwrap();
    assert_eq!(judge(&signed, &policy).unwrap().tier, Tier::Signed);
    assert_eq!(signed.no_signatures(), None);
    // No worse and no better than one without signatures.
    for (path, told) in [
        ("/page", "/page.sig` has no signatures"),
        ("/page", "and not `<!DOCTYPE html>`"),
        ("/long", "more than 65536 bytes"),
        ("/bytes", "it is no text"),
    ] {
        let package = read_from(&server, path, &quick()).unwrap();
        assert!(package.signatures().is_empty());
        let why = package.no_signatures().unwrap();
        assert!(why.contains(told), "{why}");
        let found = judge(&package, &Provenance::default()).unwrap();
        assert_eq!(found.tier, Tier::Unverified);
        let error = judge(&package, &policy).unwrap_err();
        assert_eq!(error.code().as_str(), "P0861");
        assert!(error.to_string().contains(told), "{error}");
    }
    let none = read_from(&server, "/none", &quick()).unwrap();
    assert_eq!(none.no_signatures(), None);
    // What is broken is not taken for what is not there.
    refused(
        &server,
        "/half",
        &quick(),
        "P0853",
        "half.sig` has no signatures",
    );
    refused(&server, "/broken", &quick(), "P0857", "status 500");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/notes.wasm#sha256={}",
        silent.local_addr().unwrap(),
        digits()
    );
    let limits = Limits {
        time: std::time::Duration::from_millis(200),
        ..quick()
    };
    let options = portcullis_fetch::Options {
        plain_http: true,
        ..Default::default()
    };
    let error = read(&Source::parse(&url).unwrap(), &limits, &options).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
}
