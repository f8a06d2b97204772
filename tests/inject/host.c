/* host.c - see host.h. */
#include "host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tracer.h"

#define CGROUP_MOUNTS 32

static char cgroups[CGROUP_MOUNTS][256];
static int n_cgroups;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "re"), *out;
    char buf[8192], *text = NULL;
    size_t size, n;

    out = open_memstream(&text, &size);
    if (!f || !out)
        die(path);
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        fwrite(buf, 1, n, out);
    fclose(f);
    fclose(out);
    return text;
}

static void find_cgroups(void)
{
    char line[2048], at[256];
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f && fgets(line, sizeof line, f)) {
        bool seen = false;

        if (!strstr(line, " - cgroup") || sscanf(line, "%*s %*s %*s %*s %255s", at) != 1)
            continue;
        for (int i = 0; i < n_cgroups; i++)
            seen = seen || strcmp(cgroups[i], at) == 0;
        if (!seen && n_cgroups < CGROUP_MOUNTS)
            snprintf(cgroups[n_cgroups++], sizeof cgroups[0], "%s", at);
    }
    if (f)
        fclose(f);
}

void host_enter(const char *parent)
{
    char path[600];

    find_cgroups();
    for (int i = 0; i < n_cgroups; i++) {
        snprintf(path, sizeof path, "%s/%s", cgroups[i], parent);
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
            die(path);
    }
    if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
        die("enter namespaces");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        die("become subreaper");
}

void host_leave(const char *parent)
{
    char path[600];

    for (int i = 0; i < n_cgroups; i++) {
        snprintf(path, sizeof path, "%s/%s", cgroups[i], parent);
        rmdir(path);
    }
}

static FILE *listing;
static const char *unlisted;

static int list_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void) kind;
    (void) at;
    if (strcmp(path, unlisted) != 0)
        fprintf(listing, "%s %o\n", path, (unsigned) st->st_mode);
    return 0;
}

static char *list_files(const struct host *h)
{
    char *text = NULL;
    size_t size;

    unlisted = h->except;
    listing = open_memstream(&text, &size);
    nftw(h->dir, list_file, 32, FTW_PHYS | FTW_MOUNT);
    fclose(listing);
    return text;
}

void host_take(struct host *h)
{
    h->mounts = read_text("/proc/self/mountinfo");
    h->links = read_text("/proc/self/net/dev");
    h->files = list_files(h);
}

/* Whether the text has the line. */
static bool has_line(const char *text, const char *line, size_t len)
{
    for (const char *p = text; (p = strstr(p, line)) != NULL; p++)
        if ((p == text || p[-1] == '\n') && p[len] == '\n')
            return true;
    return false;
}

/* Lines of `now` that `before` has not. */
static int added(const char *what, const char *before, const char *now)
{
    int n = 0;

    while (*now) {
        size_t len = strcspn(now, "\n");
        char line[2048];

        snprintf(line, sizeof line, "%.*s", (int) len, now);
        if (!has_line(before, line, strlen(line))) {
            printf("    %s left: %s\n", what, line);
            n++;
        }
        now += len + (now[len] == '\n');
    }
    return n;
}

static int compare(const char *what, const char *before, const char *now)
{
    return strcmp(before, now) == 0 ? 0 : added(what, before, now);
}

static int remove_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void) st;
    (void) kind;
    if (at->level > 0)
        remove(path);
    return 0;
}

static int check_root(const char *root)
{
    DIR *d = opendir(root);
    struct dirent *e;
    int n = 0;

    while (d && (e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        printf("    state left: %s/%s\n", root, e->d_name);
        n++;
    }
    if (d)
        closedir(d);
    if (n > 0)
        nftw(root, remove_file, 32, FTW_PHYS | FTW_DEPTH | FTW_MOUNT);
    return n;
}

/* A group vanishes a moment after its last process. */
static int check_groups(const char *parent)
{
    char path[16384];
    int n = 0;

    for (int i = 0; i < n_cgroups; i++) {
        struct dirent *e;
        struct stat st;
        DIR *d;

        snprintf(path, sizeof path, "%s/%s", cgroups[i], parent);
        if (stat(path, &st) < 0 || st.st_nlink <= 2)
            continue;
        d = opendir(path);
        while (d && (e = readdir(d)) != NULL) {
            if (e->d_type != DT_DIR || e->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s/%s", cgroups[i], parent, e->d_name);
            printf("    cgroup left: %s\n", path);
            rmdir(path);
            n++;
        }
        if (d)
            closedir(d);
    }
    return n;
}

bool host_group_file(const char *parent, const char *id, const char *file, char *text, size_t size)
{
    char path[600];
    ssize_t n = -1;

    for (int i = 0; i < n_cgroups && n < 0; i++) {
        int fd;

        snprintf(path, sizeof path, "%s/%s/%s/%s", cgroups[i], parent, id, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return n > 0;
}

int host_check(struct host *h)
{
    char *mounts, *links, *files;
    int n = tr_reap_all();

    mounts = read_text("/proc/self/mountinfo");
    links = read_text("/proc/self/net/dev");
    files = list_files(h);
    n += compare("mount", h->mounts, mounts);
    if (added("interface", h->links, links) > 0 && strstr(links, "\n") == NULL)
        n++;
    n += check_root(h->root);
    n += check_groups(h->parent);
    n += compare("file", h->files, files);
    free(mounts);
    free(links);
    free(h->files);
    h->files = files; /* so that a file is told once */
    return n;
}

int host_keyrings(const char *id)
{
    struct timespec pause = { 0, 10000000 };
    char name[300];
    bool there = true;

    snprintf(name, sizeof name, "_ses.%s:", id);
    for (int i = 0; i < 2000 && there; i++) {
        char *keys = read_text("/proc/keys");

        there = strstr(keys, name) != NULL;
        free(keys);
        nanosleep(&pause, NULL);
    }
    if (there)
        printf("    keyring left: %s\n", name);
    return there;
}
