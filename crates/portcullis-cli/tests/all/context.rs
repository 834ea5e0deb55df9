//! A machine with nothing on it: a home and a project of its own for each test.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{LazyLock, Mutex};

use portcullis_testkit::guest;

/// The beginning of a policy in which commands run: what a test is about follows.
pub(crate) const DEV: &str =
    "mode = \"dev\"\nconfinement = \"limits\"\n[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";

/// A certificate of an authority that signs nothing.
pub(crate) const AUTHORITY: &str = include_str!("../../../portcullis-exec/src/trust/authority.pem");

pub(crate) struct Context {
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
    /// The command as it was built, or a copy.
    binary: PathBuf,
}

/// Where everybody can start the command: the repository may lie where an ordinary user cannot go.
fn for_everybody() -> PathBuf {
    static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_portcullis"));
        let is_open = |dir: &Path| fs::metadata(dir).unwrap().permissions().mode() & 0o001 != 0;
        if built.ancestors().skip(1).all(is_open) {
            return built.to_owned();
        }
        // One for all runs of the tests, replaced whole: the tests of another one may be starting it.
        let user = rustix::process::geteuid().as_raw();
        let place = PathBuf::from(format!("/var/tmp/portcullis-tests-{user}"));
        fs::create_dir_all(&place).unwrap();
        assert_eq!(fs::symlink_metadata(&place).unwrap().uid(), user);
        fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
        let new = place.join(format!("new-{}", std::process::id()));
        fs::copy(built, &new).unwrap();
        fs::rename(new, place.join("portcullis")).unwrap();
        place.join("portcullis")
    });
    PLACE.clone()
}

impl Context {
    pub(crate) fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// As [`Self::new`], and not below `/tmp`, where a cell has a directory of its own that can be written, and where other
    /// users could exchange a script.
    pub(crate) fn beside_tmp() -> Self {
        let built = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let place = if built.starts_with("/tmp") || built.starts_with("/var/tmp") {
            std::env::var_os("HOME").unwrap().into()
        } else {
            built
        };
        Self::of(tempfile::tempdir_in(place).unwrap())
    }

    /// As [`Self::beside_tmp`], in a place that an ordinary user can go to, with the command where they can start it.
    pub(crate) fn for_everybody() -> Self {
        Self {
            binary: for_everybody(),
            ..Self::elsewhere()
        }
    }

    /// As [`Self::beside_tmp`], and below no directory of this repository either, whose manifests tools would find.
    pub(crate) fn elsewhere() -> Self {
        Self::of(tempfile::tempdir_in("/var/tmp").unwrap())
    }

