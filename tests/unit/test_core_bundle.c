/* Request and configuration to config.json: bundle.h, run_check.h, hostinfo.h. */
#include "unit.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "daemon/core/arena.h"
#include "daemon/core/bundle.h"
#include "daemon/core/conf.h"
#include "daemon/core/run_check.h"
#include "ocispec.h"

#define ID "11111111-2222-4333-8444-555555555555"

struct made {
    struct jd_conf conf;
    Joblet__RunJobRequest *req;
    struct jd_bundle_in in;
    struct jd_arena arena;
    struct oci_spec *spec;
};

static const char *const binds[] = { "/usr/bin", "/usr/lib" };

/* Reads a request as core does, against a configuration whose default network is none. */
static int read_request(struct made *m, Joblet__RunJobRequest *q, const char *conf,
                        struct jl_err *e)
{
    char *env[] = { NULL };
    uint8_t wire[4096];
    size_t n = protobuf_c_message_pack(&q->base, wire);

    *m = (struct made){ 0 };
    assert_int_equal(jd_conf_parse(&m->conf, "f", conf, strlen(conf), NULL, env, e), 0);
    return jd_run_read(wire, n, &m->conf, &m->req, e);
}

static void make(struct made *m, Joblet__RunJobRequest *q, uint32_t base)
{
    struct jl_err e = JL_ERR_INIT;

    if (read_request(m, q, "network: {default_network: none}\n", &e) < 0)
        fail_msg("%s", e.text);
    m->in = (struct jd_bundle_in){ .id = ID,
                                   .req = m->req,
                                   .conf = &m->conf,
                                   .node_id = "node",
                                   .rootfs = "/p/jobs/.rootfs/1",
                                   .etc_source = "/p/jobs/x/etc",
                                   .work_bytes = 1048576,
                                   .init_source = "/libexec/joblet-init",
                                   .binds = binds,
                                   .n_binds = 2,
                                   .host_id_base = base,
                                   .nofile_max = 20000,
                                   .mems = "0" };
    m->in.io[0] = (struct jd_device){ 254, 0 };
    m->in.n_io = 1;
    assert_int_equal(jd_bundle_spec(&m->in, &m->arena, &m->spec, &e), 0);
}

static void drop(struct made *m)
{
    jd_arena_free(&m->arena);
    if (m->req)
        protobuf_c_message_free_unpacked(&m->req->base, NULL);
    jd_conf_done(&m->conf);
}

static Joblet__RunJobRequest request(const char *command)
{
    Joblet__RunJobRequest q = JOBLET__RUN_JOB_REQUEST__INIT;

    q.command = (char *) (uintptr_t) command;
    return q;
}

static const struct oci_mount *mount_at(const struct oci_spec *s, const char *dest)
{
    for (size_t i = 0; i < s->n_mounts; i++)
        if (strcmp(s->mounts[i]->destination, dest) == 0)
            return s->mounts[i];
    return NULL;
}

static bool has(char **list, size_t n, const char *word)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], word) == 0)
            return true;
    return false;
}

static const char *env_of(const struct oci_spec *s, const char *name)
{
    size_t len = strlen(name), found = 0;
    const char *value = NULL;

    for (size_t i = 0; i < s->process->n_env; i++)
        if (strncmp(s->process->env[i], name, len) == 0 && s->process->env[i][len] == '=') {
            value = s->process->env[i] + len + 1;
            found++;
        }
    assert_true(found <= 1); /* a name stands once */
    return value;
}

static void a_job_has_no_privilege_to_lose(void **state)
{
    Joblet__RunJobRequest q = request("true");
    const struct oci_spec *s;
    struct made m;

    (void) state;
    make(&m, &q, 0);
    s = m.spec;
    assert_int_equal(s->process->user->uid, 65534);
    assert_int_equal(s->process->user->gid, 65534);
    assert_true(s->process->no_new_privileges);
    assert_int_equal(s->process->capabilities->n_bounding, 0);
    assert_int_equal(s->process->capabilities->n_effective, 0);
    assert_non_null(
        s->process->capabilities->bounding); /* [], which is none; absent would be all */
    assert_true(s->root->readonly);
    assert_string_equal(s->process->rlimits[0]->type, "RLIMIT_CORE");
    assert_int_equal(s->process->rlimits[0]->hard, 1); /* and no core_pattern program */
    assert_non_null(s->linux->seccomp);
    assert_string_equal(s->linux->seccomp->default_action, "SCMP_ACT_ERRNO");
    assert_true(s->linux->n_masked_paths > 5 && s->linux->n_readonly_paths > 3);
    assert_int_equal(s->linux->n_namespaces, 6);
    assert_false(s->linux->resources->devices[0]->allow);
    for (size_t i = 0; i < s->n_mounts; i++)
        if (strcmp(s->mounts[i]->type, "bind") == 0) {
            assert_true(has(s->mounts[i]->options, s->mounts[i]->n_options, "nosuid"));
            assert_true(has(s->mounts[i]->options, s->mounts[i]->n_options, "ro"));
        }
    drop(&m);
}

