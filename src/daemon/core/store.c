/*
 * store.c - see store.h.
 *
 * Columns and struct members meet in one place each way: bind_record and read_record, in the order
 * of COLUMNS. Secrets have a table of their own, so that one statement forgets them.
 */
#include "daemon/core/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "daemon/core/store_internal.h"

#define BUSY_MS 1000 /* somebody reads with sqlite3 while we open */

/* Step N brings version N to N + 1. Never changed once released; new steps are added. */
static const char *const migrations[JD_STORE_VERSION] = {
    "CREATE TABLE jobs ("
    " sequence INTEGER PRIMARY KEY AUTOINCREMENT,"
    " id TEXT NOT NULL UNIQUE,"
    " name TEXT NOT NULL, command TEXT NOT NULL,"
    " status TEXT NOT NULL, reason TEXT NOT NULL,"
    " node_id TEXT NOT NULL, network TEXT NOT NULL, runtime TEXT NOT NULL,"
    " created_ns INTEGER NOT NULL, started_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,"
    " scheduled_ns INTEGER NOT NULL,"
    " exit_code INTEGER NOT NULL, has_result INTEGER NOT NULL, signal INTEGER NOT NULL,"
    " oom INTEGER NOT NULL, timeout INTEGER NOT NULL,"
    " cpu_user_us INTEGER NOT NULL, cpu_system_us INTEGER NOT NULL,"
    " memory_peak INTEGER NOT NULL, io_read_bytes INTEGER NOT NULL,"
    " io_write_bytes INTEGER NOT NULL, pids_peak INTEGER NOT NULL,"
    " psi_cpu_some_us INTEGER NOT NULL, psi_memory_some_us INTEGER NOT NULL,"
    " psi_io_some_us INTEGER NOT NULL, log_dropped_bytes INTEGER NOT NULL,"
    " start_error TEXT NOT NULL,"
    " host_id_base INTEGER NOT NULL, boot_id TEXT NOT NULL,"
    " owner_name TEXT NOT NULL, owner_serial TEXT NOT NULL,"
    " has_uploads INTEGER NOT NULL, upload_bytes INTEGER NOT NULL,"
    " request BLOB NOT NULL);"
    "CREATE TABLE job_secrets ("
    " id TEXT PRIMARY KEY REFERENCES jobs(id) ON DELETE CASCADE,"
    " secrets BLOB NOT NULL);",
    "CREATE TABLE volumes ("
    " name TEXT PRIMARY KEY,"
    " type TEXT NOT NULL, size TEXT NOT NULL, size_bytes INTEGER NOT NULL,"
    " created_ns INTEGER NOT NULL, state TEXT NOT NULL,"
    " owner_name TEXT NOT NULL, owner_serial TEXT NOT NULL);",

    "ALTER TABLE jobs ADD COLUMN address TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE networks ("
    " name TEXT PRIMARY KEY, cidr TEXT NOT NULL, bridge TEXT NOT NULL,"
    " created_ns INTEGER NOT NULL);",

    ("ALTER TABLE jobs ADD COLUMN due_boot_ns INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE jobs ADD COLUMN due_boot_id TEXT NOT NULL DEFAULT '';"),
};

#define COLUMNS                                                                                    \
    "id, name, command, status, reason, node_id, network, runtime, created_ns, started_ns, "       \
    "ended_ns, scheduled_ns, exit_code, has_result, signal, oom, timeout, cpu_user_us, "           \
    "cpu_system_us, memory_peak, io_read_bytes, io_write_bytes, pids_peak, psi_cpu_some_us, "      \
    "psi_memory_some_us, psi_io_some_us, log_dropped_bytes, start_error, host_id_base, boot_id, "  \
    "owner_name, owner_serial, has_uploads, upload_bytes, request, address, due_boot_ns, "         \
    "due_boot_id"

static const char insert_sql[] =
    "INSERT INTO jobs (" COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
    "?,?,?,?,?,?,?,?,?,?,?)";
static const char update_sql[] =
    "UPDATE jobs SET status=?2, reason=?3, started_ns=?4, ended_ns=?5, exit_code=?6, "
    "has_result=?7, signal=?8, oom=?9, timeout=?10, cpu_user_us=?11, cpu_system_us=?12, "
    "memory_peak=?13, io_read_bytes=?14, io_write_bytes=?15, pids_peak=?16, psi_cpu_some_us=?17, "
    "psi_memory_some_us=?18, psi_io_some_us=?19, log_dropped_bytes=?20, start_error=?21, "
    "host_id_base=?22, boot_id=?23, address=?24 WHERE id=?1";
