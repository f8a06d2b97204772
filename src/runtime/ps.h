/*
 * ps.h - one process as /proc tells of it: proc(5), stat, status, cmdline. For `ps`.
 */
#pragma once

#include <sys/types.h>

#define RT_PS_CMD_MAX 4096 /* bytes of a command line that are read */

/* One process; numbers of /proc/PID/stat in its units. */
struct rt_process_stat {
    pid_t pid, ppid, pgid, sid;
    unsigned uid;
    char state;
    int tty;
    long long nice, threads;
    unsigned long long utime, stime, start; /* clock ticks */
    unsigned long long vsize;               /* bytes */
    long long rss;                          /* pages */
    char comm[64];
    char *args;
};

/* Control characters in its words are replaced. The caller frees args (NULL: it has none). 0, or
 * -errno: it is gone. */
int rt_ps_read(pid_t pid, struct rt_process_stat *p);
