/* The file of `exec --process`: what is refused has a sentence; what is accepted has a program, a
 * directory and values within their limits, also when the command line changes it. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "runtime/exec_process.h"
#include "runtime/spec.h"

static void check(const struct oci_process *p)
{
    struct jl_strv warnings = JL_STRV_INIT;
    struct jl_err e = JL_ERR_INIT;
    struct rt_process out;
    int r = rt_process_check(p, "process", &out, &warnings, &e);

    if (r < 0) {
        assert(e.code == -r && strstr(e.text, "process.") == e.text);
    } else {
        assert(p->n_args > 0 && p->args[0][0] != '\0' && p->cwd[0] == '/');
        assert((out.caps.effective & ~out.caps.permitted) == 0);
        assert(out.n_rlimits <= RT_RLIMITS_MAX);
        assert(!out.has_ioprio || out.ioprio_level <= 7);
        assert(!out.has_sched || (out.sched.nice >= -20 && out.sched.priority <= 99));
    }
    jl_strv_clear(&warnings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *args[] = { (char[]){ "true" } };
    struct rt_exec_asked asked = {
        .cwd = "/w", .user = "1:2", .apparmor = "p", .args = args, .n_args = 1
    };
    struct jl_err e = JL_ERR_INIT;
    struct oci_process *p = NULL;
    int r = rt_exec_process_read((const char *) data, len, &p, &e);

    if (r < 0) {
        assert(e.code == -r && e.text[0] != '\0');
        return 0;
    }
    check(p);
    assert(rt_exec_process_edit(&asked, p, &e) == 0);
    assert(p->n_args == 1 && p->user->uid == 1 && p->user->gid == 2);
    check(p);
    oci_process_free(p);
    return 0;
}
