/* update.c - see update.h. */
#include "runtime/update.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "runtime/spec.h"

enum part { MEMORY, CPU, PIDS, BLKIO };
enum kind { SIZE, GONE, INT, UINT, UINT16, LIST };

#define NUMBER(part, type, member)                                                                 \
    part, offsetof(struct type, member), offsetof(struct type, has_##member)
#define WORDS(part, type, member) part, offsetof(struct type, member), 0

static const struct option {
    const char *name;
    enum kind kind;
    enum part part;
    size_t value, has; /* where in its struct */
    const char *arg, *help;
} options[] = {
    { "blkio-weight", UINT16, NUMBER(BLKIO, oci_block_io, weight), "N", "10 to 1000" },
    { "cpu-burst", UINT, NUMBER(CPU, oci_cpu, burst), "US", "time that may be saved up" },
    { "cpu-idle", INT, NUMBER(CPU, oci_cpu, idle), "0|1", "1: only when nobody else wants it" },
    { "cpu-period", UINT, NUMBER(CPU, oci_cpu, period), "US", "of the quota" },
    { "cpu-quota", INT, NUMBER(CPU, oci_cpu, quota), "US", "a period; -1: unlimited" },
    { "cpu-rt-period", UINT, NUMBER(CPU, oci_cpu, realtime_period), "US", "of real-time tasks" },
    { "cpu-rt-runtime", INT, NUMBER(CPU, oci_cpu, realtime_runtime), "US", "of real-time tasks" },
    { "cpu-share", UINT, NUMBER(CPU, oci_cpu, shares), "N", "2 to 262144" },
    { "cpuset-cpus", LIST, WORDS(CPU, oci_cpu, cpus), "LIST", "cpus, as 0-3,6" },
    { "cpuset-mems", LIST, WORDS(CPU, oci_cpu, mems), "LIST", "memory nodes" },
    { "kernel-memory", GONE, NUMBER(MEMORY, oci_memory, kernel), "BYTES", "no longer in kernels" },
    { "kernel-memory-tcp", GONE, NUMBER(MEMORY, oci_memory, kernel_tcp), "BYTES",
      "no longer in kernels" },
    { "memory", SIZE, NUMBER(MEMORY, oci_memory, limit), "BYTES", "also 64M; -1: unlimited" },
    { "memory-reservation", SIZE, NUMBER(MEMORY, oci_memory, reservation), "BYTES",
      "kept when memory is short" },
    { "memory-swap", SIZE, NUMBER(MEMORY, oci_memory, swap), "BYTES",
      "memory and swap together; -1: unlimited" },
    { "pids-limit", INT, NUMBER(PIDS, oci_pids, limit), "N", "processes; -1: unlimited" },
};

const char *rt_update_option(size_t i, const char **ret_arg, const char **ret_help)
{
    if (i >= JL_COUNT(options))
        return NULL;
    *ret_arg = options[i].arg;
    *ret_help = options[i].help;
    return options[i].name;
}

/* The struct of a part, made when it is missing; NULL: no memory. */
static void *part_of(struct oci_resources *res, enum part part)
{
    switch (part) {
    case MEMORY:
        return res->memory ? res->memory : (res->memory = calloc(1, sizeof *res->memory));
    case CPU:
        return res->cpu ? res->cpu : (res->cpu = calloc(1, sizeof *res->cpu));
    case PIDS:
        return res->pids ? res->pids : (res->pids = calloc(1, sizeof *res->pids));
    case BLKIO:
        break;
    }
    return res->block_io ? res->block_io : (res->block_io = calloc(1, sizeof *res->block_io));
}

static int parse_number(const struct option *o, const char *text, int64_t *ret, struct jl_err *e)
{
    int64_t lowest = o->kind == UINT || o->kind == UINT16 ? 0 : -1;
    uint64_t size;
    int r = jl_parse_i64(text, lowest, o->kind == UINT16 ? UINT16_MAX : INT64_MAX, ret);

    if (r == 0)
        return 0;
    if ((o->kind == SIZE || o->kind == GONE) && jl_parse_size(text, &size) == 0 &&
        size <= INT64_MAX) {
        *ret = (int64_t) size;
        return 0;
    }
    if (r == -ERANGE)
        return jl_refuse(e, ERANGE, "--%s: '%s' is out of range", o->name, text);
    return jl_refuse(e, EINVAL, "--%s: '%s' is no %s", o->name, text,
                     o->kind == SIZE || o->kind == GONE ? "size" : "whole number");
}

int rt_update_set(struct rt_update *u, size_t i, const char *text, struct jl_err *e)
{
    const struct option *o = &options[i];
    char *base, **list;
    int64_t number = 0;

    if (o->kind != LIST && parse_number(o, text, &number, e) < 0)
        return -e->code;
    if (!u->res)
        u->res = calloc(1, sizeof *u->res);
    if (u->res && o->kind == GONE)
        return jl_strv_addf(&u->warnings, "--%s: kernels have no such limit any more; left out",
                            o->name) < 0
                   ? jl_fail(e, ENOMEM, "--%s", o->name)
                   : 0;
    base = u->res ? part_of(u->res, o->part) : NULL;
    if (!base)
        return jl_fail(e, ENOMEM, "--%s", o->name);
    if (o->kind == LIST) {
        list = (char **) (void *) (base + o->value);
        free(*list);
        *list = strdup(text);
        return *list ? 0 : jl_fail(e, ENOMEM, "--%s", o->name);
    }
    if (o->kind == UINT16) {
        uint16_t narrow = (uint16_t) number;

        memcpy(base + o->value, &narrow, sizeof narrow);
    } else {
        memcpy(base + o->value, &number, sizeof number);
    }
    *(bool *) (base + o->has) = true;
    return 0;
}

int rt_update_parse(struct rt_update *u, const char *text, size_t len, struct jl_err *e)
{
    int r = oci_resources_parse(text, len, NULL, &u->res, e);

    return r < 0 ? jl_wrap(e, "resources") : 0;
}

bool rt_update_lacks_memory(const struct rt_update *u)
{
    const struct oci_memory *m = u->res ? u->res->memory : NULL;

    return m && m->has_swap && m->swap > 0 && (!m->has_limit || m->limit == 0);
}

void rt_update_set_memory(struct rt_update *u, int64_t limit)
{
    u->res->memory->has_limit = true;
    u->res->memory->limit = limit;
}

int rt_update_check(struct rt_update *u, struct jl_err *e)
{
    struct oci_linux with = { .resources = u->res };
    struct oci_spec oci = { .linux = &with };
    struct rt_spec s = { .oci = &oci, .warnings = u->warnings };
    int r = rt_spec_check_resources(&s, e);

    u->limits = s.limits;
    u->warnings = s.warnings;
    if (r < 0)
        return r;
    if (!u->res || u->res->n_devices == 0) {
        free((void *) u->limits.devices);
        u->limits.devices = NULL;
        u->limits.n_devices = 0;
    }
    u->check_usage = u->res && u->res->memory && u->res->memory->check_before_update;
    return 0;
}

void rt_update_clear(struct rt_update *u)
{
    rt_limits_clear(&u->limits);
    jl_strv_clear(&u->warnings);
    oci_resources_free(u->res);
    u->res = NULL;
}
