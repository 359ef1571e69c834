/*
 * One try at one peer, from the choice of a connection to the end of the
 * answer.  upstream.c starts it, hears of it by four events and finishes,
 * abandons or detaches it; when detached it looks after itself.
 *
 * One timer: connect_timeout while connecting, send_timeout while the socket
 * takes nothing, read_timeout while the answer is awaited, none while the
 * owner has no room or the client's body is awaited.
 *
 * Sending may fail although the back end has answered (it refused the body and
 * closed): what it said is read before that counts as a failure.
 */
#include "mod/attempt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/framing.h"
#include "mod/proxy_ssl.h"
#include "net/tls.h"

#define ATTEMPT_MAGIC	0x41545450u
#define HEAD_READ	(64u * 1024)
#define NAGLE_MATTERS	1400		/* bytes: what may go out in several segments */
#define DISCARD_MAX	(1024u * 1024)
#define INTERIM_MAX	1000		/* answers to be skipped: who sends nothing else is mad */
#define LONG_BODY	(32u * 1024)	/* the head is not left in its block then */
#define HOLD_MS		20		/* the head waits so long for a short body */

static void	attempt_on_event(struct conn *, unsigned, void *);
static bool	attempt_parse(struct attempt *);

static void
attempt_free(void *arg)
{
	struct attempt *a = arg;

	pool_free(a->pool);
}

/* Nothing is called any more; the memory stays until the end of the turn. */
static void
attempt_end(struct attempt *a)
{
	a->state = ATTEMPT_OVER;
	list_remove(&a->detached);
	timer_cancel(&a->timer);
	chain_clear(&a->out);
	pump_clear(&a->pump);
	owner_drop(a->head_owner);
	a->head_owner = NULL;
	loop_bury(a->thread->loop, &a->grave, -1, attempt_free, a);
}

static void
attempt_fail(struct attempt *a, enum attempt_failure failure)
{
	timer_cancel(&a->timer);
	a->events->on_failed(a, failure);
}

static void
attempt_expire(struct timer *timer)
{
	struct attempt *a = list_item(timer, struct attempt, timer);

	assert(a->magic == ATTEMPT_MAGIC);
	if (a->hold_until != 0 && a->state == ATTEMPT_EXCHANGE)
		(void)attempt_parse(a);
	else
		attempt_fail(a, ATTEMPT_TIMED_OUT);
}

static void
attempt_arm(struct attempt *a, uint64_t ms)
{
	timer_arm(a->thread->loop, &a->timer, ms, attempt_expire);
}

/* The deadline of what is waited for now; detached it has one for all of it. */
static void
attempt_await(struct attempt *a)
{
	if (a->owner == NULL || (a->hold_until != 0 && a->state == ATTEMPT_EXCHANGE))
		return;
	if (a->state == ATTEMPT_CONNECTING || a->state == ATTEMPT_HANDSHAKE)
		attempt_arm(a, a->plan->connect_timeout);
	else if (!chain_is_empty(&a->out))
		attempt_arm(a, a->plan->send_timeout);
	else if (a->paused || (!a->all_given && a->state == ATTEMPT_EXCHANGE && !a->send_failed))
		timer_cancel(&a->timer);
	else
		attempt_arm(a, a->plan->read_timeout);
}

/* --- sending --- */

/* Sends what the socket takes. */
static void
attempt_write(struct attempt *a)
{
	if (a->send_failed) {
		chain_clear(&a->out);
	} else if (conn_send(a->backend.conn, &a->out, UINT64_MAX) == CONN_FAILED) {
		a->send_failed = true;
		chain_clear(&a->out);
		conn_ready_later(a->backend.conn, CONN_READ);
	}
	attempt_await(a);
}

void
attempt_send(struct attempt *a, struct chain *more, bool last)
{
	chain_append(&a->out, more);
	a->all_given = a->all_given || last;
	if (a->state == ATTEMPT_EXCHANGE || a->state == ATTEMPT_BODY)
		attempt_write(a);
}

