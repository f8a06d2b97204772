/* test_runtime_spec.c - configurations are accepted, or refused with the JSON path. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
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

static void a_small_configuration_is_enough(void **state)
{
    struct rt_spec *s = load(CONFIG("", "", NS, ""));

    (void) state;
    assert_non_null(s);
    assert_string_equal(s->rootfs, "/r");
    assert_int_equal(s->ns_new,
                     os_ns_flag(OS_NS_MOUNT) | os_ns_flag(OS_NS_PID) | os_ns_flag(OS_NS_UTS));
    assert_int_equal(s->warnings.len, 0);
    assert_false(s->wants_limits);
    rt_spec_free(s);
}

static void a_relative_root_is_below_the_bundle(void **state)
{
    struct rt_spec *s = load("{\"ociVersion\":\"1.0.0\",\"root\":{\"path\":\"rootfs\"},"
                             "\"linux\":{\"namespaces\":[{\"type\":\"mount\"}]}}");

    (void) state;
    assert_non_null(s);
    assert_string_equal(s->rootfs, "/b/rootfs");
    assert_false(s->has_process);
    rt_spec_free(s);
}

static void versions_are_looked_at(void **state)
{
    struct rt_spec *s;

    (void) state;
    refuse("{\"ociVersion\":\"2.0.0\"," ROOT "}", "ociVersion");
    refuse("{\"ociVersion\":\"1.\"," ROOT "}", "ociVersion");
    s = load("{\"ociVersion\":\"1.9.0\"," ROOT ",\"linux\":{\"namespaces\":[" NS "]}}");
    assert_non_null(s);
    assert_int_equal(s->warnings.len, 1);
    rt_spec_free(s);
}

static void broken_json_is_refused(void **state)
{
    (void) state;
    refuse("{\"ociVersion\":", "config.json");
    refuse("[]", "config.json");
    refuse("", "config.json");
}

static void namespaces_are_checked(void **state)
{
    (void) state;
    accept(CONFIG("", "", "{\"type\":\"pid\"}", ""));
    refuse(CONFIG(",\"mounts\":[{\"destination\":\"/p\",\"type\":\"proc\"}]", "",
                  "{\"type\":\"pid\"}", ""),
           "mounts: needs a mount namespace");
    refuse(CONFIG("", "", "{\"type\":\"pid\"}", ",\"maskedPaths\":[\"/p\"]"),
           "linux.maskedPaths: needs a mount namespace");
    refuse(CONFIG("", "", "{\"type\":\"pid\"}", ",\"rootfsPropagation\":\"slave\""),
           "linux.rootfsPropagation: needs a mount namespace");
    refuse(CONFIG("", "", "{\"type\":\"user\"}", ""), "a user namespace: needs a mount namespace");
    refuse(CONFIG("", "", NS ",{\"type\":\"pid\"}", ""), "linux.namespaces[3].type");
    refuse(CONFIG("", "", NS ",{\"type\":\"nte\"}", ""), "linux.namespaces[3].type");
    refuse(CONFIG("", "", NS ",{\"type\":\"network\",\"path\":\"x\"}", ""),
           "linux.namespaces[3].path");
    accept(CONFIG("", "", NS ",{\"type\":\"network\",\"path\":\"/proc/1/ns/net\"}", ""));
    accept("{\"ociVersion\":\"1.0.0\"," ROOT "}");
}

static void user_namespaces_need_maps_and_maps_a_namespace(void **state)
{
    static const char maps[] = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":7,\"size\":9}]"
                               ",\"gidMappings\":[{\"containerID\":0,\"hostID\":7,\"size\":9}]";
    _buf_ struct jl_buf text = JL_BUF_INIT(65536);
    struct rt_spec *s;

    (void) state;
    refuse(CONFIG("", "", NS ",{\"type\":\"user\"}", ""), "linux.uidMappings");
    refuse(CONFIG("", "", NS ",{\"type\":\"user\"}",
                  ",\"uidMappings\":[{\"containerID\":0,\"hostID\":7,\"size\":9}]"),
           "linux.gidMappings");
    jl_buf_printf(&text, CONFIG("", "", NS, "%s"), maps);
    refuse(text.data, "linux.uidMappings");
    jl_buf_clear(&text);
    jl_buf_printf(&text, CONFIG("", "", NS ",{\"type\":\"user\"}", "%s"), maps);
    s = load(text.data);
    assert_non_null(s);
    assert_int_equal(s->n_uids, 1);
    assert_int_equal(s->uids[0].outside, 7);
    rt_spec_free(s);
    refuse(CONFIG("", "", NS ",{\"type\":\"user\"}",
                  ",\"uidMappings\":[{\"containerID\":0,\"hostID\":7,\"size\":0}]"
                  ",\"gidMappings\":[{\"containerID\":0,\"hostID\":7,\"size\":1}]"),
           "linux.uidMappings[0].size");
}

static void process_is_checked(void **state)
{
    (void) state;
    refuse("{\"ociVersion\":\"1.0.0\"," ROOT ",\"process\":{\"cwd\":\"/\"},\"linux\":{"
           "\"namespaces\":[" NS "]}}",
           "process.args");
    refuse("{\"ociVersion\":\"1.0.0\"," ROOT ",\"process\":{\"cwd\":\"x\",\"args\":[\"a\"]},"
           "\"linux\":{\"namespaces\":[" NS "]}}",
           "process.cwd");
    refuse(CONFIG("", ",\"env\":[\"A=1\",\"B\"]", NS, ""), "process.env[1]");
    refuse(CONFIG("", ",\"oomScoreAdj\":1001", NS, ""), "process.oomScoreAdj");
    refuse(CONFIG("", ",\"user\":{\"uid\":0,\"gid\":0,\"umask\":512}", NS, ""),
           "process.user.umask");
    refuse(CONFIG("", ",\"scheduler\":{\"policy\":\"SCHED_FIFO\"}", NS, ""), "process.scheduler");
    refuse(CONFIG("", ",\"ioPriority\":{\"class\":\"IOPRIO_CLASS_BE\"}", NS, ""),
           "process.ioPriority");
}

static void a_limit_may_be_set_once(void **state)
{
    (void) state;
    accept(CONFIG("", ",\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":0}]", NS, ""));
    refuse(CONFIG("",
                  ",\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":0,\"hard\":0},"
                  "{\"type\":\"RLIMIT_CORE\",\"soft\":1,\"hard\":1}]",
                  NS, ""),
           "process.rlimits[1].type");
    refuse(CONFIG("", ",\"rlimits\":[{\"type\":\"RLIMIT_X\",\"soft\":0,\"hard\":0}]", NS, ""),
           "process.rlimits[0].type");
    refuse(CONFIG("", ",\"rlimits\":[{\"type\":\"RLIMIT_CORE\",\"soft\":2,\"hard\":1}]", NS, ""),
           "process.rlimits[0].soft");
}

static void an_unknown_capability_is_a_warning(void **state)
{
    struct rt_spec *s =
        load(CONFIG("", ",\"capabilities\":{\"bounding\":[\"CAP_KILL\",\"CAP_NEW\"]}", NS, ""));

    (void) state;
    assert_non_null(s);
    assert_int_equal(s->warnings.len, 1);
    assert_non_null(strstr(s->warnings.items[0], "CAP_NEW"));
    assert_non_null(strstr(s->warnings.items[0], "process.capabilities.bounding"));
    rt_spec_free(s);
    refuse(CONFIG("", ",\"capabilities\":{\"effective\":[\"CAP_KILL\"]}", NS, ""),
           "capabilities.effective");
}

static void mounts_are_checked(void **state)
{
    (void) state;
#define MOUNT(m) CONFIG(",\"mounts\":[{" m "}]", "", NS, "")
    accept(MOUNT("\"destination\":\"/p\",\"type\":\"proc\""));
    accept(
        MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"type\":\"none\",\"options\":[\"bind\"]"));
    refuse(MOUNT("\"destination\":\"/\",\"type\":\"proc\""), "mounts[0].destination");
    refuse(MOUNT("\"destination\":\"/p\""), "mounts[0].type");
    refuse(MOUNT("\"destination\":\"/p\",\"type\":\"bind\""), "mounts[0].source");
    refuse(MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"options\":[\"bind\",\"size=1\"]"),
           "'size=1' cannot be set on a bind mount");
    accept(MOUNT("\"destination\":\"/p\",\"type\":\"ext4\",\"options\":[\"iversion\"]"));
    refuse(MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"options\":[\"bind\",\"iversion\"]"),
           "'iversion' cannot be set on a bind mount");
    refuse(MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"options\":[\"bind\",\"dirsync\"]"),
           "'dirsync' cannot be set on a bind mount");
    accept(MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"options\":[\"bind\",\"sync\","
                 "\"async\"]"));
    refuse(MOUNT("\"destination\":\"/p\",\"type\":\"tmpfs\",\"options\":[\"src-nofollow\"]"),
           "'src-nofollow' is for bind mounts only");
    refuse(MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"options\":[\"bind\","
                 "\"src-nofollow\",\"copy-symlink\"]"),
           "exclude each other");
    refuse(MOUNT("\"destination\":\"/p\",\"type\":\"proc\",\"options\":[\"tmpcopyup\"]"),
           "tmpcopyup");
    refuse(MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"options\":[\"bind\",\"idmap\"]"),
           "idmap without uidMappings");
    refuse(MOUNT("\"destination\":\"/p\",\"source\":\"/s\",\"options\":[\"bind\"],"
                 "\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]"),
           "mounts[0].gidMappings");
#define OWN_MAP                                                                                    \
    "\"options\":[\"idmap\"],\"uidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}],"       \
    "\"gidMappings\":[{\"containerID\":0,\"hostID\":1,\"size\":1}]"
    accept(MOUNT("\"destination\":\"/p\",\"type\":\"tmpfs\"," OWN_MAP));
    refuse(MOUNT("\"destination\":\"/p\",\"type\":\"mqueue\"," OWN_MAP), "cannot be idmapped");
}

static void sysctls_must_belong_to_a_namespace_of_the_container(void **state)
{
    (void) state;
#define SYSCTL(key) CONFIG("", "", NS ",{\"type\":\"network\"}", ",\"sysctl\":{\"" key "\":\"1\"}")
    accept(SYSCTL("net.ipv4.ip_forward"));
    accept(SYSCTL("net/ipv4/conf/eth0.100/forwarding"));
    refuse(SYSCTL("kernel.panic"), "linux.sysctl.kernel.panic");
    refuse(SYSCTL("kernel.shmmax"), "needs a ipc namespace");
    refuse(SYSCTL("net/../kernel/panic"), "linux.sysctl");
    refuse(CONFIG("", "", NS, ",\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}"),
           "needs a network namespace");
}

static void sysctl_names_become_paths(void **state)
{
    char path[64];

    (void) state;
    assert_int_equal(rt_sysctl_path("net.ipv4.conf.eth0.mtu", path, sizeof path), 0);
    assert_string_equal(path, "net/ipv4/conf/eth0/mtu");
    assert_int_equal(rt_sysctl_path("net.ipv4.conf.eno2/100.mtu", path, sizeof path), 0);
    assert_string_equal(path, "net/ipv4/conf/eno2.100/mtu");
    assert_int_equal(rt_sysctl_path("net/ipv4/conf/eno2.100/mtu", path, sizeof path), 0);
    assert_string_equal(path, "net/ipv4/conf/eno2.100/mtu");
    assert_int_equal(rt_sysctl_path("", path, sizeof path), -EINVAL);
    assert_int_equal(rt_sysctl_path("/etc/passwd", path, sizeof path), -EINVAL);
    assert_int_equal(rt_sysctl_path("net/../../etc/x", path, sizeof path), -EINVAL);
    assert_int_equal(rt_sysctl_path("net.ipv4.a", path, 8), -EINVAL);
}

static void resources_are_checked(void **state)
{
    struct rt_spec *s;

    (void) state;
#define RES(r) CONFIG("", "", NS, ",\"resources\":{" r "}")
    s = load(RES("\"memory\":{\"limit\":1048576},\"pids\":{\"limit\":0},\"cpu\":{\"shares\":0}"));
    assert_non_null(s);
    assert_true(s->limits.has_memory && s->limits.has_pids && s->wants_limits);
    assert_int_equal(s->limits.memory, 1048576);
    assert_int_equal(s->limits.pids, 0);
    assert_false(s->limits.has_cpu_shares); /* docker's 0 for "not set" */
    rt_spec_free(s);
    refuse(RES("\"memory\":{\"swap\":1048576}"), "memory.swap: needs");
    refuse(RES("\"memory\":{\"limit\":2097152,\"swap\":1048576}"), "memory.swap");
    refuse(RES("\"memory\":{\"swappiness\":101}"), "memory.swappiness");
    refuse(RES("\"cpu\":{\"cpus\":\"a\"}"), "cpu.cpus");
    refuse(RES("\"cpu\":{\"idle\":2}"), "cpu.idle");
    refuse(RES("\"cpu\":{\"realtimeRuntime\":-5}"), "realtimeRuntime");
    refuse(RES("\"memory\":{\"kernel\":-5}"), "memory.kernel");
    refuse(RES("\"blockIO\":{\"weight\":5}"), "blockIO.weight");
    refuse(RES("\"blockIO\":{\"weightDevice\":[{\"major\":8,\"minor\":0}]}"),
           "blockIO.weightDevice[0]: needs a weight");
    refuse(RES("\"unified\":{\"../x\":\"1\"}"), "unified");
    refuse(RES("\"network\":{\"priorities\":[{\"name\":\"a b\",\"priority\":1}]}"),
           "network.priorities[0].name");
    refuse(RES("\"rdma\":{\"mlx\":{}}"), "linux.resources.rdma.mlx: needs");
    refuse(RES("\"rdma\":{\"m\\nx\":{\"hcaHandles\":1}}"), "is no name of a device");
    refuse(RES("\"devices\":[{\"allow\":true,\"access\":\"rx\"}]"), "devices[0].access");
    refuse(RES("\"devices\":[{\"allow\":true,\"type\":\"z\"}]"), "devices[0].type");
}

