/* Files: reading, listing, writing, and what only touches their metadata. */
#include "probe.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

int read_all(int fd, char *buffer, size_t size)
{
    size_t used = 0;
    ssize_t count;
    while (used + 1 < size && (count = read(fd, buffer + used, size - 1 - used)) != 0) {
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -1;
        used += (size_t)count;
    }
    buffer[used] = 0;
    return (int)used;
}

int copy_into(const char *from, int fd)
{
    static char block[65536];
    int source = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t count;
    if (source < 0)
        return -1;
    while ((count = read(source, block, sizeof block)) > 0)
        if (write(fd, block, (size_t)count) != count)
            return -1;
    close(source);
    return count < 0 ? -1 : 0;
}

int copy_file(const char *from, const char *to, int mode)
{
    int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    if (fd < 0 || copy_into(from, fd) < 0 || fchmod(fd, (mode_t)mode) < 0)
        return -1;
    return close(fd);
}

static long read_fd(int fd)
{
    return fd < 0 ? -1 : read_all(fd, detail, sizeof detail);
}

static long read_file(char **arg) { return read_fd(open(arg[0], O_RDONLY)); }

/* Relative to an opened directory. */
static long read_at(char **arg)
{
    int dir = open(arg[0], O_RDONLY | O_DIRECTORY);
    return dir < 0 ? -1 : read_fd(openat(dir, arg[1], O_RDONLY));
}

/* Relative to the working directory, climbing out of it. */
static long read_climbing(char **arg)
{
    char path[4096] = "";
    for (int step = 0; step < 64; step++)
        strcat(path, "../");
    strncat(path, arg[0] + 1, sizeof path - strlen(path) - 1);
    return read_fd(open(path, O_RDONLY));
}

static long read_through_symlink(char **arg)
{
    if (symlink(arg[0], arg[1]) < 0)
        return -1;
    return read_fd(open(arg[1], O_RDONLY));
}

static long openat2_read(char **arg)
{
    struct { unsigned long long flags, mode, resolve; } how = {O_RDONLY, 0, 0};
    return read_fd((int)syscall(SYS_openat2, AT_FDCWD, arg[0], &how, sizeof how));
}

static long list(char **arg)
{
    DIR *dir = opendir(arg[0]);
    if (!dir)
        return -1;
    for (struct dirent *entry; (entry = readdir(dir));)
        say("%s ", entry->d_name);
    return 0;
}

static long stat_file(char **arg)
{
    struct stat found;
    return syscall(SYS_newfstatat, AT_FDCWD, arg[0], &found, 0);
}

static long write_text(int fd, const char *text)
{
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return -1;
    return close(fd);
}

static long create(char **arg) { return write_text(open(arg[0], O_WRONLY | O_CREAT | O_EXCL, 0644), arg[1]); }
static long write_file(char **arg) { return write_text(open(arg[0], O_WRONLY), arg[1]); }
/* Opens and writes nothing: what is written to some files of /proc is the machine's end. */
static long open_for_writing(char **arg) { return open(arg[0], O_WRONLY) < 0 ? -1 : 0; }
static long truncate_file(char **arg) { return truncate(arg[0], 0); }
static long unlink_file(char **arg) { return unlink(arg[0]); }
static long rename_file(char **arg) { return rename(arg[0], arg[1]); }
static long make_dir(char **arg) { return mkdir(arg[0], 0755); }
static long change_mode(char **arg) { return chmod(arg[0], (mode_t)strtol(arg[1], NULL, 8)); }

static long make_with_mode(char **arg)
{
    int fd = open(arg[0], O_WRONLY | O_CREAT | O_EXCL, 0755);
    return fd < 0 ? -1 : fchmod(fd, (mode_t)strtol(arg[1], NULL, 8));
}

static long change_times(char **arg)
{
    struct timespec times[2] = {{1, 0}, {1, 0}};
    return utimensat(AT_FDCWD, arg[0], times, 0);
}

static long set_attribute(char **arg) { return setxattr(arg[0], "user.probe", "x", 1, 0); }

static long link_and_write(char **arg)
{
    if (link(arg[0], arg[1]) < 0)
        return -1;
    return write_text(open(arg[1], O_WRONLY), arg[2]);
}

