/* cmds.c - the table of all commands, the flags they share, and how a command's words are read. */
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "rnx/cmd.h"

static const struct rnx_opt global_items[] = {
    { "config", 0, RNX_OPT_STRING, "PATH", offsetof(struct rnx_globals, config),
      "client configuration file" },
    { "node", 0, RNX_OPT_STRING, "NAME", offsetof(struct rnx_globals, node),
      "which node of the configuration to talk to" },
    { "json", 0, RNX_OPT_BOOL, NULL, offsetof(struct rnx_globals, json), "output for programs" },
    { "version", 'v', RNX_OPT_BOOL, NULL, offsetof(struct rnx_globals, version),
      "version of rnx and of the server" },
    { "help", 'h', RNX_OPT_BOOL, NULL, offsetof(struct rnx_globals, help),
      "help of the command at hand" },
};

const struct rnx_opts rnx_global_opts = RNX_OPTS(global_items);

#define ABSENT(g, n, a, s)                                                                         \
    {                                                                                              \
        .group = (g), .name = (n), .alone = (a), .summary = (s)                                    \
    }

static const struct rnx_cmd absent[] = {
    ABSENT("job", "telematics", false, "security events of a job"),
    ABSENT("workflow", "run", false, "run the jobs of a file in order"),
    ABSENT("workflow", "list", false, "list workflows"),
    ABSENT("workflow", "status", false, "show a workflow"),
    ABSENT("workflow", "validate", false, "check a workflow file"),
    ABSENT("runtime", "list", false, "list runtimes"),
    ABSENT("runtime", "info", false, "show a runtime"),
    ABSENT("runtime", "test", false, "try a runtime"),
    ABSENT("runtime", "build", false, "build a runtime from its YAML file"),
    ABSENT("runtime", "install", false, "build replaces it"),
    ABSENT("runtime", "validate", false, "check a runtime's YAML file"),
    ABSENT("runtime", "remove", false, "remove a runtime"),
    ABSENT(NULL, "admin", false, "the web interface"),
};

static const struct rnx_cmd *const built[] = {
    &rnx_cmd_run,
    &rnx_cmd_list,
    &rnx_cmd_status,
    &rnx_cmd_log,
    &rnx_cmd_stop,
    &rnx_cmd_cancel,
    &rnx_cmd_delete,
    &rnx_cmd_delete_all,
    &rnx_cmd_metrics,
    &rnx_cmd_volume_create,
    &rnx_cmd_volume_list,
    &rnx_cmd_volume_remove,
    &rnx_cmd_monitor_status,
    &rnx_cmd_monitor_top,
    &rnx_cmd_monitor_watch,
    &rnx_cmd_monitor,
    &rnx_cmd_network_create,
    &rnx_cmd_network_list,
    &rnx_cmd_network_remove,
    &rnx_cmd_nodes,
    &rnx_cmd_version,
    &rnx_cmd_config_help,
    &rnx_cmd_completion,
    &rnx_cmd_help,
};

const struct rnx_cmd *rnx_cmd_at(size_t i)
{
    if (i < JL_COUNT(built))
        return built[i];
    i -= JL_COUNT(built);
    return i < JL_COUNT(absent) ? &absent[i] : NULL;
}

bool rnx_is_group(const char *word)
{
    const struct rnx_cmd *c;

    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->group && strcmp(c->group, word) == 0)
            return true;
    return false;
}

const struct rnx_cmd *rnx_cmd_find(char **words, int n, int *ret_used)
{
    const struct rnx_cmd *c;

    for (size_t i = 0; n > 1 && (c = rnx_cmd_at(i)); i++)
        if (c->group && strcmp(c->group, words[0]) == 0 && strcmp(c->name, words[1]) == 0) {
            *ret_used = 2;
            return c;
        }
    for (size_t i = 0; n > 0 && (c = rnx_cmd_at(i)); i++)
        if ((!c->group || c->alone) && strcmp(c->name, words[0]) == 0) {
            *ret_used = 1;
            return c;
        }
    return NULL;
}

static bool wants_no_colour(const char *name)
{
    const char *s = getenv(name);

    return s && s[0] != '\0' && strcmp(s, "false") != 0;
}

/* Settles what flags and environment say together. */
static int settle(struct rnx *x, struct jl_err *e)
{
    const char *format = getenv("RNX_OUTPUT_FORMAT"), *timeout = getenv("RNX_TIMEOUT");
    const char *no_color = getenv("NO_COLOR");

    x->json = x->g.json;
    if (format && format[0] != '\0' && strcmp(format, "json") != 0 && strcmp(format, "table") != 0)
        return rnx_usage(e, "RNX_OUTPUT_FORMAT is table or json, not '%s'", format);
    if (format && strcmp(format, "json") == 0)
        x->json = true;
    if (timeout && timeout[0] != '\0' &&
        (jl_parse_duration(timeout, &x->timeout_ns) < 0 || x->timeout_ns < JL_NS_PER_MS ||
         x->timeout_ns > 86400 * JL_NS_PER_S))
        return rnx_usage(e, "RNX_TIMEOUT wants a duration such as 30s, at most 24h, not '%s'",
                         timeout);
    x->terminal = isatty(STDOUT_FILENO);
    x->colour =
        x->terminal && !wants_no_colour("RNX_NO_COLOR") && !(no_color && no_color[0] != '\0');
    return 0;
}

int rnx_parse(struct rnx *x, void *into, int argc, char **argv, struct jl_strv *words,
              struct jl_err *e)
{
    int r = rnx_opt_parse(x->cmd->opts, into, &rnx_global_opts, &x->g, argv, argc, x->cmd->tail,
                          words, e);

    if (r < 0)
        return r;
    if (x->g.help) {
        rnx_help_cmd(x->cmd);
        return 1;
    }
    if (x->g.version) {
        x->g.version = false; /* as before the command: main.c */
        x->cmd = &rnx_cmd_version;
        r = x->cmd->run(x, 0, argv, e);
        return r < 0 ? r : 1;
    }
    return settle(x, e);
}

void rnx_warn(const char *fmt, ...)
{
    char text[JL_ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "Warning: %s\n", text);
}
