/* iptables.c - see iptables.h. */
#include "os/iptables.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"

#define TABLE "filter"
#define TRIES 8 /* somebody changes the rules between two questions */

static int add_device(struct os_iptables_filter *f, const char *name, const unsigned char *mask)
{
    size_t len = strnlen(name, IFNAMSIZ - 1), compared = 0;
    struct os_iptables_device d = { .name = "" }, *more;

    while (compared < IFNAMSIZ && mask[compared] != 0)
        compared++;
    if (len == 0 || compared == 0)
        return 0;
    memcpy(d.name, name, compared < len ? compared : len);
    d.prefix = compared <= len; /* else the end of the name is compared too */
    for (size_t i = 0; i < f->n_devices; i++)
        if (strcmp(f->devices[i].name, d.name) == 0 && f->devices[i].prefix == d.prefix)
            return 0;
    more = reallocarray(f->devices, f->n_devices + 1, sizeof *more);
    if (!more)
        return -ENOMEM;
    f->devices = more;
    f->devices[f->n_devices++] = d;
    return 0;
}

/* The verdict of a rule without conditions, as a chain's policy is. */
static bool drops(const unsigned char *rule, const struct ipt_entry *entry)
{
    struct xt_standard_target t;

    if (entry->next_offset < entry->target_offset + sizeof t)
        return false;
    memcpy(&t, rule + entry->target_offset, sizeof t);
    return t.target.u.user.name[0] == '\0' && t.verdict == -NF_DROP - 1;
}

int os_iptables_parse(const void *entries, size_t len, size_t forward_policy,
                      struct os_iptables_filter *ret)
{
    const unsigned char *at = entries;
    int r = 0;

    *ret = (struct os_iptables_filter){ 0 };
    for (size_t offset = 0; r == 0 && offset < len;) {
        struct ipt_entry x;

        if (len - offset < sizeof x)
            return -EINVAL;
        memcpy(&x, at + offset, sizeof x);
        if (x.next_offset < sizeof x || x.next_offset > len - offset || x.target_offset < sizeof x)
            return -EINVAL;
        x.ip.iniface[IFNAMSIZ - 1] = x.ip.outiface[IFNAMSIZ - 1] = '\0';
        r = add_device(ret, x.ip.iniface, x.ip.iniface_mask);
        if (r == 0)
            r = add_device(ret, x.ip.outiface, x.ip.outiface_mask);
        if (offset == forward_policy)
            ret->forward_drops = drops(at + offset, &x);
        offset += x.next_offset;
    }
    return r;
}

/* To ask for a table makes it: so only when somebody else has. */
static bool is_there(void)
{
    FILE *f = fopen("/proc/net/ip_tables_names", "re");
    char line[64];
    bool found = false;

    while (f && !found && fgets(line, sizeof line, f))
        found = strcmp(line, TABLE "\n") == 0;
    if (f)
        fclose(f);
    return found;
}

/* 0, 1: the rules have changed meanwhile, or -errno. */
static int read_once(int sock, struct os_iptables_filter *ret)
{
    struct ipt_getinfo info = { .name = TABLE };
    _free_ struct ipt_get_entries *all = NULL;
    socklen_t len = sizeof info;

    if (getsockopt(sock, IPPROTO_IP, IPT_SO_GET_INFO, &info, &len) < 0)
        return -errno;
    all = calloc(1, sizeof *all + info.size);
    if (!all)
        return -ENOMEM;
    memcpy(all->name, TABLE, sizeof TABLE);
    all->size = info.size;
    len = (socklen_t) (sizeof *all + info.size);
    if (getsockopt(sock, IPPROTO_IP, IPT_SO_GET_ENTRIES, all, &len) < 0)
        return errno == EAGAIN ? 1 : -errno;
    return os_iptables_parse(all->entrytable, info.size, info.underflow[NF_INET_FORWARD], ret);
}

int os_iptables_filter(struct os_iptables_filter *ret, struct jl_err *e)
{
    _close_ int sock = -1;
    int r = 1;

    *ret = (struct os_iptables_filter){ 0 };
    if (!is_there())
        return 0;
    sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return jl_fail_sys(e, "socket", NULL, "read the rules of iptables-legacy");
    for (int i = 0; r == 1 && i < TRIES; i++)
        r = read_once(sock, ret);
    if (r == 0)
        return 1;
    os_iptables_done(ret);
    return jl_fail(e, r == 1 ? EAGAIN : -r, "read the rules of iptables-legacy");
}

void os_iptables_done(struct os_iptables_filter *f)
{
    free(f->devices);
    *f = (struct os_iptables_filter){ 0 };
}
