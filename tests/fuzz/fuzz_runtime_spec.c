/* joblet-run's configuration: what is refused has a sentence; what is accepted has a plan that
 * begins with the record and ends with the program, and prints one line a step. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/plan.h"
#include "runtime/spec.h"
#include "runtime/unit.h"

static void check_plan(const struct rt_spec *s, const struct rt_plan_opts *opts)
{
    _buf_ struct jl_buf out = JL_BUF_INIT((size_t) 64 << 20);
    struct jl_err e = JL_ERR_INIT;
    struct rt_plan plan;
    size_t lines = 0;

    assert(rt_plan_build(s, opts, &plan, &e) == 0);
    assert(plan.n > 2 && plan.steps[0].op == RT_OP_RECORD);
    assert(plan.steps[plan.n - 1].op == RT_OP_EXEC);
    assert(rt_plan_print(&plan, s, opts, &out) == 0);
    for (size_t i = 0; i < out.len; i++)
        lines += out.data[i] == '\n';
    assert(lines >= plan.n); /* a path may hold a newline */
    rt_plan_clear(&plan);
}

/* What is accepted becomes a request of one line. */
static void check_unit(const struct rt_spec *s)
{
    _buf_ struct jl_buf out = JL_BUF_INIT((size_t) 64 << 20);
    struct jl_err e = JL_ERR_INIT;
    struct rt_unit u;

    if (rt_unit_name(s->oci->linux->cgroups_path, "id", false, &u, &e) < 0 ||
        rt_unit_check_annotations(s, &e) < 0)
        return;
    if (rt_unit_request("start", &u, s, &s->limits, &out, &e) < 0)
        return; /* what is no UTF-8 can't go over the bus */
    assert(strchr(out.data, '\n') == out.data + out.len - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct rt_plan_opts run = { .cgroup = "g" },
                        create = { .wait_for_start = true, .open_inside = true };
    struct jl_err e = JL_ERR_INIT;
    struct rt_spec *s = NULL;
    int r = rt_spec_from_text("/bundle", (const char *) data, len, &s, &e);

    if (r < 0) {
        assert(e.code == -r && strstr(e.text, "config.json") == e.text);
        return 0;
    }
    check_plan(s, &run);
    check_plan(s, &create);
    check_unit(s);
    rt_spec_free(s);
    return 0;
}
