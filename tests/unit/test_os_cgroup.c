/* test_os_cgroup.c - what control groups need to think about without a kernel: no privilege. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "os/cgroup_internal.h"

static struct jl_err err;

/* ---- hierarchies ---- */

static const char v2_host[] =
    "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n"
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    "91 22 0:26 /docker/1f /var/lib/x/cgroup rw - cgroup2 cgroup2 rw\n";

static const char systemd_hybrid[] =
    "31 23 0:28 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"
    "33 31 0:30 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd\n"
    "36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
    "37 31 0:34 / /sys/fs/cgroup/net_cls,net_prio rw - cgroup cgroup rw,net_cls,net_prio\n"
    "38 31 0:35 / /sys/fs/cgroup/memory rw shared:17 master:2 - cgroup cgroup rw,memory\n"
    "39 31 0:36 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n";

static const char v1_container[] =
    "50 49 0:30 /docker/77ab /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n"
    "51 49 0:31 /docker/77ab /mnt/part rw - cgroup cgroup rw,pids\n"
    "52 49 0:31 / /sys/fs/cgroup/with\\040blank rw - cgroup cgroup rw,pids\n"
    "53 49 0:31 / /later rw - cgroup cgroup rw,pids\n"
    "54 49 0:40 / /sys/fs/cgroup/other rw - cgroup cgroup rw,name=other\n"
    "nonsense\n"
    "60 49 0:50 / /x rw - cgroup\n";

static void a_v2_host_is_seen(void **state)
{
    struct os_cgroup_host h;

    (void) state;
    assert_int_equal(cg_host_parse(v2_host, &h, &err), 0);
    assert_int_equal(h.mode, OS_CGROUP_V2);
    assert_string_equal(h.unified, "/sys/fs/cgroup");
    for (unsigned c = 0; c < OS_CG_N; c++)
        assert_string_equal(h.v1[c], "");
    h.v2_controllers = cg_controller_bits("cpuset cpu io memory hugetlb pids rdma misc");
    assert_true(os_cgroup_host_has(&h, OS_CG_MEMORY));
    assert_true(os_cgroup_host_has(&h, OS_CG_DEVICES));
    assert_true(os_cgroup_host_has(&h, OS_CG_FREEZER));
    assert_false(os_cgroup_host_has(&h, OS_CG_NAMED));
    h.v2_controllers = cg_controller_bits("cpu\n");
    assert_false(os_cgroup_host_has(&h, OS_CG_MEMORY));
}

static void a_joint_mount_is_one_hierarchy_of_two_controllers(void **state)
{
    struct os_cgroup_host h;
    unsigned n = 0;

    (void) state;
    assert_int_equal(cg_host_parse(systemd_hybrid, &h, &err), 0);
    assert_int_equal(h.mode, OS_CGROUP_HYBRID);
    assert_string_equal(h.unified, "/sys/fs/cgroup/unified");
    assert_string_equal(h.v1[OS_CG_CPU], "/sys/fs/cgroup/cpu,cpuacct");
    assert_string_equal(h.v1[OS_CG_CPUACCT], "/sys/fs/cgroup/cpu,cpuacct");
    assert_string_equal(h.v1[OS_CG_IO], "/sys/fs/cgroup/blkio");
    assert_string_equal(h.v1[OS_CG_NAMED], "/sys/fs/cgroup/systemd");
    assert_string_equal(h.v1[OS_CG_PIDS], "");
    assert_int_equal(cg_v1_owner(&h, OS_CG_CPUACCT), OS_CG_CPU);
    assert_null(cg_mount(&h, OS_CG_CPUACCT));
    for (unsigned i = 0; i < CG_HIERARCHIES; i++)
        n += cg_mount(&h, i) != NULL;
    assert_int_equal(n, 6);
    assert_int_equal(cg_v1_owner(&h, OS_CG_NET_PRIO), OS_CG_NET_CLS);
    assert_false(os_cgroup_host_has(&h, OS_CG_PIDS));
}

