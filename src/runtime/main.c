/*
 * main.c - joblet-run: global options, the verb, and how failures are told. Verbs that touch a
 * container's processes run from a sealed copy of this program (os/selfexe.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/strv.h"
#include "os/ns.h"
#include "os/selfexe.h"
#include "runtime/cmd.h"
#include "runtime/criu.h"
#include "runtime/spec.h"
#include "runtime/unit.h"

const struct rt_cmd rt_cmds[] = {
    { "checkpoint", "[OPTIONS] ID", "write a container's processes to images, by CRIU",
      rt_cmd_checkpoint, false, 1 },
    { "create", "[OPTIONS] ID", "make a container; its process waits for start", rt_cmd_create,
      true, 1 },
    { "delete", "[OPTIONS] ID", "remove a container that has ended", rt_cmd_delete, false, 1 },
    { "events", "[OPTIONS] ID", "print what a container uses, and when memory ran out",
      rt_cmd_events, false, 1 },
    { "exec", "[OPTIONS] ID COMMAND [ARG...]", "run a further process in a container", rt_cmd_exec,
      true, 255 },
    { "features", "", "print what this runtime and this kernel can do, as JSON", rt_cmd_features,
      false, 1 },
    { "gc", "[OPTIONS]", "remove what nobody deleted", rt_cmd_gc, false, 1 },
    { "kill", "[OPTIONS] ID [SIGNAL]", "send a signal (default TERM) to the container's process",
      rt_cmd_kill, false, 1 },
    { "list", "[OPTIONS]", "list containers", rt_cmd_list, false, 1 },
    { "pause", "ID", "stop all processes of a running container until resume", rt_cmd_pause, false,
      1 },
    { "plan", "[OPTIONS] [BUNDLE]", "print the steps that a bundle leads to, and take none",
      rt_cmd_plan, false, 1 },
    { "ps", "[OPTIONS] ID [PS-OPTIONS]", "list the processes of a container", rt_cmd_ps, false, 1 },
    { "restore", "[OPTIONS] ID", "make a container from the images of a checkpoint", rt_cmd_restore,
      false, 1 },
    { "resume", "ID", "let a paused container go on", rt_cmd_resume, false, 1 },
    { "run", "[OPTIONS] ID", "make a container, start it, and wait for it", rt_cmd_run, true, 1 },
    { "spec", "[OPTIONS]", "write a config.json to begin with", rt_cmd_spec, false, 1 },
    { "start", "ID", "start a container that was made by create", rt_cmd_start, false, 1 },
    { "state", "ID", "print the state of a container, as JSON", rt_cmd_state, false, 1 },
    { "update", "[OPTIONS] ID", "give a container other limits", rt_cmd_update, false, 1 },
    { "wait", "ID", "wait for the end of a container and print its exit status", rt_cmd_wait, false,
      1 },
    { NULL },
};

/* Podman of an ordinary user calls us as root of a user namespace, where /run is not his. */
static const char *default_root(char *buf, size_t size)
{
    const char *dir = getenv("XDG_RUNTIME_DIR");

    if (geteuid() == 0 && (!dir || *dir == '\0' || (getuid() == 0 && os_userns_is_initial())))
        return "/run/joblet/oci";
    if (dir && *dir)
        snprintf(buf, size, "%s/joblet", dir);
    else
        snprintf(buf, size, "/tmp/joblet-%u", (unsigned) geteuid());
    return buf;
}

static void print_version(void)
{
    printf("joblet-run version %s\ncommit: %s\nspec: %s\n", PACKAGE_VERSION, JOBLET_COMMIT,
           RT_SPEC_VERSION);
}

