/*
 * A connection of stream {}: picks a peer, connects, and joins client and back
 * end by a tunnel until both have ended.  The content of a server; ended by
 * the tunnel, by a timeout, or by the session that is closed under it.
 *
 *	(RESOLVING ->) CONNECTING -> OPEN -> OVER
 *	                |   ^  \--------------^  no peer left: 502
 *	                \---/
 *	              next peer
 *
 * The client's connection is the forward's from the beginning, so that what the
 * client says, and its end, wait in the socket until somebody takes them.
 */
#include "mod/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "http/core.h"
#include "http/session.h"
#include "http/tunnel.h"
#include "mod/resolve.h"
#include "mod/upstream.h"

#define FORWARD_MAGIC	0x46575244u

enum forward_state { FORWARD_RESOLVING, FORWARD_CONNECTING, FORWARD_OPEN, FORWARD_OVER };

struct forward {
	unsigned magic;
	enum forward_state state;
	struct request *r;
	const struct stream_settings *settings;
	struct stream_target target;

	struct conn *client;		/* lent by the session */
	struct conn *back;		/* NULL: none */
	struct chain to_back;		/* goes before what the client says */
	struct tunnel *tunnel;		/* OPEN */
	struct timer timer;		/* proxy_connect_timeout */

	struct resolver_query query;	/* RESOLVING */
	struct peer_choice choice;
	unsigned addr_next;		/* of target.addrs */
	struct peer_try peer;
	struct addr local;		/* proxy_bind; len 0: none */
	unsigned tried;
	uint64_t started_ms;		/* monotonic */
	uint64_t try_ms;
	struct vec results;		/* struct stream_result */
	bool trying;			/* the last of them is under way */
};

static void	forward_next(struct forward *);

/* --- what is said about it --- */

const struct vec *
forward_results(const struct request *r)
{
	const struct forward *f = request_state(r, stream_module);

	return (f == NULL ? NULL : &f->results);
}

static struct stream_result *
result_last(const struct forward *f)
{
	return (&vec_at(&f->results, struct stream_result, f->results.count - 1)[0]);
}

static struct str
forward_bytes(const struct forward *f)
{
	const struct conn *back = f->back;

	return (pool_printf(f->r->pool,
	    ", bytes from/to client:%llu/%llu, bytes from/to upstream:%llu/%llu",
	    (unsigned long long)f->client->received, (unsigned long long)f->client->sent,
	    (unsigned long long)(back == NULL ? 0 : back->received),
	    (unsigned long long)(back == NULL ? 0 : back->sent)));
}

/* nginx's line of a stream: client, server, upstream, bytes. */
static void
forward_log(struct forward *f, enum log_level level, int err, const char *text)
{
	struct request *r = f->r;

	if (!log_enabled(request_log_target(r), level))
		return;
	r->log_action = f->state == FORWARD_OPEN ? "proxying connection" : "connecting to upstream";
	r->log_upstream = f->trying ? result_last(f)->addr : f->target.text;
	r->log_tail = forward_bytes(f);
	request_log(r, level, err, "%s", text);
	r->log_action = NULL;
	r->log_upstream = r->log_tail = STR_NULL;
}

/* "client 127.0.0.1:5000 connected to 127.0.0.1:80" */
static void
connected_log(const struct forward *f, const char *who, const struct addr *from,
    const struct addr *to)
{
	const struct log *log = request_log_target(f->r);
	char a[ADDR_TEXT_MAX], b[ADDR_TEXT_MAX];

	if (!log_enabled(log, LOG_INFO))
		return;
	(void)addr_text(from, true, a);
	(void)addr_text(to, true, b);
	log_write(log, LOG_INFO, f->r->connection_number, 0, "%s %s connected to %s", who, a, b);
}

static void
disconnected_log(const struct forward *f, const char *who)
{
	log_write(request_log_target(f->r), LOG_INFO, f->r->connection_number, 0,
	    "%s disconnected" STR_FMT, who, STR_ARG(forward_bytes(f)));
}

/* --- the end --- */

