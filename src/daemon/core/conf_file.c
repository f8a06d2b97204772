/* conf_file.c - the file of conf.h: found, looked at, read, its keys told apart. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/yaml.h"
#include "daemon/core/conf.h"
#include "daemon/core/conf_internal.h"

/* Sections of upstream's helper processes and cloud stores: one warning each, nothing more. */
static const char *const foreign_sections[] = { "ipc", "persist", "state" };

static int set_list(struct jd_conf *c, const struct jd_key *k, const struct jl_yaml *n,
                    struct jl_err *e)
{
    struct jl_strv *v = jd_key_field(c, k);
    const struct jl_yaml *seq;
    int r = jl_yaml_seq(n, &seq, e);

    if (r != 0)
        return r < 0 ? r : 0;
    jl_strv_clear(v);
    JL_YAML_EACH(item, seq)
    {
        const char *s;

        r = jl_yaml_string(item, &s, e);
        if (r > 0)
            return jl_yaml_refuse(item, e, EINVAL, "an empty entry");
        if (r < 0)
            return r;
        if (jl_strv_add(v, s) < 0)
            return jl_fail(e, ENOMEM, "read the configuration");
    }
    return 0;
}

static int set_node(struct jd_conf *c, const struct jd_key *k, const struct jl_yaml *n,
                    struct jl_err *e)
{
    char buf[80];
    int r;

    if (jl_yaml_is_null(n))
        return 0; /* `key:` alone leaves the default */
    if (k->type == LIST)
        return set_list(c, k, n, e);
    if (n->kind != JL_YAML_SCALAR)
        return jl_yaml_refuse(n, e, EINVAL, "expects %s", jd_key_wanted(k, buf, sizeof buf));
    r = jd_key_set(c, k, n->text);
    if (r == -ENOMEM)
        return jl_fail(e, ENOMEM, "read the configuration");
    if (r < 0)
        return jl_yaml_refuse(n, e, -r, "'%.60s' is not %s", n->text,
                              jd_key_wanted(k, buf, sizeof buf));
    return 0;
}

static bool is_section(const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < jd_n_keys; i++)
        if (strncmp(jd_keys[i].name, path, len) == 0 && jd_keys[i].name[len] == '.')
            return true;
    return false;
}

static int note(struct jd_conf *c, struct jl_err *e, const struct jl_yaml *n, const char *why)
{
    char path[256];

    jl_yaml_path(n, path, sizeof path);
    if (jl_strv_addf(&c->notes, "%s:%u: %s: %s", n->file, n->key_line, path, why) < 0)
        return jl_fail(e, ENOMEM, "read the configuration");
    return 0;
}

static int read_network(struct jd_conf *c, const struct jl_yaml *net, struct jl_err *e)
{
    static const char *const known[] = { "cidr", "bridge_name" };
    const char *values[JL_COUNT(known)] = { "", "" };
    const struct jl_yaml *map;
    int r = jl_yaml_map(net, &map, e);

    if (r != 0)
        return r;
    r = jl_yaml_known_keys(map, known, JL_COUNT(known), e);
    JL_YAML_EACH(n, map)
    {
        if (r == 0)
            r = jl_yaml_string(n, &values[strcmp(n->key, known[0]) == 0 ? 0 : 1], e);
        r = r > 0 ? 0 : r;
    }
    if (r < 0)
        return r;
    if (jl_strv_add(&c->networks, net->key) < 0 || jl_strv_add(&c->networks, values[0]) < 0 ||
        jl_strv_add(&c->networks, values[1]) < 0)
        return jl_fail(e, ENOMEM, "read the configuration");
    return 0;
}

