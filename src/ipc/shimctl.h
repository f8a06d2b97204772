/*
 * shimctl.h - the shim's control socket: SOCK_SEQPACKET, `control` in the job's state directory,
 * mode 0600. The daemon connects when the job starts and again after it was restarted; several
 * connections at once are fine. One packet is one message of fixed size; no descriptors travel.
 *
 * Daemon to shim: IPC_SHIM_GET_STATE, IPC_SHIM_STOP, IPC_SHIM_KILL.
 * Shim to daemon: IPC_SHIM_STATE, as answer and by itself at every change of state.
 * The peer's pid is had from SO_PEERCRED, a pidfd from SO_PEERPIDFD (Linux 6.5) or pidfd_open.
 * The reference is docs/formats/shim-control.md.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define IPC_SHIM_SOCKET_NAME "control"
#define IPC_SHIM_PROTOCOL 1
#define IPC_SHIM_PACKET_MAX 2048

enum ipc_shim_type {
    IPC_SHIM_GET_STATE = 1,
    IPC_SHIM_STOP, /* arg: grace in ms. SIGTERM to the whole job, grace, SIGKILL to the cgroup */
    IPC_SHIM_KILL, /* arg: signal number, to every process of the job */
    IPC_SHIM_STATE,
};

enum ipc_shim_phase {
    IPC_SHIM_STARTING, /* the runtime is making the container */
    IPC_SHIM_RUNNING,  /* the command runs; pid and started are known */
    IPC_SHIM_ENDING,   /* init is gone; output, cgroup and mounts are being finished */
    IPC_SHIM_DONE,     /* record on disk, container deleted; the shim exits next */
    IPC_SHIM_FAILED,   /* the same, of a job that could not be started */
};

struct ipc_shim_msg {
    enum ipc_shim_type type;
    uint64_t arg; /* of a request; STATE: ms that a stop has left until SIGKILL, 0 none has begun */
    enum ipc_shim_phase phase; /* STATE, with the rest */
    int32_t pid;               /* the job's init on the host; 0 unknown */
    uint64_t started_wall_ns;
    uint64_t log_dropped_bytes;
};

/* Bytes written, or -EMSGSIZE. Little-endian, fixed layout. */
int ipc_shim_msg_write(const struct ipc_shim_msg *m, void *buf, size_t size);
/* 0, or -EPROTO with e filled. */
int ipc_shim_msg_parse(const void *data, size_t len, struct ipc_shim_msg *ret, struct jl_err *e);
