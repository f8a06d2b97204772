/* exec_process.c - see exec_process.h. */
#include "runtime/exec_process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

/* "1000", "1000:100"; nothing else, and never a silent 0 (CVE-2026-30892). */
static int parse_user(const char *text, struct oci_user *u, struct jl_err *e)
{
    const char *colon = strchr(text, ':');
    _free_ char *uid_text = colon ? strndup(text, (size_t) (colon - text)) : strdup(text);
    uint64_t uid, gid = 0;

    if (!uid_text)
        return jl_fail(e, ENOMEM, "--user");
    if (jl_parse_u64(uid_text, UINT32_MAX - 1, &uid) < 0 ||
        (colon && jl_parse_u64(colon + 1, UINT32_MAX - 1, &gid) < 0))
        return jl_refuse(e, EINVAL, "--user: '%s' is not UID or UID:GID in numbers", text);
    u->uid = (uint32_t) uid;
    if (colon)
        u->gid = (uint32_t) gid;
    return 0;
}

static int add_gids(const struct jl_strv *words, struct oci_user *u, struct jl_err *e)
{
    uint32_t *gids;

    if (words->len == 0)
        return 0;
    gids = calloc(u->n_additional_gids + words->len, sizeof *gids);
    if (!gids)
        return jl_fail(e, ENOMEM, "--additional-gids");
    if (u->n_additional_gids > 0)
        memcpy(gids, u->additional_gids, u->n_additional_gids * sizeof *gids);
    for (size_t i = 0; i < words->len; i++) {
        uint64_t gid;

        if (jl_parse_u64(words->items[i], UINT32_MAX - 1, &gid) < 0) {
            free(gids);
            return jl_refuse(e, EINVAL, "--additional-gids: '%s' is no group number",
                             words->items[i]);
        }
        gids[u->n_additional_gids + i] = (uint32_t) gid;
    }
    free(u->additional_gids);
    u->additional_gids = gids;
    u->n_additional_gids += words->len;
    return 0;
}

/* runc adds to all sets but the inheritable one. */
static int add_caps(const struct jl_strv *words, struct oci_process *p, struct jl_err *e)
{
    struct oci_capabilities *c = p->capabilities;

    if (words->len == 0)
        return 0;
    if (!c)
        c = p->capabilities = calloc(1, sizeof *c);
    for (size_t i = 0; c && i < words->len; i++) {
        const char *w = words->items[i];

        if (oci_strings_add(&c->bounding, &c->n_bounding, w) < 0 ||
            oci_strings_add(&c->effective, &c->n_effective, w) < 0 ||
            oci_strings_add(&c->permitted, &c->n_permitted, w) < 0 ||
            oci_strings_add(&c->ambient, &c->n_ambient, w) < 0)
            c = NULL;
    }
    return c ? 0 : jl_fail(e, ENOMEM, "--cap");
}

/* text NULL: stays as it is. 0 or -ENOMEM. */
static int replace(char **value, const char *text)
{
    char *copy = text ? strdup(text) : NULL;

    if (!text)
        return 0;
    if (!copy)
        return -ENOMEM;
    free(*value);
    *value = copy;
    return 0;
}

static void clear_strings(char ***list, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        free((*list)[i]);
    free(*list);
    *list = NULL;
    *n = 0;
}

int rt_exec_process_edit(const struct rt_exec_asked *a, struct oci_process *p, struct jl_err *e)
{
    int r = 0;

    clear_strings(&p->args, &p->n_args);
    for (size_t i = 0; i < a->n_args && r == 0; i++)
        r = oci_strings_add(&p->args, &p->n_args, a->args[i]);
    for (size_t i = 0; i < a->env.len && r == 0; i++)
        r = oci_strings_add(&p->env, &p->n_env, a->env.items[i]);
    if (r == 0 && !p->user)
        r = (p->user = calloc(1, sizeof *p->user)) ? 0 : -ENOMEM;
    if (r == 0)
        r = replace(&p->cwd, a->cwd);
    if (r == 0)
        r = replace(&p->apparmor_profile, a->apparmor);
    if (r == 0)
        r = replace(&p->selinux_label, a->label);
    if (r < 0)
        return jl_fail(e, -r, "exec");
    if (a->user)
        r = parse_user(a->user, p->user, e);
    if (r == 0)
        r = add_gids(&a->gids, p->user, e);
    if (r == 0)
        r = add_caps(&a->caps, p, e);
    p->terminal = p->has_terminal = a->tty;
    if (a->no_new_privs)
        p->no_new_privileges = p->has_no_new_privileges = true;
    return r;
}

int rt_exec_process_read(const char *text, size_t len, struct oci_process **ret, struct jl_err *e)
{
    return oci_process_parse(text, len, NULL, ret, e);
}

int rt_exec_unused(const struct rt_exec_asked *a, struct jl_strv *warnings)
{
    const struct {
        const char *name;
        bool given;
    } options[] = {
        { "--additional-gids", a->gids.len > 0 },
        { "--apparmor", a->apparmor != NULL },
        { "--cap", a->caps.len > 0 },
        { "--cwd", a->cwd != NULL },
        { "--env", a->env.len > 0 },
        { "--no-new-privs", a->no_new_privs },
        { "--process-label", a->label != NULL },
        { "--user", a->user != NULL },
        { "COMMAND", a->n_args > 0 },
    };

    for (size_t i = 0; i < JL_COUNT(options); i++)
        if (options[i].given &&
            jl_strv_addf(warnings, "exec: %s has no effect: --process says all of it",
                         options[i].name) < 0)
            return -ENOMEM;
    return 0;
}