static const char *const kept_sql[JD_KEPT_N] = {
    [JD_ADD] = insert_sql,
    [JD_ADD_SECRETS] = "INSERT INTO job_secrets (id, secrets) VALUES (?, ?)",
    [JD_UPDATE] = update_sql,
    [JD_DROP_SECRETS] = "DELETE FROM job_secrets WHERE id=?",
    [JD_DELETE] = "DELETE FROM jobs WHERE id=?",
};

int jd_store_fail(const struct jd_store *s, struct jl_err *e, const char *what)
{
    int rc = sqlite3_errcode(s->db), code = EIO;

    if (rc == SQLITE_FULL)
        code = ENOSPC;
    else if (rc == SQLITE_NOMEM)
        code = ENOMEM;
    else if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
        code = EAGAIN;
    jl_refuse(e, code, "state database '%s': %s: %s", s->path, what, sqlite3_errmsg(s->db));
    if (rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB)
        jl_hint(e, "the file is damaged: restore a backup, or move it away to start with no jobs");
    return -e->code;
}

int jd_store_sql(struct jd_store *s, const char *sql, const char *what, struct jl_err *e)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : jd_store_fail(s, e, what);
}

int jd_store_prepare(struct jd_store *s, const char *sql, sqlite3_stmt **ret, struct jl_err *e)
{
    return sqlite3_prepare_v2(s->db, sql, -1, ret, NULL) == SQLITE_OK
               ? 0
               : jd_store_fail(s, e, "prepare");
}

int jd_store_change(struct jd_store *s, const char *sql, const char *const *texts, size_t n,
                    const char *what, struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int r = jd_store_prepare(s, sql, &st, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        sqlite3_bind_text(st, (int) i + 1, texts[i], -1, SQLITE_STATIC);
    return sqlite3_step(st) == SQLITE_DONE ? 0 : jd_store_fail(s, e, what);
}

/* One of the kept ones, in *ret until the caller's block ends: bound to nothing. */
static int use(struct jd_store *s, enum jd_kept which, sqlite3_stmt **ret, struct jl_err *e)
{
    if (!s->kept[which] && sqlite3_prepare_v3(s->db, kept_sql[which], -1, SQLITE_PREPARE_PERSISTENT,
                                              &s->kept[which], NULL) != SQLITE_OK)
        return jd_store_fail(s, e, "prepare");
    *ret = s->kept[which];
    return 0;
}

static void put_back(sqlite3_stmt **st)
{
    sqlite3_reset(*st); /* NULL is fine for both */
    if (*st)
        sqlite3_clear_bindings(*st);
}
#define _kept_ _cleanup_(put_back)

static int query_int(struct jd_store *s, const char *sql, int *ret, struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int r = jd_store_prepare(s, sql, &st, e);

    if (r < 0)
        return r;
    if (sqlite3_step(st) != SQLITE_ROW)
        return jd_store_fail(s, e, sql);
    *ret = sqlite3_column_int(st, 0);
    return 0;
}

/* quick_check answers one row "ok", or what is wrong. */
static int check_sound(struct jd_store *s, struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    const char *answer;
    int r = jd_store_prepare(s, "PRAGMA quick_check(1)", &st, e);

    if (r < 0)
        return r;
    if (sqlite3_step(st) != SQLITE_ROW)
        return jd_store_fail(s, e, "check");
    answer = (const char *) sqlite3_column_text(st, 0);
    if (answer && strcmp(answer, "ok") == 0)
        return 0;
    jl_refuse(e, EIO, "state database '%s' is damaged: %s", s->path, answer ? answer : "?");
    return jl_hint(e, "restore a backup, or move the file away to start with no jobs");
}

static int migrate(struct jd_store *s, struct jl_err *e)
{
    int version = 0, r = query_int(s, "PRAGMA user_version", &version, e);

    if (r < 0)
        return r;
    if (version < 0 || version > JD_STORE_VERSION) {
        jl_refuse(e, EINVAL, "state database '%s' has version %d, this joblet knows up to %d",
                  s->path, version, JD_STORE_VERSION);
        return jl_hint(e, "start the joblet that wrote it, or a newer one");
    }
    for (; version < JD_STORE_VERSION; version++) {
        char sql[64];

        r = jd_store_sql(s, "BEGIN IMMEDIATE", "begin", e);
        if (r == 0)
            r = jd_store_sql(s, migrations[version], "bring to the current version", e);
        snprintf(sql, sizeof sql, "PRAGMA user_version=%d; COMMIT", version + 1);
        if (r == 0)
            r = jd_store_sql(s, sql, "commit", e);
        if (r < 0) {
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
            return r;
        }
    }
    return 0;
}

static int set_up(struct jd_store *s, struct jl_err *e)
{
    int r;

    sqlite3_busy_timeout(s->db, BUSY_MS);
    sqlite3_extended_result_codes(s->db, 0);
    r = check_sound(s, e);
    if (r == 0)
        r = jd_store_sql(
            s,
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; "
            "PRAGMA secure_delete=ON; PRAGMA trusted_schema=OFF",
            "set up", e);
    return r < 0 ? r : migrate(s, e);
}

bool jd_store_is_new(const char *state_dir)
{
    char path[4200];
    struct stat st;

    snprintf(path, sizeof path, "%s/joblet.db", state_dir);
    return lstat(path, &st) < 0 ? errno == ENOENT : S_ISREG(st.st_mode) && st.st_size == 0;
}

int jd_store_open(const char *state_dir, struct jd_store **ret, struct jl_err *e)
{
    struct jd_store *s = calloc(1, sizeof *s);
    _close_ int fd = -1;
    int r;

    if (!s)
        return jl_fail(e, ENOMEM, "open the state database");
    snprintf(s->path, sizeof s->path, "%s/joblet.db", state_dir);
    /* Made here, so that it never exists with another mode; SQLite gives its companions the same.
     */
    fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        r = jl_fail_sys(e, "open", s->path, "state database");
        free(s);
        return r;
    }
    fd = jl_close(fd);
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK)
        r = s->db ? jd_store_fail(s, e, "open") : jl_fail(e, ENOMEM, "open '%s'", s->path);
    else
        r = set_up(s, e);
    if (r < 0) {
        jd_store_close(s);
        return r;
    }
    sqlite3_busy_timeout(s->db, 0); /* the loop waits for nobody: what it can't have comes again */
    *ret = s;
    return 0;
}

