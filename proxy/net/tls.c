/*
 * TLS as a kind of connection: the operations of struct conn_ops over OpenSSL
 * and the BIO of bio.c.  A struct tls belongs to its conn; what OpenSSL needs
 * room for during a call is the loop's (struct tls_room), so an idle
 * connection holds an SSL and this struct.  The handshake is tls_handshake.c's.
 *
 * Each call into OpenSSL stands between tls_begin() (error queue cleared, room
 * lent) and tls_end() (read-ahead given back, collected writes sent at the end
 * of the turn at the latest).
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/conn_ops.h"
#include "net/tls_error.h"
#include "net/tls_state.h"

enum {
	RECORD_FIRST = 1400,		/* with its frame fits a segment: read without waiting */
	RECORD_EARLY = 4096,		/* until the congestion window has grown */
	RECORD_EARLY_UNTIL = 16384,
	RECORD_PAUSE_MS = 1000,		/* then it has shrunk again */
	AHEAD_SLACK = 512,		/* frames of the records that fill the caller's room */
	DATALESS_PER_CALL = 16,
	DATALESS_MAX = 256,		/* records in a row that carry no data: a flood */
	ERROR_TEXT_MAX = 512
};

static const struct conn_ops tls_ops;

static void
tls_room_free(struct task *exit)
{
	struct tls_room *room = list_item(exit, struct tls_room, exit);

	*loop_slot(room->loop, LOOP_SLOT_TLS) = NULL;
	free(room);
}

struct tls_room *
tls_room_of(struct loop *loop)
{
	void **slot = loop_slot(loop, LOOP_SLOT_TLS);
	struct tls_room *room = *slot;

	if (room == NULL) {
		room = *slot = xmalloc(sizeof(*room));
		memset(&room->exit, 0, sizeof(room->exit));
		room->loop = loop;
		room->waiting = 0;
		room->exit.run = tls_room_free;
		loop_at_exit(loop, &room->exit);
	}
	return (room);
}

struct tls_room *
tls_begin(struct tls *t, size_t ahead)
{
	struct tls_room *room = tls_room_of(t->wire.conn->loop);

	ERR_clear_error();
	t->wire.starved = false;
	t->wire.whole = t->state <= TLS_HANDSHAKE;
	t->wire.budget = BIO_BUDGET;
	t->wire.ahead_room = room->ahead;
	t->wire.ahead_want = ahead < BIO_AHEAD_MAX ? ahead : BIO_AHEAD_MAX;
	return (room);
}

void
tls_end(struct tls *t)
{
	wire_settle(&t->wire);
	t->wire.mode = WIRE_COLLECT;
	if (!chain_is_empty(&t->wire.out) && t->wire.conn->write_ready)
		loop_at_end(t->wire.conn->loop, &t->flush);
}

void
tls_fail(struct tls *t, const char *call, const char *text)
{
	struct conn *c = t->wire.conn;

	t->state = TLS_FAILED;
	c->failed_call = call;
	if (c->error == 0 && text == NULL)
		c->error = EPROTO;
	free(t->error);
	t->error = xmalloc(ERROR_TEXT_MAX);
	if (text != NULL) {
		t->peers_error = true;
		strncpy(t->error, text, ERROR_TEXT_MAX - 1);
		t->error[ERROR_TEXT_MAX - 1] = '\0';
	} else
		tls_error_take(call, t->error, ERROR_TEXT_MAX, &t->peers_error);
}

void
tls_note_blocked(struct tls *t, int why)
{
	if (t->direct && why == SSL_ERROR_WANT_WRITE && !conn_write_blocked(t->wire.conn))
		conn_ready_later(t->wire.conn, CONN_ERROR);
}

/* --- the life --- */

static void
tls_flush_at_end(struct task *task)
{
	struct tls *t = list_item(task, struct tls, flush);

	/* Where it is not blocked it failed. */
	if (!wire_flush(&t->wire) && t->wire.conn->write_ready)
		conn_ready_later(t->wire.conn, CONN_ERROR);
}

static void
tls_free(struct tls *t)
{
	task_cancel(&t->flush);
	tls_wait_end(t);
	SSL_free(t->ssl);
	chain_clear(&t->wire.out);
	chain_clear(&t->early);
	free(t->held);
	free(t->error);
	free(t);
}

/*
 * Kernel TLS (ssl_conf_command Options KTLS, as in nginx) is between OpenSSL's own BIO and the
 * socket; where the kernel or the cipher has none, records are made here as ever.
 */
