/* notify.h - tells the service manager how we are (sd_notify(3)), when there is one. */
#pragma once

/* Sends "READY=1" and kin to NOTIFY_SOCKET; nothing happens without one. */
void jd_notify(const char *state);
