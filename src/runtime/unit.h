/*
 * unit.h - the systemd driver: the container's group is a transient scope of systemd's, which
 * joblet-systemd (systemd_helper.c) asks for on our behalf. docs/formats/systemd-helper.md has the
 * messages, docs/adr/0011 says why it is a program of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/strv.h"
#include "os/cgroup_limits.h"

struct jl_buf;
struct jl_err;
struct jl_json_out;
struct os_cgroup_host;
struct rt_spec;

#define RT_UNIT_NAME_MAX 256 /* systemd's own, with the NUL */

struct rt_unit {
    char name[RT_UNIT_NAME_MAX];  /* "libpod-1f2e.scope" */
    char slice[RT_UNIT_NAME_MAX]; /* "machine.slice" */
    bool user;                    /* of the user's own manager */
    bool v1;                      /* systemd has its limits in hierarchies of cgroup v1 */
};

/*
 * "slice:prefix:name" of linux.cgroupsPath, or what runc has for an empty one with our name:
 * system.slice (user.slice of a user's manager), joblet, the id. What unit names may not hold is
 * escaped as systemd does. 0, or -EINVAL with e filled.
 */
int rt_unit_name(const char *cgroups_path, const char *id, bool user, struct rt_unit *ret,
                 struct jl_err *e);

/* The one that a record names. */
void rt_unit_of(const char *name, bool user, struct rt_unit *ret);

/* Whether the caller's units are those of a user's manager. */
bool rt_unit_is_users(void);

/* Whether systemd, if it runs this host, manages cgroup v1. */
bool rt_unit_is_v1(const struct os_cgroup_host *host);

/*
 * On v1 systemd writes device rules of its own whenever it reads its configuration again, those of
 * the container if it knows them. 0, or -errno with e filled: -ENOTSUP when it can't.
 */
int rt_unit_check_devices(const struct rt_unit *u, const struct os_cgroup_limits *l,
                          struct jl_err *e);

/* Adds them to the properties of a request. 0, or -errno with e filled. */
int rt_unit_put_devices(struct jl_json_out *w, const struct os_cgroup_limits *l, struct jl_err *e);

/*
 * The value of an annotation org.systemd.property.NAME: GVariant text of a boolean, a number, a
 * string, or an array of strings. type: D-Bus signature, "b", "t", "as". 0, -EINVAL, -ENOMEM.
 * Source: systemd.resource-control(5); gvariant text format.
 */
int rt_unit_value(const char *text, char type[3], struct jl_strv *values);

/* Refuses annotations org.systemd.property.* that are no properties, or that are ours to set. */
int rt_unit_check_annotations(const struct rt_spec *s, struct jl_err *e);

/* The request "start" or "set" as a line; of set, the limits alone. 0, or -errno with e filled. */
int rt_unit_request(const char *verb, const struct rt_unit *u, const struct rt_spec *s,
                    const struct os_cgroup_limits *l, struct jl_buf *out, struct jl_err *e);

/* A running joblet-systemd. */
struct rt_helper {
    pid_t pid; /* 0: none */
    int sock;  /* its standard input and output */
};

/* clang-format off */
#define RT_HELPER_INIT { .sock = -1 }
/* clang-format on */

/* Reads an answer (docs/formats/systemd-helper.md): 0, with the group in *ret_cgroup (own; may be
 * NULL) where one is expected; or -errno with e filled, by what it says went wrong. */
int rt_unit_answer(const struct jl_buf *line, char **ret_cgroup, struct jl_err *e);

/* Which program it is; NULL: the one that was installed with us. */
void rt_helper_program(const char *path);
bool rt_helper_is_there(void);

/*
 * Makes the scope and keeps the helper, whose process holds the place in it until
 * rt_helper_close. *ret_cgroup (own): its path in the unified tree. Blocks up to a minute.
 */
int rt_unit_start(const struct rt_unit *u, const struct rt_spec *s, struct rt_helper *ret_helper,
                  char **ret_cgroup, struct jl_err *e);

/* Has a process moved into the scope, for a user who may not do so himself. helper: NULL for a new
 * one. */
int rt_unit_attach(const struct rt_unit *u, struct rt_helper *helper, pid_t pid, struct jl_err *e);

/* Tells systemd of new limits (of u->v1's kind), which os_cgroup_apply has to set all the same. */
int rt_unit_set(const struct rt_unit *u, const struct os_cgroup_limits *l, struct jl_err *e);

/* Stops the scope; one that is not there is stopped. */
int rt_unit_stop(const struct rt_unit *u, struct jl_err *e);

/* Gives the place in the scope up and waits for the helper's end. */
void rt_helper_close(struct rt_helper *h);
