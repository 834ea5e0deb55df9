/* Other processes: signals, tracing, memory, descriptors, what /proc tells, and their limits. */
#include "probe.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static int open_of(const char *pid, const char *name, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
    return open(path, flags);
}

/* The kernel stops a process when that one next looks; whoever asks the harness must not come before. */
static long wait_until_stopped(const char *pid)
{
    char text[512], *state;
    for (int tries = 0; tries < 2000; tries++) {
        int fd = open_of(pid, "stat", O_RDONLY);
        if (fd < 0 || read_all(fd, text, sizeof text) < 0)
            return -1;
        close(fd);
        state = strrchr(text, ')');
        if (state && state[2] == 'T')
            return 0;
        usleep(1000);
    }
    return fail(ETIMEDOUT);
}

static long send_signal(char **arg)
{
    if (kill(atoi(arg[0]), atoi(arg[1])) < 0)
        return -1;
    return atoi(arg[1]) == SIGSTOP ? wait_until_stopped(arg[0]) : 0;
}

static long send_by_pidfd(char **arg)
{
    int fd = (int)syscall(SYS_pidfd_open, atoi(arg[0]), 0);
    return fd < 0 ? -1 : syscall(SYS_pidfd_send_signal, fd, atoi(arg[1]), NULL, 0);
}

static long trace(char **arg)
{
    pid_t pid = atoi(arg[0]);
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
        return -1;
    return 0; /* the tracee is let go when we end */
}

static long read_memory(char **arg)
{
    struct iovec ours = {detail, 64}, theirs = {(void *)strtoul(arg[1], NULL, 0), 64};
    long result = syscall(SYS_process_vm_readv, atoi(arg[0]), &ours, 1, &theirs, 1, 0);
    detail[64] = 0;
    return result;
}

static long write_memory(char **arg)
{
    struct iovec ours = {arg[2], strlen(arg[2]) + 1}, theirs = {(void *)strtoul(arg[1], NULL, 0), strlen(arg[2]) + 1};
    return syscall(SYS_process_vm_writev, atoi(arg[0]), &ours, 1, &theirs, 1, 0);
}

static long read_mem_file(char **arg)
{
    int fd = open_of(arg[0], "mem", O_RDONLY);
    long result = fd < 0 ? -1 : pread(fd, detail, 64, (off_t)strtoul(arg[1], NULL, 0));
    detail[64] = 0;
    return result;
}

/* What a process's files in /proc say, with the zero bytes between its parts made visible. */
static long read_proc(char **arg)
{
    int fd = open_of(arg[0], arg[1], O_RDONLY);
    int count = fd < 0 ? -1 : read_all(fd, detail, sizeof detail);
    for (int index = 0; index + 1 < count; index++)
        if (!detail[index])
            detail[index] = ' ';
    return count;
}

static long steal_descriptor(char **arg)
{
    int process = (int)syscall(SYS_pidfd_open, atoi(arg[0]), 0);
    return process < 0 ? -1 : syscall(SYS_pidfd_getfd, process, atoi(arg[1]), 0);
}

/* A program's own descriptor through the same call, which a filter refuses whatever the target. */
static long own_descriptor(char **arg)
{
    (void)arg;
    int process = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return process < 0 ? -1 : syscall(SYS_pidfd_getfd, process, 1, 0);
}

static long compare(char **arg) { return syscall(SYS_kcmp, getpid(), atoi(arg[0]), 0, 1, 1); }

static long change_limit(char **arg)
{
    struct rlimit limit = {77, 77};
    return syscall(SYS_prlimit64, atoi(arg[0]), RLIMIT_NOFILE, &limit, NULL);
}

static long change_priority(char **arg) { return setpriority(PRIO_PROCESS, (id_t)atoi(arg[0]), 7); }

static long change_affinity(char **arg)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    return sched_setaffinity(atoi(arg[0]), sizeof one, &one);
}

static long change_scheduler(char **arg)
{
    struct sched_param none = {0};
    return sched_setscheduler(atoi(arg[0]), SCHED_BATCH, &none);
}

