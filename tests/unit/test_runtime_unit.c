/* test_runtime_unit.c - names of systemd units, their properties, and the request for one. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "os/cgroup.h"
#include "runtime/spec.h"
#include "runtime/unit.h"

static struct jl_err e;

static void name_is(const char *path, bool user, const char *slice, const char *name)
{
    struct rt_unit u;

    if (rt_unit_name(path, "c+1", user, &u, &e) < 0)
        fail_msg("'%s': %s", path ? path : "", e.text);
    assert_string_equal(u.slice, slice);
    assert_string_equal(u.name, name);
}

static void name_is_refused(const char *path)
{
    struct rt_unit u;

    if (rt_unit_name(path, "c1", false, &u, &e) == 0)
        fail_msg("'%s' became %s in %s", path, u.name, u.slice);
    assert_non_null(strstr(e.text, "linux.cgroupsPath"));
}

static void a_path_names_slice_and_scope(void **state)
{
    char longer[600];

    (void) state;
    name_is("machine.slice:libpod:1f2e", false, "machine.slice", "libpod-1f2e.scope");
    name_is("a-b.slice:p:n", true, "a-b.slice", "p-n.scope");
    name_is(":p:n", false, "system.slice", "p-n.scope");
    name_is(":p:n", true, "user.slice", "p-n.scope");
    name_is("-.slice::n", false, "-.slice", "n.scope");
    name_is(NULL, false, "system.slice", "joblet-c\\x2b1.scope");
    name_is("", true, "user.slice", "joblet-c\\x2b1.scope");
    name_is("s.slice:p:a/b@c", false, "s.slice", "p-a\\x2fb\\x40c.scope");
    name_is_refused("/a/b");
    name_is_refused("a:b");
    name_is_refused("a.slice:b:c:d");
    name_is_refused("a.slice:b:");
    name_is_refused("a:b:c");
    name_is_refused("a/b.slice:b:c");
    name_is_refused(".slice:b:c");
    name_is_refused("a--b.slice:b:c");
    name_is_refused("-a.slice:b:c");
    memset(longer, 'x', sizeof longer);
    memcpy(longer, ":p:", 3);
    longer[sizeof longer - 1] = '\0';
    name_is_refused(longer);
    memcpy(longer, "::x", 3);
    name_is_refused(longer);
}

static void value_is(const char *text, const char *type, const char *first, size_t n)
{
    _strv_ struct jl_strv v = JL_STRV_INIT;
    char got[3];

    if (rt_unit_value(text, got, &v) < 0)
        fail_msg("%s", text);
    assert_string_equal(got, type);
    assert_int_equal(v.len, n);
    if (n > 0)
        assert_string_equal(v.items[0], first);
}

static void annotations_have_gvariants_values(void **state)
{
    static const char *const bad[] = { "",          "word",   "'a",        "['a'",  "['a' 'b']",
                                       "true x",    "uint64", "uint64 -1", "12x",   "[1]",
                                       "uint64 'a", "--1",    "[,]",       "'a' b", "{}" };

    (void) state;
    value_is("true", "b", "true", 1);
    value_is(" 5 ", "i", "5", 1);
    value_is("-5", "i", "-5", 1);
    value_is("uint64 5000000", "t", "5000000", 1);
    value_is("uint32 7", "u", "7", 1);
    value_is("'a b'", "s", "a b", 1);
    value_is("\"a'b\"", "s", "a'b", 1);
    value_is("'a\\'b'", "s", "a'b", 1);
    value_is("['a.service', 'b.service']", "as", "a.service", 2);
    value_is("@as []", "as", NULL, 0);
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        _strv_ struct jl_strv v = JL_STRV_INIT;
        char type[3];

        if (rt_unit_value(bad[i], type, &v) == 0)
            fail_msg("'%s' was taken as %s", bad[i], type);
    }
}

#define CONFIG(notes, resources)                                                                   \
    "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"/r\"},\"process\":{\"cwd\":\"/\",\"args\":["   \
    "\"true\"]},\"annotations\":{" notes "},\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"     \
    "\"resources\":{" resources "}}}"

static struct rt_spec *load(const char *text)
{
    struct rt_spec *s = NULL;

    if (rt_spec_from_text("/b", text, strlen(text), &s, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

static void properties_are_checked_before_anything_is_made(void **state)
{
    static const char *const bad[] = {
        CONFIG("\"org.systemd.property.PIDs\":\"[]\"", ""),
        CONFIG("\"org.systemd.property.Slice\":\"'a.slice'\"", ""),
        CONFIG("\"org.systemd.property.lower\":\"true\"", ""),
        CONFIG("\"org.systemd.property.Ti/me\":\"true\"", ""),
        CONFIG("\"org.systemd.property.After\":\"word\"", ""),
    };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        _rt_spec_ struct rt_spec *s = load(bad[i]);

        assert_int_equal(rt_unit_check_annotations(s, &e), -EINVAL);
        assert_non_null(strstr(e.text, "annotations.org.systemd.property."));
    }
}

static void a_request_has_limits_and_annotations(void **state)
{
    static const char *const parts[] = {
        "\"verb\":\"start\",\"unit\":\"p-n.scope\",\"user\":true",
        "[\"Slice\",\"s\",\"a.slice\"]",
        "[\"Delegate\",\"b\",\"true\"]",
        "[\"After\",\"as\",\"a.service\",\"b.service\"]",
        "[\"MemoryMax\",\"t\",\"1000000\"]",
        "[\"MemorySwapMax\",\"t\",\"500000\"]",
        "[\"CPUQuotaPerSecUSec\",\"t\",\"260000\"]", /* 25.5 % rounded up */
        "[\"CPUQuotaPeriodUSec\",\"t\",\"200000\"]",
        "[\"CPUWeight\",\"t\",\"100\"]",
        "[\"AllowedCPUs\",\"ay\",\"13\",\"2\"]",
        "[\"TasksMax\",\"t\",\"18446744073709551615\"]",
    };
    _rt_spec_ struct rt_spec *s = load(
        CONFIG("\"org.systemd.property.After\":\"['a.service', 'b.service']\"",
               "\"memory\":{\"limit\":1000000,\"swap\":1500000},\"pids\":{\"limit\":-1},"
               "\"cpu\":{\"shares\":1024,\"quota\":51000,\"period\":200000,\"cpus\":\"0,2-3,9\"}"));
    _buf_ struct jl_buf out = JL_BUF_INIT(65536);
    struct rt_unit u;

    (void) state;
    assert_int_equal(rt_unit_name("a.slice:p:n", "c", true, &u, &e), 0);
    assert_int_equal(rt_unit_request("start", &u, s, &s->limits, &out, &e), 0);
    for (size_t i = 0; i < JL_COUNT(parts); i++)
        if (!strstr(out.data, parts[i]))
            fail_msg("%s is not in %s", parts[i], out.data);
    assert_int_equal(out.data[out.len - 1], '\n');
    assert_ptr_equal(strchr(out.data, '\n'), out.data + out.len - 1);
}

