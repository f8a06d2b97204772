/* A message of the shim's socket has one spelling; what its type does not use must be zero. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "ipc/shimctl.h"

#define BYTES 44

static void messages_come_back_as_they_were(void **state)
{
    static const struct ipc_shim_msg all[] = {
        { .type = IPC_SHIM_GET_STATE },
        { .type = IPC_SHIM_STOP, .arg = 10000 },
        { .type = IPC_SHIM_KILL, .arg = 64 },
        { .type = IPC_SHIM_STATE,
          .arg = 59000,
          .phase = IPC_SHIM_FAILED,
          .pid = 4194304,
          .started_wall_ns = UINT64_MAX,
          .log_dropped_bytes = 3 },
    };
    uint8_t buf[IPC_SHIM_PACKET_MAX];
    struct jl_err e;

    (void) state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct ipc_shim_msg back;

        assert_int_equal(ipc_shim_msg_write(&all[i], buf, sizeof buf), BYTES);
        assert_int_equal(ipc_shim_msg_parse(buf, BYTES, &back, &e), 0);
        assert_int_equal(back.type, all[i].type);
        assert_int_equal(back.arg, all[i].arg);
        assert_int_equal(back.phase, all[i].phase);
        assert_int_equal(back.pid, all[i].pid);
        assert_true(back.started_wall_ns == all[i].started_wall_ns);
        assert_int_equal(back.log_dropped_bytes, all[i].log_dropped_bytes);
        for (size_t len = 0; len < BYTES; len++)
            assert_int_equal(ipc_shim_msg_parse(buf, len, &back, &e), -EPROTO);
        assert_int_equal(ipc_shim_msg_parse(buf, BYTES + 1, &back, &e), -EPROTO);
        assert_true(e.text[0] != '\0');
    }
    assert_int_equal(ipc_shim_msg_write(&all[0], buf, BYTES - 1), -EMSGSIZE);
}

static void refused_with(size_t at, uint8_t value, enum ipc_shim_type type, uint64_t arg)
{
    struct ipc_shim_msg m = { .type = type, .arg = arg }, back;
    uint8_t buf[BYTES];
    struct jl_err e;

    assert_int_equal(ipc_shim_msg_write(&m, buf, sizeof buf), BYTES);
    buf[at] = value;
    assert_int_equal(ipc_shim_msg_parse(buf, sizeof buf, &back, &e), -EPROTO);
}

static void nonsense_is_refused(void **state)
{
    (void) state;
    refused_with(0, 'X', IPC_SHIM_STOP, 1); /* magic */
    refused_with(3, 9, IPC_SHIM_STOP, 1);   /* another protocol */
    refused_with(4, 5, IPC_SHIM_STOP, 1);   /* unknown type */
    refused_with(4, 0, IPC_SHIM_STOP, 1);
    refused_with(8, 1, IPC_SHIM_GET_STATE, 0); /* an argument it does not take */
    refused_with(8, 65, IPC_SHIM_KILL, 9);     /* not a signal */
    refused_with(8, 0, IPC_SHIM_KILL, 9);
    refused_with(16, 1, IPC_SHIM_STOP, 1); /* a request with a phase, a pid, times */
    refused_with(20, 1, IPC_SHIM_STOP, 1);
    refused_with(24, 1, IPC_SHIM_STOP, 1);
    refused_with(32, 1, IPC_SHIM_STOP, 1);
    refused_with(16, 5, IPC_SHIM_STATE, 0);    /* unknown phase */
    refused_with(23, 0x80, IPC_SHIM_STATE, 0); /* negative pid */
    refused_with(40, 1, IPC_SHIM_STATE, 0);    /* padding */
}

UNIT_MAIN(cmocka_unit_test(messages_come_back_as_they_were), cmocka_unit_test(nonsense_is_refused))
