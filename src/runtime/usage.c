/*
 * usage.c - see usage.h. The object's shape is what callers of `runc events` parse: cpu, cpuset,
 * memory with raw, pids, blkio, hugetlb; and pressure, which is ours. Files: cgroup-v2.rst,
 * cgroup-v1/{cpuacct,memory,blkio-controller,hugetlb}.rst of the kernel.
 */
#include "runtime/usage.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/parse.h"
#include "os/cgroup_usage.h"

#define TEXT_MAX ((size_t) 1 << 20)
#define USER_HZ 100 /* the unit of cpuacct.stat: fixed in the kernel's interface */

struct view {
    const struct os_cgroup *cg;
    struct jl_json_out *w;
};

/* ---- helpers ---- */

/* The number behind `key` in "key number" lines; 0 when there is none. */
static uint64_t key_of(const char *text, const char *key)
{
    size_t len = strlen(key);

    for (const char *p = text; *p; p += strspn(p, "\n")) {
        if (strncmp(p, key, len) == 0 && p[len] == ' ')
            return strtoull(p + len + 1, NULL, 10);
        p += strcspn(p, "\n");
    }
    return 0;
}

static void put_number(const struct view *v, const char *key, enum os_controller c,
                       const char *v1_file, const char *v2_file)
{
    uint64_t n;

    if (os_cgroup_read_number(v->cg, c, v1_file, v2_file, &n) == 0)
        jl_json_put_u64(v->w, key, n);
}

/* ---- cpu ---- */

static void put_list_of_numbers(struct jl_json_out *w, const char *key, const char *text)
{
    jl_json_put_array(w, key);
    for (const char *p = text; *p >= '0' && *p <= '9'; p += strspn(p, " \n"))
        jl_json_put_u64(w, NULL, strtoull(p, (char **) &p, 10));
    jl_json_end(w);
}

static void put_usage_v1(const struct view *v)
{
    _buf_ struct jl_buf stat = JL_BUF_INIT(TEXT_MAX);
    _buf_ struct jl_buf percpu = JL_BUF_INIT(TEXT_MAX);

    put_number(v, "total", OS_CG_CPUACCT, "cpuacct.usage", NULL);
    if (os_cgroup_read_text(v->cg, OS_CG_CPUACCT, "cpuacct.usage_percpu", NULL, &percpu) == 0)
        put_list_of_numbers(v->w, "percpu", percpu.data);
    if (os_cgroup_read_text(v->cg, OS_CG_CPUACCT, "cpuacct.stat", NULL, &stat) < 0)
        return;
    jl_json_put_u64(v->w, "kernel", key_of(stat.data, "system") * (1000000000 / USER_HZ));
    jl_json_put_u64(v->w, "user", key_of(stat.data, "user") * (1000000000 / USER_HZ));
}

static void put_cpu(const struct view *v)
{
    _buf_ struct jl_buf stat = JL_BUF_INIT(TEXT_MAX);
    bool has = os_cgroup_read_text(v->cg, OS_CG_CPU, "cpu.stat", "cpu.stat", &stat) == 0;
    const char *text = has ? stat.data : "";
    uint64_t throttled = key_of(text, "throttled_time");
    uint64_t total = key_of(text, "usage_usec");

    jl_json_put_object(v->w, "cpu");
    jl_json_put_object(v->w, "usage");
    if (total > 0) {
        jl_json_put_u64(v->w, "total", total * 1000);
        jl_json_put_u64(v->w, "kernel", key_of(text, "system_usec") * 1000);
        jl_json_put_u64(v->w, "user", key_of(text, "user_usec") * 1000);
    } else {
        put_usage_v1(v);
    }
    jl_json_end(v->w);
    jl_json_put_object(v->w, "throttling");
    jl_json_put_u64(v->w, "periods", key_of(text, "nr_periods"));
    jl_json_put_u64(v->w, "throttledPeriods", key_of(text, "nr_throttled"));
    jl_json_put_u64(v->w, "throttledTime",
                    throttled ? throttled : key_of(text, "throttled_usec") * 1000);
    jl_json_end(v->w);
    jl_json_end(v->w);
}

/* "0-3,6" as numbers. */
static void put_set(const struct view *v, const char *key, const char *v1_file, const char *v2_file)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_MAX);
    const char *p;

    jl_json_put_array(v->w, key);
    if (os_cgroup_read_text(v->cg, OS_CG_CPUSET, v1_file, v2_file, &text) == 0)
        for (p = text.data; *p >= '0' && *p <= '9'; p += *p == ',') {
            uint64_t lo = strtoull(p, (char **) &p, 10), hi = lo;

            if (*p == '-')
                hi = strtoull(p + 1, (char **) &p, 10);
            for (; lo <= hi && lo < 65536; lo++)
                jl_json_put_u64(v->w, NULL, lo);
        }
    jl_json_end(v->w);
}

