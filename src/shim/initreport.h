/*
 * initreport.h - the shim's end of ipc/initreport.h.
 */
#pragma once

#include "ipc/exitrec.h"

/* A pipe; *ret_child is for the job's PID 1 and the caller's to close. Returns our end, or -errno
 * with e filled. */
int sh_initreport_open(int *ret_child, struct jl_err *e);

/* What the report, a string, makes of PID 1's end: rec is left as it is where the two disagree. */
void sh_initreport_apply(const char *report, struct ipc_exitrec *rec);

/* Reads what came, if anything, and closes fd (-1: does nothing). rec, which has PID 1's end,
 * becomes the command's: killed by a signal, or not started. */
void sh_initreport_take(int fd, struct ipc_exitrec *rec);
