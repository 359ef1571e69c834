/*
 * A connection without TLS: the system calls, and the two socket operations
 * that TLS is built on.  Each may clear a readiness flag and join the loop,
 * nothing else of the conn's life is touched here.
 */
#include "net/conn_ops.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

#include <errno.h>
#include <limits.h>
#include <unistd.h>

enum { SEND_IOVECS = 64 };

/* What conn_unread() gave back.  `drained` keeps telling about the socket. */
static ssize_t
unread_recv(struct conn *c, struct iovec *iov, int count)
{
	size_t taken = 0;

	for (int i = 0; i < count; i++) {
		char *to = iov[i].iov_base;
		size_t room = iov[i].iov_len;

		while (room > 0 && !chain_is_empty(&c->unread)) {
			const struct buf *b = c->unread.first;
			size_t n = b->n < room ? b->n : room;

			memcpy(to, b->p, n);
			chain_drop(&c->unread, n);
			to += n;
			room -= n;
			taken += n;
		}
	}
	return ((ssize_t)taken);
}

ssize_t
conn_socket_recv(struct conn *c, struct iovec *iov, int count)
{
	size_t room = 0;
	ssize_t n;

	if (!chain_is_empty(&c->unread))
		return (unread_recv(c, iov, count));
	if (!c->read_ready)
		return (c->peer_closed ? 0 : CONN_AGAIN);
	/* Joining tells whatever came since, an end or a reset too: no call to hear EAGAIN. */
	if (c->drained && !c->joined)
		return (conn_read_blocked(c));
	do {
		n = count == 1 ? recv(c->fd, iov->iov_base, iov->iov_len, 0) :
		    readv(c->fd, iov, count);
	} while (n == -1 && errno == EINTR);
	if (n == -1) {
		if (errno == EAGAIN)
			return (conn_read_blocked(c));
		return (conn_fail(c, errno, count == 1 ? "recv" : "readv"));
	}
	if (n == 0) {
		c->peer_closed = true;
		c->read_ready = false;	/* with peer_closed: the end was read */
		return (0);
	}
	for (int i = 0; i < count; i++)
		room += iov[i].iov_len;
	c->drained = (size_t)n < room;
	return (n);
}

ssize_t
conn_socket_send(struct conn *c, struct iovec *iov, int count, bool more)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)count };
	size_t want = 0;
	ssize_t n;

	for (int i = 0; i < count; i++)
		want += iov[i].iov_len;
	do {
		n = sendmsg(c->fd, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	} while (n == -1 && errno == EINTR);
	if (n == -1 && errno != EAGAIN)
		return (conn_fail(c, errno, "sendmsg"));
	if (n == -1)
		n = 0;
	/* What the socket took in part it filled: an edge will come. */
	if ((size_t)n < want && !conn_write_blocked(c))
		return (CONN_FAILED);
	return (n);
}

/* The memory in front of the chain, at most max bytes of it. */
static ssize_t
memory_send(struct conn *c, const struct chain *chain, uint64_t max)
{
	struct iovec iov[SEND_IOVECS];
	int offered = chain_iov(chain, iov, SEND_IOVECS), count = 0;
	uint64_t want = 0;

	while (count < offered && want < max) {
		if (iov[count].iov_len > max - want)
			iov[count].iov_len = (size_t)(max - want);
		want += iov[count++].iov_len;
	}
	/* A head waits for the file that follows, and shares its first segment. */
	return (conn_socket_send(c, iov, count, want < chain->bytes ? want < max : c->ends));
}

/* Read and sent: what the socket does not take is read again, so that nothing of it is kept. */
static ssize_t
slice_copy(struct conn *c, const struct buf *b, uint64_t max)
{
	struct iovec iov = { loop_scratch(c->loop), LOOP_SCRATCH };
	ssize_t n;

	if (iov.iov_len > b->n)
		iov.iov_len = b->n;
	if (iov.iov_len > max)
		iov.iov_len = (size_t)max;
	do {
		n = pread(b->fd, iov.iov_base, iov.iov_len, b->offset);
	} while (n == -1 && errno == EINTR);
	if (n <= 0)
		return (conn_fail(c, n == 0 ? ESTALE : errno, "pread"));
	iov.iov_len = (size_t)n;
	return (conn_socket_send(c, &iov, 1, false));
}

/*
 * The slice in front.  A short count may mean a full socket or a short file: the next call tells.
 */
static ssize_t
slice_send(struct conn *c, const struct buf *b, uint64_t max)
{
	off_t offset = b->offset;
	ssize_t n;

	if (b->copy)
		return (slice_copy(c, b, max));
	do {
		n = sendfile(c->fd, b->fd, &offset, b->n < max ? b->n : (size_t)max);
	} while (n == -1 && errno == EINTR);
	if (n > 0)
		return (n);
	if (n == 0)
		return (conn_fail(c, ESTALE, "sendfile"));
	if (errno != EAGAIN)
		return (conn_fail(c, errno, "sendfile"));
	return (conn_write_blocked(c) ? 0 : CONN_FAILED);
}

static ssize_t
plain_send(struct conn *c, struct chain *chain, uint64_t max)
{
	uint64_t sent = 0;

	while (!chain_is_empty(chain) && sent < max && c->write_ready) {
		ssize_t n = chain->first->p != NULL ? memory_send(c, chain, max - sent) :
		    slice_send(c, chain->first, max - sent);

		if (n < 0)
			return (CONN_FAILED);
		chain_drop(chain, (uint64_t)n);
		c->sent += (uint64_t)n;
		sent += (uint64_t)n;
	}
	return ((ssize_t)sent);
}

static void
plain_shutdown(struct conn *c)
{
	/* Fails only where the peer is gone, which the next recv tells. */
	(void)shutdown(c->fd, SHUT_WR);
}

const struct conn_ops plain_ops = {
	.recv = conn_socket_recv,
	.send = plain_send,
	.shutdown = plain_shutdown,
};
