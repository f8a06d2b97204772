/*
 * shim.c - see shim.h: start, requests, signals of the job while it runs.
 *
 * The runtime's `run --detach` leaves the job's PID 1 without its parent, and as the nearest
 * subreaper we become its parent. So its pid stays valid until we reap it here, and signals by
 * pid cannot hit another process.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "os/cgroup.h"
#include "shim/initreport.h"
#include "shim/runtime_call.h"
#include "shim/settle.h"

#define KILL_AGAIN_NS JL_NS_PER_S

/* Of the grace; 0: nobody has asked for the end. */
static uint64_t ms_left(const struct sh_shim *sh)
{
    uint64_t now = jl_now_ns(), due = sh->stop_timer.due_ns;

    if (!sh->stopping || !sh->stop_timer.armed)
        return 0;
    return due > now ? (due - now) / JL_NS_PER_MS + 1 : 1;
}

struct ipc_shim_msg sh_shim_state(const struct sh_shim *sh)
{
    return (struct ipc_shim_msg){ .type = IPC_SHIM_STATE,
                                  .arg = ms_left(sh),
                                  .phase = sh->phase,
                                  .pid = sh->init_pid,
                                  .started_wall_ns = sh->rec.started_wall_ns,
                                  .log_dropped_bytes = sh->log.dropped_bytes };
}

/* The one message for whoever started us. */
static void sync_once(struct sh_shim *sh, const struct ipc_shim_msg *state)
{
    uint8_t packet[64];
    int len = ipc_shim_msg_write(state, packet, sizeof packet);

    if (sh->sync_fd < 0)
        return;
    if (len > 0 && jl_write_all(sh->sync_fd, packet, (size_t) len) < 0)
        sh->parent = 0;
    sh->sync_fd = jl_close(sh->sync_fd);
}

void sh_shim_enter(struct sh_shim *sh, enum ipc_shim_phase phase)
{
    struct ipc_shim_msg state;

    sh->phase = phase;
    state = sh_shim_state(sh);
    if (phase == IPC_SHIM_RUNNING || phase == IPC_SHIM_FAILED)
        sync_once(sh, &state);
    if (sh->control.fd >= 0) /* a shim that could not be prepared has none */
        sh_control_broadcast(&sh->control, &state);
}

void sh_shim_warn(const struct sh_shim *sh, const struct jl_err *e, const char *event)
{
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
    _close_ int fd = openat(sh->state_dirfd, "shim.log", flags, 0640);

    if (fd < 0)
        return; /* the disk that refuses this line is most likely what it would say */
    jl_log.fd = fd;
    jl_log_fail(e, event, "job=%s", sh->opt->id);
    jl_log.fd = -1;
}

void sh_shim_kill(struct sh_shim *sh)
{
    struct jl_err e;

    if (sh->cg && os_cgroup_kill_all(sh->cg, &e) < 0)
        sh_shim_warn(sh, &e, "job.kill");
    if (sh->init_pid > 0)
        kill(sh->init_pid, SIGKILL); /* with a pid namespace that is all of the job */
}

/* The grace is over. */
static int on_stop_due(struct jl_timer *timer)
{
    struct sh_shim *sh = JL_CONTAINER(timer, struct sh_shim, stop_timer);

    if (sh->phase == IPC_SHIM_STARTING && sh->runtime_pid > 0)
        kill(sh->runtime_pid, SIGKILL);
    else
        sh_shim_kill(sh);
    jl_loop_arm(sh->loop, timer, jl_now_ns() + KILL_AGAIN_NS, on_stop_due);
    return 0;
}

void sh_shim_stop(struct sh_shim *sh, uint64_t grace_ms)
{
    uint64_t now = jl_now_ns(), due = now + grace_ms * JL_NS_PER_MS;

    if (sh->phase != IPC_SHIM_STARTING && sh->phase != IPC_SHIM_RUNNING)
        return;
    if (grace_ms > (UINT64_MAX - now) / JL_NS_PER_MS)
        due = UINT64_MAX;
    if (!sh->stopping && sh->phase == IPC_SHIM_RUNNING && grace_ms > 0)
        sh_signal_stop(sh);
    sh->stopping = true;
    if (!sh->stop_timer.armed || due < sh->stop_timer.due_ns)
        jl_loop_arm(sh->loop, &sh->stop_timer, due, on_stop_due);
}

static int on_time_limit(struct jl_timer *timer)
{
    struct sh_shim *sh = JL_CONTAINER(timer, struct sh_shim, limit_timer);

    sh->rec.timed_out = true;
    sh_shim_stop(sh, sh->opt->stop_grace_ms);
    return 0;
}

