/* rnx/conf: which file, which node, which address. */
#include "rnx/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "unit.h"

static char dir[64];

static void put(const char *path, const char *text)
{
    _close_ int fd = -1;
    char *slash = strrchr(path, '/');
    struct jl_err e;

    if (slash) {
        char parent[128];

        snprintf(parent, sizeof parent, "%.*s", (int) (slash - path), path);
        assert_int_equal(jl_mkdir_p(parent, 0700, &e), 0);
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(jl_write_all(fd, text, strlen(text)), 0);
}

static int setup(void **state)
{
    char home[80];

    (void) state;
    snprintf(dir, sizeof dir, "/tmp/rnx-conf-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir) < 0)
        return -1;
    snprintf(home, sizeof home, "%s/home", dir);
    setenv("HOME", home, 1);
    unsetenv("RNX_CONFIG");
    unsetenv("RNX_NODE");
    unsetenv("RNX_SERVER");
    return 0;
}

static int teardown(void **state)
{
    struct jl_err e;

    (void) state;
    return chdir("/") < 0 || jl_remove_tree_at(AT_FDCWD, dir, &e) < 0;
}

static void finds(const char *flag, const char *want)
{
    char path[RNX_CONF_PATH_MAX];
    struct jl_err e = JL_ERR_INIT;

    if (rnx_conf_find(flag, path, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(path, want);
}

static void conf_is_found_in_the_documented_order(void **state)
{
    char path[RNX_CONF_PATH_MAX], home_file[128];
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(rnx_conf_find("none.yml", path, &e), -ENOENT);
    assert_non_null(strstr(e.text, "none.yml"));
    snprintf(home_file, sizeof home_file, "%s/home/.rnx/rnx-config.yml", dir);
    put("home/.rnx/rnx-config.yml", "x");
    finds(NULL, home_file);
    put("config/rnx-config.yml", "x");
    finds(NULL, "./config/rnx-config.yml");
    put("rnx-config.yml", "x");
    finds(NULL, "./rnx-config.yml");
    setenv("RNX_CONFIG", "none.yml", 1);
    finds(NULL, "./rnx-config.yml");
    put("env.yml", "x");
    setenv("RNX_CONFIG", "env.yml", 1);
    finds(NULL, "env.yml");
    put("flag.yml", "x");
    finds("flag.yml", "flag.yml");
    finds("", "env.yml");
}

static void choose(const struct rnx_conf *c, const char *flag, const char *node,
                   const char *address)
{
    const struct rnx_node *n = NULL;
    struct jl_err e = JL_ERR_INIT;
    char at[300];

    if (rnx_conf_choose(c, flag, &n, at, sizeof at, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(n->name, node);
    assert_string_equal(at, address);
}

static void conf_chooses_node_and_address(void **state)
{
    struct rnx_conf c;
    struct jl_err e = JL_ERR_INIT;
    const struct rnx_node *n;
    char at[300];

    (void) state;
    put("c.yml", "version: '3.0'\ntimeout: 5s\nnodes:\n  default: {address: 'one:1'}\n"
                 "  two: {address: two}\n  six: {address: '[2001:db8::1]:7', nodeId: ~}\n"
                 "  bare: {address: '::1'}\n");
    assert_int_equal(rnx_conf_load("c.yml", &c, &e), 0);
    assert_false(c.world_readable);
    assert_int_equal(c.timeout_ns, 5 * JL_NS_PER_S);
    assert_string_equal(c.nodes[0].name, "bare"); /* sorted */
    choose(&c, NULL, "default", "one:1");
    choose(&c, "two", "two", "two:50051");
    choose(&c, "six", "six", "[2001:db8::1]:7");
    choose(&c, "bare", "bare", "[::1]:50051");
    setenv("RNX_NODE", "two", 1);
    choose(&c, NULL, "two", "two:50051");
    choose(&c, "default", "default", "one:1");
    setenv("RNX_SERVER", "10.0.0.1", 1);
    choose(&c, "default", "default", "10.0.0.1:1"); /* the node's port */
    choose(&c, "two", "two", "10.0.0.1:50051");
    setenv("RNX_SERVER", "10.0.0.1:99", 1);
    choose(&c, "default", "default", "10.0.0.1:99");
    unsetenv("RNX_NODE");
    setenv("RNX_SERVER", "two", 1); /* the host of a node: that node's certificates */
    choose(&c, NULL, "two", "two:50051");
    setenv("RNX_SERVER", "unheard-of", 1);
    choose(&c, NULL, "default", "unheard-of:1");
    assert_int_equal(rnx_conf_choose(&c, "three", &n, at, sizeof at, &e), -ENOENT);
    assert_non_null(strstr(e.text, "'three' not found in configuration c.yml"));
    rnx_conf_done(&c);
}

static void conf_default_node_of_the_file(void **state)
{
    struct rnx_conf c;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    put("c.yml", "default_node: b\nnodes:\n  a: {address: a}\n  b: {address: b}\n");
    assert_int_equal(rnx_conf_load("c.yml", &c, &e), 0);
    choose(&c, NULL, "b", "b:50051");
    rnx_conf_done(&c);
}

static void conf_says_who_can_read_it(void **state)
{
    static const struct {
        mode_t mode;
        bool warn;
    } table[] = { { 0600, false }, { 0400, false }, { 0640, false },
                  { 0644, true },  { 0620, true },  { 0602, true } };
    struct rnx_conf c;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    put("c.yml", "nodes:\n  a: {address: a}\n");
    for (size_t i = 0; i < JL_COUNT(table); i++) {
        assert_int_equal(chmod("c.yml", table[i].mode), 0);
        if (rnx_conf_load("c.yml", &c, &e) < 0) /* not root: 0400 only */
            continue;
        assert_int_equal(c.world_readable, table[i].warn);
        rnx_conf_done(&c);
    }
}

static void bad(const char *text, const char *want)
{
    struct rnx_conf c;
    struct jl_err e = JL_ERR_INIT;

    put("c.yml", text);
    assert_true(rnx_conf_load("c.yml", &c, &e) < 0);
    if (!strstr(e.text, want))
        fail_msg("'%s' does not say '%s'", e.text, want);
}

static void conf_refusals_have_a_place(void **state)
{
    (void) state;
    bad("", "no node");
    bad("nodes:\n", "no node");
    bad("nodes: [a]\n", "c.yml:1:8: nodes: expected a map");
    bad("nodes:\n  a: word\n", "c.yml:2:6: nodes.a: a node is a map");
    bad("nodes:\n  a: {cert: x}\n", "has no address");
    bad("nodes:\n  a: {address: [x]}\n", "nodes.a.address: expected one value");
    bad("nodes:\n  a: {address: x}\nkeepalive: 3s\n", "c.yml:3:1: unknown key 'keepalive'");
    bad("timeout: 3\nnodes: {a: {address: x}}\n", "timeout");
}

static void address_is_split(void **state)
{
    static const struct {
        const char *in, *host, *port; /* host NULL: refused */
    } table[] = {
        { "h", "h", "" },        { "h:1", "h", "1" },
        { "[::1]", "::1", "" },  { "[::1]:65535", "::1", "65535" },
        { "::1", "::1", "" },    { "fe80::1:2", "fe80::1:2", "" },
        { "", NULL, "" },        { ":1", NULL, "" },
        { "h:", NULL, "" },      { "h:0", NULL, "" },
        { "h:65536", NULL, "" }, { "h:x", NULL, "" },
        { "[::1", NULL, "" },    { "[::1]x", NULL, "" },
        { "a:b:c", NULL, "" },   { "[]:1", NULL, "" },
    };
    char host[64], port[8];

    (void) state;
    for (size_t i = 0; i < JL_COUNT(table); i++) {
        int r = rnx_split_address(table[i].in, host, sizeof host, port, sizeof port);

        if (!table[i].host) {
            if (r != -EINVAL)
                fail_msg("'%s' was taken", table[i].in);
            continue;
        }
        assert_int_equal(r, 0);
        assert_string_equal(host, table[i].host);
        assert_string_equal(port, table[i].port);
    }
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(conf_is_found_in_the_documented_order, setup, teardown),
          cmocka_unit_test_setup_teardown(conf_chooses_node_and_address, setup, teardown),
          cmocka_unit_test_setup_teardown(conf_default_node_of_the_file, setup, teardown),
          cmocka_unit_test_setup_teardown(conf_says_who_can_read_it, setup, teardown),
          cmocka_unit_test_setup_teardown(conf_refusals_have_a_place, setup, teardown),
          cmocka_unit_test(address_is_split))
