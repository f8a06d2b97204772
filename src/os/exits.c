/* exits.c - see exits.h. */
#include "os/exits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/connector.h>
#include <linux/filter.h>
#include <linux/netlink.h>

#include "base/cleanup.h"

#define EVENT_EXIT 0x80000000u /* PROC_EVENT_EXIT: an enumerator, or none, by the headers' age */
#define LISTEN 1               /* PROC_CN_MCAST_LISTEN */
#define IGNORE 2               /* PROC_CN_MCAST_IGNORE */

/* struct proc_event of include/uapi/linux/cn_proc.h, as far as an exit needs it. */
struct exit_event {
    uint32_t what, cpu;
    uint64_t when_ns;
    uint32_t pid, tgid, code, signal;
};

/* struct cn_msg with its data, which is of no fixed length there. */
struct message {
    struct nlmsghdr nl;
    struct cb_id id;
    uint32_t seq, ack;
    uint16_t len, flags;
    union {
        uint32_t op;
        char event[sizeof(struct exit_event)];
    };
};

#define EVENT_AT offsetof(struct message, event)
_Static_assert(EVENT_AT == sizeof(struct nlmsghdr) + sizeof(struct cn_msg), "layout of cn_msg");
#define WORD(field) ((uint32_t) (EVENT_AT + offsetof(struct exit_event, field)))

/* Only exits of this process's threads: classic BPF over the netlink message, words in network
 * order. */
static int set_filter(int sock, pid_t pid)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, WORD(what)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(EVENT_EXIT), 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, WORD(tgid)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl((uint32_t) pid), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog prog = { .len = JL_COUNT(code), .filter = code };

    return setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog) < 0 ? -errno : 0;
}

static int tell(int sock, uint32_t op)
{
    struct message m = {
        .nl = { .nlmsg_len = EVENT_AT + sizeof op, .nlmsg_type = NLMSG_DONE },
        .id = { .idx = CN_IDX_PROC, .val = CN_VAL_PROC },
        .len = sizeof op,
        .op = op,
    };

    return send(sock, &m, m.nl.nlmsg_len, 0) < 0 ? -errno : 0;
}

int os_exits_open(pid_t pid)
{
    struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
    _close_ int sock =
        socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    int r;

    if (sock < 0)
        return -errno;
    r = set_filter(sock, pid);
    if (r == 0 && bind(sock, (struct sockaddr *) &addr, sizeof addr) < 0)
        r = -errno;
    if (r == 0)
        r = tell(sock, LISTEN);
    return r < 0 ? r : jl_take_fd(&sock);
}

/* The last of its threads decides: the first may have left the others behind. */
int os_exits_read(int sock, int *ret_status)
{
    struct message m;
    struct exit_event ev;
    int r = -EAGAIN;

    for (;;) {
        ssize_t n = recv(sock, &m, sizeof m, MSG_TRUNC);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return r == 0 ? 0 : -errno;
        if ((size_t) n < EVENT_AT + sizeof ev)
            continue;
        memcpy(&ev, m.event, sizeof ev);
        *ret_status = (int) ev.code;
        r = 0;
    }
}

void os_exits_close(int sock)
{
    if (sock < 0)
        return;
    tell(sock, IGNORE);
    jl_close(sock);
}

bool os_pidfd_tells_exit(void)
{
    struct utsname u;
    unsigned long major, minor;
    char *end;

    if (uname(&u) < 0)
        return false;
    major = strtoul(u.release, &end, 10);
    minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
    return major > 6 || (major == 6 && minor >= 15);
}