static bool asks_to_end(int sig)
{
    return sig == SIGKILL || sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP;
}

static void on_request(void *arg, const struct ipc_shim_msg *request, struct ipc_shim_msg *ret)
{
    struct sh_shim *sh = arg;
    bool alive = sh->phase == IPC_SHIM_STARTING || sh->phase == IPC_SHIM_RUNNING;
    int sig = (int) request->arg;

    switch (request->type) {
    case IPC_SHIM_STOP:
        sh->rec.stop_requested = sh->rec.stop_requested || alive;
        sh_shim_stop(sh, request->arg);
        break;
    case IPC_SHIM_KILL:
        sh->rec.stop_requested = sh->rec.stop_requested || (alive && asks_to_end(sig));
        if (alive && sig == SIGKILL)
            sh_shim_stop(sh, 0);
        else if (sh->phase == IPC_SHIM_RUNNING)
            sh_signal_job(sh, sig);
        break;
    case IPC_SHIM_GET_STATE:
    case IPC_SHIM_STATE: /* control.c lets none through */
        break;
    }
    *ret = sh_shim_state(sh);
}

/* Finds the cgroup of the job that runs now. Without it the job goes on, and PID 1 is what is
 * signalled and killed. */
static void open_cgroup(struct sh_shim *sh)
{
    struct os_cgroup_host host;
    struct jl_err e;

    if (!sh->opt->cgroup)
        return;
    if (os_cgroup_host_read(&host, &e) < 0 ||
        os_cgroup_open(&host, sh->opt->cgroup, &sh->cg, &e) < 0)
        sh_shim_warn(sh, &e, "cgroup.open");
}

/* Is this process our child, dead or alive? */
static bool is_child(pid_t pid)
{
    siginfo_t si;

    return waitid(P_PID, (id_t) pid, &si, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static int on_started(struct sh_shim *sh)
{
    struct jl_err e;
    pid_t pid;

    open_cgroup(sh);
    if (sh_runtime_pid(sh->state_dirfd, &pid, &e) < 0)
        return sh_end_failed(sh, &e, 1);
    if (!is_child(pid)) {
        jl_refuse(&e, ECHILD,
                  "the runtime says that the job is process %d, which is not a child "
                  "of ours",
                  (int) pid);
        return sh_end_failed(sh, &e, 1);
    }
    sh->init_pid = pid;
    sh->rec.started_wall_ns = jl_wall_ns();
    sh_stdio_release(&sh->io);
    sh_shim_enter(sh, IPC_SHIM_RUNNING);
    if (sh->opt->time_limit_ms > 0)
        jl_loop_arm(sh->loop, &sh->limit_timer, jl_now_ns() + sh->opt->time_limit_ms * JL_NS_PER_MS,
                    on_time_limit);
    if (sh->stopping)
        sh_signal_stop(sh);
    sh_settle();
    return 0;
}

static int on_runtime_exit(struct sh_shim *sh, const siginfo_t *si)
{
    char tail[256];
    struct jl_err e;
    int code;

    sh->runtime_pid = 0;
    if (sh->phase != IPC_SHIM_STARTING)
        return sh_end_deleted(sh, si);
    if (si->si_code == CLD_EXITED && si->si_status == 0)
        return on_started(sh);
    sh_stdio_tail(&sh->io, tail, sizeof tail);
    code = sh_runtime_reason(sh->state_dirfd, si, tail, &e);
    if (sh->stopping && si->si_code != CLD_EXITED) {
        jl_refuse(&e, ECANCELED, "stopped before it had started");
        code = 1;
    }
    open_cgroup(sh); /* what the runtime left behind is killed in there */
    return sh_end_failed(sh, &e, code);
}

/*
 * While the runtime starts the job only the runtime is reaped: the job's PID 1 may be our child
 * already, and we would not know it. Afterwards everything is, since orphans of a job without a
 * pid namespace of its own come to us.
 */
static int reap(struct sh_shim *sh)
{
    for (;;) {
        bool starting = sh->phase == IPC_SHIM_STARTING && sh->runtime_pid > 0;
        siginfo_t si = { .si_pid = 0 };
        int r = waitid(starting ? P_PID : P_ALL, (id_t) sh->runtime_pid, &si, WEXITED | WNOHANG);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0 || si.si_pid == 0)
            return 0;
        if (si.si_pid == sh->runtime_pid)
            r = on_runtime_exit(sh, &si);
        else if (si.si_pid == sh->init_pid)
            r = sh_end_begin(sh, &si);
        if (r < 0)
            return r;
    }
}

static int on_signal(struct jl_source *src, uint32_t ready)
{
    struct sh_shim *sh = JL_CONTAINER(src, struct sh_shim, signal_src);
    struct signalfd_siginfo si;

    (void) ready;
    while (read(sh->signal_fd, &si, sizeof si) == sizeof si)
        if (si.ssi_signo != SIGCHLD) { /* the host goes down, or somebody means the job */
            sh->rec.stop_requested = true;
            sh_shim_stop(sh, sh->opt->stop_grace_ms);
        }
    return reap(sh);
}

static int watch_signals(struct sh_shim *sh, struct jl_err *e)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t set;
    int r;

    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sh->signal_fd = jl_signalfd(&set);
    if (sh->signal_fd < 0)
        return jl_fail(e, -sh->signal_fd, "watch signals");
    r = jl_loop_add(sh->loop, &sh->signal_src, sh->signal_fd, EPOLLIN, on_signal);
    return r < 0 ? jl_fail(e, -r, "watch signals") : 0;
}

