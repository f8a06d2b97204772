/*
 * cmd_gc.c - gc: removes what nobody deleted. It takes each container's lock and looks again under
 * it, so that one that is alive, being made or being deleted is never touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"
#include "os/cgroup.h"
#include "os/pidfd.h"
#include "runtime/cmd.h"
#include "runtime/launch.h"
#include "runtime/state.h"

#define OUTPUT_MAX ((size_t) 16 << 20)
#define HALF_MADE_NS (10 * JL_NS_PER_S) /* between the directory and its lock: far less than that */

struct collecting {
    int root;
    uint64_t older_ns;
    bool dry_run;
    struct jl_json_out *w;
    size_t failed;
};

/*
 * When somebody last had to do with it, 1970 ns: it was made, started (the directory changes then)
 * or, where that was recorded, it ended. The end itself is not known otherwise.
 */
static uint64_t last_touched(const struct rt_state *s)
{
    uint64_t at = 0, other;
    struct stat st;

    if (s->created)
        jl_parse_rfc3339(s->created, &at);
    if (s->finished && jl_parse_rfc3339(s->finished, &other) == 0 && other > at)
        at = other;
    if (fstat(s->dirfd, &st) == 0) {
        other = (uint64_t) st.st_ctim.tv_sec * JL_NS_PER_S + (uint64_t) st.st_ctim.tv_nsec;
        at = other > at ? other : at;
    }
    return at;
}

/* Whether its first process is there still, and how, or NULL. What can't be looked at is not taken
 * for gone: e is filled then. */
static const char *reason_of_process(const struct rt_state *s, struct jl_err *e)
{
    uint64_t ticks;
    char letter;
    int r = os_pid_stat(s->pid, &ticks, &letter);

    if (r == -ESRCH || (r == 0 && ticks != s->start_ticks))
        return NULL;
    if (r < 0)
        jl_fail(e, -r, "look at the first process (%d) of container '%s'", (int) s->pid, s->id);
    /* a zombie: an engine that goes on will wait for it */
    return r == 0 && letter == 'Z' ? "its parent has not waited for it" : "alive";
}

/* Why it is left alone, or NULL; *ret_what names what it is. The lock is held. */
static const char *reason_to_keep(const struct collecting *c, const struct rt_state *s,
                                  const char **ret_what, struct jl_err *e)
{
    uint64_t now = jl_wall_ns(), at = last_touched(s), age = now > at ? now - at : 0;
    bool half_made = s->pid <= 0;
    const char *reason = half_made ? NULL : reason_of_process(s, e);

    *ret_what = half_made ? "half-made" : "stopped";
    if (!reason && age < (half_made ? HALF_MADE_NS : c->older_ns))
        reason = "young";
    return reason;
}

static void tell(const struct collecting *c, const char *id, const char *what, const char *result,
                 const struct jl_err *e)
{
    if (!c->w) {
        if (e)
            dprintf(STDERR_FILENO, "joblet-run: %s: %s\n", id, e->text);
        else
            dprintf(STDOUT_FILENO, "%s: %s, %s\n", id, what, result);
        return;
    }
    jl_json_put_object(c->w, NULL);
    jl_json_put_str(c->w, "id", id);
    jl_json_put_str(c->w, "what", what);
    jl_json_put_str(c->w, "result", result);
    if (e)
        jl_json_put_str(c->w, "error", e->text);
    jl_json_end(c->w);
}

static void collect_one(struct collecting *c, const char *id)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    struct jl_err e = JL_ERR_INIT;
    const char *what = "unreadable";
    int r = rt_state_open_locked(c->root, id, 0, &s, &e);

    if (r == -EBUSY || r == -ENOENT) /* somebody does something with it, or did */
        return;
    if (r == 0) {
        if (reason_to_keep(c, &s, &what, &e) && e.code == 0)
            return;
        if (e.code != 0)
            r = -e.code;
        else if (!c->dry_run)
            r = rt_destroy(c->root, &s, NULL, &e);
    }
    if (r < 0) {
        c->failed++;
        tell(c, id, what, "failed", &e);
        return;
    }
    if (e.code != 0) /* a poststop hook failed; it is gone all the same */
        dprintf(STDERR_FILENO, "joblet-run: warning: %s\n", e.text);
    tell(c, id, what, c->dry_run ? "would be removed" : "removed", NULL);
}

static int collect(struct collecting *c, bool json, struct jl_err *e)
{
    _strv_ struct jl_strv ids = JL_STRV_INIT;
    _buf_ struct jl_buf out = JL_BUF_INIT(OUTPUT_MAX);
    struct jl_json_out w = JL_JSON_OUT_INIT(&out, 0);
    int r = c->root < 0 ? 0 : rt_state_list(c->root, &ids, e);

    if (r < 0)
        return r;
    w.replace = true;
    c->w = json ? &w : NULL;
    jl_json_put_array(&w, NULL);
    for (size_t i = 0; i < ids.len; i++)
        collect_one(c, ids.items[i]);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0 && json)
        r = jl_buf_putc(&out, '\n');
    if (r == 0 && json)
        r = jl_write_all(STDOUT_FILENO, out.data, out.len);
    return r < 0 ? jl_fail(e, -r, "write what was removed") : 0;
}

int rt_cmd_gc(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    struct collecting c = { .root = -1 };
    const char *older = "24h";
    bool json = false;
    const struct rt_opt opts[] = {
        { "dry-run", 'n', RT_OPT_FLAG, &c.dry_run, NULL, "only tell what would be removed" },
        { "json", 0, RT_OPT_FLAG, &json, NULL, "tell it as JSON" },
        { "older-than", 0, RT_OPT_TEXT, &older, "TIME",
          "stopped ones since they were made or started (default 24h)" },
    };
    struct rt_args args;
    int r = rt_cmd_parse("gc", opts, JL_COUNT(opts), argc, argv, 0, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (jl_parse_duration(older, &c.older_ns) < 0)
        return jl_refuse(e, EINVAL, "--older-than: '%s' is no time, such as 0, 30m, 24h, 7d",
                         older);
    c.root = rt_state_root_open(ctx->root, false, e);
    if (c.root < 0 && c.root != -ENOENT)
        return c.root;
    jl_err_clear(e);
    r = collect(&c, json, e);
    jl_close(c.root);
    if (r == 0 && c.failed > 0)
        return jl_refuse(e, EBUSY, "gc: %zu could not be removed", c.failed);
    return r;
}
