/*
 * utf8.h - is this UTF-8 (RFC 3629)? And what to do if not. No overlong forms, no surrogates, nothing above U+10FFFF.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True when all bytes are UTF-8; else false, with the offset of the first one that is not in
 * *ret_bad (may be NULL). NUL bytes are UTF-8. */
bool jl_utf8_valid(const char *s, size_t len, size_t *ret_bad);

/* Makes a line of text of what may be anything, a name that a job chose or a sentence that was cut in
 * a character: control characters and bytes that are not UTF-8 become '?'. */
void jl_utf8_tame(char *s, size_t len);