static BIO *
tls_bio_out(struct tls *t, BIO *in)
{
	BIO *out;

	if ((SSL_get_options(t->ssl) & SSL_OP_ENABLE_KTLS) == 0 ||
	    (out = BIO_new_socket(t->wire.conn->fd, BIO_NOCLOSE)) == NULL)
		return (in);
	t->direct = true;
	return (out);
}

static bool
tls_prepare(struct tls *t, struct ssl_ctx_st *ctx, bool server, struct str name)
{
	char z[256];
	BIO *bio;

	if ((t->ssl = SSL_new(ctx)) == NULL || (bio = wire_bio_new(&t->wire)) == NULL)
		return (false);
	SSL_set_bio(t->ssl, bio, tls_bio_out(t, bio));
	SSL_set_app_data(t->ssl, t->arg);
	SSL_set_mode(t->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_clear_mode(t->ssl, SSL_MODE_AUTO_RETRY);	/* dataless records are counted */
	SSL_set_options(t->ssl, SSL_OP_NO_RENEGOTIATION);
	if (server) {
		SSL_set_accept_state(t->ssl);
		tls_wait_prepare(t);
		return (true);
	}
	SSL_set_connect_state(t->ssl);
	if (name.n == 0)
		return (true);
	if (name.n >= sizeof(z))
		return (false);
	memcpy(z, name.p, name.n);
	z[name.n] = '\0';
	return (SSL_set_tlsext_host_name(t->ssl, z) == 1);
}

int
tls_start(struct conn *c, struct ssl_ctx_st *ctx, bool server, struct str name, void *arg)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	char text[ERROR_TEXT_MAX];
	bool peers;

	assert(c->tls == NULL);
	t->wire.conn = c;
	t->wire.mode = WIRE_COLLECT;
	t->flush.run = tls_flush_at_end;
	t->arg = arg;
	t->state = server ? TLS_HELLO : TLS_HANDSHAKE;
	t->record_max = TLS_RECORD_MAX;
	ERR_clear_error();
	if (!tls_prepare(t, ctx, server, name)) {
		tls_error_take("SSL_new()", text, sizeof(text), &peers);
		log_main(LOG_ALERT, 0, "%s", text);
		tls_free(t);
		return (-1);
	}
	c->tls = t;
	c->ops = &tls_ops;
	return (0);
}

void
tls_abandon(struct conn *c)
{
	struct tls *t = c->tls;

	assert(t != NULL);
	c->tls = NULL;
	c->ops = &plain_ops;
	c->error = 0;
	c->failed_call = NULL;
	tls_free(t);
}

/* --- reading --- */

/* Copies early data out. */
static size_t
early_take(struct tls *t, char *to, size_t room)
{
	size_t taken = 0;

	while (taken < room && !chain_is_empty(&t->early)) {
		const struct buf *b = t->early.first;
		size_t n = b->n < room - taken ? b->n : room - taken;

		memcpy(to + taken, b->p, n);
		chain_drop(&t->early, n);
		taken += n;
	}
	return (taken);
}

/* One record's worth.  *result is OpenSSL's, for SSL_get_error(). */
static size_t
tls_read_some(struct tls *t, char *to, size_t room, int *result)
{
	size_t n = early_take(t, to, room);

	*result = 1;
	if (n > 0)
		return (n);
	if (t->state == TLS_EARLY) {
		int early = SSL_read_early_data(t->ssl, to, room, &n);

		if (early == SSL_READ_EARLY_DATA_SUCCESS)
			return (n);
		*result = early == SSL_READ_EARLY_DATA_FINISH ? 1 : -1;
		if (early == SSL_READ_EARLY_DATA_ERROR)
			return (0);
		t->state = TLS_OPEN;
	}
	*result = SSL_read_ex(t->ssl, to, room, &n);
	return (*result == 1 ? n : 0);
}

/* A whole request to renegotiate is refused by an alert; nobody needs to send a part of one. */
static bool
is_renegotiating(const struct tls *t)
{
	return (t->state == TLS_OPEN && SSL_is_server(t->ssl) && SSL_in_init(t->ssl) &&
	    SSL_version(t->ssl) < TLS1_3_VERSION);
}