static void mounting_and_namespaces_are_refused_by_the_filter(void **state)
{
    static const char *const never[] = { "mount",      "unshare", "setns",          "bpf",
                                         "keyctl",     "clone3",  "io_uring_setup", "kexec_load",
                                         "init_module" };
    Joblet__RunJobRequest q = request("true");
    const struct oci_seccomp *p;
    struct made m;

    (void) state;
    make(&m, &q, 0);
    p = m.spec->linux->seccomp;
    for (size_t i = 0; i < p->n_syscalls; i++)
        for (size_t k = 0; k < JL_COUNT(never); k++)
            if (strcmp(p->syscalls[i]->action, "SCMP_ACT_ALLOW") == 0)
                assert_false(has(p->syscalls[i]->names, p->syscalls[i]->n_names, never[k]));
    /* "not", "greater" would let an int through that has bits above its 32 */
    for (size_t i = 0; i < p->n_syscalls; i++)
        for (size_t k = 0; k < p->syscalls[i]->n_args; k++)
            if (strcmp(p->syscalls[i]->action, "SCMP_ACT_ALLOW") == 0)
                assert_non_null(strstr(p->syscalls[i]->args[k]->op, "EQ"));
    drop(&m);
}

static void limits_become_resources(void **state)
{
    Joblet__RunJobRequest q = request("true");
    const struct oci_resources *r;
    struct made m;

    (void) state;
    q.max_memory = 64;
    q.max_cpu = 150;
    q.cpu_cores = (char *) (uintptr_t) "0-1";
    q.max_io_bps = 1000000;
    make(&m, &q, 0);
    r = m.spec->linux->resources;
    assert_int_equal(r->memory->limit, 64 << 20);
    assert_int_equal(r->memory->swap, 64 << 20);
    assert_int_equal(r->cpu->quota, 150000);
    assert_int_equal(r->cpu->period, 100000);
    assert_string_equal(r->cpu->cpus, "0-1");
    assert_string_equal(r->cpu->mems, "0");
    assert_int_equal(r->pids->limit, 4096);
    assert_int_equal(r->block_io->n_throttle_read_bps_device, 1);
    assert_int_equal(r->block_io->throttle_write_bps_device[0]->major, 254);
    assert_int_equal(r->block_io->throttle_write_bps_device[0]->rate, 1000000);
    assert_string_equal(m.spec->linux->cgroups_path, "/joblet.slice/joblet.service/job-" ID);
    drop(&m);
    q = request("true");
    make(&m, &q, 0);
    r = m.spec->linux->resources;
    assert_null(r->memory);
    assert_null(r->cpu);
    assert_null(r->block_io);
    drop(&m);
}

static void a_user_namespace_maps_mounts_too(void **state)
{
    Joblet__RunJobRequest q = request("true");
    const struct oci_mount *bind;
    struct made m;

    (void) state;
    make(&m, &q, 1879048192u);
    assert_int_equal(m.spec->linux->n_namespaces, 7);
    assert_int_equal(m.spec->linux->uid_mappings[0]->host_id, 1879048192u);
    assert_int_equal(m.spec->linux->uid_mappings[0]->size, 65536);
    bind = mount_at(m.spec, "/usr/bin");
    assert_int_equal(bind->n_uid_mappings, 1);
    assert_int_equal(bind->gid_mappings[0]->host_id, 1879048192u);
    assert_int_equal(mount_at(m.spec, "/tmp")->n_uid_mappings, 0);
    drop(&m);
}

