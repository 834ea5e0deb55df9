//! `portcullis:cli/kv`, called by a component.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::audit::{AppendError, Event, Head, Memory, Sink, Verdict};
use portcullis::policy::{FsAccess, Grants, KvGrant, KvOwner, KvSize, Limits, Origin, PluginId};
use portcullis::{Host, Instance, Source};

use crate::fixture::{args, block_on, directory, none};

portcullis_testkit::tests![
    what_was_set_is_kept_from_one_host_to_the_next,
    every_call_says_what_it_did,
    a_change_is_two_lines_in_the_trail_and_a_look_is_one_and_no_value_is_in_either,
    a_plugin_of_the_same_name_that_another_policy_or_file_vouches_for_sees_nothing,
    no_more_is_kept_than_was_granted_and_the_operator_is_told_what_would_allow_it,
    without_the_grant_the_plugin_is_not_loaded_or_denied_when_it_calls,
    refused_calls_count_against_the_rate,
    no_line_in_the_trail_no_change,
    what_has_no_line_after_it_was_done_the_guest_does_not_learn,
    a_host_without_a_directory_keeps_nothing_and_says_so,
    a_damaged_file_is_an_error_for_the_operator_and_is_left_as_it_is,
    no_grant_reaches_the_directory,
    instances_of_two_hosts_lose_nothing_of_each_other,
    wasi_keyvalue_is_the_same_state,
    wasi_keyvalue_needs_the_grant,
    a_batch_gives_no_more_at_once_than_a_host_can_hold,
];

fn owner(policy: &str, file: &str) -> KvOwner {
    KvOwner::Policy {
        policy: policy.into(),
        file: file.into(),
    }
}

fn kv(size: KvSize, owner: KvOwner) -> Grants {
    let origin = Origin::Code;
    Grants {
        kv: Some(KvGrant {
            size,
            owner,
            origin,
        }),
        ..none()
    }
}

fn granted() -> Grants {
    kv(KvSize::default(), owner("/policy", "/plugin"))
}

/// A place for state, in which hosts come and go.
struct Place {
    directory: tempfile::TempDir,
    trail: Arc<Memory>,
}

impl Place {
    fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            trail: Arc::default(),
        }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("kv")
    }

    fn host(&self) -> Host {
        self.host_with(self.trail.clone())
    }

    fn host_with(&self, sink: Arc<dyn Sink>) -> Host {
        let project = self.directory.path().join("project");
        std::fs::create_dir_all(&project).unwrap();
        Host::builder()
            .project(project)
            .audit(sink)
            .state(self.state())
            .build()
            .unwrap()
    }

    /// What the guest says, on a host of its own.
    fn says(&self, grants: Grants, calls: &[&str]) -> String {
        block_on(says(&self.host(), grants, calls)).0
    }

    /// What the guest says that uses `wasi:keyvalue`.
    fn foreign(&self, grants: Grants, calls: &[&str]) -> String {
        let bytes = portcullis_testkit::guest_bytes("keyvalue");
        block_on(async {
            let plugin = self.host().load(Source { bytes, grants }).await.unwrap();
            let mut instance = plugin.instantiate("test").await.unwrap();
            instance.run(&args(calls)).await.unwrap().unwrap()
        })
    }

    /// The one database.
    fn file(&self) -> PathBuf {
        let files = std::fs::read_dir(self.state()).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        files
            .find(|path| path.extension().is_some_and(|end| end == "db"))
            .unwrap()
    }
}

async fn instance(host: &Host, grants: Grants) -> Instance {
    let bytes = portcullis_testkit::guest_bytes("kv");
    let plugin = host.load(Source { bytes, grants }).await.unwrap();
    plugin.instantiate("test").await.unwrap()
}

/// What the guest says, and what the operator is told.
async fn says(host: &Host, grants: Grants, calls: &[&str]) -> (String, String) {
    let mut instance = instance(host, grants).await;
    let said = instance.run(&args(calls)).await.unwrap().unwrap();
    let activity = instance.activity();
    let denials = activity.denials.iter().map(|denial| {
        let (code, notes) = (denial.code, denial.notes.join("; "));
        format!("{code} {}: {notes}", denial.headline())
    });
    let told: Vec<_> = denials.chain(activity.failures.iter().cloned()).collect();
    (said, told.join("\n"))
}

