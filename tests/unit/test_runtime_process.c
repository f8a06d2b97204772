/* test_runtime_process.c - the properties of a process, and of what it runs in, are accepted or
 * refused with the JSON path. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "runtime/spec.h"

static struct jl_err e;

/* A small valid configuration; each argument goes where its name says. */
#define ROOT "\"root\":{\"path\":\"/r\"}"
#define NS "{\"type\":\"mount\"},{\"type\":\"pid\"},{\"type\":\"uts\"}"
#define PROCESS(more) "\"process\":{\"cwd\":\"/\",\"args\":[\"true\"]" more "}"
#define CONFIG(top, process, ns, linux_more)                                                       \
    "{\"ociVersion\":\"1.2.0\"," ROOT "," PROCESS(process) top ",\"linux\":{\"namespaces\":[" ns   \
                                                               "]" linux_more "}}"

static struct rt_spec *load(const char *text)
{
    struct rt_spec *s = NULL;

    jl_err_clear(&e);
    if (rt_spec_from_text("/b", text, strlen(text), &s, &e) < 0)
        return NULL;
    return s;
}

static void accept(const char *text)
{
    struct rt_spec *s = load(text);

    if (!s)
        fail_msg("refused: %s", e.text);
    rt_spec_free(s);
}

/* Refused, and the sentence has this in it. */
static void refuse(const char *text, const char *words)
{
    struct rt_spec *s = load(text);

    if (s)
        fail_msg("accepted: %s", text);
    if (!strstr(e.text, words))
        fail_msg("'%s' is not in '%s'", words, e.text);
}

#define SCHEDULER(policy, more) ",\"scheduler\":{\"policy\":\"" policy "\"" more "}"

static void schedulers_are_checked(void **state)
{
    struct rt_spec *s;

    (void) state;
    refuse(CONFIG("", SCHEDULER("SCHED_NORMAL", ""), NS, ""), "process.scheduler.policy");
    refuse(CONFIG("", SCHEDULER("SCHED_OTHER", ",\"nice\":20"), NS, ""), "scheduler.nice: 20");
    refuse(CONFIG("", SCHEDULER("SCHED_OTHER", ",\"priority\":1"), NS, ""), "scheduler.priority");
    refuse(CONFIG("", SCHEDULER("SCHED_FIFO", ""), NS, ""), "scheduler.priority: 0");
    refuse(CONFIG("", SCHEDULER("SCHED_FIFO", ",\"priority\":100"), NS, ""), "1 to 99");
    refuse(CONFIG("", SCHEDULER("SCHED_RR", ",\"priority\":1,\"period\":1"), NS, ""),
           "for SCHED_DEADLINE, not for SCHED_RR");
    refuse(CONFIG("", SCHEDULER("SCHED_DEADLINE", ",\"runtime\":1023,\"deadline\":2000"), NS, ""),
           "scheduler.runtime");
    refuse(CONFIG("", SCHEDULER("SCHED_DEADLINE", ",\"runtime\":2000,\"deadline\":1999"), NS, ""),
           "scheduler.deadline");
    refuse(
        CONFIG("",
               SCHEDULER("SCHED_DEADLINE", ",\"runtime\":2000,\"deadline\":3000,\"period\":2999"),
               NS, ""),
        "scheduler.period");
    refuse(CONFIG("", SCHEDULER("SCHED_OTHER", ",\"flags\":[\"SCHED_FLAG_X\"]"), NS, ""),
           "process.scheduler.flags[0]: 'SCHED_FLAG_X'");
    s = load(CONFIG("",
                    SCHEDULER("SCHED_FIFO", ",\"nice\":1,\"priority\":99,\"flags\":["
                                            "\"SCHED_FLAG_RESET_ON_FORK\","
                                            "\"SCHED_FLAG_UTIL_CLAMP_MAX\"]"),
                    NS, ""));
    assert_non_null(s);
    assert_true(s->process.has_sched);
    assert_int_equal(s->process.sched.policy, OS_SCHED_FIFO);
    assert_int_equal(s->process.sched.priority, 99);
    assert_int_equal(s->process.sched.flags, 0x41);
    assert_int_equal(s->warnings.len, 2);
    assert_non_null(strstr(s->warnings.items[0], "process.scheduler.nice has no effect"));
    rt_spec_free(s);
}

