//! Caches between commands: kept for those that could do the same, and for nobody else.

use std::fs;
use std::path::Path;
use std::time::Instant;

use portcullis_exec::care::TreeNote;
use portcullis_exec::{
    CACHE_VARIABLES, CacheOwner, Cleared, Completed, ExecAsk, Executor, ExecutorOptions, Helper,
    Status, caches, clear_caches,
};
use portcullis_policy::{
    Confinement, FsAccess, HostRule, Narrowing, Net, PluginId, ProgramRule, RuleId,
};
use tempfile::TempDir;

use crate::fixture::{Plugin, ask, grant, shell};

crate::tests![
    what_one_command_leaves_the_next_finds,
    nothing_is_kept_unless_everything_says_so,
    whoever_could_do_something_else_has_another,
    what_changes_no_right_changes_no_cache,
    nothing_in_it_is_executed,
    it_is_all_that_is_there_of_the_hosts_own,
    what_is_too_much_is_emptied,
    what_is_in_use_is_not_emptied,
    it_can_be_cleared,
    a_plugin_has_no_more_than_sixteen,
    variables_lead_to_it_unless_something_else_is_granted,
];

const MIB: u64 = 1 << 20;
/// Says what was there, and leaves something behind.
const LEAVE: &str = "cd \"$XDG_CACHE_HOME\" || exit 9; cat left 2>/dev/null; echo one > left";

/// An executor with a place for caches, which is no plugin's.
struct Keeping {
    place: TempDir,
    executor: Executor,
}

impl Keeping {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let executor = start(place.path());
        Self { place, executor }
    }

    async fn run(&self, plugin: &Plugin, owner: Option<CacheOwner>, ask: ExecAsk) -> Completed {
        let (authorized, opened) = plugin.decide(&ask).unwrap();
        let permit = plugin.quota.begin(Instant::now()).unwrap();
        let permit = permit.with_caches_of(owner);
        let run = self.executor.run(authorized, opened, None, None, permit);
        run.await.unwrap()
    }

    /// What a command of the plugin's first version says that ends well.
    async fn output(&self, plugin: &Plugin, script: &str) -> String {
        said(self.run(plugin, owner(plugin, "v1"), shell(script)).await)
    }
}

fn start(place: &Path) -> Executor {
    let mut options = ExecutorOptions::default();
    options.caches = Some(place.join("caches"));
    Executor::start(Helper::find(None).unwrap(), &options).unwrap()
}

fn said(completed: Completed) -> String {
    assert_eq!(completed.status, Status::Exited(0), "{completed:?}");
    String::from_utf8(completed.stdout).unwrap()
}

fn owner(plugin: &Plugin, digest: &str) -> Option<CacheOwner> {
    Some(CacheOwner {
        plugin: plugin.grants.plugin.clone(),
        digest: digest.to_owned(),
    })
}

fn plugin() -> Plugin {
    let mut plugin = Plugin::new(&["sh", "bash"]);
    plugin.exec().cache = Some(MIB);
    plugin
}

async fn what_one_command_leaves_the_next_finds() {
    let (mut keeping, plugin) = (Keeping::new(), plugin());
    assert_eq!(keeping.output(&plugin, LEAVE).await, "");
    assert_eq!(keeping.output(&plugin, LEAVE).await, "one\n");
    // Another process of the host finds it too.
    keeping.executor = start(keeping.place.path());
    assert_eq!(keeping.output(&plugin, LEAVE).await, "one\n");
    let [kept] = &caches(&keeping.place.path().join("caches")).unwrap()[..] else {
        panic!("there is not one cache");
    };
    assert_eq!(fs::read_to_string(kept.path.join("left")).unwrap(), "one\n");
    let place = keeping.place.path().join("caches");
    for private in [&place, &place.join("plugin"), kept.path.parent().unwrap()] {
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(private).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700, "{}", private.display());
    }
}

