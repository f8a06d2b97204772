/* spec_rdt.c - the checks of `linux.intelRdt` (config-linux.md, "IntelRdt"). */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "os/intelrdt.h"
#include "runtime/spec.h"

int rt_rdt_check_mem_bw(const char *schema, const char *where, struct jl_err *e)
{
    if (strncmp(schema, "MB:", 3) != 0)
        return jl_refuse(e, EINVAL, "%s: '%s' does not begin with MB:", where, schema);
    if (strchr(schema, '\n'))
        return jl_refuse(e, EINVAL, "%s: has more than one line", where);
    return 0;
}

int rt_spec_check_rdt(const struct rt_spec *s, struct jl_err *e)
{
    const struct oci_intel_rdt *c = s->oci->linux->intel_rdt;

    if (!c)
        return 0;
    if (c->clos_id && *c->clos_id && strcmp(c->clos_id, "/") != 0 &&
        !os_rdt_name_is_good(c->clos_id)) {
        jl_refuse(e, EINVAL, "linux.intelRdt.closID: '%s' is no name of a group", c->clos_id);
        return jl_hint(e, "one directory of resctrl, or / for the default one");
    }
    for (size_t i = 0; i < c->n_schemata; i++)
        if (strchr(c->schemata[i], '\n'))
            return jl_refuse(e, EINVAL, "linux.intelRdt.schemata[%zu]: has more than one line", i);
    if (c->mem_bw_schema && *c->mem_bw_schema)
        return rt_rdt_check_mem_bw(c->mem_bw_schema, "linux.intelRdt.memBwSchema", e);
    return 0;
}
