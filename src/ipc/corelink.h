/*
 * corelink.h - what crosses between joblet-front and joblet (core): frames on a SOCK_SEQPACKET
 * pair that core makes before it starts front (descriptor 3 in front). A frame is a fixed header,
 * the caller's identity (requests) and a body: the API's own protobuf message. A body over
 * IPC_LINK_INLINE_MAX travels in a sealed memfd that is the frame's first descriptor.
 *
 * Requests carry an id that the reply repeats; replies may come in any order. A cancelled request
 * gets a reply all the same, which front drops.
 *
 * JD_OP_STAGE request: text "bytes=N files=N", what is to come. Reply: body empty, descriptor: a
 *   new directory for the uploads, below IPC_LINK_STAGING_FD; text: its session.
 * JD_OP_KEEP_STAGE request: text: the session, whose ten minutes begin anew.
 * JD_OP_UNSTAGE request: text: the session.
 * JD_OP_STAGE_UPLOADS request: text: the session, which is whole; once for each.
 * JD_OP_GET_JOB_LOGS reply: body empty; text: the job's whole id; descriptors: the log directory's
 *   inotify descriptor (IN_MODIFY|IN_CREATE|IN_MOVED_TO; left out when the job has ended or there is
 *   none to be had), output.<segment>.idx, output.<segment>.log, read-only;
 *   a job that has not started yet: status IPC_LINK_WAIT, front asks again when told (EVENT) or
 *   after a second. For the next segment front asks again with `segment` set.
 * JD_OP_GET_JOB_METRICS, JD_OP_STREAM_JOB_METRICS request: a GetJobMetricsRequest, `segment`: which of
 *   the job's files. Reply: body empty; text: the job's whole id; descriptor: that file, read-only, or
 *   none when there is none and none will come; status IPC_LINK_WAIT when one may come.
 * Any request with text "revoked": front has refused it, as the certificate is on its list. It has no
 *   body, and core refuses it too, for the audit file.
 * Any request with a status: front has refused it with that gRPC code and the text as sentence. Its body
 *   is at most the name or id that it was about. It is not served, and stands in the audit file.
 * IPC_LINK_EVENT (no request): body empty. Core to front, text: a job's id whose state changed, or
 *   "revoked" with a body, the list of revoked certificates that holds from now on (ipc/revoked.h).
 *   Front to core, text: "listening ADDRESS:PORT", once it accepts clients.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define IPC_LINK_FD 3             /* front's end in front */
#define IPC_LINK_CONF_FD 4        /* in front: a sealed memfd with its configuration, JSON */
#define IPC_LINK_STAGING_FD 5     /* in front: the parent of staging directories, for Landlock */
#define IPC_LINK_INLINE_MAX 65536 /* bytes of body in the frame itself */
#define IPC_LINK_BODY_MAX (128u << 20)
#define IPC_LINK_FDS_MAX 4
#define IPC_LINK_TEXT_MAX 512
#define IPC_LINK_REVOKED "revoked" /* text of an EVENT, see above */
#define IPC_LINK_WAIT 64           /* reply status beside the gRPC codes: not yet, ask again */
#define IPC_LINK_CODE_MAX 16       /* the last gRPC code */
#define IPC_LINK_OBJECT_MAX 80     /* with a NUL: the name or id in a refused request's body */

enum jd_role { JD_ROLE_NONE, JD_ROLE_READER, JD_ROLE_DEVELOPER, JD_ROLE_MAINTAINER, JD_ROLE_ADMIN };

enum jd_op {
    JD_OP_NONE,
#define JD_OP(id, operation, method, role) id,
#include "ipc/ops.def"
#undef JD_OP
    JD_OP_N,
};

enum ipc_link_type { IPC_LINK_REQUEST = 1, IPC_LINK_REPLY, IPC_LINK_EVENT };

/* Who asks: from the verified client certificate. */
struct ipc_identity {
    char common_name[128];
    char unit[64];   /* organizational unit(s) as they stand in the certificate, "," between */
    char serial[64]; /* hex */
    char peer[64];   /* address, for the audit file */
};

struct ipc_frame {
    enum ipc_link_type type;
    enum jd_op op;
    uint64_t id;             /* of the request */
    uint32_t status;         /* a gRPC status code (api/status.h); 0 OK, in a request: serve it */
    uint32_t segment;        /* JD_OP_GET_JOB_LOGS, ..._METRICS: which segment, file */
    struct ipc_identity who; /* requests */
    char text[IPC_LINK_TEXT_MAX]; /* reply: error sentence; STAGE: session; EVENT: job id */
    const uint8_t *body;          /* borrowed: from the caller, or from the receive buffer */
    size_t body_len;
    int fds[IPC_LINK_FDS_MAX]; /* without the memfd of a large body */
    size_t n_fds;
};

const char *jd_role_name(enum jd_role role);
/* The role of organizational units (comma list, compared without case; viewer is reader; of
 * several the weakest); JD_ROLE_NONE for none known. */
enum jd_role jd_role_parse(const char *units);
const char *jd_op_name(enum jd_op op);
enum jd_role jd_op_role(enum jd_op op);
enum jd_op jd_op_of_method(const char *method); /* JD_OP_NONE: no such method */

/* The header and what follows inside a packet, without descriptors: for the codec's fuzz target.
 * write: bytes or -EMSGSIZE. parse: 0 or -EPROTO with e filled; body points into data. */
#define IPC_LINK_PACKET_MAX (IPC_LINK_INLINE_MAX + 2048)
int ipc_frame_write(const struct ipc_frame *f, uint8_t *buf, size_t size);
int ipc_frame_parse(const uint8_t *data, size_t len, struct ipc_frame *ret, struct jl_err *e);

/* Sends one frame, with a memfd when the body is large. Borrows everything. 0; -EAGAIN when the
 * socket is full (non-blocking); else -errno. */
int ipc_link_send(int sock, const struct ipc_frame *f, struct jl_err *e);

/* Receives one frame. buf (IPC_LINK_PACKET_MAX bytes) or a mapping holds the body until
 * ipc_link_done, which also closes descriptors not taken (set taken ones to -1). Returns 1 a
 * frame, 0 the peer closed, -EAGAIN nothing there, else -errno with e filled: drop the link. */
struct ipc_received {
    struct ipc_frame frame;
    void *map;
    size_t map_len;
};
int ipc_link_recv(int sock, uint8_t *buf, struct ipc_received *ret, struct jl_err *e);
void ipc_link_done(struct ipc_received *r);
