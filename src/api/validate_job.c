/*
 * validate_job.c - RunJobRequest, field by field, in the order of the message.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "api/validate.h"
#include "api/volume.h"
#include "base/cleanup.h"
#include "base/parse.h"

/* Adds a string to the sum that the kernel limits for one execve. */
static int count_string(const char *field, const char *s, size_t *sum, struct jl_err *e)
{
    size_t n = strlen(s) + 1;

    if (n > API_STRING_MAX)
        return jl_refuse(e, EMSGSIZE, "%s has %zu bytes, limit is %d", field, n - 1,
                         API_STRING_MAX - 1);
    *sum += n;
    if (*sum > API_STRINGS_MAX)
        return jl_refuse(e, EMSGSIZE,
                         "command, args and environment together have more than %d "
                         "bytes, the kernel's limit",
                         API_STRINGS_MAX);
    return 0;
}

static int check_command(const Joblet__RunJobRequest *r, size_t *sum, struct jl_err *e)
{
    char field[32];
    int x;

    if (!r->command[0])
        return jl_refuse(e, EINVAL, "command is empty: the program to run is needed");
    if (strlen(r->command) > API_PATH_MAX)
        return jl_refuse(e, EMSGSIZE, "command has %zu bytes, limit is %d: it is a program's path",
                         strlen(r->command), API_PATH_MAX);
    x = count_string("command", r->command, sum, e);
    for (size_t i = 0; x == 0 && i < r->n_args; i++) {
        snprintf(field, sizeof field, "args[%zu]", i);
        x = count_string(field, r->args[i], sum, e);
    }
    return x;
}

struct range {
    const char *field;
    const char *unit;
    int64_t value, lo, hi;
};

static int check_ranges(const Joblet__RunJobRequest *r, struct jl_err *e)
{
    const struct range ranges[] = {
        { "max_cpu", "percent of one core, 0 for the server's default", r->max_cpu, 0,
          API_CPU_MAX },
        { "max_memory", "MiB, 0 for the server's default", r->max_memory, 0, INT32_MAX },
        { "max_io_bps", "bytes per second, 0 for the server's default", r->max_io_bps, 0,
          INT32_MAX },
        { "gpu_count", "GPUs", r->gpu_count, 0, 1024 },
        { "gpu_memory_mb", "MiB", r->gpu_memory_mb, 0, INT32_MAX },
        { "timeout_seconds", "seconds, 0 for the server's default", r->timeout_seconds, 0,
          INT64_MAX / 1000000000 },
        { "priority", "higher first", r->priority, -API_PRIORITY_MAX, API_PRIORITY_MAX },
        { "net_rx_bps", "bytes per second, 0 for no limit", r->net_rx_bps, 0, INT64_MAX },
        { "net_tx_bps", "bytes per second, 0 for no limit", r->net_tx_bps, 0, INT64_MAX },
        { "tmp_size_bytes", "bytes, 0 for the server's default", r->tmp_size_bytes, 0, INT64_MAX },
    };

    for (size_t i = 0; i < JL_COUNT(ranges); i++) {
        const struct range *g = &ranges[i];

        if (g->value < g->lo || g->value > g->hi)
            return jl_refuse(e, ERANGE, "%s is %lld: %lld to %lld is allowed (%s)", g->field,
                             (long long) g->value, (long long) g->lo, (long long) g->hi, g->unit);
    }
    if (r->max_memory > 0 && r->max_memory < API_MEMORY_LEAST)
        return jl_refuse(e, ERANGE, "max_memory is %d: at least %d MiB, or no process can start",
                         r->max_memory, API_MEMORY_LEAST);
    return 0;
}

