/*
 * jobtext.h - a job as JSON and as words, for the commands that show one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "api/joblet.pb-c.h"
#include "base/json.h"

/* Is this word (any case) a job's state; has a job in this state ended; has it begun. */
bool rnx_job_is_state(const char *word);
bool rnx_job_has_ended(const char *status);
bool rnx_job_has_begun(const char *status);

/*
 * For qsort: newest first, by start; a scheduled job by its time, an ended one that never ran by when it
 * was submitted. Jobs that are about to begin come first of all.
 */
int rnx_job_compare(const Joblet__Job *a, const Joblet__Job *b);

/* One entry of `list --json`; the whole of `status --json`. */
void rnx_job_json(struct jl_json_out *w, const Joblet__Job *j);
void rnx_job_status_json(struct jl_json_out *w, const Joblet__GetJobStatusResponse *s);

/* `status` as text on standard output. now_ns: the present, wall clock. */
void rnx_job_status_text(const Joblet__GetJobStatusResponse *s, bool colour, uint64_t now_ns);
