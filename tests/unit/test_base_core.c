/* Errors, buffers, ids, published files, removed trees, spawned programs, the loop. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "base/io.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/spawn.h"

static int scratch(char *path, size_t size)
{
    snprintf(path, size, "/tmp/jl-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void an_error_carries_its_parts_and_stays_one_line(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    errno = ENOENT;
    assert_int_equal(jl_fail_sys(&e, "openat", "a\nb", "open %s", "it"), -ENOENT);
    assert_string_equal(e.text, "open it: openat 'a?b': No such file or directory");
    assert_int_equal(jl_wrap(&e, "job %d", 7), -ENOENT);
    assert_string_equal(e.text, "job 7: open it: openat 'a?b': No such file or directory");
    assert_string_equal(e.syscall, "openat");
}

static void a_buffer_refuses_to_pass_its_ceiling(void **state)
{
    struct jl_buf b = JL_BUF_INIT(8);

    (void) state;
    assert_int_equal(jl_buf_puts(&b, "12345678"), 0);
    assert_int_equal(jl_buf_putc(&b, '9'), -EMSGSIZE);
    assert_string_equal(b.data, "12345678");
    jl_buf_clear(&b);
}

static void ids_are_uuids_and_differ(void **state)
{
    char a[JL_ID_LEN + 1], b[JL_ID_LEN + 1];

    (void) state;
    assert_int_equal(jl_id_new(a), 0);
    assert_int_equal(jl_id_new(b), 0);
    assert_true(jl_id_is_valid(a));
    assert_string_not_equal(a, b);
    assert_true(jl_id_is_prefix("0a1b", 4));
    assert_false(jl_id_is_prefix("0a1", 4));
    assert_false(jl_id_is_prefix("0A1B", 4));
    assert_false(jl_id_is_valid("../../../../../../../../../../../etc"));
}

static void a_published_file_is_whole_and_leaves_no_temporary(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct jl_buf b = JL_BUF_INIT(100);
    char path[64];
    _close_ int dir = scratch(path, sizeof path);

    (void) state;
    assert_int_equal(jl_publish_at(dir, "f", "one", 3, 0600, true, &e), 0);
    assert_int_equal(jl_publish_at(dir, "f", "second", 6, 0600, false, &e), 0);
    assert_int_equal(jl_read_file_at(dir, "f", &b, &e), 0);
    assert_string_equal(b.data, "second");
    jl_buf_clear(&b);
    assert_int_equal(unlinkat(dir, "f", 0), 0);
    assert_int_equal(rmdir(path), 0);
}

static void a_tree_is_removed_but_not_what_its_links_point_to(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    char path[64], name[128];
    _close_ int dir = scratch(path, sizeof path);

    (void) state;
    assert_int_equal(mkdirat(dir, "keep", 0700), 0);
    assert_int_equal(mkdirat(dir, "tree", 0700), 0);
    snprintf(name, sizeof name, "%s/tree/a/b/c", path);
    assert_int_equal(jl_mkdir_p(name, 0700, &e), 0);
    assert_int_equal(symlinkat("../keep", dir, "tree/link"), 0);
    assert_int_equal(jl_remove_tree_at(dir, "tree", &e), 0);
    assert_int_equal(jl_remove_tree_at(dir, "tree", &e), 0);
    assert_int_equal(unlinkat(dir, "keep", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(path), 0);
}

static void a_very_deep_tree_is_removed(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    char path[64];
    _close_ int top = scratch(path, sizeof path);
    int at = dup(top);

    (void) state;
    for (int i = 0; i < 3000; i++) {
        int next;

        assert_int_equal(mkdirat(at, "d", 0700), 0);
        next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(at);
    assert_int_equal(jl_remove_tree_at(top, "d", &e), 0);
    assert_int_equal(rmdir(path), 0);
}

static void a_spawned_program_has_the_mapped_descriptors_only(void **state)
{
    static char *const argv[] = { "sh", "-c", "ls /proc/self/fd | tr '\\n' ' ' >&5; exit 3", NULL };
    static char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
    struct jl_err e = JL_ERR_INIT;
    struct jl_spawn s = JL_SPAWN_INIT;
    struct jl_spawn_fd map[1];
    char out[64] = "";
    int p[2], leak = dup(0);
    pid_t pid;

    (void) state;
    assert_int_equal(pipe(p), 0);
    map[0] = (struct jl_spawn_fd){ p[1], 5 };
    s.path = "/bin/sh";
    s.argv = argv;
    s.envp = envp;
    s.fds = map;
    s.n_fds = 1;
    assert_int_equal(jl_spawn(&s, &pid, NULL, &e), 0);
    assert_int_equal(jl_wait_status(pid), 3);
    assert_true(read(p[0], out, sizeof out - 1) > 0);
    assert_string_equal(out, "0 1 2 3 5 "); /* 3: the directory that ls reads */
    close(p[0]);
    close(p[1]);
    close(leak);
}

/* The stack that the program was started on is gone. AddressSanitizer remembers what was on it,
 * and whoever gets that memory next would be taken for an intruder. */
