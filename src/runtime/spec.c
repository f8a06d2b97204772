/* spec.c - see spec.h: the whole document, its process and its hooks. */
#include "runtime/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/rlimit.h"
#include "os/seccomp.h"
#include "runtime/landlock.h"

#define HOSTNAME_MAX 64 /* uts(7) */
#define CONFIG_MAX ((size_t) 8 << 20)

static int warn(struct jl_strv *warnings, struct jl_err *e, const char *fmt, const char *a,
                const char *b)
{
    if (jl_strv_addf(warnings, fmt, a, b) < 0)
        return jl_fail(e, ENOMEM, "keep a warning");
    return 0;
}

static int check_cap_set(char *const *names, size_t n, const char *where, const char *set,
                         uint64_t *ret, struct jl_strv *warnings, struct jl_err *e)
{
    char path[96];

    *ret = 0;
    for (size_t i = 0; i < n; i++) {
        int cap = os_cap_from_name(names[i]);

        if (cap >= 0) {
            *ret |= UINT64_C(1) << cap;
            continue;
        }
        snprintf(path, sizeof path, "%scapabilities.%s", where, set);
        if (warn(warnings, e, "%s: '%s' is not a capability; left out", path, names[i]) < 0)
            return -e->code;
    }
    return 0;
}

/* Takes out what this process could not give: an unknown one cannot be had either. */
static int limit_caps(uint64_t *set, uint64_t can, struct jl_strv *warnings, struct jl_err *e)
{
    uint64_t lost = *set & ~can;

    for (unsigned cap = 0; cap < OS_CAP_N; cap++)
        if (lost >> cap & 1 && warn(warnings, e, "%s cannot be granted%s; left out",
                                    os_cap_name(cap), ": joblet-run does not have it itself") < 0)
            return -e->code;
    *set &= can;
    return 0;
}

static int check_caps(const struct oci_capabilities *c, const char *where, struct rt_process *p,
                      struct jl_strv *warnings, struct jl_err *e)
{
    struct os_caps *w = &p->caps;
    uint64_t own;
    int r;

    if (!c) /* none at all, as runc and crun take it */
        return 0;
    r = check_cap_set(c->bounding, c->n_bounding, where, "bounding", &w->bounding, warnings, e);
    if (r == 0)
        r = check_cap_set(c->effective, c->n_effective, where, "effective", &w->effective, warnings,
                          e);
    if (r == 0)
        r = check_cap_set(c->inheritable, c->n_inheritable, where, "inheritable", &w->inheritable,
                          warnings, e);
    if (r == 0)
        r = check_cap_set(c->permitted, c->n_permitted, where, "permitted", &w->permitted, warnings,
                          e);
    if (r == 0)
        r = check_cap_set(c->ambient, c->n_ambient, where, "ambient", &w->ambient, warnings, e);
    if (r < 0)
        return r;
    if ((w->effective & ~w->permitted) != 0)
        return jl_refuse(
            e, EINVAL, "%scapabilities.effective: %s is not among the permitted capabilities",
            where, os_cap_name((unsigned) __builtin_ctzll(w->effective & ~w->permitted)));
    r = os_caps_bounding(w->bounding | w->permitted | w->inheritable, &own);
    if (r < 0)
        return jl_fail(e, -r, "prctl: read the own bounding set of capabilities");
    /* In a new user namespace the process has them all, so this holds only outside of one; the
     * bounding set limits both. */
    r = limit_caps(&w->bounding, own, warnings, e);
    if (r < 0)
        return r;
    w->permitted &= own;
    w->effective &= own;
    w->inheritable &= own;
    /* The kernel wants ambient ones to be permitted and inheritable; runc drops the others. */
    w->ambient &= w->permitted & w->inheritable;
    return 0;
}

