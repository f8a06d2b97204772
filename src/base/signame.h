/*
 * signame.h - names of the classic signals. A table of our own: sigabbrev_np is the GNU C library's
 * alone, and the programs that are started once a job are linked with another one.
 */
#pragma once

/* "TERM" for SIGTERM; NULL for a number that is none, and for real-time signals. */
const char *jl_signal_abbrev(int sig);