/* Replaces the directory above a protected file: moves it away and builds a copy of our own in its place. */
static long replace_parent(char **arg)
{
    char path[4096];
    if (rename(arg[0], arg[1]) < 0 || mkdir(arg[0], 0755) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/config", arg[0]);
    return write_text(open(path, O_WRONLY | O_CREAT, 0644), "[core]\n\tfsmonitor = evil\n");
}

static long open_by_handle(char **arg)
{
    struct { struct file_handle head; unsigned char bytes[128]; } handle = {.head.handle_bytes = 128};
    int mount_id;
    if (name_to_handle_at(AT_FDCWD, arg[0], &handle.head, &mount_id, 0) < 0)
        return -1;
    int mount = open(arg[1], O_RDONLY | O_DIRECTORY);
    return mount < 0 ? -1 : read_fd(open_by_handle_at(mount, &handle.head, O_RDONLY));
}

/* Every descriptor beyond standard error. */
static long inherited(char **arg)
{
    (void)arg;
    int open_ones = 0;
    for (int fd = 3; fd <= 1024; fd++) {
        char path[64], target[256] = "";
        if (fcntl(fd, F_GETFD) < 0)
            continue;
        open_ones++;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) > 0)
            say("%d=%s ", fd, target);
    }
    return open_ones ? open_ones : fail(EBADF);
}

static long read_descriptor(char **arg) { return lseek(atoi(arg[0]), 0, SEEK_SET) < 0 ? -1 : read_fd(atoi(arg[0])); }

static long reopen_descriptor(char **arg)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%s", arg[0]);
    return read_fd(open(path, O_RDONLY));
}

/* From reading to writing, by the name that a descriptor has. */
static long reopen_for_writing(char **arg)
{
    char path[64];
    int fd = open(arg[0], O_RDONLY);
    if (fd < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return write_text(open(path, O_WRONLY), arg[1]);
}

/* A flag of the file system's own, which needs no more than a descriptor for reading. */
static long set_flags(char **arg)
{
    int fd = open(arg[0], O_RDONLY), flags = 0;
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return -1;
    flags ^= FS_NODUMP_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* Makes a directory and has it change places with another. */
static long exchange(char **arg)
{
    if (mkdir(arg[1], 0755) < 0)
        return -1;
    return syscall(SYS_renameat2, AT_FDCWD, arg[0], AT_FDCWD, arg[1], 2 /* RENAME_EXCHANGE */);
}

/* Being told of every name that is made in a directory. */
static long watch(char **arg)
{
    int fd = inotify_init1(IN_NONBLOCK);
    return fd < 0 ? -1 : inotify_add_watch(fd, arg[0], IN_CREATE);
}

int wait_for(const char *path)
{
    for (int tries = 0; tries < 3000; tries++) {
        if (access(path, F_OK) == 0)
            return 0;
        usleep(10000);
    }
    return (int)fail(ETIMEDOUT);
}

/* Says it is ready, waits for the harness to have changed the world, reads. */
static long read_after(char **arg)
{
    if (write_text(open(arg[0], O_WRONLY | O_CREAT, 0644), "") < 0 || wait_for(arg[1]) < 0)
        return -1;
    return read_fd(open(arg[2], O_RDONLY));
}

const struct act file_acts[] = {
    {"read", 1, read_file},
    {"read-at", 2, read_at},
    {"read-climbing", 1, read_climbing},
    {"read-through-symlink", 2, read_through_symlink},
    {"read-after", 3, read_after},
    {"openat2", 1, openat2_read},
    {"list", 1, list},
    {"stat", 1, stat_file},
    {"create", 2, create},
    {"write", 2, write_file},
    {"open-for-writing", 1, open_for_writing},
    {"truncate", 1, truncate_file},
    {"unlink", 1, unlink_file},
    {"rename", 2, rename_file},
    {"mkdir", 1, make_dir},
    {"chmod", 2, change_mode},
    {"make-with-mode", 2, make_with_mode},
    {"utimensat", 1, change_times},
    {"setxattr", 1, set_attribute},
    {"link-and-write", 3, link_and_write},
    {"replace-parent", 2, replace_parent},
    {"open-by-handle", 2, open_by_handle},
    {"inherited", 0, inherited},
    {"read-descriptor", 1, read_descriptor},
    {"reopen-descriptor", 1, reopen_descriptor},
    {"reopen-for-writing", 2, reopen_for_writing},
    {"set-flags", 1, set_flags},
    {"exchange", 2, exchange},
    {"watch", 1, watch},
    {NULL, 0, NULL},
};
