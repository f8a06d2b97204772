/*
 * spec.h - config.json checked into what the plan needs. All refusals of a configuration are made
 * here, each with the JSON path, before anything is touched. What the specification has and
 * joblet-run does not do yet is refused too; a capability that cannot be had is a warning.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/parse.h"
#include "base/strv.h"
#include "ocispec.h"
#include "os/caps.h"
#include "os/cgroup.h"
#include "os/ns.h"
#include "os/sched.h"
#include "runtime/mountopt.h"

struct jl_err;
struct rt_landlock;
struct os_seccomp;

#define RT_SPEC_VERSION "1.3.0" /* of the runtime specification */
#define RT_RLIMITS_MAX 16       /* as many as there are kinds */

struct rt_rlimit {
    int resource;
    uint64_t soft, hard;
};

/* What a process needs; of config.json's process, or of `exec --process`. */
struct rt_process {
    const struct oci_process *oci; /* borrowed */
    struct os_caps caps;           /* all empty when none were given */
    struct rt_rlimit rlimits[RT_RLIMITS_MAX];
    size_t n_rlimits;
    bool has_sched, has_ioprio;
    struct os_sched sched;
    unsigned ioprio_class, ioprio_level;
    bool may_nice; /* with one of them: joblet-run itself has CAP_SYS_NICE */
};

struct rt_mempolicy {
    int mode;       /* MPOL_* */
    unsigned flags; /* MPOL_F_* */
    bool has_nodes;
    struct jl_numset nodes;
};

enum rt_mount_kind { RT_MOUNT_FS, RT_MOUNT_BIND, RT_MOUNT_CGROUP, RT_MOUNT_REMOUNT };

struct rt_mount {
    const struct oci_mount *oci; /* borrowed */
    enum rt_mount_kind kind;
    struct rt_mountopt opt;
    struct os_idmap *uids, *gids; /* its own id maps, or NULL */
    size_t n_uids, n_gids;
};

struct rt_spec {
    struct oci_spec *oci; /* own */
    char *text;           /* config.json as it was read; own */
    size_t text_len;
    char *bundle;                 /* absolute; own */
    char *rootfs;                 /* absolute; own */
    uint64_t ns_new;              /* CLONE_NEW* to make */
    const char *ns_path[OS_NS_N]; /* to join instead; borrowed */
    struct os_idmap *uids, *gids; /* of a new user namespace */
    size_t n_uids, n_gids;
    struct rt_mount *mounts;
    size_t n_mounts;
    uint64_t propagation; /* of the rootfs: MS_*, 0 when not asked for */
    bool propagation_tree;
    bool idmap_rootfs; /* annotation RT_ANNOTATION_IDMAP */
    struct os_cgroup_limits limits;
    bool wants_limits; /* any but the device rules */
    struct rt_process process;
    bool has_process;
    struct os_seccomp *seccomp; /* the rules, for os_seccomp_build; NULL: no filter; own */
    struct rt_landlock *landlock; /* rules of the annotation; NULL: none; own */
    bool has_mempolicy, has_personality;
    struct rt_mempolicy mempolicy;
    unsigned long personality; /* PER_* */
    struct jl_strv warnings;
};

static inline bool rt_spec_has_terminal(const struct rt_spec *s)
{
    return s->has_process && s->oci->process->terminal;
}

/* "true": the rootfs is mounted with the id map of the container's own user namespace, so that
 * one image serves jobs with different maps. */
#define RT_ANNOTATION_IDMAP "io.joblet.rootfs.idmap"

/* Limits of cgroup v2 that the specification has no property for: a size ("64MB", "max") above
 * which memory is reclaimed hard, and "true" for the OOM killer to take all or nothing. */
#define RT_ANNOTATION_MEMORY_HIGH "io.joblet.memory.high"
#define RT_ANNOTATION_OOM_GROUP "io.joblet.memory.oom.group"

/*
 * Reads BUNDLE/config.json, or the file `config` (NULL: none; it is found from the working
 * directory), and checks it. *ret is the caller's (rt_spec_free). 0, or -errno with e filled.
 * Blocks on the file system alone.
 */
int rt_spec_load(const char *bundle, const char *config, struct rt_spec **ret, struct jl_err *e);

/* Strict mode: refuses keys that the specification doesn't know. *ret_paths gets the JSON path of
 * each (of the first OCI_UNKNOWN_MAX); the caller clears it. 0, or -errno with e filled. */
int rt_spec_check_strict(const struct rt_spec *s, struct jl_strv *ret_paths, struct jl_err *e);

/* The same from memory, without looking at any file: for tests, and for stored configurations.
 * bundle is absolute; NULL means "/". */
int rt_spec_from_text(const char *bundle, const char *text, size_t len, struct rt_spec **ret,
                      struct jl_err *e);
void rt_spec_free(struct rt_spec *s);

/* Checks a process; `where` is its JSON path ("process", or "" for a file of its own). */
int rt_process_check(const struct oci_process *oci, const char *where, struct rt_process *ret,
                     struct jl_strv *warnings, struct jl_err *e);

/* The part of it about scheduler, ioPriority and execCPUAffinity; w ends in "." or is empty. */
int rt_check_scheduling(const struct oci_process *p, const char *w, struct rt_process *ret,
                        struct jl_strv *warnings, struct jl_err *e);

/* Parts of rt_spec_from_text, each in a file of its own. */
int rt_spec_check_linux(struct rt_spec *s, struct jl_err *e);
int rt_spec_check_seccomp(struct rt_spec *s, struct jl_err *e);
int rt_spec_check_domain(struct rt_spec *s, struct jl_err *e); /* memoryPolicy, personality */
int rt_spec_check_mounts(struct rt_spec *s, struct jl_err *e);
int rt_spec_check_resources(struct rt_spec *s, struct jl_err *e);
int rt_spec_check_rare(const struct oci_resources *res, struct os_cgroup_limits *l,
                       struct jl_err *e);
int rt_spec_check_limit_annotations(struct rt_spec *s, struct jl_err *e);
int rt_spec_check_net_devices(const struct rt_spec *s, struct jl_err *e);
int rt_spec_check_rdt(const struct rt_spec *s, struct jl_err *e);

/* One line that begins with "MB:"; where: what it is of, for the refusal. */
int rt_rdt_check_mem_bw(const char *schema, const char *where, struct jl_err *e);
int rt_spec_check_sysctl(const struct rt_spec *s, struct jl_err *e);
int rt_idmaps_copy(struct oci_id_mapping *const *from, size_t n, const char *where,
                   struct os_idmap **ret, struct jl_err *e);
void rt_limits_clear(struct os_cgroup_limits *l);

/* "net.ipv4.ip_forward" as a path below /proc/sys. buf of `size` bytes; 0 or -EINVAL. */
int rt_sysctl_path(const char *key, char *buf, size_t size);

/* The namespace that such a path belongs to. 0, or -EINVAL: to none, it is the whole host's. */
int rt_sysctl_ns(const char *path, enum os_ns *ret);

/* Whether the container has (makes or joins) a namespace of this kind. */
bool rt_spec_has_ns(const struct rt_spec *s, enum os_ns ns);

static inline void rt_spec_freep(struct rt_spec **s)
{
    rt_spec_free(*s);
}

#define _rt_spec_ __attribute__((cleanup(rt_spec_freep)))
