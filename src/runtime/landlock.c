/* landlock.c - see landlock.h. */
#include "runtime/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "os/openat2.h"

/* linux/landlock.h, whose older versions lack some */
#define FS_EXECUTE (1u << 0)
#define FS_WRITE_FILE (1u << 1)
#define FS_READ_FILE (1u << 2)
#define FS_READ_DIR (1u << 3)
#define FS_CHANGE_DIR 0x1ff0u /* removing, and making of each type */
#define FS_REFER (1u << 13)
#define FS_TRUNCATE (1u << 14)
#define FS_IOCTL_DEV (1u << 15)
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_BIND_TCP 1u
#define NET_CONNECT_TCP 2u
#define SCOPE_ABSTRACT_UNIX 1u
#define SCOPE_SIGNAL 2u
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2
#define CREATE_RULESET_VERSION 1u

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

struct path_attr {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

struct port_attr {
    uint64_t allowed, port;
};

static const struct {
    const char *key;
    uint32_t rights;
    int abi; /* since which version all of them can be restricted */
} kinds[RT_LL_PATHS] = {
    [RT_LL_READ] = { "read", FS_READ_FILE | FS_READ_DIR, 1 },
    [RT_LL_WRITE] = { "write", FS_WRITE_FILE | FS_CHANGE_DIR | FS_REFER | FS_TRUNCATE, 3 },
    [RT_LL_EXECUTE] = { "execute", FS_EXECUTE, 1 },
    [RT_LL_IOCTL] = { "ioctlDevices", FS_IOCTL_DEV, 5 },
};

static int bad(struct jl_err *e, const char *key, const char *what)
{
    return jl_refuse(e, EINVAL, "%s: %s", key, what);
}

static int take_list(const struct jl_json *v, struct jl_err *e)
{
    if (v->kind != JL_JSON_ARRAY)
        return bad(e, v->key, "is not an array");
    if (v->len > RT_LANDLOCK_RULES_MAX)
        return jl_refuse(e, E2BIG, "%s: has %u entries, at most %d are possible", v->key, v->len,
                         RT_LANDLOCK_RULES_MAX);
    return 0;
}

static int take_paths(const struct jl_json *v, enum rt_landlock_kind kind, struct rt_landlock *l,
                      struct jl_err *e)
{
    int r = take_list(v, e);

