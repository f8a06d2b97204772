/* Work beside core's loop: worker.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"
#include "daemon/core/worker.h"

static struct jl_loop *loop;
static struct jd_worker *worker;

enum { ECHO, DIE, FAIL, SIZE_OF_FD, WHO, GIVE_FD, SLEEP, LOOK, DIE_ONCE };

static int work_echo(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                     int *ret_fd, struct jl_err *e)
{
    (void) fds, (void) n, (void) ret_fd;
    if ((uintptr_t) in % alignof(max_align_t) != 0)
        return jl_refuse(e, EFAULT, "the request is not aligned");
    return jl_buf_add(out, in, len);
}

static int work_die(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                    int *ret_fd, struct jl_err *e)
{
    (void) in, (void) len, (void) fds, (void) n, (void) out, (void) ret_fd, (void) e;
    kill(getpid(), SIGKILL);
    return 0;
}

static int work_fail(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                     int *ret_fd, struct jl_err *e)
{
    (void) in, (void) len, (void) fds, (void) n, (void) out, (void) ret_fd;
    jl_refuse(e, EBUSY, "volume 'a' is in use");
    return jl_hint(e, "stop the job");
}

static int work_size_of_fd(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                           int *ret_fd, struct jl_err *e)
{
    struct stat st;

    (void) in, (void) len, (void) ret_fd;
    if (n != 1 || fstat(fds[0], &st) < 0)
        return jl_fail(e, EBADF, "look at the descriptor");
    return jl_buf_printf(out, "%lld", (long long) st.st_size);
}

static int work_who(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                    int *ret_fd, struct jl_err *e)
{
    (void) in, (void) len, (void) fds, (void) n, (void) ret_fd, (void) e;
    return jl_buf_printf(out, "%d", (int) getpid());
}

static int work_give_fd(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                        int *ret_fd, struct jl_err *e)
{
    int pair[2];

    (void) in, (void) len, (void) fds, (void) n, (void) out;
    if (pipe(pair) < 0)
        return jl_fail_sys(e, "pipe", NULL, "make a pipe");
    if (write(pair[1], "x", 1) != 1)
        return jl_fail_sys(e, "write", NULL, "fill a pipe");
    close(pair[1]);
    *ret_fd = pair[0];
    return 0;
}

static int work_sleep(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                      int *ret_fd, struct jl_err *e)
{
    (void) in, (void) len, (void) fds, (void) n, (void) out, (void) ret_fd, (void) e;
    pause();
    return 0;
}

static int work_look(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                     int *ret_fd, struct jl_err *e)
{
    struct stat st;
    char path[64] = "";

    (void) fds, (void) n, (void) out, (void) ret_fd;
    memcpy(path, in, len);
    return stat(path, &st) < 0 ? jl_fail(e, errno, "look") : 0;
}

/* Dies the first time, as a file that it makes tells. */
static int work_die_once(const void *in, size_t len, const int *fds, size_t n, struct jl_buf *out,
                         int *ret_fd, struct jl_err *e)
{
    char path[64] = "";

    (void) fds, (void) n, (void) ret_fd, (void) e;
    memcpy(path, in, len);
    if (mkdir(path, 0700) == 0)
        kill(getpid(), SIGKILL);
    rmdir(path);
    return jl_buf_add(out, "again", 5);
}

static const jd_work_fn table[] = {
    [ECHO] = work_echo,         [DIE] = work_die,
    [FAIL] = work_fail,         [SIZE_OF_FD] = work_size_of_fd,
    [WHO] = work_who,           [GIVE_FD] = work_give_fd,
    [SLEEP] = work_sleep,       [LOOK] = work_look,
    [DIE_ONCE] = work_die_once,
};

struct got {
    int n, r, fd;
    char out[256];
    size_t len;
    struct jl_err e;
    bool last; /* ends the loop */
};

