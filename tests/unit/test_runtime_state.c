/* test_runtime_state.c - a container's record survives whatever happens to its writer. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/strv.h"
#include "runtime/state.h"

static char dir[] = "/tmp/test_runtime_state.XXXXXX";
static int root = -1;
static struct jl_err e;

static int start(void **state)
{
    (void) state;
    snprintf(dir, sizeof dir, "/tmp/test_runtime_state.XXXXXX");
    if (!mkdtemp(dir))
        return -1;
    root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    jl_err_clear(&e);
    return root < 0;
}

static int finish(void **state)
{
    (void) state;
    root = jl_close(root);
    return jl_remove_tree_at(AT_FDCWD, dir, &e) < 0;
}

/* As create fills it; the strings are the state's own. */
static void fill(struct rt_state *s, const char *id, const char *config)
{
    *s = (struct rt_state) RT_STATE_INIT;
    s->id = strdup(id);
    s->bundle = strdup("/b");
    s->rootfs = strdup("/b/rootfs");
    s->cgroup = strdup("a/b");
    s->oci_version = strdup("1.2.0");
    s->created = strdup("2026-01-02T03:04:05Z");
    s->own_pid_ns = true;
    s->rdt = strdup("class");
    s->rdt_monitor = true;
    s->owner = 7;
    s->config = strdup(config);
    s->config_len = strlen(config);
    assert_int_equal(oci_kv_add(&s->annotations, &s->n_annotations, "k", "v \"x\""), 0);
}

static void ids_name_directories_and_nothing_else(void **state)
{
    char longest[RT_ID_MAX + 2];

    (void) state;
    memset(longest, 'a', sizeof longest);
    longest[RT_ID_MAX + 1] = '\0';
    assert_int_equal(rt_id_check(longest, &e), -EINVAL);
    longest[RT_ID_MAX] = '\0';
    assert_int_equal(rt_id_check(longest, &e), 0);
    assert_int_equal(rt_id_check("n1.root.14.4294967291.0", &e), 0);
    assert_int_equal(rt_id_check("a_b+c-D.9", &e), 0);
    assert_int_equal(rt_id_check("...", &e), 0);
    assert_int_equal(rt_id_check("", &e), -EINVAL);
    assert_int_equal(rt_id_check(".", &e), -EINVAL);
    assert_int_equal(rt_id_check("..", &e), -EINVAL);
    assert_int_equal(rt_id_check("a/b", &e), -EINVAL);
    assert_int_equal(rt_id_check("a b", &e), -EINVAL);
    assert_int_equal(rt_id_check("\303\244", &e), -EINVAL);
}

static void what_was_recorded_is_read_again(void **state)
{
    _rt_state_ struct rt_state made = RT_STATE_INIT, read = RT_STATE_INIT;

    (void) state;
    fill(&made, "c", "{\n  \"x\": 1\n}\n");
    assert_int_equal(rt_state_create(root, &made, &e), 0);
    assert_int_equal(rt_state_open(root, "c", &read, &e), 0);
    assert_false(read.cgroup_made);
    rt_state_clear(&read);
    assert_int_equal(rt_state_set_cgroup_made(&made, &e), 0);
    assert_int_equal(rt_state_set_rdt_made(&made, &e), 0);
    assert_int_equal(rt_state_set_pid(&made, getpid(), &e), 0);
    assert_int_equal(rt_state_open(root, "c", &read, &e), 0);
    assert_true(read.cgroup_made);
    assert_string_equal(read.rdt, "class");
    assert_true(read.rdt_monitor && read.rdt_made && !read.rdt_own);
    assert_string_equal(read.bundle, "/b");
    assert_string_equal(read.rootfs, "/b/rootfs");
    assert_string_equal(read.cgroup, "a/b");
    assert_string_equal(read.config, "{\n  \"x\": 1\n}\n");
    assert_true(read.own_pid_ns);
    assert_int_equal(read.owner, 7);
    assert_int_equal(read.pid, getpid());
    assert_int_equal(read.start_ticks, made.start_ticks);
    assert_int_equal(read.n_annotations, 1);
    assert_string_equal(read.annotations[0].value, "v \"x\"");
}

/* systemd decides on a unit's path, so it is not in the intent; and more of it may be made before it
 * counts as the container's. */
static void a_units_group_is_known_before_it_is_the_containers(void **state)
{
    _rt_state_ struct rt_state made = RT_STATE_INIT, read = RT_STATE_INIT;

    (void) state;
    fill(&made, "u", "{}\n");
    free(made.cgroup);
    made.cgroup = NULL;
    made.unit = strdup("p-u.scope");
    assert_int_equal(rt_state_create(root, &made, &e), 0);
    assert_int_equal(rt_state_open(root, "u", &read, &e), 0);
    assert_null(read.cgroup);
    rt_state_clear(&read);
    made.cgroup = strdup("s.slice/p-u.scope");
    assert_int_equal(rt_state_add_cgroup(&made, &e), 0);
    assert_int_equal(rt_state_open(root, "u", &read, &e), 0);
    assert_string_equal(read.cgroup, "s.slice/p-u.scope");
    assert_false(read.cgroup_made);
    rt_state_clear(&read);
    assert_int_equal(rt_state_set_cgroup_made(&made, &e), 0);
    assert_int_equal(rt_state_open(root, "u", &read, &e), 0);
    assert_string_equal(read.unit, "p-u.scope");
    assert_true(read.cgroup_made);
}

