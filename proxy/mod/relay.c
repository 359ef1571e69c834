/*
 * The body of an answer, from the attempt's pump to the client.  upstream.c
 * starts it when the head is out, tells it of readable back ends and drained
 * clients, and hears how it ended (upstream_relayed()).
 *
 * Unbuffered, each answer may queue READ_AHEAD_FLOOR bytes for its client, and
 * more, in steps reserved from a bound of the process, up to its window: a slow
 * reader does not hold a worker, and a thousand of them do not hold the memory.
 *
 * Buffered, what the client does not take goes to the session's queue, or, where
 * many wait so that blocks are scarce, all but a piece of it to the spool.
 */
#include "mod/relay.h"

#include <errno.h>
#include <stdatomic.h>

#include "http/response.h"
#include "http/spool.h"
#include "mod/upstream.h"

#define READ_AHEAD_FLOOR	(16u * 1024)
#define READ_AHEAD_STEP		(64u * 1024)
#define READ_MOST		(256u * 1024)
#define BUFFERED_FLUSH		4096		/* nginx sends when a buffer is full */
#define SPOOL_PIECE		(64u * 1024)
#define SCARCE_PIECE		(16u * 1024)	/* queued for a client while blocks are scarce */

static struct {
	_Atomic uint64_t total;
	_Atomic uint64_t used;
	_Atomic unsigned active;	/* answers that want more than the floor */
} read_ahead = { .total = UINT64_C(32) << 20 };

void
relay_set_read_ahead(uint64_t total)
{
	atomic_store(&read_ahead.total, total);
}

/* One step more for this answer; false: its window, its share or the bound is reached. */
static bool
read_ahead_reserve(struct relay *relay, uint64_t window)
{
	uint64_t total = atomic_load(&read_ahead.total), floors, used;

	if (!relay->active)
		atomic_fetch_add(&read_ahead.active, 1);
	relay->active = true;
	floors = atomic_load(&read_ahead.active) * (uint64_t)READ_AHEAD_FLOOR;
	if (relay->reserved + READ_AHEAD_STEP > window ||
	    relay->reserved + READ_AHEAD_STEP > total / (floors / READ_AHEAD_FLOOR))
		return (false);
	used = atomic_fetch_add(&read_ahead.used, READ_AHEAD_STEP) + READ_AHEAD_STEP;
	/* Half is kept for the floors of those that come later. */
	if (used > total / 2 || used + floors > total) {
		atomic_fetch_sub(&read_ahead.used, READ_AHEAD_STEP);
		return (false);
	}
	relay->reserved += READ_AHEAD_STEP;
	return (true);
}

static void
read_ahead_release(struct relay *relay)
{
	if (!relay->active)
		return;
	atomic_fetch_sub(&read_ahead.used, relay->reserved);
	atomic_fetch_sub(&read_ahead.active, 1);
	relay->reserved = 0;
	relay->active = false;
}

static uint64_t
relay_room_unbuffered(struct relay *relay)
{
	const struct upstream *u = relay->u;
	uint64_t queued = session_queued(u->r), left = framing_decoder_left(&u->attempt->decoder);
	uint64_t allowed = READ_AHEAD_FLOOR + relay->reserved;

	/* Room for a large read of what is sure to come, of one step where that is not known. */
	if (left < READ_AHEAD_STEP)
		left = READ_AHEAD_STEP;
	else if (left > READ_MOST)
		left = READ_MOST;
	while (queued + left > allowed &&
	    read_ahead_reserve(relay, u->settings->buffers.read_ahead))
		allowed += READ_AHEAD_STEP;
	/* The floor is one block: what is left of it is not worth another. */
	if (queued == 0 || (queued < allowed && relay->reserved > 0))
		return (allowed - queued);
	session_await_drain(u->r);
	return (0);
}

/* --- what is held back for a slow client --- */