static void io_priorities_and_processors_are_checked(void **state)
{
    (void) state;
    refuse(CONFIG("", ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\"}", NS, ""),
           "ioPriority.priority");
    refuse(CONFIG("", ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\",\"priority\":8}", NS, ""),
           "ioPriority.priority: 8");
    refuse(CONFIG("", ",\"ioPriority\":{\"class\":\"BE\",\"priority\":0}", NS, ""),
           "ioPriority.class");
    accept(CONFIG("", ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_RT\",\"priority\":7}", NS, ""));
    refuse(CONFIG("", ",\"execCPUAffinity\":{\"initial\":\"0,\"}", NS, ""),
           "process.execCPUAffinity.initial: '0,'");
    refuse(CONFIG("", ",\"execCPUAffinity\":{\"final\":\"3-1\"}", NS, ""),
           "process.execCPUAffinity.final: '3-1'");
    accept(CONFIG("", ",\"execCPUAffinity\":{\"initial\":\"\",\"final\":\"0-3,7\"}", NS, ""));
}

#define POLICY(mode, more) ",\"memoryPolicy\":{\"mode\":\"" mode "\"" more "}"

static void memory_policies_are_checked(void **state)
{
    struct rt_spec *s;

    (void) state;
    refuse(CONFIG("", "", NS, POLICY("BIND", "")), "linux.memoryPolicy.mode: 'BIND'");
    refuse(CONFIG("", "", NS, POLICY("MPOL_BIND", "")), "MPOL_BIND needs some");
    refuse(CONFIG("", "", NS, POLICY("MPOL_LOCAL", ",\"nodes\":\"0\"")), "MPOL_LOCAL takes none");
    refuse(CONFIG("", "", NS, POLICY("MPOL_BIND", ",\"nodes\":\"0-1024\"")), "below 1024");
    refuse(CONFIG("", "", NS, POLICY("MPOL_BIND", ",\"nodes\":\"x\"")),
           "linux.memoryPolicy.nodes: 'x'");
    refuse(CONFIG("", "", NS,
                  POLICY("MPOL_BIND", ",\"nodes\":\"0\",\"flags\":[\"MPOL_F_STATIC_NODES\","
                                      "\"MPOL_F_RELATIVE_NODES\"]")),
           "exclude each other");
    refuse(CONFIG("", "", NS, POLICY("MPOL_DEFAULT", ",\"flags\":[\"MPOL_F_STATIC_NODES\"]")),
           "linux.memoryPolicy.flags");
    refuse(CONFIG("", "", NS, POLICY("MPOL_BIND", ",\"nodes\":\"0\",\"flags\":[\"X\"]")),
           "linux.memoryPolicy.flags[0]: 'X'");
    s = load(CONFIG(
        "", "", NS,
        POLICY("MPOL_PREFERRED", ",\"nodes\":\"0,63-64\",\"flags\":[\"MPOL_F_STATIC_NODES\"]")));
    assert_non_null(s);
    assert_true(s->has_mempolicy && s->mempolicy.has_nodes);
    assert_int_equal(s->mempolicy.flags, OS_MPOL_F_STATIC_NODES);
    assert_true(s->mempolicy.nodes.bits[0] == (1 | UINT64_C(1) << 63));
    assert_int_equal(s->mempolicy.nodes.bits[1], 1);
    assert_int_equal(s->warnings.len, 1);
    rt_spec_free(s);
}

static void personalities_are_checked(void **state)
{
    struct rt_spec *s;

    (void) state;
    refuse(CONFIG("", "", NS, ",\"personality\":{\"domain\":\"linux\"}"),
           "linux.personality.domain: 'linux'");
    refuse(CONFIG("", "", NS, ",\"personality\":{\"domain\":\"LINUX\",\"flags\":[\"X\"]}"),
           "linux.personality.flags: 'X'");
    s = load(CONFIG("", "", NS, ",\"personality\":{\"domain\":\"LINUX32\"}"));
    assert_non_null(s);
    assert_true(s->has_personality && s->personality == 8);
    rt_spec_free(s);
}

UNIT_MAIN(cmocka_unit_test(schedulers_are_checked),
          cmocka_unit_test(io_priorities_and_processors_are_checked),
          cmocka_unit_test(memory_policies_are_checked),
          cmocka_unit_test(personalities_are_checked))
