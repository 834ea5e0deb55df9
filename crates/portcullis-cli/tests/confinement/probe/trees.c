/* Outliving the call: daemons, ignored signals, pipes held; and what the environment brought. */
#include "probe.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void ignore_everything(void)
{
    for (int number = 1; number < 65; number++)
        signal(number, SIG_IGN);
}

/* Waits for ever; holding `pipe`, whose other end the harness watches. */
static void stay(int pipe, const char *word)
{
    ignore_everything();
    if (write(pipe, word, strlen(word)) < 0)
        _exit(1);
    for (;;)
        pause();
}

/* Two forks, a session of its own, no standard streams. */
static void daemonise(int pipe)
{
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            close(0), close(1), close(2);
            if (chdir("/") < 0)
                _exit(1);
            stay(pipe, "d");
        }
        _exit(0);
    }
    wait(NULL);
}

/* Leaves a daemon that holds the fifo, waits for it to be one, and ends well. */
static long leave_daemon(char **arg)
{
    int pipe = open(arg[0], O_WRONLY);
    int ready[2];
    pid_t daemon = 0;
    if (pipe < 0 || pipe2(ready, 0) < 0)
        return -1;
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            ignore_everything();
            close(0), close(1), close(2);
            pid_t own = getpid();
            if (write(pipe, "d", 1) < 0 || write(ready[1], &own, sizeof own) < 0)
                _exit(1);
            close(ready[1]);
            for (;;)
                pause();
        }
        _exit(0);
    }
    wait(NULL);
    close(ready[1]);
    if (read(ready[0], &daemon, sizeof daemon) != sizeof daemon)
        return fail(ECHILD);
    say("daemon %d", daemon);
    return 0;
}

/* A tree that will not go: a daemon and a child hold the fifo and standard output, nobody listens to signals. */
static long stubborn(char **arg)
{
    int pipe = open(arg[0], O_WRONLY);
    if (pipe < 0)
        return -1;
    daemonise(pipe);
    if (fork() == 0) {
        setsid();
        prctl(PR_SET_PDEATHSIG, 0);
        stay(pipe, "c");
    }
    stay(pipe, "p");
    return 0;
}

/* Processes that never stay: each starts the next and ends. Whoever reads a list of processes comes too late. */
static long hop(char **arg)
{
    int pipe = open(arg[0], O_WRONLY);
    if (pipe < 0)
        return -1;
    for (int chain = 0; chain < 8; chain++)
        if (fork() == 0) {
            setsid();
            if (write(pipe, "c", 1) < 0)
                _exit(1);
            for (;;)
                if (fork() != 0)
                    _exit(0);
        }
    stay(pipe, "p");
    return 0;
}

static const char *told_path;

static void told(int number)
{
    (void)number;
    int fd = open(told_path, O_WRONLY | O_CREAT, 0644);
    _exit(fd < 0 ? 1 : 7);
}

/* Ends by itself when it is asked to, and leaves a file that says so. */
static long on_term(char **arg)
{
    told_path = arg[0];
    signal(SIGTERM, told);
    while (pause() < 0)
        ;
    return 0;
}

static long environment(char **arg)
{
    (void)arg;
    for (char **entry = environ; *entry; entry++)
        say("%s\n", *entry);
    return 0;
}

const struct act tree_acts[] = {
    {"leave-daemon", 1, leave_daemon},
    {"stubborn", 1, stubborn},
    {"hop", 1, hop},
    {"on-term", 1, on_term},
    {"environment", 0, environment},
    {NULL, 0, NULL},
};