/* The try is over: the peer has its result, the variables have theirs. */
static void
try_end(struct forward *f, enum peer_result result, bool last)
{
	struct stream_result *kept = result_last(f);
	bool disabled;

	kept->session = (int64_t)(clock_mono_ms() - f->try_ms);
	if (f->back != NULL) {
		kept->sent = f->back->sent;
		kept->received = f->back->received;
	}
	disabled = peer_done(&f->peer, result, false,
	    last && f->choice.set != NULL ? &f->choice : NULL, clock_mono_ms());
	if (disabled)
		forward_log(f, LOG_WARN, 0, "upstream server temporarily disabled");
	if (f->back != NULL)
		conn_close(f->back, false);
	f->back = NULL;
	f->trying = false;
}

/* Gives everything back but the client's connection, which nobody listens to then. */
static void
forward_release(struct forward *f)
{
	timer_cancel(&f->timer);
	if (f->state == FORWARD_RESOLVING && f->query.name.p != NULL)
		resolver_cancel(&f->query);
	if (f->tunnel != NULL)
		tunnel_stop(f->tunnel);
	f->tunnel = NULL;
	conn_set_handler(f->client, NULL, NULL);
	chain_clear(&f->to_back);
	if (f->trying)
		try_end(f, f->state == FORWARD_OPEN ? PEER_OK : PEER_UNTESTED, true);
	else if (f->choice.list != NULL)
		peer_choice_end(&f->choice);
	f->state = FORWARD_OVER;
}

static void
forward_end(struct forward *f, unsigned status)
{
	struct request *r = f->r;

	forward_release(f);
	r->holder.cancel = NULL;
	r->out.status = status;
	session_tunnel_done(r);
}

/* The session is closed: the process ends. */
static void
forward_cancel(struct request *r, void *arg)
{
	struct forward *f = arg;

	r->out.status = f->state == FORWARD_OPEN ? 200 : 500;
	r->bytes_sent = f->client->sent;
	forward_release(f);
}

/* --- open --- */

static void
tunnel_over(void *arg, enum tunnel_end end)
{
	struct forward *f = arg;
	const struct conn *broken;
	char text[64];

	assert(f->magic == FORWARD_MAGIC && f->state == FORWARD_OPEN);
	switch (end) {
	case TUNNEL_ENDED:
		disconnected_log(f, "client and upstream");
		break;
	case TUNNEL_TIMED_OUT:
		forward_log(f, LOG_INFO, ETIMEDOUT, "connection timed out");
		break;
	case TUNNEL_BROKEN:
		broken = f->client->error != 0 ? f->client : f->back;
		(void)snprintf(text, sizeof(text), "%s() failed",
		    broken->failed_call == NULL ? "recv" : broken->failed_call);
		forward_log(f, broken == f->client ? LOG_INFO : LOG_ERR, broken->error, text);
		break;
	}
	forward_end(f, 200);
}

/* proxy_protocol: version 1, for the back end. */
static void
header_add(struct forward *f)
{
	const struct addr *client = session_peer(f->r);
	char from[ADDR_TEXT_MAX], to[ADDR_TEXT_MAX];
	struct addr local;
	bool six;

	conn_local_addr(f->client, &local);
	six = client->u.sa.sa_family == AF_INET6;
	if (client->len == 0 || client->u.sa.sa_family != local.u.sa.sa_family ||
	    (!six && client->u.sa.sa_family != AF_INET)) {
		chain_copy(&f->to_back, STR("PROXY UNKNOWN\r\n"));
		return;
	}
	(void)addr_text(client, false, from);
	(void)addr_text(&local, false, to);
	chain_copy(&f->to_back, pool_printf(f->r->pool, "PROXY TCP%d %s %s %u %u\r\n", six ? 6 : 4,
	    from, to, addr_port(client), addr_port(&local)));
}

