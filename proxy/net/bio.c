/*
 * The BIO under TLS.  Reads take as much as the socket has into room of the
 * loop's, so a record costs one recv() and not one for its header; what a
 * call leaves untaken goes back to the conn (wire_settle), so nothing of ours
 * is held between calls.  Writes are collected while more follow, and sent
 * with the last one in a single sendmsg(); large ones are never copied.
 *
 * OpenSSL is told of a write only when the kernel or the collection has it,
 * and the last write of a call is never collected: when a chain was sent, the
 * kernel has all of it.
 */
#include "net/bio.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "net/conn_ops.h"
#include "net/tls_record.h"

enum {
	DIRECT_MIN = 4096,	/* from here on copying costs more than it saves */
	COLLECT_MAX = 65536,
	SEND_IOVECS = 16
};

static BIO_METHOD *wire_method;
static pthread_once_t wire_method_once = PTHREAD_ONCE_INIT;

/* Where the last read left room and an event will tell of more, nothing is asked. */
static ssize_t
wire_recv(struct wire *w, struct iovec *iov, int count)
{
	ssize_t n;

	w->starved = false;
	if (w->budget == 0)
		return (CONN_AGAIN);
	n = conn_is_quiet(w->conn) ? conn_read_blocked(w->conn) :
	    conn_socket_recv(w->conn, iov, count);
	w->starved = n <= 0;
	w->ended |= n == 0;
	if (n > 0)
		w->budget -= (size_t)n < w->budget ? (size_t)n : w->budget;
	return (n);
}

ssize_t
wire_fill(struct wire *w, size_t n)
{
	while (w->ahead_n < n) {
		struct iovec iov = { w->ahead_room + w->ahead_n, w->ahead_want - w->ahead_n };
		ssize_t got;

		if (w->ahead_n > 0 && w->ahead != w->ahead_room)
			memmove(w->ahead_room, w->ahead, w->ahead_n);
		w->ahead = w->ahead_room;
		if ((got = wire_recv(w, &iov, 1)) <= 0)
			return (got);
		w->ahead_n += (size_t)got;
	}
	return ((ssize_t)w->ahead_n);
}

/* The next record, whole: as wire_fill(). */
static ssize_t
wire_fill_record(struct wire *w)
{
	ssize_t n = wire_fill(w, TLS_RECORD_HEAD);

	if (n <= 0)
		return (n);
	w->record_left = tls_record_size((const unsigned char *)w->ahead);
	n = wire_fill(w, w->record_left);
	if (n <= 0)
		w->record_left = 0;
	return (n);
}

/* A large read into an empty room: what is asked for goes where it is wanted. */
static ssize_t
wire_fill_direct(struct wire *w, char *to, size_t n)
{
	struct iovec iov[2] = { { to, n }, { w->ahead_room, w->ahead_want } };
	ssize_t got = wire_recv(w, iov, 2);

	if (got <= (ssize_t)n)
		return (got);
	w->ahead = w->ahead_room;
	w->ahead_n = (size_t)got - n;
	return ((ssize_t)n);
}

static bool
wire_collects(const struct wire *w, size_t n)
{
	return (w->mode != WIRE_LAST && (w->mode == WIRE_COLLECT || n < DIRECT_MIN) &&
	    w->out.bytes + n <= COLLECT_MAX);
}

static ssize_t
wire_take(struct wire *w, char *to, size_t n)
{
	ssize_t got;

	if (!w->whole && w->ahead_n == 0 && n >= DIRECT_MIN)
		return (wire_fill_direct(w, to, n));
	got = w->whole && w->record_left == 0 ? wire_fill_record(w) : wire_fill(w, 1);
	if (got <= 0)
		return (got);
	if (n > w->ahead_n)
		n = w->ahead_n;
	if (w->whole)
		w->record_left -= n < w->record_left ? n : w->record_left;
	memcpy(to, w->ahead, n);
	w->ahead += n;
	w->ahead_n -= n;
	return ((ssize_t)n);
}

static int
wire_read(BIO *bio, char *to, int room)
{
	struct wire *w = BIO_get_data(bio);
	ssize_t n;

	BIO_clear_retry_flags(bio);
	if (room <= 0)
		return (0);
	n = wire_take(w, to, (size_t)room);
	if (n > 0)
		return ((int)n);
	/* The end is ours to judge (close_notify or not), so OpenSSL just hears "later". */
	if (n != CONN_FAILED)
		BIO_set_retry_read(bio);
	return (-1);
}

/* What was collected and p behind it.  Bytes of p that were sent; CONN_AGAIN, CONN_FAILED. */
static ssize_t
wire_send(struct wire *w, const char *p, size_t n)
{
	struct iovec iov[SEND_IOVECS];
	int count = chain_iov(&w->out, iov, SEND_IOVECS - 1);
	uint64_t collected = w->out.bytes;
	ssize_t sent;

	assert(count < SEND_IOVECS - 1);	/* COLLECT_MAX is a few blocks */
	if (!w->conn->write_ready)
		return (CONN_AGAIN);
	if (n > 0)
		iov[count++] = (struct iovec){ (void *)(uintptr_t)p, n };
	sent = conn_socket_send(w->conn, iov, count, w->mode != WIRE_LAST && n > 0);
	if (sent < 0)
		return (CONN_FAILED);
	if ((uint64_t)sent <= collected) {
		chain_drop(&w->out, (uint64_t)sent);
		return (n > 0 ? CONN_AGAIN : 0);
	}
	chain_clear(&w->out);
	return (sent - (ssize_t)collected);
}

static int
wire_write(BIO *bio, const char *p, int n)
{
	struct wire *w = BIO_get_data(bio);
	ssize_t sent;

	BIO_clear_retry_flags(bio);
	if (n <= 0)
		return (0);
	if (wire_collects(w, (size_t)n)) {
		chain_copy(&w->out, str_make(p, (size_t)n));
		return (n);
	}
	sent = wire_send(w, p, (size_t)n);
	if (sent > 0)
		return ((int)sent);
	if (sent == CONN_AGAIN)
		BIO_set_retry_write(bio);
	return (-1);
}

static long
wire_ctrl(BIO *bio, int command, long number, void *p)
{
	(void)bio;
	(void)number;
	(void)p;
	/* When to flush is tls.c's decision; OpenSSL only has to believe it happens. */
	return (command == BIO_CTRL_FLUSH);
}

static void
wire_method_make(void)
{
	wire_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wproxy wire");
	if (wire_method == NULL)
		return;
	BIO_meth_set_read(wire_method, wire_read);
	BIO_meth_set_write(wire_method, wire_write);
	BIO_meth_set_ctrl(wire_method, wire_ctrl);
}

BIO *
wire_bio_new(struct wire *w)
{
	BIO *bio = NULL;

	pthread_once(&wire_method_once, wire_method_make);
	if (wire_method != NULL)
		bio = BIO_new(wire_method);
	if (bio == NULL)
		return (NULL);
	BIO_set_data(bio, w);
	BIO_set_init(bio, 1);
	return (bio);
}

void
wire_settle(struct wire *w)
{
	if (w->ahead_n > 0)
		conn_unread(w->conn, str_make(w->ahead, w->ahead_n));
	w->ahead_n = 0;
}

bool
wire_flush(struct wire *w)
{
	ssize_t n = 0;

	while (!chain_is_empty(&w->out) && n == 0)
		n = wire_send(w, NULL, 0);
	return (chain_is_empty(&w->out));
}
