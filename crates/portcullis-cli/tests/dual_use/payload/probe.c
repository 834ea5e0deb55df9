/* The native payload of the dual-use tests: tries nine powers and leaves what it gained where the harness looks.
 *
 * Built twice by the harness: as a program, and (SHARED) as a library whose constructor does the same inside whatever
 * process loads it. Where things are stands in the file `conf` beside it, a `key=value` a line. It never reports
 * success itself: the harness looks at the world. It does report what it tried, so that a payload that stopped half-way
 * is not taken for a power that was refused. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char conf[8192];
static int tried = -1;

/* The value of a key, or an empty text. */
static const char *get(const char *key, char *into, size_t size)
{
    size_t length = strlen(key);
    into[0] = 0;
    for (const char *line = conf; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, key, length) == 0 && line[length] == '=') {
            size_t n = strcspn(line + length + 1, "\n");
            if (n >= size)
                n = size - 1;
            memcpy(into, line + length + 1, n);
            into[n] = 0;
            break;
        }
    }
    return into;
}

static int load(const char *self)
{
    char path[4096];
    const char *slash = strrchr(self, '/');
    if (!slash)
        return -1;
    snprintf(path, sizeof path, "%.*s/conf", (int)(slash - self), self);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, conf, sizeof conf - 1);
    close(fd);
    return n > 0 ? 0 : -1;
}

static int grant(const char *name)
{
    char dir[2048], path[4096];
    snprintf(path, sizeof path, "%s/%s", get("grant", dir, sizeof dir), name);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

static void note(const char *power, int error)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s %d\n", power, error);
    if (tried >= 0 && write(tried, line, n) < 0)
        tried = -1;
}

static void put(const char *name, const char *text, size_t size)
{
    int fd = grant(name);
    if (fd >= 0) {
        if (write(fd, text, size) < 0)
            note("grant", errno);
        close(fd);
    }
}

static void run_code(void)
{
    char value[64], text[64];
    long answer = atol(get("nonce", value, sizeof value)) * 3 + 1;
    put("gain.run", text, snprintf(text, sizeof text, "%ld\n", answer));
    note("run-code", 0);
}

static void copy(const char *power, const char *from, const char *to)
{
    char data[65536];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, data, sizeof data);
    note(power, n < 0 ? errno : 0);
    if (n > 0)
        put(to, data, n);
    if (fd >= 0)
        close(fd);
}

static void write_outside(void)
{
    char path[2048], nonce[64];
    get("nonce", nonce, sizeof nonce);
    int fd = open(get("target", path, sizeof path), O_WRONLY | O_TRUNC | O_CLOEXEC);
    note("write", fd < 0 || write(fd, nonce, strlen(nonce)) < 0 ? errno : 0);
    if (fd >= 0)
        close(fd);
}

static void mode_outside(void)
{
    char path[2048];
    note("chmod", chmod(get("moded", path, sizeof path), 0640) < 0 ? errno : 0);
}

static void dial(const char *power, int family, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    note(power, fd < 0 || connect(fd, address, size) < 0 ? errno : 0);
    if (fd >= 0)
        close(fd);
}

static void sockets(void)
{
    char value[2048];
    struct sockaddr_in inet = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    inet.sin_port = htons(atoi(get("port", value, sizeof value)));
    dial("tcp", AF_INET, (struct sockaddr *)&inet, sizeof inet);
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    snprintf(local.sun_path, sizeof local.sun_path, "%s", get("socket", value, sizeof value));
    dial("unix-socket", AF_UNIX, (struct sockaddr *)&local, sizeof local);
}

static void other_program(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGCHLD, SIG_DFL);
        int fd = grant("gain.id");
        dup2(fd, 1);
        execl("/usr/bin/id", "id", (char *)NULL);
        _exit(errno);
    }
    int status = 0;
    note("other-programs", pid < 0 || waitpid(pid, &status, 0) < 0 ? errno : WEXITSTATUS(status));
}

static void attack(void)
{
    char value[64], path[2048];
    signal(SIGCHLD, SIG_DFL);
    tried = grant("tried");
    run_code();
    copy("read", get("secret", path, sizeof path), "gain.secret");
    snprintf(path, sizeof path, "/proc/%s/environ", get("victim", value, sizeof value));
    copy("environ", path, "gain.environ");
    write_outside();
    mode_outside();
    sockets();
    other_program();
    pid_t victim = atoi(get("victim", value, sizeof value));
    note("signal", victim <= 1 || kill(victim, SIGUSR1) < 0 ? errno : 0);
    put("tried", "done\n", 5);
    close(tried);
}

#ifdef SHARED
__attribute__((constructor)) static void loaded(void)
{
    Dl_info self;
    if (dladdr((void *)loaded, &self) && load(self.dli_fname) == 0)
        attack();
    _exit(0);
}
#else
int main(int argc, char **argv)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    /* A compiler that runs this file itself passes the path of the program it would have made. */
    if (load(self) < 0 && (argc < 2 || load(argv[argc - 1]) < 0) && load(argv[0]) < 0)
        return 2;
    attack();
    return 0;
}
#endif
