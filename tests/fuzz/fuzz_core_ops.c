/*
 * fuzz_core_ops.c - the link between joblet-front and core, from core's side: requests of every
 * operation in any order, with a role, a text, a segment and any body, through core's own dispatcher and
 * handlers, on a real database and real directories. Nothing of front is believed: whatever comes,
 * each request is answered once, with a status that the API has and, if it is a refusal, a sentence; who
 * lacks the role is refused; and what front has refused is never served.
 *
 * Input, a request: operation, role, kind of body, text (length and bytes), body (length, two bytes, and
 * bytes). Ids of jobs are random and can't be guessed: by its kind a body begins with the id of one that
 * is there, and a text is a session. No job starts (all slots are taken), no volume and no network is really made.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/core.h"
#include "daemon/core/request.h"
#include "daemon/core/volume_list.h"
#include "daemon/core/volume_work.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define REQUESTS_MAX 32
#define TURNS_MAX 2000
#define FIRST_REFUSED 0xf0 /* of the third byte: front has refused it */

enum body_kind { BODY_AS_IS, BODY_WITH_JOB, BODY_SHORT_ID, BODY_KINDS };

static struct jd_core core;
static int front_end; /* joblet-front's end of the link */
static char dir_path[] = "/tmp/joblet-fuzz-XXXXXX";
static struct jl_timer turn;

struct seen {
    unsigned answers[REQUESTS_MAX];
    bool denied[REQUESTS_MAX];
    uint32_t refused[REQUESTS_MAX]; /* the status that front gave it */
};

static void remove_dir(void)
{
    struct jl_err e = JL_ERR_INIT;

    jl_remove_tree_at(AT_FDCWD, dir_path, &e);
}

static int make_dir(const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir_path, name);
    assert(mkdir(path, 0700) == 0);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The worker that would mount and format: one that says that it has. */
static int pretend(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                   int *ret_fd, struct jl_err *e)
{
    (void) in;
    (void) len;
    (void) fds;
    (void) n_fds;
    (void) out;
    (void) ret_fd;
    (void) e;
    return 0;
}

/* The one that would make networks: there is nothing here to make them with. */
static int cannot(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                  int *ret_fd, struct jl_err *e)
{
    (void) in;
    (void) len;
    (void) fds;
    (void) n_fds;
    (void) out;
    (void) ret_fd;
    return jl_refuse(e, EBUSY, "this host makes no networks");
}

static void set_up(void)
{
    static const jd_work_fn table[JD_VOLUME_WORK_N] = { pretend, pretend, pretend };
    static jd_work_fn none[JD_NET_WORK_N];
    char text[512], state[128];
    char *env[] = { NULL };
    struct jl_err e = JL_ERR_INIT;
    int pair[2], n;

    jl_log.fd = -1;
    assert(mkdtemp(dir_path));
    atexit(remove_dir);
    n = snprintf(text, sizeof text,
                 "prefix: %s\n"
                 "joblet: {maxConcurrentJobs: 1, maxWaitingJobs: 20}\n"
                 "network: {default_network: none}\n"
                 "monitoring: {enabled: false}\n",
                 dir_path);
    core = (struct jd_core){ .runtime_fd = -1, .lock_fd = -1, .audit = { .fd = -1 } };
    assert(jd_conf_parse(&core.conf, "f", text, (size_t) n, dir_path, env, &e) == 0);
    core.loop = jl_loop_new();
    assert(core.loop);
    core.jobs_dirfd = make_dir("jobs");
    core.logs_dirfd = make_dir("logs");
    core.metrics.dirfd = make_dir("metrics");
    core.volumes.dirfd = make_dir("volumes");
    core.state_dirfd = make_dir("run");
    close(make_dir("state"));
    snprintf(state, sizeof state, "%s/state", dir_path);
    core.stages.dirfd = core.trash.dirfd = core.jobs.queue.timer_fd = -1;
    core.revoked.inotify = -1;
    core.front.uid = geteuid();
    core.front.gid = getegid();
    assert(jd_trash_init(&core, &e) == 0 && jd_stages_init(&core, &e) == 0);
    assert(jd_queue_init(&core, &e) == 0 && jd_store_open(state, &core.store, &e) == 0);
    core.volumes.worker = jd_worker_new(core.loop, "fuzz", table, JL_COUNT(table));
    for (size_t i = 0; i < JL_COUNT(none); i++)
        none[i] = cannot;
    core.nets.worker = jd_worker_new(core.loop, "fuzz", none, JL_COUNT(none));
    assert(core.volumes.worker && core.nets.worker && jd_nets_init(&core, &e) == 0);
    core.jobs.n_active = 1; /* the only slot */
    assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    core.front.core = &core;
    core.front.link = pair[0];
    core.front.pidfd = -1;
    core.front.generation = 1;
    core.front.queue_end = &core.front.queue;
    front_end = pair[1];
}

