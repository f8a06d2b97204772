/* Every text of /proc that is read, as hostile as it can be: nothing is read or written outside. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct jd_proc_stat stat;
    struct jd_proc_cpuinfo cpuinfo;
    struct jd_proc_memory memory;
    struct jd_proc_net nets[4];
    struct jd_proc_disk disks[4];
    struct jd_proc_mount mount;
    struct jd_proc_pid pid;
    char *text = malloc(len + 1);
    const char *at = text;

    assert(text);
    memcpy(text, data, len);
    text[len] = '\0';
    jd_proc_stat(text, &stat);
    assert(stat.n_cores <= JD_PROC_CORES_MAX);
    jd_proc_cpuinfo(text, &cpuinfo);
    assert(strlen(cpuinfo.model) < sizeof cpuinfo.model && cpuinfo.mhz >= 0 && cpuinfo.mhz < 1e6);
    jd_proc_memory(text, &memory);
    assert(jd_proc_net(text, nets, 4) <= 4);
    assert(jd_proc_disks(text, disks, 4) <= 4);
    while (jd_proc_mount(&at, &mount))
        assert(strlen(mount.point) < sizeof mount.point);
    if (jd_proc_pid(text, strlen(text), &pid) == 0)
        assert(strlen(pid.name) < sizeof pid.name);
    free(text);
    return 0;
}
