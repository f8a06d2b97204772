/*
 * load.c - many clients of one joblet at once, over the API as rnx speaks it, and how long each
 * answer takes. For tests/bench/daemon.py; its output is one `name value` a line.
 *
 *   load CONFIG queue JOBS CLIENTS   submits JOBS jobs that wait, from CLIENTS processes; meanwhile
 *                                    two more ask for the list and for one job's status again and
 *                                    again: submissions a second, and milliseconds of both
 *   load CONFIG run JOBS CLIENTS     submits JOBS jobs of `true` and waits for the end of each: jobs
 *                                    a second from the first submission to the last end
 *   load CONFIG start JOBS           one job after the other, of `date +%s%N`: milliseconds from the
 *                                    submission to what the job prints
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/joblet.pb-c.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "rnx/conf.h"
#include "rpc/client.h"

#define METHOD(name) "/joblet.JobService/" name
#define REPLY_MAX (256u << 20)
#define CALL_MS 60000
#define SAMPLES_MAX 100000
#define LIST_PAUSE_NS                                                                              \
    (100 * JL_NS_PER_MS) /* between two lists: somebody who watches, not a flood */
#define STATUS_PAUSE_NS (10 * JL_NS_PER_MS)
#define POLL_NS (10 * JL_NS_PER_MS)

/* What the processes share. */
struct shared {
    bool done;
    char id[64]; /* of one job that is there */
    size_t n[2]; /* samples of list and status */
    uint64_t ns[2][SAMPLES_MAX];
};

static struct rnx_conf conf;
static struct shared *shared;

_Noreturn static void die(const struct jl_err *e)
{
    fprintf(stderr, "load: %s\n", e->text);
    _exit(1);
}

static struct rpc_client *dial(void)
{
    struct rpc_client_opts opts = { 0 };
    struct rpc_client *client;
    const struct rnx_node *node;
    struct jl_err e = JL_ERR_INIT;
    char address[512];

    if (rnx_conf_choose(&conf, NULL, &node, address, sizeof address, &e) < 0)
        die(&e);
    opts.address = address;
    opts.tls = (struct rpc_tls){ .cert_pem = node->cert, .key_pem = node->key, .ca_pem = node->ca };
    if (rpc_client_new(&opts, &client, &e) < 0)
        die(&e);
    return client;
}

static void pause_ns(uint64_t ns)
{
    struct timespec ts = { (time_t) (ns / JL_NS_PER_S), (long) (ns % JL_NS_PER_S) };

    nanosleep(&ts, NULL);
}

/* The answer's bytes in `reply`; any refusal is the end. */
static void ask(struct rpc_client *c, const char *method, const ProtobufCMessage *m,
                struct jl_buf *reply)
{
    size_t len = protobuf_c_message_get_packed_size(m);
    _free_ uint8_t *packed = malloc(len + 1);
    struct jl_err e = JL_ERR_INIT;
    struct rpc_status st;

    if (!packed)
        _exit(1);
    protobuf_c_message_pack(m, packed);
    reply->len = 0;
    if (rpc_client_unary(c, method, packed, len, CALL_MS, reply, &st, &e) < 0)
        die(&e);
    if (st.code != 0) {
        fprintf(stderr, "load: %s: %u %s\n", method, st.code, st.message);
        _exit(1);
    }
}

static void submit(struct rpc_client *c, const char *command, const char *arg, char id[64])
{
    _buf_ struct jl_buf reply = JL_BUF_INIT(REPLY_MAX);
    Joblet__RunJobRequest q = JOBLET__RUN_JOB_REQUEST__INIT;
    char *args[] = { (char *) (uintptr_t) arg };
    Joblet__RunJobResponse *m;

    q.command = (char *) (uintptr_t) command;
    q.args = args;
    q.n_args = arg ? 1 : 0;
    ask(c, METHOD("RunJob"), &q.base, &reply);
    m = joblet__run_job_response__unpack(NULL, reply.len, (const uint8_t *) reply.data);
    if (!m)
        _exit(1);
    snprintf(id, 64, "%s", m->job_uuid);
    joblet__run_job_response__free_unpacked(m, NULL);
}

