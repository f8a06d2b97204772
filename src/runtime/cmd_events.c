/* cmd_events.c - events: what a container uses, every few seconds, and out of memory at once. */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/parse.h"
#include "os/cgroup_usage.h"
#include "runtime/cmd.h"
#include "runtime/state.h"
#include "runtime/usage.h"

#define EVENT_MAX ((size_t) 8 << 20)
#define LOOK_FOR_NS JL_NS_PER_S
#define LOOK_AGAIN_NS (20 * JL_NS_PER_MS)

struct watching {
    const char *id;
    struct os_cgroup *cg;
    int pidfd;
    int oom; /* -1: nobody tells */
    int oom_events;
    uint64_t oom_kills;
    uint64_t look_until; /* v1 tells before it kills: so the count is looked at for a while */
    uint64_t interval_ns;
};

static int print(const struct jl_buf *out, struct jl_err *e)
{
    int r = jl_write_all(STDOUT_FILENO, out->data, out->len);

    return r < 0 ? jl_fail(e, -r, "write to standard output") : 0;
}

static int print_stats(const struct watching *w, struct jl_err *e)
{
    _buf_ struct jl_buf out = JL_BUF_INIT(EVENT_MAX);
    int r = rt_usage_json(w->cg, w->id, &out, e);

    return r < 0 ? r : print(&out, e);
}

/* A line for each time that it struck since the last look. */
static int print_ooms(struct watching *w, struct jl_err *e)
{
    _buf_ struct jl_buf out = JL_BUF_INIT(EVENT_MAX);
    uint64_t now;
    int r = 0;

    if (os_cgroup_oom_kills(w->cg, &now) < 0)
        return 0;
    for (; w->oom_kills < now && r == 0; w->oom_kills++)
        r = jl_buf_printf(&out, "{\"type\":\"oom\",\"id\":\"%s\"}\n", w->id);
    if (r < 0)
        return jl_fail(e, -r, "write an event");
    return out.len > 0 ? print(&out, e) : 0;
}

static int watch(struct watching *w, struct jl_err *e)
{
    uint64_t next = jl_now_ns() + w->interval_ns;

    for (;;) {
        uint64_t now = jl_now_ns();
        struct pollfd p[] = { { .fd = w->pidfd, .events = POLLIN },
                              { .fd = w->oom, .events = (short) w->oom_events } };
        uint64_t until = now < w->look_until ? now + LOOK_AGAIN_NS : next;
        int wait_ms = until > now ? (int) ((until - now) / JL_NS_PER_MS) + 1 : 0;
        int r = 0;

        if (poll(p, JL_COUNT(p), wait_ms) < 0 && errno != EINTR)
            return jl_fail_sys(e, "poll", NULL, "wait for events of container '%s'", w->id);
        if (p[1].revents & w->oom_events) {
            os_cgroup_oom_seen(w->oom);
            w->look_until = jl_now_ns() + LOOK_FOR_NS;
        } else if (p[1].revents)
            w->oom = -1; /* the group is gone */
        r = print_ooms(w, e);
        if (r < 0 || p[0].revents)
            return r;
        if (jl_now_ns() < next)
            continue;
        next += w->interval_ns;
        r = print_stats(w, e);
        if (r < 0)
            return r;
    }
}

static int start_watching(struct watching *w, struct jl_err *e)
{
    struct jl_err ignored = JL_ERR_INIT;
    _close_ int oom = -1;
    int r;

    os_cgroup_oom_kills(w->cg, &w->oom_kills); /* before: one in between is told at once */
    r = os_cgroup_oom_watch(w->cg, &oom, &ignored);
    /* without a memory controller there is nothing to be told, and no limit to be hit */
    w->oom = oom;
    w->oom_events = r > 0 ? r : 0;
    return watch(w, e);
}

static int parse_interval(const char *text, uint64_t *ret, struct jl_err *e)
{
    if (jl_parse_duration(text, ret) < 0 || *ret < JL_NS_PER_MS || *ret > 86400 * JL_NS_PER_S)
        return jl_refuse(e, EINVAL, "--interval: '%s', allowed are 1ms to 1d (as 5s)", text);
    return 0;
}

int rt_cmd_events(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    struct watching w = { .pidfd = -1, .oom = -1 };
    const char *interval = "5s";
    bool stats = false;
    const struct rt_opt opts[] = {
        { "interval", 0, RT_OPT_TEXT, &interval, "TIME", "between statistics (default 5s)" },
        { "stats", 0, RT_OPT_FLAG, &stats, NULL, "print the statistics once and nothing else" },
    };
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    _close_ int root = -1;
    _close_ int pidfd = -1;
    struct rt_args args;
    int r = rt_cmd_parse("events", opts, JL_COUNT(opts), argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = parse_interval(interval, &w.interval_ns, e);
    if (r == 0)
        r = rt_container_open(ctx, args.items[0], &root, &s, e);
    if (r < 0)
        return r;
    pidfd = w.pidfd = rt_state_pidfd(&s);
    if (pidfd < 0 || rt_state_status(&s, NULL) == RT_STOPPED)
        return jl_refuse(e, ESRCH, "container not running: '%s' is stopped", s.id);
    r = rt_container_group(&s, "events", &w.cg, e);
    if (r < 0)
        return r;
    w.id = s.id;
    r = stats ? print_stats(&w, e) : start_watching(&w, e);
    os_cgroup_free(w.cg);
    return r;
}
