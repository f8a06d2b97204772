/*
 * cgroup_devices.c - device rules. What a list of OCI rules means is decided in one place, for v1
 * and v2 alike: each of read, write and mknod on a device is decided by the last rule that names
 * it; what no rule names is denied. v2 runs a program that does just that
 * (cgroup_devices_bpf.c). v1 knows a default and exceptions from it, so the list is brought into
 * that form first, and refused when it has none.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

#define ALL_ACCESS 7u

static int check_rule(const struct os_cgroup_device_rule *r, size_t i, struct jl_err *e)
{
    if (r->type != 'a' && r->type != 'b' && r->type != 'c')
        return jl_refuse(e, EINVAL, "device rule %zu: type must be a, b or c", i);
    if (r->major < -1 || r->major > UINT32_MAX || r->minor < -1 || r->minor > UINT32_MAX)
        return jl_refuse(e, EINVAL, "device rule %zu: number out of range (-1 is any)", i);
    if (r->access == 0 || (r->access & ~ALL_ACCESS))
        return jl_refuse(e, EINVAL, "device rule %zu: access must be made of r, w and m", i);
    if (r->type == 'a' && (r->major != -1 || r->minor != -1))
        return jl_refuse(e, EINVAL, "device rule %zu: type 'a' takes no numbers", i);
    return 0;
}

int cg_devices_check(const struct os_cgroup_device_rule *rules, size_t n, struct jl_err *e)
{
    int r = 0;

    if (n > CG_DEVICE_RULES_MAX)
        return jl_refuse(e, E2BIG, "%zu device rules; %d are allowed", n, CG_DEVICE_RULES_MAX);
    for (size_t i = 0; i < n && r == 0; i++)
        r = check_rule(&rules[i], i, e);
    return r;
}

static bool covers(int64_t wide, int64_t narrow)
{
    return wide == -1 || wide == narrow;
}

static bool meet(int64_t a, int64_t b)
{
    return a == -1 || b == -1 || a == b;
}

/* A rule that agrees with the default takes back what exceptions said before it. */
static int take_back(struct os_cgroup_device_list *l, const struct os_cgroup_device_rule *r,
                     size_t i, struct jl_err *e)
{
    for (size_t k = 0; k < l->n; k++) {
        struct os_cgroup_device_rule *x = &l->exceptions[k];

        if (x->type != r->type || !(x->access & r->access) || !meet(x->major, r->major) ||
            !meet(x->minor, r->minor))
            continue;
        if (!covers(r->major, x->major) || !covers(r->minor, x->minor)) {
            jl_refuse(e, ENOTSUP,
                      "device rule %zu takes %c %lld:%lld out of a wider rule before "
                      "it, which cgroup v1 can't express",
                      i, r->type, (long long) r->major, (long long) r->minor);
            return jl_hint(e, "name the devices one by one instead of a wildcard, or use a host "
                              "with cgroup v2");
        }
        x->access &= ~r->access;
    }
    return 0;
}

static void add_exception(struct os_cgroup_device_list *l, const struct os_cgroup_device_rule *r)
{
    for (size_t k = 0; k < l->n; k++) {
        struct os_cgroup_device_rule *x = &l->exceptions[k];

        if (x->type == r->type && x->major == r->major && x->minor == r->minor) {
            x->access |= r->access;
            return;
        }
    }
    l->exceptions[l->n++] = *r;
}

static int add_rule(struct os_cgroup_device_list *l, const struct os_cgroup_device_rule *r,
                    size_t i, struct jl_err *e)
{
    if (r->type == 'a') {
        struct os_cgroup_device_rule part = *r;
        int ret;

        if (r->access == ALL_ACCESS) {
            l->allow = r->allow;
            l->n = 0;
            return 0;
        }
        part.type = 'b';
        ret = add_rule(l, &part, i, e);
        part.type = 'c';
        return ret < 0 ? ret : add_rule(l, &part, i, e);
    }
    if (r->allow == l->allow)
        return take_back(l, r, i, e);
    add_exception(l, r);
    return 0;
}

/* Where "1:*" and "*:2" cross, both count: 1:2 becomes an exception of its own. */
static int add_crossings(struct os_cgroup_device_list *l, struct jl_err *e)
{
    size_t n = l->n;

    for (size_t k = 0; k < n; k++)
        for (size_t w = 0; w < n; w++) {
            const struct os_cgroup_device_rule *x = &l->exceptions[k], *y = &l->exceptions[w];
            struct os_cgroup_device_rule both = *x;

            if (x->type != y->type || x->major == -1 || x->minor != -1 || y->major != -1 ||
                y->minor == -1)
                continue;
            if (l->n == JL_COUNT(l->exceptions))
                return jl_refuse(e, ENOTSUP, "too many device rules with wildcards for cgroup v1");
            both.minor = y->minor;
            add_exception(l, &both);
        }
    return 0;
}

