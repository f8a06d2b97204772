/*
 * wire.h - fixed-size little-endian numbers in packets and records, whatever the host's order.
 * For the codecs of this folder only.
 */
#pragma once

#include <stdint.h>

static inline void ipc_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t) v;
    p[1] = (uint8_t) (v >> 8);
}

static inline void ipc_put32(uint8_t *p, uint32_t v)
{
    ipc_put16(p, (uint16_t) v);
    ipc_put16(p + 2, (uint16_t) (v >> 16));
}

static inline void ipc_put64(uint8_t *p, uint64_t v)
{
    ipc_put32(p, (uint32_t) v);
    ipc_put32(p + 4, (uint32_t) (v >> 32));
}

static inline uint16_t ipc_get16(const uint8_t *p)
{
    return (uint16_t) (p[0] | (unsigned) p[1] << 8);
}

static inline uint32_t ipc_get32(const uint8_t *p)
{
    return ipc_get16(p) | (uint32_t) ipc_get16(p + 2) << 16;
}

static inline uint64_t ipc_get64(const uint8_t *p)
{
    return ipc_get32(p) | (uint64_t) ipc_get32(p + 4) << 32;
}
