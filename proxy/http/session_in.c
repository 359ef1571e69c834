/*
 * The reading half of an HTTP/1 session: heads, from the socket or from what was
 * read before, and bodies through their framing.  Called by session.c's turn and,
 * for bodies, by whoever the request's content is.
 *
 *	IDLE -> bytes -> HEAD -> parse_request -> BUSY (request_run | refused)
 *	IDLE -> BUSY	(headless: stream {})
 */
#include "http/session_state.h"

#include <assert.h>

#include "base/clock.h"
#include "http/body.h"
#include "http/core.h"
#include "http/response.h"
#include "http/tally.h"

#define BODY_CHUNK	(256 * 1024)
#define TURN_BYTES	(1024 * 1024)	/* of a body, then the others have their turn */

/* ---- the head ---- */

static void
request_begin(struct session *s)
{
	const struct core_server *core = s->listen->default_server->core;
	struct request *r;

	r = request_new(s->thread, s, &http1_ops, s->listen);
	s->request = r;
	s->requests++;
	if (s->tally != NULL)
		tally_add(s->tally, TALLY_REQUESTS, 1);
	r->connection_number = s->number;
	r->connection_requests = s->requests;
	r->connection_start_ms = s->opened_ms;
	r->pipelined = !chain_is_empty(&s->in);
	s->head_max = core->large_client_header_buffers.count * core->large_client_header_buffers.size;
	if (s->head_max < core->client_header_buffer_size)
		s->head_max = core->client_header_buffer_size;
	s->head_room = s->head_used = s->head_seen = 0;
	s->continue_owed = s->body_wanted = s->body_timed_out = false;
	s->discarded = 0;
	session_out_begin(s);
	session_set_state(s, SESSION_HEAD);
	timer_arm(s->thread->loop, &s->timer, core->client_header_timeout, session_timed_out);
}

/* Adds bytes to the head under way, at most what the head may still take; returns how many. */
static size_t
head_add(struct session *s, const char *p, size_t n)
{
	if (n > s->head_max - s->head_used)
		n = s->head_max - s->head_used;
	if (s->head_used + n > s->head_room) {
		size_t room = s->head_room == 0 ? 1024 : s->head_room;
		char *grown;

		while (room < s->head_used + n)
			room *= 2;
		grown = pool_alloc(s->request->pool, room);
		if (s->head_used > 0)
			memcpy(grown, s->head, s->head_used);
		s->head = grown;
		s->head_room = room;
	}
	memcpy(s->head + s->head_used, p, n);
	s->head_used += n;
	return (n);
}

/*
 * How many of n bytes belong to the head, as far as these tell: a body that came with it
 * does not go through the request's pool.
 */
static size_t
head_part(const char *p, size_t n)
{
	const char *end = p + n;

	for (const char *lf = memchr(p, '\n', n); lf != NULL;
	    lf = memchr(lf + 1, '\n', (size_t)(end - lf - 1))) {
		if (end - lf > 1 && lf[1] == '\n')
			return ((size_t)(lf - p) + 2);
		if (end - lf > 2 && lf[1] == '\r' && lf[2] == '\n')
			return ((size_t)(lf - p) + 3);
	}
	return (n);
}

/*
 * More bytes for the head: what was read before, else from the socket.  False: none now, or closed.
 */
static bool
head_fill(struct session *s)
{
	struct iovec iov = { loop_scratch(s->thread->loop), LOOP_SCRATCH };
	size_t used;
	ssize_t n;

	if (!chain_is_empty(&s->in)) {
		if (s->state == SESSION_IDLE)
			request_begin(s);
		used = head_add(s, s->in.first->p, head_part(s->in.first->p, s->in.first->n));
		chain_drop(&s->in, used);
		return (true);
	}
	if (s->state == SESSION_IDLE && conn_is_quiet(s->conn))
		return (false);
	n = conn_recv(s->conn, &iov, 1);
	if (n == CONN_AGAIN)
		return (false);
	if (n <= 0) {
		if (s->state == SESSION_HEAD) {
			request_log(s->request, LOG_INFO, n < 0 ? s->conn->error : 0, n < 0 ?
			    "recv() failed while reading client request headers" :
			    "client prematurely closed connection");
			s->request->out.status = 400;
		}
		session_close(s);
		return (false);
	}
	/*
	 * These bytes may have been sent after an answer of this very turn was seen, by this client
	 * or by another: a second request, a new connection, the rest of a head.  What the turn
	 * remembers (files) is old then.
	 */
	if (s->requests != s->turn_requests || s->requests == 0 || s->state == SESSION_HEAD)
		clock_update();
	if (s->state == SESSION_IDLE)
		request_begin(s);
	used = head_add(s, iov.iov_base, head_part(iov.iov_base, (size_t)n));
	if (used < (size_t)n)
		chain_copy(&s->in, str_make((char *)iov.iov_base + used, (size_t)n - used));
	return (true);
}

