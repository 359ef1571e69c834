/*
 * A request and its back ends: picks a peer, starts an attempt, decides after a
 * failure whether the next peer may have the request, and turns the outcome
 * into an answer.  proxy.c and uwsgi.c begin it; attempt.c and relay.c report.
 *
 *	TRYING -> (head) -> RELAYING -> OVER
 *	  |  ^                  |          TRYING -> (101) -> TUNNEL -> OVER
 *	  |  | next peer        | cut: the client's connection is closed short
 *	  \--/                  v
 *	 no peer left: 502, 504, or the back end's own error passed on
 *
 * Whatever may end inside the content step and inside a callback alike returns
 * a step's result; upstream_go() gives it to the request in callbacks.
 */
#include "mod/upstream_steps.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "base/clock.h"
#include "http/response.h"
#include "http/session.h"
#include "http/spool.h"
#include "mod/queue.h"
#include "net/tls.h"

#define STREAM_ROOM	(128u * 1024)	/* of a streamed request body on its way */
#define STREAM_PIECE	(64u * 1024)
#define IDLE_UNKNOWN	1000	/* ms: so long a peer of unknown habits is trusted to keep it */
#define HOLD_BUFFERED	(128u * 1024)	/* of an answer's body its head may wait for */
#define HOLD_UNBUFFERED	(16u * 1024)
#define RESTART_MS	50	/* sooner a back end that died is not back */
#define IDLE_CLOCK	4	/* ms: below it the clock cannot tell */

static const struct attempt_events	upstream_attempt_events;
static const struct request_events	upstream_request_events;

/* --- what is known about it --- */

static struct str
upstream_url(const struct upstream *u)
{
	struct str parts[4] = { u->target.scheme, u->target.name, STR(""), u->target.uri };

	if (u->result.addr.n > 0)
		parts[1] = u->result.addr;
	if (str_starts(parts[1], STR("unix:")))
		parts[2] = STR(":");
	return (pool_concat(u->r->pool, 4, parts));
}

void
upstream_log(struct upstream *u, enum log_level level, int err, const char *format, ...)
{
	struct request *r = u->r;
	const char *action = u->state == UPSTREAM_TUNNEL ? "proxying upgraded connection" :
	    u->attempt != NULL ? attempt_action(u->attempt) : "connecting to upstream";
	struct str text;
	va_list ap;

	if (!log_enabled(request_log_target(r), level))
		return;
	va_start(ap, format);
	text = pool_vprintf(r->pool, format, ap);
	va_end(ap);
	r->log_upstream = upstream_url(u);
	r->log_action = action;
	request_log(r, level, err, STR_FMT, STR_ARG(text));
	r->log_upstream = STR_NULL;
	r->log_action = NULL;
}

static void
upstream_cleanup(void *arg)
{
	struct upstream *u = arg;

	owner_drop(u->answer_owner);
	ssl_identity_drop(u->plan.identity);
}

struct upstream *
upstream_new(struct request *r, const struct upstream_protocol *protocol,
    const struct upstream_settings *settings)
{
	struct upstream *u = pool_new_object(r->pool, struct upstream);

	u->magic = UPSTREAM_MAGIC;
	u->r = r;
	u->protocol = protocol;
	u->settings = settings;
	u->relay.u = u;
	u->queued = -1;
	u->idempotent = method_is_idempotent(r->in.method);
	u->results = r->upstream == NULL ? VEC_OF(struct upstream_result) : r->upstream->results;
	r->upstream = u;
	pool_cleanup(r->pool, upstream_cleanup, u);
	return (u);
}

void
upstream_go(struct upstream *u, enum step_result result)
{
	if (result != STEP_WAIT)
		request_go(u->r, result);
}

void
upstream_attempt_over(struct upstream *u, bool complete, enum peer_result result, bool last)
{
	struct attempt *a = u->attempt;

	if (a == NULL)
		return;
	u->attempt = NULL;
	if (attempt_finish(a, complete, result, last && u->choice.set != NULL ? &u->choice : NULL))
		upstream_log(u, LOG_WARN, 0, "upstream server temporarily disabled");
}

void
upstream_set_over(struct upstream *u)
{
	queue_leave(u);
	if (u->resolving)
		resolver_cancel(&u->query);
	u->resolving = false;
	u->state = UPSTREAM_OVER;
	if (u->choice.list != NULL)
		peer_choice_end(&u->choice);
}

