/*
 * Bodies made piece by piece: files that a filter reads (mod/static.c), listings
 * of folders (mod/autoindex.c).
 *
 *	start -> pieces -> full: on_drain   -> pieces ... last
 *	                -> enough: next turn -> pieces
 */
#include "http/feed.h"

#include "http/response.h"

#define FEED_PIECE	(64 * 1024)
#define FEED_TURN	(4 * FEED_PIECE)	/* then others have their turn: gzip takes its time */

/* Has the client enough to do?  Less is queued for it while many wait. */
static bool
feed_is_full(struct request *r)
{
	if (resp_is_full(r))
		return (true);
	if (!block_is_scarce() || !session_is_blocked(r))
		return (false);
	session_await_drain(r);
	return (true);
}

/* Writes until the client's side is full, all is written, or it has been enough for one turn. */
static void
feed_run(struct request *r)
{
	struct feed *feed = r->holder.arg;
	uint64_t written = 0;
	bool last = false;

	task_cancel(&feed->more);
	while (!last && !feed_is_full(r)) {
		struct chain body = { 0 };

		if (written >= FEED_TURN) {
			loop_ready(r->thread->loop, &feed->more);
			return;
		}
		last = feed->next(feed, &body, block_is_scarce() ? BLOCK_SIZE : FEED_PIECE);
		written += body.bytes;
		if (resp_write(r, &body, last ? SEND_LAST : 0) != 0)
			return;
	}
}

static void
feed_more(struct task *task)
{
	feed_run(list_item(task, struct feed, more)->r);
}

static const struct request_events feed_events = { .on_drain = feed_run };

static void
feed_cancel(struct request *r, void *arg)
{
	struct feed *feed = arg;

	(void)r;
	task_cancel(&feed->more);
	feed->release(feed);
}

enum step_result
feed_start(struct request *r, struct feed *feed)
{
	feed->r = r;
	feed->more.run = feed_more;
	request_wait(r, feed_cancel, feed);
	r->events = &feed_events;
	feed_run(r);
	return (STEP_WAIT);
}
