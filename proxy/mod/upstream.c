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
#include "mod/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "base/clock.h"
#include "http/error_page.h"
#include "http/response.h"
#include "http/session.h"
#include "http/spool.h"
#include "http/tpl.h"
#include "http/tunnel.h"
#include "http/uri.h"
#include "net/tls.h"

#define STREAM_ROOM	(128u * 1024)	/* of a streamed request body on its way */
#define STREAM_PIECE	(64u * 1024)
#define IDLE_UNKNOWN	1000	/* ms: so long a peer of unknown habits is trusted to keep a connection */
#define IDLE_CLOCK	4	/* ms: below it the clock cannot tell */

static const struct attempt_events	upstream_attempt_events;
static const struct request_events	upstream_request_events;

static enum step_result	upstream_next_peer(struct upstream *);
static bool	upstream_may_try_next(struct upstream *, unsigned why);

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
	u->idempotent = method_is_idempotent(r->in.method);
	u->results = r->upstream == NULL ? VEC_OF(struct upstream_result) : r->upstream->results;
	r->upstream = u;
	pool_cleanup(r->pool, upstream_cleanup, u);
	return (u);
}

/* In callbacks: what a step would return. */
static void
upstream_go(struct upstream *u, enum step_result result)
{
	if (result != STEP_WAIT)
		request_go(u->r, result);
}

/* --- results --- */

static void
result_begin(struct upstream *u, struct str addr)
{
	u->result = (struct upstream_result){ .addr = addr, .connect = -1, .header = -1,
		.response = -1, .queue = -1,
		.separate = u->results.count > 0 && u->results.count == u->results_before };
	u->try_us = clock_mono_us();
}

static int64_t
ms_since(uint64_t from_us, uint64_t to_us)
{
	return (to_us < from_us ? 0 : (int64_t)((to_us - from_us) / 1000));
}

/* The try is over; what it was is kept. */
static void
result_end(struct upstream *u, unsigned status)
{
	struct upstream_result *kept;
	const struct attempt *a = u->attempt;

	if (u->result.addr.p == NULL)
		return;
	u->result.response = ms_since(u->try_us, clock_mono_us());
	if (status != 0)
		u->result.status = status;
	if (a != NULL) {
		u->result.sent = attempt_bytes_sent(a);
		u->result.received = attempt_bytes_received(a);
		if (a->connect_us != 0)
			u->result.connect = ms_since(u->try_us, a->connect_us);
		if (a->head_us != 0)
			u->result.header = ms_since(u->try_us, a->head_us);
	}
	u->result.length = u->relay.received;
	kept = vec_push(&u->results, u->r->pool);
	*kept = u->result;
	u->result.addr = STR_NULL;
}

/* Finishes the attempt, if there is one; says so when that disabled its peer. */
static void
attempt_over(struct upstream *u, bool complete, enum peer_result result, bool last)
{
	struct attempt *a = u->attempt;

	if (a == NULL)
		return;
	u->attempt = NULL;
	if (attempt_finish(a, complete, result, last && u->choice.set != NULL ? &u->choice : NULL))
		upstream_log(u, LOG_WARN, 0, "upstream server temporarily disabled");
}

static void
upstream_set_over(struct upstream *u)
{
	u->state = UPSTREAM_OVER;
	if (u->choice.list != NULL)
		peer_choice_end(&u->choice);
}

static enum step_result
upstream_fail(struct upstream *u, unsigned status)
{
	upstream_set_over(u);
	return (request_fail(u->r, status));
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

	result_end(u, 0);
	attempt_over(u, false, PEER_UNTESTED, true);
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

/* nginx's level for an error of connect(): what is usual for a pool is an error, the rest critical. */
static enum log_level
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
	result_begin(u, pool_strdup(u->r->pool, peer->peer->text));
	request_bytes(u, &out);
	u->attempt = attempt_start(&begin, &error);
	if (u->attempt != NULL) {
		peer->peer = NULL;
		if (u->streaming && u->attempt->state == ATTEMPT_EXCHANGE)
			upstream_feed(u);
		return (true);
	}
	upstream_log(u, connect_level(error), error, "connect() to " STR_FMT " failed",
	    STR_ARG(u->result.addr));
	result_end(u, 502);
	if (peer_done(peer, PEER_FAILED, false, NULL, clock_mono_ms()))
		upstream_log(u, LOG_WARN, 0, "upstream server temporarily disabled");
	return (false);
}

