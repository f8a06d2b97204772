/*
 * nethosts.c - the part of nets.h about names: hosts and resolv.conf of each network, which all its jobs
 * share. They lie in a directory of their own that is mounted into them (JD_ETC_INSIDE), so that hosts is
 * replaced by a rename: readers see the old names or the new ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/bundle.h"
#include "daemon/core/core.h"
#include "daemon/core/nets.h"

#define NAMES_NS (20 * JL_NS_PER_MS) /* jobs that end together cost one file */
#define RESOLV_MAX 256
#define HOSTS_HEAD "127.0.0.1 localhost\n::1 localhost\n"

/* ---- name servers */

static void add_server(uint32_t list[JD_NET_DNS_MAX], size_t *n, const char *text)
{
    uint32_t addr;

    if (*n < JD_NET_DNS_MAX && jd_ip_parse(text, &addr) == 0 && addr >> 24 != 127)
        list[(*n)++] = addr;
}

static void add_servers_of(uint32_t list[JD_NET_DNS_MAX], size_t *n, const char *path)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(65536);
    struct jl_err ignored = JL_ERR_INIT;
    char *rest = NULL;

    if (jl_read_file_at(AT_FDCWD, path, &text, &ignored) < 0 || jl_buf_putc(&text, '\0') < 0)
        return;
    for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char server[64];

        if (sscanf(line, " nameserver %63s", server) == 1)
            add_server(list, n, server);
    }
}

/* Those of the configuration; else the host's own that a job can reach, also those behind
 * systemd-resolved, which has the host ask 127.0.0.53; else public ones. */
void jd_nets_read_dns(struct jd_core *c)
{
    struct jd_nets *n = &c->nets;

    n->n_dns = n->n_host_dns = 0;
    add_servers_of(n->host_dns, &n->n_host_dns, "/etc/resolv.conf");
    if (n->n_host_dns == 0)
        add_servers_of(n->host_dns, &n->n_host_dns, "/run/systemd/resolve/resolv.conf");
    for (size_t i = 0; i < c->conf.network_dns.len; i++)
        add_server(n->dns, &n->n_dns, c->conf.network_dns.items[i]);
    if (n->n_dns == 0) {
        memcpy(n->dns, n->host_dns, sizeof n->dns);
        n->n_dns = n->n_host_dns;
    }
    if (n->n_dns == 0) {
        add_server(n->dns, &n->n_dns, "8.8.8.8");
        add_server(n->dns, &n->n_dns, "8.8.4.4");
    }
}

static void write_resolv(const struct jd_nets *n, char *buf, size_t size)
{
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < n->n_dns && i < 3; i++) { /* resolvers read three */
        char ip[JD_IP_TEXT];

        used += (size_t) snprintf(buf + used, size - used, "nameserver %s\n",
                                  jd_ip_text(n->dns[i], ip));
    }
}

/* ---- names */

static int by_name(const void *a, const void *b)
{
    const struct jd_job *x = *(struct jd_job *const *) a, *y = *(struct jd_job *const *) b;
    int r = strcasecmp(x->req->name, y->req->name); /* as resolvers compare */

    return r != 0 ? r : x->rec.sequence < y->rec.sequence ? -1 : 1;
}

/* One label: a job must not be able to stand for pypi.org, which its neighbours ask the hosts file for
 * first. Nor for loopback, nor for another job. */
static bool may_be_name(const char *name)
{
    return name[0] != '\0' && !strchr(name, '.') && strcasecmp(name, "localhost") != 0 &&
           strncasecmp(name, "job_", 4) != 0;
}

static int put_job(struct jl_buf *b, const struct jd_job *j, bool with_name)
{
    return jl_buf_printf(b, "%s job_%s job_%.8s%s%s\n", j->rec.address, j->rec.id, j->rec.id,
                         with_name ? " " : "", with_name ? j->req->name : "");
}

static int put_jobs(const struct jd_network *net, struct jl_buf *b)
{
    const struct jd_core *c = net->core;
    _free_ struct jd_job **list = calloc(c->jobs.n_active + 1, sizeof(struct jd_job *));
    size_t n = 0;
    int r = list ? jl_buf_puts(b, HOSTS_HEAD) : -ENOMEM;

    for (struct jd_job *j = c->jobs.first; list && j && n < c->jobs.n_active; j = j->next)
        if (jd_state_is_active(j->state) && j->rec.address[0] &&
            strcmp(j->rec.network, net->def.name) == 0)
            list[n++] = j;
    if (list && n > 1)
        qsort(list, n, sizeof(struct jd_job *), by_name);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *name = list[i]->req->name;
        bool unique = (i == 0 || strcasecmp(list[i - 1]->req->name, name) != 0) &&
                      (i + 1 == n || strcasecmp(list[i + 1]->req->name, name) != 0);

        r = put_job(b, list[i], unique && may_be_name(name));
    }
    return r;
}

