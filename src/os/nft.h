/*
 * nft.h - the kernel's packet filter through libnftables, in the language of nft(8). An archive of
 * its own (libosnft.a), so that nothing else links the library.
 */
#pragma once

struct jl_buf;
struct jl_err;

/* Runs the commands as one transaction: all or nothing. Waits for the kernel. Privilege:
 * CAP_NET_ADMIN in the user namespace of the network namespace. 0, or -EIO with e filled (the
 * library tells no errno), -ENOMEM. */
int os_nft_run(const char *commands, struct jl_err *e);

/* What a `list` command prints, in ret, which ends with a NUL. Returns as os_nft_run. */
int os_nft_list(const char *command, struct jl_buf *ret, struct jl_err *e);
