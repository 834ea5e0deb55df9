//! A secret of a known form never survives masking, whatever stands around it.

use portcullis_audit::{Masked, mask};
use proptest::prelude::*;

/// A secret: the beginning that stays, and the part that must go.
fn secret() -> impl Strategy<Value = (String, String)> {
    let form = |prefix: &'static str, body: &'static str| {
        body.prop_map(move |body| (prefix.to_owned(), body))
    };
    prop_oneof![
        form("ghp_", "[A-Za-z0-9]{36}"),
        form("gho_", "[A-Za-z0-9]{36}"),
        form("github_pat_", "[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
        form("AKIA", "[A-Z0-9]{16}"),
        form("ASIA", "[A-Z0-9]{16}"),
        form(" sk-", "[A-Za-z0-9_-]{20,48}"),
        form("xoxb-", "[0-9]{11}-[0-9]{11}-[A-Za-z0-9]{24}"),
        form("glpat-", "[A-Za-z0-9_-]{20}"),
        form("npm_", "[A-Za-z0-9]{36}"),
        form(" pypi-", "AgEIcHlwaS5vcmc[A-Za-z0-9_-]{40,60}"),
        form("AIza", "[A-Za-z0-9_-]{35}"),
        form("ya29.", "[A-Za-z0-9_-]{40,60}"),
        form(
            "eyJ",
            "[A-Za-z0-9_-]{20}\\.eyJ[A-Za-z0-9_-]{20}\\.[A-Za-z0-9_-]{20}"
        ),
        form("https://", "[a-z]{8}:[A-Za-z0-9!$&*+,;=%-]{8,20}@").prop_map(|(prefix, body)| {
            (prefix, body.trim_end_matches('@').to_owned() + "@host")
        }),
        form(
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "\n[A-Za-z0-9+/]{64}\n"
        ),
        form("Authorization: Bearer ", "[A-Za-z0-9._~-]{16,40}"),
    ]
}

/// What must not be in the output: the longest part that the form hides.
fn hidden(body: &str) -> &str {
    body.split('@').next().unwrap_or(body).trim()
}

proptest! {
    #[test]
    fn no_secret_survives(before in "[ -~é☂]{0,40}", (prefix, body) in secret(), after in "[ \"',;)\n]?[ -~]{0,40}") {
        let text = format!("{before}{prefix}{body}{after}");
        let masked = mask(&text);
        prop_assert!(!masked.contains(hidden(&body)), "{} -> {}", text, masked);
        let argv = Masked::argv(["curl", "-H", &text]);
        prop_assert!(!argv.as_str().contains(hidden(&body)), "{} -> {}", text, argv);
    }

    #[test]
    fn masking_twice_changes_nothing_more(text in "[ -~]{0,60}", (prefix, body) in secret()) {
        let once = mask(&format!("{text}{prefix}{body}")).into_owned();
        prop_assert_eq!(mask(&once).into_owned(), once);
    }

    #[test]
    fn any_text_is_cut_to_its_length_and_never_panics(text in ".{0,600}") {
        let masked = Masked::new(&text);
        prop_assert!(masked.as_str().len() <= 256 + 40);
    }
}