static void print_help(const struct rt_opt *opts, size_t n)
{
    printf("joblet-run - run containers as the Open Container Initiative specifies them\n\n"
           "usage: joblet-run [GLOBAL OPTIONS] VERB [OPTIONS] [ARGUMENTS]\n\nverbs:\n");
    for (const struct rt_cmd *c = rt_cmds; c->name; c++)
        printf("  %-10s %s\n", c->name, c->summary);
    printf("\nglobal options:\n");
    rt_opts_help(opts, n);
    printf("\n`joblet-run VERB --help` tells more; see also joblet-run(1).\n");
}

static void log_json(const struct jl_err *e, struct jl_buf *out)
{
    struct jl_json_out w = JL_JSON_OUT_INIT(out, 0);
    char now[JL_RFC3339_MAX];

    w.replace = true;
    jl_json_put_object(&w, NULL);
    jl_json_put_str(&w, "level", "error");
    jl_json_put_str(&w, "msg", e->text);
    jl_json_put_str(&w, "time", jl_rfc3339(jl_wall_ns(), 9, now));
    if (e->phase[0])
        jl_json_put_str(&w, "phase", e->phase);
    if (e->syscall[0])
        jl_json_put_str(&w, "syscall", e->syscall);
    if (e->object[0])
        jl_json_put_str(&w, "object", e->object);
    jl_json_put_i64(&w, "errno", e->code);
    if (e->hint[0])
        jl_json_put_str(&w, "hint", e->hint);
    jl_json_end(&w);
    jl_json_finish(&w);
    jl_buf_putc(out, '\n');
}

/* A descriptor of our caller's ("fd:3") is written to as it is. fd to close, or -1 with errno. */
static int open_log(const char *log)
{
    uint64_t fd;

    if (strncmp(log, "fd:", 3) != 0)
        return open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (jl_parse_u64(log + 3, INT32_MAX, &fd) < 0) {
        errno = EINVAL;
        return -1;
    }
    return fcntl((int) fd, F_DUPFD_CLOEXEC, 3);
}

void rt_report(const struct rt_ctx *ctx, const struct jl_err *e)
{
    _buf_ struct jl_buf line = JL_BUF_INIT(8192);
    _buf_ struct jl_buf text = JL_BUF_INIT(8192);
    _close_ int fd = -1;

    jl_buf_printf(&text, "joblet-run: %s\n", e->text);
    if (e->hint[0])
        jl_buf_printf(&text, "joblet-run: hint: %s\n", e->hint);
    if (ctx->log_json)
        log_json(e, &line);
    else
        jl_buf_add(&line, text.data, text.len);
    if (ctx->log) {
        fd = open_log(ctx->log);
        if (fd >= 0)
            jl_write_all(fd, line.data, line.len);
        else
            jl_buf_printf(&text, "joblet-run: cannot write the log '%s': %s\n", ctx->log,
                          strerror(errno));
    }
    /* Engines read what is there as well when the log is of no use to them. */
    if (ctx->log || !ctx->log_json)
        jl_write_all(STDERR_FILENO, text.data, text.len);
    else
        jl_write_all(STDERR_FILENO, line.data, line.len);
}

/* An engine reads a JSON log (podman: as one object, when something failed), and gives our standard
 * error to the container: warnings are not for that. */
static void warn(const struct rt_ctx *ctx, const char *text)
{
    _close_ int fd = -1;

    if (ctx->log && ctx->log_json && jl_strv_add(ctx->held, text) == 0)
        return;
    if (ctx->log && !ctx->log_json)
        fd = open_log(ctx->log);
    dprintf(fd >= 0 ? fd : STDERR_FILENO, "joblet-run: warning: %s\n", text);
}

void rt_warn_all(const struct rt_ctx *ctx, const struct jl_strv *warnings)
{
    for (size_t i = 0; i < warnings->len; i++)
        warn(ctx, warnings->items[i]);
}

