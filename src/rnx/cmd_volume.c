/* cmd_volume.c - rnx volume create, list and remove. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/volume.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/out.h"
#include "rnx/remote.h"

#define CHANGE_TIMEOUT_NS (120 * JL_NS_PER_S) /* a file system is made */

struct create_opts {
    const char *size, *type;
};

static const struct rnx_opt create_items[] = {
    { "size", 0, RNX_OPT_STRING, "SIZE", offsetof(struct create_opts, size),
      "how much it holds: 100MB, 1.5GB" },
    { "type", 0, RNX_OPT_STRING, "TYPE", offsetof(struct create_opts, type),
      "filesystem (the default; kept on disk) or memory" },
};

static int print_created(const struct rnx *x, const Joblet__CreateVolumeResponse *v,
                         struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    struct jl_json_out w;
    char text[512];

    if (x->json) {
        rnx_json_begin(&w, &b, false);
        jl_json_put_object(&w, NULL);
        jl_json_put_str(&w, "name", v->name);
        jl_json_put_str(&w, "size", v->size);
        jl_json_put_str(&w, "type", v->type);
        jl_json_put_str(&w, "path", v->path);
        jl_json_end(&w);
        return rnx_json_print(&w, stdout, e);
    }
    printf("Volume created successfully:\n");
    printf("  Name: %s\n", rnx_tame(v->name, text, sizeof text));
    printf("  Size: %s\n", rnx_tame(v->size, text, sizeof text));
    printf("  Type: %s\n", rnx_tame(v->type, text, sizeof text));
    printf("  Path: %s\n", rnx_tame(v->path, text, sizeof text));
    rnx_tame(v->name, text, sizeof text);
    printf("\nUse it in a job, where it is /volumes/%s:\n  rnx job run --volume=%s <command>\n",
           text, text);
    return 0;
}

