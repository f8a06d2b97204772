/* logopen.c - see logcall.h: the segment and the place where reading begins. */
#include <stdio.h>
#include <string.h>

#include "api/joblet.pb-c.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/front/logcall.h"

#define TAIL_SLICE ((uint64_t) 4 << 20) /* bytes searched before others get their turn */

/* ---- the last lines */

static void begin_reading(struct jd_logcall *lc, uint64_t skip_data)
{
    lc->reader.skip_data = skip_data;
    lc->tailing = false;
    lc->phase = JD_LOGCALL_READ;
    jd_logcall_pump(lc);
}

static int look_back(struct jl_timer *timer)
{
    struct jd_logcall *lc = JL_CONTAINER(timer, struct jd_logcall, timer);
    struct jl_err e = JL_ERR_INIT;
    int r = jd_logread_tail(&lc->reader, TAIL_SLICE, &lc->tail_end, &lc->tail_lines, &e);

    if (r < 0)
        jd_logcall_fail(lc, &e);
    else if (r > 0)
        begin_reading(lc, lc->tail_end);
    else if (lc->tail_end > 0)
        jl_loop_arm(lc->call.front->loop, &lc->timer, jl_now_ns(), look_back);
    else if (lc->reader.segment > 0)
        jd_logcall_open(lc, lc->reader.segment - 1);
    else
        begin_reading(lc, 0);
    return 0;
}

/* A segment is open and the beginning of the last lines is still to be found. */
static void tail_segment(struct jd_logcall *lc)
{
    struct jl_err e = JL_ERR_INIT;
    struct ipc_log_record last;
    int r;

    lc->phase = JD_LOGCALL_TAIL;
    if (lc->tail_forward) {
        r = jd_logread_last(&lc->reader, &last, &e);
        if (r < 0) {
            jd_logcall_fail(lc, &e);
            return;
        }
        if (r > 0 && last.stream == IPC_LOG_NEXT) {
            jd_logcall_open(lc, lc->reader.segment + 1);
            return;
        }
        lc->tail_forward = false;
    }
    r = jd_logread_data_end(&lc->reader, &lc->tail_end, &e);
    if (r < 0) {
        jd_logcall_fail(lc, &e);
        return;
    }
    if (!lc->tail_begun && lc->tail_end > 0) {
        lc->tail_begun = true;
        if (r == 0) /* the last line has no newline of its own */
            lc->tail_lines--;
    }
    jl_loop_arm(lc->call.front->loop, &lc->timer, jl_now_ns(), look_back);
}

/* ---- opening */

static int ask_again(struct jl_timer *timer)
{
    struct jd_logcall *lc = JL_CONTAINER(timer, struct jd_logcall, timer);

    jd_logcall_open(lc, lc->asked_segment);
    return 0;
}

static int open_late(struct jl_timer *timer)
{
    struct jd_logcall *lc = JL_CONTAINER(timer, struct jd_logcall, timer);

    jd_link_forget(&lc->call.front->link, &lc->req);
    jd_call_timed_out(&lc->call);
    return 0;
}

static void not_begun(struct jd_logcall *lc)
{
    lc->phase = JD_LOGCALL_NOT_BEGUN;
    if (lc->no_follow)
        jd_logcall_finish(lc);
    else
        jl_loop_arm(lc->call.front->loop, &lc->timer, jl_now_ns() + JD_LOGCALL_RETRY_NS, ask_again);
}

/* Takes the descriptors of a reply: [inotify,] index, data. */
static void take_segment(struct jd_logcall *lc, struct ipc_frame *f)
{
    size_t first = f->n_fds - 2;

    if (f->text[0])
        snprintf(lc->full_job, sizeof lc->full_job, "%.*s", (int) sizeof lc->full_job - 1, f->text);
    else if (strlen(lc->job) == JL_ID_LEN)
        snprintf(lc->full_job, sizeof lc->full_job, "%s", lc->job);
    lc->polled = first == 0 || jd_logcall_watch(lc, &f->fds[0]) < 0;
    jd_logread_open(&lc->reader, f->segment > lc->asked_segment ? f->segment : lc->asked_segment,
                    jl_take_fd(&f->fds[first]), jl_take_fd(&f->fds[first + 1]));
}

static void segment_reply(struct jd_link_req *req, struct ipc_received *r)
{
    struct jd_logcall *lc = JL_CONTAINER(req, struct jd_logcall, req);
    struct ipc_frame *f = &r->frame;

    jl_loop_disarm(lc->call.front->loop, &lc->timer);
    if (f->status == IPC_LINK_WAIT) {
        not_begun(lc);
    } else if (f->status != API_OK && lc->tailing && lc->reader.idx_fd >= 0) {
        begin_reading(lc, 0); /* an older segment is gone: the lines begin here */
    } else if (f->status != API_OK) {
        jd_call_reply(&lc->call, f);
    } else if (f->n_fds < 2) {
        jd_logcall_finish(lc); /* it never had any output */
    } else {
        take_segment(lc, f);
        if (lc->tailing && !lc->tail_forward && lc->reader.segment > lc->asked_segment) {
            begin_reading(lc, 0); /* what is before it is no longer kept: the lines begin here */
        } else if (lc->tailing) {
            tail_segment(lc);
        } else {
            lc->phase = JD_LOGCALL_READ;
            jd_logcall_pump(lc);
        }
    }
}

void jd_logcall_open(struct jd_logcall *lc, unsigned segment)
{
    Joblet__GetJobLogsRequest msg = JOBLET__GET_JOB_LOGS_REQUEST__INIT;
    struct ipc_frame f = jd_call_frame(&lc->call, JD_OP_GET_JOB_LOGS);
    uint8_t body[JD_LOGCALL_JOB + 16];
    struct jl_err e = JL_ERR_INIT;

    msg.uuid = lc->job;
    f.body_len = joblet__get_job_logs_request__pack(&msg, body);
    f.body = body;
    f.segment = segment;
    lc->asked_segment = segment;
    lc->phase = JD_LOGCALL_OPEN;
    if (jd_link_ask(&lc->call.front->link, &f, &lc->req, segment_reply, &e) < 0)
        jd_logcall_fail(lc, &e);
    else
        jl_loop_arm(lc->call.front->loop, &lc->timer, jd_call_due_ns(&lc->call, 0), open_late);
}
