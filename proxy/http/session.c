/*
 * HTTP/1 sessions: the life of a client's connection.  Made by session_open() for
 * each accepted descriptor; session_in.c has what is read, session_out.c what is
 * sent.
 *
 *	(PREFACE ->) (HANDSHAKE ->) IDLE -> HEAD -> BUSY -> IDLE ...
 *	                                     |       |-> DISCARD -> IDLE | LINGER
 *	                                     |       |-> TUNNEL -> CLOSED
 *	                                     \-------+-> LINGER -> CLOSED
 *
 * session_turn() is the only place where a session moves on; whoever changes
 * something outside of it (an answer that was sent, a client that left) asks
 * for a turn by the session's task, so nothing is freed under its own callback.
 */
#define _GNU_SOURCE	/* strerrordesc_np */
#include "http/session_state.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "http/core.h"
#include "http/proxy_protocol.h"
#include "http/response.h"
#include "http/route.h"
#include "http/tally.h"
#include "net/tls.h"

#define HALF_CLOSE_MS	800	/* a client that sent FIN may still read: so long it is answered */
#define TURN_REQUESTS	16	/* answered on one connection before others have their turn */
#define DISCARD_CHUNK	(256 * 1024)

static atomic_ulong session_numbers;

static void	session_turn(struct session *);

/* What its state counts as, as nginx counts. */
static void
session_tally(struct session *s, uint64_t by)
{
	static const enum tally_kind kinds[] = {
		[SESSION_PREFACE] = TALLY_WAITING, [SESSION_HANDSHAKE] = TALLY_WAITING,
		[SESSION_IDLE] = TALLY_WAITING, [SESSION_HEAD] = TALLY_READING,
		[SESSION_BUSY] = TALLY_WRITING, [SESSION_DISCARD] = TALLY_WRITING,
		[SESSION_TUNNEL] = TALLY_WRITING, [SESSION_LINGER] = TALLY_WRITING,
	};

	if (s->tally != NULL && s->state != SESSION_CLOSED)
		tally_add(s->tally, kinds[s->state], by);
}

void
session_set_state(struct session *s, enum session_state state)
{
	assert(s->state != SESSION_CLOSED);
	session_tally(s, TALLY_LESS);
	s->state = state;
	session_tally(s, 1);
}

static void
session_task(struct task *task)
{
	session_turn(list_item(task, struct session, task));
}

/* Goes on after the callbacks under way. */
static void
session_soon(struct session *s)
{
	if (!s->reading && s->state != SESSION_CLOSED)
		loop_ready(s->thread->loop, &s->task);
}

void
session_answered(struct session *s)
{
	session_soon(s);
}

void
session_gone(struct session *s)
{
	s->failed = true;
	session_soon(s);
}

static void
session_free(void *arg)
{
	struct session *s = arg;

	s->magic = 0;
	free(s->proxied);
	free(s);
}

/* Ends the session; memory goes at the end of the turn. */
void
session_close(struct session *s)
{
	struct http_thread *thread = s->thread;

	if (s->state == SESSION_CLOSED)
		return;
	if (s->request != NULL)
		request_finish(s->request);
	s->request = NULL;
	session_set_state(s, SESSION_CLOSED);
	timer_cancel(&s->timer);
	task_cancel(&s->task);
	session_out_end(s);
	chain_clear(&s->in);
	conn_close(s->conn, s->reset);
	list_remove(&s->link);
	if (s->removed != NULL)
		http_conf_unpin(s->removed, loop_index(thread->loop));
	loop_bury(thread->loop, &s->grave, -1, session_free, s);
	thread->connections--;
	tally_add(thread->tally, TALLY_ACTIVE, TALLY_LESS);
	if (thread->on_connection_closed != NULL)
		thread->on_connection_closed(thread);
}

/* An error line before there is a request, as nginx words it. */
static void __attribute__((format(printf, 4, 5)))
session_log(const struct session *s, enum log_level level, int err, const char *format, ...)
{
	const struct log *log = s->listen->default_server->root->core->error_log;
	char text[1024], cause[128] = "", client[ADDR_TEXT_MAX];
	va_list ap;

	if (!log_enabled(log != NULL ? log : log_default(), level))
		return;
	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (err != 0)
		(void)snprintf(cause, sizeof(cause), " (%d: %s)", err, strerrordesc_np(err));
	log_write(log, level, s->number, 0, "%s%s while %s, client: %.*s, server: " STR_FMT, text,
	    cause, s->state == SESSION_PREFACE ? "reading PROXY protocol" : "SSL handshaking",
	    (int)addr_text(&s->peer, false, client), client, STR_ARG(s->listen->text));
}

