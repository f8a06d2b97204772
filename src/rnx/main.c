/* main.c - rnx, the client: global flags, the verb, its function, and how a failure is told. */
#include <errno.h>
#include <signal.h>

#include "base/cleanup.h"
#include "rnx/cmd.h"
#include "rpc/client.h"

/* Flags before the verb: all words up to the first that is no flag. Returns how many. */
static int parse_globals(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    int n = 0, r;

    while (n < argc && argv[n][0] == '-' && argv[n][1] != '\0' && strcmp(argv[n], "--") != 0) {
        const char *w = argv[n++];

        if (n < argc && !strchr(w, '=') && (strcmp(w, "--config") == 0 || strcmp(w, "--node") == 0))
            n++;
    }
    r = rnx_opt_parse(&rnx_global_opts, &x->g, NULL, NULL, argv, n, false, &words, e);
    return r < 0 ? r : n;
}

static int refuse_command(char **words, int n, struct jl_err *e)
{
    int r = rnx_usage(e, n > 1 ? "unknown command: %.60s %.60s" : "unknown command: %.60s",
                      words[0], n > 1 ? words[1] : "");

    jl_hint(e, "rnx help lists all commands.");
    return r;
}

/* A group without a command of it: "rnx job", "rnx job --help", "rnx job sing". */
static int group_alone(int argc, char **argv, struct jl_err *e)
{
    if (!rnx_is_group(argv[0]) || argc > 1)
        return refuse_command(argv, rnx_is_group(argv[0]) ? 2 : 1, e);
    rnx_help_group(argv[0]);
    return 0;
}

static int refuse_absent(const struct rnx_cmd *c, char **words, int used, struct jl_err *e)
{
    jl_refuse(e, ENOSYS, "rnx %s%s%s is not built yet in this version: %s", words[0],
              used > 1 ? " " : "", used > 1 ? words[1] : "", c->summary);
    return jl_hint(e, "rnx help lists what is there.");
}

/* Takes the global flags out that stand at argv, after the group's word if it is one. */
static int take_globals(struct rnx *x, int *argc, char ***argv, struct jl_err *e)
{
    int n = parse_globals(x, *argc, *argv, e);

    if (n < 0)
        return n;
    *argc -= n;
    *argv += n;
    if (*argc < 2 || !rnx_is_group((*argv)[0]))
        return 0;
    n = parse_globals(x, *argc - 1, *argv + 1, e);
    if (n < 0)
        return n;
    (*argv)[n] = (*argv)[0];
    *argc -= n;
    *argv += n;
    return 0;
}

static int dispatch(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    int used = 0, r;

    r = take_globals(x, &argc, &argv, e);
    if (r < 0)
        return r;
    if (x->g.version) {
        x->g.version = false;
        x->cmd = &rnx_cmd_version;
        argc = 0;
    } else if (argc == 0) {
        rnx_help_all();
        return 0;
    } else {
        x->cmd = rnx_cmd_find(argv, argc, &used);
    }
    if (!x->cmd)
        return group_alone(argc, argv, e);
    if (x->g.help) {
        rnx_help_cmd(x->cmd);
        return 0;
    }
    if (!x->cmd->run)
        return refuse_absent(x->cmd, argv, used, e);
    return x->cmd->run(x, argc - used, argv + used, e);
}

static int tell_failure(const struct rnx *x, const struct jl_err *e)
{
    bool usage = rnx_is_usage(e);
    size_t len = strlen(e->text);

    if (e->code == EPIPE) /* whoever read our output has seen enough */
        return 0;
    fprintf(stderr, "Error: %s", e->text);
    if (e->hint[0] >= 'a' && e->hint[0] <= 'z')
        fprintf(stderr, "; %s", e->hint);
    else if (e->hint[0] != '\0')
        fprintf(stderr, "%s %s", len > 0 && e->text[len - 1] == '.' ? "" : ".", e->hint);
    else if (usage && x->cmd && x->cmd->name)
        fprintf(stderr, ". Try: rnx help %s%s%s", x->cmd->group ? x->cmd->group : "",
                x->cmd->group ? " " : "", x->cmd->name);
    fputc('\n', stderr);
    return usage ? 2 : 1;
}

int main(int argc, char **argv)
{
    struct jl_err e = JL_ERR_INIT;
    struct rnx x = { 0 };
    int status;

    signal(SIGPIPE, SIG_IGN); /* EPIPE says it as well, and ends quietly */
    status = dispatch(&x, argc - 1, argv + 1, &e);
    if (fflush(stdout) != 0 && status >= 0)
        status = jl_fail(&e, errno, "write to standard output");
    if (status < 0)
        status = tell_failure(&x, &e);
    rpc_client_free(x.client);
    rnx_conf_done(&x.conf);
    return status;
}
