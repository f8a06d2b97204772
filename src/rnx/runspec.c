/* runspec.c - see runspec.h. */
#include "rnx/runspec.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "api/schedule.h"
#include "api/validate.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "rnx/cmd.h"

#define AT(field) offsetof(struct rnx_run_opts, field)

static const struct rnx_opt items[] = {
    { "max-cpu", 0, RNX_OPT_INT, "N", AT(max_cpu), "percent of one core, 200 = two cores", 0,
      API_CPU_MAX, .more = "0 asks for nothing, and the server's default holds." },
    { "max-memory", 0, RNX_OPT_INT, "N", AT(max_memory), "MB of memory", 0, INT32_MAX,
      .more =
          "At least 4. A job that needs more is killed and ends as FAILED with exit code 137." },
    { "max-iobps", 0, RNX_OPT_INT, "N", AT(max_iobps),
      "bytes a second, reads and writes each, 1000000 at least", 0, INT32_MAX,
      .more = "The server may ask for more; 0 asks for nothing. What a slower job reads would be "
              "locked meanwhile for all others who read the same file." },
    { "cpu-cores", 0, RNX_OPT_STRING, "SPEC", AT(cpu_cores),
      "cores to run on: 0-3 or 1,3 or 0-2,6" },
    { "runtime", 0, RNX_OPT_STRING, "NAME", AT(runtime), "runtime to use" },
    { "network", 0, RNX_OPT_STRING, "NAME", AT(network),
      "none, isolated, bridge or a network of your own",
      .more = "host where the server allows it." },
    { "volume", 0, RNX_OPT_LIST, "NAME[:ro]", AT(volumes), "mount a volume at /volumes/NAME",
      .more = "Read-only with :ro. May be repeated, or be a list with commas." },
    { "upload", 0, RNX_OPT_LIST, "FILE", AT(uploads), "put a file into the work directory",
      .more = "Under its base name. May be repeated." },
    { "upload-dir", 0, RNX_OPT_LIST, "DIR", AT(upload_dirs),
      "put what is in DIR into the work directory",
      .more = "With relative paths, permission bits and empty directories. Links that end inside "
              "DIR are followed, others skipped with a warning. May be repeated." },
    { "schedule", 0, RNX_OPT_STRING, "SPEC", AT(schedule),
      "run later: 1hour, 2h30m, 2025-12-25T08:00:00",
      .more =
          "Also \"2h 30min\" or 45s, which count seconds on the server whatever its clock is set "
          "to meanwhile (after a reboot of the server the clock is what counts). A time goes by "
          "the server's clock; with Z or +HH:MM, else in the local zone. At most 365 days away." },
    { "env", 'e', RNX_OPT_LIST, "K=V", AT(env), "environment variable",
      .more = "May be repeated." },
    { "secret-env", 's', RNX_OPT_LIST, "K=V", AT(secret_env),
      "environment variable whose value is never shown", .more = "May be repeated." },
    { "timeout", 0, RNX_OPT_DURATION, "DURATION", AT(timeout_ns),
      "stop the job after this time: 30s, 1h30m",
      .more = "Whole seconds. The job's status is TIMEOUT then, its exit code 124." },
    { "name", 0, RNX_OPT_STRING, "NAME", AT(name), "label of the job" },
    { "workdir", 0, RNX_OPT_STRING, "PATH", AT(workdir), "start directory, default /work",
      .more = "What is not there is made where the job may: in /work, /tmp, its volumes; "
              "elsewhere, or where a file is in the way, the job fails with code 126." },
    { "wait", 0, RNX_OPT_BOOL, NULL, AT(wait), "show the log, end with the job's exit code",
      .more = "1 when the job failed without one, and after Ctrl-C, which leaves the job running; "
              "130 is a job that SIGINT ended. What run prints otherwise goes to standard error. "
              "With --json: one object a line, first the job, then pieces of the log, last the "
              "job's status." },
    { "workflow", 0, RNX_OPT_STRING, "FILE[:NAME]", AT(workflow),
      "take the job from a file (not built yet)" },
    { "template", 0, RNX_OPT_STRING, "FILE[:NAME]", AT(template_), "older word for --workflow" },
    { "gpu", 0, RNX_OPT_INT, "N", AT(gpu), "GPUs to allocate", 0, 1024 },
    { "gpu-memory", 0, RNX_OPT_STRING, "SIZE", AT(gpu_memory), "least memory of each GPU" },
    { "priority", 0, RNX_OPT_INT, "N", AT(priority), "-100 to 100, higher runs first",
      -API_PRIORITY_MAX, API_PRIORITY_MAX },
    { "net-rx", 0, RNX_OPT_SIZE, "RATE", AT(net_rx), "bytes a second received", 0, INT64_MAX },
    { "net-tx", 0, RNX_OPT_SIZE, "RATE", AT(net_tx), "bytes a second sent", 0, INT64_MAX },
    { "tmp-size", 0, RNX_OPT_SIZE, "SIZE", AT(tmp_size), "size of the job's /tmp", 0, INT64_MAX },
};