/* Nothing came.  > 0: ask once more; else as conn_recv(). */
static ssize_t
tls_read_stopped(struct tls *t, int result)
{
	struct conn *c = t->wire.conn;
	int why = SSL_get_error(t->ssl, result);

	tls_note_blocked(t, why);
	if (why == SSL_ERROR_ZERO_RETURN) {
		c->peer_closed = true;
		c->read_ready = false;	/* the end was read */
		return (0);
	}
	if (t->wire.ended) {
		c->tls_truncated = true;
		return (conn_fail(c, ECONNRESET, "SSL_read"));
	}
	if (is_renegotiating(t)) {
		tls_fail(t, "SSL_read()", "part of a handshake within TLS 1.2");
		c->error = EPROTO;
		return (CONN_FAILED);
	}
	if (why == SSL_ERROR_WANT_WRITE || (why == SSL_ERROR_WANT_READ && t->wire.starved))
		return (CONN_AGAIN);
	if (why == SSL_ERROR_WANT_READ) {
		if (++t->dataless <= DATALESS_MAX)
			return (1);
		tls_fail(t, "SSL_read()", "too many TLS records without data");
		c->error = EPROTO;
		return (CONN_FAILED);
	}
	if (why == SSL_ERROR_SSL)
		tls_fail(t, "SSL_read()", NULL);
	else if (c->error == 0)
		conn_fail(c, ECONNRESET, "SSL_read");
	return (CONN_FAILED);
}

/* More may come without waiting: decrypted, read ahead, or left in the socket by a full read. */
static bool
tls_has_more(const struct tls *t)
{
	return (SSL_pending(t->ssl) > 0 || t->wire.ahead_n > 0 || !chain_is_empty(&t->early) ||
	    !chain_is_empty(&t->wire.conn->unread) || !t->wire.conn->drained);
}

static ssize_t
tls_fill(struct tls *t, char *to, size_t room, size_t taken_before)
{
	size_t taken = 0;
	int dataless = 0;

	while (taken < room) {
		int result;
		size_t n;
		ssize_t why;

		if (taken + taken_before > 0 && !tls_has_more(t))
			break;
		n = tls_read_some(t, to + taken, room - taken, &result);
		if (n > 0) {
			taken += n;
			t->dataless = 0;
			t->wire.budget = BIO_BUDGET;
			continue;
		}
		why = tls_read_stopped(t, result);
		if (why > 0 && ++dataless < DATALESS_PER_CALL && t->wire.budget > 0)
			continue;
		if (why > 0) {	/* in fairness to others: later */
			conn_ready_later(t->wire.conn, CONN_READ);
			why = CONN_AGAIN;
		}
		return (taken > 0 ? (ssize_t)taken : why);
	}
	return ((ssize_t)taken);
}

static bool
tls_has_pending(const struct conn *c)
{
	return (c->tls->state < TLS_PLAIN_HTTP &&
	    (SSL_pending(c->tls->ssl) > 0 || !chain_is_empty(&c->tls->early)));
}