static int check_cpu_cores(const char *cores, struct jl_err *e)
{
    unsigned highest;

    if (!cores[0])
        return 0;
    if (strlen(cores) > 1024 || jl_parse_cpulist(cores, &highest) < 0)
        return jl_refuse(e, EINVAL,
                         "cpu_cores '%.64s' is not a list of cores: numbers and ranges with commas "
                         "between, as '0-3' or '0-2,6'",
                         cores);
    return 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Refuses what is in the list twice; takes the list apart (sorts it). */
static int check_unique(const char *field, const char **list, size_t n, struct jl_err *e)
{
    qsort(list, n, sizeof *list, by_text);
    for (size_t i = 1; i < n; i++)
        if (strcmp(list[i - 1], list[i]) == 0)
            return jl_refuse(e, EINVAL, "%s: '%.64s' is there twice", field, list[i]);
    return 0;
}

/* Refuses an upload below one that is a file. files is sorted. */
static int check_parents(const Joblet__RunJobRequest *r, const char **files, size_t n,
                         struct jl_err *e)
{
    char parent[API_PATH_MAX + 1];
    const char *key = parent;

    for (size_t i = 0; i < r->n_uploads; i++) {
        const char *path = r->uploads[i]->path;

        for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
            memcpy(parent, path, (size_t) (p - path));
            parent[p - path] = '\0';
            if (bsearch(&key, files, n, sizeof *files, by_text))
                return jl_refuse(e, EINVAL,
                                 "uploads: '%.64s' is a file, and '%.64s' would lie below it",
                                 parent, path);
        }
    }
    return 0;
}

/* No path twice, none below a file. */
static int check_tree(const Joblet__RunJobRequest *r, const char **paths, struct jl_err *e)
{
    size_t n = 0;
    int x = check_unique("uploads", paths, r->n_uploads, e);

    if (x < 0)
        return x;
    for (size_t i = 0; i < r->n_uploads; i++)
        if (!r->uploads[i]->is_directory)
            paths[n++] = r->uploads[i]->path;
    qsort(paths, n, sizeof *paths, by_text);
    return check_parents(r, paths, n, e);
}

static int check_uploads(const Joblet__RunJobRequest *r, struct jl_err *e)
{
    _free_ const char **paths = NULL;
    size_t sum = 0;
    char field[48];

    if (r->n_uploads == 0)
        return 0;
    if (r->n_uploads > API_UPLOADS_MAX)
        return jl_refuse(e, EMSGSIZE, "uploads has %zu entries, limit is %d", r->n_uploads,
                         API_UPLOADS_MAX);
    paths = calloc(r->n_uploads, sizeof *paths);
    if (!paths)
        return jl_fail(e, ENOMEM, "check uploads");
    for (size_t i = 0; i < r->n_uploads; i++) {
        const Joblet__FileUpload *u = r->uploads[i];
        int x;

        snprintf(field, sizeof field, "uploads[%zu].path", i);
        x = api_validate_upload_path(field, u->path, e);
        if (x < 0)
            return x;
        sum += strlen(u->path) + 1;
        if (sum > API_UPLOAD_PATHS_MAX)
            return jl_refuse(e, EMSGSIZE,
                             "uploads: the paths together have more than %d bytes: upload an "
                             "archive",
                             API_UPLOAD_PATHS_MAX);
        if (u->is_directory && u->content.len)
            return jl_refuse(e, EINVAL,
                             "uploads[%zu].content: '%.64s' is a directory, which has "
                             "no content",
                             i, u->path);
        paths[i] = u->path;
    }
    return check_tree(r, paths, e);
}

static int check_volumes(const Joblet__RunJobRequest *r, struct jl_err *e)
{
    char texts[API_VOLUMES_MAX][API_NAME_MAX + 1];
    const char *names[API_VOLUMES_MAX];
    char field[32];
    bool read_only;

    if (r->n_volumes > API_VOLUMES_MAX)
        return jl_refuse(e, EMSGSIZE, "volumes has %zu entries, limit is %d", r->n_volumes,
                         API_VOLUMES_MAX);
    for (size_t i = 0; i < r->n_volumes; i++) {
        int x;

        snprintf(field, sizeof field, "volumes[%zu]", i);
        x = api_volume_entry(field, r->volumes[i], texts[i], &read_only, e);
        if (x < 0)
            return x;
        names[i] = texts[i];
    }
    return r->n_volumes ? check_unique("volumes", names, r->n_volumes, e) : 0;
}

