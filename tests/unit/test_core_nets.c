/* Leases that go back to the kernel: nets.h. The worker does nothing here, so only what core believes
 * is looked at; tests/e2e/network.bats has packets. */
#include "unit.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/loop.h"
#include "daemon/core/core.h"
#include "daemon/core/nets.h"
#include "daemon/core/store.h"
#include "daemon/core/worker.h"

#define CIDR "10.77.0.0/27"

static struct jd_core core;

static int nothing(const void *in, size_t len, const int *fds, size_t n_fds, struct jl_buf *out,
                   int *ret_fd, struct jl_err *e)
{
    (void) in, (void) len, (void) fds, (void) n_fds, (void) out, (void) ret_fd, (void) e;
    return 0;
}

static const jd_work_fn table[JD_NET_WORK_N] = {
    nothing, nothing, nothing, nothing, nothing, nothing,
};

static int set_up(void **state)
{
    (void) state;
    memset(&core, 0, sizeof core);
    core.conf.network_default = (char *) (uintptr_t) "none";
    core.loop = jl_loop_new();
    core.nets.worker = core.loop ? jd_worker_new(core.loop, "network", table, JD_NET_WORK_N) : NULL;
    return core.nets.worker == NULL;
}

static int tear_down(void **state)
{
    (void) state;
    jl_loop_disarm(core.loop, &core.nets.tidy);
    jd_worker_free(core.nets.worker);
    while (core.nets.first)
        jd_nets_remove(&core, core.nets.first);
    free(core.nets.going);
    jl_loop_free(core.loop);
    return 0;
}

static struct jd_network *add(const char *name, const char *cidr)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_network *net = jd_nets_add(&core, name, cidr, NULL, false, &e);

    assert_non_null(net);
    return net;
}

static uint32_t take(struct jd_network *net)
{
    uint32_t addr;

    assert_int_equal(jd_places_take(&net->places, &addr), 0);
    return addr;
}

static void tidy(void)
{
    assert_true(core.nets.tidy.armed);
    jl_loop_disarm(core.loop, &core.nets.tidy);
    core.nets.tidy.fn(&core.nets.tidy);
}

static int too_late(struct jl_timer *t)
{
    (void) t;
    return -ETIMEDOUT;
}

static int on_look(struct jl_timer *t)
{
    if (!core.nets.releasing && core.nets.n_going == 0)
        return jl_loop_stop(core.loop, 0);
    jl_loop_arm(core.loop, t, jl_now_ns() + JL_NS_PER_MS, on_look);
    return 0;
}

static void until_released(void)
{
    struct jl_timer guard = { 0 }, look = { 0 };

    jl_loop_arm(core.loop, &guard, jl_now_ns() + 100 * JL_NS_PER_S, too_late);
    jl_loop_arm(core.loop, &look, jl_now_ns(), on_look);
    assert_int_equal(jl_loop_run(core.loop), 0);
    jl_loop_disarm(core.loop, &guard);
    jl_loop_disarm(core.loop, &look);
}

static void what_a_removed_network_had_is_not_taken_from_the_next(void **state)
{
    struct jd_network *old = add("lab", CIDR), *other = add("other", "10.78.0.0/27"), *net;

    (void) state;
    jd_nets_go(&core, other, take(other), 0);
    for (size_t i = 0; i < 2 * JD_NET_BATCH; i++)
        jd_nets_go(&core, old, take(old), 0);
    tidy();
    assert_non_null(core.nets.releasing); /* the others are still on the list */
    jd_nets_remove(&core, old);
    net = add("lab", CIDR);
    for (size_t i = 0; i < 2 * JD_NET_BATCH; i++)
        take(net);
    until_released();
    assert_int_equal(net->n_going, 0);
    assert_int_equal(net->places.n, 2 * JD_NET_BATCH);
    assert_int_equal(other->n_going, 0);
    assert_int_equal(other->places.n, 0);
}

static void names_of_a_removed_network_are_not_dropped_later(void **state)
{
    struct jd_network *old = add("lab", CIDR), *other = add("other", "10.78.0.0/27");

    (void) state;
    core.nets.begun[core.nets.n_begun++] = take(old);
    core.nets.begun[core.nets.n_begun++] = take(other);
    jd_nets_remove(&core, old);
    assert_int_equal(core.nets.n_begun, 1);
    assert_true(jd_places_has(&other->places, core.nets.begun[0]));
}

static void an_answer_for_a_removed_network_is_nobodys(void **state)
{
    struct jd_network *old = add("lab", CIDR), *net;

    (void) state;
    old->known = true;
    old->n_waiting = 2;
    jd_nets_kick(old);
    assert_int_equal(old->n_coming, 2);
    jd_nets_remove(&core, old); /* its setup could not be asked for: nothing was waited for */
    net = add("lab", CIDR);
    jd_nets_go(&core, net, take(net), 0);
    until_released();
    assert_int_equal(net->n_ready, 0);
}

static void what_could_not_be_asked_is_asked_again(void **state)
{
    struct jd_network *net = add("lab", CIDR);
    struct rlimit had, none;

    (void) state;
    for (size_t i = 0; i < 3; i++)
        jd_nets_go(&core, net, take(net), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &had), 0);
    none = (struct rlimit){ .rlim_cur = 0, .rlim_max = had.rlim_max };
    setrlimit(RLIMIT_NOFILE, &none); /* no worker can be made */
    tidy();
    setrlimit(RLIMIT_NOFILE, &had);
    assert_null(core.nets.releasing);
    assert_int_equal(net->n_going, 3);
    tidy();
    until_released();
    assert_int_equal(net->n_going, 0);
    assert_int_equal(net->places.n, 0);
}

/* Its lease is given back by who made the record, who has to have it for that. */
static void a_record_that_is_no_job_stays_its_makers(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_record rec;

    (void) state;
    assert_int_equal(jd_record_init(&rec), 0);
    assert_int_equal(jd_record_set(&rec.status, "NONSENSE"), 0);
    assert_int_equal(jd_record_set(&rec.network, "one"), 0);
    assert_int_equal(jd_record_set(&rec.address, "10.77.0.2"), 0);
    assert_null(jd_job_new(&core, &rec, &e));
    assert_string_equal(rec.network, "one");
    assert_string_equal(rec.address, "10.77.0.2");
    jd_record_done(&rec);
}

UNIT_MAIN(cmocka_unit_test_setup_teardown(what_a_removed_network_had_is_not_taken_from_the_next,
                                          set_up, tear_down),
          cmocka_unit_test_setup_teardown(names_of_a_removed_network_are_not_dropped_later, set_up,
                                          tear_down),
          cmocka_unit_test_setup_teardown(an_answer_for_a_removed_network_is_nobodys, set_up,
                                          tear_down),
          cmocka_unit_test_setup_teardown(what_could_not_be_asked_is_asked_again, set_up,
                                          tear_down),
          cmocka_unit_test_setup_teardown(a_record_that_is_no_job_stays_its_makers, set_up,
                                          tear_down))
