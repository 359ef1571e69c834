/*
 * The sending half of an HTTP/1 session: a queue of bytes, written at LAST and
 * FLUSH or when enough has come together; limit_rate, send_timeout and the
 * back-pressure that session_is_full() and on_drain are made of.
 *
 *	send_head, send_body -> out -> conn_send -> (blocked -> writable) -> empty -> answered
 */
#include "http/session_state.h"

#include <assert.h>

#include "base/clock.h"
#include "base/encode.h"
#include "http/core.h"
#include "http/response.h"

#define OUT_FULL	(64 * 1024)	/* stop producing above this */
#define OUT_LOW		(16 * 1024)	/* go on below this */
#define OUT_GATHER	(32 * 1024)	/* write without being asked to */
#define OUT_GATHER_SCARCE (8 * 1024)	/* the same while blocks are scarce */
#define NAGLE_MATTERS	1400		/* bytes: what may go out in several segments */

void
session_out_begin(struct session *s)
{
	s->out_ended = s->was_full = false;
	s->sent_before = s->conn->sent;
}

void
session_out_end(struct session *s)
{
	timer_cancel(&s->send_timer);
	timer_cancel(&s->rate_timer);
	timer_cancel(&s->gone_timer);
	chain_clear(&s->out);
}

/* In whose queue the answer waits; NULL: what a subrequest is answered waits nowhere. */
static struct session *
session_of(const struct request *r)
{
	return (r->parent == NULL ? r->session : NULL);
}

bool
session_is_full(const struct request *r)
{
	return (session_queued(r) >= OUT_FULL);
}

void
session_await_drain(const struct request *r)
{
	if (session_of(r) != NULL)
		session_of(r)->was_full = true;
}

bool
session_is_blocked(const struct request *r)
{
	return (session_of(r) != NULL && session_of(r)->blocked);
}

uint64_t
session_queued(const struct request *r)
{
	return (session_of(r) == NULL ? 0 : session_of(r)->out.bytes);
}

static void
rate_fire(struct timer *timer)
{
	session_out_event(list_item(timer, struct session, rate_timer));
}

static void
send_timed_out(struct timer *timer)
{
	struct session *s = list_item(timer, struct session, send_timer);
	struct request *r = s->request;

	if (r != NULL) {
		request_log(r, LOG_INFO, ETIMEDOUT, "client timed out while sending to client");
		s->reset = r->location->core->reset_timedout_connection;
	}
	s->failed = true;
	session_gone(s);
}

static uint64_t
tpl_size(struct request *r, const struct tpl *tpl)
{
	uint64_t size;

	if (tpl == NULL || !str_to_size(tpl_eval(r, tpl), &size))
		return (0);
	return (size);
}

/* What a rate makes of some seconds: configurations and back ends may name any number. */
static uint64_t
rate_times(uint64_t rate, uint64_t seconds)
{
	return (rate > INT64_MAX / seconds ? INT64_MAX : rate * seconds);
}

/*
 * How much limit_rate allows now; arms the timer when that is nothing (nginx: a second's worth at
 * once).
 */
static uint64_t
rate_allowance(struct session *s)
{
	struct request *r = s->request;
	uint64_t elapsed, allowed, sent;

	if (r == NULL || r->limit_rate == 0)
		return (UINT64_MAX);
	elapsed = clock_mono_ms() - r->start_mono_us / 1000;
	allowed = r->limit_rate_after + rate_times(r->limit_rate, elapsed / 1000 + 1);
	sent = s->conn->sent - s->sent_before;
	if (sent < allowed)
		return (allowed - sent);
	timer_arm(s->thread->loop, &s->rate_timer,
	    1000 - elapsed % 1000 + rate_times(sent - allowed, 1000) / r->limit_rate, rate_fire);
	return (0);
}

static void
session_tell_drained(struct session *s)
{
	struct request *r = s->request;

	if (!s->was_full || s->out.bytes > OUT_LOW)
		return;
	s->was_full = false;
	if (r != NULL && !r->out.ended && r->events != NULL && r->events->on_drain != NULL)
		r->events->on_drain(r);
}

/*
 * tcp_nodelay: a short segment would wait for the client's ACK of the one before.  Set once, and
 * only where there is one before: an answer in one segment, or with the end behind it, has none.
 */