/* ---- memory ---- */

static void put_memory_entry(const struct view *v, const char *key, const char *const v1[4],
                             const char *const v2[3])
{
    static const char *const names[] = { "limit", "usage", "max", "failcnt" };

    jl_json_put_object(v->w, key);
    for (size_t i = 0; i < JL_COUNT(names); i++)
        put_number(v, names[i], OS_CG_MEMORY, v1[i], i < 3 ? v2[i] : NULL);
    jl_json_end(v->w);
}

static void put_raw(const struct view *v, const char *text)
{
    jl_json_put_object(v->w, "raw");
    for (const char *p = text; *p; p += strspn(p, "\n")) {
        size_t len = strcspn(p, " \n");
        char key[64];

        if (p[len] == ' ' && len < sizeof key) {
            memcpy(key, p, len);
            key[len] = '\0';
            jl_json_put_u64(v->w, key, strtoull(p + len + 1, NULL, 10));
        }
        p += strcspn(p, "\n");
    }
    jl_json_end(v->w);
}

static void put_memory(const struct view *v)
{
    static const char *const usage1[] = { "memory.limit_in_bytes", "memory.usage_in_bytes",
                                          "memory.max_usage_in_bytes", "memory.failcnt" };
    static const char *const usage2[] = { "memory.max", "memory.current", "memory.peak" };
    static const char *const swap1[] = { "memory.memsw.limit_in_bytes",
                                         "memory.memsw.usage_in_bytes",
                                         "memory.memsw.max_usage_in_bytes",
                                         "memory.memsw.failcnt" };
    static const char *const swap2[] = { "memory.swap.max", "memory.swap.current",
                                         "memory.swap.peak" };
    _buf_ struct jl_buf stat = JL_BUF_INIT(TEXT_MAX);
    bool has = os_cgroup_read_text(v->cg, OS_CG_MEMORY, "memory.stat", "memory.stat", &stat) == 0;
    const char *text = has ? stat.data : "";
    uint64_t kills;

    jl_json_put_object(v->w, "memory");
    jl_json_put_u64(v->w, "cache", key_of(text, "cache") + key_of(text, "file"));
    put_memory_entry(v, "usage", usage1, usage2);
    put_memory_entry(v, "swap", swap1, swap2);
    if (os_cgroup_oom_kills(v->cg, &kills) == 0)
        jl_json_put_u64(v->w, "oomKills", kills);
    put_raw(v, text);
    jl_json_end(v->w);
}

/* ---- blkio ---- */

static void put_blkio_entry(struct jl_json_out *w, unsigned long major, unsigned long minor,
                            const char *op, size_t op_len, uint64_t value)
{
    jl_json_put_object(w, NULL);
    jl_json_put_u64(w, "major", major);
    jl_json_put_u64(w, "minor", minor);
    jl_json_put_strn(w, "op", op, op_len);
    jl_json_put_u64(w, "value", value);
    jl_json_end(w);
}

/* v1: "8:0 Read 4096" lines. */
static void put_blkio_v1(const struct view *v, const char *key, const char *file)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_MAX);

    jl_json_put_array(v->w, key);
    if (os_cgroup_read_text(v->cg, OS_CG_IO, file, NULL, &text) == 0)
        for (const char *p = text.data; *p >= '0' && *p <= '9'; p += strspn(p, "\n")) {
            unsigned long major = strtoul(p, (char **) &p, 10);
            unsigned long minor = *p == ':' ? strtoul(p + 1, (char **) &p, 10) : 0;
            size_t len;

            p += *p == ' ';
            len = strcspn(p, " \n");
            if (p[len] == ' ')
                put_blkio_entry(v->w, major, minor, p, len, strtoull(p + len + 1, NULL, 10));
            p += strcspn(p, "\n");
        }
    jl_json_end(v->w);
}

/* v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 ..." lines; read and write are picked out. */
static void put_blkio_v2(const struct view *v, const char *key, const char *text,
                         const char *const words[2])
{
    static const char *const ops[] = { "Read", "Write" };

    jl_json_put_array(v->w, key);
    for (const char *p = text; *p >= '0' && *p <= '9'; p += strspn(p, "\n")) {
        const char *end = p + strcspn(p, "\n");
        unsigned long major = strtoul(p, (char **) &p, 10);
        unsigned long minor = *p == ':' ? strtoul(p + 1, (char **) &p, 10) : 0;

        for (size_t i = 0; i < 2; i++) {
            const char *at = strstr(p, words[i]);

            if (at && at < end)
                put_blkio_entry(v->w, major, minor, ops[i], strlen(ops[i]),
                                strtoull(at + strlen(words[i]), NULL, 10));
        }
        p = end;
    }
    jl_json_end(v->w);
}

