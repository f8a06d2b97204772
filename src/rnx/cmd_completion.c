/* cmd_completion.c - scripts that let a shell complete rnx's words, made from the tables. */
#include <errno.h>

#include "base/cleanup.h"
#include "rnx/cmd.h"

/* Whether the group's first built command is c: so that each group is taken once. */
static bool opens_group(const struct rnx_cmd *c)
{
    const struct rnx_cmd *k;

    for (size_t i = 0; c->group && c->run && (k = rnx_cmd_at(i)); i++)
        if (k->run && k->group && strcmp(k->group, c->group) == 0)
            return k == c;
    return false;
}

/* To be offered as a first word by itself: a command with a group's name is there as the group. */
static bool is_first_word(const struct rnx_cmd *c)
{
    return c->group ? c->alone : !rnx_is_group(c->name);
}

/* Inside '...' of all three shells; fish takes this spelling too. */
static void put_quoted(const char *s, const char *escape)
{
    for (; *s; s++) {
        if (*s == '\'')
            fputs("'\\''", stdout);
        else if (strchr(escape, *s))
            printf("\\%c", *s);
        else
            putchar(*s);
    }
}

/* " job volume ": the words that want another word. */
static void put_groups(void)
{
    const struct rnx_cmd *c;

    putchar(' ');
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (opens_group(c))
            printf("%s ", c->group);
}

/* " --config --node": the flags whose next word is theirs. */
static void put_valued(const struct rnx_opts *opts)
{
    for (size_t i = 0; i < opts->n; i++) {
        if (!opts->items[i].arg)
            continue;
        printf(" --%s", opts->items[i].name);
        if (opts->items[i].letter)
            printf(" -%c", opts->items[i].letter);
    }
}

/* The patterns of all words that reach a command. */
static void put_case(const struct rnx_cmd *c)
{
    if (c->group)
        printf("'%s %s'%s%s%s", c->group, c->name, c->alone ? " | '" : "", c->alone ? c->name : "",
               c->alone ? "'" : "");
    else
        printf("'%s'", c->name);
}

/*
 * The body of bash's and zsh's loop over the words before the one that is completed, after `case $word
 * in`: sets verb ("job run"), help, and rest: a word of the verb's own is there. skip: what steps over
 * a flag's value.
 */
static void put_walk(const char *skip)
{
    const struct rnx_cmd *c;

    printf("        -?*)\n"
           "            [[ $word == -- ]] && rest=yes && break\n"
           "            valued='");
    put_valued(&rnx_global_opts);
    printf(" '\n            case $verb in\n");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->run && c->opts) {
            printf("            ");
            put_case(c);
            printf(") valued+='");
            put_valued(c->opts);
            printf(" ' ;;\n");
        }
    printf("            esac\n"
           "            [[ $valued == *\" $word \"* ]] && %s\n"
           "            ;;\n"
           "        *)\n"
           "            if [[ -z $verb && $word == help ]]; then\n"
           "                help=yes\n"
           "            elif [[ -z $verb ]]; then\n"
           "                verb=$word\n"
           "            elif [[ '",
           skip);
    put_groups();
    printf("' == *\" $verb \"* ]]; then\n"
           "                verb=\"$verb $word\"\n"
           "            else\n"
           "                rest=yes\n"
           "                break\n"
           "            fi\n"
           "            ;;\n"
           "        esac\n"
           "    done\n");
}

/* What is done where the words are no longer rnx's: `do_what` and return. */
static void put_rest(const char *do_what)
{
    const struct rnx_cmd *c;

    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->tail) {
            printf("    case $rest$verb in\n"
                   "    yes'%s %s' | yes'%s') %s; return 0 ;; # the job's\n"
                   "    esac\n",
                   c->group, c->name, c->name, do_what);
        }
}

/* ---- bash */

static void bash_flags(const struct rnx_opts *opts)
{
    for (size_t i = 0; i < opts->n; i++)
        printf(" --%s%s", opts->items[i].name, opts->items[i].arg ? "=" : "");
}

static void bash_words(const char *group)
{
    const struct rnx_cmd *c;

    for (size_t i = 0; (c = rnx_cmd_at(i)); i++) {
        if (!c->run)
            continue;
        if (group ? c->group && strcmp(c->group, group) == 0 : is_first_word(c))
            printf(" %s", c->name);
        if (!group && opens_group(c))
            printf(" %s", c->group);
    }
}

