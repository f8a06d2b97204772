/*
 * shim_stuck.c - a job that was to end and does not. SIGKILL does not reach a process that waits in
 * the kernel for a disk, a file server, a frozen group. Nothing can be done about it here, and
 * nothing may be given to others that such a process still has; but whoever waits is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/request.h"
#include "daemon/core/shim_internal.h"
#include "os/cgroup.h"

#define STUCK_NS (10 * JL_NS_PER_S) /* after the SIGKILL */

/* The word in /proc/PID/name; "" when there is none. */
static void read_proc(pid_t pid, const char *name, char *buf, size_t size)
{
    char path[64];
    _close_ int fd = -1;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/%s", (int) pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? 0 : read(fd, buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
}

/* The oldest process of the job that lives; 0: none is known. */
static pid_t first_process(const struct jd_job *j)
{
    struct jd_core *c = j->core;
    struct os_cgroup *cg = NULL;
    struct jl_err e = JL_ERR_INIT;
    _free_ pid_t *pids = NULL;
    char path[4200];
    size_t n = 0;

    snprintf(path, sizeof path, "%s/job-%s", c->conf.cgroup_path, j->rec.id);
    if (os_cgroup_open(&c->cg_host, path, &cg, &e) == 0 && os_cgroup_pids(cg, &pids, &n, &e) < 0)
        n = 0;
    os_cgroup_free(cg);
    return n > 0 ? pids[0] : 0;
}

static void explain(const struct jd_job *j, char *buf, size_t size)
{
    pid_t pid = first_process(j);
    char name[32] = "", where[64] = "";

    if (pid == 0) {
        snprintf(buf, size, "unresponsive: its supervisor does not answer");
        return;
    }
    read_proc(pid, "comm", name, sizeof name);
    read_proc(pid, "wchan", where, sizeof where);
    snprintf(buf, size, "unkillable: the kernel holds process %d (%s)%s%s", (int) pid, name,
             where[0] && strcmp(where, "0") != 0 ? " in " : "",
             where[0] && strcmp(where, "0") != 0 ? where : "");
}

static int on_stuck(struct jl_timer *t)
{
    struct jd_job *j = JL_CONTAINER(t, struct jd_shim, stuck)->job;
    struct jl_err e = JL_ERR_INIT;
    char why[160];

    explain(j, why, sizeof why);
    jl_log_warn("job.stuck", "job=%s %s", j->rec.id, why);
    jd_record_tell(&j->rec.reason, why);
    while (j->waiters) {
        struct jd_call *call = j->waiters;

        j->waiters = call->next;
        jl_refuse(&e, EBUSY, "job %s is %s: %s", j->rec.id, j->rec.status, why);
        jl_hint(&e, "it ends as soon as the kernel lets go: look for a disk or file server that "
                    "does not answer");
        jd_reply_error(call, &e);
        free(call);
    }
    return 0;
}

void jd_shim_expect_end(struct jd_shim *s)
{
    jl_loop_arm(jd_shim_core(s)->loop, &s->stuck,
                jl_now_ns() + jd_shim_grace_ms(s->job) * JL_NS_PER_MS + STUCK_NS, on_stuck);
}
