/*
 * control.h - the shim's control socket (ipc/shimctl.h): any number of callers one after the
 * other, a few at once. A caller that does not read, or sends what is no message, is dropped; it
 * can't make the shim wait; when all places are taken the oldest has to go, so that a daemon which
 * was started again is always heard. Only root and the shim's own user are heard.
 */
#pragma once

#include "base/loop.h"
#include "ipc/shimctl.h"

struct jl_err;

#define SH_CONTROL_CLIENTS_MAX 8

/* Answers a request: ret is the STATE to send back. */
typedef void (*sh_control_fn)(void *arg, const struct ipc_shim_msg *request,
                              struct ipc_shim_msg *ret_state);

struct sh_client {
    struct jl_source src;
    struct sh_control *owner;
    int fd; /* -1: free */
};

struct sh_control {
    struct jl_loop *loop;
    struct jl_source src;
    int fd;
    int state_dirfd; /* borrowed */
    sh_control_fn fn;
    void *arg;
    unsigned n_accepted;
    struct sh_client clients[SH_CONTROL_CLIENTS_MAX];
};

/* Binds `control` in the state directory, mode 0600; a socket that a dead shim left there is
 * replaced. Changes the working directory for the bind (a path of any length works) and ends in
 * "/". 0, or -errno with e filled. */
int sh_control_open(struct sh_control *c, struct jl_loop *loop, int state_dirfd, sh_control_fn fn,
                    void *arg, struct jl_err *e);

/* Tells every caller. */
void sh_control_broadcast(struct sh_control *c, const struct ipc_shim_msg *state);

/* Hears what was sent already (a caller whose request lies unread would get ECONNRESET instead of
 * the last state), then closes and removes the socket. */
void sh_control_close(struct sh_control *c);