/* What follows the head goes back in front of what was read behind it. */
static void
head_rest(struct session *s, size_t length)
{
	struct chain rest = { 0 };

	if (length == s->head_used)
		return;
	chain_copy(&rest, str_make(s->head + length, s->head_used - length));
	chain_append(&rest, &s->in);
	s->in = rest;
}

/* The first line as received, for the log of a request that could not be read. */
static struct str
head_first_line(const struct session *s)
{
	struct str line = str_make(s->head, s->head_used);
	size_t end;

	while (line.n > 0 && (line.p[0] == '\r' || line.p[0] == '\n'))
		line = str_skip(line, 1);
	end = str_chr(line, '\n');
	if (end != SIZE_MAX)
		line.n = end;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return (line);
}

/*
 * An error page may be a back end's: what it is asked for then is the path that was understood,
 * never the bytes that were sent.
 */
static void
request_refuse(struct session *s, unsigned status)
{
	struct request *r = s->request;

	if (r->in.line.p == NULL) {
		r->in.line = head_first_line(s);
		/* Whatever is wrong, the answer to HEAD has no body. */
		if (str_starts(r->in.line, STR("HEAD "))) {
			r->in.method = METHOD_HEAD;
			r->in.method_name = STR("HEAD");
		}
	}
	if (r->uri.p == NULL) {
		r->uri = STR("/");
		r->args = STR_NULL;
	}
	r->refused = status != 497;	/* that one is only at the wrong door */
	r->uri_changed = r->refused;
	if (r->in.version < 10)		/* the refusal is told with a head */
		r->in.version = 10;
	r->keepalive = false;
	request_log(r, LOG_INFO, 0, "client sent invalid request (answered %u)", status);
	request_go(r, request_fail(r, status));
}

/*
 * What came of a body with its head is judged before anybody answers and before a back end hears
 * of the request.  0 or -400.
 */
static int
body_foresee(const struct session *s)
{
	struct framing_decoder decoder = s->decoder;
	size_t skip, data;
	int rc = 0;

	for (const struct buf *b = s->in.first; b != NULL && rc == 0; b = b->next)
		for (size_t at = 0; at < b->n && rc == 0; at += skip + data)
			rc = framing_decode(&decoder, b->p + at, b->n - at, &skip, &data);
	return (rc < 0 ? rc : 0);
}

/* A whole head is there: the request begins. */
static void
head_complete(struct session *s, const struct request_head *head, size_t length)
{
	struct request *r = s->request;
	int status;

	r->in.bytes = length;
	head_rest(s, length);
	timer_cancel(&s->timer);
	session_set_state(s, SESSION_BUSY);
	status = request_accept_head(r, s->listen, head);
	framing_decoder_init(&s->decoder, &r->in.framing);
	if (status == 0 && r->in.framing.kind == FRAMING_CHUNKED)
		status = -body_foresee(s);
	/* Who has begun to send its body does not wait. */
	s->continue_owed = status == 0 && !r->body_done && r->in.version >= 11 &&
	    chain_is_empty(&s->in) &&
	    fields_has_token(&r->in.fields, FIELD_EXPECT, STR("100-continue"));
	if (status == 0 && s->plain_on_tls)
		status = 497;
	if (status != 0)
		request_refuse(s, (unsigned)status);
	else
		request_run(r);
}

