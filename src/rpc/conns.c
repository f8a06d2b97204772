/* conns.c - see conns.h. */
#include "rpc/conns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h> /* the C library's tcp_info ends before tcpi_bytes_received */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

struct conn {
    int fd;                /* ours; -1: the place is free */
    uint64_t number, read; /* read: rpc_conns_read */
    uint16_t port;
    bool warned; /* it was told that its client has too many */
    char host[INET6_ADDRSTRLEN];
    char serial[64]; /* "": a stranger */
};

struct rpc_conns {
    struct rpc_conns_limits limits;
    int epoll_fd;
    uint64_t last;
    unsigned n;
    struct conn *table; /* limits.all */
};

/* Core's threads accept, the owner learns and forgets. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct rpc_conns *counted;

/* A connection as gRPC spells it: an IPv4 address behind an IPv6 socket is an IPv4 address. */
static bool name_of(int fd, char *host, size_t size, uint16_t *ret_port)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    const struct sockaddr_in6 *six = (const void *) &a;
    const struct sockaddr_in *four = (const void *) &a;

    if (getpeername(fd, (struct sockaddr *) &a, &len) < 0)
        return false;
    if (a.ss_family == AF_INET) {
        *ret_port = ntohs(four->sin_port);
        return inet_ntop(AF_INET, &four->sin_addr, host, (socklen_t) size) != NULL;
    }
    if (a.ss_family != AF_INET6)
        return false;
    *ret_port = ntohs(six->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        return inet_ntop(AF_INET, six->sin6_addr.s6_addr + 12, host, (socklen_t) size) != NULL;
    return inet_ntop(AF_INET6, &six->sin6_addr, host, (socklen_t) size) != NULL;
}

/* The descriptor leaves epoll as it is closed: nothing else has this open file but core's number,
 * which epoll does not watch here. */
static void forget(struct rpc_conns *c, struct conn *k)
{
    epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, k->fd, NULL);
    k->fd = jl_close(k->fd);
    c->n--;
}

static void end(struct rpc_conns *c, struct conn *k)
{
    shutdown(k->fd, SHUT_RDWR);
    forget(c, k);
}

/* The oldest stranger, of this host or of any (NULL). */
static struct conn *oldest_stranger(const struct rpc_conns *c, const char *host)
{
    struct conn *found = NULL;

    for (unsigned i = 0; i < c->limits.all; i++) {
        struct conn *k = &c->table[i];

        if (k->fd >= 0 && !k->serial[0] && (!host || strcmp(k->host, host) == 0) &&
            (!found || k->number < found->number))
            found = k;
    }
    return found;
}

/* Makes room for one more of this host. False: there is none. */
static bool make_room(struct rpc_conns *c, const char *host)
{
    unsigned of_host = 0, strangers = 0;
    struct conn *victim = NULL;

    for (unsigned i = 0; i < c->limits.all; i++) {
        const struct conn *k = &c->table[i];

        if (k->fd >= 0 && strcmp(k->host, host) == 0) {
            of_host++;
            strangers += !k->serial[0];
        }
    }
    if (of_host >= c->limits.per_host || strangers >= c->limits.strangers_host)
        victim = oldest_stranger(c, host);
    else if (c->n >= c->limits.all)
        victim = oldest_stranger(c, NULL);
    else
        return true;
    if (!victim)
        return false;
    end(c, victim);
    return true;
}

/* Counts a new connection; false: it is one too many. */
static bool admit(struct rpc_conns *c, int fd)
{
    struct epoll_event ev = { .events = EPOLLRDHUP };
    struct conn fresh = { .number = ++c->last };
    struct conn *k = c->table;

    if (!name_of(fd, fresh.host, sizeof fresh.host, &fresh.port) || !make_room(c, fresh.host))
        return false;
    while (k->fd >= 0)
        k++; /* make_room has seen to it that there is a place */
    fresh.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    ev.data.ptr = k;
    if (fresh.fd < 0 || epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fresh.fd, &ev) < 0) {
        jl_close(fresh.fd);
        return false;
    }
    *k = fresh;
    c->n++;
    return true;
}

/* In place of the C library's, see conns.h; accept4(2). */
int accept4(int sock, struct sockaddr *addr, socklen_t *len, int flags)
{
    socklen_t room = len ? *len : 0;

    for (;;) {
        int fd = (int) syscall(SYS_accept4, sock, addr, len, flags);
        bool ok = true;

        if (fd < 0)
            return fd;
        pthread_mutex_lock(&lock);
        if (counted)
            ok = admit(counted, fd);
        pthread_mutex_unlock(&lock);
        if (ok)
            return fd;
        jl_close(fd);
        if (len)
            *len = room;
    }
}

