/*
 * refuse.c - runs a command under a seccomp(2) filter that refuses one system call, for it and for
 * all that comes from it: what a kernel without that call does (ENOSYS), or the filter of a
 * container around us (EPERM).
 *
 *   refuse ERRNO CALL[:ARGUMENT=VALUE] COMMAND...
 *
 * As `refuse 38 openat2 joblet-run ...`, `refuse 1 prctl:0=38 joblet-run ...`. Calls are those that
 * tracer_names.c knows.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "tracer.h"

#define DATA(member) ((unsigned) offsetof(struct seccomp_data, member))

int main(int argc, char **argv)
{
    unsigned index = 0, value = 0;
    bool has_arg;
    long call;

    if (argc < 4) {
        fprintf(stderr, "usage: refuse ERRNO CALL[:ARGUMENT=VALUE] COMMAND...\n");
        return 2;
    }
    has_arg = sscanf(argv[2], "%*[a-z0-9_]:%u=%u", &index, &value) == 2;
    call = tr_call_number(argv[2], strcspn(argv[2], ":"));
    if (call < 0) {
        fprintf(stderr, "refuse: %s is not known\n", argv[2]);
        return 2;
    }
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, DATA(nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned) call, 0, 3),
        /* the lower half of an argument; of one that every call has when none is asked for */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, has_arg ? DATA(args) + 8 * index : DATA(nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, has_arg ? value : (unsigned) call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned) strtoul(argv[1], NULL, 10)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = { sizeof filter / sizeof filter[0], filter };

    /* As root: no_new_privs would be inherited. */
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0) {
        perror("refuse: prctl");
        return 2;
    }
    execv(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}