void jd_store_close(struct jd_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < JD_KEPT_N; i++)
        sqlite3_finalize(s->kept[i]);
    sqlite3_close(s->db);
    free(s);
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
    sqlite3_bind_text(st, i, text ? text : "", -1, SQLITE_STATIC);
}

static void bind_u64(sqlite3_stmt *st, int i, uint64_t v)
{
    sqlite3_bind_int64(st, i, (sqlite3_int64) v);
}

/* From signal to start_error, the same run of columns in both statements. */
static int bind_result(sqlite3_stmt *st, int i, const struct jd_result *x)
{
    sqlite3_bind_int(st, i++, x->signal);
    sqlite3_bind_int(st, i++, x->oom);
    sqlite3_bind_int(st, i++, x->timeout);
    bind_u64(st, i++, x->cpu_user_us);
    bind_u64(st, i++, x->cpu_system_us);
    bind_u64(st, i++, x->memory_peak);
    bind_u64(st, i++, x->io_read_bytes);
    bind_u64(st, i++, x->io_write_bytes);
    bind_u64(st, i++, x->pids_peak);
    bind_u64(st, i++, x->psi_cpu_some_us);
    bind_u64(st, i++, x->psi_memory_some_us);
    bind_u64(st, i++, x->psi_io_some_us);
    bind_u64(st, i++, x->log_dropped_bytes);
    bind_text(st, i++, x->start_error);
    return i;
}

static void bind_record(sqlite3_stmt *st, const struct jd_record *r)
{
    const char *const texts[] = { r->id,     r->name,    r->command, r->status,
                                  r->reason, r->node_id, r->network, r->runtime };
    int i = 1;

    for (size_t n = 0; n < JL_COUNT(texts); n++)
        bind_text(st, i++, texts[n]);
    bind_u64(st, i++, r->created_wall_ns);
    bind_u64(st, i++, r->started_wall_ns);
    bind_u64(st, i++, r->ended_wall_ns);
    bind_u64(st, i++, r->scheduled_wall_ns);
    sqlite3_bind_int(st, i++, r->exit_code);
    sqlite3_bind_int(st, i++, r->has_result);
    i = bind_result(st, i, &r->result);
    sqlite3_bind_int64(st, i++, r->host_id_base);
    bind_text(st, i++, r->boot_id);
    bind_text(st, i++, r->owner_name);
    bind_text(st, i++, r->owner_serial);
    sqlite3_bind_int(st, i++, r->has_uploads);
    bind_u64(st, i++, r->upload_bytes);
    sqlite3_bind_blob64(st, i++, r->request.data ? (const void *) r->request.data : "",
                        r->request.len, SQLITE_STATIC);
    bind_text(st, i++, r->address);
    bind_u64(st, i++, r->due_boot_ns);
    bind_text(st, i, r->due_boot_id);
}

