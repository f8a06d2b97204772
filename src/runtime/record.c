/* record.c - see record.h; also what state.h adds to a record. */
#include "runtime/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/parse.h"
#include "os/pidfd.h"

#define RECORD_VERSION 1

int rt_record_text(const struct rt_state *s, struct jl_buf *out, struct jl_err *e)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, 0);
    int r;

    jl_json_put_object(&w, NULL);
    jl_json_put_u64(&w, "version", RECORD_VERSION);
    jl_json_put_str(&w, "ociVersion", s->oci_version);
    jl_json_put_str(&w, "id", s->id);
    jl_json_put_str(&w, "bundle", s->bundle);
    jl_json_put_str(&w, "rootfs", s->rootfs);
    if (s->cgroup)
        jl_json_put_str(&w, "cgroup", s->cgroup);
    if (s->unit) {
        jl_json_put_str(&w, "unit", s->unit);
        jl_json_put_bool(&w, "unitOfUser", s->unit_user);
    }
    if (s->rdt) {
        jl_json_put_str(&w, "rdt", s->rdt);
        jl_json_put_bool(&w, "rdtOwn", s->rdt_own);
        jl_json_put_bool(&w, "rdtMonitor", s->rdt_monitor);
    }
    jl_json_put_bool(&w, "ownPidNamespace", s->own_pid_ns);
    jl_json_put_str(&w, "created", s->created);
    jl_json_put_u64(&w, "owner", s->owner);
    jl_json_put_u64(&w, "configBytes", s->config_len);
    if (s->n_annotations > 0) {
        jl_json_put_object(&w, "annotations");
        for (size_t i = 0; i < s->n_annotations; i++)
            jl_json_put_str(&w, s->annotations[i].key, s->annotations[i].value);
        jl_json_end(&w);
    }
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(out, '\n');
    return r < 0 ? jl_fail(e, -r, "make the record of container '%s'", s->id) : 0;
}

/* One new file and as good as always one write: on a disk each inode more would cost. */
int rt_record_write(struct rt_state *s, const struct jl_buf *head, struct jl_err *e)
{
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    struct flock lock = { .l_type = F_WRLCK };
    int fd = s->record = openat(s->dirfd, "record", flags, 0600);
    struct iovec iov[] = { { head->data, head->len }, { s->config, s->config_len } };
    ssize_t n;
    int r;

    if (fd < 0)
        return jl_fail_sys(e, "openat", "record", "write the record of container '%s'", s->id);
    if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
        return jl_fail_sys(e, "fcntl", "record", "lock the record of container '%s'", s->id);
    n = writev(fd, iov, JL_COUNT(iov));
    if (n < 0 || (size_t) n < head->len)
        return jl_fail(e, n < 0 ? errno : EIO, "write the record of container '%s'", s->id);
    n -= (ssize_t) head->len;
    r = jl_write_all(fd, s->config + n, s->config_len - (size_t) n);
    return r < 0 ? jl_fail(e, -r, "write the record of container '%s'", s->id) : 0;
}

static int no_memory(struct jl_err *e)
{
    return jl_fail(e, ENOMEM, "read the record of the container");
}

static int take_string(const struct jl_json *doc, const char *key, char **ret)
{
    const char *value = jl_json_str(jl_json_get(doc, key));

    *ret = NULL;
    if (!value)
        return 0;
    *ret = strdup(value);
    return *ret ? 0 : -ENOMEM;
}

static int take_annotations(struct rt_state *s, const struct jl_json *notes, struct jl_err *e)
{
    if (!notes || notes->kind != JL_JSON_OBJECT)
        return 0;
    JL_JSON_FOREACH(n, notes)
    if (oci_kv_add(&s->annotations, &s->n_annotations, n->key, n->text ? n->text : "") < 0)
        return no_memory(e);
    return 0;
}

