/*
 * jobs_find.c - jobs by id: the parts of jobs.h that look one up. Ids are random, so their first
 * three digits spread them evenly; a short id has at least four, so it is looked for in one place.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "api/validate.h"
#include "base/id.h"
#include "daemon/core/core.h"

#define CANDIDATES_MAX 5

static size_t bucket(const char *id)
{
    size_t n = 0;

    for (size_t i = 0; i < 3 && id[i]; i++) {
        char c = id[i];

        n = n << 4 | (size_t) (c >= 'a' ? c - 'a' + 10 : c - '0') % 16;
    }
    return n % JD_JOBS_BUCKETS;
}

void jd_jobs_index(struct jd_core *c, struct jd_job *j)
{
    struct jd_job **first = &c->jobs.alike[bucket(j->rec.id)];

    j->next_alike = *first;
    *first = j;
}

void jd_jobs_unindex(struct jd_core *c, struct jd_job *j)
{
    struct jd_job **at = &c->jobs.alike[bucket(j->rec.id)];

    while (*at != j)
        at = &(*at)->next_alike;
    *at = j->next_alike;
}

struct jd_job *jd_jobs_get(const struct jd_core *c, const char *id)
{
    struct jd_job *j = c->jobs.alike[bucket(id)];

    while (j && strcmp(j->rec.id, id) != 0)
        j = j->next_alike;
    return j;
}

static struct jd_job *ambiguous(struct jd_job *first, const char *id, struct jl_err *e)
{
    char list[CANDIDATES_MAX * (JL_ID_LEN + 2) + 8] = "";
    size_t used = 0, n = 0;

    for (const struct jd_job *j = first; j; j = j->next_alike) {
        if (strncmp(j->rec.id, id, strlen(id)) != 0)
            continue;
        if (n++ < CANDIDATES_MAX)
            used += (size_t) snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "",
                                      j->rec.id);
    }
    jl_refuse(e, EINVAL, "job id '%s' is ambiguous: %s%s", id, list,
              n > CANDIDATES_MAX ? ", ..." : "");
    return NULL;
}

struct jd_job *jd_jobs_find(const struct jd_core *c, const char *id, struct jl_err *e)
{
    struct jd_job *found = NULL;
    size_t len = strlen(id);

    if (api_validate_id("uuid", id, e) < 0)
        return NULL;
    for (struct jd_job *j = c->jobs.alike[bucket(id)]; j; j = j->next_alike) {
        if (strncmp(j->rec.id, id, len) != 0)
            continue;
        if (found)
            return ambiguous(c->jobs.alike[bucket(id)], id, e);
        found = j;
    }
    if (!found)
        jl_refuse(e, ENOENT, "job '%s' not found", id);
    return found;
}
