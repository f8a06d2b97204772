/*
 * ending.c - see shim.h: from the death of the job's PID 1 to the last message.
 *
 * The order is what others rely on. First nothing is left of the job: its cgroup is killed and
 * empty, its output is read. Then the log is complete and on disk, then the record. Only then the
 * runtime is told to forget the container, and only then the daemon hears DONE. A shim that is
 * killed before the record leaves none, and the job is lost, never "0"; one that is killed after
 * it leaves a container without processes, which `RUNTIME delete --force` (the daemon calls it
 * when a shim is gone without DONE) clears away.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "os/cgroup.h"
#include "shim/initreport.h"
#include "shim/runtime_call.h"

#define EMPTY_WITHIN_NS (10 * JL_NS_PER_S)
#define DELETE_WITHIN_NS (30 * JL_NS_PER_S)
#define POLL_MAX_NS (50 * JL_NS_PER_MS)
#define PUBLISH_TRIES 50
#define PUBLISH_PAUSE_NS (100 * JL_NS_PER_MS)

static const char oom_note[] = "Job killed due to memory limit\n";

/* The exit record, with patience: a disk may be full for a moment. */
static int publish(struct sh_shim *sh, struct jl_err *e)
{
    for (int i = 0;; i++) {
        if (sh_record_publish(&sh->record, &sh->rec, e) == 0)
            return 0;
        if (i == PUBLISH_TRIES)
            return -e->code;
        jl_sleep_ns(PUBLISH_PAUSE_NS);
    }
}

/*
 * The state directory goes with the machine's memory when it is in /run. As long as the daemon that
 * started us lives it takes the end over into its database at once; when it is gone a second copy
 * of the record lies beside the log, for a loss of power before anybody has read the first.
 */
