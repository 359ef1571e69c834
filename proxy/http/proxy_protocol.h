#ifndef WPROXY_HTTP_PROXY_PROTOCOL_H
#define WPROXY_HTTP_PROXY_PROTOCOL_H

#include <stdbool.h>

#include "net/addr.h"
#include "net/conn.h"

/* What a balancer in front said about the connection (PROXY protocol v1, v2). */
struct proxied_connection {
	bool present;
	struct addr client;	/* len 0: unknown */
	struct addr server;
	char held[232];		/* the header while it comes in pieces */
	size_t held_used;
};

/*
 * Reads the header that precedes everything else, never a byte more.  1: complete (*peer
 * is replaced where the header names a client); 0: wait; -1: malformed or closed.
 */
int	proxy_protocol_read(struct conn *, struct addr *peer, struct proxied_connection *);

#endif
