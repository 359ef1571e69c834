/*
 * Idle back-end connections of each thread.  attempt.c puts them here after a
 * complete answer and takes them for the next try.
 *
 *	attempt -> idle_put -> idle -> idle_take -> attempt
 *	                        | a byte, an end, keepalive_timeout, too many
 *	                        v
 *	                      closed (the time it was idle for is learned)
 *
 * Everything belongs to its thread but a peer's idle_limit, which is one atomic.
 */
#include "mod/idle.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "mod/proxy_ssl.h"

#define IDLE_MAGIC	0x49444c45u
#define SPARE_MAX	256
#define BURST		4	/* times the limit may be kept for a moment ... */
#define BURST_MS	1000	/* ... so long: a turn ends many answers before it begins requests */
#define BUCKETS		256	/* of a pool, by the peer's address: a power of two */
#define KEEPS_AFTER	250	/* ms: who closes after each answer has done so, also when busy */

struct idle_pool;

struct idle_conn {
	unsigned magic;
	struct list link;		/* pool->conns, most recent first; or spare */
	struct list near;		/* pool->by_peer, most recent first */
	struct idle_pool *pool;
	struct peer *peer;		/* one reference */
	struct backend backend;
	uint64_t deadline;		/* monotonic ms */
	uint64_t limit;			/* how many may stay for longer than a moment */
};

struct idle_pool {
	struct list conns;
	struct list by_peer[BUCKETS];
	uint64_t count;
	struct timer timer;		/* for the last of the list */
	struct loop *loop;
	struct idle_thread *thread;
};

struct idle_thread {
	struct task exit;
	struct http_thread *owner;
	struct idle_pool **pools;	/* by the group's index */
	unsigned room;
	unsigned total;			/* of all pools */
	struct list spare;		/* struct idle_conn */
	unsigned spare_count;
};

/* Leaves the pool; the backend is the caller's, as is the reference to the peer. */
static void
idle_leave(struct idle_conn *c)
{
	struct idle_thread *thread = c->pool->thread;

	list_remove(&c->link);
	list_remove(&c->near);
	c->pool->count--;
	thread->total--;
	c->magic = 0;
	if (thread->spare_count >= SPARE_MAX) {
		free(c);
		return;
	}
	list_push_front(&thread->spare, &c->link);
	thread->spare_count++;
}

static void
idle_close(struct idle_conn *c)
{
	struct backend backend = c->backend;
	struct peer *peer = c->peer;

	idle_leave(c);
	conn_close(backend.conn, false);
	ssl_identity_drop(backend.identity);
	peer_drop(peer);
}

static void
idle_on_event(struct conn *conn, unsigned events, void *arg)
{
	struct idle_conn *c = arg;
	char byte;
	struct iovec iov = { &byte, 1 };
	ssize_t n;

	assert(c->magic == IDLE_MAGIC);
	if ((events & (CONN_READ | CONN_CLOSED | CONN_ERROR)) == 0)
		return;
	/* TLS wakes for records that are none of ours, e.g. session tickets. */
	n = conn_recv(conn, &iov, 1);
	if (n == CONN_AGAIN && !conn->peer_closed)
		return;
	if (n == 0 || (n == CONN_AGAIN && conn->peer_closed))
		idle_learn(c->peer, clock_mono_ms() - c->backend.idle_since);
	idle_close(c);
}

/* The one unused longest goes first when there are too many. */
static uint64_t
idle_deadline(const struct idle_conn *c)
{
	uint64_t soon = c->backend.idle_since + BURST_MS;

	return (c->pool->count > c->limit && soon < c->deadline ? soon : c->deadline);
}

static void
idle_timer_arm(struct idle_pool *pool)
{
	const struct idle_conn *last;
	uint64_t now = clock_mono_ms(), due;

	if (list_is_empty(&pool->conns)) {
		timer_cancel(&pool->timer);
		return;
	}
	last = list_item(pool->conns.prev, struct idle_conn, link);
	due = idle_deadline(last);
	timer_arm(pool->loop, &pool->timer, due > now ? due - now : 1, pool->timer.fire);
}

static void
idle_expire(struct timer *timer)
{
	struct idle_pool *pool = list_item(timer, struct idle_pool, timer);
	uint64_t now = clock_mono_ms();

	while (!list_is_empty(&pool->conns)) {
		struct idle_conn *last = list_item(pool->conns.prev, struct idle_conn, link);

		if (idle_deadline(last) > now)
			break;
		idle_close(last);
	}
	idle_timer_arm(pool);
}

static void
idle_thread_free(struct task *exit)
{
	struct idle_thread *thread = list_item(exit, struct idle_thread, exit);
	struct list *it;

	for (unsigned i = 0; i < thread->room; i++) {
		struct idle_pool *pool = thread->pools[i];

		if (pool == NULL)
			continue;
		while (!list_is_empty(&pool->conns))
			idle_close(list_item(pool->conns.next, struct idle_conn, link));
		timer_cancel(&pool->timer);
		free(pool);
	}
	while ((it = list_pop(&thread->spare)) != NULL)
		free(list_item(it, struct idle_conn, link));
	thread->owner->upstream_idle = NULL;
	free(thread->pools);
	free(thread);
}

static struct idle_thread *
idle_thread_of(struct http_thread *owner)
{
	struct idle_thread *thread = owner->upstream_idle;

	if (thread != NULL)
		return (thread);
	thread = xcalloc(1, sizeof(*thread));
	thread->owner = owner;
	thread->exit.run = idle_thread_free;
	list_init(&thread->spare);
	loop_at_exit(owner->loop, &thread->exit);
	owner->upstream_idle = thread;
	return (thread);
}