fn what_was_set_is_kept_from_one_host_to_the_next() {
    let place = Place::new();
    assert_eq!(place.says(granted(), &["get a"]), "none");
    assert_eq!(place.says(granted(), &["set a 1", "get a"]), "set\n1");
    assert_eq!(place.says(granted(), &["get a"]), "1");
}

fn every_call_says_what_it_did() {
    let place = Place::new();
    let calls = [
        ("swap a - 1", "true"),
        ("swap a - 2", "false"),
        ("swap a 1 2", "true"),
        ("get a", "2"),
        ("set b 3", "set"),
        ("set ba 4", "set"),
        ("set c 5", "set"),
        ("list - - 10", "a,b,ba,c"),
        ("list b - 1", "b and more"),
        ("list b b 1", "ba"),
        ("list - - 0", " and more"),
        ("list - - 4294967295", "a,b,ba,c"),
        ("delete b", "true"),
        ("delete b", "false"),
        ("get b", "none"),
    ];
    let said = place.says(granted(), &calls.map(|(call, _)| call));
    let expected = calls.map(|(_, answer)| answer).join("\n");
    assert_eq!(said, expected);
}

fn a_change_is_two_lines_in_the_trail_and_a_look_is_one_and_no_value_is_in_either() {
    let place = Place::new();
    let calls = [
        "set key hunter2",
        "get key",
        "swap key hunter2 hunter3",
        "list - - 9",
        "delete key",
    ];
    place.says(granted(), &calls);
    let lines = place
        .trail
        .events()
        .into_iter()
        .map(|(_, event)| match event {
            Event::Decision(decision) => {
                assert_eq!(
                    (&*decision.capability, decision.verdict),
                    ("kv", Verdict::Allow)
                );
                let bytes = decision.effect.map(|effect| effect.bytes_in);
                format!(
                    "{} {} {bytes:?}",
                    decision.function.unwrap(),
                    decision.object.as_str()
                )
            }
            Event::Done(done) => format!("done {}", done.effect.bytes_out),
            other => panic!("{other:?}"),
        });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "set key None",
            "done 7",
            "get key Some(7)",
            "compare-and-swap key None",
            "done 7",
            "list  Some(3)",
            "delete key None",
            "done 0",
        ]
    );
    let lines = String::from_utf8(place.trail.lines()).unwrap();
    assert!(!lines.contains("hunter"), "{lines}");
}

fn a_plugin_of_the_same_name_that_another_policy_or_file_vouches_for_sees_nothing() {
    let place = Place::new();
    let with = |owner| kv(KvSize::default(), owner);
    let application = |name: &str| KvOwner::Application { name: name.into() };
    place.says(granted(), &["set secret 1"]);
    for other in [
        owner("/other", "/plugin"),
        owner("/policy", "/other"),
        owner("/plugin", "/policy"),
        application("/policy"),
        application(""),
    ] {
        let said = place.says(
            with(other.clone()),
            &["get secret", "list - - 9", "set secret 2"],
        );
        assert_eq!(said, "none\n\nset", "{other:?}");
    }
    let renamed = Grants {
        plugin: PluginId::new("other").unwrap(),
        ..granted()
    };
    assert_eq!(place.says(renamed, &["get secret"]), "none");
    assert_eq!(place.says(granted(), &["get secret"]), "1");
}

fn no_more_is_kept_than_was_granted_and_the_operator_is_told_what_would_allow_it() {
    let place = Place::new();
    let size = KvSize {
        bytes: 40,
        keys: 2,
        value: 30,
    };
    let grants = kv(size, owner("/policy", "/plugin"));
    let long = "k".repeat(257);
    let calls = [
        ("fill a 31", "failed: too-large"),
        ("fill a 30", "set"),
        ("fill b 9", "failed: full"),
        ("set b 1", "set"),
        ("set c 1", "failed: full"),
        ("swap c - 1", "failed: full"),
        (&format!("get {long}"), "failed: too-large"),
        ("get c", "none"),
    ];
    let (said, told) = block_on(says(&place.host(), grants, &calls.map(|(call, _)| call)));
    assert_eq!(said, calls.map(|(_, answer)| answer).join("\n"));
    for expected in [
        "P0442 plugin `guest` may not write `a` into its state: the value has 31 bytes, more than 30 (`kv.value`,",
        "P0443 plugin `guest` may not write `b` into its state: the state would have 41 bytes, more than 40 (`kv.bytes`,",
        "P0443 plugin `guest` may not write `c` into its state: the state would have more than 2 keys (`kv.keys`,",
    ] {
        assert!(told.contains(expected), "{told}");
    }
}

