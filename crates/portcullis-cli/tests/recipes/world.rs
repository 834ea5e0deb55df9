//! One recipe's own home, project and policy, and its plugin's commands.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::OF_OWN_HOME;
use crate::book;
use crate::kit::{kit, open_to_all};
use crate::site::site;
use crate::user::{User, find};

/// What recipes call a server on this machine.
const LOCAL: &str = "127.0.0.1:8443";
/// What they call their company's proxy.
const PROXY: &str = "127.0.0.1:3128";

/// A place for one recipe.
#[derive(Debug)]
pub(crate) struct World {
    root: PathBuf,
    user: User,
    home: PathBuf,
    networked: bool,
}

/// What the plugin was told of one command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: u32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The answers to several commands, and the report of the run.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) answers: Vec<Ran>,
    pub(crate) report: Value,
}

impl World {
    pub(crate) fn new(title: &str, user: User) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = kit().root().join(format!("world-{number}"));
        let home = if title == OF_OWN_HOME {
            own_home()
        } else {
            root.join("home")
        };
        let mut world = Self {
            home,
            root,
            user,
            networked: false,
        };
        world.directory("");
        for directory in ["home", "project", "outside", "plugins"] {
            world.directory(directory);
        }
        fs::copy(kit().guest(), world.root.join("plugins/assistant.wasm")).unwrap();
        world.file("outside/secret", "not for commands\n");
        world.write_policy(title);
        world
    }

    fn write_policy(&mut self, title: &str) {
        let mut policy = book::policy(title);
        if policy.contains("\nnet = ") {
            self.networked = true;
            // The tests' own servers take whatever port is free.
            policy = policy.replace(LOCAL, &format!("127.0.0.1:{}", site().tls));
            let company = book::policy(book::COMPANY);
            let proxy = format!("127.0.0.1:{}", site().proxy);
            assert!(company.contains(PROXY), "{company}");
            self.file("company.toml", &company.replace(PROXY, &proxy));
            self.file(
                "company.pem",
                &fs::read_to_string(site().company()).unwrap(),
            );
        }
        self.file("policy.toml", &policy);
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.path("project")
    }

    /// Makes a directory of the user's.
    pub(crate) fn directory(&self, path: &str) {
        fs::create_dir_all(self.path(path)).unwrap();
        open_to_all(&self.path(path));
        self.user.own(&self.path(path));
    }

    /// Writes a file of the user's.
    pub(crate) fn file(&self, path: &str, text: &str) {
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.directory(directory);
        }
        fs::write(self.path(path), text).unwrap();
        self.user.own(&self.path(path));
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let read = fs::read_to_string(self.path(path));
        read.unwrap_or_else(|error| panic!("`{path}`: {error}"))
    }

    /// Does something as the user, unconfined, in a directory.
    pub(crate) fn user_does(&self, directory: &str, words: &[&str]) -> String {
        let mut run = self.user.command(&find(words[0]).unwrap(), &self.home);
        let done = run
            .args(&words[1..])
            .current_dir(self.path(directory))
            .output()
            .unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// One command of the plugin, which must succeed; gives its standard output.
    pub(crate) fn succeeds(&self, words: &[&str]) -> String {
        let mut runs = self.run(&[("", words)]);
        let ran = runs.answers.remove(0);
        assert_eq!(ran.status, 0, "{words:?}: {ran:#?} {:#}", runs.report);
        ran.stdout
    }

    /// One command of the plugin, in a directory, which must succeed.
    pub(crate) fn succeeds_in(&self, directory: &str, words: &[&str]) -> String {
        let mut runs = self.run(&[(directory, words)]);
        let ran = runs.answers.remove(0);
        assert_eq!(ran.status, 0, "{words:?}: {ran:#?} {:#}", runs.report);
        ran.stdout
    }

    /// Several commands, each of which must succeed.
    pub(crate) fn all_succeed(&self, commands: &[&[&str]]) {
        let placed: Vec<_> = commands.iter().map(|words| ("", *words)).collect();
        let runs = self.run(&placed);
        for (ran, words) in runs.answers.iter().zip(commands) {
            assert_eq!(ran.status, 0, "{words:?}: {ran:#?} {:#}", runs.report);
        }
    }

    /// One command of the plugin, which must fail by itself.
    pub(crate) fn fails(&self, words: &[&str]) -> (Ran, Value) {
        let mut runs = self.run(&[("", words)]);
        let ran = runs.answers.remove(0);
        assert_ne!(ran.status, 0, "{words:?}: {ran:#?} {:#}", runs.report);
        (ran, runs.report)
    }

    /// Runs commands of the plugin one after the other, each confined as written.
    pub(crate) fn run(&self, commands: &[(&str, &[&str])]) -> Runs {
        let done = self.line(&["--json"], commands).output().unwrap();
        let report: Value = serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {done:?}"));
        let text = report["result"]["ok"].as_str();
        let answers = answers(text.unwrap_or_else(|| panic!("{report:#}")));
        assert_eq!(answers.len(), commands.len(), "{report:#}");
        for command in report["children"]["commands"].as_array().unwrap() {
            assert_eq!(command["confinement"], "full", "{report:#}");
        }
        Runs { answers, report }
    }

    /// What is printed for the operator at one command.
    pub(crate) fn told(&self, words: &[&str]) -> String {
        let done = self.line(&[], &[("", words)]).output().unwrap();
        String::from_utf8(done.stderr).unwrap()
    }

    /// `portcullis run` with these commands.
    fn line(&self, options: &[&str], commands: &[(&str, &[&str])]) -> Command {
        let mut run = self.portcullis();
        run.arg("run").args(options);
        run.arg("--config").arg(self.path("policy.toml"));
        if self.networked {
            run.arg("--config").arg(self.path("company.toml"));
        }
        run.arg("--project").arg(self.project()).arg("assistant");
        for (index, (directory, words)) in commands.iter().enumerate() {
            if index > 0 {
                run.arg(";;");
            }
            run.arg("exec");
            if !directory.is_empty() {
                run.arg(format!("--cwd={}", self.path(directory).display()));
            }
            run.arg("--").args(*words);
        }
        run
    }

    /// Another verb, which must succeed; gives what it says.
    pub(crate) fn operator(&self, words: &[String]) -> String {
        let done = self.portcullis().args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    /// `portcullis exec` with these words; what it prints on both streams.
    pub(crate) fn person(&self, words: &[&str]) -> (String, String) {
        let done = self.portcullis().arg("exec").args(words).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(done.stdout), text(done.stderr))
    }

    fn portcullis(&self) -> Command {
        let state = kit().state(self.user);
        let mut portcullis = self.user.command(&kit().portcullis(), &self.home);
        for name in ["CONFIG", "DATA", "CACHE", "STATE"] {
            portcullis.env(format!("XDG_{name}_HOME"), state.join(name.to_lowercase()));
        }
        portcullis.current_dir(self.project()).stdin(Stdio::null());
        portcullis
    }

    /// The path of what no command may read.
    pub(crate) fn secret(&self) -> String {
        self.path("outside/secret").display().to_string()
    }
}

/// The home of whoever runs the tests.
pub(crate) fn own_home() -> PathBuf {
    std::env::var_os("HOME").unwrap().into()
}

/// Reads what the guest returns.
fn answers(text: &str) -> Vec<Ran> {
    let mut answers = Vec::new();
    let text = format!("\n{text}");
    for answer in text.split("\nstatus=").skip(1) {
        let (status, rest) = answer.split_once("\nstdout=").unwrap();
        let (stdout, stderr) = rest.rsplit_once("\nstderr=").unwrap();
        answers.push(Ran {
            status: status.parse().unwrap(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        });
    }
    answers
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.root).unwrap();
        }
    }
}