uint64_t
attempt_bytes_sent(const struct attempt *a)
{
	return (a->backend.conn == NULL ? 0 : a->backend.conn->sent - a->sent_before);
}

uint64_t
attempt_bytes_received(const struct attempt *a)
{
	return (a->backend.conn == NULL ? 0 : a->backend.conn->received - a->received_before);
}

bool
attempt_nothing_arrived(const struct attempt *a)
{
	if (attempt_bytes_sent(a) == 0)
		return (true);
	if (addr_is_unix(&a->peer.peer->addr))
		return (false);
	return (conn_bytes_acked(a->backend.conn) == a->acked_before);
}

/* --- the beginning --- */

static void
attempt_begin_exchange(struct attempt *a)
{
	a->state = ATTEMPT_EXCHANGE;
	a->connect_us = clock_mono_us();
	if (!a->all_given || a->out.bytes > NAGLE_MATTERS)
		conn_set_nodelay(a->backend.conn, true);
	attempt_write(a);
}

/* The same from an event: the owner hears that there is room. */
static void
attempt_open(struct attempt *a)
{
	attempt_begin_exchange(a);
	if (chain_is_empty(&a->out) && !a->all_given && !a->send_failed)
		a->events->on_sent(a);
}

static void
attempt_shake_hands(struct attempt *a)
{
	int rc = tls_handshake(a->backend.conn);

	if (rc == 0)
		return;
	if (rc > 0)
		a->tls_refused = ssl_identity_check(a->backend.identity, a->backend.conn);
	if (rc < 0 || a->tls_refused != NULL)
		attempt_fail(a, ATTEMPT_NO_TLS);
	else
		attempt_open(a);
}

static void
attempt_connected(struct attempt *a)
{
	if (a->backend.identity == NULL) {
		attempt_open(a);
		return;
	}
	a->state = ATTEMPT_HANDSHAKE;
	if (ssl_identity_start(a->backend.identity, a->backend.conn) != 0) {
		attempt_fail(a, ATTEMPT_NO_TLS);
		return;
	}
	attempt_shake_hands(a);
}

/* A kept connection where that is allowed and there is one. */
static bool
attempt_reuse(struct attempt *a, const struct attempt_begin *begin)
{
	struct idle_want want = { a->peer.peer, a->plan->identity, &a->plan->local,
		begin->max_idle };
	struct conn *conn;

	if (begin->fresh || begin->plan->limits.connections == 0 ||
	    !idle_take(a->thread, &want, &a->backend))
		return (false);
	conn = a->backend.conn;
	a->peer.refs++;
	a->backend.requests++;
	a->reused = true;
	a->idle_for = clock_mono_ms() - a->backend.idle_since;
	a->sent_before = conn->sent;
	a->received_before = conn->received;
	if (begin->watch_acks)
		a->acked_before = conn_bytes_acked(conn);
	return (true);
}

static bool
attempt_connect(struct attempt *a, int *error)
{
	const struct addr *local = a->plan->local.len > 0 ? &a->plan->local : NULL;

	a->backend.conn = conn_connect(a->thread->loop, &a->peer.peer->addr, local, error);
	if (a->backend.conn == NULL)
		return (false);
	a->backend.identity = a->plan->identity;
	ssl_identity_hold(a->backend.identity);
	a->backend.local = a->plan->local;
	a->backend.opened = clock_mono_ms();
	a->backend.requests = 1;
	if (a->plan->socket_keepalive)
		conn_set_keepalive(a->backend.conn, true);
	return (true);
}

