/* test_runtime_plan.c - which steps a configuration leads to, and in which order. */
#include "tests/unit/unit.h"

#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "runtime/plan.h"
#include "runtime/unit.h"

static struct rt_spec *spec;
static struct rt_plan plan;

#define HEAD "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"/r\",\"readonly\":true},"
#define PROCESS "\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]}"

static void build(const char *text, const struct rt_plan_opts *opts)
{
    struct jl_err e = JL_ERR_INIT;

    rt_spec_free(spec);
    spec = NULL;
    rt_plan_clear(&plan);
    if (rt_spec_from_text("/b", text, strlen(text), &spec, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(rt_plan_build(spec, opts, &plan, &e), 0);
}

static int finish(void **state)
{
    (void) state;
    rt_spec_free(spec);
    spec = NULL;
    rt_plan_clear(&plan);
    return 0;
}

/* Where the step stands, -1 when it is not there. */
static int at(enum rt_op op)
{
    for (size_t i = 0; i < plan.n; i++)
        if (plan.steps[i].op == op)
            return (int) i;
    return -1;
}

#define assert_order(a, b)                                                                         \
    do {                                                                                           \
        assert_int_not_equal(at(a), -1);                                                           \
        assert_int_not_equal(at(b), -1);                                                           \
        assert_true(at(a) < at(b));                                                                \
    } while (0)

static void the_record_comes_before_everything(void **state)
{
    struct rt_plan_opts o = { .cgroup = "x" };

    (void) state;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_int_equal(plan.steps[0].op, RT_OP_RECORD);
}

static void limits_hold_before_there_is_a_process(void **state)
{
    struct rt_plan_opts o = { .cgroup = "x" };

    (void) state;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_order(RT_OP_CGROUP_LIMITS, RT_OP_CLONE);
    o.cgroup = NULL;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_int_equal(at(RT_OP_CGROUP_MAKE), -1);
    assert_int_equal(at(RT_OP_CGROUP_JOIN), -1);
}

/* On v1 it goes into its group by itself, and systemd has to be kept from finding that empty. */
static void the_place_in_a_unit_is_held_until_somebody_is_inside(void **state)
{
    struct rt_unit unit = { .name = "a.scope", .v1 = true };
    struct rt_plan_opts o = { .unit = &unit };

    (void) state;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_order(RT_OP_UNIT_START, RT_OP_CLONE);
    assert_order(RT_OP_CLONE, RT_OP_UNIT_ATTACH);
    assert_order(RT_OP_UNIT_ATTACH, RT_OP_UNIT_RELEASE);
    assert_int_not_equal(at(RT_OP_CGROUP_JOIN), -1);
    unit.v1 = false; /* born there */
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_int_equal(at(RT_OP_UNIT_ATTACH), -1);
}

static void the_process_is_placed_where_it_is_joined_and_before_it_loses_its_rights(void **state)
{
    struct rt_plan_opts o = { .cgroup = "x" };

    (void) state;
    build(HEAD "\"process\":{\"cwd\":\"/\",\"args\":[\"true\"],\"ioPriority\":{\"class\":"
               "\"IOPRIO_CLASS_BE\",\"priority\":1}},"
               "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],"
               "\"personality\":{\"domain\":\"LINUX32\"}}}",
          &o);
    assert_order(RT_OP_CGROUP_JOIN, RT_OP_AFFINITY);
    assert_order(RT_OP_AFFINITY, RT_OP_DOMAIN);
    assert_order(RT_OP_DOMAIN, RT_OP_PROCESS);
    assert_order(RT_OP_SCHED, RT_OP_PROCESS);
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_int_equal(at(RT_OP_DOMAIN), -1);
    assert_int_equal(at(RT_OP_SCHED), -1);
}

static void the_group_is_joined_before_its_namespace_is_made(void **state)
{
    struct rt_plan_opts o = { .cgroup = "x" };

    (void) state;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"cgroup\"}]}}",
          &o);
    assert_order(RT_OP_CGROUP_JOIN, RT_OP_NS_UNSHARE);
}

static void a_user_namespace_is_mapped_before_the_child_goes_on(void **state)
{
    struct rt_plan_opts o = { .cgroup = "x" };

    (void) state;
    build(
        HEAD PROCESS
        ",\"mounts\":[{\"destination\":\"/s\",\"source\":\"/s\",\"options\":[\"bind\",\"idmap\"]}]"
        ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"user\"}],"
        "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}],"
        "\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]}}",
        &o);
    assert_order(RT_OP_IDMAP_WRITE, RT_OP_BIND_IDMAP);
    assert_order(RT_OP_BIND_IDMAP, RT_OP_MAPPED);
    assert_order(RT_OP_MAP_WAIT, RT_OP_ROOTFS_ATTACH);
}

static void masks_and_read_only_paths_come_after_all_mounts(void **state)
{
    struct rt_plan_opts o = { .cgroup = "x" };

    (void) state;
    build(HEAD PROCESS
          ",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\"},"
          "{\"destination\":\"/dev\",\"type\":\"tmpfs\"}],"
          "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}],\"maskedPaths\":[\"/proc/kcore\"],"
          "\"readonlyPaths\":[\"/proc/sys\"]}}",
          &o);
    assert_order(RT_OP_MOUNT, RT_OP_DEVICES);
    assert_order(RT_OP_DEVICES, RT_OP_READONLY);
    assert_order(RT_OP_READONLY, RT_OP_MASK);
    assert_order(RT_OP_MASK, RT_OP_PIVOT);
    assert_order(RT_OP_PIVOT, RT_OP_ROOTFS_SEAL);
}

static void a_bound_dev_is_found_behind_dots(void **state)
{
    static const char *const same[] = { "/x/../dev", "../dev/.", "/dev/../dev", "/../dev/x/.." };
    static const char *const others[] = { "/dev/..", "/dev/../x", "/x/dev", "/devs" };
    struct rt_plan_opts o = { 0 };
    char text[512];

    (void) state;
    for (size_t k = 0; k < 8; k++) {
        snprintf(text, sizeof text,
                 HEAD PROCESS ",\"mounts\":[{\"destination\":\"%s\",\"source\":\"/dev\","
                              "\"options\":[\"rbind\"]}],"
                              "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
                 k < 4 ? same[k] : others[k - 4]);
        build(text, &o);
        assert_int_equal(at(RT_OP_DEVICES) == -1, k < 4);
        finish(state);
    }
}

static void a_bound_dev_is_left_alone(void **state)
{
    struct rt_plan_opts o = { 0 };

    (void) state;
    build(HEAD PROCESS
          ",\"mounts\":[{\"destination\":\"/dev\",\"source\":\"/dev\",\"options\":[\"rbind\"]}],"
          "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
          &o);
    assert_int_equal(at(RT_OP_DEVICES), -1);
    assert_int_equal(at(RT_OP_DEV_LINKS), -1);
}

static void hooks_of_the_runtime_run_between_mounts_and_pivot(void **state)
{
    struct rt_plan_opts o = { 0 };

    (void) state;
    build(
        HEAD PROCESS
        ",\"mounts\":[{\"destination\":\"/proc\",\"type\":\"proc\"}],"
        "\"hooks\":{\"createRuntime\":[{\"path\":\"/h\"}],\"createContainer\":[{\"path\":\"/h\"}]},"
        "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
        &o);
    assert_order(RT_OP_MOUNT, RT_OP_HOOKS_ASK);
    assert_order(RT_OP_HOOKS_ASK, RT_OP_HOOKS_CONTAINER);
    assert_order(RT_OP_HOOKS_CONTAINER, RT_OP_PIVOT);
    assert_order(RT_OP_PID_RECORD, RT_OP_HOOKS_RUNTIME);
}

static void nothing_is_done_that_was_not_asked_for(void **state)
{
    static const enum rt_op absent[] = { RT_OP_SECCOMP_BUILD, RT_OP_NS_OPEN,      RT_OP_BIND_OPEN,
                                         RT_OP_IDMAP_WRITE,   RT_OP_MAPPED,       RT_OP_MAP_WAIT,
                                         RT_OP_HOOKS_RUNTIME, RT_OP_HOOKS_ASK,    RT_OP_NS_UNSHARE,
                                         RT_OP_LOOPBACK,      RT_OP_HOSTNAME,     RT_OP_SYSCTL,
                                         RT_OP_TERMINAL,      RT_OP_START_LISTEN, RT_OP_OOM_SCORE };
    struct rt_plan_opts o = { .no_new_keyring = true };

    (void) state;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_int_equal(at(absent[i]), -1);
    assert_int_equal(at(RT_OP_KEYRING), -1);
}

static void an_ordinary_users_child_opens_the_sources(void **state)
{
    struct rt_plan_opts o = { .open_inside = true };

    (void) state;
    build(HEAD PROCESS
          ",\"mounts\":[{\"destination\":\"/s\",\"source\":\"/s\",\"options\":[\"bind\"]}],"
          "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}",
          &o);
    assert_int_equal(at(RT_OP_ROOTFS_OPEN), -1);
    assert_int_equal(at(RT_OP_BIND_OPEN), -1);
    assert_order(RT_OP_ROOTFS_OPEN_INSIDE, RT_OP_BIND_OPEN_INSIDE);
    assert_order(RT_OP_BIND_OPEN_INSIDE, RT_OP_ROOTFS_ATTACH);
}

static void the_child_ends_with_the_program(void **state)
{
    struct rt_plan_opts o = { .wait_for_start = true };

    (void) state;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_int_equal(plan.steps[plan.n - 1].op, RT_OP_EXEC);
    assert_order(RT_OP_PROCESS, RT_OP_START_WAIT);
    assert_order(RT_OP_START_LISTEN, RT_OP_CLONE);
}

static void a_plan_prints_one_line_a_step(void **state)
{
    struct rt_plan_opts o = { .cgroup = "a/b" };
    _buf_ struct jl_buf out = JL_BUF_INIT(65536);
    size_t lines = 0;

    (void) state;
    build(HEAD PROCESS ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}", &o);
    assert_int_equal(rt_plan_print(&plan, spec, &o, &out), 0);
    for (size_t i = 0; i < out.len; i++)
        lines += out.data[i] == '\n';
    assert_int_equal(lines, plan.n);
    assert_non_null(strstr(out.data, "before cgroup-make a/b\n"));
    assert_non_null(strstr(out.data, "before clone mount\n"));
    assert_non_null(strstr(out.data, "child  exec true\n"));
}

UNIT_MAIN(cmocka_unit_test_teardown(the_record_comes_before_everything, finish),
          cmocka_unit_test_teardown(limits_hold_before_there_is_a_process, finish),
          cmocka_unit_test_teardown(the_place_in_a_unit_is_held_until_somebody_is_inside, finish),
          cmocka_unit_test_teardown(
              the_process_is_placed_where_it_is_joined_and_before_it_loses_its_rights, finish),
          cmocka_unit_test_teardown(the_group_is_joined_before_its_namespace_is_made, finish),
          cmocka_unit_test_teardown(a_user_namespace_is_mapped_before_the_child_goes_on, finish),
          cmocka_unit_test_teardown(masks_and_read_only_paths_come_after_all_mounts, finish),
          cmocka_unit_test_teardown(a_bound_dev_is_left_alone, finish),
          cmocka_unit_test_teardown(a_bound_dev_is_found_behind_dots, finish),
          cmocka_unit_test_teardown(hooks_of_the_runtime_run_between_mounts_and_pivot, finish),
          cmocka_unit_test_teardown(nothing_is_done_that_was_not_asked_for, finish),
          cmocka_unit_test_teardown(an_ordinary_users_child_opens_the_sources, finish),
          cmocka_unit_test_teardown(the_child_ends_with_the_program, finish),
          cmocka_unit_test_teardown(a_plan_prints_one_line_a_step, finish))