/* The next peer of the group. */
static bool
pick_of_group(struct upstream *u, struct peer_try *peer)
{
	u->choice.now = clock_mono_ms();
	switch (peer_pick(&u->choice, u->r, u->r->pool, peer)) {
	case PICK_OK:
	case PICK_DESPERATE_SAID:
		return (true);
	case PICK_DESPERATE:
		result_begin(u, STR_NULL);
		upstream_log(u, LOG_ERR, 0, "no live upstreams, trying all of them");
		return (true);
	case PICK_BUSY:
	case PICK_NONE:
		break;
	}
	return (false);
}

/* The next of the addresses that variables named. */
static bool
pick_of_addrs(struct upstream *u, struct peer_try *peer)
{
	const struct addr *addr;
	struct str text = u->target.addr_text;
	char buf[ADDR_TEXT_MAX];

	if (u->addr_next >= u->target.addr_count)
		return (false);
	addr = &u->target.addrs[u->addr_next++];
	if (text.p == NULL)
		text = str_make(buf, addr_text(addr, true, buf));
	peer_try_alone(peer, group_of_addresses(), addr, text);
	return (true);
}

static enum step_result
upstream_next_peer(struct upstream *u)
{
	struct peer_try peer = { .peer = NULL };

	for (;;) {
		if (u->target.group != NULL ? !pick_of_group(u, &peer) : !pick_of_addrs(u, &peer)) {
			result_begin(u, u->target.name);
			upstream_log(u, LOG_ERR, 0, "no live upstreams");
			result_end(u, 502);
			return (upstream_fail(u, 502));
		}
		u->tried++;
		if (upstream_try(u, &peer, false)) {
			u->state = UPSTREAM_TRYING;
			return (STEP_WAIT);
		}
		if (!upstream_may_try_next(u, NEXT_ERROR))
			return (upstream_fail(u, 502));
	}
}

/* --- after a failure --- */

/* How many tries a request has. */
static unsigned
upstream_tries(struct upstream *u)
{
	unsigned count = u->target.group != NULL ? peer_choice_size(&u->choice) :
	    u->target.addr_count;
	uint64_t tries = u->settings->next.tries;

	return (tries != 0 && tries < count ? (unsigned)tries : count);
}

static bool
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
	    (uint64_t)ms_since(u->started_us, clock_mono_us()) < next->timeout);
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
		    upstream_fail(u, 502));
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
		upstream_log(u, LOG_ERR, 0, "upstream sent too big header (more than the %zu bytes of "
		    "the buffer for it)", u->plan.head_max);
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

static struct upstream *
upstream_of(const struct attempt *a)
{
	struct upstream *u = a->owner;

	assert(u->magic == UPSTREAM_MAGIC && u->attempt == a);
	return (u);
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
	result_end(u, meaning->status);
	attempt_over(u, false, PEER_FAILED, false);
	upstream_go(u, upstream_may_try_next(u, meaning->why) ? upstream_next_peer(u) :
	    upstream_fail(u, meaning->status));
}

/* --- the head --- */

static unsigned
status_next(unsigned status)
{
	static const struct { unsigned status, why; } table[] = {
		{ 500, NEXT_500 }, { 502, NEXT_502 }, { 503, NEXT_503 }, { 504, NEXT_504 },
		{ 403, NEXT_403 }, { 404, NEXT_404 }, { 429, NEXT_429 },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].status == status)
			return (table[i].why);
	return (0);
}

