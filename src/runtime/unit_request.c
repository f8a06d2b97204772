/* unit_request.c - what systemd is asked for: a scope with its properties, as a line of JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "os/cgroup.h"
#include "runtime/spec.h"
#include "runtime/unit.h"

#define ANNOTATION "org.systemd.property."
#define CPUS_MAX 8192

static void put(struct jl_json_out *w, const char *name, const char *type, const char *value)
{
    jl_json_put_array(w, NULL);
    jl_json_put_str(w, NULL, name);
    jl_json_put_str(w, NULL, type);
    jl_json_put_str(w, NULL, value);
    jl_json_end(w);
}

/* -1 is systemd's "infinity". */
static void put_number(struct jl_json_out *w, const char *name, int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%llu",
             value == -1 ? (unsigned long long) UINT64_MAX : (unsigned long long) value);
    put(w, name, "t", text);
}

/*
 * systemd counts a quota in whole percents of a processor (10 ms a second): rounded up, since
 * cpu.max gets the exact value from us afterwards, and more is closer to it than less.
 */
static void put_quota(struct jl_json_out *w, const struct os_cgroup_limits *l)
{
    const uint64_t second = 1000000, percent = 10000;
    uint64_t period = l->has_cpu_period && l->cpu_period > 0 ? l->cpu_period : 100000, us;

    if (l->has_cpu_period)
        put_number(w, "CPUQuotaPeriodUSec", (int64_t) period);
    if (!l->has_cpu_quota)
        return;
    if (l->cpu_quota < 0 || (uint64_t) l->cpu_quota > UINT64_MAX / second) {
        put_number(w, "CPUQuotaPerSecUSec", -1);
        return;
    }
    us = (uint64_t) l->cpu_quota * second / period;
    put_number(w, "CPUQuotaPerSecUSec", (int64_t) ((us + percent - 1) / percent * percent));
}

/* "0-3,6" as bytes of a bit mask, the lowest first. */
static void put_set(struct jl_json_out *w, const char *name, const char *list)
{
    uint8_t bits[CPUS_MAX / 8] = { 0 };
    size_t n = 0;
    char text[8];

    while (*list >= '0' && *list <= '9') {
        unsigned long lo = strtoul(list, (char **) &list, 10), hi = lo;

        if (*list == '-')
            hi = strtoul(list + 1, (char **) &list, 10);
        for (; lo <= hi && lo < CPUS_MAX; lo++) {
            bits[lo / 8] |= (uint8_t) (1u << (lo % 8));
            n = lo / 8 >= n ? lo / 8 + 1 : n;
        }
        list += *list == ',';
    }
    jl_json_put_array(w, NULL);
    jl_json_put_str(w, NULL, name);
    jl_json_put_str(w, NULL, "ay");
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%u", bits[i]);
        jl_json_put_str(w, NULL, text);
    }
    jl_json_end(w);
}

static void put_v2_limits(struct jl_json_out *w, const struct os_cgroup_limits *l)
{
    if (l->has_memory)
        put_number(w, "MemoryMax", l->memory);
    if (l->has_memory_swap && (l->memory_swap == -1 || l->has_memory))
        put_number(w, "MemorySwapMax", l->memory_swap == -1 ? -1 : l->memory_swap - l->memory);
    if (l->has_memory_reservation)
        put_number(w, "MemoryLow", l->memory_reservation);
    if (l->has_memory_high)
        put_number(w, "MemoryHigh", l->memory_high);
    if (l->has_cpu_shares)
        put_number(w, "CPUWeight", (int64_t) os_cgroup_cpu_weight(l->cpu_shares));
    if (l->cpuset_cpus)
        put_set(w, "AllowedCPUs", l->cpuset_cpus);
    if (l->cpuset_mems)
        put_set(w, "AllowedMemoryNodes", l->cpuset_mems);
    if (l->has_io_weight)
        put_number(w, "IOWeight", (int64_t) os_cgroup_io_weight(l->io_weight));
}

/* systemd sets no others in v1's hierarchies; one of v2's names would have it take the limit of
 * memory that v1's gave for none. Shares out of range os_cgroup_apply refuses, with its reason. */
static void put_v1_limits(struct jl_json_out *w, const struct os_cgroup_limits *l)
{
    if (l->has_memory)
        put_number(w, "MemoryLimit", l->memory);
    if (l->has_cpu_shares && l->cpu_shares >= 2 && l->cpu_shares <= 262144)
        put_number(w, "CPUShares", (int64_t) l->cpu_shares);
    if (l->has_io_weight)
        put_number(w, "BlockIOWeight", l->io_weight);
}

/*
 * Those limits that are properties of units too: systemd writes its own idea of them whenever it
 * reads its configuration again. The others it leaves alone in a delegated unit.
 */
static int put_limits(struct jl_json_out *w, const struct rt_unit *u,
                      const struct os_cgroup_limits *l, struct jl_err *e)
{
    if (u->v1)
        put_v1_limits(w, l);
    else
        put_v2_limits(w, l);
    put_quota(w, l);
    /* no less than one for systemd */
    if (l->has_pids)
        put_number(w, "TasksMax", l->pids == 0 ? 1 : l->pids);
    return u->v1 && l->devices ? rt_unit_put_devices(w, l, e) : 0;
}

static void put_start(struct jl_json_out *w, const struct rt_unit *u, const struct rt_spec *s)
{
    static const char *const yes[] = { "Delegate", "MemoryAccounting", "CPUAccounting",
                                       "TasksAccounting" };

    put(w, "Description", "s", "container of joblet-run");
    put(w, "Slice", "s", u->slice);
    for (size_t i = 0; i < JL_COUNT(yes); i++)
        put(w, yes[i], "b", "true");
    /* with v2's name for it systemd takes no weight of v1's */
    put(w, u->v1 ? "BlockIOAccounting" : "IOAccounting", "b", "true");
    put(w, "DefaultDependencies", "b", "false");
    put(w, "CollectMode", "s", "inactive-or-failed"); /* one that failed does not stay */
    for (size_t i = 0; i < s->oci->n_annotations; i++) {
        const char *key = s->oci->annotations[i].key, *name = key + strlen(ANNOTATION);
        _strv_ struct jl_strv values = JL_STRV_INIT;
        char type[3];

        if (strncmp(key, ANNOTATION, strlen(ANNOTATION)) != 0 ||
            rt_unit_value(s->oci->annotations[i].value, type, &values) < 0)
            continue; /* rt_unit_check_annotations refused what is wrong */
        jl_json_put_array(w, NULL);
        jl_json_put_str(w, NULL, name);
        jl_json_put_str(w, NULL, type);
        for (size_t k = 0; k < values.len; k++)
            jl_json_put_str(w, NULL, values.items[k]);
        jl_json_end(w);
    }
}

int rt_unit_request(const char *verb, const struct rt_unit *u, const struct rt_spec *s,
                    const struct os_cgroup_limits *l, struct jl_buf *out, struct jl_err *e)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, 0);
    int r = 0;

    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "verb", verb);
    jl_json_put_str(&w, "unit", u->name);
    jl_json_put_bool(&w, "user", u->user);
    if (s || l) {
        jl_json_put_array(&w, "properties");
        if (s)
            put_start(&w, u, s);
        if (l)
            r = put_limits(&w, u, l, e);
        jl_json_end(&w);
    }
    jl_json_end(&w);
    if (r < 0)
        return r;
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(out, '\n');
    return r < 0 ? jl_fail(e, -r, "make the request to systemd") : 0;
}