enum step_result
upstream_fail(struct upstream *u, unsigned status)
{
	upstream_set_over(u);
	return (request_fail(u->r, status));
}

/* No back end will answer.  What never met one waits where a queue allows it. */
static enum step_result
upstream_give_up(struct upstream *u, unsigned status)
{
	if ((u->scarce && queue_await_descriptor(u)) || (!u->reached && queue_bridge(u))) {
		u->state = UPSTREAM_WAITING;
		return (STEP_WAIT);
	}
	return (upstream_fail(u, status));
}

/* --- the request's body --- */

/* Has what was sent of it gone for good? */
static bool
upstream_replayable(const struct upstream *u)
{
	return (!u->streaming || !u->body_started);
}

static void
body_of_spool(struct upstream *u, struct chain *out)
{
	struct request *r = u->r;

	u->body_ended = true;
	if (r->body == NULL || !u->settings->pass_request_body)
		return;
	spool_read(r->body, 0, spool_size(r->body), out);
}

/* The client's body is broken: the back end is told by the end of its connection. */
static void
upstream_body_failed(struct upstream *u, unsigned status)
{
	bool trying = u->state == UPSTREAM_TRYING;

	upstream_result_end(u, 0);
	upstream_attempt_over(u, false, PEER_UNTESTED, true);
	relay_clear(&u->relay);
	if (trying) {
		upstream_go(u, upstream_fail(u, status));
		return;
	}
	upstream_set_over(u);
	resp_abort(u->r);
}

/* Streaming: what the client sent so far goes on, within bounds. */
static void
upstream_feed(struct upstream *u)
{
	struct request *r = u->r;
	struct chain body = { 0 };
	int rc;

	while (u->attempt != NULL && !u->body_ended) {
		uint64_t unsent = attempt_unsent(u->attempt);

		rc = r->ops->read_body(r, &body, unsent >= STREAM_ROOM ? 0 : STREAM_PIECE);
		if (rc < 0) {
			chain_clear(&body);
			upstream_body_failed(u, rc == BODY_GONE ? 400 : (unsigned)-rc);
			return;
		}
		u->body_ended = rc == BODY_END;
		if (chain_is_empty(&body) && !u->body_ended)
			return;
		u->body_started = u->body_started || !chain_is_empty(&body);
		u->protocol->frame_body(u, &body, u->body_ended);
		attempt_send(u->attempt, &body, u->body_ended);
	}
}

/* --- starting a try --- */

/*
 * A request that must not run twice goes only where the connection will hardly be
 * closed under it (power 5): idle for less than half of what the peer is known to allow.
 */
static void
choose_reuse(const struct upstream *u, struct attempt_begin *begin)
{
	uint64_t limit = idle_limit_of(begin->peer.peer);

	if (u->idempotent && !u->streaming)
		return;
	begin->max_idle = limit == 0 ? IDLE_UNKNOWN : limit / 2;
	if (begin->max_idle < IDLE_CLOCK)
		begin->fresh = true;
}

static void
request_bytes(struct upstream *u, struct chain *out)
{
	chain_add(out, u->head.p, u->head.n, NULL);
	if (u->streaming)
		u->body_ended = false;
	else
		body_of_spool(u, out);
}

enum log_level
connect_level(int error)
{
	switch (error) {
	case ECONNREFUSED:
	case EAGAIN:
	case ECONNRESET:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return (LOG_ERR);
	default:
		return (LOG_CRIT);
	}
}

/* False: connecting failed at once (logged); the peer's try was given back. */
static bool
upstream_try(struct upstream *u, struct peer_try *peer, bool fresh)
{
	struct chain out = { 0 };
	struct attempt_begin begin = {
		.thread = u->r->thread, .plan = &u->plan, .events = &upstream_attempt_events,
		.owner = u, .peer = *peer, .out = &out, .all_given = !u->streaming, .fresh = fresh,
		.watch_acks = !u->idempotent,
	};
	int error = 0;

	choose_reuse(u, &begin);
	upstream_result_begin(u, pool_strdup(u->r->pool, peer->peer->text));
	request_bytes(u, &out);
	u->attempt = attempt_start(&begin, &error);
	u->scarce = u->attempt == NULL && (error == EMFILE || error == ENFILE);
	if (u->attempt != NULL) {
		peer->peer = NULL;
		if (u->streaming && u->attempt->state == ATTEMPT_EXCHANGE)
			upstream_feed(u);
		return (true);
	}
	if (!u->bridging && !(u->scarce && u->scarce_from != 0))
		upstream_log(u, connect_level(error), error, "connect() to " STR_FMT " failed",
		    STR_ARG(u->result.addr));
	if (u->scarce) {	/* not the peer's fault */
		(void)peer_done(peer, PEER_UNTESTED, false, NULL, clock_mono_ms());
		return (false);
	}
	if (u->target.group != NULL)
		peer_choice_failed(&u->choice, peer, 0);
	upstream_result_end(u, 502);
	if (peer_done(peer, PEER_FAILED, false, NULL, clock_mono_ms()))
		upstream_log(u, LOG_WARN, 0, "upstream server temporarily disabled");
	return (false);
}