/* The deadline of IDLE, HEAD, DISCARD, LINGER, HANDSHAKE, PREFACE; for BUSY the body's. */
void
session_timed_out(struct timer *timer)
{
	struct session *s = list_item(timer, struct session, timer);
	struct request *r = s->request;

	if (s->state == SESSION_BUSY && r != NULL) {
		request_log(r, LOG_INFO, ETIMEDOUT, "client timed out while reading client request body");
		s->body_timed_out = true;
		s->reset = r->location->core->reset_timedout_connection;
		if (s->body_wanted && r->events != NULL && r->events->on_body != NULL) {
			r->events->on_body(r);
			session_turn(s);
			return;
		}
	} else if (s->state == SESSION_HEAD) {
		request_log(r, LOG_INFO, ETIMEDOUT,
		    "client timed out while reading client request headers");
		r->out.status = 408;
	} else if (s->state == SESSION_HANDSHAKE || s->state == SESSION_PREFACE) {
		session_log(s, LOG_INFO, ETIMEDOUT, "client timed out");
	}
	session_close(s);
}

/* ---- after the answer ---- */

/* The next wait for bytes that nobody wants: so long, and not beyond the end of that. */
static void
session_linger_arm(struct session *s, uint64_t timeout)
{
	uint64_t now = clock_mono_ms(), left = s->linger_until > now ? s->linger_until - now : 1;

	timer_arm(s->thread->loop, &s->timer, timeout < left ? timeout : left, session_timed_out);
}

/* Reads and drops what is left of the body.  1 done, 0 wait, -1 give up. */
static int
session_discard(struct session *s)
{
	struct request *r = s->request;
	struct chain dropped = { 0 };
	int rc;

	for (;;) {
		rc = session_read_body(r, &dropped, DISCARD_CHUNK);
		s->discarded += dropped.bytes;
		chain_clear(&dropped);
		if (rc == BODY_END)
			return (1);
		if (rc < 0 || clock_mono_ms() >= s->linger_until)
			return (-1);
		if (s->body_wanted)
			break;
	}
	session_linger_arm(s, r->location->core->lingering_timeout);
	return (0);
}

/*
 * nginx's lingering_close: our FIN, then what the client still sends is read so that no RST
 * destroys the answer.
 */
static void
session_linger(struct session *s, const struct core_location *core)
{
	session_out_end(s);
	chain_clear(&s->in);
	conn_shutdown(s->conn);
	session_set_state(s, SESSION_LINGER);
	s->linger_until = clock_mono_ms() + core->lingering_time;
	s->linger_timeout = core->lingering_timeout;
	session_linger_arm(s, s->linger_timeout);
}

/* One read of a lingering close.  False: wait, or closed. */
static bool
session_read_linger(struct session *s)
{
	struct iovec iov = { loop_scratch(s->thread->loop), LOOP_SCRATCH };
	ssize_t n;

	if (session_has_read_enough(s))
		return (false);
	n = conn_recv(s->conn, &iov, 1);
	if (n == CONN_AGAIN)
		return (false);
	if (n <= 0 || clock_mono_ms() >= s->linger_until) {
		session_close(s);
		return (false);
	}
	s->turn_bytes += (uint64_t)n;
	session_linger_arm(s, s->linger_timeout);
	return (true);
}

static void
session_end(struct session *s)
{
	struct request *r = s->request;
	const struct core_location *core = r->location->core;
	bool linger = core->lingering_close == 2 || (core->lingering_close == 1 &&
	    (!r->body_done || !chain_is_empty(&s->in) || s->plain_on_tls ||
	    (s->conn->read_ready && !s->conn->drained)));	/* unread bytes: closing would reset */

	if (s->failed || s->aborted || !linger || (s->conn->peer_closed && !s->conn->read_ready)) {
		session_close(s);
		return;
	}
	s->request = NULL;
	session_linger(s, core);
	request_finish(r);
}

/* The connection is free for the next request. */
static void
session_idle(struct session *s)
{
	struct request *r = s->request;
	uint64_t keepalive = r->location->core->keepalive_timeout;

	s->request = NULL;
	request_finish(r);
	timer_cancel(&s->gone_timer);
	session_set_state(s, SESSION_IDLE);
	timer_arm(s->thread->loop, &s->timer, keepalive, session_timed_out);
}

