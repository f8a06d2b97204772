/* cmd_monitor.c - rnx monitor status, top and watch. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/status.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/monitor.h"
#include "rnx/out.h"
#include "rnx/stream.h"

#define INTERVAL_DEFAULT_S 5
#define CLEAR "\x1b[H\x1b[2J"

struct monitor_opts {
    const char *filter;
    int64_t interval;
    bool compact;
};

static const struct rnx_opt top_items[] = {
    { "filter", 0, RNX_OPT_STRING, "PART[,PART...]", offsetof(struct monitor_opts, filter),
      "only these of cpu, memory, disk, network, io, process" },
};

static const struct rnx_opt watch_items[] = {
    { "interval", 0, RNX_OPT_INT, "N", offsetof(struct monitor_opts, interval),
      "seconds from one sample to the next (5)", 1, 86400 },
    { "filter", 0, RNX_OPT_STRING, "PART[,PART...]", offsetof(struct monitor_opts, filter),
      "only these of cpu, memory, disk, network, io, process" },
    { "compact", 0, RNX_OPT_BOOL, NULL, offsetof(struct monitor_opts, compact),
      "one line each, no tables" },
};

static int parts_of(const char *filter, unsigned *ret, struct jl_err *e)
{
    *ret = filter ? 0 : RNX_MON_ALL;
    for (const char *p = filter; p;) {
        size_t len = strcspn(p, ",");
        unsigned bit = rnx_mon_bit(p, len);

        if (!bit)
            return rnx_usage(e,
                             "--filter: '%.*s' is none of cpu, memory, disk, network, io, process",
                             (int) (len < 40 ? len : 40), p);
        *ret |= bit;
        p = p[len] == ',' ? p + len + 1 : NULL;
    }
    return 0;
}

static int print_json(const Joblet__SystemStatusResponse *s, unsigned parts, bool one_line,
                      struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(16u << 20);
    struct jl_json_out w;
    int r;

    rnx_json_begin(&w, &b, one_line);
    rnx_mon_json(&w, s, parts);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(&b, '\n');
    return r < 0 ? jl_fail(e, -r, "write JSON") : rnx_write(b.data, b.len, e);
}

/* One sample, the server's last. */
static int snapshot(struct rnx *x, unsigned parts, bool brief, struct jl_err *e)
{
    Joblet__EmptyRequest request = JOBLET__EMPTY_REQUEST__INIT;
    const Joblet__SystemStatusResponse *s;
    ProtobufCMessage *reply = NULL;
    int r = rnx_call(x, "/joblet.MonitoringService/GetSystemStatus", &request.base,
                     &joblet__system_status_response__descriptor, 0, &reply, NULL, e);

    if (r < 0)
        return r;
    s = (const Joblet__SystemStatusResponse *) reply;
    if (x->json)
        r = print_json(s, parts, false, e);
    else if (brief)
        rnx_mon_top_text(stdout, s, parts, false);
    else
        rnx_mon_status_text(stdout, s, parts);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

static int run_status(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx monitor: '%.40s' is none of status, top, watch", words.items[0]);
    return snapshot(x, RNX_MON_ALL, false, e);
}

static int run_top(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct monitor_opts o = { 0 };
    unsigned parts;
    int r = rnx_parse(x, &o, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx monitor top takes no words, only flags");
    r = parts_of(o.filter, &parts, e);
    return r < 0 ? r : snapshot(x, parts, true, e);
}

struct watcher {
    struct rnx *x;
    const struct monitor_opts *o;
    unsigned parts;
    struct rnx_again again;
};

/* The stream's message has the fields of a status but for two. */
static int on_sample(void *user, const struct jl_buf *msg, struct jl_err *e)
{
    struct watcher *w = user;
    struct rnx *x = w->x;
    Joblet__SystemStatusResponse s = JOBLET__SYSTEM_STATUS_RESPONSE__INIT;
    const Joblet__SystemMetricsResponse *got;
    ProtobufCMessage *m = NULL;
    int r =
        api_unpack_reply(&joblet__system_metrics_response__descriptor, msg->data, msg->len, &m, e);

    if (r < 0)
        return jl_wrap(e, "a sample");
    rnx_again_reset(&w->again);
    got = (const Joblet__SystemMetricsResponse *) m;
    s.timestamp = got->timestamp;
    s.available = true;
    s.host = got->host;
    s.cpu = got->cpu;
    s.memory = got->memory;
    s.disks = got->disks;
    s.n_disks = got->n_disks;
    s.networks = got->networks;
    s.n_networks = got->n_networks;
    s.io = got->io;
    s.processes = got->processes;
    s.cloud = got->cloud;
    if (x->json) {
        r = print_json(&s, w->parts, true, e);
    } else {
        fputs(x->terminal ? CLEAR : "", stdout);
        rnx_mon_top_text(stdout, &s, w->parts, w->o->compact);
        if (!x->terminal)
            fputc('\n', stdout);
        if (fflush(stdout) != 0)
            r = jl_fail(e, errno, "write to standard output");
    }
    protobuf_c_message_free_unpacked(m, NULL);
    return r;
}

static int watch(struct rnx *x, const struct monitor_opts *o, unsigned parts, struct jl_err *e)
{
    Joblet__StreamMetricsRequest request = JOBLET__STREAM_METRICS_REQUEST__INIT;
    struct watcher w = { .x = x, .o = o, .parts = parts };
    struct rpc_status st;
    char *types[8];
    int r = rnx_connect(x, e);

    if (r < 0)
        return r;
    rnx_catch_signals(x);
    request.interval_seconds = (int32_t) o->interval;
    request.metric_types = types;
    for (unsigned i = 0; rnx_mon_word(i) && parts != RNX_MON_ALL; i++)
        if (parts & 1u << i)
            types[request.n_metric_types++] = (char *) (uintptr_t) rnx_mon_word(i);
    do {
        r = rnx_stream(x, "/joblet.MonitoringService/StreamSystemMetrics", &request.base, 16u << 20,
                       on_sample, &w, &st, e);
        if (r >= 0)
            return 0; /* Ctrl-C is how it ends */
        r = rnx_again(x, &w.again, &st, e);
    } while (r == 0);
    return r < 0 ? r : 0;
}

static int run_watch(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct monitor_opts o = { .interval = INTERVAL_DEFAULT_S };
    unsigned parts;
    int r = rnx_parse(x, &o, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx monitor watch takes no words, only flags");
    r = parts_of(o.filter, &parts, e);
    return r < 0 ? r : watch(x, &o, parts, e);
}

const struct rnx_cmd rnx_cmd_monitor_status = {
    .group = "monitor",
    .name = "status",
    .args = "",
    .summary = "the server's host and its load, in full",
    .run = run_status,
};

const struct rnx_cmd rnx_cmd_monitor = {
    .name = "monitor",
    .args = "[command] [flags]",
    .summary = "the same as monitor status",
    .run = run_status,
};

const struct rnx_cmd rnx_cmd_monitor_top = {
    .group = "monitor",
    .name = "top",
    .args = "[flags]",
    .summary = "the load of the server's host, short",
    .opts = &(const struct rnx_opts) RNX_OPTS(top_items),
    .run = run_top,
};

const struct rnx_cmd rnx_cmd_monitor_watch = {
    .group = "monitor",
    .name = "watch",
    .args = "[flags]",
    .summary = "the load of the server's host, again and again until Ctrl-C",
    .more =
        "On a terminal each sample takes the place of the one before. --json prints one object\n"
        "a line.\n",
    .opts = &(const struct rnx_opts) RNX_OPTS(watch_items),
    .run = run_watch,
};