static void bash(void)
{
    const struct rnx_cmd *c;

    printf("# bash completion for rnx; made by `rnx completion bash`.\n"
           "_rnx()\n{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} verb='' help='' rest='' words='' flags=''\n"
           "    local valued word i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=${COMP_WORDS[i]}\n"
           "        case $word in\n"
           "        '=') ((++i)) ;;\n");
    put_walk("[[ ${COMP_WORDS[i + 1]} != '=' ]] && ((++i))");
    printf("    ((i <= COMP_CWORD)) || return 0 # a flag's value\n");
    put_rest("COMPREPLY=()");
    printf("    flags='");
    bash_flags(&rnx_global_opts);
    printf("'\n    case $verb in\n    '') words='");
    bash_words(NULL);
    printf("' ;;\n");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (opens_group(c)) {
            printf("    %s) words='", c->group);
            bash_words(c->group);
            printf("' ;;\n");
        }
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->run && (c->opts || c->choices)) {
            printf("    ");
            put_case(c);
            printf(") flags=\"$flags");
            if (c->opts)
                bash_flags(c->opts);
            printf("%s%s\" ;;\n", c->choices ? " " : "", c->choices ? c->choices : "");
        }
    printf("    esac\n"
           "    [[ -n $help ]] && flags=''\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words $flags\" -- \"$cur\")\n"
           "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n"
           "}\n"
           "complete -o default -F _rnx rnx\n");
}

/* ---- zsh */

static void zsh_flags(const struct rnx_opts *opts)
{
    for (size_t i = 0; i < opts->n; i++) {
        printf(" '--%s%s:", opts->items[i].name, opts->items[i].arg ? "=" : "");
        put_quoted(opts->items[i].help, ":\\");
        putchar('\'');
    }
}

static void zsh_word(const char *name, const char *summary)
{
    printf(" '%s:", name);
    put_quoted(summary, ":\\");
    putchar('\'');
}

static void zsh_words(const char *group)
{
    const struct rnx_cmd *c;

    for (size_t i = 0; (c = rnx_cmd_at(i)); i++) {
        if (!c->run)
            continue;
        if (group ? c->group && strcmp(c->group, group) == 0 : is_first_word(c))
            zsh_word(c->name, c->summary);
        if (!group && opens_group(c))
            zsh_word(c->group, "a group of commands");
    }
}

static void zsh(void)
{
    const struct rnx_cmd *c;

    printf("#compdef rnx\n"
           "# zsh completion for rnx; made by `rnx completion zsh`.\n"
           "_rnx()\n{\n"
           "    local verb='' help='' rest='' valued word i\n"
           "    local -a commands flags\n"
           "    for ((i = 2; i < CURRENT; i++)); do\n"
           "        word=${words[i]}\n"
           "        case $word in\n");
    put_walk("(( ++i ))");
    printf("    if (( i > CURRENT )); then\n"
           "        _files # a flag's value\n"
           "        return\n"
           "    fi\n");
    put_rest("_files");
    printf("    flags=(");
    zsh_flags(&rnx_global_opts);
    printf(")\n    case $verb in\n    '') commands=(");
    zsh_words(NULL);
    printf(") ;;\n");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (opens_group(c)) {
            printf("    %s) commands=(", c->group);
            zsh_words(c->group);
            printf(") ;;\n");
        }
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->run && (c->opts || c->choices)) {
            printf("    ");
            put_case(c);
            printf(") flags+=(");
            if (c->opts)
                zsh_flags(c->opts);
            printf("%s%s) ;;\n", c->choices ? " " : "", c->choices ? c->choices : "");
        }
    printf("    esac\n"
           "    (( ${#commands} )) && _describe -t commands command commands\n"
           "    [[ -n $help ]] && return\n"
           "    _describe -t flags flag flags -S ''\n"
           "    (( ${#commands} )) || _files\n"
           "}\n"
           "compdef _rnx rnx\n"
           "[[ ${funcstack[1]} == _rnx ]] && _rnx \"$@\" # read from fpath at the first use\n");
}

/* ---- fish */

