/* jobtext.c - see jobtext.h. */
#include "rnx/jobtext.h"

#include <inttypes.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/strv.h"
#include "rnx/out.h"

static const struct {
    const char *name;
    bool begun, ended;
} states[] = {
    { "PENDING", false, false }, { "SCHEDULED", false, false }, { "INITIALIZING", false, false },
    { "RUNNING", true, false },  { "STOPPING", true, false },   { "COMPLETED", true, true },
    { "FAILED", true, true },    { "STOPPED", true, true },     { "CANCELED", false, true },
    { "TIMEOUT", true, true },
};

bool rnx_job_is_state(const char *word)
{
    for (size_t i = 0; i < JL_COUNT(states); i++)
        if (strcasecmp(word, states[i].name) == 0)
            return true;
    return false;
}

bool rnx_job_has_ended(const char *status)
{
    for (size_t i = 0; i < JL_COUNT(states); i++)
        if (strcmp(status, states[i].name) == 0)
            return states[i].ended;
    return false;
}

bool rnx_job_has_begun(const char *status)
{
    for (size_t i = 0; i < JL_COUNT(states); i++)
        if (strcmp(status, states[i].name) == 0)
            return states[i].begun;
    return false;
}

#define NO_TIME UINT64_MAX

static uint64_t time_of(const char *rfc3339)
{
    uint64_t ns = 0;

    return jl_parse_rfc3339(rfc3339, &ns) == 0 ? ns : NO_TIME;
}

static uint64_t sort_time(const Joblet__Job *j)
{
    if (strcmp(j->status, "SCHEDULED") == 0)
        return time_of(j->scheduled_time);
    if (j->start_time[0] == '\0' && rnx_job_has_ended(j->status)) /* it never ran */
        return time_of(j->created_time);
    return time_of(j->start_time);
}

static int newer_first(uint64_t a, uint64_t b)
{
    return a < b ? 1 : a > b ? -1 : 0;
}

int rnx_job_compare(const Joblet__Job *a, const Joblet__Job *b)
{
    int r = newer_first(sort_time(a), sort_time(b));

    return r ? r : newer_first(time_of(a->created_time), time_of(b->created_time));
}

void rnx_job_json(struct jl_json_out *w, const Joblet__Job *j)
{
    jl_json_put_object(w, NULL);
    jl_json_put_str(w, "id", j->uuid);
    jl_json_put_str(w, "uuid", j->uuid);
    rnx_json_str(w, "name", j->name);
    rnx_json_str(w, "node_id", j->node_id);
    jl_json_put_str(w, "status", j->status);
    rnx_json_str(w, "created_time", j->created_time);
    jl_json_put_str(w, "start_time", j->start_time);
    rnx_json_str(w, "end_time", j->end_time);
    jl_json_put_str(w, "command", j->command);
    rnx_json_strv(w, "args", j->args, j->n_args);
    if (rnx_job_has_ended(j->status))
        jl_json_put_i64(w, "exit_code", j->exit_code);
    rnx_json_str(w, "reason", j->reason);
    rnx_json_int(w, "max_cpu", j->max_cpu);
    rnx_json_int(w, "max_memory", j->max_memory);
    rnx_json_int(w, "max_iobps", j->max_io_bps);
    rnx_json_str(w, "cpu_cores", j->cpu_cores);
    rnx_json_int(w, "timeout_seconds", j->timeout_seconds);
    rnx_json_str(w, "scheduled_time", j->scheduled_time);
    rnx_json_str(w, "runtime", j->runtime);
    rnx_json_str(w, "network", j->network);
    rnx_json_str(w, "address", j->address);
    rnx_json_strv(w, "volumes", j->volumes, j->n_volumes);
    rnx_json_str(w, "workflow_uuid", j->workflow_uuid);
    jl_json_end(w);
}

/* protobuf-c gives each map its own entry type; all look the same. */
#define PUT_MAP(w, name, list, n, value_of)                                                        \
    do {                                                                                           \
        if ((n) > 0) {                                                                             \
            jl_json_put_object((w), (name));                                                       \
            for (size_t i_ = 0; i_ < (n); i_++)                                                    \
                jl_json_put_str((w), (list)[i_]->key, (value_of));                                 \
            jl_json_end((w));                                                                      \
        }                                                                                          \
    } while (0)

