/* link.c - see link.h. */
#include "os/link.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"

int os_link_loopback_up(struct jl_err *e)
{
    /* A new namespace's lo has no flags that would have to be kept. */
    struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_LOOPBACK | IFF_RUNNING };
    _close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return jl_fail_sys(e, "socket", NULL, "bring the loopback interface up");
    if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
        return jl_fail_sys(e, "ioctl", "SIOCSIFFLAGS", "bring the loopback interface up");
    return 0;
}
