//! Commands without a plugin, behind the same gate.

use std::sync::Arc;

use portcullis::audit::{DigestKey, Ended, Event, Memory, Outcome};
use portcullis::policy::{Code, Confinement, FsAccess, FsGrant};
use portcullis::{
    Ending, ExecAsk, Host, LoadError, Native, Output, OwnState, Ran, Status, Stdio, Tier,
};

use portcullis_testkit::tests;

use crate::fixture::{Fixture, block_on, directory, programs};

tests![
    it_is_confined_and_written_down,
    what_is_not_granted_does_not_run,
    files_of_the_host_are_granted_to_nobody,
    what_is_passed_on_has_the_same_digest_as_what_is_kept,
    one_that_nobody_listens_to_is_cut_off,
];

/// `sh -c` with full confinement.
fn shell(script: &str) -> Native {
    let mut grants = programs(&["sh"]);
    if let Some(exec) = &mut grants.exec {
        exec.confinement = Confinement::Full;
    }
    let ask = ExecAsk {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        ..ExecAsk::default()
    };
    Native {
        grants,
        ask,
        stdio: Stdio::default(),
    }
}

fn run(fixture: &Fixture, native: Native) -> Ran {
    block_on(fixture.host.exec("run", native)).unwrap()
}

/// How the command ended, as the trail has it.
fn outcomes(fixture: &Fixture) -> Vec<Outcome> {
    outcomes_of(&fixture.trail)
}

fn outcomes_of(trail: &Memory) -> Vec<Outcome> {
    let events = trail.events().into_iter();
    let outcome = |(_, event)| match event {
        Event::Outcome(outcome) => Some(outcome),
        _ => None,
    };
    events.filter_map(outcome).collect()
}

fn it_is_confined_and_written_down() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path().join("file"), "x").unwrap();
    let ran = run(&fixture, shell("cat file; exit 4"));
    assert!(
        matches!(ran.ending, Ending::Ended(Status::Exited(4))),
        "{ran:?}"
    );
    assert_eq!(ran.activity.commands[0].report.tier(), Tier::Full);
    let mut granted = shell("cat file");
    granted.grants.fs.push(read(&fixture.path()));
    let ran = run(&fixture, granted);
    assert!(
        matches!(ran.ending, Ending::Ended(Status::Exited(0))),
        "{ran:?}"
    );
    let ended: Vec<_> = outcomes(&fixture)
        .into_iter()
        .map(|outcome| outcome.ended)
        .collect();
    assert_eq!(ended, [Ended::Exited(4), Ended::Exited(0)]);
}

fn read(path: &std::path::Path) -> FsGrant {
    directory(path, ".", FsAccess::Read)
}

fn what_is_not_granted_does_not_run() {
    let fixture = Fixture::new();
    let mut native = shell("true");
    native.ask.program = "cat".to_owned();
    let ran = run(&fixture, native);
    assert!(matches!(ran.ending, Ending::NotRun), "{ran:?}");
    assert_eq!(ran.activity.denials[0].code, Code::ExecNoRule);
    let mut native = shell("true");
    native.grants.exec = None;
    let ran = run(&fixture, native);
    assert_eq!(ran.activity.denials[0].code, Code::ExecNotGranted);
}

fn files_of_the_host_are_granted_to_nobody() {
    let fixture = Fixture::new();
    let own_state = OwnState {
        secret: vec![fixture.path().join("keys")],
        protected: Vec::new(),
    };
    std::fs::create_dir(fixture.path().join("keys")).unwrap();
    std::fs::create_dir(fixture.path().join("work")).unwrap();
    let host = Host::builder().project(fixture.path()).own_state(own_state);
    let host = host.build().unwrap();
    let with = |name: &str| {
        let mut native = shell("true");
        native.grants.fs.push(read(&fixture.path().join(name)));
        block_on(host.exec("run", native))
    };
    assert!(matches!(with(""), Err(LoadError::OwnState { .. })));
    assert!(matches!(with("keys"), Err(LoadError::OwnState { .. })));
    assert!(with("work").is_ok());
}

fn what_is_passed_on_has_the_same_digest_as_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let trail = Arc::new(Memory::new());
    let host = Host::builder()
        .project(dir.path())
        .audit(trail.clone())
        .digest_key(DigestKey::open_or_create(&dir.path().join("keys")).unwrap());
    let host = host.build().unwrap();
    let mut native = shell("echo hi");
    let sink = || Output::Relay(Box::new(tokio::io::sink()));
    (native.stdio.stdout, native.stdio.stderr) = (sink(), sink());
    block_on(host.exec("run", native)).unwrap();
    block_on(host.exec("run", shell("echo hi"))).unwrap();
    let outcomes = outcomes_of(&trail);
    assert_eq!(outcomes[0].stdout_bytes, 3);
    assert!(outcomes[0].stdout_digest.is_some());
    assert_eq!(outcomes[0].stdout_digest, outcomes[1].stdout_digest);
    assert_ne!(outcomes[0].stdout_digest, outcomes[0].stderr_digest);
}

fn one_that_nobody_listens_to_is_cut_off() {
    let fixture = Fixture::new();
    let mut native = shell("trap '' PIPE; echo hi; sleep 600");
    let (out, nobody) = tokio::io::duplex(8);
    drop(nobody);
    native.stdio.stdout = Output::Relay(Box::new(out));
    let ran = run(&fixture, native);
    let Ending::CutOff(error) = &ran.ending else {
        panic!("{ran:?}")
    };
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(outcomes(&fixture)[0].ended, Ended::Cancelled);
}