static void on_done(void *user, int r, const void *out, size_t len, int fd, const struct jl_err *e)
{
    struct got *g = user;

    g->n++;
    g->r = r;
    g->fd = fd;
    g->len = len;
    g->e = *e;
    if (len > 0 && len < sizeof g->out)
        memcpy(g->out, out, len);
    if (g->last)
        jl_loop_stop(loop, 0);
}

static int too_late(struct jl_timer *t)
{
    (void) t;
    return -ETIMEDOUT;
}

static void run(void)
{
    struct jl_timer guard = { 0 };

    jl_loop_arm(loop, &guard, jl_now_ns() + 100 * JL_NS_PER_S, too_late);
    assert_int_equal(jl_loop_run(loop), 0);
    jl_loop_disarm(loop, &guard);
}

static void ask(unsigned what, const char *text, struct got *g)
{
    struct jl_err e = JL_ERR_INIT;

    assert_int_equal(jd_worker_call(worker, what, text, strlen(text), NULL, 0, on_done, g, &e), 0);
}

static int set_up(void **state)
{
    (void) state;
    loop = jl_loop_new();
    worker = loop ? jd_worker_new(loop, "test", table, JL_COUNT(table)) : NULL;
    return worker == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    jd_worker_free(worker);
    jl_loop_free(loop);
    return 0;
}

static void requests_are_answered_in_order(void **state)
{
    struct got a = { 0 }, b = { 0 }, c = { .last = true };

    (void) state;
    ask(ECHO, "one", &a);
    ask(FAIL, "", &b);
    ask(ECHO, "three", &c);
    run();
    assert_int_equal(a.n, 1);
    assert_memory_equal(a.out, "one", 3);
    assert_int_equal(a.r, 0);
    assert_int_equal(b.r, -EBUSY);
    assert_string_equal(b.e.text, "volume 'a' is in use");
    assert_string_equal(b.e.hint, "stop the job");
    assert_int_equal(c.len, 5);
}

static void another_process_does_the_work(void **state)
{
    struct got g = { .last = true };

    (void) state;
    ask(WHO, "", &g);
    run();
    g.out[g.len] = '\0';
    assert_true(strtol(g.out, NULL, 10) > 0);
    assert_int_not_equal(strtol(g.out, NULL, 10), getpid());
}

static void what_a_worker_died_at_is_begun_again_once(void **state)
{
    struct got a = { 0 }, b = { .last = true };
    char dir[] = "/tmp/worker.XXXXXX", path[64];

    (void) state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/begun", dir);
    ask(DIE_ONCE, path, &a);
    ask(ECHO, "after", &b);
    run();
    assert_int_equal(a.r, 0);
    assert_memory_equal(a.out, "again", 5);
    assert_int_equal(a.n, 1);
    assert_int_equal(b.r, 0);
    rmdir(dir);
}

static void one_that_dies_is_told_and_the_rest_goes_on(void **state)
{
    struct got a = { 0 }, b = { .last = true };

    (void) state;
    ask(DIE, "", &a);
    ask(ECHO, "after", &b);
    run();
    assert_int_equal(a.r, -EIO);
    assert_non_null(strstr(a.e.text, "signal 9"));
    assert_int_equal(b.r, 0);
    assert_memory_equal(b.out, "after", 5);
}

static void descriptors_cross_both_ways(void **state)
{
    struct got size = { 0 }, give = { .last = true };
    struct jl_err e = JL_ERR_INIT;
    FILE *f = tmpfile();
    char c = 0;
    int fd;

    (void) state;
    assert_non_null(f);
    assert_int_equal(fwrite("12345", 1, 5, f), 5);
    fflush(f);
    fd = fileno(f);
    assert_int_equal(jd_worker_call(worker, SIZE_OF_FD, "", 0, &fd, 1, on_done, &size, &e), 0);
    fclose(f); /* the worker has its own */
    ask(GIVE_FD, "", &give);
    run();
    assert_memory_equal(size.out, "5", 1);
    assert_true(give.fd >= 0);
    assert_int_equal(read(give.fd, &c, 1), 1);
    assert_int_equal(c, 'x');
    close(give.fd);
}

