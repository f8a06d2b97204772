/* Job records in SQLite: store.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "daemon/core/store.h"

static char dir[] = "/tmp/jl-store.XXXXXX";

static int set_up(void **state)
{
    (void) state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    return jl_remove_tree_at(AT_FDCWD, dir, &e);
}

static struct jd_store *open_store(void)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_store *s = NULL;

    if (jd_store_open(dir, &s, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

static void fill(struct jd_record *r, const char *id)
{
    static const uint8_t request[] = { 0x12, 0, 'x' };

    assert_int_equal(jd_record_init(r), 0);
    snprintf(r->id, sizeof r->id, "%s", id);
    jd_record_set(&r->name, "name'; DROP TABLE jobs;--");
    jd_record_set(&r->status, "RUNNING");
    jd_record_set(&r->owner_name, "admin-client");
    r->created_wall_ns = 1790000000000000001u;
    r->host_id_base = 1879048192u;
    r->upload_bytes = UINT64_C(1) << 40;
    r->has_uploads = true;
    r->request.data = malloc(sizeof request);
    memcpy(r->request.data, request, sizeof request);
    r->request.len = sizeof request;
    r->secrets.data = (uint8_t *) strdup("hush");
    r->secrets.len = 4;
}

struct seen {
    struct jd_record items[8];
    size_t n;
};

static int keep(void *arg, struct jd_record *own_r)
{
    struct seen *s = arg;

    s->items[s->n++] = *own_r;
    return 0;
}

static void read_all(struct jd_store *store, struct seen *ret)
{
    struct jl_err e = JL_ERR_INIT;

    ret->n = 0;
    assert_int_equal(jd_store_each(store, keep, ret, &e), 0);
}

static void drop(struct seen *s)
{
    for (size_t i = 0; i < s->n; i++)
        jd_record_done(&s->items[i]);
}

static void add(struct jd_store *s, const char *id)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_record r;

    fill(&r, id);
    if (jd_store_add(s, (struct jd_record *[]){ &r }, 1, &e) < 0)
        fail_msg("%s", e.text);
    assert_true(r.sequence > 0);
    jd_record_done(&r);
}

static void a_record_comes_back_as_it_was(void **state)
{
    struct jd_store *s = open_store();
    struct seen seen;
    struct stat st;
    char path[64];

    (void) state;
    add(s, "11111111-2222-4333-8444-555555555555");
    jd_store_close(s);
    s = open_store();
    read_all(s, &seen);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.items[0].id, "11111111-2222-4333-8444-555555555555");
    assert_string_equal(seen.items[0].name, "name'; DROP TABLE jobs;--");
    assert_string_equal(seen.items[0].owner_name, "admin-client");
    assert_string_equal(seen.items[0].reason, "");
    assert_true(seen.items[0].created_wall_ns == 1790000000000000001u);
    assert_true(seen.items[0].host_id_base == 1879048192u);
    assert_true(seen.items[0].upload_bytes == UINT64_C(1) << 40);
    assert_int_equal(seen.items[0].request.len, 3);
    assert_memory_equal(seen.items[0].request.data, "\x12\0x", 3);
    assert_memory_equal(seen.items[0].secrets.data, "hush", 4);
    drop(&seen);
    jd_store_close(s);
    snprintf(path, sizeof path, "%s/joblet.db", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void updates_and_results_stay_and_secrets_go(void **state)
{
    struct jd_store *s = open_store();
    struct jl_err e = JL_ERR_INIT;
    struct seen seen;
    struct jd_record *r;

    (void) state;
    add(s, "a");
    read_all(s, &seen);
    r = &seen.items[0];
    jd_record_set(&r->status, "FAILED");
    jd_record_set(&r->reason, "Job killed due to memory limit");
    jd_record_set(&r->boot_id, "b");
    r->has_result = r->result.oom = true;
    r->result.memory_peak = 64 << 20;
    r->result.psi_io_some_us = 12;
    r->exit_code = -1;
    r->ended_wall_ns = 5;
    assert_int_equal(jd_store_update(s, r, &e), 0);
    assert_int_equal(jd_store_drop_secrets(s, "a", &e), 0);
    drop(&seen);
    read_all(s, &seen);
    r = &seen.items[0];
    assert_string_equal(r->status, "FAILED");
    assert_string_equal(r->reason, "Job killed due to memory limit");
    assert_string_equal(r->boot_id, "b");
    assert_int_equal(r->exit_code, -1);
    assert_true(r->has_result && r->result.oom && !r->result.timeout);
    assert_int_equal(r->result.memory_peak, 64 << 20);
    assert_int_equal(r->result.psi_io_some_us, 12);
    assert_int_equal(r->ended_wall_ns, 5);
    assert_int_equal(r->secrets.len, 0);
    drop(&seen);
    jd_store_close(s);
}

/* A file of the database that holds the text; NULL none. */
static const char *file_with(const char *text)
{
    static const char *const names[] = { "joblet.db", "joblet.db-wal", "joblet.db-shm" };
    _close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; i < JL_COUNT(names); i++) {
        _buf_ struct jl_buf b = JL_BUF_INIT(1 << 24);
        struct jl_err e = JL_ERR_INIT;

        assert_int_equal(jl_read_file_at(fd, names[i], &b, &e), 0);
        if (memmem(b.data, b.len, text, strlen(text)))
            return names[i];
    }
    return NULL;
}