/* The first line. */
static int read_head(struct rt_state *s, const char *text, size_t len, struct jl_err *e)
{
    _json_ struct jl_json *doc = NULL;
    uint64_t owner = 0, config_len = 0;
    int r = jl_json_parse(text, len, NULL, &doc, e);

    if (r < 0)
        return r;
    if (take_string(doc, "bundle", &s->bundle) < 0 || take_string(doc, "rootfs", &s->rootfs) < 0 ||
        take_string(doc, "cgroup", &s->cgroup) < 0 || take_string(doc, "unit", &s->unit) < 0 ||
        take_string(doc, "rdt", &s->rdt) < 0 ||
        take_string(doc, "ociVersion", &s->oci_version) < 0 ||
        take_string(doc, "created", &s->created) < 0)
        return no_memory(e);
    if (jl_json_u64(jl_json_get(doc, "owner"), UINT32_MAX, &owner) == 0)
        s->owner = (uint32_t) owner;
    if (jl_json_u64(jl_json_get(doc, "configBytes"), RT_RECORD_MAX, &config_len) == 0)
        s->config_len = (size_t) config_len;
    if (jl_json_bool(jl_json_get(doc, "unitOfUser"), &s->unit_user) < 0)
        s->unit_user = false;
    if (jl_json_bool(jl_json_get(doc, "ownPidNamespace"), &s->own_pid_ns) < 0)
        s->own_pid_ns = false;
    if (jl_json_bool(jl_json_get(doc, "rdtOwn"), &s->rdt_own) < 0)
        s->rdt_own = false;
    if (jl_json_bool(jl_json_get(doc, "rdtMonitor"), &s->rdt_monitor) < 0)
        s->rdt_monitor = false;
    return take_annotations(s, jl_json_get(doc, "annotations"), e);
}

static void read_phases(struct rt_state *s, const struct jl_json *phases)
{
    if (!phases || phases->kind != JL_JSON_OBJECT)
        return;
    s->has_phases = true;
    for (unsigned i = 0; i < RT_PHASE_N; i++)
        if (jl_json_u64(jl_json_get(phases, rt_phase_name(i)), INT64_MAX, &s->phase_us[i]) < 0)
            s->phase_us[i] = 0;
}

static void read_ending(struct rt_state *s, const struct jl_json *doc)
{
    int64_t status;
    uint64_t when;
    char *finished;

    if (jl_json_i64(jl_json_get(doc, "waitStatus"), 0, 0xffff, &status) < 0)
        return;
    s->exited = true;
    s->exit_status = (int) status;
    if (take_string(doc, "finished", &finished) < 0 || !finished)
        return;
    if (s->finished || jl_parse_rfc3339(finished, &when) < 0)
        free(finished);
    else
        s->finished = finished;
}

/* A line about the group or the first process. A half one means that its writer died in it: as if
 * there were none. */
static void read_addition(struct rt_state *s, const char *text, size_t len)
{
    _json_ struct jl_json *doc = NULL;
    struct jl_err ignored = JL_ERR_INIT;
    uint64_t ticks;
    int64_t pid;
    bool made;

    if (jl_json_parse(text, len, NULL, &doc, &ignored) < 0)
        return;
    if (s->unit && !s->cgroup && take_string(doc, "cgroup", &s->cgroup) < 0)
        return;
    if (jl_json_bool(jl_json_get(doc, "cgroupMade"), &made) == 0)
        s->cgroup_made = made;
    if (jl_json_bool(jl_json_get(doc, "rdtMade"), &made) == 0)
        s->rdt_made = made;
    read_phases(s, jl_json_get(doc, "phasesUs"));
    read_ending(s, doc);
    if (jl_json_i64(jl_json_get(doc, "pid"), 1, INT32_MAX, &pid) < 0 ||
        jl_json_u64(jl_json_get(doc, "startTicks"), UINT64_MAX, &ticks) < 0)
        return;
    s->pid = (pid_t) pid;
    s->start_ticks = ticks;
}

static void read_additions(struct rt_state *s, const char *text, size_t len)
{
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line = end ? (size_t) (end - text) + 1 : len;

        read_addition(s, text, line);
        text += line;
        len -= line;
    }
}