static long change_io_priority(char **arg) { return syscall(SYS_ioprio_set, 1, atoi(arg[0]), (3 << 13) | 7); }

/* Stays until its standard input ends, holding a secret in memory, in its arguments and environment. */
static long victim(char **arg)
{
    static char secret[64];
    char byte;
    int fd = fileno(stdout);
    strncpy(secret, arg[0], sizeof secret - 1);
    dprintf(fd, "%d %p\n", getpid(), (void *)secret);
    while (read(0, &byte, 1) > 0)
        ;
    say("%s", secret);
    return 0;
}

/* Says that it is there by a file, stays until another one appears, then says what is left of its secret. */
static long victim_in_cell(char **arg)
{
    static char secret[64];
    strncpy(secret, arg[0], sizeof secret - 1);
    int fd = open(arg[1], O_WRONLY | O_CREAT, 0644);
    if (fd < 0)
        return -1;
    dprintf(fd, "%d %p\n", getpid(), (void *)secret);
    close(fd);
    if (wait_for(arg[2]) < 0)
        return -1;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    say("%s nice %d", secret, getpriority(PRIO_PROCESS, 0));
    return limit.rlim_cur == 77 ? fail(EMFILE) : 0;
}

/* Looks at every process number for one that can be signalled, or whose secret can be read. */
static long hunt(char **arg)
{
    static char text[65536];
    int found = 0;
    for (int pid = 1; pid <= 65536; pid++) {
        char number[16];
        if (pid == getpid())
            continue;
        snprintf(number, sizeof number, "%d", pid);
        for (int which = 0; which < 2; which++) {
            int fd = open_of(number, which ? "environ" : "cmdline", O_RDONLY);
            int count = fd < 0 ? 0 : read_all(fd, text, sizeof text);
            if (fd >= 0)
                close(fd);
            if (count > 0 && memmem(text, (size_t)count, arg[0], strlen(arg[0]))) {
                say("%s of %d ", which ? "environ" : "cmdline", pid);
                found++;
            }
        }
    }
    return found ? found : fail(NOT_FOUND);
}

/* What the kernel says of our own confinement. */
static long status(char **arg)
{
    (void)arg;
    static char text[65536];
    static const char *const wanted[] = {"NoNewPrivs:\t1", "Seccomp:\t2", "CapInh:\t0000000000000000",
                                         "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
                                         "CapAmb:\t0000000000000000"};
    int fd = open("/proc/self/status", O_RDONLY);
    if (fd < 0 || read_all(fd, text, sizeof text) < 0)
        return -1;
    int missing = 0;
    for (size_t index = 0; index < sizeof wanted / sizeof *wanted; index++)
        if (!strstr(text, wanted[index])) {
            say("not %s; ", wanted[index]);
            missing++;
        }
    return missing ? missing : fail(NO_PRIVILEGE);
}

static long raise_signal(char **arg)
{
    signal(atoi(arg[0]), SIG_DFL);
    return kill(getpid(), atoi(arg[0]));
}

const struct act process_acts[] = {
    {"kill", 2, send_signal},
    {"pidfd-kill", 2, send_by_pidfd},
    {"ptrace", 1, trace},
    {"process_vm_readv", 2, read_memory},
    {"process_vm_writev", 3, write_memory},
    {"read-mem", 2, read_mem_file},
    {"read-proc", 2, read_proc},
    {"pidfd_getfd", 2, steal_descriptor},
    {"pidfd_getfd-own", 0, own_descriptor},
    {"kcmp", 1, compare},
    {"prlimit", 1, change_limit},
    {"setpriority", 1, change_priority},
    {"sched_setaffinity", 1, change_affinity},
    {"sched_setscheduler", 1, change_scheduler},
    {"ioprio_set", 1, change_io_priority},
    {"victim", 1, victim},
    {"victim-in-cell", 3, victim_in_cell},
    {"hunt", 1, hunt},
    {"status", 0, status},
    {"raise", 1, raise_signal},
    {NULL, 0, NULL},
};
