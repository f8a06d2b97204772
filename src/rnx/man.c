/* man.c - the parts of rnx(1) that are made from the tables; docs/man/rnx.1.in has the prose. */
#include "rnx/cmd.h"

/* Text in roff: a dash stays one, and no line of it is a request. */
static void put(const char *s)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", stdout);
    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else
            putchar(*s);
    }
}

static void put_name(const struct rnx_opt *o, const char *dashes, const char *name, const char *sep)
{
    fputs("\\fB", stdout);
    put(dashes);
    put(name);
    fputs(o->arg ? sep : "", stdout);
    fputs("\\fR", stdout);
    if (!o->arg)
        return;
    fputs("\\fI", stdout);
    put(o->arg);
    fputs("\\fR", stdout);
}

static void put_flags(const struct rnx_opts *opts)
{
    for (size_t i = 0; i < opts->n; i++) {
        const struct rnx_opt *o = &opts->items[i];
        const char letter[2] = { o->letter, '\0' };

        puts(".TP");
        put_name(o, "--", o->name, "=");
        if (o->letter) {
            fputs(", ", stdout);
            put_name(o, "-", letter, " ");
        }
        putchar('\n');
        put(o->help);
        puts(o->more ? "." : "");
        if (o->more) {
            put(o->more);
            putchar('\n');
        }
    }
}

static void put_command(const struct rnx_cmd *c)
{
    printf("@@ %s%s%s\n.SS \"", c->group ? c->group : "", c->group ? " " : "", c->name);
    if (c->group) {
        put(c->group);
        putchar(' ');
    }
    put(c->name);
    printf("%s", c->args && c->args[0] ? " " : "");
    put(c->args ? c->args : "");
    puts("\"");
    putchar(c->summary[0] & ~0x20);
    put(c->summary + 1);
    puts(".");
    if (!c->opts)
        return;
    printf("@@ %s%s%s flags\n", c->group ? c->group : "", c->group ? " " : "", c->name);
    put_flags(c->opts);
}

/* Commands of the group job that need no "job" before them: "run, list and metrics". */
static void put_alone(void)
{
    const struct rnx_cmd *c, *before = NULL;
    const char *sep = "";

    puts("@@ alone");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++) {
        if (!c->run || !c->alone)
            continue;
        if (before) {
            printf("%s\\fB", sep);
            put(before->name);
            fputs("\\fR", stdout);
            sep = ", ";
        }
        before = c;
    }
    if (before) {
        fputs(" and \\fB", stdout);
        put(before->name);
        puts("\\fR");
    }
}

static void put_absent(void)
{
    const struct rnx_cmd *c;
    const char *sep = "";

    puts("@@ absent");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++) {
        if (c->run)
            continue;
        fputs(sep, stdout);
        if (c->group) {
            put(c->group);
            putchar(' ');
        }
        put(c->name);
        sep = ", ";
    }
    putchar('\n');
}

void rnx_man(void)
{
    const struct rnx_cmd *c;

    put_alone();
    put_absent();
    puts("@@ global flags");
    put_flags(&rnx_global_opts);
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->run)
            put_command(c);
}
