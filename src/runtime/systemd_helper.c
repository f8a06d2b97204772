/*
 * systemd_helper.c - joblet-systemd: carries one request of joblet-run to systemd over D-Bus and
 * answers. A program of its own because joblet-run is static and libsystemd is not; it is run only
 * when the systemd driver was asked for. docs/formats/systemd-helper.md has the messages.
 *
 * A scope needs a process when it is made, and joblet-run's child does not exist yet: a process of
 * ours takes its place until joblet-run closes our standard input, which it does once its child is
 * inside, and which happens by itself when it dies. Without anybody inside systemd takes the scope
 * away, so a request that was broken off at any moment leaves nothing.
 *
 * Source: org.freedesktop.systemd1(5), systemd.resource-control(5), sd-bus(3).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "runtime/systemd_bus.h"

#define REQUEST_MAX ((size_t) 1 << 20)

/* ---- start ---- */

static int hold_place(struct rt_sd *h, struct jl_err *e)
{
    int pair[2];

    if (pipe(pair) < 0)
        return jl_fail_sys(e, "pipe", NULL, "hold a place in the scope");
    h->place = fork();
    if (h->place == 0) {
        char byte;

        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        close(pair[1]);
        _exit(read(pair[0], &byte, 1) != 0);
    }
    close(pair[0]);
    h->place_fd = pair[1];
    return h->place < 0 ? jl_fail_sys(e, "fork", NULL, "hold a place in the scope") : 0;
}

static void give_place_up(struct rt_sd *h)
{
    if (h->place <= 0)
        return;
    close(h->place_fd);
    waitpid(h->place, NULL, 0);
}

static int unit_cgroup(struct rt_sd *h, char **ret, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    char *path = NULL;
    int r = sd_bus_path_encode(SD_PATH "/unit", h->unit, &path);

    if (r >= 0)
        r = sd_bus_get_property_string(h->bus, SD_NAME, path, SD_NAME ".Scope", "ControlGroup",
                                       &said, ret);
    if (r < 0)
        rt_sd_fail_call(h, "ControlGroup", r, &said, e);
    free(path);
    sd_bus_error_free(&said);
    return r < 0 ? r : 0;
}

