//! How much, how often and how long.

use std::time::Duration;

use portcullis::policy::{Grants, Limits};

use super::{World, hosts};
use crate::fixture::{args, block_on};

portcullis_testkit::tests![
    a_body_is_sent_up_to_its_limit,
    a_response_is_cut_at_its_limit_however_it_comes,
    a_packed_response_is_counted_as_what_it_unpacks_to,
    a_response_that_is_none_is_an_error,
    what_takes_too_long_is_given_up,
    no_request_outlives_the_call,
    refused_requests_count_too_and_a_plugin_loaded_again_has_no_more_of_them,
];

const API: &str = "http://api.example.com/";

fn limited(change: impl FnOnce(&mut Limits)) -> Grants {
    let mut grants = hosts(&["api.example.com"]);
    change(&mut grants.limits);
    grants
}

fn a_body_is_sent_up_to_its_limit() {
    let world = World::new();
    let api = hosts(&["api.example.com"]);
    let said = |bytes: u32| world.says(api.clone(), &["send", "POST", API, &bytes.to_string()]);
    assert_eq!(said(1 << 20), "200 hello");
    assert_eq!(said((1 << 20) + 1), "failed: too-large");
    assert_eq!(world.network.take_dialled().len(), 1);
    assert_eq!(world.lines()[2], "P0425 POST http://api.example.com/");
    let less = limited(|limits| limits.http_request = 10);
    let said = world.says(less, &["send", "POST", API, "11"]);
    assert_eq!(said, "failed: too-large");
}

fn a_response_is_cut_at_its_limit_however_it_comes() {
    let world = World::new();
    let whole = 4 << 20;
    for (path, said) in [
        (format!("bytes/{whole}"), format!("200 {whole} bytes")),
        (
            format!("bytes/{}", whole + 1),
            format!("200 {whole} bytes (cut)"),
        ),
        ("chunked/4096".to_owned(), format!("200 {whole} bytes")),
        (
            "chunked/4097".to_owned(),
            format!("200 {whole} bytes (cut)"),
        ),
        (
            "chunked/100000".to_owned(),
            format!("200 {whole} bytes (cut)"),
        ),
    ] {
        let url = format!("{API}{path}");
        assert_eq!(world.says(hosts(&["api.example.com"]), &[&url]), said);
    }
    let less = limited(|limits| limits.http_response = 3);
    assert_eq!(world.says(less, &[&format!("{API}hello")]), "200 hel (cut)");
    assert!(
        world
            .lines()
            .last()
            .unwrap()
            .starts_with("done 200 in 3 out 0 ")
    );
}

fn a_packed_response_is_counted_as_what_it_unpacks_to() {
    let world = World::new();
    let api = hosts(&["api.example.com"]);
    let said = |path: &str| world.says(api.clone(), &[&format!("{API}{path}")]);
    assert_eq!(said("gzip/3"), "200 ggg");
    assert_eq!(
        said("gzip/100000000"),
        format!("200 {} bytes (cut)", 4 << 20)
    );
    assert_eq!(said("brotli/1"), "failed: io");
    let encoding = world.says(
        api.clone(),
        &["header", "content-encoding", &format!("{API}gzip/3")],
    );
    assert_eq!(encoding, "none");
}

fn a_response_that_is_none_is_an_error() {
    let world = World::new();
    let api = hosts(&["api.example.com"]);
    for path in [
        "short/1",
        "nonsense/1",
        "headers/1000",
        "long-header/100000",
    ] {
        let said = world.says(api.clone(), &[&format!("{API}{path}")]);
        assert_eq!(said, "failed: io", "{path}");
    }
    assert_eq!(world.says(api, &[&format!("{API}headers/100")]), "200 many");
}

fn what_takes_too_long_is_given_up() {
    let world = World::new();
    let hasty = limited(|limits| limits.http_timeout = Duration::from_millis(50));
    let said = world.says(hasty, &[&format!("{API}hang")]);
    assert_eq!(said, "failed: timed-out");
    let lines = world.lines();
    assert!(lines[1].starts_with("done its time is over"), "{lines:?}");
}

fn no_request_outlives_the_call() {
    let world = World::new();
    let hasty = limited(|limits| limits.call = Duration::from_millis(300));
    block_on(async {
        let mut instance = world.instance(hasty).await;
        let ended = instance.run(&args(&[&format!("{API}hang")])).await;
        assert!(ended.is_err() || ended.is_ok_and(|said| said.unwrap() == "failed: timed-out"));
    });
    let lines = world.lines();
    let done = lines
        .iter()
        .any(|line| line.starts_with("done its time is over"));
    assert!(done, "{lines:?}");
}

fn refused_requests_count_too_and_a_plugin_loaded_again_has_no_more_of_them() {
    let world = World::new();
    let five = limited(|limits| limits.http_per_minute = 5);
    let said = |url| world.says(five.clone(), &["again", "9", url]);
    assert_eq!(said("http://other.example/"), "0");
    assert_eq!(said(API), "0", "loaded again");
    let lines = world.lines();
    let refused = |code: &str| lines.iter().filter(|line| line.starts_with(code)).count();
    assert!(refused("P0421") >= 1 && refused("P0226") >= 1, "{lines:?}");
    let another = World::new();
    assert_eq!(another.says(five, &["again", "9", API]), "5");
}
