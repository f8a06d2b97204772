/*
 * exitrec.h - how a job ended, as the shim leaves it on disk (`exit` in the job's state
 * directory, written tmp + fsync + rename + fsync of the directory before anybody is told), and
 * as the daemon reads it when it wasn't there to see it.
 *
 * Form: text, one `key=value` a line in the order of the struct, first line "joblet-exit 1".
 * docs/formats/exit-record.md is the reference; a record has exactly one spelling. No heap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define IPC_EXITREC_MAX 4096 /* bytes of the written form */
#define IPC_EXITREC_NAME "exit"
#define IPC_EXITREC_NEW_NAME "exit.new" /* from the shim's first step to its last but one */

enum ipc_exit_kind {
    IPC_EXIT_CODE,        /* ended by itself; value is its code */
    IPC_EXIT_SIGNAL,      /* killed by a signal; value is its number */
    IPC_EXIT_START_ERROR, /* never ran; error says why; value is 126, 127 or 1 */
};

struct ipc_exitrec {
    enum ipc_exit_kind kind;
    int32_t value;
    bool core_dumped;
    uint64_t oom_kills;  /* OOM kills in the job's cgroup */
    bool stop_requested; /* a stop, or a signal that asks for the end, came before the end */
    bool timed_out;      /* the shim's own run-time limit struck */
    uint64_t started_wall_ns, ended_wall_ns; /* CLOCK_REALTIME; started 0 if it never ran */
    uint64_t log_bytes, log_dropped_bytes;
    uint64_t cpu_user_us, cpu_system_us, memory_peak, io_read_bytes, io_write_bytes, pids_peak;
    uint64_t psi_cpu_some_us, psi_memory_some_us, psi_io_some_us;
    struct jl_err error; /* IPC_EXIT_START_ERROR: the runtime's words; else empty */
};

/* The shell's view: code, or 128 + signal. */
int ipc_exitrec_shell_code(const struct ipc_exitrec *r);

/* Writes into buf; bytes written, or -EMSGSIZE. */
int ipc_exitrec_write(const struct ipc_exitrec *r, char *buf, size_t size);
/* Parses exactly what write writes. 0, or -errno with e filled; ret is unchanged then. */
int ipc_exitrec_parse(const char *text, size_t len, struct ipc_exitrec *ret, struct jl_err *e);
