/* netrules.c - see netrules.h. */
#include "daemon/core/netrules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

/* Where clouds keep what a machine may know of itself: link-local, and Alibaba's, Azure's, Oracle's. */
#define METADATA "{ 169.254.0.0/16, 100.100.100.200, 168.63.129.16, 192.0.0.192 }"

char *jd_net_device(const char *instance, const struct jd_net_lease *l, char buf[JD_NETDEV_MAX])
{
    snprintf(buf, JD_NETDEV_MAX, "j%c%.5s%08x", l->isolated ? 'i' : 'v', instance, l->addr);
    return buf;
}

bool jd_net_device_parse(const char *instance, const char *name, uint32_t *ret_addr)
{
    if (strlen(name) != 15 || name[0] != 'j' || (name[1] != 'v' && name[1] != 'i') ||
        strncmp(name + 2, instance, 5) != 0 || strspn(name + 7, "0123456789abcdef") != 8)
        return false;
    *ret_addr = (uint32_t) strtoul(name + 7, NULL, 16);
    return true;
}

void jd_net_mac(uint32_t addr, uint8_t ret[6])
{
    ret[0] = 0x02; /* locally administered */
    ret[1] = 0x4a;
    for (int i = 0; i < 4; i++)
        ret[2 + i] = (uint8_t) (addr >> (24 - 8 * i));
}

/* Each element is separated from the one before. */
static int element(struct jl_buf *out, bool *first, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int element(struct jl_buf *out, bool *first, const char *fmt, ...)
{
    va_list ap;
    int r = *first ? 0 : jl_buf_puts(out, ", ");

    *first = false;
    va_start(ap, fmt);
    if (r == 0)
        r = jl_buf_vprintf(out, fmt, ap);
    va_end(ap);
    return r;
}

/* The sets that say which jobs there are. */
enum job_set { PORTS, ON_BRIDGE, ISOLATED, JOB_SETS };
static const struct {
    const char *family, *name;
} job_sets[JOB_SETS] = {
    [PORTS] = { "bridge", "ports" },       /* "veth . mac . address" of jobs on bridges */
    [ON_BRIDGE] = { "inet", "on_bridge" }, /* their addresses */
    [ISOLATED] = { "inet", "isolated" },   /* "veth . address" */
};

static int job_elements(struct jl_buf *out, const char *instance, enum job_set set,
                        const struct jd_net_lease *leases, size_t n, size_t *ret_n)
{
    bool first = true;
    int r = 0;

    *ret_n = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct jd_net_lease *l = &leases[i];
        char device[JD_NETDEV_MAX], ip[JD_IP_TEXT];
        uint8_t m[6];

        if (l->isolated != (set == ISOLATED))
            continue;
        ++*ret_n;
        jd_net_device(instance, l, device);
        jd_ip_text(l->addr, ip);
        jd_net_mac(l->addr, m);
        r = set == ON_BRIDGE  ? element(out, &first, "%s", ip)
            : set == ISOLATED ? element(out, &first, "\"%s\" . %s", device, ip)
                              : element(out, &first, "\"%s\" . %02x:%02x:%02x:%02x:%02x:%02x . %s",
                                        device, m[0], m[1], m[2], m[3], m[4], m[5], ip);
    }
    return r;
}

static int set_of(struct jl_buf *out, const char *type, const char *instance, enum job_set set,
                  const struct jd_net_lease *leases, size_t n)
{
    _buf_ struct jl_buf items = JL_BUF_INIT(64u << 20);
    size_t n_items;
    int r = job_elements(&items, instance, set, leases, n, &n_items);

    if (r == 0)
        r = jl_buf_printf(out, "set %s { type %s;", job_sets[set].name, type);
    if (r == 0 && n_items > 0)
        r = jl_buf_printf(out, " elements = { %.*s }", (int) items.len, items.data);
    return r < 0 ? r : jl_buf_puts(out, " }\n");
}

