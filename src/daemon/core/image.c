/* image.c - see image.h. */
#include "daemon/core/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/spawn.h"
#include "base/strv.h"
#include "daemon/core/bundle.h"
#include "os/loopdev.h"
#include "os/mountfd.h"

#define ATTRS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define IMAGE_FD 3 /* in mkfs */
#define FROM_FD 4
#define SAID_MAX 400 /* of mkfs's own words */

const char *jd_image_mkfs(void)
{
    static const char *const paths[] = { "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4",
                                         "/usr/bin/mkfs.ext4" };

    for (size_t i = 0; i < JL_COUNT(paths); i++)
        if (access(paths[i], X_OK) == 0)
            return paths[i];
    return NULL;
}

static int make_argv(const struct jd_image_fs *fs, struct jl_strv *argv, struct jl_err *e)
{
    static const char *const always[] = { "mkfs.ext4", "-q", "-F",        "-m0",
                                          "-b4096",    "-e", "remount-ro" };
    int bad = 0;

    for (size_t i = 0; i < JL_COUNT(always); i++)
        bad |= jl_strv_add(argv, always[i]);
    bad |= jl_strv_add(argv, "-E");
    bad |=
        jl_strv_addf(argv, "root_owner=%u:%u,lazy_itable_init=1,nodiscard", JD_JOB_UID, JD_JOB_UID);
    if (!fs->journal)
        bad |= jl_strv_add(argv, "-O^has_journal");
    if (fs->inodes > 0)
        bad |= jl_strv_addf(argv, "-N%" PRIu64, fs->inodes);
    if (fs->from >= 0)
        bad |= jl_strv_addf(argv, "-d/proc/self/fd/%d", FROM_FD);
    bad |= jl_strv_addf(argv, "/proc/self/fd/%d", IMAGE_FD);
    return bad ? jl_fail(e, ENOMEM, "make a file system") : 0;
}

/* What it says goes into `said`, of SAID_MAX + 1 bytes: the first line. Its wait status. */
static int hear(pid_t pid, int in, char *said)
{
    char more[256];
    ssize_t n = read(in, said, SAID_MAX);

    said[n > 0 ? n : 0] = '\0';
    said[strcspn(said, "\n")] = '\0';
    while (n > 0) /* it must not be stopped by a full pipe */
        n = read(in, more, sizeof more);
    return jl_wait_status(pid);
}

int jd_image_format(int image_fd, const struct jd_image_fs *fs, struct jl_err *e)
{
    _strv_ struct jl_strv argv = JL_STRV_INIT;
    char *envp[] = { (char *) "PATH=/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C", NULL };
    struct jl_spawn sp = JL_SPAWN_INIT;
    struct jl_spawn_fd fds[3] = { { image_fd, IMAGE_FD } };
    _close_ int in = -1, out = -1;
    char said[SAID_MAX + 1];
    int pipe_fds[2], status;
    pid_t pid;

    sp.path = jd_image_mkfs();
    if (!sp.path) {
        jl_refuse(e, ENOENT, "make a file system: mkfs.ext4 is not installed");
        return jl_hint(e, "install e2fsprogs");
    }
    if (make_argv(fs, &argv, e) < 0)
        return -e->code;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return jl_fail_sys(e, "pipe2", NULL, "make a file system");
    in = pipe_fds[0];
    out = pipe_fds[1];
    fds[1] = (struct jl_spawn_fd){ out, STDERR_FILENO };
    fds[2] = (struct jl_spawn_fd){ fs->from, FROM_FD };
    sp.argv = argv.items;
    sp.envp = envp;
    sp.fds = fds;
    sp.n_fds = fs->from < 0 ? 2 : 3;
    sp.parent_death_signal = SIGKILL;
    if (jl_spawn(&sp, &pid, NULL, e) < 0)
        return -e->code;
    out = jl_close(out);
    status = hear(pid, in, said);
    return status == 0 ? 0
                       : jl_refuse(e, EIO, "make a file system: %s ended with %d: %s", sp.path,
                                   status, said);
}

int jd_image_mount(int image_fd, const char *label, struct jl_err *e)
{
    char path[OS_LOOP_PATH_MAX];
    _close_ int dev = os_loop_attach(image_fd, label, path, e);

    return dev < 0 ? dev : os_mount_new("ext4", path, NULL, 0, ATTRS, e);
}
