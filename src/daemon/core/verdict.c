/* verdict.c - jd_verdict_of of jobs.h: what an exit record means for its job. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/signame.h"
#include "daemon/core/jobs.h"
#include "ipc/exitrec.h"

#define EXIT_TIMEOUT 124 /* as timeout(1) */
#define EXIT_CANNOT 126  /* as a shell */
#define AT_CWD "process.cwd: "

static void start_error(const struct ipc_exitrec *r, struct jd_verdict *v)
{
    v->outcome = JD_FAILED;
    v->exit_code = r->value;
    if (strncmp(r->error.text, AT_CWD, strlen(AT_CWD)) == 0) { /* --workdir, in the workspace */
        v->exit_code = EXIT_CANNOT;
        snprintf(v->reason, sizeof v->reason, "cannot work in the directory that was asked for: %s",
                 strerror(r->error.code));
        return;
    }
    snprintf(v->reason, sizeof v->reason, "%s",
             r->error.text[0] ? r->error.text : "the runtime could not start the job");
}

static void own_end(const struct ipc_exitrec *r, struct jd_verdict *v)
{
    const char *abbrev;

    v->outcome = v->exit_code == 0 ? JD_COMPLETED : JD_FAILED;
    if (v->outcome == JD_COMPLETED)
        return;
    if (r->oom_kills > 0) {
        snprintf(v->reason, sizeof v->reason, "Job killed due to memory limit");
        return;
    }
    if (r->kind == IPC_EXIT_CODE) {
        snprintf(v->reason, sizeof v->reason, "exited with code %d", (int) r->value);
        return;
    }
    abbrev = jl_signal_abbrev(r->value);
    snprintf(v->reason, sizeof v->reason, "killed by signal %d%s%s%s", (int) r->value,
             abbrev ? " (SIG" : "", abbrev ? abbrev : "", abbrev ? ")" : "");
}

void jd_verdict_of(const struct ipc_exitrec *r, uint64_t time_limit_s, struct jd_verdict *ret)
{
    *ret = (struct jd_verdict){ .exit_code = ipc_exitrec_shell_code(r) };
    if (r->kind == IPC_EXIT_START_ERROR) {
        start_error(r, ret);
        return;
    }
    if (r->timed_out) {
        ret->outcome = JD_TIMEOUT;
        ret->exit_code = EXIT_TIMEOUT;
        snprintf(ret->reason, sizeof ret->reason, "over its time limit of %" PRIu64 " s",
                 time_limit_s);
    } else if (r->stop_requested) {
        ret->outcome = JD_STOPPED;
        snprintf(ret->reason, sizeof ret->reason, "stopped");
    } else {
        own_end(r, ret);
    }
}
