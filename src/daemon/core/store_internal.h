/*
 * store_internal.h - what store.c and its tables' own files share. Not for others.
 */
#pragma once

#include <sqlite3.h>

#include "base/cleanup.h"
#include "daemon/core/store.h"

/* Statements that every job needs: store.c prepares them once. */
enum jd_kept { JD_ADD, JD_ADD_SECRETS, JD_UPDATE, JD_DROP_SECRETS, JD_DELETE, JD_KEPT_N };

struct jd_store {
    sqlite3 *db;
    sqlite3_stmt *kept[JD_KEPT_N];
    char path[4096];
};

/* Puts SQLite's words into e, with the errno that belongs to them. Returns -e->code. */
int jd_store_fail(const struct jd_store *s, struct jl_err *e, const char *what);

/* Runs statements that answer nothing. 0, or -errno with e filled. */
int jd_store_sql(struct jd_store *s, const char *sql, const char *what, struct jl_err *e);

/* Runs one statement with these for its parameters. what: for people, if it fails. 0, or -errno with
 * e filled. */
int jd_store_change(struct jd_store *s, const char *sql, const char *const *texts, size_t n,
                    const char *what, struct jl_err *e);

/* Column i; left as it is when empty. 0 or -ENOMEM. */
int jd_store_read_blob(sqlite3_stmt *st, int i, struct jd_blob *ret);

int jd_store_prepare(struct jd_store *s, const char *sql, sqlite3_stmt **ret, struct jl_err *e);

static inline void jd_finalizep(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}
#define _stmt_ _cleanup_(jd_finalizep)
