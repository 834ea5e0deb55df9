//! `[audit]`: where the trail is passed on to.

use portcullis_config::{Forwarded, ForwardedEvents, Trust};

use crate::support::Project;

const DEFAULTS: Forwarded = Forwarded {
    events: ForwardedEvents::Denials,
    head_every: 100,
    required: false,
};

#[test]
fn nothing_is_passed_on_that_is_not_written() {
    let project = Project::new();
    let policy = project.load(&[project.trusted("")]).unwrap();
    assert_eq!(*policy.audit(), Default::default());
}

#[test]
fn each_key_has_its_effect_and_of_two_layers_the_later_holds() {
    let project = Project::new();
    let first = "[audit]\nsyslog = {}\notlp = { endpoint = \"http://127.0.0.1:4318/v1/logs\" }\n";
    let later = "[audit]\nsyslog = { socket = \"/run/log\", events = \"all\", head_every = 7, required = true }\n";
    let load = |layers: &[_]| project.load(layers).unwrap().audit().clone();
    let forwards = load(&[project.trusted(first)]);
    assert_eq!(forwards.syslog, Some(("/dev/log".into(), DEFAULTS)));
    let otlp = Some(("http://127.0.0.1:4318/v1/logs".to_owned(), DEFAULTS));
    assert_eq!(forwards.otlp, otlp);
    let both = load(&[
        project.trusted(first),
        project.named("later.toml", later, Trust::Trusted),
    ]);
    let changed = Forwarded {
        events: ForwardedEvents::All,
        head_every: 7,
        required: true,
    };
    assert_eq!(both.syslog, Some(("/run/log".into(), changed)));
    assert_eq!(both.otlp, otlp);
}

#[test]
fn what_means_nothing_is_a_mistake_and_no_password_is_repeated() {
    let project = Project::new();
    for (text, code) in [
        ("syslog = { socket = \"log\" }", "P0104"),
        ("syslog = { head_every = 0 }", "P0102"),
        ("syslog = { events = \"some\" }", "P0102"),
        ("syslog = { soket = \"/dev/log\" }", "P0101"),
        ("otlp = {}", "P0102"),
        ("otlp = { endpoint = \"https://hunter2/v1/logs\" }", "P0105"),
        ("otlp = { endpoint = \"http://me:hunter2@h/\" }", "P0105"),
    ] {
        let mistakes = project.mistakes(&[project.trusted(&format!("[audit]\n{text}\n"))]);
        assert!(mistakes.contains(code), "{text}: {mistakes}");
        assert!(!mistakes.contains("hunter2"), "{mistakes}");
        assert_eq!(mistakes.matches("error[").count(), 1, "{mistakes}");
    }
}

#[test]
fn a_file_that_is_not_trusted_passes_nothing_on() {
    let project = Project::new();
    let mistakes = project.mistakes(&[project.found("[audit]\nsyslog = {}\n")]);
    assert!(mistakes.contains("P0107"), "{mistakes}");
}
