/* Frames cross whole, with their body and descriptors, or the link is refused. */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io.h"
#include "ipc/corelink.h"

static struct ipc_frame request(void)
{
    struct ipc_frame f = { .type = IPC_LINK_REQUEST,
                           .op = JD_OP_GET_JOB_LOGS,
                           .id = UINT64_MAX,
                           .segment = 3,
                           .who = { "alice", "admin,Dev", "0aFF", "127.0.0.1:5" },
                           .text = "s-1",
                           .body = (const uint8_t *) "hello",
                           .body_len = 5 };

    return f;
}

static size_t open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void a_packet_comes_back_as_it_was(void **state)
{
    static uint8_t buf[IPC_LINK_PACKET_MAX];
    struct ipc_frame f = request(), back;
    struct jl_err e;
    int n = ipc_frame_write(&f, buf, sizeof buf);

    (void) state;
    assert_true(n > 0);
    assert_int_equal(ipc_frame_parse(buf, (size_t) n, &back, &e), 0);
    assert_int_equal(back.type, IPC_LINK_REQUEST);
    assert_int_equal(back.op, JD_OP_GET_JOB_LOGS);
    assert_true(back.id == UINT64_MAX);
    assert_int_equal(back.segment, 3);
    assert_string_equal(back.who.common_name, "alice");
    assert_string_equal(back.who.unit, "admin,Dev");
    assert_string_equal(back.who.serial, "0aFF");
    assert_string_equal(back.who.peer, "127.0.0.1:5");
    assert_string_equal(back.text, "s-1");
    assert_int_equal(back.body_len, 5);
    assert_memory_equal(back.body, "hello", 5);
    for (int len = 0; len < n; len++)
        assert_int_equal(ipc_frame_parse(buf, (size_t) len, &back, &e), -EPROTO);
    assert_int_equal(ipc_frame_parse(buf, (size_t) n + 1, &back, &e), -EPROTO);
    for (int size = 0; size < n; size++)
        assert_int_equal(ipc_frame_write(&f, buf, (size_t) size), -EMSGSIZE);
}

static void a_request_may_be_refused_already(void **state)
{
    static uint8_t buf[IPC_LINK_PACKET_MAX];
    struct ipc_frame f = request(), back;
    struct jl_err e;
    int n;

    (void) state;
    f.status = IPC_LINK_CODE_MAX;
    f.body_len = IPC_LINK_OBJECT_MAX - 1;
    f.body = (const uint8_t[IPC_LINK_OBJECT_MAX]){ 'v' };
    n = ipc_frame_write(&f, buf, sizeof buf);
    assert_true(n > 0);
    assert_int_equal(ipc_frame_parse(buf, (size_t) n, &back, &e), 0);
    assert_int_equal(back.status, IPC_LINK_CODE_MAX);
    assert_int_equal(back.body_len, IPC_LINK_OBJECT_MAX - 1);
}

static void refused_frame(struct ipc_frame f)
{
    static uint8_t buf[IPC_LINK_PACKET_MAX];
    struct ipc_frame back;
    struct jl_err e;
    int n = ipc_frame_write(&f, buf, sizeof buf);

    assert_true(n > 0);
    assert_int_equal(ipc_frame_parse(buf, (size_t) n, &back, &e), -EPROTO);
    assert_true(e.text[0] != '\0');
}

static void frames_carry_only_what_their_type_has(void **state)
{
    static const char too_long[IPC_LINK_OBJECT_MAX];
    struct ipc_frame f = request();

    (void) state;
    f.type = (enum ipc_link_type) 4;
    refused_frame(f);
    f = request();
    f.status = IPC_LINK_WAIT; /* no gRPC code */
    refused_frame(f);
    f = request();
    f.status = 5;
    f.text[0] = '\0'; /* refused, and no sentence */
    refused_frame(f);
    f = request();
    f.status = 5;
    f.body = (const uint8_t *) too_long;
    f.body_len = sizeof too_long;
    refused_frame(f);
    f = request();
    f.op = JD_OP_NONE;
    f.segment = 0;
    refused_frame(f);
    f = request();
    f.op = JD_OP_N;
    f.segment = 0;
    refused_frame(f);
    f = request();
    f.op = JD_OP_STOP_JOB; /* with a segment */
    refused_frame(f);
    f = request();
    f.type = IPC_LINK_REPLY; /* with an identity */
    refused_frame(f);
    f = (struct ipc_frame){ .type = IPC_LINK_EVENT, .text = "j", .id = 1 };
    refused_frame(f);
}

static void frames_cross_a_socket_with_descriptors(void **state)
{
    static uint8_t buf[IPC_LINK_PACKET_MAX];
    struct ipc_received got;
    struct ipc_frame f = { .type = IPC_LINK_REPLY, .op = JD_OP_STAGE, .id = 9, .text = "sess" };
    struct jl_err e;
    int pair[2], pipefd[2];
    size_t before;
    char c;

    (void) state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
    before = open_fds();
    f.fds[0] = pipefd[1];
    f.n_fds = 1;
    assert_int_equal(ipc_link_recv(pair[1], buf, &got, &e), -EAGAIN);
    assert_int_equal(ipc_link_send(pair[0], &f, &e), 0);
    assert_int_equal(ipc_link_recv(pair[1], buf, &got, &e), 1);
    assert_int_equal(got.frame.n_fds, 1);
    assert_int_equal(write(got.frame.fds[0], "x", 1), 1);
    assert_int_equal(read(pipefd[0], &c, 1), 1);
    ipc_link_done(&got);
    assert_int_equal(open_fds(), before);
    close(pair[0]);
    assert_int_equal(ipc_link_recv(pair[1], buf, &got, &e), 0);
    close(pair[1]);
    close(pipefd[0]);
    close(pipefd[1]);
}