/* The frames of a job's port: with its own hardware and network address or not at all. */
static int bridge_table(struct jl_buf *out, const struct jd_net_all *a)
{
    const char *instance = a->instance;
    int r = jl_buf_printf(out,
                          "table bridge joblet_%s {}\ndelete table bridge joblet_%s\n"
                          "table bridge joblet_%s {\n",
                          instance, instance, instance);

    if (r == 0)
        r = set_of(out, "ifname . ether_addr . ipv4_addr", instance, PORTS, a->leases, a->n_leases);
    return r < 0 ? r
                 : jl_buf_printf(out,
                                 "chain prerouting { type filter hook prerouting priority -300; "
                                 "policy accept;\n"
                                 "iifname != \"jv%s*\" accept\n"
                                 "ether type ip iifname . ether saddr . ip saddr @ports accept\n"
                                 "ether type arp iifname . arp saddr ether . arp saddr ip @ports "
                                 "iifname . ether saddr . arp saddr ip @ports accept\n"
                                 "drop\n}\n}\n",
                                 instance);
}

static int dns_rules(struct jl_buf *out, const struct jd_net_all *a)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < a->n_dns; i++) {
        char ip[JD_IP_TEXT];

        r = jl_buf_printf(out, "ip daddr %s meta l4proto { tcp, udp } th dport 53 accept\n",
                          jd_ip_text(a->dns[i], ip));
    }
    return r;
}

static int list_bridges(struct jl_buf *out, const struct jd_net_all *a)
{
    bool first = true;
    int r = jl_buf_puts(out, "{ ");

    for (size_t i = 0; r == 0 && i < a->n_nets; i++)
        if (a->nets[i].bridge[0])
            r = element(out, &first, "\"%s\"", a->nets[i].bridge);
    if (r == 0)
        r = element(out, &first, "\"ji%s*\"", a->instance);
    return r < 0 ? r : jl_buf_puts(out, " }");
}

/* What is a network's: all its addresses, of a refused one those that leases still have. */
static int put_addresses(struct jl_buf *out, bool *first, const struct jd_net_all *a,
                         const struct jd_net_def *net)
{
    char text[JD_CIDR_TEXT];
    int r = 0;

    if (!net->refused)
        return element(out, first, "%s", jd_cidr_text(&net->cidr, text));
    for (size_t i = 0; r == 0 && i < a->n_leases; i++)
        if (jd_cidr_has(&net->cidr, a->leases[i].addr))
            r = element(out, first, "%s", jd_ip_text(a->leases[i].addr, text));
    return r;
}

/* Of one network, or of all (NULL). Left empty when there are none. */
static int list_addresses(struct jl_buf *out, const struct jd_net_all *a,
                          const struct jd_net_def *net)
{
    bool first = true;
    int r = jl_buf_puts(out, "{ ");

    for (size_t i = 0; r == 0 && i < a->n_nets; i++)
        if (!net || net == &a->nets[i])
            r = put_addresses(out, &first, a, &a->nets[i]);
    if (r == 0 && first)
        jl_buf_clear(out);
    else if (r == 0)
        r = jl_buf_puts(out, " }");
    return r < 0 ? r : jl_buf_putc(out, '\0');
}

/* Where jobs may send, and who may send to them. */
static int forward_rules(struct jl_buf *out, const struct jd_net_all *a, const char *jobs,
                         const char *addresses)
{
    int r = jl_buf_printf(out, "chain to_job {\n"
                               "ct state established,related accept\ndrop\n}\n"
                               "chain from_job {\n"
                               "meta nfproto != ipv4 drop\n");

    /* to addresses without a job nothing goes: the host would ask for each of them */
    for (size_t i = 0; r == 0 && i < a->n_nets; i++)
        if (a->nets[i].bridge[0])
            r = jl_buf_printf(out, "iifname \"%s\" oifname \"%s\" ip daddr @on_bridge accept\n",
                              a->nets[i].bridge, a->nets[i].bridge);
    if (r == 0)
        r = jl_buf_printf(out,
                          "oifname %s drop\n"
                          "ct state new add @counted { ip saddr ct count over %d } drop\n",
                          jobs, JD_NET_CONNECTIONS);
    if (r == 0)
        r = dns_rules(out, a);
    if (r == 0)
        r = jl_buf_puts(out, "ip daddr " METADATA " drop\n");
    if (r == 0 && addresses[0])
        r = jl_buf_printf(out, "ip daddr %s drop\n", addresses);
    return r < 0 ? r
                 : jl_buf_printf(out,
                                 "accept\n}\n"
                                 "chain forward { type filter hook forward priority 0; policy "
                                 "accept;\n"
                                 "iifname %s jump from_job\noifname %s jump to_job\n}\n",
                                 jobs, jobs);
}

