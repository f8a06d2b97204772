/* cidr.c - see cidr.h. */
#include "daemon/core/cidr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define PREFIX_MIN 8
#define NAME_MAX_LEN 63
#define BRIDGE_PORTS 1023u /* the kernel's BR_MAX_PORTS, less the one that is none */

static uint32_t mask_of(uint8_t prefix)
{
    return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

/* A decimal without leading zeros, up to max; moves *s behind it. */
static int number(const char **s, unsigned max, unsigned *ret)
{
    const char *p = *s;
    unsigned v = 0;

    if (*p < '0' || *p > '9' || (p[0] == '0' && p[1] >= '0' && p[1] <= '9'))
        return -EINVAL;
    for (; *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (unsigned) (*p - '0');
        if (v > max)
            return -EINVAL;
    }
    *s = p;
    *ret = v;
    return 0;
}

static int quad(const char **s, uint32_t *ret)
{
    uint32_t addr = 0;
    unsigned part;

    for (int i = 0; i < 4; i++) {
        if (i > 0 && *(*s)++ != '.')
            return -EINVAL;
        if (number(s, 255, &part) < 0)
            return -EINVAL;
        addr = addr << 8 | part;
    }
    *ret = addr;
    return 0;
}

int jd_ip_parse(const char *text, uint32_t *ret)
{
    return quad(&text, ret) < 0 || *text != '\0' ? -EINVAL : 0;
}

char *jd_ip_text(uint32_t addr, char buf[JD_IP_TEXT])
{
    snprintf(buf, JD_IP_TEXT, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255,
             addr & 255);
    return buf;
}

char *jd_cidr_text(const struct jd_cidr *c, char buf[JD_CIDR_TEXT])
{
    char ip[JD_IP_TEXT];

    snprintf(buf, JD_CIDR_TEXT, "%s/%u", jd_ip_text(c->base, ip), c->prefix & 63u);
    return buf;
}

bool jd_cidr_overlap(const struct jd_cidr *a, const struct jd_cidr *b)
{
    uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);

    return ((a->base ^ b->base) & mask) == 0;
}

bool jd_cidr_has(const struct jd_cidr *c, uint32_t addr)
{
    return ((c->base ^ addr) & mask_of(c->prefix)) == 0;
}

/* Blocks that mean something else to every host. */
static int check_block(const char *what, const char *text, const struct jd_cidr *c,
                       struct jl_err *e)
{
    static const struct {
        struct jd_cidr block;
        const char *name;
    } blocks[] = {
        { { 0x00000000, 8 }, "the addresses of no network (0.0.0.0/8)" },
        { { 0x7f000000, 8 }, "the loopback addresses" },
        { { 0xa9fe0000, 16 }, "the link-local addresses" },
        { { 0xe0000000, 4 }, "the multicast addresses" },
        { { 0xf0000000, 4 }, "the reserved addresses" },
        /* what netrules.c keeps jobs away from */
        { { 0x646464c8, 32 }, "a metadata service's address, 100.100.100.200" },
        { { 0xa83f8110, 32 }, "a metadata service's address, 168.63.129.16" },
        { { 0xc00000c0, 32 }, "a metadata service's address, 192.0.0.192" },
    };

    for (size_t i = 0; i < JL_COUNT(blocks); i++)
        if (jd_cidr_overlap(c, &blocks[i].block))
            return jl_refuse(e, EINVAL, "%s '%s' holds %s", what, text, blocks[i].name);
    return 0;
}

int jd_cidr_check_private(const char *what, const struct jd_cidr *c, struct jl_err *e)
{
    static const struct jd_cidr blocks[] = {
        { 0x0a000000, 8 },  { 0xac100000, 12 }, { 0xc0a80000, 16 },
        { 0x64400000, 10 }, { 0xc6120000, 15 },
    };
    char text[JD_CIDR_TEXT];

    for (size_t i = 0; i < JL_COUNT(blocks); i++)
        if (c->prefix >= blocks[i].prefix && jd_cidr_has(&blocks[i], c->base))
            return 0;
    return jl_refuse(e, EINVAL,
                     "%s '%s' has addresses that are others'; a network's are within 10.0.0.0/8, "
                     "172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 or 198.18.0.0/15",
                     what, jd_cidr_text(c, text));
}

int jd_cidr_parse(const char *what, const char *text, uint8_t longest, struct jd_cidr *ret,
                  struct jl_err *e)
{
    const char *s = text;
    char fixed[JD_CIDR_TEXT];
    unsigned prefix;

