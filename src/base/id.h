/*
 * id.h - job ids: random UUIDs (version 4, RFC 9562) in lower case, 36 characters.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define JL_ID_LEN 36

/* A new random id. 0 or -errno (the kernel's random source refused). */
int jl_id_new(char ret_id[JL_ID_LEN + 1]);

/* A UUID in its usual spelling, any version, lower case. */
bool jl_id_is_valid(const char *s);

/* A prefix of such an id of at least `least` characters, a whole id included. */
bool jl_id_is_prefix(const char *s, size_t least);
