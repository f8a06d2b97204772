/* netsetup.c - see netsetup.h. Rules before devices: nothing passes that they do not know. */
#include "daemon/core/netsetup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/network.h"
#include "os/conntrack.h"
#include "os/netlink.h"
#include "os/nft.h"
#include "os/rtnl.h"

#define FORWARD "/proc/sys/net/ipv4/ip_forward"
#define PORTS "/proc/sys/net/ipv4/ip_local_port_range"
#define LINKS_MAX 4096 /* of ours that are looked at; more are the next setup's */

struct setup {
    const struct jd_net_setup *head;
    const struct jd_net_def *nets;
    const struct jd_net_lease *leases;
    const uint32_t *dns;        /* those of jobs, then those of the host */
    struct jd_net_told *told;   /* one a net */
    int host;                   /* netlink socket */
    struct os_rtnl_link *links; /* our bridges and veths */
    size_t n_links;
};

static int read_request(struct setup *s, const void *in, size_t len, struct jl_err *e)
{
    const char *p = in;
    size_t need = sizeof *s->head;

    s->head = in;
    if (len >= need)
        need += s->head->n_nets * sizeof *s->nets + s->head->n_leases * sizeof *s->leases +
                (s->head->n_dns + s->head->n_host_dns) * sizeof *s->dns;
    if (len != need)
        return jl_refuse(e, EINVAL, "a request of %zu bytes, not %zu", len, need);
    s->nets = (const struct jd_net_def *) (p + sizeof *s->head);
    s->leases = (const struct jd_net_lease *) (s->nets + s->head->n_nets);
    s->dns = (const uint32_t *) (s->leases + s->head->n_leases);
    return 0;
}

int jd_net_allow_forwarding(struct jl_err *e)
{
    char value = '0';
    _close_ int fd = open(FORWARD, O_RDONLY | O_CLOEXEC);
    int r;

    if (fd >= 0 && read(fd, &value, 1) == 1 && value == '1')
        return 0;
    r = jl_write_kernel_file_at(AT_FDCWD, FORWARD, "1");
    if (r == 0) {
        jl_log_info("network.forward", "net.ipv4.ip_forward=1");
        return 0;
    }
    jl_fail(e, -r, "set net.ipv4.ip_forward to 1");
    return jl_hint(e, "sysctl -w net.ipv4.ip_forward=1");
}

static bool is_leased(const struct setup *s, uint32_t addr)
{
    for (size_t i = 0; i < s->head->n_leases; i++)
        if (s->leases[i].addr == addr)
            return true;
    return false;
}

static const struct jd_net_def *net_of_bridge(const struct setup *s, const char *bridge)
{
    for (size_t i = 0; i < s->head->n_nets; i++)
        if (strcmp(s->nets[i].bridge, bridge) == 0)
            return &s->nets[i];
    return NULL;
}

static void note_link(const struct os_rtnl_link *l, void *arg)
{
    struct setup *s = arg;
    uint32_t addr;

    if (s->n_links < LINKS_MAX && (jd_net_device_parse(jd_net_place.instance, l->name, &addr) ||
                                   strcmp(l->alias, jd_net_place.alias) == 0))
        s->links[s->n_links++] = *l;
}

/* Devices that bear our names and are in no list. */
static void remove_strangers(struct setup *s)
{
    for (size_t i = 0; i < s->n_links; i++) {
        const struct os_rtnl_link *l = &s->links[i];
        struct jl_err ignored = JL_ERR_INIT;
        uint32_t addr;
        bool keep = jd_net_device_parse(jd_net_place.instance, l->name, &addr)
                        ? is_leased(s, addr)
                        : net_of_bridge(s, l->name) && !(s->head->end && s->head->n_leases == 0);

        if (!keep && os_rtnl_del_link(s->host, l->index, &ignored) == 0)
            jl_log_info("network.sweep", "removed device %s", l->name);
    }
}

/* Names of namespaces whose lease is nobody's. */
static void remove_names(const struct setup *s)
{
    _closedir_ DIR *dir = opendir(jd_net_place.ns_dir);
    struct dirent *d;

    while (dir && (d = readdir(dir))) {
        uint32_t addr = (uint32_t) strtoul(d->d_name, NULL, 16);

        if (strspn(d->d_name, "0123456789abcdef") == 8 && d->d_name[8] == '.' &&
            !is_leased(s, addr))
            jd_net_drop_names(addr);
    }
}

