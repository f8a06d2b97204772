/*
 * main.c - program joblet, the daemon's core: options, then one of its four errands: run, check the
 * file, check the host, show what holds. joblet(8) is the reference.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/log.h"
#include "daemon/core/check.h"
#include "daemon/core/conf.h"
#include "daemon/core/core.h"
#include "daemon/core/frontcheck.h"

static const char help[] =
    "Usage: joblet [OPTION]...\n"
    "Runs jobs that clients ask for, each isolated. Needs root; stays in the foreground.\n"
    "\n"
    "  --config FILE      configuration (else JOBLET_CONFIG_PATH, "
    "PREFIX/config/joblet-config.yml,\n"
    "                     ./config/, ./, /etc/joblet/)\n"
    "  --prefix-dir DIR   where everything lives (default /opt/joblet)\n"
    "  --keep-bundles     leave the bundles of ended jobs, to look at or to run again\n"
    "  --validate         check the configuration file alone\n"
    "  --check            check this host against the configuration\n"
    "  --dump-config      print every setting as it holds, without the private key\n"
    "  --version, --help\n"
    "\n"
    "Exit status: 0 stopped cleanly, or checked and well; 1 otherwise.\n";

enum errand { DO_RUN, DO_VALIDATE, DO_CHECK, DO_DUMP, DO_VERSION, DO_HELP };

struct options {
    const char *config, *prefix;
    bool keep_bundles;
    enum errand errand;
};

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option words[] = {
        { "config", required_argument, NULL, 'c' },
        { "prefix-dir", required_argument, NULL, 'p' },
        { "keep-bundles", no_argument, NULL, 'k' },
        { "validate", no_argument, NULL, 'v' },
        { "check", no_argument, NULL, 'C' },
        { "dump-config", no_argument, NULL, 'd' },
        { "version", no_argument, NULL, 'V' },
        { "help", no_argument, NULL, 'h' },
        { 0 },
    };
    int w;

    while ((w = getopt_long(argc, argv, "", words, NULL)) != -1) {
        switch (w) {
        case 'c':
            o->config = optarg;
            break;
        case 'p':
            o->prefix = optarg;
            break;
        case 'k':
            o->keep_bundles = true;
            break;
        case 'v':
            o->errand = DO_VALIDATE;
            break;
        case 'C':
            o->errand = DO_CHECK;
            break;
        case 'd':
            o->errand = DO_DUMP;
            break;
        case 'V':
            o->errand = DO_VERSION;
            break;
        case 'h':
            o->errand = DO_HELP;
            break;
        default: /* getopt has said what is wrong */
            return -1;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "joblet: argument '%s' is not expected; see joblet --help\n", argv[optind]);
        return -1;
    }
    return 0;
}

static int say(const struct jl_err *e)
{
    fprintf(stderr, "joblet: %s\n", e->text);
    if (e->hint[0])
        fprintf(stderr, "joblet: %s\n", e->hint);
    return 1;
}

static int validate(const struct jd_conf *conf)
{
    _revoked_ struct ipc_revoked revoked = { 0 };
    struct jl_err e = JL_ERR_INIT;

    if (jd_revoked_read(conf, &revoked, &e) < 0)
        return say(&e);
    /* a file that has none yet is one in the making */
    if ((conf->server_cert[0] || conf->server_key[0] || conf->ca_cert[0]) &&
        jd_frontcheck(conf, &e) < 0)
        return say(&e);
    for (size_t i = 0; i < conf->notes.len; i++)
        printf("note: %s\n", conf->notes.items[i]);
    printf("%s: valid\n", conf->file ? conf->file : "built-in defaults");
    return 0;
}

static int dump(const struct jd_conf *conf)
{
    _buf_ struct jl_buf text = JL_BUF_INIT(1u << 20);

    if (jd_conf_dump(conf, &text) < 0)
        return 1;
    return jl_write_all(STDOUT_FILENO, text.data, text.len) < 0;
}

static int run(struct jd_conf *conf)
{
    struct jl_err e = JL_ERR_INIT;
    struct jd_core core;
    int status = 1;

    if (geteuid() != 0) {
        jl_refuse(&e, EPERM, "joblet needs root: isolating jobs takes namespaces, cgroups, mounts");
        jl_hint(&e, "run it with sudo, or as a systemd service");
        return say(&e);
    }
    if (jd_core_start(&core, conf, &e) < 0)
        jl_log_fail(&e, "joblet.start", "failed");
    else
        status = jd_core_run(&core);
    jd_core_done(&core);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = { 0 };
    _conf_ struct jd_conf conf = { 0 };
    struct jl_err e = JL_ERR_INIT;

    if (parse(argc, argv, &o) < 0)
        return 1;
    if (o.errand == DO_HELP || o.errand == DO_VERSION) {
        fputs(o.errand == DO_HELP ? help : "joblet " PACKAGE_VERSION " (" JOBLET_COMMIT ")\n",
              stdout);
        return 0;
    }
    if (jd_conf_load(&conf, o.config, o.prefix, environ, &e) < 0)
        return say(&e);
    conf.keep_bundles = conf.keep_bundles || o.keep_bundles;
    switch (o.errand) {
    case DO_VALIDATE:
        return validate(&conf);
    case DO_CHECK:
        return jd_check(&conf);
    case DO_DUMP:
        return dump(&conf);
    case DO_RUN:
    case DO_VERSION:
    case DO_HELP:
        break;
    }
    return run(&conf);
}