static void
forward_open(struct forward *f)
{
	const struct core_location *core = f->r->location->core;
	struct chain none = { 0 };
	struct addr local;

	timer_cancel(&f->timer);
	f->state = FORWARD_OPEN;
	result_last(f)->connect = (int64_t)(clock_mono_ms() - f->try_ms);
	peer_works(&f->peer, clock_mono_ms());
	conn_local_addr(f->back, &local);
	connected_log(f, "proxy", &local, &f->peer.peer->addr);
	if (f->settings->proxy_protocol)
		header_add(f);
	f->tunnel = tunnel_start(f->r->pool, f->client, f->back, &f->to_back, &none,
	    f->settings->timeout, tunnel_over, f);
	tunnel_set_room(f->tunnel, f->settings->buffer_size);
	if (!core->tcp_nodelay) {
		conn_set_nodelay(f->client, false);
		conn_set_nodelay(f->back, false);
	}
}

/* --- connecting --- */

/* How many peers a connection may try. */
static unsigned
forward_tries(struct forward *f)
{
	unsigned count = f->target.group != NULL ? peer_choice_size(&f->choice) :
	    f->target.addr_count;
	uint64_t tries = f->settings->next_tries;

	return (tries != 0 && tries < count ? (unsigned)tries : count);
}

static bool
forward_may_try_next(struct forward *f)
{
	const struct stream_settings *s = f->settings;

	if (!s->next || f->tried >= forward_tries(f))
		return (false);
	return (s->next_timeout == 0 || clock_mono_ms() - f->started_ms < s->next_timeout);
}

/* The peer did not take the connection, or we had no descriptor for one: that is not its fault. */
static void
forward_failed(struct forward *f, enum log_level level, int err, const char *text)
{
	timer_cancel(&f->timer);
	forward_log(f, level, err, text);
	try_end(f, err == EMFILE || err == ENFILE ? PEER_UNTESTED : PEER_FAILED, false);
	if (f->target.group != NULL)
		resolve_group(f->r, f->target.group, true);
	if (forward_may_try_next(f))
		forward_next(f);
	else
		forward_end(f, 502);
}

static void
connect_timed_out(struct timer *timer)
{
	struct forward *f = list_item(timer, struct forward, timer);

	assert(f->magic == FORWARD_MAGIC && f->state == FORWARD_CONNECTING);
	forward_failed(f, LOG_ERR, ETIMEDOUT, "upstream timed out");
}

static void
back_on_event(struct conn *conn, unsigned events, void *arg)
{
	struct forward *f = arg;

	assert(f->magic == FORWARD_MAGIC && f->state == FORWARD_CONNECTING);
	if ((events & CONN_ERROR) != 0)
		forward_failed(f, connect_level(conn->error), conn->error, "connect() failed");
	else if ((events & CONN_WRITE) != 0)
		forward_open(f);
}

/* While there is no back end only a client that is gone for good is of interest. */
static void
client_on_event(struct conn *conn, unsigned events, void *arg)
{
	struct forward *f = arg;

	assert(f->magic == FORWARD_MAGIC && f->state <= FORWARD_CONNECTING);
	if ((events & CONN_ERROR) == 0 && !conn_is_reset(conn))
		return;
	disconnected_log(f, "client");
	forward_end(f, 200);
}

/* The next of the addresses that variables named. */
static bool
pick_of_addrs(struct forward *f)
{
	const struct addr *addr;
	char text[ADDR_TEXT_MAX];

	if (f->addr_next >= f->target.addr_count)
		return (false);
	addr = &f->target.addrs[f->addr_next++];
	peer_try_alone(&f->peer, group_of_addresses(), addr,
	    str_make(text, addr_text(addr, true, text)));
	return (true);
}

static bool
forward_pick(struct forward *f)
{
	if (f->target.group == NULL)
		return (pick_of_addrs(f));
	f->choice.now = clock_mono_ms();
	switch (peer_pick(&f->choice, f->r, &f->peer)) {
	case PICK_OK:
	case PICK_DESPERATE_SAID:
		return (true);
	case PICK_DESPERATE:
		forward_log(f, LOG_ERR, 0, "no live upstreams, trying all of them");
		return (true);
	case PICK_WAIT:
	case PICK_FULL:
	case PICK_BUSY:
	case PICK_NONE:
		break;
	}
	forward_log(f, LOG_ERR, 0, "no live upstreams");
	resolve_group(f->r, f->target.group, true);
	return (false);
}