/* The next peer of the group. */
static enum pick_result
pick_of_group(struct upstream *u, struct peer_try *peer)
{
	enum pick_result result;

	u->choice.now = clock_mono_ms();
	result = queue_pick(u, peer);
	if (result != PICK_DESPERATE && result != PICK_DESPERATE_SAID)
		return (result);
	if (result == PICK_DESPERATE) {
		upstream_result_begin(u, STR_NULL);
		upstream_log(u, LOG_ERR, 0, "no live upstreams, trying all of them");
	}
	return (PICK_OK);
}

/* The next of the addresses that variables named. */
static enum pick_result
pick_of_addrs(struct upstream *u, struct peer_try *peer)
{
	const struct addr *addr;
	struct str text = u->target.addr_text;
	char buf[ADDR_TEXT_MAX];

	if (u->addr_next >= u->target.addr_count)
		return (PICK_NONE);
	addr = &u->target.addrs[u->addr_next++];
	if (text.p == NULL)
		text = str_make(buf, addr_text(addr, true, buf));
	peer_try_alone(peer, group_of_addresses(), addr, text);
	return (PICK_OK);
}

/* Nobody can be tried now: $upstream_addr is the group's name. */
static enum step_result
upstream_nobody(struct upstream *u, enum pick_result why)
{
	const struct group_queue *queue = u->target.group == NULL ? NULL : &u->target.group->queue;
	unsigned status = why == PICK_FULL ? queue->status : 502;

	upstream_result_begin(u, u->target.name);
	if (why != PICK_FULL && !u->bridging)	/* said when it began */
		upstream_log(u, LOG_ERR, 0, "no live upstreams");
	upstream_result_end(u, status);
	if (why == PICK_FULL)
		u->r->retry_after = queue->retry_after;
	if (why != PICK_NONE || u->target.group == NULL || u->target.group->names == NULL)
		return (upstream_fail(u, status));
	/* None of its names may have had an address: that may change. */
	resolve_group(u->r, u->target.group, true);
	return (upstream_give_up(u, status));
}

/* A peer was picked: tries it.  False: connecting failed at once. */
static bool
upstream_try_picked(struct upstream *u, struct peer_try *peer)
{
	u->tried++;
	u->state = UPSTREAM_TRYING;
	return (upstream_try(u, peer, false));
}

enum step_result
upstream_next_peer(struct upstream *u)
{
	struct peer_try peer = { .peer = NULL };
	enum pick_result result;

	for (;;) {
		result = u->target.group != NULL ? pick_of_group(u, &peer) :
		    pick_of_addrs(u, &peer);
		if (result == PICK_WAIT) {
			u->state = UPSTREAM_WAITING;
			return (STEP_WAIT);
		}
		if (result != PICK_OK)
			return (upstream_nobody(u, result));
		if (upstream_try_picked(u, &peer))
			return (STEP_WAIT);
		if (!upstream_may_try_next(u, NEXT_ERROR))
			return (upstream_give_up(u, 502));
	}
}

void
upstream_granted(struct upstream *u, struct peer_try *peer)
{
	u->queued = (int64_t)(clock_mono_ms() - u->wait_from);
	if (!upstream_try_picked(u, peer))
		upstream_go(u, upstream_may_try_next(u, NEXT_ERROR) ? upstream_next_peer(u) :
		    upstream_give_up(u, 502));
}

void
upstream_again(struct upstream *u)
{
	if (u->choice.set != NULL)
		peer_choice_restart(&u->choice);
	u->tried = u->again = u->addr_next = 0;
	u->results.count = u->results_before;	/* it may ask twenty times a second */
	if (u->wait_from != 0)
		u->queued = (int64_t)(clock_mono_ms() - u->wait_from);
	upstream_go(u, upstream_next_peer(u));
}

