#ifndef WPROXY_MOD_ATTEMPT_H
#define WPROXY_MOD_ATTEMPT_H

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pool.h"
#include "http/parse.h"
#include "http/pump.h"
#include "mod/idle.h"
#include "mod/peers.h"

/*
 * One try at one peer: a kept or new connection, the request sent, the head of
 * the answer read, its body pulled by the owner.
 *
 *	connecting -> (handshake) -> exchange (send, read head) -> body -> over
 *	     \_____________\______________\______________________\-> failed
 *	detached: nobody owns it; the answer is read and dropped, bounded
 */
struct attempt;

enum attempt_state {
	ATTEMPT_CONNECTING, ATTEMPT_HANDSHAKE, ATTEMPT_EXCHANGE, ATTEMPT_BODY, ATTEMPT_OVER
};

enum attempt_failure {
	ATTEMPT_NO_CONNECTION,	/* refused, unreachable ... */
	ATTEMPT_NO_TLS,		/* handshake or verification failed */
	ATTEMPT_TIMED_OUT,
	ATTEMPT_ENDED,		/* closed before a whole head came */
	ATTEMPT_BROKEN,		/* reset and the like */
	ATTEMPT_INVALID,	/* the head is malformed */
	ATTEMPT_TOO_BIG		/* the head is larger than allowed */
};

/* An attempt may be closed inside each but may_hold; it is not touched afterwards. */
struct attempt_events {
	/*
	 * The head is there, but not all of the body: for how many bytes of that may it wait a moment?
	 * A back end that dies in between has then not answered, and another can.  NULL: none.
	 */
	size_t (*may_hold)(struct attempt *);
	void (*on_sent)(struct attempt *);	/* all that was given is sent, more is owed */
	void (*on_head)(struct attempt *);	/* head is there */
	void (*on_body)(struct attempt *);	/* pump may be run */
	void (*on_failed)(struct attempt *, enum attempt_failure);
};

/* The same for every try of a request; must outlive the attempts (until detached). */
struct attempt_plan {
	uint64_t connect_timeout, send_timeout, read_timeout;
	size_t head_max;
	ssize_t (*parse)(const char *, size_t, size_t seen, struct response_head *);
	enum method method;		/* sent: decides whether there is a body */
	bool close;			/* the request says so: 1.0, uwsgi, keepalive 0 */
	bool socket_keepalive;
	struct idle_limits limits;
	struct ssl_identity *identity;	/* NULL: plain */
	struct addr local;		/* len 0: none */
};

struct attempt {
	unsigned magic;
	enum attempt_state state;
	struct pool *pool;
	struct http_thread *thread;
	const struct attempt_events *events;
	void *owner;			/* the upstream; NULL: detached */
	const struct attempt_plan *plan;

	struct peer_try peer;
	struct backend backend;
	bool reused;			/* the connection served others before */

	/* What is sent. */
	struct chain out;
	bool all_given;			/* nothing follows what is in out */
	bool send_failed;		/* the back end may have answered all the same */
	uint64_t sent_before, received_before;	/* of the connection, when this was begun */
	uint64_t acked_before;
	uint64_t idle_for;		/* ms, of a reused connection */

	/* What is read. */
	struct pump pump;		/* from, decoder, in: the attempt's; the rest: the owner's */
	struct framing_decoder decoder;
	size_t seen;			/* of a head not all there; of one that is too big */
	unsigned interim;		/* 1xx answers before this one */
	uint64_t hold_until;		/* monotonic ms: the head waits for its body; 0: no */
	struct response_head head;	/* fields: the thread's scratch, valid inside on_head */
	struct owner *head_owner;	/* keeps the bytes they point into */
	bool keepalive;			/* the answer allows another request */
	bool paused;			/* the owner has no room: no read_timeout */

	struct timer timer;
	struct grave grave;
	struct attempt_plan own_plan;	/* when detached */
	struct list detached;		/* on the thread's list then */
	uint64_t discard_left;		/* detached: bytes taken before it is closed */
	const char *tls_refused;	/* why the peer's certificate is not accepted; NULL */
	uint64_t connect_us, head_us;	/* monotonic; 0: not yet */
};

/*
 * Starts: takes the peer's try over and all of the request's bytes in out.  all_given: nothing
 * follows.  fresh: only a new connection; max_idle: of a kept one, 0: any.  The outcome comes by
 * the events, never from within this call, but for *error: NULL is returned when connecting failed
 * at once (errno in *error; the try is the caller's again, out is cleared).
 */
struct attempt_begin {
	struct http_thread *thread;
	const struct attempt_plan *plan;
	const struct attempt_events *events;
	void *owner;
	struct peer_try peer;
	struct chain *out;
	bool all_given;
	bool fresh;
	bool watch_acks;	/* attempt_nothing_arrived() will be asked */
	uint64_t max_idle;
};
struct attempt	*attempt_start(struct attempt_begin *, int *error);

/* More of the request, in on_sent or later.  A failure is told later, by an event. */
void	attempt_send(struct attempt *, struct chain *, bool last);
/* Bytes of the request that the socket has not taken. */
static inline uint64_t
attempt_unsent(const struct attempt *a)
{
	return (a->out.bytes);
}
/* Bytes sent on the connection for this request. */
uint64_t	attempt_bytes_sent(const struct attempt *);
uint64_t	attempt_bytes_received(const struct attempt *);
/* True: nothing of the request can have reached the application (power 5). */
bool	attempt_nothing_arrived(const struct attempt *);

/*
 * Pulls body: pump_run() on the attempt's pump, with the read timeout kept.  On END the attempt is
 * still to be finished.
 */
enum pump_result	attempt_pull(struct attempt *);
/* The owner cannot take anything now: no read timeout before the next attempt_pull(). */
void	attempt_pause(struct attempt *);
/* It can again, though nothing new came: on_body follows. */
void	attempt_resume(struct attempt *);
/*
 * The owner has all it wants.  complete: the answer was read whole, so that the connection may be
 * kept.  result: for the peer's counters; ended: the choice, see peer_done().  The attempt is gone.
 */
bool	attempt_finish(struct attempt *, bool complete, enum peer_result, struct peer_choice *ended);
/*
 * The request is gone but the worker behind the peer is not: reads the answer to its end,
 * at most read_timeout more and 1 MiB, keeping the slot (power 2).  Only while the request was sent whole.
 */
void	attempt_detach(struct attempt *);
/* The request was sent whole to a peer whose slots are counted: detaching makes sense. */
bool	attempt_may_detach(const struct attempt *);
/* Closes the connection; the try of the peer is the caller's again.  The attempt is gone. */
struct peer_try	attempt_give_back(struct attempt *);

/* "connecting to upstream", "reading response header from upstream" ...: for error lines. */
const char	*attempt_action(const struct attempt *);

#endif
