//! Running commands in cells, and the roles that this executable plays for its own tests.

use std::{
    ffi::CString,
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    process::ExitCode,
    sync::OnceLock,
    time::{Duration, Instant},
};

use portcullis_confine::{
    Cell, CellCommand, Event, Helper, Plan, Rlimits, SendError, SpawnServer, Status, Template,
    TestPoint, Tier,
};
use rustix::event::{PollFd, PollFlags, Timespec};

/// How long anything may take that takes milliseconds; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server, and a template of it.
pub(crate) struct Cells {
    // Goes first.
    pub(crate) template: Template,
    pub(crate) server: SpawnServer,
}

impl Cells {
    pub(crate) fn of(plan: &Plan) -> Self {
        let server = SpawnServer::start(&Helper::find(None).unwrap(), plan).unwrap();
        let template = server.template(plan).unwrap();
        Self { template, server }
    }
}

thread_local! {
    static TIER: std::cell::Cell<Tier> = const { std::cell::Cell::new(Tier::Limits) };
}

/// The tier in which the running test has its cells, unless it says otherwise.
pub(crate) fn tier() -> Tier {
    TIER.get()
}

/// Runs a test with its cells in this tier. A test has a thread to itself.
pub(crate) fn in_tier<T>(tier: Tier, test: impl FnOnce() -> T) -> T {
    TIER.set(tier);
    let result = test();
    TIER.set(Tier::Limits);
    result
}

/// How often a long count is repeated: all of it in `cargo xtask soak`, a tenth otherwise.
pub(crate) fn soak(count: usize) -> usize {
    if std::env::var_os("PORTCULLIS_SOAK").is_some() {
        count
    } else {
        count / 10
    }
}

/// The server that most tests share.
pub(crate) fn shared_server() -> &'static Cells {
    static LIMITS: OnceLock<Cells> = OnceLock::new();
    static FULL: OnceLock<Cells> = OnceLock::new();
    let server = if tier() == Tier::Limits {
        &LIMITS
    } else {
        &FULL
    };
    server.get_or_init(new_server)
}

pub(crate) fn new_server() -> Cells {
    Cells::of(&Plan::new(tier()))
}

/// Waits until `fd` is readable or at its end; `false` when `time` has passed.
pub(crate) fn wait_readable(fd: impl AsFd, time: Duration) -> bool {
    let timeout = Timespec::try_from(time).unwrap();
    let mut ready = [PollFd::new(&fd, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, Some(&timeout))).unwrap() == 1
}

/// Asks for a cell and waits for it.
pub(crate) fn cell_of(cells: &Cells) -> Cell {
    cell_from(&cells.template)
}

/// As [`cell_of`].
pub(crate) fn cell_from(template: &Template) -> Cell {
    template.request_cell().unwrap();
    loop {
        assert!(wait_readable(template.socket(), PATIENCE), "no cell came");
        if let Some(cell) = template.receive_cell().unwrap() {
            return cell;
        }
    }
}

pub(crate) fn new_cell() -> Cell {
    cell_of(shared_server())
}

/// The one event of a cell.
pub(crate) fn event_of(cell: &Cell) -> Event {
    loop {
        assert!(wait_readable(cell.socket(), PATIENCE), "no event came");
        if let Some(event) = cell.receive().unwrap() {
            return event;
        }
    }
}

pub(crate) fn c_strings(list: &[&str]) -> Vec<CString> {
    list.iter()
        .map(|text| CString::new(*text).unwrap())
        .collect()
}

/// A command in the making: `sh -c` with nothing but a `PATH`, unless said otherwise.
pub(crate) struct Run {
    pub(crate) program: File,
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) cwd: File,
    pub(crate) stdin: OwnedFd,
    pub(crate) limits: Rlimits,
    pub(crate) observed: bool,
    pub(crate) stop: Option<(TestPoint, OwnedFd)>,
}

/// The pipes of a command that was started.
pub(crate) struct Pipes {
    pub(crate) stdout: File,
    pub(crate) stderr: File,
}