static void
try_begin(struct forward *f)
{
	struct stream_result *result = vec_push(&f->results, f->r->pool);

	*result = (struct stream_result){ .connect = -1, .session = -1,
		.addr = pool_strdup(f->r->pool, f->peer.peer->text) };
	f->tried++;
	f->try_ms = clock_mono_ms();
	f->trying = true;
}

/* The next peer; a failure that is known at once leads on to the one after. */
static void
forward_next(struct forward *f)
{
	struct request *r = f->r;
	int error = 0;

	if (!forward_pick(f)) {
		forward_end(f, 502);
		return;
	}
	try_begin(f);
	f->back = conn_connect(r->thread->loop, &f->peer.peer->addr,
	    f->local.len > 0 ? &f->local : NULL, &error);
	if (f->back == NULL) {
		struct str text = pool_printf(r->pool, "connect() to " STR_FMT " failed",
		    STR_ARG(result_last(f)->addr));

		forward_failed(f, connect_level(error), error, text.p);
		return;
	}
	if (f->settings->socket_keepalive)
		conn_set_keepalive(f->back, true);
	if (!f->back->connecting) {
		forward_open(f);
		return;
	}
	conn_set_handler(f->back, back_on_event, f);
	conn_watch(f->back);
	timer_arm(r->thread->loop, &f->timer, f->settings->connect_timeout, connect_timed_out);
}

/* --- the beginning --- */

static void
name_answered(struct resolver_query *query)
{
	struct forward *f = query->arg;
	struct addr *addrs;

	assert(f->magic == FORWARD_MAGIC && f->state == FORWARD_RESOLVING);
	f->query.name = STR_NULL;
	if (query->error != NULL) {
		request_log(f->r, LOG_ERR, 0, STR_FMT " could not be resolved (%s)",
		    STR_ARG(f->target.unresolved), query->error);
		forward_end(f, 500);
		return;
	}
	addrs = pool_alloc(f->r->pool, query->count * sizeof(*addrs));
	memcpy(addrs, query->addrs, query->count * sizeof(*addrs));
	f->target.addrs = addrs;
	f->target.addr_count = query->count;
	f->state = FORWARD_CONNECTING;
	forward_next(f);
}

static void
forward_resolve(struct forward *f)
{
	struct resolver *resolver = resolve_by(f->r);

	if (resolver == NULL) {
		request_log(f->r, LOG_ERR, 0, "no resolver defined to resolve " STR_FMT,
		    STR_ARG(f->target.unresolved));
		forward_end(f, 500);
		return;
	}
	f->query.loop = f->r->thread->loop;
	f->query.name = f->target.unresolved;
	f->query.port = f->target.port;
	f->query.answered = name_answered;
	f->query.arg = f;
	resolver_ask(resolver, &f->query);
}

enum step_result
forward_content(struct request *r)
{
	struct forward *f = pool_new_object(r->pool, struct forward);

	f->magic = FORWARD_MAGIC;
	f->r = r;
	f->settings = location_conf(r->location, stream_module);
	f->results = VEC_OF(struct stream_result);
	f->started_ms = clock_mono_ms();
	request_state(r, stream_module) = f;
	if (!stream_target_of(r, f->settings->pass, &f->target))
		return (request_fail(r, 500));
	upstream_bind_eval(r, f->settings->bind, &f->local);
	/* Sets are written under their own locks; the configuration around them is frozen. */
	if (f->target.group != NULL)
		f->choice.set = (struct peer_set *)(uintptr_t)&f->target.group->set;
	f->client = r->ops->tunnel(r, &f->to_back);
	conn_set_handler(f->client, client_on_event, f);
	conn_watch(f->client);
	connected_log(f, "client", &f->client->peer, &session_listen(r)->addr);
	request_wait(r, forward_cancel, f);
	if (f->target.unresolved.p != NULL) {
		forward_resolve(f);
	} else {
		f->state = FORWARD_CONNECTING;
		if (f->target.group != NULL)
			resolve_group(r, f->target.group, false);
		forward_next(f);
	}
	return (f->state == FORWARD_OVER ? STEP_DONE : STEP_WAIT);
}
