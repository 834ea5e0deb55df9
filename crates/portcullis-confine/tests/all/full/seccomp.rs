//! System calls that a command does not get, each with the error it gets instead.
//!
//! The arguments are such that the kernel would refuse them itself, with another error: what is seen is the filter.

use portcullis_confine::{Plan, Tier};

use super::{cells_of, confining};
use crate::probe::{Tried, probe, probe_outside};

crate::tests![
    calls_that_anybody_may_make_are_refused,
    calls_that_need_privilege_are_refused_by_the_filter_too,
    calls_with_flags_behind_a_pointer_are_not_there,
    set_id_bits_are_refused,
    other_processes_are_left_alone,
    new_namespaces_are_refused,
    ordinary_calls_work,
];

/// A number as an argument of a probe.
fn act(call: libc::c_long, arguments: &[i64]) -> Vec<String> {
    let words = std::iter::once("syscall".to_owned()).chain(std::iter::once(call.to_string()));
    words
        .chain(arguments.iter().map(ToString::to_string))
        .collect()
}

fn in_cell(cells: &super::Cells, call: libc::c_long, arguments: &[i64]) -> Tried {
    let act = act(call, arguments);
    probe(cells, &act.iter().map(String::as_str).collect::<Vec<_>>())
}

fn outside(call: libc::c_long, arguments: &[i64]) -> Tried {
    let act = act(call, arguments);
    probe_outside(&act.iter().map(String::as_str).collect::<Vec<_>>())
}