static void the_environment_has_its_order(void **state)
{
    Joblet__RunJobRequest q = request("prog");
    Joblet__RunJobRequest__EnvironmentEntry home = JOBLET__RUN_JOB_REQUEST__ENVIRONMENT_ENTRY__INIT,
                                            mine = JOBLET__RUN_JOB_REQUEST__ENVIRONMENT_ENTRY__INIT;
    Joblet__RunJobRequest__EnvironmentEntry *env[] = { &home, &mine };
    Joblet__RunJobRequest__SecretEnvironmentEntry key =
        JOBLET__RUN_JOB_REQUEST__SECRET_ENVIRONMENT_ENTRY__INIT;
    Joblet__RunJobRequest__SecretEnvironmentEntry *secret[] = { &key };
    char *args[] = { (char *) "a", (char *) "--", (char *) "" };
    struct made m;

    (void) state;
    home.key = (char *) "HOME";
    home.value = (char *) "/tmp";
    mine.key = (char *) "MINE";
    mine.value = (char *) "x=y";
    key.key = (char *) "TOKEN";
    key.value = (char *) "hush";
    q.environment = env;
    q.n_environment = 2;
    q.secret_environment = secret;
    q.n_secret_environment = 1;
    q.args = args;
    q.n_args = 3;
    q.name = (char *) "nightly";
    make(&m, &q, 0);
    assert_string_equal(env_of(m.spec, "HOME"), "/tmp");
    assert_string_equal(env_of(m.spec, "MINE"), "x=y");
    assert_string_equal(env_of(m.spec, "TOKEN"), "hush");
    assert_string_equal(env_of(m.spec, "JOB_ID"), ID);
    assert_string_equal(env_of(m.spec, "JOBLET_JOB_ID"), ID);
    assert_string_equal(env_of(m.spec, "JOB_NAME"), "nightly");
    assert_string_equal(env_of(m.spec, "PWD"), "/work");
    assert_null(env_of(m.spec, "NOTIFY_SOCKET"));
    assert_int_equal(m.spec->process->n_args, 7);
    assert_string_equal(m.spec->process->args[0], "/run/joblet-init");
    assert_string_equal(m.spec->process->args[1], "--report");
    assert_string_equal(m.spec->process->args[2], "--");
    assert_string_equal(m.spec->process->args[3], "prog");
    assert_string_equal(m.spec->process->args[6], "");
    assert_string_equal(m.spec->hostname, "job_11111111");
    drop(&m);
}

static void the_runtime_enters_the_workspace_alone(void **state)
{
    const char *inside[] = { "/work", "/work/a" }, *outside[] = { "/", "/workshop", "/tmp/a" };
    Joblet__RunJobRequest q = request("prog");
    struct made m;

    (void) state;
    for (size_t i = 0; i < JL_COUNT(inside); i++) {
        q.work_dir = (char *) (uintptr_t) inside[i];
        make(&m, &q, 0);
        assert_string_equal(m.spec->process->cwd, inside[i]);
        assert_string_equal(m.spec->process->args[2], "--");
        drop(&m);
    }
    for (size_t i = 0; i < JL_COUNT(outside); i++) {
        q.work_dir = (char *) (uintptr_t) outside[i];
        make(&m, &q, 0);
        assert_string_equal(m.spec->process->cwd, "/work");
        assert_string_equal(m.spec->process->args[2], "--chdir");
        assert_string_equal(m.spec->process->args[3], outside[i]);
        assert_string_equal(env_of(m.spec, "PWD"), outside[i]);
        drop(&m);
    }
}

static void the_workspace_is_a_quota_or_the_uploads(void **state)
{
    Joblet__RunJobRequest q = request("true");
    struct jl_err e = JL_ERR_INIT;
    const struct oci_mount *work;
    struct made m;

    (void) state;
    make(&m, &q, 0);
    work = mount_at(m.spec, "/work");
    assert_string_equal(work->type, "tmpfs");
    assert_true(has(work->options, work->n_options, "size=1048576"));
    m.in.work_source = "/p/jobs/x/work";
    m.in.init_source = NULL;
    assert_int_equal(jd_bundle_spec(&m.in, &m.arena, &m.spec, &e), 0);
    work = m.spec->mounts[m.spec->n_mounts - 1]; /* over the directory: filled from it */
    assert_string_equal(work->destination, "/work");
    assert_string_equal(work->type, "tmpfs");
    assert_true(has(work->options, work->n_options, "tmpcopyup"));
    assert_true(has(work->options, work->n_options, "size=1048576"));
    assert_true(has(work->options, work->n_options, "nr_inodes=1024"));
    work = mount_at(m.spec, "/tmp");
    assert_true(has(work->options, work->n_options, "nr_inodes=32768"));
    m.in.work_bytes = 0;
    assert_int_equal(jd_bundle_spec(&m.in, &m.arena, &m.spec, &e), 0);
    work = mount_at(m.spec, "/work");
    assert_string_equal(work->source, "/p/jobs/x/work");
    assert_true(has(work->options, work->n_options, "nodev"));
    assert_string_equal(m.spec->process->args[0], "true");
    drop(&m);
}