static void result_json(struct jl_json_out *w, const Joblet__JobResult *r)
{
    jl_json_put_object(w, "result");
    rnx_json_int(w, "signal", r->signal);
    jl_json_put_bool(w, "oom", r->oom);
    jl_json_put_bool(w, "timeout", r->timeout);
    jl_json_put_u64(w, "cpu_user_usec", r->cpu_user_usec);
    jl_json_put_u64(w, "cpu_system_usec", r->cpu_system_usec);
    jl_json_put_u64(w, "memory_peak", r->memory_peak);
    jl_json_put_u64(w, "io_read_bytes", r->io_read_bytes);
    jl_json_put_u64(w, "io_write_bytes", r->io_write_bytes);
    jl_json_put_u64(w, "pids_peak", r->pids_peak);
    jl_json_put_u64(w, "psi_cpu_some_usec", r->psi_cpu_some_usec);
    jl_json_put_u64(w, "psi_memory_some_usec", r->psi_memory_some_usec);
    jl_json_put_u64(w, "psi_io_some_usec", r->psi_io_some_usec);
    rnx_json_str(w, "start_error", r->start_error);
    jl_json_end(w);
}

static void limits_json(struct jl_json_out *w, const Joblet__GetJobStatusResponse *s)
{
    rnx_json_int(w, "maxCPU", s->max_cpu);
    rnx_json_int(w, "maxMemory", s->max_memory);
    rnx_json_int(w, "maxIOBPS", s->max_io_bps);
    rnx_json_str(w, "cpuCores", s->cpu_cores);
    rnx_json_int(w, "timeoutSeconds", s->timeout_seconds);
    rnx_json_int(w, "priority", s->priority);
    rnx_json_int(w, "gpuCount", s->gpu_count);
    rnx_json_int(w, "gpuMemoryMb", s->gpu_memory_mb);
    if (s->n_gpu_indices > 0) {
        jl_json_put_array(w, "gpuIndices");
        for (size_t i = 0; i < s->n_gpu_indices; i++)
            jl_json_put_i64(w, NULL, s->gpu_indices[i]);
        jl_json_end(w);
    }
}

void rnx_job_status_json(struct jl_json_out *w, const Joblet__GetJobStatusResponse *s)
{
    jl_json_put_object(w, NULL);
    jl_json_put_str(w, "uuid", s->uuid);
    jl_json_put_str(w, "job_uuid", s->uuid);
    rnx_json_str(w, "name", s->name);
    rnx_json_str(w, "nodeId", s->node_id);
    jl_json_put_str(w, "command", s->command);
    rnx_json_strv(w, "args", s->args, s->n_args);
    jl_json_put_str(w, "status", s->status);
    rnx_json_str(w, "createdTime", s->created_time);
    rnx_json_str(w, "startTime", s->start_time);
    rnx_json_str(w, "endTime", s->end_time);
    if (rnx_job_has_ended(s->status)) {
        jl_json_put_i64(w, "exitCode", s->exit_code);
        jl_json_put_i64(w, "exit_code", s->exit_code);
    }
    rnx_json_str(w, "reason", s->reason);
    rnx_json_str(w, "scheduledTime", s->scheduled_time);
    PUT_MAP(w, "environment", s->environment, s->n_environment, s->environment[i_]->value);
    PUT_MAP(w, "secretEnvironment", s->secret_environment, s->n_secret_environment, "***");
    rnx_json_str(w, "network", s->network);
    rnx_json_str(w, "address", s->address);
    rnx_json_strv(w, "volumes", s->volumes, s->n_volumes);
    rnx_json_str(w, "runtime", s->runtime);
    rnx_json_str(w, "workDir", s->work_dir);
    rnx_json_strv(w, "uploads", s->uploads, s->n_uploads);
    rnx_json_strv(w, "dependencies", s->dependencies, s->n_dependencies);
    rnx_json_str(w, "workflowUuid", s->workflow_uuid);
    limits_json(w, s);
    if (s->result)
        result_json(w, s->result);
    jl_json_end(w);
}