struct attempt *
attempt_start(struct attempt_begin *begin, int *error)
{
	struct pool *pool = pool_new(sizeof(struct attempt) + 64);
	struct attempt *a = pool_new_object(pool, struct attempt);

	a->magic = ATTEMPT_MAGIC;
	list_init(&a->detached);
	a->pool = pool;
	a->thread = begin->thread;
	a->events = begin->events;
	a->owner = begin->owner;
	a->plan = begin->plan;
	a->peer = begin->peer;
	a->all_given = begin->all_given;
	if (!attempt_reuse(a, begin) && !attempt_connect(a, error)) {
		chain_clear(begin->out);
		pool_free(pool);
		return (NULL);
	}
	begin->peer.peer = NULL;
	chain_append(&a->out, begin->out);
	a->pump.from = a->backend.conn;
	a->pump.decoder = &a->decoder;
	conn_set_handler(a->backend.conn, attempt_on_event, a);
	if (a->backend.conn->connecting)
		attempt_await(a);
	else if (a->reused)
		attempt_begin_exchange(a);
	else {
		/* Connected at once; the handshake may fail, which is told by an event. */
		attempt_await(a);
		if (a->plan->identity == NULL)
			attempt_begin_exchange(a);
		else
			conn_ready_later(a->backend.conn, CONN_WRITE);
	}
	if (!chain_is_empty(&a->out) || a->state == ATTEMPT_EXCHANGE)
		conn_watch(a->backend.conn);
	return (a);
}

/* --- reading the head --- */

/* One run of bytes that is kept alive like a block. */
struct linear {
	struct owner owner;
	char base[];
};

static void
linear_release(struct owner *owner)
{
	free(list_item(owner, struct linear, owner));
}

/* The head came in several pieces: puts them together (bounded by head_max). */
static void
chain_linearize(struct chain *c)
{
	struct linear *linear;
	size_t at = 0, n = (size_t)c->bytes;

	if (c->first == c->last)
		return;
	linear = xmalloc(sizeof(*linear) + n);
	linear->owner = (struct owner){ .refs = 1, .release = linear_release };
	for (const struct buf *b = c->first; b != NULL; b = b->next) {
		memcpy(linear->base + at, b->p, b->n);
		at += b->n;
	}
	chain_clear(c);
	chain_add(c, linear->base, n, &linear->owner);
}

/* nginx's reading of "Keep-Alive: timeout=5, max=100". */
static void
attempt_learn(struct attempt *a, const struct fields *fields)
{
	const struct field *f = fields_get(fields, FIELD_KEEP_ALIVE);
	struct str rest, item;
	uint64_t seconds, known = idle_limit_of(a->peer.peer);

	if (a->reused && known != 0 && a->idle_for > known)
		idle_learn(a->peer.peer, a->idle_for);
	if (f == NULL)
		return;
	rest = f->value;
	while (str_cut(&rest, ',', &item)) {
		item = str_trim(item);
		if (str_starts_ci(item, STR("timeout=")) &&
		    str_to_uint(str_skip(item, 8), 86400, &seconds))
			idle_learn(a->peer.peer, seconds * 1000);
	}
}

/* May the connection carry another request behind this answer? */
static bool
attempt_may_keep(const struct attempt *a, const struct fields *fields,
    const struct framing *framing)
{
	const struct field *length;

	if (a->plan->close || framing->kind == FRAMING_CLOSE || a->head.status == 101)
		return (false);
	if (a->head.version < 11 ? !fields_has_token(fields, FIELD_CONNECTION, STR("keep-alive")) :
	    fields_has_token(fields, FIELD_CONNECTION, STR("close")))
		return (false);
	if (framing->kind != FRAMING_NONE)
		return (true);
	/* Some back ends send the body of HEAD, 204, 304 all the same: only where there is none. */
	length = fields_get(fields, FIELD_CONTENT_LENGTH);
	return (length != NULL && str_eq(length->value, STR("0")));
}

/*
 * The head's bytes live as long as the request.  Where a long body follows they are copied,
 * so that they do not keep the block alive that they were read into.
 */
static void
attempt_keep_head(struct attempt *a, size_t size, const struct framing *framing)
{
	const struct buf *b = a->pump.in.first;
	struct linear *linear;

	a->head_owner = b->owner;
	owner_hold(a->head_owner);
	if (framing->kind == FRAMING_NONE ||
	    (framing->kind == FRAMING_LENGTH && framing->length <= LONG_BODY))
		return;
	linear = xmalloc(sizeof(*linear) + size);
	linear->owner = (struct owner){ .refs = 1, .release = linear_release };
	memcpy(linear->base, b->p, size);
	if (a->plan->parse(linear->base, size, 0, &a->head) != (ssize_t)size) {
		linear_release(&linear->owner);	/* cannot be: these bytes were a head before */
		return;
	}
	owner_drop(a->head_owner);
	a->head_owner = &linear->owner;
}

