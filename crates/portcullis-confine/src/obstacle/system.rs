//! The files in which a system says what it is.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Container, Executable, Hinders, Obstacle};

/// What to do where the container cannot be changed.
const ELSE_LANDLOCK: &str =
    "; where that cannot be had, write `confinement = \"landlock\"` into the image's policy";

/// The files of a system.
pub(super) struct System<'a> {
    pub(super) root: &'a Path,
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

    pub(super) fn kernel(&self, found: &mut Vec<Obstacle>) {
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

    pub(super) fn namespaces(&self, found: &mut Vec<Obstacle>) {
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

    pub(super) fn app_armor(&self, executable: Executable<'_>, found: &mut Vec<Obstacle>) {
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

    pub(super) fn container(&self, found: &mut Vec<Obstacle>) {
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

    pub(super) fn user(&self, found: &mut Vec<Obstacle>) {
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

    pub(super) fn landlock(&self, found: &mut Vec<Obstacle>) {
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