async fn nothing_is_kept_unless_everything_says_so() {
    let script = "echo ${XDG_CACHE_HOME-none}";
    let keeping = Keeping::new();
    let kept = plugin();
    let of = |plugin: &Plugin| owner(plugin, "v1");
    let mut not_written = plugin();
    not_written.exec().cache = None;
    let mut nothing = plugin();
    nothing.exec().cache = Some(0);
    let mut taken_away = plugin();
    taken_away.exec().allow[0].narrowing = Narrowing {
        cache: Some(false),
        ..Narrowing::default()
    };
    let mut unconfined = plugin();
    unconfined.exec().confinement = Confinement::Limits;
    for plugin in [&not_written, &nothing, &taken_away, &unconfined] {
        let ran = keeping.run(plugin, of(plugin), shell(script)).await;
        // Where the home is not the cell's own, it leads elsewhere, but not to a place that is kept.
        let place = said(ran);
        assert!(
            ["none\n", "/tmp/.cache\n"].contains(&place.as_str()),
            "{place}"
        );
    }
    let ran = keeping.run(&kept, None, shell(script)).await;
    assert_eq!(said(ran), "/tmp/.cache\n");
    assert_eq!(
        kept.output(shell(script)).await,
        "/tmp/.cache\n",
        "no place"
    );
    assert!(!keeping.place.path().join("caches").exists());
    let place = keeping.output(&kept, script).await;
    assert!(
        place.starts_with(keeping.place.path().to_str().unwrap()),
        "{place}"
    );
}

/// Everything that a plan or an environment can differ by.
async fn whoever_could_do_something_else_has_another() {
    let keeping = Keeping::new();
    let mut plugin = plugin();
    let (one, two) = (plugin.make_dir("one"), plugin.make_dir("two"));
    fs::create_dir(one.join("sub")).unwrap();
    plugin.grants.fs = vec![grant(&one, "/one", FsAccess::ReadWrite)];
    let left = async |plugin: &Plugin, digest: &str, ask: ExecAsk| {
        said(keeping.run(plugin, owner(plugin, digest), ask).await)
    };
    assert_eq!(left(&plugin, "v1", shell(LEAVE)).await, "");
    let rule = |plugin: &mut Plugin, change: &dyn Fn(&mut ProgramRule)| {
        change(&mut plugin.exec().allow[0]);
    };
    type Change<'a> = (&'a str, Box<dyn Fn(&mut Plugin) + 'a>);
    let changes: Vec<Change<'_>> = vec![
        (
            "another plugin",
            Box::new(|p| p.grants.plugin = PluginId::new("other").unwrap()),
        ),
        (
            "another rule",
            Box::new(|p| rule(p, &|rule| rule.id = RuleId("other".into()))),
        ),
        (
            "a second rule",
            Box::new(|p| {
                let mut more = ProgramRule::any_arguments("sh");
                more.id = RuleId("more".into());
                p.exec().allow.push(more);
            }),
        ),
        ("less to read", Box::new(|p| p.grants.fs = vec![])),
        (
            "more to read",
            Box::new(|p| p.grants.fs.push(grant(&two, "/two", FsAccess::Read))),
        ),
        (
            "another to write",
            Box::new(|p| p.grants.fs = vec![grant(&two, "/two", FsAccess::ReadWrite)]),
        ),
        (
            "only read",
            Box::new(|p| p.grants.fs = vec![grant(&one, "/one", FsAccess::Read)]),
        ),
        (
            "a narrower rule",
            Box::new(|p| {
                rule(p, &|rule| {
                    rule.narrowing.write = Some(vec![one.join("sub")])
                })
            }),
        ),
        (
            "what was written executed",
            Box::new(|p| p.exec().write_exec = vec!["target".into()]),
        ),
        (
            "hosts",
            Box::new(|p| {
                p.grants.net = Net::Hosts(vec![HostRule::parse("a.example:443").unwrap()]);
            }),
        ),
        ("loopback", Box::new(|p| p.grants.net = Net::Loopback)),
        ("the network", Box::new(|p| p.grants.net = Net::Open)),
        (
            "fewer programs",
            Box::new(|p| {
                rule(p, &|rule| {
                    let cat = portcullis_policy::ProgramRef::parse("cat").unwrap();
                    rule.narrowing.exec = Some(vec![cat]);
                })
            }),
        ),
        (
            "no longer protected",
            Box::new(|p| {
                p.grants.protect.lift(".envrc");
            }),
        ),
    ];
    let original = plugin.grants.clone();
    for (what, change) in &changes {
        change(&mut plugin);
        assert_eq!(left(&plugin, "v1", shell(LEAVE)).await, "", "{what}");
        assert_eq!(
            left(&plugin, "v1", shell(LEAVE)).await,
            "one\n",
            "{what}, again"
        );
        plugin.grants = original.clone();
        let control = left(&plugin, "v1", shell(LEAVE)).await;
        assert_eq!(control, "one\n", "{what}, the control");
    }
    assert_eq!(
        left(&plugin, "v2", shell(LEAVE)).await,
        "",
        "another version"
    );
    let with_secret = ExecAsk {
        env: vec![("TOKEN".into(), "secret".into())],
        ..shell(LEAVE)
    };
    assert_eq!(left(&plugin, "v1", with_secret).await, "", "a secret");
    assert_eq!(
        left(&plugin, "v1", ask("bash", &["-c", LEAVE])).await,
        "",
        "another program"
    );
    assert_eq!(
        left(&plugin, "v1", shell(LEAVE)).await,
        "one\n",
        "the control"
    );
}