static ssize_t
tls_recv(struct conn *c, struct iovec *iov, int count)
{
	struct tls *t = c->tls;
	size_t room = AHEAD_SLACK;
	ssize_t taken = 0;

	if (t->state <= TLS_HANDSHAKE)
		return (CONN_AGAIN);
	if (t->state >= TLS_PLAIN_HTTP)
		return (CONN_FAILED);
	for (int i = 0; i < count; i++)
		room += iov[i].iov_len;
	tls_begin(t, room);
	for (int i = 0; i < count; i++) {
		ssize_t n = tls_fill(t, iov[i].iov_base, iov[i].iov_len, (size_t)taken);

		if (n <= 0 && taken == 0)
			taken = n;
		if (n <= 0)
			break;
		taken += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	tls_end(t);
	return (taken);
}

/* --- writing --- */

static size_t
record_size(struct tls *t)
{
	uint64_t now = clock_mono_ms();
	size_t size = TLS_RECORD_MAX;

	if (now - t->sent_at > RECORD_PAUSE_MS)
		t->burst = 0;
	t->sent_at = now;
	if (t->burst < RECORD_EARLY_UNTIL)
		size = t->burst == 0 ? RECORD_FIRST : RECORD_EARLY;
	return (size < t->record_max ? size : t->record_max);
}

/* Copies the first n bytes of the chain to room.  False: a file failed. */
static bool
tls_copy_out(struct conn *c, const struct chain *chain, char *room, size_t n)
{
	size_t at = 0;

	for (const struct buf *b = chain->first; at < n; b = b->next) {
		size_t want = b->n < n - at ? b->n : n - at;

		if (b->p != NULL) {
			memcpy(room + at, b->p, want);
			at += want;
			continue;
		}
		for (size_t done = 0; done < want;) {
			ssize_t r = pread(b->fd, room + at, want - done, b->offset + (off_t)done);

			if (r == -1 && errno == EINTR)
				continue;
			if (r <= 0) {
				conn_fail(c, r == 0 ? ESTALE : errno, "pread");
				return (false);
			}
			done += (size_t)r;
			at += (size_t)r;
		}
	}
	return (true);
}

/*
 * The first n bytes of the chain in one piece: in place, or gathered in the room, those of a file
 * several records at a time.  *ahead: what was gathered and is not yet sent.  NULL: a file failed.
 */
static const char *
tls_gather(struct conn *c, const struct chain *chain, struct tls_room *room, size_t n,
    struct str *ahead)
{
	if (ahead->n >= n)
		return (ahead->p);
	if (chain->first->p != NULL && chain->first->n >= n)
		return (chain->first->p);
	*ahead = str_make(room->plain, n);
	if (chain->first->p == NULL && chain->first->n > n)
		ahead->n = chain->first->n < sizeof(room->plain) ? (size_t)chain->first->n :
		    sizeof(room->plain);
	return (tls_copy_out(c, chain, room->plain, ahead->n) ? ahead->p : NULL);
}

/* One record of n bytes.  > 0: it is with the kernel (or collected); 0: blocked; CONN_FAILED. */
static ssize_t
tls_write_record(struct tls *t, const char *p, size_t n)
{
	struct conn *c = t->wire.conn;
	size_t written = 0;
	int result = t->state == TLS_EARLY ?
	    SSL_write_early_data(t->ssl, p, n, &written) : SSL_write_ex(t->ssl, p, n, &written);

	if (result == 1) {
		t->offered = 0;
		return ((ssize_t)written);
	}
	switch (SSL_get_error(t->ssl, result)) {
	case SSL_ERROR_WANT_WRITE:
		tls_note_blocked(t, SSL_ERROR_WANT_WRITE);
		t->offered = n;
		return (0);
	case SSL_ERROR_WANT_READ:	/* behind early data the handshake comes first */
		c->send_wants_read = true;
		return (0);
	case SSL_ERROR_SSL:
		tls_fail(t, "SSL_write()", NULL);
		return (CONN_FAILED);
	default:
		return (c->error != 0 ? CONN_FAILED : conn_fail(c, ECONNRESET, "SSL_write"));
	}
}

/* The kernel makes the records, so that a file need not come here. */
static bool
tls_can_sendfile(const struct tls *t, const struct buf *b)
{
	return (t->direct && t->offered == 0 && t->state == TLS_OPEN && b->p == NULL && !b->copy &&
	    BIO_get_ktls_send(SSL_get_wbio(t->ssl)));
}

/* As tls_write_record(). */
static ssize_t
tls_send_slice(struct tls *t, const struct buf *b, size_t n)
{
	ossl_ssize_t sent = SSL_sendfile(t->ssl, b->fd, b->offset, n, 0);
	int why;

	if (sent > 0)
		return (sent);
	why = SSL_get_error(t->ssl, (int)sent);
	tls_note_blocked(t, why);
	if (sent < 0 && why == SSL_ERROR_WANT_WRITE)
		return (0);
	return (conn_fail(t->wire.conn, sent == 0 ? ESTALE : EIO, "SSL_sendfile"));
}

/* Bytes that are sent already but that the owner's max did not allow to be taken from the chain. */
static uint64_t
tls_settle_credit(struct tls *t, struct chain *chain, uint64_t max)
{
	uint64_t n = t->credit < max ? t->credit : max;

	chain_drop(chain, n);
	t->credit -= (size_t)n;
	return (n);
}

/* The next record of what may be sent: as tls_write_record(). */
static ssize_t
tls_send_record(struct tls *t, struct tls_room *room, const struct chain *chain, uint64_t left,
    struct str *ahead)
{
	size_t want = record_size(t);
	const char *p;
	ssize_t n;

	if (t->offered > 0)
		want = t->offered;	/* whatever may be sent now */
	else if (want > left)
		want = (size_t)left;
	if ((p = tls_gather(t->wire.conn, chain, room, want, ahead)) == NULL)
		return (CONN_FAILED);
	if (t->direct && t->held == NULL) {
		t->held = xmalloc(want);
		memcpy(t->held, p, want);
	}
	t->wire.mode = want < left ? WIRE_MORE : WIRE_LAST;
	n = tls_write_record(t, t->held != NULL ? t->held : p, want);
	if (n != 0) {
		free(t->held);
		t->held = NULL;
	}
	return (n);
}

static ssize_t
tls_send_records(struct tls *t, struct tls_room *room, struct chain *chain, uint64_t max)
{
	struct conn *c = t->wire.conn;
	uint64_t sent = tls_settle_credit(t, chain, max);
	struct str ahead = STR_NULL;

	while (sent < max && !chain_is_empty(chain) && c->write_ready) {
		uint64_t left = chain->bytes < max - sent ? chain->bytes : max - sent;
		ssize_t n;

		if (tls_can_sendfile(t, chain->first)) {
			n = tls_send_slice(t, chain->first,
			    left < chain->first->n ? (size_t)left : chain->first->n);
			ahead = STR_NULL;
		} else
			n = tls_send_record(t, room, chain, left, &ahead);
		if (n < 0)
			return (CONN_FAILED);
		if (n == 0)
			break;
		ahead = str_skip(ahead, (size_t)n < ahead.n ? (size_t)n : ahead.n);
		t->burst += (uint64_t)n;
		t->credit = (uint64_t)n > max - sent ? (size_t)((uint64_t)n - (max - sent)) : 0;
		chain_drop(chain, (uint64_t)n - t->credit);
		sent += (uint64_t)n - t->credit;
	}
	return ((ssize_t)sent);
}

static ssize_t
tls_send(struct conn *c, struct chain *chain, uint64_t max)
{
	struct tls *t = c->tls;
	ssize_t sent;

	if (t->state <= TLS_HANDSHAKE)
		return (0);
	if (t->state >= TLS_PLAIN_HTTP || t->shut)
		return (c->error != 0 ? CONN_FAILED : conn_fail(c, EPIPE, "SSL_write"));
	sent = tls_send_records(t, tls_begin(t, TLS_AHEAD), chain, max);
	tls_end(t);
	if (sent > 0)
		c->sent += (uint64_t)sent;
	return (sent);
}

static bool
tls_flush(struct conn *c)
{
	struct tls *t = c->tls;

	if (!wire_flush(&t->wire))
		return (false);
	if (t->fin_wanted) {
		t->fin_wanted = false;
		plain_ops.shutdown(c);
	}
	return (true);
}

/* --- the end --- */

/* Makes close_notify, unless a record is half sent: then nothing can follow it. */
static void
tls_notify(struct tls *t)
{
	if (t->shut || t->state != TLS_OPEN || t->offered > 0 || !SSL_is_init_finished(t->ssl))
		return;
	t->shut = true;
	tls_begin(t, TLS_AHEAD);
	(void)SSL_shutdown(t->ssl);	/* 0: sent, the peer's is not awaited */
	tls_end(t);
	task_cancel(&t->flush);
	wire_flush(&t->wire);
}

static void
tls_shutdown(struct conn *c)
{
	struct tls *t = c->tls;

	tls_notify(t);
	t->shut = true;
	if (chain_is_empty(&t->wire.out))
		plain_ops.shutdown(c);
	else
		t->fin_wanted = true;
}

static void
tls_close(struct conn *c, bool reset)
{
	struct tls *t = c->tls;

	if (!reset && c->error == 0)
		tls_notify(t);
	if (!reset)
		(void)wire_flush(&t->wire);	/* the alert of a failure */
	/* OpenSSL would forget the session of a connection that was not shut down both ways. */
	if (t->state == TLS_OPEN)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	c->tls = NULL;
	tls_free(t);
}

static const struct conn_ops tls_ops = {
	.recv = tls_recv,
	.send = tls_send,
	.flush = tls_flush,
	.has_pending = tls_has_pending,
	.shutdown = tls_shutdown,
	.close = tls_close,
};

/* --- what others ask --- */

const char *
tls_error(struct conn *c)
{
	return (c->tls == NULL || c->tls->error == NULL ? "" : c->tls->error);
}

bool
tls_error_is_peers(struct conn *c)
{
	return (c->tls != NULL && c->tls->peers_error);
}

struct ssl_st *
tls_ssl(const struct conn *c)
{
	return (c->tls == NULL ? NULL : c->tls->ssl);
}

void *
tls_arg(const struct ssl_st *ssl)
{
	return (SSL_get_app_data(ssl));
}

bool
tls_is_plain_http(struct conn *c)
{
	return (c->tls != NULL && c->tls->state == TLS_PLAIN_HTTP);
}

bool
tls_is_early(const struct conn *c)
{
	return (c->tls != NULL && c->tls->early_used &&
	    !SSL_is_init_finished(c->tls->ssl));
}

void
tls_set_record_max(struct conn *c, size_t bytes)
{
	if (c->tls != NULL)
		c->tls->record_max = bytes < TLS_RECORD_MAX ? bytes : TLS_RECORD_MAX;
}
