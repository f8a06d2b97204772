/*
 * hash.h - a short number for a text, the same on every host and after every restart; others may
 * have the same. It is FNV-1a, which src/os/syscalls.py has too.
 */
#pragma once

#include <stdint.h>

static inline uint32_t jl_hash(const char *text)
{
    uint32_t h = 2166136261u;

    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char) *text) * 16777619u;
    return h;
}
