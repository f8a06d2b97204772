/* store_volume.c - the table of volumes: the part of store.h. */
#include <errno.h>
#include <stdio.h>

#include "daemon/core/store_internal.h"

int jd_store_volume_add(struct jd_store *s, const struct jd_volume_row *v, struct jl_err *e)
{
    const char *const texts[] = { v->name,  v->type,       v->size,
                                  v->state, v->owner_name, v->owner_serial };
    _stmt_ sqlite3_stmt *st = NULL;
    int r = jd_store_prepare(s,
                             "INSERT INTO volumes (name, type, size, state, owner_name, "
                             "owner_serial, size_bytes, created_ns) VALUES (?,?,?,?,?,?,?,?)",
                             &st, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < JL_COUNT(texts); i++)
        sqlite3_bind_text(st, (int) i + 1, texts[i], -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 7, (sqlite3_int64) v->bytes);
    sqlite3_bind_int64(st, 8, (sqlite3_int64) v->created_wall_ns);
    return sqlite3_step(st) == SQLITE_DONE ? 0 : jd_store_fail(s, e, "add a volume");
}

int jd_store_volume_state(struct jd_store *s, const char *name, const char *state, struct jl_err *e)
{
    return jd_store_change(s, "UPDATE volumes SET state=?2 WHERE name=?1",
                           (const char *[]){ name, state }, 2, "change a volume", e);
}

int jd_store_volume_delete(struct jd_store *s, const char *name, struct jl_err *e)
{
    return jd_store_change(s, "DELETE FROM volumes WHERE name=?", (const char *[]){ name }, 1,
                           "change a volume", e);
}

static void read_row(sqlite3_stmt *st, struct jd_volume_row *v)
{
    const struct {
        char *to;
        size_t size;
    } texts[] = { { v->name, sizeof v->name },
                  { v->type, sizeof v->type },
                  { v->size, sizeof v->size },
                  { v->state, sizeof v->state },
                  { v->owner_name, sizeof v->owner_name },
                  { v->owner_serial, sizeof v->owner_serial } };

    for (size_t i = 0; i < JL_COUNT(texts); i++) {
        const char *text = (const char *) sqlite3_column_text(st, (int) i);

        snprintf(texts[i].to, texts[i].size, "%s", text ? text : "");
    }
    v->bytes = (uint64_t) sqlite3_column_int64(st, 6);
    v->created_wall_ns = (uint64_t) sqlite3_column_int64(st, 7);
}

int jd_store_each_volume(struct jd_store *s, int (*fn)(void *arg, const struct jd_volume_row *v),
                         void *arg, struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int rc, r = jd_store_prepare(s,
                                 "SELECT name, type, size, state, owner_name, owner_serial, "
                                 "size_bytes, created_ns FROM volumes ORDER BY name",
                                 &st, e);

    if (r < 0)
        return r;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct jd_volume_row v = { 0 };

        read_row(st, &v);
        r = fn(arg, &v);
        if (r < 0)
            return e->code ? r : jl_fail(e, -r, "read the volumes");
    }
    return rc == SQLITE_DONE ? 0 : jd_store_fail(s, e, "read the volumes");
}