static void the_whole_tree_wins_over_a_part(void **state)
{
    struct os_cgroup_host h;

    (void) state;
    assert_int_equal(cg_host_parse(v1_container, &h, &err), 0);
    assert_int_equal(h.mode, OS_CGROUP_V1);
    assert_string_equal(h.v1[OS_CG_CPUSET], "/sys/fs/cgroup/cpuset");
    assert_string_equal(h.v1[OS_CG_PIDS], "/sys/fs/cgroup/with blank");
    assert_string_equal(h.v1[OS_CG_NAMED], "");
    assert_string_equal(h.unified, "");
    assert_int_equal(cg_host_parse("", &h, &err), 0);
    assert_int_equal(h.mode, OS_CGROUP_NONE);
    assert_string_equal(os_cgroup_mode_name(h.mode), "none");
}

static void a_mount_point_that_does_not_fit_is_refused(void **state)
{
    struct os_cgroup_host h;
    char line[512];
    size_t n;

    (void) state;
    n = (size_t) snprintf(line, sizeof line, "30 23 0:26 / /");
    memset(line + n, 'x', 300);
    snprintf(line + n + 300, sizeof line - n - 300, " rw - cgroup2 cgroup2 rw\n");
    assert_int_equal(cg_host_parse(line, &h, &err), -ENAMETOOLONG);
}

static void paths_are_tidied_or_refused(void **state)
{
    static const char *const bad[] = { "", "/", "..", "a/../b", "a/.", "./a", "a\nb", "a/\x7f" };
    char norm[CG_PATH_MAX], longest[CG_PATH_MAX + 300];

    (void) state;
    assert_int_equal(cg_path_check("//a///b/", norm, &err), 0);
    assert_string_equal(norm, "a/b");
    assert_int_equal(cg_path_check("a/..b/...", norm, &err), 0);
    for (size_t i = 0; i < JL_COUNT(bad); i++)
        assert_int_equal(cg_path_check(bad[i], norm, &err), -EINVAL);
    memset(longest, 'y', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(cg_path_check(longest, norm, &err), -ENAMETOOLONG);
    for (size_t i = 0; i < sizeof longest - 1; i++)
        longest[i] = i % 200 ? 'y' : '/';
    assert_int_equal(cg_path_check(longest, norm, &err), -ENAMETOOLONG);
}

/* ---- numbers ---- */

static void shares_become_weights(void **state)
{
    static const uint64_t pairs[][2] = {
        { 0, 1 }, { 2, 1 }, { 1024, 100 }, { 262144, 10000 }, { 300000, 10000 }
    };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(pairs); i++)
        assert_int_equal(os_cgroup_cpu_weight(pairs[i][0]), pairs[i][1]);
    for (uint64_t s = 2; s < 262144; s++) /* more shares never weigh less */
        if (os_cgroup_cpu_weight(s) > os_cgroup_cpu_weight(s + 1))
            fail_msg("%llu shares", (unsigned long long) s);
    assert_int_equal(os_cgroup_io_weight(10), 1);
    assert_int_equal(os_cgroup_io_weight(1000), 10000);
    assert_in_range(os_cgroup_io_weight(100), 900, 920);
}

static void what_the_kernel_holds_is_compared_with_what_was_asked(void **state)
{
    (void) state;
    assert_true(cg_same_number("4096", 4096, 1));
    assert_false(cg_same_number("4096", 4097, 1));
    assert_true(cg_same_number("4096", 8191, 4096));
    assert_false(cg_same_number("4096", 8192, 4096));
    assert_false(cg_same_number("8192", 4096, 4096));
    assert_true(cg_same_number("max", -1, 1));
    assert_true(cg_same_number("-1", -1, 1));
    assert_true(cg_same_number("9223372036854771712", -1, 4096));
    assert_false(cg_same_number("1073741824", -1, 1));
    assert_false(cg_same_number("max", 5, 1));
    assert_true(cg_same_number("max", INT64_MAX, 4096));
    assert_false(cg_same_number("0", -1, 1));
    assert_true(cg_same_number("0", 0, 1));
    assert_false(cg_same_number("", 0, 1));
    assert_true(cg_same_list("0-3", "0,1,2-3"));
    assert_false(cg_same_list("0-3", "0-2"));
    assert_false(cg_same_list("", "0"));
    assert_true(cg_same_list("", ""));
    assert_true(cg_same_list("8191", "8191"));
}

