/*
 * revoked.h - the serial numbers of revoked client certificates: the file PREFIX/config/revoked,
 * which core reads, and the same text as it goes to joblet-front. docs/formats/revoked.md is the
 * reference. Pure functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct jl_buf;

#define IPC_REVOKED_MAX 16384            /* serials */
#define IPC_REVOKED_BYTES_MAX (1u << 20) /* of the file */
#define IPC_SERIAL_MAX 41                /* 20 octets (RFC 5280, 4.1.2.2) in hex, and a NUL */

struct ipc_revoked {
    char (*serials)[IPC_SERIAL_MAX]; /* own; ascending, none twice */
    size_t n;
};

/*
 * Reads the text: a serial number a line, hexadecimal as openssl(1) writes it, in any case, with
 * colons or without, 0x before it or not; "#" begins a comment. Strict: one line that is something
 * else, or a last line without its end (a file that is still being written), refuses the whole.
 * 0, or -errno with e filled (name stands in it) and *ret empty.
 */
int ipc_revoked_parse(const char *name, const char *text, size_t len, struct ipc_revoked *ret,
                      struct jl_err *e);

/* The list as text that ipc_revoked_parse reads again. 0 or -errno. */
int ipc_revoked_write(const struct ipc_revoked *r, struct jl_buf *out);

/* Whether a certificate with this serial (hex) is refused. One whose serial can't be read could
 * never be revoked, and is refused. */
bool ipc_revoked_has(const struct ipc_revoked *r, const char *serial);

void ipc_revoked_done(struct ipc_revoked *r);
#define _revoked_ __attribute__((cleanup(ipc_revoked_done)))
