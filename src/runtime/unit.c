/* unit.c - speaking to joblet-systemd; see unit.h. */
#include "runtime/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/spawn.h"
#include "runtime/spec.h"

#define REQUEST_MAX ((size_t) 1 << 20)
#define ANSWER_MAX ((size_t) 64 << 10)
#define ANSWER_S 60 /* the helper itself gives up after 30 */

static const char *program = JOBLET_LIBEXECDIR "/joblet-systemd";

void rt_helper_program(const char *path)
{
    if (path)
        program = path;
}

bool rt_helper_is_there(void)
{
    return access(program, X_OK) == 0;
}

/* The helper gets nothing of our environment but where the user's bus is. */
static int fill_env(struct jl_strv *env)
{
    static const char *const names[] = { "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS" };

    for (size_t i = 0; i < JL_COUNT(names); i++) {
        const char *value = getenv(names[i]);

        if (value && *value && jl_strv_setenv(env, names[i], value) < 0)
            return -ENOMEM;
    }
    /* what a login would have set */
    if (!getenv("XDG_RUNTIME_DIR") &&
        jl_strv_addf(env, "XDG_RUNTIME_DIR=/run/user/%u", (unsigned) geteuid()) < 0)
        return -ENOMEM;
    return 0;
}

static int open_helper(struct rt_helper *h, bool user, struct jl_err *e)
{
    _strv_ struct jl_strv env = JL_STRV_INIT;
    char *argv[] = { (char *) "joblet-systemd", NULL }, *empty[] = { NULL };
    struct jl_spawn_fd fds[] = { { -1, 0 }, { -1, 1 }, { 2, 2 } };
    struct jl_spawn s = JL_SPAWN_INIT;
    int pair[2], r;

    *h = (struct rt_helper) RT_HELPER_INIT;
    if (user && fill_env(&env) < 0)
        return jl_fail(e, ENOMEM, "start %s", program);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return jl_fail_sys(e, "socketpair", NULL, "start %s", program);
    fds[0].fd = fds[1].fd = pair[1];
    s.path = program;
    s.argv = argv;
    s.envp = env.len > 0 ? env.items : empty;
    s.fds = fds;
    s.n_fds = fcntl(2, F_GETFD) < 0 ? 2 : 3;
    s.new_session = true; /* a ^C is the container's */
    r = jl_spawn(&s, &h->pid, NULL, e);
    jl_close(pair[1]);
    if (r == 0) {
        h->sock = pair[0];
        return 0;
    }
    jl_close(pair[0]);
    h->pid = 0;
    if (r == -ENOENT)
        jl_hint(e, "install it, name it with --systemd-helper, or leave --systemd-cgroup away");
    return r;
}

void rt_helper_close(struct rt_helper *h)
{
    if (h->pid <= 0)
        return;
    h->sock = jl_close(h->sock);
    jl_wait_status(h->pid);
    h->pid = 0;
}