struct rpc_conns *rpc_conns_new(const struct rpc_conns_limits *l)
{
    struct rpc_conns *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->limits = *l;
    c->table = calloc(l->all, sizeof *c->table);
    c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; c->table && i < l->all; i++)
        c->table[i].fd = -1;
    if (!c->table || c->epoll_fd < 0) {
        rpc_conns_free(c);
        return NULL;
    }
    pthread_mutex_lock(&lock);
    counted = c;
    pthread_mutex_unlock(&lock);
    return c;
}

void rpc_conns_free(struct rpc_conns *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&lock);
    if (counted == c)
        counted = NULL;
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; c->table && i < c->limits.all; i++)
        jl_close(c->table[i].fd);
    jl_close(c->epoll_fd);
    free(c->table);
    free(c);
}

int rpc_conns_fd(const struct rpc_conns *c)
{
    return c->epoll_fd;
}

void rpc_conns_dispatch(struct rpc_conns *c)
{
    struct epoll_event events[64];
    int n;

    pthread_mutex_lock(&lock); /* before the wait: a place that ends here can't be taken anew */
    n = epoll_wait(c->epoll_fd, events, (int) JL_COUNT(events), 0);
    for (int i = 0; i < n; i++) {
        struct conn *k = events[i].data.ptr;

        if (k->fd >= 0)
            forget(c, k);
    }
    pthread_mutex_unlock(&lock);
}

/* "192.0.2.1:40312", "[2001:db8::1]:40312". NULL: not there, or gone. */
static struct conn *find(const struct rpc_conns *c, const char *peer)
{
    const char *colon = strrchr(peer, ':');
    char host[INET6_ADDRSTRLEN];
    unsigned long port = colon ? strtoul(colon + 1, NULL, 10) : 0;
    bool six = peer[0] == '[';
    size_t len = colon ? (size_t) (colon - peer) : 0;

    if (len < 3 || len - 2 * six >= sizeof host)
        return NULL;
    memcpy(host, peer + six, len - 2 * six);
    host[len - 2 * six] = '\0';
    for (unsigned i = 0; i < c->limits.all; i++) {
        struct conn *k = &c->table[i];

        if (k->fd >= 0 && k->port == port && strcmp(k->host, host) == 0)
            return k;
    }
    return NULL;
}

static bool know(struct rpc_conns *c, struct conn *k, const char *serial)
{
    unsigned of_client = 0;

    if (k->serial[0])
        return true; /* a connection has one certificate */
    for (unsigned i = 0; i < c->limits.all; i++)
        of_client += c->table[i].fd >= 0 && strcmp(c->table[i].serial, serial) == 0;
    if (of_client < c->limits.per_client) {
        snprintf(k->serial, sizeof k->serial, "%s", serial);
        return true;
    }
    if (k->warned)
        end(c, k);
    else
        k->warned = true;
    return false;
}

bool rpc_conns_know(struct rpc_conns *c, const char *peer, const char *serial,
                    struct rpc_conn_ref *ret)
{
    bool ok = true;
    struct conn *k;

    *ret = (struct rpc_conn_ref){ 0 };
    pthread_mutex_lock(&lock);
    k = find(c, peer);
    if (k) {
        *ret = (struct rpc_conn_ref){ (unsigned) (k - c->table), k->number };
        ok = know(c, k, serial);
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

unsigned rpc_conns_room(const struct rpc_conns *c)
{
    return c->limits.all;
}

/* The connection, if it is still there. The lock is held. */
static struct conn *of_ref(struct rpc_conns *c, const struct rpc_conn_ref *ref)
{
    struct conn *k = &c->table[ref->slot];

    return k->fd >= 0 && k->number == ref->number ? k : NULL;
}

bool rpc_conns_unread(struct rpc_conns *c, const struct rpc_conn_ref *ref, int64_t *ret)
{
    struct tcp_info info = { 0 };
    socklen_t len = sizeof info;
    struct conn *k;
    bool ok;

    pthread_mutex_lock(&lock);
    k = of_ref(c, ref);
    ok = k && getsockopt(k->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0;
    if (ok)
        *ret = (int64_t) (info.tcpi_bytes_received - k->read);
    pthread_mutex_unlock(&lock);
    return ok;
}

void rpc_conns_read(struct rpc_conns *c, const struct rpc_conn_ref *ref, uint64_t bytes)
{
    struct conn *k;

    pthread_mutex_lock(&lock);
    k = of_ref(c, ref);
    if (k)
        k->read += bytes;
    pthread_mutex_unlock(&lock);
}