/* Before the host's DNAT makes an address of the host another's: what it publishes so is its own. */
static int published_rules(struct jl_buf *out, const struct jd_net_all *a, const char *jobs)
{
    int r = jl_buf_puts(out, "chain published {\nct state established,related accept\n");

    if (r == 0)
        r = dns_rules(out, a);
    return r < 0 ? r
                 : jl_buf_printf(out,
                                 "fib daddr type local drop\n}\n"
                                 "chain before_dnat { type filter hook prerouting priority -150; "
                                 "policy accept;\n"
                                 "iifname %s jump published\n}\n",
                                 jobs);
}

static int host_rules(struct jl_buf *out, const struct jd_net_all *a, const char *jobs)
{
    int r = jl_buf_puts(out, "chain to_host {\nct state established,related accept\n");

    if (r == 0)
        r = dns_rules(out, a);
    return r < 0 ? r
                 : jl_buf_printf(out,
                                 "drop\n}\n"
                                 "chain input { type filter hook input priority 0; policy accept;\n"
                                 "iifname %s jump to_host\n}\n"
                                 "chain output { type filter hook output priority 0; policy "
                                 "accept;\n"
                                 "oifname \"ji%s*\" ct state new drop\n"
                                 "oifname %s icmp type redirect drop\n}\n",
                                 jobs, a->instance, jobs);
}

/* Ports of their own: with the host's, a job could take them all, or get what is meant for a service
 * of the host (CVE-2021-3773). */
static int nat_rules(struct jl_buf *out, const struct jd_net_all *a)
{
    int r = jl_buf_puts(out, "chain postrouting { type nat hook postrouting priority 100; policy "
                             "accept;\n");

    for (size_t i = 0; r == 0 && i < a->n_nets; i++) {
        _buf_ struct jl_buf from = JL_BUF_INIT(1u << 20);
        char device[JD_NETDEV_MAX + 4];

        snprintf(device, sizeof device, a->nets[i].bridge[0] ? "%s" : "ji%s*",
                 a->nets[i].bridge[0] ? a->nets[i].bridge : a->instance);
        r = list_addresses(&from, a, &a->nets[i]);
        for (int ports = 1; r == 0 && from.data[0] && ports >= 0; ports--) {
            r = jl_buf_printf(out, "ip saddr %s oifname != \"%s\" ", from.data, device);
            if (r == 0 && ports)
                r = jl_buf_printf(out, "meta l4proto { tcp, udp, sctp } masquerade to :%u-%u\n",
                                  a->first_port, a->first_port + JD_NET_PORTS - 1);
            else if (r == 0)
                r = jl_buf_puts(out, "masquerade\n");
        }
    }
    return r < 0 ? r : jl_buf_puts(out, "}\n");
}

/* Name servers that have one of these addresses: they had it first. */
static int server_rules(struct jl_buf *out, const struct jd_net_all *a)
{
    char text[JD_IP_TEXT];
    int r = 0;

    for (size_t i = 0; r == 0 && i < a->n_dns + a->n_host_dns; i++)
        for (size_t k = 0; r == 0 && k < a->n_nets; k++)
            if (!a->nets[k].bridge[0] && jd_cidr_has(&a->nets[k].cidr, a->dns[i]))
                r = jl_buf_printf(out, "ip saddr %s accept\n", jd_ip_text(a->dns[i], text));
    return r;
}

/* An isolated job sends with its own address; nobody else comes with one of ours. From the port of a
 * bridge itself comes only what is for the host's end of the cable (01:80:c2:00:00:0e), which the
 * table above does not see. */
