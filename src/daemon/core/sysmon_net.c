/* sysmon_net.c - see sysmon.h: the interfaces that carry most. */
#include <ifaddrs.h>
#include <net/if_arp.h>
#include <netdb.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "daemon/core/procfs.h"
#include "daemon/core/sysmon.h"

#define INTERFACES_MAX 4096 /* looked at; a job with a network has one here */
#define ADDRESSES_MAX 8     /* of one interface */

struct one {
    struct jd_proc_net x;
    double rx_rate, tx_rate;
};

static int by_activity(const void *a, const void *b)
{
    const struct one *l = a, *r = b;
    double lr = l->rx_rate + l->tx_rate, rr = r->rx_rate + r->tx_rate;
    uint64_t lt = l->x.rx_bytes + l->x.tx_bytes, rt = r->x.rx_bytes + r->x.tx_bytes;

    if (lr != rr)
        return lr > rr ? -1 : 1;
    return lt > rt ? -1 : lt < rt;
}

static void rates(struct one *o, const struct jd_proc_net *before, size_t n, double seconds)
{
    for (size_t i = 0; seconds > 0 && i < n; i++) {
        if (strcmp(before[i].name, o->x.name) != 0)
            continue;
        if (o->x.rx_bytes > before[i].rx_bytes)
            o->rx_rate = (double) (o->x.rx_bytes - before[i].rx_bytes) / seconds;
        if (o->x.tx_bytes > before[i].tx_bytes)
            o->tx_rate = (double) (o->x.tx_bytes - before[i].tx_bytes) / seconds;
        return;
    }
}

