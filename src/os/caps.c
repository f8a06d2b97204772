/* caps.c - see caps.h. */
#include "os/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static const char *const names[OS_CAP_N] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

int os_cap_from_name(const char *name)
{
    if (strncasecmp(name, "CAP_", 4) == 0)
        name += 4;
    for (unsigned i = 0; i < OS_CAP_N; i++)
        if (strcasecmp(name, names[i] + 4) == 0)
            return (int) i;
    return -EINVAL;
}

const char *os_cap_name(unsigned cap)
{
    return cap < OS_CAP_N ? names[cap] : NULL;
}

static uint64_t both(uint32_t low, uint32_t high)
{
    return low | (uint64_t) high << 32;
}

int os_caps_get(struct os_caps *ret)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    ret->effective = both(data[0].effective, data[1].effective);
    ret->permitted = both(data[0].permitted, data[1].permitted);
    ret->inheritable = both(data[0].inheritable, data[1].inheritable);
    ret->bounding = 0;
    ret->ambient = 0;
    return 0;
}

int os_caps_bounding(uint64_t ask, uint64_t *ret)
{
    uint64_t have = 0;

    for (unsigned long cap = 0; cap < 64; cap++) {
        int has = ask >> cap & 1 ? prctl(PR_CAPBSET_READ, cap, 0, 0, 0) : 0;

        if (has < 0 && errno != EINVAL) /* EINVAL: the kernel does not know it */
            return -errno;
        have |= (uint64_t) (has > 0) << cap;
    }
    *ret = have;
    return 0;
}

int os_caps_drop_bounding(uint64_t bounding, struct jl_err *e)
{
    for (unsigned long cap = 0; cap < 64; cap++) {
        if (bounding >> cap & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            if (errno == EINVAL)
                return 0; /* past the last one that the kernel knows */
            return jl_fail_sys(e, "prctl", os_cap_name((unsigned) cap),
                               "drop from the bounding set");
        }
    }
    return 0;
}

int os_caps_apply(const struct os_caps *c, struct jl_err *e)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { (uint32_t) c->effective, (uint32_t) c->permitted, (uint32_t) c->inheritable },
        { (uint32_t) (c->effective >> 32), (uint32_t) (c->permitted >> 32),
          (uint32_t) (c->inheritable >> 32) },
    };

    if (syscall(SYS_capset, &head, data) < 0)
        return jl_fail_sys(e, "capset", NULL, "set the capabilities");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        return jl_fail_sys(e, "prctl", NULL, "clear the ambient capabilities");
    for (unsigned long cap = 0; c->ambient >> cap; cap++) {
        if (!(c->ambient >> cap & 1))
            continue;
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return jl_fail_sys(e, "prctl", os_cap_name((unsigned) cap),
                               "raise the ambient capability");
        if (cap == 63)
            break;
    }
    return 0;
}
