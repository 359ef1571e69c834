/*
 * The life of a connection: made from a descriptor or by connecting, joined
 * to the loop when I/O would block for the first time, told about events,
 * closed in two steps.  How bytes move is behind conn->ops: plain.c, tls.c.
 *
 *	conn_connect -> connecting -> open -> conn_close -> dead -> (end of turn) recycled
 *	conn_open -----------------> open
 *
 * Objects are recycled per loop, each with its libevent event in one piece of
 * memory; magic is checked whenever one comes back through a void pointer.
 */
#include "net/conn.h"

#include <linux/tcp.h>	/* for tcpi_bytes_acked; excludes <netinet/tcp.h> */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/poison.h"
#include "base/pool.h"
#include "net/conn_ops.h"

#define CONN_MAGIC	0x434f4e4eu	/* "CONN" */

enum {
	SEND_MAX = 1 << 20,	/* of one conn_send() */
	SEND_BUSY = 64 << 10,	/* the same of a file, where many want to send at once */
	BURST_MAX = 4 << 20,	/* so much of files sent in one millisecond is many */
	READ_BLOCKS_MAX = 16,
	FILL_ROOM_MIN = 2048,	/* a block with less room is not read into any more */
	READ_ROOM_MIN = 8192,	/* with less another is offered: a short answer comes in one read */
#ifdef WPROXY_ASAN
	SPARE_CONNS_MAX = 0	/* so that use after free is seen */
#else
	SPARE_CONNS_MAX = 1024
#endif
};

struct conn_cell {
	struct conn conn;
	struct event event;
	struct conn_cell *next;		/* spare */
};

/* Of a loop: spare objects and blocks to read into. */
struct conn_cache {
	struct task exit;
	struct loop *loop;

	struct conn_cell *spare;
	int spare_count;

	struct block *fill;		/* small reads of all connections share it */
	struct block *blocks[READ_BLOCKS_MAX];	/* empty ones, for larger reads */
	int block_count;
	uint64_t burst_ms;		/* when burst was begun */
	uint64_t burst;			/* bytes of files sent since */
};

static void
conn_cache_free(struct task *exit)
{
	struct conn_cache *cache = list_item(exit, struct conn_cache, exit);
	struct conn_cell *cell;

	*loop_slot(cache->loop, LOOP_SLOT_CONN) = NULL;
	while ((cell = cache->spare) != NULL) {
		cache->spare = cell->next;
		free(cell);
	}
	if (cache->fill != NULL)
		owner_drop(&cache->fill->owner);
	while (cache->block_count > 0)
		owner_drop(&cache->blocks[--cache->block_count]->owner);
	free(cache);
}

static struct conn_cache *
conn_cache_of(struct loop *loop)
{
	void **slot = loop_slot(loop, LOOP_SLOT_CONN);
	struct conn_cache *cache = *slot;

	if (cache == NULL) {
		cache = *slot = xcalloc(1, sizeof(*cache));
		cache->loop = loop;
		cache->exit.run = conn_cache_free;
		loop_at_exit(loop, &cache->exit);
	}
	return (cache);
}

/* End of the turn in which it was closed. */
static void
conn_release(void *arg)
{
	struct conn *c = arg;
	struct conn_cell *cell = (struct conn_cell *)c;
	struct conn_cache *cache = *loop_slot(c->loop, LOOP_SLOT_CONN);

	assert(c->magic == CONN_MAGIC && c->dead);
	c->magic = 0;
	if (cache == NULL || cache->spare_count >= SPARE_CONNS_MAX) {
		free(cell);
		return;
	}
	cell->next = cache->spare;
	cache->spare = cell;
	cache->spare_count++;
}

static void
conn_deliver_later(struct task *t)
{
	struct conn *c = list_item(t, struct conn, ready);
	unsigned events = c->later;

	assert(c->magic == CONN_MAGIC);
	c->later = 0;
	if (!c->dead && c->handler != NULL)
		c->handler(c, events, c->arg);
}

