/*
 * sandbox.h - what joblet-front gives up, itself, before a byte from the network reaches it. Core
 * starts it as an unprivileged user; this is the rest.
 *
 * Two steps, because Landlock holds for a thread and those it starts, and a listening server needs
 * system calls that a serving one doesn't:
 *   jd_sandbox_files   before gRPC's threads exist: no new privileges, no capabilities, not
 *                      traceable, no core file; Landlock (where the kernel has it): no file by name
 *                      but below the staging root, no TCP connect, bind to our port alone, no
 *                      signals to others
 *   jd_sandbox_calls   when the server listens: seccomp for all threads; what is not on the list
 *                      fails with EPERM, what only an attacker would call (execve, ptrace,
 * mount...) kills the process
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* staging_fd: the parent of all staging directories; -1: none, uploads will fail. ret_landlock: the
 * ABI in force, 0 none. 0 or -errno with e filled. */
int jd_sandbox_files(int staging_fd, uint16_t port, int *ret_landlock, struct jl_err *e);

/* 0 or -errno with e filled. */
int jd_sandbox_calls(struct jl_err *e);
