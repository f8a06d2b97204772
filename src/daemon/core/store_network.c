/* store_network.c - the table of networks that clients have made: the part of store.h. */
#include <stdio.h>

#include "base/clock.h"
#include "daemon/core/store_internal.h"

int jd_store_add_network(struct jd_store *s, const char *name, const char *cidr, const char *bridge,
                         struct jl_err *e)
{
    char created[24];

    snprintf(created, sizeof created, "%llu", (unsigned long long) jl_wall_ns());
    return jd_store_change(
        s, "INSERT INTO networks (name, cidr, bridge, created_ns) VALUES (?, ?, ?, ?)",
        (const char *[]){ name, cidr, bridge, created }, 4, "change a network", e);
}

int jd_store_delete_network(struct jd_store *s, const char *name, struct jl_err *e)
{
    return jd_store_change(s, "DELETE FROM networks WHERE name=?", (const char *[]){ name }, 1,
                           "change a network", e);
}

int jd_store_each_network(struct jd_store *s,
                          int (*fn)(void *arg, const char *name, const char *cidr,
                                    const char *bridge),
                          void *arg, struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int rc,
        r = jd_store_prepare(s, "SELECT name, cidr, bridge FROM networks ORDER BY name", &st, e);

    if (r < 0)
        return r;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        r = fn(arg, (const char *) sqlite3_column_text(st, 0),
               (const char *) sqlite3_column_text(st, 1),
               (const char *) sqlite3_column_text(st, 2));
        if (r < 0)
            return e->code ? r : jl_fail(e, -r, "read the state database");
    }
    return rc == SQLITE_DONE ? 0 : jd_store_fail(s, e, "read the networks");
}