/* The request for p-n.scope on cgroup v1. */
static void ask_on_v1(const char *config, const char *verb, struct jl_buf *out)
{
    _rt_spec_ struct rt_spec *s = load(config);
    bool start = strcmp(verb, "start") == 0;
    struct rt_unit u;

    rt_unit_of("p-n.scope", false, &u);
    u.v1 = true;
    assert_int_equal(rt_unit_check_devices(&u, &s->limits, &e), 0);
    assert_int_equal(rt_unit_request(verb, &u, start ? s : NULL, &s->limits, out, &e), 0);
}

static void on_v1_systemd_gets_limits_by_their_names_there_and_devices(void **state)
{
    static const char *const parts[] = {
        "[\"MemoryLimit\",\"t\",\"1000000\"]",
        "[\"CPUShares\",\"t\",\"512\"]",
        "[\"CPUQuotaPerSecUSec\",\"t\",\"500000\"]",
        "[\"BlockIOWeight\",\"t\",\"200\"]",
        "[\"TasksMax\",\"t\",\"5\"]",
        "[\"DevicePolicy\",\"s\",\"strict\"]",
        "[\"DeviceAllow\",\"a(ss)\"],[\"DeviceAllow\",\"a(ss)\",\"", /* those before are taken back */
        "\"/dev/char/10:200\",\"rwm\"",
        "\"/dev/block/8:1\",\"rm\"", /* with what the wildcard adds to it */
        "\"block-*\",\"m\"",
        "\"char-13\",\"rwm\"", /* nodes may be made of all */
    };
    /* of v2: one of them alone has systemd forget MemoryLimit */
    static const char *const others[] = { "MemoryMax",      "MemorySwapMax", "MemoryLow",
                                          "MemoryHigh",     "CPUWeight",     "\"IOWeight",
                                          "\"IOAccounting", "Allowed" };
    _buf_ struct jl_buf out = JL_BUF_INIT(65536);

    (void) state;
    ask_on_v1(CONFIG("", "\"memory\":{\"limit\":1000000,\"swap\":1500000,\"reservation\":5000},"
                         "\"pids\":{\"limit\":5},\"blockIO\":{\"weight\":200},"
                         "\"cpu\":{\"shares\":512,\"quota\":50000,\"cpus\":\"0\"},\"devices\":["
                         "{\"allow\":true,\"type\":\"c\",\"major\":10,\"minor\":200},"
                         "{\"allow\":true,\"type\":\"b\",\"major\":8,\"minor\":1,\"access\":\"r\"},"
                         "{\"allow\":true,\"type\":\"b\",\"access\":\"m\"},"
                         "{\"allow\":true,\"type\":\"c\",\"major\":13,\"access\":\"rw\"}]"),
              "start", &out);
    for (size_t i = 0; i < JL_COUNT(parts); i++)
        if (!strstr(out.data, parts[i]))
            fail_msg("%s is not in %s", parts[i], out.data);
    for (size_t i = 0; i < JL_COUNT(others); i++)
        if (strstr(out.data, others[i]))
            fail_msg("%s is in %s", others[i], out.data);
}