static void rare_resources_are_taken(void **state)
{
    struct rt_spec *s;

    (void) state;
    s = load(RES("\"network\":{\"classID\":1048577,\"priorities\":[{\"name\":\"eth0\","
                 "\"priority\":7}]},\"rdma\":{\"mlx5_1\":{\"hcaObjects\":9}},"
                 "\"cpu\":{\"realtimeRuntime\":950000,\"realtimePeriod\":1000000},"
                 "\"memory\":{\"kernel\":-1,\"kernelTCP\":4096,\"useHierarchy\":false}"));
    assert_non_null(s);
    assert_int_equal(s->limits.net_class, 1048577);
    assert_string_equal(s->limits.net_prio[0].interface, "eth0");
    assert_int_equal(s->limits.net_prio[0].priority, 7);
    assert_string_equal(s->limits.rdma[0].device, "mlx5_1");
    assert_true(s->limits.rdma[0].has_objects && !s->limits.rdma[0].has_handles);
    assert_int_equal(s->limits.rt_runtime, 950000);
    assert_int_equal(s->limits.rt_period, 1000000);
    assert_false(s->limits.has_kernel_memory); /* no limit is what it has anyway */
    assert_true(s->limits.has_kernel_tcp);
    assert_int_equal(s->warnings.len, 1);
    rt_spec_free(s);
    s = load(RES("\"network\":{\"classID\":0},\"cpu\":{\"realtimeRuntime\":0,\"realtimePeriod\":0},"
                 "\"memory\":{\"kernel\":0,\"kernelTCP\":0,\"useHierarchy\":true}"));
    assert_non_null(s);
    assert_false(s->wants_limits);
    assert_int_equal(s->warnings.len, 0);
    rt_spec_free(s);
}

