/* The server's configuration: conf.h. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "daemon/core/conf.h"
#include "daemon/core/conf_internal.h"

static char *none[] = { NULL };

static int parse(struct jd_conf *c, const char *text, struct jl_err *e)
{
    return jd_conf_parse(c, "f.yml", text, strlen(text), NULL, none, e);
}

static void refused(const char *text, const char *why)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_conf c;

    if (parse(&c, text, &e) >= 0)
        fail_msg("accepted: %s", text);
    if (!strstr(e.text, why) && !strstr(e.hint, why))
        fail_msg("'%s' (%s) does not say '%s'", e.text, e.hint, why);
    assert_null(c.prefix); /* empty on failure */
}

static void an_empty_file_gives_the_documented_defaults(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    _conf_ struct jd_conf c;

    (void) state;
    assert_int_equal(parse(&c, "", &e), 0);
    assert_int_equal(c.server_port, 50051);
    assert_int_equal(c.max_jobs, 0);
    assert_int_equal(c.stop_grace_ns, 10 * JL_NS_PER_S);
    assert_int_equal(c.tmp_size, 64 << 20);
    assert_int_equal(c.userns, -1);
    assert_true(c.job_init);
    assert_string_equal(c.network_default, "bridge");
    assert_string_equal(c.jobs_dir, "/opt/joblet/jobs");
    assert_string_equal(c.audit_file, "/opt/joblet/logs/audit.log");
    assert_string_equal(c.run_dir, "/run/joblet");
    assert_string_equal(c.cgroup_path, "joblet.slice/joblet.service");
    assert_string_equal(c.allowed_mounts.items[0], "/usr/bin");
}

static void every_default_path_follows_the_prefix(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    _conf_ struct jd_conf c, d;
    const char text[] = "prefix: /srv/a\nlogs: {directory: /var/log/jobs}\n";

    (void) state;
    assert_int_equal(parse(&c, text, &e), 0);
    assert_string_equal(c.jobs_dir, "/srv/a/jobs");
    assert_string_equal(c.run_dir, "/srv/a/run");
    assert_string_equal(c.logs_dir, "/var/log/jobs");
    assert_int_equal(jd_conf_parse(&d, "f", text, strlen(text), "/srv/b/", none, &e), 0);
    assert_string_equal(d.prefix, "/srv/b");
    assert_string_equal(d.state_dir, "/srv/b/state");
    /* instances do not share a group by default */
    assert_string_not_equal(c.cgroup_path, d.cgroup_path);
    assert_null(strstr(c.cgroup_path, "joblet.service"));
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void) state;
    refused("server:\n  prot: 1\n", "f.yml:2");
    refused("server:\n  prot: 1\n", "port");
    refused("isolation:\n  traffic_control: true\n", "unknown key");
    refused("server:\n  port: 0\n", "1 to 65535");
    refused("server:\n  port: many\n", "'many'");
    refused("server: 5\n", "server");
    refused("joblet:\n  stopGrace: 10\n", "duration");
    refused("joblet:\n  stopGrace: 2h\n", "in its range");
    refused("filesystem:\n  tmpSize: 1\n", "size");
    refused("filesystem:\n  allowedMounts: /usr\n", "f.yml:2");
    refused("filesystem:\n  allowedMounts: [usr]\n", "absolute");
    refused("filesystem:\n  allowedMounts: [/usr/../etc]\n", "absolute");
    refused("filesystem:\n  allowedMounts: [/usr, /proc]\n", "/proc");
    refused("filesystem:\n  allowedMounts: [/]\n", "below /");
    refused("filesystem: {workspaceDir: //sys/x}\n", "workspaceDir");
    refused("filesystem: {workspaceDir: /}\n", "workspaceDir");
    refused("logging: {level: LOUD}\n", "DEBUG");
    refused("logging: {output: nowhere}\n", "absolute");
    refused("server: {nodeId: me}\n", "UUID");
    refused("cgroup: {baseDir: /sys/fs/cgroup}\n", "below");
    refused("cgroup: {baseDir: /sys/fs/cgroup/../x}\n", "..");
    refused("oci: {runtime: runc}\n", "absolute");
    refused("prefix: here\n", "absolute");
    refused("joblet: {defaultMemoryLimit: 2}\n", "4 MiB");
    refused("joblet: {defaultIoLimit: 999999}\n", "1000000");
    refused("joblet: {defaultIoLimit: 5000000, minIoLimit: 5000001}\n", "5000001");
    refused("joblet: {minIoLimit: 999999}\n", "1000000");
    refused("logs: {max_size: 1023KB}\n", "logs.max_size");
    refused("a: [\n", "f.yml");
}

static void what_is_not_built_is_refused_unless_it_is_the_default(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    _conf_ struct jd_conf c;

    (void) state;
    refused("gpu: {enabled: true}\n", "gpu.enabled");
    refused("http: {enabled: true}\n", "http.enabled");
    refused("filesystem: {blockDevices: true}\n", "blockDevices");
    refused("network: {isolated_pool: 10.1.2.3/16}\n", "10.1.0.0/16");
    refused("network: {dns: [127.0.0.53]}\n", "network.dns");
    refused("network: {networks: {host: {cidr: 10.9.0.0/16}}}\n", "reserved");
    refused("network: {networks: {lab: {}}}\n", "lab");
    assert_int_equal(parse(&c,
                           "gpu: {enabled: false, cuda_paths: [/usr/local/cuda]}\n"
                           "network:\n  networks:\n    bridge: {cidr: 10.0.0.0/16}\n",
                           &e),
                     0);
    assert_int_equal(c.notes.len, 0);
}

