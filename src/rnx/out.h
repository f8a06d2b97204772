/*
 * out.h - what rnx prints: tables, times, durations, sizes, colours, JSON. Text that came from a
 * server or another user is tamed first: no byte of it can move the terminal's cursor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

struct rnx_column {
    const char *head;
    unsigned max; /* characters; longer cells are cut and end in "..."; 0: no limit */
    bool status;  /* coloured as a job's status */
    unsigned min; /* characters, at least as wide as this */
};

/* Prints header, a line of dashes and the rows; columns as wide as their content, two blanks
 * between, none at the end. cells: n_rows * n_columns strings, row after row. */
void rnx_table(FILE *to, const struct rnx_column *columns, size_t n_columns,
               const char *const *cells, size_t n_rows, bool colour);

/* Control characters become '?'; bytes that are not UTF-8 too. Returns buf. */
char *rnx_tame(const char *s, char *buf, size_t size);

/* The escape that colours this status, "" for none. */
const char *rnx_status_colour(const char *status);

/* "RUNNING", coloured when asked. Returns buf. */
char *rnx_status_text(const char *status, bool colour, char *buf, size_t size);

/* RFC 3339 to "YYYY-MM-DD HH:MM:SS" in the user's time zone, with its name when `zone`; the text
 * itself when it is no time; `none` when it is empty. Returns buf. */
char *rnx_time_text(const char *rfc3339, bool zone, const char *none, char *buf, size_t size);

/* 12.34 KB, MB, GB (1024-based). Returns buf. */
char *rnx_size_text(uint64_t bytes, char *buf, size_t size);

/* Command and arguments as one line: the first line of it, at most `max` characters. */
char *rnx_command_text(const char *command, char *const *args, size_t n_args, size_t max, char *buf,
                       size_t size);

/* A writer into b as rnx's --json output is written: two blanks a level, or one line. */
void rnx_json_begin(struct jl_json_out *w, struct jl_buf *b, bool one_line);
void rnx_json_str(struct jl_json_out *w, const char *key, const char *s); /* left out when empty */
void rnx_json_int(struct jl_json_out *w, const char *key, int64_t v);     /* left out when 0 */
void rnx_json_strv(struct jl_json_out *w, const char *key, char *const *items, size_t n);

/* Ends the document and prints it with a line break. 0 or -errno with e filled. */
int rnx_json_print(struct jl_json_out *w, FILE *to, struct jl_err *e);

/* Bytes to standard output at once. -EPIPE (the reader has gone) and others with e filled. */
int rnx_write(const void *data, size_t len, struct jl_err *e);