static void phases_and_ending_are_read_again(void **state)
{
    static const char end[] = "{\"waitStatus\":9,\"finished\":\"2026-01-02T03:04:05Z\"}\n"
                              "{\"waitStatus\":-1}\n{\"waitStatus\":512,\"finished\":\"x\"}\n";
    _rt_state_ struct rt_state made = RT_STATE_INIT, read = RT_STATE_INIT;
    _buf_ struct jl_buf out = JL_BUF_INIT(65536);

    (void) state;
    fill(&made, "c", "{}");
    made.phase_us[RT_PHASE_HOOKS] = UINT64_MAX / 2;
    made.phase_us[RT_PHASE_CLONE] = 77;
    assert_int_equal(rt_state_create(root, &made, &e), 0);
    rt_state_add_phases(&made);
    assert_int_equal(jl_write_all(made.record, end, sizeof end - 1), 0);
    assert_int_equal(rt_state_open(root, "c", &read, &e), 0);
    assert_true(read.has_phases);
    assert_int_equal(read.phase_us[RT_PHASE_CLONE], 77);
    assert_int_equal(read.phase_us[RT_PHASE_HOOKS], UINT64_MAX / 2);
    assert_true(read.exited);
    assert_int_equal(read.exit_status, 512);
    assert_string_equal(read.finished, "2026-01-02T03:04:05Z");
    assert_int_equal(rt_state_json(&read, RT_STOPPED, true, &out, &e), 0);
    assert_non_null(strstr(out.data, "\"exitStatus\": 2"));
    jl_buf_clear(&out);
    read.exit_status = 9;
    assert_int_equal(rt_state_json(&read, RT_STOPPED, true, &out, &e), 0);
    assert_non_null(strstr(out.data, "\"exitStatus\": 137"));
    assert_non_null(strstr(out.data, "\"exitSignal\": 9"));
}

static void an_id_is_taken_once(void **state)
{
    _rt_state_ struct rt_state a = RT_STATE_INIT, b = RT_STATE_INIT;

    (void) state;
    fill(&a, "c", "{}");
    fill(&b, "c", "{}");
    assert_int_equal(rt_state_create(root, &a, &e), 0);
    assert_int_equal(rt_state_create(root, &b, &e), -EEXIST);
    assert_int_equal(b.dirfd, -1);
}

static void an_unknown_id_does_not_exist(void **state)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;

    (void) state;
    assert_int_equal(rt_state_open(root, "nobody", &s, &e), -ENOENT);
    assert_non_null(strstr(e.text, "container does not exist")); /* engines look for it */
    rt_state_clear(&s);
    assert_int_equal(rt_state_open(-1, "nobody", &s, &e), -ENOENT);
    rt_state_clear(&s);
    assert_int_equal(rt_state_open(root, "../x", &s, &e), -EINVAL);
}

/* Whoever is killed while writing leaves a prefix of the file: every one of them must open. */
static void every_prefix_of_a_record_opens(void **state)
{
    _rt_state_ struct rt_state made = RT_STATE_INIT;
    _buf_ struct jl_buf whole = JL_BUF_INIT(65536);

    (void) state;
    fill(&made, "c", "{\"x\":1}");
    assert_int_equal(rt_state_create(root, &made, &e), 0);
    assert_int_equal(rt_state_set_pid(&made, getpid(), &e), 0);
    assert_int_equal(jl_read_file_at(made.dirfd, "record", &whole, &e), 0);
    for (size_t len = 0; len <= whole.len; len++) {
        _rt_state_ struct rt_state read = RT_STATE_INIT;

        assert_int_equal(jl_publish_at(made.dirfd, "record", whole.data, len, 0600, false, &e), 0);
        if (rt_state_open(root, "c", &read, &e) < 0)
            fail_msg("after %zu bytes: %s", len, e.text);
        if (len >= whole.len - 1) /* the newline is not needed */
            assert_int_equal(read.pid, getpid());
        else
            assert_int_equal(read.pid, 0);
        if (read.config)
            assert_string_equal(read.config, "{\"x\":1}");
    }
}

static void a_damaged_record_is_an_error_and_no_crash(void **state)
{
    static const char *const texts[] = {
        "not json\n",
        "{\"configBytes\":18446744073709551615}\n",
        "[]\n",
        "{\"bundle\":5,\"annotations\":[1],\"configBytes\":-1}\n{\"pid\":-5,\"startTicks\":1}\n",
        "{}\n{\"pid\":99999999999,\"startTicks\":1}\n",
    };
    _rt_state_ struct rt_state made = RT_STATE_INIT;

    (void) state;
    fill(&made, "c", "{}");
    assert_int_equal(rt_state_create(root, &made, &e), 0);
    for (size_t i = 0; i < JL_COUNT(texts); i++) {
        _rt_state_ struct rt_state read = RT_STATE_INIT;

        assert_int_equal(
            jl_publish_at(made.dirfd, "record", texts[i], strlen(texts[i]), 0600, false, &e), 0);
        rt_state_open(root, "c", &read, &e);
        assert_int_equal(read.pid, 0);
    }
}

