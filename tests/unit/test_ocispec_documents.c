/*
 * What tools write is read, and written again with the same meaning; the schema and
 * tests/data/config/maximal.json know the same properties; refusals name the JSON path.
 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "engine.h"
#include "ocispec.h"

#define TEXT_MAX ((size_t) 1 << 20)

static void load(const char *name, struct jl_buf *b)
{
    const char *srcdir = getenv("srcdir");
    struct jl_err e = JL_ERR_INIT;
    char path[4096];

    snprintf(path, sizeof path, "%s/tests/data/config/%s", srcdir ? srcdir : ".", name);
    if (jl_read_file_at(AT_FDCWD, path, b, &e) < 0)
        fail_msg("%s", e.text);
}

static struct oci_spec *must_parse(const char *text, size_t len, struct oci_unknown *unknown)
{
    struct oci_parse_opts opts = { .unknown = unknown };
    struct oci_spec *spec = NULL;
    struct jl_err e = JL_ERR_INIT;

    if (oci_spec_parse(text, len, &opts, &spec, &e) < 0)
        fail_msg("%s", e.text);
    return spec;
}

/* The same values; members in any order. The path of the first difference lands in where. */
static bool same(const struct jl_json *a, const struct jl_json *b, struct jl_buf *where)
{
    size_t i = 0;

    if (a->kind != b->kind || a->len != b->len)
        return false;
    if (a->text)
        return strcmp(a->text, b->text) == 0;
    if (a->kind == JL_JSON_ARRAY) {
        const struct jl_json *y = b->first;

        for (const struct jl_json *x = a->first; x; x = x->next, y = y->next, i++)
            if (!same(x, y, where)) {
                jl_buf_printf(where, "[%zu]<", i);
                return false;
            }
        return true;
    }
    JL_JSON_FOREACH(x, a)
    {
        const struct jl_json *y = jl_json_get(b, x->key);

        if (!y || !same(x, y, where)) {
            jl_buf_printf(where, "%s<", x->key);
            return false;
        }
    }
    return true;
}

static void check_round_trip(const char *name)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_MAX), first = JL_BUF_INIT(TEXT_MAX);
    _buf_ struct jl_buf second = JL_BUF_INIT(TEXT_MAX), compact = JL_BUF_INIT(TEXT_MAX);
    _buf_ struct jl_buf where = JL_BUF_INIT(4096);
    _json_ struct jl_json *before = NULL, *after = NULL, *dense = NULL;
    struct oci_unknown unknown = OCI_UNKNOWN_INIT;
    _oci_spec_ struct oci_spec *spec = NULL, *again = NULL;
    struct jl_err e = JL_ERR_INIT;

    load(name, &text);
    spec = must_parse(text.data, text.len, &unknown);
    if (unknown.n > 0)
        fail_msg("%s: unknown key %s", name, unknown.paths[0]);
    assert_int_equal(oci_spec_write(spec, &first, &e), 0);
    again = must_parse(first.data, first.len, NULL);
    assert_int_equal(oci_spec_write(again, &second, &e), 0);
    assert_string_equal(first.data, second.data);
    assert_int_equal(oci_spec_write_compact(again, &compact, &e), 0);
    assert_null(strchr(compact.data, '\n'));
    assert_int_equal(jl_json_parse(text.data, text.len, NULL, &before, &e), 0);
    assert_int_equal(jl_json_parse(first.data, first.len, NULL, &after, &e), 0);
    assert_int_equal(jl_json_parse(compact.data, compact.len, NULL, &dense, &e), 0);
    if (!same(before, after, &where) || !same(after, dense, &where))
        fail_msg("%s: differs at %s (inside out)", name, where.data ? where.data : "the top");
}

static void what_tools_write_comes_out_with_the_same_meaning(void **state)
{
    static const char *const names[] = {
        "runc.json",          "runc-rootless.json", "crun.json",
        "crun-rootless.json", "podman-plain.json",  "podman-limits.json",
        "podman-userns.json", "docker-shaped.json", "maximal.json",
    };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(names); i++)
        check_round_trip(names[i]);
}

/* Nothing of the schema is unset somewhere in x; names are ticked off per type, since not every
 * array item carries every property. */
#define TICKS 64
struct ticks {
    const struct oci_type *type[TICKS];
    uint64_t seen[TICKS];
};

static uint64_t *ticks_of(struct ticks *t, const struct oci_type *type)
{
    size_t i = 0;

    while (i < TICKS && t->type[i] && t->type[i] != type)
        i++;
    assert_true(i < TICKS);
    t->type[i] = type;
    return &t->seen[i];
}