/*
 * Is all of the body there?  The head has size bytes.  Of a chunked one its last bytes tell; what
 * looks like its end and is not only goes out in two parts.
 */
static bool
attempt_has_body(const struct attempt *a, size_t size, const struct framing *framing)
{
	struct str text = str_make(a->pump.in.last->p, a->pump.in.last->n);

	if (framing->kind == FRAMING_CHUNKED)
		return (a->pump.in.bytes - size >= STR("0\r\n\r\n").n &&
		    (str_ends(text, STR("0\r\n\r\n")) || (str_ends(text, STR("\r\n\r\n")) &&
		    str_find(text, STR("\r\n0\r\n")) != SIZE_MAX)));	/* trailers */
	return (framing->kind != FRAMING_LENGTH || a->pump.in.bytes - size >= framing->length);
}

/* True: the head waits for its body, for HOLD_MS in all. */
static bool
attempt_hold(struct attempt *a, size_t size, const struct framing *framing)
{
	uint64_t now = clock_mono_ms();

	if (attempt_has_body(a, size, framing) || (a->hold_until != 0 && now >= a->hold_until) ||
	    !a->all_given || !chain_is_empty(&a->out) || a->send_failed ||
	    a->events->may_hold == NULL || a->pump.in.bytes - size >= a->events->may_hold(a))
		return (false);
	if (a->hold_until == 0)
		a->hold_until = now + HOLD_MS;
	attempt_arm(a, a->hold_until - now);
	return (true);
}

/* False: it waits for its body. */
static bool
attempt_on_head(struct attempt *a, size_t size)
{
	struct fields fields = { a->head.items, a->head.count, a->head.room, a->head.known };
	struct framing framing;
	struct members listed;

	if (framing_of_response(a->head.version, a->head.status, a->plan->method, &fields,
	    &framing) != 0 || !fields_members(&fields, FIELD_CONNECTION, &listed)) {
		attempt_fail(a, ATTEMPT_INVALID);
		return (true);
	}
	if (attempt_hold(a, size, &framing))
		return (false);
	a->keepalive = attempt_may_keep(a, &fields, &framing);
	if (a->keepalive)
		attempt_learn(a, &fields);
	a->backend.promised = a->reused ||
	    fields_has_token(&fields, FIELD_CONNECTION, STR("keep-alive"));
	attempt_keep_head(a, size, &framing);
	chain_drop(&a->pump.in, size);
	framing_decoder_init(&a->decoder, &framing);
	a->state = ATTEMPT_BODY;
	a->head_us = clock_mono_us();
	attempt_await(a);
	a->events->on_head(a);
	return (true);
}

/* Looks for a head in what was read.  False: more is needed; true: it was found, or failed. */
static bool
attempt_parse(struct attempt *a)
{
	while (!chain_is_empty(&a->pump.in)) {
		const struct buf *b;
		ssize_t n;

		if (a->hold_until == 0)	/* else the head lies in the first */
			chain_linearize(&a->pump.in);
		b = a->pump.in.first;
		a->head.items = a->thread->fields_scratch;
		a->head.room = FIELDS_SCRATCH;
		n = a->plan->parse(b->p, b->n, a->seen, &a->head);
		if (n == PARSE_PARTIAL) {
			a->seen = b->n;
			if (b->n < a->plan->head_max)
				return (false);
			attempt_fail(a, ATTEMPT_TOO_BIG);
			return (true);
		}
		if (n < 0) {
			attempt_fail(a, ATTEMPT_INVALID);
			return (true);
		}
		if ((size_t)n > a->plan->head_max) {	/* it came faster than piece by piece */
			a->seen = (size_t)n;
			attempt_fail(a, ATTEMPT_TOO_BIG);
			return (true);
		}
		a->seen = 0;
		if (a->head.status >= 200 || a->head.status == 101)
			return (attempt_on_head(a, (size_t)n));
		/* 100, 103: the client's part of the protocol is ours. */
		if (++a->interim > INTERIM_MAX) {
			attempt_fail(a, ATTEMPT_INVALID);
			return (true);
		}
		chain_drop(&a->pump.in, (uint64_t)n);
	}
	return (false);
}

