//! `portcullis:cli/env`, called by a component.

use portcullis::audit::{Event, Verdict};
use portcullis::policy::{Grants, Limits};

use crate::fixture::{Fixture, args, block_on, none};

portcullis_testkit::tests![
    what_was_granted_is_read,
    what_was_not_granted_looks_as_if_it_were_not_set_and_the_trail_tells_them_apart,
    no_value_is_written_into_the_trail,
    without_the_grant_the_plugin_is_not_loaded,
    refused_calls_count_too_and_a_new_instance_has_no_more_of_them,
    names_of_any_length_are_answered_and_the_trail_keeps_the_beginning,
];

const HOST: [(&str, &str); 4] = [
    ("HOME", "/nonexistent"),
    ("APP_MODE", "fast"),
    ("APP_TOKEN", "hunter2"),
    ("LANG", "C"),
];

fn granted(names: &[&str]) -> Grants {
    Grants {
        env: names.iter().map(|&name| name.to_owned()).collect(),
        ..none()
    }
}

/// What the guest says of these variables, and what the trail does: allowed or not, and what came of it.
fn read(grants: Grants, names: &[&str]) -> (String, Vec<(Verdict, Option<String>)>) {
    let fixture = Fixture::with_env(&HOST);
    let said = block_on(async {
        let mut instance = fixture.instance("env", grants).await;
        instance.run(&args(names)).await.unwrap().unwrap()
    });
    let lines = fixture.trail.events().into_iter().map(|(_, event)| {
        let Event::Decision(decision) = event else {
            panic!("a use of `env` is one line: {event:?}");
        };
        assert_eq!(decision.capability, "env");
        assert_eq!(decision.function.as_deref(), Some("get"));
        let failed = decision.effect.and_then(|effect| effect.failed);
        (decision.verdict, failed.map(|why| why.as_str().to_owned()))
    });
    (said, lines.collect())
}

fn what_was_granted_is_read() {
    let (said, lines) = read(granted(&["APP_*", "APP_TOKEN"]), &["APP_MODE", "APP_TOKEN"]);
    assert_eq!(said, "APP_MODE=fast\nAPP_TOKEN=hunter2");
    assert_eq!(lines, [(Verdict::Allow, None), (Verdict::Allow, None)]);
}

fn what_was_not_granted_looks_as_if_it_were_not_set_and_the_trail_tells_them_apart() {
    let (said, lines) = read(granted(&["APP_*"]), &["APP_UNSET", "APP_TOKEN", "LANG"]);
    assert_eq!(
        said,
        "APP_UNSET is not there\nAPP_TOKEN is not there\nLANG is not there"
    );
    let unset = Some("it is not set".to_owned());
    let denied = (Verdict::Deny, None);
    assert_eq!(lines, [(Verdict::Allow, unset), denied.clone(), denied]);
}

fn no_value_is_written_into_the_trail() {
    let fixture = Fixture::with_env(&HOST);
    block_on(async {
        let mut instance = fixture.instance("env", granted(&["APP_TOKEN"])).await;
        let said = instance.run(&args(&["APP_TOKEN"])).await.unwrap().unwrap();
        assert_eq!(said, "APP_TOKEN=hunter2");
    });
    let lines = String::from_utf8(fixture.trail.lines()).unwrap();
    assert!(
        lines.contains("APP_TOKEN") && !lines.contains("hunter2"),
        "{lines}"
    );
}

fn without_the_grant_the_plugin_is_not_loaded() {
    let fixture = Fixture::with_env(&HOST);
    let error = block_on(fixture.load("env", none())).unwrap_err();
    let told = error.diagnostic().notes.join("\n");
    assert!(
        told.contains(
            "needs the `env` grant; to allow a variable: portcullis grant guest env <name>"
        ),
        "{told}"
    );
}

fn refused_calls_count_too_and_a_new_instance_has_no_more_of_them() {
    let grants = Grants {
        limits: Limits {
            calls_per_minute: 5,
            ..Limits::default()
        },
        ..granted(&["LANG"])
    };
    let fixture = Fixture::with_env(&HOST);
    let answered = |name| {
        let grants = grants.clone();
        let fixture = &fixture;
        async move {
            let mut instance = fixture.instance("env", grants).await;
            instance
                .run(&args(&["again", "9", name]))
                .await
                .unwrap()
                .unwrap()
        }
    };
    block_on(async {
        assert_eq!(answered("HOME").await, "5", "all of them refused");
        assert_eq!(answered("LANG").await, "0", "loaded again");
    });
}

fn names_of_any_length_are_answered_and_the_trail_keeps_the_beginning() {
    let long = "A\u{e9}".repeat(100_000);
    let (said, _) = read(granted(&["A*"]), &[&long]);
    assert!(said.ends_with(" is not there"));
}
