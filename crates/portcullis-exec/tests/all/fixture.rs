//! A plugin with grants, a project directory, and a host that runs what it asks for.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use portcullis_exec::{
    Completed, ExecAsk, ExecFailure, Executor, ExecutorOptions, Helper, Opened, Permit, Place,
    Quota, Status, resolve,
};
use portcullis_policy::{
    Authorized, Code, Confinement, Decision, Denial, ExecGrant, ExecRequest, FsAccess, FsGrant,
    Grants, HostEnvironment, Mode, Origin, PluginId, ProgramRule, decide,
};
use tempfile::TempDir;

/// How long a test waits for what takes milliseconds; only a failing test waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Each test has a runtime of its own, on one thread; the executor is shared by all.
pub(crate) fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

thread_local! {
    static CONFINEMENT: Cell<Confinement> = const { Cell::new(Confinement::Limits) };
}

/// The confinement that the running test is about.
pub(crate) fn confinement() -> Confinement {
    CONFINEMENT.get()
}

/// Whether the running test is about full confinement.
pub(crate) fn is_full() -> bool {
    confinement() == Confinement::Full
}

/// Runs a test under a confinement. A test has a thread to itself, and its runtime is on it.
pub(crate) fn under<T>(confinement: Confinement, test: impl FnOnce() -> T) -> T {
    CONFINEMENT.set(confinement);
    let result = test();
    CONFINEMENT.set(Confinement::Limits);
    result
}

/// The executor that most tests share.
pub(crate) fn executor() -> &'static Executor {
    static EXECUTOR: OnceLock<Executor> = OnceLock::new();
    EXECUTOR.get_or_init(new_executor)
}