static char *etc_dir(const struct jd_core *c, const char *name, char *buf, size_t size)
{
    snprintf(buf, size, "%s/etc/%s", c->conf.run_dir, name);
    return buf;
}

int jd_nets_write_names(struct jd_network *net, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(64u << 20);
    _close_ int dir = -1;
    char path[700];
    int r = put_jobs(net, &b);

    if (r < 0)
        return jl_fail(e, -r, "write the names of network '%s'", net->def.name);
    etc_dir(net->core, net->def.name, path, sizeof path);
    r = jl_mkdir_p(path, 0755, e);
    if (r < 0)
        return r;
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return jl_fail_sys(e, "open", path, "write the names of a network");
    r = jl_publish_at(dir, "hosts", b.data, b.len, 0644, false, e);
    net->names_stale = r < 0;
    if (r == 0 && !net->has_resolv) {
        char resolv[RESOLV_MAX];

        write_resolv(&net->core->nets, resolv, sizeof resolv);
        r = jl_publish_at(dir, "resolv.conf", resolv, strlen(resolv), 0644, false, e);
        net->has_resolv = r == 0;
    }
    return r;
}

void jd_nets_drop_names(const struct jd_core *c, const char *name)
{
    struct jl_err e = JL_ERR_INIT;
    char path[700];

    if (jl_remove_tree_at(AT_FDCWD, etc_dir(c, name, path, sizeof path), &e) < 0)
        jl_log_fail(&e, "network.names", "network '%s'", name);
}

static int on_names(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, nets.names);

    for (struct jd_network *n = c->nets.first; n; n = n->next) {
        struct jl_err e = JL_ERR_INIT;

        if (n->names_stale && jd_nets_write_names(n, &e) < 0)
            jl_log_fail(&e, "network.names", "network '%s'", n->def.name);
    }
    return 0;
}

void jd_nets_names_changed(struct jd_network *net)
{
    bool armed = net->names_stale;

    if (net->places.block != 1 || armed)
        return;
    net->names_stale = true;
    jl_loop_arm(net->core->loop, &net->core->nets.names, jl_now_ns() + NAMES_NS, on_names);
}

/* ---- the bundle */

static void host_resolv(char *buf, size_t size)
{
    _close_ int fd = open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    buf[n < 0 ? 0 : n] = '\0';
}

int jd_nets_bundle(struct jd_job *j, struct jd_net_bundle *hold, struct jd_bundle_in *in,
                   struct jl_err *e)
{
    struct jd_core *c = j->core;
    struct jd_network *net = jd_nets_find(c, j->rec.network);
    const char *name = j->req->name;
    uint32_t addr;

    if (strcmp(j->rec.network, "host") == 0) {
        in->host_network = true;
        host_resolv(hold->resolv, sizeof hold->resolv);
        in->resolv = hold->resolv;
    }
    if (!net || jd_ip_parse(j->rec.address, &addr) < 0)
        return 0;
    in->net_ns = jd_net_ns_path(addr, "net", hold->net_ns, sizeof hold->net_ns);
    if (j->rec.host_id_base != 0)
        in->user_ns = jd_net_ns_path(addr, "user", hold->user_ns, sizeof hold->user_ns);
    if (net->places.block == 1) { /* its name is known before it runs */
        in->etc_source = etc_dir(c, net->def.name, hold->etc, sizeof hold->etc);
        in->own_etc = false;
        return jd_nets_write_names(net, e);
    }
    write_resolv(&c->nets, hold->resolv, sizeof hold->resolv);
    in->resolv = hold->resolv;
    snprintf(hold->own_hosts, sizeof hold->own_hosts, HOSTS_HEAD "%s job_%s job_%.8s%s%s\n",
             j->rec.address, j->rec.id, j->rec.id, may_be_name(name) ? " " : "",
             may_be_name(name) ? name : "");
    in->own_hosts = hold->own_hosts;
    return 0;
}