static void
attempt_read_head(struct attempt *a)
{
	for (;;) {
		ssize_t n = conn_recv_chain(a->backend.conn, &a->pump.in,
		    block_is_scarce() ? BLOCK_SIZE : HEAD_READ);

		if (n == CONN_AGAIN)
			return;
		if (n <= 0) {
			attempt_fail(a, n == 0 ? ATTEMPT_ENDED : ATTEMPT_BROKEN);
			return;
		}
		if (attempt_parse(a))
			return;
		attempt_await(a);
	}
}

static void
attempt_on_event(struct conn *conn, unsigned events, void *arg)
{
	struct attempt *a = arg;

	assert(a->magic == ATTEMPT_MAGIC && a->state != ATTEMPT_OVER);
	if (a->state == ATTEMPT_CONNECTING || a->state == ATTEMPT_HANDSHAKE) {
		if ((events & CONN_ERROR) != 0)
			attempt_fail(a, a->state == ATTEMPT_CONNECTING ? ATTEMPT_NO_CONNECTION :
			    ATTEMPT_NO_TLS);
		else if (a->state == ATTEMPT_HANDSHAKE)
			attempt_shake_hands(a);
		else
			attempt_connected(a);
		if (a->state != ATTEMPT_EXCHANGE || (events & CONN_READ) == 0)
			return;
	}
	if ((events & CONN_WRITE) != 0 && !chain_is_empty(&a->out)) {
		attempt_write(a);
		if (chain_is_empty(&a->out) && !a->all_given && !a->send_failed)
			a->events->on_sent(a);
		if (a->state == ATTEMPT_OVER)
			return;
	}
	if ((events & (CONN_READ | CONN_CLOSED | CONN_ERROR)) == 0)
		return;
	if (a->state == ATTEMPT_BODY)
		a->events->on_body(a);
	else if ((events & CONN_READ) == 0 && conn->error != 0)
		attempt_fail(a, ATTEMPT_BROKEN);
	else
		attempt_read_head(a);
}

/* --- the body and the end --- */

enum pump_result
attempt_pull(struct attempt *a)
{
	enum pump_result result = pump_run(&a->pump);

	if (result != PUMP_WAIT && result != PUMP_FULL)
		return (result);
	a->paused = result == PUMP_FULL;
	attempt_await(a);
	return (result);
}

void
attempt_pause(struct attempt *a)
{
	a->paused = true;
	attempt_await(a);
}

void
attempt_resume(struct attempt *a)
{
	conn_ready_later(a->backend.conn, CONN_READ);
}

static bool
attempt_may_idle(const struct attempt *a)
{
	/* A kept connection would hold a slot that is counted: with max_conns none is. */
	return (a->keepalive && a->peer.options.max_conns == 0 && a->all_given &&
	    chain_is_empty(&a->out) && !a->send_failed && chain_is_empty(&a->pump.in) &&
	    !conn_has_pending(a->backend.conn) && idle_allows(&a->backend, &a->plan->limits));
}

bool
attempt_finish(struct attempt *a, bool complete, enum peer_result result, struct peer_choice *ended)
{
	bool keep = complete && attempt_may_idle(a), disabled;
	struct peer *peer = a->peer.peer;

	assert(a->magic == ATTEMPT_MAGIC && a->state != ATTEMPT_OVER);
	/* It closes after each answer and does not say so. */
	if (complete && a->keepalive && a->backend.conn->peer_closed)
		idle_learn(peer, 0);
	disabled = peer_done(&a->peer, result, keep, ended, clock_mono_ms());
	if (keep) {
		idle_put(a->thread, peer, &a->backend, &a->plan->limits);
	} else {
		conn_close(a->backend.conn, false);
		ssl_identity_drop(a->backend.identity);
	}
	attempt_end(a);
	return (disabled);
}

