/* initreport.c - see initreport.h. */
#include "shim/initreport.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "ipc/initreport.h"

int sh_initreport_open(int *ret_child, struct jl_err *e)
{
    int pair[2];

    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return jl_fail_sys(e, "pipe2", NULL, "hear how the command ends");
    *ret_child = pair[1];
    return pair[0];
}

/* The rest of text, if it begins with prefix; else NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

void sh_initreport_apply(const char *report, struct ipc_exitrec *rec)
{
    const char *rest;
    int64_t sig;

    if (rec->kind != IPC_EXIT_CODE)
        return;
    if ((rest = after(report, IPC_INIT_SIGNAL))) {
        if (*rest == '0')
            rest++;
        if (jl_parse_i64(rest, 1, 64, &sig) < 0 || rec->value != 128 + sig)
            return;
        rec->kind = IPC_EXIT_SIGNAL;
        rec->value = (int32_t) sig;
    } else if ((rest = after(report, IPC_INIT_FAILED)) &&
               (rec->value == 126 || rec->value == 127)) {
        rec->kind = IPC_EXIT_START_ERROR;
        jl_refuse(&rec->error, rec->value == 127 ? ENOENT : ENOEXEC, "%s", rest);
    }
}

void sh_initreport_take(int fd, struct ipc_exitrec *rec)
{
    _close_ int report = fd;
    char text[IPC_INIT_REPORT_MAX];
    ssize_t n = report < 0 ? 0 : read(report, text, sizeof text - 1);

    if (n <= 0)
        return;
    text[n] = '\0';
    sh_initreport_apply(text, rec);
}
