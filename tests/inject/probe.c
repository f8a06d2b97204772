/*
 * probe.c - a container's program that tells how it is kept: what a silent weakening would change.
 * It writes all of it at once, lines of "what value", so that two runs can be compared byte for
 * byte; nothing in it depends on the run. `probe wait` stays afterwards.
 *
 * HOST_NS in its environment: "type:inode" words of the host's namespaces.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static char out[32768];
static size_t len;

#define PUT(...) (len += (size_t) snprintf(out + len, sizeof out - len, __VA_ARGS__))

static void namespaces(void)
{
    static const char *const types[] = {
        "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"
    };
    const char *host = getenv("HOST_NS");

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        char path[64], link[64], word[96];
        ssize_t n;

        snprintf(path, sizeof path, "/proc/self/ns/%s", types[i]);
        n = readlink(path, link, sizeof link - 1);
        link[n < 0 ? 0 : n] = '\0';
        snprintf(word, sizeof word, " %s ", link);
        PUT("ns %s %s\n", types[i], n < 0 ? "?" : host && strstr(host, word) ? "host" : "own");
    }
}

/* Lines of a file that begin with one of these words; NULL: all. */
static void lines_of(const char *path, const char *const words[])
{
    char line[1024];
    FILE *f = fopen(path, "re");

    if (!f) {
        PUT("%s: %s\n", path, strerror(errno));
        return;
    }
    while (fgets(line, sizeof line, f)) {
        bool wanted = !words;

        for (size_t i = 0; words && words[i]; i++)
            wanted = wanted || strncmp(line, words[i], strlen(words[i])) == 0;
        if (wanted)
            PUT("%s", line);
    }
    fclose(f);
}

/* Without the numbers, which differ from run to run. */
static void mounts(void)
{
    char line[2048];
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f && fgets(line, sizeof line, f)) {
        char at[512], options[256], *rest = strstr(line, " - ");

        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%*s %*s %*s %*s %511s %255s", at, options) == 2 && rest)
            PUT("mount %s %s%.60s\n", at, options, rest + 2);
    }
    if (f)
        fclose(f);
}

static void directory(const char *path)
{
    char names[64][64];
    DIR *d = opendir(path);
    struct dirent *e;
    int n = 0;

    while (d && n < 64 && (e = readdir(d)) != NULL)
        snprintf(names[n++], sizeof names[0], "%.63s", e->d_name);
    if (d)
        closedir(d);
    qsort(names, (size_t) n, sizeof names[0], (int (*)(const void *, const void *)) strcmp);
    PUT("dir %s", path);
    for (int i = 0; i < n; i++)
        PUT(" %s", names[i]);
    PUT("\n");
}

static void descriptors(void)
{
    for (int fd = 0; fd < 64; fd++) {
        struct stat st;

        if (fstat(fd, &st) == 0)
            PUT("fd %d type %o\n", fd, (unsigned) st.st_mode & S_IFMT);
    }
}

static void limits(void)
{
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit lim;

        if (getrlimit((__rlimit_resource_t) i, &lim) == 0)
            PUT("rlimit %d %llu %llu\n", i, (unsigned long long) lim.rlim_cur,
                (unsigned long long) lim.rlim_max);
    }
}

int main(int argc, char **argv)
{
    static const char *const status[] = {
        "Uid:",   "Gid:",    "Groups:", "Cap",     "NoNewPrivs:", "Seccomp:", "Umask:",
        "NSpid:", "NStgid:", "NSsid:",  "SigBlk:", "SigIgn:",     NULL
    };
    struct utsname uts;
    char text[256];
    size_t at = 0;

    descriptors();
    namespaces();
    lines_of("/proc/self/status", status);
    lines_of("/proc/self/oom_score_adj", NULL);
    lines_of("/proc/self/cgroup", NULL);
    mounts();
    directory("/");
    directory("/dev");
    directory("/masked");
    limits();
    uname(&uts);
    PUT("host %s cwd %s\n", uts.nodename, getcwd(text, sizeof text));
    PUT("write %d\n", open("/readonly/new", O_CREAT | O_WRONLY, 0600) < 0 ? errno : 0);
    PUT("tty %d\n", open("/dev/tty", O_RDWR) < 0 ? errno : 0);
    memset(text, 0, sizeof text);
    if (syscall(SYS_keyctl, 6L, -3L, text, sizeof text - 1) < 0) /* KEYCTL_DESCRIBE, session */
        snprintf(text, sizeof text, "none");
    PUT("keyring %s\n", strrchr(text, ';') ? strrchr(text, ';') + 1 : text);
    PUT("end\n");
    while (at < len) {
        ssize_t n = write(1, out + at, len - at);

        if (n <= 0)
            return 3;
        at += (size_t) n;
    }
    while (argc > 1 && strcmp(argv[1], "wait") == 0)
        pause();
    return 7;
}
