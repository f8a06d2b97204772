/*
 * step.h - the steps of a plan, each a small function. Which process runs one is its side in
 * plan.c; i is the step's index (a mount, a device, ...). They return 0, or -errno with e filled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct jl_err;
struct rt_launch;
struct rt_mount;

typedef int (*rt_step_fn)(struct rt_launch *l, size_t i, struct jl_err *e);

/* Runs all steps of this side in order; names the step in e's phase when one fails. */
int rt_steps_run(struct rt_launch *l, int side, struct jl_err *e);

/* step_prepare.c: the parent before clone */
int rt_step_record(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_seccomp_build(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_ns_open(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_console_connect(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_start_listen(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_cgroup.c: the control group, before the clone and beside the child */
int rt_step_cgroup_make(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_cgroup_limits(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_pids_limit(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_cgroup_owner(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_unit_start(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_unit_attach(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_unit_release(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_rdt.c: the class of service, before the clone and beside the child */
int rt_step_rdt_make(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_rdt_join(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_bind.c: sources opened by the parent */
int rt_step_rootfs_open(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_bind_open(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_bind_idmap(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_parent.c: the clone, and the parent beside the child */
int rt_step_clone(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_idmap_write(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_net_devices(struct rt_launch *l, size_t i, struct jl_err *e);
void rt_net_devices_return(struct rt_launch *l); /* the container could not be made */
void rt_net_devices_done(struct rt_launch *l);   /* forgets them */
int rt_step_oom_score(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_pid_record(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_mapped(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_hooks_runtime(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_go(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_enter.c: the child enters its namespaces */
int rt_step_cgroup_join(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_ns_join(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_map_wait(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_ns_unshare(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_keyring(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_loopback(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_hostname(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_sysctl(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_rootfs.c, step_mounts.c, step_devices.c, step_masked.c: the child makes its file tree */
int rt_place_open(struct rt_launch *l, struct jl_err *e); /* sets l->place_fd */
int rt_step_rootfs_attach(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_rootfs_seal(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_pivot(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_cwd(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_mount(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_mount_fs(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_mount_again(struct rt_launch *l, size_t i, struct jl_err *e); /* remount */
int rt_mount_cgroup(struct rt_launch *l, size_t i, struct jl_err *e);
/* Whether the entry's type is this one. */
bool rt_mount_is(const struct rt_mount *m, const char *type);
/* The entry's file system, detached; place: a directory below which its iversion is set, -1: none.
 * fd, or -errno with e filled. */
int rt_fs_make(const struct rt_mount *m, int place, struct jl_err *e);
/* The mount point below the rootfs (O_PATH), made when missing: a file when a file is bound. */
int rt_mount_target(struct rt_launch *l, const struct rt_mount *m, bool is_file, struct jl_err *e);
int rt_mount_attach(int mount_fd, int target, const char *dest, struct jl_err *e);
int rt_step_devices(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_device(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_dev_links(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_mask(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_readonly(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_lsm.c: what holds from the program on */
int rt_step_lsm_open(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_landlock(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_sched.c: the child's processors, memory and priorities */
int rt_step_affinity(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_domain(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_sched(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_notify.c: the parent makes the directory, the child mounts it */
int rt_step_notify_dir(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_notify_mount(struct rt_launch *l, size_t i, struct jl_err *e);

/* step_terminal.c, step_hooks.c, step_start.c: the child becomes the program */
int rt_step_terminal(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_hooks_ask(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_hooks_container(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_process(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_start_wait(struct rt_launch *l, size_t i, struct jl_err *e);
int rt_step_exec(struct rt_launch *l, size_t i, struct jl_err *e);