bool
session_read_head(struct session *s)
{
	const struct core_server *core = s->listen->default_server->core;
	/* A line may fill the largest buffer there is; normally the first is the smaller one. */
	size_t line = core->large_client_header_buffers.size > core->client_header_buffer_size ?
	    core->large_client_header_buffers.size : core->client_header_buffer_size;
	struct parse_limits limits = {
		.line_max = line,
		.field_max = line,
		.underscores = core->underscores_in_headers,
		.keep_invalid = !core->ignore_invalid_headers,
	};
	struct request_head head = { .items = s->thread->fields_scratch, .room = FIELDS_SCRATCH };
	unsigned skipped = 0;
	ssize_t rc;

	if (!head_fill(s))
		return (false);
	rc = parse_request(s->head, s->head_used, s->head_seen, &limits, &head, &skipped);
	s->head_seen = s->head_used;
	if (rc == PARSE_PARTIAL && s->head_used == s->head_max)
		rc = -494;
	if (rc == PARSE_PARTIAL)
		return (true);
	if (rc > 0) {
		head_complete(s, &head, (size_t)rc);
	} else {
		timer_cancel(&s->timer);
		session_set_state(s, SESSION_BUSY);
		s->closing = true;
		request_refuse(s, (unsigned)-rc);
	}
	return (true);
}

void
session_begin_headless(struct session *s)
{
	request_begin(s);
	timer_cancel(&s->timer);
	session_set_state(s, SESSION_BUSY);
	s->closing = true;
	request_run(s->request);
}

/* ---- the body ---- */

/* Decodes what is in s->in behind to.  BODY_MORE: all of it was used up. */
static int
body_decode(struct session *s, struct chain *to, uint64_t max)
{
	struct request *r = s->request;
	uint64_t moved = 0;

	while (!chain_is_empty(&s->in) && moved < max) {
		struct buf *b = s->in.first;
		size_t n = b->n > max - moved ? (size_t)(max - moved) : b->n, skip, data;
		int rc = framing_decode(&s->decoder, b->p, n, &skip, &data);

		if (rc < 0) {
			r->keepalive = false;
			return (rc);
		}
		chain_drop(&s->in, skip);
		r->in.bytes += skip;
		if (data > 0)
			chain_move(to, &s->in, data);
		moved += data;
		r->body_received += data;
		if (rc == 1) {
			r->body_done = true;
			timer_cancel(&s->timer);
			return (BODY_END);
		}
	}
	return (BODY_MORE);
}

bool
session_has_read_enough(struct session *s)
{
	if (s->turn_bytes < TURN_BYTES)
		return (false);
	conn_ready_later(s->conn, CONN_READ);
	return (true);
}

int
session_read_body(struct request *r, struct chain *to, uint64_t max)
{
	struct session *s = r->session;
	uint64_t before = to->bytes;
	ssize_t n;
	int rc;

	if (r->body_done)
		return (BODY_END);
	if (s->failed)
		return (BODY_GONE);
	if (s->body_timed_out)
		return (-408);
	s->body_wanted = false;
	timer_cancel(&s->timer);	/* while nobody reads it is not the client who is late */
	for (;;) {
		rc = body_decode(s, to, max - (to->bytes - before));
		if (rc >= 0 && s->state == SESSION_BUSY && !body_received_allowed(r))
			rc = -413;
		r->body_lost = r->body_lost || rc < 0;
		if (rc != BODY_MORE || to->bytes - before >= max)
			return (rc);
		if (session_has_read_enough(s))
			break;
		n = conn_recv_chain(s->conn, &s->in, BODY_CHUNK);
		if (n == CONN_AGAIN)
			break;
		if (n <= 0) {
			request_log(r, LOG_INFO, n < 0 ? s->conn->error : 0,
			    "client prematurely closed connection while reading client request body");
			r->keepalive = false;
			s->closing = true;
			return (BODY_GONE);
		}
		s->turn_bytes += (uint64_t)n;
		s->continue_owed = false;
	}
	if (s->continue_owed) {
		s->continue_owed = false;
		session_send_info(r, 100, NULL);
	}
	s->body_wanted = true;
	timer_arm(s->thread->loop, &s->timer, r->location->core->client_body_timeout,
	    session_timed_out);
	return (BODY_MORE);
}
