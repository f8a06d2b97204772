/* cmd_show.c - state, list, plan: verbs that only look. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/strv.h"
#include "os/cgroup.h"
#include "runtime/cmd.h"
#include "runtime/ending.h"
#include "runtime/launch.h"
#include "runtime/plan.h"
#include "runtime/spec.h"
#include "runtime/state.h"

#define OUTPUT_MAX ((size_t) 64 << 20)

static int print(const struct jl_buf *out, struct jl_err *e)
{
    if (out->len > 0 && fwrite(out->data, 1, out->len, stdout) != out->len)
        return jl_fail_sys(e, "write", NULL, "write to standard output");
    if (fflush(stdout) != 0)
        return jl_fail_sys(e, "write", NULL, "write to standard output");
    return 0;
}

/* Needed to tell paused from running; a host without groups has nothing paused. */
static const struct os_cgroup_host *read_host(struct os_cgroup_host *host)
{
    struct jl_err ignored = JL_ERR_INIT;

    return os_cgroup_host_read(host, &ignored) == 0 ? host : NULL;
}

int rt_cmd_state(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    _buf_ struct jl_buf out = JL_BUF_INIT(OUTPUT_MAX);
    struct os_cgroup_host host;
    _close_ int root = -1;
    struct rt_args args;
    int r = rt_cmd_parse("state", NULL, 0, argc, argv, 1, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    root = rt_state_root_open(ctx->root, false, e);
    if (root < 0 && root != -ENOENT)
        return root;
    jl_err_clear(e);
    r = rt_state_open(root, args.items[0], &s, e);
    if (r == 0) {
        enum rt_status status = rt_state_status(&s, read_host(&host));

        if (status == RT_STOPPED)
            rt_ending_learn(&s, -1);
        r = rt_state_json(&s, status, true, &out, e);
    }
    if (r == 0)
        r = jl_buf_putc(&out, '\n') < 0 ? jl_fail(e, ENOMEM, "state") : print(&out, e);
    return r;
}

struct row {
    struct rt_state s;
    enum rt_status status;
};

static void list_table(struct jl_buf *out, const struct row *rows, size_t n)
{
    int id_width = 2, bundle_width = 6;

    for (size_t i = 0; i < n; i++) {
        int id = (int) strlen(rows[i].s.id);
        int bundle = rows[i].s.bundle ? (int) strlen(rows[i].s.bundle) : 0;

        id_width = id > id_width ? id : id_width;
        bundle_width = bundle > bundle_width ? bundle : bundle_width;
    }
    jl_buf_printf(out, "%-*s  %-8s  %-8s  %-*s  %-30s  %s\n", id_width, "ID", "PID", "STATUS",
                  bundle_width, "BUNDLE", "CREATED", "OWNER");
    for (size_t i = 0; i < n; i++) {
        const struct rt_state *s = &rows[i].s;

        jl_buf_printf(out, "%-*s  %-8d  %-8s  %-*s  %-30s  ", id_width, s->id,
                      rows[i].status == RT_STOPPED ? 0 : (int) s->pid,
                      rt_status_name(rows[i].status), bundle_width, s->bundle ? s->bundle : "",
                      s->created ? s->created : "");
        /* No look-up of names: a static program would need the host's modules for it. */
        jl_buf_printf(out, s->owner == 0 ? "root\n" : "#%u\n", s->owner);
    }
}

static int list_json(struct jl_buf *out, const struct row *rows, size_t n, struct jl_err *e)
{
    int r = jl_buf_putc(out, '[');

    for (size_t i = 0; i < n && r == 0; i++) {
        _buf_ struct jl_buf one = JL_BUF_INIT(OUTPUT_MAX);

        r = rt_state_json(&rows[i].s, rows[i].status, true, &one, e);
        if (r < 0)
            return r;
        r = jl_buf_printf(out, "%s%s", i > 0 ? "," : "", one.data);
    }
    if (r == 0)
        r = jl_buf_puts(out, "]\n");
    return r < 0 ? jl_fail(e, -r, "list") : 0;
}

static int list(int root, const char *format, bool quiet, struct jl_buf *out, struct jl_err *e)
{
    _strv_ struct jl_strv ids = JL_STRV_INIT;
    struct os_cgroup_host host;
    const struct os_cgroup_host *h = NULL;
    struct row *rows;
    size_t n = 0;
    int r = root < 0 ? 0 : rt_state_list(root, &ids, e);

    if (r < 0)
        return r;
    if (ids.len > 0 && !quiet)
        h = read_host(&host);
    rows = calloc(ids.len + 1, sizeof *rows);
    if (!rows)
        return jl_fail(e, ENOMEM, "list");
    for (size_t i = 0; i < ids.len; i++) {
        struct jl_err gone = JL_ERR_INIT;

        /* One that was deleted meanwhile, or is damaged, must not hide the others. */
        if (rt_state_open(root, ids.items[i], &rows[n].s, &gone) < 0) {
            if (gone.code != ENOENT)
                fprintf(stderr, "joblet-run: warning: %s\n", gone.text);
            rt_state_clear(&rows[n].s);
            continue;
        }
        rows[n].status = quiet ? RT_RUNNING : rt_state_status(&rows[n].s, h);
        if (rows[n].status == RT_STOPPED)
            rt_ending_learn(&rows[n].s, -1);
        n++;
    }
    if (quiet)
        for (size_t i = 0; i < n; i++)
            jl_buf_printf(out, "%s\n", rows[i].s.id);
    else if (strcmp(format, "json") == 0)
        r = list_json(out, rows, n, e);
    else
        list_table(out, rows, n);
    for (size_t i = 0; i < n; i++)
        rt_state_clear(&rows[i].s);
    free(rows);
    return r;
}

int rt_cmd_list(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    const char *format = "table";
    bool quiet = false;
    const struct rt_opt opts[] = {
        { "format", 'f', RT_OPT_TEXT, &format, "FORMAT", "table or json" },
        { "quiet", 'q', RT_OPT_FLAG, &quiet, NULL, "ids only" },
    };
    _buf_ struct jl_buf out = JL_BUF_INIT(OUTPUT_MAX);
    _close_ int root = -1;
    struct rt_args args;
    int r = rt_cmd_parse("list", opts, JL_COUNT(opts), argc, argv, 0, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
        return jl_refuse(e, EINVAL, "--format: '%s', allowed are table and json", format);
    root = rt_state_root_open(ctx->root, false, e);
    if (root < 0 && root != -ENOENT)
        return root;
    jl_err_clear(e);
    /* no root: nothing was ever made here */
    r = list(root, format, quiet, &out, e);
    return r < 0 ? r : print(&out, e);
}

static int plan_unit(const struct rt_spec *spec, struct rt_unit *ret, struct jl_err *e)
{
    struct os_cgroup_host host;
    int r = os_cgroup_host_read(&host, e);

    if (r == 0)
        r = rt_unit_name(spec->oci->linux->cgroups_path, "ID", rt_unit_is_users(), ret, e);
    if (r == 0)
        ret->v1 = rt_unit_is_v1(&host);
    return r;
}

int rt_cmd_plan(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    bool create = false, strict = false;
    const char *bundle = ".", *config = NULL;
    const struct rt_opt opts[] = {
        { "bundle", 'b', RT_OPT_TEXT, &bundle, "DIR", "the bundle (default: working directory)" },
        { "config", 'f', RT_OPT_TEXT, &config, "FILE", "instead of the bundle's config.json" },
        { "create", 0, RT_OPT_FLAG, &create, NULL, "for create instead of run" },
        { "strict", 0, RT_OPT_FLAG, &strict, NULL, "refuse keys that the specification has not" },
    };
    _rt_spec_ struct rt_spec *spec = NULL;
    _buf_ struct jl_buf out = JL_BUF_INIT(OUTPUT_MAX);
    _free_ char *cgroup = NULL;
    struct rt_unit unit;
    struct rt_plan_opts po = { 0 };
    struct rt_plan plan = { 0 };
    struct rt_args args;
    int r = rt_cmd_parse("plan", opts, JL_COUNT(opts), argc, argv, 0, false, &args, e);

    if (r != 0)
        return r < 0 ? r : 0;
    r = rt_spec_load(args.n > 0 ? args.items[0] : bundle, config, &spec, e);
    if (r == 0 && strict)
        r = rt_check_strict(spec, e);
    if (r == 0)
        r = ctx->systemd_cgroup ? plan_unit(spec, &unit, e)
                                : rt_cgroup_path(spec, "ID", &cgroup, e);
    if (r < 0)
        return r;
    rt_warn_all(ctx, &spec->warnings);
    po.wait_for_start = create;
    po.cgroup = cgroup;
    po.unit = ctx->systemd_cgroup ? &unit : NULL;
    r = rt_plan_build(spec, &po, &plan, e);
    if (r < 0)
        return r;
    r = rt_plan_print(&plan, spec, &po, &out);
    rt_plan_clear(&plan);
    return r < 0 ? jl_fail(e, -r, "print the plan") : print(&out, e);
}
