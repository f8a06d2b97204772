/*
 * systemd_bus.h - joblet-systemd's side towards systemd: the connection, the properties of a unit
 * as a message has them, and jobs, which systemd makes of a request and reports the end of. Who
 * calls is systemd_helper.c.
 *
 * Functions return 0, or -errno with e filled; they wait for systemd's answers, 25 s for a
 * call and 30 s for a job at most. Source: org.freedesktop.systemd1(5), sd-bus(3).
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

struct jl_err;
struct jl_json;

#define RT_SD_CALL_US (25u * 1000000) /* one answer of systemd */

#define SD_NAME "org.freedesktop.systemd1"
#define SD_PATH "/org/freedesktop/systemd1"
#define SD_MANAGER "org.freedesktop.systemd1.Manager"

/* One request. Strings and properties are the request's. */
struct rt_sd {
    sd_bus *bus;
    bool user; /* the caller's own manager instead of the system's */
    const char *unit;
    const struct jl_json *properties; /* array of [name, type, value...]; may be NULL */
    char job[256];                    /* object path of the job we wait for */
    char result[32];                  /* "done"; "" until it has ended */
    pid_t place;                      /* holds the place in the scope; 0: none */
    int place_fd;                     /* its end comes when this closes */
};

/* Connects to the bus, or to the manager's own socket where there is no bus. */
int rt_sd_connect(struct rt_sd *h, struct jl_err *e);

/* An empty call of a method of the manager; the caller unrefs it. */
int rt_sd_new_call(struct rt_sd *h, const char *method, sd_bus_message **ret, struct jl_err *e);

/* Appends h->properties, and the process that holds the place. */
int rt_sd_append_properties(struct rt_sd *h, sd_bus_message *m, bool with_place, struct jl_err *e);

/* Before the call that makes the job, or its end could be missed. */
int rt_sd_watch_jobs(struct rt_sd *h, struct jl_err *e);

/* Calls and waits for the job that it makes; what: "started". 1: the D-Bus error `fine` (may be
 * NULL) came instead, and that is all right. */
int rt_sd_call_job(struct rt_sd *h, sd_bus_message *m, const char *method, const char *what,
                   const char *fine, struct jl_err *e);

/* Fills e with r (-errno) and what systemd said; returns -errno. */
int rt_sd_fail_call(const struct rt_sd *h, const char *method, int r, const sd_bus_error *said,
                    struct jl_err *e);