static void tick(struct ticks *t, const struct oci_type *type, const void *x)
{
    uint64_t *seen = ticks_of(t, type);

    for (size_t i = 0; i < type->n_fields; i++) {
        const struct oci_field *f = &type->fields[i];
        bool scalar = f->kind > OCI_STRING && f->kind < OCI_OBJECT;
        bool set =
            scalar ? !oci_has_flag(f) || *(bool *) oci_at(x, f->flag) : *oci_ptr(x, f) != NULL;

        if (!set)
            continue;
        *seen |= UINT64_C(1) << i;
        if (f->kind == OCI_OBJECT)
            tick(t, f->sub, *oci_ptr(x, f));
        for (size_t j = 0; f->kind == OCI_OBJECTS && j < *oci_count(x, f); j++)
            tick(t, f->sub, ((oci_any *) *oci_ptr(x, f))[j]);
        for (size_t j = 0; f->kind == OCI_OBJECT_MAP && j < *oci_count(x, f); j++)
            tick(t, f->sub, ((struct oci_any_entry *) *oci_ptr(x, f))[j].value);
    }
}

static void the_maximal_file_uses_every_property_of_the_schema(void **state)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_MAX);
    _oci_spec_ struct oci_spec *spec = NULL;
    struct ticks t = { 0 };

    (void) state;
    load("maximal.json", &text);
    spec = must_parse(text.data, text.len, NULL);
    tick(&t, &oci_type_spec, spec);
    for (size_t i = 0; i < TICKS && t.type[i]; i++)
        for (size_t j = 0; j < t.type[i]->n_fields; j++)
            if (!(t.seen[i] >> j & 1))
                fail_msg("%s.%s is nowhere in maximal.json", t.type[i]->name,
                         t.type[i]->fields[j].key);
    assert_ptr_equal(t.type[0], &oci_type_spec);
}

static void members_hold_what_the_file_says(void **state)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_MAX);
    _oci_spec_ struct oci_spec *s = NULL;

    (void) state;
    load("maximal.json", &text);
    s = must_parse(text.data, text.len, NULL);
    assert_string_equal(s->oci_version, "1.3.0");
    assert_int_equal(s->process->user->uid, 4294967294);
    assert_int_equal(s->process->user->n_additional_gids, 3);
    assert_int_equal(s->process->user->additional_gids[2], UINT32_MAX);
    assert_int_equal(s->process->n_args, 4);
    assert_null(s->process->args[4]);
    assert_non_null(s->process->capabilities->inheritable);
    assert_int_equal(s->process->capabilities->n_inheritable, 0);
    assert_true(s->process->rlimits[0]->hard == UINT64_MAX);
    assert_true(s->process->has_oom_score_adj && s->process->oom_score_adj == -1000);
    assert_int_equal(s->n_mounts, 2);
    assert_null(s->mounts[0]->options);
    assert_int_equal(s->mounts[1]->uid_mappings[0]->host_id, 100000);
    assert_string_equal(oci_kv_get(s->annotations, s->n_annotations, "org.example.key"), "value");
    assert_null(oci_kv_get(s->annotations, s->n_annotations, "org"));
    assert_string_equal(s->linux->time_offsets[0].key, "monotonic");
    assert_true(s->linux->time_offsets[0].value->secs == -172800);
    assert_true(s->linux->resources->memory->has_disable_oom_killer);
    assert_false(s->linux->resources->memory->disable_oom_killer);
    assert_int_equal(s->linux->resources->block_io->leaf_weight, UINT16_MAX);
    assert_int_equal(s->linux->resources->rdma[1].value->has_hca_handles, false);
    assert_true(s->linux->seccomp->syscalls[0]->args[0]->value == UINT64_MAX);
    assert_true(s->hooks->poststart[1]->timeout == INT64_MAX);
    assert_false(s->linux->devices[2]->has_major);
}

