/*
 * many.h - commands that take several job ids: all are tried; with --json the answers come as one
 * document, or as an array of them when there were several ids.
 */
#pragma once

#include "base/err.h"
#include "base/json.h"
#include "rnx/cmd.h"

/* Does one: prints text, or adds its document to w when x->json. 0, or -errno with e filled. */
typedef int rnx_one_fn(struct rnx *x, char *id, struct jl_json_out *w, struct jl_err *e);

/* A whole command: parses argv, calls fn for each id. Exit status: 0, 1 when one of several failed
 * (told on standard error); or -errno with e filled. */
int rnx_each_id(struct rnx *x, int argc, char **argv, rnx_one_fn *fn, struct jl_err *e);
