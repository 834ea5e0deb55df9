//! `<url:…>`: what two readers of a URL could read differently never matches.

use portcullis_policy::{ArgToken, ArgumentRule};

use crate::support::{check, pattern};

fn url(text: &str) -> ArgumentRule {
    ArgumentRule {
        args: Some(pattern(&[text])),
        ..ArgumentRule::default()
    }
}

#[test]
fn below_a_path() {
    check(
        "<url:https://api.example.com/v1/**>",
        &url("<url:https://api.example.com/v1/**>"),
        &[
            (&["https://api.example.com/v1/"], true),
            (&["https://api.example.com/v1/a"], true),
            (&["https://api.example.com/v1/a/b/c"], true),
            (&["https://api.example.com/v1/a?q=1&r=2"], true),
            (&["https://api.example.com/v1/a?q=x/../y"], false),
            (&["https://api.example.com/v1/a#part"], true),
            (&["https://api.example.com/v1/group%2Fproject"], true),
            (&["https://api.example.com/v1/...hidden"], true),
            (&["https://api.example.com/v1"], true),
            (&["https://api.example.com/"], false),
            (&["https://api.example.com"], false),
            (&["https://api.example.com/v2/a"], false),
            (&["https://api.example.com/v10"], false),
            // another host
            (&["https://api.example.com.evil.net/v1/a"], false),
            (&["https://evil.net/v1/a"], false),
            (&["https://api.example.com@evil.net/v1/a"], false),
            (&["https://me:pw@api.example.com/v1/a"], false),
            (&["https://evil.net#@api.example.com/v1/a"], false),
            (&["https://evil.net?@api.example.com/v1/a"], false),
            (&["https://api.example.com\\@evil.net/v1/a"], false),
            (&["https://api.example.com\\.evil.net/v1/a"], false),
            (&["https:\\\\api.example.com/v1/a"], false),
            (&["https://api.example.com./v1/a"], false),
            (&["https://API.example.com/v1/a"], false),
            (&["https://api.example.com:8443/v1/a"], false),
            (&["https://api.example.com:443/v1/a"], false),
            (&["https://api.example.com%2f@evil.net/v1/a"], false),
            (&["https://apí.example.com/v1/a"], false),
            (&["https://{evil.net,api.example.com}/v1/a"], false),
            // another scheme, or none
            (&["http://api.example.com/v1/a"], false),
            (&["HTTPS://api.example.com/v1/a"], false),
            (&["file://api.example.com/v1/a"], false),
            (&["//api.example.com/v1/a"], false),
            (&["api.example.com/v1/a"], false),
            (&["-https://api.example.com/v1/a"], false),
            (&[""], false),
            // out of the path
            (&["https://api.example.com/v1/../v2/a"], false),
            (&["https://api.example.com/v1/./a"], false),
            (&["https://api.example.com/v1/%2e%2e/a"], false),
            (&["https://api.example.com/v1/.%2E/a"], false),
            (&["https://api.example.com/v1/x%2f..%2fa"], false),
            (&["https://api.example.com/v1/x%5C..%5Ca"], false),
            (&["https://api.example.com/v1/..;x/a"], false),
            (&["https://api.example.com/v1/{..}/a"], false),
            (&["https://api.example.com/v1/{.,x}./a"], false),
            (&["https://api.example.com/v1/[.-.]./a"], false),
            (&["https://api.example.com/v1/.."], false),
            (&["https://api.example.com/v1/..?x"], false),
            (&["https://api.example.com/v1\\..\\a"], false),
            // not one line of visible ASCII
            (&["https://api.example.com/v1/a b"], false),
            (&["https://api.example.com/v1/a\n"], false),
            (&["https://api.example.com/v1/a\thttps://evil.net"], false),
            (&["https://api.example.com/v1/a\u{202e}"], false),
            (&["https://api.example.com/v1/a", "https://evil.net"], false),
        ],
    );
}

#[test]
fn one_segment_and_exact() {
    check(
        "<url:https://h.example/*/raw>",
        &url("<url:https://h.example/*/raw>"),
        &[
            (&["https://h.example/a/raw"], true),
            (&["https://h.example//raw"], false),
            (&["https://h.example/a/b/raw"], false),
            (&["https://h.example/a/raw/"], false),
            (&["https://h.example/a/raw?x"], false),
            (&["https://h.example/../raw"], false),
        ],
    );
    check(
        "<url:https://h.example>",
        &url("<url:https://h.example>"),
        &[
            (&["https://h.example"], true),
            (&["https://h.example/"], false),
            (&["https://h.example?x"], false),
        ],
    );
    check(
        "<url:http://[::1]:8080/**>",
        &url("<url:http://[::1]:8080/**>"),
        &[
            (&["http://[::1]:8080/a"], true),
            (&["http://[::1]/a"], false),
            (&["http://[::2]:8080/a"], false),
            (&["http://[::1]:8080/[a-b]"], false),
        ],
    );
}

#[test]
fn a_pattern_that_could_not_mean_what_it_says_is_refused() {
    for bad in [
        "<url:>",
        "<url:api.example.com/**>",
        "<url:https:///x>",
        "<url:https://*/x>",
        "<url:https://*.example.com/>",
        "<url:https://h/**/x>",
        "<url:https://h/v*>",
        "<url:https://h/x?q=*>",
        "<url:https://u@h/x>",
        "<url:https://h\\x/>",
        "<url:https://hö/>",
        "<url:ht tp://h/>",
        "<url:https://h/{a,b}>",
    ] {
        assert!(ArgToken::parse(bad).is_err(), "{bad}");
    }
    for good in [
        "<url:https://h>",
        "<url:https://h/>",
        "<url:https://h/*/x/**>",
        "<url:git+ssh://h:22/x>",
    ] {
        assert!(ArgToken::parse(good).is_ok(), "{good}");
    }
}
