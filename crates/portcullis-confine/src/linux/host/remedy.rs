//! What to change on a system that lets us make no cell.

use std::{fs, path::Path};

use crate::Step;

/// Finds the setting that stands in the way of `step`, if it is a known one.
pub(super) fn find(step: Step, errno: i32) -> Option<&'static str> {
    let sysctl = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
    };
    let is = |path: &str, value: &str| sysctl(path).as_deref() == Some(value);
    if !matches!(
        step,
        Step::Namespaces | Step::UserMap | Step::PrivateMounts | Step::MountProc
    ) {
        return None;
    }
    if is("/proc/sys/user/max_user_namespaces", "0") {
        Some("user namespaces are off: set `user.max_user_namespaces` above 0")
    } else if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        Some("user namespaces are off: set `kernel.unprivileged_userns_clone` to 1")
    } else if is(
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
    ) {
        Some(
            "AppArmor restricts user namespaces: load a profile that allows `userns` for this \
             executable, or set `kernel.apparmor_restrict_unprivileged_userns` to 0",
        )
    } else if errno == libc::ENOSPC {
        Some("too many namespaces exist: raise `user.max_pid_namespaces` and its siblings")
    } else if in_container() && step == Step::MountProc {
        Some("this container hides parts of /proc: start it with `systempaths=unconfined`")
    } else if in_container() {
        Some(
            "this container forbids namespaces: start it with a seccomp profile that allows \
             `clone` with namespace flags",
        )
    } else {
        None
    }
}

fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"]
        .into_iter()
        .any(|path| Path::new(path).exists())
        || Path::new("/var/run/secrets/kubernetes.io").exists()
}