static void a_large_body_crosses_in_a_memfd(void **state)
{
    static uint8_t buf[IPC_LINK_PACKET_MAX];
    const size_t sizes[] = { IPC_LINK_INLINE_MAX, IPC_LINK_INLINE_MAX + 1, 3u << 20 };
    uint8_t *body = malloc(3u << 20);
    struct ipc_frame f = request();
    struct ipc_received got;
    struct jl_err e;
    int pair[2];

    (void) state;
    assert_non_null(body);
    for (size_t i = 0; i < 3u << 20; i++)
        body[i] = (uint8_t) (i * 7 + i / 256);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < 3; i++) {
        size_t before = open_fds();

        f.body = body;
        f.body_len = sizes[i];
        f.fds[0] = 0;
        f.n_fds = 1;
        assert_int_equal(ipc_link_send(pair[0], &f, &e), 0);
        assert_int_equal(ipc_link_recv(pair[1], buf, &got, &e), 1);
        assert_int_equal(got.frame.body_len, sizes[i]);
        assert_memory_equal(got.frame.body, body, sizes[i]);
        assert_int_equal(got.frame.n_fds, 1);
        ipc_link_done(&got);
        assert_int_equal(open_fds(), before);
    }
    f.body_len = IPC_LINK_BODY_MAX + 1u;
    assert_int_equal(ipc_link_send(pair[0], &f, &e), -EMSGSIZE);
    close(pair[0]);
    close(pair[1]);
    free(body);
}

/* Sends a request that promises a large body in fd (-1: none) and wants it refused. */
static void refused_body(int fd, size_t promised)
{
    static uint8_t buf[IPC_LINK_PACKET_MAX];
    struct ipc_frame f = request();
    struct ipc_received got;
    struct jl_err e;
    size_t before;
    int pair[2], n;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    before = open_fds();
    f.body_len = promised;
    n = ipc_frame_write(&f, buf, sizeof buf);
    assert_true(n > 0);
    assert_int_equal(jl_send_fds(pair[0], buf, (size_t) n, &fd, fd < 0 ? 0 : 1), 0);
    assert_int_equal(ipc_link_recv(pair[1], buf, &got, &e), -EPROTO);
    assert_int_equal(open_fds(), before);
    close(pair[0]);
    close(pair[1]);
}

static void a_body_that_could_change_is_refused(void **state)
{
    size_t size = IPC_LINK_INLINE_MAX + 1;
    int loose = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    (void) state;
    assert_true(loose >= 0);
    assert_int_equal(ftruncate(loose, (off_t) size), 0);
    refused_body(loose, size);
    assert_int_equal(fcntl(loose, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
    refused_body(loose, size + 1);
    refused_body(0, size);
    refused_body(-1, size);
    close(loose);
}

static void roles_are_read_from_units(void **state)
{
    (void) state;
    assert_int_equal(jd_role_parse("Admin"), JD_ROLE_ADMIN);
    assert_int_equal(jd_role_parse("VIEWER"), JD_ROLE_READER);
    assert_int_equal(jd_role_parse("admin, developer"), JD_ROLE_DEVELOPER);
    assert_int_equal(jd_role_parse("ops,maintainer"), JD_ROLE_MAINTAINER);
    assert_int_equal(jd_role_parse(""), JD_ROLE_NONE);
    assert_int_equal(jd_role_parse(" , ,"), JD_ROLE_NONE);
    assert_int_equal(jd_role_parse("administrator"), JD_ROLE_NONE);
    assert_int_equal(jd_role_parse("none"), JD_ROLE_NONE);
    assert_string_equal(jd_role_name(JD_ROLE_MAINTAINER), "maintainer");
}

static void operations_are_found_by_method(void **state)
{
    (void) state;
    assert_int_equal(jd_op_of_method("/joblet.JobService/RunJob"), JD_OP_RUN_JOB);
    assert_int_equal(jd_op_of_method("/joblet.JobService/Nothing"), JD_OP_NONE);
    assert_string_equal(jd_op_name(JD_OP_STOP_JOB), "stop_job");
    assert_int_equal(jd_op_role(JD_OP_LIST_JOBS), JD_ROLE_READER);
    assert_int_equal(jd_op_role(JD_OP_NONE), JD_ROLE_ADMIN);
}

UNIT_MAIN(cmocka_unit_test(a_packet_comes_back_as_it_was),
          cmocka_unit_test(a_request_may_be_refused_already),
          cmocka_unit_test(frames_carry_only_what_their_type_has),
          cmocka_unit_test(frames_cross_a_socket_with_descriptors),
          cmocka_unit_test(a_large_body_crosses_in_a_memfd),
          cmocka_unit_test(a_body_that_could_change_is_refused),
          cmocka_unit_test(roles_are_read_from_units),
          cmocka_unit_test(operations_are_found_by_method))