static int start(struct rt_sd *h, char **ret_cgroup, struct jl_err *e)
{
    sd_bus_message *m = NULL;
    int r = hold_place(h, e);

    if (r == 0)
        r = rt_sd_watch_jobs(h, e);
    if (r == 0)
        r = rt_sd_new_call(h, "StartTransientUnit", &m, e);
    if (r == 0 && sd_bus_message_append(m, "ss", h->unit, "fail") < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = rt_sd_append_properties(h, m, true, e);
    if (r == 0 && sd_bus_message_append(m, "a(sa(sv))", 0) < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = rt_sd_call_job(h, m, "StartTransientUnit", "started", NULL, e);
    sd_bus_message_unref(m);
    return r < 0 ? r : unit_cgroup(h, ret_cgroup, e);
}

/* ---- the other verbs ---- */

static int stop(struct rt_sd *h, struct jl_err *e)
{
    sd_bus_message *m = NULL;
    int r = rt_sd_watch_jobs(h, e);

    if (r == 0)
        r = rt_sd_new_call(h, "StopUnit", &m, e);
    if (r == 0 && sd_bus_message_append(m, "ss", h->unit, "replace") < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = rt_sd_call_job(h, m, "StopUnit", "stopped", SD_NAME ".NoSuchUnit", e);
    sd_bus_message_unref(m);
    if (r == 0) /* one that failed would stay; mostly there is none any more */
        sd_bus_call_method(h->bus, SD_NAME, SD_PATH, SD_MANAGER, "ResetFailedUnit", NULL, NULL, "s",
                           h->unit);
    return r < 0 ? r : 0;
}

static int set(struct rt_sd *h, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    sd_bus_message *m = NULL;
    int r = rt_sd_new_call(h, "SetUnitProperties", &m, e);

    if (r == 0 && sd_bus_message_append(m, "sb", h->unit, 1) < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = rt_sd_append_properties(h, m, false, e);
    if (r == 0) {
        r = sd_bus_call(h->bus, m, RT_SD_CALL_US, &said, NULL);
        r = r < 0 ? rt_sd_fail_call(h, "SetUnitProperties", r, &said, e) : 0;
    }
    sd_bus_error_free(&said);
    sd_bus_message_unref(m);
    return r;
}

/* Another's manager may have to be asked to move a process, which it does when we ask ours. */
static int attach(struct rt_sd *h, const struct jl_json *pid, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    uint64_t number;
    int r;

    if (jl_json_u64(pid, INT32_MAX, &number) < 0)
        return jl_refuse(e, EINVAL, "request: pid is no process id");
    r = sd_bus_call_method(h->bus, SD_NAME, SD_PATH, SD_MANAGER, "AttachProcessesToUnit", &said,
                           NULL, "ssau", h->unit, "", 1, (uint32_t) number);
    r = r < 0 ? rt_sd_fail_call(h, "AttachProcessesToUnit", r, &said, e) : 0;
    sd_bus_error_free(&said);
    return r;
}

/* ---- requests and answers ---- */

static int answer(const struct jl_err *e, const char *cgroup)
{
    _buf_ struct jl_buf out = JL_BUF_INIT(16384);
    struct jl_json_out w = JL_JSON_OUT_INIT(&out, 0);

    w.replace = true;
    jl_json_put_object(&w, NULL);
    if (e->code != 0) {
        jl_json_put_i64(&w, "errno", e->code);
        jl_json_put_str(&w, "text", e->text);
        jl_json_put_str(&w, "call", e->syscall);
        jl_json_put_str(&w, "object", e->object);
        jl_json_put_str(&w, "hint", e->hint);
    }
    if (cgroup)
        jl_json_put_str(&w, "cgroup", cgroup);
    jl_json_end(&w);
    if (jl_json_finish(&w) < 0 || jl_buf_putc(&out, '\n') < 0)
        return -ENOMEM;
    return jl_write_all(STDOUT_FILENO, out.data, out.len);
}

/* One line. 0, -ENODATA at the end of input, or -errno. */
static int read_line(struct jl_buf *line)
{
    char c;

    for (;;) {
        ssize_t n = read(STDIN_FILENO, &c, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -ENODATA;
        if (c == '\n')
            return 0;
        if (jl_buf_putc(line, c) < 0)
            return -EMSGSIZE;
    }
}

static int carry_out(struct rt_sd *h, const char *verb, const struct jl_json *request,
                     char **ret_cgroup, struct jl_err *e)
{
    if (strcmp(verb, "start") == 0)
        return start(h, ret_cgroup, e);
    if (strcmp(verb, "stop") == 0)
        return stop(h, e);
    if (strcmp(verb, "set") == 0)
        return set(h, e);
    if (strcmp(verb, "attach") == 0)
        return attach(h, jl_json_get(request, "pid"), e);
    return jl_refuse(e, EINVAL, "request: '%s' is no verb", verb);
}

/* Reads and answers one. 0, or -errno when it failed, which has been answered. */
static int serve(struct rt_sd *h)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(REQUEST_MAX);
    _json_ struct jl_json *request = NULL;
    struct jl_err e = JL_ERR_INIT;
    _free_ char *cgroup = NULL;
    const char *verb;
    int r = read_line(&line);

    if (r < 0)
        return r;
    r = jl_json_parse(line.data ? line.data : "", line.len, NULL, &request, &e);
    if (r == 0) {
        verb = jl_json_str(jl_json_get(request, "verb"));
        h->unit = jl_json_str(jl_json_get(request, "unit"));
        h->properties = jl_json_get(request, "properties");
        if (jl_json_bool(jl_json_get(request, "user"), &h->user) < 0)
            h->user = false;
        if (!verb || !h->unit)
            r = jl_refuse(&e, EINVAL, "request: verb and unit are needed");
        if (r == 0 && !h->bus)
            r = rt_sd_connect(h, &e);
        if (r == 0)
            r = carry_out(h, verb, request, &cgroup, &e);
    }
    return answer(&e, cgroup) < 0 ? -EPIPE : r;
}

int main(int argc, char **argv)
{
    struct rt_sd h = { .place_fd = -1 };
    int r;

    (void) argv;
    if (argc != 1) {
        fputs("joblet-systemd: serves joblet-run and is not meant to be run by hand; see "
              "joblet-run(1), --systemd-cgroup\n",
              stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    do
        r = serve(&h);
    while (r == 0);
    give_place_up(&h);
    sd_bus_flush_close_unref(h.bus);
    return r != -ENODATA;
}