static void old_keys_are_ignored_with_a_note(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    _conf_ struct jd_conf c;

    (void) state;
    assert_int_equal(parse(&c,
                           "version: \"3.0\"\npersist:\n  storage: {type: cloudwatch}\n"
                           "server: {mode: server}\n",
                           &e),
                     0);
    assert_int_equal(c.notes.len, 2);
    assert_non_null(strstr(c.notes.items[0], "f.yml:2: persist"));
    assert_non_null(strstr(c.notes.items[1], "server.mode"));
}

static void the_environment_stands_above_the_file(void **state)
{
    char *env[] = { (char *) "JOBLET_SERVER_PORT=6000", (char *) "JOBLET_LOG_LEVEL=debug",
                    (char *) "JOBLET_MAX_JOBS=7", (char *) "JOBLET_CI_MODE=true", NULL };
    char *bad[] = { (char *) "JOBLET_SERVER_PORT=x", NULL };
    const char text[] = "server: {port: 5000}\n";
    struct jl_err e = JL_ERR_INIT;
    _conf_ struct jd_conf c;
    struct jd_conf d;

    (void) state;
    assert_int_equal(jd_conf_parse(&c, "f", text, strlen(text), NULL, env, &e), 0);
    assert_int_equal(c.server_port, 6000);
    assert_string_equal(c.log_level, "debug");
    assert_int_equal(c.max_jobs, 7);
    assert_true(jd_conf_parse(&d, "f", text, strlen(text), NULL, bad, &e) < 0);
    assert_non_null(strstr(e.text, "JOBLET_SERVER_PORT"));
}

static void what_is_dumped_is_read_again(void **state)
{
    const char text[] = "prefix: /p\nserver: {port: 99, address: \"::1\"}\n"
                        "security:\n  serverKey: |\n    secret\n  caCert: \"a\\nb\\\"\\\\\"\n"
                        "joblet: {retention: {max_jobs: 5, max_age: 1h}, stopGrace: 100ms}\n";
    _buf_ struct jl_buf first = JL_BUF_INIT(1 << 20), second = JL_BUF_INIT(1 << 20);
    struct jl_err e = JL_ERR_INIT;
    _conf_ struct jd_conf c, d;

    (void) state;
    assert_int_equal(parse(&c, text, &e), 0);
    assert_int_equal(jd_conf_dump(&c, &first), 0);
    assert_null(strstr(first.data, "secret"));
    if (parse(&d, first.data, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(jd_conf_dump(&d, &second), 0);
    assert_string_equal(first.data, second.data);
    assert_string_equal(d.ca_cert, "a\nb\"\\");
    assert_int_equal(d.retention_jobs, 5);
}

static int with_file(mode_t mode, struct jd_conf *c, struct jl_err *e)
{
    char path[] = "/tmp/jl-conf.XXXXXX";
    int fd = mkstemp(path), r;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "server: {port: 77}\n", 19), 19);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    r = jd_conf_load(c, path, NULL, none, e);
    unlink(path);
    return r;
}

static void a_file_that_others_may_read_is_noted_and_one_they_may_write_refused(void **state)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_conf c;

    (void) state;
    assert_int_equal(with_file(0600, &c, &e), 0);
    assert_int_equal(c.server_port, 77);
    assert_int_equal(c.notes.len, 0);
    jd_conf_done(&c);
    assert_int_equal(with_file(0644, &c, &e), 0);
    assert_int_equal(c.notes.len, 1);
    jd_conf_done(&c);
    assert_int_equal(with_file(0666, &c, &e), -EPERM);
    assert_int_equal(jd_conf_load(&c, "/nonexistent/x.yml", NULL, none, &e), -ENOENT);
}

/* Both documents name every key that the table has. */
static void every_key_is_documented(void **state)
{
    static const char *const files[] = { "docs/formats/server-config.md",
                                         "docs/man/joblet-config.yml.5" };
    const char *srcdir = getenv("srcdir");

    (void) state;
    if (!srcdir)
        skip(); /* started by hand */
    for (size_t f = 0; f < JL_COUNT(files); f++) {
        _buf_ struct jl_buf text = JL_BUF_INIT(1 << 20);
        struct jl_err e = JL_ERR_INIT;
        char path[4096];

        snprintf(path, sizeof path, "%s/%s", srcdir, files[f]);
        assert_int_equal(jl_read_file_at(AT_FDCWD, path, &text, &e), 0);
        for (size_t i = 0; i < jd_n_keys; i++)
            if (!strstr(text.data, jd_keys[i].name))
                fail_msg("%s says nothing about %s", files[f], jd_keys[i].name);
    }
}

UNIT_MAIN(cmocka_unit_test(an_empty_file_gives_the_documented_defaults),
          cmocka_unit_test(every_default_path_follows_the_prefix),
          cmocka_unit_test(what_is_wrong_is_named_with_its_line),
          cmocka_unit_test(what_is_not_built_is_refused_unless_it_is_the_default),
          cmocka_unit_test(old_keys_are_ignored_with_a_note),
          cmocka_unit_test(the_environment_stands_above_the_file),
          cmocka_unit_test(what_is_dumped_is_read_again), cmocka_unit_test(every_key_is_documented),
          cmocka_unit_test(a_file_that_others_may_read_is_noted_and_one_they_may_write_refused))
