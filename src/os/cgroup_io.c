/* cgroup_io.c - block devices: weights and throttles. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

/* io.weight has 1 to 10000 for OCI's 10 to 1000. The BFQ scheduler's own file, io.bfq.weight, kept
 * v1's scale and takes the number as it is. */
uint64_t os_cgroup_io_weight(uint16_t weight)
{
    return 1 + (uint64_t) (weight - 10) * 9999 / 990;
}

static int check_weight(unsigned weight, struct jl_err *e)
{
    if (weight >= 10 && weight <= 1000)
        return 0;
    return jl_refuse(e, EINVAL, "block io weight %u: 10 to 1000 are allowed", weight);
}

/*
 * The value of one device in a file of "8:0 100" or "8:0 rbps=1 wbps=max ..." lines; `word` is the
 * "rbps=", or "" for the former. found holds 32. False when there is none.
 */
static bool device_value(const char *text, unsigned major, unsigned minor, const char *word,
                         char *found)
{
    char device[32];
    size_t len = (size_t) snprintf(device, sizeof device, "%u:%u ", major, minor);

    for (const char *line = text; *line != '\0'; line += strspn(line, "\n")) {
        const char *end = line + strcspn(line, "\n");

        if (strncmp(line, device, len) == 0) {
            for (const char *p = line + len; p < end; p += strspn(p, " ")) {
                size_t n = strcspn(p, " \n");

                if (strncmp(p, word, strlen(word)) == 0 && n - strlen(word) < 32) {
                    memcpy(found, p + strlen(word), n - strlen(word));
                    found[n - strlen(word)] = '\0';
                    return true;
                }
                p += n;
            }
        }
        line = end;
    }
    return false;
}

/* Sets one device's value. rate 0 is v1's way to take a limit away. */
static int put_device(const struct cg_place *p, const char *file, unsigned major, unsigned minor,
                      const char *word, uint64_t value, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(1u << 20);
    bool lift = value == 0;
    char line[96], number[32], found[32];
    int r;

    if (lift && p->v2)
        snprintf(number, sizeof number, "max");
    else
        snprintf(number, sizeof number, "%llu", (unsigned long long) value);
    snprintf(line, sizeof line, "%u:%u %s%s", major, minor, word, number);
    r = cg_put(p, file, line, e);
    if (r == -ENODEV || r == -ENXIO)
        jl_hint(e,
                "there is no whole disk %u:%u on this host (partitions can't be limited; "
                "lsblk shows the numbers)",
                major, minor);
    if (r == -EOPNOTSUPP)
        jl_hint(e, "that disk's scheduler does not weigh: echo bfq to its queue/scheduler in "
                   "/sys/block");
    if (r < 0)
        return r;
    r = jl_read_file_at(p->fd, file, &text, e);
    if (r < 0)
        return r;
    if (!device_value(text.data ? text.data : "", major, minor, word, found))
        snprintf(found, sizeof found, "%s", lift ? number : "nothing");
    return strcmp(found, number) == 0 ? 0 : cg_fail_readback(p, file, line, found, e);
}

static int apply_rates(const struct cg_place *p, const char *v1_file, const char *v2_word,
                       const struct os_cgroup_device_rate *rate, size_t n, struct jl_err *e)
{
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++)
        r = put_device(p, p->v2 ? "io.max" : v1_file, rate[i].major, rate[i].minor,
                       p->v2 ? v2_word : "", rate[i].rate, e);
    return r;
}

/* The files that can hold a weight, and whether OCI's number goes in as it is. BFQ and blk-iocost
 * can both be at work, for different disks. */
static const struct weight_file {
    bool v2;
    const char *file;
    const char *device_file;
    bool convert;
} weight_files[] = {
    { false, "blkio.weight", "blkio.weight_device", false },
    { false, "blkio.bfq.weight", "blkio.bfq.weight_device", false },
    { true, "io.bfq.weight", "io.bfq.weight", false },
    { true, "io.weight", "io.weight", true },
};

