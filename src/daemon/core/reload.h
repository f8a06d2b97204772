/*
 * reload.h - SIGHUP. The log and the audit file are opened anew, and the list of revoked
 * certificates is read again, at once. Then the configuration: its logging and its certificates
 * hold, and joblet-front is started anew with them, once another joblet-front has found that it
 * could serve with them. A file that is wrong changes nothing.
 */
#pragma once

#include "base/loop.h"
#include "daemon/core/conf.h"
#include "daemon/core/frontcheck.h"

struct jd_core;

struct jd_reload {
    struct jd_core *core; /* NULL: nothing is under way */
    struct jd_conf fresh;
    struct jd_frontcheck check;
    struct jl_source src;
};

/* Begins one; what an earlier one has not come to is given up. Does not wait. */
void jd_reload(struct jd_core *c);
void jd_reload_done(struct jd_core *c);
