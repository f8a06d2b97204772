/*
 * initreport.h - what joblet-init tells the shim by a pipe, beyond the exit code that a PID 1 can
 * have: that a signal ended the command, or why it could not be run. joblet-init --report writes
 * at most one of these, in one piece and without a newline, to descriptor IPC_INIT_REPORT_FD; it
 * closes that for the command. Both ends are non-blocking. The reader takes nothing of it that
 * does not agree with the exit code (shim/initreport.h).
 */
#pragma once

#define IPC_INIT_REPORT_FD 3       /* the first that a runtime's --preserve-fds hands on */
#define IPC_INIT_SIGNAL "signal "  /* and its number, two digits */
#define IPC_INIT_FAILED "failed: " /* and a sentence */
#define IPC_INIT_REPORT_MAX 512    /* what is longer is cut */