const struct rnx_opts rnx_run_opts = RNX_OPTS(items);

/* NULL fields of a request would not be packed: protobuf-c wants strings. */
static char *text(const char *s)
{
    return (char *) (uintptr_t) (s ? s : "");
}

/* A single word that only a shell can read: blanks, or characters that mean something to it. */
static bool needs_shell(const struct jl_strv *words)
{
    return words->len == 1 && strpbrk(words->items[0], " \t\n;&|<>()$`") != NULL;
}

static int make_command(const struct jl_strv *words, struct rnx_runspec *s, struct jl_err *e)
{
    int r = 0;

    if (words->len == 0 || words->items[0][0] == '\0')
        return rnx_usage(e, "a command to run is needed (or --workflow)");
    if (needs_shell(words)) {
        s->request.command = text("/bin/sh");
        r = jl_strv_add(&s->args, "-c");
        if (r == 0)
            r = jl_strv_add(&s->args, words->items[0]);
    } else {
        s->request.command = words->items[0];
        for (size_t i = 1; r == 0 && i < words->len; i++)
            r = jl_strv_add(&s->args, words->items[i]);
    }
    if (r < 0)
        return jl_fail(e, ENOMEM, "arguments");
    s->request.args = s->args.items;
    s->request.n_args = s->args.len;
    return 0;
}

static bool is_env_name(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';

        if (!letter && !(i > 0 && s[i] >= '0' && s[i] <= '9'))
            return false;
    }
    return len > 0;
}

/* "K=V" checked; cut in two in place. The value is not repeated in messages: it may be secret. */
static int split_env(const char *flag, char *entry, char **ret_value, struct jl_err *e)
{
    size_t len = strcspn(entry, "="), bad = 0;
    const char *value = entry + len + 1;

    if (entry[len] == '\0')
        return rnx_usage(e, "--%s wants NAME=VALUE, got '%.40s'", flag, entry);
    if (!is_env_name(entry, len))
        return rnx_usage(e, "--%s: '%.*s' is no name of a variable (letters, digits and _)", flag,
                         (int) (len < 60 ? len : 60), entry);
    if (strlen(value) > 32768)
        return rnx_usage(e, "--%s: the value of %.*s is longer than 32768 bytes", flag,
                         (int) (len < 60 ? len : 60), entry);
    if (!jl_utf8_valid(value, strlen(value), &bad))
        return rnx_usage(e, "--%s: the value of %.*s is not UTF-8 (byte %zu)", flag,
                         (int) (len < 60 ? len : 60), entry, bad + 1);
    entry[len] = '\0';
    *ret_value = entry + len + 1;
    return 0;
}

/* Entries of one list; a name given twice keeps its last value, as in a shell. */
#define FILL_ENV(Type, init, flag, list, to, n_to)                                                 \
    do {                                                                                           \
        (to) = calloc((list)->len + 1, sizeof *(to));                                              \
        if (!(to))                                                                                 \
            return jl_fail(e, ENOMEM, "environment");                                              \
        for (size_t i_ = 0; i_ < (list)->len; i_++) {                                              \
            char *value_ = NULL;                                                                   \
            size_t at_ = 0;                                                                        \
            int r_ = split_env((flag), (list)->items[i_], &value_, e);                             \
            if (r_ < 0)                                                                            \
                return r_;                                                                         \
            while (at_ < (n_to) && strcmp((to)[at_]->key, (list)->items[i_]) != 0)                 \
                at_++;                                                                             \
            if (at_ == (n_to)) {                                                                   \
                (to)[at_] = malloc(sizeof(Type));                                                  \
                if (!(to)[at_])                                                                    \
                    return jl_fail(e, ENOMEM, "environment");                                      \
                init((to)[at_]);                                                                   \
                (n_to)++;                                                                          \
            }                                                                                      \
            (to)[at_]->key = (list)->items[i_];                                                    \
            (to)[at_]->value = value_;                                                             \
        }                                                                                          \
    } while (0)