/* ---- as text ---- */

/* All of it, however long: a value that is cut looks like another one. */
static void line(const char *before, const char *value)
{
    size_t size = strlen(value) + 1;
    _free_ char *tame = malloc(size);

    printf("%s%s\n", before, tame ? rnx_tame(value, tame, size) : "(out of memory)");
}

static void field(const char *label, const char *value)
{
    if (value[0] == '\0')
        return;
    printf("%s: ", label);
    line("", value);
}

static void list_section(const char *title, char *const *items, size_t n)
{
    if (n == 0)
        return;
    printf("\n%s:\n", title);
    for (size_t i = 0; i < n; i++)
        line("  ", items[i]);
}

static void span(const char *label, uint64_t from_ns, uint64_t to_ns)
{
    char text[64];

    printf("%s: %s\n", label,
           jl_duration_text(to_ns > from_ns ? to_ns - from_ns : 0, text, sizeof text));
}

static void timing(const Joblet__GetJobStatusResponse *s, uint64_t now_ns)
{
    uint64_t start = time_of(s->start_time), end = time_of(s->end_time);
    char when[64];

    if (!s->created_time[0] && start == NO_TIME && end == NO_TIME)
        return;
    printf("\nTiming:\n");
    field("  Created", rnx_time_text(s->created_time, true, "", when, sizeof when));
    field("  Started", rnx_time_text(s->start_time, true, "", when, sizeof when));
    field("  Ended", rnx_time_text(s->end_time, true, "", when, sizeof when));
    if (start != NO_TIME && end != NO_TIME)
        span("  Duration", start, end);
    else if (start != NO_TIME && !rnx_job_has_ended(s->status))
        span("  Running For", start, now_ns);
}

static void schedule(const Joblet__GetJobStatusResponse *s, uint64_t now_ns)
{
    const char *why = rnx_job_has_ended(s->status) ? "" : s->reason; /* it waits */
    uint64_t due = time_of(s->scheduled_time);
    char when[64];

    if (due == NO_TIME && !s->priority && !why[0])
        return;
    printf("\nScheduling Information:\n");
    field("  Reason", why);
    if (s->priority)
        printf("  Priority: %d\n", s->priority);
    field("  Scheduled Time", rnx_time_text(s->scheduled_time, true, "", when, sizeof when));
    if (due != NO_TIME && strcmp(s->status, "SCHEDULED") == 0)
        span("  Time Until Execution", now_ns, due);
}