    *ret = (struct jd_cidr){ 0 };
    if (quad(&s, &ret->base) < 0 || *s++ != '/' || number(&s, 32, &prefix) < 0 || *s != '\0')
        return jl_refuse(e, EINVAL, "%s '%.40s' is no IPv4 network such as 10.100.0.0/24", what,
                         text);
    ret->prefix = (uint8_t) prefix;
    if (prefix < PREFIX_MIN || prefix > longest)
        return jl_refuse(e, EINVAL, "%s '%s': the prefix must be /%d to /%d", what, text,
                         PREFIX_MIN, longest);
    if (ret->base & ~mask_of(ret->prefix)) {
        ret->base &= mask_of(ret->prefix);
        return jl_refuse(e, EINVAL, "%s '%s' has bits behind its prefix; do you mean %s?", what,
                         text, jd_cidr_text(ret, fixed));
    }
    return check_block(what, text, ret, e);
}

int jd_net_check_name(const char *name, struct jl_err *e)
{
    static const char *const reserved[] = { "none", "isolated", "bridge", "host" };
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    size_t n = strspn(name, letters);

    if (n == 0 || name[n] != '\0' || n > NAME_MAX_LEN || name[0] == '-' || name[n - 1] == '-')
        return jl_refuse(e, EINVAL,
                         "'%.70s' is no name of a network: 1 to %d letters, digits and -, which is "
                         "neither first nor last",
                         name, NAME_MAX_LEN);
    for (size_t i = 0; i < JL_COUNT(reserved); i++)
        if (strcmp(name, reserved[i]) == 0)
            return jl_refuse(e, EINVAL, "the network name '%s' is reserved", name);
    return 0;
}

/* ---- who has which */

void jd_places_init(struct jd_places *p, const struct jd_cidr *cidr, uint32_t block)
{
    *p = (struct jd_places){ .cidr = *cidr, .block = block };
    p->last = block == 1 ? 1 : UINT32_MAX;
}

void jd_places_done(struct jd_places *p)
{
    free(p->taken);
    *p = (struct jd_places){ 0 };
}

/* Places from first to last - 1. */
static uint32_t first_place(const struct jd_places *p)
{
    return p->block == 1 ? 2 : 0;
}

static uint32_t end_place(const struct jd_places *p)
{
    uint32_t size = (uint32_t) (0x100000000ULL >> p->cidr.prefix);

    return p->block == 1 ? size - 1 : size / p->block;
}

static uint32_t addr_of(const struct jd_places *p, uint32_t place)
{
    return p->cidr.base + (p->block == 1 ? place : place * p->block + 2);
}

/* false: none of ours. */
static bool place_of(const struct jd_places *p, uint32_t addr, uint32_t *ret)
{
    uint32_t place;

    if (!jd_cidr_has(&p->cidr, addr))
        return false;
    place = (addr - p->cidr.base) / p->block;
    if (place < first_place(p) || place >= end_place(p) || addr_of(p, place) != addr)
        return false;
    *ret = place;
    return true;
}

static bool is_taken(const struct jd_places *p, uint32_t place)
{
    return place / 8 < p->bytes && p->taken[place / 8] & 1u << place % 8;
}

bool jd_places_full(const struct jd_places *p)
{
    uint32_t n = end_place(p) - first_place(p);

    return p->n >= (p->block == 1 && n > BRIDGE_PORTS ? BRIDGE_PORTS : n);
}

static int mark(struct jd_places *p, uint32_t place)
{
    if (is_taken(p, place))
        return 0;
    if (place / 8 >= p->bytes) {
        size_t bytes = place / 8 + 64;
        uint8_t *more = realloc(p->taken, bytes);

        if (!more)
            return -ENOMEM;
        memset(more + p->bytes, 0, bytes - p->bytes);
        p->taken = more;
        p->bytes = bytes;
    }
    p->taken[place / 8] |= (uint8_t) (1u << place % 8);
    p->n++;
    return 0;
}

int jd_places_take(struct jd_places *p, uint32_t *ret)
{
    uint32_t first = first_place(p), n = end_place(p) - first, place;

    for (uint32_t i = 0; i < n && !jd_places_full(p); i++) {
        place = p->last + 1 + i; /* wraps around to 0 for the very first block */
        if (place < first || place >= first + n)
            place = first + (place - first) % n;
        if (is_taken(p, place))
            continue;
        if (mark(p, place) < 0)
            return -ENOMEM;
        p->last = place;
        *ret = addr_of(p, place);
        return 0;
    }
    return -ENOSPC;
}

int jd_places_take_this(struct jd_places *p, uint32_t addr)
{
    uint32_t place;

    return place_of(p, addr, &place) ? mark(p, place) : -ERANGE;
}

void jd_places_give(struct jd_places *p, uint32_t addr)
{
    uint32_t place;

    if (place_of(p, addr, &place) && is_taken(p, place)) {
        p->taken[place / 8] &= (uint8_t) ~(1u << place % 8);
        p->n--;
    }
}

bool jd_places_has(const struct jd_places *p, uint32_t addr)
{
    uint32_t place;

    return place_of(p, addr, &place) && is_taken(p, place);
}

uint32_t jd_places_gateway(const struct jd_places *p, uint32_t addr)
{
    return p->block == 1 ? p->cidr.base + 1 : addr - 1;
}