type Call = (libc::c_long, &'static [i64]);

fn refused_here_and_not_outside(calls: &[Call], errno: i32) {
    let all: Vec<_> = confining()
        .into_iter()
        .map(|tier| (tier, cells_of(Plan::new(tier))))
        .collect();
    for &(call, arguments) in calls {
        assert_ne!(
            outside(call, arguments),
            Tried::Refused(errno),
            "the control of call {call}"
        );
        for (tier, cells) in &all {
            assert_eq!(
                in_cell(cells, call, arguments),
                Tried::Refused(errno),
                "{tier:?}: call {call}"
            );
        }
    }
}

fn calls_that_anybody_may_make_are_refused() {
    refused_here_and_not_outside(
        &[
            (libc::SYS_ptrace, &[0]),
            (libc::SYS_process_vm_readv, &[-1, 0, 0, 0, 0, 1]),
            (libc::SYS_process_vm_writev, &[-1, 0, 0, 0, 0, 1]),
            (libc::SYS_pidfd_getfd, &[-1, 0, 0]),
            (libc::SYS_process_madvise, &[-1, 0, 0, 0, 0]),
            (libc::SYS_kcmp, &[1 << 30, 1 << 30, 0, 0, 0]),
            (libc::SYS_keyctl, &[-1]),
            (libc::SYS_add_key, &[0, 0, 0, 0, 0]),
            (libc::SYS_request_key, &[0, 0, 0, 0]),
            (libc::SYS_name_to_handle_at, &[-1, 0, 0, 0, 0]),
            (libc::SYS_unshare, &[1]),
            (libc::SYS_setns, &[-1, 0]),
        ],
        libc::EPERM,
    );
}

/// An ordinary user is refused these with the same error anyway, so only root shows the difference.
fn calls_that_need_privilege_are_refused_by_the_filter_too() {
    let calls: [Call; 14] = [
        (libc::SYS_mount, &[0, 0, 0, 0, 0]),
        (libc::SYS_umount2, &[0, 0]),
        (libc::SYS_pivot_root, &[0, 0]),
        (libc::SYS_chroot, &[0]),
        (libc::SYS_move_mount, &[-1, 0, -1, 0, 0]),
        (libc::SYS_open_tree, &[-1, 0, 0]),
        (libc::SYS_fsopen, &[0, 0]),
        (libc::SYS_fsmount, &[-1, 0, 0]),
        (libc::SYS_mount_setattr, &[-1, 0, 0, 0, 0]),
        (libc::SYS_bpf, &[-1, 0, 0]),
        (libc::SYS_perf_event_open, &[0, 0, -1, -1, 0]),
        (libc::SYS_finit_module, &[-1, 0, 0]),
        (libc::SYS_swapon, &[0, 0]),
        (libc::SYS_open_by_handle_at, &[-1, 0, 0]),
    ];
    if super::is_root() {
        let possible = |&&(call, arguments): &&Call| {
            // A container may take a right from root, or a kernel have no such call.
            !matches!(
                outside(call, arguments),
                Tried::Refused(libc::EPERM | libc::ENOSYS)
            )
        };
        let possible: Vec<Call> = calls.iter().filter(possible).copied().collect();
        refused_here_and_not_outside(&possible, libc::EPERM);
    }
    let cells = cells_of(Plan::new(Tier::Full));
    for (call, arguments) in calls {
        let tried = in_cell(&cells, call, arguments);
        assert_eq!(tried, Tried::Refused(libc::EPERM), "call {call}");
    }
}

fn calls_with_flags_behind_a_pointer_are_not_there() {
    refused_here_and_not_outside(&[(libc::SYS_clone3, &[0, 0])], libc::ENOSYS);
    let calls = [
        libc::SYS_openat2,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
    ];
    for tier in confining() {
        let cells = cells_of(Plan::new(tier));
        for call in calls {
            let tried = in_cell(&cells, call, &[-1, 0, 0, 0]);
            assert_eq!(tried, Tried::Refused(libc::ENOSYS), "{tier:?}: call {call}");
        }
    }
}

fn set_id_bits_are_refused() {
    let path = super::directory("set-id");
    let file = path.join("file");
    std::fs::write(&file, "").unwrap();
    for tier in confining() {
        let root = super::open(&path, portcullis_confine::Access::Write);
        let cells = cells_of(Plan::new(tier).root(root));
        let chmod = |mode| probe(&cells, &["chmod", file.to_str().unwrap(), mode]);
        assert_eq!(chmod("755"), Tried::Done, "{tier:?}");
        for mode in ["4755", "2755", "6755"] {
            assert_eq!(chmod(mode), Tried::Refused(libc::EPERM), "{tier:?} {mode}");
        }
        let file = format!("{}\0", file.display());
        assert_eq!(file.len(), path.as_os_str().len() + 6);
    }
    let outside = probe_outside(&["chmod", file.to_str().unwrap(), "4755"]);
    assert_eq!(outside, Tried::Done, "the control");
    std::fs::remove_file(file).unwrap();
}

fn other_processes_are_left_alone() {
    refused_here_and_not_outside(
        &[
            // Of a process that there is not.
            (libc::SYS_prlimit64, &[1 << 30, 7, 0, 0]),
            (libc::SYS_setpriority, &[0, 1 << 30, 5]),
            (libc::SYS_sched_setaffinity, &[1 << 30, 0, 0]),
            (libc::SYS_sched_setscheduler, &[1 << 30, 0, 0]),
            (libc::SYS_ioprio_set, &[1, 1 << 30, 0]),
        ],
        libc::EPERM,
    );
    let cells = cells_of(Plan::new(Tier::Full));
    // Its own a command may change.
    assert_eq!(
        in_cell(&cells, libc::SYS_setpriority, &[0, 0, 5]),
        Tried::Done
    );
    let own = in_cell(&cells, libc::SYS_prlimit64, &[0, 7, 0, 0]);
    assert_eq!(own, Tried::Done);
}

fn new_namespaces_are_refused() {
    for tier in confining() {
        let cells = cells_of(Plan::new(tier));
        for flag in [
            libc::CLONE_NEWUSER,
            libc::CLONE_NEWNS,
            libc::CLONE_NEWPID,
            libc::CLONE_NEWNET,
            libc::CLONE_NEWIPC,
            libc::CLONE_NEWUTS,
            libc::CLONE_NEWCGROUP,
        ] {
            let flag = i64::from(flag);
            for call in [libc::SYS_unshare, libc::SYS_clone] {
                let tried = in_cell(&cells, call, &[flag, 0, 0, 0, 0]);
                assert_eq!(tried, Tried::Refused(libc::EPERM), "{tier:?} {flag:x}");
            }
        }
    }
}

fn ordinary_calls_work() {
    for tier in confining() {
        let cells = cells_of(Plan::new(tier));
        for (call, arguments) in [
            (libc::SYS_getpid, &[][..]),
            (libc::SYS_personality, &[0xffff_ffff]),
            (libc::SYS_sched_yield, &[]),
            (libc::SYS_eventfd2, &[0, 0]),
            (libc::SYS_epoll_create1, &[0]),
            (libc::SYS_inotify_init1, &[0]),
        ] {
            assert_eq!(
                in_cell(&cells, call, arguments),
                Tried::Done,
                "{tier:?} {call}"
            );
        }
        assert_eq!(
            in_cell(&cells, libc::SYS_personality, &[0x004_0000]),
            Tried::Refused(libc::EPERM),
            "no switching off of address randomisation"
        );
    }
}
