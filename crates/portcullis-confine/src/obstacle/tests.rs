//! Systems made of files.

use std::fs;

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
    assert_eq!(concerned(H::Cgroups), [false; 4]);
}
