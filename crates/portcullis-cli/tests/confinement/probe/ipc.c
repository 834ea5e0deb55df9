/* What processes share without files: keys, shared memory, message queues, terminals. And what a call leaves behind. */
#include "probe.h"
#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define USER_KEYRING -4L
#define KEYCTL_UNLINK 9
#define KEYCTL_SEARCH 10
#define KEYCTL_READ 11
#define KEYCTL_SETPERM 5

static long add_key(char **arg)
{
    long key = syscall(SYS_add_key, "user", arg[0], arg[1], strlen(arg[1]), USER_KEYRING);
    if (key >= 0)
        syscall(SYS_keyctl, KEYCTL_SETPERM, key, 0x3f3f0000);
    return key;
}

static long read_key(char **arg)
{
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, USER_KEYRING, "user", arg[0], 0);
    return key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_READ, key, detail, sizeof detail - 1);
}

static long remove_key(char **arg)
{
    long key = syscall(SYS_keyctl, KEYCTL_SEARCH, USER_KEYRING, "user", arg[0], 0);
    return key < 0 ? -1 : syscall(SYS_keyctl, KEYCTL_UNLINK, key, USER_KEYRING);
}

static long make_memory(char **arg)
{
    int id = shmget((key_t)strtol(arg[0], NULL, 0), 4096, IPC_CREAT | 0600);
    char *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
    if (at == (void *)-1)
        return -1;
    strcpy(at, arg[1]);
    return 0;
}

static long read_memory(char **arg)
{
    int id = shmget((key_t)strtol(arg[0], NULL, 0), 0, 0);
    char *at = id < 0 ? (void *)-1 : shmat(id, NULL, SHM_RDONLY);
    if (at == (void *)-1)
        return -1;
    say("%s", at);
    return 0;
}

static long remove_memory(char **arg)
{
    int id = shmget((key_t)strtol(arg[0], NULL, 0), 0, 0);
    return id < 0 ? -1 : shmctl(id, IPC_RMID, NULL);
}

static long make_queue(char **arg)
{
    struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 64};
    mqd_t queue = mq_open(arg[0], O_RDWR | O_CREAT, 0600, &attributes);
    return queue < 0 ? -1 : mq_send(queue, arg[1], strlen(arg[1]), 0);
}

static long read_queue(char **arg)
{
    mqd_t queue = mq_open(arg[0], O_RDWR | O_NONBLOCK);
    long size = queue < 0 ? -1 : mq_receive(queue, detail, 64, NULL);
    if (size < 0)
        return -1;
    detail[size] = 0;
    return mq_send(queue, detail, (size_t)size, 0); /* it stays there for the next to ask */
}

static long remove_queue(char **arg) { return mq_unlink(arg[0]); }

static long type_into(char **arg)
{
    int fd = arg[0][0] == '/' ? open(arg[0], O_RDWR | O_NOCTTY) : atoi(arg[0]);
    return fd < 0 ? -1 : ioctl(fd, TIOCSTI, "X");
}

/* Gives a command a controlling terminal as its standard input, and says what was typed there in the end. */
static long with_terminal(char **arg)
{
    char typed[16] = "", name[64];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), status;
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof name))
        return -1;
    int slave = open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (slave < 0 || system("true") < 0)
        return -1;
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        setsid();
        int terminal = open(name, O_RDWR);
        ioctl(terminal, TIOCSCTTY, 0);
        dup2(terminal, 0);
        execv(arg[0], arg);
        _exit(127);
    }
    waitpid(child, &status, 0);
    if (write(master, "\n", 1) < 0) /* ends the line that is being typed */
        return -1;
    long count = read(slave, typed, sizeof typed - 1);
    say("%s", typed);
    return count > 1 && strchr(typed, 'X') ? 0 : fail(NOT_FOUND);
}

static void names_in(const char *path)
{
    DIR *dir = opendir(path);
    say("%s:", path);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            say(" %s", entry->d_name);
    say("; ");
    if (dir)
        closedir(dir);
}

static int lines_in(const char *path)
{
    static char text[65536];
    int fd = open(path, O_RDONLY), lines = 0;
    if (fd < 0 || read_all(fd, text, sizeof text) < 0)
        return -1;
    close(fd);
    for (char *at = text; *at; at++)
        lines += *at == '\n';
    return lines;
}

/* Everything a call could leave for the next one, in words that can be compared. */
static long snapshot(char **arg)
{
    (void)arg;
    struct rlimit limit;
    cpu_set_t cpus;
    names_in("/tmp");
    names_in("/dev/shm");
    names_in("/dev/mqueue");
    names_in(getenv("HOME") ? getenv("HOME") : "/");
    say("shm %d; msg %d; abstract %d; ", lines_in("/proc/sysvipc/shm"), lines_in("/proc/sysvipc/msg"),
        lines_in("/proc/net/unix"));
    for (int which = 0; which < RLIM_NLIMITS; which++)
        if (!getrlimit(which, &limit))
            say("%d=%lu/%lu ", which, (unsigned long)limit.rlim_cur, (unsigned long)limit.rlim_max);
    sched_getaffinity(0, sizeof cpus, &cpus);
    say("; nice %d; cpus %d; umask %o", getpriority(PRIO_PROCESS, 0), CPU_COUNT(&cpus), umask(022));
    return 0;
}

static void plant(const char *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    say("%s %s; ", path, fd < 0 ? strerror(errno) : "planted");
    if (fd >= 0)
        close(fd);
}

/* Leaves something in each place that `snapshot` looks at, and a process that would keep it alive. */
static long leave_behind(char **arg)
{
    struct rlimit limit = {33, 33};
    char *shm[] = {arg[1], "planted"}, *queue[] = {arg[2], "x"};
    struct sockaddr_un address = {AF_UNIX, "\0planted"};
    plant("/tmp", arg[0]);
    plant("/dev/shm", arg[0]);
    plant(getenv("HOME") ? getenv("HOME") : "/", arg[0]);
    say("shm %ld; mq %ld; ", make_memory(shm), make_queue(queue));
    say("limit %d; nice %d", setrlimit(RLIMIT_NOFILE, &limit), nice(3));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0 && !bind(fd, (void *)&address, sizeof address.sun_family + 8))
        listen(fd, 1);
    pid_t daemon = fork();
    if (daemon == 0) {
        setsid();
        signal(SIGTERM, SIG_IGN);
        close(0), close(1), close(2);
        for (;;)
            pause();
    }
    say("; daemon %d", daemon);
    return daemon;
}

const struct act ipc_acts[] = {
    {"add-key", 2, add_key},       {"read-key", 1, read_key},       {"remove-key", 1, remove_key},
    {"make-shm", 2, make_memory},  {"read-shm", 1, read_memory},    {"remove-shm", 1, remove_memory},
    {"make-mq", 2, make_queue},    {"read-mq", 1, read_queue},      {"remove-mq", 1, remove_queue},
    {"tiocsti", 1, type_into},     {"with-terminal", 1, with_terminal},
    {"snapshot", 0, snapshot},     {"leave-behind", 3, leave_behind},
    {NULL, 0, NULL},
};
