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
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"

#define REQUEST_MAX ((size_t) 1 << 20)
#define CALL_US (25u * 1000000) /* one answer of systemd */
#define JOB_NS (30 * JL_NS_PER_S)

#define SD_NAME "org.freedesktop.systemd1"
#define SD_PATH "/org/freedesktop/systemd1"
#define SD_MANAGER "org.freedesktop.systemd1.Manager"

struct helper {
    sd_bus *bus;
    bool user;
    const char *unit;
    const struct jl_json *properties; /* array of [name, type, value...]; may be NULL */
    char job[256];                    /* object path of the job we wait for */
    char result[32];                  /* "done"; "" until it has ended */
    pid_t place;                      /* holds the place in the scope; 0: none */
    int place_fd;                     /* its end comes when this closes */
};

/* ---- what systemd says, in our words ---- */

static int fail_call(const struct helper *h, const char *method, int r, const sd_bus_error *said,
                     struct jl_err *e)
{
    jl_fail(e, -r, "systemd: %s '%s'%s%s", method, h->unit, said && said->message ? ": " : "",
            said && said->message ? said->message : "");
    snprintf(e->syscall, sizeof e->syscall, "%s", method);
    snprintf(e->object, sizeof e->object, "%s", h->unit);
    if (sd_bus_error_has_name(said, SD_NAME ".UnitExists"))
        return jl_hint(e, "another unit has that name: choose another cgroupsPath, or end it by "
                          "systemctl stop");
    if (r == -EACCES || r == -EPERM)
        return jl_hint(e, "an ordinary user's units are his own manager's: is there a user session "
                          "(loginctl enable-linger)?");
    return r;
}

static int fail_connect(const struct helper *h, int r, struct jl_err *e)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");

    if (!h->user) {
        jl_fail(e, -r, "connect to systemd's bus");
        return jl_hint(e, "is systemd this host's init? Leave --systemd-cgroup away where it is "
                          "not");
    }
    jl_fail(e, -r, "connect to the user's bus (%s/bus)", dir && *dir ? dir : "no XDG_RUNTIME_DIR");
    return jl_hint(e, "a user session is needed: log in (libpam-systemd, dbus-user-session), or "
                      "loginctl enable-linger");
}

/* ---- connection ---- */

static int connect_private(struct helper *h, const char *address)
{
    int r = sd_bus_new(&h->bus);

    if (r >= 0)
        r = sd_bus_set_address(h->bus, address);
    if (r >= 0)
        r = sd_bus_start(h->bus);
    if (r < 0)
        h->bus = sd_bus_unref(h->bus);
    return r;
}

/* The manager's own socket serves where there is no message bus. */
static int connect_bus(struct helper *h, struct jl_err *e)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");
    char address[512];
    int r = h->user ? sd_bus_open_user(&h->bus) : sd_bus_open_system(&h->bus);

    if (r < 0 && !h->user) {
        if (connect_private(h, "unix:path=/run/systemd/private") >= 0)
            r = 0;
    } else if (r < 0 && dir && *dir) {
        snprintf(address, sizeof address, "unix:path=%s/systemd/private", dir);
        if (connect_private(h, address) >= 0)
            r = 0;
    }
    if (r < 0)
        return fail_connect(h, r, e);
    sd_bus_set_method_call_timeout(h->bus, CALL_US);
    return 0;
}

/* ---- properties ---- */

/* One value of a basic D-Bus type, given as text. */
static int append_basic(sd_bus_message *m, char type, const char *text)
{
    char *end = NULL;
    long long i;
    unsigned long long u;

    errno = 0;
    if (type == 's')
        return sd_bus_message_append_basic(m, 's', text);
    if (type == 'b')
        return sd_bus_message_append(m, "b", strcmp(text, "true") == 0);
    if (type == 'd')
        return sd_bus_message_append(m, "d", strtod(text, &end));
    i = strtoll(text, &end, 10);
    if (*text == '\0' || *end != '\0')
        return -EINVAL;
    u = strtoull(text, NULL, 10);
    switch (type) {
    case 'y':
        return sd_bus_message_append(m, "y", (uint8_t) u);
    case 'n':
        return sd_bus_message_append(m, "n", (int16_t) i);
    case 'q':
        return sd_bus_message_append(m, "q", (uint16_t) u);
    case 'i':
        return sd_bus_message_append(m, "i", (int32_t) i);
    case 'u':
        return sd_bus_message_append(m, "u", (uint32_t) u);
    case 'x':
        return sd_bus_message_append(m, "x", (int64_t) i);
    case 't':
        return sd_bus_message_append(m, "t", (uint64_t) u);
    default:
        return -EINVAL;
    }
}