static void keep(struct sh_shim *sh)
{
    _close_ int dirfd = -1;
    struct sh_record copy = SH_RECORD_INIT;
    struct statfs fs;
    struct jl_err e;

    if (sh->parent == getppid() || fstatfs(sh->state_dirfd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return;
    dirfd = open(sh->opt->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        jl_fail_sys(&e, "open", sh->opt->log_dir, "keep the exit record");
    if (dirfd < 0 || sh_record_prepare(&copy, dirfd, &e) < 0 ||
        sh_record_publish(&copy, &sh->rec, &e) < 0)
        sh_shim_warn(sh, &e, "record.keep");
    jl_close(copy.fd);
}

static int finish(struct sh_shim *sh, int exit_code)
{
    sh->finished = true;
    return jl_loop_stop(sh->loop, exit_code);
}

/* Everything is done: the last message, and out. */
static int tell_end(struct sh_shim *sh)
{
    sh_shim_enter(sh, sh->rec.started_wall_ns == 0 ? IPC_SHIM_FAILED : IPC_SHIM_DONE);
    sh_control_close(&sh->control);
    return finish(sh, 0);
}

static int on_delete_slow(struct jl_timer *timer)
{
    struct sh_shim *sh = JL_CONTAINER(timer, struct sh_shim, end_timer);

    if (sh->runtime_pid > 0)
        kill(sh->runtime_pid, SIGKILL); /* its end comes as any other */
    return 0;
}

/* The log is complete, so is the record: publish, and let the runtime clear away. */
static int conclude(struct sh_shim *sh)
{
    struct jl_err e;

    if (sh_log_finish(&sh->log, &e) < 0)
        sh_shim_warn(sh, &e, "log.finish");
    sh->rec.log_bytes = sh_log_bytes(&sh->log);
    sh->rec.log_dropped_bytes = sh->log.dropped_bytes;
    sh_log_close(&sh->log);
    if (publish(sh, &e) < 0) {
        sh_shim_warn(sh, &e, "record.publish");
        return finish(sh, 1); /* what is not on disk is not told */
    }
    keep(sh);
    if (sh_runtime_delete(sh->opt, &sh->runtime_pid, &e) < 0) {
        sh_shim_warn(sh, &e, "runtime.delete");
        return tell_end(sh);
    }
    jl_loop_arm(sh->loop, &sh->end_timer, jl_now_ns() + DELETE_WITHIN_NS, on_delete_slow);
    return 0;
}

int sh_end_deleted(struct sh_shim *sh, const siginfo_t *si)
{
    struct jl_err e;

    jl_loop_disarm(sh->loop, &sh->end_timer);
    if (si->si_code != CLD_EXITED || si->si_status != 0) {
        jl_refuse(&e, EIO, "the runtime's delete ended with %s %d; see " SH_RUNTIME_LOG,
                  si->si_code == CLD_EXITED ? "code" : "signal", si->si_status);
        sh_shim_warn(sh, &e, "runtime.delete");
    }
    return tell_end(sh);
}

/* The counters of the cgroup; read after the last process is gone and before the cgroup is. */
static void read_counters(struct sh_shim *sh)
{
    struct ipc_exitrec *rec = &sh->rec;
    struct os_cgroup_stat st = { 0 };
    bool killed = (rec->kind == IPC_EXIT_SIGNAL && rec->value == SIGKILL) ||
                  (rec->kind == IPC_EXIT_CODE && rec->value == 128 + SIGKILL);

    if (!sh->cg)
        return;
    os_cgroup_oom_kills(sh->cg, &rec->oom_kills);
    os_cgroup_stat_read(sh->cg, &st);
    rec->cpu_user_us = st.cpu_user_us;
    rec->cpu_system_us = st.cpu_system_us;
    rec->memory_peak = st.memory_peak;
    rec->io_read_bytes = st.io_read_bytes;
    rec->io_write_bytes = st.io_write_bytes;
    rec->pids_peak = st.pids_peak;
    rec->psi_cpu_some_us = st.psi_cpu_some_us;
    rec->psi_memory_some_us = st.psi_memory_some_us;
    rec->psi_io_some_us = st.psi_io_some_us;
    os_cgroup_free(sh->cg);
    sh->cg = NULL;
    if (rec->oom_kills > 0 && killed)
        sh_log_append(&sh->log, IPC_LOG_NOTE, oom_note, sizeof oom_note - 1);
}

/* Instead of the output that there is none of; what the runtime printed is not the job's. */
static void note_failure(struct sh_shim *sh)
{
    char note[sizeof sh->rec.error.text + 64];
    int n = snprintf(note, sizeof note, "joblet: could not start: %s\n", sh->rec.error.text);

    if (n > 0 && (size_t) n < sizeof note)
        sh_log_append(&sh->log, IPC_LOG_NOTE, note, (size_t) n);
}

static int when_empty(struct jl_timer *timer);

/*
 * Goes on once no process of the job is left; until then kills and asks again. A process that
 * does not die (a dead disk or file server holds it) can't keep the end from being told: after
 * ten seconds we go on without it, and the runtime's delete reports what it could not remove.
 */
static int end_when_quiet(struct sh_shim *sh)
{
    struct jl_err e;
    int r = sh->cg ? os_cgroup_wait_empty(sh->cg, 0, &e) : 0;
    uint64_t now = jl_now_ns(), pause = JL_NS_PER_MS << (sh->end_tries < 6 ? sh->end_tries : 6);

    if (r == 1 && now < sh->end_deadline_ns) {
        sh->end_tries++;
        if (sh->end_tries > 1)
            sh_shim_kill(sh);
        jl_loop_arm(sh->loop, &sh->end_timer, now + (pause < POLL_MAX_NS ? pause : POLL_MAX_NS),
                    when_empty);
        return 0;
    }
    if (r == 1)
        jl_refuse(&e, EBUSY, "processes of the job do not die; going on without them");
    if (r != 0)
        sh_shim_warn(sh, &e, "cgroup.empty");
    if (sh->rec.kind == IPC_EXIT_START_ERROR)
        sh->io.discard = true;
    sh_stdio_drain(&sh->io);
    read_counters(sh);
    if (sh->rec.kind == IPC_EXIT_START_ERROR)
        note_failure(sh);
    sh_initreport_take(sh->report_fd, &sh->rec);
    return conclude(sh);
}

static int when_empty(struct jl_timer *timer)
{
    return end_when_quiet(JL_CONTAINER(timer, struct sh_shim, end_timer));
}

/* Nothing more is to come from requests and limits. */
static int begin(struct sh_shim *sh)
{
    jl_loop_disarm(sh->loop, &sh->limit_timer);
    jl_loop_disarm(sh->loop, &sh->stop_timer);
    jl_loop_disarm(sh->loop, &sh->again_timer);
    sh->rec.ended_wall_ns = jl_wall_ns();
    sh->end_deadline_ns = jl_now_ns() + EMPTY_WITHIN_NS;
    sh->init_pid = 0;
    sh_shim_kill(sh);
    return end_when_quiet(sh);
}

int sh_end_begin(struct sh_shim *sh, const siginfo_t *si)
{
    sh->rec.kind = si->si_code == CLD_EXITED ? IPC_EXIT_CODE : IPC_EXIT_SIGNAL;
    sh->rec.value = si->si_status;
    sh->rec.core_dumped = si->si_code == CLD_DUMPED;
    sh_shim_enter(sh, IPC_SHIM_ENDING);
    return begin(sh);
}

int sh_end_failed(struct sh_shim *sh, const struct jl_err *e, int code)
{
    sh->rec.kind = IPC_EXIT_START_ERROR;
    sh->rec.value = code;
    sh->rec.error = *e;
    sh->phase = IPC_SHIM_ENDING; /* told as FAILED, when the record is there */
    return begin(sh);
}

/* Nothing is left to find: who started us is told on the spot, if he listens. */
static int end_without_record(const struct sh_shim *sh, const struct jl_err *e)
{
    if (sh->sync_fd >= 0)
        dprintf(sh->sync_fd, "%d %s\n", e->code, e->text);
    return 1;
}

int sh_end_early(struct sh_shim *sh, const struct jl_err *e)
{
    struct jl_err again;

    if (sh->record.fd < 0)
        return end_without_record(sh, e);
    sh->rec.kind = IPC_EXIT_START_ERROR;
    sh->rec.value = 1;
    sh->rec.error = *e;
    sh->rec.ended_wall_ns = jl_wall_ns();
    if (sh_record_publish(&sh->record, &sh->rec, &again) < 0)
        return end_without_record(sh, e);
    sh_shim_enter(sh, IPC_SHIM_FAILED);
    return 0;
}
