/*
 * progress.h - how far a transfer is, on one line of standard error that is drawn over itself; nothing
 * when standard error is no terminal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rnx_progress {
    bool on;
    uint64_t total, done; /* bytes */
    uint64_t began_ns, drawn_ns;
};

void rnx_progress_begin(struct rnx_progress *p, uint64_t total);
void rnx_progress_add(struct rnx_progress *p, uint64_t bytes);
/* Draws it a last time and leaves the line; before anything else is written to the terminal. */
void rnx_progress_end(struct rnx_progress *p);
