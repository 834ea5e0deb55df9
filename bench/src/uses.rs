//! What a guest does itself through the gate, from its call to the answer, beside native Rust that does the same.
//! `bench/peers` has it too.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::audit::{Folding, Forwarding, Options, Trail};
use portcullis::kv::{Limits as StoreLimits, Store, Stores};
use portcullis::policy::{
    FsAccess, FsGrant, FsKind, Grants, HostEnvironment, KvGrant, KvOwner, KvSize, Origin, PluginId,
};
use portcullis::{GuestLog, Host, HostBuilder, Instance, LogLine, Source};
use portcullis_spawn_bench::rounds::{Figure, Row};

/// One thing that a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    ReadSmall,
    ReadLarge,
    Env,
    Log,
    Kv,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Native,
    /// With a trail as the command line keeps it.
    Trail,
    /// In an application that keeps none.
    NoTrail,
}

const SMALL: usize = 64;
const LARGE: usize = 64 * 1024;
/// A variable that every process has.
const VARIABLE: &str = "PATH";
const KEY: &str = "last-run";
const VALUE: [u8; 64] = [b'v'; 64];
const LINE: &str = "looked at 25 repositories, three of which have changed since";
/// Microseconds over what the native side takes.
const GOAL: f64 = 3.0;
/// Rounds that do not count.
pub(crate) const WARM_UP: usize = 3;

impl Use {
    pub(crate) const ALL: [Self; 5] = [
        Self::ReadSmall,
        Self::ReadLarge,
        Self::Env,
        Self::Log,
        Self::Kv,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ReadSmall => "a guest reads a file of 64 bytes",
            Self::ReadLarge => "a guest reads a file of 64 KiB",
            Self::Env => "a guest reads an environment variable",
            Self::Log => "a guest writes a line of 60 characters into the log",
            Self::Kv => "a guest reads a value of 64 bytes from its state",
        }
    }

    /// The name of what it is done with, for guests that are told.
    pub(crate) fn object(self, native: &Native) -> String {
        match self {
            Self::ReadSmall => native.small.display().to_string(),
            Self::ReadLarge => native.large.display().to_string(),
            Self::Env => VARIABLE.to_owned(),
            Self::Log => LINE.to_owned(),
            Self::Kv => KEY.to_owned(),
        }
    }

    /// How often it is done in one round.
    pub(crate) fn repetitions(self) -> u32 {
        match self {
            Self::ReadLarge => 100,
            Self::ReadSmall | Self::Env | Self::Log | Self::Kv => 400,
        }
    }

    /// The test guest that does it, and what it is told to do it so often.
    fn guest(self, native: &Native, times: u32) -> (&'static str, Vec<String>) {
        let (times, object) = (times.to_string(), self.object(native));
        match self {
            Self::ReadSmall | Self::ReadLarge => {
                let act = ["again", &times, "size", &object].join("\u{1f}");
                ("files", vec![act])
            }
            Self::Env => ("env", vec!["again".to_owned(), times, object]),
            Self::Log => {
                let args = ["info", &times, "", "0", &object];
                ("log", args.map(str::to_owned).to_vec())
            }
            Self::Kv => ("kv", vec![format!("again {times} {object}")]),
        }
    }
}

/// The same in native Rust.
pub(crate) struct Native {
    small: PathBuf,
    large: PathBuf,
    log: File,
    store: Arc<Store>,
}

impl Native {
    fn new(dir: &Path) -> anyhow::Result<Self> {
        let project = dir.join("project");
        std::fs::create_dir(&project)?;
        let (small, large) = (project.join("small.txt"), project.join("large.txt"));
        std::fs::write(&small, [b's'; SMALL])?;
        std::fs::write(&large, vec![b'l'; LARGE])?;
        Ok(Self {
            small,
            large,
            log: File::create(dir.join("native.log"))?,
            store: filled(&dir.join("native"), "native")?,
        })
    }

    pub(crate) fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    pub(crate) fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    pub(crate) fn log(&self, line: &str) -> std::io::Result<()> {
        writeln_at_once(&self.log, line)
    }

    pub(crate) fn kv(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.store.get(key)?)
    }

    fn time(&self, what: Use, times: u32) -> anyhow::Result<Duration> {
        let object = what.object(self);
        let start = Instant::now();
        for _ in 0..times {
            let there = match what {
                Use::ReadSmall | Use::ReadLarge => !self.read(&object)?.is_empty(),
                Use::Env => std::hint::black_box(self.env(&object)).is_some(),
                Use::Log => self.log(&object).is_ok(),
                Use::Kv => std::hint::black_box(self.kv(&object)?).is_some(),
            };
            anyhow::ensure!(there, "{what:?}: nothing is there");
        }
        Ok(start.elapsed())
    }
}

fn filled(dir: &Path, owner: &str) -> anyhow::Result<Arc<Store>> {
    let limits = StoreLimits {
        key: 256,
        value: 1024,
        bytes: 64 * 1024,
        keys: 16,
    };
    let store = Stores::open(dir)?.store(owner)?;
    store.set(KEY, &VALUE, &limits)?;
    Ok(store)
}

fn writeln_at_once(mut file: &File, line: &str) -> std::io::Result<()> {
    file.write_all(format!("{line}\n").as_bytes())
}

/// The operator's log, in a file as the native side's is.
struct LogFile(File);

impl GuestLog for LogFile {
    fn line(&self, line: &LogLine<'_>) {
        // The file's length is looked at after each round.
        let _ = writeln_at_once(&self.0, line.message);
    }

    fn dropped(&self, _: &PluginId, _: u64) {}
}