fn without_the_grant_the_plugin_is_not_loaded_or_denied_when_it_calls() {
    let place = Place::new();
    let host = place.host();
    let bytes = portcullis_testkit::guest_bytes("kv");
    let grants = none();
    let error = block_on(host.load(Source { bytes, grants })).unwrap_err();
    let told = error.diagnostic().notes.join("\n");
    let expected = "needs the `kv` grant; to allow state of its own: portcullis grant guest kv";
    assert!(told.contains(expected), "{told}");
    let late = Grants {
        late: true,
        ..none()
    };
    let calls = ["get a", "set a 1", "list - - 9", "delete a", "swap a - 1"];
    let (said, told) = block_on(says(&host, late, &calls));
    assert_eq!(said, ["failed: denied"; 5].join("\n"));
    assert_eq!(told.matches("P0441").count(), 5, "{told}");
    assert!(!place.state().exists(), "nothing was made");
}

fn refused_calls_count_against_the_rate() {
    let place = Place::new();
    let grants = Grants {
        limits: Limits {
            calls_per_minute: 5,
            ..Limits::default()
        },
        late: true,
        ..none()
    };
    let kept = Grants {
        kv: granted().kv,
        ..grants.clone()
    };
    let host = place.host();
    block_on(async {
        assert_eq!(says(&host, grants, &["again 9 a"]).await.0, "0", "denied");
        assert_eq!(says(&host, kept, &["again 9 a"]).await.0, "0", "spent");
    });
}

/// A trail that takes so many lines and no more.
struct Short(Memory, usize);

impl Sink for Short {
    fn append(&self, at: jiff::Timestamp, event: &Event) -> Result<Option<Head>, AppendError> {
        if self.0.events().len() == self.1 {
            return Err(AppendError::Write {
                path: "/trail".into(),
                source: std::io::Error::other("full"),
            });
        }
        self.0.append(at, event)
    }
}

fn no_line_in_the_trail_no_change() {
    let place = Place::new();
    let host = place.host_with(Arc::new(Short(Memory::default(), 0)));
    let calls = ["set a 1", "delete a", "swap a - 1", "get a"];
    let (said, _) = block_on(says(&host, granted(), &calls));
    assert_eq!(said, ["failed: io"; 4].join("\n"));
    assert_eq!(place.says(granted(), &["get a"]), "none");
}

fn what_has_no_line_after_it_was_done_the_guest_does_not_learn() {
    let place = Place::new();
    let host = place.host_with(Arc::new(Short(Memory::default(), 1)));
    let (said, told) = block_on(says(&host, granted(), &["swap a - 1"]));
    assert_eq!(said, "failed: io");
    assert!(told.contains("the audit trail cannot be written"), "{told}");
}

fn a_host_without_a_directory_keeps_nothing_and_says_so() {
    let project = tempfile::tempdir().unwrap();
    let host = Host::builder().project(project.path()).build().unwrap();
    let (said, told) = block_on(says(&host, granted(), &["get a", "set a 1"]));
    assert_eq!(said, ["failed: io"; 2].join("\n"));
    let expected =
        "plugin `guest` cannot use its state: this host has no directory for the state of plugins";
    assert!(told.contains(expected), "{told}");
}

