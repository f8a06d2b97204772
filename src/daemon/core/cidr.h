/*
 * cidr.h - IPv4 networks and who has which address in one. Pure: no system call. Addresses are in
 * host byte order.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jl_err;

#define JD_IP_TEXT 16   /* "255.255.255.255" */
#define JD_CIDR_TEXT 19 /* with its "/32" */

struct jd_cidr {
    uint32_t base;
    uint8_t prefix;
};

/* "10.100.0.0/24": canonical (no bits behind the prefix), prefix from 8 to `longest`, no loopback,
 * link-local, multicast or reserved block. what is named in the refusal. 0, or -EINVAL with e. */
int jd_cidr_parse(const char *what, const char *text, uint8_t longest, struct jd_cidr *ret,
                  struct jl_err *e);
/* Whether nobody on the Internet has these addresses: what a client may ask for. 0, or -EINVAL with e. */
int jd_cidr_check_private(const char *what, const struct jd_cidr *c, struct jl_err *e);
/* What a custom network may be called: 1 to 63 of letters, digits and -, which is neither first nor
 * last; not none, isolated, bridge or host. 0, or -EINVAL with e filled. */
int jd_net_check_name(const char *name, struct jl_err *e);
bool jd_cidr_overlap(const struct jd_cidr *a, const struct jd_cidr *b);
bool jd_cidr_has(const struct jd_cidr *c, uint32_t addr);
char *jd_cidr_text(const struct jd_cidr *c, char buf[JD_CIDR_TEXT]);

/* Dotted quads without leading zeros. 0 or -EINVAL. */
int jd_ip_parse(const char *text, uint32_t *ret);
char *jd_ip_text(uint32_t addr, char buf[JD_IP_TEXT]);

/*
 * The addresses of a network: each place is one address, or with `block` 4 a /30 of which the third
 * address is the job's. The gateway has the first address (of each block), jobs begin at the
 * second; network and broadcast address are nobody's.
 */
struct jd_places {
    struct jd_cidr cidr;
    uint32_t block; /* 1 or 4 */
    uint32_t n;     /* that are taken */
    uint8_t *taken; /* a bit a place; own */
    size_t bytes;
    uint32_t last; /* given out last: the next one follows it, so that none comes again at once */
};

void jd_places_init(struct jd_places *p, const struct jd_cidr *cidr, uint32_t block);
void jd_places_done(struct jd_places *p);
/* Whether no more can be had: all addresses are taken, or as many as a bridge has ports. */
bool jd_places_full(const struct jd_places *p);
/* The next free address. 0, -ENOSPC all are taken, -ENOMEM. */
int jd_places_take(struct jd_places *p, uint32_t *ret);
/* Takes this one; taken already is fine. 0, -ERANGE it is none of ours, -ENOMEM. */
int jd_places_take_this(struct jd_places *p, uint32_t addr);
void jd_places_give(struct jd_places *p, uint32_t addr);
bool jd_places_has(const struct jd_places *p, uint32_t addr);
/* The gateway of the job with this address. */
uint32_t jd_places_gateway(const struct jd_places *p, uint32_t addr);