impl Run {
    pub(crate) fn program(path: &str, argv: &[&str]) -> Self {
        Self {
            program: File::open(path).unwrap(),
            argv: c_strings(argv),
            env: c_strings(&["PATH=/usr/bin:/bin"]),
            cwd: File::open("/").unwrap(),
            stdin: File::open("/dev/null").unwrap().into(),
            limits: Rlimits::default(),
            observed: false,
            stop: None,
        }
    }

    pub(crate) fn shell(script: &str) -> Self {
        Self::program("/bin/sh", &["sh", "-c", script])
    }

    /// Starts the command in `cell`.
    pub(crate) fn start(&self, cell: &Cell) -> Result<Pipes, SendError> {
        let (stdout, stdout_end) = io::pipe().unwrap();
        let (stderr, stderr_end) = io::pipe().unwrap();
        let command = self.command(stdout_end.as_fd(), stderr_end.as_fd());
        match &self.stop {
            None => cell.start(&command)?,
            Some((point, announce)) => {
                cell.start_stopping_at(&command, *point, announce.as_fd())?
            }
        }
        let file = |pipe: io::PipeReader| File::from(OwnedFd::from(pipe));
        Ok(Pipes {
            stdout: file(stdout),
            stderr: file(stderr),
        })
    }

    fn command<'a>(&'a self, stdout: BorrowedFd<'a>, stderr: BorrowedFd<'a>) -> CellCommand<'a> {
        CellCommand {
            program: self.program.as_fd(),
            argv: &self.argv,
            env: &self.env,
            cwd: self.cwd.as_fd(),
            stdin: self.stdin.as_fd(),
            stdout,
            stderr,
            limits: self.limits,
            observed: self.observed,
        }
    }

    /// Runs the command in a new cell to its end; with what it wrote.
    pub(crate) fn finish(&self) -> (Event, String, String) {
        self.finish_in(&new_cell())
    }

    pub(crate) fn finish_in(&self, cell: &Cell) -> (Event, String, String) {
        let mut pipes = self.start(cell).unwrap();
        let mut stderr = pipes.stderr;
        let errors = std::thread::spawn(move || read_all(&mut stderr));
        let output = read_all(&mut pipes.stdout);
        (event_of(cell), output, errors.join().unwrap())
    }

    /// The status of a command that ends by itself.
    pub(crate) fn status(&self) -> Status {
        match self.finish() {
            (Event::Exited { status, .. }, _, _) => status,
            (other, output, errors) => panic!("{other:?}: {output}{errors}"),
        }
    }

    /// What a command writes that ends well.
    pub(crate) fn output(&self) -> String {
        match self.finish() {
            (
                Event::Exited {
                    status: Status::Code(0),
                    ..
                },
                output,
                _,
            ) => output,
            (other, output, errors) => panic!("{other:?}: {output}{errors}"),
        }
    }
}

