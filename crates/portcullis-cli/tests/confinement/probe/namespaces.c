/* Building a world of one's own inside: namespaces, mounts, roots, and calls whose flags a filter cannot see. */
#include "probe.h"
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

static long unshare_one(char **arg) { return syscall(SYS_unshare, strtol(arg[0], NULL, 0)); }

static long clone_one(char **arg)
{
    int status;
    long child = syscall(SYS_clone, strtol(arg[0], NULL, 0) | SIGCHLD, 0, 0, 0, 0);
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid((pid_t)child, &status, 0);
    return child;
}

/* A plain fork by `clone3`: refused not for what it does but because a filter cannot read its flags. */
static long clone3_fork(char **arg)
{
    struct clone_args args = {.exit_signal = SIGCHLD, .flags = strtoull(arg[0], NULL, 0)};
    int status;
    long child = syscall(SYS_clone3, &args, sizeof args);
    if (child == 0)
        _exit(0);
    if (child > 0)
        waitpid((pid_t)child, &status, 0);
    return child;
}

static long join(char **arg)
{
    int fd = open(arg[0], O_RDONLY);
    return fd < 0 ? -1 : syscall(SYS_setns, fd, 0);
}

static long mount_tmpfs(char **arg) { return mount("none", arg[0], "tmpfs", 0, ""); }
static long unmount(char **arg) { return umount2(arg[0], MNT_DETACH); }
static long remount_writable(char **arg) { return mount(NULL, arg[0], NULL, MS_REMOUNT | MS_BIND, NULL); }
static long change_root(char **arg) { return chroot(arg[0]); }
static long pivot(char **arg) { return syscall(SYS_pivot_root, arg[0], arg[0]); }
static long clone_tree(char **arg) { return syscall(SYS_open_tree, AT_FDCWD, arg[0], 1 /* OPEN_TREE_CLONE */); }
static long new_filesystem(char **arg) { return syscall(SYS_fsopen, arg[0], 0); }

/* A user namespace gives all capabilities inside it; the mount shows that they are real. */
static long own_root(char **arg)
{
    if (syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return -1;
    return mount("none", arg[0], "tmpfs", 0, "");
}

static long load_program(char **arg)
{
    (void)arg;
    struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
                              {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr attributes = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2,
                                 .insns = (unsigned long)code, .license = (unsigned long)"GPL"};
    return syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
}

static long fault_handler(char **arg)
{
    (void)arg;
    return syscall(SYS_userfaultfd, 1 /* UFFD_USER_MODE_ONLY */);
}

static long performance_counter(char **arg)
{
    (void)arg;
    struct { unsigned type, size; unsigned long long rest[15]; } attributes = {1, 128, {0}};
    return syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static long personality_change(char **arg)
{
    (void)arg;
    return syscall(SYS_personality, 0x0400000 /* READ_IMPLIES_EXEC */);
}

/* How many user namespaces may be made here; with none left, `unshare` fails whatever a filter lets through. */
static long user_namespaces_left(char **arg)
{
    (void)arg;
    int fd = open("/proc/sys/user/max_user_namespaces", O_RDONLY);
    if (fd < 0 || read_all(fd, detail, sizeof detail) < 0)
        return -1;
    return atoi(detail) ? atoi(detail) : fail(NOT_FOUND);
}

const struct act namespace_acts[] = {
    {"unshare", 1, unshare_one},
    {"clone", 1, clone_one},
    {"clone3", 1, clone3_fork},
    {"setns", 1, join},
    {"mount", 1, mount_tmpfs},
    {"umount", 1, unmount},
    {"remount", 1, remount_writable},
    {"chroot", 1, change_root},
    {"pivot_root", 1, pivot},
    {"open_tree", 1, clone_tree},
    {"fsopen", 1, new_filesystem},
    {"own-root", 1, own_root},
    {"bpf", 0, load_program},
    {"userfaultfd", 0, fault_handler},
    {"perf_event_open", 0, performance_counter},
    {"personality", 0, personality_change},
    {"user-namespaces-left", 0, user_namespaces_left},
    {NULL, 0, NULL},
};
