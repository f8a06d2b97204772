/* The filter table of iptables-legacy, four bytes before it where FORWARD's policy is, as a kernel
 * hands it out and as none should: nothing is read outside. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "os/iptables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct os_iptables_filter f;
    uint32_t policy;

    if (len < sizeof policy)
        return 0;
    memcpy(&policy, data, sizeof policy);
    if (os_iptables_parse(data + sizeof policy, len - sizeof policy, policy, &f) == 0)
        assert(!f.forward_drops || policy < len);
    for (size_t i = 0; i < f.n_devices; i++)
        assert(strlen(f.devices[i].name) > 0 &&
               strlen(f.devices[i].name) < sizeof f.devices[i].name);
    os_iptables_done(&f);
    return 0;
}
