/*
 * cleanup.h - ownership by attribute: what is declared with one of these words is closed or
 * freed on every return. Declare with a value on the same line; hand over with jl_take_*.
 */
#pragma once

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _close_ _cleanup_(jl_closep)
#define _free_ _cleanup_(jl_freep)
#define _fclose_ _cleanup_(jl_fclosep)
#define _closedir_ _cleanup_(jl_closedirp)

#define JL_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define JL_CONTAINER(ptr, type, member) ((type *) (void *) ((char *) (ptr) -offsetof(type, member)))

/* Closes fd when it is one (>= 0); always returns -1, so that `fd = jl_close(fd)` forgets it.
 * Keeps errno. */
int jl_close(int fd);

static inline void jl_closep(int *fd)
{
    jl_close(*fd);
}

static inline void jl_freep(void *p)
{
    free(*(void **) p);
}

static inline void jl_fclosep(FILE **f)
{
    if (*f)
        fclose(*f);
}

static inline void jl_closedirp(DIR **d)
{
    if (*d)
        closedir(*d);
}

/* Moves a descriptor out of a variable that would close it. */
static inline int jl_take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* Moves a pointer out of a variable that would free it. */
#define jl_take_ptr(p)                                                                             \
    __extension__({                                                                                \
        __typeof__(p) jl_taken = (p);                                                              \
        (p) = NULL;                                                                                \
        jl_taken;                                                                                  \
    })