static void numbers_are_found_by_their_key(void **state)
{
    static const char events[] = "low 0\noom 3\noom_kill 2\noom_group_kill 0\n";
    static const char psi[] = "some avg10=0.00 avg60=0.00 avg300=0.00 total=12345\n"
                              "full avg10=0.00 avg60=0.00 avg300=0.00 total=99";
    uint64_t n;

    (void) state;
    assert_int_equal(cg_text_key(events, "oom_kill", &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(cg_text_key(events, "oom", &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(cg_text_key(events, "kill", &n), -ENODATA);
    assert_int_equal(cg_text_key(psi, "some", &n), 0);
    assert_int_equal(n, 12345);
    assert_int_equal(cg_text_key(psi, "full", &n), 0);
    assert_int_equal(n, 99);
    assert_int_equal(cg_text_key("", "a", &n), -ENODATA);
    assert_int_equal(cg_text_key("a b\n", "a", &n), -EINVAL);
}

static void io_is_summed_over_devices(void **state)
{
    uint64_t r, w;

    (void) state;
    cg_io_stat_sum("8:0 rbytes=100 wbytes=7 rios=1 wios=2 dbytes=50 dios=1\n"
                   "254:0 rbytes=11 wbytes=5 rios=1 wios=1\n259:0 \n",
                   &r, &w);
    assert_int_equal(r, 111);
    assert_int_equal(w, 12);
    cg_blkio_sum("254:0 Read 300\n254:0 Write 20\n254:0 Sync 1\n254:0 Total 320\n8:0 Read 4\n"
                 "Total 324\n",
                 &r, &w);
    assert_int_equal(r, 304);
    assert_int_equal(w, 20);
}

static void limits_name_the_controllers_they_need(void **state)
{
    struct os_cgroup_raw raw[] = { { "memory.high", "1" },
                                   { "cgroup.max.depth", "3" },
                                   { "io.latency", "x" },
                                   { "misc.max", "y" } };
    struct os_cgroup_limits none = { 0 };
    struct os_cgroup_limits some = { .has_pids = true, .cpuset_mems = "0" };
    struct os_cgroup_limits files = { .unified = raw, .n_unified = JL_COUNT(raw) };

    (void) state;
    assert_int_equal(os_cgroup_limits_need(&none), 0);
    assert_int_equal(os_cgroup_limits_need(&some), OS_CG_BIT(OS_CG_PIDS) | OS_CG_BIT(OS_CG_CPUSET));
    assert_int_equal(os_cgroup_limits_need(&files),
                     OS_CG_BIT(OS_CG_MEMORY) | OS_CG_BIT(OS_CG_IO) | OS_CG_BIT(OS_CG_MISC));
}

static void lines_are_found_by_their_name_and_words(void **state)
{
    static const char text[] = "mlx4_0 hca_handle=2 hca_object=max\nocrdma1 hca_handle=23 "
                               "hca_object=2000\n";

    (void) state;
    assert_true(cg_has_words(text, "mlx4_0", "hca_handle=2"));
    assert_true(cg_has_words(text, "mlx4_0", "hca_handle=2 hca_object=max"));
    assert_true(cg_has_words(text, "ocrdma1", "hca_object=2000"));
    assert_false(cg_has_words(text, "ocrdma1", "hca_handle=2"));
    assert_false(cg_has_words(text, "mlx4", "hca_handle=2"));
    assert_false(cg_has_words(text, "mlx4_0", "hca_object=2000"));
    assert_false(cg_has_words("", "mlx4_0", "x"));
}

/* ---- device rules ---- */

struct request {
    char type;
    unsigned major, minor, access;
};

/* What a list means: the last rule that names an access decides it; none: denied. */
static bool meaning(const struct os_cgroup_device_rule *rules, size_t n, const struct request *q)
{
    for (unsigned bit = 1; bit <= 4; bit <<= 1) {
        bool allow = false;

        if (!(q->access & bit))
            continue;
        for (size_t i = 0; i < n; i++)
            if ((rules[i].type == 'a' || rules[i].type == q->type) &&
                (rules[i].major == -1 || rules[i].major == q->major) &&
                (rules[i].minor == -1 || rules[i].minor == q->minor) && (rules[i].access & bit))
                allow = rules[i].allow;
        if (!allow)
            return false;
    }
    return true;
}

/* Just enough of a BPF machine. */
static bool run_program(const struct cg_bpf *p, const struct request *q)
{
    uint32_t ctx[3] = { (q->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR), q->major,
                        q->minor };
    uint64_t r[11] = { 0 };

    ctx[0] |= (q->access & 1 ? BPF_DEVCG_ACC_READ << 16 : 0) |
              (q->access & 2 ? BPF_DEVCG_ACC_WRITE << 16 : 0) |
              (q->access & 4 ? BPF_DEVCG_ACC_MKNOD << 16 : 0);
    for (size_t pc = 0; pc < p->n; pc++) {
        const struct bpf_insn *i = &p->insn[pc];
        uint64_t *d = &r[i->dst_reg];

        switch (i->code) {
        case BPF_LDX | BPF_W | BPF_MEM:
            *d = ctx[i->off / 4];
            break;
        case BPF_ALU | BPF_MOV | BPF_X:
            *d = (uint32_t) r[i->src_reg];
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            *d = (uint32_t) *d & (uint32_t) i->imm;
            break;
        case BPF_ALU | BPF_RSH | BPF_K:
            *d = (uint32_t) *d >> i->imm;
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            *d = (uint64_t) (int64_t) i->imm;
            break;
        case BPF_JMP32 | BPF_JNE | BPF_K:
            pc += (uint32_t) *d != (uint32_t) i->imm ? (size_t) i->off : 0;
            break;
        case BPF_JMP32 | BPF_JEQ | BPF_K:
            pc += (uint32_t) *d == (uint32_t) i->imm ? (size_t) i->off : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return r[0] == 1;
        default:
            fail_msg("instruction %zu: code 0x%x", pc, i->code);
        }
    }
    fail_msg("the program runs off its end");
    return false;
}

/* As security/device_cgroup.c decides: with the default to deny, one exception must grant all. */
static bool v1_decides(const struct os_cgroup_device_list *l, const struct request *q)
{
    for (size_t k = 0; k < l->n; k++) {
        const struct os_cgroup_device_rule *x = &l->exceptions[k];

        if (x->type != q->type || (x->major != -1 && x->major != q->major) ||
            (x->minor != -1 && x->minor != q->minor))
            continue;
        if (l->allow && (x->access & q->access))
            return false;
        if (!l->allow && !(q->access & ~x->access))
            return true;
    }
    return l->allow;
}

static unsigned dice(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

static void random_rule(unsigned *seed, struct os_cgroup_device_rule *r)
{
    *r = (struct os_cgroup_device_rule){ .allow = dice(seed, 2),
                                         .type = "abc"[dice(seed, 9) ? 1 + dice(seed, 2) : 0],
                                         .major = (int64_t) dice(seed, 4) - 1,
                                         .minor = (int64_t) dice(seed, 4) - 1,
                                         .access = 1 + dice(seed, 7) };
    if (r->type == 'a') {
        r->major = r->minor = -1;
        r->access = dice(seed, 2) ? 7 : r->access;
    }
}

static void program_and_list_mean_what_the_rules_mean(void **state)
{
    static struct cg_bpf program;
    static struct os_cgroup_device_list list;
    unsigned seed = 1, listed = 0;

    (void) state;
    for (int round = 0; round < 3000; round++) {
        struct os_cgroup_device_rule rules[8];
        size_t n = dice(&seed, JL_COUNT(rules) + 1);
        bool has_list;

        for (size_t i = 0; i < n; i++)
            random_rule(&seed, &rules[i]);
        assert_int_equal(cg_devices_check(rules, n, &err), 0);
        cg_devices_to_bpf(rules, n, &program);
        has_list = os_cgroup_devices_to_list(rules, n, &list, &err) == 0;
        listed += has_list;
        for (unsigned all = 0; all < 2 * 3 * 3 * 7; all++) {
            struct request q = { "bc"[all % 2], all / 2 % 3, all / 6 % 3, 1 + all / 18 };

            if (run_program(&program, &q) != meaning(rules, n, &q))
                fail_msg("round %d: program", round);
            if (has_list && v1_decides(&list, &q) != meaning(rules, n, &q))
                fail_msg("round %d: list", round);
        }
    }
    assert_in_range(listed, 500, 2999); /* both kinds were tried */
}

static void the_usual_rules_become_a_short_list(void **state)
{
    static const struct os_cgroup_device_rule rules[] = {
        { true, 'c', 99, 99, 7 }, { false, 'a', -1, -1, 7 }, { true, 'c', -1, -1, 4 },
        { true, 'c', 1, 3, 1 },   { true, 'c', 1, 3, 2 },    { true, 'b', 8, -1, 1 },
    };
    static struct os_cgroup_device_list l;
    char text[64];

    (void) state;
    assert_int_equal(os_cgroup_devices_to_list(rules, JL_COUNT(rules), &l, &err), 0);
    assert_false(l.allow);
    assert_int_equal(l.n, 3);
    cg_device_format(&l.exceptions[0], text, sizeof text);
    assert_string_equal(text, "c *:* m");
    cg_device_format(&l.exceptions[1], text, sizeof text);
    assert_string_equal(text, "c 1:3 rwm");
    cg_device_format(&l.exceptions[2], text, sizeof text);
    assert_string_equal(text, "b 8:* r");
}

static void what_v1_would_take_and_not_enforce_is_refused(void **state)
{
    static const struct os_cgroup_device_rule rules[] = { { false, 'a', -1, -1, 7 },
                                                          { true, 'c', -1, -1, 7 },
                                                          { false, 'c', 1, 3, 2 } };
    static struct os_cgroup_device_list l;

    (void) state;
    assert_int_equal(os_cgroup_devices_to_list(rules, JL_COUNT(rules), &l, &err), -ENOTSUP);
    assert_non_null(strstr(err.text, "1:3"));
}

static void rules_that_make_no_sense_are_refused(void **state)
{
    static const struct os_cgroup_device_rule bad[] = {
        { true, 'x', 1, 1, 7 },  { true, 'c', -2, 1, 7 },        { true, 'c', 1, 1, 0 },
        { true, 'c', 1, 1, 8 },  { true, 'c', 1LL << 32, 1, 7 }, { true, 'a', 1, -1, 7 },
        { true, '\0', 1, 1, 7 },
    };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(bad); i++)
        assert_int_equal(cg_devices_check(&bad[i], 1, &err), -EINVAL);
    assert_int_equal(cg_devices_check(bad, CG_DEVICE_RULES_MAX + 1, &err), -E2BIG);
}

static void the_longest_program_fits(void **state)
{
    static struct os_cgroup_device_rule rules[CG_DEVICE_RULES_MAX];
    static struct cg_bpf program;

    (void) state;
    for (size_t i = 0; i < JL_COUNT(rules); i++)
        rules[i] = (struct os_cgroup_device_rule){ i % 2, 'c', 5, (int64_t) i, 7 };
    cg_devices_to_bpf(rules, JL_COUNT(rules), &program);
    assert_in_range(program.n, JL_COUNT(rules) * 7, CG_BPF_MAX);
}

/* ---- CPU time, in groups that the test writes */

static int make_group(const char *files[][2])
{
    char dir[] = "/tmp/jl-group.XXXXXX";
    int fd;

    assert_non_null(mkdtemp(dir));
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (; (*files)[0]; files++)
        assert_int_equal(
            jl_publish_at(fd, (*files)[0], (*files)[1], strlen((*files)[1]), 0600, false, &err), 0);
    return fd;
}

static void unmake_group(int fd, const char *files[][2])
{
    char link[32], path[64] = "";

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    for (; (*files)[0]; files++)
        assert_int_equal(unlinkat(fd, (*files)[0], 0), 0);
    assert_int_equal(rmdir(path), 0);
    jl_close(fd);
}

static void expect_cpu(const char *v2[][2], const char *v1[][2], uint64_t user_us,
                       uint64_t system_us)
{
    struct os_cgroup cg = { 0 };
    struct os_cgroup_stat s;

    for (unsigned i = 0; i < CG_HIERARCHIES; i++)
        cg.fd[i] = -1;
    if (v2)
        cg.fd[CG_UNIFIED] = make_group(v2);
    if (v1)
        cg.fd[OS_CG_CPUACCT] = make_group(v1);
    assert_int_equal(os_cgroup_stat_read(&cg, &s), 0);
    assert_int_equal(s.cpu_user_us, user_us);
    assert_int_equal(s.cpu_system_us, system_us);
    if (v2)
        unmake_group(cg.fd[CG_UNIFIED], v2);
    if (v1)
        unmake_group(cg.fd[OS_CG_CPUACCT], v1);
}

static void cpu_time_is_what_the_kernel_measured(void **state)
{
    const char *v2[][2] = {
        { "cpu.stat", "usage_usec 2067100\nuser_usec 2057100\nsystem_usec 10000\n" }, { NULL, NULL }
    };
    const char *v1[][2] = { { "cpuacct.usage", "2067000000\n" },
                            { "cpuacct.usage_user", "2376000000\n" },
                            { "cpuacct.usage_sys", "4000000\n" },
                            { "cpuacct.stat", "user 150\nsystem 50\n" },
                            { NULL, NULL } };
    const char *fresh[][2] = { { "cpuacct.usage", "300000\n" },
                               { "cpuacct.stat", "user 0\nsystem 0\n" },
                               { NULL, NULL } };

    (void) state;
    expect_cpu(v2, NULL, 2057100, 10000);
    expect_cpu(v2, v1, 2057100, 10000); /* hybrid */
    expect_cpu(NULL, v1, 1550250, 516750);
    expect_cpu(fresh, v1, 1550250, 516750); /* a unified tree before Linux 4.15 */
    expect_cpu(NULL, fresh, 300, 0);
    expect_cpu(NULL, NULL, 0, 0);
}

UNIT_MAIN(cmocka_unit_test(cpu_time_is_what_the_kernel_measured),
          cmocka_unit_test(a_v2_host_is_seen),
          cmocka_unit_test(a_joint_mount_is_one_hierarchy_of_two_controllers),
          cmocka_unit_test(the_whole_tree_wins_over_a_part),
          cmocka_unit_test(a_mount_point_that_does_not_fit_is_refused),
          cmocka_unit_test(paths_are_tidied_or_refused), cmocka_unit_test(shares_become_weights),
          cmocka_unit_test(what_the_kernel_holds_is_compared_with_what_was_asked),
          cmocka_unit_test(numbers_are_found_by_their_key),
          cmocka_unit_test(io_is_summed_over_devices),
          cmocka_unit_test(limits_name_the_controllers_they_need),
          cmocka_unit_test(lines_are_found_by_their_name_and_words),
          cmocka_unit_test(program_and_list_mean_what_the_rules_mean),
          cmocka_unit_test(the_usual_rules_become_a_short_list),
          cmocka_unit_test(what_v1_would_take_and_not_enforce_is_refused),
          cmocka_unit_test(rules_that_make_no_sense_are_refused),
          cmocka_unit_test(the_longest_program_fits))
