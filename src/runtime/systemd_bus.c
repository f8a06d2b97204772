/* systemd_bus.c - see systemd_bus.h. */
#include "runtime/systemd_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"

#define JOB_NS (30 * JL_NS_PER_S)

/* ---- what systemd says, in our words ---- */

int rt_sd_fail_call(const struct rt_sd *h, const char *method, int r, const sd_bus_error *said,
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

static int fail_connect(const struct rt_sd *h, int r, struct jl_err *e)
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

static int connect_private(struct rt_sd *h, const char *address)
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
int rt_sd_connect(struct rt_sd *h, struct jl_err *e)
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
    sd_bus_set_method_call_timeout(h->bus, RT_SD_CALL_US);
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

/* The values from v on, of an array: of one basic type, or of pairs of strings. */
static int append_values(sd_bus_message *m, const char *of, const struct jl_json *v)
{
    bool pairs = of[0] == '(';
    int r = 0;

    for (; v && r >= 0; v = v->next) {
        const char *text = jl_json_str(v), *second = NULL;

        if (pairs) {
            v = v->next;
            second = v ? jl_json_str(v) : NULL;
        }
        if (!text || (pairs && !second))
            return -EINVAL;
        r = pairs ? sd_bus_message_append(m, of, text, second) : append_basic(m, of[0], text);
    }
    return r;
}

static bool is_signature(const char *s)
{
    return strlen(s) == (s[0] == 'a' ? 2 : 1) || strcmp(s, "a(ss)") == 0;
}

/* ["MemoryMax","t","67108864"], ["After","as","a.service","b.service"] as (sv). */
static int append_property(sd_bus_message *m, const struct jl_json *p)
{
    const struct jl_json *name = p->first, *type = name ? name->next : NULL;
    const char *signature = jl_json_str(type), *key = jl_json_str(name);
    bool array = signature && signature[0] == 'a';
    int r;

    if (!key || !signature || !is_signature(signature) || (!array && p->len != 3))
        return -EINVAL;
    r = sd_bus_message_open_container(m, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', signature);
    if (r >= 0 && array)
        r = sd_bus_message_open_container(m, 'a', signature + 1);
    if (r >= 0)
        r = append_values(m, signature + array, type->next);
    if (r >= 0 && array)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int rt_sd_append_properties(struct rt_sd *h, sd_bus_message *m, bool with_place, struct jl_err *e)
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

int rt_sd_new_call(struct rt_sd *h, const char *method, sd_bus_message **ret, struct jl_err *e)
{
    int r = sd_bus_message_new_method_call(h->bus, ret, SD_NAME, SD_PATH, SD_MANAGER, method);

    return r < 0 ? jl_fail(e, -r, "make the message to systemd") : 0;
}

/* ---- jobs ---- */

static int job_removed(sd_bus_message *m, void *data, sd_bus_error *unused)
{
    struct rt_sd *h = data;
    const char *path, *unit, *result;
    uint32_t id;

    (void) unused;
    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) >= 0 && h->job[0] != '\0' &&
        strcmp(path, h->job) == 0)
        snprintf(h->result, sizeof h->result, "%s", result);
    return 0;
}

int rt_sd_watch_jobs(struct rt_sd *h, struct jl_err *e)
{
    int r =
        sd_bus_match_signal(h->bus, NULL, NULL, SD_PATH, SD_MANAGER, "JobRemoved", job_removed, h);

    if (r < 0)
        return jl_fail(e, -r, "wait for systemd's jobs");
    /* refused where somebody has subscribed already on the same connection */
    sd_bus_call_method(h->bus, SD_NAME, SD_PATH, SD_MANAGER, "Subscribe", NULL, NULL, NULL);
    return 0;
}

static int wait_job(struct rt_sd *h, const char *what, struct jl_err *e)
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

int rt_sd_call_job(struct rt_sd *h, sd_bus_message *m, const char *method, const char *what,
                   const char *fine, struct jl_err *e)
{
    sd_bus_error said = SD_BUS_ERROR_NULL;
    sd_bus_message *reply = NULL;
    const char *job;
    int r = sd_bus_call(h->bus, m, RT_SD_CALL_US, &said, &reply);

    if (r < 0 && fine && sd_bus_error_has_name(&said, fine)) {
        r = 1;
    } else if (r < 0) {
        r = rt_sd_fail_call(h, method, r, &said, e);
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
