#ifndef WPROXY_HTTP_PROXY_PROTOCOL_H
#define WPROXY_HTTP_PROXY_PROTOCOL_H

#include <sys/types.h>

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
	size_t skip;		/* bytes of it that still come and say nothing to us (TLVs) */
};

/*
 * Pure: p[0..n) is what was received so far.  > 0: length of the header (it may be more than n:
 * what follows then is to be dropped), present and the addresses are set; 0: more is needed; -1:
 * it is none.
 */
ssize_t	proxy_protocol_parse(const char *p, size_t n, struct proxied_connection *);
/*
 * Reads the header that precedes everything else; what came behind it is given back to the
 * connection.  1: complete; 0: wait; -1: malformed or closed.
 */
int	proxy_protocol_read(struct conn *, struct proxied_connection *);

#endif
