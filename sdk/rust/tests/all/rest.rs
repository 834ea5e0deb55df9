//! Requests, state, variables, lines and questions.

use portcullis::http::{self, Request, Response};
use portcullis::testing::Host;
use portcullis::{ErrorKind, env, kv, prompt};

#[test]
fn a_request_is_answered_by_method_and_url() {
    let url = "https://example.com/a?token=secret";
    let host = Host::new()
        .response(
            "GET",
            url,
            Response::new(404).with_header("X-Kind", "plain").body("no"),
        )
        .no_response("POST", url, ErrorKind::TimedOut);
    host.run(|| {
        let response = http::get(url).unwrap();
        assert!(!response.is_success());
        assert_eq!(
            (response.header("x-kind"), &*response.text()),
            (Some("plain"), "no")
        );
        let late = Request::post(url)
            .header("A", "b")
            .body("body")
            .send()
            .unwrap_err();
        assert_eq!(
            late.to_string(),
            "cannot POST `https://example.com/a`: timed out"
        );
        assert_eq!(
            http::get("https://example.org/").unwrap_err().kind(),
            ErrorKind::Denied
        );
    });
    let sent = host.requests();
    assert_eq!(sent.len(), 3);
}

#[test]
fn keys_are_listed_page_by_page_and_swapped_only_from_what_is_expected() {
    let host = (0..2500).fold(Host::new(), |host, number| {
        host.key(format!("n/{number:04}"), "x")
    });
    host.run(|| {
        kv::set("other", "1").unwrap();
        let keys: Vec<_> = kv::keys("n/").map(Result::unwrap).collect();
        assert_eq!(
            (keys.len(), &*keys[0], &*keys[2499]),
            (2500, "n/0000", "n/2499")
        );
        assert!(keys.is_sorted());
        assert!(!kv::compare_and_swap("other", None, "2").unwrap());
        assert!(kv::compare_and_swap("other", Some(b"1"), "2").unwrap());
        assert!(kv::compare_and_swap("new", None, "1").unwrap());
        assert!(kv::delete("new").unwrap() && !kv::delete("new").unwrap());
        assert_eq!(kv::get("new").unwrap(), None);
    });
    assert_eq!(host.value("other").as_deref(), Some(&b"2"[..]));
}

#[test]
fn a_variable_is_there_or_not() {
    let host = Host::new().var("A", "1");
    let values = host.run(|| (env::var("A").unwrap(), env::var("B").unwrap()));
    assert_eq!(values, (Some("1".to_owned()), None));
}

#[test]
fn a_question_has_its_answer_or_its_default() {
    let host = Host::new()
        .answer("some", "c,a")
        .answer("one", "none of them")
        .answer("sure", "yes");
    host.run(|| {
        let options = ["a", "b", "c"];
        assert!(prompt::confirm("sure", "?", false).unwrap());
        assert_eq!(prompt::text("name", "?", Some("Ada")).unwrap(), "Ada");
        assert_eq!(
            prompt::text("name", "?", None).unwrap_err().kind(),
            ErrorKind::Nobody
        );
        assert_eq!(prompt::choose("one", "?", &options, Some(1)).unwrap(), 1);
        assert_eq!(
            prompt::choose_some("some", "?", &options, &[]).unwrap(),
            [2, 0]
        );
        assert_eq!(
            prompt::choose_some("none", "?", &options, &[1]).unwrap(),
            [1]
        );
        for error in [
            prompt::choose("x", "?", &[""; 0], None).unwrap_err(),
            prompt::choose("x", "?", &options, Some(3)).unwrap_err(),
            prompt::choose_some("x", "?", &options, &[3]).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    });
}

#[test]
fn lines_are_logged_from_a_level_on() {
    let host = Host::new();
    host.run(|| {
        portcullis::log::init_with(log::LevelFilter::Debug);
        log::debug!("a {}", 1);
        log::trace!("not this");
    });
    log::debug!("nobody is there");
    assert_eq!(host.logged(), [(log::Level::Debug, "a 1".to_owned())]);
}

#[cfg(feature = "tracing")]
#[test]
fn events_of_tracing_are_lines_with_their_fields() {
    let host = Host::new();
    host.run(|| {
        portcullis::log::init_with(log::LevelFilter::Debug);
        tracing::warn!(files = 3, "it begins");
    });
    assert_eq!(
        host.logged(),
        [(log::Level::Warn, "it begins files=3".to_owned())]
    );
}