static void what_is_too_large_is_refused(void **state)
{
    static char big[JD_WORK_BYTES_MAX + 1];
    struct got g = { .last = true };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(jd_worker_call(worker, ECHO, big, sizeof big, NULL, 0, on_done, &g, &e),
                     -EMSGSIZE);
    assert_int_equal(jd_worker_call(worker, ECHO, big, sizeof big - 1, NULL, 0, on_done, &g, &e),
                     0);
    run();
    assert_int_equal(g.n, 1);
    assert_int_equal(g.len, sizeof big - 1);
}

static void freeing_ends_one_that_works(void **state)
{
    struct got g = { 0 };

    (void) state;
    ask(SLEEP, "", &g);
    ask(ECHO, "never", &g);
    jd_worker_free(worker);
    worker = NULL;
    assert_int_equal(g.n, 0);
}

static void one_given_up_is_told_when_it_is_gone(void **state)
{
    struct got a = { 0 }, b = { .last = true };

    (void) state;
    jd_worker_kill(worker); /* nothing to give up */
    ask(SLEEP, "", &a);
    jd_worker_kill(worker);
    assert_int_equal(a.n, 0);
    ask(ECHO, "after", &b);
    run();
    assert_int_equal(a.n, 1);
    assert_int_equal(a.r, -EIO);
    assert_int_equal(b.r, 0);
    assert_memory_equal(b.out, "after", 5);
}

/* A file system whose server is slow: what waits for an answer of it can't be killed. */
static int fuse_mount(const char *dir)
{
    struct {
        struct fuse_in_header head;
        char rest[8192];
    } in;
    struct {
        struct fuse_out_header head;
        struct fuse_init_out init;
    } out = { .head = { .len = sizeof out },
              .init = { .major = FUSE_KERNEL_VERSION,
                        .minor = FUSE_KERNEL_MINOR_VERSION,
                        .max_write = 4096 } };
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    char options[96];

    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
    if (fd < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) < 0 ||
        mount("test", dir, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
        close(fd);
        return -1;
    }
    assert_true(read(fd, &in, sizeof in) > 0);
    assert_int_equal(in.head.opcode, FUSE_INIT);
    out.head.unique = in.head.unique;
    assert_int_equal(write(fd, &out, sizeof out), sizeof out);
    return fd;
}

static int fuse_fd;
static struct got hung;

static int on_turn(struct jl_timer *t)
{
    (void) t;
    assert_int_equal(hung.n, 0);
    close(fuse_fd); /* its server dies: the call comes back */
    return 0;
}

static void one_that_hangs_in_the_kernel_holds_nobody_up(void **state)
{
    struct jl_timer turn = { 0 };
    struct got b = { .last = true };
    char dir[] = "/tmp/worker.XXXXXX", path[64], packet[8192];

    (void) state;
    assert_non_null(mkdtemp(dir));
    fuse_fd = fuse_mount(dir);
    if (fuse_fd < 0) {
        rmdir(dir);
        skip(); /* needs root and FUSE */
    }
    alarm(100); /* if it does */
    snprintf(path, sizeof path, "%s/file", dir);
    hung = (struct got){ 0 };
    ask(LOOK, path, &hung);
    assert_true(read(fuse_fd, packet, sizeof packet) > 0); /* it is in the call now */
    jd_worker_kill(worker);
    ask(ECHO, "after", &b);
    jl_loop_arm(loop, &turn, jl_now_ns(), on_turn);
    run();
    alarm(0);
    assert_int_equal(hung.r, -EIO);
    assert_memory_equal(b.out, "after", 5);
    umount2(dir, MNT_DETACH);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_are_answered_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_process_does_the_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_dies_is_told_and_the_rest_goes_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_worker_died_at_is_begun_again_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(descriptors_cross_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(freeing_ends_one_that_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_given_up_is_told_when_it_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_hangs_in_the_kernel_holds_nobody_up, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