static void what_is_written_is_an_oci_document(void **state)
{
    Joblet__RunJobRequest q = request("true");
    _buf_ struct jl_buf text = JL_BUF_INIT(1 << 20);
    struct oci_parse_opts strict = { .strict = true };
    _oci_spec_ struct oci_spec *back = NULL;
    struct jl_err e = JL_ERR_INIT;
    struct made m;

    (void) state;
    q.max_memory = 64;
    make(&m, &q, 1879048192u);
    assert_int_equal(oci_spec_write(m.spec, &text, &e), 0);
    if (oci_spec_parse(text.data, text.len, &strict, &back, &e) < 0)
        fail_msg("%s", e.text);
    assert_string_equal(back->oci_version, "1.0.2");
    assert_string_equal(back->root->path, "/p/jobs/.rootfs/1");
    assert_true(back->root->readonly);
    assert_string_equal(mount_at(back, "/run/joblet-etc")->source, "/p/jobs/x/etc");
    assert_int_equal(mount_at(back, "/run/joblet-etc")->n_uid_mappings, 0);
    assert_int_equal(back->linux->resources->memory->limit, 64 << 20);
    drop(&m);
}

static void defaults_are_filled_in_before_the_check(void **state)
{
    Joblet__RunJobRequest q = request("true");
    struct jl_err e = JL_ERR_INIT;
    struct made m;

    (void) state;
    assert_int_equal(read_request(&m, &q,
                                  "network: {default_network: none}\njoblet: {defaultCpuLimit: 70, "
                                  "defaultMemoryLimit: 512, jobTimeout: 1500ms}\n",
                                  &e),
                     0);
    assert_int_equal(m.req->max_cpu, 70);
    assert_int_equal(m.req->max_memory, 512);
    assert_int_equal(m.req->timeout_seconds, 2); /* never shorter than asked */
    assert_string_equal(m.req->work_dir, "/work");
    drop(&m);
    assert_int_equal(read_request(&m, &q, "", &e), 0);
    assert_string_equal(m.req->network, "bridge");
    drop(&m);
}

static void refused_io(int32_t bps, const char *conf, const char *why)
{
    Joblet__RunJobRequest q = request("true");
    struct jl_err e = JL_ERR_INIT;
    struct made m;

    q.max_io_bps = bps;
    assert_int_equal(read_request(&m, &q, conf, &e), -ERANGE);
    if (!strstr(e.text, why))
        fail_msg("'%s' does not say '%s'", e.text, why);
    drop(&m);
}

static void an_io_limit_that_would_hold_up_others_is_refused(void **state)
{
    static const char higher[] = "joblet: {minIoLimit: 20000000, defaultIoLimit: 30000000}\n";
    Joblet__RunJobRequest q = request("true");
    struct jl_err e = JL_ERR_INIT;
    struct made m;

    (void) state;
    refused_io(1, "", "at least 1000000 ");
    refused_io(999999, "", "locked");
    refused_io(19999999, higher, "at least 20000000 ");
    assert_int_equal(read_request(&m, &q, higher, &e), 0);
    assert_int_equal(m.req->max_io_bps, 30000000);
    drop(&m);
}

static void cores_must_be_there(void **state)
{
    struct jl_err e = JL_ERR_INIT;

    (void) state;
    assert_int_equal(jd_cpus_within("0-1,3", "0-3", &e), 0);
    assert_int_equal(jd_cpus_within("0-4", "0-3", &e), -EINVAL);
    assert_non_null(strstr(e.text, "no cpu 4"));
    assert_int_equal(jd_cpus_within("1", "0,2", &e), -EINVAL); /* offline */
    assert_true(jd_cpus_within("3-1", "0-3", &e) < 0);
    assert_true(jd_cpus_within("0-99999999999", "0-3", &e) < 0);
    assert_true(jd_cpus_within("", "0-3", &e) < 0);
}

UNIT_MAIN(cmocka_unit_test(a_job_has_no_privilege_to_lose),
          cmocka_unit_test(mounting_and_namespaces_are_refused_by_the_filter),
          cmocka_unit_test(limits_become_resources),
          cmocka_unit_test(a_user_namespace_maps_mounts_too),
          cmocka_unit_test(the_environment_has_its_order),
          cmocka_unit_test(the_runtime_enters_the_workspace_alone),
          cmocka_unit_test(the_workspace_is_a_quota_or_the_uploads),
          cmocka_unit_test(what_is_written_is_an_oci_document),
          cmocka_unit_test(defaults_are_filled_in_before_the_check),
          cmocka_unit_test(an_io_limit_that_would_hold_up_others_is_refused),
          cmocka_unit_test(cores_must_be_there))
