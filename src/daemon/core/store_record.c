/* store_record.c - a record in memory: the part of store.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "daemon/core/store.h"

int jd_record_set(char **field, const char *value)
{
    char *copy = strdup(value ? value : "");

    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

int jd_record_tell(char **field, const char *sentence)
{
    int r = jd_record_set(field, sentence);

    if (r == 0)
        jl_utf8_tame(*field, strlen(*field));
    return r;
}

static char **strings_of(struct jd_record *r, size_t i)
{
    char **const all[] = { &r->name,         &r->command,
                           &r->status,       &r->reason,
                           &r->node_id,      &r->network,
                           &r->runtime,      &r->result.start_error,
                           &r->boot_id,      &r->owner_name,
                           &r->owner_serial, &r->address,
                           &r->due_boot_id,  NULL };

    return all[i];
}

int jd_record_init(struct jd_record *r)
{
    *r = (struct jd_record){ 0 };
    for (size_t i = 0; strings_of(r, i); i++)
        if (jd_record_set(strings_of(r, i), "") < 0) {
            jd_record_done(r);
            return -ENOMEM;
        }
    return 0;
}

void jd_record_done(struct jd_record *r)
{
    for (size_t i = 0; strings_of(r, i); i++)
        free(*strings_of(r, i));
    jd_blob_done(&r->request);
    jd_blob_done(&r->secrets);
    *r = (struct jd_record){ 0 };
}