static void annotations_limit_memory_too(void **state)
{
    struct rt_spec *s;

    (void) state;
#define NOTE(a) CONFIG(",\"annotations\":{" a "}", "", NS, "")
    s = load(NOTE("\"io.joblet.memory.high\":\"64MB\",\"io.joblet.memory.oom.group\":\"true\""));
    assert_non_null(s);
    assert_true(s->limits.has_memory_high && s->limits.oom_group && s->wants_limits);
    assert_int_equal(s->limits.memory_high, 64 << 20);
    rt_spec_free(s);
    s = load(NOTE("\"io.joblet.memory.high\":\"max\",\"io.joblet.memory.oom.group\":\"false\""));
    assert_non_null(s);
    assert_int_equal(s->limits.memory_high, -1);
    assert_false(s->limits.oom_group);
    rt_spec_free(s);
    refuse(NOTE("\"io.joblet.memory.high\":\"-1\""), "io.joblet.memory.high");
    refuse(NOTE("\"io.joblet.memory.oom.group\":\"2\""), "io.joblet.memory.oom.group");
}

static void devices_are_denied_first_and_the_usual_ones_allowed_last(void **state)
{
    struct rt_spec *s = load(RES("\"devices\":[{\"allow\":true,\"type\":\"c\",\"major\":10}]"));

    (void) state;
    assert_non_null(s);
    assert_false(s->limits.devices[0].allow);
    assert_int_equal(s->limits.devices[0].type, 'a');
    assert_true(s->limits.devices[1].allow);
    assert_int_equal(s->limits.devices[1].major, 10);
    assert_int_equal(s->limits.devices[1].minor, -1);
    assert_int_equal(s->limits.devices[1].access, 7);
    assert_true(s->limits.devices[s->limits.n_devices - 1].allow);
    assert_int_equal(s->limits.devices[s->limits.n_devices - 1].major, 136);
    rt_spec_free(s);
}