static int add_secrets(struct jd_store *s, const struct jd_record *r, struct jl_err *e)
{
    _kept_ sqlite3_stmt *st = NULL;
    int ret;

    if (r->secrets.len == 0)
        return 0;
    ret = use(s, JD_ADD_SECRETS, &st, e);
    if (ret < 0)
        return ret;
    bind_text(st, 1, r->id);
    sqlite3_bind_blob64(st, 2, r->secrets.data, r->secrets.len, SQLITE_STATIC);
    return sqlite3_step(st) == SQLITE_DONE ? 0 : jd_store_fail(s, e, "add secrets");
}

static int add_in_transaction(struct jd_store *s, struct jd_record *r, struct jl_err *e)
{
    _kept_ sqlite3_stmt *st = NULL;
    int ret = use(s, JD_ADD, &st, e);

    if (ret < 0)
        return ret;
    bind_record(st, r);
    if (sqlite3_step(st) != SQLITE_DONE)
        return jd_store_fail(s, e, "add a job");
    r->sequence = sqlite3_last_insert_rowid(s->db);
    return add_secrets(s, r, e);
}

int jd_store_add(struct jd_store *s, struct jd_record *const *recs, size_t n, struct jl_err *e)
{
    int ret = jd_store_sql(s, "BEGIN IMMEDIATE", "begin", e);

    if (ret < 0)
        return ret;
    for (size_t i = 0; ret == 0 && i < n; i++)
        ret = add_in_transaction(s, recs[i], e);
    if (ret == 0)
        ret = jd_store_sql(s, "COMMIT", "commit", e);
    if (ret < 0)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return ret;
}

int jd_store_update(struct jd_store *s, const struct jd_record *r, struct jl_err *e)
{
    _kept_ sqlite3_stmt *st = NULL;
    int i, ret = use(s, JD_UPDATE, &st, e);

    if (ret < 0)
        return ret;
    bind_text(st, 1, r->id);
    bind_text(st, 2, r->status);
    bind_text(st, 3, r->reason);
    bind_u64(st, 4, r->started_wall_ns);
    bind_u64(st, 5, r->ended_wall_ns);
    sqlite3_bind_int(st, 6, r->exit_code);
    sqlite3_bind_int(st, 7, r->has_result);
    i = bind_result(st, 8, &r->result);
    sqlite3_bind_int64(st, i++, r->host_id_base);
    bind_text(st, i++, r->boot_id);
    bind_text(st, i, r->address);
    return sqlite3_step(st) == SQLITE_DONE ? 0 : jd_store_fail(s, e, "update a job");
}

int jd_store_note(struct jd_store *s, const struct jd_record *r, struct jl_err *e)
{
    int ret = jd_store_sql(s, "PRAGMA synchronous=NORMAL", "write without waiting", e);

    if (ret == 0)
        ret = jd_store_update(s, r, e);
    if (sqlite3_exec(s->db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) != SQLITE_OK && ret == 0)
        ret = jd_store_fail(s, e, "wait for the disk again");
    return ret;
}

int jd_store_move_due(struct jd_store *s, const char *boot_id, uint64_t ahead_ns, struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int r = jd_store_prepare(s,
                             "UPDATE jobs SET scheduled_ns = due_boot_ns + ?1 WHERE due_boot_ns > "
                             "0 AND due_boot_id = ?2 AND status = 'SCHEDULED'",
                             &st, e);

    if (r < 0)
        return r;
    bind_u64(st, 1, ahead_ns);
    bind_text(st, 2, boot_id);
    return sqlite3_step(st) == SQLITE_DONE ? 0 : jd_store_fail(s, e, "move scheduled times");
}

static int run_for_id(struct jd_store *s, enum jd_kept which, const char *id, struct jl_err *e)
{
    _kept_ sqlite3_stmt *st = NULL;
    int r = use(s, which, &st, e);

    if (r < 0)
        return r;
    bind_text(st, 1, id);
    return sqlite3_step(st) == SQLITE_DONE ? 0 : jd_store_fail(s, e, "delete");
}

