/*
 * validate.c - the rules for single values, and the small requests made of one id.
 */
#include "api/validate.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/id.h"

/* How much of a refused value the sentence repeats. */
#define SHOWN 64

static bool is_control(char c)
{
    return (unsigned char) c < 0x20 || c == 0x7f;
}

static bool has_control(const char *s)
{
    for (; *s; s++)
        if (is_control(*s))
            return true;
    return false;
}

int api_validate_id(const char *field, const char *id, struct jl_err *e)
{
    if (!id[0])
        return jl_refuse(e, EINVAL, "%s is empty: a job id is needed", field);
    if (!jl_id_is_prefix(id, API_ID_PREFIX_LEAST))
        return jl_refuse(e, EINVAL,
                         "%s '%.*s' is not a job id: a UUID in lower case, or at least the first "
                         "%d characters of one",
                         field, SHOWN, id, API_ID_PREFIX_LEAST);
    return 0;
}

int api_validate_name(const char *field, const char *name, struct jl_err *e)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");

    if (n == 0 || name[n] || n > API_NAME_MAX || !isalnum((unsigned char) name[0]))
        return jl_refuse(e, EINVAL,
                         "%s '%.*s' is not a name: 1 to %d of a-z A-Z 0-9 _ . -, the first a "
                         "letter or digit",
                         field, SHOWN, name, API_NAME_MAX);
    return 0;
}

int api_validate_env_name(const char *field, const char *name, struct jl_err *e)
{
    static const char *const reserved[] = { "RUNTIME_MANAGER_PATH", "NETWORK_READY_FILE" };
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
    size_t shown = strcspn(name, "="); /* behind it comes a value, which may be a secret */

    if (n == 0 || name[n] || isdigit((unsigned char) name[0]))
        return jl_refuse(e, EINVAL,
                         "%s: '%.*s' is not a variable's name: letters, digits and _, the first "
                         "no digit",
                         field, shown < SHOWN ? (int) shown : SHOWN, name);
    if (n > API_COMPONENT_MAX)
        return jl_refuse(e, EMSGSIZE, "%s: a variable's name has %zu bytes, limit is %d", field, n,
                         API_COMPONENT_MAX);
    if (strncmp(name, "JOB_", 4) == 0 || strncmp(name, "JOBLET_", 7) == 0)
        return jl_refuse(e, EINVAL,
                         "%s: '%s' is reserved: names that begin JOB_ or JOBLET_ are "
                         "set by the server",
                         field, name);
    for (size_t i = 0; i < JL_COUNT(reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            return jl_refuse(e, EINVAL, "%s: '%s' is reserved for the server", field, name);
    return 0;
}

/* Each component of a relative path, once. */
static int check_components(const char *field, const char *path, struct jl_err *e)
{
    for (const char *p = path;;) {
        size_t n = strcspn(p, "/");

        if (n == 0)
            return jl_refuse(e, EINVAL, "%s '%.*s' has an empty component", field, SHOWN, path);
        if (n > API_COMPONENT_MAX)
            return jl_refuse(e, ENAMETOOLONG,
                             "%s '%.*s...' has a component of %zu bytes, limit "
                             "is %d",
                             field, SHOWN, path, n, API_COMPONENT_MAX);
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return jl_refuse(e, EINVAL,
                             "%s '%.*s' has a '%.*s' component: uploads stay below the "
                             "work directory",
                             field, SHOWN, path, (int) n, p);
        if (!p[n])
            return 0;
        p += n + 1;
    }
}

int api_validate_upload_path(const char *field, const char *path, struct jl_err *e)
{
    static const char *const forbidden[] = { "proc", "sys",  "dev",     "etc",
                                             "bin",  "sbin", "usr/bin", "usr/sbin" };
    size_t len = strlen(path);
    int r;

    if (len == 0)
        return jl_refuse(e, EINVAL, "%s is empty: a relative path is needed", field);
    if (len > API_PATH_MAX)
        return jl_refuse(e, ENAMETOOLONG, "%s has %zu bytes, limit is %d", field, len,
                         API_PATH_MAX);
    if (has_control(path))
        return jl_refuse(e, EINVAL, "%s '%.*s' holds a control character", field, SHOWN, path);
    if (path[0] == '/')
        return jl_refuse(e, EINVAL,
                         "%s '%.*s' is absolute: it must be relative to the work "
                         "directory",
                         field, SHOWN, path);
    r = check_components(field, path, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < JL_COUNT(forbidden); i++) {
        size_t n = strlen(forbidden[i]);

        if (strncmp(path, forbidden[i], n) == 0 && (path[n] == '/' || !path[n]))
            return jl_refuse(e, EINVAL,
                             "%s '%.*s' lies in %s: proc sys dev etc bin sbin usr/bin usr/sbin "
                             "cannot be uploaded to",
                             field, SHOWN, path, forbidden[i]);
    }
    return 0;
}

int api_validate_get_job_status(const Joblet__GetJobStatusRequest *r, struct jl_err *e)
{
    return api_validate_id("uuid", r->uuid, e);
}

int api_validate_stop_job(const Joblet__StopJobRequest *r, struct jl_err *e)
{
    if (r->grace_ms < 0)
        return jl_refuse(e, ERANGE, "grace_ms is %d: 0 (the server's default) or more is allowed",
                         r->grace_ms);
    return api_validate_id("uuid", r->uuid, e);
}

int api_validate_get_job_logs(const Joblet__GetJobLogsRequest *r, struct jl_err *e)
{
    if (r->tail_lines < 0)
        return jl_refuse(e, ERANGE, "tail_lines is %lld: 0 (everything) or more is allowed",
                         (long long) r->tail_lines);
    return api_validate_id("uuid", r->uuid, e);
}
