#ifndef WPROXY_MOD_IDLE_H
#define WPROXY_MOD_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "http/request.h"
#include "mod/peers.h"
#include "net/conn.h"

/*
 * Back-end connections between two tries, per thread and group, most recently
 * used first.  They stay registered: an end or any byte while idle closes them.
 */
struct ssl_identity;

/* What upstream {} says about them. */
struct idle_limits {
	uint64_t connections;		/* keepalive; per thread and group */
	uint64_t requests;		/* keepalive_requests */
	uint64_t time;			/* keepalive_time, ms since it was opened */
	uint64_t timeout;		/* keepalive_timeout, ms idle */
};

/* A connection and its history, by value: of an attempt, or kept. */
struct backend {
	struct conn *conn;		/* NULL: none */
	struct ssl_identity *identity;	/* what the TLS peer was checked for; NULL: plain */
	struct addr local;		/* proxy_bind; len 0: none */
	uint64_t opened;		/* monotonic ms */
	uint64_t idle_since;
	uint64_t requests;		/* begun on it */
};

/*
 * A kept connection to this peer of the same identity and local address, if there is one and
 * it was not idle for longer than max_idle ms (0: any).  It brings a reference to
 * the peer.  False: none.
 */
bool	idle_take(struct http_thread *, struct peer *, struct ssl_identity *, const struct addr *local,
	    uint64_t max_idle, struct backend *);
/*
 * Keeps it, with one reference to the peer; false when the limits forbid that or the
 * back end has closed: the caller closes it.  May close the one unused longest.
 */
bool	idle_allows(const struct backend *, const struct idle_limits *);
void	idle_put(struct http_thread *, struct peer *, const struct backend *, const struct idle_limits *);
/* For how long a peer is known to keep idle connections, ms; 0: not known. */
uint64_t	idle_limit_of(const struct peer *);
/* It said "Keep-Alive: timeout=". */
void		idle_learn(struct peer *, uint64_t ms);

#endif
