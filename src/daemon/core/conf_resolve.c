/* conf_resolve.c - paths and checks of conf.h, once every key has its value. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/log.h"
#include "daemon/core/cidr.h"
#include "daemon/core/conf.h"
#include "daemon/core/conf_internal.h"
#include "ipc/joblog.h"
#include "os/netlink.h"

static int replace(char **p, char *own_value, struct jl_err *e)
{
    if (!own_value)
        return jl_fail(e, ENOMEM, "read the configuration");
    free(*p);
    *p = own_value;
    return 0;
}

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;

    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        s = NULL;
    va_end(ap);
    return s;
}

/* Every path default is relative to the prefix ("@/"), which may have come last. */
static int resolve_paths(struct jd_conf *c, const char *prefix, struct jl_err *e)
{
    size_t len;
    int r = 0;

    if (prefix && replace(&c->prefix, strdup(prefix), e) < 0)
        return -e->code;
    len = strlen(c->prefix);
    while (len > 1 && c->prefix[len - 1] == '/')
        c->prefix[--len] = '\0';
    if (c->prefix[0] != '/')
        return jl_refuse(e, EINVAL, "prefix '%s' must be an absolute path", c->prefix);
    for (size_t i = 0; i < jd_n_keys && r == 0; i++) {
        char **p = jd_key_field(c, &jd_keys[i]);

        if (jd_keys[i].type == STR && strncmp(*p, "@/", 2) == 0)
            r = replace(p, format("%s/%s", c->prefix, *p + 2), e);
    }
    if (r == 0)
        r = replace(&c->state_dir, format("%s/state", c->prefix), e);
    if (r == 0)
        r = replace(&c->run_dir,
                    strcmp(c->prefix, JD_DEFAULT_PREFIX) == 0 ? strdup("/run/joblet")
                                                              : format("%s/run", c->prefix),
                    e);
    return r;
}

/* Two instances must not meet in one group: each sweeps away jobs it does not know. So a prefix of
 * its own gets a group of its own unless the file says otherwise. */
static int resolve_cgroup(struct jd_conf *c, struct jl_err *e)
{
    const char *rel;
    size_t len;
    int r;

    if (c->cgroup_base[0] == '\0') {
        r = replace(
            &c->cgroup_base,
            strcmp(c->prefix, JD_DEFAULT_PREFIX) == 0
                ? strdup("/sys/fs/cgroup/joblet.slice/joblet.service")
                : format("/sys/fs/cgroup/joblet.slice/joblet-%08x.service", jl_hash(c->prefix)),
            e);
        if (r < 0)
            return r;
    }
    rel = c->cgroup_base;
    if (strncmp(rel, "/sys/fs/cgroup", 14) == 0 && (rel[14] == '/' || rel[14] == '\0'))
        rel += 14;
    rel += strspn(rel, "/");
    if (strncmp(rel, "unified/", 8) == 0)
        rel += 8;
    len = strlen(rel);
    while (len > 0 && rel[len - 1] == '/')
        len--;
    if (len == 0 || strstr(rel, "..") || strstr(rel, "//"))
        return jl_refuse(e, EINVAL,
                         "cgroup.baseDir '%s' must name a group below /sys/fs/cgroup, without '..'",
                         c->cgroup_base);
    return replace(&c->cgroup_path, strndup(rel, len), e);
}

static int check_words(const struct jd_conf *c, struct jl_err *e)
{
    enum jl_log_level level;

    if (jl_log_parse_level(c->log_level, &level) < 0)
        return jl_refuse(e, EINVAL, "logging.level '%s': use DEBUG, INFO, WARN or ERROR",
                         c->log_level);
    if (strcmp(c->log_format, "text") != 0 && strcmp(c->log_format, "json") != 0)
        return jl_refuse(e, EINVAL, "logging.format '%s': use text or json", c->log_format);
    if (strcmp(c->log_output, "stdout") != 0 && strcmp(c->log_output, "stderr") != 0 &&
        c->log_output[0] != '/')
        return jl_refuse(e, EINVAL, "logging.output '%s': use stdout, stderr or an absolute path",
                         c->log_output);
    if (c->node_id[0] != '\0' && !jl_id_is_valid(c->node_id))
        return jl_refuse(e, EINVAL, "server.nodeId '%s' is not a UUID", c->node_id);
    if (c->default_memory > 0 && c->default_memory < 4)
        return jl_refuse(e, ERANGE,
                         "joblet.defaultMemoryLimit %" PRId64 ": under 4 MiB no process starts",
                         c->default_memory);
    if (c->default_io > 0 && c->default_io < c->min_io)
        return jl_refuse(e, ERANGE,
                         "joblet.defaultIoLimit %" PRId64 ": the least is joblet.minIoLimit, "
                         "%" PRId64 ", and 0 is no limit",
                         c->default_io, c->min_io);
    if (c->logs_max_size > 0 && (uint64_t) c->logs_max_size < IPC_LOG_MAX_LOW)
        return jl_refuse(e, ERANGE,
                         "logs.max_size %" PRId64 ": the least is 1MB, and 0 is no limit",
                         c->logs_max_size);
    return 0;
}