/* network.networks.<name>.{cidr, bridge_name}; conf_resolve.c looks at the values. */
static int read_networks(struct jd_conf *c, const struct jl_yaml *n, struct jl_err *e)
{
    const struct jl_yaml *map;
    int r = jl_yaml_map(n, &map, e);

    if (r != 0)
        return r < 0 ? r : 0;
    JL_YAML_EACH(net, map)
    {
        r = read_network(c, net, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The names allowed directly below `path`, for the message about one that is not. */
static int unknown_key(const struct jl_yaml *n, const char *path, struct jl_err *e)
{
    const char *dot = strrchr(path, '.');
    size_t len = dot ? (size_t) (dot - path) + 1 : 0;
    char list[300] = "";
    size_t used = 0;
    const char *last = "";
    size_t last_len = 0;

    for (size_t i = 0; i < jd_n_keys; i++) {
        const char *rest = jd_keys[i].name + len;
        size_t n_rest;

        if (strncmp(jd_keys[i].name, path, len) != 0)
            continue;
        n_rest = strcspn(rest, ".");
        if (n_rest == last_len && strncmp(rest, last, n_rest) == 0)
            continue;
        last = rest;
        last_len = n_rest;
        if (used + n_rest + 3 < sizeof list)
            used += (size_t) snprintf(list + used, sizeof list - used, "%s%.*s", used ? ", " : "",
                                      (int) n_rest, rest);
    }
    jl_yaml_refuse(n, e, EINVAL, "unknown key");
    return jl_hint(e, "known here: %.180s", list);
}

static int read_map(struct jd_conf *c, const struct jl_yaml *map, struct jl_err *e);

static int read_entry(struct jd_conf *c, const struct jl_yaml *n, struct jl_err *e)
{
    char path[256];
    const struct jd_key *k;
    const struct jl_yaml *map;
    int r;

    jl_yaml_path(n, path, sizeof path);
    for (size_t i = 0; i < JL_COUNT(foreign_sections); i++)
        if (strcmp(path, foreign_sections[i]) == 0)
            return note(c, e, n, "ignored: joblet has no such helper process or store");
    if (strcmp(path, "network.networks") == 0)
        return read_networks(c, n, e);
    k = jd_key_find(path);
    if (k) {
        r = set_node(c, k, n, e);
        if (r == 0 && k->effect == IGNORED && strcmp(path, "version") != 0)
            r = note(c, e, n, "ignored: this joblet has no use for it");
        return r;
    }
    if (!is_section(path))
        return unknown_key(n, path, e);
    r = jl_yaml_map(n, &map, e);
    return r != 0 ? (r < 0 ? r : 0) : read_map(c, map, e);
}

static int read_map(struct jd_conf *c, const struct jl_yaml *map, struct jl_err *e)
{
    JL_YAML_EACH(n, map)
    {
        int r = read_entry(c, n, e);

        if (r < 0)
            return r;
    }
    return 0;
}

/* The command line's --prefix-dir stands above the file's own `prefix`. */
static int finish(struct jd_conf *c, const char *prefix, char *const *env, struct jl_err *e)
{
    int r = jd_conf_env(c, env, e);

    return r < 0 ? r : jd_conf_resolve(c, prefix, e);
}

static int load_tree(struct jd_conf *c, const struct jl_yaml *root, const char *prefix,
                     char *const *env, struct jl_err *e)
{
    const struct jl_yaml *map = NULL;
    int r = jd_conf_defaults(c, e);

    if (r == 0 && root) {
        r = jl_yaml_map(root, &map, e);
        if (r == 0)
            r = read_map(c, map, e);
        r = r > 0 ? 0 : r;
    }
    return r < 0 ? r : finish(c, prefix, env, e);
}

int jd_conf_parse(struct jd_conf *c, const char *name, const char *text, size_t len,
                  const char *prefix, char *const *env, struct jl_err *e)
{
    _yaml_ struct jl_yaml *root = NULL;
    int r = jl_yaml_parse(name, text, len, &jl_yaml_limits_config, &root, e);

    *c = (struct jd_conf){ 0 };
    if (r == 0)
        r = load_tree(c, root, prefix, env, e);
    if (r < 0)
        jd_conf_done(c);
    return r;
}

/* The file holds a private key and names a program that runs as root. */
static int check_file(struct jd_conf *c, int fd, const char *path, struct jl_err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return jl_fail_sys(e, "fstat", path, "configuration");
    if (!S_ISREG(st.st_mode))
        return jl_refuse(e, EINVAL, "configuration '%s' is not a file", path);
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 0022)) {
        jl_refuse(e, EPERM, "configuration '%s' can be changed by others than root", path);
        return jl_hint(e, "chown root '%s' and chmod 0600 it", path);
    }
    if ((st.st_mode & 0077) &&
        jl_strv_addf(&c->notes, "%s: mode %04o lets others read the private key: chmod 0600 it",
                     path, st.st_mode & 07777) < 0)
        return jl_fail(e, ENOMEM, "read the configuration");
    return 0;
}

static int open_conf(const char *file, const char *prefix, char *const *env, char **ret_path,
                     struct jl_err *e)
{
    const char *from_env = jl_env_get(env, "JOBLET_CONFIG_PATH");
    char below[4200];
    const char *const places[] = { below, "./config/joblet-config.yml", "./joblet-config.yml",
                                   "/etc/joblet/joblet-config.yml" };
    int fd;

    if (!file && from_env && *from_env != '\0')
        file = from_env;
    if (file) {
        fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            return jl_fail_sys(e, "open", file, "configuration");
        *ret_path = strdup(file);
        return fd;
    }
    snprintf(below, sizeof below, "%s/config/joblet-config.yml",
             prefix ? prefix : JD_DEFAULT_PREFIX);
    for (size_t i = 0; i < JL_COUNT(places); i++) {
        fd = open(places[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
            return jl_fail_sys(e, "open", places[i], "configuration");
        if (fd >= 0) {
            *ret_path = strdup(places[i]);
            return fd;
        }
    }
    return -1;
}

int jd_conf_load(struct jd_conf *c, const char *file, const char *prefix, char *const *env,
                 struct jl_err *e)
{
    _yaml_ struct jl_yaml *root = NULL;
    _close_ int fd = -1;
    int r = 0;

    *c = (struct jd_conf){ 0 };
    jl_err_clear(e);
    fd = open_conf(file, prefix, env, &c->file, e);
    if (fd < 0 && e->code)
        return -e->code;
    if (fd >= 0) {
        if (!c->file)
            r = jl_fail(e, ENOMEM, "read the configuration");
        if (r == 0)
            r = check_file(c, fd, c->file, e);
        if (r == 0)
            r = jl_yaml_load_fd(fd, c->file, &jl_yaml_limits_config, &root, e);
    } else if (jl_strv_add(&c->notes, "no configuration file found: built-in defaults") < 0) {
        r = jl_fail(e, ENOMEM, "read the configuration");
    }
    if (r == 0)
        r = load_tree(c, root, prefix, env, e);
    if (r < 0)
        jd_conf_done(c);
    return r;
}
