/*
 * A tunnel: two pumps, each between the read side of one connection and the
 * write side of the other.  Started by mod/upstream.c when a back end agreed to
 * another protocol, and by mod/forward.c for each connection of stream {}.
 *
 *	side: open -> (its connection ended) -> its bytes sent on -> other side shut down
 *	both sides ended, one broke, or nothing moved for the timeout: over
 */
#include "http/tunnel.h"

#include <assert.h>
#include <stdbool.h>

#include "http/pump.h"

#define TUNNEL_MAGIC	0x54554e4eu
#define TUNNEL_ROOM	(64u * 1024)	/* bytes on their way in one direction */

struct tunnel_side {
	struct pump pump;	/* from this side's connection */
	struct conn *to;
	struct chain out;	/* read, not taken by the other connection */
	uint64_t room;		/* at most so many */
	uint64_t received;
	bool ended;		/* nothing more comes from here */
	bool shut;		/* the other connection was told */
};

struct tunnel {
	unsigned magic;
	struct tunnel_side sides[2];	/* client, back */
	struct timer timer;
	struct loop *loop;
	uint64_t timeout;
	void (*over)(void *, enum tunnel_end);
	void *arg;
	bool stopped;
};

static uint64_t
side_room(void *arg)
{
	const struct tunnel_side *side = arg;

	return (side->out.bytes >= side->room ? 0 : side->room - side->out.bytes);
}

static int
side_take(void *arg, struct chain *bytes, bool flush)
{
	struct tunnel_side *side = arg;

	(void)flush;
	side->received += bytes->bytes;
	chain_append(&side->out, bytes);
	return (conn_send(side->to, &side->out, UINT64_MAX) == CONN_FAILED ? -1 : 0);
}

/* Reads and sends what is possible.  False: broken. */
static bool
side_move(struct tunnel_side *side)
{
	if (!chain_is_empty(&side->out) &&
	    conn_send(side->to, &side->out, UINT64_MAX) == CONN_FAILED)
		return (false);
	if (!side->ended) {
		enum pump_result result = pump_run(&side->pump);

		if (result == PUMP_GONE || result == PUMP_FAILED)
			return (false);
		side->ended = result == PUMP_END;
		if (side->ended && !chain_is_empty(&side->pump.body) &&
		    side_take(side, &side->pump.body, true) != 0)
			return (false);
	}
	if (side->ended && chain_is_empty(&side->out) && !side->shut) {
		side->shut = true;
		conn_shutdown(side->to);
	}
	return (true);
}

static void
tunnel_over(struct tunnel *t, enum tunnel_end end)
{
	timer_cancel(&t->timer);
	t->over(t->arg, end);
}

static void
tunnel_timed_out(struct timer *timer)
{
	struct tunnel *t = list_item(timer, struct tunnel, timer);

	assert(t->magic == TUNNEL_MAGIC);
	tunnel_over(t, TUNNEL_TIMED_OUT);
}

static void
tunnel_on_event(struct conn *conn, unsigned events, void *arg)
{
	struct tunnel *t = arg;

	(void)conn;
	assert(t->magic == TUNNEL_MAGIC && !t->stopped);
	if (((events & CONN_ERROR) != 0 && (events & CONN_READ) == 0) ||
	    !side_move(&t->sides[0]) || !side_move(&t->sides[1])) {
		tunnel_over(t, TUNNEL_BROKEN);
		return;
	}
	if (t->sides[0].shut && t->sides[1].shut)
		tunnel_over(t, TUNNEL_ENDED);
	else
		timer_arm(t->loop, &t->timer, t->timeout, tunnel_timed_out);
}

static void
side_init(struct tunnel *t, struct tunnel_side *side, struct conn *from, struct conn *to,
    struct chain *first)
{
	side->to = to;
	side->room = TUNNEL_ROOM;
	side->pump.from = from;
	side->pump.room = side_room;
	side->pump.take = side_take;
	side->pump.arg = side;
	chain_append(&side->out, first);
	conn_set_handler(from, tunnel_on_event, t);
	conn_set_nodelay(from, true);
}

struct tunnel *
tunnel_start(struct pool *pool, struct conn *client, struct conn *back, struct chain *to_back,
    struct chain *to_client, uint64_t timeout, void (*over)(void *, enum tunnel_end), void *arg)
{
	struct tunnel *t = pool_new_object(pool, struct tunnel);

	t->magic = TUNNEL_MAGIC;
	t->loop = client->loop;
	t->timeout = timeout;
	t->over = over;
	t->arg = arg;
	side_init(t, &t->sides[0], client, back, to_back);
	side_init(t, &t->sides[1], back, client, to_client);
	timer_arm(t->loop, &t->timer, timeout, tunnel_timed_out);
	/* Both may have bytes that no event will tell of. */
	conn_watch(client);
	conn_watch(back);
	conn_ready_later(back, CONN_READ);
	return (t);
}

void
tunnel_set_room(struct tunnel *t, size_t room)
{
	t->sides[0].room = t->sides[1].room = room;
}

void
tunnel_stop(struct tunnel *t)
{
	assert(t->magic == TUNNEL_MAGIC);
	t->stopped = true;
	timer_cancel(&t->timer);
	for (int i = 0; i < 2; i++) {
		conn_set_handler(t->sides[i].pump.from, NULL, NULL);
		pump_clear(&t->sides[i].pump);
		chain_clear(&t->sides[i].out);
	}
}

uint64_t
tunnel_received(const struct tunnel *t)
{
	return (t->sides[1].received);
}