static bool is_over(struct rpc_client *c, char *id)
{
    _buf_ struct jl_buf reply = JL_BUF_INIT(REPLY_MAX);
    Joblet__GetJobStatusRequest q = JOBLET__GET_JOB_STATUS_REQUEST__INIT;
    Joblet__GetJobStatusResponse *m;
    bool over;

    q.uuid = id;
    ask(c, METHOD("GetJobStatus"), &q.base, &reply);
    m = joblet__get_job_status_response__unpack(NULL, reply.len, (const uint8_t *) reply.data);
    if (!m)
        _exit(1);
    over = strcmp(m->status, "COMPLETED") == 0;
    if (!over && m->end_time[0]) {
        fprintf(stderr, "load: job %s: %s %s\n", id, m->status, m->reason);
        _exit(1);
    }
    joblet__get_job_status_response__free_unpacked(m, NULL);
    return over;
}

static pid_t start(void (*fn)(size_t arg), size_t arg)
{
    pid_t pid = fork();

    if (pid == 0) {
        fn(arg);
        _exit(0);
    }
    if (pid < 0) {
        perror("load: fork");
        exit(1);
    }
    return pid;
}

static void finish(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || status != 0)
        exit(1);
}

static void submitter(size_t n)
{
    struct rpc_client *c = dial();
    char id[64];

    for (size_t i = 0; i < n; i++)
        submit(c, "sleep", "1000", id);
}

static void sample(size_t which, uint64_t since_ns)
{
    if (shared->n[which] < SAMPLES_MAX)
        shared->ns[which][shared->n[which]++] = jl_now_ns() - since_ns;
}

static void lister(size_t arg)
{
    _buf_ struct jl_buf reply = JL_BUF_INIT(REPLY_MAX);
    Joblet__EmptyRequest q = JOBLET__EMPTY_REQUEST__INIT;
    struct rpc_client *c = dial();

    (void) arg;
    ask(c, METHOD("ListJobs"), &q.base, &reply); /* connects */
    for (uint64_t began; !shared->done; pause_ns(LIST_PAUSE_NS)) {
        began = jl_now_ns();
        ask(c, METHOD("ListJobs"), &q.base, &reply);
        sample(0, began);
    }
    printf("list_bytes %zu\n", reply.len);
    fflush(stdout);
}