async fn what_changes_no_right_changes_no_cache() {
    let (keeping, mut plugin) = (Keeping::new(), plugin());
    let with = |value: &str| ExecAsk {
        env: vec![("NAME".into(), value.into())],
        ..shell(LEAVE)
    };
    let first = keeping
        .run(&plugin, owner(&plugin, "v1"), with("one"))
        .await;
    assert_eq!(said(first), "");
    plugin.exec().cache = Some(2 * MIB);
    plugin.exec().allow[0].narrowing.memory = Some(1 << 30);
    plugin.exec().allow[0].narrowing.processes = Some(100);
    let again = keeping
        .run(&plugin, owner(&plugin, "v1"), with("two"))
        .await;
    assert_eq!(said(again), "one\n");
}

async fn nothing_in_it_is_executed() {
    let (keeping, mut plugin) = (Keeping::new(), plugin());
    plugin.exec().write_exec = vec![".".into(), "files".into()];
    plugin.grants.fs = vec![grant(plugin.place.project(), "/p", FsAccess::ReadWrite)];
    let script = "cp /bin/true \"$1/program\" && \"$1/program\"; echo $?; \
                  printf '#!/bin/sh\\n' > \"$1/script\"; chmod 755 \"$1/script\"; \"$1/script\"; echo $?; \
                  for loader in /lib*/ld-linux-*.so.*; do break; done; $loader \"$1/program\" 2>/dev/null; [ $? = 0 ] && echo loaded || echo refused";
    let run = |place: &str| {
        let script = format!("set -- {place}; {script}");
        let run = keeping.run(&plugin, owner(&plugin, "v1"), ask("sh", &["-c", &script]));
        async { said(run.await) }
    };
    assert_eq!(run("\"$XDG_CACHE_HOME\"").await, "126\n126\nrefused\n");
    let project = plugin.place.project().display().to_string();
    assert_eq!(run(&project).await, "0\n0\nloaded\n", "the control");
}

