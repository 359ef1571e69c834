#ifndef WPROXY_NET_RESOLVER_H
#define WPROXY_NET_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "net/addr.h"
#include "net/loop.h"

/*
 * Names of back ends, looked up by c-ares on one loop (loop 0) for all
 * threads; answers come by mailbox.  Results are cached until their TTL
 * (valid= overrides).
 */
struct resolver;

struct resolver_options {
	const struct addr *servers;	/* none: /etc/resolv.conf */
	unsigned server_count;
	uint64_t valid_ms;		/* 0: the answer's TTL */
	uint64_t timeout_ms;		/* resolver_timeout */
	bool ipv4, ipv6;
};

/* Any thread, before the first question; NULL after logging.  Options are copied. */
struct resolver	*resolver_new(struct loop *home, const struct resolver_options *);
void		 resolver_free(struct resolver *);	/* on its home loop */

/* One question; embedded in the asker's object, used on the asker's loop. */
struct resolver_query {
	struct loop_msg msg;
	struct loop *loop;		/* the asker's */
	struct str name;		/* must stay until answered or cancelled */
	unsigned port;
	void (*answered)(struct resolver_query *);
	void *arg;

	/* The answer, valid inside answered() only. */
	/* NULL, or "Host not found", "Operation timed out", ... (nginx's words) */
	const char *error;
	const struct addr *addrs;
	unsigned count;

	void *state;			/* the resolver's */
};
/* answered() is called once, later, on the asker's loop, unless cancelled. */
void	resolver_ask(struct resolver *, struct resolver_query *);
void	resolver_cancel(struct resolver_query *);	/* on the asker's loop; no call follows */

#endif