struct peer_try
attempt_give_back(struct attempt *a)
{
	struct peer_try given = a->peer;

	conn_close(a->backend.conn, false);
	ssl_identity_drop(a->backend.identity);
	attempt_end(a);
	return (given);
}

const char *
attempt_action(const struct attempt *a)
{
	switch (a->state) {
	case ATTEMPT_CONNECTING:
		return ("connecting to upstream");
	case ATTEMPT_HANDSHAKE:
		return ("SSL handshaking to upstream");
	case ATTEMPT_EXCHANGE:
		if (!chain_is_empty(&a->out))
			return ("sending request to upstream");
		return ("reading response header from upstream");
	case ATTEMPT_BODY:
	case ATTEMPT_OVER:
		break;
	}
	return ("reading upstream");
}

/* --- detached --- */

static uint64_t
discard_room(void *arg)
{
	const struct attempt *a = arg;

	return (a->discard_left);
}

static int
discard_take(void *arg, struct chain *bytes, bool flush)
{
	struct attempt *a = arg;

	(void)flush;
	a->discard_left -= bytes->bytes < a->discard_left ? bytes->bytes : a->discard_left;
	chain_clear(bytes);
	return (0);
}

static void
detached_pull(struct attempt *a)
{
	enum pump_result result = pump_run(&a->pump);

	if (result != PUMP_WAIT)
		(void)attempt_finish(a, result == PUMP_END, PEER_UNTESTED, NULL);
}

static void
detached_on_sent(struct attempt *a)
{
	(void)attempt_finish(a, false, PEER_UNTESTED, NULL);
}

static void
detached_on_failed(struct attempt *a, enum attempt_failure failure)
{
	(void)attempt_finish(a, false, failure == ATTEMPT_TIMED_OUT ? PEER_UNTESTED : PEER_FAILED,
	    NULL);
}

/* A thread's detached attempts, so that they end with it. */
struct detached_thread {
	struct task exit;
	struct http_thread *owner;
	struct list attempts;
};

static void
detached_thread_free(struct task *exit)
{
	struct detached_thread *thread = list_item(exit, struct detached_thread, exit);

	LIST_EACH_SAFE(&thread->attempts, it, after)
		(void)attempt_finish(list_item(it, struct attempt, detached), false,
		    PEER_UNTESTED, NULL);
	thread->owner->upstream_detached = NULL;
	free(thread);
}

static struct detached_thread *
detached_thread_of(struct http_thread *owner)
{
	struct detached_thread *thread = owner->upstream_detached;

	if (thread != NULL)
		return (thread);
	thread = owner->upstream_detached = xcalloc(1, sizeof(*thread));
	thread->owner = owner;
	thread->exit.run = detached_thread_free;
	list_init(&thread->attempts);
	loop_at_exit(owner->loop, &thread->exit);
	return (thread);
}

static const struct attempt_events detached_events = {
	.on_sent = detached_on_sent,
	.on_head = detached_pull,
	.on_body = detached_pull,
	.on_failed = detached_on_failed,
};

bool
attempt_may_detach(const struct attempt *a)
{
	return (a->peer.options.max_conns != 0 && a->all_given && chain_is_empty(&a->out) &&
	    (a->state == ATTEMPT_EXCHANGE || a->state == ATTEMPT_BODY));
}

void
attempt_detach(struct attempt *a)
{
	a->own_plan = *a->plan;
	a->own_plan.identity = NULL;
	a->plan = &a->own_plan;
	a->owner = NULL;
	a->events = &detached_events;
	list_push_back(&detached_thread_of(a->thread)->attempts, &a->detached);
	a->discard_left = DISCARD_MAX;
	a->pump.room = discard_room;
	a->pump.take = discard_take;
	a->pump.arg = a;
	a->hold_until = 0;
	attempt_arm(a, a->plan->read_timeout);
	if (a->state == ATTEMPT_BODY)
		detached_pull(a);
}