void
upstream_waited_out(struct upstream *u)
{
	const struct group_queue *queue = &u->target.group->queue;

	u->queued = (int64_t)(clock_mono_ms() - u->wait_from);
	upstream_result_begin(u, u->target.name);
	upstream_result_end(u, queue->status);
	u->r->retry_after = queue->retry_after;
	upstream_go(u, upstream_fail(u, queue->status));
}

/* --- after a failure --- */

/* How many tries a request has. */
static unsigned
upstream_tries(struct upstream *u)
{
	unsigned count = u->target.group != NULL ? peer_choice_size(&u->choice) :
	    u->target.addr_count;
	uint64_t tries = u->settings->next.tries;

	count += u->again;
	return (tries != 0 && tries < count ? (unsigned)tries : count);
}

bool
upstream_may_try_next(struct upstream *u, unsigned why)
{
	const struct upstream_next *next = &u->settings->next;

	if (u->tried >= upstream_tries(u) || !upstream_replayable(u))
		return (false);
	if (u->sent && !u->idempotent)
		why |= NEXT_NON_IDEMPOTENT;
	if ((next->when & why) != why)
		return (false);
	return (next->timeout == 0 ||
	    (uint64_t)upstream_ms_since(u->started_us, clock_mono_us()) < next->timeout);
}

/*
 * A kept connection that ended before a byte of answer: the back end had closed it, the
 * request may not have met anybody.  The same peer, on a new connection, if that is safe.
 */
static bool
upstream_retry_fresh(struct upstream *u, enum attempt_failure failure)
{
	struct attempt *a = u->attempt;
	struct peer_try peer;

	if (!a->reused || attempt_bytes_received(a) > 0 || !upstream_replayable(u) ||
	    (failure != ATTEMPT_ENDED && failure != ATTEMPT_BROKEN))
		return (false);
	if (!u->idempotent && !attempt_nothing_arrived(a))
		return (false);
	u->attempt = NULL;
	peer = attempt_give_back(a);
	if (!upstream_try(u, &peer, true))
		upstream_go(u, upstream_may_try_next(u, NEXT_ERROR) ? upstream_next_peer(u) :
		    upstream_give_up(u, 502));
	return (true);
}

static void
failure_log(struct upstream *u, enum attempt_failure failure)
{
	const struct attempt *a = u->attempt;
	const struct conn *conn = a->backend.conn;
	const char *why;

	switch (failure) {
	case ATTEMPT_NO_CONNECTION:
		if (u->bridging)	/* said when it began */
			break;
		upstream_log(u, LOG_ERR, conn->error, "connect() failed");
		break;
	case ATTEMPT_NO_TLS:
		why = a->tls_refused != NULL ? a->tls_refused : tls_error(a->backend.conn);
		upstream_log(u, LOG_ERR, 0, "%s", why);
		break;
	case ATTEMPT_TIMED_OUT:
		upstream_log(u, LOG_ERR, ETIMEDOUT, "upstream timed out");
		break;
	case ATTEMPT_ENDED:
		upstream_log(u, LOG_ERR, 0, "upstream prematurely closed connection");
		break;
	case ATTEMPT_BROKEN:
		upstream_log(u, LOG_ERR, conn->error, "%s() failed",
		    conn->failed_call == NULL ? "recv" : conn->failed_call);
		break;
	case ATTEMPT_INVALID:
		upstream_log(u, LOG_ERR, 0, "upstream sent invalid header");
		break;
	case ATTEMPT_TOO_BIG:
		upstream_log(u, LOG_ERR, 0, "upstream sent too big header (%zu bytes or more, "
		    "the buffer for it has %zu)", a->seen, u->plan.head_max);
		break;
	}
}

static const struct failure_meaning {
	unsigned why;
	unsigned status;
} failure_meanings[] = {
	[ATTEMPT_NO_CONNECTION] = { NEXT_ERROR, 502 },
	[ATTEMPT_NO_TLS] = { NEXT_ERROR, 502 },
	[ATTEMPT_TIMED_OUT] = { NEXT_TIMEOUT, 504 },
	[ATTEMPT_ENDED] = { NEXT_ERROR, 502 },
	[ATTEMPT_BROKEN] = { NEXT_ERROR, 502 },
	[ATTEMPT_INVALID] = { NEXT_INVALID_HEADER, 502 },
	[ATTEMPT_TOO_BIG] = { NEXT_INVALID_HEADER, 502 },
};

