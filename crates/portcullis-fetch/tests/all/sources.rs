//! What is a source, and what is not.

use portcullis_fetch::Source;
use portcullis_policy::Digest;

const DIGITS: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

#[test]
fn a_source_is_printed_as_it_is_parsed() {
    for text in [
        "notes.wasm",
        "./plugins/notes",
        "/srv/a b/notes.wasm",
        "./odd://name",
        "https://example.com/notes.wasm",
        &format!("https://example.com:8443/notes.wasm?v=1#sha256={DIGITS}"),
        "http://127.0.0.1:5000/notes.wasm",
        "oci://ghcr.io/acme/notes:1.2.0",
        "oci://localhost:5000/acme/my_notes/a--b:v1",
        &format!("oci://[::1]:5000/notes@sha256:{DIGITS}"),
        &format!("oci://ghcr.io/acme/notes:1.2.0@sha256:{DIGITS}"),
    ] {
        assert_eq!(Source::parse(text).unwrap().to_string(), text);
    }
    // What a URL has in two forms.
    let source = Source::parse("oci://GHCR.io:443/acme/notes:1").unwrap();
    assert_eq!(source.to_string(), "oci://ghcr.io/acme/notes:1");
}

#[test]
fn what_is_no_source_is_refused_with_its_reason() {
    let long = format!("oci://example.com/notes:{}", "t".repeat(129));
    for (text, why) in [
        ("", "it is empty"),
        ("ftp://example.com/notes.wasm", "there is no `ftp://`"),
        ("file:///notes.wasm", "there is no `file://`"),
        ("https://", "empty host"),
        ("https://me@example.com/notes.wasm", "no user name"),
        ("https://me:secret@example.com/notes.wasm", "no user name"),
        ("https://example.com/notes.wasm#main", "`sha256=` and 64"),
        (
            "https://example.com/notes.wasm#sha256=abc",
            "`sha256=` and 64",
        ),
        ("oci://example.com", "`oci://host/repository:tag`"),
        ("oci://example.com/notes", "neither a tag nor a digest"),
        (
            "oci://me:pw@example.com/notes:1",
            "`me:pw@example.com` is no host",
        ),
        ("oci:///notes:1", "`` is no host"),
        ("oci://example.com?/notes:1", "is no host"),
        ("oci://exa mple.com/notes:1", "is no host"),
        ("oci://example.com/Notes:1", "`Notes` is no repository"),
        (
            "oci://example.com/../notes:1",
            "`../notes` is no repository",
        ),
        ("oci://example.com/a//b:1", "`a//b` is no repository"),
        ("oci://example.com/a._b:1", "`a._b` is no repository"),
        ("oci://example.com/notes:", "`` is no tag"),
        ("oci://example.com/notes:.1", "`.1` is no tag"),
        ("oci://example.com/notes:a/b", "`a/b` is no tag"),
        (&long, "is no tag"),
        ("oci://example.com/notes@sha256:abc", "`sha256:` and 64"),
        ("oci://example.com/notes@", "`sha256:` and 64"),
    ] {
        let error = Source::parse(text).unwrap_err();
        assert_eq!(error.code().as_str(), "P0851", "{text}");
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
}

#[test]
fn a_digest_can_be_named_apart_and_not_twice() {
    let digest = Digest::parse(DIGITS).unwrap();
    let other = Digest::from([7; 32]);
    let named = |text: &str, digest| Source::parse(text).unwrap().with_digest(digest);
    let url = "https://example.com/notes.wasm";
    let with = format!("{url}#sha256={DIGITS}");
    assert_eq!(named(url, digest).unwrap().to_string(), with);
    assert_eq!(named(&with, digest).unwrap().to_string(), with);
    let twice = named(&with, other).unwrap_err().to_string();
    assert!(twice.contains("another digest"), "{twice}");
    let tag = "oci://example.com/notes:1";
    assert_eq!(
        named(tag, digest).unwrap().to_string(),
        format!("{tag}@sha256:{DIGITS}")
    );
    assert!(named("notes.wasm", digest).is_err());
}
