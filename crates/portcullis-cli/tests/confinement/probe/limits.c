/* Taking more than one's share: processes, descriptors, files, memory, output. */
#include "probe.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>

/* Makes processes until it is refused one; they share our memory and stay, so that each costs little. */
static long many_processes(char **arg)
{
    long wanted = atol(arg[0]), made = 0;
    int error = 0, group = 0;
    for (; made < wanted; made++) {
        pid_t child = fork();
        if (child < 0) {
            error = errno;
            break;
        }
        if (child == 0) {
            for (;;)
                pause();
        }
        setpgid(child, group ? group : child);
        group = group ? group : child;
    }
    if (group)
        kill(-group, SIGKILL);
    while (wait(NULL) > 0)
        ;
    say("%ld", made);
    return error ? fail(error) : made;
}

static long many_descriptors(char **arg)
{
    long wanted = atol(arg[0]), made = 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    while (made < wanted && dup(1) >= 0)
        made++;
    say("%ld", made);
    return made < wanted ? -1 : made;
}

static long many_files(char **arg)
{
    long wanted = atol(arg[1]), made = 0;
    for (; made < wanted; made++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%ld", arg[0], made);
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        if (fd < 0)
            return -1;
        close(fd);
    }
    return made;
}

/* Room of so many MiB, without writing it all. */
static long big_file(char **arg)
{
    int fd = open(arg[0], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
        return -1;
    signal(SIGXFSZ, SIG_IGN);
    long result = fallocate(fd, 0, 0, atol(arg[1]) << 20);
    int error = errno;
    unlink(arg[0]);
    return result < 0 ? fail(error) : 0;
}

static long big_memory(char **arg)
{
    long wanted = atol(arg[0]), taken = 0;
    for (; taken < wanted; taken++) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            return -1;
        memset(block, 1, 1 << 20);
    }
    say("%ld MiB", taken);
    return taken;
}

/* Memory that nobody maps while it is there: looked for among the processes it is not found. */
static long hidden_memory(char **arg)
{
    size_t size = (size_t)atol(arg[0]) << 20;
    int id = shmget(IPC_PRIVATE, size, IPC_CREAT | 0600);
    char *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);
    if (at == (void *)-1)
        return -1;
    memset(at, 1, size);
    shmdt(at);
    for (int left = 300; left > 0; left--) /* time enough to be found */
        usleep(1000);
    return shmctl(id, IPC_RMID, NULL);
}

static long big_output(char **arg)
{
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    for (long left = atol(arg[0]); left > 0; left--)
        if (write(1, block, sizeof block) < 0)
            return -1;
    return 0;
}

const struct act limit_acts[] = {
    {"processes", 1, many_processes}, {"descriptors", 1, many_descriptors}, {"files", 2, many_files},
    {"big-file", 2, big_file},        {"memory", 1, big_memory}, {"hidden-memory", 1, hidden_memory},            {"output", 1, big_output},
    {NULL, 0, NULL},
};
