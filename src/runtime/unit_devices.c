/*
 * unit_devices.c - the container's device rules as properties of a unit. On cgroup v1 systemd writes
 * devices.deny and devices.allow of its units again whenever it reads its configuration, and allows
 * everything in those that it was told nothing for.
 * Source: systemd.resource-control(5), DeviceAllow=, DevicePolicy=.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "os/cgroup.h"
#include "runtime/unit.h"

#define ANY (-1)

/* As DeviceAllow= has it; systemd takes the numbers out of such a path and does not look at the
 * file. false: it has no word for it. */
static bool name_device(const struct os_cgroup_device_rule *x, char *buf, size_t size)
{
    const char *kind = x->type == 'b' ? "block" : "char";

    if (x->major == ANY && x->minor == ANY)
        snprintf(buf, size, "%s-*", kind);
    else if (x->minor == ANY)
        snprintf(buf, size, "%s-%lld", kind, (long long) x->major);
    else
        snprintf(buf, size, "/dev/%s/%lld:%lld", kind, (long long) x->major, (long long) x->minor);
    return x->major != ANY || x->minor == ANY;
}

static int refuse(struct jl_err *e)
{
    return jl_hint(e,
                   "list what is allowed, with its major numbers, or leave --systemd-cgroup away "
                   "(podman: --cgroup-manager=cgroupfs)");
}

/* *ret is own. */
static int make_list(const struct os_cgroup_limits *l, struct os_cgroup_device_list **ret,
                     struct jl_err *e)
{
    _free_ struct os_cgroup_device_list *list = malloc(sizeof *list);
    char name[64];
    int r;

    if (!list)
        return jl_fail(e, ENOMEM, "device rules");
    r = os_cgroup_devices_to_list(l->devices, l->n_devices, list, e);
    if (r < 0)
        return r;
    if (list->allow && list->n > 0) {
        jl_refuse(e, ENOTSUP,
                  "linux.resources.devices: all devices but some are allowed, which a unit of "
                  "systemd's on cgroup v1 can't have");
        return refuse(e);
    }
    for (size_t k = 0; k < list->n; k++)
        if (!name_device(&list->exceptions[k], name, sizeof name)) {
            jl_refuse(
                e, ENOTSUP,
                "linux.resources.devices: minor %lld of any major is allowed, which a unit of "
                "systemd's on cgroup v1 can't have",
                (long long) list->exceptions[k].minor);
            return refuse(e);
        }
    *ret = list;
    list = NULL;
    return 0;
}

int rt_unit_check_devices(const struct rt_unit *u, const struct os_cgroup_limits *l,
                          struct jl_err *e)
{
    _free_ struct os_cgroup_device_list *list = NULL;

    return u->v1 && l->devices ? make_list(l, &list, e) : 0;
}

static void put_list(struct jl_json_out *w, const struct os_cgroup_device_list *list)
{
    char name[64], access[4];

    jl_json_put_array(w, NULL);
    jl_json_put_str(w, NULL, "DeviceAllow");
    jl_json_put_str(w, NULL, "a(ss)");
    for (size_t k = 0; list && k < list->n; k++) {
        unsigned bits = list->exceptions[k].access;

        name_device(&list->exceptions[k], name, sizeof name);
        snprintf(access, sizeof access, "%s%s%s", bits & 1 ? "r" : "", bits & 2 ? "w" : "",
                 bits & 4 ? "m" : "");
        jl_json_put_str(w, NULL, name);
        jl_json_put_str(w, NULL, access);
    }
    jl_json_end(w);
}

int rt_unit_put_devices(struct jl_json_out *w, const struct os_cgroup_limits *l, struct jl_err *e)
{
    _free_ struct os_cgroup_device_list *list = NULL;
    int r = make_list(l, &list, e);

    if (r < 0)
        return r;
    jl_json_put_array(w, NULL);
    jl_json_put_str(w, NULL, "DevicePolicy");
    jl_json_put_str(w, NULL, "s");
    jl_json_put_str(w, NULL, list->allow ? "auto" : "strict");
    jl_json_end(w);
    put_list(w, NULL); /* an empty list takes back what update finds there */
    if (list->n > 0)
        put_list(w, list);
    return 0;
}
