/*
 * cgroup_internal.h - what the cgroup_*.c files share, and what their unit tests reach for. Nobody
 * else includes it.
 *
 * One rule decides everywhere which hierarchy serves a controller: the v1 hierarchy if it is
 * mounted, else the unified tree if it lists the controller. So a hybrid host needs no code of its
 * own.
 */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/bpf.h>

#include "os/cgroup.h"

/* Larger than any file of a control group that we read. */
#define CG_FILE_MAX 65536

/* ---- cgroup_host.c ---- */

/* Fills mode, unified and v1 from the text of a mountinfo file; v2_controllers stays 0. Lines that
 * are not cgroups are skipped. 0, or -ENAMETOOLONG when a mount point does not fit. */
int cg_host_parse(const char *mountinfo, struct os_cgroup_host *ret_host, struct jl_err *e);

/* The words of a cgroup.controllers or cgroup.subtree_control file as bits; unknown ones are
 * ignored. */
unsigned cg_controller_bits(const char *words);

/* The name in cgroup v2 files ("io"); NULL for what is no controller there. */
const char *cg_v2_name(enum os_controller c);

/* The first controller that is mounted at the same place as c, c itself as a rule: the one of a
 * joint mount ("cpu,cpuacct") that stands for the hierarchy. */
enum os_controller cg_v1_owner(const struct os_cgroup_host *host, enum os_controller c);

/* ---- cgroup_tree.c: hierarchies and directories ---- */

#define CG_PATH_MAX 2048
#define CG_DEPTH_MAX 200   /* groups below a job's that we look into */
#define CG_UNIFIED OS_CG_N /* index of the unified tree among the hierarchies */
#define CG_HIERARCHIES (OS_CG_N + 1)

/* v1 hierarchies that a group is made in only when one of its limits needs them. */
#define CG_OPTIONAL                                                                                \
    (OS_CG_BIT(OS_CG_RDMA) | OS_CG_BIT(OS_CG_MISC) | OS_CG_BIT(OS_CG_DMEM) |                       \
     OS_CG_BIT(OS_CG_NET_CLS) | OS_CG_BIT(OS_CG_NET_PRIO))

struct os_cgroup {
    struct os_cgroup_host host;
    int fd[CG_HIERARCHIES]; /* by enum os_controller, then the unified tree; -1 none. Controllers
                             * of a joint mount share one number, which their owner closes. */
    char path[CG_PATH_MAX]; /* without slashes at its ends */
};

/* Where a hierarchy is mounted; NULL when it isn't, or when it is a joint mount of which another
 * controller is the owner: so a loop over all indices meets each hierarchy once. */
const char *cg_mount(const struct os_cgroup_host *host, unsigned hierarchy);

/* The group's directory in a hierarchy, once each as cg_mount; -1 if none. */
int cg_hierarchy_fd(const struct os_cgroup *cg, unsigned hierarchy);

/* Checks a path and writes it without needless slashes: no "..", no ".", no control characters.
 * norm holds CG_PATH_MAX. 0 or -EINVAL, -ENAMETOOLONG. */
int cg_path_check(const char *path, char *norm, struct jl_err *e);

/* Opens the group `path` (its first `len` bytes, which end at a slash or the end) below `mount`,
 * part by part and through no symlink. fd or -errno. */
int cg_open_below(const char *mount, const char *path, size_t len);

/* Calls fn for the group and all below it, the upper first. fn's answer other than 0 ends it and is
 * returned; else 0 or -errno. Groups that vanish meanwhile are skipped. */
int cg_each_group(int fd, int (*fn)(int fd, void *data), void *data);

/* Opens the next directory entry of dir as a group: fd, -ENOENT at the end, or -errno. With name
 * (of 256 bytes) copies its name. */
int cg_next_child(DIR *dir, char *name);

/* Removes the groups right below fd. 0 when none is left; 0 with *ret_busy set (own_) to one that
 * has groups below itself; -EBUSY when one holds processes; else -errno. */
int cg_remove_children(int fd, int *ret_busy);

/* ---- cgroup.c ---- */

/* A group that is open nowhere yet; NULL with e filled. */
struct os_cgroup *cg_new(const struct os_cgroup_host *host, const char *path, struct jl_err *e);

/* Gives the controllers of joint mounts their owner's descriptor. */
void cg_share_joint(struct os_cgroup *cg);

/* ---- cgroup_file.c: interface files ---- */

/* Reads a file of at most size - 1 bytes, ended with a NUL, its last newline cut off. Length or
 * -errno. */
ssize_t cg_read(int dirfd, const char *file, char *buf, size_t size);

