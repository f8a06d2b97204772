/* volume.c - see volume.h. */
#include "api/volume.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

static const char *const type_names[] = {
    [API_VOLUME_FILESYSTEM] = "filesystem",
    [API_VOLUME_MEMORY] = "memory",
};

const char *api_volume_type_name(enum api_volume_type type)
{
    return type_names[type];
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int check_name(const char *field, const char *name, size_t n, struct jl_err *e)
{
    bool good = n > 0 && is_alnum(name[0]) && is_alnum(name[n - 1]);

    if (n > API_NAME_MAX)
        return jl_refuse(e, EMSGSIZE, "%s has %zu bytes, limit is %d", field, n, API_NAME_MAX);
    for (size_t i = 0; i < n; i++)
        good = good && (is_alnum(name[i]) || name[i] == '_' || name[i] == '-');
    if (good)
        return 0;
    return jl_refuse(e, EINVAL,
                     "%s: '%.*s' is not a volume's name: 1 to %d letters, digits, _ and -, the "
                     "first and the last a letter or digit",
                     field, (int) n, name, API_NAME_MAX);
}

int api_volume_name(const char *field, const char *name, struct jl_err *e)
{
    return check_name(field, name, strlen(name), e);
}

int api_volume_entry(const char *field, const char *entry, char *name, bool *ret_read_only,
                     struct jl_err *e)
{
    size_t n = strcspn(entry, ":");
    int r = check_name(field, entry, n, e);

    if (r < 0)
        return r;
    if (entry[n] && strcmp(entry + n, ":ro") != 0 && strcmp(entry + n, ":rw") != 0)
        return jl_refuse(e, EINVAL, "%s: '%.80s': after the name comes :ro, :rw or nothing", field,
                         entry);
    memcpy(name, entry, n);
    name[n] = '\0';
    *ret_read_only = strcmp(entry + n, ":ro") == 0;
    return 0;
}

int api_volume_new(const Joblet__CreateVolumeRequest *r, uint64_t *ret_bytes,
                   enum api_volume_type *ret_type, struct jl_err *e)
{
    int x = api_volume_name("name", r->name, e);

    if (x < 0)
        return x;
    if (!r->size[0])
        return jl_refuse(e, EINVAL, "size is empty: give one such as 1GB");
    if (strlen(r->size) > API_VOLUME_SIZE_MAX)
        return jl_refuse(e, EMSGSIZE, "size has %zu bytes, limit is %d", strlen(r->size),
                         API_VOLUME_SIZE_MAX);
    x = jl_parse_size(r->size, ret_bytes);
    if (x == -EINVAL)
        return jl_refuse(e, EINVAL, "size '%s' is no size: a number and B, KB, MB, GB or TB",
                         r->size);
    if (x < 0 || *ret_bytes < API_VOLUME_LEAST || *ret_bytes > API_VOLUME_MOST)
        return jl_refuse(e, ERANGE, "size is %s: 1MB to 16TB is allowed", r->size);
    *ret_type = API_VOLUME_FILESYSTEM;
    if (strcmp(r->type, "memory") == 0)
        *ret_type = API_VOLUME_MEMORY;
    else if (r->type[0] && strcmp(r->type, "filesystem") != 0)
        return jl_refuse(e, EINVAL, "type '%.40s' is neither filesystem nor memory", r->type);
    return 0;
}