static uint64_t
relay_room_buffered(struct relay *relay)
{
	const struct upstream_buffers *b = &relay->u->settings->buffers;
	uint64_t memory = b->body.n.count * b->body.n.size, used;
	uint64_t most = b->file_max > memory ? b->file_max : memory;

	if (relay->spool == NULL)
		return (UINT64_MAX);
	used = spool_size(relay->spool);
	return (relay->spool_refused || used >= most ? 0 : most - used);
}

static void
relay_spool_open(struct relay *relay)
{
	const struct upstream_buffers *b = &relay->u->settings->buffers;
	struct spool_options options = {
		.memory = b->body.n.count * b->body.n.size,
		.max = b->file_max,
		.path = b->temp_path->path,
		.levels = { b->temp_path->levels[0], b->temp_path->levels[1],
		    b->temp_path->levels[2] },
	};

	relay->spool = spool_new(&options);
	relay->spool_at = 0;
}

static void
relay_spool_add(struct relay *relay, struct chain *bytes)
{
	struct str path = STR_NULL;

	if (chain_is_empty(bytes))
		return;
	if (relay->spool == NULL)
		relay_spool_open(relay);
	if (!chain_is_empty(&relay->held) || spool_append(relay->spool, bytes, &path) != 0) {
		/* The disk is full, or the bound of all is reached: the back end waits. */
		if (!relay->spool_refused)
			upstream_log(relay->u, spool_failure_is_news() ? LOG_CRIT : LOG_INFO, errno,
			    "temporary file \"" STR_FMT "\" failed, the upstream waits",
			    STR_ARG(path));
		relay->spool_refused = true;
		chain_append(&relay->held, bytes);
		return;
	}
	if (!relay->spool_said && spool_is_file(relay->spool)) {
		relay->spool_said = true;
		upstream_log(relay->u, LOG_WARN, 0,
		    "an upstream response is buffered to a temporary file " STR_FMT,
		    STR_ARG(spool_path(relay->spool)));
	}
}

/* A piece of what is held back, in order. */
static void
relay_spool_next(struct relay *relay, struct chain *out)
{
	uint64_t left = relay->spool == NULL ? 0 : spool_size(relay->spool) - relay->spool_at;

	if (left > 0) {
		if (left > SPOOL_PIECE)
			left = SPOOL_PIECE;
		spool_read(relay->spool, relay->spool_at, left, out);
		relay->spool_at += left;
		spool_forget(relay->spool, relay->spool_at);
		return;
	}
	if (relay->spool != NULL)
		spool_drop(relay->spool);
	relay->spool = NULL;
	relay->spool_refused = false;
	chain_append(out, &relay->held);
}

static bool
relay_holds(const struct relay *relay)
{
	return (!chain_is_empty(&relay->held) ||
	    (relay->spool != NULL && relay->spool_at < spool_size(relay->spool)));
}

/* --- the pump's sink --- */

static uint64_t
relay_room(void *arg)
{
	struct relay *relay = arg;

	if (relay->client_gone)
		return (UINT64_MAX);
	return (relay->buffering ? relay_room_buffered(relay) : relay_room_unbuffered(relay));
}

static int
relay_give(struct relay *relay, struct chain *bytes, bool flush)
{
	unsigned flags = 0;

	relay->unflushed += bytes->bytes;
	if (flush && (relay->flush || relay->unflushed >= BUFFERED_FLUSH)) {
		flags = SEND_FLUSH;
		relay->unflushed = 0;
	}
	if (chain_is_empty(bytes) && flags == 0)
		return (0);
	if (resp_write(relay->u->r, bytes, flags) == 0)
		return (0);
	/* Nobody reads: the session tells on_gone whether the answer is read on. */
	relay->client_gone = true;
	return (0);
}

/* While blocks are scarce: gives piece by piece, until the client stops to take them. */
static void
relay_give_pieces(struct relay *relay, struct chain *bytes)
{
	struct request *r = relay->u->r;

	while (bytes->bytes > SCARCE_PIECE && session_queued(r) == 0 && !relay->client_gone) {
		struct chain piece = { 0 };

		chain_move(&piece, bytes, SCARCE_PIECE);
		(void)relay_give(relay, &piece, true);
	}
	if (session_queued(r) > 0)
		session_await_drain(r);
}