static int run_create(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__CreateVolumeRequest request = JOBLET__CREATE_VOLUME_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct create_opts o = { 0 };
    enum api_volume_type type;
    ProtobufCMessage *reply = NULL;
    uint64_t bytes;
    int r = rnx_parse(x, &o, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len != 1)
        return rnx_usage(e, "rnx volume create wants one name");
    if (!o.size)
        return rnx_usage(e, "rnx volume create wants --size, as in --size=1GB");
    request.name = words.items[0];
    request.size = (char *) (uintptr_t) o.size;
    request.type = (char *) (uintptr_t) (o.type ? o.type : "filesystem");
    r = api_volume_new(&request, &bytes, &type, e);
    if (r < 0) {
        struct jl_err why = *e;

        return rnx_usage(e, "%s", why.text);
    }
    r = rnx_call(x, "/joblet.VolumeService/CreateVolume", &request.base,
                 &joblet__create_volume_response__descriptor, CHANGE_TIMEOUT_NS, &reply, NULL, e);
    if (r < 0)
        return r;
    r = print_created(x, (const Joblet__CreateVolumeResponse *) reply, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

static int print_json(const Joblet__Volumes *all, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(16u << 20);
    struct jl_json_out w;

    rnx_json_begin(&w, &b, false);
    jl_json_put_object(&w, NULL);
    jl_json_put_array(&w, "volumes");
    for (size_t i = 0; i < all->n_volumes; i++) {
        const Joblet__Volume *v = all->volumes[i];

        jl_json_put_object(&w, NULL);
        jl_json_put_str(&w, "name", v->name);
        jl_json_put_str(&w, "size", v->size);
        jl_json_put_str(&w, "type", v->type);
        jl_json_put_str(&w, "created_time", v->created_time);
        jl_json_put_str(&w, "path", v->path);
        jl_json_put_i64(&w, "job_count", v->job_count);
        jl_json_put_i64(&w, "used_bytes", v->used_bytes);
        if (v->problem[0])
            jl_json_put_str(&w, "problem", v->problem);
        jl_json_end(&w);
    }
    jl_json_end(&w);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

struct row {
    char name[128], size[64], type[32], created[64];
};

static int print_table(const Joblet__Volumes *all, bool colour, struct jl_err *e)
{
    static const struct rnx_column columns[] = {
        { "NAME", 64, .min = 15 },
        { "SIZE", 32, .min = 8 },
        { "TYPE", 16, .min = 12 },
        { "CREATED" },
    };
    _free_ struct row *rows = calloc(all->n_volumes + 1, sizeof *rows);
    _free_ const char **cells = calloc(all->n_volumes * JL_COUNT(columns) + 1, sizeof *cells);

    if (!rows || !cells)
        return jl_fail(e, ENOMEM, "table");
    for (size_t i = 0; i < all->n_volumes; i++) {
        const Joblet__Volume *v = all->volumes[i];
        const char **c = &cells[i * JL_COUNT(columns)];

        rnx_tame(v->name, rows[i].name, sizeof rows[i].name);
        rnx_tame(v->size, rows[i].size, sizeof rows[i].size);
        rnx_tame(v->type, rows[i].type, sizeof rows[i].type);
        rnx_time_text(v->created_time, true, "-", rows[i].created, sizeof rows[i].created);
        c[0] = rows[i].name;
        c[1] = rows[i].size;
        c[2] = rows[i].type;
        c[3] = rows[i].created;
    }
    rnx_table(stdout, columns, JL_COUNT(columns), cells, all->n_volumes, colour);
    for (size_t i = 0; i < all->n_volumes; i++) {
        const Joblet__Volume *v = all->volumes[i];
        char problem[256];

        if (v->problem[0])
            printf("%s: %s\n", rows[i].name, rnx_tame(v->problem, problem, sizeof problem));
    }
    return 0;
}

static int run_list(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__EmptyRequest request = JOBLET__EMPTY_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    ProtobufCMessage *reply = NULL;
    const Joblet__Volumes *all;
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx volume list takes no argument, got '%.60s'", words.items[0]);
    r = rnx_call(x, "/joblet.VolumeService/ListVolumes", &request.base,
                 &joblet__volumes__descriptor, 0, &reply, NULL, e);
    if (r < 0)
        return r;
    all = (const Joblet__Volumes *) reply;
    if (x->json)
        r = print_json(all, e);
    else if (all->n_volumes == 0)
        printf("No volumes found\n");
    else
        r = print_table(all, x->colour, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

static int run_remove(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__RemoveVolumeRequest request = JOBLET__REMOVE_VOLUME_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    _buf_ struct jl_buf b = JL_BUF_INIT(65536);
    const Joblet__RemoveVolumeResponse *s;
    ProtobufCMessage *reply = NULL;
    struct jl_json_out w;
    char text[128];
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len != 1)
        return rnx_usage(e, "rnx volume remove wants one name");
    request.name = words.items[0];
    r = rnx_call(x, "/joblet.VolumeService/RemoveVolume", &request.base,
                 &joblet__remove_volume_response__descriptor, CHANGE_TIMEOUT_NS, &reply, NULL, e);
    if (r < 0)
        return r;
    s = (const Joblet__RemoveVolumeResponse *) reply;
    if (x->json) {
        rnx_json_begin(&w, &b, false);
        jl_json_put_object(&w, NULL);
        jl_json_put_str(&w, "name", request.name);
        jl_json_put_bool(&w, "success", s->success);
        rnx_json_str(&w, "message", s->message);
        jl_json_end(&w);
        r = rnx_json_print(&w, stdout, e);
    } else {
        printf("Volume '%s' removed successfully\n", rnx_tame(request.name, text, sizeof text));
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

const struct rnx_cmd rnx_cmd_volume_create = {
    .group = "volume",
    .name = "create",
    .args = "<name> --size=SIZE [flags]",
    .summary = "make a volume",
    .more = "SIZE is a number and B, KB, MB, GB or TB (1024-based). What a volume of type\n"
            "filesystem holds outlives jobs and reboots; of type memory, jobs alone.\n",
    .opts = &(const struct rnx_opts) RNX_OPTS(create_items),
    .run = run_create,
};

const struct rnx_cmd rnx_cmd_volume_list = {
    .group = "volume",
    .name = "list",
    .args = "[flags]",
    .summary = "list volumes",
    .run = run_list,
};

const struct rnx_cmd rnx_cmd_volume_remove = {
    .group = "volume",
    .name = "remove",
    .args = "<name> [flags]",
    .summary = "remove a volume and its data",
    .more = "Refused while a job that runs or waits uses it.\n",
    .run = run_remove,
};
