//! What keeps a system from confining commands, and the one sentence that changes it: read from the files in which a
//! system says what it is. Nothing is tried here; that is what making a cell is for.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Tier;

/// Something that stands in the way of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// What it keeps from working.
    pub hinders: Hinders,
    /// What was found, as a clause.
    pub what: String,
    /// What to do about it, as a sentence without its end.
    pub fix: String,
}

/// What an obstacle keeps from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hinders {
    /// Starting any command.
    Everything,
    /// Namespaces: every tier but `landlock`.
    Namespaces,
    /// A `/proc` of the cell's own: every tier but `landlock`.
    OwnProc,
    /// Landlock: the tiers `full` and `landlock`.
    Landlock,
    /// What the tier `landlock` rests on alone.
    LandlockAlone,
}

impl Hinders {
    /// Whether a tier needs what is hindered.
    #[must_use]
    pub fn concerns(self, tier: Tier) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespaces | Self::OwnProc => tier != Tier::Landlock,
            Self::Landlock => tier.has_landlock(),
            Self::LandlockAlone => tier == Tier::Landlock,
        }
    }
}

/// The file that serves cells, and whether only root can change it.
#[derive(Clone, Copy, Debug)]
pub struct Executable<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Whether it and all directories above it are root's, and writable by nobody else.
    pub only_root_writes: bool,
}

impl<'a> Executable<'a> {
    /// Looks at the file and all directories above it.
    #[must_use]
    pub fn at(path: &'a Path) -> Self {
        Self {
            path,
            only_root_writes: path.ancestors().all(is_roots_alone),
        }
    }
}

#[cfg(unix)]
fn is_roots_alone(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn is_roots_alone(_: &Path) -> bool {
    false
}

/// The system calls that make a cell and that containers use to forbid.
macro_rules! calls {
    () => {
        "`clone`, `unshare`, `mount`, `umount2`, `pivot_root`, `fsopen`, `fsmount`, `open_tree`, `move_mount`, \
         `mount_setattr` and `sethostname`"
    };
}

/// What a system runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// Docker, and what calls itself so.
    Docker,
    /// Podman.
    Podman,
    /// A pod of Kubernetes.
    Kubernetes,
    /// Some other, such as LXC or systemd-nspawn.
    Other,
}

impl Container {
    /// The container that the system below `root` runs in, if any.
    #[must_use]
    pub fn of(root: &Path) -> Option<Self> {
        let is_there = |path: &str| root.join(path).exists();
        // A pod's runtime may leave the marks of the others as well.
        if is_there("run/secrets/kubernetes.io") || is_there("var/run/secrets/kubernetes.io") {
            Some(Self::Kubernetes)
        } else if is_there("run/.containerenv") {
            Some(Self::Podman)
        } else if is_there(".dockerenv") {
            Some(Self::Docker)
        } else if is_there("run/systemd/container") {
            Some(Self::Other)
        } else {
            None
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
            Self::Other => "container",
        }
    }

    /// How it is told to allow the system calls that make a cell.
    const fn allow_calls(self) -> &'static str {
        match self {
            Self::Docker | Self::Podman => {
                concat!(
                    "start it with `--security-opt seccomp=FILE`, the default profile with ",
                    calls!(),
                    " allowed"
                )
            }
            Self::Kubernetes => {
                concat!(
                    "give the pod `hostUsers: false` and a `seccompProfile` of type `Localhost`, the default one with ",
                    calls!(),
                    " allowed"
                )
            }
            Self::Other => {
                concat!(
                    "allow it nested namespaces, such as `security.nesting=true` for LXC, and the system calls ",
                    calls!()
                )
            }
        }
    }

    /// How it is told to show all of `/proc`.
    const fn show_proc(self) -> &'static str {
        match self {
            Self::Docker => "start it with `--security-opt systempaths=unconfined`",
            Self::Podman => "start it with `--security-opt unmask=ALL`",
            Self::Kubernetes => {
                "give the container `procMount: Unmasked`, and the pod `hostUsers: false`"
            }
            Self::Other => "have it mount nothing over parts of `/proc`",
        }
    }
}

/// What to do where the container cannot be changed.
const ELSE_LANDLOCK: &str =
    "; where that cannot be had, write `confinement = \"landlock\"` into the image's policy";

/// Everything that stands in the way on the system whose files lie below `root`, `/` for this one.
///
/// An obstacle is not always in the way: root is held by fewer of them, and a cell that can be made is proof that none
/// is. What is not there or cannot be read is no obstacle.
///
/// # Source
/// `proc(5)`, `user_namespaces(7)`, `namespaces(7)`, `landlock(7)`.
#[must_use]
pub fn obstacles(root: &Path, executable: Executable<'_>) -> Vec<Obstacle> {
    let system = System { root };
    let mut found = Vec::new();
    system.kernel(&mut found);
    system.namespaces(&mut found);
    system.app_armor(executable, &mut found);
    system.container(&mut found);
    system.landlock(&mut found);
    system.user(&mut found);
    found
}

