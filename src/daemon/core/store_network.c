/* store_network.c - the table of networks that clients have made: the part of store.h. */
#include <stdio.h>

#include "base/clock.h"
#include "daemon/core/store_internal.h"

static int run(struct jd_store *s, const char *sql, const char *const *texts, size_t n,
               struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int r = jd_store_prepare(s, sql, &st, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        sqlite3_bind_text(st, (int) i + 1, texts[i], -1, SQLITE_STATIC);
    return sqlite3_step(st) == SQLITE_DONE ? 0 : jd_store_fail(s, e, "change a network");
}

int jd_store_add_network(struct jd_store *s, const char *name, const char *cidr, const char *bridge,
                         struct jl_err *e)
{
    char created[24];

    snprintf(created, sizeof created, "%llu", (unsigned long long) jl_wall_ns());
    return run(s, "INSERT INTO networks (name, cidr, bridge, created_ns) VALUES (?, ?, ?, ?)",
               (const char *[]){ name, cidr, bridge, created }, 4, e);
}

int jd_store_delete_network(struct jd_store *s, const char *name, struct jl_err *e)
{
    return run(s, "DELETE FROM networks WHERE name=?", (const char *[]){ name }, 1, e);
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