static void hostname_needs_a_namespace_and_fits(void **state)
{
    (void) state;
    accept(CONFIG(",\"hostname\":\"h\"", "", NS, ""));
    refuse(CONFIG(",\"hostname\":\"h\"", "", "{\"type\":\"mount\"}", ""), "hostname");
    refuse(CONFIG(",\"domainname\":\"h\"", "", "{\"type\":\"mount\"}", ""), "domainname");
    refuse(
        CONFIG(
            ",\"hostname\":\"hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh\"",
            "", NS, ""),
        "hostname");
}

static void hooks_need_absolute_paths_and_sane_timeouts(void **state)
{
    (void) state;
    accept(CONFIG(",\"hooks\":{\"poststop\":[{\"path\":\"/x\",\"timeout\":1}]}", "", NS, ""));
    refuse(CONFIG(",\"hooks\":{\"poststop\":[{\"path\":\"x\"}]}", "", NS, ""),
           "hooks.poststop[0].path");
    refuse(CONFIG(",\"hooks\":{\"prestart\":[{\"path\":\"/x\",\"timeout\":0}]}", "", NS, ""),
           "hooks.prestart[0].timeout");
}

static void network_devices_need_a_namespace_and_good_names(void **state)
{
    (void) state;
#define NETDEV(d) CONFIG("", "", NS ",{\"type\":\"network\"}", ",\"netDevices\":{" d "}")
    accept(NETDEV("\"eth0\":{},\"eth1\":{\"name\":\"x%d\"},\"eth2\":{\"name\":\"x%d\"}"));
    accept(NETDEV("\"a23456789012345\":{\"name\":\"\"}"));
    refuse(CONFIG("", "", NS, ",\"netDevices\":{\"eth0\":{}}"), "needs a network namespace");
    refuse(NETDEV("\"a234567890123456\":{}"), "no name of a network device");
    refuse(NETDEV("\"eth%d\":{}"), "no name of a network device");
    refuse(NETDEV("\"eth0\":{\"name\":\"x%dy\"}"), "linux.netDevices.eth0.name");
    refuse(NETDEV("\"eth0\":{\"name\":\"x%s\"}"), "linux.netDevices.eth0.name");
    refuse(NETDEV("\"eth0\":{\"name\":\"%d\"}"), "linux.netDevices.eth0.name");
    refuse(NETDEV("\"eth0\":{\"name\":\"a/b\"}"), "linux.netDevices.eth0.name");
    refuse(NETDEV("\"eth0\":{\"name\":\"..\"}"), "linux.netDevices.eth0.name");
    refuse(NETDEV("\"eth0\":{\"name\":\"x\"},\"eth1\":{\"name\":\"x\"}"), "that of 'eth0' as well");
}

