/*
 * ns_owner.c - os_owner_begin and os_clone3_owned of ns.h.
 *
 * kernel/ucount.c: what a user's processes in a user namespace have open (inotify instances and
 * watches, queued signals, message queues, locked memory, ...) counts a second time, one namespace
 * up, for the user who made the namespace: who had that effective id. All that root makes would
 * share root's limits with one another and with the host's services, of 128 inotify instances for
 * example.
 */
#include <errno.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/ns.h"

bool os_owner_begin(struct os_owner *b, uid_t owner)
{
    if (owner == 0 || geteuid() != 0)
        return false;
    b->securebits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
    b->dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    b->parent = getppid();
    if (b->securebits < 0 || prctl(PR_GET_PDEATHSIG, &b->death_signal, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECUREBITS, b->securebits | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0)
        return false;
    if (setresuid((uid_t) -1, owner, (uid_t) -1) < 0) {
        prctl(PR_SET_SECUREBITS, b->securebits, 0, 0, 0);
        return false;
    }
    if (b->dumpable ==
        1) /* the child inherits it; 2 can't be set, and is the host's default then */
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    return true;
}

void os_owner_end(const struct os_owner *b)
{
    int tries = 0;

    /* Back to an id that is still our real one: the kernel may lack memory for a moment, no more. */
    while (setresuid((uid_t) -1, 0, (uid_t) -1) < 0)
        if (++tries == 3) {
            dprintf(STDERR_FILENO, "become root again: setresuid: %s\n", strerror(errno));
            _exit(1);
        }
    prctl(PR_SET_SECUREBITS, b->securebits, 0, 0, 0);
    if (b->dumpable == 1)
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (b->death_signal == 0)
        return;
    prctl(PR_SET_PDEATHSIG, b->death_signal, 0, 0, 0);
    if (getppid() != b->parent)
        raise(b->death_signal);
}

pid_t os_clone3_owned(uint64_t flags, int cgroup_fd, uid_t owner, int *ret_pidfd)
{
    struct os_owner b;
    bool changed = flags & CLONE_NEWUSER && os_owner_begin(&b, owner);
    pid_t pid = os_clone3(flags, cgroup_fd, ret_pidfd);

    if (changed && pid != 0)
        os_owner_end(&b);
    return pid;
}

uid_t os_idmap_root(const struct os_idmap *maps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (maps[i].inside == 0)
            return maps[i].outside;
    return 0;
}
