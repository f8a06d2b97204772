/* selfexe.c - see selfexe.h. */
#include "os/selfexe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U /* Linux 6.3 */
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* The name "/" is that of a mount's root that hangs nowhere. */
static bool is_on_readonly_mount(void)
{
    struct statfs fs;
    char path[2];

    return readlink("/proc/self/exe", path, sizeof path) == 1 &&
           statfs("/proc/self/exe", &fs) == 0 && (fs.f_flags & ST_RDONLY);
}

bool os_selfexe_is_sealed(void)
{
    _close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int seals;

    if (is_on_readonly_mount())
        return true;
    if (fd < 0)
        return false;
    seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & SEALS) == SEALS;
}

int os_selfexe_seal(struct jl_err *e)
{
    _close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    _close_ int copy = -1;
    struct stat st;
    off_t done = 0;

    if (self < 0 || fstat(self, &st) < 0)
        return jl_fail_sys(e, "open", "/proc/self/exe", "copy this program");
    copy = memfd_create("joblet-run", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (copy < 0 && errno == EINVAL)
        copy = memfd_create("joblet-run", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (copy < 0)
        return jl_fail_sys(e, "memfd_create", NULL, "copy this program");
    while (done < st.st_size) {
        ssize_t n = sendfile(copy, self, &done, (size_t) (st.st_size - done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return jl_fail_sys(e, "sendfile", NULL, "copy this program");
    }
    if (fchmod(copy, 0555) < 0)
        return jl_fail_sys(e, "fchmod", NULL, "copy this program");
    if (fcntl(copy, F_ADD_SEALS, SEALS) < 0)
        return jl_fail_sys(e, "fcntl", "F_ADD_SEALS", "seal the copy of this program");
    return jl_take_fd(&copy);
}

int os_selfexe_exec_sealed(char *const *argv, char *const *envp, struct jl_err *e)
{
    _close_ int copy = os_selfexe_seal(e);

    if (copy < 0)
        return copy;
    syscall(SYS_execveat, copy, "", argv, envp, AT_EMPTY_PATH);
    return jl_fail_sys(e, "execveat", NULL, "start the sealed copy of this program");
}