struct upstream *
upstream_of(const struct attempt *a)
{
	struct upstream *u = a->owner;

	assert(u->magic == UPSTREAM_MAGIC && u->attempt == a);
	return (u);
}

/* Its worker still runs: the failure counts now, the slot is kept (power 2). */
static void
upstream_detach_failed(struct upstream *u)
{
	struct attempt *a = u->attempt;

	u->attempt = NULL;
	if (peer_fail(&a->peer, clock_mono_ms()))
		upstream_log(u, LOG_WARN, 0, "upstream server temporarily disabled");
	attempt_detach(a);
}

/*
 * Back ends may be restarted in turn: one that was down when the request came may be back
 * when the last one dies with it.
 */
static void
upstream_peer_failed(struct upstream *u, enum attempt_failure failure)
{
	uint64_t now = clock_mono_ms();

	if (failure == ATTEMPT_NO_CONNECTION) {
		resolve_group(u->r, u->target.group, true);
		peer_choice_failed(&u->choice, &u->attempt->peer, now);
	} else if (failure == ATTEMPT_ENDED || failure == ATTEMPT_BROKEN) {
		if (u->tried >= upstream_tries(u))
			u->again += peer_choice_again(&u->choice, now);
		peer_choice_failed(&u->choice, &u->attempt->peer, now + RESTART_MS);
	}
}

static void
upstream_on_failed(struct attempt *a, enum attempt_failure failure)
{
	struct upstream *u = upstream_of(a);
	const struct failure_meaning *meaning = &failure_meanings[failure];

	if (u->state == UPSTREAM_RELAYING) {
		/* Only a timeout can come here: the pump tells the rest. */
		upstream_log(u, LOG_ERR, ETIMEDOUT, "upstream timed out");
		relay_broken(&u->relay);
		return;
	}
	u->sent = u->sent || attempt_bytes_sent(a) > 0;
	if (upstream_retry_fresh(u, failure))
		return;
	failure_log(u, failure);
	if (u->target.group != NULL)
		upstream_peer_failed(u, failure);
	u->reached = u->reached || failure != ATTEMPT_NO_CONNECTION;
	upstream_result_end(u, meaning->status);
	if (failure == ATTEMPT_TIMED_OUT && attempt_may_detach(a))
		upstream_detach_failed(u);
	else
		upstream_attempt_over(u, false, PEER_FAILED, false);
	upstream_go(u, upstream_may_try_next(u, meaning->why) ? upstream_next_peer(u) :
	    upstream_give_up(u, meaning->status));
}

/* --- events --- */

/* Only if it could still be answered by another peer. */
static size_t
upstream_may_hold(struct attempt *a)
{
	struct upstream *u = upstream_of(a);

	if (!u->idempotent || !upstream_may_try_next(u, NEXT_ERROR))
		return (0);
	return (u->settings->buffers.buffering && !block_is_scarce() ? HOLD_BUFFERED :
	    HOLD_UNBUFFERED);
}

static void
upstream_on_sent(struct attempt *a)
{
	upstream_feed(upstream_of(a));
}

static void
upstream_on_body(struct attempt *a)
{
	struct upstream *u = upstream_of(a);

	if (u->state == UPSTREAM_RELAYING && u->r->out.status != 101)
		relay_pull(&u->relay);
}

static const struct attempt_events upstream_attempt_events = {
	.may_hold = upstream_may_hold,
	.on_sent = upstream_on_sent,
	.on_head = upstream_on_head,
	.on_body = upstream_on_body,
	.on_failed = upstream_on_failed,
};

static void
upstream_on_request_body(struct request *r)
{
	upstream_feed(r->upstream);
}

static void
upstream_on_drain(struct request *r)
{
	struct upstream *u = r->upstream;

	if (u->state == UPSTREAM_RELAYING && r->out.status == 101) {
		if (session_queued(r) == 0)
			upstream_tunnel(u);
		else
			session_await_drain(r);
		return;
	}
	relay_drained(&u->relay);
}

