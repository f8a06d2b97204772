/*
 * validate.h - what a client may send. joblet-front asks first, core asks again, rnx may ask to
 * save a round trip: all get the same answer, as these are pure functions of the request.
 *
 * Whether a thing that is named exists, is free or is built already is core's to say, not theirs.
 * Every refusal names the field, what was in it, and what is allowed; the code in e is one that
 * api_status_of makes INVALID_ARGUMENT. Nothing here blocks, logs or needs a privilege.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "base/err.h"

#define API_STRING_MAX 131072         /* bytes of one argument or variable: the kernel's limit */
#define API_STRINGS_MAX 2097152       /* bytes of command, arguments and environment together */
#define API_NAME_MAX 63               /* bytes of a job's, volume's or network's name */
#define API_PATH_MAX 4095             /* bytes of a path */
#define API_COMPONENT_MAX 255         /* bytes between two slashes of a path */
#define API_UPLOADS_MAX 65536         /* files and directories in one request */
#define API_UPLOAD_PATHS_MAX 8388608  /* bytes of their paths together */
#define API_VOLUMES_MAX 64            /* volumes of one job */
#define API_CPU_MAX 10000             /* percent of one core */
#define API_MEMORY_LEAST 4            /* MiB; below it no process can start */
#define API_PRIORITY_MAX 100          /* and -100 */
#define API_ID_PREFIX_LEAST 4         /* characters of a job id that may stand for the whole */
#define API_REQUEST_FIELDS_MAX 262144 /* fields in one request, nested ones included */
#define API_REPLY_FIELDS_MAX 16777216 /* the same in a reply */

/*
 * Parses a message of the given type. Before protobuf-c allocates anything the bytes are walked
 * once: well formed, no more fields than allowed (two bytes on the wire can cost a hundred in
 * memory), no NUL inside a string; in a request every string is UTF-8 as well. Nesting can't go
 * deeper than the message types themselves, none of which contains itself.
 *
 * Returns 0 and the message, which the caller gives to protobuf_c_message_free_unpacked(m, NULL);
 * else -EINVAL, -EMSGSIZE or -ENOMEM with e filled.
 */
int api_unpack_request(const ProtobufCMessageDescriptor *type, const void *data, size_t len,
                       ProtobufCMessage **ret, struct jl_err *e);
int api_unpack_reply(const ProtobufCMessageDescriptor *type, const void *data, size_t len,
                     ProtobufCMessage **ret, struct jl_err *e);

/* Whole requests. 0 or -EINVAL/-ERANGE/-EMSGSIZE with e filled. */
int api_validate_run_job(const Joblet__RunJobRequest *r, struct jl_err *e);
int api_validate_get_job_status(const Joblet__GetJobStatusRequest *r, struct jl_err *e);
int api_validate_stop_job(const Joblet__StopJobRequest *r, struct jl_err *e);
int api_validate_get_job_logs(const Joblet__GetJobLogsRequest *r, struct jl_err *e);

/*
 * The rules they are made of; `field` is how the refusal names the value.
 *   id       a job id, or at least API_ID_PREFIX_LEAST characters of its beginning
 *   name     1 to API_NAME_MAX of a-z A-Z 0-9 _ . -, the first a letter or digit, not ".."
 *   upload   the path of an upload: relative, no "..", "." or empty component, no control
 *            character, not proc sys dev etc bin sbin usr/bin usr/sbin or below one of them
 *   env      the name of a variable: a letter or _, then letters, digits and _; not reserved for
 *            the server (JOB_*, JOBLET_*, RUNTIME_MANAGER_PATH, NETWORK_READY_FILE)
 */
int api_validate_id(const char *field, const char *id, struct jl_err *e);
int api_validate_name(const char *field, const char *name, struct jl_err *e);
int api_validate_upload_path(const char *field, const char *path, struct jl_err *e);
int api_validate_env_name(const char *field, const char *name, struct jl_err *e);