async fn it_is_all_that_is_there_of_the_hosts_own() {
    let (keeping, one) = (Keeping::new(), plugin());
    let mut other = plugin();
    other.grants.plugin = PluginId::new("other").unwrap();
    let place = keeping
        .output(
            &one,
            "echo secret > \"$XDG_CACHE_HOME/secret\"; echo \"$XDG_CACHE_HOME\"",
        )
        .await;
    let place = place.trim_end();
    let read = format!("cat {place}/secret");
    assert_eq!(keeping.output(&one, &read).await, "secret\n", "the control");
    let ran = keeping.run(&other, owner(&other, "v1"), shell(&read)).await;
    assert_ne!(ran.status, Status::Exited(0));
    // Neither the lock, nor what is said of it, nor the caches of others; what it makes beside it is the cell's own.
    let around =
        "cd \"$XDG_CACHE_HOME/..\"; ls -A; ls -A ..; ls -A ../..; echo x > new; echo x > ../new; :";
    let around = keeping.output(&other, around).await;
    let lines: Vec<_> = around.lines().collect();
    let [files, key, plugin] = lines[..] else {
        panic!("{around}");
    };
    assert_eq!((files, plugin), ("files", "other"));
    let caches = keeping.place.path().join("caches/other");
    let names = |path: &Path| {
        let entries = fs::read_dir(path).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&caches), [key]);
    assert_eq!(names(&caches.join(key)), ["about.json", "files", "lock"]);
}

/// The notes of a cache that was emptied.
fn emptied(completed: &Completed) -> bool {
    let mut notes = completed.trees.iter();
    notes.any(|note| matches!(note, TreeNote::CacheEmptied { why: None, .. }))
}

async fn what_is_too_much_is_emptied() {
    let (keeping, plugin) = (Keeping::new(), plugin());
    let fill = |kib: u64, then: &str| {
        let script = format!(
            "cd \"$XDG_CACHE_HOME\"; ls; mkdir -p a/b; head -c {}k /dev/zero > a/b/file; {then}",
            kib
        );
        keeping.run(&plugin, owner(&plugin, "v1"), ask("sh", &["-c", &script]))
    };
    let little = fill(500, "").await;
    assert!(!emptied(&little), "{little:?}");
    let much = fill(2000, "chmod 0 a/b a .").await;
    assert_eq!(String::from_utf8_lossy(&much.stdout), "a\n");
    assert!(emptied(&much), "{:?}", much.trees);
    let after = fill(1, "").await;
    assert_eq!(said(after), "");
    // A file that says that it is large takes no room.
    let sparse = fill(1, "truncate -s 1G sparse").await;
    assert!(!emptied(&sparse), "{:?}", sparse.trees);
}

async fn what_is_in_use_is_not_emptied() {
    let (keeping, plugin) = (Keeping::new(), plugin());
    let run = |script: &'static str| keeping.run(&plugin, owner(&plugin, "v1"), shell(script));
    let waits = run("cd \"$XDG_CACHE_HOME\"; mkfifo pipe; read line < pipe; ls");
    let others = async {
        let fills =
            "cd \"$XDG_CACHE_HOME\"; until [ -p pipe ]; do :; done; head -c 2M /dev/zero > large";
        let filled = run(fills).await;
        assert!(!emptied(&filled), "{:?}", filled.trees);
        let cleared = clear_caches(&keeping.place.path().join("caches"), None).unwrap();
        assert_eq!((cleared.removed, cleared.in_use), (0, 1));
        run("cd \"$XDG_CACHE_HOME\"; ls; echo > pipe").await
    };
    let (waited, released) = tokio::join!(waits, others);
    assert_eq!(String::from_utf8_lossy(&released.stdout), "large\npipe\n");
    assert_eq!(String::from_utf8_lossy(&waited.stdout), "large\npipe\n");
    assert!(emptied(&waited) || emptied(&released));
    assert_eq!(said(run("ls \"$XDG_CACHE_HOME\"").await), "");
}

async fn it_can_be_cleared() {
    let (keeping, plugin) = (Keeping::new(), plugin());
    let place = keeping.place.path().join("caches");
    assert!(caches(&place).unwrap().is_empty());
    assert_eq!(clear_caches(&place, None).unwrap(), Cleared::default());
    assert_eq!(keeping.output(&plugin, LEAVE).await, "");
    let [kept] = &caches(&place).unwrap()[..] else {
        panic!("there is not one cache");
    };
    assert_eq!((kept.plugin.as_str(), kept.files), ("plugin", 1));
    assert!(kept.program.is_absolute() && !kept.in_use, "{kept:?}");
    assert_eq!(kept.rules, ["sh"]);
    let other = PluginId::new("other").unwrap();
    assert_eq!(clear_caches(&place, Some(&other)).unwrap().removed, 0);
    assert_eq!(
        clear_caches(&place, Some(&plugin.grants.plugin))
            .unwrap()
            .removed,
        1
    );
    assert!(!kept.path.exists());
    // The host that knew it makes another.
    assert_eq!(keeping.output(&plugin, LEAVE).await, "");
    assert_eq!(keeping.output(&plugin, LEAVE).await, "one\n");
}

