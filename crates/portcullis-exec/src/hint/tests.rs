//! Hints from messages as programs write them, and none from messages that mean something else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use portcullis_policy::{ChildRights, HostRule, Net, ProgramRef};

use super::{Complaint, Hint};

/// A project that may be written, and a directory beside it that may be read; nothing else of what is there.
struct World {
    dir: tempfile::TempDir,
    rights: ChildRights,
    args: Vec<String>,
    asked_proxy: bool,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for file in [
            "project/.git/hooks/pre-commit",
            "project/.git/config",
            "project/target/tool",
            "project/tool",
            "project/text",
            "read/text",
            "outside/with blank",
            "outside/text",
        ] {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            if file.ends_with("tool") {
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        let (project, read) = (root.join("project"), root.join("read"));
        let rights = ChildRights {
            write_exec: vec![project.join("target")],
            read: vec![project.clone(), read],
            write: vec![project],
            ..ChildRights::default()
        };
        Self {
            dir,
            rights,
            args: Vec::new(),
            asked_proxy: false,
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    /// The hints for a message in which `{}` stands for the directory of everything.
    fn hints(&self, message: &str) -> Vec<Hint> {
        self.hints_in("project", message)
    }

    fn hints_in(&self, cwd: &str, message: &str) -> Vec<Hint> {
        let root = self.dir.path().canonicalize().unwrap();
        let complaint = Complaint {
            rights: self.rights.clone(),
            cwd: self.path(cwd),
            args: self.args.clone(),
            stderr: message.replace("{}", root.to_str().unwrap()),
            asked_proxy: self.asked_proxy,
        };
        complaint.hints()
    }

    fn said(&self, messages: &[&str], hint: &Hint) {
        for message in messages {
            assert_eq!(self.hints(message), std::slice::from_ref(hint), "{message}");
        }
    }

    fn silent(&self, messages: &[&str]) {
        for message in messages {
            assert_eq!(self.hints(message), [], "{message}");
        }
    }
}

#[test]
fn what_is_there_and_not_granted_is_named() {
    let world = World::new();
    world.said(
        &[
            "cat: {}/outside/text: No such file or directory",
            "find: \u{2018}{}/outside/text\u{2019}: No such file or directory",
            "FileNotFoundError: [Errno 2] No such file or directory: '{}/outside/text'",
            "Error: ENOENT: no such file or directory, open '{}/outside/text'",
            "Exception in thread \"main\" java.nio.file.NoSuchFileException: {}/outside/text",
            "fatal: could not open '{}/outside/text' for reading: No such file or directory",
            "cat: ../outside/text: No such file or directory",
            "cat: {}/outside/text: Permission denied",
            "jq: error: Could not open {}/outside/text: No such file or directory",
            "Error: unable to open database \"{}/outside/text\": unable to open database file",
        ],
        &Hint::Read(world.path("outside/text")),
    );
    let blank = Hint::Read(world.path("outside/with blank"));
    world.said(
        &["cat: '{}/outside/with blank': No such file or directory"],
        &blank,
    );
    world.said(
        &["sort: {}/outside/with blank: No such file or directory"],
        &blank,
    );
}

#[test]
fn a_link_is_followed_to_what_would_have_to_be_granted() {
    let world = World::new();
    std::os::unix::fs::symlink(world.path("outside/text"), world.path("project/link")).unwrap();
    world.said(
        &["cat: link: No such file or directory"],
        &Hint::Read(world.path("outside/text")),
    );
}

#[test]
fn what_is_not_there_on_the_host_either_is_no_hint() {
    let world = World::new();
    world.silent(&[
        "cat: missing: No such file or directory",
        "cat: {}/project/missing: No such file or directory",
        "cat: {}/outside/missing: No such file or directory",
        "cat: {}/read/missing: No such file or directory",
        // What is granted and there did not fail because of us, whatever it says.
        "cat: {}/read/text: No such file or directory",
        "cat: text: Permission denied",
        "cat: /usr/bin/env: No such file or directory",
        "cat: /proc/1/mem: Permission denied",
        "cat: /dev/tty: No such file or directory",
        "{}/outside/text is fine",
        "git@example.org: Permission denied (publickey).",
        "ls: cannot open directory 'x': Permission denied",
        "",
    ]);
}

#[test]
fn what_the_hosts_user_cannot_do_is_no_hint() {
    if rustix::process::geteuid().is_root() {
        // Nothing is forbidden to root but what is read-only.
        return;
    }
    let world = World::new();
    let secret = world.path("outside/text");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    world.silent(&["cat: {}/outside/text: Permission denied"]);
}

#[test]
fn what_is_only_read_is_named_when_it_was_to_be_written() {
    let world = World::new();
    world.said(
        &[
            "sh: 1: cannot create {}/read/text: Read-only file system",
            "Error: EROFS: read-only file system, open '{}/read/text'",
            "OSError: [Errno 30] Read-only file system: '{}/read/text'",
        ],
        &Hint::Write(world.path("read/text")),
    );
    world.said(
        &[
            "tar: {}/read/new: Cannot open: Read-only file system",
            "mkdir: cannot create directory '{}/read/new': Read-only file system",
            "touch: cannot touch '../read/new': Read-only file system",
        ],
        &Hint::Write(world.path("read")),
    );
    let hints = world.hints_in("read", "tar: new.tar: Cannot open: Read-only file system");
    assert_eq!(hints, [Hint::Write(world.path("read"))]);
    world.said(
        &["sh: cannot create {}/outside/new: No such file or directory"],
        &Hint::Write(world.path("outside")),
    );
}

#[test]
fn protected_names_are_told_with_the_name_that_lifts_them() {
    let world = World::new();
    let protected = |path: &str, name: &str| Hint::Protected {
        path: world.path(path),
        name: name.to_owned(),
    };
    world.said(
        &["cp: cannot create regular file '.git/hooks/pre-commit': Read-only file system"],
        &protected("project/.git/hooks/pre-commit", ".git/hooks"),
    );
    world.said(
        &["cp: cannot create regular file '.git/hooks/new': Read-only file system"],
        &protected("project/.git/hooks", ".git/hooks"),
    );
    world.said(
        &["error: could not write config file {}/project/.git/config: Device or resource busy"],
        &protected("project/.git/config", ".git/config"),
    );
    world.said(
        &["mv: cannot move '.git' to '.git2': Device or resource busy"],
        &protected("project/.git", ".git/hooks"),
    );
    world.silent(&["mv: cannot move 'target' to 'other': Device or resource busy"]);
}

#[test]
fn what_was_written_and_is_not_executed_is_named() {
    let mut world = World::new();
    world.said(
        &[
            "sh: 1: ./tool: Permission denied",
            "PermissionError: [Errno 13] Permission denied: './tool'",
        ],
        &Hint::Execute(world.path("project/tool")),
    );
    world.silent(&[
        "sh: 1: target/tool: Permission denied",
        "sh: 1: ./text: Permission denied",
    ]);
    world.rights.exec = Some(vec![ProgramRef::parse("cat").unwrap()]);
    let program = PathBuf::from("/usr/bin/env").canonicalize().unwrap();
    world.said(
        &["sh: 1: /usr/bin/env: Permission denied"],
        &Hint::Program(program),
    );
    let listed = PathBuf::from("/usr/bin/cat").canonicalize().unwrap();
    if listed.ends_with("cat") {
        world.silent(&["sh: 1: /usr/bin/cat: Permission denied"]);
    }
}

#[test]
fn a_host_is_named_when_there_is_no_network() {
    let mut world = World::new();
    let wanted = |host: &str| Hint::NoNetwork(Some(host.to_owned()));
    world.said(
        &[
            "fatal: unable to access 'https://example.org/r.git/': Could not resolve host: example.org",
            "curl: (6) Could not resolve host: example.org",
            "Error: getaddrinfo EAI_AGAIN example.org",
        ],
        &wanted("example.org:443"),
    );
    world.said(
        &["ssh: connect to host example.org port 22: Network is unreachable"],
        &wanted("example.org:22"),
    );
    world.said(
        &["socket.gaierror: [Errno -3] Temporary failure in name resolution"],
        &Hint::NoNetwork(None),
    );
    world.args = vec![
        "clone".to_owned(),
        "http://ann:secret@example.org:8080/x".to_owned(),
    ];
    world.said(
        &["fatal: Could not resolve host: example.org"],
        &wanted("example.org:8080"),
    );
    world.rights.net = Net::Open;
    world.silent(&["curl: (6) Could not resolve host: example.org"]);
    world.rights.net = Net::Loopback;
    world.args.clear();
    world.silent(&["ConnectionRefusedError: [Errno 111] Connection refused"]);
}

#[test]
fn who_does_not_ask_the_proxy_is_told_of_it() {
    let mut world = World::new();
    world.rights.net = Net::Hosts(vec![HostRule::parse("example.org:443").unwrap()]);
    world.said(
        &["curl: (6) Could not resolve host: example.org"],
        &Hint::NotThroughProxy,
    );
    world.asked_proxy = true;
    world.silent(&["curl: (6) Could not resolve host: example.org"]);
}

#[test]
fn hostile_output_costs_little_and_says_nothing() {
    let world = World::new();
    let many: String = (0..100_000)
        .map(|number| format!("cat: {{}}/outside/{number}: No such file or directory\n"))
        .collect();
    world.silent(&[
        &many,
        "cat: {}/outside/text\u{7}: No such file or directory",
        "cat: \u{1b}]0;{}/outside/text\u{7}: No such file or directory",
        &format!("cat: {}: No such file or directory", "/x".repeat(100_000)),
        &format!("{}: No such file or directory", "'".repeat(4000)),
    ]);
    let same = "cat: {}/outside/text: No such file or directory\n".repeat(50);
    assert_eq!(world.hints(&same).len(), 1);
}