/* The thread's pool of a group; made when there is something to keep. */
static struct idle_pool *
idle_pool_of(struct http_thread *owner, unsigned index, bool make)
{
	struct idle_thread *thread = owner->upstream_idle;
	struct idle_pool *pool;

	if (thread != NULL && index < thread->room && thread->pools[index] != NULL)
		return (thread->pools[index]);
	if (!make)
		return (NULL);
	thread = idle_thread_of(owner);
	if (index >= thread->room) {
		unsigned room = index + 16;

		thread->pools = xrealloc(thread->pools, room * sizeof(*thread->pools));
		memset(thread->pools + thread->room, 0,
		    (room - thread->room) * sizeof(*thread->pools));
		thread->room = room;
	}
	pool = thread->pools[index] = xcalloc(1, sizeof(*pool));
	list_init(&pool->conns);
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&pool->by_peer[i]);
	pool->loop = owner->loop;
	pool->thread = thread;
	pool->timer.fire = idle_expire;
	return (pool);
}

/* Where connections to the peer, and to few others, are. */
static struct list *
idle_near(struct idle_pool *pool, const struct peer *peer)
{
	return (&pool->by_peer[peer->hash % BUCKETS]);
}

static bool
addr_same(const struct addr *a, const struct addr *b)
{
	return (a->len == b->len && (a->len == 0 || addr_eq(a, b)));
}

static bool
idle_will_do(const struct idle_conn *c, const struct idle_want *want)
{
	uint64_t idle;

	/* Peers outside sets are equal by their address. */
	if (c->peer != want->peer && (c->peer->hash != want->peer->hash ||
	    !addr_eq(&c->peer->addr, &want->peer->addr)))
		return (false);
	if (c->backend.identity != want->identity || c->backend.conn->peer_closed ||
	    !addr_same(&c->backend.local, want->local))
		return (false);
	idle = clock_mono_ms() - c->backend.idle_since;
	return (want->max_idle == 0 || (idle <= want->max_idle &&
	    (c->backend.promised || idle >= KEEPS_AFTER)));
}

bool
idle_take(struct http_thread *owner, const struct idle_want *want, struct backend *out)
{
	struct idle_pool *pool = idle_pool_of(owner, peer_group_index(want->peer->group), false);

	if (pool == NULL)
		return (false);
	LIST_EACH(idle_near(pool, want->peer), it) {
		struct idle_conn *c = list_item(it, struct idle_conn, near);

		if (!idle_will_do(c, want))
			continue;
		*out = c->backend;
		if (c->peer != want->peer)
			peer_swap(c->peer, want->peer);
		idle_leave(c);
		return (true);
	}
	return (false);
}

/* How much of the limits is this connection's, in 256ths. */
static uint64_t
backend_part(const struct backend *backend, const struct idle_limits *limits)
{
	return (!limits->turnover ? 256 :
	    64 + (backend->opened + (uint64_t)backend->conn->fd * 119) % 193);
}

bool
idle_allows(const struct backend *backend, const struct idle_limits *limits)
{
	uint64_t part = backend_part(backend, limits);

	return (limits->connections > 0 && !backend->conn->peer_closed &&
	    backend->requests * 256 < limits->requests * part &&
	    (clock_mono_ms() - backend->opened) * 256 < limits->time * part);
}

void
idle_put(struct http_thread *owner, struct peer *peer, const struct backend *backend,
    const struct idle_limits *limits)
{
	struct idle_pool *pool = idle_pool_of(owner, peer_group_index(peer->group), true);
	struct list *spare = list_pop(&pool->thread->spare);
	struct idle_conn *c;

	if (spare != NULL)
		pool->thread->spare_count--;
	c = spare != NULL ? list_item(spare, struct idle_conn, link) : xcalloc(1, sizeof(*c));
	*c = (struct idle_conn){ .magic = IDLE_MAGIC, .pool = pool, .peer = peer,
		.backend = *backend, .limit = limits->connections };
	c->backend.idle_since = clock_mono_ms();
	c->deadline = c->backend.idle_since + limits->timeout;
	list_init(&c->link);
	list_push_front(&pool->conns, &c->link);
	list_push_front(idle_near(pool, peer), &c->near);
	pool->count++;
	pool->thread->total++;
	conn_set_handler(c->backend.conn, idle_on_event, c);
	conn_watch(c->backend.conn);
	if (owner->backends_max != 0 && pool->thread->total > owner->backends_max)
		idle_close_oldest(owner);
	if (pool->count > limits->connections * BURST)
		idle_close(list_item(pool->conns.prev, struct idle_conn, link));
	if (!timer_is_armed(&pool->timer) || pool->count == limits->connections + 1)
		idle_timer_arm(pool);
}

void
idle_close_oldest(struct http_thread *owner)
{
	struct idle_thread *thread = owner->upstream_idle;
	struct idle_conn *oldest = NULL;

	for (unsigned i = 0; thread != NULL && i < thread->room; i++) {
		struct idle_pool *pool = thread->pools[i];
		struct idle_conn *last;

		if (pool == NULL || list_is_empty(&pool->conns))
			continue;
		last = list_item(pool->conns.prev, struct idle_conn, link);
		if (oldest == NULL || last->backend.idle_since < oldest->backend.idle_since)
			oldest = last;
	}
	if (oldest != NULL)
		idle_close(oldest);
}

uint64_t
idle_limit_of(const struct peer *peer)
{
	return (atomic_load_explicit(&peer->idle_limit, memory_order_relaxed));
}

void
idle_learn(struct peer *peer, uint64_t ms)
{
	/* 0 is "not known". */
	atomic_store_explicit(&peer->idle_limit,
	    ms == 0 ? 1 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms, memory_order_relaxed);
}