static void refusals_name_the_path_and_what_is_allowed(void **state)
{
    static const struct {
        const char *text, *words;
    } table[] = {
        { "[]", "the document is an array, must be an object" },
        { "{}", "ociVersion: is missing, it is required" },
        { "{\"ociVersion\":null}", "ociVersion: is missing" },
        { "{\"ociVersion\":1}", "ociVersion: is a number, must be a string" },
        { "{\"ociVersion\":\"1\",\"root\":{}}", "root.path: is missing" },
        { "{\"ociVersion\":\"1\",\"root\":[]}", "root: is an array, must be an object" },
        { "{\"ociVersion\":\"1\",\"mounts\":{}}", "mounts: is an object, must be an array" },
        { "{\"ociVersion\":\"1\",\"mounts\":[{\"destination\":\"/\"},{}]}",
          "mounts[1].destination: is missing" },
        { "{\"ociVersion\":\"1\",\"mounts\":[null]}", "mounts[0]: is null, must be an object" },
        { "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"args\":[\"a\",null]}}",
          "process.args[1]: is null, must be a string" },
        { "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":4294967296}}}",
          "process.user.uid: 4294967296 is out of range; allowed: 0 to 4294967295" },
        { "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":-1}}}",
          "process.user.uid: -1 is out of range" },
        { "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":1.5}}}",
          "process.user.uid: 1.5 is not a whole number" },
        { "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/"
          "\",\"user\":{\"additionalGids\":[1,\"2\"]}}}",
          "process.user.additionalGids[1]: is a string, must be a number" },
        { "{\"ociVersion\":\"1\",\"process\":{\"cwd\":\"/\",\"terminal\":\"yes\"}}",
          "process.terminal: is a string, must be a boolean" },
        { "{\"ociVersion\":\"1\",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"nte\"}]}"
          "}",
          "linux.namespaces[1].type: 'nte' is not known; allowed: pid, network, mount, ipc, uts, "
          "user, cgroup, time" },
        { "{\"ociVersion\":\"1\",\"linux\":{\"resources\":{\"blockIO\":{\"weight\":65536}}}}",
          "linux.resources.blockIO.weight: 65536 is out of range; allowed: 0 to 65535" },
        { "{\"ociVersion\":\"1\",\"annotations\":{\"a.b\":1}}",
          "annotations[\"a.b\"]: is a number, must be a string" },
        { "{\"ociVersion\":\"1\",\"linux\":{\"timeOffsets\":{\"boottime\":{\"secs\":\"1\"}}}}",
          "linux.timeOffsets.boottime.secs: is a string" },
        { "{\"ociVersion\":\"1\",\"ociVersion\":\"2\"}", "'ociVersion' twice" },
    };

    (void) state;
    for (size_t i = 0; i < JL_COUNT(table); i++) {
        struct oci_spec *spec = NULL;
        struct jl_err e = JL_ERR_INIT;
        int r = oci_spec_parse(table[i].text, strlen(table[i].text), NULL, &spec, &e);

        if (r != -EINVAL || spec || !strstr(e.text, table[i].words))
            fail_msg("%s\nexpected: %s\ngot %d: %s", table[i].text, table[i].words, r, e.text);
    }
}

static void unknown_keys_are_passed_over_listed_or_refused(void **state)
{
    static const char text[] =
        "{\"ociVersion\":\"1\",\"vm\":{\"x\":1},"
        "\"linux\":{\"new\":[],\"namespaces\":[{\"type\":\"pid\",\"a.b\":1}],"
        "\"\\u001b[2J\":0}}";
    struct oci_unknown unknown = OCI_UNKNOWN_INIT;
    struct oci_parse_opts strict = { .strict = true };
    _oci_spec_ struct oci_spec *spec = must_parse(text, sizeof text - 1, &unknown), *none = NULL;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_non_null(spec);
    assert_int_equal(unknown.n, 4);
    assert_string_equal(unknown.paths[0], "vm");
    assert_string_equal(unknown.paths[1], "linux.new");
    assert_string_equal(unknown.paths[2], "linux.namespaces[0][\"a.b\"]");
    assert_string_equal(unknown.paths[3], "linux[\"?[2J\"]");
    oci_unknown_clear(&unknown);
    assert_int_equal(oci_spec_parse(text, sizeof text - 1, &strict, &none, &e), -EINVAL);
    assert_string_equal(e.text, "vm: is not a known key");
    assert_string_equal(e.object, "vm");
}

static void the_list_of_unknown_keys_has_a_ceiling(void **state)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(TEXT_MAX);
    struct oci_unknown unknown = OCI_UNKNOWN_INIT;
    _oci_spec_ struct oci_spec *spec = NULL;

    (void) state;
    jl_buf_puts(&b, "{\"ociVersion\":\"1\"");
    for (int i = 0; i < OCI_UNKNOWN_MAX + 10; i++)
        jl_buf_printf(&b, ",\"x%d\":0", i);
    jl_buf_puts(&b, "}");
    spec = must_parse(b.data, b.len, &unknown);
    assert_int_equal(unknown.n, OCI_UNKNOWN_MAX);
    assert_int_equal(unknown.more, 10);
    oci_unknown_clear(&unknown);
}

