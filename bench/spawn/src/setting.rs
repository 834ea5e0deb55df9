//! The plan that is measured: a working tree as people have them, with everything that is mounted for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_confine::{Access, Helper, Plan, Root, SpawnServer, Tier};

use crate::cells::{Cells, Task};
use crate::tiny;

/// What the goals demand of the measured plan.
const FEWEST_MOUNTS: usize = 30;
const FEWEST_RULES: usize = 20;

/// Directories and programs that the rows have in common, and the server that makes their cells.
#[derive(Debug)]
pub struct Setting {
    /// The tiny program.
    pub tiny: PathBuf,
    /// A tree of some thousands of files.
    pub tree: PathBuf,
    /// What goes into a cell, with its access.
    grants: Vec<(PathBuf, Access)>,
    home: PathBuf,
    /// Makes the cells.
    pub server: SpawnServer,
    _dir: tempfile::TempDir,
}

impl Setting {
    /// Makes them.
    ///
    /// # Errors
    /// The system cannot confine commands, or a file cannot be made.
    pub fn new() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let base = dir.path().canonicalize()?;
        let at = |path: &str| base.join(path);
        for path in [
            "bin",
            "home",
            "project/.git/hooks",
            "project/.git/info",
            "project/.vscode",
            "project/target",
            "project/node_modules",
            "library",
            "cache",
            "tree",
        ] {
            fs::create_dir_all(at(path))?;
        }
        for path in ["project/.git/config", "project/.envrc", "home/.gitconfig"] {
            fs::write(at(path), "")?;
        }
        let tree = at("tree");
        for directory in 0..60 {
            let directory = tree.join(format!("directory-{directory}"));
            fs::create_dir(&directory)?;
            for file in 0..60 {
                fs::write(directory.join(format!("file-{file}")), "some text\n")?;
            }
        }
        let grants = [
            ("bin", Access::Program),
            ("project", Access::Write),
            ("project/.git", Access::Write),
            ("project/.git/hooks", Access::Read),
            ("project/.git/info", Access::Read),
            ("project/.git/config", Access::Read),
            ("project/.vscode", Access::Read),
            ("project/.envrc", Access::Read),
            ("project/target", Access::WriteExec),
            ("project/node_modules", Access::WriteExec),
            ("library", Access::Read),
            ("cache", Access::Write),
            ("tree", Access::Read),
            ("home/.gitconfig", Access::Read),
        ];
        Ok(Self {
            tiny: tiny::build(&at("bin"))?,
            tree,
            grants: grants.map(|(path, access)| (at(path), access)).to_vec(),
            home: at("home"),
            server: SpawnServer::start(&Helper::find(None)?, &Plan::limits())?,
            _dir: dir,
        })
    }

    /// The measured plan.
    ///
    /// # Errors
    /// A directory cannot be opened.
    pub fn plan(&self, tier: Tier) -> anyhow::Result<Plan> {
        let mut plan = Plan::new(tier).home(&self.home);
        if tier == Tier::Limits {
            return Ok(plan);
        }
        for (path, access) in &self.grants {
            plan = plan.root(Root::open(path, *access)?);
        }
        Ok(plan)
    }

    /// Counts the mounts that a command of the full plan sees, and the rules of its Landlock domain.
    ///
    /// # Errors
    /// There are fewer than the goals demand.
    pub fn describe(&self) -> anyhow::Result<String> {
        let cells = Cells::new(&self.server, &self.plan(Tier::Full)?, 1)?;
        let task = Task::new(Path::new("/bin/cat"), &["cat", "/proc/self/mountinfo"])?;
        let [mounts, _] = cells.run(&cells.take()?, &task)?;
        let mounts = mounts.iter().filter(|&&byte| byte == b'\n').count();
        let there = |paths: &[&str]| paths.iter().filter(|path| Path::new(path).exists()).count();
        let system = there(&[
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib32",
            "/lib64",
            "/libx32",
            "/nix/store",
        ]);
        // The root, /etc, /proc, five devices, and /tmp, /dev/shm and home.
        let rules = 3 + 5 + 3 + system + self.grants.len();
        anyhow::ensure!(mounts >= FEWEST_MOUNTS, "{mounts} mounts are too few");
        anyhow::ensure!(rules >= FEWEST_RULES, "{rules} rules are too few");
        Ok(format!(
            "{mounts} mounts, {rules} Landlock rules, the whole filter, three probes in each cell"
        ))
    }

    /// The same isolation by bubblewrap, of a program; `None` where there is none.
    pub fn bwrap(&self, program: &Path) -> Option<Command> {
        let bwrap = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"]
            .into_iter()
            .find(|path| Path::new(path).exists())?;
        let mut command = Command::new(bwrap);
        command.args([
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-net",
        ]);
        command.args([
            "--uid",
            "65534",
            "--gid",
            "65534",
            "--hostname",
            "cell",
            "--die-with-parent",
            "--new-session",
        ]);
        command.args(["--cap-drop", "ALL", "--ro-bind", "/usr", "/usr"]);
        for link in ["bin", "sbin", "lib", "lib64"] {
            if let Ok(target) = fs::read_link(Path::new("/").join(link)) {
                command
                    .arg("--symlink")
                    .arg(target)
                    .arg(Path::new("/").join(link));
            }
        }
        for name in ETC {
            command.arg("--ro-bind-try").args([name, name]);
        }
        command.args([
            "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/dev/shm", "--tmpfs", "/tmp",
        ]);
        command.arg("--tmpfs").arg(&self.home);
        for (path, access) in &self.grants {
            let bind = match access {
                Access::Write | Access::WriteExec => "--bind",
                _ => "--ro-bind",
            };
            command.arg(bind).arg(path).arg(path);
        }
        command.arg("--remount-ro").arg("/").arg("--").arg(program);
        Some(command)
    }
}

/// What a cell has of `/etc`.
const ETC: [&str; 14] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/services",
    "/etc/localtime",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/alternatives",
    "/etc/os-release",
    "/etc/gitconfig",
];