/// A host with one instance of each guest.
struct Ours {
    instances: Vec<(Use, Instance)>,
    log: PathBuf,
}

impl Ours {
    async fn new(
        dir: &Path,
        native: &Native,
        name: &str,
        builder: HostBuilder,
    ) -> anyhow::Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let state = dir.join(name);
        let owner = KvOwner::Application {
            name: name.to_owned(),
        };
        drop(filled(&state, &owner.state_of(&PluginId::new("bench")?))?);
        let host = builder
            .project(dir.join("project"))
            .host_env(HostEnvironment::new(std::env::vars().collect()))
            .state(state)
            .guest_log(Arc::new(LogFile(File::create(&log)?)))
            .build()?;
        let mut instances = Vec::new();
        for what in Use::ALL {
            let grants = grants(what, &host, owner.clone())?;
            let (guest, _) = what.guest(native, 0);
            let bytes = portcullis_testkit::guest_bytes(guest);
            let plugin = host.load(Source { bytes, grants }).await?;
            instances.push((what, plugin.instantiate("bench").await?));
        }
        Ok(Self { instances, log })
    }

    /// What it takes more to do it so often in one call than not at all.
    async fn time(&mut self, native: &Native, what: Use, times: u32) -> anyhow::Result<Duration> {
        let instance = self.instances.iter_mut().find(|(of, _)| *of == what);
        let (_, instance) = instance.ok_or_else(|| anyhow::anyhow!("no guest for {what:?}"))?;
        let logged = std::fs::metadata(&self.log)?.len();
        let mut took = [Duration::ZERO; 2];
        for (took, times) in took.iter_mut().zip([0, times]) {
            let (_, args) = what.guest(native, times);
            let start = Instant::now();
            let answer = instance.run(&args).await?.map_err(anyhow::Error::msg)?;
            *took = start.elapsed();
            let expected = match what {
                _ if times == 0 => answer.clone(),
                Use::ReadSmall => SMALL.to_string(),
                Use::ReadLarge => LARGE.to_string(),
                Use::Log => "written".to_owned(),
                Use::Env | Use::Kv => times.to_string(),
            };
            anyhow::ensure!(answer == expected, "{what:?}: the guest got `{answer}`");
        }
        let logged = std::fs::metadata(&self.log)?.len() - logged;
        let lines = if what == Use::Log { times } else { 0 };
        let expected = u64::from(lines) * (LINE.len() as u64 + 1);
        anyhow::ensure!(logged == expected, "lines are missing in the log");
        Ok(took[1].saturating_sub(took[0]))
    }
}

/// What one of the guests needs, as often as it likes.
fn grants(what: Use, host: &Host, owner: KvOwner) -> anyhow::Result<Grants> {
    let mut grants = Grants::none(PluginId::new("bench")?);
    grants.limits.calls_per_minute = u32::MAX;
    grants.limits.log_per_minute = u32::MAX;
    match what {
        Use::ReadSmall | Use::ReadLarge => {
            grants.fs = vec![FsGrant {
                host: host.project().to_owned(),
                kind: FsKind::Directory,
                guest: ".".to_owned(),
                access: FsAccess::Read,
                origin: Origin::Code,
            }];
        }
        Use::Env => grants.env = vec![VARIABLE.to_owned()],
        Use::Log => grants.log = true,
        Use::Kv => {
            grants.kv = Some(KvGrant {
                size: KvSize::default(),
                owner,
                origin: Origin::Code,
            });
        }
    }
    Ok(grants)
}

/// All sides of the comparison, ready.
pub(crate) struct Sides {
    pub(crate) native: Arc<Native>,
    trail: Ours,
    no_trail: Ours,
    _dir: tempfile::TempDir,
}

impl Sides {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().canonicalize()?;
        let native = Arc::new(Native::new(&path)?);
        // As `portcullis run` has it: with a copy of the head elsewhere, and what passes records on in front of it.
        let mut options = Options::default();
        options.keep_head_in = Some(path.join("data"));
        let trail = Trail::open(&path.join("audit"), options)?;
        let trail = Folding::new(Forwarding::new(trail, Vec::new())?, Default::default());
        let with = Host::builder().audit(Arc::new(trail));
        Ok(Self {
            trail: Ours::new(&path, &native, "trail", with).await?,
            no_trail: Ours::new(&path, &native, "no-trail", Host::builder()).await?,
            native,
            _dir: dir,
        })
    }

    /// Does it so often, on this side.
    pub(crate) async fn time(
        &mut self,
        side: Side,
        what: Use,
        times: u32,
    ) -> anyhow::Result<Duration> {
        match side {
            Side::Native => self.native.time(what, times),
            Side::Trail => self.trail.time(&self.native, what, times).await,
            Side::NoTrail => self.no_trail.time(&self.native, what, times).await,
        }
    }
}

/// The sides, and how their rows are called.
pub(crate) const SIDES: [(Side, &str); 3] = [
    (Side::Native, "native Rust"),
    (Side::Trail, "a plugin, written into the trail"),
    (
        Side::NoTrail,
        "a plugin of an application that keeps no trail",
    ),
];

/// Prints what the gate adds to the native side.
pub(crate) fn print_more(title: &str, native: &Row, trail: &Row, no_trail: &Row) {
    let more = |row: &Row| row.median() - native.median();
    let name = "more than native, written into the trail";
    Figure::at_most(title, name, more(trail), "µs", GOAL).put();
    let name = "more than native, no trail";
    Figure::at_most(title, name, more(no_trail), "µs", GOAL).put();
}