pub(crate) fn new_executor() -> Executor {
    Executor::start(Helper::find(None).unwrap(), &ExecutorOptions::default()).unwrap()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How often a long count is repeated: all of it in `cargo xtask soak`, a tenth otherwise.
pub(crate) fn soak(count: usize) -> usize {
    if std::env::var_os("PORTCULLIS_SOAK").is_some() {
        count
    } else {
        count / 10
    }
}

/// Why a command did not run to an end.
#[derive(Debug)]
pub(crate) enum Refused {
    Denied(Box<Denial>),
    Limit(Code),
    Failed(ExecFailure),
}

/// A plugin in a project of its own, in `dev` mode, with commands under the test's confinement.
pub(crate) struct Plugin {
    pub(crate) grants: Grants,
    pub(crate) place: Place,
    pub(crate) quota: Quota,
    dir: TempDir,
}

impl Plugin {
    /// Grants these programs with any arguments, and reading the project.
    pub(crate) fn new(allow: &[&str]) -> Self {
        Self::with_host_env(allow, &[])
    }

    pub(crate) fn with_host_env(allow: &[&str], host_env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host_env = host_env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let place = Place::open(dir.path(), HostEnvironment::new(host_env.collect())).unwrap();
        let mut grants = Grants::none(PluginId::new("plugin").unwrap());
        grants.mode = Mode::Dev;
        grants.exec = Some(ExecGrant {
            allow: allow
                .iter()
                .map(|program| ProgramRule::any_arguments(program))
                .collect(),
            confinement: confinement(),
            ..ExecGrant::default()
        });
        grants.fs = vec![grant(place.project(), "/project", FsAccess::Read)];
        let quota = Quota::new(&grants.limits);
        Self {
            grants,
            place,
            quota,
            dir,
        }
    }

    pub(crate) fn exec(&mut self) -> &mut ExecGrant {
        self.grants.exec.as_mut().unwrap()
    }

    /// Changes the limits, and starts counting anew.
    pub(crate) fn limit(&mut self, change: impl FnOnce(&mut portcullis_policy::Limits)) {
        change(&mut self.grants.limits);
        self.quota = Quota::new(&self.grants.limits);
    }

    /// The real path of something in the project.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.project().join(name)
    }

    /// A directory in the project.
    pub(crate) fn make_dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        path
    }

    /// A file in the project.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.path(name);
        write_file(&path, bytes, mode);
        path
    }

    /// A copy of a program in the project.
    pub(crate) fn copy(&self, program: &str, name: &str) -> PathBuf {
        self.write(name, fs::read(program).unwrap(), 0o755)
    }

    pub(crate) fn resolve(&self, ask: &ExecAsk) -> (ExecRequest, Opened) {
        resolve(&self.grants, &self.place, ask)
    }

    /// Resolves and decides.
    pub(crate) fn decide(
        &self,
        ask: &ExecAsk,
    ) -> Result<(Authorized<ExecRequest>, Opened), Box<Denial>> {
        let (request, opened) = self.resolve(ask);
        match decide(&self.grants, request) {
            Decision::Allow(authorized) => Ok((authorized, opened)),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => Err(denial),
        }
    }

    /// The code of the denial that an ask gets, and its notes.
    pub(crate) fn denial(&self, ask: &ExecAsk) -> (Code, String) {
        let denial = self.decide(ask).map(|_| ()).expect_err("it was allowed");
        (denial.code, denial.notes.join("; "))
    }

    /// The whole way of one command.
    pub(crate) async fn try_run(&self, ask: ExecAsk) -> Result<Completed, Refused> {
        self.try_run_on(executor(), ask, None).await
    }

    pub(crate) async fn try_run_on(
        &self,
        executor: &Executor,
        ask: ExecAsk,
        deadline: Option<Instant>,
    ) -> Result<Completed, Refused> {
        let (authorized, opened) = self.decide(&ask).map_err(Refused::Denied)?;
        let permit = self.quota.begin(Instant::now()).map_err(Refused::Limit)?;
        let run = executor.run(authorized, opened, ask.stdin, deadline, permit);
        run.await.map_err(Refused::Failed)
    }

    /// The right to run one command.
    pub(crate) fn permit(&self) -> Permit {
        self.quota.begin(Instant::now()).unwrap()
    }

    /// The limit that kept an allowed command from running.
    pub(crate) async fn limit_of(&self, ask: ExecAsk) -> Code {
        match self.try_run(ask).await {
            Err(Refused::Limit(code)) => code,
            other => panic!("{other:?}"),
        }
    }

    /// Why a command failed that was allowed.
    pub(crate) async fn failure(&self, ask: ExecAsk) -> ExecFailure {
        match self.try_run(ask).await {
            Err(Refused::Failed(failure)) => failure,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn run(&self, ask: ExecAsk) -> Completed {
        self.try_run(ask).await.unwrap()
    }

    /// The status of `sh -c`.
    pub(crate) async fn status(&self, script: &str) -> Status {
        self.run(shell(script)).await.status
    }

    /// The output of a command that ends well.
    pub(crate) async fn output(&self, ask: ExecAsk) -> String {
        let completed = self.run(ask).await;
        let text = String::from_utf8(completed.stdout).unwrap();
        assert_eq!(completed.status, Status::Exited(0), "{text}");
        text
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        // A test may have taken rights from a directory of its own.
        let _: std::io::Result<()> =
            fs::set_permissions(self.dir.path(), fs::Permissions::from_mode(0o700));
    }
}

pub(crate) fn grant(host: &Path, guest: &str, access: FsAccess) -> FsGrant {
    FsGrant {
        host: host.to_owned(),
        kind: portcullis_policy::FsKind::Directory,
        guest: guest.to_owned(),
        access,
        origin: Origin::Code,
    }
}

pub(crate) fn write_file(path: &Path, bytes: impl AsRef<[u8]>, mode: u32) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn ask(program: impl Into<String>, args: &[&str]) -> ExecAsk {
    ExecAsk {
        program: program.into(),
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        ..ExecAsk::default()
    }
}

pub(crate) fn ask_path(program: &Path, args: &[&str]) -> ExecAsk {
    ask(program.to_str().unwrap(), args)
}

pub(crate) fn shell(script: &str) -> ExecAsk {
    ask("sh", &["-c", script])
}
