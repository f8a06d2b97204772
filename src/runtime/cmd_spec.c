/* cmd_spec.c - spec: a config.json to begin with, as a shell in a read-only root. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "runtime/cmd.h"
#include "runtime/spec.h"

static const char head[] =
    "{\n"
    "    \"ociVersion\": \"" RT_SPEC_VERSION "\",\n"
    "    \"process\": {\n"
    "        \"terminal\": true,\n"
    "        \"user\": { \"uid\": 0, \"gid\": 0 },\n"
    "        \"args\": [ \"sh\" ],\n"
    "        \"env\": [\n"
    "            \"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\n"
    "            \"TERM=xterm\"\n"
    "        ],\n"
    "        \"cwd\": \"/\",\n"
    "        \"capabilities\": {\n"
    "            \"bounding\": [ \"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\" ],\n"
    "            \"effective\": [ \"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\" ],\n"
    "            \"permitted\": [ \"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\" ]\n"
    "        },\n"
    "        \"rlimits\": [\n"
    "            { \"type\": \"RLIMIT_NOFILE\", \"soft\": 1024, \"hard\": 1024 }\n"
    "        ],\n"
    "        \"noNewPrivileges\": true\n"
    "    },\n"
    "    \"root\": { \"path\": \"rootfs\", \"readonly\": true },\n"
    "    \"hostname\": \"joblet\",\n"
    "    \"mounts\": [\n"
    "        { \"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\" },\n"
    "        { \"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\",\n"
    "          \"options\": [ \"nosuid\", \"strictatime\", \"mode=755\", \"size=65536k\" ] },\n"
    "        { \"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\",\n"
    "          \"options\": [ \"nosuid\", \"noexec\", \"newinstance\", \"ptmxmode=0666\", "
    "\"mode=0620\"";

static const char devpts_gid[] = ", \"gid=5\"";

static const char middle[] =
    " ] },\n"
    "        { \"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\",\n"
    "          \"options\": [ \"nosuid\", \"noexec\", \"nodev\", \"mode=1777\", \"size=65536k\" ] "
    "},\n"
    "        { \"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\",\n"
    "          \"options\": [ \"nosuid\", \"noexec\", \"nodev\" ] },\n";

static const char sys_root[] =
    "        { \"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\",\n"
    "          \"options\": [ \"nosuid\", \"noexec\", \"nodev\", \"ro\" ] },\n"
    "        { \"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\",\n"
    "          \"options\": [ \"nosuid\", \"noexec\", \"nodev\", \"relatime\", \"ro\" ] }\n"
    "    ],\n"
    "    \"linux\": {\n"
    "        \"resources\": { \"devices\": [ { \"allow\": false, \"access\": \"rwm\" } ] },\n";

static const char sys_rootless[] =
    "        { \"destination\": \"/sys\", \"type\": \"none\", \"source\": \"/sys\",\n"
    "          \"options\": [ \"rbind\", \"nosuid\", \"noexec\", \"nodev\", \"ro\" ] }\n"
    "    ],\n"
    "    \"linux\": {\n";

static const char tail[] =
    "            { \"type\": \"pid\" },\n"
    "            { \"type\": \"ipc\" },\n"
    "            { \"type\": \"uts\" },\n"
    "            { \"type\": \"mount\" },\n"
    "            { \"type\": \"cgroup\" }\n"
    "        ],\n"
    "        \"maskedPaths\": [\n"
    "            \"/proc/acpi\", \"/proc/asound\", \"/proc/interrupts\", \"/proc/kcore\",\n"
    "            \"/proc/keys\", \"/proc/latency_stats\", \"/proc/scsi\", \"/proc/sched_debug\",\n"
    "            \"/proc/timer_list\", \"/proc/timer_stats\", \"/sys/devices/virtual/powercap\",\n"
    "            \"/sys/firmware\"\n"
    "        ],\n"
    "        \"readonlyPaths\": [\n"
    "            \"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", "
    "\"/proc/sysrq-trigger\"\n"
    "        ]\n"
    "    }\n"
    "}\n";

static int write_spec(struct jl_buf *out, bool rootless)
{
    int r = jl_buf_puts(out, head);

    if (r == 0 && !rootless) /* the group has no id in a namespace of one */
        r = jl_buf_puts(out, devpts_gid);
    if (r == 0)
        r = jl_buf_puts(out, middle);
    if (r == 0)
        r = jl_buf_puts(out, rootless ? sys_rootless : sys_root);
    if (r == 0 && rootless)
        r = jl_buf_printf(out,
                          "        \"uidMappings\": [ { \"containerID\": 0, \"hostID\": %u, "
                          "\"size\": 1 } ],\n"
                          "        \"gidMappings\": [ { \"containerID\": 0, \"hostID\": %u, "
                          "\"size\": 1 } ],\n",
                          (unsigned) geteuid(), (unsigned) getegid());
    if (r == 0)
        r = jl_buf_printf(out, "        \"namespaces\": [\n            { \"type\": \"%s\" },\n",
                          rootless ? "user" : "network");
    return r < 0 ? r : jl_buf_puts(out, tail);
}

int rt_cmd_spec(const struct rt_ctx *ctx, int argc, char **argv, struct jl_err *e)
{
    const char *bundle = ".";
    bool rootless = false;
    const struct rt_opt opts[] = {
        { "bundle", 'b', RT_OPT_TEXT, &bundle, "DIR", "where to write it" },
        { "rootless", 0, RT_OPT_FLAG, &rootless, NULL, "for an ordinary user" },
    };
    _buf_ struct jl_buf text = JL_BUF_INIT(64 * 1024);
    _close_ int dir = -1;
    _close_ int fd = -1;
    struct rt_args args;
    int r = rt_cmd_parse("spec", opts, JL_COUNT(opts), argc, argv, 0, false, &args, e);

    (void) ctx;
    if (r != 0)
        return r < 0 ? r : 0;
    r = write_spec(&text, rootless);
    if (r < 0)
        return jl_fail(e, -r, "write config.json");
    dir = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return jl_fail_sys(e, "open", bundle, "open the bundle");
    fd = openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        jl_fail_sys(e, "openat", "config.json", "write config.json");
        return e->code == EEXIST ? jl_hint(e, "remove the old one first") : -e->code;
    }
    r = jl_write_all(fd, text.data, text.len);
    return r < 0 ? jl_fail(e, -r, "write config.json") : 0;
}