static void on_v1_a_container_may_have_all_devices(void **state)
{
    _buf_ struct jl_buf out = JL_BUF_INIT(65536);

    (void) state;
    ask_on_v1(CONFIG("", "\"devices\":[{\"allow\":true,\"access\":\"rwm\"}]"), "set", &out);
    assert_non_null(
        strstr(out.data, "[\"DevicePolicy\",\"s\",\"auto\"],[\"DeviceAllow\",\"a(ss)\"]]"));
}

static void on_v1_device_rules_that_systemd_cannot_have_are_refused(void **state)
{
    static const struct {
        const char *config, *says;
    } bad[] = {
        { CONFIG("", "\"devices\":[{\"allow\":true,\"access\":\"rwm\"},"
                     "{\"allow\":false,\"type\":\"b\",\"access\":\"w\"}]"),
          "all devices but some" },
        { CONFIG("", "\"devices\":[{\"allow\":true,\"type\":\"c\",\"minor\":7,\"access\":\"r\"}]"),
          "minor 7 of any major" },
        { CONFIG("", "\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":10,\"access\":\"r\"},"
                     "{\"allow\":false,\"type\":\"c\",\"major\":10,\"minor\":1,\"access\":\"r\"}]"),
          "cgroup v1 can't express" },
    };
    struct rt_unit u;

    (void) state;
    rt_unit_of("p-n.scope", false, &u);
    for (size_t i = 0; i < JL_COUNT(bad); i++) {
        _rt_spec_ struct rt_spec *s = load(bad[i].config);

        u.v1 = false; /* v2 takes them */
        assert_int_equal(rt_unit_check_devices(&u, &s->limits, &e), 0);
        u.v1 = true;
        assert_int_equal(rt_unit_check_devices(&u, &s->limits, &e), -ENOTSUP);
        if (!strstr(e.text, bad[i].says) || e.hint[0] == '\0')
            fail_msg("%s (%s)", e.text, e.hint);
    }
}

static void roots_podman_is_no_users(void **state)
{
    (void) state;
    if (geteuid() != 0)
        skip();
    setenv("_CONTAINERS_ROOTLESS_UID", "", 1);
    assert_false(rt_unit_is_users());
    setenv("_CONTAINERS_ROOTLESS_UID", "1000", 1);
    assert_true(rt_unit_is_users());
    unsetenv("_CONTAINERS_ROOTLESS_UID");
    assert_false(rt_unit_is_users());
}

static void what_is_at_sys_fs_cgroup_tells_what_systemd_manages(void **state)
{
    struct os_cgroup_host v2 = { .mode = OS_CGROUP_V2, .unified = "/sys/fs/cgroup" },
                          beside = { .mode = OS_CGROUP_HYBRID, .unified = "/sys/fs/cgroup" },
                          hybrid = { .mode = OS_CGROUP_HYBRID,
                                     .unified = "/sys/fs/cgroup/unified" },
                          v1 = { .mode = OS_CGROUP_V1 };

    (void) state;
    assert_false(rt_unit_is_v1(&v2));
    assert_false(rt_unit_is_v1(&beside)); /* somebody mounted net_cls, say */
    assert_true(rt_unit_is_v1(&hybrid));
    assert_true(rt_unit_is_v1(&v1));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_names_slice_and_scope),
        cmocka_unit_test(annotations_have_gvariants_values),
        cmocka_unit_test(properties_are_checked_before_anything_is_made),
        cmocka_unit_test(a_request_has_limits_and_annotations),
        cmocka_unit_test(on_v1_systemd_gets_limits_by_their_names_there_and_devices),
        cmocka_unit_test(on_v1_a_container_may_have_all_devices),
        cmocka_unit_test(on_v1_device_rules_that_systemd_cannot_have_are_refused),
        cmocka_unit_test(roots_podman_is_no_users),
        cmocka_unit_test(what_is_at_sys_fs_cgroup_tells_what_systemd_manages),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
