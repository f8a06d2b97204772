/*
 * guest.c - the guest's half of vm-run.
 *
 * The one static program in the initramfs.  As PID 1 it loads the virtio
 * modules, mounts the root disk, the kernel's file systems, the shared
 * directory and the disk that is kept, makes the root disk "/", and then either runs the job itself (the
 * default) or hands over to systemd, which starts this program again as
 * vm-job.service.  The job's output and status leave by three virtio-serial
 * ports, so nothing that the kernel prints on the console can mix with them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOB "/run/vm-job"

static void msg(const char *fmt, ...)
{
    char line[512];
    va_list ap;
    int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return;
    va_start(ap, fmt);
    int n = snprintf(line, sizeof line, "<1>vm-run: ");
    int m = vsnprintf(line + n, sizeof line - n, fmt, ap);
    va_end(ap);
    n += m < (int) sizeof line - n ? m : (int) sizeof line - n - 1;
    if (write(fd, line, n) < 0) {
        /* there is nobody else to tell */
    }
    close(fd);
}

static void halt(void)
{
    reboot(RB_AUTOBOOT); /* qemu runs with -no-reboot, so this ends it */
    for (;;)
        pause();
}

static void die(const char *fmt, ...)
{
    char line[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    msg("%s: %s", line, strerror(errno));
    halt();
}

/* A whole file, with a NUL after it; dies when it cannot be read. */
static char *slurp(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t cap = 4096, n = 0;
    char *buf = malloc(cap + 1);
    ssize_t r;

    if (fd < 0 || !buf)
        die("%s", path);
    while ((r = read(fd, buf + n, cap - n)) > 0) {
        n += r;
        if (n == cap && !(buf = realloc(buf, (cap *= 2) + 1)))
            die("%s", path);
    }
    if (r < 0)
        die("%s", path);
    close(fd);
    buf[n] = 0;
    if (len)
        *len = n;
    return buf;
}

static void spit(const char *path, const char *data, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    if (fd < 0)
        die("%s", path);
    while (len) {
        ssize_t w = write(fd, data, len);
        if (w < 0)
            die("%s", path);
        data += w;
        len -= w;
    }
    close(fd);
}

static void mkdirs(const char *path)
{
    char p[4096];

    snprintf(p, sizeof p, "%s", path);
    for (char *s = p + 1; *s; s++)
        if (*s == '/') {
            *s = 0;
            mkdir(p, 0755);
            *s = '/';
        }
    mkdir(p, 0755);
}

static void mnt(const char *type, const char *dir, unsigned long flags, const char *opts)
{
    mkdirs(dir);
    if (mount(type, dir, type, flags, opts))
        msg("mount %s: %s", dir, strerror(errno));
}

/* A NUL-separated file as a NULL-ended vector. */
static char **vec(const char *path)
{
    size_t len, n = 0;
    char *s = slurp(path, &len), *end = s + len;
    char **v = NULL;

    for (char *p = s; p < end; p += strlen(p) + 1)
        n++;
    v = calloc(n + 1, sizeof *v);
    n = 0;
    for (char *p = s; p < end; p += strlen(p) + 1)
        v[n++] = p;
    return v;
}

static const char *conf(char **v, const char *key)
{
    size_t n = strlen(key);

    for (; *v; v++)
        if (!strncmp(*v, key, n) && (*v)[n] == '=')
            return *v + n + 1;
    return "";
}

/* ---- the job ---------------------------------------------------------- */

static int port(const char *name)
{
    const char *dir = "/sys/class/virtio-ports";
    DIR *d = opendir(dir);
    struct dirent *e;
    int fd = -1;

    while (d && fd < 0 && (e = readdir(d))) {
        char path[512];

        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s/name", dir, e->d_name);
        char *s = slurp(path, NULL);
        s[strcspn(s, "\n")] = 0;
        if (!strcmp(s, name)) {
            snprintf(path, sizeof path, "/dev/%s", e->d_name);
            fd = open(path, O_WRONLY | O_CLOEXEC);
        }
        free(s);
    }
    if (d)
        closedir(d);
    if (fd < 0)
        die("port %s", name);
    return fd;
}

static void put(int fd, const char *s, size_t n)
{
    while (n) {
        ssize_t w = write(fd, s, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            die("port write");
        s += w;
        n -= w;
    }
}

/* Copies what the pipe holds now; 0 when it is at its end, 1 when it is empty. */
static int relay(int from, int to, unsigned long long *count)
{
    static char buf[32768];
    ssize_t n;

    while ((n = read(from, buf, sizeof buf)) > 0) {
        put(to, buf, n);
        *count += n;
    }
    return n < 0;
}

static void run_job(void)
{
    char **argv = vec(JOB "/argv"), **env = vec(JOB "/env"), **cf = vec(JOB "/conf");
    const char *share = conf(cf, "share");
    int port_fd[2] = { port("out"), port("err") }, status_fd = port("status");
    int pipes[2][2];
    unsigned long long count[2] = { 0, 0 };
    char line[128];
    int status = 0, ended = 0;
    sigset_t set;

    if (*share && access(share, F_OK))
        die("%s", share);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int sfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (sfd < 0 || pipe2(pipes[0], O_CLOEXEC) || pipe2(pipes[1], O_CLOEXEC))
        die("pipe");

    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (!pid) {
        int null = open("/dev/null", O_RDONLY);

        sigprocmask(SIG_UNBLOCK, &set, NULL);
        setsid();
        dup2(null, 0);
        dup2(pipes[0][1], 1);
        dup2(pipes[1][1], 2);
        if (null > 2)
            close(null);
        environ = env;
        if (chdir(conf(cf, "cwd"))) {
            dprintf(2, "vm-run: chdir %s: %s\n", conf(cf, "cwd"), strerror(errno));
            _exit(126);
        }
        execvp(argv[0], argv);
        dprintf(2, "vm-run: %s: %s\n", argv[0], strerror(errno));
        _exit(errno == ENOENT ? 127 : 126);
    }

    struct pollfd p[3] = { { sfd, POLLIN, 0 } };
    for (int i = 0; i < 2; i++) {
        close(pipes[i][1]);
        fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
        p[i + 1] = (struct pollfd){ pipes[i][0], POLLIN, 0 };
    }
    while (!ended) {
        struct signalfd_siginfo si;
        int st;
        pid_t got;

        if (poll(p, 3, -1) < 0 && errno != EINTR)
            die("poll");
        while (read(sfd, &si, sizeof si) > 0)
            ;
        /* As PID 1, reap whatever was orphaned as well. */
        while ((got = waitpid(-1, &st, WNOHANG)) > 0)
            if (got == pid) {
                status = st;
                ended = 1;
            }
        /* After the end: what is in the pipes now, and not what a
           process that the command left behind may still write. */
        for (int i = 0; i < 2; i++)
            if (p[i + 1].fd >= 0 && !relay(p[i + 1].fd, port_fd[i], &count[i]))
                p[i + 1].fd = -1;
    }

    if (getpid() == 1)
        kill(-1, SIGKILL);
    if (*share) { /* dirty pages of shared mappings */
        int fd = open(share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || syncfs(fd))
            msg("sync %s: %s", share, strerror(errno));
    }
    if (*conf(cf, "disk")) /* an orderly end */
        sync();
    int n =
        snprintf(line, sizeof line, "%s %d %llu %llu\n", WIFEXITED(status) ? "exit" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), count[0], count[1]);
    put(status_fd, line, n);
    halt();
}

/* ---- PID 1 ------------------------------------------------------------ */

static void load_modules(void)
{
    char *list = slurp("/modules/order", NULL), *save = NULL;

    for (char *m = strtok_r(list, "\n", &save); m; m = strtok_r(NULL, "\n", &save)) {
        char path[512];

        snprintf(path, sizeof path, "/modules/%s", m);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
            die("module %s", m);
        close(fd);
    }
}

static void wait_for(const char *path)
{
    for (int i = 0; access(path, F_OK); i++) {
        if (i == 3000)
            die("%s", path);
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
}

/* The nodes whose opening loads a module: loop-control, fuse, net/tun, ... */
static void static_nodes(void)
{
    struct utsname u;
    char path[512], name[256], *list, *save = NULL;
    unsigned major, minor;
    char type;

    uname(&u);
    snprintf(path, sizeof path, "/lib/modules/%s/modules.devname", u.release);
    list = slurp(path, NULL);
    for (char *l = strtok_r(list, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (*l == '#' || sscanf(l, "%*s %255s %c%u:%u", name, &type, &major, &minor) != 4)
            continue;
        snprintf(path, sizeof path, "/dev/%s", name);
        char *slash = strrchr(path, '/');
        *slash = 0;
        mkdirs(path);
        *slash = '/';
        if (mknod(path, (type == 'b' ? S_IFBLK : S_IFCHR) | 0600, makedev(major, minor)) &&
            errno != EEXIST)
            msg("mknod %s: %s", path, strerror(errno));
    }
    free(list);
}

static void lo_up(void)
{
    struct ifreq r = { .ifr_name = "lo" };
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    r.ifr_flags = IFF_UP | IFF_RUNNING;
    if (s < 0 || ioctl(s, SIOCSIFFLAGS, &r))
        msg("lo: %s", strerror(errno));
    close(s);
}

/* What systemd would have set up, for the jobs that do without it. */
static void plain_system(void)
{
    static const char ctl[] = "/sys/fs/cgroup/cgroup.controllers";
    const unsigned long nsn = MS_NOSUID | MS_NODEV | MS_NOEXEC;

    mnt("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=620,gid=5,ptmxmode=666");
    mnt("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    mnt("mqueue", "/dev/mqueue", nsn, NULL);
    mnt("hugetlbfs", "/dev/hugepages", MS_NOSUID | MS_NODEV, NULL);
    mnt("cgroup2", "/sys/fs/cgroup", nsn, "nsdelegate,memory_recursiveprot");
    mnt("bpf", "/sys/fs/bpf", nsn, "mode=700");
    mnt("securityfs", "/sys/kernel/security", nsn, NULL);
    mnt("debugfs", "/sys/kernel/debug", nsn, NULL);
    mnt("tracefs", "/sys/kernel/tracing", nsn, NULL);
    mnt("tmpfs", "/run/lock", nsn, "mode=1777");
    if (symlink("/proc/self/fd", "/dev/fd") || symlink("/proc/self/fd/0", "/dev/stdin") ||
        symlink("/proc/self/fd/1", "/dev/stdout") || symlink("/proc/self/fd/2", "/dev/stderr"))
        msg("/dev/fd: %s", strerror(errno));

    char *list = slurp(ctl, NULL), *save = NULL;
    int fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
    for (char *c = strtok_r(list, " \n", &save); c; c = strtok_r(NULL, " \n", &save))
        if (dprintf(fd, "+%s", c) < 0)
            msg("controller %s: %s", c, strerror(errno));
    close(fd);
    if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL)) /* as systemd leaves it */
        msg("shared /: %s", strerror(errno));
    static_nodes();
    lo_up();
}

static const char unit[] = "[Unit]\n"
                           "Description=the command that vm-run was given\n"
                           "Requires=basic.target\n"
                           "After=basic.target dbus.socket\n"
                           "Wants=dbus.socket\n"
                           "[Service]\n"
                           "Type=exec\n"
                           "ExecStart=/run/vm-guest job\n"
                           "Delegate=yes\n"
                           "LimitNOFILE=1048576\n"
                           "TasksMax=infinity\n"
                           "OOMPolicy=continue\n";

/* Units that cost seconds under emulation and give a throw-away guest nothing. */
static const char *const masked[] = {
    "systemd-udev-trigger", "systemd-sysusers",    "systemd-random-seed",   "systemd-update-utmp",
    "systemd-binfmt",       "systemd-remount-fs",  "systemd-journal-flush", "modprobe@dm_mod",
    "modprobe@loop",        "modprobe@efi_pstore", "modprobe@drm",          "modprobe@fuse",
    "modprobe@configfs",
};

int main(int argc, char **argv)
{
    size_t len;

    if (argc == 2 && !strcmp(argv[1], "job")) {
        run_job();
        return 1;
    }
    if (getpid() != 1) {
        fputs("vm-guest: this runs as a guest's first process\n", stderr);
        return 2;
    }
    umask(022);
    mnt("devtmpfs", "/dev", MS_NOSUID, "mode=755");
    mnt("sysfs", "/sys", 0, NULL);
    load_modules();
    char **cf = vec("/job/conf");
    const char *share = conf(cf, "share"), *disk = conf(cf, "disk");
    int systemd = !strcmp(conf(cf, "systemd"), "1");

    wait_for("/dev/vda");
    mkdir("/new", 0755);
    if (mount("/dev/vda", "/new", "ext4", MS_NOATIME, NULL))
        die("mount /dev/vda");
    mnt("proc", "/new/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mnt("sysfs", "/new/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    mnt("devtmpfs", "/new/dev", MS_NOSUID, "mode=755");
    mnt("tmpfs", "/new/run", MS_NOSUID | MS_NODEV, "mode=755");
    mkdirs("/new" JOB);
    static const char *const files[] = { "conf", "argv", "env" };
    for (int i = 0; i < 3; i++) {
        char from[64], to[64];

        snprintf(from, sizeof from, "/job/%s", files[i]);
        snprintf(to, sizeof to, "/new" JOB "/%s", files[i]);
        char *s = slurp(from, &len);
        spit(to, s, len, 0600);
        free(s);
    }
    if (systemd) {
        char *s = slurp("/init", &len);
        spit("/new/run/vm-guest", s, len, 0755);
        free(s);
        mkdirs("/new/run/systemd/system");
        spit("/new/run/systemd/system/vm-job.service", unit, sizeof unit - 1, 0644);
        for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
            char link[128];

            snprintf(link, sizeof link, "/new/run/systemd/system/%s.service", masked[i]);
            if (symlink("/dev/null", link))
                msg("%s: %s", link, strerror(errno));
        }
    }
    if (*share) {
        char dir[4096];

        snprintf(dir, sizeof dir, "/new%s", share);
        mkdirs(dir);
        if (mount("share", dir, "virtiofs", 0, NULL))
            die("mount %s", share);
    }
    if (*disk) {
        char dir[64];

        snprintf(dir, sizeof dir, "/new%s", disk);
        mkdirs(dir);
        wait_for("/dev/vdb");
        if (mount("/dev/vdb", dir, "ext4", 0, NULL))
            die("mount %s", disk);
    }
    if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
        die("switch to the root disk");
    if (sethostname("joblet-vm", 9))
        msg("hostname: %s", strerror(errno));
    if (systemd) {
        execl("/lib/systemd/systemd", "systemd", "--unit=vm-job.service", (char *) NULL);
        die("systemd");
    }
    setsid();
    plain_system();
    run_job();
    return 1;
}
