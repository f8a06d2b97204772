/* options.c - see options.h. */
#include "shim/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "ipc/joblog.h"

const char sh_options_help[] =
    "Usage: joblet-shim --id ID --bundle DIR --state-dir DIR --log-dir DIR\n"
    "         --runtime-root DIR (--runtime PATH | --runtime-fd N) [OPTION]...\n"
    "Runs one OCI bundle as a job and stays beside it until it has ended: holds its output,\n"
    "writes its log, and leaves a record of how it ended. Started by joblet; see joblet-shim(8).\n"
    "\n"
    "  --id ID               name of the container\n"
    "  --bundle DIR          OCI bundle\n"
    "  --state-dir DIR       control socket, pid, exit record; an empty directory of this job's\n"
    "  --log-dir DIR         output.0.log and output.0.idx; of this job alone\n"
    "  --runtime-root DIR    the runtime's own state (its --root)\n"
    "  --runtime PATH        OCI runtime: joblet-run, runc, crun\n"
    "  --runtime-fd N        the runtime as an open file\n"
    "  --cgroup PATH         the job's cgroup below each hierarchy (linux.cgroupsPath)\n"
    "  --sync-fd N           one STATE message is written there when the job runs or cannot\n"
    "  --lock-fd N           kept open as long as the shim lives\n"
    "  --stop-grace-ms N     between SIGTERM and SIGKILL (10000)\n"
    "  --time-limit-ms N     stop the job after this time (0: never)\n"
    "  --terminal            the bundle asks for a terminal\n"
    "  --init-report         PID 1 is joblet-init --report: say how its command ended\n"
    "  --log-max-bytes N     ceiling of the log: its oldest part goes (0: none; at least 1048576)\n"
    "  --help, --version\n";

enum word {
    W_ID,
    W_BUNDLE,
    W_STATE_DIR,
    W_LOG_DIR,
    W_RUNTIME_ROOT,
    W_RUNTIME,
    W_RUNTIME_FD,
    W_CGROUP,
    W_SYNC_FD,
    W_LOCK_FD,
    W_STOP_GRACE,
    W_TIME_LIMIT,
    W_TERMINAL,
    W_INIT_REPORT,
    W_LOG_MAX,
    W_HELP,
    W_VERSION,
    W_N,
};

static const struct option words[] = {
    { "id", required_argument, NULL, W_ID },
    { "bundle", required_argument, NULL, W_BUNDLE },
    { "state-dir", required_argument, NULL, W_STATE_DIR },
    { "log-dir", required_argument, NULL, W_LOG_DIR },
    { "runtime-root", required_argument, NULL, W_RUNTIME_ROOT },
    { "runtime", required_argument, NULL, W_RUNTIME },
    { "runtime-fd", required_argument, NULL, W_RUNTIME_FD },
    { "cgroup", required_argument, NULL, W_CGROUP },
    { "sync-fd", required_argument, NULL, W_SYNC_FD },
    { "lock-fd", required_argument, NULL, W_LOCK_FD },
    { "stop-grace-ms", required_argument, NULL, W_STOP_GRACE },
    { "time-limit-ms", required_argument, NULL, W_TIME_LIMIT },
    { "terminal", no_argument, NULL, W_TERMINAL },
    { "init-report", no_argument, NULL, W_INIT_REPORT },
    { "log-max-bytes", required_argument, NULL, W_LOG_MAX },
    { "help", no_argument, NULL, W_HELP },
    { "version", no_argument, NULL, W_VERSION },
    { 0 },
};

/* Ids become arguments of the runtime and names of directories. */
static int check_id(const char *id, struct jl_err *e)
{
    size_t len = strlen(id);

    if (len == 0 || len > 128 || id[0] == '-' || id[0] == '.')
        return jl_refuse(e, EINVAL, "--id '%s': 1 to 128 characters, not beginning with '-' or '.'",
                         id);
    for (size_t i = 0; i < len; i++) {
        char c = id[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') &&
            !strchr("-_.+", c))
            return jl_refuse(e, EINVAL, "--id '%s': letters, digits and '-', '_', '.', '+' only",
                             id);
    }
    return 0;
}

static int take_path(const char *word, const char *value, const char **ret, struct jl_err *e)
{
    if (value[0] != '/' || strlen(value) >= PATH_MAX - 64)
        return jl_refuse(e, EINVAL, "--%s '%s': an absolute path is needed", word, value);
    *ret = value;
    return 0;
}

/* The path of linux.cgroupsPath, with or without the '/' in front. */
static int take_cgroup(const char *value, const char **ret, struct jl_err *e)
{
    while (*value == '/')
        value++;
    if (*value == '\0' || strlen(value) >= PATH_MAX || strstr(value, "..") || strchr(value, ':'))
        return jl_refuse(e, EINVAL, "--cgroup '%s': a path below the hierarchies' root is needed",
                         value);
    *ret = value;
    return 0;
}