static int make_env(struct rnx_run_opts *o, struct rnx_runspec *s, struct jl_err *e)
{
    Joblet__RunJobRequest *q = &s->request;

    FILL_ENV(Joblet__RunJobRequest__EnvironmentEntry,
             joblet__run_job_request__environment_entry__init, "env", &o->env, s->env,
             q->n_environment);
    FILL_ENV(Joblet__RunJobRequest__SecretEnvironmentEntry,
             joblet__run_job_request__secret_environment_entry__init, "secret-env", &o->secret_env,
             s->secret_env, q->n_secret_environment);
    for (size_t i = 0; i < q->n_environment; i++)
        for (size_t j = 0; j < q->n_secret_environment; j++)
            if (strcmp(s->env[i]->key, s->secret_env[j]->key) == 0)
                return rnx_usage(e, "variable %.60s is given by --env and by --secret-env",
                                 s->env[i]->key);
    q->environment = s->env;
    q->secret_environment = s->secret_env;
    return 0;
}

static int make_uploads(const struct rnx_run_opts *o, struct rnx_runspec *s, struct jl_err *e)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->uploads.len; i++)
        r = rnx_upload_file(&s->uploads, o->uploads.items[i], e);
    for (size_t i = 0; r == 0 && i < o->upload_dirs.len; i++)
        r = rnx_upload_dir(&s->uploads, o->upload_dirs.items[i], e);
    if (r == 0)
        r = rnx_upload_check(&s->uploads, e);
    if (r < 0)
        return r;
    s->staged = !rnx_uploads_are_small(&s->uploads);
    return s->staged ? 0 : rnx_uploads_read(&s->uploads, &s->small, &s->request, e);
}

/* --volume=a,b means two. */
static int make_volumes(const struct rnx_run_opts *o, struct rnx_runspec *s, struct jl_err *e)
{
    for (size_t i = 0; i < o->volumes.len; i++)
        for (const char *p = o->volumes.items[i];;) {
            size_t len = strcspn(p, ",");

            if (jl_strv_addf(&s->volumes, "%.*s", (int) len, p) < 0)
                return jl_fail(e, ENOMEM, "--volume");
            if (p[len] == '\0')
                break;
            p += len + 1;
        }
    s->request.volumes = s->volumes.items;
    s->request.n_volumes = s->volumes.len;
    return 0;
}

static int make_gpu(const struct rnx_run_opts *o, struct rnx_runspec *s, struct jl_err *e)
{
    uint64_t v = 0;

    s->request.gpu_count = (int32_t) o->gpu;
    if (!o->gpu_memory)
        return 0;
    if (jl_parse_u64(o->gpu_memory, INT32_MAX, &v) == 0) { /* plain MB */
        s->request.gpu_memory_mb = (int32_t) v;
        return 0;
    }
    if (jl_parse_size(o->gpu_memory, &v) < 0 || v >> 20 > INT32_MAX || (v > 0 && v >> 20 == 0))
        return rnx_usage(e, "--gpu-memory wants a size such as 8GB or 4096MB, got '%.40s'",
                         o->gpu_memory);
    s->request.gpu_memory_mb = (int32_t) (v >> 20);
    return 0;
}