#define RDT(text) CONFIG("", "", NS, ",\"intelRdt\":{" text "}")

static void classes_of_service_are_checked(void **state)
{
    (void) state;
    accept(RDT("\"closID\":\"/\",\"schemata\":[\"L3:0=f\"],\"enableCMT\":true"));
    accept(RDT("\"l3CacheSchema\":\"L3:0=f\\nL2:0=f\",\"memBwSchema\":\"MB:0=70\""));
    refuse(RDT("\"closID\":\"../x\""), "linux.intelRdt.closID");
    refuse(RDT("\"closID\":\"mon_groups\""), "linux.intelRdt.closID");
    refuse(RDT("\"memBwSchema\":\"L3:0=70\""), "linux.intelRdt.memBwSchema");
    refuse(RDT("\"memBwSchema\":\"MB:0=70\\nMB:1=1\""), "linux.intelRdt.memBwSchema");
    refuse(RDT("\"schemata\":[\"L3:0=f\",\"a\\nb\"]"), "linux.intelRdt.schemata[1]");
}

static void clocks_need_a_time_namespace(void **state)
{
    (void) state;
    refuse(CONFIG("", "", NS, ",\"timeOffsets\":{\"boottime\":{\"secs\":1}}"), "linux.timeOffsets");
}

static void rootfs_id_maps_need_a_user_namespace(void **state)
{
    (void) state;
    refuse(CONFIG(",\"annotations\":{\"" RT_ANNOTATION_IDMAP "\":\"true\"}", "", NS, ""),
           RT_ANNOTATION_IDMAP);
}