int rt_record_parse(struct rt_state *s, const char *text, size_t len, struct jl_err *e)
{
    const char *end = len > 0 ? memchr(text, '\n', len) : NULL;
    size_t head;
    int r;

    if (!end) /* killed while it was written, so before the first side effect */
        return 0;
    head = (size_t) (end - text) + 1;
    r = read_head(s, text, head, e);
    if (r < 0 && r != -ENOMEM)
        e->code = EBADMSG;
    if (r < 0)
        return jl_wrap(e, "record of container '%s'", s->id ? s->id : "");
    if (len - head < s->config_len) {
        s->config_len = 0;
        return 0; /* likewise */
    }
    s->config = malloc(s->config_len + 1);
    if (!s->config)
        return no_memory(e);
    memcpy(s->config, text + head, s->config_len); /* not strndup: a NUL would shorten it */
    s->config[s->config_len] = '\0';
    head += s->config_len;
    read_additions(s, text + head, len - head);
    return 0;
}

int rt_record_read(struct rt_state *s, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(RT_RECORD_MAX);
    struct jl_err ignored = JL_ERR_INIT;
    int r = jl_read_file_at(s->dirfd, "record", &text, &ignored);

    if (r == -ENOENT)
        return 0; /* killed before it was written: there is nothing but the directory */
    if (r < 0)
        return jl_fail(e, -r, "read the record of container '%s'", s->id);
    return rt_record_parse(s, text.data ? text.data : "", text.len, e);
}

static int append(const struct rt_state *s, const char *line, size_t len)
{
    return s->record < 0 ? -EBADF : jl_write_all(s->record, line, len);
}

int rt_state_add_cgroup(struct rt_state *s, struct jl_err *e)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(RT_RECORD_MAX);
    struct jl_json_out w = JL_JSON_OUT_INIT(&line, 0);
    int r;

    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "cgroup", s->cgroup);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r == 0)
        r = jl_buf_putc(&line, '\n');
    if (r == 0)
        r = append(s, line.data, line.len);
    return r < 0 ? jl_fail(e, -r, "add control group '%s' to the record", s->cgroup) : 0;
}

int rt_state_set_cgroup_made(struct rt_state *s, struct jl_err *e)
{
    static const char line[] = "{\"cgroupMade\":true}\n";
    int r = append(s, line, sizeof line - 1);

    s->cgroup_made = true;
    return r < 0 ? jl_fail(e, -r, "add control group '%s' to the record", s->cgroup) : 0;
}

int rt_state_set_rdt_made(struct rt_state *s, struct jl_err *e)
{
    static const char line[] = "{\"rdtMade\":true}\n";
    int r = append(s, line, sizeof line - 1);

    s->rdt_made = true;
    return r < 0 ? jl_fail(e, -r, "add group '%s' of resctrl to the record", s->rdt) : 0;
}

int rt_state_set_pid(struct rt_state *s, pid_t pid, struct jl_err *e)
{
    char line[80];
    int len, r;

    r = os_pid_start_ticks(pid, &s->start_ticks);
    if (r < 0)
        return jl_fail(e, -r, "read the start time of process %d", (int) pid);
    s->pid = pid;
    len = snprintf(line, sizeof line, "{\"pid\":%d,\"startTicks\":%llu}\n", (int) pid,
                   (unsigned long long) s->start_ticks);
    r = append(s, line, (size_t) len);
    return r < 0 ? jl_fail(e, -r, "add process %d to the record", (int) pid) : 0;
}

void rt_state_add_phases(struct rt_state *s)
{
    char line[320];
    int len = snprintf(line, sizeof line, "{\"phasesUs\":{");

    for (unsigned i = 0; i < RT_PHASE_N; i++)
        len += snprintf(line + len, sizeof line - (size_t) len, "%s\"%s\":%llu", i ? "," : "",
                        rt_phase_name(i), (unsigned long long) s->phase_us[i]);
    len += snprintf(line + len, sizeof line - (size_t) len, "}}\n");
    append(s, line, (size_t) len);
}