static void hostile_sizes_are_refused(void **state)
{
    enum { DEEP = 10000 };
    _buf_ struct jl_buf b = JL_BUF_INIT(TEXT_MAX);
    struct oci_parse_opts small = { .max_bytes = 100, .max_depth = 3 };
    struct oci_spec *spec = NULL;
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    jl_buf_puts(&b, "{\"ociVersion\":\"1\",\"a\":");
    for (int i = 0; i < DEEP; i++)
        jl_buf_puts(&b, "{\"a\":[");
    assert_int_equal(oci_spec_parse(b.data, b.len, NULL, &spec, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "64 levels deep"));
    assert_int_equal(oci_spec_parse(b.data, b.len, &small, &spec, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "the limit is 100"));
    assert_int_equal(oci_spec_parse(b.data, 50, &small, &spec, &e), -EMSGSIZE);
    assert_non_null(strstr(e.text, "3 levels deep"));
    assert_null(spec);
}

/* Truncation: no beginning of a document is one. */
static void every_beginning_of_a_file_is_refused(void **state)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(TEXT_MAX);

    (void) state;
    load("runc.json", &text);
    while (text.len > 0 && text.data[text.len - 1] != '}')
        text.len--;
    for (size_t len = 0; len < text.len; len++) {
        struct oci_spec *spec = NULL;
        struct jl_err e = JL_ERR_INIT;

        assert_int_equal(oci_spec_parse(text.data, len, NULL, &spec, &e), -EINVAL);
        assert_non_null(strstr(e.text, "the text ends before the JSON document does"));
    }
}

static void a_struct_of_borrowed_memory_can_be_written(void **state)
{
    char version[] = "1.3.0", path[] = "rootfs", cwd[] = "/", arg[] = "true", pid[] = "pid";
    char *args[] = { arg, NULL };
    struct oci_user user = { .uid = 1000, .gid = 1000 };
    struct oci_process process = { .cwd = cwd, .args = args, .n_args = 1, .user = &user };
    struct oci_root root = { .path = path, .has_readonly = true, .readonly = false };
    struct oci_namespace ns = { .type = pid }, *list[] = { &ns };
    struct oci_linux linux_part = { .namespaces = list, .n_namespaces = 1 };
    struct oci_spec spec = {
        .oci_version = version, .process = &process, .root = &root, .linux = &linux_part
    };
    _buf_ struct jl_buf b = JL_BUF_INIT(TEXT_MAX);
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(oci_spec_write_compact(&spec, &b, &e), 0);
    assert_string_equal(b.data,
                        "{\"ociVersion\":\"1.3.0\",\"process\":{\"user\":{\"uid\":1000,"
                        "\"gid\":1000},\"args\":[\"true\"],\"cwd\":\"/\"},\"root\":{\"path\":"
                        "\"rootfs\",\"readonly\":false},\"linux\":{\"namespaces\":[{\"type\":"
                        "\"pid\"}]}}");
    ns.type = NULL;
    jl_buf_clear(&b);
    assert_int_equal(oci_spec_write(&spec, &b, &e), -EINVAL);
    assert_string_equal(e.text, "linux.namespaces[0].type: is missing, it is required");
    arg[0] = (char) 0xff;
    jl_buf_clear(&b);
    assert_int_equal(oci_spec_write(&spec, &b, &e), -EILSEQ);
    assert_string_equal(e.text, "process.args: cannot be written: not UTF-8");
}

static void a_state_is_built_written_and_read(void **state)
{
    struct oci_state *st = calloc(1, sizeof *st), *back = NULL;
    _buf_ struct jl_buf b = JL_BUF_INIT(TEXT_MAX);
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_non_null(st);
    st->oci_version = strdup("1.3.0");
    st->id = strdup("a");
    st->status = strdup("running");
    st->bundle = strdup("/b");
    st->has_pid = true;
    st->pid = 42;
    assert_int_equal(oci_kv_add(&st->annotations, &st->n_annotations, "k", "v"), 0);
    assert_int_equal(oci_state_write(st, &b, &e), 0);
    assert_int_equal(oci_state_parse(b.data, b.len, NULL, &back, &e), 0);
    assert_int_equal(back->pid, 42);
    assert_string_equal(oci_kv_get(back->annotations, back->n_annotations, "k"), "v");
    oci_state_free(back);
    oci_state_free(st);
}

UNIT_MAIN(cmocka_unit_test(what_tools_write_comes_out_with_the_same_meaning),
          cmocka_unit_test(the_maximal_file_uses_every_property_of_the_schema),
          cmocka_unit_test(members_hold_what_the_file_says),
          cmocka_unit_test(refusals_name_the_path_and_what_is_allowed),
          cmocka_unit_test(unknown_keys_are_passed_over_listed_or_refused),
          cmocka_unit_test(the_list_of_unknown_keys_has_a_ceiling),
          cmocka_unit_test(hostile_sizes_are_refused),
          cmocka_unit_test(every_beginning_of_a_file_is_refused),
          cmocka_unit_test(a_struct_of_borrowed_memory_can_be_written),
          cmocka_unit_test(a_state_is_built_written_and_read))
