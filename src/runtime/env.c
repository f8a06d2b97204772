/* env.c - see env.h. */
#include "runtime/env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strv.h"
#include "ocispec.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PASSWD_MAX (1024 * 1024) /* bytes read of the image's file */

static size_t name_len(const char *entry)
{
    return strcspn(entry, "=");
}

static bool is_overridden(const struct oci_process *p, size_t i)
{
    size_t len = name_len(p->env[i]) + 1; /* with the '=' */

    for (size_t j = i + 1; j < p->n_env; j++)
        if (strncmp(p->env[i], p->env[j], len) == 0)
            return true;
    return false;
}

/* The image's, so it may be anything: a FIFO that nobody writes to, a terminal, a device. */
static FILE *open_passwd(void)
{
    struct stat st;
    _close_ int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    FILE *f;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    f = fdopen(fd, "r");
    if (f)
        fd = -1;
    return f;
}

/* "HOME=<sixth field>" of the first line whose third field is uid; "/" when there is none. */
static char *find_home(uid_t uid)
{
    _fclose_ FILE *f = open_passwd();
    _free_ char *line = NULL;
    char *home = NULL;
    size_t size = 0, total = 0;
    ssize_t n;

    while (f && !home && (n = getline(&line, &size, f)) > 0 && (total += (size_t) n) < PASSWD_MAX) {
        char *field[7], *rest = line;
        int k = 0;
        char *end;

        while (k < 7 && (field[k] = strsep(&rest, ":")) != NULL)
            k++;
        if (k < 6 || *field[2] == '\0')
            continue;
        errno = 0;
        if (strtoul(field[2], &end, 10) == uid && *end == '\0' && errno == 0 && *field[5] == '/')
            if (asprintf(&home, "HOME=%s", field[5]) < 0)
                home = NULL;
    }
    return home ? home : strdup("HOME=/");
}

int rt_env_build(const struct oci_process *p, char ***ret_env, struct jl_err *e)
{
    char **env = calloc(p->n_env + 3, sizeof *env);
    size_t n = 0;

    if (!env)
        return jl_fail(e, ENOMEM, "process.env");
    for (size_t i = 0; i < p->n_env; i++)
        if (!is_overridden(p, i))
            env[n++] = p->env[i];
    if (!jl_env_get(env, "HOME")) {
        env[n] = find_home(p->user ? p->user->uid : 0);
        if (!env[n++]) {
            free(env);
            return jl_fail(e, ENOMEM, "process.env");
        }
    }
    *ret_env = env;
    return 0;
}

/* Docker's client finds the code 126 or 127 by these words, which it knows in Go's spelling. */
static const char *in_lower_case(int code)
{
    switch (code) {
    case EACCES:
        return "permission denied";
    case ENOENT:
        return "no such file or directory";
    default:
        return strerror(code);
    }
}

int rt_exec_failed(const char *name, const char *program, int code, struct jl_err *e)
{
    jl_refuse(e, code, "exec: \"%s\": execve '%s': %s", name, program, in_lower_case(code));
    snprintf(e->syscall, sizeof e->syscall, "execve");
    snprintf(e->object, sizeof e->object, "%s", program);
    if (code == ENOENT)
        jl_hint(e, "the file is there: its interpreter or dynamic loader is missing in the image");
    else if (code == ENOEXEC)
        jl_hint(e, "the file is no program for this machine, or a script without #! line");
    return jl_phase(e, "exec");
}

/* 0 executable, else what stands against it. */
static int probe(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return -errno;
    return 0;
}

static int not_found(const char *name, int code, struct jl_err *e)
{
    if (code == EACCES)
        jl_refuse(e, code, "exec: \"%s\": permission denied", name);
    else
        jl_refuse(e, code, "exec: \"%s\": executable file not found in $PATH", name);
    return jl_phase(e, "exec");
}

int rt_program_find(const char *name, char *const *env, char **ret, struct jl_err *e)
{
    const char *path = jl_env_get(env, "PATH");
    char candidate[PATH_MAX];
    int worst = ENOENT, r;

    if (strchr(name, '/')) {
        r = probe(name);
        if (r == -EISDIR) {
            jl_refuse(e, EACCES, "exec: \"%s\": is a directory: permission denied", name);
            return jl_phase(e, "exec");
        }
        if (r < 0) {
            jl_refuse(e, -r, "exec: \"%s\": %s", name, in_lower_case(-r));
            snprintf(e->object, sizeof e->object, "%s", name);
            return jl_phase(e, "exec");
        }
        *ret = strdup(name);
        return *ret ? 0 : jl_fail(e, ENOMEM, "exec");
    }
    if (!path || *path == '\0')
        path = DEFAULT_PATH;
    for (;;) {
        size_t len = strcspn(path, ":");

        /* An empty part means the working directory: the oldest trap there is, and runc refuses
         * it as well. */
        if (len > 0 && (size_t) snprintf(candidate, sizeof candidate, "%.*s/%s", (int) len, path,
                                         name) < sizeof candidate) {
            r = probe(candidate);
            if (r == 0) {
                *ret = strdup(candidate);
                return *ret ? 0 : jl_fail(e, ENOMEM, "exec");
            }
            if (r == -EACCES)
                worst = EACCES;
        }
        if (path[len] == '\0')
            return not_found(name, worst, e);
        path += len + 1;
    }
}