static int source_rules(struct jl_buf *out, const struct jd_net_all *a, const char *jobs,
                        const char *addresses)
{
    int r = jl_buf_printf(out,
                          "chain prerouting { type filter hook prerouting priority -300; policy "
                          "accept;\n"
                          "iifname \"jv%s*\" drop\n"
                          "iifname \"ji%s*\" meta nfproto != ipv4 drop\n"
                          "iifname \"ji%s*\" iifname . ip saddr != @isolated drop\n"
                          "iifname \"lo\" accept\n",
                          a->instance, a->instance, a->instance);

    if (r == 0)
        r = server_rules(out, a);
    if (r == 0 && addresses[0])
        r = jl_buf_printf(out, "iifname != %s ip saddr %s drop\n", jobs, addresses);
    return r < 0 ? r : jl_buf_puts(out, "}\n");
}

static int inet_table(struct jl_buf *out, const struct jd_net_all *a)
{
    _buf_ struct jl_buf jobs = JL_BUF_INIT(1u << 20), addresses = JL_BUF_INIT(16u << 20);
    int r = list_bridges(&jobs, a);

    if (r == 0)
        r = jl_buf_putc(&jobs, '\0');
    if (r == 0)
        r = list_addresses(&addresses, a, NULL);
    if (r == 0)
        r = jl_buf_printf(out,
                          "table inet joblet_%s {}\ndelete table inet joblet_%s\n"
                          "table inet joblet_%s {\n"
                          "set counted { type ipv4_addr; size 65535; flags dynamic; }\n",
                          a->instance, a->instance, a->instance);
    if (r == 0)
        r = set_of(out, "ifname . ipv4_addr", a->instance, ISOLATED, a->leases, a->n_leases);
    if (r == 0)
        r = set_of(out, "ipv4_addr", a->instance, ON_BRIDGE, a->leases, a->n_leases);
    if (r == 0)
        r = source_rules(out, a, jobs.data, addresses.data);
    if (r == 0)
        r = published_rules(out, a, jobs.data);
    if (r == 0)
        r = forward_rules(out, a, jobs.data, addresses.data);
    if (r == 0)
        r = host_rules(out, a, jobs.data);
    if (r == 0)
        r = nat_rules(out, a);
    return r < 0 ? r : jl_buf_puts(out, "}\n");
}

int jd_net_rules(struct jl_buf *out, const struct jd_net_all *a)
{
    int r = bridge_table(out, a);

    return r < 0 ? r : inet_table(out, a);
}

unsigned jd_net_first_port(unsigned low, unsigned high)
{
    static const unsigned first[] = { 20000, 10000, 30000, 40000, 50000 };

    for (size_t i = 0; i < JL_COUNT(first); i++)
        if (first[i] > high || first[i] + JD_NET_PORTS <= low)
            return first[i];
    return first[0];
}

int jd_net_rules_jobs(struct jl_buf *out, const char *instance, bool add,
                      const struct jd_net_lease *leases, size_t n)
{
    for (enum job_set set = 0; set < JOB_SETS; set++) {
        _buf_ struct jl_buf items = JL_BUF_INIT(1u << 20);
        size_t n_items;
        int r = job_elements(&items, instance, set, leases, n, &n_items);

        /* added before they are deleted too: what is gone already is no error then */
        for (int del = 0; r == 0 && n_items > 0 && del <= !add; del++)
            r = jl_buf_printf(out, "%s element %s joblet_%s %s { %.*s }\n", del ? "delete" : "add",
                              job_sets[set].family, instance, job_sets[set].name, (int) items.len,
                              items.data);
        if (r < 0)
            return r;
    }
    return 0;
}

int jd_net_rules_none(struct jl_buf *out, const char *instance)
{
    return jl_buf_printf(out,
                         "table bridge joblet_%s {}\ndelete table bridge joblet_%s\n"
                         "table inet joblet_%s {}\ndelete table inet joblet_%s\n",
                         instance, instance, instance, instance);
}
