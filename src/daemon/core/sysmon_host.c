/* sysmon_host.c - see sysmon.h: what the host is, its addresses, its cloud, our version. */
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/cleanup.h"
#include "daemon/core/sysmon.h"

#define ADDRESSES_MAX 32

/* The architecture as containers and packages call it. */
static const char *platform_word(const char *machine)
{
    return strcmp(machine, "x86_64") == 0    ? "amd64"
           : strcmp(machine, "aarch64") == 0 ? "arm64"
                                             : machine;
}

/* The value of a KEY=value or KEY="value" line. */
static char *os_release(struct jd_arena *a, const char *text, const char *key)
{
    size_t len = strlen(key);

    for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        const char *v = p + len + 1;
        size_t n;

        if (strncmp(p, key, len) != 0 || p[len] != '=')
            continue;
        v += *v == '"';
        n = strcspn(v, "\"\n");
        return jd_sysmon_text(a, v, n);
    }
    return jd_sysmon_text(a, "", 0);
}

static bool is_real(const struct ifaddrs *i)
{
    return i->ifa_addr && (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK);
}

static void add_mac(struct jd_arena *a, Joblet__HostInfo *m, const struct sockaddr_ll *ll)
{
    const unsigned char *p = ll->sll_addr;
    char *text;

    if (ll->sll_halen != 6 || m->n_mac_addresses == ADDRESSES_MAX)
        return;
    text = jd_arena_format(a, "%02x:%02x:%02x:%02x:%02x:%02x", p[0], p[1], p[2], p[3], p[4], p[5]);
    if (text)
        m->mac_addresses[m->n_mac_addresses++] = text;
}