/* v1 wants one exception to grant all of an access; by our rules several may add up. So a narrow
 * exception gets what wider ones grant as well. */
static int add_up(struct os_cgroup_device_list *l, struct jl_err *e)
{
    int r = add_crossings(l, e);

    for (size_t k = 0; k < l->n && r == 0; k++)
        for (size_t w = 0; w < l->n; w++) {
            struct os_cgroup_device_rule *x = &l->exceptions[k], *wide = &l->exceptions[w];

            if (x->type == wide->type && covers(wide->major, x->major) &&
                covers(wide->minor, x->minor))
                x->access |= wide->access;
        }
    return r;
}

int os_cgroup_devices_to_list(const struct os_cgroup_device_rule *rules, size_t n,
                              struct os_cgroup_device_list *ret, struct jl_err *e)
{
    size_t kept = 0;
    int r = cg_devices_check(rules, n, e);

    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_rule(ret, &rules[i], i, e);
    if (r < 0)
        return r;
    for (size_t k = 0; k < ret->n; k++)
        if (ret->exceptions[k].access)
            ret->exceptions[kept++] = ret->exceptions[k];
    ret->n = kept;
    return ret->allow ? 0 : add_up(ret, e);
}

void cg_device_format(const struct os_cgroup_device_rule *r, char *buf, size_t size)
{
    char major[16] = "*", minor[16] = "*";

    if (r->major != -1)
        snprintf(major, sizeof major, "%lld", (long long) r->major);
    if (r->minor != -1)
        snprintf(minor, sizeof minor, "%lld", (long long) r->minor);
    snprintf(buf, size, "%c %s:%s %s%s%s", r->type, major, minor, r->access & 1 ? "r" : "",
             r->access & 2 ? "w" : "", r->access & 4 ? "m" : "");
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);

    while (*text != '\0') {
        size_t n = strcspn(text, "\n");

        if (n == len && strncmp(text, line, n) == 0)
            return true;
        text += n;
        text += strspn(text, "\n");
    }
    return false;
}

/* devices.list shows exceptions only when the default is to deny. */
static int check_v1(const struct cg_place *p, const struct os_cgroup_device_list *l,
                    struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(1u << 20);
    int r = jl_read_file_at(p->fd, "devices.list", &text, e);
    size_t lines = 0;
    char line[64];

    if (r < 0)
        return r;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    if (l->allow)
        return text.data && has_line(text.data, "a *:* rwm")
                   ? 0
                   : cg_fail_readback(p, "devices.list", "a *:* rwm", "a list of devices", e);
    for (size_t k = 0; k < l->n; k++) {
        cg_device_format(&l->exceptions[k], line, sizeof line);
        if (!text.data || !has_line(text.data, line))
            return cg_fail_readback(p, "devices.list", line, "a list without it", e);
    }
    if (lines != l->n)
        return cg_fail_readback(p, "devices.list", "this list alone", "more devices", e);
    return 0;
}

static int apply_v1(const struct cg_place *p, const struct os_cgroup_device_rule *rules, size_t n,
                    struct jl_err *e)
{
    _free_ struct os_cgroup_device_list *l = malloc(sizeof *l);
    char line[64];
    int r;

    if (!l)
        return jl_fail(e, ENOMEM, "device rules");
    r = os_cgroup_devices_to_list(rules, n, l, e);
    if (r == 0)
        r = cg_put(p, l->allow ? "devices.allow" : "devices.deny", "a", e);
    for (size_t k = 0; k < l->n && r == 0; k++) {
        cg_device_format(&l->exceptions[k], line, sizeof line);
        r = cg_put(p, l->allow ? "devices.deny" : "devices.allow", line, e);
    }
    return r < 0 ? r : check_v1(p, l, e);
}

int cg_apply_devices(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r;

    if (!l->devices)
        return 0;
    r = cg_devices_check(l->devices, l->n_devices, e);
    if (r == 0)
        r = cg_place(cg, OS_CG_DEVICES, "a list of device rules", &p, e);
    if (r < 0)
        return r;
    return p.v2 ? cg_devices_attach(p.fd, p.path, l->devices, l->n_devices, e)
                : apply_v1(&p, l->devices, l->n_devices, e);
}