fn a_damaged_file_is_an_error_for_the_operator_and_is_left_as_it_is() {
    let place = Place::new();
    place.says(granted(), &["set a 1"]);
    let file = place.file();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[100..200].fill(0xff);
    std::fs::write(&file, &bytes).unwrap();
    let (said, told) = block_on(says(&place.host(), granted(), &["get a", "set a 2"]));
    assert_eq!(said, ["failed: io"; 2].join("\n"));
    let expected = format!("`{}` is damaged", file.display());
    assert!(told.contains(&expected), "{told}");
    assert!(told.contains("move it away"), "{told}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}

fn no_grant_reaches_the_directory() {
    let place = Place::new();
    place.says(granted(), &["set a 1"]);
    let above = place.directory.path().to_owned();
    let link = above.join("project/link");
    std::os::unix::fs::symlink(place.state(), &link).unwrap();
    let load = |path: &Path| {
        let grants = Grants {
            fs: vec![directory(path, "d", FsAccess::Read)],
            ..none()
        };
        let bytes = portcullis_testkit::guest_bytes("kv");
        block_on(place.host().load(Source { bytes, grants })).unwrap_err()
    };
    for path in [place.state(), above, link] {
        let error = load(&path).diagnostic();
        assert_eq!(error.code, "P0607", "{}: {error:?}", path.display());
    }
}

fn instances_of_two_hosts_lose_nothing_of_each_other() {
    let place = Place::new();
    let (one, other) = (place.host(), place.host());
    let count = || ["count 25 n"];
    block_on(async {
        let calls = [count(), count(), count(), count()];
        let (a, b, c, d) = tokio::join!(
            says(&one, granted(), &calls[0]),
            says(&one, granted(), &calls[1]),
            says(&other, granted(), &calls[2]),
            says(&other, granted(), &calls[3]),
        );
        for said in [a, b, c, d] {
            assert_eq!(said.0, "counted");
        }
    });
    assert_eq!(place.says(granted(), &["get n"]), "100");
}

fn wasi_keyvalue_is_the_same_state() {
    let place = Place::new();
    place.says(granted(), &["set ours 1"]);
    let calls = [
        ("open -", "opened"),
        ("open other", "no such store"),
        ("get ours", "1"),
        ("set a 2", "set"),
        ("exists a", "true"),
        ("exists b", "false"),
        ("swap a 3", "swapped"),
        ("late a 4 5", "saw 3, then 4, swapped"),
        ("get a", "5"),
        ("late b 6 7", "saw none, then 6, swapped"),
        ("seen b 8 9", "saw 8, swapped"),
        ("add n 5", "5"),
        ("add n -7", "-2"),
        ("set n x", "set"),
        ("add n 1", "failed: not a number"),
        ("set-many x 1 y 2", "set"),
        ("get-many x z y", "x=1,no z,y=2"),
        ("delete-many x z", "deleted"),
        ("delete y", "deleted"),
        ("delete y", "deleted"),
        ("keys -", "a,b,n,ours"),
        ("keys b", "n,ours"),
        (&format!("set {} 1", "k".repeat(257)), "failed: too large"),
    ];
    let said = place.foreign(granted(), &calls.map(|(call, _)| call));
    assert_eq!(said, calls.map(|(_, answer)| answer).join("\n"));
    assert_eq!(place.says(granted(), &["list - - 9"]), "a,b,n,ours");
}

fn wasi_keyvalue_needs_the_grant() {
    let place = Place::new();
    let bytes = portcullis_testkit::guest_bytes("keyvalue");
    let grants = none();
    let error = block_on(place.host().load(Source { bytes, grants })).unwrap_err();
    let told = error.diagnostic().notes.join("\n");
    assert_eq!(told.matches("needs the `kv` grant").count(), 3, "{told}");
    let late = Grants {
        late: true,
        ..none()
    };
    let said = place.foreign(late, &["get a", "set a 1", "add a 1", "swap a 1"]);
    assert_eq!(said, ["access denied"; 4].join("\n"));
}

fn a_batch_gives_no_more_at_once_than_a_host_can_hold() {
    let place = Place::new();
    let size = KvSize {
        value: 12 << 20,
        bytes: 13 << 20,
        ..KvSize::default()
    };
    let grants = kv(size, owner("/policy", "/plugin"));
    let filled = place.says(grants.clone(), &["fill a 12582912"]);
    assert_eq!(filled, "set");
    let calls = ["get-many a a a", "exists a"];
    assert_eq!(place.foreign(grants, &calls), "failed: too large\ntrue");
}
