//! Each right of a command, seen from inside its cell: what it gives, and what there is without it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use portcullis_exec::{ExecFailure, ExecutorOptions, Helper, Status};
use portcullis_policy::{Confinement, FsAccess, HostRule, Net, ProgramRef, ProgramRule};

use crate::fixture::{Plugin, Refused, grant, shell};

crate::tests![
    reading,
    writing,
    executing_what_was_written,
    a_place_to_execute_in_is_made,
    what_one_command_made_is_kept_from_the_next,
    toolchains_outside_the_system,
    other_programs,
    processes,
    no_network,
    a_network_of_its_own,
    the_hosts_network,
    granted_hosts_through_a_proxy_of_its_own,
    a_home,
    certificates,
];

/// A rule for `sh`, to be narrowed.
fn narrow(plugin: &mut Plugin, change: impl FnOnce(&mut portcullis_policy::Narrowing)) {
    let mut rule = ProgramRule::any_arguments("sh");
    change(&mut rule.narrowing);
    plugin.exec().allow = vec![rule];
}

/// A plugin with two directories, which are not its project.
fn plugin() -> Plugin {
    let plugin = Plugin::new(&["sh"]);
    for name in ["one", "two"] {
        let dir = plugin.make_dir(name);
        fs::write(dir.join("file"), name).unwrap();
    }
    plugin
}

fn granted(plugin: &Plugin, access: FsAccess) -> Vec<portcullis_policy::FsGrant> {
    ["one", "two"]
        .iter()
        .map(|name| grant(&plugin.path(name), &format!("/{name}"), access))
        .collect()
}

async fn succeeds(plugin: &Plugin, script: &str) -> bool {
    let status = plugin.status(&format!("({script}) 2>/dev/null")).await;
    status == Status::Exited(0)
}

async fn reading() {
    let mut plugin = plugin();
    plugin.grants.fs = granted(&plugin, FsAccess::Read);
    let read = |name| format!("cat {}", plugin.path(name).join("file").display());
    let (one, two) = (read("one"), read("two"));
    assert!(succeeds(&plugin, &one).await && succeeds(&plugin, &two).await);
    let only = plugin.path("one");
    narrow(&mut plugin, |rule| rule.read = Some(vec![only]));
    assert!(succeeds(&plugin, &one).await && !succeeds(&plugin, &two).await);
    plugin.grants.fs.clear();
    assert!(!succeeds(&plugin, &one).await);
}

async fn writing() {
    let mut plugin = plugin();
    plugin.grants.fs = granted(&plugin, FsAccess::ReadWrite);
    let write = |name| format!("echo x > {}", plugin.path(name).join("new").display());
    let (one, two) = (write("one"), write("two"));
    assert!(succeeds(&plugin, &one).await && succeeds(&plugin, &two).await);
    assert!(plugin.path("one/new").exists(), "it is the real one");
    let only = plugin.path("one");
    narrow(&mut plugin, |rule| rule.write = Some(vec![only]));
    assert!(succeeds(&plugin, &one).await && !succeeds(&plugin, &two).await);
    plugin.grants.fs = granted(&plugin, FsAccess::Read);
    assert!(!succeeds(&plugin, &one).await);
}

fn copy_and_run(plugin: &Plugin, place: &str) -> String {
    let copy = plugin.path(place).join("copy");
    format!(
        "mkdir -p {0} && cp /bin/true {1} && chmod 755 {1} && {1}",
        plugin.path(place).display(),
        copy.display()
    )
}

async fn executing_what_was_written() {
    let mut plugin = plugin();
    plugin.grants.fs = granted(&plugin, FsAccess::ReadWrite);
    let target = plugin.path("one/target");
    fs::create_dir(&target).unwrap();
    let (inside, beside) = (
        copy_and_run(&plugin, "one/target"),
        copy_and_run(&plugin, "one"),
    );
    assert!(!succeeds(&plugin, &inside).await, "without the right");
    plugin.exec().write_exec = vec!["target".into()];
    assert!(succeeds(&plugin, &inside).await);
    assert!(!succeeds(&plugin, &beside).await, "elsewhere");
    narrow(&mut plugin, |rule| rule.write_exec = Some(vec![]));
    assert!(!succeeds(&plugin, &inside).await, "taken away");
}