/* Connections that no job of now has begun or answers: of one that ended while nobody looked. */
static bool is_nobodys(uint32_t from, uint32_t to, void *arg)
{
    const struct setup *s = arg;

    if (is_leased(s, from) || is_leased(s, to))
        return false;
    for (size_t i = 0; i < s->head->n_nets; i++)
        if (jd_cidr_has(&s->nets[i].cidr, from) || jd_cidr_has(&s->nets[i].cidr, to))
            return true;
    return false;
}

static bool is_ours(const struct setup *s, int index)
{
    for (size_t i = 0; i < s->n_links; i++)
        if (s->links[i].index == index)
            return true;
    return false;
}

/* What to change when a network's addresses are somebody's already. */
static const char *setting_of(const struct jd_net_def *net)
{
    return strcmp(net->name, "isolated") == 0 ? "set network.isolated_pool"
           : strcmp(net->name, "bridge") == 0 ? "set network.networks.bridge.cidr"
                                              : "choose another CIDR";
}

static void check_route(const struct os_rtnl_route *r, void *arg)
{
    struct setup *s = arg;
    struct jd_cidr theirs = { .base = r->base, .prefix = r->prefix };
    char text[JD_CIDR_TEXT], mine[JD_CIDR_TEXT];

    if (r->prefix == 0 || is_ours(s, r->device))
        return;
    for (size_t i = 0; i < s->head->n_nets; i++)
        if (jd_cidr_overlap(&s->nets[i].cidr, &theirs))
            snprintf(s->told[i].why, JD_NET_WHY,
                     "%s of network '%s' overlaps the host's route to %s; %s",
                     jd_cidr_text(&s->nets[i].cidr, mine), s->nets[i].name,
                     jd_cidr_text(&theirs, text), setting_of(&s->nets[i]));
}

/* The route to a bridge would be the host's route to a name server. The gateway is the host itself. */
static void check_servers(struct setup *s)
{
    for (size_t i = 0; i < s->head->n_nets; i++) {
        const struct jd_net_def *net = &s->nets[i];
        char server[JD_IP_TEXT], text[JD_CIDR_TEXT];

        for (size_t k = 0; k < s->head->n_dns + s->head->n_host_dns; k++)
            if (net->bridge[0] && jd_cidr_has(&net->cidr, s->dns[k]) &&
                s->dns[k] != net->cidr.base + 1)
                snprintf(s->told[i].why, JD_NET_WHY,
                         "%s of network '%s' holds the name server %s; %s",
                         jd_cidr_text(&net->cidr, text), net->name, jd_ip_text(s->dns[k], server),
                         setting_of(net));
    }
}

/* The ports that the host's own connections leave from. */
static unsigned first_port(void)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(64);
    struct jl_err ignored = JL_ERR_INIT;
    unsigned low = 32768, high = 60999;

    if (jl_read_file_at(AT_FDCWD, PORTS, &text, &ignored) == 0 && jl_buf_putc(&text, '\0') == 0 &&
        sscanf(text.data, "%u %u", &low, &high) != 2)
        low = 32768, high = 60999;
    return jd_net_first_port(low, high);
}

/* Without the networks that are refused, but for those whose bridge jobs may still be on. */
static size_t nets_with_rules(const struct setup *s, struct jd_net_def *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < s->head->n_nets; i++) {
        bool refused = s->told[i].why[0] != '\0', ours = !s->nets[i].bridge[0];

        for (size_t k = 0; k < s->n_links; k++)
            ours = ours || strcmp(s->links[k].name, s->nets[i].bridge) == 0;
        if (refused && !ours)
            continue;
        ret[n] = s->nets[i];
        ret[n++].refused = refused;
    }
    return n;
}

static int write_rules(const struct setup *s, struct jl_err *e)
{
    _buf_ struct jl_buf rules = JL_BUF_INIT(256u << 20);
    _free_ struct jd_net_def *nets = calloc(s->head->n_nets + 1, sizeof *nets);
    struct jd_net_all all = { .instance = jd_net_place.instance,
                              .nets = nets,
                              .leases = s->leases,
                              .n_leases = s->head->n_leases,
                              .dns = s->dns,
                              .n_dns = s->head->n_dns,
                              .n_host_dns = s->head->n_host_dns,
                              .first_port = first_port() };
    int r = nets ? 0 : -ENOMEM;

    if (r == 0 && s->head->end && s->head->n_leases == 0) {
        r = jd_net_rules_none(&rules, jd_net_place.instance);
    } else if (r == 0) {
        all.n_nets = nets_with_rules(s, nets);
        r = jd_net_rules(&rules, &all);
    }
    if (r == 0)
        r = jl_buf_putc(&rules, '\0');
    return r < 0 ? jl_fail(e, -r, "write the network's rules") : os_nft_run(rules.data, e);
}

