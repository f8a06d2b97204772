/* musl.c - see musl.h. */
#include <sys/syscall.h>
#include <unistd.h>

int renameat2(int old_dirfd, const char *old_path, int new_dirfd, const char *new_path,
              unsigned flags)
{
    return (int) syscall(SYS_renameat2, old_dirfd, old_path, new_dirfd, new_path, flags);
}

int fsopen(const char *fs_name, unsigned flags)
{
    return (int) syscall(SYS_fsopen, fs_name, flags);
}

int fspick(int dirfd, const char *path, unsigned flags)
{
    return (int) syscall(SYS_fspick, dirfd, path, flags);
}

int fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
    return (int) syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}

int fsmount(int fd, unsigned flags, unsigned attributes)
{
    return (int) syscall(SYS_fsmount, fd, flags, attributes);
}

int open_tree(int dirfd, const char *path, unsigned flags)
{
    return (int) syscall(SYS_open_tree, dirfd, path, flags);
}

int move_mount(int from_dirfd, const char *from_path, int to_dirfd, const char *to_path,
               unsigned flags)
{
    return (int) syscall(SYS_move_mount, from_dirfd, from_path, to_dirfd, to_path, flags);
}

int mount_setattr(int dirfd, const char *path, unsigned flags, struct mount_attr *attr, size_t size)
{
    return (int) syscall(SYS_mount_setattr, dirfd, path, flags, attr, size);
}