/// A first build finds its directory.
async fn a_place_to_execute_in_is_made() {
    let mut plugin = plugin();
    plugin.grants.fs = granted(&plugin, FsAccess::ReadWrite);
    plugin.exec().write_exec = vec!["target".into(), "no/such/place".into()];
    assert!(!plugin.path("one/target").exists());
    let script = copy_and_run(&plugin, "one/target");
    assert!(succeeds(&plugin, &script).await);
    assert!(plugin.path("one/target/copy").exists());
    assert!(!plugin.path("one/no").exists(), "only the last part");
}

/// A repository that was not there when the plan was made: its hooks and its configuration are executed by others.
async fn what_one_command_made_is_kept_from_the_next() {
    let mut plugin = Plugin::new(&["sh", "git"]);
    let project = plugin.place.project().to_owned();
    plugin.grants.fs = vec![grant(&project, "/project", FsAccess::ReadWrite)];
    let hook = "inner/.git/hooks/pre-commit";
    let plant = format!("echo evil > {hook}");
    let write = "echo x > inner/file && echo x > inner/.git/description";
    let made = "git init -q inner && mkdir -p inner/.git/hooks";
    assert!(succeeds(&plugin, made).await);
    assert!(succeeds(&plugin, write).await, "the control");
    for evil in [
        plant.as_str(),
        "echo '[core] fsmonitor = evil' >> inner/.git/config",
        "mv inner/.git inner/moved",
        "mv inner/.git/hooks inner/.git/moved",
        "mv inner moved",
    ] {
        assert!(!succeeds(&plugin, evil).await, "{evil}");
    }
    assert!(!plugin.path(hook).exists());
}

async fn toolchains_outside_the_system() {
    let mut plugin = plugin();
    let bin = plugin.make_dir("toolchain");
    plugin.copy("/bin/true", "toolchain/tool");
    let run = bin.join("tool").display().to_string();
    let write = format!("echo x > {}", bin.join("new").display());
    assert!(!succeeds(&plugin, &run).await, "without the right");
    plugin.exec().system = vec![bin];
    assert!(succeeds(&plugin, &run).await);
    assert!(!succeeds(&plugin, &write).await);
}

async fn other_programs() {
    let mut plugin = plugin();
    assert!(succeeds(&plugin, "cat /dev/null && ls /").await);
    narrow(&mut plugin, |rule| {
        rule.exec = Some(vec![ProgramRef::parse("cat").unwrap()]);
    });
    assert!(succeeds(&plugin, "cat /dev/null").await);
    assert!(!succeeds(&plugin, "ls /").await);
    narrow(&mut plugin, |rule| rule.exec = Some(vec![]));
    assert!(!succeeds(&plugin, "cat /dev/null").await);
    assert!(succeeds(&plugin, "true").await, "the shell's own");
}

async fn processes() {
    let mut plugin = plugin();
    let start =
        |count| format!("i=0; while [ $i -lt {count} ]; do i=$((i + 1)); sleep 1000 & done");
    assert!(succeeds(&plugin, &start(40)).await);
    // The shell, that of the parentheses and four more; what waits in parked cells takes nothing of it.
    narrow(&mut plugin, |rule| rule.processes = Some(6));
    assert!(!succeeds(&plugin, &start(40)).await);
    assert!(succeeds(&plugin, &start(4)).await, "fewer");
}

/// A shell command that fetches a page, without the proxy of its environment.
fn fetch(port: u16) -> String {
    format!("curl -sS -m 20 --noproxy '*' http://127.0.0.1:{port}/")
}

/// A server of the host that answers every connection, until the test ends.
fn serve(text: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else {
                return;
            };
            let mut request = [0; 4096];
            let _: std::io::Result<usize> = connection.read(&mut request);
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            );
            let _: std::io::Result<()> = connection.write_all(answer.as_bytes());
        }
    });
    port
}

async fn no_network() {
    let mut plugin = plugin();
    let port = serve("page");
    assert!(!succeeds(&plugin, &fetch(port)).await);
    plugin.grants.net = Net::Open;
    assert!(succeeds(&plugin, &fetch(port)).await, "the control");
    narrow(&mut plugin, |rule| rule.net = Some(Net::None));
    assert!(!succeeds(&plugin, &fetch(port)).await);
}

