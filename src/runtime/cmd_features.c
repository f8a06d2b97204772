/* cmd_features.c - features: what is supported, in the form of runtime-spec features.md. */
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "os/caps.h"
#include "os/ns.h"
#include "os/sched.h"
#include "os/seccomp.h"
#include "runtime/cmd.h"
#include "runtime/mountopt.h"
#include "runtime/spec.h"
#include "runtime/unit.h"

static void put_list(struct jl_json_out *w, const char *key, const char *const *items, size_t n)
{
    jl_json_put_array(w, key);
    for (size_t i = 0; i < n; i++)
        jl_json_put_str(w, NULL, items[i]);
    jl_json_end(w);
}

static void put_enabled(struct jl_json_out *w, const char *key, bool enabled)
{
    jl_json_put_object(w, key);
    jl_json_put_bool(w, "enabled", enabled);
    jl_json_end(w);
}

/* What is built in, whatever this machine has mounted (features-linux.md, Cgroup). */
static void put_cgroup(struct jl_json_out *w)
{
    jl_json_put_object(w, "cgroup");
    jl_json_put_bool(w, "v1", true);
    jl_json_put_bool(w, "v2", true);
    jl_json_put_bool(w, "systemd", rt_helper_is_there());
    jl_json_put_bool(w, "systemdUser", rt_helper_is_there());
    jl_json_put_bool(w, "rdma", true);
    jl_json_end(w);
}

static void put_seccomp(struct jl_json_out *w)
{
    static const char *const actions[] = { "SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO",
                                           "SCMP_ACT_KILL",        "SCMP_ACT_KILL_PROCESS",
                                           "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                           "SCMP_ACT_NOTIFY",      "SCMP_ACT_TRACE",
                                           "SCMP_ACT_TRAP" };
    static const char *const operators[] = { "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                                             "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                                             "SCMP_CMP_NE" };
    const char *word;

    jl_json_put_object(w, "seccomp");
    jl_json_put_bool(w, "enabled", true);
    put_list(w, "actions", actions, JL_COUNT(actions));
    put_list(w, "operators", operators, JL_COUNT(operators));
    jl_json_put_array(w, "archs");
    for (unsigned i = 0; (word = os_seccomp_arch_word(i)) != NULL; i++)
        jl_json_put_str(w, NULL, word);
    jl_json_end(w);
    jl_json_put_array(w, "knownFlags");
    for (unsigned i = 0; (word = os_seccomp_flag_word(i)) != NULL; i++)
        jl_json_put_str(w, NULL, word);
    jl_json_end(w);
    jl_json_put_array(w, "supportedFlags");
    for (unsigned i = 0; (word = os_seccomp_flag_word(i)) != NULL; i++)
        if (os_seccomp_kernel_has_flag(i))
            jl_json_put_str(w, NULL, word);
    jl_json_end(w);
    jl_json_end(w);
}

static void put_names(struct jl_json_out *w, const char *key, const char *(*name)(unsigned) )
{
    jl_json_put_array(w, key);
    for (unsigned i = 0; name(i); i++)
        jl_json_put_str(w, NULL, name(i));
    jl_json_end(w);
}

static void put_memory_policy(struct jl_json_out *w)
{
    jl_json_put_object(w, "memoryPolicy");
    put_names(w, "modes", os_mempolicy_mode_name);
    put_names(w, "flags", os_mempolicy_flag_name);
    jl_json_end(w);
}

static void put_linux(struct jl_json_out *w)
{
    jl_json_put_object(w, "linux");
    jl_json_put_array(w, "namespaces");
    for (int ns = 0; ns < OS_NS_N; ns++)
        if (os_ns_supported((enum os_ns) ns))
            jl_json_put_str(w, NULL, os_ns_name((enum os_ns) ns));
    jl_json_end(w);
    jl_json_put_array(w, "capabilities");
    for (unsigned cap = 0; cap < OS_CAP_N; cap++)
        jl_json_put_str(w, NULL, os_cap_name(cap));
    jl_json_end(w);
    put_cgroup(w);
    put_seccomp(w);
    put_enabled(w, "apparmor", true);
    put_enabled(w, "selinux", true);
    jl_json_put_object(w, "intelRdt");
    jl_json_put_bool(w, "enabled", true);
    jl_json_put_bool(w, "schemata", true);
    jl_json_put_bool(w, "monitoring", true);
    jl_json_end(w);
    put_memory_policy(w);
    put_enabled(w, "netDevices", true);
    jl_json_put_object(w, "mountExtensions");
    put_enabled(w, "idmap", true);
    jl_json_end(w);
    jl_json_end(w);
}

int rt_cmd_features(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    static const char *const hooks[] = { "prestart",       "createRuntime", "createContainer",
                                         "startContainer", "poststart",     "poststop" };
    /* these change how the container is made; a dot ends a prefix (features.md) */
    static const char *const unsafe[] = { "io.joblet.", "org.systemd.property." };
    _buf_ struct jl_buf out = JL_BUF_INIT(64 * 1024);
    struct jl_json_out w = JL_JSON_OUT_INIT(&out, 4);
    struct rt_args args;
    const char *word;
    int r = rt_cmd_parse("features", NULL, 0, argc, argv, 0, false, &args, e);

    (void) ctx;
    if (r != 0)
        return r < 0 ? r : 0;
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "ociVersionMin", "1.0.0");
    jl_json_put_str(&w, "ociVersionMax", RT_SPEC_VERSION);
    put_list(&w, "hooks", hooks, JL_COUNT(hooks));
    jl_json_put_array(&w, "mountOptions");
    for (unsigned i = 0; (word = rt_mountopt_word(i)) != NULL; i++)
        jl_json_put_str(&w, NULL, word);
    jl_json_end(&w);
    put_linux(&w);
    put_list(&w, "potentiallyUnsafeConfigAnnotations", unsafe, JL_COUNT(unsafe));
    jl_json_put_object(&w, "annotations");
    jl_json_put_str(&w, "io.joblet.checkpoint.enabled", "true"); /* by CRIU, when it is there */
    jl_json_put_str(&w, "io.joblet.commit", JOBLET_COMMIT);
    jl_json_put_str(&w, "io.joblet.version", PACKAGE_VERSION);
    jl_json_end(&w);
    jl_json_end(&w);
    r = jl_json_finish(&w);
    if (r < 0)
        return jl_fail(e, -r, "write the features");
    r = jl_buf_putc(&out, '\n');
    if (r == 0)
        r = jl_write_all(STDOUT_FILENO, out.data, out.len);
    return r == 0 ? 0 : jl_fail(e, -r, "write to standard output");
}