static void a_reused_pid_is_not_the_container(void **state)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    int fd;

    (void) state;
    fill(&s, "c", "{}");
    assert_int_equal(rt_state_create(root, &s, &e), 0);
    assert_int_equal(rt_state_set_pid(&s, getpid(), &e), 0);
    assert_int_equal(rt_state_status(&s, NULL), RT_CREATING);
    rt_state_made(&s);
    assert_int_equal(rt_state_status(&s, NULL), RT_RUNNING);
    assert_false(rt_state_has_ended(&s));
    fd = rt_state_pidfd(&s);
    assert_true(fd >= 0);
    close(fd);
    s.start_ticks--;
    assert_int_equal(rt_state_status(&s, NULL), RT_STOPPED);
    assert_true(rt_state_has_ended(&s));
    assert_int_equal(rt_state_pidfd(&s), -ESRCH);
}

static void a_zombie_has_stopped(void **state)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    siginfo_t info;
    pid_t pid;

    (void) state;
    fill(&s, "c", "{}");
    assert_int_equal(rt_state_create(root, &s, &e), 0);
    pid = fork();
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(rt_state_set_pid(&s, pid, &e), 0);
    assert_int_equal(rt_state_status(&s, NULL), RT_STOPPED);
    waitpid(pid, NULL, 0);
}

static void without_a_process_it_is_creating_while_its_maker_lives(void **state)
{
    _rt_state_ struct rt_state made = RT_STATE_INIT, read = RT_STATE_INIT;

    (void) state;
    fill(&made, "c", "{}");
    assert_int_equal(rt_state_create(root, &made, &e), 0);
    assert_int_equal(rt_state_open(root, "c", &read, &e), 0);
    assert_int_equal(rt_state_status(&read, NULL), RT_CREATING);
    assert_int_equal(rt_state_lock(&read, 0, &e), -EBUSY);
    made.dirfd = jl_close(made.dirfd); /* as its maker's death does */
    assert_int_equal(rt_state_status(&read, NULL), RT_STOPPED);
    assert_int_equal(rt_state_lock(&read, 0, &e), 0);
}

static void the_state_document_has_what_engines_read(void **state)
{
    _rt_state_ struct rt_state s = RT_STATE_INIT;
    _buf_ struct jl_buf out = JL_BUF_INIT(65536);

    (void) state;
    fill(&s, "c", "{}");
    s.pid = 5;
    assert_int_equal(rt_state_json(&s, RT_RUNNING, false, &out, &e), 0);
    assert_string_equal(out.data,
                        "{\"ociVersion\":\"1.2.0\",\"id\":\"c\",\"status\":\"running\",\"pid\":5,"
                        "\"bundle\":\"/b\",\"annotations\":{\"k\":\"v \\\"x\\\"\"}}");
    jl_buf_clear(&out);
    assert_int_equal(rt_state_json(&s, RT_STOPPED, false, &out, &e), 0);
    assert_null(strstr(out.data, "pid"));
}

static void removing_leaves_nothing_and_listing_sorts(void **state)
{
    _rt_state_ struct rt_state a = RT_STATE_INIT, b = RT_STATE_INIT;
    _strv_ struct jl_strv ids = JL_STRV_INIT;

    (void) state;
    fill(&a, "b", "{}");
    fill(&b, "a", "{}");
    assert_int_equal(rt_state_create(root, &a, &e), 0);
    assert_int_equal(rt_state_create(root, &b, &e), 0);
    assert_int_equal(rt_state_list(root, &ids, &e), 0);
    assert_int_equal(ids.len, 2);
    assert_string_equal(ids.items[0], "a");
    assert_int_equal(rt_state_remove(root, &a, &e), 0);
    assert_int_equal(faccessat(root, "b", F_OK, 0), -1);
    assert_int_equal(mkdirat(b.dirfd, "unexpected", 0700), 0);
    assert_int_equal(rt_state_remove(root, &b, &e), 0);
    assert_int_equal(faccessat(root, "a", F_OK, 0), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, start, finish)
UNIT_MAIN(cmocka_unit_test(ids_name_directories_and_nothing_else),
          CASE(what_was_recorded_is_read_again),
          CASE(a_units_group_is_known_before_it_is_the_containers),
          CASE(phases_and_ending_are_read_again), CASE(an_id_is_taken_once),
          CASE(an_unknown_id_does_not_exist), CASE(every_prefix_of_a_record_opens),
          CASE(a_damaged_record_is_an_error_and_no_crash), CASE(a_reused_pid_is_not_the_container),
          CASE(a_zombie_has_stopped), CASE(without_a_process_it_is_creating_while_its_maker_lives),
          CASE(the_state_document_has_what_engines_read),
          CASE(removing_leaves_nothing_and_listing_sorts))
