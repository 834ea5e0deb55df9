/* Reaching services of the host: every family of sockets, and the ways around `socket` and `connect`. */
#include "probe.h"
#include <arpa/inet.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static long connect_stream(const char *port, const char *text, int protocol)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, protocol);
    if (fd < 0 || connect(fd, (void *)&address, sizeof address) < 0)
        return -1;
    return write(fd, text, strlen(text));
}

static long tcp(char **arg) { return connect_stream(arg[0], arg[1], 0); }
static long mptcp(char **arg) { return connect_stream(arg[0], arg[1], IPPROTO_MPTCP); }

static long tcp6(char **arg)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((unsigned short)atoi(arg[0]))};
    /* ::ffff:127.0.0.1 */
    address.sin6_addr.s6_addr[10] = address.sin6_addr.s6_addr[11] = 0xff;
    address.sin6_addr.s6_addr[12] = 127;
    address.sin6_addr.s6_addr[15] = 1;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (void *)&address, sizeof address) < 0)
        return -1;
    return write(fd, arg[1], strlen(arg[1]));
}

static long fast_open(char **arg)
{
    struct sockaddr_in address = loopback(arg[0]);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0)
        return -1;
    return sendto(fd, arg[1], strlen(arg[1]), MSG_FASTOPEN, (void *)&address, sizeof address);
}

static long udp(char **arg)
{
    struct sockaddr_in address = loopback(arg[0]);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return -1;
    return sendto(fd, arg[1], strlen(arg[1]), 0, (void *)&address, sizeof address);
}

static long icmp(char **arg) { (void)arg; return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }
static long raw(char **arg) { (void)arg; return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP); }
static long packet(char **arg) { (void)arg; return socket(AF_PACKET, SOCK_RAW, 0); }
static long vsock(char **arg) { (void)arg; return socket(AF_VSOCK, SOCK_STREAM, 0); }
static long alg(char **arg) { (void)arg; return socket(AF_ALG, SOCK_SEQPACKET, 0); }
static long netlink(char **arg) { (void)arg; return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }

/* Without `bind`, which is where Landlock looks, the kernel chooses a port. */
static long listen_unbound(char **arg)
{
    (void)arg;
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || listen(fd, 1) < 0 || getsockname(fd, (void *)&address, &size) < 0)
        return -1;
    say("port %d", ntohs(address.sin_port));
    return 0;
}

static long bind_port(char **arg)
{
    struct sockaddr_in address = loopback(arg[0]);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? -1 : bind(fd, (void *)&address, sizeof address);
}

/* Inside its own cell a server and its client find each other when loopback is granted. */
static long own_loopback(char **arg)
{
    (void)arg;
    struct sockaddr_in address = loopback("0");
    socklen_t size = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    if (server < 0 || client < 0 || bind(server, (void *)&address, size) < 0 || listen(server, 1) < 0 ||
        getsockname(server, (void *)&address, &size) < 0 || connect(client, (void *)&address, size) < 0)
        return -1;
    return 0;
}

struct ring {
    int fd;
    unsigned *tail, *mask, *array, *completions_tail;
    struct io_uring_sqe *entries;
    struct io_uring_cqe *completions;
};

static int make_ring(struct ring *ring)
{
    struct io_uring_params params = {0};
    ring->fd = (int)syscall(SYS_io_uring_setup, 4, &params);
    if (ring->fd < 0)
        return -1;
    size_t size = 65536;
    char *queue = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
    char *done = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_CQ_RING);
    ring->entries = mmap(0, 4 * sizeof *ring->entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
                         IORING_OFF_SQES);
    if (queue == MAP_FAILED || done == MAP_FAILED || (void *)ring->entries == MAP_FAILED)
        return -1;
    ring->tail = (unsigned *)(queue + params.sq_off.tail);
    ring->mask = (unsigned *)(queue + params.sq_off.ring_mask);
    ring->array = (unsigned *)(queue + params.sq_off.array);
    ring->completions_tail = (unsigned *)(done + params.cq_off.tail);
    ring->completions = (struct io_uring_cqe *)(done + params.cq_off.cqes);
    return 0;
}

