/* criu_rpc.c - see criu_rpc.h. */
#include "runtime/criu_rpc.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"

int rt_criu_message_parse(const void *data, size_t len, struct rt_criu_message *ret)
{
    RtCriu__Response *said = rt_criu__response__unpack(NULL, len, data);
    const RtCriu__Notification *n;

    *ret = (struct rt_criu_message){ 0 };
    if (!said)
        return -EBADMSG;
    n = said->notify;
    if (said->type == RT_CRIU__TYPE__NOTIFY) {
        ret->what = RT_CRIU_NOTIFIES;
        if (n && n->script && strlen(n->script) < sizeof ret->moment)
            snprintf(ret->moment, sizeof ret->moment, "%s", n->script);
        if (n && n->has_pid && n->pid > 0)
            ret->pid = n->pid;
    } else {
        ret->what = said->success ? RT_CRIU_SUCCEEDED : RT_CRIU_FAILED;
        if (said->restore && said->restore->pid > 0)
            ret->pid = said->restore->pid;
    }
    rt_criu__response__free_unpacked(said, NULL);
    return 0;
}

/* RT_CRIU_GONE: nobody is there any more. */
static int send_request(int sock, const RtCriu__Request *request, struct jl_err *e)
{
    size_t len = rt_criu__request__get_packed_size(request);
    _free_ uint8_t *data = malloc(len);

    if (!data)
        return jl_fail(e, ENOMEM, "call CRIU");
    rt_criu__request__pack(request, data);
    if (send(sock, data, len, MSG_NOSIGNAL) >= 0)
        return 0;
    return errno == EPIPE || errno == ECONNRESET
               ? RT_CRIU_GONE
               : jl_fail_sys(e, "send", NULL, "tell CRIU what to do");
}

/* RT_CRIU_GONE: there will be none any more. */
static int receive(int sock, struct rt_criu_message *ret, int *ret_fd, struct jl_err *e)
{
    char data[RT_CRIU_MESSAGE_MAX];
    size_t n_fds = 1;
    ssize_t n = jl_recv_fds(sock, data, sizeof data, ret_fd, &n_fds);
    int r;

    if (n_fds == 0)
        *ret_fd = -1;
    if (n == 0 || n == -ECONNRESET)
        return RT_CRIU_GONE;
    if (n < 0)
        return jl_fail(e, (int) -n, "listen to CRIU");
    r = rt_criu_message_parse(data, (size_t) n, ret);
    if (r == 0)
        return 0;
    *ret_fd = jl_close(*ret_fd);
    return jl_refuse(e, -r, "CRIU sends a message that is none of its own");
}

static int answer(int sock, bool go_on, struct jl_err *e)
{
    RtCriu__Request request = RT_CRIU__REQUEST__INIT;

    request.type = RT_CRIU__TYPE__NOTIFY;
    request.has_notify_success = true;
    request.notify_success = go_on;
    return send_request(sock, &request, e);
}

/* The response that follows a "no" tells of nothing but that; but CRIU has tidied up by then. */
static int give_up(int sock, struct jl_err *e)
{
    struct jl_err ignored = JL_ERR_INIT;
    struct rt_criu_message m;
    int fd = -1;

    if (answer(sock, false, &ignored) == 0)
        while (receive(sock, &m, &fd, &ignored) == 0 && m.what == RT_CRIU_NOTIFIES) {
            jl_close(fd);
            if (answer(sock, true, &ignored) != 0)
                break;
        }
    return -e->code;
}

int rt_criu_talk(int sock, const RtCriu__Request *request, rt_criu_notified *notified, void *data,
                 pid_t *ret_pid, struct jl_err *e)
{
    struct rt_criu_message m;
    int r = send_request(sock, request, e), fd = -1;

    while (r == 0) {
        r = receive(sock, &m, &fd, e);
        if (r != 0 || m.what != RT_CRIU_NOTIFIES)
            break;
        if (notified && notified(data, &m, fd, e) < 0)
            return give_up(sock, e);
        if (!notified)
            jl_close(fd);
        r = answer(sock, true, e);
    }
    if (r != 0)
        return r;
    jl_close(fd);
    *ret_pid = m.pid;
    return m.what;
}