static int
relay_give_or_spool(struct relay *relay, struct chain *bytes, bool flush)
{
	struct request *r = relay->u->r;
	bool full = resp_is_full(r);

	if (relay->spool == NULL && !full && bytes->bytes > SCARCE_PIECE && block_is_scarce()) {
		relay_give_pieces(relay, bytes);
		full = session_queued(r) > 0;
		if (relay->client_gone) {
			chain_clear(bytes);
			return (0);
		}
	}
	if (relay->spool == NULL && !full)
		return (relay_give(relay, bytes, flush));
	relay_spool_add(relay, bytes);
	return (0);
}

static int
relay_take(void *arg, struct chain *bytes, bool flush)
{
	struct relay *relay = arg;

	relay->received += bytes->bytes;
	if (relay->client_gone) {
		chain_clear(bytes);
		return (0);
	}
	if (!relay->buffering)
		return (relay_give(relay, bytes, flush));
	return (relay_give_or_spool(relay, bytes, flush));
}

/* --- the end --- */

/* Everything was given: the last bytes, or none after a cut. */
static void
relay_complete(struct relay *relay, struct chain *last)
{
	struct request *r = relay->u->r;

	if (relay->client_gone || relay->ended != PUMP_END) {
		if (!relay->client_gone && !chain_is_empty(last))
			(void)resp_write(r, last, SEND_FLUSH);
		chain_clear(last);
		resp_abort(r);
		return;
	}
	(void)resp_write(r, last, SEND_LAST);
}

static void
relay_ended(struct relay *relay, enum pump_result result)
{
	struct upstream *u = relay->u;
	struct chain last = { 0 };

	chain_append(&last, &u->attempt->pump.body);
	relay->received += last.bytes;
	relay->over = true;
	relay->ended = result;
	read_ahead_release(relay);
	upstream_relayed(u, result);
	if (relay->client_gone || !relay_holds(relay)) {
		relay_complete(relay, &last);
		return;
	}
	relay_spool_add(relay, &last);
}

void
relay_pull(struct relay *relay)
{
	enum pump_result result;

	if (relay->over)
		return;
	result = attempt_pull(relay->u->attempt);
	if (result != PUMP_WAIT && result != PUMP_FULL && result != PUMP_GONE)
		relay_ended(relay, result);
}

void
relay_broken(struct relay *relay)
{
	relay_ended(relay, PUMP_WAIT);
}

void
relay_drained(struct relay *relay)
{
	struct chain piece = { 0 };
	struct request *r = relay->u->r;

	while (relay_holds(relay) && !relay->client_gone && !resp_is_full(r)) {
		relay_spool_next(relay, &piece);
		if (relay->over && !relay_holds(relay)) {
			relay_complete(relay, &piece);
			return;
		}
		(void)relay_give(relay, &piece, !relay_holds(relay));
	}
	if (relay->over)
		return;
	read_ahead_release(relay);
	if (!relay_holds(relay) && relay->spool != NULL) {
		spool_drop(relay->spool);
		relay->spool = NULL;
		relay->spool_refused = false;
	}
	relay_pull(relay);
}

void
relay_start(struct relay *relay, bool buffering, bool flush)
{
	struct pump *pump = &relay->u->attempt->pump;

	relay->buffering = buffering;
	relay->flush = flush;
	pump->room = relay_room;
	pump->take = relay_take;
	pump->arg = relay;
	pump->unflushed = flush;
	relay_pull(relay);
}

void
relay_clear(struct relay *relay)
{
	read_ahead_release(relay);
	chain_clear(&relay->held);
	if (relay->spool != NULL)
		spool_drop(relay->spool);
	relay->spool = NULL;
}