static int open_log(struct sh_shim *sh, struct jl_err *e)
{
    _close_ int dirfd = open(sh->opt->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (dirfd < 0)
        return jl_fail_sys(e, "open", sh->opt->log_dir, "log directory");
    return sh_log_open(&sh->log, dirfd, sh->opt->log_max_bytes, e);
}

static int open_parts(struct sh_shim *sh, struct jl_err *e)
{
    int r = open_log(sh, e);

    if (r < 0)
        return r;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
        return jl_fail_sys(e, "prctl", "PR_SET_CHILD_SUBREAPER", "become the job's parent");
    sh->loop = jl_loop_new();
    if (!sh->loop)
        return jl_fail(e, errno, "make the event loop");
    r = watch_signals(sh, e);
    if (r < 0)
        return r;
    return sh_control_open(&sh->control, sh->loop, sh->state_dirfd, on_request, sh, e);
}

int sh_shim_init(struct sh_shim *sh, const struct sh_options *opt, struct jl_err *e)
{
    *sh = (struct sh_shim){ .opt = opt,
                            .phase = IPC_SHIM_STARTING,
                            .signal_fd = -1,
                            .sync_fd = opt->sync_fd,
                            .parent = getppid(),
                            .report_fd = -1,
                            .log = SH_LOG_INIT,
                            .record = SH_RECORD_INIT,
                            .control = { .fd = -1 } };
    sh->state_dirfd = open(opt->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sh->state_dirfd < 0)
        return jl_fail_sys(e, "open", opt->state_dir, "state directory");
    if (sh_record_prepare(&sh->record, sh->state_dirfd, e) < 0 || open_parts(sh, e) < 0)
        return -e->code;
    return 0;
}

static int start_runtime(struct sh_shim *sh, struct jl_err *e)
{
    char console[PATH_MAX];
    int child[SH_STREAMS] = { -1, -1 };
    _close_ int report = -1;
    int r = sh_stdio_pipes(&sh->io, sh->loop, &sh->log, child, e);

    if (r == 0 && sh->opt->terminal) {
        snprintf(console, sizeof console, "%s/%s", sh->opt->state_dir, SH_CONSOLE_NAME);
        r = sh_stdio_console(&sh->io, console, child, e);
    }
    if (r == 0 && sh->opt->init_report)
        r = sh->report_fd = sh_initreport_open(&report, e);
    if (r >= 0)
        r = sh_runtime_run(sh->opt, child, report, &sh->runtime_pid, e);
    for (size_t i = 0; i < SH_STREAMS; i++)
        jl_close(child[i]);
    return r;
}

/* Among the last to be killed when the host runs out of memory: without us the job's end would
 * not be known. After the runtime was started, since children inherit this. Needs
 * CAP_SYS_RESOURCE; without it we are as likely to go as anybody. */
static void lower_oom_score(void)
{
    jl_write_kernel_file_at(AT_FDCWD, "/proc/self/oom_score_adj", "-900");
}

int sh_shim_run(struct sh_shim *sh)
{
    struct jl_err e;
    int r;

    if (start_runtime(sh, &e) < 0)
        r = sh_end_failed(sh, &e, 1);
    else
        r = 0;
    lower_oom_score();
    if (r == 0 && !sh->finished)
        r = jl_loop_run(sh->loop);
    return r < 0 ? 1 : r;
}