static void add_address(struct jd_sysmon *s, Joblet__NetworkMetrics *m, const struct sockaddr *sa)
{
    socklen_t len =
        sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    const struct sockaddr_ll *ll = (const struct sockaddr_ll *) (const void *) sa;
    char host[NI_MAXHOST];

    if (sa->sa_family == AF_PACKET && ll->sll_halen == 6) {
        const unsigned char *p = ll->sll_addr;

        m->mac_address = jd_arena_format(&s->a, "%02x:%02x:%02x:%02x:%02x:%02x", p[0], p[1], p[2],
                                         p[3], p[4], p[5]);
    } else if ((sa->sa_family == AF_INET || sa->sa_family == AF_INET6) &&
               m->n_ip_addresses < ADDRESSES_MAX &&
               getnameinfo(sa, len, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0) {
        m->ip_addresses[m->n_ip_addresses] = jd_sysmon_text(&s->a, host, strcspn(host, "%"));
        m->n_ip_addresses += m->ip_addresses[m->n_ip_addresses] != NULL;
    }
}

/* A file of the interface's directory, without its line break; "" when it can't be read. */
static char *attribute(struct jd_sysmon *s, const char *name, const char *file)
{
    char path[96];
    const char *text;

    snprintf(path, sizeof path, "/sys/class/net/%s/%s", name, file);
    text = jd_sysmon_file(&s->a, path);
    return text ? jd_sysmon_text(&s->a, text, strcspn(text, "\n")) : NULL;
}

/* What kind it is: by its driver ("DEVTYPE=bridge"), else by what its packets are like. */
static char *type_of(struct jd_sysmon *s, const char *name)
{
    static const struct {
        int type; /* ARPHRD_* */
        const char *word;
    } words[] = { { ARPHRD_ETHER, "ethernet" },   { ARPHRD_INFINIBAND, "infiniband" },
                  { ARPHRD_PPP, "ppp" },          { ARPHRD_TUNNEL, "tunnel" },
                  { ARPHRD_TUNNEL6, "tunnel" },   { ARPHRD_SIT, "tunnel" },
                  { ARPHRD_IPGRE, "tunnel" },     { ARPHRD_NONE, "tunnel" },
                  { ARPHRD_LOOPBACK, "loopback" } };
    static const char devtype[] = "DEVTYPE=";
    const char *number = attribute(s, name, "type"), *uevent;
    char path[96];

    snprintf(path, sizeof path, "/sys/class/net/%s/uevent", name);
    uevent = jd_sysmon_file(&s->a, path);
    if (!uevent || !number)
        return NULL;
    if (strncmp(uevent, devtype, sizeof devtype - 1) == 0) {
        uevent += sizeof devtype - 1;
        return jd_sysmon_text(&s->a, uevent, strcspn(uevent, "\n"));
    }
    for (size_t i = 0; i < JL_COUNT(words); i++)
        if (words[i].type == strtol(number, NULL, 10))
            return (char *) (uintptr_t) words[i].word;
    return jd_sysmon_text(&s->a, "", 0);
}

static int64_t at_least_0(const char *text)
{
    long v = text ? strtol(text, NULL, 10) : 0;

    return v > 0 ? v : 0; /* -1: the link is down, or the device has no notion of it */
}

static void add_link(struct jd_sysmon *s, Joblet__NetworkMetrics *m, const char *name)
{
    if (strchr(name, '/'))
        return;
    m->type = type_of(s, name);
    m->status = attribute(s, name, "operstate");
    m->speed_mbps = at_least_0(attribute(s, name, "speed"));
    m->mtu = (int32_t) at_least_0(attribute(s, name, "mtu"));
}

static Joblet__NetworkMetrics *message_of(struct jd_sysmon *s, const struct one *o,
                                          const struct ifaddrs *all)
{
    Joblet__NetworkMetrics *m = jd_arena_get(&s->a, sizeof *m);

    if (!m)
        return NULL;
    joblet__network_metrics__init(m);
    m->interface = jd_sysmon_text(&s->a, o->x.name, strlen(o->x.name));
    m->bytes_received = (int64_t) o->x.rx_bytes;
    m->bytes_sent = (int64_t) o->x.tx_bytes;
    m->packets_received = (int64_t) o->x.rx_packets;
    m->packets_sent = (int64_t) o->x.tx_packets;
    m->errors_in = (int64_t) o->x.rx_errors;
    m->errors_out = (int64_t) o->x.tx_errors;
    m->drops_in = (int64_t) o->x.rx_drops;
    m->drops_out = (int64_t) o->x.tx_drops;
    m->receive_rate = o->rx_rate;
    m->transmit_rate = o->tx_rate;
    add_link(s, m, o->x.name);
    m->ip_addresses = jd_arena_get(&s->a, ADDRESSES_MAX * sizeof *m->ip_addresses);
    for (const struct ifaddrs *i = all; i && m->ip_addresses; i = i->ifa_next)
        if (i->ifa_addr && strcmp(i->ifa_name, o->x.name) == 0)
            add_address(s, m, i->ifa_addr);
    return jd_arena_failed(&s->a) ? NULL : m;
}

void jd_sysmon_networks(struct jd_sysmon *s)
{
    static struct jd_proc_net *before, *now;
    static size_t n_before;
    const char *text = jd_sysmon_file(&s->a, "/proc/net/dev");
    struct one *list = NULL;
    struct ifaddrs *all = NULL;
    struct jd_proc_net *swap;
    size_t n, kept = 0;

    if (!before)
        before = calloc(INTERFACES_MAX, sizeof *before);
    if (!now)
        now = calloc(INTERFACES_MAX, sizeof *now);
    s->m->networks = jd_arena_get(&s->a, JD_SYSMON_NETS * sizeof *s->m->networks);
    if (!before || !now || !text || !s->m->networks)
        return;
    n = jd_proc_net(text, now, INTERFACES_MAX);
    list = jd_arena_get(&s->a, (n + 1) * sizeof *list);
    for (size_t i = 0; list && i < n; i++) {
        if (strcmp(now[i].name, "lo") == 0)
            continue;
        list[kept].x = now[i];
        rates(&list[kept++], before, n_before, s->seconds);
    }
    if (list)
        qsort(list, kept, sizeof *list, by_activity);
    if (getifaddrs(&all) < 0)
        all = NULL;
    for (size_t i = 0; i < kept && i < JD_SYSMON_NETS; i++) {
        Joblet__NetworkMetrics *m = message_of(s, &list[i], all);

        if (m)
            s->m->networks[s->m->n_networks++] = m;
    }
    if (all)
        freeifaddrs(all);
    swap = before;
    before = now;
    now = swap;
    n_before = n;
}