static void
session_undelay(struct session *s, const struct request *r)
{
	if (s->nodelay || r == NULL || !r->location->core->tcp_nodelay ||
	    (s->out_ended && (s->out.bytes <= NAGLE_MATTERS || !r->keepalive)))
		return;
	s->nodelay = true;
	conn_set_nodelay(s->conn, true);
}

void
session_flush(struct session *s)
{
	struct request *r = s->request;
	uint64_t allowed;
	ssize_t n;

	if (s->failed || chain_is_empty(&s->out))
		return;
	allowed = rate_allowance(s);
	if (allowed == 0)
		return;
	session_undelay(s, r);
	/* A reset drops what still waits for more. */
	s->conn->ends = s->out_ended && !s->reset && r != NULL && !r->keepalive;
	n = conn_send(s->conn, &s->out, allowed);
	if (n == CONN_FAILED) {
		s->failed = true;
		if (s->conn->error == ESTALE && r != NULL)
			request_log(r, LOG_ALERT, 0, "file was truncated while it was sent");
		session_gone(s);
		return;
	}
	if (r != NULL)
		r->bytes_sent = s->conn->sent - s->sent_before;
	s->blocked = !chain_is_empty(&s->out);
	if (!s->blocked) {
		timer_cancel(&s->send_timer);
		if (s->out_ended)
			session_answered(s);
		return;
	}
	if (r != NULL && (uint64_t)n == allowed) {
		timer_cancel(&s->send_timer);	/* it is we who keep the client waiting */
		(void)rate_allowance(s);
	} else if (n > 0 || !timer_is_armed(&s->send_timer)) {
		timer_arm(s->thread->loop, &s->send_timer,
		    r != NULL ? r->location->core->send_timeout : 60000, send_timed_out);
	}
}

void
session_out_event(struct session *s)
{
	if (s->state == SESSION_TUNNEL || timer_is_armed(&s->rate_timer))
		return;
	session_flush(s);
	if (s->state != SESSION_CLOSED)
		session_tell_drained(s);
}

int
session_send_head(struct request *r)
{
	const struct core_location *core = r->location->core;
	struct session *s = r->session;

	if (s->failed) {
		session_gone(s);
		return (-1);
	}
	if (!r->limit_rate_set) {
		r->limit_rate = tpl_size(r, core->limit_rate);
		r->limit_rate_set = true;
	}
	if (r->limit_rate_after == 0)
		r->limit_rate_after = tpl_size(r, core->limit_rate_after);
	if (s->thread->draining || s->closing || s->requests >= core->keepalive_requests ||
	    core->keepalive_timeout == 0 || s->continue_owed ||
	    clock_mono_ms() - s->opened_ms > core->keepalive_time)
		r->keepalive = false;
	resp_head_text(r, &s->out, r->keepalive);
	return (0);
}

int
session_send_body(struct request *r, struct chain *body, unsigned flags)
{
	struct session *s = r->session;

	if (s->failed) {
		chain_clear(body);
		if ((flags & SEND_LAST) != 0) {
			s->out_ended = true;
			session_answered(s);
		}
		return (-1);
	}
	if (s->blocked)
		chain_append_packed(&s->out, body);
	else
		chain_append(&s->out, body);
	if ((flags & SEND_LAST) != 0)
		s->out_ended = true;
	if (s->out.bytes >= OUT_FULL)
		s->was_full = true;
	if (s->out_ended && chain_is_empty(&s->out)) {
		session_answered(s);
		return (0);
	}
	if (!s->blocked && !timer_is_armed(&s->rate_timer) &&
	    (flags != 0 || s->out.bytes >= (block_is_scarce() ? OUT_GATHER_SCARCE : OUT_GATHER)))
		session_flush(s);
	if (s->failed)
		return (-1);
	return (0);
}

void
session_send_info(struct request *r, unsigned status, const struct fields *fields)
{
	struct session *s = r->session;
	struct str reason = status_reason(status);

	if (s->failed || r->in.version < 11)
		return;
	chain_copy(&s->out, pool_printf(r->pool, "HTTP/1.1 %u" "%s" STR_FMT "\r\n", status,
	    reason.n > 0 ? " " : "", STR_ARG(reason)));
	for (unsigned i = 0; fields != NULL && i < fields->count; i++)
		chain_copy(&s->out, pool_printf(r->pool, STR_FMT ": " STR_FMT "\r\n",
		    STR_ARG(fields->items[i].name), STR_ARG(fields->items[i].value)));
	chain_copy(&s->out, STR("\r\n"));
	session_flush(s);
}
