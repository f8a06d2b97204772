/*
 * worker.h - kernel work that may take long (networks, file systems), done beside core's loop by a
 * process of core's own: one request after the other, each a function of a table, answered in
 * order. Why a process: ADR 0012. A worker is forked from core, has nothing of core's open but its
 * socket and standard error, and ends with core. It is made by the first call and made anew when it
 * died: what waits for it is the new one's, and what it was at is begun again, once.
 *
 * Work must be safe to repeat: core may die between doing and remembering.
 */
#pragma once

#include <stddef.h>

struct jd_worker;
struct jl_buf;
struct jl_err;
struct jl_loop;

#define JD_WORK_BYTES_MAX (96u << 10) /* of a request or an answer */
#define JD_WORK_FDS_MAX 4

/*
 * Does one request, in the worker. in: len bytes, aligned as malloc's; fds are closed afterwards.
 * out: the answer's bytes. ret_fd: -1, or set to a descriptor for core (handed over). May block.
 * 0, or -errno with e filled; what was put into out goes to core in either case.
 */
typedef int (*jd_work_fn)(const void *in, size_t len, const int *fds, size_t n_fds,
                          struct jl_buf *out, int *ret_fd, struct jl_err *e);

/*
 * Told in core when a request is done: r 0, or -errno with *e filled (-EIO: it was given up, or
 * the worker died of it twice; the work may be done or not). out is valid during the call; fd (or -1) is the callee's to close.
 */
typedef void (*jd_work_done)(void *user, int r, const void *out, size_t len, int fd,
                             const struct jl_err *e);

/* name ("network") is in the process's name and in errors; table and name are borrowed. NULL: no
 * memory. */
struct jd_worker *jd_worker_new(struct jl_loop *loop, const char *name, const jd_work_fn *table,
                                size_t n);

/* Gives the request under way up, if there is one: the process is killed, and done is called (-EIO)
 * once it is gone and does nothing more. What it does in the kernel may put that off for long. */
void jd_worker_kill(struct jd_worker *w);

/* Ends the process and waits for that, so not while it works, unless the daemon ends; requests that
 * wait are forgotten without a word. NULL is fine. */
void jd_worker_free(struct jd_worker *w);

/*
 * Asks for table[what]. Copies in; duplicates fds. done is called later, from the loop, exactly
 * once unless the worker is freed before. 0, or -errno with e filled: done is not called then.
 */
int jd_worker_call(struct jd_worker *w, unsigned what, const void *in, size_t len, const int *fds,
                   size_t n_fds, jd_work_done done, void *user, struct jl_err *e);
