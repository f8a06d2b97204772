/*
 * host.h - what a container could leave behind: processes, mounts, control groups, network
 * interfaces, keyrings, state and files. The test runs in a mount and a network namespace of its
 * own, so that nothing of what else happens on the machine counts; every mount there is shared,
 * as on a host with systemd, so that a mount of the container's that gets out is seen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct host {
    char *mounts, *links, *files;
    const char *dir;    /* below which files are compared */
    const char *except; /* a file that may be there or not */
    const char *root;   /* the state root; must be empty */
    const char *parent; /* control group in all hierarchies; must have no groups below */
};

/* Enters the namespaces, becomes subreaper, and makes the parent group in all hierarchies. */
void host_enter(const char *parent);

/* Writes down what is there now; dir and others are set. */
void host_take(struct host *h);

/* Waits for all processes to end, and compares. Prints each difference; returns how many. What is
 * too much is removed where that is possible, so that the next check starts afresh. */
int host_check(struct host *h);

/* The first line of a file of the group PARENT/ID, in whichever hierarchy has it; false: none. */
bool host_group_file(const char *parent, const char *id, const char *file, char *text, size_t size);

/* Session keyrings named after a container; they vanish a moment after their last user. */
int host_keyrings(const char *id);

/* Removes the parent group. */
void host_leave(const char *parent);