static int check_rlimits(const struct oci_process *p, const char *where, struct rt_process *ret,
                         struct jl_err *e)
{
    for (size_t i = 0; i < p->n_rlimits; i++) {
        const struct oci_rlimit *l = p->rlimits[i];
        int resource = os_rlimit_from_name(l->type);

        if (resource < 0)
            return jl_refuse(e, EINVAL, "%srlimits[%zu].type: '%s' is not a resource limit", where,
                             i, l->type);
        for (size_t j = 0; j < ret->n_rlimits; j++)
            if (ret->rlimits[j].resource == resource)
                return jl_refuse(e, EINVAL, "%srlimits[%zu].type: %s is set twice", where, i,
                                 l->type);
        if (l->soft > l->hard)
            return jl_refuse(e, EINVAL, "%srlimits[%zu].soft: %llu is above the hard limit %llu",
                             where, i, (unsigned long long) l->soft, (unsigned long long) l->hard);
        ret->rlimits[ret->n_rlimits++] =
            (struct rt_rlimit){ .resource = resource, .soft = l->soft, .hard = l->hard };
    }
    return 0;
}

int rt_process_check(const struct oci_process *oci, const char *where, struct rt_process *ret,
                     struct jl_strv *warnings, struct jl_err *e)
{
    char prefix[32];
    int r;

    *ret = (struct rt_process){ .oci = oci };
    snprintf(prefix, sizeof prefix, "%s%s", where, *where ? "." : "");
    if (oci->n_args == 0 || oci->args[0][0] == '\0')
        return jl_refuse(e, EINVAL, "%sargs: a program to execute is required", prefix);
    if (!oci->cwd || oci->cwd[0] != '/')
        return jl_refuse(e, EINVAL, "%scwd: '%s' is not an absolute path", prefix,
                         oci->cwd ? oci->cwd : "");
    for (size_t i = 0; i < oci->n_env; i++)
        if (!strchr(oci->env[i], '=') || oci->env[i][0] == '=')
            return jl_refuse(e, EINVAL, "%senv[%zu]: '%s' is not NAME=value", prefix, i,
                             oci->env[i]);
    if (oci->oom_score_adj < -1000 || oci->oom_score_adj > 1000)
        return jl_refuse(e, ERANGE, "%soomScoreAdj: %d is not within -1000 to 1000", prefix,
                         oci->oom_score_adj);
    if (oci->user && oci->user->has_umask && oci->user->umask > 0777)
        return jl_refuse(e, ERANGE, "%suser.umask: %u is not within 0 to 511 (0777)", prefix,
                         oci->user->umask);
    if (oci->console_size &&
        (oci->console_size->height > UINT16_MAX || oci->console_size->width > UINT16_MAX))
        return jl_refuse(e, ERANGE, "%sconsoleSize: at most 65535 rows and columns", prefix);
    r = check_rlimits(oci, prefix, ret, e);
    if (r == 0)
        r = rt_check_scheduling(oci, prefix, ret, warnings, e);
    if (r == 0)
        r = check_caps(oci->capabilities, prefix, ret, warnings, e);
    return r;
}

static int check_hook_list(struct oci_hook *const *hooks, size_t n, const char *name,
                           struct jl_err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!hooks[i]->path || hooks[i]->path[0] != '/')
            return jl_refuse(e, EINVAL, "hooks.%s[%zu].path: an absolute path is required", name,
                             i);
        if (hooks[i]->has_timeout && hooks[i]->timeout <= 0)
            return jl_refuse(e, ERANGE, "hooks.%s[%zu].timeout: %lld is not above 0 seconds", name,
                             i, (long long) hooks[i]->timeout);
    }
    return 0;
}

static int check_hooks(const struct oci_hooks *h, struct jl_err *e)
{
    int r;

    if (!h)
        return 0;
    r = check_hook_list(h->prestart, h->n_prestart, "prestart", e);
    if (r == 0)
        r = check_hook_list(h->create_runtime, h->n_create_runtime, "createRuntime", e);
    if (r == 0)
        r = check_hook_list(h->create_container, h->n_create_container, "createContainer", e);
    if (r == 0)
        r = check_hook_list(h->start_container, h->n_start_container, "startContainer", e);
    if (r == 0)
        r = check_hook_list(h->poststart, h->n_poststart, "poststart", e);
    if (r == 0)
        r = check_hook_list(h->poststop, h->n_poststop, "poststop", e);
    return r;
}