static void asker(size_t arg)
{
    struct rpc_client *c = dial();

    (void) arg;
    is_over(c, shared->id);
    for (uint64_t began; !shared->done; pause_ns(STATUS_PAUSE_NS)) {
        began = jl_now_ns();
        is_over(c, shared->id);
        sample(1, began);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return x < y ? -1 : x > y;
}

static void report(const char *name, uint64_t *ns, size_t n)
{
    if (n == 0)
        return;
    qsort(ns, n, sizeof *ns, by_size);
    printf("%s_p50_ms %.2f\n%s_p99_ms %.2f\n%s_max_ms %.2f\n", name, (double) ns[n / 2] / 1e6, name,
           (double) ns[n * 99 / 100] / 1e6, name, (double) ns[n - 1] / 1e6);
}

/* The library that speaks gRPC can't be forked once it runs: only children call it. */
static void first(size_t arg)
{
    (void) arg;
    submit(dial(), "sleep", "1000", shared->id);
}

static void queue(size_t jobs, size_t clients)
{
    pid_t pids[256], list, status;
    uint64_t began;

    finish(start(first, 0));
    list = start(lister, 0);
    status = start(asker, 0);
    pause_ns(JL_NS_PER_S);
    began = jl_now_ns();
    for (size_t i = 0; i < clients; i++)
        pids[i] = start(submitter, jobs / clients);
    for (size_t i = 0; i < clients; i++)
        finish(pids[i]);
    printf("submit_per_s %.0f\n", (double) jobs * 1e9 / (double) (jl_now_ns() - began));
    fflush(stdout);
    shared->done = true;
    finish(list);
    finish(status);
    report("list", shared->ns[0], shared->n[0]);
    report("status", shared->ns[1], shared->n[1]);
    shared->done = false; /* and with all of them there and nobody else */
    shared->n[0] = shared->n[1] = 0;
    list = start(lister, 0);
    status = start(asker, 0);
    pause_ns(5 * JL_NS_PER_S);
    shared->done = true;
    finish(list);
    finish(status);
    report("quiet_list", shared->ns[0], shared->n[0]);
    report("quiet_status", shared->ns[1], shared->n[1]);
}

static void runner(size_t n)
{
    struct rpc_client *c = dial();
    char(*ids)[64] = calloc(n, sizeof *ids);

    for (size_t i = 0; ids && i < n; i++)
        submit(c, "true", NULL, ids[i]);
    for (size_t i = 0; ids && i < n; i++)
        while (!is_over(c, ids[i]))
            pause_ns(POLL_NS);
    free(ids);
}

static void run(size_t jobs, size_t clients)
{
    uint64_t began = jl_now_ns();
    pid_t pids[256];

    for (size_t i = 0; i < clients; i++)
        pids[i] = start(runner, jobs / clients);
    for (size_t i = 0; i < clients; i++)
        finish(pids[i]);
    printf("jobs_per_s %.1f\n", (double) jobs * 1e9 / (double) (jl_now_ns() - began));
}

/* What the job prints is the time at which it began. */
static uint64_t printed(struct rpc_client *c, char *id)
{
    _buf_ struct jl_buf msg = JL_BUF_INIT(REPLY_MAX);
    Joblet__GetJobLogsRequest q = JOBLET__GET_JOB_LOGS_REQUEST__INIT;
    struct jl_err e = JL_ERR_INIT;
    struct rpc_stream *s;
    struct rpc_status st;
    uint8_t packed[128];
    uint64_t ns = 0;
    size_t len;
    int r;

    q.uuid = id;
    len = joblet__get_job_logs_request__pack(&q, packed);
    if (rpc_stream_open(c, METHOD("GetJobLogs"), packed, len, CALL_MS, &s, &e) < 0)
        die(&e);
    while ((r = rpc_stream_next(s, &msg, &st, &e)) > 0) {
        Joblet__DataChunk *m = joblet__data_chunk__unpack(NULL, msg.len, (uint8_t *) msg.data);
        char text[32] = "";

        if (m && m->payload.len > 1 && m->payload.len < sizeof text) {
            memcpy(text, m->payload.data, m->payload.len - 1);
            if (jl_parse_u64(text, UINT64_MAX, &ns) < 0)
                ns = 0;
        }
        if (m)
            joblet__data_chunk__free_unpacked(m, NULL);
    }
    if (r < 0)
        die(&e);
    rpc_stream_close(s);
    return ns;
}

static void starts(size_t jobs)
{
    struct rpc_client *c = dial();
    char id[64];

    for (size_t i = 0; i < jobs + 3; i++) {
        uint64_t began = jl_wall_ns(), at;

        submit(c, "date", "+%s%N", id);
        at = printed(c, id);
        if (at > began && i >= 3) /* the first ones warm up */
            sample(0, jl_now_ns() - (at - began));
        pause_ns(20 * JL_NS_PER_MS); /* the end of this one is not the next one's beginning */
    }
    report("start", shared->ns[0], shared->n[0]);
}

static size_t number(const char *text)
{
    uint64_t n;

    if (jl_parse_u64(text, 1000000, &n) < 0 || n == 0) {
        fprintf(stderr, "load: '%s' is no number of 1 to 1000000\n", text);
        exit(2);
    }
    return n;
}

int main(int argc, char **argv)
{
    struct jl_err e = JL_ERR_INIT;
    size_t clients = argc > 4 ? number(argv[4]) : 1;

    if (argc < 4 || clients > 256) {
        fprintf(stderr, "usage: load CONFIG queue|run|start JOBS [CLIENTS]\n");
        return 2;
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || rnx_conf_load(argv[1], &conf, &e) < 0)
        die(&e);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(argv[2], "queue") == 0)
        queue(number(argv[3]), clients);
    else if (strcmp(argv[2], "run") == 0)
        run(number(argv[3]), clients);
    else
        starts(number(argv[3]));
    return 0;
}
