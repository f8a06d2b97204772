/*
 * spec_strict.c - keys of config.json that the specification doesn't know. It wants them ignored
 * (config.md, Extensibility), which hides misspelt ones: so whoever asks gets them all by path.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "runtime/spec.h"

/* Known to the specification, for other platforms. */
static bool is_of_other_platform(const char *path)
{
    static const char *const known[] = {
        "solaris", "windows", "vm", "zos", "freebsd", "process.commandLine", "process.user.username"
    };

    for (size_t i = 0; i < JL_COUNT(known); i++)
        if (strcmp(path, known[i]) == 0)
            return true;
    return false;
}

static int list(const struct oci_unknown *u, struct jl_strv *paths)
{
    int r = 0;

    for (size_t i = 0; i < u->n && r == 0; i++)
        if (!is_of_other_platform(u->paths[i]))
            r = jl_strv_add(paths, u->paths[i]);
    return r;
}

/* The sentence has room for some hundred bytes of them. */
static int refuse(const struct jl_strv *paths, size_t more, struct jl_err *e)
{
    _buf_ struct jl_buf names = JL_BUF_INIT(JL_ERR_TEXT_MAX);
    size_t n = paths->len + more, shown = 0;

    for (; shown < paths->len && names.len + strlen(paths->items[shown]) < 300; shown++)
        jl_buf_printf(&names, "%s%s", shown ? ", " : "", paths->items[shown]);
    if (shown < n)
        jl_buf_printf(&names, "%sand %zu more", shown ? " " : "", n - shown);
    jl_refuse(e, EINVAL, "config.json: %zu key%s not known to the specification: %s", n,
              n == 1 ? " is" : "s are", names.data);
    jl_hint(e, "correct them, keep them as annotations, or leave --strict away");
    return jl_phase(e, "spec");
}

int rt_spec_check_strict(const struct rt_spec *s, struct jl_strv *ret_paths, struct jl_err *e)
{
    struct oci_unknown u = OCI_UNKNOWN_INIT;
    struct oci_parse_opts opts = { .unknown = &u };
    struct oci_spec *again = NULL;
    int r = oci_spec_parse(s->text, s->text_len, &opts, &again, e);

    oci_spec_free(again);
    if (r == 0 && list(&u, ret_paths) < 0)
        r = jl_fail(e, ENOMEM, "list the unknown keys");
    if (r == 0 && ret_paths->len + u.more > 0)
        r = refuse(ret_paths, u.more, e);
    oci_unknown_clear(&u);
    return r;
}