/* All of the answer is out.  False: wait, or closed. */
static bool
session_finish_request(struct session *s)
{
	struct request *r = s->request;

	if (s->closing || s->aborted || s->thread->draining || !r->keepalive) {
		session_end(s);
		return (s->state == SESSION_LINGER);
	}
	if (r->body_done) {
		session_idle(s);
		return (true);
	}
	if (s->state != SESSION_DISCARD) {
		if (s->continue_owed) {		/* the client never got its 100: it may or may not send */
			session_end(s);
			return (s->state == SESSION_LINGER);
		}
		session_set_state(s, SESSION_DISCARD);
		s->linger_until = clock_mono_ms() + r->location->core->lingering_time;
	}
	switch (session_discard(s)) {
	case 1:
		session_idle(s);
		return (true);
	case 0:
		return (false);
	default:
		session_end(s);
		return (s->state == SESSION_LINGER);
	}
}

/*
 * The client left in the middle: whoever has the request now decides whether it goes on.  Asked
 * again when something is to be sent all the same.
 */
static void
session_lost(struct session *s)
{
	struct request *r = s->request;

	if (r->events != NULL && r->events->on_gone != NULL && r->events->on_gone(r)) {
		s->gone_kept = true;
		return;
	}
	if (!s->gone_kept && !r->out.ended && r->out.status != 408)
		r->client_gone = true;
	session_close(s);
}

/* ---- the turn ---- */

static void	session_start_tls(struct session *);

/* False: wait, or closed. */
static bool
session_preface(struct session *s)
{
	int rc = proxy_protocol_read(s->conn, s->proxied);

	if (rc == 0)
		return (false);
	if (rc < 0) {
		struct str head = str_make(s->proxied->held, s->proxied->held_used);
		struct pool *pool = pool_new(0);

		if (s->conn->peer_closed || s->conn->error != 0)
			session_log(s, LOG_INFO, s->conn->error, "client closed connection");
		else
			session_log(s, LOG_ERR, 0, "broken header: \"" STR_FMT "\"",
			    STR_ARG(encode_log(pool, head, LOG_ESCAPE_DEFAULT)));
		pool_free(pool);
		session_close(s);
		return (false);
	}
	session_set_state(s, SESSION_IDLE);
	if (s->listen->ssl)
		session_start_tls(s);
	return (true);
}

/* The same. */
static bool
session_handshake(struct session *s)
{
	int rc = tls_handshake(s->conn);

	if (rc == 0)
		return (false);
	if (rc < 0 && (s->listen->http->kind->headless || !tls_is_plain_http(s->conn))) {
		session_log(s, tls_error_is_peers(s->conn) ? LOG_INFO : LOG_CRIT, 0, "%s",
		    tls_error(s->conn));
		session_close(s);
		return (false);
	}
	if (rc < 0) {
		tls_abandon(s->conn);
		s->plain_on_tls = true;
	}
	session_set_state(s, SESSION_IDLE);
	return (true);
}

/* False: nothing more can be done now. */
static bool
session_step(struct session *s)
{
	switch (s->state) {
	case SESSION_PREFACE:
		return (session_preface(s));
	case SESSION_HANDSHAKE:
		return (session_handshake(s));
	case SESSION_IDLE:
	case SESSION_HEAD:
		if (!s->listen->http->kind->headless)
			return (session_read_head(s));
		session_begin_headless(s);
		return (true);
	case SESSION_BUSY:
	case SESSION_DISCARD:
		if (s->failed)
			session_lost(s);
		if (s->state == SESSION_CLOSED || !s->out_ended ||
		    (!chain_is_empty(&s->out) && !s->failed))
			return (false);
		return (session_finish_request(s));
	case SESSION_LINGER:
		return (session_read_linger(s));
	case SESSION_TUNNEL:
	case SESSION_CLOSED:
		break;
	}
	return (false);
}

static void
session_turn(struct session *s)
{
	assert(s->magic == SESSION_MAGIC);
	if (s->reading || s->state == SESSION_CLOSED)
		return;
	s->reading = true;
	s->turn_bytes = 0;
	s->turn_requests = s->requests;
	while (session_step(s)) {
		if (s->requests - s->turn_requests < TURN_REQUESTS || s->state != SESSION_IDLE)
			continue;
		loop_ready(s->thread->loop, &s->task);	/* the others first */
		break;
	}
	s->reading = false;
	/* Whoever waits for a back end wants to know when the client leaves. */
	if (s->state == SESSION_BUSY && !s->conn->joined && !s->failed)
		conn_watch(s->conn);
}

