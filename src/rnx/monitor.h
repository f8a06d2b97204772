/*
 * monitor.h - a sample of the server's host, as JSON and as words. What is shown of it: bits.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "api/joblet.pb-c.h"
#include "base/json.h"

enum {
    RNX_MON_CPU = 1,
    RNX_MON_MEMORY = 2,
    RNX_MON_DISK = 4,
    RNX_MON_NETWORK = 8,
    RNX_MON_IO = 16,
    RNX_MON_PROCESS = 32,
    RNX_MON_ALL = 63,
};

/* The word of a filter ("cpu") as its bit; 0 for none. */
unsigned rnx_mon_bit(const char *word, size_t len);
const char *rnx_mon_word(unsigned index); /* 0 to 5; NULL after the last */

/* Parts that are not in the message are left out. */
void rnx_mon_json(struct jl_json_out *w, const Joblet__SystemStatusResponse *s, unsigned parts);

/* Everything in sections, as `monitor status` shows it. */
void rnx_mon_status_text(FILE *to, const Joblet__SystemStatusResponse *s, unsigned parts);

/* Short: a line or a few a part; compact: one line each, and no tables. */
void rnx_mon_top_text(FILE *to, const Joblet__SystemStatusResponse *s, unsigned parts,
                      bool compact);