static void log_held(const struct rt_ctx *ctx)
{
    _buf_ struct jl_buf lines = JL_BUF_INIT(65536);
    _close_ int fd = ctx->held->len > 0 ? open_log(ctx->log) : -1;

    for (size_t i = 0; fd >= 0 && i < ctx->held->len; i++) {
        struct jl_json_out w = JL_JSON_OUT_INIT(&lines, 0);
        char now[JL_RFC3339_MAX];

        w.replace = true;
        jl_json_put_object(&w, NULL);
        jl_json_put_str(&w, "level", "warning");
        jl_json_put_str(&w, "msg", ctx->held->items[i]);
        jl_json_put_str(&w, "time", jl_rfc3339(jl_wall_ns(), 9, now));
        jl_json_end(&w);
        jl_json_finish(&w);
        jl_buf_putc(&lines, '\n');
    }
    if (fd >= 0)
        jl_write_all(fd, lines.data, lines.len);
}

int rt_check_strict(const struct rt_spec *spec, struct jl_err *e)
{
    _strv_ struct jl_strv paths = JL_STRV_INIT;
    int r = rt_spec_check_strict(spec, &paths, e);

    for (size_t i = 0; i < paths.len; i++)
        dprintf(STDERR_FILENO, "joblet-run: config.json: %s: unknown key\n", paths.items[i]);
    return r;
}

