/*
 * status.h - gRPC's status codes, and which of them each of our errors becomes. The numbers are
 * gRPC's (doc/statuscodes.md there) and go over the wire and between front and core.
 */
#pragma once

enum api_status {
    API_OK = 0,
    API_CANCELLED = 1,
    API_UNKNOWN = 2,
    API_INVALID_ARGUMENT = 3,
    API_DEADLINE_EXCEEDED = 4,
    API_NOT_FOUND = 5,
    API_ALREADY_EXISTS = 6,
    API_PERMISSION_DENIED = 7,
    API_RESOURCE_EXHAUSTED = 8,
    API_FAILED_PRECONDITION = 9,
    API_ABORTED = 10,
    API_OUT_OF_RANGE = 11,
    API_UNIMPLEMENTED = 12,
    API_INTERNAL = 13,
    API_UNAVAILABLE = 14,
    API_DATA_LOSS = 15,
    API_UNAUTHENTICATED = 16,
};

#define API_STATUS_MAX API_UNAUTHENTICATED

/*
 * The status for a failure of core or front: err is an errno value, either sign. 0 is API_OK.
 *   EINVAL ERANGE EMSGSIZE ENAMETOOLONG EILSEQ  INVALID_ARGUMENT    what the client sent is wrong
 *   ENOENT ESRCH                                NOT_FOUND
 *   EEXIST                                      ALREADY_EXISTS
 *   EPERM EACCES                                PERMISSION_DENIED   the role does not allow it
 *   EBUSY ENOTEMPTY EALREADY ENOEXEC            FAILED_PRECONDITION  not in this state
 *   ENOSPC EDQUOT ENOMEM EMFILE ENFILE E2BIG    RESOURCE_EXHAUSTED
 *   EAGAIN EPIPE ECONNREFUSED ECONNRESET ...    UNAVAILABLE         try again later
 *   ENOSYS EOPNOTSUPP ENOTSUP                   UNIMPLEMENTED
 *   ECANCELED CANCELLED, ETIMEDOUT ETIME DEADLINE_EXCEEDED, EKEYREJECTED UNAUTHENTICATED
 * Anything else is INTERNAL. Core uses EPERM for roles alone: a system call's own EPERM must be
 * given another code before it becomes an answer.
 */
enum api_status api_status_of(int err);

/* "NOT_FOUND"; "UNKNOWN" for a number that is none. */
const char *api_status_name(unsigned status);