static void
half_close_fire(struct timer *timer)
{
	struct session *s = list_item(timer, struct session, gone_timer);

	if (s->state != SESSION_BUSY)
		return;
	/* While it gets its answer, or we keep it waiting (limit_rate), it is there. */
	if (s->conn->sent != s->gone_sent || timer_is_armed(&s->rate_timer)) {
		s->gone_sent = s->conn->sent;
		timer_arm(s->thread->loop, &s->gone_timer, HALF_CLOSE_MS, half_close_fire);
		return;
	}
	request_log(s->request, LOG_INFO, 0, "client closed connection");
	session_gone(s);
}

static void
session_event(struct conn *conn, unsigned events, void *arg)
{
	struct session *s = arg;
	struct request *r = s->request;

	assert(s->magic == SESSION_MAGIC);
	if (s->state == SESSION_CLOSED || s->state == SESSION_TUNNEL)
		return;
	s->turn_bytes = 0;
	if (s->state == SESSION_BUSY && !s->body_wanted && (events & CONN_READ) != 0 &&
	    conn_is_reset(conn))
		events |= CONN_ERROR;
	if ((events & CONN_ERROR) != 0 && s->state == SESSION_BUSY) {
		session_gone(s);
		session_turn(s);
		return;
	}
	if ((events & CONN_WRITE) != 0 && s->state >= SESSION_BUSY)
		session_out_event(s);
	if (s->state == SESSION_BUSY && s->body_wanted &&
	    (events & (CONN_READ | CONN_CLOSED)) != 0 && r->events != NULL &&
	    r->events->on_body != NULL)
		r->events->on_body(r);
	if (s->state == SESSION_BUSY && (events & CONN_CLOSED) != 0 && !s->body_wanted &&
	    !timer_is_armed(&s->gone_timer)) {
		s->gone_sent = s->conn->sent;
		timer_arm(s->thread->loop, &s->gone_timer, HALF_CLOSE_MS, half_close_fire);
	}
	/*
	 * A request begins when the events of this turn were seen: one of them may say that a kept
	 * back-end connection has ended, or holds bytes that would be taken for its answer.
	 */
	if (s->state == SESSION_IDLE || s->state == SESSION_HEAD)
		session_soon(s);
	else
		session_turn(s);
}

/* ---- the other operations ---- */

static struct conn *
http1_tunnel(struct request *r, struct chain *leftover)
{
	struct session *s = r->session;

	session_set_state(s, SESSION_TUNNEL);
	s->closing = true;
	timer_cancel(&s->timer);
	timer_cancel(&s->gone_timer);
	timer_cancel(&s->send_timer);
	assert(chain_is_empty(&s->out));
	chain_append(leftover, &s->in);
	return (s->conn);
}

void
session_tunnel_done(struct request *r)
{
	struct session *s = r->session;

	r->bytes_sent = s->conn->sent - s->sent_before;
	conn_set_handler(s->conn, session_event, s);
	session_set_state(s, SESSION_BUSY);
	s->out_ended = true;
	s->aborted = true;
	session_soon(s);
}

static void
http1_abort(struct request *r)
{
	struct session *s = r->session;

	s->aborted = s->closing = true;
	s->out_ended = true;
	if (r->out.started && r->out.length < 0 && !r->out.chunked && !r->out.no_body)
		s->reset = true;
	session_flush(s);
	session_soon(s);
}

const struct session_ops http1_ops = {
	.read_body = session_read_body,
	.send_info = session_send_info,
	.send_head = session_send_head,
	.send_body = session_send_body,
	.tunnel = http1_tunnel,
	.abort = http1_abort,
};

struct conn *
session_conn(const struct request *r)
{
	return (r->session == NULL ? NULL : r->session->conn);
}

const struct listen *
session_listen(const struct request *r)
{
	return (r->session->listen);
}

const struct addr *
session_peer(const struct request *r)
{
	return (&r->session->peer);
}

void
session_set_peer(struct session *s, const struct addr *addr)
{
	s->peer = *addr;
}

struct http_thread *
session_thread(const struct session *s)
{
	return (s->thread);
}

