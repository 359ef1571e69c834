/*
 * What a back end's answer means for the request: passed over to the next peer,
 * replaced by our own page (proxy_intercept_errors), by another location
 * (X-Accel-Redirect), relayed, or the beginning of a tunnel.  Entered from the
 * attempt's on_head; upstream_head.c makes r->out of the head.
 */
#include "mod/upstream_steps.h"

#include <errno.h>

#include "http/error_page.h"
#include "http/response.h"
#include "http/session.h"
#include "http/tunnel.h"
#include "mod/queue.h"

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

	u->answer = (struct fields){ .count = head->count, .room = head->count,
		.known = head->known };
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
	upstream_result_end(u, 0);
	upstream_attempt_over(u, false,
	    why == NEXT_403 || why == NEXT_404 ? PEER_UNTESTED : PEER_FAILED, false);
	upstream_go(u, upstream_next_peer(u));
	return (true);
}

/* proxy_intercept_errors: our page instead of the back end's.  True: done. */
static bool
answer_intercepted(struct upstream *u, unsigned status)
{
	struct request *r = u->r;

	if (status < 300 || !u->settings->intercept_errors || !request_has_error_page(r, status))
		return (false);
	upstream_result_end(u, 0);
	upstream_attempt_over(u, false, PEER_OK, true);
	r->intercepted = true;
	for (unsigned i = 0; status == 401 && i < u->answer.count; i++)
		if (u->answer.items[i].id == FIELD_WWW_AUTHENTICATE)
			fields_add_id(&r->authenticate, r->pool, FIELD_WWW_AUTHENTICATE,
			    u->answer.items[i].value);
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
	upstream_result_end(u, 0);
	upstream_attempt_over(u, false, PEER_OK, true);
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

void
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
	upstream_result_end(u, 0);
	upstream_attempt_over(u, false, PEER_OK, true);
	upstream_set_over(u);
	session_tunnel_done(r);
}

/* 101 was sent: both connections become one. */
void
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
		attempt_pause(u->attempt);
		session_await_drain(r);
		return;
	}
	upstream_tunnel(u);
}

void
upstream_on_head(struct attempt *a)
{
	struct upstream *u = upstream_of(a);
	unsigned status = a->head.status;
	bool buffering, flush;

	u->sent = u->reached = true;
	queue_leave(u);
	answer_keep(u, a);
	if (answer_passed_over(u, status))
		return;
	if (status == 101 && (!u->upgrade || u->r->parent != NULL)) {
		upstream_log(u, LOG_ERR, 0, "upstream sent 101 without being asked");
		upstream_result_end(u, 502);
		upstream_attempt_over(u, false, PEER_FAILED, true);
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
	relay_start(&u->relay, buffering, flush);
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
	upstream_result_end(u, 0);
	upstream_attempt_over(u, result == PUMP_END && u->body_ended, PEER_OK, true);
	upstream_set_over(u);
}
