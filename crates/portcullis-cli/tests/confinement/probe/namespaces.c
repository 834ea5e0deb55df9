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

/* Undone at once: where it succeeds, this is the machine of whoever runs the tests. */
static long mount_tmpfs(char **arg)
{
    if (mount("none", arg[0], "tmpfs", 0, "") < 0)
        return -1;
    say("mounted");
    return umount2(arg[0], MNT_DETACH);
}

static long remount_writable(char **arg)
{
    return mount(NULL, arg[0], NULL, MS_REMOUNT | MS_BIND, NULL);
}

static long change_root(char **arg) { return chroot(arg[0]); }
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

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return -1;
    return close(fd);
}

/* Maps the one user of a namespace to one outside. */
static int map_user(unsigned inside, unsigned outside)
{
    char line[64];
    snprintf(line, sizeof line, "%u %u 1", inside, outside);
    if (put("/proc/self/setgroups", "deny") < 0 || put("/proc/self/uid_map", line) < 0)
        return -1;
    return put("/proc/self/gid_map", line);
}

#define HANDLERS "/proc/sys/fs/binfmt_misc"

static int add_handler(const char *line)
{
    return mount("none", HANDLERS, "binfmt_misc", 0, "") < 0 ? -1 : put(HANDLERS "/register", line);
}

/* For root the machine's own list, because root's commands need what only the first user namespace has; the handler's
 * magic is nobody else's, and it is taken away again. */
static long with_handler_of_the_machine(char **arg)
{
    int status;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || add_handler(arg[0]) < 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        execv(arg[1], arg + 1);
        _exit(127);
    }
    int waited = child < 0 ? -1 : waitpid(child, &status, 0);
    char name[128] = HANDLERS "/", *end = strchr(arg[0] + 1, ':');
    strncat(name, arg[0] + 1, (size_t)(end - arg[0] - 1));
    return put(name, "-1") < 0 || waited < 0 ? -1 : 0;
}

/* Runs a command where the kernel has a handler for a format: with-handler LINE COMMAND...
 *
 * A user has a user namespace with a list of its own, in which it is itself again, with no rights over the list. */
static long with_handler(char **arg)
{
    unsigned user = getuid();
    if (user == 0)
        return with_handler_of_the_machine(arg);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || map_user(0, user) < 0 || add_handler(arg[0]) < 0)
        return -1;
    if (unshare(CLONE_NEWUSER) < 0 || map_user(user, 0) < 0)
        return -1;
    execv(arg[1], arg + 1);
    return -1;
}

const struct act namespace_acts[] = {
    {"with-handler", 2, with_handler},
    {"unshare", 1, unshare_one},
    {"clone", 1, clone_one},
    {"clone3", 1, clone3_fork},
    {"setns", 1, join},
    {"mount", 1, mount_tmpfs},
    {"remount", 1, remount_writable},
    {"chroot", 1, change_root},
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