/* Whether three numbers, and perhaps "-dev" or "+build", stand there (semver.org). */
static bool is_semver(const char *v)
{
    for (int part = 0; part < 3; part++) {
        size_t digits = strspn(v, "0123456789");

        if (digits == 0 || (digits > 1 && *v == '0'))
            return false;
        v += digits;
        if (part < 2 && *v++ != '.')
            return false;
    }
    return *v == '\0' || ((*v == '-' || *v == '+') && v[1] != '\0');
}

static int check_version(struct rt_spec *s, struct jl_err *e)
{
    const char *v = s->oci->oci_version;

    if (strncmp(v, "1.", 2) != 0 || !is_semver(v))
        return jl_refuse(e, EINVAL,
                         "ociVersion: '%s' is not a version 1.x.y of the specification", v);
    if (strtoul(v + 2, NULL, 10) > 3)
        return warn(&s->warnings, e,
                    "ociVersion: '%s' is newer than %s, which this joblet-run follows", v,
                    RT_SPEC_VERSION);
    return 0;
}

static int check_root(struct rt_spec *s, struct jl_err *e)
{
    const char *path = s->oci->root ? s->oci->root->path : NULL;

    if (!path || *path == '\0')
        return jl_refuse(e, EINVAL, "root.path: a root file system is required");
    if (*path == '/')
        s->rootfs = strdup(path);
    else if (asprintf(&s->rootfs, "%s/%s", s->bundle, path) < 0)
        s->rootfs = NULL;
    return s->rootfs ? 0 : jl_fail(e, ENOMEM, "root.path");
}

static int check_names(const struct rt_spec *s, struct jl_err *e)
{
    const char *host = s->oci->hostname, *domain = s->oci->domainname;

    if (host && *host && !rt_spec_has_ns(s, OS_NS_UTS))
        return jl_refuse(e, EINVAL, "hostname: needs a uts namespace in linux.namespaces");
    if (domain && *domain && !rt_spec_has_ns(s, OS_NS_UTS))
        return jl_refuse(e, EINVAL, "domainname: needs a uts namespace in linux.namespaces");
    if (host && strlen(host) > HOSTNAME_MAX)
        return jl_refuse(e, EINVAL, "hostname: has %zu bytes, at most %d are possible",
                         strlen(host), HOSTNAME_MAX);
    if (domain && strlen(domain) > HOSTNAME_MAX)
        return jl_refuse(e, EINVAL, "domainname: has %zu bytes, at most %d are possible",
                         strlen(domain), HOSTNAME_MAX);
    return 0;
}

static int check_landlock(struct rt_spec *s, struct jl_err *e)
{
    size_t len = strlen(RT_ANNOTATION_LANDLOCK);

    for (size_t i = 0; i < s->oci->n_annotations; i++) {
        const struct oci_kv *a = &s->oci->annotations[i];

        if (strncmp(a->key, RT_ANNOTATION_LANDLOCK, len) != 0)
            continue;
        if (a->key[len] != '\0')
            return jl_refuse(e, EINVAL, "annotations.%s: is unknown; there is only %s", a->key,
                             RT_ANNOTATION_LANDLOCK);
        if (rt_landlock_parse(a->value, strlen(a->value), &s->landlock, e) < 0)
            return jl_wrap(e, "annotations.%s", a->key);
    }
    return 0;
}

static int check_all(struct rt_spec *s, struct jl_err *e)
{
    const char *idmap = oci_kv_get(s->oci->annotations, s->oci->n_annotations, RT_ANNOTATION_IDMAP);
    int r;

    r = check_version(s, e);
    if (r == 0 && oci_kv_get(s->oci->annotations, s->oci->n_annotations, ""))
        return jl_refuse(e, EINVAL, "annotations: a key is empty");
    if (r == 0)
        r = check_root(s, e);
    if (r == 0)
        r = rt_spec_check_linux(s, e);
    if (r == 0)
        r = check_names(s, e);
    if (r == 0)
        r = rt_spec_check_mounts(s, e);
    if (r == 0)
        r = rt_spec_check_resources(s, e);
    if (r == 0)
        r = rt_spec_check_sysctl(s, e);
    if (r == 0)
        r = check_hooks(s->oci->hooks, e);
    if (r == 0 && s->oci->process) {
        s->has_process = true;
        r = rt_process_check(s->oci->process, "process", &s->process, &s->warnings, e);
    }
    if (r < 0)
        return r;
    r = check_landlock(s, e);
    if (r < 0)
        return r;
    s->idmap_rootfs = idmap && strcmp(idmap, "true") == 0;
    if (s->idmap_rootfs && !(s->ns_new & os_ns_flag(OS_NS_USER)))
        return jl_refuse(e, EINVAL, "annotations.%s: needs a new user namespace",
                         RT_ANNOTATION_IDMAP);
    return 0;
}