/// The files of a system.
struct System<'a> {
    root: &'a Path,
}

fn add(
    found: &mut Vec<Obstacle>,
    hinders: Hinders,
    what: impl Into<String>,
    fix: impl Into<String>,
) {
    found.push(Obstacle {
        hinders,
        what: what.into(),
        fix: fix.into(),
    });
}

impl System<'_> {
    fn text(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    fn is(&self, path: &str, value: &str) -> bool {
        self.text(path).as_deref() == Some(value)
    }

    /// The kernel's release, and its version if it has one.
    fn release(&self) -> Option<(String, (u32, u32))> {
        let release = self.text("proc/sys/kernel/osrelease")?;
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next()?, numbers.next()?);
        Some((release, version))
    }

    /// Whether this is the Windows Subsystem for Linux with a kernel of its own.
    fn is_wsl2(&self) -> bool {
        self.release().is_some_and(|(release, _)| {
            release.contains("WSL2") || release.contains("microsoft-standard")
        })
    }

    fn kernel(&self, found: &mut Vec<Obstacle>) {
        let Some((release, version)) = self.release() else {
            return;
        };
        if release.contains("Microsoft") && !self.is_wsl2() {
            let fix = "move the distribution to WSL 2: `wsl --set-version NAME 2`";
            let what = format!("this is WSL 1 (`{release}`), which has no Linux kernel");
            return add(found, Hinders::Everything, what, fix);
        }
        let newer = if self.is_wsl2() {
            "get a newer kernel with `wsl --update`"
        } else {
            "run a newer kernel"
        };
        let oldest = [
            (
                (5, 6),
                Hinders::Everything,
                "files cannot be opened beneath a directory safely",
            ),
            ((5, 13), Hinders::Landlock, "there is no Landlock"),
            (
                (6, 12),
                Hinders::LandlockAlone,
                "Landlock has no scopes, so the tier `landlock` cannot be had",
            ),
        ];
        for ((major, minor), hinders, without) in oldest {
            if version < (major, minor) {
                let what = format!("before Linux {major}.{minor} {without}; this is `{release}`");
                add(found, hinders, what, newer);
            }
        }
    }

    fn namespaces(&self, found: &mut Vec<Obstacle>) {
        for kind in ["user", "mnt", "pid", "ipc", "uts", "net"] {
            let setting = format!("max_{kind}_namespaces");
            if self.is(&format!("proc/sys/user/{setting}"), "0") {
                let what = format!("{kind} namespaces are switched off (`user.{setting} = 0`)");
                let fix = format!(
                    "set it above 0, as root: `sysctl user.{setting}=10000`, and write the same into a file of \
                     `/etc/sysctl.d` to keep it"
                );
                add(found, Hinders::Namespaces, what, fix);
            }
        }
        if self.is("proc/sys/kernel/unprivileged_userns_clone", "0") {
            add(
                found,
                Hinders::Namespaces,
                "user namespaces are root's alone (`kernel.unprivileged_userns_clone = 0`)",
                "allow them, as root: `sysctl kernel.unprivileged_userns_clone=1`, and write the same into a file of \
                 `/etc/sysctl.d` to keep it",
            );
        }
    }

    fn app_armor(&self, executable: Executable<'_>, found: &mut Vec<Obstacle>) {
        if !self.is("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
            return;
        }
        let path = executable.path.display();
        let fix = if executable.only_root_writes {
            format!(
                "allow them to this program, as root: write `abi <abi/4.0>, profile portcullis {path} \
                 flags=(unconfined) {{ userns, }}` into `/etc/apparmor.d/portcullis` and load it with \
                 `apparmor_parser -r`"
            )
        } else {
            format!(
                "install Portcullis where only root writes, such as `/usr/local/bin`, and load an AppArmor profile \
                 with `userns,` for that file; no profile for `{path}`: it would give them to whoever writes that file"
            )
        };
        add(
            found,
            Hinders::Namespaces,
            "AppArmor keeps user namespaces from programs without a profile \
             (`kernel.apparmor_restrict_unprivileged_userns = 1`)",
            fix,
        );
    }

    fn container(&self, found: &mut Vec<Obstacle>) {
        let Some(container) = Container::of(self.root) else {
            return;
        };
        let name = container.name();
        let status = self.text("proc/self/status").unwrap_or_default();
        let is_filtered = status
            .lines()
            .filter_map(|line| line.strip_prefix("Seccomp:"))
            .any(|mode| mode.trim() == "2");
        if is_filtered {
            let what = format!("the container ({name}) filters system calls");
            let fix = format!("{}{ELSE_LANDLOCK}", container.allow_calls());
            add(found, Hinders::Namespaces, what, fix);
        }
        if let Some(hidden) = self.hidden_in_proc() {
            let what = format!(
                "the container ({name}) hides parts of /proc, such as `{}`, so that no other can be mounted",
                hidden.display()
            );
            let fix = format!("{}{ELSE_LANDLOCK}", container.show_proc());
            add(found, Hinders::OwnProc, what, fix);
        }
    }

    /// The first mount on top of something in `/proc`.
    fn hidden_in_proc(&self) -> Option<PathBuf> {
        let mounts = self.text("proc/self/mountinfo")?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        points
            .map(PathBuf::from)
            .find(|point| point.starts_with("/proc") && point != Path::new("/proc"))
    }

    fn user(&self, found: &mut Vec<Obstacle>) {
        let status = self.text("proc/self/status").unwrap_or_default();
        let ids = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .unwrap_or_default();
        if ids.split_ascii_whitespace().nth(1) == Some("0") {
            add(
                found,
                Hinders::LandlockAlone,
                "this is root, whose commands would be root's without a user namespace",
                "start Portcullis as an ordinary user, who can have the tier `landlock`",
            );
        }
    }

    fn landlock(&self, found: &mut Vec<Obstacle>) {
        let active = self.text("sys/kernel/security/lsm");
        let booted = self.text("proc/cmdline").and_then(|line| {
            let mut words = line.split_ascii_whitespace();
            words.find_map(|word| word.strip_prefix("lsm=").map(str::to_owned))
        });
        let Some(modules) = active.filter(|list| !list.is_empty()).or(booted) else {
            return;
        };
        if modules.split(',').any(|module| module == "landlock") {
            return;
        }
        let what =
            format!("Landlock is not among the security modules of this system (`{modules}`)");
        let fix = if self.is_wsl2() {
            format!(
                "write `kernelCommandLine = lsm=landlock,{modules}` below `[wsl2]` in `.wslconfig`, and `wsl --shutdown`"
            )
        } else {
            format!(
                "boot with `lsm=landlock,{modules}`; or write `confinement = \"namespaces\"`, which does without it"
            )
        };
        add(found, Hinders::Landlock, what, fix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: (&str, &str) = ("proc/sys/kernel/osrelease", "6.18.0\n");

    /// The obstacles of a system with these files.
    fn on(files: &[(&str, &str)], only_root_writes: bool) -> Vec<Obstacle> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let executable = Executable {
            path: Path::new("/home/ann/.cargo/bin/portcullis"),
            only_root_writes,
        };
        obstacles(root.path(), executable)
    }

    /// The one obstacle of a system with these files besides a new kernel.
    fn only(files: &[(&str, &str)]) -> Obstacle {
        let files = [&[KERNEL], files].concat();
        let found = on(&files, false);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    #[test]
    fn a_system_in_order_and_one_that_says_nothing_have_none() {
        let in_order = [
            KERNEL,
            ("proc/sys/user/max_user_namespaces", "15000\n"),
            ("proc/sys/kernel/unprivileged_userns_clone", "1\n"),
            (
                "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "0\n",
            ),
            (
                "sys/kernel/security/lsm",
                "lockdown,capability,landlock,yama\n",
            ),
            (
                "proc/self/mountinfo",
                "22 27 0:21 / /proc rw - proc proc rw\n",
            ),
            // A service's own filter is not in the way.
            ("proc/self/status", "Name:\tx\nSeccomp:\t2\n"),
        ];
        assert_eq!(on(&in_order, false), []);
        assert_eq!(on(&[], false), []);
    }

    #[test]
    fn namespaces_that_are_switched_off() {
        let user = only(&[("proc/sys/user/max_user_namespaces", "0\n")]);
        assert_eq!(user.hinders, Hinders::Namespaces);
        assert!(
            user.fix.contains("sysctl user.max_user_namespaces=10000"),
            "{user:?}"
        );
        let net = only(&[("proc/sys/user/max_net_namespaces", "0\n")]);
        assert!(net.what.starts_with("net namespaces"), "{net:?}");
        let debian = only(&[("proc/sys/kernel/unprivileged_userns_clone", "0\n")]);
        assert!(
            debian.fix.contains("unprivileged_userns_clone=1"),
            "{debian:?}"
        );
    }

    #[test]
    fn a_profile_is_for_a_file_that_only_root_writes() {
        let files = [
            KERNEL,
            (
                "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1\n",
            ),
        ];
        let [roots] = &on(&files, true)[..] else {
            panic!()
        };
        assert!(
            roots
                .fix
                .contains("profile portcullis /home/ann/.cargo/bin/portcullis"),
            "{roots:?}"
        );
        let [anns] = &on(&files, false)[..] else {
            panic!()
        };
        assert!(
            anns.fix
                .contains("no profile for `/home/ann/.cargo/bin/portcullis`"),
            "{anns:?}"
        );
        assert!(
            anns.fix.contains("/usr/local/bin") && !anns.fix.contains("apparmor.d"),
            "{anns:?}"
        );
    }

    #[test]
    fn containers_are_told_what_they_call_it() {
        let masked = (
            "proc/self/mountinfo",
            "1 2 0:3 / /proc rw - proc proc rw\n4 1 0:5 / /proc/kcore ro - tmpfs x rw\n",
        );
        let filtered = ("proc/self/status", "Name:\tx\nSeccomp:\t2\n");
        let marks = [
            (
                ".dockerenv",
                "--security-opt seccomp=",
                "systempaths=unconfined",
            ),
            ("run/.containerenv", "--security-opt seccomp=", "unmask=ALL"),
            (
                "run/secrets/kubernetes.io/token",
                "seccompProfile",
                "procMount: Unmasked",
            ),
            (
                "run/systemd/container",
                "security.nesting=true",
                "mount nothing over",
            ),
        ];
        for (mark, calls, proc) in marks {
            let filter = only(&[(mark, ""), filtered]);
            assert_eq!(filter.hinders, Hinders::Namespaces);
            assert!(
                filter.fix.contains(calls) && filter.fix.contains("`confinement = \"landlock\"`"),
                "{filter:?}"
            );
            assert!(!filter.fix.contains("limits"), "{filter:?}");
            let hidden = only(&[(mark, ""), masked]);
            assert_eq!(hidden.hinders, Hinders::OwnProc);
            assert!(
                hidden.fix.contains(proc) && hidden.what.contains("/proc/kcore"),
                "{hidden:?}"
            );
        }
    }

    #[test]
    fn landlock_that_is_not_there() {
        let custom = only(&[("sys/kernel/security/lsm", "capability,yama\n")]);
        assert_eq!(custom.hinders, Hinders::Landlock);
        assert!(
            custom.fix.contains("`lsm=landlock,capability,yama`"),
            "{custom:?}"
        );
        assert!(
            custom.fix.contains("`confinement = \"namespaces\"`"),
            "{custom:?}"
        );
        let booted = only(&[
            ("proc/cmdline", "quiet lsm=selinux\n"),
            ("sys/kernel/security/lsm", "\n"),
        ]);
        assert!(booted.fix.contains("`lsm=landlock,selinux`"), "{booted:?}");
        let [old, scopes] = &on(&[("proc/sys/kernel/osrelease", "5.10.0-28-amd64\n")], false)[..]
        else {
            panic!()
        };
        assert_eq!(
            (old.hinders, scopes.hinders),
            (Hinders::Landlock, Hinders::LandlockAlone)
        );
    }

    #[test]
    fn windows() {
        let one = on(
            &[("proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n")],
            false,
        );
        assert!(
            matches!(&one[..], [one] if one.hinders == Hinders::Everything && one.fix.contains("--set-version")),
            "{one:?}"
        );
        let two = (
            "proc/sys/kernel/osrelease",
            "6.6.87.2-microsoft-standard-WSL2\n",
        );
        let [scopes] = &on(&[two], false)[..] else {
            panic!()
        };
        assert_eq!(
            scopes.hinders,
            Hinders::LandlockAlone,
            "the tier full works"
        );
        assert!(scopes.fix.contains("wsl --update"), "{scopes:?}");
        let [_, lsm] = &on(&[two, ("sys/kernel/security/lsm", "capability\n")], false)[..] else {
            panic!()
        };
        assert!(lsm.fix.contains(".wslconfig"), "{lsm:?}");
    }

    #[test]
    fn root_has_no_tier_without_a_user_namespace() {
        let root = only(&[("proc/self/status", "Name:\tx\nUid:\t1000\t0\t0\t0\n")]);
        assert!(root.fix.contains("ordinary user"), "{root:?}");
        assert!(!root.hinders.concerns(Tier::Full));
        let ann = on(&[("proc/self/status", "Uid:\t0\t1000\t0\t0\n")], false);
        assert_eq!(ann, []);
    }

    #[test]
    fn a_tier_is_concerned_by_what_it_needs() {
        use Hinders as H;
        let concerned = |hinders: Hinders| {
            let all = [Tier::Full, Tier::Namespaces, Tier::Landlock, Tier::Limits];
            all.map(|tier| hinders.concerns(tier))
        };
        assert_eq!(concerned(H::Everything), [true; 4]);
        assert_eq!(concerned(H::Namespaces), [true, true, false, true]);
        assert_eq!(concerned(H::Landlock), [true, false, true, false]);
        assert_eq!(concerned(H::LandlockAlone), [false, false, true, false]);
    }
}
