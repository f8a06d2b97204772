/* netfirewall.c - see netfirewall.h. */
#include "daemon/core/netfirewall.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "os/iptables.h"
#include "os/nft.h"

#define RULES_MAX (64u << 20)

static bool is_drop(const char *line, size_t len)
{
    static const char hook[] = "hook forward ", policy[] = "policy drop;";

    return memmem(line, len, hook, sizeof hook - 1) && memmem(line, len, policy, sizeof policy - 1);
}

bool jd_firewall_next(const char **at, struct jd_firewall *ret)
{
    while (**at != '\0') {
        const char *line = *at;
        size_t len = strcspn(line, "\n");

        *at += len + (line[len] == '\n');
        if (sscanf(line, "table %15s %63s {", ret->family, ret->table) != 2 &&
            sscanf(line, " chain %63s {", ret->chain) != 1 && is_drop(line, len) &&
            strncmp(ret->table, "joblet_", 7) != 0 &&
            (strcmp(ret->family, "ip") == 0 || strcmp(ret->family, "inet") == 0))
            return true;
    }
    return false;
}

/* How rules name the devices of a network. */
static void device_of(const char *instance, const struct jd_net_def *net, char *buf, size_t size)
{
    if (net->bridge[0])
        snprintf(buf, size, "\"%s\"", net->bridge);
    else
        snprintf(buf, size, "\"ji%s*\"", instance);
}

static int look_at(const char *instance, const struct jd_firewall *f, const struct jd_net_def *nets,
                   size_t n, char (*warn)[JD_FIREWALL_WARN], struct jl_err *e)
{
    _buf_ struct jl_buf rules = JL_BUF_INIT(RULES_MAX);
    char command[160], device[JD_NETDEV_MAX + 3];
    int r;

    snprintf(command, sizeof command, "list table %s %s", f->family, f->table);
    r = os_nft_list(command, &rules, e);
    for (size_t i = 0; r == 0 && i < n; i++) {
        device_of(instance, &nets[i], device, sizeof device);
        if (warn[i][0] || strstr(rules.data, device))
            continue;
        snprintf(warn[i], JD_FIREWALL_WARN,
                 "the host's firewall (%s %.31s, chain %.31s) drops what is forwarded and does not "
                 "name %s: its jobs reach nothing outside; fix: nft insert rule %s %.31s %.31s "
                 "iifname %s "
                 "accept, and the same with oifname",
                 f->family, f->table, f->chain, device, f->family, f->table, f->chain, device);
    }
    return r;
}

static bool is_named(const struct os_iptables_filter *f, const char *device, bool prefix)
{
    for (size_t i = 0; i < f->n_devices; i++) {
        const struct os_iptables_device *d = &f->devices[i];

        if (d->prefix ? strncmp(device, d->name, strlen(d->name)) == 0
                      : !prefix && strcmp(device, d->name) == 0)
            return true;
    }
    return false;
}

/* Rules that iptables-legacy made are of another part of the kernel, and hold as well. */
static int look_at_legacy(const char *instance, const struct jd_net_def *nets, size_t n,
                          char (*warn)[JD_FIREWALL_WARN], struct jl_err *e)
{
    struct os_iptables_filter f;
    int r = os_iptables_filter(&f, e);

    for (size_t i = 0; r == 1 && f.forward_drops && i < n; i++) {
        bool isolated = !nets[i].bridge[0];
        char device[JD_NETDEV_MAX];

        snprintf(device, sizeof device, "%s%.12s", isolated ? "ji" : "",
                 isolated ? instance : nets[i].bridge);
        if (warn[i][0] || is_named(&f, device, isolated))
            continue;
        snprintf(
            warn[i], JD_FIREWALL_WARN,
            "the host's firewall (iptables-legacy, chain FORWARD) drops what is forwarded and "
            "does not name %s%s: its jobs reach nothing outside; fix: iptables-legacy -I FORWARD "
            "-i %s%s -j ACCEPT, and the same with -o",
            device, isolated ? "+" : "", device, isolated ? "+" : "");
    }
    os_iptables_done(&f);
    return r < 0 ? r : 0;
}

int jd_firewall_look(const char *instance, const struct jd_net_def *nets, size_t n,
                     char (*warn)[JD_FIREWALL_WARN], struct jl_err *e)
{
    _buf_ struct jl_buf chains = JL_BUF_INIT(RULES_MAX);
    struct jd_firewall f = { .family = "" };
    const char *at;
    int r = os_nft_list("list chains", &chains, e);

    if (r < 0)
        return r;
    at = chains.data;
    while (r == 0 && jd_firewall_next(&at, &f))
        r = look_at(instance, &f, nets, n, warn, e);
    return r < 0 ? r : look_at_legacy(instance, nets, n, warn, e);
}
