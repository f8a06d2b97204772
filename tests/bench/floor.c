/*
 * floor.c - the least that the kernel asks for one container: clone3 with the namespaces of
 * `runc spec`, the same mounts, pivot_root, exec, wait. No cgroup, no state, no configuration: the
 * time below which no runtime can come. Used by tests/bench/bench.py.
 *
 * Usage: floor ROOTFS PROGRAM
 */
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int r, const char *what)
{
    if (r < 0) {
        perror(what);
        _exit(125);
    }
}

static void mount_all(const char *rootfs)
{
    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
    must(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL), "bind");
    must(chdir(rootfs), "chdir");
    must(mount("proc", "proc", "proc", 0, NULL), "proc");
    must(mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k"), "dev");
    must(mkdir("dev/pts", 0755), "mkdir");
    must(mkdir("dev/shm", 0755), "mkdir");
    must(mkdir("dev/mqueue", 0755), "mkdir");
    must(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666"),
         "devpts");
    must(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=65536k"), "shm");
    must(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV, NULL), "mqueue");
    must(mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), "sysfs");
}

int main(int argc, char **argv)
{
    struct clone_args args = { .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                        CLONE_NEWUTS | CLONE_NEWCGROUP,
                               .exit_signal = SIGCHLD };
    int status;
    long pid;

    if (argc != 3) {
        fprintf(stderr, "usage: floor ROOTFS PROGRAM\n");
        return 2;
    }
    pid = syscall(SYS_clone3, &args, sizeof args);
    must((int) pid, "clone3");
    if (pid == 0) {
        mount_all(argv[1]);
        must((int) syscall(SYS_pivot_root, ".", "."), "pivot_root");
        must(umount2(".", MNT_DETACH), "umount2");
        must(chdir("/"), "chdir");
        execl(argv[2], argv[2], (char *) NULL);
        must(-1, "exec");
    }
    must(waitpid((pid_t) pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