static int stop(struct jl_timer *t)
{
    (void) t;
    return jl_loop_stop(core.loop, 0);
}

static void take_answers(struct seen *seen)
{
    static uint8_t packet[IPC_LINK_PACKET_MAX];
    struct jl_err e = JL_ERR_INIT;
    struct ipc_received got;

    while (ipc_link_recv(front_end, packet, &got, &e) > 0) {
        const struct ipc_frame *f = &got.frame;

        if (f->type == IPC_LINK_REPLY) {
            assert(f->id >= 1 && f->id <= REQUESTS_MAX);
            assert(++seen->answers[f->id - 1] == 1);
            assert(f->status <= API_UNAUTHENTICATED || f->status == IPC_LINK_WAIT);
            assert(f->status == API_OK || f->text[0]);
            if (seen->refused[f->id - 1]) {
                assert(f->status == seen->refused[f->id - 1] ||
                       f->status == API_PERMISSION_DENIED || f->status == API_UNAUTHENTICATED);
            } else {
                assert(f->status != API_INTERNAL && f->status != API_UNKNOWN);
                assert((f->status == API_PERMISSION_DENIED) == seen->denied[f->id - 1]);
            }
        } else {
            assert(f->type == IPC_LINK_EVENT);
        }
        ipc_link_done(&got);
    }
}

static bool all_answered(const struct seen *seen, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (seen->answers[i] == 0)
            return false;
    return true;
}

static void run_until_answered(struct seen *seen, unsigned n)
{
    for (unsigned i = 0; i < TURNS_MAX; i++) {
        take_answers(seen);
        if (all_answered(seen, n))
            return;
        jl_loop_arm(core.loop, &turn, jl_now_ns() + (i < 100 ? 0 : JL_NS_PER_MS), stop);
        assert(jl_loop_run(core.loop) == 0);
    }
    assert(!"a request has no answer");
}

static const struct jd_job *some_job(uint8_t which)
{
    const struct jd_job *j = core.jobs.first;

    for (; j && j->next && which > 0; which--)
        j = j->next;
    return j;
}

/* A body that begins with field 1, a job's id. */
static size_t with_job(uint8_t *out, const uint8_t *body, size_t n, bool is_short)
{
    const struct jd_job *j = some_job(n > 0 ? body[0] : 0);
    size_t id_len = is_short ? 8 : JL_ID_LEN, skip = n > 0;

    if (!j) {
        memcpy(out, body, n);
        return n;
    }
    out[0] = 0x0a;
    out[1] = (uint8_t) id_len;
    memcpy(out + 2, j->rec.id, id_len);
    memcpy(out + 2 + id_len, body + skip, n - skip);
    return 2 + id_len + n - skip;
}