/* The number in a file; "max" and "-1" read as UINT64_MAX. 0, -EINVAL or -errno. */
int cg_read_u64(int dirfd, const char *file, uint64_t *ret);

/* The number behind `key` in a file of "key number" lines, and in PSI's "key a=b total=number"
 * with key "some". -ENODATA when there is no such line. */
int cg_read_key(int dirfd, const char *file, const char *key, uint64_t *ret);
int cg_text_key(const char *text, const char *key, uint64_t *ret);

/* "1234 (bash)" of a process in the group, or below with `deep`, for error messages; "" if none. */
const char *cg_some_process(int fd, bool deep, char *buf, size_t size);

/* ---- cgroup_stat.c ---- */

/* Bytes read and written, summed over the devices, from the text of io.stat (v2) and of
 * blkio.throttle.io_service_bytes (v1). */
void cg_io_stat_sum(const char *text, uint64_t *ret_read, uint64_t *ret_written);
void cg_blkio_sum(const char *text, uint64_t *ret_read, uint64_t *ret_written);

/* ---- cgroup_limits.c: setting a value and looking whether it is there ---- */

/* Where a controller's files of a group are. */
struct cg_place {
    int fd; /* borrowed */
    bool v2;
    const char *controller; /* its name there */
    const char *path;       /* the group's, for messages */
    const struct os_cgroup *cg;
};

/* Finds it, or refuses with the reason and the fix. `what`: the limit, as the user knows it. */
int cg_place(const struct os_cgroup *cg, enum os_controller c, const char *what,
             struct cg_place *ret, struct jl_err *e);

/* Refuses a limit that exists only with the other version of cgroups. */
int cg_refuse_version(const struct cg_place *p, const char *what, struct jl_err *e);

/* Writes; no reading back. The error names controller, group, file and value. */
int cg_put(const struct cg_place *p, const char *file, const char *value, struct jl_err *e);

/* Writes a number (-1: `unlimited`) and reads it back. The kernel may round down to a multiple of
 * unit; 1: it must be the same. */
int cg_put_number(const struct cg_place *p, const char *file, int64_t value, const char *unlimited,
                  uint64_t unit, struct jl_err *e);

/* The comparison in it: asked -1 is met by "max", "-1" and what v1 shows for no limit. */
bool cg_same_number(const char *found, int64_t asked, uint64_t unit);

/* Whether two lists of cpus or nodes name the same ones. */
bool cg_same_list(const char *a, const char *b);

/* The error for a value that the kernel did not take. */
int cg_fail_readback(const struct cg_place *p, const char *file, const char *asked,
                     const char *found, struct jl_err *e);

bool cg_has_file(int dirfd, const char *file);

/* ---- one a family of limits ---- */

int cg_apply_memory(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);
int cg_apply_cpu(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);
int cg_apply_cpuset(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);
int cg_apply_io(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);
int cg_apply_rdma(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);
int cg_apply_network(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);
int cg_apply_realtime(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);
int cg_apply_devices(struct os_cgroup *cg, const struct os_cgroup_limits *l, struct jl_err *e);

/* Whether the line of `name` in a text of "name word word" lines has each of the words. */
bool cg_has_words(const char *text, const char *name, const char *words);

/* ---- cgroup_devices.c, cgroup_devices_bpf.c ---- */

#define CG_DEVICE_RULES_MAX OS_CGROUP_DEVICE_RULES_MAX

/* 0, or -EINVAL/-E2BIG with e filled. */
int cg_devices_check(const struct os_cgroup_device_rule *rules, size_t n, struct jl_err *e);

/* "c 1:3 rwm", as devices.list has it. */
void cg_device_format(const struct os_cgroup_device_rule *r, char *buf, size_t size);

/* A program of at most this many instructions: 8 a rule, 6 before and 2 behind them. */
#define CG_BPF_MAX (CG_DEVICE_RULES_MAX * 8 + 8)

struct cg_bpf {
    size_t n;
    struct bpf_insn insn[CG_BPF_MAX];
};

/* The program for rules that cg_devices_check accepted. Cannot fail. */
void cg_devices_to_bpf(const struct os_cgroup_device_rule *rules, size_t n, struct cg_bpf *ret);

/* Loads it, attaches it to the group and takes an older one of ours off. */
int cg_devices_attach(int cg_fd, const char *path, const struct os_cgroup_device_rule *rules,
                      size_t n, struct jl_err *e);

/* Asks the unified tree, or v1's freezer, to freeze or thaw, and waits for nothing. 0 or -errno. */
int cg_write_freeze(const struct os_cgroup *cg, bool v2, bool frozen);