/* Names, network, runtime, schedule and the session: their form; core knows which exist. */
static int check_words(const Joblet__RunJobRequest *r, struct jl_err *e)
{
    int x = 0;

    if (r->name[0])
        x = api_validate_name("name", r->name, e);
    if (x == 0 && r->network[0])
        x = api_validate_name("network", r->network, e);
    if (x < 0)
        return x;
    if (strlen(r->runtime) > API_COMPONENT_MAX)
        return jl_refuse(e, EMSGSIZE, "runtime has %zu bytes, limit is %d", strlen(r->runtime),
                         API_COMPONENT_MAX);
    if (strlen(r->schedule) > API_NAME_MAX)
        return jl_refuse(e, EMSGSIZE, "schedule has %zu bytes, limit is %d", strlen(r->schedule),
                         API_NAME_MAX);
    if (r->upload_session[0])
        return api_validate_name("upload_session", r->upload_session, e);
    return 0;
}

static int check_work_dir(const char *dir, struct jl_err *e)
{
    if (!dir[0])
        return 0;
    if (dir[0] != '/')
        return jl_refuse(e, EINVAL, "work_dir '%.64s' is not absolute: it is a path inside the job",
                         dir);
    if (strlen(dir) > API_PATH_MAX)
        return jl_refuse(e, ENAMETOOLONG, "work_dir has %zu bytes, limit is %d", strlen(dir),
                         API_PATH_MAX);
    for (const char *p = dir; *p; p++)
        if ((unsigned char) *p < 0x20 || *p == 0x7f)
            return jl_refuse(e, EINVAL, "work_dir holds a control character");
    for (const char *p = dir; p; p = strchr(p + 1, '/'))
        if (strncmp(p, "/..", 3) == 0 && (p[3] == '/' || !p[3]))
            return jl_refuse(e, EINVAL, "work_dir '%.64s' has a '..' component", dir);
    return 0;
}

/* One map's entries into the list that both share. Both maps have the same form in memory, but
 * each its own type. */
static int check_variable(const char *map, const char *name, const char *value, size_t *sum,
                          struct jl_err *e)
{
    char field[API_COMPONENT_MAX + 32];
    int x = api_validate_env_name(map, name, e);

    if (x < 0)
        return x;
    snprintf(field, sizeof field, "%s['%s']", map, name);
    *sum += strlen(name) + 1;
    return count_string(field, value, sum, e);
}

static int check_environment(const Joblet__RunJobRequest *r, size_t *sum, struct jl_err *e)
{
    size_t n = 0;
    _free_ const char **names =
        calloc(r->n_environment + r->n_secret_environment + 1, sizeof *names);
    int x = 0;

    if (!names)
        return jl_fail(e, ENOMEM, "check environment");
    for (size_t i = 0; x == 0 && i < r->n_environment; i++) {
        x = check_variable("environment", r->environment[i]->key, r->environment[i]->value, sum, e);
        names[n++] = r->environment[i]->key;
    }
    for (size_t i = 0; x == 0 && i < r->n_secret_environment; i++) {
        x = check_variable("secret_environment", r->secret_environment[i]->key,
                           r->secret_environment[i]->value, sum, e);
        names[n++] = r->secret_environment[i]->key;
    }
    if (x < 0)
        return x;
    return check_unique("environment and secret_environment", names, n, e);
}

/* What the server sets for jobs of a workflow, and no client. */
static int check_server_side(const Joblet__RunJobRequest *r, struct jl_err *e)
{
    if (r->job_uuid[0] || r->workflow_uuid[0] || r->n_requirements)
        return jl_refuse(e, EINVAL,
                         "%s is set by the server: use RunWorkflow for jobs that depend "
                         "on others",
                         r->job_uuid[0]        ? "job_uuid"
                         : r->workflow_uuid[0] ? "workflow_uuid"
                                               : "requirements");
    return 0;
}

int api_validate_run_job(const Joblet__RunJobRequest *r, struct jl_err *e)
{
    size_t sum = 0;
    int x = check_command(r, &sum, e);

    if (x == 0)
        x = check_ranges(r, e);
    if (x == 0)
        x = check_cpu_cores(r->cpu_cores, e);
    if (x == 0)
        x = check_uploads(r, e);
    if (x == 0)
        x = check_volumes(r, e);
    if (x == 0)
        x = check_words(r, e);
    if (x == 0)
        x = check_work_dir(r->work_dir, e);
    if (x == 0)
        x = check_environment(r, &sum, e);
    if (x == 0)
        x = check_server_side(r, e);
    return x;
}
