/* check.c - see check.h. */
#include "daemon/core/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/spawn.h"
#include "daemon/core/conf.h"
#include "daemon/core/front.h"
#include "daemon/core/frontcheck.h"
#include "daemon/core/hostinfo.h"
#include "daemon/core/netfirewall.h"
#include "daemon/core/netprobe.h"
#include "daemon/core/revoked.h"
#include "daemon/core/image.h"
#include "os/cgroup.h"
#include "os/ns.h"

enum verdict { OK, NOTE, BAD };

struct report {
    const struct jd_conf *conf;
    bool bad;
};

static void line(struct report *r, enum verdict v, const char *item, const char *fix,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static void line(struct report *r, enum verdict v, const char *item, const char *fix,
                 const char *fmt, ...)
{
    static const char *const words[] = { "ok  ", "note", "FAIL" };
    va_list ap;

    printf("%s  %-22s ", words[v], item);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    if (v != OK && fix && *fix)
        printf("; fix: %s", fix);
    putchar('\n');
    r->bad = r->bad || v == BAD;
}

static void check_privileges(struct report *r)
{
    struct utsname u;

    if (uname(&u) == 0)
        line(r, OK, "kernel", NULL, "%s %s", u.release, u.machine);
    if (geteuid() == 0)
        line(r, OK, "privileges", NULL, "root");
    else
        line(r, BAD, "privileges", "run joblet as root", "user id %d", (int) geteuid());
}

static void check_cgroups(struct report *r)
{
    static const enum os_controller needed[] = { OS_CG_MEMORY, OS_CG_CPU, OS_CG_CPUSET, OS_CG_PIDS,
                                                 OS_CG_IO };
    struct os_cgroup_host host;
    struct jl_err e = JL_ERR_INIT;

    if (os_cgroup_host_read(&host, &e) < 0 || host.mode == OS_CGROUP_NONE) {
        line(r, BAD, "cgroups", "mount -t cgroup2 none /sys/fs/cgroup", "%s",
             e.code ? e.text : "none are mounted");
        return;
    }
    line(r, OK, "cgroups", NULL, "%s, jobs below /%s", os_cgroup_mode_name(host.mode),
         r->conf->cgroup_path);
    for (size_t i = 0; i < JL_COUNT(needed); i++) {
        const char *name = os_controller_name(needed[i]);

        if (os_cgroup_host_has(&host, needed[i]))
            line(r, OK, "controller", NULL, "%s", name);
        else
            line(r, NOTE, "controller",
                 "enable it in the kernel's command line or the parent group",
                 "%s is missing: jobs that ask for its limit are refused", name);
    }
}

static void check_namespaces(struct report *r)
{
    struct jl_err e = JL_ERR_INIT;
    int fail = 0;

    for (int ns = 0; ns < OS_NS_N; ns++)
        if (ns != OS_NS_TIME && !os_ns_supported((enum os_ns) ns)) {
            line(r, ns == OS_NS_USER ? NOTE : BAD, "namespace", "use a kernel with it", "no %s",
                 os_ns_name((enum os_ns) ns));
            fail = 1;
        }
    if (!fail)
        line(r, OK, "namespaces", NULL, "all kinds");
    if (r->conf->userns == 0) {
        line(r, OK, "isolation.userns", NULL, "off");
        return;
    }
    if (geteuid() != 0) {
        line(r, NOTE, "isolation.userns", "run the check as root", "not tried");
        return;
    }
    if (jd_host_can_idmap("/usr", &e) == 0 &&
        jd_host_can_idmap(access(r->conf->jobs_dir, F_OK) == 0 ? r->conf->jobs_dir : "/", &e) == 0)
        line(r, OK, "isolation.userns", NULL,
             "idmapped mounts work: each job has its own host ids");
    else
        line(r, r->conf->userns > 0 ? BAD : NOTE, "isolation.userns",
             "use a file system with idmapped mounts (Linux 5.12 and later), or set it to false",
             "%s", e.text);
}

/* `PROGRAM --version`, its first line. */
static int version_of(const char *path, char *buf, size_t size, struct jl_err *e)
{
    char *argv[] = { (char *) (uintptr_t) path, (char *) "--version", NULL };
    char *envp[] = { (char *) "PATH=/usr/bin:/bin", NULL };
    _close_ int in = -1, out = -1;
    int fds[2], status;
    struct jl_spawn s = JL_SPAWN_INIT;
    struct jl_spawn_fd map[2];
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return jl_fail(e, errno, "run '%s'", path);
    in = fds[0];
    out = fds[1];
    map[0] = (struct jl_spawn_fd){ out, 1 };
    map[1] = (struct jl_spawn_fd){ out, 2 };
    s.path = path;
    s.argv = argv;
    s.envp = envp;
    s.fds = map;
    s.n_fds = 2;
    if (jl_spawn(&s, &pid, NULL, e) < 0)
        return -e->code;
    out = jl_close(out);
    while (used + 1 < size && (n = read(in, buf + used, size - 1 - used)) > 0)
        used += (size_t) n;
    in = jl_close(in);
    status = jl_wait_status(pid);
    buf[used] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return status == 0 ? 0
                       : jl_refuse(e, EIO, "'%s --version' ended with %d: %s", path, status, buf);
}

static void check_program(struct report *r, const char *item, const char *name, bool ask)
{
    struct jl_err e = JL_ERR_INIT;
    char version[256] = "";
    _free_ char *path = name[0] == '/' ? strdup(name) : jd_host_program(name, &e);

    if (!path || access(path, X_OK) < 0) {
        line(r, BAD, item, "install joblet again, or set oci.runtime", "%s",
             e.code ? e.text : "not there, or not executable");
        return;
    }
    if (!ask)
        line(r, OK, item, NULL, "%s", path);
    else if (version_of(path, version, sizeof version, &e) == 0)
        line(r, OK, item, NULL, "%s (%s)", path, version);
    else
        line(r, BAD, item, "install it again", "%s", e.text);
}

static void check_user(struct report *r)
{
    static const char fix[] =
        "useradd --system --no-create-home --shell /usr/sbin/nologin " JD_FRONT_USER;
    const char *name = r->conf->front_user;
    const struct passwd *nobody = getpwnam("nobody");
    struct jl_err e = JL_ERR_INIT;
    uid_t uid;
    gid_t gid;
    bool own;

    if (jd_front_user(name, &uid, &gid, &own, &e) < 0)
        line(r, BAD, "server.frontUser", e.hint[0] ? e.hint : fix, "%s", e.text);
    else if (own)
        line(r, NOTE, "server.frontUser", fix, "there is no user '%s': joblet-front gets the id %d",
             name, (int) uid);
    else if (nobody && uid == nobody->pw_uid)
        line(r, NOTE, "server.frontUser", "leave it at " JD_FRONT_USER,
             "'%s' is shared with other programs, and jobs without user namespace", name);
    else
        line(r, OK, "server.frontUser", NULL, "%s", name);
}

static void check_certificates(struct report *r)
{
    const struct {
        const char *key, *value;
    } pem[] = { { "security.serverCert", r->conf->server_cert },
                { "security.serverKey", r->conf->server_key },
                { "security.caCert", r->conf->ca_cert } };

    struct jl_err e = JL_ERR_INIT;
    bool all = true;

    for (size_t i = 0; i < JL_COUNT(pem); i++) {
        if (strstr(pem[i].value, "-----BEGIN "))
            continue;
        all = false;
        line(r, BAD, pem[i].key, "certs_gen_embedded.sh writes all three", "%s",
             pem[i].value[0] ? "is no PEM text" : "is missing");
    }
    if (all && jd_frontcheck(r->conf, &e) == 0)
        line(r, OK, "certificates", NULL, "joblet-front can serve with them");
    else if (all)
        line(r, BAD, "certificates", "certs_gen_embedded.sh --renew-server makes a new pair", "%s",
             e.text);
}

static void check_revoked(struct report *r)
{
    _revoked_ struct ipc_revoked list = { 0 };
    struct jl_err e = JL_ERR_INIT;

    if (jd_revoked_read(r->conf, &list, &e) == 0)
        line(r, OK, "revoked certificates", NULL, "%zu", list.n);
    else
        line(r, BAD, "revoked certificates", e.hint[0] ? e.hint : "mend that line", "%s", e.text);
}

/* Whether we could bind; a running joblet of this configuration is not told apart. */
static void check_port(struct report *r)
{
    const char *addr = r->conf->server_address;
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct sockaddr_in four = { .sin_family = AF_INET };
    bool is_six = strchr(addr, ':') != NULL;
    _close_ int fd = -1;
    int on = 1;

    four.sin_port = six.sin6_port = htons((uint16_t) r->conf->server_port);
    if (inet_pton(is_six ? AF_INET6 : AF_INET, addr,
                  is_six ? (void *) &six.sin6_addr : (void *) &four.sin_addr) != 1) {
        line(r, NOTE, "port", NULL, "'%s' is a name: not tried", addr);
        return;
    }
    fd = socket(is_six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && bind(fd, is_six ? (struct sockaddr *) &six : (struct sockaddr *) &four,
                        is_six ? sizeof six : sizeof four) == 0)
        line(r, OK, "port", NULL, "%s:%" PRId64 " is free", addr, r->conf->server_port);
    else
        line(r, BAD, "port",
             "stop what listens there (perhaps a running joblet), or set server.port",
             "%s:%" PRId64 ": %s", addr, r->conf->server_port, strerror(errno));
}

/* The directory, or the nearest parent that exists. */
static void check_dir(struct report *r, const char *item, const char *path)
{
    char at[PATH_MAX];
    struct statvfs v;

    snprintf(at, sizeof at, "%s", path);
    while (access(at, F_OK) < 0 && strrchr(at, '/') && strrchr(at, '/') != at)
        *strrchr(at, '/') = '\0';
    if (access(at, W_OK | X_OK) < 0) {
        line(r, BAD, item, "make it writable for root", "'%s': %s", at, strerror(errno));
        return;
    }
    if (statvfs(at, &v) < 0 || v.f_blocks == 0) {
        line(r, OK, item, NULL, "%s", path);
        return;
    }
    line(r, v.f_bavail < v.f_blocks / 20 ? BAD : OK, item, "free some space: uploads are refused",
         "%s, %" PRIu64 " MiB free (%" PRIu64 " %%)", path,
         (uint64_t) v.f_bavail * v.f_frsize >> 20, (uint64_t) v.f_bavail * 100 / v.f_blocks);
}

/* In the kernel, or loaded: lines of /proc/filesystems are "nodev\tproc", "\text4". */
static bool has_filesystem(const char *name)
{
    _fclose_ FILE *f = fopen("/proc/filesystems", "re");
    char text[128];

    while (f && fgets(text, sizeof text, f)) {
        const char *tab = strchr(text, '\t');

        text[strcspn(text, "\n")] = '\0';
        if (tab && strcmp(tab + 1, name) == 0)
            return true;
    }
    return false;
}

/* Of others: whether they let the default bridge's packets pass. */
static void check_firewalls(struct report *r)
{
    struct jd_net_def bridge = { .name = "bridge", .bridge = "joblet0" };
    char warn[1][JD_FIREWALL_WARN] = { "" };
    struct jl_err e = JL_ERR_INIT;
    char *fix;

    for (size_t i = 0; i + 2 < r->conf->networks.len; i += 3)
        if (strcmp(r->conf->networks.items[i], "bridge") == 0 && r->conf->networks.items[i + 2][0])
            snprintf(bridge.bridge, sizeof bridge.bridge, "%s", r->conf->networks.items[i + 2]);
    if (jd_firewall_look("00000", &bridge, 1, warn, &e) < 0 || !warn[0][0])
        return; /* what can't be asked does not stand in the way of a start */
    fix = strstr(warn[0], "; fix: ");
    if (fix)
        *fix = '\0';
    line(r, NOTE, "firewall", fix ? fix + 7 : "let the bridge's packets pass", "%s", warn[0]);
}

/* Whether the kernel knows one kind of what networks are made of; nothing is left of the try. */
static void check_network(struct report *r)
{
    const struct jd_conf *c = r->conf;
    struct jl_err e = JL_ERR_INIT;
    char why[JL_ERR_TEXT_MAX] = "";
    enum verdict v = strcmp(c->network_default, "none") == 0 ? NOTE : BAD;

    if (!c->network_enabled) {
        line(r, OK, "network", NULL, "off (network.enabled)");
        return;
    }
    if (jd_net_probe(why, sizeof why, &e) == 0) {
        line(r, OK, "network", NULL, "default '%s'", c->network_default);
        check_firewalls(r);
        if (why[0])
            line(r, NOTE, "network", "modprobe sch_tbf",
                 "%s: jobs that ask for --net-rx or --net-tx are refused", why);
        return;
    }
    line(r, v, "network", e.hint[0] ? e.hint : "set network.default_network: none", "%s", e.text);
}

/* What volumes of type filesystem need. */
static void check_volumes(struct report *r)
{
    const char *mkfs = jd_image_mkfs();

    if (mkfs)
        line(r, OK, "mkfs.ext4", NULL, "%s", mkfs);
    else
        line(r, NOTE, "mkfs.ext4", "install e2fsprogs", "not there: no volumes of type filesystem, no uploads over 64 MB");
    if (access("/dev/loop-control", R_OK | W_OK) == 0)
        line(r, OK, "loop devices", NULL, "/dev/loop-control");
    else
        line(r, NOTE, "loop devices", "modprobe loop",
             "'/dev/loop-control': %s: no volumes of type filesystem", strerror(errno));
    if (has_filesystem("ext4"))
        line(r, OK, "ext4", NULL, "the kernel has it");
    else
        line(r, NOTE, "ext4", "modprobe ext4", "the kernel has no ext4 (yet)");
}

int jd_check(const struct jd_conf *conf)
{
    struct report r = { .conf = conf };

    for (size_t i = 0; i < conf->notes.len; i++)
        line(&r, NOTE, "configuration", NULL, "%s", conf->notes.items[i]);
    if (conf->file)
        line(&r, OK, "configuration", NULL, "%s", conf->file);
    check_privileges(&r);
    check_cgroups(&r);
    check_namespaces(&r);
    check_program(&r, "joblet-shim", "joblet-shim", false);
    check_program(&r, "joblet-front", "joblet-front", false);
    if (conf->job_init)
        check_program(&r, "joblet-init", "joblet-init", false);
    check_program(&r, "oci.runtime", conf->oci_runtime[0] == '/' ? conf->oci_runtime : "joblet-run",
                  true);
    check_user(&r);
    check_certificates(&r);
    check_revoked(&r);
    check_port(&r);
    check_dir(&r, "filesystem.baseDir", conf->jobs_dir);
    check_dir(&r, "logs.directory", conf->logs_dir);
    check_dir(&r, "state", conf->state_dir);
    check_dir(&r, "live state", conf->run_dir);
    check_dir(&r, "volumes.base_path", conf->volumes_dir);
    check_volumes(&r);
    check_network(&r);
    puts(r.bad ? "This host is not ready: see the lines marked FAIL." : "This host is ready.");
    return r.bad;
}
