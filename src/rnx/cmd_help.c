/* cmd_help.c - help and config-help, made from the tables. */
#include <errno.h>

#include "base/cleanup.h"
#include "rnx/cmd.h"

static void usage_line(const struct rnx_cmd *c)
{
    const char *args = c->args ? c->args : "";
    const char *blank = args[0] ? " " : "";

    if (c->group)
        printf("Usage: rnx %s %s%s%s\n", c->group, c->name, blank, args);
    if (!c->group || c->alone)
        printf("%s rnx %s%s%s\n", c->group ? "   or:" : "Usage:", c->name, blank, args);
}

static void line(const struct rnx_cmd *c)
{
    char name[40];

    snprintf(name, sizeof name, "%s%s%s", c->group ? c->group : "", c->group ? " " : "", c->name);
    printf("  %-20s %s%s\n", name, c->summary, c->run ? "" : " (not built yet)");
}

static void group_lines(const char *group)
{
    const struct rnx_cmd *c;

    printf("\nCommands:\n");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->group && strcmp(c->group, group) == 0)
            line(c);
    printf("\nrnx help %s <command> says more.\n", group);
}

void rnx_help_cmd(const struct rnx_cmd *c)
{
    usage_line(c);
    printf("\n%c%s.\n", c->summary[0] & ~0x20, c->summary + 1);
    if (!c->run)
        printf("Not built yet in this version.\n");
    if (c->more)
        printf("\n%s", c->more);
    if (!c->group && rnx_is_group(c->name)) /* monitor alone is a command too */
        group_lines(c->name);
    if (c->opts) {
        printf("\nFlags:\n");
        rnx_opt_help(c->opts, stdout);
    }
    printf("\nGlobal flags:\n");
    rnx_opt_help(&rnx_global_opts, stdout);
}

void rnx_help_group(const char *group)
{
    printf("Usage: rnx %s <command> [flags] [arguments]\n", group);
    group_lines(group);
}

void rnx_help_all(void)
{
    const struct rnx_cmd *c;

    printf("rnx - run commands on a joblet server, isolated and limited\n\n"
           "Usage: rnx [global flags] <command> [flags] [arguments]\n\nCommands:\n");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->run)
            line(c);
    printf("\nThese need no \"job\" before them:\n ");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->run && c->alone)
            printf(" %s", c->name);
    printf("\n\nNot built yet in this version:\n ");
    for (size_t i = 0, col = 1; (c = rnx_cmd_at(i)); i++) {
        char name[40];

        if (c->run)
            continue;
        snprintf(name, sizeof name, "%s%s%s", c->group ? c->group : "", c->group ? " " : "",
                 c->name);
        col += strlen(name) + 2;
        if (col > 78) {
            printf("\n ");
            col = strlen(name) + 3;
        }
        printf(" %s%s", name, rnx_cmd_at(i + 1) ? "," : "\n");
    }
    printf("\nGlobal flags:\n");
    rnx_opt_help(&rnx_global_opts, stdout);
    printf("\nEnvironment: RNX_CONFIG, RNX_SERVER, RNX_NODE, RNX_OUTPUT_FORMAT, RNX_TIMEOUT,\n"
           "RNX_NO_COLOR; see rnx(1). rnx help <command> says more about one command.\n");
}

static int run_help(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    const struct rnx_cmd *c;
    int used = 0, r;

    r = rnx_parse(x, NULL, argc, argv, &words, e);
    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len == 0) {
        rnx_help_all();
        return 0;
    }
    if (words.len == 1 && strcmp(words.items[0], "man") == 0) { /* the build's, not in the help */
        rnx_man();
        return 0;
    }
    c = rnx_cmd_find(words.items, (int) words.len, &used);
    if (c)
        rnx_help_cmd(c);
    else if (words.len == 1 && rnx_is_group(words.items[0]))
        rnx_help_group(words.items[0]);
    else
        return rnx_usage(e, "unknown command: %.60s%s%.60s", words.items[0],
                         words.len > 1 ? " " : "", words.len > 1 ? words.items[1] : "");
    return 0;
}

const struct rnx_cmd rnx_cmd_help = {
    .name = "help",
    .args = "[command]",
    .summary = "help of all commands or of one",
    .run = run_help,
};

static const char config_text[] =
    "# rnx-config.yml: which servers there are, and the certificates to talk to them.\n"
    "version: \"3.0\"\n"
    "# default_node: default     # the node that is used when none is named\n"
    "# timeout: 30s              # longest time for one call\n"
    "nodes:\n"
    "  default:\n"
    "    address: \"192.168.1.100:50051\"   # host:port of the joblet server\n"
    "    nodeId: \"8f94c5b2-...\"           # optional, only shown\n"
    "    cert: |                          # your certificate; its OU is your role\n"
    "      -----BEGIN CERTIFICATE-----\n"
    "      ...\n"
    "      -----END CERTIFICATE-----\n"
    "    key: |                           # its private key\n"
    "      -----BEGIN PRIVATE KEY-----\n"
    "      ...\n"
    "      -----END PRIVATE KEY-----\n"
    "    ca: |                            # who signed the server's certificate\n"
    "      -----BEGIN CERTIFICATE-----\n"
    "      ...\n"
    "      -----END CERTIFICATE-----\n"
    "  other:                             # any number of further nodes: rnx --node=other\n"
    "    ...\n";

static int run_config_help(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    _strv_ struct jl_strv words = JL_STRV_INIT;
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    printf("rnx reads the first of these files that exists:\n"
           "  1. --config PATH (must exist)\n"
           "  2. $RNX_CONFIG\n"
           "  3. ./rnx-config.yml\n"
           "  4. ./config/rnx-config.yml\n"
           "  5. ~/.rnx/rnx-config.yml\n"
           "  6. /etc/joblet/rnx-config.yml\n"
           "  7. /opt/joblet/config/rnx-config.yml\n\n"
           "It is made on the server, one file a role, by certs_gen_embedded.sh. Fetch yours:\n"
           "  mkdir -p ~/.rnx\n"
           "  scp server:/opt/joblet/config/rnx-config.yml ~/.rnx/\n"
           "  chmod 600 ~/.rnx/rnx-config.yml\n\n"
           "Its form:\n\n%s\n"
           "Security: the file holds a private key; whoever can read it can do what its role may\n"
           "(reader, developer, maintainer, admin). Keep it at mode 600, hand out the file of the\n"
           "weakest role that will do, and never put it into a repository.\n",
           config_text);
    return 0;
}

const struct rnx_cmd rnx_cmd_config_help = {
    .name = "config-help",
    .args = "",
    .summary = "the form of rnx-config.yml and where it is looked for",
    .run = run_config_help,
};