pub(crate) fn read_all(file: &mut File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

/// A pipe whose writing end is held by every process of a tree: it ends when they are all gone.
pub(crate) struct Witness {
    reader: File,
    writer: Option<OwnedFd>,
}

impl Witness {
    pub(crate) fn new() -> Self {
        let (reader, writer) = io::pipe().unwrap();
        Self {
            reader: File::from(OwnedFd::from(reader)),
            writer: Some(writer.into()),
        }
    }

    /// The writing end, to be handed to the tree as its standard input, which the shell passes on.
    pub(crate) fn hand_over(&mut self) -> OwnedFd {
        self.writer.take().unwrap()
    }

    /// Waits until the tree has written `count` lines, each from a process that holds the pipe.
    pub(crate) fn wait_for_lines(&mut self, count: usize) {
        let mut seen = 0;
        let mut byte = [0; 1];
        while seen < count {
            assert!(
                wait_readable(&self.reader, PATIENCE),
                "only {seen} of {count} came"
            );
            assert_eq!(
                self.reader.read(&mut byte).unwrap(),
                1,
                "the tree ended too early"
            );
            seen += usize::from(byte == *b"\n");
        }
    }

    /// Waits for the end of the pipe; how long that took.
    pub(crate) fn wait_for_end(&mut self) -> Duration {
        let start = Instant::now();
        let mut bytes = [0; 4096];
        while wait_readable(&self.reader, PATIENCE.saturating_sub(start.elapsed())) {
            if self.reader.read(&mut bytes).unwrap() == 0 {
                return start.elapsed();
            }
        }
        panic!("some process of the tree still holds the pipe");
    }

    /// Whether every holder is gone already.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Whether nobody holds the pipe but, for a moment, a process that another test is just starting: it has a copy of
    /// every descriptor of this one until it executes its program.
    pub(crate) fn is_let_go(&mut self) -> bool {
        self.ends_within(Duration::from_secs(1))
    }

    fn ends_within(&mut self, time: Duration) -> bool {
        let mut bytes = [0; 4096];
        while wait_readable(&self.reader, time) {
            if self.reader.read(&mut bytes).unwrap() == 0 {
                return true;
            }
        }
        false
    }
}

/// A shell script whose processes fork, leave the session and ignore SIGTERM; each writes a line to
/// the witness, its standard input, once it is as it should be, and stays for ever.
pub(crate) const STUBBORN_TREE: &str = r#"
    exec 3>&0
    trap '' TERM
    for i in 1 2 3; do
        setsid sh -c '(echo >&3; exec sleep 1000) & echo >&3; sleep 1000; wait' &
    done
    echo >&3
    wait
"#;
pub(crate) const STUBBORN_TREE_LINES: usize = 7;

/// Plays the role that the first argument names, if it names one.
pub(crate) fn play_role() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next()?.as_str(), arguments.next()) {
        ("--role", Some(role)) => Some(match role.as_str() {
            "start-server" => crate::server::play_starter(),
            "racer" => crate::full::racer::play(arguments),
            "stager" => crate::staging::play(arguments),
            "looker" => crate::looker::play(arguments),
            "observer" => crate::observed::play_observer(),
            "probe" => crate::probe::play(arguments),
            "killed-start" => crate::killed_server::play_starter(arguments),
            "host" => crate::killed_host::play_host(arguments),
            "cgroup-host" => crate::full::cgroup::play_host(),
            "cgroup-leaf" => crate::full::cgroup::play_leaf(),
            other => panic!("no role `{other}`"),
        }),
        _ => None,
    }
}

static SCRATCH: OnceLock<std::path::PathBuf> = OnceLock::new();

/// A directory for the files of this run.
pub(crate) fn scratch() -> &'static std::path::Path {
    SCRATCH.get_or_init(|| tempfile::tempdir().unwrap().keep())
}

/// Removes what [`scratch`] made.
pub(crate) fn clean_up() {
    if let Some(path) = SCRATCH.get() {
        std::fs::remove_dir_all(path).unwrap();
    }
}

/// Copies a file into the scratch directory.
pub(crate) fn copy_of(path: &str, name: &str, mode: u32) -> std::path::PathBuf {
    let copy = scratch().join(name);
    std::fs::copy(path, &copy).unwrap();
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    copy
}

/// A file of these bytes in the scratch directory, executable.
pub(crate) fn file_of(bytes: &[u8], name: &str) -> std::path::PathBuf {
    let path = scratch().join(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// Runs this executable again, in a role of [`play_role`] or as a test harness.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands"
)]
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> std::process::Command {
    std::process::Command::new(program)
}

pub(crate) fn this_executable() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

/// Every process that has not ended, with its parent.
fn parents() -> Vec<(u32, u32)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let numbers = stats.filter_map(|stat| {
        let pid = stat.split_whitespace().next()?.parse().ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let alive = fields.next()? != "Z";
        let parent = fields.next()?.parse().ok()?;
        alive.then_some((pid, parent))
    });
    numbers.collect()
}

pub(crate) fn children(of: u32) -> Vec<u32> {
    let parents = parents().into_iter();
    let children = parents.filter(|&(_, parent)| parent == of);
    children.map(|(child, _)| child).collect()
}

/// All that descend from a process.
pub(crate) fn descendants(of: u32) -> Vec<u32> {
    let parents = parents();
    let mut all = vec![of];
    let mut next = 0;
    while let Some(&above) = all.get(next) {
        let children = parents.iter().filter(|&&(_, parent)| parent == above);
        all.extend(children.map(|&(child, _)| child));
        next += 1;
    }
    all.split_off(1)
}
