/*
 * floor.c - the least that the kernel asks for one container: clone3 with the namespaces of
 * `runc spec`, the same mounts, pivot_root, exec, wait; and for one exec: setns, fork, exec, wait.
 * No cgroup, no state, no configuration: the time below which no runtime can come. Used by
 * tests/bench/bench.py.
 *
 * Usage: floor [-n] [-u] ROOTFS PROGRAM    -n: no network, ipc, uts, cgroup namespace of its own
 *                                          -u: a user namespace too (an ordinary user's)
 *        floor -e PID PROGRAM              in the namespaces and the root of PID
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    must(fd, path);
    must((int) write(fd, text, strlen(text)), path);
    close(fd);
}

static void mount_all(const char *rootfs, bool userns)
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
    if (userns)
        must(mount("/sys", "sys", NULL, MS_BIND | MS_REC, NULL), "sys");
    else
        must(mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL), "sysfs");
}

static void map_own_ids(unsigned uid, unsigned gid)
{
    char line[32];

    put("/proc/self/setgroups", "deny");
    snprintf(line, sizeof line, "0 %u 1", uid);
    put("/proc/self/uid_map", line);
    snprintf(line, sizeof line, "0 %u 1", gid);
    put("/proc/self/gid_map", line);
}

static void become_program(const char *rootfs, const char *program, bool userns, unsigned uid,
                           unsigned gid)
{
    if (userns)
        map_own_ids(uid, gid);
    mount_all(rootfs, userns);
    must((int) syscall(SYS_pivot_root, ".", "."), "pivot_root");
    must(umount2(".", MNT_DETACH), "umount2");
    must(chdir("/"), "chdir");
    execl(program, program, (char *) NULL);
    must(-1, "exec");
}

static int wait_for(pid_t pid)
{
    int status;

    must(waitpid(pid, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int exec_in(pid_t target, const char *program)
{
    int pidfd = (int) syscall(SYS_pidfd_open, target, 0);
    pid_t pid;

    must(pidfd, "pidfd_open");
    must(setns(pidfd, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
                          CLONE_NEWCGROUP),
         "setns");
    pid = fork();
    must(pid, "fork");
    if (pid == 0) {
        execl(program, program, (char *) NULL);
        must(-1, "exec");
    }
    return wait_for(pid);
}

int main(int argc, char **argv)
{
    struct clone_args args = { .flags = CLONE_NEWNS | CLONE_NEWPID, .exit_signal = SIGCHLD };
    uint64_t others = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    unsigned uid = geteuid(), gid = getegid();
    bool userns = false;
    pid_t target = 0;
    int option;
    long pid;

    while ((option = getopt(argc, argv, "+nue:")) != -1) {
        if (option == 'n')
            others = 0;
        else if (option == 'u')
            userns = true;
        else if (option == 'e')
            target = (pid_t) strtol(optarg, NULL, 10);
    }
    if (argc - optind != (target ? 1 : 2)) {
        fprintf(stderr, "usage: floor [-n] [-u] ROOTFS PROGRAM | floor -e PID PROGRAM\n");
        return 2;
    }
    if (target)
        return exec_in(target, argv[optind]);
    args.flags |= others | (userns ? CLONE_NEWUSER : 0);
    if (userns)
        args.flags &= ~(uint64_t) CLONE_NEWNET; /* as `runc spec --rootless` */
    pid = syscall(SYS_clone3, &args, sizeof args);
    must((int) pid, "clone3");
    if (pid == 0)
        become_program(argv[optind], argv[optind + 1], userns, uid, gid);
    return wait_for((pid_t) pid);
}