    fn of(dir: tempfile::TempDir) -> Self {
        for name in ["home", "project"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o700)).unwrap();
        }
        Self {
            dir,
            env: Vec::new(),
            binary: env!("CARGO_BIN_EXE_portcullis").into(),
        }
    }

    /// With a guest as `p.wasm` in the project.
    pub(crate) fn with_guest(name: &str) -> Self {
        let context = Self::new();
        fs::copy(guest(name), context.project().join("p.wasm")).unwrap();
        context
    }

    /// With `exec-args` as plugin `p`, and this after the head of its policy.
    pub(crate) fn with_policy(rest: &str) -> Self {
        let context = Self::with_guest("exec-args");
        context.write("policy.toml", format!("{DEV}{rest}"));
        context
    }

    /// As [`Self::with_policy`], in production mode and with confined commands.
    pub(crate) fn confined(rest: &str) -> Self {
        let context = Self::with_guest("exec-args");
        fs::create_dir_all(context.project().join("out/target")).unwrap();
        let head = "[[plugins]]\nid = \"p\"\npath = \"p.wasm\"\n";
        context.write("policy.toml", format!("{head}{rest}"));
        context
    }

    /// With a guest that brings its interpreter along as `p.wasm`, and all tests with such guests share what was compiled:
    /// that takes seconds. Where the guest was not built, the test that asks is skipped by name.
    pub(crate) fn interpreted(name: &str) -> Option<Self> {
        let Some(guest) = portcullis_testkit::interpreted(name) else {
            skip(&format!("guest `{name}` is not built"));
            return None;
        };
        let bytes = fs::read(guest).unwrap();
        Some(Self::compiled_once("interpreted", &bytes))
    }

    /// With these bytes as `p.wasm`, and all tests of this name share what was compiled.
    pub(crate) fn compiled_once(name: &str, plugin: &[u8]) -> Self {
        let context = Self::sharing(name);
        context.write("p.wasm", plugin);
        // One at a time: whoever comes second finds it compiled.
        static COMPILING: Mutex<()> = Mutex::new(());
        let compiling = COMPILING.lock();
        assert!(
            context
                .output(&["run", "--dry-run", "-A", "p.wasm"])
                .status
                .success()
        );
        drop(compiling);
        context
    }

    /// As [`Self::beside_tmp`], and all of this name share what was compiled.
    pub(crate) fn sharing(name: &str) -> Self {
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut context = Self::beside_tmp();
        for part in ["CACHE", "DATA", "STATE"] {
            let directory = state.join(part);
            fs::create_dir_all(&directory).unwrap();
            fs::set_permissions(&directory, Permissions::from_mode(0o700)).unwrap();
            context = context.env(&format!("XDG_{part}_HOME"), directory.to_str().unwrap());
        }
        context
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.root().join("project")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root().join("home")
    }

    pub(crate) fn own_policy(&self) -> PathBuf {
        self.home().join(".config/portcullis/portcullis.toml")
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.project().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the binary under test is started by nobody else"
    )]
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.project());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Without a terminal, wherever the tests are run: nobody is asked. The process is the one that is started.
    pub(crate) fn portcullis(&self, args: &[&str]) -> Command {
        let mut command = self.command("setsid");
        command.arg(&self.binary).args(args);
        command
    }

    /// The command itself.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    /// As [`Self::portcullis`], where user namespaces are switched off: in one whose owner has done so.
    pub(crate) fn without_namespaces(&self, args: &[&str]) -> Command {
        let mut command = self.command("unshare");
        let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        command.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]);
        command.arg(env!("CARGO_BIN_EXE_portcullis")).args(args);
        command
    }

    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.portcullis(args).output().unwrap()
    }

    /// Exit code, standard output and standard error.
    pub(crate) fn ended(&self, args: &[&str]) -> (i32, String, String) {
        let output = self.output(args);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code().unwrap(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// The same of an example, run as its README starts it, with the policy of the examples.
    pub(crate) fn example(&self, name: &str, args: &[&str]) -> (i32, String, String) {
        let examples = portcullis_testkit::repository().join("examples");
        let (config, plugin) = (examples.join("portcullis.toml"), examples.join(name));
        let base = [
            "run",
            "--config",
            config.to_str().unwrap(),
            plugin.to_str().unwrap(),
        ];
        self.ended(&[&base, args].concat())
    }

    /// Exit code, standard output and standard error, without what differs from run to run.
    pub(crate) fn shown(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let part = |name: &str, bytes: &[u8]| match String::from_utf8_lossy(bytes).trim_end() {
            "" => String::new(),
            text => format!("\n-- {name}\n{text}"),
        };
        let code = output
            .status
            .code()
            .unwrap_or_else(|| 128 + output.status.signal().unwrap());
        let text = format!(
            "exit {code}{}{}",
            part("stdout", &output.stdout),
            part("stderr", &output.stderr)
        );
        self.plain(&text)
    }

    /// Text without names of temporary directories.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&self.root().display().to_string(), "[DIR]")
    }

    /// The JSON document that a verb prints.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let output = self.output(args);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        assert_eq!(document["schema_version"], 1);
        document
    }
}

/// Says that the test that runs has to be left out, in the form that is counted.
pub(crate) fn skip(why: &str) {
    println!(
        "SKIP {}: {why}",
        std::thread::current().name().unwrap_or_default()
    );
}

/// A snapshot of what a verb shows, with digests, times and run ids replaced.
macro_rules! shows {
    ($context:expr, $args:expr, @$snapshot:literal) => {
        insta::with_settings!({ filters => vec![
            (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
            (r"\brun `?[0-9a-f]{12}`?", "run [RUN]"),
            (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", "[TIME]"),
            (r"\b\d+ µs", "[N] µs"),
            (r"\b\d+ ms", "[N] ms"),
            (r"\b\d+ bytes", "[N] bytes"),
        ] }, { insta::assert_snapshot!($context.shown(&$args), @$snapshot) });
    };
}
pub(crate) use shows;

/// Whether a process with this id is there.
pub(crate) fn is_alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}