/* The head's fields outlive the next parse: they are read by variables at any time. */
static void
answer_keep(struct upstream *u, struct attempt *a)
{
	const struct response_head *head = &a->head;

	u->answer = (struct fields){ .count = head->count, .room = head->count, .known = head->known };
	u->answer.items = pool_alloc(u->r->pool, head->count * sizeof(struct field));
	if (head->count > 0)
		memcpy(u->answer.items, head->items, head->count * sizeof(struct field));
	owner_drop(u->answer_owner);
	u->answer_owner = a->head_owner;
	a->head_owner = NULL;
	u->result.status = head->status;
}

/* True: another peer has the request now. */
static bool
answer_passed_over(struct upstream *u, unsigned status)
{
	unsigned why = status_next(status);

	if (why == 0 || !upstream_may_try_next(u, why))
		return (false);
	result_end(u, 0);
	attempt_over(u, false, why == NEXT_403 || why == NEXT_404 ? PEER_UNTESTED : PEER_FAILED, false);
	upstream_go(u, upstream_next_peer(u));
	return (true);
}

/* proxy_intercept_errors: our page instead of the back end's.  True: done. */
static bool
answer_intercepted(struct upstream *u, unsigned status)
{
	struct request *r = u->r;
	const struct field *f = status == 401 ? fields_get(&u->answer, FIELD_WWW_AUTHENTICATE) : NULL;

	if (status < 300 || !u->settings->intercept_errors || !request_has_error_page(r, status))
		return (false);
	result_end(u, 0);
	attempt_over(u, false, PEER_OK, true);
	r->intercepted = true;
	if (f != NULL)
		r->authenticate = f->value;
	upstream_go(u, upstream_fail(u, status));
	return (true);
}

/* X-Accel-Redirect.  True: the request is elsewhere. */
static bool
answer_redirected(struct upstream *u)
{
	struct request *r = u->r;
	struct str uri, args = STR("");

	if (!upstream_head_redirects(u, &uri))
		return (false);
	result_end(u, 0);
	attempt_over(u, false, PEER_OK, true);
	upstream_set_over(u);
	if (str_starts(uri, STR("@"))) {
		request_go(r, request_named(r, uri));
		return (true);
	}
	if (!uri_unsafe_split(r->pool, &uri, &args)) {
		request_log(r, LOG_ERR, 0, "unsafe URI \"" STR_FMT "\" was detected", STR_ARG(uri));
		request_go(r, request_fail(r, 404));
		return (true);
	}
	if (r->in.method != METHOD_HEAD) {
		r->in.method = METHOD_GET;
		r->in.method_name = STR("GET");
	}
	request_go(r, request_redirect(r, uri, args));
	return (true);
}

static void
upstream_tunnel_stop(struct upstream *u)
{
	if (u->tunnel == NULL)
		return;
	u->relay.received = tunnel_received(u->tunnel);
	tunnel_stop(u->tunnel);
	u->tunnel = NULL;
}

static void
upstream_tunnel_over(void *arg, enum tunnel_end end)
{
	struct upstream *u = arg;
	struct request *r = u->r;

	if (end == TUNNEL_TIMED_OUT)
		upstream_log(u, LOG_ERR, ETIMEDOUT, "upstream timed out");
	upstream_tunnel_stop(u);
	result_end(u, 0);
	attempt_over(u, false, PEER_OK, true);
	upstream_set_over(u);
	session_tunnel_done(r);
}

/* 101 was sent: both connections become one. */
static void
upstream_tunnel(struct upstream *u)
{
	struct request *r = u->r;
	struct attempt *a = u->attempt;
	struct chain to_back = { 0 }, to_client = { 0 };
	struct conn *client;

	u->state = UPSTREAM_TUNNEL;
	timer_cancel(&a->timer);
	chain_append(&to_client, &a->pump.in);
	client = r->ops->tunnel(r, &to_back);
	u->tunnel = tunnel_start(r->pool, client, a->backend.conn, &to_back, &to_client,
	    u->settings->times.read, upstream_tunnel_over, u);
}

