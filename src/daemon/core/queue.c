/* queue.c - see queue.h. */
#include "daemon/core/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "daemon/core/core.h"

#define STARTS_MAX 2 /* in one turn of the loop: others want answers */
#define STORE_AGAIN_NS (5 * JL_NS_PER_S)
#define PAUSE_MIN_NS JL_NS_PER_S
#define PAUSE_MAX_NS (30 * JL_NS_PER_S)
#define MOVED_NS (50 * JL_NS_PER_MS) /* less is how two clocks are read, one after the other */

/* ---- heaps: items[0] is the first; job->heap_at is its place + 1, 0 in none */

static void put_at(struct jd_heap *h, size_t i, struct jd_job *j)
{
    h->items[i] = j;
    j->heap_at = i + 1;
}

static void sift_up(struct jd_heap *h, size_t i)
{
    struct jd_job *j = h->items[i];

    while (i > 0 && h->before(j, h->items[(i - 1) / 2])) {
        put_at(h, i, h->items[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    put_at(h, i, j);
}

static void sift_down(struct jd_heap *h, size_t i)
{
    struct jd_job *j = h->items[i];

    for (size_t child = 2 * i + 1; child < h->n; child = 2 * i + 1) {
        if (child + 1 < h->n && h->before(h->items[child + 1], h->items[child]))
            child++;
        if (!h->before(h->items[child], j))
            break;
        put_at(h, i, h->items[child]);
        i = child;
    }
    put_at(h, i, j);
}

static void heap_add(struct jd_heap *h, struct jd_job *j)
{
    h->items[h->n++] = j;
    sift_up(h, h->n - 1);
}

static void heap_remove(struct jd_heap *h, struct jd_job *j)
{
    size_t i = j->heap_at - 1;
    struct jd_job *last = h->items[--h->n];

    j->heap_at = 0;
    if (last == j)
        return;
    put_at(h, i, last);
    sift_down(h, i);
    sift_up(h, last->heap_at - 1);
}

static bool due_before(const struct jd_job *a, const struct jd_job *b)
{
    if (a->rec.scheduled_wall_ns != b->rec.scheduled_wall_ns)
        return a->rec.scheduled_wall_ns < b->rec.scheduled_wall_ns;
    return a->rec.sequence < b->rec.sequence;
}

/* When a job could have begun at the earliest. */
static uint64_t due_ns(const struct jd_job *j)
{
    return j->rec.scheduled_wall_ns ? j->rec.scheduled_wall_ns : j->rec.created_wall_ns;
}

/* One that could not be started lets the others go first: what is wrong may be with it alone. */
static bool ready_before(const struct jd_job *a, const struct jd_job *b)
{
    if (a->put_offs != b->put_offs)
        return a->put_offs < b->put_offs;
    if (a->req->priority != b->req->priority)
        return a->req->priority > b->req->priority;
    if (due_ns(a) != due_ns(b))
        return due_ns(a) < due_ns(b);
    return a->rec.sequence < b->rec.sequence;
}

/* ---- room */

static uint64_t at_most(int64_t asked, uint64_t capacity)
{
    return asked <= 0 ? 0 : (uint64_t) asked < capacity ? (uint64_t) asked : capacity;
}

static bool has_slot(const struct jd_core *c)
{
    return c->conf.max_jobs == 0 || c->jobs.n_active < c->conf.max_jobs;
}

static bool has_cpu(const struct jd_queue *q, int32_t max_cpu)
{
    return q->cpu_used + at_most(max_cpu, q->cpu_capacity) <= q->cpu_capacity;
}

static bool has_memory(const struct jd_queue *q, int32_t max_memory)
{
    return q->memory_used + at_most(max_memory, q->memory_capacity) <= q->memory_capacity;
}

static bool is_paused(const struct jd_queue *q)
{
    return jl_now_ns() < q->resume_ns;
}

bool jd_queue_is_free_for(const struct jd_core *c, int32_t max_cpu, int32_t max_memory)
{
    const struct jd_queue *q = &c->jobs.queue;

    return q->ready.n == 0 && !is_paused(q) && has_slot(c) && has_cpu(q, max_cpu) &&
           has_memory(q, max_memory);
}

void jd_queue_account(struct jd_job *j, int by)
{
    struct jd_queue *q = &j->core->jobs.queue;

    q->cpu_used += (uint64_t) by * at_most(j->req->max_cpu, q->cpu_capacity);
    q->memory_used += (uint64_t) by * at_most(j->req->max_memory, q->memory_capacity);
}

/* ---- time */

static void arm(struct jd_core *c)
{
    struct jd_queue *q = &c->jobs.queue;
    struct itimerspec at = { 0 };

    if (q->due.n > 0) {
        uint64_t ns = q->due.items[0]->rec.scheduled_wall_ns;

        at.it_value.tv_sec = (time_t) (ns / JL_NS_PER_S);
        at.it_value.tv_nsec = (long) (ns % JL_NS_PER_S);
        if (ns == 0)
            at.it_value.tv_nsec = 1; /* 0 would disarm */
    }
    if (timerfd_settime(q->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL) == 0)
        return;
    if (errno == ECANCELED) /* it is armed; but that the clock was set will not be said again */
        jd_queue_follow_clock(c);
    else
        jl_log_warn("queue.timer", "timerfd_settime: %s", strerror(errno));
}

/* A relative time on the wall clock as it is set now; true when that is another one. */
static bool follow_clock(struct jd_job *j, uint64_t ahead_ns)
{
    uint64_t due = j->rec.due_boot_ns + ahead_ns, was = j->rec.scheduled_wall_ns;

    if (j->rec.due_boot_ns == 0 || strcmp(j->rec.due_boot_id, j->core->boot_id) != 0 ||
        (due < was + MOVED_NS && was < due + MOVED_NS))
        return false;
    j->rec.scheduled_wall_ns = due;
    free(jl_take_ptr(j->listed.data));
    return true;
}

static int store_due(struct jl_timer *t)
{
    struct jd_core *c = JL_CONTAINER(t, struct jd_core, jobs.queue.due_again);
    struct jl_err e = JL_ERR_INIT;

    if (jd_store_move_due(c->store, c->boot_id, jl_wall_ns() - jl_boot_ns(), &e) == 0)
        return 0;
    jl_log_fail(&e, "queue.clock", "tried again");
    jl_loop_arm(c->loop, t, jl_now_ns() + STORE_AGAIN_NS, store_due);
    return 0;
}

void jd_queue_follow_clock(struct jd_core *c)
{
    struct jd_queue *q = &c->jobs.queue;
    uint64_t ahead = jl_wall_ns() - jl_boot_ns();
    size_t moved = 0;

    for (size_t i = 0; i < q->due.n; i++)
        moved += follow_clock(q->due.items[i], ahead);
    if (moved == 0)
        return;
    for (size_t i = q->due.n / 2; i-- > 0;)
        sift_down(&q->due, i);
    jl_log_info("queue.clock", "the clock was set: %zu jobs with a relative time keep theirs",
                moved);
    store_due(&q->due_again);
    arm(c);
}

/* A time has come, or the clock was set. */
static int on_time(struct jl_source *src, uint32_t ready)
{
    struct jd_core *c = JL_CONTAINER(src, struct jd_core, jobs.queue.src);
    struct jd_queue *q = &c->jobs.queue;
    struct jl_err e = JL_ERR_INIT;
    uint64_t now, times;

    (void) ready;
    /* ECANCELED: the clock was set. Of a clock that was set forward the kernel tells only after it
     * has let the timer expire, on another processor, so a relative time is looked at in any case. */
    if (read(q->timer_fd, &times, sizeof times) < 0 && errno != ECANCELED && errno != EAGAIN)
        jl_log_warn("queue.timer", "read timerfd: %s", strerror(errno));
    jd_queue_follow_clock(c);
    now = jl_wall_ns();
    while (q->due.n > 0 && q->due.items[0]->rec.scheduled_wall_ns <= now)
        if (jd_job_event(q->due.items[0], JD_EV_DUE, JD_PENDING, NULL, &e) < 0) {
            jl_log_fail(&e, "queue.due", "job=%s", q->due.items[0]->rec.id);
            heap_remove(&q->due, q->due.items[0]);
        }
    arm(c);
    jd_queue_run(c);
    return 0;
}

int jd_queue_init(struct jd_core *c, struct jl_err *e)
{
    struct jd_queue *q = &c->jobs.queue;
    struct sysinfo si = { 0 };
    int r;

    q->due.before = due_before;
    q->ready.before = ready_before;
    sysinfo(&si);
    q->cpu_capacity = c->conf.cpu_capacity ? (uint64_t) c->conf.cpu_capacity
                                           : (uint64_t) sysconf(_SC_NPROCESSORS_ONLN) * 100;
    q->memory_capacity = c->conf.memory_capacity
                             ? (uint64_t) c->conf.memory_capacity
                             : (uint64_t) si.totalram * si.mem_unit / (1u << 20);
    q->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (q->timer_fd < 0)
        return jl_fail_sys(e, "timerfd_create", NULL, "watch the time of scheduled jobs");
    r = jl_loop_add(c->loop, &q->src, q->timer_fd, EPOLLIN, on_time);
    if (r < 0)
        return jl_fail(e, -r, "watch the time of scheduled jobs");
    arm(c); /* from here on the kernel tells when the clock is set */
    return 0;
}

void jd_queue_done(struct jd_core *c)
{
    struct jd_queue *q = &c->jobs.queue;

    jl_loop_disarm(c->loop, &q->kick);
    jl_loop_disarm(c->loop, &q->due_again);
    jl_loop_del(c->loop, &q->src);
    q->timer_fd = jl_close(q->timer_fd);
    free(q->due.items);
    free(q->ready.items);
    q->due.items = q->ready.items = NULL;
    q->size = q->due.n = q->ready.n = 0;
}

/* ---- in and out */

int jd_queue_reserve(struct jd_core *c, size_t n, struct jl_err *e)
{
    struct jd_queue *q = &c->jobs.queue;
    struct jd_heap *const heaps[] = { &q->due, &q->ready };
    size_t size = q->size * 2 > n ? q->size * 2 : n + 64;

    if (n <= q->size)
        return 0;
    for (size_t i = 0; i < JL_COUNT(heaps); i++) {
        struct jd_job **items = realloc(heaps[i]->items, size * sizeof *items);

        if (!items)
            return jl_fail(e, ENOMEM, "make room for waiting jobs");
        heaps[i]->items = items;
    }
    q->size = size;
    return 0;
}

void jd_queue_add(struct jd_job *j)
{
    struct jd_queue *q = &j->core->jobs.queue;

    if (j->state == JD_PENDING) {
        heap_add(&q->ready, j);
    } else if (j->state == JD_SCHEDULED) {
        heap_add(&q->due, j);
        if (q->due.items[0] == j)
            arm(j->core);
    }
}

void jd_queue_remove(struct jd_job *j)
{
    struct jd_queue *q = &j->core->jobs.queue;

    if (j->heap_at > 0) /* an arming that came too soon finds nothing due */
        heap_remove(j->state == JD_SCHEDULED ? &q->due : &q->ready, j);
}

static int on_kick(struct jl_timer *t)
{
    jd_queue_run(JL_CONTAINER(t, struct jd_core, jobs.queue.kick));
    return 0;
}

void jd_queue_kick(struct jd_core *c)
{
    uint64_t now = jl_now_ns(), resume = c->jobs.queue.resume_ns;

    jl_loop_arm(c->loop, &c->jobs.queue.kick, now < resume ? resume : now, on_kick);
}

void jd_queue_pause(struct jd_core *c, const char *why)
{
    struct jd_queue *q = &c->jobs.queue;

    if (is_paused(q)) /* jobs that were on their way fail with the first */
        return;
    q->pause_ns = q->pause_ns == 0 ? PAUSE_MIN_NS : q->pause_ns * 2;
    if (q->pause_ns > PAUSE_MAX_NS)
        q->pause_ns = PAUSE_MAX_NS;
    q->resume_ns = jl_now_ns() + q->pause_ns;
    snprintf(q->why, sizeof q->why, "%s", why);
    jl_utf8_tame(q->why, strlen(q->why));
    jd_queue_kick(c);
}

void jd_queue_works(struct jd_core *c)
{
    c->jobs.queue.pause_ns = 0;
}

void jd_queue_run(struct jd_core *c)
{
    struct jd_queue *q = &c->jobs.queue;
    struct jl_err e = JL_ERR_INIT;

    for (unsigned started = 0; !c->ending && q->ready.n > 0 && !is_paused(q) && has_slot(c);
         started++) {
        struct jd_job *j = q->ready.items[0];

        if (!has_cpu(q, j->req->max_cpu) || !has_memory(q, j->req->max_memory))
            return; /* the end of a job comes back here */
        if (c->userns && j->rec.host_id_base == 0)
            j->rec.host_id_base = jd_jobs_host_ids(c, &e);
        if (c->userns && j->rec.host_id_base == 0)
            return; /* all in use: as above */
        if (started == STARTS_MAX) {
            jd_queue_kick(c);
            return;
        }
        if (jd_record_set(&j->rec.boot_id, c->boot_id) < 0) /* stored with the event */
            jl_log_warn("queue.run", "job=%s: out of memory", j->rec.id);
        if (jd_job_event(j, JD_EV_SLOT, JD_FAILED, NULL, &e) < 0) {
            jl_log_fail(&e, "queue.run", "job=%s", j->rec.id);
            return;
        }
    }
}

char *jd_queue_why(const struct jd_job *j, char *buf, size_t size)
{
    const struct jd_core *c = j->core;
    const struct jd_queue *q = &c->jobs.queue;

    buf[0] = '\0';
    if (j->state != JD_PENDING)
        return buf;
    if (!has_slot(c))
        snprintf(buf, size, "waits for a slot: %u of %lld jobs run", c->jobs.n_active,
                 (long long) c->conf.max_jobs);
    else if (q->ready.n > 0 && q->ready.items[0] != j)
        snprintf(buf, size, "waits behind jobs that come first");
    else if (is_paused(q))
        snprintf(buf, size, "waits: %s", q->why);
    else if (!has_cpu(q, j->req->max_cpu))
        snprintf(buf, size, "waits for CPU: %" PRIu64 "%% of %" PRIu64 "%% are taken, it asks %d%%",
                 q->cpu_used, q->cpu_capacity, j->req->max_cpu);
    else if (!has_memory(q, j->req->max_memory))
        snprintf(buf, size,
                 "waits for memory: %" PRIu64 " of %" PRIu64 " MB are taken, it asks %d MB",
                 q->memory_used, q->memory_capacity, j->req->max_memory);
    return buf;
}