static int make_bridge(struct setup *s, const struct jd_net_def *net, struct jl_err *e)
{
    struct os_rtnl_link link;
    uint8_t mac[6];
    int r = os_rtnl_find(s->host, net->bridge, &link, NULL);

    if (r == 0 && strcmp(link.alias, jd_net_place.alias) != 0)
        return jl_refuse(e, EEXIST,
                         "device '%s' is not this joblet's%s%.100s; choose another "
                         "bridge_name or remove it",
                         net->bridge, link.alias[0] ? " but " : "", link.alias);
    if (r < 0) {
        jd_net_mac(net->cidr.base + 1, mac);
        r = os_rtnl_add_bridge(s->host, net->bridge, mac, e);
        if (r == 0)
            r = os_rtnl_find(s->host, net->bridge, &link, e);
        if (r == 0)
            r = os_rtnl_set_alias(s->host, link.index, jd_net_place.alias, e);
    }
    if (r == 0)
        r = os_rtnl_add_address(s->host, link.index, net->cidr.base + 1, net->cidr.prefix, e);
    if (r == 0)
        jd_net_no_ipv6(net->bridge);
    return r < 0 ? r : os_rtnl_set_up(s->host, link.index, e);
}

/* Whether one more is refused. */
static bool make_bridges(struct setup *s)
{
    bool refused = false;

    for (size_t i = 0; i < s->head->n_nets; i++) {
        struct jl_err e = JL_ERR_INIT;

        if (s->told[i].why[0] || !s->nets[i].bridge[0] || make_bridge(s, &s->nets[i], &e) == 0)
            continue;
        snprintf(s->told[i].why, JD_NET_WHY, "%.*s", JD_NET_WHY - 1, e.text);
        refused = true;
    }
    return refused;
}

static int look_at_firewalls(struct setup *s, struct jl_err *e)
{
    _free_ char *warn = calloc(s->head->n_nets + 1, JD_FIREWALL_WARN);
    char(*texts)[JD_FIREWALL_WARN] = (void *) warn;
    int r = warn ? 0 : jl_fail(e, ENOMEM, "look at the host's firewall");

    if (r == 0)
        r = jd_firewall_look(jd_net_place.instance, s->nets, s->head->n_nets, texts, e);
    for (size_t i = 0; r == 0 && i < s->head->n_nets; i++)
        memcpy(s->told[i].warn, texts[i], sizeof s->told[i].warn);
    return r;
}

static int all_of_it(struct setup *s, struct jl_err *e)
{
    bool last = s->head->end && s->head->n_leases == 0;
    int r = 0;

    if (!s->head->end)
        r = jd_net_allow_forwarding(e);
    if (r == 0 && !last)
        r = jl_mkdir_p(jd_net_place.ns_dir, 0700, e);
    if (r == 0)
        r = os_rtnl_links(s->host, note_link, s, e);
    if (r == 0)
        r = os_rtnl_routes(s->host, check_route, s, e);
    if (r < 0)
        return r;
    check_servers(s);
    if (last)
        remove_strangers(s);
    r = write_rules(s, e);
    if (r < 0)
        return r;
    remove_names(s);
    if (last) {
        rmdir(jd_net_place.ns_dir);
        return 0;
    }
    remove_strangers(s);
    if (s->head->end)
        return 0;
    if (os_conntrack_forget(is_nobodys, s, e) == 0)
        jd_net_left_known();
    else
        jl_log_fail(e, "network.connections", "they are looked for before each job");
    if (make_bridges(s)) {
        r = write_rules(s, e);
        if (r < 0)
            return r;
    }
    if (look_at_firewalls(s, e) < 0)
        jl_log_fail(e, "network.firewall", "whether others let jobs' packets pass is not known");
    return 0;
}

int jd_net_setup_work(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                      int *ret_fd, struct jl_err *e)
{
    struct setup s = { 0 };
    _free_ struct os_rtnl_link *links = NULL;
    _free_ struct jd_net_told *told = NULL;
    _close_ int host = -1;
    int r = read_request(&s, in, len, e);

    (void) fds, (void) n_fds, (void) ret_fd;
    if (r < 0)
        return r;
    links = s.links = calloc(LINKS_MAX, sizeof *links);
    told = s.told = calloc(s.head->n_nets + 1, sizeof *told);
    if (!links || !told)
        return jl_fail(e, ENOMEM, "set the networks up");
    host = s.host = os_netlink_open(-1, e);
    if (host < 0)
        return host;
    r = all_of_it(&s, e);
    if (r == 0 && jl_buf_add(out, told, s.head->n_nets * sizeof *told) < 0)
        r = jl_fail(e, ENOMEM, "set the networks up");
    return r;
}