int jd_store_drop_secrets(struct jd_store *s, const char *id, struct jl_err *e)
{
    return run_for_id(s, JD_DROP_SECRETS, id, e);
}

int jd_store_settle(struct jd_store *s, struct jl_err *e)
{
    int rc = sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    return rc == SQLITE_OK ? 0 : jd_store_fail(s, e, "empty the log");
}

int jd_store_delete(struct jd_store *s, const char *const *ids, size_t n, struct jl_err *e)
{
    int r = jd_store_sql(s, "BEGIN IMMEDIATE", "begin", e);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = run_for_id(s, JD_DELETE, ids[i], e);
    if (r == 0)
        r = jd_store_sql(s, "COMMIT", "commit", e);
    if (r < 0)
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

static uint64_t column_u64(sqlite3_stmt *st, int i)
{
    return (uint64_t) sqlite3_column_int64(st, i);
}

static int read_text(sqlite3_stmt *st, int i, char **field)
{
    return jd_record_set(field, (const char *) sqlite3_column_text(st, i));
}

static int read_result(sqlite3_stmt *st, int i, struct jd_result *x)
{
    x->signal = sqlite3_column_int(st, i++);
    x->oom = sqlite3_column_int(st, i++);
    x->timeout = sqlite3_column_int(st, i++);
    x->cpu_user_us = column_u64(st, i++);
    x->cpu_system_us = column_u64(st, i++);
    x->memory_peak = column_u64(st, i++);
    x->io_read_bytes = column_u64(st, i++);
    x->io_write_bytes = column_u64(st, i++);
    x->pids_peak = column_u64(st, i++);
    x->psi_cpu_some_us = column_u64(st, i++);
    x->psi_memory_some_us = column_u64(st, i++);
    x->psi_io_some_us = column_u64(st, i++);
    x->log_dropped_bytes = column_u64(st, i++);
    return read_text(st, i, &x->start_error);
}

static int read_record(sqlite3_stmt *st, struct jd_record *r)
{
    char **const texts[] = { &r->name,    &r->command, &r->status, &r->reason,
                             &r->node_id, &r->network, &r->runtime };
    const char *id = (const char *) sqlite3_column_text(st, 0);
    int i = 1, bad = 0;

    snprintf(r->id, sizeof r->id, "%s", id ? id : "");
    for (size_t n = 0; n < JL_COUNT(texts); n++)
        bad |= read_text(st, i++, texts[n]);
    r->created_wall_ns = column_u64(st, i++);
    r->started_wall_ns = column_u64(st, i++);
    r->ended_wall_ns = column_u64(st, i++);
    r->scheduled_wall_ns = column_u64(st, i++);
    r->exit_code = sqlite3_column_int(st, i++);
    r->has_result = sqlite3_column_int(st, i++);
    bad |= read_result(st, i, &r->result);
    i += 14;
    r->host_id_base = (uint32_t) sqlite3_column_int64(st, i++);
    bad |= read_text(st, i++, &r->boot_id);
    bad |= read_text(st, i++, &r->owner_name);
    bad |= read_text(st, i++, &r->owner_serial);
    r->has_uploads = sqlite3_column_int(st, i++);
    r->upload_bytes = column_u64(st, i++);
    bad |= jd_store_read_blob(st, i++, &r->request);
    bad |= read_text(st, i++, &r->address);
    r->due_boot_ns = column_u64(st, i++);
    bad |= read_text(st, i++, &r->due_boot_id);
    r->sequence = sqlite3_column_int64(st, i++);
    bad |= jd_store_read_blob(st, i, &r->secrets);
    return bad ? -ENOMEM : 0;
}

int jd_store_each(struct jd_store *s, int (*fn)(void *arg, struct jd_record *own_r), void *arg,
                  struct jl_err *e)
{
    _stmt_ sqlite3_stmt *st = NULL;
    int rc, r = jd_store_prepare(s,
                                 "SELECT jobs." COLUMNS
                                 ", sequence, secrets FROM jobs LEFT JOIN job_secrets "
                                 "USING (id) ORDER BY sequence",
                                 &st, e);

    if (r < 0)
        return r;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct jd_record rec;

        if (jd_record_init(&rec) < 0 || read_record(st, &rec) < 0) {
            jd_record_done(&rec);
            return jl_fail(e, ENOMEM, "read the state database");
        }
        r = fn(arg, &rec);
        if (r < 0)
            return e->code ? r : jl_fail(e, -r, "read the state database");
    }
    return rc == SQLITE_DONE ? 0 : jd_store_fail(s, e, "read the jobs");
}