static bool
upstream_on_gone(struct request *r)
{
	struct upstream *u = r->upstream;
	bool relaying = u->state == UPSTREAM_RELAYING, switching = relaying && r->out.status == 101;

	if (u->settings->ignore_client_abort && u->state != UPSTREAM_OVER && !u->streaming &&
	    !switching) {
		u->relay.client_gone = true;
		if (relaying)	/* it may have waited for the client */
			attempt_resume(u->attempt);
		return (true);
	}
	if (u->attempt != NULL)
		upstream_log(u, LOG_INFO, 0, "client prematurely closed connection, so upstream "
		    "connection is closed too");
	return (false);
}

static const struct request_events upstream_request_events = {
	.on_body = upstream_on_request_body,
	.on_drain = upstream_on_drain,
	.on_gone = upstream_on_gone,
};

/* The request is finished, or goes elsewhere: frees what is left of this. */
static void
upstream_cancel(struct request *r, void *arg)
{
	struct upstream *u = arg;

	assert(u->magic == UPSTREAM_MAGIC && u->r == r);
	upstream_tunnel_stop(u);
	queue_leave(u);
	upstream_result_end(u, 0);
	if (u->attempt != NULL && attempt_may_detach(u->attempt)) {
		attempt_detach(u->attempt);
		u->attempt = NULL;
	}
	upstream_attempt_over(u, false, PEER_UNTESTED, true);
	relay_clear(&u->relay);
	upstream_set_over(u);
}

/* --- the beginning --- */

/* The name that variables made has addresses, or none. */
static void
upstream_resolved(struct resolver_query *query)
{
	struct upstream *u = query->arg;
	struct addr *addrs;

	assert(u->magic == UPSTREAM_MAGIC);
	u->resolving = false;
	if (query->error != NULL) {
		upstream_log(u, LOG_ERR, 0, STR_FMT " could not be resolved (%s)",
		    STR_ARG(query->name), query->error);
		upstream_go(u, upstream_fail(u, 502));
		return;
	}
	addrs = pool_alloc(u->r->pool, query->count * sizeof(*addrs));
	memcpy(addrs, query->addrs, query->count * sizeof(*addrs));
	u->target.addrs = addrs;
	u->target.addr_count = query->count;
	upstream_go(u, upstream_next_peer(u));
}

static enum step_result
upstream_resolve(struct upstream *u)
{
	struct resolver *resolver = resolve_by(u->r);

	if (resolver == NULL) {
		upstream_log(u, LOG_ERR, 0, "no resolver defined to resolve " STR_FMT,
		    STR_ARG(u->target.unresolved));
		return (upstream_fail(u, 502));
	}
	u->query.loop = u->r->thread->loop;
	u->query.name = u->target.unresolved;
	u->query.port = u->target.port;
	u->query.answered = upstream_resolved;
	u->query.arg = u;
	u->resolving = true;
	u->state = UPSTREAM_WAITING;
	resolver_ask(resolver, &u->query);
	return (STEP_WAIT);
}

void
upstream_plan(struct upstream *u)
{
	const struct upstream_settings *s = u->settings;
	const struct group *group = u->target.group;
	struct attempt_plan *plan = &u->plan;

	plan->connect_timeout = s->times.connect;
	plan->send_timeout = s->times.send;
	plan->read_timeout = s->times.read;
	plan->head_max = s->buffers.head.n;
	plan->parse = u->protocol->parse;
	plan->method = u->r->in.method;
	plan->socket_keepalive = s->socket_keepalive;
	plan->limits = group != NULL ? group->limits : group_default_limits;
}

enum step_result
upstream_begin(struct upstream *u)
{
	struct request *r = u->r;
	const struct upstream_settings *s = u->settings;

	upstream_bind_eval(r, s->bind, &u->plan.local);
	if (u->target.tls) {
		u->plan.identity = ssl_identity_get(r, &s->ssl, u->target.tls_name);
		if (u->plan.identity == NULL)
			return (request_fail(r, 500));
	}
	u->body_ended = !u->streaming;
	u->started_us = clock_mono_us();
	u->results_before = u->results.count;
	/* Sets are written under their own locks; the configuration around them is frozen. */
	if (u->target.group != NULL)
		u->choice.set = (struct peer_set *)(uintptr_t)&u->target.group->set;
	r->events = &upstream_request_events;
	request_wait(r, upstream_cancel, u);
	if (u->target.unresolved.p != NULL)
		return (upstream_resolve(u));
	if (u->target.group != NULL)
		resolve_group(r, u->target.group, false);
	return (upstream_next_peer(u));
}
