//! The world of one run: directories with a secret beside them, and what the attack is aimed at.
//!
//! Each run has a new one, so that nothing an earlier run did can be taken for the work of a later.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Child,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::{
    case::{Prepare, Truth},
    machine::{User, is_root, machine, make_set_id, open_to_all},
    run::Ran,
};

mod target;
mod trace;

use target::Target;
pub(crate) use trace::Trace;

/// How long anything may take that takes milliseconds; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One world.
#[derive(Debug)]
pub(crate) struct Scene {
    user: User,
    root: PathBuf,
    prepare: Prepare,
    names: BTreeMap<&'static str, String>,
    target: Target,
    environment: Vec<(String, String)>,
}

impl Scene {
    /// Makes the world, and what `prepare` asks for.
    pub(crate) fn new(user: User, prepare: Prepare) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = machine().root().join(format!("world-{count}"));
        let mut scene = Self {
            user,
            names: BTreeMap::new(),
            target: Target::Nothing,
            prepare,
            environment: Vec::new(),
            root,
        };
        scene
            .names
            .insert("nonce", format!("nonce-{}-{count}", std::process::id()));
        let pid = std::process::id();
        scene.set("shm_key", 0x5000_0000 + (pid & 0xfff) * 0x1000 + count);
        scene.set("queue", format!("/planted-{pid}-{count}"));
        scene.build();
        scene.target = Target::make(&mut scene, prepare);
        scene
    }

    fn build(&mut self) {
        self.directory("project", "");
        for (name, path) in [
            ("home", "home"),
            ("outside", "outside"),
            ("ro", "project/ro"),
            ("rw", "project/rw"),
            ("repository", "project/rw/repository"),
            ("git", "project/rw/repository/.git"),
            ("hooks", "project/rw/repository/.git/hooks"),
        ] {
            self.directory(path, name);
        }
        self.set("project", self.root.join("project").display());
        self.set("policy", self.root.join("policy.toml").display());
        let nonce = self.fill("{nonce}");
        for (path, text) in [
            ("outside/secret", nonce.as_str()),
            ("outside/file", "as it was"),
            ("project/ro/file", "may be read"),
            ("project/rw/file", "may be written"),
            ("project/rw/repository/.git/config", "[core]\n"),
            ("project/rw/repository/.git/hooks/pre-commit", "#!/bin/sh\n"),
        ] {
            self.file(path, text);
        }
        self.set("secret", self.root.join("outside/secret").display());
        fs::copy(machine().guest(), self.root.join("p.wasm")).unwrap();
        self.user.own(&self.root.join("p.wasm"));
        for (name, from) in [("elf", machine().probe()), ("library", machine().library())] {
            let to = self.root.join("project/ro").join(name);
            fs::copy(from, &to).unwrap();
            self.user.own(&to);
            self.set(name, to.display());
        }
        // A directory of programs, out of the user's reach where that can be.
        let sys = self.root.join("sys");
        fs::create_dir(&sys).unwrap();
        open_to_all(&sys);
        self.set("sys", sys.display());
    }

    fn directory(&mut self, path: &str, name: &'static str) {
        let path = self.root.join(path);
        fs::create_dir_all(&path).unwrap();
        open_to_all(&path);
        self.user.own(&self.root);
        self.user.own(&path);
        if !name.is_empty() {
            self.set(name, path.display());
        }
    }

    /// Writes a file of the user's.
    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.join(path);
        fs::write(&path, text).unwrap();
        self.user.own(&path);
        path
    }

    pub(crate) fn set(&mut self, name: &'static str, value: impl std::fmt::Display) {
        self.names.insert(name, value.to_string());
    }

    /// Puts a variable into the environment of whoever starts the command.
    pub(crate) fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn user(&self) -> User {
        self.user
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The program that is run.
    pub(crate) fn probe(&self) -> String {
        match self.names.get("program") {
            Some(program) => program.clone(),
            None => machine().probe().display().to_string(),
        }
    }

    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    /// Replaces names in braces by what they stand for here.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut text = text.replace("{probe}", &self.probe());
        for (name, value) in &self.names {
            text = text.replace(&format!("{{{name}}}"), value);
        }
        text
    }

    /// The command line with what this scene needs around it.
    pub(crate) fn wrap(&self, words: &[String]) -> Vec<String> {
        const INHERIT: &str = "exec 9<\"$1\"; shift; exec \"$@\"";
        let shell = |script: &str| {
            vec![
                "/bin/sh".to_owned(),
                "-c".into(),
                script.into(),
                "sh".into(),
            ]
        };
        let before = match self.prepare {
            Prepare::Terminal => vec![self.probe(), "with-terminal".into()],
            Prepare::InheritedFile => [shell(INHERIT), vec![self.fill("{secret}")]].concat(),
            Prepare::ForeignFormat => {
                let line = self.fill(":{nonce}:M::MZ{nonce}::/bin/echo:");
                vec![self.probe(), "with-handler".into(), line]
            }
            _ => Vec::new(),
        };
        [before, words.to_vec()].concat()
    }

    /// What the harness does while the command runs.
    pub(crate) fn meanwhile(&self, child: &mut Child) {
        if self.prepare == Prepare::ReplacedRoot && self.wait_for("{rw}/ready", child) {
            let ro = PathBuf::from(self.fill("{ro}"));
            fs::rename(&ro, self.root.join("project/old")).unwrap();
            fs::create_dir(&ro).unwrap();
            self.file("project/ro/file", &self.fill("{nonce}"));
            self.file("project/rw/go", "");
        }
    }

    /// Waits until a file is there; `false` if the command ended first.
    pub(crate) fn wait_for(&self, path: &str, child: &mut Child) -> bool {
        let path = PathBuf::from(self.fill(path));
        let start = std::time::Instant::now();
        while !path.exists() {
            if start.elapsed() > PATIENCE || child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    /// What the act could change, as it is now.
    pub(crate) fn trace(&self, truth: Truth) -> Trace {
        match truth {
            Truth::Changed(path) => Trace::of_file(Path::new(&self.fill(path))),
            Truth::VictimChanged => Trace::of_text(self.target.victim_state()),
            _ => Trace::of_text(String::new()),
        }
    }

    /// Whether the act had its effect, seen from outside. `before` was taken before the run.
    pub(crate) fn had_effect(&mut self, truth: Truth, before: &Trace, ran: &Ran) -> bool {
        match truth {
            Truth::Answer => ran.is_ok(),
            Truth::Learned(text) => {
                let text = self.fill(text);
                ran.details.iter().any(|detail| detail.contains(&text))
            }
            Truth::Changed(_) => self.trace(truth) != *before,
            Truth::VictimChanged => self.trace(truth) != *before || self.target.victim_is_hurt(),
            Truth::Delivered => self.target.was_reached(),
            Truth::Typed => ran
                .text
                .lines()
                .any(|line| line.contains("\"with-terminal\",\"ok\":true")),
        }
    }

    /// Runs the probe for the scene's own ends, unconfined.
    pub(crate) fn helper(&self, act: &[&str]) -> bool {
        let mut run = self.user.command(machine().probe());
        run.args(act.iter().map(|word| self.fill(word)));
        let output = run.output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("\"ok\":true")
    }

    /// A program with the rights of somebody else. Only root can make one.
    pub(crate) fn make_set_id(&mut self) {
        let path = self.root.join("sys/set-id");
        fs::copy(machine().probe(), &path).unwrap();
        if is_root() {
            make_set_id(&path);
        }
        self.set("set_id", path.display());
    }

    /// A copy of the probe that its user may write.
    pub(crate) fn make_own_program(&mut self) {
        let path = self.root.join("outside/program");
        fs::copy(machine().probe(), &path).unwrap();
        self.user.own(&path);
        self.set("program", path.display());
    }

    /// A file that only a handler of the kernel's could run.
    pub(crate) fn make_foreign(&mut self) {
        let path = self.root.join("sys/foreign");
        fs::write(&path, self.fill("MZ{nonce} and nothing more")).unwrap();
        open_to_all(&path);
        self.set("foreign", path.display());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        match self.prepare {
            Prepare::Key => drop(self.helper(&["remove-key", "{key}"])),
            Prepare::SharedMemory => drop(self.helper(&["remove-shm", "{key}"])),
            Prepare::Queue => drop(self.helper(&["remove-mq", "{key}"])),
            Prepare::ShmFile => drop(fs::remove_file(self.fill("{shm}"))),
            _ => {}
        }
        if !std::thread::panicking() {
            drop(fs::remove_dir_all(&self.root));
        }
    }
}