static void
upstream_switch(struct upstream *u)
{
	struct request *r = u->r;
	struct chain none = { 0 };

	if (resp_start(r) != 0 || resp_write(r, &none, SEND_FLUSH) != 0)
		return;
	u->state = UPSTREAM_RELAYING;
	if (session_queued(r) > 0) {
		session_await_drain(r);
		return;
	}
	upstream_tunnel(u);
}

static void
upstream_on_head(struct attempt *a)
{
	struct upstream *u = upstream_of(a);
	unsigned status = a->head.status;
	bool buffering, flush;

	u->sent = true;
	answer_keep(u, a);
	if (answer_passed_over(u, status))
		return;
	if (status == 101 && !u->upgrade) {
		upstream_log(u, LOG_ERR, 0, "upstream sent 101 without being asked");
		result_end(u, 502);
		attempt_over(u, false, PEER_FAILED, true);
		upstream_go(u, upstream_fail(u, 502));
		return;
	}
	if (answer_intercepted(u, status) || answer_redirected(u))
		return;
	upstream_head_out(u, &a->head, &a->decoder.framing);
	if (status == 101) {
		upstream_switch(u);
		return;
	}
	u->state = UPSTREAM_RELAYING;
	flush = upstream_head_streams(u, &buffering);
	if (resp_start(u->r) != 0)
		u->relay.client_gone = true;
	relay_start(&u->relay, u, buffering, flush);
}

void
upstream_relayed(struct upstream *u, enum pump_result result)
{
	const struct attempt *a = u->attempt;
	const struct conn *conn = a->backend.conn;

	if (result == PUMP_CUT)
		upstream_log(u, LOG_ERR, 0, "upstream prematurely closed connection");
	else if (result == PUMP_FAILED)
		upstream_log(u, LOG_ERR, conn->error, "%s() failed",
		    conn->failed_call == NULL ? "recv" : conn->failed_call);
	else if (result == PUMP_MALFORMED)
		upstream_log(u, LOG_ERR, 0, "upstream sent invalid chunked response");
	result_end(u, 0);
	attempt_over(u, result == PUMP_END && u->body_ended, PEER_OK, true);
	upstream_set_over(u);
}

/* --- events --- */

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

	if (u->settings->ignore_client_abort && u->state != UPSTREAM_OVER && !u->streaming) {
		u->relay.client_gone = true;
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
	result_end(u, 0);
	if (u->attempt != NULL && attempt_may_detach(u->attempt)) {
		attempt_detach(u->attempt);
		u->attempt = NULL;
	}
	attempt_over(u, false, PEER_UNTESTED, true);
	relay_clear(&u->relay);
	upstream_set_over(u);
}

/* --- the beginning --- */

void
upstream_plan(struct upstream *u)
{
	const struct upstream_settings *s = u->settings;
	const struct group *group = u->target.group;
	struct attempt_plan *plan = &u->plan;

	plan->connect_timeout = s->times.connect;
	plan->send_timeout = s->times.send;
	plan->read_timeout = s->times.read;
	plan->head_max = s->buffers.head;
	plan->parse = u->protocol->parse;
	plan->method = u->r->in.method;
	plan->socket_keepalive = s->socket_keepalive;
	plan->limits = group != NULL ? group->limits : group_default_limits;
}

/* proxy_bind. */
static void
plan_bind(struct upstream *u)
{
	const struct upstream_bind *bind = u->settings->bind;
	struct str text;

	if (bind == NULL || bind->text == NULL)
		return;
	u->plan.local = bind->addr;
	if (bind->addr.len > 0)
		return;
	text = tpl_eval(u->r, bind->text);
	if (text.n == 0 || addr_parse(text, 0, &u->plan.local))
		return;
	request_log(u->r, LOG_ERR, 0, "invalid local address \"" STR_FMT "\"", STR_ARG(text));
	u->plan.local.len = 0;
}

enum step_result
upstream_begin(struct upstream *u)
{
	struct request *r = u->r;
	const struct upstream_settings *s = u->settings;

	plan_bind(u);
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
	return (upstream_next_peer(u));
}
