/* spec_netdev.c - the checks of `linux.netDevices`. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "os/netlink.h"
#include "runtime/spec.h"

static const char *name_inside(const struct oci_net_device_entry *d)
{
    return d->value && d->value->name && *d->value->name ? d->value->name : d->key;
}

static int check_one(const struct oci_linux *l, size_t i, struct jl_err *e)
{
    const struct oci_net_device_entry *d = &l->net_devices[i];
    const char *inside = name_inside(d);

    if (!os_netdev_name_valid(d->key, false))
        return jl_refuse(e, EINVAL, "linux.netDevices: '%s' is no name of a network device",
                         d->key);
    if (!os_netdev_name_valid(inside, true)) {
        jl_refuse(e, EINVAL, "linux.netDevices.%s.name: '%s' is no name of a network device",
                  d->key, inside);
        return jl_hint(e,
                       "at most %d bytes, no space, '/' or ':'; it may end in '%%d', for a "
                       "number that the kernel chooses",
                       OS_NETDEV_NAME_MAX);
    }
    for (size_t k = 0; k < i; k++) {
        if (strcmp(l->net_devices[k].key, d->key) == 0)
            return jl_refuse(e, EINVAL, "linux.netDevices.%s: is there twice", d->key);
        if (!strchr(inside, '%') && strcmp(name_inside(&l->net_devices[k]), inside) == 0)
            return jl_refuse(e, EINVAL, "linux.netDevices.%s.name: '%s' is that of '%s' as well",
                             d->key, inside, l->net_devices[k].key);
    }
    return 0;
}

int rt_spec_check_net_devices(const struct rt_spec *s, struct jl_err *e)
{
    const struct oci_linux *l = s->oci->linux;

    if (l->n_net_devices > 0 && !rt_spec_has_ns(s, OS_NS_NET))
        return jl_refuse(e, EINVAL,
                         "linux.netDevices: needs a network namespace in "
                         "linux.namespaces");
    for (size_t i = 0; i < l->n_net_devices; i++) {
        int r = check_one(l, i, e);

        if (r < 0)
            return r;
    }
    return 0;
}
