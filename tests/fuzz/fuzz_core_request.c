/*
 * fuzz_core_request.c - a RunJob body as front hands it over, as far as config.json. What core
 * takes becomes a document that parses strictly, and whatever the client asked for, the job in it
 * has no privileges, a read-only root and mounts of the server's choice alone.
 */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "daemon/core/arena.h"
#include "daemon/core/bundle.h"
#include "daemon/core/conf.h"
#include "daemon/core/run_check.h"
#include "ocispec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define N_MOUNTS 13 /* proc, 1 bind, dev and its 3, sys, cgroup, 2 tmp, etc, work, init */
#define ROOT "/jobs/.rootfs/1"

static struct jd_conf *conf(void)
{
    static const char text[] = "network: {default_network: none}\n";
    static struct jd_conf c;
    char *env[] = { NULL };
    struct jl_err e = JL_ERR_INIT;

    if (!c.prefix)
        assert(jd_conf_parse(&c, "f", text, strlen(text), NULL, env, &e) == 0);
    return &c;
}

static void check(const struct oci_spec *s)
{
    const struct oci_process *p = s->process;

    assert(p->user->uid == JD_JOB_UID && p->user->gid == JD_JOB_UID && !p->user->additional_gids);
    assert(p->no_new_privileges && p->capabilities->n_bounding == 0);
    assert(p->n_args >= 3 && strcmp(p->args[0], JD_INIT_INSIDE) == 0 && p->args[2][0]);
    assert(s->root->readonly && strcmp(s->root->path, ROOT) == 0);
    assert(s->n_mounts == N_MOUNTS && !s->hooks && s->linux->seccomp);
    assert(strcmp(s->linux->cgroups_path, "/joblet.slice/joblet.service/job-0") == 0);
    for (size_t i = 0; i < p->n_env; i++)
        if (strncmp(p->env[i], "JOB_ID=", 7) == 0)
            assert(strcmp(p->env[i] + 7, "0") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const binds[] = { "/usr" };
    struct jd_bundle_in in = { .id = "0",
                               .conf = conf(),
                               .node_id = "",
                               .rootfs = ROOT,
                               .etc_source = "/jobs/0/etc",
                               .work_bytes = 1,
                               .init_source = "/init",
                               .binds = binds,
                               .n_binds = 1,
                               .nofile_max = 1024,
                               .mems = "0" };
    _arena_ struct jd_arena arena = JD_ARENA_INIT;
    _buf_ struct jl_buf text = JL_BUF_INIT(64 << 20);
    struct oci_parse_opts strict = { .strict = true, .max_bytes = 64 << 20 };
    Joblet__RunJobRequest *req = NULL;
    _oci_spec_ struct oci_spec *back = NULL;
    struct oci_spec *spec;
    struct jl_err e = JL_ERR_INIT;

    if (jd_run_read(data, len, in.conf, &req, &e) < 0) {
        assert(e.text[0]);
        return 0;
    }
    in.req = req;
    assert(jd_bundle_spec(&in, &arena, &spec, &e) == 0);
    check(spec);
    assert(oci_spec_write(spec, &text, &e) == 0);
    if (oci_spec_parse(text.data, text.len, &strict, &back, &e) == 0)
        check(back);
    else /* more arguments than a document may have values */
        assert(e.code == EMSGSIZE);
    protobuf_c_message_free_unpacked(&req->base, NULL);
    return 0;
}