static long submit(struct ring *ring, const struct io_uring_sqe *entry)
{
    unsigned tail = *ring->tail, seen = *ring->completions_tail;
    ring->entries[tail & *ring->mask] = *entry;
    ring->array[tail & *ring->mask] = tail & *ring->mask;
    __atomic_store_n(ring->tail, tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
        return -1;
    int result = ring->completions[seen & 3].res;
    return result < 0 ? fail(-result) : result;
}

/* `socket` and `connect` without either system call. */
static long uring(char **arg)
{
    struct ring ring;
    struct sockaddr_in address = loopback(arg[0]);
    struct io_uring_sqe entry = {.opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_STREAM};
    if (make_ring(&ring) < 0)
        return -1;
    long fd = submit(&ring, &entry);
    if (fd < 0)
        return -1;
    struct io_uring_sqe connecting = {
        .opcode = IORING_OP_CONNECT, .fd = (int)fd, .addr = (unsigned long)&address, .off = sizeof address};
    if (submit(&ring, &connecting) < 0)
        return -1;
    return write((int)fd, arg[1], strlen(arg[1]));
}

/* In a child, because a filter may kill whoever tries. */
static long in_child(long (*attempt)(void))
{
    int status;
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        long result = attempt();
        _exit(result < 0 ? (int)-result : 0);
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        return fail(WTERMSIG(status) == SIGSYS ? KILLED_SIGSYS : NOT_RUN);
    return WEXITSTATUS(status) ? fail(WEXITSTATUS(status)) : 0;
}

#if defined(__x86_64__)
static long i386_socket(void)
{
    long result;
    /* 359 is `socket` in the table of 32-bit programs, whose numbers mean other calls in ours. */
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(359L), "b"(AF_INET), "c"(SOCK_STREAM), "d"(0) : "memory");
    return result;
}

static long x32_getpid(void)
{
    long result = syscall(0x40000000 | SYS_getpid);
    return result < 0 ? -errno : 0;
}
#else
static long i386_socket(void) { return -ENOSYS; }
static long x32_getpid(void) { return -ENOSYS; }
#endif

static long int80(char **arg) { (void)arg; return in_child(i386_socket); }
static long x32(char **arg) { (void)arg; return in_child(x32_getpid); }

static long unix_socket(const char *name, int type, const char *text)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);
    size_t size = offsetof(struct sockaddr_un, sun_path) + strlen(name);
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    /* `@` is how everybody writes the zero byte of an abstract name. */
    if (name[0] == '@')
        address.sun_path[0] = 0;
    else
        size++;
    if (fd < 0)
        return -1;
    if (type == SOCK_DGRAM)
        return sendto(fd, text, strlen(text), 0, (void *)&address, (socklen_t)size);
    if (connect(fd, (void *)&address, (socklen_t)size) < 0)
        return -1;
    return write(fd, text, strlen(text));
}

static long unix_stream(char **arg) { return unix_socket(arg[0], SOCK_STREAM, arg[1]); }
static long unix_datagram(char **arg) { return unix_socket(arg[0], SOCK_DGRAM, arg[1]); }

static long unix_pair(char **arg)
{
    (void)arg;
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

/* Asks the proxy that the environment names for a tunnel, and sends a word through it. */
static long through_proxy(char **arg)
{
    const char *proxy = getenv("HTTPS_PROXY");
    const char *port = proxy ? strrchr(proxy, ':') : NULL;
    if (!port)
        return fail(NOT_FOUND);
    struct sockaddr_in address = loopback(port + 1);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (void *)&address, sizeof address) < 0)
        return -1;
    /* `\0` in an argument stands for the byte that no argument can hold. */
    char name[1024], *out = name;
    for (const char *at = arg[0]; *at && out < name + sizeof name - 1; at++)
        *out++ = at[0] == '\\' && at[1] == '0' ? (at++, '\0') : *at;
    if (write(fd, "CONNECT ", 8) < 0 || write(fd, name, (size_t)(out - name)) < 0 || write(fd, " HTTP/1.1\r\n\r\n", 13) < 0)
        return -1;
    ssize_t count = read(fd, detail, 1024);
    if (count < 0)
        return -1;
    detail[count] = 0;
    if (count == 0 || strncmp(detail + 8, " 200", 4))
        return fail(EACCES);
    return write(fd, arg[1], strlen(arg[1]));
}

const struct act network_acts[] = {
    {"proxy", 2, through_proxy},
    {"tcp", 2, tcp},
    {"tcp6", 2, tcp6},
    {"mptcp", 2, mptcp},
    {"fast-open", 2, fast_open},
    {"udp", 2, udp},
    {"icmp", 0, icmp},
    {"raw", 0, raw},
    {"packet", 0, packet},
    {"vsock", 0, vsock},
    {"alg", 0, alg},
    {"netlink", 0, netlink},
    {"listen", 0, listen_unbound},
    {"bind", 1, bind_port},
    {"own-loopback", 0, own_loopback},
    {"io_uring", 2, uring},
    {"int80", 0, int80},
    {"x32", 0, x32},
    {"unix", 2, unix_stream},
    {"unix-datagram", 2, unix_datagram},
    {"socketpair", 0, unix_pair},
    {NULL, 0, NULL},
};