static void fish_flags(const struct rnx_opts *opts, const struct rnx_cmd *c)
{
    for (size_t i = 0; i < opts->n; i++) {
        const struct rnx_opt *o = &opts->items[i];

        printf("complete -c rnx");
        if (!c)
            printf(" -n 'not __rnx_jobs'");
        else if (c->tail)
            printf(" -n '__rnx_after %s %s; or __rnx_after %s'", c->group, c->name, c->name);
        else if (c->group)
            printf(" -n '__rnx_in \"%s %s\"%s%s'", c->group, c->name, c->alone ? " " : "",
                   c->alone ? c->name : "");
        else
            printf(" -n '__rnx_in %s'", c->name);
        if (o->letter)
            printf(" -s %c", o->letter);
        printf(" -l %s%s -d '", o->name, o->arg ? " -r" : "");
        put_quoted(o->help, "\\");
        printf("'\n");
    }
}

/* help: "" or " help", which takes the same words. */
static void fish_word(const char *help, const char *group, const char *name, const char *summary)
{
    printf("complete -c rnx -f -n '__rnx_after%s%s%s' -a %s -d '", help, group[0] ? " " : "", group,
           name);
    put_quoted(summary, "\\");
    printf("'\n");
}

static void fish(void)
{
    static const char *const before[] = { "", " help" };
    const struct rnx_cmd *c;

    printf("# fish completion for rnx; made by `rnx completion fish`.\n"
           "function __rnx_words\n"
           "    set -l tokens (commandline -opc)\n"
           "    set -l value no\n"
           "    for word in $tokens[2..-1]\n"
           "        if test $value = yes\n"
           "            set value no\n"
           "        else if contains -- $word");
    put_valued(&rnx_global_opts);
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->tail)
            put_valued(c->opts);
    printf("\n"
           "            set value yes\n"
           "        else if test \"$word\" = --; or not string match -q -- '-*' $word\n"
           "            echo $word\n"
           "        end\n"
           "    end\n"
           "end\n"
           "function __rnx_after\n"
           "    set -l words (__rnx_words)\n"
           "    test \"$words\" = \"$argv\"\n"
           "end\n"
           "function __rnx_in\n"
           "    set -l words (__rnx_words)\n"
           "    contains -- \"$words[1]\" $argv; or contains -- \"$words[1] $words[2]\" $argv\n"
           "end\n"
           "function __rnx_jobs # the words are no longer rnx's\n"
           "    set -l words (__rnx_words)\n"
           "    string match -q -- 'help *' \"$words\"; and return 1\n");
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++)
        if (c->tail)
            printf("    string match -q -- '%s *' \"$words\"; and return 0\n"
                   "    string match -q -- '%s %s *' \"$words\"; and return 0\n",
                   c->name, c->group, c->name);
    printf("    return 1\n"
           "end\n");
    fish_flags(&rnx_global_opts, NULL);
    for (size_t i = 0; (c = rnx_cmd_at(i)); i++) {
        if (!c->run)
            continue;
        for (size_t k = 0; k < JL_COUNT(before); k++) {
            if (opens_group(c))
                fish_word(before[k], "", c->group, "a group of commands");
            if (is_first_word(c))
                fish_word(before[k], "", c->name, c->summary);
            if (c->group)
                fish_word(before[k], c->group, c->name, c->summary);
        }
        if (c->opts)
            fish_flags(c->opts, c);
        if (c->choices)
            printf("complete -c rnx -f -n '__rnx_after %s' -a '%s'\n", c->name, c->choices);
    }
}

static int run_completion(struct rnx *x, int argc, char **argv, struct jl_err *e)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
    _strv_ struct jl_strv words = JL_STRV_INIT;
    int r = rnx_parse(x, NULL, argc, argv, &words, e);

    if (r != 0)
        return r < 0 ? r : 0;
    if (words.len != 1)
        return rnx_usage(e, "rnx completion wants the name of a shell: bash, zsh or fish");
    for (size_t i = 0; i < JL_COUNT(shells); i++)
        if (strcmp(words.items[0], shells[i].name) == 0) {
            shells[i].print();
            return 0;
        }
    return rnx_usage(e, "no completion for '%.40s'; there is one for bash, zsh and fish",
                     words.items[0]);
}

const struct rnx_cmd rnx_cmd_completion = {
    .name = "completion",
    .args = "bash|zsh|fish",
    .choices = "bash zsh fish",
    .summary = "print a completion script for the shell",
    .more = "bash:  rnx completion bash >/etc/bash_completion.d/rnx\n"
            "zsh:   rnx completion zsh >\"${fpath[1]}/_rnx\"\n"
            "fish:  rnx completion fish >~/.config/fish/completions/rnx.fish\n",
    .run = run_completion,
};