static int make_limits(const struct rnx_run_opts *o, struct rnx_runspec *s, struct jl_err *e)
{
    Joblet__RunJobRequest *q = &s->request;
    unsigned highest = 0;

    if (o->cpu_cores && jl_parse_cpulist(o->cpu_cores, &highest) < 0)
        return rnx_usage(e, "--cpu-cores wants a list such as 0-3 or 1,3,5, got '%.40s'",
                         o->cpu_cores);
    q->max_cpu = (int32_t) o->max_cpu;
    q->max_memory = (int32_t) o->max_memory;
    q->max_io_bps = (int32_t) o->max_iobps;
    q->cpu_cores = text(o->cpu_cores);
    q->timeout_seconds = (int64_t) (o->timeout_ns / JL_NS_PER_S);
    q->priority = (int32_t) o->priority;
    q->net_rx_bps = (int64_t) o->net_rx;
    q->net_tx_bps = (int64_t) o->net_tx;
    q->tmp_size_bytes = (int64_t) o->tmp_size;
    return make_gpu(o, s, e);
}

static int make_schedule(const struct rnx_run_opts *o, uint64_t now_ns, struct rnx_runspec *ret,
                         struct jl_err *e)
{
    uint64_t due, delay_s;

    if (api_schedule(o->schedule, now_ns, &due, &delay_s, e) < 0) {
        jl_wrap(e, "--schedule");
        return jl_phase(e, "usage");
    }
    jl_rfc3339(due, due % JL_NS_PER_S ? 3 : 0, ret->due);
    snprintf(ret->delay, sizeof ret->delay, "%" PRIu64 "s", delay_s);
    ret->request.schedule = delay_s > 0 ? ret->delay : ret->due;
    return 0;
}

int rnx_runspec_make(struct rnx_run_opts *o, const struct jl_strv *words, uint64_t now_ns,
                     struct rnx_runspec *ret, struct jl_err *e)
{
    int r;

    memset(ret, 0, sizeof *ret);
    joblet__run_job_request__init(&ret->request);
    if (o->workflow || o->template_)
        return jl_refuse(e, ENOSYS, "--workflow: workflows are not built yet in this version");
    r = make_env(o, ret, e); /* first: in "-e true" the command may be where K=V was meant */
    if (r == 0)
        r = make_command(words, ret, e);
    if (r == 0)
        r = make_limits(o, ret, e);
    if (r == 0)
        r = make_volumes(o, ret, e);
    if (r == 0 && o->schedule)
        r = make_schedule(o, now_ns, ret, e);
    if (r < 0)
        return r;
    ret->request.name = text(o->name);
    ret->request.network = text(o->network);
    ret->request.runtime = text(o->runtime);
    ret->request.work_dir = text(o->workdir);
    r = make_uploads(o, ret, e);
    if (r < 0)
        return r;
    return api_validate_run_job(&ret->request, e);
}

int rnx_runspec_staged(const struct rnx_run_opts *o, char *own_session, uint64_t now_ns,
                       struct rnx_runspec *s, struct jl_err *e)
{
    s->session = own_session;
    s->request.upload_session = own_session;
    return o->schedule ? make_schedule(o, now_ns, s, e) : 0;
}

void rnx_runspec_warn(const struct rnx_runspec *s, const struct jl_strv *words)
{
    struct stat st;

    if (needs_shell(words))
        return;
    for (size_t i = 0; i < words->len; i++) {
        const char *w = words->items[i];
        const char *plain = strncmp(w, "./", 2) == 0 ? w + 2 : w;

        if (plain[0] == '\0' || plain[0] == '/' || plain[0] == '-' || stat(plain, &st) < 0 ||
            !S_ISREG(st.st_mode) || rnx_upload_find(&s->uploads, plain))
            continue;
        rnx_warn("%s exists here but is not uploaded; add --upload=%s", plain, plain);
    }
}

void rnx_runspec_done(struct rnx_runspec *s)
{
    for (size_t i = 0; i < s->request.n_environment; i++)
        free(s->env[i]);
    for (size_t i = 0; i < s->request.n_secret_environment; i++)
        free(s->secret_env[i]);
    free(s->env);
    free(s->secret_env);
    jl_strv_clear(&s->args);
    jl_strv_clear(&s->volumes);
    rnx_inline_done(&s->small);
    rnx_uploads_done(&s->uploads);
    free(s->session);
}

void rnx_run_opts_done(struct rnx_run_opts *o)
{
    jl_strv_clear(&o->volumes);
    jl_strv_clear(&o->uploads);
    jl_strv_clear(&o->upload_dirs);
    jl_strv_clear(&o->env);
    jl_strv_clear(&o->secret_env);
}
