/* cmd_list.c - rnx job list. */
#include <errno.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "rnx/jobtext.h"
#include "rnx/out.h"
#include "rnx/remote.h"

struct list_opts {
    const char *status;
    bool workflow;
};

static const struct rnx_opt items[] = {
    { "status", 0, RNX_OPT_STRING, "S[,S...]", offsetof(struct list_opts, status),
      "only jobs in one of these states",
      .more = "PENDING, SCHEDULED, INITIALIZING, RUNNING, STOPPING, COMPLETED, FAILED, STOPPED, "
              "CANCELED, TIMEOUT." },
    { "workflow", 0, RNX_OPT_BOOL, NULL, offsetof(struct list_opts, workflow),
      "list workflows instead (not built yet)" },
};

static bool wanted(const Joblet__Job *j, const char *list)
{
    if (!list)
        return true;
    for (const char *p = list; *p != '\0';) {
        size_t len = strcspn(p, ",");

        if (strlen(j->status) == len && strncasecmp(p, j->status, len) == 0)
            return true;
        p += len + (p[len] == ',');
    }
    return false;
}

static int check_states(const char *list, struct jl_err *e)
{
    char word[32];

    for (const char *p = list; p;) {
        size_t len = strcspn(p, ",");

        snprintf(word, sizeof word, "%.*s", (int) (len < 31 ? len : 31), p);
        if (!rnx_job_is_state(word))
            return rnx_usage(e, "--status: '%s' is no state of a job", word);
        p = p[len] == ',' ? p + len + 1 : NULL;
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return rnx_job_compare(*(Joblet__Job *const *) a, *(Joblet__Job *const *) b);
}

static int print_json(Joblet__Job *const *jobs, size_t n, struct jl_err *e)
{
    _buf_ struct jl_buf b = JL_BUF_INIT(1u << 30);
    struct jl_json_out w;

    rnx_json_begin(&w, &b, false);
    jl_json_put_array(&w, NULL);
    for (size_t i = 0; i < n; i++)
        rnx_job_json(&w, jobs[i]);
    jl_json_end(&w);
    return rnx_json_print(&w, stdout, e);
}

struct row {
    char id[64], name[128], node[64], status[32], start[48], command[512];
};

static void fill_row(struct row *r, const Joblet__Job *j)
{
    bool scheduled = strcmp(j->status, "SCHEDULED") == 0;
    char text[512];

    rnx_tame(j->uuid, r->id, sizeof r->id);
    rnx_tame(j->name[0] ? j->name : "-", r->name, sizeof r->name);
    rnx_tame(j->node_id[0] ? j->node_id : "-", r->node, sizeof r->node);
    rnx_tame(j->status, r->status, sizeof r->status);
    rnx_time_text(scheduled ? j->scheduled_time : j->start_time, false, "N/A", r->start,
                  sizeof r->start);
    rnx_command_text(j->command, j->args, j->n_args, 80, text, sizeof text);
    rnx_tame(text, r->command, sizeof r->command);
}

static int print_table(Joblet__Job *const *jobs, size_t n, bool colour, struct jl_err *e)
{
    static const struct rnx_column columns[] = {
        { "ID", 38, false },   { "NAME", 25, false },       { "NODE ID", 38, false },
        { "STATUS", 0, true }, { "START TIME", 19, false }, { "COMMAND", 0, false },
    };
    _free_ struct row *rows = calloc(n + 1, sizeof *rows);
    _free_ const char **cells = calloc(n * JL_COUNT(columns) + 1, sizeof *cells);

    if (!rows || !cells)
        return jl_fail(e, ENOMEM, "table");
    for (size_t i = 0; i < n; i++) {
        const char **c = &cells[i * JL_COUNT(columns)];

        fill_row(&rows[i], jobs[i]);
        c[0] = rows[i].id;
        c[1] = rows[i].name;
        c[2] = rows[i].node;
        c[3] = rows[i].status;
        c[4] = rows[i].start;
        c[5] = rows[i].command;
    }
    rnx_table(stdout, columns, JL_COUNT(columns), cells, n, colour);
    return 0;
}

static int print_jobs(const struct rnx *x, const struct list_opts *o, Joblet__Jobs *all,
                      struct jl_err *e)
{
    size_t n = 0;

    for (size_t i = 0; i < all->n_jobs; i++)
        if (wanted(all->jobs[i], o->status)) {
            Joblet__Job *keep = all->jobs[i];

            all->jobs[i] = all->jobs[n]; /* a swap: the reply still owns every one */
            all->jobs[n++] = keep;
        }
    if (n > 1)
        qsort(all->jobs, n, sizeof all->jobs[0], compare);
    if (x->json)
        return print_json(all->jobs, n, e);
    if (n == 0) {
        printf("No jobs found\n");
        return 0;
    }
    return print_table(all->jobs, n, x->colour, e);
}

static int run_list(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    Joblet__EmptyRequest request = JOBLET__EMPTY_REQUEST__INIT;
    _strv_ struct jl_strv words = JL_STRV_INIT;
    struct list_opts o = { 0 };
    ProtobufCMessage *reply = NULL;
    int r = rnx_parse(x, &o, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len > 0)
        return rnx_usage(e, "rnx job list takes no argument, got '%.60s'", words.items[0]);
    if (o.workflow)
        return jl_refuse(e, ENOSYS, "--workflow: workflows are not built yet in this version");
    r = check_states(o.status, e);
    if (r < 0)
        return r;
    r = rnx_call(x, "/joblet.JobService/ListJobs", &request.base, &joblet__jobs__descriptor, 0,
                 &reply, NULL, e);
    if (r < 0)
        return r;
    r = print_jobs(x, &o, (Joblet__Jobs *) reply, e);
    protobuf_c_message_free_unpacked(reply, NULL);
    return r;
}

const struct rnx_cmd rnx_cmd_list = {
    .group = "job",
    .name = "list",
    .alone = true,
    .args = "[flags]",
    .summary = "list jobs, newest first",
    .opts = &(const struct rnx_opts) RNX_OPTS(items),
    .run = run_list,
};
