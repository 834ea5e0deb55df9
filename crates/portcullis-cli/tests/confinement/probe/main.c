/* probe NAME [ARGUMENT]...: does one act and prints one line of JSON about it.
 *
 * The exit code is 0 whenever the act was tried; whether it was refused stands in the line alone. */
#include "probe.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char detail[65536];

void say(const char *format, ...)
{
    size_t used = strlen(detail);
    va_list list;
    va_start(list, format);
    vsnprintf(detail + used, sizeof detail - used, format, list);
    va_end(list);
}

long fail(int error)
{
    errno = error;
    return -1;
}

static const char *name_of(int error)
{
#define NAME(error) case error: return #error;
    switch (error) {
        NAME(EPERM) NAME(ENOENT) NAME(ESRCH) NAME(EINTR) NAME(EIO) NAME(ENXIO) NAME(E2BIG) NAME(ENOEXEC)
        NAME(EBADF) NAME(ECHILD) NAME(EAGAIN) NAME(ENOMEM) NAME(EACCES) NAME(EFAULT) NAME(ENOTBLK)
        NAME(EBUSY) NAME(EEXIST) NAME(EXDEV) NAME(ENODEV) NAME(ENOTDIR) NAME(EISDIR) NAME(EINVAL)
        NAME(ENFILE) NAME(EMFILE) NAME(ENOTTY) NAME(ETXTBSY) NAME(EFBIG) NAME(ENOSPC) NAME(ESPIPE)
        NAME(EROFS) NAME(EMLINK) NAME(EPIPE) NAME(ENOSYS) NAME(ELOOP) NAME(EUSERS) NAME(ENOKEY)
        NAME(EOPNOTSUPP) NAME(EPROTONOSUPPORT) NAME(ESOCKTNOSUPPORT) NAME(EAFNOSUPPORT)
        NAME(EADDRINUSE) NAME(EADDRNOTAVAIL) NAME(ENETDOWN) NAME(ENETUNREACH) NAME(ECONNRESET)
        NAME(ENOBUFS) NAME(ETIMEDOUT) NAME(ECONNREFUSED) NAME(EHOSTUNREACH) NAME(EPROTOTYPE)
        NAME(EDQUOT) NAME(EOVERFLOW) NAME(ENAMETOOLONG) NAME(ENOPROTOOPT) NAME(ENOTEMPTY)
        NAME(NOT_FOUND) NAME(NO_PRIVILEGE) NAME(KILLED_SIGSYS) NAME(NOT_RUN)
    }
    return "unknown";
}

static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20 || byte > 0x7e)
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static const struct act *find(const char *name)
{
    const struct act *const lists[] = {exec_acts,      file_acts,    ipc_acts,     limit_acts,
                                       namespace_acts, network_acts, process_acts, tree_acts};
    for (size_t list = 0; list < sizeof lists / sizeof *lists; list++)
        for (const struct act *act = lists[list]; act->name; act++)
            if (!strcmp(act->name, name))
                return act;
    return NULL;
}

int main(int argc, char **argv)
{
    const struct act *act = argc > 1 ? find(argv[1]) : NULL;
    if (!act || argc - 2 < act->args) {
        fprintf(stderr, "probe: no act `%s` of %d arguments\n", argc > 1 ? argv[1] : "", argc - 2);
        return 2;
    }
    errno = 0;
    long result = act->run(argv + 2);
    int error = errno;
    printf("{\"act\":");
    print_quoted(act->name);
    printf(",\"ok\":%s,\"errno\":", result < 0 ? "false" : "true");
    if (result < 0)
        print_quoted(name_of(error));
    else
        printf("null");
    printf(",\"code\":%d,\"detail\":", result < 0 ? error : 0);
    print_quoted(detail);
    printf("}\n");
    return 0;
}