    l->given[kind] = true;
    if (r < 0)
        return r;
    JL_JSON_FOREACH(item, v)
    {
        const char *path = jl_json_str(item);

        if (!path || *path != '/' || strlen(path) >= PATH_MAX)
            return bad(e, v->key, "an entry is not an absolute path");
        if (jl_strv_add(&l->paths[kind], path) < 0)
            return jl_fail(e, ENOMEM, "%s", v->key);
    }
    return 0;
}

static int take_ports(const struct jl_json *v, struct rt_landlock_ports *ports, struct jl_err *e)
{
    int r = take_list(v, e);

    ports->given = true;
    if (r < 0)
        return r;
    ports->items = calloc(v->len + 1, sizeof *ports->items);
    if (!ports->items)
        return jl_fail(e, ENOMEM, "%s", v->key);
    JL_JSON_FOREACH(item, v)
    {
        uint64_t port;

        if (jl_json_u64(item, UINT16_MAX, &port) < 0)
            return bad(e, v->key, "an entry is not a port from 0 to 65535");
        ports->items[ports->n++] = (uint16_t) port;
    }
    return 0;
}

static int take_scopes(const struct jl_json *v, struct rt_landlock *l, struct jl_err *e)
{
    int r = take_list(v, e);

    if (r < 0)
        return r;
    if (v->len == 0)
        return bad(e, v->key, "is empty");
    JL_JSON_FOREACH(item, v)
    {
        const char *word = jl_json_str(item);

        if (word && strcmp(word, "signal") == 0)
            l->scope_signal = true;
        else if (word && strcmp(word, "abstractUnixSocket") == 0)
            l->scope_unix = true;
        else
            return bad(e, v->key, "allowed are \"signal\" and \"abstractUnixSocket\"");
    }
    return 0;
}

static int take_member(const struct jl_json *v, struct rt_landlock *l, struct jl_err *e)
{
    for (unsigned k = 0; k < RT_LL_PATHS; k++)
        if (strcmp(v->key, kinds[k].key) == 0)
            return take_paths(v, (enum rt_landlock_kind) k, l, e);
    if (strcmp(v->key, "bindTcp") == 0)
        return take_ports(v, &l->bind, e);
    if (strcmp(v->key, "connectTcp") == 0)
        return take_ports(v, &l->connect, e);
    if (strcmp(v->key, "scope") == 0)
        return take_scopes(v, l, e);
    return bad(e, v->key,
               "is unknown; allowed are read, write, execute, ioctlDevices, bindTcp, "
               "connectTcp and scope");
}

int rt_landlock_parse(const char *text, size_t len, struct rt_landlock **ret, struct jl_err *e)
{
    struct jl_json *root = NULL;
    struct rt_landlock *l;
    int r = jl_json_parse(text, len, NULL, &root, e);

    if (r < 0)
        return r;
    l = calloc(1, sizeof *l);
    if (!l)
        r = jl_fail(e, ENOMEM, "parse the rules");
    else if (root->kind != JL_JSON_OBJECT || root->len == 0)
        r = jl_refuse(e, EINVAL, "is not an object with at least one member");
    if (r == 0) {
        JL_JSON_FOREACH(member, root)
        {
            r = take_member(member, l, e);
            if (r < 0)
                break;
        }
    }
    jl_json_free(root);
    if (r < 0) {
        rt_landlock_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void rt_landlock_free(struct rt_landlock *l)
{
    if (!l)
        return;
    for (unsigned k = 0; k < RT_LL_PATHS; k++)
        jl_strv_clear(&l->paths[k]);
    free(l->bind.items);
    free(l->connect.items);
    free(l);
}

int rt_landlock_abi(const struct rt_landlock *l)
{
    int abi = 1;

    for (unsigned k = 0; k < RT_LL_PATHS; k++)
        if (l->given[k] && kinds[k].abi > abi)
            abi = kinds[k].abi;
    if ((l->bind.given || l->connect.given) && abi < 4)
        abi = 4;
    return l->scope_signal || l->scope_unix ? 6 : abi;
}

static int check_kernel(const struct rt_landlock *l, struct jl_err *e)
{
    static const char *const since[] = { "", "5.13", "5.19", "6.2", "6.7", "6.10", "6.12" };
    int need = rt_landlock_abi(l);
    long have = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

    if (have >= need)
        return 0;
    if (have < 0) {
        jl_refuse(e, ENOTSUP, "this kernel has no Landlock, or it is not enabled");
        return jl_hint(e, "boot with lsm=landlock,..., or leave the annotation away");
    }
    jl_refuse(e, ENOTSUP, "needs version %d of the kernel's Landlock, this one has %ld", need,
              have);
    return jl_hint(e, "it is there since Linux %s; nothing of it is left out", since[need]);
}

static int add_path(int ruleset, int root, const char *path, uint32_t rights, struct jl_err *e)
{
    _close_ int fd = os_open_in_root(root, path, O_PATH);
    struct path_attr attr = { .allowed = rights, .parent_fd = fd };
    struct stat st;

    if (fd < 0)
        return jl_fail(e, -fd, "open '%s'", path);
    if (fstat(fd, &st) < 0)
        return jl_fail_sys(e, "fstat", path, "look at '%s'", path);
    if (!S_ISDIR(st.st_mode))
        attr.allowed &= FS_OF_FILES;
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &attr, 0) < 0)
        return jl_fail_sys(e, "landlock_add_rule", path, "allow '%s'", path);
    return 0;
}

static int add_ports(int ruleset, const struct rt_landlock_ports *ports, uint32_t right,
                     struct jl_err *e)
{
    for (size_t i = 0; i < ports->n; i++) {
        struct port_attr attr = { .allowed = right, .port = ports->items[i] };

        if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &attr, 0) < 0)
            return jl_fail_sys(e, "landlock_add_rule", NULL, "allow TCP port %u", ports->items[i]);
    }
    return 0;
}

static int add_rules(int ruleset, const struct rt_landlock *l, struct jl_err *e)
{
    _close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int r = root < 0 ? jl_fail_sys(e, "open", "/", "open the root") : 0;

    for (unsigned k = 0; k < RT_LL_PATHS && r == 0; k++)
        for (size_t i = 0; i < l->paths[k].len && r == 0; i++) {
            r = add_path(ruleset, root, l->paths[k].items[i], kinds[k].rights, e);
            if (r < 0)
                return jl_wrap(e, "%s", kinds[k].key);
        }
    if (r == 0)
        r = add_ports(ruleset, &l->bind, NET_BIND_TCP, e);
    if (r == 0)
        r = add_ports(ruleset, &l->connect, NET_CONNECT_TCP, e);
    return r;
}

int rt_landlock_ruleset(const struct rt_landlock *l, struct jl_err *e)
{
    struct ruleset_attr attr = {
        .net = (l->bind.given ? NET_BIND_TCP : 0) | (l->connect.given ? NET_CONNECT_TCP : 0),
        .scoped = (l->scope_signal ? SCOPE_SIGNAL : 0) | (l->scope_unix ? SCOPE_ABSTRACT_UNIX : 0),
    };
    _close_ int fd = -1;

    for (unsigned k = 0; k < RT_LL_PATHS; k++)
        if (l->given[k])
            attr.fs |= kinds[k].rights;
    if (check_kernel(l, e) < 0)
        return jl_wrap(e, "annotations." RT_ANNOTATION_LANDLOCK);
    fd = (int) syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (fd < 0)
        return jl_fail_sys(e, "landlock_create_ruleset", NULL,
                           "annotations." RT_ANNOTATION_LANDLOCK);
    if (add_rules(fd, l, e) < 0)
        return jl_wrap(e, "annotations." RT_ANNOTATION_LANDLOCK);
    return jl_take_fd(&fd);
}

int rt_landlock_enforce(int ruleset_fd, struct jl_err *e)
{
    if (syscall(SYS_landlock_restrict_self, ruleset_fd, 0) < 0)
        return jl_fail_sys(e, "landlock_restrict_self", NULL,
                           "annotations." RT_ANNOTATION_LANDLOCK);
    return 0;
}
