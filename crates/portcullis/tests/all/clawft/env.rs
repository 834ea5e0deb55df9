//! `get-env`.

use portcullis::audit::{Event, Verdict};
use portcullis::policy::{Grants, Limits};
use serde_json::json;

use super::{call, manifest, nothing, session};
use crate::fixture::{Fixture, block_on};

portcullis_testkit::tests![
    t23_a_granted_variable_that_is_set_is_read,
    t24_a_granted_variable_that_is_not_set_is_none,
    t25_a_variable_that_was_not_granted_is_none_and_no_error,
    t26_the_key_of_a_service_is_none_where_it_was_not_granted,
    t27_without_any_permission_every_variable_is_none,
    weak_12_a_rate_outlives_the_instance_and_refused_calls_count,
    weak_29_names_of_secrets_want_their_exact_name_in_the_policy_whatever_the_manifest_says,
    weak_30_the_trail_tells_a_denied_variable_from_one_that_is_not_set,
];

const HOST: [(&str, &str); 8] = [
    ("HOME", "/nonexistent"),
    ("LANG", "C"),
    ("APP_MODE", "fast"),
    ("OPENAI_API_KEY", "sk-0123456789"),
    ("GITHUB_TOKEN", "ghp_0123456789"),
    ("APP_TOKEN", "hunter2"),
    ("APP_URL", "https://me:pw@example.com"),
    ("path", "/bin"),
];

/// What the guest reads, with what the manifest asks for and the policy grants.
fn read(asked: &[&str], granted: &[&str], names: &[&str]) -> Vec<String> {
    let fixture = Fixture::with_env(&HOST);
    read_in(&fixture, asked, granted, names)
}

fn read_in(fixture: &Fixture, asked: &[&str], granted: &[&str], names: &[&str]) -> Vec<String> {
    let manifest = manifest(json!({ "env_vars": asked }), json!({}));
    let grants = Grants {
        env: granted.iter().map(|&name| name.to_owned()).collect(),
        ..nothing()
    };
    block_on(async {
        let session = session(fixture, &manifest, grants).await;
        let mut said = Vec::new();
        for name in names {
            said.push(
                call(&session, "env", json!({ "name": name }))
                    .await
                    .unwrap(),
            );
        }
        said
    })
}

fn t23_a_granted_variable_that_is_set_is_read() {
    assert_eq!(read(&["LANG"], &["LANG"], &["LANG"]), ["\"C\""]);
    assert_eq!(read(&["APP_MODE"], &["APP_*"], &["APP_MODE"]), ["\"fast\""]);
}

fn t24_a_granted_variable_that_is_not_set_is_none() {
    assert_eq!(read(&["UNSET"], &["UNSET"], &["UNSET"]), ["null"]);
}

fn t25_a_variable_that_was_not_granted_is_none_and_no_error() {
    let asked_only = read(&["LANG"], &[], &["LANG"]);
    let granted_only = read(&[], &["LANG"], &["LANG"]);
    let another = read(&["LANG"], &["LANG"], &["APP_MODE", "lang", "LANGUAGE", ""]);
    assert_eq!(asked_only, ["null"]);
    assert_eq!(granted_only, ["null"]);
    assert_eq!(another, ["null"; 4]);
}

fn t26_the_key_of_a_service_is_none_where_it_was_not_granted() {
    let name = &["OPENAI_API_KEY"];
    assert_eq!(read(&["LANG"], &["LANG"], name), ["null"]);
    assert_eq!(read(name, name, name), ["\"sk-0123456789\""], "its twin");
}

fn t27_without_any_permission_every_variable_is_none() {
    let names = HOST.map(|(name, _)| name);
    assert_eq!(read(&[], &["*"], &names), ["null"; 8]);
}

fn weak_29_names_of_secrets_want_their_exact_name_in_the_policy_whatever_the_manifest_says() {
    let secrets = ["GITHUB_TOKEN", "APP_TOKEN", "APP_URL", "OPENAI_API_KEY"];
    assert_eq!(read(&secrets, &["*"], &secrets), ["null"; 4]);
    assert_eq!(
        read(&["APP_TOKEN"], &["APP_TOKEN"], &["APP_TOKEN"]),
        ["\"hunter2\""]
    );
    assert_eq!(
        read(&["PATH"], &["PATH"], &["path"]),
        ["null"],
        "another case is another name"
    );
}

fn weak_30_the_trail_tells_a_denied_variable_from_one_that_is_not_set() {
    let fixture = Fixture::with_env(&HOST);
    read_in(
        &fixture,
        &["LANG", "UNSET"],
        &["LANG", "UNSET"],
        &["LANG", "UNSET", "APP_MODE"],
    );
    // The guest asks for two of its own while it makes itself ready.
    let lines = fixture.trail.events().into_iter().skip(2);
    let told = lines.map(|(_, event)| {
        let Event::Decision(decision) = event else {
            panic!("{event:?}");
        };
        let failed = decision.effect.and_then(|effect| effect.failed);
        (decision.verdict, failed.map(|why| why.as_str().to_owned()))
    });
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            (Verdict::Allow, None),
            (Verdict::Allow, Some("it is not set".to_owned())),
            (Verdict::Deny, None),
        ]
    );
}

fn weak_12_a_rate_outlives_the_instance_and_refused_calls_count() {
    let fixture = Fixture::with_env(&HOST);
    let manifest = manifest(json!({ "env_vars": ["LANG"] }), json!({}));
    let grants = Grants {
        env: vec!["LANG".to_owned()],
        limits: Limits {
            // Two of which every instance takes while it makes itself ready.
            calls_per_minute: 7,
            ..Limits::default()
        },
        ..nothing()
    };
    let lang = json!({ "name": "LANG" });
    block_on(async {
        let first = session(&fixture, &manifest, grants.clone()).await;
        for _ in 0..3 {
            call(&first, "env", json!({ "name": "HOME" }))
                .await
                .unwrap();
        }
        let said = call(&first, "env", lang.clone()).await;
        assert_eq!(said.as_deref(), Ok("\"C\""), "the sixth");
        assert!(tried_crash(&first).await);
        let again = call(&first, "env", lang.clone()).await;
        assert_eq!(again.as_deref(), Ok("null"), "another instance");
        let second = session(&fixture, &manifest, grants).await;
        let loaded = call(&second, "env", lang).await;
        assert_eq!(loaded.as_deref(), Ok("null"), "loaded again");
    });
}

async fn tried_crash(session: &portcullis::Session) -> bool {
    super::tried(session, "crash", json!({})).await.is_err()
}