static struct conn *
conn_new(struct loop *loop, int fd, const struct addr *peer)
{
	struct conn_cache *cache = conn_cache_of(loop);
	struct conn_cell *cell = cache->spare;
	struct conn *c;

	if (cell != NULL) {
		cache->spare = cell->next;
		cache->spare_count--;
	} else
		cell = xmalloc(sizeof(*cell));
	memset(&cell->conn, 0, sizeof(cell->conn));
	c = &cell->conn;
	c->magic = CONN_MAGIC;
	c->fd = fd;
	c->loop = loop;
	c->ops = &plain_ops;
	c->event = &cell->event;
	c->ready.run = conn_deliver_later;
	c->read_ready = c->write_ready = true;
	c->read_blocks = 1;
	if (peer != NULL)
		c->peer = *peer;
	return (c);
}

struct conn *
conn_open(struct loop *loop, int fd, const struct addr *peer)
{
	return (conn_new(loop, fd, peer));
}

/* The result of connect(), once the first event came. */
static bool
conn_finish_connecting(struct conn *c, short what)
{
	int error = 0;
	socklen_t len = sizeof(error);

	/* Writable and nothing else is success: a failure would be reported as readable too. */
	if ((what & EV_READ) && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	if (error != 0) {
		conn_fail(c, error, "connect");
		return (false);
	}
	c->connecting = false;
	return (true);
}

/*
 * The readable side.  Once the end was read each further edge repeats READ and CLOSED; READ alone
 * is then a reset, which recv() would never tell.
 */
static unsigned
conn_note_readable(struct conn *c, short what)
{
	if (c->peer_closed && !c->read_ready)
		return ((what & EV_CLOSED) == 0 && (what & EV_READ) != 0 && conn_is_reset(c) ?
		    CONN_ERROR : 0);
	if (!(what & (EV_READ | EV_CLOSED)))
		return (0);
	c->read_ready = true;
	c->drained = false;
	if (!(what & EV_CLOSED))
		return (CONN_READ);
	c->peer_closed = true;
	return (CONN_READ | CONN_CLOSED);
}

/* What libevent reported, as flags of the conn and events for its owner. */
static unsigned
conn_note(struct conn *c, short what)
{
	unsigned events = conn_note_readable(c, what);

	if ((events & CONN_READ) && c->send_wants_read) {
		c->send_wants_read = false;
		events |= CONN_WRITE;
	}
	if ((what & EV_WRITE) && !c->write_ready) {
		c->write_ready = true;
		if (c->ops->flush == NULL || c->ops->flush(c))
			events |= CONN_WRITE;
		else if (c->write_ready)	/* not blocked again: it failed */
			events |= CONN_ERROR;
	}
	return (events);
}

static void
conn_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;
	unsigned events;

	(void)fd;
	assert(c->magic == CONN_MAGIC);
	loop_woke(c->loop);
	if (c->dead)
		return;
	if (c->connecting && !conn_finish_connecting(c, what))
		events = CONN_ERROR;
	else
		events = conn_note(c, what);
	if (events != 0 && c->handler != NULL)
		c->handler(c, events, c->arg);
}

static bool
conn_join(struct conn *c)
{
	if (c->joined)
		return (true);
	if (event_assign(c->event, loop_base(c->loop), c->fd,
	    EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, conn_on_event, c) == -1 ||
	    event_add(c->event, NULL) == -1) {
		conn_fail(c, errno != 0 ? errno : EINVAL, "epoll_ctl");
		return (false);
	}
	c->joined = true;
	return (true);
}

ssize_t
conn_read_blocked(struct conn *c)
{
	c->read_ready = false;
	return (conn_join(c) ? CONN_AGAIN : CONN_FAILED);
}

bool
conn_write_blocked(struct conn *c)
{
	c->write_ready = false;
	return (conn_join(c));
}

ssize_t
conn_fail(struct conn *c, int error, const char *call)
{
	c->error = error;
	c->failed_call = call;
	return (CONN_FAILED);
}

/* A socket that is ready to connect; -1 with errno. */
static int
conn_socket(const struct addr *to, const struct addr *local)
{
	const int on = 1;
	int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd == -1 || local == NULL || local->len == 0)
		return (fd);
	/* The port is chosen by connect(), which knows the whole four-tuple. */
	if (addr_port(local) == 0 && !addr_is_unix(local))
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, &local->u.sa, local->len) == 0)
		return (fd);
	error = errno;
	close(fd);
	errno = error;
	return (-1);
}