async fn a_network_of_its_own() {
    let mut plugin = plugin();
    let port = serve("page");
    plugin.grants.net = Net::Loopback;
    assert!(
        !succeeds(&plugin, &fetch(port)).await,
        "it is not the host's"
    );
    let own = "grep -q 00000000000000000000000000000001 /proc/net/if_inet6 || \
               grep -q 127.0.0 /proc/net/fib_trie";
    assert!(succeeds(&plugin, own).await, "there is one");
    plugin.grants.net = Net::None;
    assert!(!succeeds(&plugin, own).await, "the control");
}

async fn the_hosts_network() {
    let mut plugin = plugin();
    let port = serve("page");
    plugin.grants.net = Net::Open;
    assert_eq!(plugin.output(shell(&fetch(port))).await, "page");
}

fn hosts(rules: &[String]) -> Net {
    let rules = rules.iter().map(|rule| HostRule::parse(rule).unwrap());
    Net::Hosts(rules.collect())
}

async fn granted_hosts_through_a_proxy_of_its_own() {
    let (one, other) = (serve("one"), serve("other"));
    let through = |port: u16| format!("curl -sS -f -m 20 http://127.0.0.1:{port}/");
    let (mut first, mut second) = (plugin(), plugin());
    first.grants.net = hosts(&[format!("127.0.0.1:{one}")]);
    second.grants.net = hosts(&[format!("127.0.0.1:{other}")]);
    let (a, b) = (shell(&through(one)), shell(&through(other)));
    let (a, b) = tokio::join!(first.output(a), second.output(b));
    assert_eq!((a.as_str(), b.as_str()), ("one", "other"));
    // At the same time, and each has its own list.
    let crossed = (through(other), through(one));
    let (a, b) = tokio::join!(succeeds(&first, &crossed.0), succeeds(&second, &crossed.1));
    assert!(!a && !b, "the other's host");
    assert!(!succeeds(&first, &fetch(one)).await, "past the proxy");
}

async fn a_home() {
    let host_env = [("HOME", "/home/ann")];
    let plugin = Plugin::with_host_env(&["sh"], &host_env);
    let script = "cd && pwd && ls -A && echo x > new && cat new";
    assert_eq!(plugin.output(shell(script)).await, "/home/ann\nx\n");
    assert_eq!(plugin.output(shell(script)).await, "/home/ann\nx\n", "new");
}

/// What is configured is trusted, by the variables and where the system keeps its own; what was configured before is not.
async fn certificates() {
    const AUTHORITY: &str = include_str!("../../src/trust/authority.pem");
    let mut plugin = plugin();
    let file = plugin.write("ca.pem", AUTHORITY, 0o644);
    plugin.grants.fs.clear();
    let start = |ca_file| {
        let mut options = ExecutorOptions::default();
        options.ca_file = ca_file;
        portcullis_exec::Executor::start(Helper::find(None).unwrap(), &options).unwrap()
    };
    let run = async |executor, script: &str| {
        let completed = plugin.try_run_on(executor, shell(script), None).await;
        String::from_utf8(completed.unwrap().stdout).unwrap()
    };
    let (with, without) = (start(Some(file.clone())), start(None));
    let by_name = "cat \"$SSL_CERT_FILE\" \"$GIT_SSL_CAINFO\"";
    assert_eq!(run(&with, by_name).await, AUTHORITY.repeat(2));
    assert_eq!(run(&without, by_name).await, "");
    if crate::fixture::is_full() {
        let bundle =
            "cat /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt 2>/dev/null";
        let system = run(&without, bundle).await;
        let shown = run(&with, bundle).await;
        assert!(!system.contains(AUTHORITY), "{system}");
        assert_eq!(shown.replace(AUTHORITY, ""), "");
        assert_eq!(shown.is_empty(), system.is_empty());
    }
    std::fs::write(&file, format!("{AUTHORITY}{AUTHORITY}")).unwrap();
    assert_eq!(run(&with, by_name).await, AUTHORITY.repeat(4));
    std::fs::write(&file, "none").unwrap();
    let refused = plugin.try_run_on(&with, shell("true"), None).await;
    let landlock = crate::fixture::confinement() == Confinement::Landlock;
    let cannot = matches!(
        refused,
        Err(Refused::Failed(ExecFailure::Certificates { .. }))
    );
    assert!(cannot || landlock && refused.is_ok(), "{refused:?}");
}