static int refuse_weight(const struct cg_place *p, struct jl_err *e)
{
    jl_refuse(e, ENOTSUP,
              "a block io weight was asked for, but this kernel has no file for it in "
              "cgroup %s",
              p->path);
    return jl_hint(e, p->v2 ? "it needs the bfq scheduler (modprobe bfq) or blk-iocost"
                            : "it needs the bfq or cfq scheduler (modprobe bfq)");
}

/* "default 100" in v2, "100" in v1. */
static int put_default_weight(const struct cg_place *p, const struct weight_file *w,
                              uint64_t weight, struct jl_err *e)
{
    char text[48], found[4096];
    uint64_t is = 0;
    ssize_t n;
    int r;

    if (!w->v2)
        return cg_put_number(p, w->file, (int64_t) weight, "max", 1, e);
    snprintf(text, sizeof text, "default %llu", (unsigned long long) weight);
    r = cg_put(p, w->file, text, e);
    if (r < 0)
        return r;
    n = cg_read(p->fd, w->file, found, sizeof found);
    if (n < 0)
        return jl_fail(e, (int) -n, "read back %s of cgroup %s", w->file, p->path);
    if (cg_text_key(found, "default", &is) < 0 || is != weight)
        return cg_fail_readback(p, w->file, text, found, e);
    return 0;
}

static int apply_weight(const struct cg_place *p, uint16_t weight, struct jl_err *e)
{
    bool any = false;
    int r = check_weight(weight, e);

    for (size_t i = 0; i < JL_COUNT(weight_files) && r == 0; i++) {
        const struct weight_file *w = &weight_files[i];

        if (w->v2 != p->v2 || !cg_has_file(p->fd, w->file))
            continue;
        any = true;
        r = put_default_weight(p, w, w->convert ? os_cgroup_io_weight(weight) : weight, e);
    }
    return r < 0 || any ? r : refuse_weight(p, e);
}

/* A disk has one scheduler, and so one of the files takes it; the error is the last one's. */
static int apply_device_weight(const struct cg_place *p, const struct os_cgroup_device_weight *dw,
                               struct jl_err *e)
{
    bool any = false;
    int r = check_weight(dw->weight, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < JL_COUNT(weight_files); i++) {
        const struct weight_file *w = &weight_files[i];

        if (w->v2 != p->v2 || !cg_has_file(p->fd, w->device_file))
            continue;
        any = true;
        r = put_device(p, w->device_file, dw->major, dw->minor, "",
                       w->convert ? os_cgroup_io_weight(dw->weight) : dw->weight, e);
        if (r == 0)
            return 0;
    }
    return any ? r : refuse_weight(p, e);
}

int cg_apply_io(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e)
{
    struct cg_place p;
    int r;

    if (!l->has_io_weight &&
        l->n_io_weight_device + l->n_io_rbps + l->n_io_wbps + l->n_io_riops + l->n_io_wiops == 0)
        return 0;
    r = cg_place(cg, OS_CG_IO, "a limit of block io", &p, e);
    if (r == 0 && l->has_io_weight)
        r = apply_weight(&p, l->io_weight, e);
    for (size_t i = 0; i < l->n_io_weight_device && r == 0; i++)
        r = apply_device_weight(&p, &l->io_weight_device[i], e);
    if (r == 0)
        r = apply_rates(&p, "blkio.throttle.read_bps_device", "rbps=", l->io_rbps, l->n_io_rbps, e);
    if (r == 0)
        r = apply_rates(&p, "blkio.throttle.write_bps_device", "wbps=", l->io_wbps, l->n_io_wbps,
                        e);
    if (r == 0)
        r = apply_rates(&p, "blkio.throttle.read_iops_device", "riops=", l->io_riops, l->n_io_riops,
                        e);
    if (r == 0)
        r = apply_rates(&p, "blkio.throttle.write_iops_device", "wiops=", l->io_wiops,
                        l->n_io_wiops, e);
    return r;
}