static void limits(const Joblet__GetJobStatusResponse *s)
{
    char text[64];

    if (!s->max_cpu && !s->max_memory && !s->max_io_bps && !s->cpu_cores[0] && !s->gpu_count &&
        !s->timeout_seconds)
        return;
    printf("\nResource Limits:\n");
    if (s->max_cpu)
        printf("  Max CPU: %d%%\n", s->max_cpu);
    if (s->max_memory)
        printf("  Max Memory: %d MB\n", s->max_memory);
    if (s->max_io_bps)
        printf("  Max IO BPS: %d\n", s->max_io_bps);
    if (s->cpu_cores[0])
        field("  CPU Cores", s->cpu_cores);
    if (s->gpu_count)
        printf("  GPUs: %d\n", s->gpu_count);
    if (s->gpu_memory_mb)
        printf("  GPU Memory: %d MB\n", s->gpu_memory_mb);
    for (size_t i = 0; i < s->n_gpu_indices; i++)
        printf("  GPU Index: %d\n", s->gpu_indices[i]);
    if (s->timeout_seconds > 0)
        printf("  Timeout: %s\n",
               jl_duration_text((uint64_t) s->timeout_seconds * JL_NS_PER_S, text, sizeof text));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

static void environment(const Joblet__GetJobStatusResponse *s)
{
    _strv_ struct jl_strv lines = JL_STRV_INIT;

    for (size_t i = 0; i < s->n_environment; i++)
        if (jl_strv_addf(&lines, "%s=%s", s->environment[i]->key, s->environment[i]->value) < 0)
            return;
    for (size_t i = 0; i < s->n_secret_environment; i++)
        if (jl_strv_addf(&lines, "%s=*** (secret)", s->secret_environment[i]->key) < 0)
            return;
    if (lines.len > 1)
        qsort(lines.items, lines.len, sizeof lines.items[0], by_text);
    list_section("Environment Variables", lines.items, lines.len);
}

static double seconds(uint64_t us)
{
    return (double) us / 1e6;
}

static void used(const Joblet__JobResult *r)
{
    char text[64], text2[64];

    if (r->memory_peak)
        printf("  Memory Peak: %s\n", rnx_size_text(r->memory_peak, text, sizeof text));
    if (r->cpu_user_usec || r->cpu_system_usec)
        printf("  CPU Time: %.3fs user, %.3fs system\n", seconds(r->cpu_user_usec),
               seconds(r->cpu_system_usec));
    if (r->io_read_bytes || r->io_write_bytes)
        printf("  I/O: %s read, %s written\n", rnx_size_text(r->io_read_bytes, text, sizeof text),
               rnx_size_text(r->io_write_bytes, text2, sizeof text2));
    if (r->psi_cpu_some_usec || r->psi_memory_some_usec || r->psi_io_some_usec)
        printf("  Waited: %.3fs for CPU, %.3fs for memory, %.3fs for I/O\n",
               seconds(r->psi_cpu_some_usec), seconds(r->psi_memory_some_usec),
               seconds(r->psi_io_some_usec));
}

static void result(const Joblet__GetJobStatusResponse *s)
{
    if (!rnx_job_has_ended(s->status))
        return;
    printf("\nResult:\n  Exit Code: %d\n", s->exit_code);
    if (s->reason[0])
        field("  Reason", s->reason);
    if (s->result)
        used(s->result);
}

/* What makes sense in this state. */
static void actions(const Joblet__GetJobStatusResponse *s)
{
    bool ended = rnx_job_has_ended(s->status), begun = rnx_job_has_begun(s->status);
    bool waits = strcmp(s->status, "PENDING") == 0 || strcmp(s->status, "SCHEDULED") == 0;
    char id[64];

    rnx_tame(s->uuid, id, sizeof id);
    printf("\nAvailable Actions:\n");
    printf("  rnx job log %s\n", id);
    if (begun)
        printf("  rnx job metrics %s\n", id);
    if (ended)
        printf("  rnx job delete %s\n", id);
    else
        printf("  rnx job %s %s\n", waits ? "cancel" : "stop", id);
}

static void command(const Joblet__GetJobStatusResponse *s)
{
    size_t size = strlen(s->command) + 16;
    _free_ char *text = NULL;

    for (size_t i = 0; i < s->n_args; i++)
        size += strlen(s->args[i]) + 1;
    text = malloc(size);
    field("Command", text ? rnx_command_text(s->command, s->args, s->n_args, 0, text, size)
                          : "(out of memory)");
}

void rnx_job_status_text(const Joblet__GetJobStatusResponse *s, bool colour, uint64_t now_ns)
{
    char status[96];

    field("Job ID", s->uuid);
    field("Job Name", s->name);
    field("Node ID", s->node_id);
    command(s);
    printf("Status: %s\n", rnx_status_text(s->status, colour, status, sizeof status));
    schedule(s, now_ns);
    timing(s, now_ns);
    limits(s);
    if (s->runtime[0])
        printf("\nRuntime Environment:\n"), field("  Runtime", s->runtime);
    if (s->network[0])
        printf("\nNetwork Configuration:\n"), field("  Network", s->network);
    if (s->address[0])
        field("  Address", s->address);
    list_section("Volumes", s->volumes, s->n_volumes);
    if (s->work_dir[0])
        printf("\nWorking Directory:\n"), field("  Work Dir", s->work_dir);
    list_section("Uploaded Files", s->uploads, s->n_uploads);
    if (s->workflow_uuid[0]) {
        printf("\nWorkflow Information:\n");
        field("  Workflow UUID", s->workflow_uuid);
        for (size_t i = 0; i < s->n_dependencies; i++)
            field("  Dependency", s->dependencies[i]);
    }
    environment(s);
    result(s);
    actions(s);
}
