#ifndef WPROXY_MOD_UPSTREAM_H
#define WPROXY_MOD_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "http/request.h"
#include "mod/attempt.h"
#include "mod/group.h"
#include "mod/peers.h"
#include "mod/relay.h"
#include "mod/resolve.h"
#include "mod/upstream_settings.h"

/*
 * What a request has to do with back ends: which one is tried, when the next
 * one is, what their answer becomes.  How a request is written and a head is
 * read is the protocol's (proxy.c, uwsgi.c).
 *
 *	upstream_begin -> attempt ... -> (failed -> attempt) -> head -> relay -> done
 *	                             \-> request_fail()      \-> X-Accel-Redirect, error_page
 */
struct upstream;

struct upstream_protocol {
	ssize_t (*parse)(const char *, size_t, size_t seen, struct response_head *);
	/* Bytes of the client's body on their way, in place; last: that was all. */
	void	(*frame_body)(struct upstream *, struct chain *, bool last);
	bool own_date;				/* Date, Server: the back end's or nobody's, where passed */
	/* A header of the answer as the client shall see it (proxy_redirect, proxy_cookie_*). */
	struct str (*rewrite)(struct request *, enum field_id, struct str value);
};

/* Where a request goes. */
struct upstream_target {
	const struct group *group;	/* NULL: addrs */
	struct str scheme;		/* "http://": of error lines */
	struct str name;		/* of the group or host */
	struct str uri;			/* of error lines */
	const struct addr *addrs;	/* computed by variables, in the request's pool */
	unsigned addr_count;
	struct str unresolved;		/* a name without address yet: resolved first */
	unsigned port;			/* of it */
	struct str addr_text;		/* a unix socket as written; absent: by the address */
	bool tls;
	struct str tls_name;		/* proxy_ssl_name, or the host */
};

/* One try, for $upstream_*: times in ms, -1: did not come to it. */
struct upstream_result {
	struct str addr;
	unsigned status;
	int64_t connect, header, response;
	int64_t queue;
	uint64_t length, received, sent;
	bool separate;		/* the request began anew: " : " instead of ", " before it */
};

enum upstream_state {
	UPSTREAM_WAITING,	/* for an address, a slot, or the group to come back (queue) */
	UPSTREAM_TRYING,	/* an attempt has no head yet */
	UPSTREAM_RELAYING,	/* the body goes to the client */
	UPSTREAM_TUNNEL,
	UPSTREAM_OVER
};

struct upstream {
	unsigned magic;
	enum upstream_state state;
	struct request *r;
	const struct upstream_protocol *protocol;
	const struct upstream_settings *settings;
	struct upstream_target target;

	struct peer_choice choice;
	struct attempt_plan plan;
	struct attempt *attempt;	/* NULL: none */
	unsigned tried;
	unsigned again;			/* peers that failed, and are asked once more */
	unsigned addr_next;		/* of target.addrs */

	struct resolver_query query;	/* for the target's name */
	bool resolving;
	struct peer_waiter *waiter;	/* for a slot; NULL: none */
	struct timer wait_timer;
	uint64_t wait_from;		/* monotonic ms; 0: never waited */
	bool bridging;			/* waits for a group whose peers refuse; counted there */
	int64_t queued;			/* ms waited; -1: not at all */
	bool reached;			/* some try met a peer that accepted the connection */
	bool scarce;			/* the last try found no descriptor for its connection */
	uint64_t scarce_from;		/* monotonic ms; 0: never so */

	uint64_t started_us;		/* monotonic: for next_upstream_timeout */
	uint64_t try_us;		/* when the try under way began */
	bool sent;			/* bytes of the request went to some back end */
	bool idempotent;

	struct str head;		/* of the request, as sent */
	bool streaming;			/* the body is read while it is sent */
	bool body_ended;		/* all of it was given to the attempt */
	bool body_started;		/* part of it was: it cannot be sent again */
	bool upgrade;			/* the request asks for another protocol */

	struct vec results;		/* struct upstream_result */
	size_t results_before;		/* those of earlier upstreams of the request */
	struct upstream_result result;	/* of the try under way */
	struct fields answer;		/* fields of the last head */
	struct owner *answer_owner;
	struct relay relay;
	struct tunnel *tunnel;
};
#define UPSTREAM_MAGIC	0x55505354u

extern const struct var_row upstream_vars[];

/*
 * Makes r->upstream for this request: the results of earlier ones are kept.  The caller fills
 * target, calls upstream_plan(), fills head and upgrade, and calls upstream_begin().
 */
struct upstream	*upstream_new(struct request *, const struct upstream_protocol *,
		    const struct upstream_settings *);
/* With the target known: the settings that every try has in common. */
void	upstream_plan(struct upstream *);
/* Tries the first peer.  A step's result. */
enum step_result	upstream_begin(struct upstream *);
/* upstream_vars.c: the record of the try under way; ended with status 0 it keeps the one it has. */
void	upstream_result_begin(struct upstream *, struct str addr);
void	upstream_result_end(struct upstream *, unsigned status);
int64_t	upstream_ms_since(uint64_t from_us, uint64_t to_us);
/*
 * queue.c tells: a slot was granted; the refusing group may be asked again; the wait was too long.
 */
void	upstream_granted(struct upstream *, struct peer_try *);
void	upstream_again(struct upstream *);
void	upstream_waited_out(struct upstream *);
/* Error lines with "upstream: ..." and what was being done. */
void	upstream_log(struct upstream *, enum log_level, int err, const char *, ...)
	    __attribute__((format(printf, 4, 5)));

/*
 * nginx's level for an error of connect(): what is usual for a pool is an error, the rest critical.
 */
enum log_level	connect_level(int error);

/* upstream_head.c: the answer's head becomes r->out, without length where the framing has none. */
void	upstream_head_out(struct upstream *, const struct response_head *, const struct framing *);
/* X-Accel-Redirect: true, and r->out has the headers that are kept. */
bool	upstream_head_redirects(struct upstream *, struct str *uri);
/* Whether bytes are to be flushed at once; *buffering as X-Accel-Buffering and the settings say. */
bool	upstream_head_streams(struct upstream *, bool *buffering);
/*
 * A back end's path (nginx: "unsafe URI"): decoded, *args cut off.  False: it leaves the root.
 */
bool	uri_unsafe_split(struct pool *, struct str *uri, struct str *args);

/* relay.c tells: the body is over (or broken: result says how). */
void	upstream_relayed(struct upstream *, enum pump_result);

#endif
