/*
 * ns.h - namespaces: their names, making a process in new ones, joining existing ones, id maps.
 * Sources: namespaces(7), clone(2) (clone3), setns(2), user_namespaces(7), ioctl_ns(2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct jl_err;

enum os_ns {
    OS_NS_USER,
    OS_NS_MOUNT,
    OS_NS_PID,
    OS_NS_NET,
    OS_NS_IPC,
    OS_NS_UTS,
    OS_NS_CGROUP,
    OS_NS_TIME,
    OS_NS_N,
};

const char *os_ns_name(enum os_ns ns);                  /* as in OCI documents: "network" */
const char *os_ns_proc_name(enum os_ns ns);             /* as in /proc/PID/ns: "net" */
uint64_t os_ns_flag(enum os_ns ns);                     /* CLONE_NEW* */
int os_ns_from_name(const char *name, enum os_ns *ret); /* OCI name; 0 or -EINVAL */
bool os_ns_supported(enum os_ns ns);                    /* whether this kernel has the type */

/* Opens the namespace file and checks that it is of this type. fd, or -errno with e filled. */
int os_ns_open(const char *path, enum os_ns ns, struct jl_err *e);

/* Whether ours is the machine's own user namespace (USER_NS_INIT_INO of <linux/nsfs.h>); no if
 * /proc cannot tell. */
bool os_userns_is_initial(void);

/* 1 when both descriptors are the same namespace, 0 when not, -errno. */
int os_ns_same(int fd_a, int fd_b);

/*
 * clone3 with these CLONE_* flags and CLONE_PIDFD; the child goes on with a copy of our memory,
 * like fork. cgroup_fd >= 0 starts it in that v2 group. Single-threaded callers only. Returns the
 * pid in the parent (*ret_pidfd is the caller's), 0 in the child, -errno.
 */
pid_t os_clone3(uint64_t flags, int cgroup_fd, int *ret_pidfd);

struct os_idmap {
    uint32_t inside, outside, count;
};

/*
 * Writes the uid and gid maps of a process in a new user namespace. Without CAP_SETUID and
 * CAP_SETGID more than the caller's own id needs newuidmap(1) and newgidmap(1), which are called
 * then; setgroups is denied where the kernel demands it. 0, or -errno with e filled.
 */
int os_idmap_write(pid_t pid, const struct os_idmap *uids, size_t n_uids,
                   const struct os_idmap *gids, size_t n_gids, struct jl_err *e);

/* Whether both map the same ids. */
bool os_idmap_equal(const struct os_idmap *a, size_t n_a, const struct os_idmap *b, size_t n_b);

/* Who on this host an id inside of the process's user namespace is. 0, -ENOENT when it is nobody,
 * or -errno. */
int os_idmap_to_host(pid_t pid, uint32_t uid, uint32_t *ret_host);

/* What a change of the effective id takes away with it: credentials(7), prctl(2). */
struct os_owner {
    int securebits, dumpable, death_signal;
    pid_t parent;
};

/*
 * Until os_owner_end root's effective id is `owner`; its capabilities stay. A user namespace that is
 * made in between belongs to that user, and who is its owner has every capability in it, which root
 * has only of those that he has himself. False when we are not root or may not: nothing has changed
 * then. For processes with one thread.
 */
bool os_owner_begin(struct os_owner *b, uid_t owner);
void os_owner_end(const struct os_owner *b);

/* As os_clone3; a new user namespace belongs to `owner`, a user of ours, if os_owner_begin can. */
pid_t os_clone3_owned(uint64_t flags, int cgroup_fd, uid_t owner, int *ret_pidfd);

/* The user outside who is root inside; 0 when nobody is. */
uid_t os_idmap_root(const struct os_idmap *maps, size_t n);

/* A user namespace with these maps and no process in it, for idmapped mounts. fd, or -errno. */
int os_userns_new(const struct os_idmap *uids, size_t n_uids, const struct os_idmap *gids,
                  size_t n_gids, struct jl_err *e);
