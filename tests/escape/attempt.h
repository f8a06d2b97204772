/*
 * attempt.h - attempts to leave a job, one line of output each: "NAME: got", "NAME: ERRNO" or
 * "NAME: SIGNAL". Every attempt runs in a process of its own and is harmless where it succeeds: it
 * opens without writing, or asks for what changes nothing.
 */
#pragma once

#include <stddef.h>

/* What the host's side passes on the command line: a process of the host, an abstract socket that
 * listens there, a directory that exists there. */
struct target {
    int pid;
    const char *socket;
    const char *path;
};

struct attempt {
    const char *name;
    int (*try)(const struct target *t); /* 0: got it; else -errno */
};

extern const struct attempt attempts_calls[];     /* system calls; ends with a NULL name */
extern const struct attempt attempts_files[];     /* files, devices, descriptors */
extern const struct attempt attempts_processes[]; /* other processes, rights, limits */

int report_walks(void); /* what can be written below /proc/sys, /sys; mounts that are writable */