static void add_ip(struct jd_arena *a, Joblet__HostInfo *m, const struct ifaddrs *i)
{
    socklen_t len = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
                                                      : sizeof(struct sockaddr_in6);
    char host[NI_MAXHOST];
    char *text;

    if (m->n_server_ips == ADDRESSES_MAX ||
        getnameinfo(i->ifa_addr, len, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
        return;
    text = jd_sysmon_text(a, host, strcspn(host, "%"));
    if (text)
        m->server_ips[m->n_server_ips++] = text;
}

static void add_addresses(struct jd_arena *a, Joblet__HostInfo *m)
{
    struct ifaddrs *all = NULL;

    m->server_ips = jd_arena_get(a, ADDRESSES_MAX * sizeof(char *));
    m->mac_addresses = jd_arena_get(a, ADDRESSES_MAX * sizeof(char *));
    if (!m->server_ips || !m->mac_addresses || getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (!is_real(i))
            continue;
        if (i->ifa_addr->sa_family == AF_PACKET)
            add_mac(a, m, (const struct sockaddr_ll *) (const void *) i->ifa_addr);
        else if (i->ifa_addr->sa_family == AF_INET || i->ifa_addr->sa_family == AF_INET6)
            add_ip(a, m, i);
    }
    freeifaddrs(all);
}

Joblet__HostInfo *jd_sysmon_host(struct jd_arena *a, const char *node_id)
{
    Joblet__HostInfo *m = jd_arena_get(a, sizeof *m);
    const char *release = jd_sysmon_file(a, "/etc/os-release");
    struct utsname u = { 0 };
    struct timespec up = { 0 };

    if (!m || !release)
        return NULL;
    joblet__host_info__init(m);
    uname(&u);
    clock_gettime(CLOCK_BOOTTIME, &up);
    m->hostname = jd_sysmon_text(a, u.nodename, strlen(u.nodename));
    m->os = (char *) (uintptr_t) "linux";
    m->platform = os_release(a, release, "ID");
    m->platform_family = os_release(a, release, "ID_LIKE");
    m->platform_version = os_release(a, release, "VERSION_ID");
    m->kernel_version = jd_sysmon_text(a, u.release, strlen(u.release));
    m->kernel_arch = jd_sysmon_text(a, u.machine, strlen(u.machine));
    m->architecture = jd_sysmon_text(a, platform_word(u.machine), strlen(platform_word(u.machine)));
    m->uptime = up.tv_sec;
    m->node_id = jd_sysmon_text(a, node_id, strlen(node_id));
    add_addresses(a, m);
    return jd_arena_failed(a) ? NULL : m;
}

Joblet__ServerVersionInfo *jd_sysmon_version(struct jd_arena *a)
{
    Joblet__ServerVersionInfo *m = jd_arena_get(a, sizeof *m);
    struct utsname u = { 0 };

    if (!m)
        return NULL;
    joblet__server_version_info__init(m);
    uname(&u);
    m->version = jd_arena_format(a, "%s", PACKAGE_VERSION);
    m->git_commit = jd_arena_format(a, "%s", JOBLET_COMMIT);
    m->git_tag = jd_arena_format(a, "v%s", PACKAGE_VERSION);
    m->build_date = jd_arena_format(a, "%s", JOBLET_DATE);
    m->component = jd_arena_format(a, "joblet");
#ifdef __clang__
    m->go_version = jd_arena_format(a, "%s", __VERSION__);
#else
    m->go_version = jd_arena_format(a, "gcc %s", __VERSION__);
#endif
    m->platform = jd_arena_format(a, "linux/%s", platform_word(u.machine));
    return jd_arena_failed(a) ? NULL : m;
}

/* A line of the firmware's tables, without its line break. */
static char *dmi(struct jd_arena *a, const char *name)
{
    char path[64];
    const char *text;

    snprintf(path, sizeof path, "/sys/class/dmi/id/%s", name);
    text = jd_sysmon_file(a, path);
    return text ? jd_sysmon_text(a, text, strcspn(text, "\n")) : NULL;
}

static const char *hypervisor_of(const char *vendor, const char *product)
{
    static const char *const known[][2] = {
        { "Amazon EC2", "KVM" },
        { "Google", "KVM" },
        { "QEMU", "KVM" },
        { "KVM", "KVM" },
        { "VMware", "VMware" },
        { "innotek", "VirtualBox" },
        { "Xen", "Xen" },
        { "Virtual Machine", "Hyper-V" },
        { "VirtualBox", "VirtualBox" },
    };

    for (size_t i = 0; i < JL_COUNT(known); i++)
        if (strstr(vendor, known[i][0]) || strstr(product, known[i][0]))
            return known[i][1];
    return "";
}

/* Microsoft's mark in the chassis of an Azure machine; other Hyper-V hosts have another. */
#define AZURE_TAG "7783-7084-3265-9085-8269-3286-77"

void jd_sysmon_cloud(struct jd_sysmon *s)
{
    struct jd_arena *a = &s->a;
    const char *vendor = dmi(a, "sys_vendor"), *product = dmi(a, "product_name");
    const char *chassis = dmi(a, "chassis_asset_tag"), *board = dmi(a, "board_asset_tag");
    Joblet__CloudInfo *m = jd_arena_get(a, sizeof *m);

    if (!m || !vendor || !product || !chassis || !board)
        return;
    joblet__cloud_info__init(m);
    m->hypervisor_type = (char *) (uintptr_t) hypervisor_of(vendor, product);
    if (strcmp(vendor, "Amazon EC2") == 0) {
        m->provider = (char *) (uintptr_t) "AWS";
        m->instance_type = (char *) (uintptr_t) product;
        m->instance_id = (char *) (uintptr_t) (strncmp(board, "i-", 2) == 0 ? board : "");
    } else if (strcmp(vendor, "Google") == 0) {
        m->provider = (char *) (uintptr_t) "GCP";
    } else if (strcmp(chassis, AZURE_TAG) == 0) {
        m->provider = (char *) (uintptr_t) "Azure";
    }
    if (m->hypervisor_type[0] != '\0' || m->provider[0] != '\0')
        s->m->cloud = m;
}