/* What the job has of its own there must not be covered, nor the host's shown. */
static bool is_reserved(const char *path)
{
    static const char *const names[] = { "/proc", "/sys", "/dev" };

    path += strspn(path, "/") - 1;
    for (size_t i = 0; i < JL_COUNT(names); i++) {
        size_t len = strlen(names[i]);

        if (strncmp(path, names[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return path[1] == '\0';
}

static int check_paths(const struct jd_conf *c, struct jl_err *e)
{
    const struct {
        const char *key, *value;
    } paths[] = {
        { "filesystem.baseDir", c->jobs_dir }, { "filesystem.workspaceDir", c->workspace },
        { "logs.directory", c->logs_dir },     { "audit.file", c->audit_file },
        { "oci.runtime", c->oci_runtime },
    };

    for (size_t i = 0; i < JL_COUNT(paths); i++) {
        const char *v = paths[i].value;

        if (strcmp(paths[i].key, "oci.runtime") == 0 &&
            (*v == '\0' || strcmp(v, "joblet-run") == 0))
            continue;
        if (*v != '/' || strstr(v, "/../") || strlen(v) > 1024)
            return jl_refuse(e, EINVAL, "%s '%s' must be an absolute path without '..'",
                             paths[i].key, v);
    }
    if (is_reserved(c->workspace))
        return jl_refuse(e, EINVAL,
                         "filesystem.workspaceDir '%s': not / and not below /proc, /sys, /dev",
                         c->workspace);
    for (size_t i = 0; i < c->allowed_mounts.len; i++)
        if (c->allowed_mounts.items[i][0] != '/' || strstr(c->allowed_mounts.items[i], "..") ||
            is_reserved(c->allowed_mounts.items[i]))
            return jl_refuse(e, EINVAL,
                             "filesystem.allowedMounts: '%s' must be an absolute path below /, not "
                             "/proc, /sys or /dev",
                             c->allowed_mounts.items[i]);
    return 0;
}

static bool at_default(const struct jd_conf *c, const struct jd_key *k)
{
    struct jd_conf d = { 0 };
    bool same = true;

    if (jd_key_set(&d, k, k->def) < 0)
        return false;
    switch (k->type) {
    case STR:
        same = strcmp(*(char **) jd_key_field(c, k), *(char **) jd_key_field(&d, k)) == 0;
        free(*(char **) jd_key_field(&d, k));
        break;
    case INT:
    case DUR:
    case SIZE:
        same = *(uint64_t *) jd_key_field(c, k) == *(uint64_t *) jd_key_field(&d, k);
        break;
    case BOOL:
        same = *(bool *) jd_key_field(c, k) == *(bool *) jd_key_field(&d, k);
        break;
    case AUTO:
        same = *(int *) jd_key_field(c, k) == *(int *) jd_key_field(&d, k);
        break;
    case LIST:
        jl_strv_clear(jd_key_field(&d, k));
        break;
    }
    return same;
}

/* Pure checks; what overlaps is found when they are put together (nets.c). */
static int check_networks(const struct jd_conf *c, struct jl_err *e)
{
    const struct jl_strv *list = &c->networks;
    struct jd_cidr cidr;
    uint32_t addr;

    if (jd_cidr_parse("network.isolated_pool", c->network_pool, 30, &cidr, e) < 0)
        return -e->code;
    for (size_t i = 0; i < c->network_dns.len; i++)
        if (jd_ip_parse(c->network_dns.items[i], &addr) < 0 || addr >> 24 == 127)
            return jl_refuse(e, EINVAL,
                             "network.dns: '%s' is no IPv4 address that a job could reach",
                             c->network_dns.items[i]);
    for (size_t i = 0; i + 2 < list->len; i += 3) {
        const char *name = list->items[i], *bridge = list->items[i + 2];
        bool is_default = strcmp(name, "bridge") == 0;

        if (!is_default && jd_net_check_name(name, e) < 0)
            return jl_wrap(e, "network.networks");
        if (!(is_default && !list->items[i + 1][0]) &&
            jd_cidr_parse("cidr", list->items[i + 1], 30, &cidr, e) < 0)
            return jl_wrap(e, "network.networks.%s", name);
        if (bridge[0] && !os_netdev_name_valid(bridge, false))
            return jl_refuse(e, EINVAL, "network.networks.%s.bridge_name '%s' is no device's name",
                             name, bridge);
    }
    return 0;
}

static int check_fixed(const struct jd_conf *c, struct jl_err *e)
{
    for (size_t i = 0; i < jd_n_keys; i++)
        if (jd_keys[i].effect == FIXED && !at_default(c, &jd_keys[i])) {
            jl_refuse(e, ENOSYS, "%s: only '%s' is built yet", jd_keys[i].name, jd_keys[i].def);
            return jl_hint(e, "remove the key from '%s'", c->file ? c->file : "the configuration");
        }
    return 0;
}

int jd_conf_resolve(struct jd_conf *c, const char *prefix, struct jl_err *e)
{
    int r = resolve_paths(c, prefix, e);

    if (r == 0)
        r = resolve_cgroup(c, e);
    if (r == 0)
        r = check_words(c, e);
    if (r == 0)
        r = check_paths(c, e);
    if (r == 0)
        r = check_networks(c, e);
    if (r == 0)
        r = check_fixed(c, e);
    return r;
}