/* ["MemoryMax","t","67108864"], ["After","as","a.service","b.service"] as (sv). */
static int append_property(sd_bus_message *m, const struct jl_json *p)
{
    const struct jl_json *name = p->first, *type = name ? name->next : NULL;
    const char *signature = jl_json_str(type), *key = jl_json_str(name);
    bool array = signature && signature[0] == 'a';
    int r;

    if (!key || !signature || strlen(signature) != (array ? 2 : 1) || (!array && p->len != 3))
        return -EINVAL;
    r = sd_bus_message_open_container(m, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', signature);
    if (r >= 0 && array)
        r = sd_bus_message_open_container(m, 'a', signature + 1);
    for (const struct jl_json *v = type->next; v && r >= 0; v = v->next)
        r = jl_json_str(v) ? append_basic(m, signature[array], v->text) : -EINVAL;
    if (r >= 0 && array)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_properties(struct helper *h, sd_bus_message *m, bool with_place, struct jl_err *e)
{
    int r = sd_bus_message_open_container(m, 'a', "(sv)");

    if (r >= 0 && with_place)
        r = sd_bus_message_append(m, "(sv)", "PIDs", "au", 1, (uint32_t) h->place);
    if (r < 0)
        return jl_fail(e, -r, "make the message to systemd");
    for (const struct jl_json *p = h->properties ? h->properties->first : NULL; p; p = p->next) {
        r = append_property(m, p);
        if (r < 0)
            return jl_fail(e, -r, "systemd: property '%s'",
                           jl_json_str(p->first) ? jl_json_str(p->first) : "");
    }
    r = sd_bus_message_close_container(m);
    return r < 0 ? jl_fail(e, -r, "make the message to systemd") : 0;
}

static int new_call(struct helper *h, const char *method, sd_bus_message **ret, struct jl_err *e)
{
    int r = sd_bus_message_new_method_call(h->bus, ret, SD_NAME, SD_PATH, SD_MANAGER, method);

    return r < 0 ? jl_fail(e, -r, "make the message to systemd") : 0;
}

/* ---- jobs ---- */

static int job_removed(sd_bus_message *m, void *data, sd_bus_error *unused)
{
    struct helper *h = data;
    const char *path, *unit, *result;
    uint32_t id;

    (void) unused;
    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && h->job[0] != '\0' &&
        strcmp(path, h->job) == 0)
        snprintf(h->result, sizeof h->result, "%s", result);
    return 0;
}

/* Before the call that makes the job, or its end could be missed. */
static int watch_jobs(struct helper *h, struct jl_err *e)
{
    int r =
        sd_bus_match_signal(h->bus, NULL, NULL, SD_PATH, SD_MANAGER, "JobRemoved", job_removed, h);

    if (r < 0)
        return jl_fail(e, -r, "wait for systemd's jobs");
    /* refused where somebody has subscribed already on the same connection */
    sd_bus_call_method(h->bus, SD_NAME, SD_PATH, SD_MANAGER, "Subscribe", NULL, NULL, NULL);
    return 0;
}

static int wait_job(struct helper *h, const char *what, struct jl_err *e)
{
    uint64_t deadline = jl_now_ns() + JOB_NS;

    while (h->result[0] == '\0') {
        uint64_t now = jl_now_ns();
        int r = sd_bus_process(h->bus, NULL);

        if (r < 0)
            return jl_fail(e, -r, "systemd: wait until '%s' is %s", h->unit, what);
        if (r > 0)
            continue;
        if (now >= deadline)
            return jl_refuse(e, ETIMEDOUT, "systemd: '%s' was not %s within 30 s", h->unit, what);
        sd_bus_wait(h->bus, (deadline - now) / 1000);
    }
    if (strcmp(h->result, "done") == 0)
        return 0;
    jl_refuse(e, EIO, "systemd: '%s' could not be %s: the job ended as '%s'", h->unit, what,
              h->result);
    return jl_hint(e, "journalctl -b -u '%s' tells more", h->unit);
}

/* Calls and waits for the job that it makes. 1: error `fine` came instead, and that is all right. */
static int call_job(struct helper *h, sd_bus_message *m, const char *method, const char *what,
                    const char *fine, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *job;
    int r = sd_bus_call(h->bus, m, CALL_US, &said, &reply);

    if (r < 0 && fine && sd_bus_error_has_name(&said, fine)) {
        r = 1;
    } else if (r < 0) {
        r = fail_call(h, method, r, &said, e);
    } else if (sd_bus_message_read(reply, "o", &job) < 0) {
        r = jl_refuse(e, EPROTO, "systemd: %s: unexpected answer", method);
    } else {
        snprintf(h->job, sizeof h->job, "%s", job);
        r = wait_job(h, what, e);
    }
    sd_bus_error_free(&said);
    sd_bus_message_unref(reply);
    return r;
}

/* ---- start ---- */

static int hold_place(struct helper *h, struct jl_err *e)
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

static void give_place_up(struct helper *h)
{
    if (h->place <= 0)
        return;
    close(h->place_fd);
    waitpid(h->place, NULL, 0);
}

static int unit_cgroup(struct helper *h, char **ret, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    char *path = NULL;
    int r = sd_bus_path_encode(SD_PATH "/unit", h->unit, &path);

    if (r >= 0)
        r = sd_bus_get_property_string(h->bus, SD_NAME, path, SD_NAME ".Scope", "ControlGroup",
                                       &said, ret);
    if (r < 0)
        fail_call(h, "ControlGroup", r, &said, e);
    free(path);
    sd_bus_error_free(&said);
    return r < 0 ? r : 0;
}

static int start(struct helper *h, char **ret_cgroup, struct jl_err *e)
{
    sd_bus_message *m = NULL;
    int r = hold_place(h, e);

    if (r == 0)
        r = watch_jobs(h, e);
    if (r == 0)
        r = new_call(h, "StartTransientUnit", &m, e);
    if (r == 0 && sd_bus_message_append(m, "ss", h->unit, "fail") < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = append_properties(h, m, true, e);
    if (r == 0 && sd_bus_message_append(m, "a(sa(sv))", 0) < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = call_job(h, m, "StartTransientUnit", "started", NULL, e);
    sd_bus_message_unref(m);
    return r < 0 ? r : unit_cgroup(h, ret_cgroup, e);
}

/* ---- the other verbs ---- */

static int stop(struct helper *h, struct jl_err *e)
{
    sd_bus_message *m = NULL;
    int r = watch_jobs(h, e);

    if (r == 0)
        r = new_call(h, "StopUnit", &m, e);
    if (r == 0 && sd_bus_message_append(m, "ss", h->unit, "replace") < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = call_job(h, m, "StopUnit", "stopped", SD_NAME ".NoSuchUnit", e);
    sd_bus_message_unref(m);
    if (r == 0) /* one that failed would stay; mostly there is none any more */
        sd_bus_call_method(h->bus, SD_NAME, SD_PATH, SD_MANAGER, "ResetFailedUnit", NULL, NULL, "s",
                           h->unit);
    return r < 0 ? r : 0;
}

static int set(struct helper *h, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    sd_bus_message *m = NULL;
    int r = new_call(h, "SetUnitProperties", &m, e);

    if (r == 0 && sd_bus_message_append(m, "sb", h->unit, 1) < 0)
        r = jl_fail(e, ENOMEM, "make the message to systemd");
    if (r == 0)
        r = append_properties(h, m, false, e);
    if (r == 0) {
        r = sd_bus_call(h->bus, m, CALL_US, &said, NULL);
        r = r < 0 ? fail_call(h, "SetUnitProperties", r, &said, e) : 0;
    }
    sd_bus_error_free(&said);
    sd_bus_message_unref(m);
    return r;
}

/* Another's manager may have to be asked to move a process, which it does when we ask ours. */
static int attach(struct helper *h, const struct jl_json *pid, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    uint64_t number;
    int r;

    if (jl_json_u64(pid, INT32_MAX, &number) < 0)
        return jl_refuse(e, EINVAL, "request: pid is no process id");
    r = sd_bus_call_method(h->bus, SD_NAME, SD_PATH, SD_MANAGER, "AttachProcessesToUnit", &said,
                           NULL, "ssau", h->unit, "", 1, (uint32_t) number);
    r = r < 0 ? fail_call(h, "AttachProcessesToUnit", r, &said, e) : 0;
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

static int carry_out(struct helper *h, const char *verb, const struct jl_json *request,
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
static int serve(struct helper *h)
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
            r = connect_bus(h, &e);
        if (r == 0)
            r = carry_out(h, verb, request, &cgroup, &e);
    }
    return answer(&e, cgroup) < 0 ? -EPIPE : r;
}

int main(int argc, char **argv)
{
    struct helper h = { .place_fd = -1 };
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