struct conn *
conn_connect(struct loop *loop, const struct addr *to, const struct addr *local, int *error)
{
	struct conn *c;
	int fd = conn_socket(to, local);

	if (fd == -1) {
		*error = errno;
		return (NULL);
	}
	if (connect(fd, &to->u.sa, to->len) == 0)
		return (conn_new(loop, fd, to));
	*error = errno;
	if (*error != EINPROGRESS) {
		close(fd);
		return (NULL);
	}
	c = conn_new(loop, fd, to);
	c->connecting = true;
	c->read_ready = c->write_ready = false;
	if (conn_join(c))
		return (c);
	*error = c->error;
	conn_close(c, false);
	return (NULL);
}

void
conn_set_handler(struct conn *c, conn_handler handler, void *arg)
{
	c->handler = handler;
	c->arg = arg;
}

ssize_t
conn_recv(struct conn *c, struct iovec *iov, int count)
{
	ssize_t n;

	assert(c->magic == CONN_MAGIC && !c->dead);
	if (c->connecting)
		return (CONN_AGAIN);
	n = c->ops->recv(c, iov, count);
	if (n > 0)
		c->received += (uint64_t)n;
	return (n);
}

/* The block that small reads go into, with some room. */
static struct block *
conn_cache_fill(struct conn_cache *cache)
{
	struct block *b = cache->fill;

	if (b != NULL && b->owner.refs == 1)
		b->used = 0;	/* all that was read into it is gone */
	if (b == NULL || BLOCK_SIZE - b->used < FILL_ROOM_MIN) {
		if (b != NULL)
			owner_drop(&b->owner);
		b = cache->fill = block_new();
	}
	return (b);
}

static int
conn_cache_offer(struct conn_cache *cache, struct iovec *iov, unsigned blocks, size_t max)
{
	struct block *fill = conn_cache_fill(cache);
	size_t n = BLOCK_SIZE - fill->used;
	int count = 0;

	if (n < READ_ROOM_MIN && blocks == 1)
		blocks = 2;
	iov[count++] = (struct iovec){ fill->base + fill->used, n < max ? n : max };
	for (max -= iov[0].iov_len; max > 0 && count < (int)blocks; count++) {
		if (cache->block_count < count)
			cache->blocks[cache->block_count++] = block_new();
		n = BLOCK_SIZE < max ? BLOCK_SIZE : max;
		iov[count] = (struct iovec){ cache->blocks[count - 1]->base, n };
		max -= n;
	}
	return (count);
}

/* n bytes were read into what was offered: hangs them behind the chain. */
static void
conn_cache_take(struct conn_cache *cache, struct chain *to, const struct iovec *iov, size_t n)
{
	int taken = 0;

	for (int i = 0; n > 0; i++) {
		size_t piece = n < iov[i].iov_len ? n : iov[i].iov_len;

		if (i > 0) {
			/* The block before is full; the last one begun is shared from now on. */
			owner_drop(&cache->fill->owner);
			cache->fill = cache->blocks[i - 1];
			taken = i;
		}
		owner_hold(&cache->fill->owner);
		chain_add(to, iov[i].iov_base, piece, &cache->fill->owner);
		cache->fill->used += piece;
		n -= piece;
	}
	cache->block_count -= taken;
	memmove(cache->blocks, cache->blocks + taken,
	    (size_t)cache->block_count * sizeof(cache->blocks[0]));
}

ssize_t
conn_recv_chain(struct conn *c, struct chain *to, size_t max)
{
	struct conn_cache *cache = conn_cache_of(c->loop);
	struct iovec iov[READ_BLOCKS_MAX];
	size_t offered = 0;
	ssize_t n;
	int count;

	assert(max > 0);
	count = conn_cache_offer(cache, iov, c->read_blocks, max);
	for (int i = 0; i < count; i++)
		offered += iov[i].iov_len;
	n = conn_recv(c, iov, count);
	if (n <= 0)
		return (n);
	conn_cache_take(cache, to, iov, (size_t)n);
	if ((size_t)n < offered)
		c->read_blocks = (uint8_t)((size_t)n / BLOCK_SIZE + 1);
	else if (c->read_blocks < READ_BLOCKS_MAX && offered < max)
		c->read_blocks = (uint8_t)(c->read_blocks * 4 < READ_BLOCKS_MAX ?
		    c->read_blocks * 4 : READ_BLOCKS_MAX);
	return (n);
}