UNIT_MAIN(cmocka_unit_test(a_small_configuration_is_enough),
          cmocka_unit_test(a_relative_root_is_below_the_bundle),
          cmocka_unit_test(versions_are_looked_at), cmocka_unit_test(broken_json_is_refused),
          cmocka_unit_test(namespaces_are_checked),
          cmocka_unit_test(user_namespaces_need_maps_and_maps_a_namespace),
          cmocka_unit_test(process_is_checked), cmocka_unit_test(a_limit_may_be_set_once),
          cmocka_unit_test(an_unknown_capability_is_a_warning),
          cmocka_unit_test(mounts_are_checked),
          cmocka_unit_test(sysctls_must_belong_to_a_namespace_of_the_container),
          cmocka_unit_test(sysctl_names_become_paths), cmocka_unit_test(resources_are_checked),
          cmocka_unit_test(rare_resources_are_taken),
          cmocka_unit_test(annotations_limit_memory_too),
          cmocka_unit_test(devices_are_denied_first_and_the_usual_ones_allowed_last),
          cmocka_unit_test(hostname_needs_a_namespace_and_fits),
          cmocka_unit_test(hooks_need_absolute_paths_and_sane_timeouts),
          cmocka_unit_test(network_devices_need_a_namespace_and_good_names),
          cmocka_unit_test(classes_of_service_are_checked),
          cmocka_unit_test(clocks_need_a_time_namespace),
          cmocka_unit_test(rootfs_id_maps_need_a_user_namespace))