static void forgotten_secrets_are_in_no_file(void **state)
{
    struct jd_store *s = open_store();
    struct jl_err e = JL_ERR_INIT;
    sqlite3 *reader = NULL;
    char path[64];

    (void) state;
    snprintf(path, sizeof path, "%s/joblet.db", dir);
    assert_int_equal(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    add(s, "a");
    assert_int_equal(jd_store_drop_secrets(s, "a", &e), 0);
    assert_non_null(file_with("hush"));
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM jobs", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(jd_store_settle(s, &e), -EAGAIN);
    assert_int_equal(sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(jd_store_settle(s, &e), 0);
    assert_null(file_with("hush"));
    assert_int_equal(sqlite3_close(reader), SQLITE_OK);
    jd_store_close(s);
}

static void who_locks_the_database_is_not_waited_for(void **state)
{
    struct jd_store *s = open_store();
    struct jd_volume_row row = { .name = "v" };
    struct jl_err e = JL_ERR_INIT;
    sqlite3 *writer = NULL;
    const char *ids[] = { "a" };
    struct jd_record rec;
    char path[64];
    uint64_t before;

    (void) state;
    add(s, "a");
    fill(&rec, "b");
    snprintf(path, sizeof path, "%s/joblet.db", dir);
    assert_int_equal(sqlite3_open(path, &writer), SQLITE_OK);
    assert_int_equal(sqlite3_exec(writer, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    before = jl_now_ns();
    assert_int_equal(jd_store_add(s, (struct jd_record *[]){ &rec }, 1, &e), -EAGAIN);
    assert_int_equal(jd_store_update(s, &rec, &e), -EAGAIN);
    assert_int_equal(jd_store_note(s, &rec, &e), -EAGAIN);
    assert_int_equal(jd_store_drop_secrets(s, "a", &e), -EAGAIN);
    assert_int_equal(jd_store_delete(s, ids, 1, &e), -EAGAIN);
    assert_int_equal(jd_store_move_due(s, "boot", 1, &e), -EAGAIN);
    assert_int_equal(jd_store_add_network(s, "n", "10.0.0.0/24", "br", &e), -EAGAIN);
    assert_int_equal(jd_store_delete_network(s, "n", &e), -EAGAIN);
    assert_int_equal(jd_store_volume_add(s, &row, &e), -EAGAIN);
    assert_int_equal(jd_store_volume_state(s, "v", "ready", &e), -EAGAIN);
    assert_int_equal(jd_store_volume_delete(s, "v", &e), -EAGAIN);
    assert_true(jl_now_ns() - before < JL_NS_PER_S); /* one alone took that long */
    assert_int_equal(sqlite3_close(writer), SQLITE_OK);
    assert_int_equal(jd_store_add(s, (struct jd_record *[]){ &rec }, 1, &e), 0);
    jd_record_done(&rec);
    jd_store_close(s);
}

static void records_come_in_order_and_are_deleted(void **state)
{
    struct jd_store *s = open_store();
    struct jl_err e = JL_ERR_INIT;
    struct jd_record again;
    struct seen seen;

    (void) state;
    add(s, "c");
    add(s, "a");
    add(s, "b");
    fill(&again, "a");
    assert_true(jd_store_add(s, (struct jd_record *[]){ &again }, 1, &e) <
                0); /* an id is given once */
    jd_record_done(&again);
    add(s, "d");
    assert_int_equal(jd_store_delete(s, (const char *[]){ "a", "d", "unknown" }, 3, &e), 0);
    read_all(s, &seen);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.items[0].id, "c");
    assert_string_equal(seen.items[1].id, "b");
    drop(&seen);
    jd_store_close(s);
}

static void sql(const char *statement)
{
    char path[64];
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/joblet.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, statement, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void a_file_that_is_not_ours_is_refused_with_what_to_do(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_store *s = open_store();
    char path[64];
    int fd;

    (void) state;
    jd_store_close(s);
    sql("PRAGMA user_version=99");
    assert_int_equal(jd_store_open(dir, &s, &e), -EINVAL);
    assert_non_null(strstr(e.text, "version 99"));
    snprintf(path, sizeof path, "%s/joblet.db", dir);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_int_equal(jl_write_all(fd, "this is no database, it only has its name ....", 46), 0);
    close(fd);
    assert_true(jd_store_open(dir, &s, &e) < 0);
    assert_non_null(strstr(e.text, path));
    assert_non_null(strstr(e.hint, "move"));
    assert_true(jd_store_open("/nonexistent", &s, &e) < 0);
}

static int keep_volume(void *arg, const struct jd_volume_row *v)
{
    struct jd_volume_row *last = arg;

    assert_true(strcmp(last->name, v->name) < 0);
    *last = *v;
    return 0;
}

static void volumes_come_back_in_order_of_names(void **state)
{
    struct jd_volume_row v = { .name = "b",
                               .type = "memory",
                               .size = "1.5GB",
                               .state = "creating",
                               .bytes = UINT64_C(3) << 29,
                               .created_wall_ns = 1790000000000000001u,
                               .owner_name = "o'",
                               .owner_serial = "0A" };
    struct jd_store *s = open_store();
    struct jd_volume_row last = { .name = "" };
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(jd_store_volume_add(s, &v, &e), 0);
    assert_true(jd_store_volume_add(s, &v, &e) < 0); /* a name once */
    v.name[0] = 'a';
    assert_int_equal(jd_store_volume_add(s, &v, &e), 0);
    assert_int_equal(jd_store_volume_state(s, "b", "ready", &e), 0);
    jd_store_close(s);
    s = open_store();
    assert_int_equal(jd_store_each_volume(s, keep_volume, &last, &e), 0);
    assert_string_equal(last.name, "b");
    assert_string_equal(last.state, "ready");
    assert_string_equal(last.type, "memory");
    assert_string_equal(last.size, "1.5GB");
    assert_string_equal(last.owner_name, "o'");
    assert_true(last.bytes == UINT64_C(3) << 29);
    assert_true(last.created_wall_ns == 1790000000000000001u);
    assert_int_equal(jd_store_volume_delete(s, "b", &e), 0);
    memset(&last, 0, sizeof last);
    assert_int_equal(jd_store_each_volume(s, keep_volume, &last, &e), 0);
    assert_string_equal(last.name, "a");
    jd_store_close(s);
}

/* A file of version 1 has jobs alone. */
static void an_older_file_gets_its_table_of_volumes(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_volume_row last = { .name = "" };
    struct jd_store *s = open_store();

    (void) state;
    add(s, "11111111-2222-4333-8444-555555555555");
    jd_store_close(s);
    sql("DROP TABLE volumes; DROP TABLE networks; ALTER TABLE jobs DROP COLUMN address; "
        "ALTER TABLE jobs DROP COLUMN due_boot_ns; ALTER TABLE jobs DROP COLUMN due_boot_id; "
        "PRAGMA user_version=1");
    s = open_store();
    assert_int_equal(jd_store_each_volume(s, keep_volume, &last, &e), 0);
    assert_string_equal(last.name, "");
    assert_int_equal(jd_store_add_network(s, "lab", "10.1.0.0/16", "joblet-lab", &e), 0);
    jd_store_close(s);
}

/* A file of version 3 has scheduled times of the wall clock alone. */
static void a_job_of_an_older_file_keeps_its_time(void **state)
{
    struct jd_store *s = open_store();
    struct jl_err e = JL_ERR_INIT;
    struct seen seen;

    (void) state;
    add(s, "a");
    jd_store_close(s);
    sql("ALTER TABLE jobs DROP COLUMN due_boot_ns; ALTER TABLE jobs DROP COLUMN due_boot_id; "
        "UPDATE jobs SET status='SCHEDULED', scheduled_ns=77; PRAGMA user_version=3");
    s = open_store();
    assert_int_equal(jd_store_move_due(s, "", 1000, &e), 0);
    read_all(s, &seen);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.items[0].scheduled_wall_ns, 77);
    assert_int_equal(seen.items[0].due_boot_ns, 0);
    assert_string_equal(seen.items[0].due_boot_id, "");
    drop(&seen);
    jd_store_close(s);
}

static void add_due(struct jd_store *s, const char *id, const char *status, const char *boot_id)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_record r;

    fill(&r, id);
    jd_record_set(&r.status, status);
    jd_record_set(&r.due_boot_id, boot_id);
    r.due_boot_ns = 500;
    r.scheduled_wall_ns = 77;
    assert_int_equal(jd_store_add(s, (struct jd_record *[]){ &r }, 1, &e), 0);
    jd_record_done(&r);
}

static void relative_times_of_this_boot_move_while_they_are_waited_for(void **state)
{
    struct jd_store *s = open_store();
    struct jl_err e = JL_ERR_INIT;
    struct seen seen;

    (void) state;
    add_due(s, "waits", "SCHEDULED", "this");
    add_due(s, "of another boot", "SCHEDULED", "other");
    add_due(s, "ran", "COMPLETED", "this");
    assert_int_equal(jd_store_move_due(s, "this", 1790000000000000000u, &e), 0);
    read_all(s, &seen);
    assert_true(seen.items[0].scheduled_wall_ns == 1790000000000000500u);
    assert_int_equal(seen.items[0].due_boot_ns, 500);
    assert_string_equal(seen.items[0].due_boot_id, "this");
    assert_int_equal(seen.items[1].scheduled_wall_ns, 77);
    assert_int_equal(seen.items[2].scheduled_wall_ns, 77);
    drop(&seen);
    jd_store_close(s);
}

static int keep_network(void *arg, const char *name, const char *cidr, const char *bridge)
{
    struct jl_buf *all = arg;

    return jl_buf_printf(all, "%s %s %s;", name, cidr, bridge);
}

static void networks_come_back_until_they_are_deleted(void **state)
{
    _buf_ struct jl_buf all = JL_BUF_INIT(4096);
    struct jl_err e = JL_ERR_INIT;
    struct jd_store *s = open_store();

    (void) state;
    assert_int_equal(jd_store_add_network(s, "lab", "10.1.0.0/16", "joblet-lab", &e), 0);
    assert_int_equal(jd_store_add_network(s, "a", "10.2.0.0/16", "joblet-a", &e), 0);
    assert_true(jd_store_add_network(s, "a", "10.3.0.0/16", "joblet-a", &e) < 0);
    jd_store_close(s);
    s = open_store();
    assert_int_equal(jd_store_each_network(s, keep_network, &all, &e), 0);
    assert_int_equal(jl_buf_putc(&all, '\0'), 0);
    assert_string_equal(all.data, "a 10.2.0.0/16 joblet-a;lab 10.1.0.0/16 joblet-lab;");
    assert_int_equal(jd_store_delete_network(s, "a", &e), 0);
    jl_buf_clear(&all);
    assert_int_equal(jd_store_each_network(s, keep_network, &all, &e), 0);
    assert_int_equal(jl_buf_putc(&all, '\0'), 0);
    assert_string_equal(all.data, "lab 10.1.0.0/16 joblet-lab;");
    jd_store_close(s);
}

UNIT_MAIN(
    cmocka_unit_test_setup_teardown(a_record_comes_back_as_it_was, set_up, tear_down),
    cmocka_unit_test_setup_teardown(updates_and_results_stay_and_secrets_go, set_up, tear_down),
    cmocka_unit_test_setup_teardown(forgotten_secrets_are_in_no_file, set_up, tear_down),
    cmocka_unit_test_setup_teardown(who_locks_the_database_is_not_waited_for, set_up, tear_down),
    cmocka_unit_test_setup_teardown(records_come_in_order_and_are_deleted, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_file_that_is_not_ours_is_refused_with_what_to_do, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(volumes_come_back_in_order_of_names, set_up, tear_down),
    cmocka_unit_test_setup_teardown(networks_come_back_until_they_are_deleted, set_up, tear_down),
    cmocka_unit_test_setup_teardown(a_job_of_an_older_file_keeps_its_time, set_up, tear_down),
    cmocka_unit_test_setup_teardown(relative_times_of_this_boot_move_while_they_are_waited_for,
                                    set_up, tear_down),
    cmocka_unit_test_setup_teardown(an_older_file_gets_its_table_of_volumes, set_up, tear_down))