int rt_spec_from_text(const char *bundle, const char *text, size_t len, struct rt_spec **ret,
                      struct jl_err *e)
{
    _rt_spec_ struct rt_spec *s = calloc(1, sizeof *s);
    struct oci_parse_opts opts = { .max_bytes = CONFIG_MAX };
    int r;

    if (!s || !(s->bundle = strdup(bundle ? bundle : "/")) || !(s->text = malloc(len + 1)))
        return jl_fail(e, ENOMEM, "config.json");
    memcpy(s->text, text, len);
    s->text[len] = '\0';
    s->text_len = len;
    r = oci_spec_parse(text, len, &opts, &s->oci, e);
    if (r == 0)
        r = check_all(s, e);
    if (r < 0) {
        jl_wrap(e, "config.json");
        return jl_phase(e, "spec");
    }
    *ret = jl_take_ptr(s);
    return 0;
}

/* A file that was named may be a symlink: its name is the caller's, as the bundle's is. */
static int read_config(int bundle_fd, const char *config, struct jl_buf *text, struct jl_err *e)
{
    _close_ int fd = -1;
    int r;

    if (!config)
        return jl_read_file_at(bundle_fd, "config.json", text, e);
    fd = open(config, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return jl_fail_sys(e, "open", config, "--config");
    r = jl_read_all(fd, text);
    return r < 0 ? jl_fail(e, -r, "--config: read '%s'", config) : 0;
}

int rt_spec_load(const char *bundle, const char *config, struct rt_spec **ret, struct jl_err *e)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(CONFIG_MAX + 1);
    _free_ char *path = realpath(bundle, NULL);
    _close_ int dir = -1;
    struct stat st;
    int r;

    if (!path)
        return jl_fail_sys(e, "open", bundle, "open the bundle");
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return jl_fail_sys(e, "open", path, "open the bundle");
    r = read_config(dir, config, &text, e);
    if (r == -EMSGSIZE)
        return jl_refuse(e, EMSGSIZE, "config.json: is larger than %zu MiB", CONFIG_MAX >> 20);
    if (r < 0)
        return jl_wrap(e, "bundle '%s'", path);
    r = rt_spec_from_text(path, text.data ? text.data : "", text.len, ret, e);
    if (r < 0)
        return r;
    if (stat((*ret)->rootfs, &st) < 0)
        r = jl_fail(e, errno, "config.json: root.path: '%s'", (*ret)->rootfs);
    else if (!S_ISDIR(st.st_mode))
        r = jl_fail(e, ENOTDIR, "config.json: root.path: '%s'", (*ret)->rootfs);
    if (r < 0) {
        rt_spec_free(*ret);
        *ret = NULL;
        return r;
    }
    return 0;
}

void rt_spec_free(struct rt_spec *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_mounts; i++) {
        rt_mountopt_clear(&s->mounts[i].opt);
        free(s->mounts[i].uids);
        free(s->mounts[i].gids);
    }
    free(s->mounts);
    free(s->uids);
    free(s->gids);
    rt_limits_clear(&s->limits);
    os_seccomp_free(s->seccomp);
    rt_landlock_free(s->landlock);
    jl_strv_clear(&s->warnings);
    oci_spec_free(s->oci);
    free(s->text);
    free(s->bundle);
    free(s->rootfs);
    free(s);
}

bool rt_spec_has_ns(const struct rt_spec *s, enum os_ns ns)
{
    return s->ns_path[ns] || s->ns_new & os_ns_flag(ns);
}
