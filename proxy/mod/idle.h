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
	/*
	 * requests and time are ours, not the file's: each connection has a part of them, another
	 * one than its neighbours, from a quarter to all.
	 */
	bool turnover;
};

/*
 * A pool of processes shares one listening socket; a kept connection stays with the process that
 * accepted it, and connections that were opened together often with the same one.  Where the file
 * says nothing they are renewed, one after the other: who has less to do accepts sooner.
 */
#define TURNOVER_REQUESTS	512
#define TURNOVER_MS		40000

/* A connection and its history, by value: of an attempt, or kept. */
struct backend {
	struct conn *conn;		/* NULL: none */
	struct ssl_identity *identity;	/* what the TLS peer was checked for; NULL: plain */
	struct addr local;		/* proxy_bind; len 0: none */
	uint64_t opened;		/* monotonic ms */
	uint64_t idle_since;
	uint64_t requests;		/* begun on it */
	bool promised;			/* the back end said that it keeps it, or did already */
};

/* Which kept connection will do. */
struct idle_want {
	struct peer *peer;
	struct ssl_identity *identity;
	const struct addr *local;
	/*
	 * 0: any.  Else not one that was idle for longer, ms, nor one whose back end may yet turn
	 * out to close after each answer.
	 */
	uint64_t max_idle;
};
/* The most recent that will do.  It brings a reference to the peer.  False: none. */
bool	idle_take(struct http_thread *, const struct idle_want *, struct backend *);
/*
 * Keeps it, with one reference to the peer; false when the limits forbid that or the
 * back end has closed: the caller closes it.  May close the one unused longest.
 */
bool	idle_allows(const struct backend *, const struct idle_limits *);
void	idle_put(struct http_thread *, struct peer *, const struct backend *, const struct idle_limits *);
/*
 * Gives up the one of this thread that is unused longest, if there is one: its descriptor is
 * needed.
 */
void	idle_close_oldest(struct http_thread *);
/* For how long a peer is known to keep idle connections, ms; 0: not known. */
uint64_t	idle_limit_of(const struct peer *);
/* It said "Keep-Alive: timeout=". */
void		idle_learn(struct peer *, uint64_t ms);

#endif