unsigned long
session_number(const struct session *s)
{
	return (s->number);
}

const struct listen *
session_listen_of(const struct session *s)
{
	return (s->listen);
}

bool
session_is_tls(const struct session *s)
{
	return (s->conn->tls != NULL);
}

const struct proxied_connection *
session_proxied(const struct request *r)
{
	static const struct proxied_connection none;

	return (r->session->proxied == NULL ? &none : r->session->proxied);
}

/* ---- opening, draining, new configurations ---- */

static void
session_start_tls(struct session *s)
{
	struct ssl_ctx_st *context = s->listen->default_server->tls;

	if (context == NULL || tls_start(s->conn, context, true, STR(""), s) != 0) {
		session_set_state(s, SESSION_HANDSHAKE);
		session_log(s, LOG_ERR, 0,
		    "no \"ssl_certificate\" is defined in server listening on SSL port");
		session_close(s);
		return;
	}
	session_set_state(s, SESSION_HANDSHAKE);
}

/* A wildcard's socket also serves addresses with servers of their own. */
static const struct listen *
listen_by_local_addr(const struct listen *listen, const struct conn *conn)
{
	struct addr local;

	if (listen->covered.count == 0)
		return (listen);
	conn_local_addr(conn, &local);
	VEC_EACH(&listen->covered, struct listen *, it)
		if (addr_eq(&(*it)->addr, &local))
			return (*it);
	return (listen);
}

void
session_open(struct http_thread *thread, const struct listen *listen, int fd,
    const struct addr *peer)
{
	struct session *s = xcalloc(1, sizeof(*s));

	s->magic = SESSION_MAGIC;
	s->thread = thread;
	s->conn = conn_open(thread->loop, fd, peer);
	s->listen = listen_by_local_addr(listen, s->conn);
	s->peer = *peer;
	s->number = atomic_fetch_add(&session_numbers, 1) + 1;
	s->opened_ms = clock_mono_ms();
	s->task.run = session_task;
	list_init(&s->task.link);
	list_push_back(&thread->sessions, &s->link);
	thread->connections++;
	tally_add(thread->tally, TALLY_ACCEPTED, 1);
	tally_add(thread->tally, TALLY_ACTIVE, 1);
	conn_set_handler(s->conn, session_event, s);
	timer_arm(thread->loop, &s->timer, s->listen->default_server->core->client_header_timeout,
	    session_timed_out);
	s->state = SESSION_IDLE;
	s->tally = s->listen->http->kind->headless ? NULL : thread->tally;
	session_tally(s, 1);
	if (s->listen->proxy_protocol) {
		s->proxied = xcalloc(1, sizeof(*s->proxied));
		session_set_state(s, SESSION_PREFACE);
	}
	if (s->state == SESSION_IDLE && s->listen->ssl)
		session_start_tls(s);
	/*
	 * After this turn's events: more often has the request come by then, and nothing need join
	 * the loop.
	 */
	session_soon(s);
}

void
session_drain_all(struct http_thread *thread)
{
	thread->draining = true;
	LIST_EACH_SAFE(&thread->sessions, it, after) {
		struct session *s = list_item(it, struct session, link);

		s->closing = true;
		if (s->state == SESSION_IDLE || s->state == SESSION_LINGER)
			session_close(s);
	}
}

void
session_close_all(struct http_thread *thread)
{
	LIST_EACH_SAFE(&thread->sessions, it, after)
		session_close(list_item(it, struct session, link));
}

/* The listen of that address for connections of the same kind. */
static const struct listen *
listen_like(const struct http_conf *http, const struct listen *old)
{
	VEC_EACH(&http->listens, struct listen *, it)
		if (addr_eq(&(*it)->addr, &old->addr) &&
		    (*it)->http->kind == old->http->kind)
			return (*it);
	return (NULL);
}

void
session_adopt_conf(struct http_thread *thread, struct http_conf *http)
{
	thread->current = http;
	LIST_EACH(&thread->sessions, it) {
		struct session *s = list_item(it, struct session, link);
		const struct listen *found;

		if (s->removed != NULL)
			continue;
		found = listen_like(http, s->listen);
		if (found == NULL && s->listen->wildcard != NULL)
			found = listen_like(http, s->listen->wildcard);
		if (found != NULL) {
			s->listen = found;
			continue;
		}
		s->removed = s->listen->http;
		http_conf_pin(s->removed, loop_index(thread->loop));
		s->closing = true;
	}
}