static void put_blkio(const struct view *v)
{
    static const char *const bytes[] = { " rbytes=", " wbytes=" };
    static const char *const ios[] = { " rios=", " wios=" };
    _buf_ struct jl_buf stat = JL_BUF_INIT(TEXT_MAX);

    jl_json_put_object(v->w, "blkio");
    if (os_cgroup_read_text(v->cg, OS_CG_IO, NULL, "io.stat", &stat) == 0) {
        put_blkio_v2(v, "ioServiceBytesRecursive", stat.data, bytes);
        put_blkio_v2(v, "ioServicedRecursive", stat.data, ios);
    } else {
        put_blkio_v1(v, "ioServiceBytesRecursive", "blkio.throttle.io_service_bytes_recursive");
        put_blkio_v1(v, "ioServicedRecursive", "blkio.throttle.io_serviced_recursive");
    }
    jl_json_end(v->w);
}

/* ---- huge pages ---- */

/* /sys/kernel/mm/hugepages/hugepages-2048kB is "2MB" in the files of the controller. */
static bool page_name(const char *dir, char *name, size_t size)
{
    static const char units[] = "KMGT";
    unsigned long long kb = 0;
    size_t unit = 0;

    if (strncmp(dir, "hugepages-", 10) != 0)
        return false;
    kb = strtoull(dir + 10, NULL, 10);
    while (kb >= 1024 && kb % 1024 == 0 && unit < 3) {
        kb /= 1024;
        unit++;
    }
    snprintf(name, size, "%llu%cB", kb, units[unit]);
    return kb > 0;
}

static void put_hugepage(const struct view *v, const char *name)
{
    char v1[3][64], v2[2][64];

    snprintf(v1[0], sizeof v1[0], "hugetlb.%s.usage_in_bytes", name);
    snprintf(v1[1], sizeof v1[1], "hugetlb.%s.max_usage_in_bytes", name);
    snprintf(v1[2], sizeof v1[2], "hugetlb.%s.failcnt", name);
    snprintf(v2[0], sizeof v2[0], "hugetlb.%s.current", name);
    snprintf(v2[1], sizeof v2[1], "hugetlb.%s.max", name);
    jl_json_put_object(v->w, name);
    put_number(v, "usage", OS_CG_HUGETLB, v1[0], v2[0]);
    put_number(v, "max", OS_CG_HUGETLB, v1[1], v2[1]);
    put_number(v, "failcnt", OS_CG_HUGETLB, v1[2], NULL);
    jl_json_end(v->w);
}

static void put_hugepages(const struct view *v)
{
    _closedir_ DIR *dir = opendir("/sys/kernel/mm/hugepages");
    struct dirent *d;
    char name[32];

    jl_json_put_object(v->w, "hugetlb");
    while (dir && (d = readdir(dir)) != NULL)
        if (page_name(d->d_name, name, sizeof name))
            put_hugepage(v, name);
    jl_json_end(v->w);
}

int rt_usage_json(const struct os_cgroup *cg, const char *id, struct jl_buf *out, struct jl_err *e)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, 0);
    struct view v = { .cg = cg, .w = &w };
    int r;

    w.replace = true;
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "type", "stats");
    jl_json_put_str(&w, "id", id);
    jl_json_put_object(&w, "data");
    put_cpu(&v);
    jl_json_put_object(&w, "cpuset");
    put_set(&v, "cpus", "cpuset.cpus", "cpuset.cpus.effective");
    put_set(&v, "mems", "cpuset.mems", "cpuset.mems.effective");
    jl_json_end(&w);
    put_memory(&v);
    jl_json_put_object(&w, "pids");
    put_number(&v, "current", OS_CG_PIDS, "pids.current", "pids.current");
    put_number(&v, "limit", OS_CG_PIDS, "pids.max", "pids.max");
    jl_json_end(&w);
    put_blkio(&v);
    put_hugepages(&v);
    jl_json_put_object(&w, "intel_rdt");
    jl_json_end(&w);
    jl_json_put_null(&w, "network_interfaces");
    jl_json_end(&w);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(out, '\n');
    return r < 0 ? jl_fail(e, -r, "write the statistics of container '%s'", id) : 0;
}
