/*
 * shimctl.c - see shimctl.h.
 *
 * Packet of 44 bytes: "JSC" and the protocol (4), type (4), argument (8), phase (4), pid (4),
 * started (8), dropped bytes (8), zero (4). What a message of that type does not use is zero.
 */
#include "ipc/shimctl.h"

#include <errno.h>
#include <string.h>

#include "ipc/wire.h"

#define MAGIC (UINT32_C(0x43534a) | (uint32_t) IPC_SHIM_PROTOCOL << 24) /* "JSC" */
#define PACKET_BYTES 44
#define SIGNAL_MAX 64

int ipc_shim_msg_write(const struct ipc_shim_msg *m, void *buf, size_t size)
{
    uint8_t *p = buf;

    if (size < PACKET_BYTES)
        return -EMSGSIZE;
    memset(p, 0, PACKET_BYTES);
    ipc_put32(p, MAGIC);
    ipc_put32(p + 4, (uint32_t) m->type);
    ipc_put64(p + 8, m->type == IPC_SHIM_GET_STATE ? 0 : m->arg);
    if (m->type != IPC_SHIM_STATE)
        return PACKET_BYTES;
    ipc_put32(p + 16, (uint32_t) m->phase);
    ipc_put32(p + 20, (uint32_t) m->pid);
    ipc_put64(p + 24, m->started_wall_ns);
    ipc_put64(p + 32, m->log_dropped_bytes);
    return PACKET_BYTES;
}

static int check(const struct ipc_shim_msg *m, uint32_t type, uint32_t phase, struct jl_err *e)
{
    switch (type) {
    case IPC_SHIM_GET_STATE:
        if (m->arg != 0)
            return jl_refuse(e, EPROTO, "shim message: GET_STATE takes no argument");
        break;
    case IPC_SHIM_STOP:
        break;
    case IPC_SHIM_KILL:
        if (m->arg < 1 || m->arg > SIGNAL_MAX)
            return jl_refuse(e, EPROTO, "shim message: %llu is not a signal (1 to %d)",
                             (unsigned long long) m->arg, SIGNAL_MAX);
        break;
    case IPC_SHIM_STATE:
        if (m->pid < 0 || phase > IPC_SHIM_FAILED)
            return jl_refuse(e, EPROTO, "shim message: impossible state");
        return 0;
    default:
        return jl_refuse(e, EPROTO, "shim message: unknown type %u", type);
    }
    if (phase != 0 || m->pid != 0 || m->started_wall_ns != 0 || m->log_dropped_bytes != 0)
        return jl_refuse(e, EPROTO, "shim message: a request carries a state");
    return 0;
}

int ipc_shim_msg_parse(const void *data, size_t len, struct ipc_shim_msg *ret, struct jl_err *e)
{
    const uint8_t *p = data;
    struct ipc_shim_msg m = { 0 };
    uint32_t type, phase;
    int r;

    if (len != PACKET_BYTES)
        return jl_refuse(e, EPROTO, "shim message: %zu bytes, a message has %d", len, PACKET_BYTES);
    if (ipc_get32(p) != MAGIC)
        return jl_refuse(e, EPROTO, "shim message: not of protocol %d", IPC_SHIM_PROTOCOL);
    if (ipc_get32(p + 40) != 0)
        return jl_refuse(e, EPROTO, "shim message: bytes that must be zero are not");
    type = ipc_get32(p + 4);
    phase = ipc_get32(p + 16);
    m.arg = ipc_get64(p + 8);
    m.pid = (int32_t) ipc_get32(p + 20);
    m.started_wall_ns = ipc_get64(p + 24);
    m.log_dropped_bytes = ipc_get64(p + 32);
    r = check(&m, type, phase, e);
    if (r < 0)
        return r;
    m.type = (enum ipc_shim_type) type;
    m.phase = (enum ipc_shim_phase) phase;
    *ret = m;
    return 0;
}
