/* volume_list.h - the list of volumes: volumes.c's, for op_volume.c. */
#pragma once

#include "daemon/core/volume.h"
#include "daemon/core/volume_work.h"

struct jd_volume *jd_volume_find(const struct jd_core *c, const char *name);
struct jd_volume *jd_volume_add(struct jd_core *c, const struct jd_volume_row *row); /* or NULL */
void jd_volume_forget(struct jd_volume *v); /* out of the list, and freed */
bool jd_volume_is_memory(const struct jd_volume *v);
unsigned jd_volume_jobs(const struct jd_volume *v); /* that have not ended and name it */
struct jd_volume_job jd_volume_request(const struct jd_volume *v);