static void put_text(struct ipc_frame *f, const uint8_t *text, size_t n)
{
    if (n > 0 && text[0] == 0xff && core.stages.first)
        snprintf(f->text, sizeof f->text, "%s", core.stages.first->session);
    else
        for (size_t i = 0; i < n && i < sizeof f->text - 1; i++)
            f->text[i] = (char) (text[i] ? text[i] : ' ');
}

/* One request out of the input. Bytes used; 0 at the end. */
static size_t one(const uint8_t *p, size_t left, unsigned number, struct seen *seen)
{
    static const char *const units[] = { "admin",  "maintainer", "developer", "reader",
                                         "viewer", "",           "ceo",       "admin,viewer" };
    static uint8_t body[0x10000 + 64];
    struct ipc_received got = { .frame = { .type = IPC_LINK_REQUEST, .id = number + 1 } };
    struct ipc_frame *f = &got.frame;
    size_t text_len, body_len, used = 4;

    if (left < 4)
        return 0;
    f->op = (enum jd_op)(1 + p[0] % (JD_OP_N - 1)); /* others do not pass the parser */
    snprintf(f->who.unit, sizeof f->who.unit, "%s", units[p[1] % JL_COUNT(units)]);
    snprintf(f->who.common_name, sizeof f->who.common_name, "fuzz");
    snprintf(f->who.serial, sizeof f->who.serial, "%02X", p[1] >> 6);
    f->segment = p[1] >> 3;
    text_len = p[3] < left - used ? p[3] : left - used;
    put_text(f, p + used, text_len);
    used += text_len;
    body_len = left - used < 2 ? 0 : (size_t) p[used] | (size_t) p[used + 1] << 8;
    used += left - used < 2 ? left - used : 2;
    if (body_len > left - used)
        body_len = left - used;
    memcpy(body, p + used, body_len);
    f->body = body;
    f->body_len = p[2] % BODY_KINDS == BODY_AS_IS
                      ? body_len
                      : with_job(body, p + used, body_len, p[2] % BODY_KINDS == BODY_SHORT_ID);
    if (p[2] >= FIRST_REFUSED && f->text[0]) { /* by front; the parser lets no other ones through */
        f->status = 1 + p[2] % (IPC_LINK_CODE_MAX - 1);
        f->body_len = f->body_len < IPC_LINK_OBJECT_MAX ? f->body_len : IPC_LINK_OBJECT_MAX - 1;
    }
    seen->refused[number] = f->status;
    seen->denied[number] =
        jd_role_parse(f->who.unit) < jd_op_role(f->op) && strcmp(f->text, IPC_LINK_REVOKED) != 0;
    jd_request(&core, core.front.generation, &got);
    return used + body_len;
}

/* Every input begins with nothing. */
static void forget_all(void)
{
    struct jl_err e = JL_ERR_INIT;

    while (core.jobs.first) {
        const char *id = core.jobs.first->rec.id;

        assert(jd_store_delete(core.store, &id, 1, &e) == 0);
        jd_trash_put(&core, core.jobs_dirfd, id, &e);
        jd_jobs_remove(&core, core.jobs.first);
    }
    while (core.stages.first)
        jd_stage_drop(&core, core.stages.first);
    while (core.volumes.first) {
        jd_store_volume_delete(core.store, core.volumes.first->row.name, &e);
        jd_volume_forget(core.volumes.first);
    }
    for (struct jd_network *n = core.nets.first, *next; n; n = next) {
        next = n->next;
        if (n->builtin)
            continue;
        jd_store_delete_network(core.store, n->def.name, &e);
        jd_nets_remove(&core, n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct seen seen = { 0 };
    unsigned n = 0;

    if (!core.loop)
        set_up();
    for (size_t used; n < REQUESTS_MAX && (used = one(data, len, n, &seen)) > 0; n++) {
        data += used;
        len -= used;
        if (n % 4 == 3)
            run_until_answered(&seen, n + 1);
    }
    run_until_answered(&seen, n);
    assert(core.jobs.n_active == 1);
    forget_all();
    return 0;
}