/*
 * How much one call may send: a thousand downloads that begin together must not make a small
 * request wait for all of theirs.
 */
static uint64_t
conn_send_limit(struct conn *c, const struct chain *chain, struct conn_cache **files)
{
	struct conn_cache *cache;

	if (chain_is_empty(chain) || chain->last->p != NULL)
		return (SEND_MAX);
	cache = *files = conn_cache_of(c->loop);
	if (cache->burst_ms != clock_mono_ms()) {
		cache->burst_ms = clock_mono_ms();
		cache->burst = 0;
	}
	return (cache->burst < BURST_MAX ? SEND_MAX : SEND_BUSY);
}

ssize_t
conn_send(struct conn *c, struct chain *chain, uint64_t max)
{
	struct conn_cache *files = NULL;
	uint64_t limit;
	ssize_t n;

	assert(c->magic == CONN_MAGIC && !c->dead);
	if (c->connecting || !c->write_ready || max == 0)
		return (0);
	limit = conn_send_limit(c, chain, &files);
	n = c->ops->send(c, chain, max < limit ? max : limit);
	if (n > 0 && files != NULL)
		files->burst += (uint64_t)n;
	if (n >= (ssize_t)limit && max > limit && c->write_ready && !chain_is_empty(chain))
		conn_ready_later(c, CONN_WRITE);
	return (n);
}

void
conn_unread(struct conn *c, struct str bytes)
{
	struct chain given = { NULL, NULL, 0 };

	chain_copy(&given, bytes);
	chain_append(&given, &c->unread);
	c->unread = given;
}

void
conn_watch(struct conn *c)
{
	assert(c->magic == CONN_MAGIC && !c->dead);
	if (conn_has_pending(c))
		conn_ready_later(c, CONN_READ);
	else if (c->joined && c->read_ready && (!c->drained || c->peer_closed))
		conn_ready_later(c, CONN_READ | (c->peer_closed ? CONN_CLOSED : 0));
	if (!conn_join(c))
		conn_ready_later(c, CONN_ERROR);
}

void
conn_ready_later(struct conn *c, unsigned events)
{
	assert(c->magic == CONN_MAGIC && !c->dead);
	c->later |= events;
	loop_ready(c->loop, &c->ready);
}

bool
conn_has_pending(const struct conn *c)
{
	return (!chain_is_empty(&c->unread) ||
	    (c->ops->has_pending != NULL && c->ops->has_pending(c)));
}

bool
conn_is_quiet(const struct conn *c)
{
	return (c->joined && c->drained && !c->peer_closed && !conn_has_pending(c));
}

void
conn_shutdown(struct conn *c)
{
	assert(c->magic == CONN_MAGIC && !c->dead);
	c->ops->shutdown(c);
}

void
conn_close(struct conn *c, bool reset)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	assert(c->magic == CONN_MAGIC && !c->dead);
	if (c->ops->close != NULL)
		c->ops->close(c, reset);
	c->dead = true;
	task_cancel(&c->ready);
	if (c->joined)
		event_del(c->event);
	c->joined = false;
	if (reset)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	chain_clear(&c->unread);
	loop_bury(c->loop, &c->grave, c->fd, conn_release, c);
}

void
conn_set_nodelay(struct conn *c, bool on)
{
	int value = on;

	if (!addr_is_unix(&c->peer))
		(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof(value));
}

bool
conn_is_reset(struct conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (c->error == 0 && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 &&
	    error != 0)
		conn_fail(c, error, "recv");
	return (c->error != 0);
}

void
conn_set_keepalive(struct conn *c, bool on)
{
	int value = on;

	(void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value));
}

uint64_t
conn_bytes_acked(const struct conn *c)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	if (addr_is_unix(&c->peer) ||
	    getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1)
		return (0);
	return (info.tcpi_bytes_acked);
}

void
conn_local_addr(const struct conn *c, struct addr *out)
{
	memset(out, 0, sizeof(*out));
	out->len = sizeof(out->u);
	if (getsockname(c->fd, &out->u.sa, &out->len) == -1)
		out->len = 0;
}
