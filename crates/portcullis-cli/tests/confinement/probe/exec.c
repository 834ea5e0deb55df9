/* Running code: other programs, the dynamic loader, code dropped where it may be written. */
#include "probe.h"
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void child_executes(const char *path, char *const argv[], char *const envp[], int fd, int out, int report)
{
    int error;
    dup2(out, 1);
    dup2(out, 2);
    if (fd >= 0)
        syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
    else
        syscall(SYS_execve, path, argv, envp);
    error = errno;
    if (write(report, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

long run_program(const char *path, char *const argv[], char *const envp[], int fd)
{
    int out[2], report[2], error = 0, status;
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(report, O_CLOEXEC) < 0)
        return -1;
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0)
        child_executes(path, argv, envp, fd, out[1], report[1]);
    close(out[1]);
    close(report[1]);
    ssize_t told = read(report[0], &error, sizeof error);
    read_all(out[0], detail, sizeof detail);
    waitpid(child, &status, 0);
    if (told == sizeof error)
        return fail(error);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What a loader says when it could not load: its own words carry the errno. */
static long loaded(long status, const char *mark)
{
    if (status < 0)
        return -1;
    if (strstr(detail, mark))
        return 0;
    if (strstr(detail, "Permission denied"))
        return fail(EACCES);
    if (strstr(detail, "Operation not permitted"))
        return fail(EPERM);
    if (strstr(detail, "No such file"))
        return fail(ENOENT);
    /* Some C libraries say only that a segment could not be mapped. */
    if (strstr(detail, "failed to map segment"))
        return fail(EPERM);
    return fail(NOT_RUN);
}

static int find_loader(struct dl_phdr_info *info, size_t size, void *found)
{
    (void)size;
    for (int index = 0; index < info->dlpi_phnum; index++)
        if (info->dlpi_phdr[index].p_type == PT_INTERP)
            *(const char **)found = (const char *)(info->dlpi_addr + info->dlpi_phdr[index].p_vaddr);
    return 1;
}

static long execute(char **arg) { return run_program(arg[0], arg, environ, -1); }

/* The program has to be one that prints `mark`: ld.so MARK PROGRAM ARGUMENT... */
static long through_loader(char **arg)
{
    const char *loader = NULL;
    char *argv[16] = {"ld.so"};
    dl_iterate_phdr(find_loader, &loader);
    if (!loader)
        return fail(NOT_FOUND);
    for (int index = 0; index < 14 && arg[index + 1]; index++)
        argv[index + 1] = arg[index + 1];
    return loaded(run_program(loader, argv, environ, -1), arg[0]);
}

static long dropped(char **arg)
{
    char *argv[] = {arg[1], "ran", NULL};
    if (copy_file(arg[0], arg[1], 0755) < 0)
        return -1;
    return run_program(arg[1], argv, environ, -1);
}

static long dropped_through_loader(char **arg)
{
    char *argv[] = {"RAN", arg[1], "ran", NULL};
    return copy_file(arg[0], arg[1], 0755) < 0 ? -1 : through_loader(argv);
}

/* A library dropped into a writable directory, loaded into a program that may be executed. */
static long preload(char **arg)
{
    char variable[4096];
    char *argv[] = {arg[2], "ran", NULL}, *envp[] = {variable, NULL};
    if (copy_file(arg[0], arg[1], 0755) < 0)
        return -1;
    snprintf(variable, sizeof variable, "LD_PRELOAD=%s", arg[1]);
    return loaded(run_program(arg[2], argv, envp, -1), "PRELOADED");
}

/* A library that lies there already. */
static long preload_there(char **arg)
{
    char variable[4096];
    char *argv[] = {arg[1], "ran", NULL}, *envp[] = {variable, NULL};
    snprintf(variable, sizeof variable, "LD_PRELOAD=%s", arg[0]);
    return loaded(run_program(arg[1], argv, envp, -1), "PRELOADED");
}

/* What a shell, which takes our place, tries and says: while it runs, nobody executes our own program any more, which
 * is why it could be written. */
static const char REWRITE[] =
    "e=$( (printf x >>/proc/self/fd/3) 2>&1 ) && ok=true error=null || ok=false error='\"unknown\"'\n"
    "case $e in\n"
    "*'Read-only file system'*) error='\"EROFS\"';;\n"
    "*'Permission denied'*) error='\"EACCES\"';;\n"
    "*'Text file busy'*) error='\"ETXTBSY\"';;\n"
    "esac\n"
    "echo \"{\\\"act\\\":\\\"rewrite-own\\\",\\\"ok\\\":$ok,\\\"errno\\\":$error,\\\"detail\\\":\\\"\\\"}\"\n";

static long rewrite_own(char **arg)
{
    (void)arg;
    char *argv[] = {"sh", "-c", (char *)REWRITE, NULL};
    int fd = open("/proc/self/exe", O_PATH);
    if (fd < 0 || dup2(fd, 3) < 0)
        return -1;
    return execve("/bin/sh", argv, environ);
}

static long from_memory(char **arg)
{
    char *argv[] = {"memfd", "ran", NULL};
    int fd = (int)syscall(SYS_memfd_create, "x", 0);
    if (fd < 0 || copy_into(arg[0], fd) < 0)
        return -1;
    return run_program(NULL, argv, environ, fd);
}

/* The same through its name in /proc. */
static long from_memory_by_name(char **arg)
{
    char path[64], *argv[] = {"memfd", "ran", NULL};
    int fd = (int)syscall(SYS_memfd_create, "x", 0);
    if (fd < 0 || copy_into(arg[0], fd) < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return run_program(path, argv, environ, -1);
}

/* One that can never be executed, which leaves that it is nobody's memory. */
static long in_memory(char **arg)
{
    (void)arg;
    return syscall(SYS_memfd_create, "x", 8 /* MFD_NOEXEC_SEAL */);
}

static int write_executable(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        return -1;
    return close(fd);
}

static const char SCRIPT[] = "#!/bin/sh\necho RAN\n";

static long script(char **arg)
{
    char *argv[] = {arg[0], NULL};
    if (write_executable(arg[0], SCRIPT, sizeof SCRIPT - 1) < 0)
        return -1;
    return run_program(arg[0], argv, environ, -1);
}

static long script_by_shell(char **arg)
{
    char *argv[] = {"sh", arg[0], NULL};
    if (write_executable(arg[0], SCRIPT, sizeof SCRIPT - 1) < 0)
        return -1;
    return loaded(run_program("/bin/sh", argv, environ, -1), "RAN");
}

/* Whether a set-id program of somebody else runs with more than our own rights. */
static long set_id(char **arg)
{
    char *argv[] = {arg[0], "effective-id", NULL};
    long status = run_program(arg[0], argv, environ, -1);
    if (status < 0)
        return -1;
    return strstr(detail, arg[1]) ? 0 : fail(NO_PRIVILEGE);
}

static long effective_id(char **arg)
{
    (void)arg;
    say("euid=%d egid=%d", geteuid(), getegid());
    return 0;
}

static long ran(char **arg)
{
    (void)arg;
    say("RAN");
    return 0;
}

const struct act exec_acts[] = {
    {"exec", 1, execute},
    {"ld.so", 2, through_loader},
    {"drop-exec", 2, dropped},
    {"drop-ld.so", 2, dropped_through_loader},
    {"drop-preload", 3, preload},
    {"preload", 2, preload_there},
    {"rewrite-own", 0, rewrite_own},
    {"memfd-execveat", 1, from_memory},
    {"memfd-proc", 1, from_memory_by_name},
    {"memfd", 0, in_memory},
    {"script", 1, script},
    {"script-by-shell", 1, script_by_shell},
    {"set-id", 2, set_id},
    {"effective-id", 0, effective_id},
    {"ran", 0, ran},
    {NULL, 0, NULL},
};
