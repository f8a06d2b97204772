/*
 * answer.h - what an OCI runtime said when it could not start the job: its log of JSON lines, as
 * runc, crun and joblet-run write with `--log FILE --log-format json`. The file is made by
 * another program and is judged as any input: the parser is small, bounded and takes no heap.
 */
#pragma once

#include <stddef.h>

struct jl_err;

/*
 * Finds the last line whose level is error, fatal or panic and fills e with its "msg", and with
 * "phase", "syscall", "object", "hint" and "errno" where the runtime gives them (joblet-run).
 * Returns 1 when there is such a line, 0 when not (e is unchanged).
 */
int sh_answer_parse(const char *text, size_t len, struct jl_err *e);

/* The exit code that a shell gives for such a failure: 127 the command was not found, 126 it was
 * found and cannot be executed, 1 anything else. status: the runtime's own exit code. */
int sh_answer_code(const struct jl_err *e, int status);