static int read_answer(struct rt_helper *h, struct jl_buf *line, struct jl_err *e)
{
    uint64_t deadline = jl_now_ns() + ANSWER_S * JL_NS_PER_S, now;
    struct pollfd p = { .fd = h->sock, .events = POLLIN };
    char part[4096];

    while (!line->data || line->data[line->len - 1] != '\n') {
        ssize_t n;

        now = jl_now_ns();
        n = now < deadline ? poll(&p, 1, (int) ((deadline - now) / JL_NS_PER_MS) + 1) : 0;
        if (n == 0)
            return jl_refuse(e, ETIMEDOUT, "joblet-systemd did not answer within %d s", ANSWER_S);
        if (n > 0)
            n = recv(h->sock, part, sizeof part, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return jl_fail_sys(e, "read", NULL, "read the answer of joblet-systemd");
        if (n == 0)
            return jl_refuse(e, EPROTO, "joblet-systemd ended without an answer");
        if (jl_buf_add(line, part, (size_t) n) < 0)
            return jl_refuse(e, EMSGSIZE, "the answer of joblet-systemd is too long");
    }
    return 0;
}

static void copy_word(char *to, size_t size, const struct jl_json *v)
{
    snprintf(to, size, "%s", jl_json_str(v) ? jl_json_str(v) : "");
}

int rt_unit_answer(const struct jl_buf *line, char **ret_cgroup, struct jl_err *e)
{
    _json_ struct jl_json *doc = NULL;
    struct jl_err bad = JL_ERR_INIT;
    const char *path;
    int64_t code;

    if (jl_json_parse(line->data, line->len, NULL, &doc, &bad) < 0)
        return jl_refuse(e, EPROTO, "joblet-systemd: unexpected answer: %s", bad.text);
    if (jl_json_i64(jl_json_get(doc, "errno"), 1, 4095, &code) == 0) {
        const char *text = jl_json_str(jl_json_get(doc, "text"));

        jl_refuse(e, (int) code, "%s", text ? text : "joblet-systemd failed");
        copy_word(e->syscall, sizeof e->syscall, jl_json_get(doc, "call"));
        copy_word(e->object, sizeof e->object, jl_json_get(doc, "object"));
        copy_word(e->hint, sizeof e->hint, jl_json_get(doc, "hint"));
        return -e->code;
    }
    if (!ret_cgroup)
        return 0;
    path = jl_json_str(jl_json_get(doc, "cgroup"));
    if (!path || path[0] != '/' || path[1] == '\0')
        return jl_refuse(e, EPROTO, "systemd gave the unit no control group");
    *ret_cgroup = strdup(path + 1);
    return *ret_cgroup ? 0 : jl_fail(e, ENOMEM, "read the answer of joblet-systemd");
}

static int ask(struct rt_helper *h, const struct jl_buf *request, char **ret_cgroup,
               struct jl_err *e)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(ANSWER_MAX);
    size_t at = 0;
    int r;

    while (at < request->len) {
        ssize_t n = send(h->sock, request->data + at, request->len - at, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return jl_fail_sys(e, "send", NULL, "write to joblet-systemd");
        at += n > 0 ? (size_t) n : 0;
    }
    r = read_answer(h, &line, e);
    return r < 0 ? r : rt_unit_answer(&line, ret_cgroup, e);
}

int rt_unit_start(const struct rt_unit *u, const struct rt_spec *s, struct rt_helper *h,
                  char **ret_cgroup, struct jl_err *e)
{
    _buf_ struct jl_buf request = JL_BUF_INIT(REQUEST_MAX);
    struct os_cgroup_limits l = s->limits;
    int r;

    /* The one that holds the place counts until it is gone: rt_step_unit_release. */
    if (l.has_pids && l.pids >= 0 && l.pids < 2)
        l.pids = 2;
    r = rt_unit_request("start", u, s, &l, &request, e);
    if (r == 0)
        r = open_helper(h, u->user, e);
    if (r < 0)
        return r;
    r = ask(h, &request, ret_cgroup, e);
    if (r < 0)
        rt_helper_close(h);
    return r;
}

int rt_unit_attach(const struct rt_unit *u, struct rt_helper *helper, pid_t pid, struct jl_err *e)
{
    _buf_ struct jl_buf request = JL_BUF_INIT(REQUEST_MAX);
    struct jl_json_out w = JL_JSON_OUT_INIT(&request, 0);
    struct rt_helper own = RT_HELPER_INIT;
    int r = helper ? 0 : open_helper(&own, u->user, e);

    if (r < 0)
        return r;
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "verb", "attach");
    jl_json_put_str(&w, "unit", u->name);
    jl_json_put_bool(&w, "user", u->user);
    jl_json_put_i64(&w, "pid", pid);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(&request, '\n');
    r = r < 0 ? jl_fail(e, -r, "make the request to systemd")
              : ask(helper ? helper : &own, &request, NULL, e);
    rt_helper_close(&own);
    return r;
}

static int ask_once(const char *verb, const struct rt_unit *u, const struct os_cgroup_limits *l,
                    struct jl_err *e)
{
    _buf_ struct jl_buf request = JL_BUF_INIT(REQUEST_MAX);
    struct rt_helper h;
    int r = rt_unit_request(verb, u, NULL, l, &request, e);

    if (r == 0)
        r = open_helper(&h, u->user, e);
    if (r < 0)
        return r;
    r = ask(&h, &request, NULL, e);
    rt_helper_close(&h);
    return r;
}

int rt_unit_set(const struct rt_unit *u, const struct os_cgroup_limits *l, struct jl_err *e)
{
    return ask_once("set", u, l, e);
}

int rt_unit_stop(const struct rt_unit *u, struct jl_err *e)
{
    return ask_once("stop", u, NULL, e);
}