async fn a_plugin_has_no_more_than_sixteen() {
    let (keeping, mut plugin) = (Keeping::new(), plugin());
    plugin.limit(|limits| limits.spawns_per_minute = 1000);
    let named = |number: usize| ExecAsk {
        env: vec![(format!("NAME_{number}"), String::new())],
        ..shell(LEAVE)
    };
    let mut other = self::plugin();
    other.grants.plugin = PluginId::new("other").unwrap();
    assert_eq!(keeping.output(&other, LEAVE).await, "");
    for number in 0..18 {
        // The first one is used all the time.
        for (which, expected) in [(number, ""), (0, "one\n")] {
            let ran = keeping
                .run(&plugin, owner(&plugin, "v1"), named(which))
                .await;
            let expected = if which == 0 && number > 0 {
                "one\n"
            } else {
                expected
            };
            assert_eq!(said(ran), expected, "{number} {which}");
        }
    }
    let of_plugin = caches(&keeping.place.path().join("caches")).unwrap();
    let count = |plugin: &str| {
        of_plugin
            .iter()
            .filter(|kept| kept.plugin == plugin)
            .count()
    };
    assert_eq!((count("plugin"), count("other")), (16, 1));
    let left = keeping.run(&plugin, owner(&plugin, "v1"), named(1)).await;
    assert_eq!(said(left), "", "it was unused for the longest time");
    assert_eq!(keeping.output(&other, LEAVE).await, "one\n");
}

async fn variables_lead_to_it_unless_something_else_is_granted() {
    let host_env = [("HOME", "/var/tmp/ann")];
    let mut plugin = Plugin::with_host_env(&["sh"], &host_env);
    plugin.exec().cache = Some(MIB);
    plugin.exec().allow_dangerous_env = vec!["XDG_CACHE_HOME".into()];
    let keeping = Keeping::new();
    let names = CACHE_VARIABLES
        .map(|name| format!("${{{name}-none}}"))
        .join(" ");
    let script = format!(
        "for place in {names}; do case $place in */files*) echo \"files${{place##*/files}}\";; *) echo \"$place\";; esac; done"
    );
    let said_by = |env: Vec<(String, String)>| {
        let ask = ExecAsk {
            env,
            ..shell(&script)
        };
        let run = keeping.run(&plugin, owner(&plugin, "v1"), ask);
        async { said(run.await) }
    };
    assert_eq!(
        said_by(vec![]).await,
        "files\nfiles/npm\nfiles/cargo\nfiles/go/mod\n"
    );
    let own = ("XDG_CACHE_HOME".to_owned(), "/tmp/own".to_owned());
    assert_eq!(
        said_by(vec![own]).await,
        "/tmp/own\nfiles/npm\nfiles/cargo\nfiles/go/mod\n"
    );
    let home = plugin.make_dir("home");
    fs::create_dir_all(home.join(".cargo/registry")).unwrap();
    let home = home.to_str().unwrap().to_owned();
    let place = portcullis_exec::Place::open(
        plugin.place.project(),
        portcullis_policy::HostEnvironment::new([("HOME".to_owned(), home.clone())].into()),
    );
    plugin.place = place.unwrap();
    let registry = Path::new(&home).join(".cargo/registry");
    plugin.grants.fs = vec![grant(&registry, "/registry", FsAccess::Read)];
    let ran = keeping
        .run(&plugin, owner(&plugin, "v1"), shell(&script))
        .await;
    assert_eq!(said(ran), "files\nfiles/npm\nnone\nfiles/go/mod\n");
}
