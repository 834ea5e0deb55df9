/* One act of an attacker, done with as little between it and the kernel as can be. */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An act answers like a system call: negative, with `errno` set, when it was refused. What it learned goes to `detail`. */
typedef long act_fn(char **arg);

struct act {
    const char *name;
    int args; /* how many arguments it needs at least */
    act_fn *run;
};

/* Each file ends its list with a name of NULL. */
extern const struct act exec_acts[], file_acts[], ipc_acts[], limit_acts[], namespace_acts[], network_acts[],
    process_acts[], tree_acts[];

/* Outcomes that are no errno: reported in its place. */
enum {
    NOT_FOUND = 10000, /* the act ran to its end and there was nothing to gain */
    NO_PRIVILEGE,      /* a set-id program ran as its caller */
    KILLED_SIGSYS,     /* the filter killed the process that tried */
    NOT_RUN,           /* a loader or interpreter started, the code meant to run did not */
};

extern char detail[65536];
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
long fail(int error);

int read_all(int fd, char *buffer, size_t size);
int copy_file(const char *from, const char *to, int mode);
int copy_into(const char *from, int fd);
/* Runs a program and gathers its output in `detail`; negative with its errno when it could not be executed. */
long run_program(const char *path, char *const argv[], char *const envp[], int fd_to_execute);
/* Waits until a file is there; the harness makes it. */
int wait_for(const char *path);
extern char **environ;
