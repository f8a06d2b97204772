/* test_runtime_process.c - the properties of a process, and of what it runs in, are accepted or
 * refused with the JSON path. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "os/lsm.h"
#include "runtime/landlock.h"
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

static void the_mount_label_goes_to_what_has_labels(void **state)
{
    struct rt_spec *s = load(
        CONFIG(",\"mounts\":[{\"destination\":\"/t\",\"type\":\"tmpfs\",\"options\":[\"size=1m\"]},"
               "{\"destination\":\"/u\",\"type\":\"tmpfs\",\"options\":[\"context=own\"]},"
               "{\"destination\":\"/proc\",\"type\":\"proc\"},"
               "{\"destination\":\"/b\",\"source\":\"/b\",\"options\":[\"bind\"]}]",
               "", NS, ",\"mountLabel\":\"u:r:t:s0:c1,c2\""));

    (void) state;
    assert_non_null(s);
    assert_int_equal(s->mounts[0].opt.data.len, 2);
    assert_string_equal(s->mounts[0].opt.data.items[1], "context=u:r:t:s0:c1,c2");
    assert_int_equal(s->mounts[1].opt.data.len, 1);
    assert_int_equal(s->mounts[2].opt.data.len, 0);
    assert_int_equal(s->mounts[3].opt.data.len, 0);
    rt_spec_free(s);
}

static struct rt_landlock *rules(const char *text)
{
    struct rt_landlock *l = NULL;

    jl_err_clear(&e);
    return rt_landlock_parse(text, strlen(text), &l, &e) < 0 ? NULL : l;
}

static void no_rules(const char *text, const char *words)
{
    if (rules(text))
        fail_msg("accepted: %s", text);
    if (!strstr(e.text, words))
        fail_msg("'%s' is not in '%s'", words, e.text);
}

static int abi_of(const char *text)
{
    struct rt_landlock *l = rules(text);
    int abi = l ? rt_landlock_abi(l) : -1;

    rt_landlock_free(l);
    return abi;
}

static void landlock_rules_are_strict(void **state)
{
    struct rt_landlock *l;

    (void) state;
    no_rules("{}", "at least one member");
    no_rules("[]", "not an object");
    no_rules("{\"read\":\"/\"}", "read: is not an array");
    no_rules("{\"read\":[\"usr\"]}", "read: an entry is not an absolute path");
    no_rules("{\"read\":[1]}", "not an absolute path");
    no_rules("{\"reed\":[]}", "reed: is unknown");
    no_rules("{\"bindTcp\":[65536]}", "not a port");
    no_rules("{\"bindTcp\":[\"80\"]}", "not a port");
    no_rules("{\"connectTcp\":[-1]}", "not a port");
    no_rules("{\"scope\":[\"all\"]}", "scope: allowed are");
    no_rules("{\"scope\":[]}", "scope: is empty");
    l = rules("{\"read\":[\"/usr\",\"/etc\"],\"write\":[],\"bindTcp\":[0,65535]}");
    assert_non_null(l);
    assert_true(l->given[RT_LL_READ] && l->given[RT_LL_WRITE] && !l->given[RT_LL_EXECUTE]);
    assert_int_equal(l->paths[RT_LL_READ].len, 2);
    assert_int_equal(l->bind.n, 2);
    assert_int_equal(l->bind.items[1], 65535);
    assert_false(l->connect.given);
    rt_landlock_free(l);
}

static void landlock_rules_know_what_kernel_they_need(void **state)
{
    (void) state;
    assert_int_equal(abi_of("{\"read\":[],\"execute\":[]}"), 1);
    assert_int_equal(abi_of("{\"write\":[]}"), 3); /* truncation came late */
    assert_int_equal(abi_of("{\"connectTcp\":[]}"), 4);
    assert_int_equal(abi_of("{\"ioctlDevices\":[],\"bindTcp\":[]}"), 5);
    assert_int_equal(abi_of("{\"scope\":[\"signal\"]}"), 6);
}

static void landlock_annotations_are_checked(void **state)
{
    (void) state;
    refuse(CONFIG(",\"annotations\":{\"io.joblet.landlock\":\"{\"}", "", NS, ""),
           "annotations.io.joblet.landlock: ");
    refuse(CONFIG(",\"annotations\":{\"io.joblet.landlock.read\":\"/\"}", "", NS, ""),
           "annotations.io.joblet.landlock.read: is unknown");
    accept(CONFIG(",\"annotations\":{\"io.joblet.landlock\":\"{\\\"read\\\":[]}\"}", "", NS, ""));
}

/* A procfs as far as labels go, in a directory. */
static char fake[64];

static void put(const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/thread-self/attr/%s", fake, name);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static const char *got(const char *name)
{
    static char text[256];
    char path[128];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "%s/thread-self/attr/%s", fake, name);
    f = fopen(path, "r");
    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    fclose(f);
    return text;
}

static void labels_are_written_as_the_kernel_wants_them(void **state)
{
    char path[128];
    int dir;

    (void) state;
    snprintf(fake, sizeof fake, "/tmp/test_labels_XXXXXX");
    assert_non_null(mkdtemp(fake));
    for (int i = 0; i < 3; i++) {
        static const char *const parts[] = { "thread-self", "thread-self/attr",
                                             "thread-self/attr/apparmor" };

        snprintf(path, sizeof path, "%s/%s", fake, parts[i]);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    dir = open(fake, O_PATH | O_DIRECTORY);
    put("apparmor/current", "unconfined\n");
    put("apparmor/exec", "");
    put("exec", "");
    put("keycreate", "old");
    assert_int_equal(os_apparmor_on_exec(dir, "jobs", &e), 0);
    assert_string_equal(got("apparmor/exec"), "exec jobs");
    put("apparmor/current", "outer (enforce)\n");
    put("apparmor/exec", "");
    assert_int_equal(os_apparmor_on_exec(dir, "jobs", &e), 0);
    assert_string_equal(got("apparmor/exec"), "stack jobs");
    put("apparmor/current", "unconfined_but_not_quite (enforce)\n");
    put("apparmor/exec", "");
    assert_int_equal(os_apparmor_on_exec(dir, "jobs", &e), 0);
    assert_string_equal(got("apparmor/exec"), "stack jobs");
    put("apparmor/current", "");
    assert_int_equal(os_apparmor_on_exec(dir, "jobs", &e), -ENOTSUP);
    assert_int_equal(os_selinux_on_exec(dir, "u:r:t:s0", &e), 0);
    assert_string_equal(got("exec"), "u:r:t:s0");
    assert_int_equal(os_selinux_on_keys(dir, "u:r:t:s0", &e), 0);
    assert_string_equal(got("keycreate"), "u:r:t:s0");
    /* A link in the way is not followed out of it. */
    snprintf(path, sizeof path, "%s/thread-self/attr/exec", fake);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_true(os_selinux_on_exec(dir, "u:r:t:s0", &e) < 0);
    close(dir);
    assert_int_equal(jl_remove_tree_at(AT_FDCWD, fake, &e), 0);
}

UNIT_MAIN(cmocka_unit_test(the_mount_label_goes_to_what_has_labels),
          cmocka_unit_test(landlock_rules_are_strict),
          cmocka_unit_test(landlock_rules_know_what_kernel_they_need),
          cmocka_unit_test(landlock_annotations_are_checked),
          cmocka_unit_test(labels_are_written_as_the_kernel_wants_them),
          cmocka_unit_test(schedulers_are_checked),
          cmocka_unit_test(io_priorities_and_processors_are_checked),
          cmocka_unit_test(memory_policies_are_checked),
          cmocka_unit_test(personalities_are_checked))