static int take_fd(const char *word, const char *value, int *ret, struct jl_err *e)
{
    int64_t fd;

    if (jl_parse_i64(value, 3, INT_MAX, &fd) < 0)
        return jl_refuse(e, EINVAL, "--%s '%s': the number of an open descriptor, 3 or more", word,
                         value);
    *ret = (int) fd;
    return 0;
}

static int take_ms(const char *word, const char *value, uint64_t *ret, struct jl_err *e)
{
    if (jl_parse_u64(value, INT64_MAX / 1000000, ret) < 0)
        return jl_refuse(e, EINVAL, "--%s '%s': a number of milliseconds is needed", word, value);
    return 0;
}

static int take_log_max(const char *value, uint64_t *ret, struct jl_err *e)
{
    if (jl_parse_u64(value, INT64_MAX, ret) < 0 || (*ret > 0 && *ret < IPC_LOG_MAX_LOW))
        return jl_refuse(e, EINVAL, "--log-max-bytes '%s': 0, or a number of at least %" PRIu64,
                         value, IPC_LOG_MAX_LOW);
    return 0;
}

static int take(enum word w, const char *name, const char *v, struct sh_options *o,
                const char **ret_text, struct jl_err *e)
{
    switch (w) {
    case W_ID:
        o->id = v;
        return check_id(v, e);
    case W_BUNDLE:
        return take_path(name, v, &o->bundle, e);
    case W_STATE_DIR:
        return take_path(name, v, &o->state_dir, e);
    case W_LOG_DIR:
        return take_path(name, v, &o->log_dir, e);
    case W_RUNTIME_ROOT:
        return take_path(name, v, &o->runtime_root, e);
    case W_RUNTIME:
        return take_path(name, v, &o->runtime, e);
    case W_RUNTIME_FD:
        return take_fd(name, v, &o->runtime_fd, e);
    case W_CGROUP:
        return take_cgroup(v, &o->cgroup, e);
    case W_SYNC_FD:
        return take_fd(name, v, &o->sync_fd, e);
    case W_LOCK_FD:
        return take_fd(name, v, &o->lock_fd, e);
    case W_STOP_GRACE:
        return take_ms(name, v, &o->stop_grace_ms, e);
    case W_TIME_LIMIT:
        return take_ms(name, v, &o->time_limit_ms, e);
    case W_TERMINAL:
        o->terminal = true;
        return 0;
    case W_INIT_REPORT:
        o->init_report = true;
        return 0;
    case W_LOG_MAX:
        return take_log_max(v, &o->log_max_bytes, e);
    case W_HELP:
        *ret_text = sh_options_help;
        return 1;
    case W_VERSION:
        *ret_text = "joblet-shim " PACKAGE_VERSION "\n";
        return 1;
    case W_N:
        break;
    }
    return jl_refuse(e, EINVAL, "unknown option; see joblet-shim --help");
}

static int check(const struct sh_options *o, struct jl_err *e)
{
    const struct {
        const char *word, *value;
    } needed[] = { { "id", o->id },
                   { "bundle", o->bundle },
                   { "state-dir", o->state_dir },
                   { "log-dir", o->log_dir },
                   { "runtime-root", o->runtime_root } };

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!needed[i].value)
            return jl_refuse(e, EINVAL, "--%s is missing; see joblet-shim --help", needed[i].word);
    if ((o->runtime != NULL) == (o->runtime_fd >= 0))
        return jl_refuse(e, EINVAL, "one of --runtime and --runtime-fd is needed, not both");
    return 0;
}

int sh_options_parse(int argc, char **argv, struct sh_options *ret, const char **ret_text,
                     struct jl_err *e)
{
    struct sh_options o = {
        .runtime_fd = -1, .sync_fd = -1, .lock_fd = -1, .stop_grace_ms = SH_GRACE_DEFAULT_MS
    };
    int w, index = 0, r;

    optind = 0; /* tests parse more than once */
    opterr = 0;
    while ((w = getopt_long(argc, argv, ":", words, &index)) != -1) {
        if (w == '?' || w == ':')
            return jl_refuse(e, EINVAL,
                             "option '%s' is unknown or lacks its value; see "
                             "joblet-shim --help",
                             argv[optind - 1]);
        r = take((enum word) w, words[index].name, optarg, &o, ret_text, e);
        if (r != 0)
            return r;
    }
    if (optind < argc)
        return jl_refuse(e, EINVAL, "argument '%s' is not expected; see joblet-shim --help",
                         argv[optind]);
    r = check(&o, e);
    if (r < 0)
        return r;
    *ret = o;
    return 0;
}
