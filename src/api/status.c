/*
 * status.c - the two tables of status.h.
 */
#include "api/status.h"

#include <errno.h>

#include "base/cleanup.h"

struct errno_row {
    int err;
    enum api_status status;
};

static const struct errno_row errno_rows[] = {
    { EINVAL, API_INVALID_ARGUMENT },
    { ERANGE, API_INVALID_ARGUMENT },
    { EMSGSIZE, API_INVALID_ARGUMENT },
    { ENAMETOOLONG, API_INVALID_ARGUMENT },
    { EILSEQ, API_INVALID_ARGUMENT },
    { ENOENT, API_NOT_FOUND },
    { ESRCH, API_NOT_FOUND },
    { EEXIST, API_ALREADY_EXISTS },
    { EPERM, API_PERMISSION_DENIED },
    { EACCES, API_PERMISSION_DENIED },
    { EBUSY, API_FAILED_PRECONDITION },
    { ENOTEMPTY, API_FAILED_PRECONDITION },
    { EALREADY, API_FAILED_PRECONDITION },
    { ENOEXEC, API_FAILED_PRECONDITION },
    { ENOSPC, API_RESOURCE_EXHAUSTED },
    { EDQUOT, API_RESOURCE_EXHAUSTED },
    { ENOMEM, API_RESOURCE_EXHAUSTED },
    { EMFILE, API_RESOURCE_EXHAUSTED },
    { ENFILE, API_RESOURCE_EXHAUSTED },
    { E2BIG, API_RESOURCE_EXHAUSTED },
    { EAGAIN, API_UNAVAILABLE },
    { EPIPE, API_UNAVAILABLE },
    { ECONNREFUSED, API_UNAVAILABLE },
    { ECONNRESET, API_UNAVAILABLE },
    { ENOTCONN, API_UNAVAILABLE },
    { EHOSTUNREACH, API_UNAVAILABLE },
    { ENOSYS, API_UNIMPLEMENTED },
    { EOPNOTSUPP, API_UNIMPLEMENTED },
    { ECANCELED, API_CANCELLED },
    { ETIMEDOUT, API_DEADLINE_EXCEEDED },
    { ETIME, API_DEADLINE_EXCEEDED },
#ifdef EKEYREJECTED /* of Linux alone; rnx is built elsewhere too */
    { EKEYREJECTED, API_UNAUTHENTICATED },
#endif
};

enum api_status api_status_of(int err)
{
    if (err == 0)
        return API_OK;
    if (err < 0)
        err = -err;
    for (size_t i = 0; i < JL_COUNT(errno_rows); i++)
        if (errno_rows[i].err == err)
            return errno_rows[i].status;
    return API_INTERNAL;
}

const char *api_status_name(unsigned status)
{
    static const char *const names[] = {
        [API_OK] = "OK",
        [API_CANCELLED] = "CANCELLED",
        [API_UNKNOWN] = "UNKNOWN",
        [API_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [API_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [API_NOT_FOUND] = "NOT_FOUND",
        [API_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [API_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [API_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [API_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [API_ABORTED] = "ABORTED",
        [API_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [API_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [API_INTERNAL] = "INTERNAL",
        [API_UNAVAILABLE] = "UNAVAILABLE",
        [API_DATA_LOSS] = "DATA_LOSS",
        [API_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };

    return status < JL_COUNT(names) ? names[status] : "UNKNOWN";
}
