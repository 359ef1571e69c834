/*
 * Waiting for back ends.  A request waits for a slot of its group, which
 * whoever frees one grants it (peers.c), or, when every peer refuses the
 * connection, for some of them to be back: then it asks again every BRIDGE_INTERVAL.
 * Both end by the queue's timeout, or because the client left.  Where the process has no
 * descriptor left for a connection, requests wait for one in the same way, for connect_timeout.
 *
 *	upstream.c -> queue_pick -> waiting -> granted -> upstream_granted
 *	           -> queue_bridge -> waiting -> upstream_again -> queue_bridge ...
 *	                                 \-> timeout -> upstream_waited_out
 */
#include "mod/queue.h"

#include <assert.h>

#include "base/clock.h"
#include "mod/upstream.h"

#define BRIDGE_INTERVAL	50	/* ms */
#define SCARCE_INTERVAL	20	/* ms */

static const struct group_queue *
queue_of(const struct upstream *u)
{
	static const struct group_queue none;

	return (u->target.group == NULL ? &none : &u->target.group->queue);
}

/* How much of the timeout is left, ms. */
static uint64_t
queue_left(struct upstream *u)
{
	uint64_t now = clock_mono_ms(), until;

	if (u->wait_from == 0)
		u->wait_from = now;
	until = u->wait_from + queue_of(u)->timeout;
	return (until > now ? until - now : 0);
}

static void
bridge_end(struct upstream *u)
{
	if (u->bridging)
		peer_group_wait_end(u->target.group->set.group);
	u->bridging = false;
}

void
queue_leave(struct upstream *u)
{
	timer_cancel(&u->wait_timer);
	if (u->waiter != NULL)
		peer_waiter_cancel(u->waiter);
	u->waiter = NULL;
	bridge_end(u);
}

static void
queue_timed_out(struct timer *timer)
{
	struct upstream *u = list_item(timer, struct upstream, wait_timer);

	assert(u->magic == UPSTREAM_MAGIC);
	queue_leave(u);
	upstream_log(u, LOG_ERR, 0, "upstream queue timed out");
	upstream_waited_out(u);
}

static void
queue_granted(struct peer_waiter *waiter)
{
	struct upstream *u = waiter->arg;
	struct peer_try peer = waiter->try;

	assert(u->magic == UPSTREAM_MAGIC && u->waiter == waiter);
	u->waiter = NULL;
	peer_waiter_free(waiter);
	timer_cancel(&u->wait_timer);
	upstream_granted(u, &peer);
}

enum pick_result
queue_pick(struct upstream *u, struct peer_try *peer)
{
	const struct group_queue *queue = queue_of(u);
	struct loop *loop = u->r->thread->loop;
	enum pick_result result;

	if (queue->max == 0)
		return (peer_pick(&u->choice, u->r, peer));
	u->waiter = peer_waiter_new(loop, queue_granted, u);
	/* Who waited for the group to come back has a place already. */
	result = peer_pick_or_wait(&u->choice, u->r, peer, u->waiter, queue->max + u->bridging);
	if (result == PICK_WAIT) {
		bridge_end(u);
		timer_arm(loop, &u->wait_timer, queue_left(u), queue_timed_out);
		return (result);
	}
	peer_waiter_free(u->waiter);
	u->waiter = NULL;
	if (result == PICK_FULL)
		upstream_log(u, LOG_ERR, 0, "upstream queue is full");
	return (result);
}

static void
bridge_over(struct timer *timer)
{
	struct upstream *u = list_item(timer, struct upstream, wait_timer);

	assert(u->magic == UPSTREAM_MAGIC);
	if (queue_left(u) == 0)
		queue_timed_out(timer);
	else
		upstream_again(u);
}

bool
queue_bridge(struct upstream *u)
{
	const struct group_queue *queue = queue_of(u);
	uint64_t left;

	if (queue->max == 0)
		return (false);
	left = queue_left(u);
	if (left == 0 || (!u->bridging &&
	    !peer_group_wait_begin(u->target.group->set.group, queue->max)))
		return (false);
	u->bridging = true;
	timer_arm(u->r->thread->loop, &u->wait_timer,
	    left < BRIDGE_INTERVAL ? left : BRIDGE_INTERVAL, bridge_over);
	return (true);
}

static void
descriptor_again(struct timer *timer)
{
	struct upstream *u = list_item(timer, struct upstream, wait_timer);

	assert(u->magic == UPSTREAM_MAGIC);
	upstream_again(u);
}

bool
queue_await_descriptor(struct upstream *u)
{
	uint64_t now = clock_mono_ms();

	if (u->scarce_from == 0)
		u->scarce_from = now;
	if (now - u->scarce_from >= u->plan.connect_timeout)
		return (false);
	/* Of a connection that waits for its next request more use can be made. */
	idle_close_oldest(u->r->thread);
	timer_arm(u->r->thread->loop, &u->wait_timer, SCARCE_INTERVAL, descriptor_again);
	return (true);
}