static const struct rt_cmd *find_cmd(const char *name)
{
    for (const struct rt_cmd *c = rt_cmds; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

int rt_cmd_parse(const char *verb, const struct rt_opt *opts, size_t n_opts, int argc, char **argv,
                 size_t want, bool extra, struct rt_args *ret, struct jl_err *e)
{
    const struct rt_cmd *c = find_cmd(verb);
    int r;

    for (int i = 1; i < argc; i++) {
        if (extra && argv[i][0] != '-')
            break; /* exec: what follows is the command's */
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            printf("usage: joblet-run %s %s\n\n%s\n", c->name, c->synopsis, c->summary);
            if (n_opts > 0)
                printf("\noptions:\n");
            rt_opts_help(opts, n_opts);
            return 1;
        }
    }
    r = rt_opts_parse(opts, n_opts, argc, argv, extra ? (int) want : -1, ret, e);
    if (r < 0)
        return jl_hint(e, "see joblet-run %s --help", c->name);
    if (ret->n < want) {
        jl_refuse(e, EINVAL, "%s: needs %zu argument%s, got %zu", c->name, want,
                  want == 1 ? "" : "s", ret->n);
        return jl_hint(e, "usage: joblet-run %s %s", c->name, c->synopsis);
    }
    return 0;
}

/* The second execution sees itself sealed and goes on. */
static int seal(char **argv, struct jl_err *e)
{
    if (os_selfexe_is_sealed()) {
        prctl(PR_SET_NAME, "joblet-run", 0, 0, 0); /* else the descriptor's number */
        return 0;
    }
    return os_selfexe_exec_sealed(argv, environ, e);
}

static int dispatch(const struct rt_ctx *ctx, const struct rt_args *args, char **argv)
{
    const struct rt_cmd *c = args->n > 0 ? find_cmd(args->items[0]) : NULL;
    struct jl_err e = JL_ERR_INIT;
    int r;

    if (!c) {
        jl_refuse(&e, EINVAL, "'%s' is no verb of joblet-run", args->n > 0 ? args->items[0] : "");
        jl_hint(&e, "see joblet-run --help");
        rt_report(ctx, &e);
        return 1;
    }
    r = c->seal ? seal(argv, &e) : 0;
    if (r == 0)
        r = c->fn(ctx, (int) args->n, args->items, &e);
    if (r < 0) {
        if (e.code == ENOSYS && !e.hint[0])
            jl_hint(&e, "Linux 5.12 or newer is needed, and that no seccomp filter around "
                        "joblet-run refuses its calls");
        jl_phase(&e, c->name);
        rt_report(ctx, &e);
        return c->failure;
    }
    if (e.code != 0)
        warn(ctx, e.text); /* done all the same */
    log_held(ctx);
    return r;
}

/* crun's way to say it. */
static int take_manager(struct rt_ctx *ctx, const char *manager, struct jl_err *e)
{
    if (!manager || strcmp(manager, "cgroupfs") == 0)
        return 0;
    ctx->no_cgroup = strcmp(manager, "disabled") == 0;
    if (strcmp(manager, "systemd") == 0)
        ctx->systemd_cgroup = true;
    else if (!ctx->no_cgroup)
        return jl_refuse(e, EINVAL,
                         "--cgroup-manager: '%s', allowed are cgroupfs, systemd and disabled",
                         manager);
    return 0;
}

int main(int argc, char **argv)
{
    _strv_ struct jl_strv held = JL_STRV_INIT;
    struct rt_ctx ctx = { .held = &held, .started_ns = jl_now_ns() };
    const char *format = "text", *rootless = "auto", *helper = NULL, *manager = NULL, *criu = NULL;
    bool help = false, version = false;
    const struct rt_opt opts[] = {
        { "root", 0, RT_OPT_TEXT, &ctx.root, "DIR", "where containers' states are kept" },
        { "log", 0, RT_OPT_TEXT, &ctx.log, "FILE",
          "append errors to this file; fd:N is a descriptor" },
        { "log-format", 0, RT_OPT_TEXT, &format, "FORMAT", "text or json" },
        { "debug", 0, RT_OPT_FLAG, &ctx.debug, NULL, "tell how long each step took" },
        { "systemd-cgroup", 0, RT_OPT_FLAG, &ctx.systemd_cgroup, NULL,
          "make the control group a scope of systemd's" },
        { "cgroup-manager", 0, RT_OPT_TEXT, &manager, "NAME", "cgroupfs, systemd or disabled" },
        { "systemd-helper", 0, RT_OPT_TEXT, &helper, "FILE", "the program that speaks to systemd" },
        { "rootless", 0, RT_OPT_TEXT, &rootless, "true|false|auto", "taken for runc's sake" },
        { "criu", 0, RT_OPT_TEXT, &criu, "PATH", "the program that checkpoints and restores" },
        { "help", 'h', RT_OPT_FLAG, &help, NULL, "print this" },
        { "version", 'v', RT_OPT_FLAG, &version, NULL, "print the version" },
    };
    struct jl_err e = JL_ERR_INIT;
    struct rt_args args;
    _free_ char **words = NULL; /* of argv */
    char root[512];
    int r;

    /* argv is needed as it was for the sealed copy; parsing reorders. */
    words = calloc((size_t) argc + 1, sizeof *words);
    if (argc < 1 || !words) {
        dprintf(STDERR_FILENO, "joblet-run: read the command line: %s\n", strerror(ENOMEM));
        return 1;
    }
    memcpy(words, argv, (size_t) argc * sizeof *words);
    r = rt_opts_parse(opts, JL_COUNT(opts), argc, words, 1, &args, &e);
    ctx.log_json = strcmp(format, "json") == 0; /* before anything is reported */
    if (r < 0) {
        rt_report(&ctx, &e);
        return 1;
    }
    if (version || help || args.n == 0) {
        if (version)
            print_version();
        else
            print_help(opts, JL_COUNT(opts));
        return !version && !help;
    }
    rt_helper_program(helper);
    rt_criu_program(criu);
    if (take_manager(&ctx, manager, &e) < 0) {
        rt_report(&ctx, &e);
        return 1;
    }
    if (!ctx.root)
        ctx.root = default_root(root, sizeof root);
    if (!ctx.log_json && strcmp(format, "text") != 0) {
        jl_refuse(&e, EINVAL, "--log-format: '%s', allowed are text and json", format);
        rt_report(&ctx, &e);
        return 1;
    }
    if (strcmp(rootless, "auto") != 0 && jl_parse_bool(rootless, &help) < 0) {
        jl_refuse(&e, EINVAL, "--rootless: '%s', allowed are true, false and auto", rootless);
        rt_report(&ctx, &e);
        return 1;
    }
    return dispatch(&ctx, &args, argv);
}
