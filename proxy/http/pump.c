/*
 * Moving bytes from a connection to a sink with back-pressure.  Used for
 * answers of back ends (mod/relay.c, mod/attempt.c) and tunnels (http/tunnel.c).
 *
 *	from -> in -> (decoder) -> body -> take      until AGAIN, full, the end
 */
#include "http/pump.h"

#define PUMP_READ_MAX	(256u * 1024)
#define PUMP_TURN_MAX	(256u * 1024)	/* then the others have their turn */

/* 0, 1: complete, -1: malformed. */
static int
pump_decode(struct pump *p)
{
	if (p->decoder == NULL) {
		chain_append(&p->body, &p->in);
		return (0);
	}
	for (;;) {
		const struct buf *b = p->in.first;
		size_t skip = 0, data = 0;
		int rc;

		/* A body without bytes is complete before any came. */
		rc = framing_decode(p->decoder, b == NULL ? "" : b->p, b == NULL ? 0 : b->n,
		    &skip, &data);
		if (rc < 0)
			return (-1);
		chain_drop(&p->in, skip);
		chain_move(&p->body, &p->in, data);
		if (rc > 0)
			return (1);
		if (chain_is_empty(&p->in))
			return (0);
	}
}

static bool
pump_give(struct pump *p, bool flush)
{
	if (chain_is_empty(&p->body) && !(flush && p->unflushed))
		return (true);
	p->unflushed = !flush;
	return (p->take(p->arg, &p->body, flush) == 0);
}

/* The connection said it is over. */
static enum pump_result
pump_eof(struct pump *p)
{
	if (p->decoder == NULL)
		return (PUMP_END);
	return (framing_decode_eof(p->decoder) == 0 ? PUMP_END : PUMP_CUT);
}

enum pump_result
pump_run(struct pump *p)
{
	uint64_t moved = 0;

	for (;;) {
		uint64_t room;
		ssize_t n;
		int rc = pump_decode(p);

		if (rc != 0)
			return (rc > 0 ? PUMP_END : PUMP_MALFORMED);
		if (!pump_give(p, false))
			return (PUMP_GONE);
		room = p->room(p->arg);
		if (room == 0) {
			if (!pump_give(p, true))
				return (PUMP_GONE);
			/*
			 * What was only gathered has gone out at once: then nobody would say that
			 * there is room.
			 */
			room = p->room(p->arg);
			if (room == 0)
				return (PUMP_FULL);
		}
		if (moved >= PUMP_TURN_MAX) {
			conn_ready_later(p->from, CONN_READ);
			return (pump_give(p, true) ? PUMP_WAIT : PUMP_GONE);
		}
		n = conn_recv_chain(p->from, &p->in, room < PUMP_READ_MAX ? room : PUMP_READ_MAX);
		if (n == CONN_AGAIN)
			return (pump_give(p, true) ? PUMP_WAIT : PUMP_GONE);
		if (n == CONN_FAILED)
			return (PUMP_FAILED);
		if (n == 0)
			return (pump_eof(p));
		moved += (uint64_t)n;
	}
}

void
pump_clear(struct pump *p)
{
	chain_clear(&p->in);
	chain_clear(&p->body);
}