static void memory_is_whole_after_a_spawn(void **state)
{
    static char *const argv[] = { "true", NULL };
    struct jl_err e = JL_ERR_INIT;
    struct jl_spawn s = JL_SPAWN_INIT;
    size_t len = 1 << 20;
    char *p;
    pid_t pid;

    (void) state;
    s.path = "/bin/true";
    s.argv = argv;
    s.envp = argv + 1;
    assert_int_equal(jl_spawn(&s, &pid, NULL, &e), 0);
    assert_int_equal(jl_wait_status(pid), 0);
    for (int i = 0; i < 64; i++) { /* one of them is where the stack was */
        p = mmap(NULL, len >> (i % 8), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(p != MAP_FAILED);
        assert_null(memchr(p, 'x', len >> (i % 8)));
    }
}

static void a_missing_program_is_reported_by_spawn(void **state)
{
    static char *const argv[] = { "nothing", NULL };
    struct jl_err e = JL_ERR_INIT;
    struct jl_spawn s = JL_SPAWN_INIT;
    pid_t pid;

    (void) state;
    s.path = "/nonexistent/nothing";
    s.argv = argv;
    s.envp = argv + 1;
    assert_int_equal(jl_spawn(&s, &pid, NULL, &e), -ENOENT);
    assert_string_equal(e.syscall, "execve");
}

static void descriptors_travel_over_a_socket(void **state)
{
    int sv[2], fds[2], p[2];
    size_t n = 2;
    char data[8];

    (void) state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(jl_send_fds(sv[0], "hi", 2, p, 2), 0);
    assert_int_equal(jl_recv_fds(sv[1], data, sizeof data, fds, &n), 2);
    assert_int_equal(n, 2);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(read(p[0], data, 1), 1);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(p[i]);
        close(sv[i]);
    }
}

struct counter {
    struct jl_loop *loop;
    struct jl_source a, b;
    struct jl_timer timer;
    int fired;
};

static int remove_both(struct counter *c)
{
    c->fired++;
    jl_loop_del(c->loop, &c->a);
    jl_loop_del(c->loop, &c->b);
    return 0;
}

static int on_a(struct jl_source *src, uint32_t ready)
{
    (void) ready;
    return remove_both(JL_CONTAINER(src, struct counter, a));
}

static int on_b(struct jl_source *src, uint32_t ready)
{
    (void) ready;
    return remove_both(JL_CONTAINER(src, struct counter, b));
}

static int on_timer(struct jl_timer *timer)
{
    return jl_loop_stop(JL_CONTAINER(timer, struct counter, timer)->loop, 5);
}

static void a_source_removed_in_its_round_does_not_fire(void **state)
{
    struct counter c = { .loop = jl_loop_new() };
    int p[2], q[2];

    (void) state;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(pipe(q), 0);
    assert_int_equal(write(p[1], "x", 1) + write(q[1], "x", 1), 2);
    assert_int_equal(jl_loop_add(c.loop, &c.a, p[0], EPOLLIN, on_a), 0);
    assert_int_equal(jl_loop_add(c.loop, &c.b, q[0], EPOLLIN, on_b), 0);
    jl_loop_arm(c.loop, &c.timer, jl_now_ns() + 20 * JL_NS_PER_MS, on_timer);
    assert_int_equal(jl_loop_run(c.loop), 5);
    assert_int_equal(c.fired, 1);
    jl_loop_free(c.loop);
    for (int i = 0; i < 2; i++) {
        close(p[i]);
        close(q[i]);
    }
}

static void a_log_that_nobody_reads_stops_nobody(void **state)
{
    struct jl_log before = jl_log;
    static char text[1 << 17];
    size_t lines = 0, len = 0;
    int p[2];
    ssize_t n;

    (void) state;
    assert_int_equal(pipe(p), 0);
    jl_log.fd = p[1];
    alarm(20);
    for (; jl_log.lost < 5; lines++)
        jl_log_info("test.line", "%.900s", "a line of some length, so that there are not many");
    while (len < sizeof text - 4096 && lines > 0 && (n = read(p[0], text + len, 4096)) == 4096)
        len += (size_t) n;
    jl_log_info("test.again", "told");
    len = (size_t) read(p[0], text, sizeof text - 1);
    alarm(0);
    text[len] = '\0';
    assert_non_null(strstr(text, "log.lost 5 lines: nobody took them\n"));
    assert_non_null(strstr(text, "test.again told\n"));
    assert_int_equal(jl_log.lost, 0);
    jl_log = before;
    close(p[0]);
    close(p[1]);
}

UNIT_MAIN(cmocka_unit_test(an_error_carries_its_parts_and_stays_one_line),
          cmocka_unit_test(a_buffer_refuses_to_pass_its_ceiling),
          cmocka_unit_test(ids_are_uuids_and_differ),
          cmocka_unit_test(a_published_file_is_whole_and_leaves_no_temporary),
          cmocka_unit_test(a_tree_is_removed_but_not_what_its_links_point_to),
          cmocka_unit_test(a_very_deep_tree_is_removed),
          cmocka_unit_test(a_spawned_program_has_the_mapped_descriptors_only),
          cmocka_unit_test(memory_is_whole_after_a_spawn),
          cmocka_unit_test(a_missing_program_is_reported_by_spawn),
          cmocka_unit_test(descriptors_travel_over_a_socket),
          cmocka_unit_test(a_source_removed_in_its_round_does_not_fire),
          cmocka_unit_test(a_log_that_nobody_reads_stops_nobody))
