"""Whatever might turn the file that process PID runs from writable, tried by the host's root: first
while it runs, then by a descriptor that outlives it. Prints each try; 1 when one succeeded.

    overwrite.py PID DIR        PID is killed; DIR is on the file system of the program
"""
import ctypes
import os
import select
import signal
import sys

AT_FDCWD, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW = -100, 0x1000, 0x400
OPEN_TREE_CLONE, MOVE_MOUNT_F_EMPTY_PATH, MOUNT_ATTR_RDONLY = 1, 4, 1
MS_REMOUNT, MS_BIND = 32, 4096
NR = {"move_mount": 429, "open_tree": 428, "mount_setattr": 442}  # the same on every processor
libc = ctypes.CDLL(None, use_errno=True)


def libc_call(name, *args):
    if libc[name](*args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def kernel(name, *args):
    if libc.syscall(NR[name], *args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def tries(path, fd, scratch):
    """(what, function) of each; path leads to the file that fd has open."""
    link, place = path.encode(), f"{scratch}/place"
    writable = (ctypes.c_uint64 * 4)(0, MOUNT_ATTR_RDONLY, 0, 0)
    with open(place, "w", encoding="ascii"):
        pass
    return (
        ("mount_setattr", lambda: kernel("mount_setattr", fd, b"", AT_EMPTY_PATH, writable, 32)),
        ("open_tree", lambda: kernel("open_tree", fd, b"", AT_EMPTY_PATH | OPEN_TREE_CLONE)),
        ("remount", lambda: libc_call("mount", None, link, None, MS_REMOUNT | MS_BIND, None)),
        ("bind", lambda: libc_call("mount", link, place.encode(), None, MS_BIND, None)),
        ("move_mount", lambda: kernel("move_mount", fd, b"", AT_FDCWD, place.encode(),
                                      MOVE_MOUNT_F_EMPTY_PATH)),
        ("link", lambda: libc_call("linkat", AT_FDCWD, link, AT_FDCWD, f"{scratch}/link".encode(),
                                   AT_SYMLINK_FOLLOW)),
        ("chmod", lambda: os.chmod(path, 0o777)),
        ("chown", lambda: os.chown(path, 1, 1)),
        ("setxattr", lambda: os.setxattr(path, "user.x", b"x")),
        ("truncate", lambda: os.truncate(path, 0)),
        ("write", lambda: os.write(os.open(path, os.O_WRONLY), b"x")),
    )


def main():
    pid, scratch = int(sys.argv[1]), sys.argv[2]
    bad = 0
    fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    pidfd = os.pidfd_open(pid)
    for path in (f"/proc/{pid}/exe", f"/proc/self/fd/{fd}"):
        for what, attempt in tries(path, fd, scratch):
            try:
                attempt()
                print(f"{what} {path}: done")
                bad = 1
            except OSError as e:
                print(f"{what} {path}: {e.strerror}")
        if path.endswith("exe"):
            os.kill(pid, signal.SIGKILL)  # nothing executes the file then, which alone keeps it busy
            select.select([pidfd], [], [])
    return bad


if __name__ == "__main__":
    sys.exit(main())
