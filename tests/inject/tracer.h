/*
 * tracer.h - runs a command under ptrace(2) and does something to one process at one system call.
 *
 * Processes are numbered in the order they are made: 0 is the command, 1 its first child, and so
 * on. Calls are numbered from 1 by process; a call counts when it has returned. The caller should
 * be a child subreaper, so that whatever the command leaves falls to it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define TR_PROCS 16   /* further ones run untraced */
#define TR_CALLS 4096 /* of one process that are remembered */

enum tr_act {
    TR_COUNT, /* only remember the calls */
    TR_KILL,  /* SIGKILL once the call has returned */
    TR_ERRNO, /* the call is not made and fails */
};

struct tr_plan {
    enum tr_act act;
    int proc;        /* which process; processes after 0 are traced only if it is not 0 */
    unsigned call;   /* which of its calls */
    int err;         /* TR_ERRNO: what the call fails with; 0: what is usual for it */
    bool settle;     /* TR_KILL: first let its children go as far as they can */
    pid_t also;      /* a process that runs already and becomes number 1; 0: none */
    int out, err_fd; /* standard output and error of the command */
};

struct tr_result {
    int status;   /* as wait(2) has it; of process 0 */
    bool reached; /* it came to the call */
    bool hung;    /* it did not end within TR_SECONDS, and was killed */
    long nr;      /* the call's number */
    unsigned n_procs;
    unsigned n_calls[TR_PROCS];
    unsigned main_at[TR_PROCS]; /* the last that protected memory: the C library has started then */
    unsigned exec_at[TR_PROCS]; /* the first call that executed something; 0: none did */
    short calls[TR_PROCS][TR_CALLS];
};

/* Blocks. Ends the test program when ptrace itself does not work. */
void tr_run(char *const argv[], const struct tr_plan *p, struct tr_result *ret);

/* Runs a command untraced and waits for its end, also taking what traced processes are left; its
 * status as wait(2) has it, -1 when it did not end in time. */
int tr_simply(char *const argv[], int out, int err_fd);

/* Waits for the end of all our descendants, some seconds at most; prints who is left and kills
 * him. Returns how many there were. */
int tr_reap_all(void);

/* "openat2", or its number. */
const char *tr_call_name(long nr);
/* The number of a name of `len` bytes; -1: not in the table. */
long tr_call_number(const char *name, size_t len);
