/* A message of a child process that something hostile got hold of: taken as one that is well-formed,
 * or refused; no string in it is without its end. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/sync.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_error(const struct jl_err *e)
{
    assert(e->code > 0);
    assert(memchr(e->phase, '\0', sizeof e->phase) && memchr(e->syscall, '\0', sizeof e->syscall));
    assert(memchr(e->object, '\0', sizeof e->object) && memchr(e->text, '\0', sizeof e->text));
    assert(memchr(e->hint, '\0', sizeof e->hint));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct jl_err e = JL_ERR_INIT;
    int pair[2], fd = -1, type;

    if (len == 0 || len > 2 * sizeof(struct rt_msg))
        return 0;
    assert(rt_sync_pair(pair) == 0);
    assert(send(pair[0], data, len, MSG_NOSIGNAL) == (ssize_t) len);
    type = rt_sync_recv(pair[1], &fd, &e);
    assert(fd == -1);
    assert(type == -EPROTO || type == -EMSGSIZE ||
           (type >= RT_MSG_HOOKS && type <= RT_MSG_JOINED));
    if (type == RT_MSG_ERROR)
        check_error(&e);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
