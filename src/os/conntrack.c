/* conntrack.c - see conntrack.h. */
#include "os/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "os/netlink_internal.h"

#define CHOSEN_MAX (64u << 20)
#define TUPLE_MAX 128 /* bytes; IPv4 with ports takes 52 */

/* What names a connection to the kernel. The id tells it from a later one between the same ports. */
struct chosen {
    uint32_t id;
    uint16_t zone; /* network byte order, as the kernel says it */
    uint16_t len;
    char tuple[TUPLE_MAX];
};

struct search {
    os_conntrack_fn fn;
    void *arg;
    struct jl_buf found; /* struct chosen[] */
    bool full;
};

static const struct rtattr *attr_of(const void *attrs, size_t len, unsigned short type)
{
    for (const struct rtattr *a = attrs; RTA_OK(a, len); a = RTA_NEXT(a, len))
        if ((a->rta_type & NLA_TYPE_MASK) == type)
            return a;
    return NULL;
}

static const struct rtattr *inner(const struct rtattr *a, unsigned short type)
{
    return a ? attr_of(RTA_DATA(a), RTA_PAYLOAD(a), type) : NULL;
}

/* The sender of this direction. */
static bool source_of(const struct rtattr *tuple, uint32_t *ret)
{
    const struct rtattr *a = inner(inner(tuple, CTA_TUPLE_IP), CTA_IP_V4_SRC);

    if (!a || RTA_PAYLOAD(a) != sizeof *ret)
        return false;
    memcpy(ret, RTA_DATA(a), sizeof *ret);
    *ret = ntohl(*ret);
    return true;
}

static void take_connection(const struct nlmsghdr *msg, void *arg)
{
    const size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
    const char *attrs = (const char *) msg + NLMSG_ALIGN(head);
    const struct rtattr *orig, *id, *zone;
    struct search *s = arg;
    struct chosen c = { 0 };
    uint32_t from, to;
    size_t len;

    if (msg->nlmsg_type != (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW) ||
        msg->nlmsg_len < head)
        return;
    len = msg->nlmsg_len - head;
    orig = attr_of(attrs, len, CTA_TUPLE_ORIG);
    id = attr_of(attrs, len, CTA_ID);
    zone = attr_of(attrs, len, CTA_ZONE);
    if (!source_of(orig, &from) || !source_of(attr_of(attrs, len, CTA_TUPLE_REPLY), &to) || !id ||
        RTA_PAYLOAD(id) != sizeof c.id || RTA_PAYLOAD(orig) > sizeof c.tuple ||
        !s->fn(from, to, s->arg))
        return;
    memcpy(&c.id, RTA_DATA(id), sizeof c.id);
    if (zone && RTA_PAYLOAD(zone) == sizeof c.zone)
        memcpy(&c.zone, RTA_DATA(zone), sizeof c.zone);
    c.len = (uint16_t) RTA_PAYLOAD(orig);
    memcpy(c.tuple, RTA_DATA(orig), c.len);
    if (!s->full && jl_buf_add(&s->found, &c, sizeof c) < 0)
        s->full = true;
}

static struct os_nl_request request(unsigned short what, unsigned short flags)
{
    struct os_nl_request q =
        os_nl_new((unsigned short) (NFNL_SUBSYS_CTNETLINK << 8 | what), sizeof q.u.nf, flags);

    q.u.nf.nfgen_family = AF_INET;
    return q;
}

static int forget_one(int sock, const struct chosen *c, struct jl_err *e)
{
    struct os_nl_request q = request(IPCTNL_MSG_CT_DELETE, 0);
    int r;

    os_nl_put(&q, CTA_TUPLE_ORIG | NLA_F_NESTED, c->tuple, c->len);
    os_nl_put(&q, CTA_ID, &c->id, sizeof c->id);
    if (c->zone != 0)
        os_nl_put(&q, CTA_ZONE, &c->zone, sizeof c->zone);
    r = os_nl_talk(sock, &q, NULL, NULL, NULL);
    if (r == 0 || r == -ENOENT) /* it has ended meanwhile */
        return 0;
    return jl_fail(e, -r, "forget a connection");
}

/* 1: there may be more. */
static int forget_some(int sock, os_conntrack_fn fn, void *arg, struct jl_err *e)
{
    struct os_nl_request q = request(IPCTNL_MSG_CT_GET, NLM_F_DUMP);
    struct search s = { .fn = fn, .arg = arg, .found = JL_BUF_INIT(CHOSEN_MAX) };
    int r = os_nl_talk(sock, &q, take_connection, &s, e);

    if (r < 0)
        r = jl_wrap(e, "list the host's connections");
    if (r == -EINVAL)
        jl_hint(e, "this kernel has no ctnetlink (modprobe nf_conntrack_netlink)");
    for (size_t at = 0; r == 0 && at < s.found.len; at += sizeof(struct chosen)) {
        struct chosen c;

        memcpy(&c, s.found.data + at, sizeof c);
        r = forget_one(sock, &c, e);
    }
    if (r == 0 && s.full)
        r = s.found.len > 0 ? 1 : jl_fail(e, ENOMEM, "list the host's connections");
    jl_buf_clear(&s.found);
    return r;
}

int os_conntrack_forget(os_conntrack_fn fn, void *arg, struct jl_err *e)
{
    _close_ int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    int r;

    if (sock < 0)
        return jl_fail_sys(e, "socket", NULL, "look at the host's connections");
    do {
        r = forget_some(sock, fn, arg, e);
    } while (r > 0);
    return r;
}
