/*
 * Handshakes: which the first bytes begin, early data in front of them, and what
 * they may cost while they wait for the other side.
 *
 *	tls_start -> (hello ->) (maybe early ->) handshake (-> early) -> open -> closed
 *	               \-> plain HTTP: tls_abandon, the conn is plain again
 *
 * OpenSSL holds about 45 kB for a handshake that waits.  A ClientHello is held
 * back until it is whole (15 kB), and where many wait, what their flights were made
 * in is given back (30 kB).
 */
#include <openssl/ssl.h>

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "net/conn_ops.h"
#include "net/tls.h"
#include "net/tls_state.h"

enum {
	HELLO_MAX = TLS_RECORD_HEAD + TLS_RECORD_MAX,	/* a ClientHello with its records' heads */
	WAITING_WARM = 64	/* so many may keep what they will soon need */
};

/* Tells where the messages of a handshake are made. */
static void
tls_note_message(int sent, int version, int type, const void *p, size_t n, SSL *ssl, void *arg)
{
	struct tls *t = arg;

	(void)version;
	(void)n;
	(void)ssl;
	if (sent && type == SSL3_RT_HANDSHAKE)
		t->flight = (char *)(uintptr_t)p;
}

void
tls_wait_prepare(struct tls *t)
{
	SSL_set_msg_callback(t->ssl, tls_note_message);
	SSL_set_msg_callback_arg(t->ssl, t);
}

/*
 * OpenSSL keeps 21 KiB for messages until the handshake has ended.  Behind a flight of ours they
 * hold nothing that is read again: the next message begins at their start.
 */
static void
tls_release_flight(struct tls *t)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)t->flight + page - 1) & ~(page - 1);
	uintptr_t to = ((uintptr_t)t->flight + malloc_usable_size(t->flight)) & ~(page - 1);

	if (from < to)
		(void)madvise((void *)from, to - from, MADV_DONTNEED);
}

/* A client that has had a flight is waited for. */
static void
tls_wait_begin(struct tls *t, struct tls_room *room)
{
	if (t->waits || t->flight == NULL || !SSL_want_read(t->ssl))
		return;
	t->waits = true;
	if (++room->waiting > WAITING_WARM)
		tls_release_flight(t);
}

void
tls_wait_end(struct tls *t)
{
	if (t->waits)
		tls_room_of(t->wire.conn->loop)->waiting--;
	t->waits = false;
	t->flight = NULL;
	if (t->ssl != NULL)
		SSL_set_msg_callback(t->ssl, NULL);
}

/* A TLS record, or SSLv2's hello, cannot begin as a request line does. */
static bool
is_hello_byte(unsigned char first)
{
	return (first == 0x16 || (first & 0x80) != 0);
}

/* Early data of the client, or none: then the handshake goes on as usual. */
static int
tls_handshake_early(struct tls *t, struct tls_room *room)
{
	size_t n = 0;

	switch (SSL_read_early_data(t->ssl, room->plain, TLS_RECORD_MAX, &n)) {
	case SSL_READ_EARLY_DATA_SUCCESS:
		chain_copy(&t->early, str_make(room->plain, n));
		t->state = TLS_EARLY;
		t->early_used = true;
		return (1);
	case SSL_READ_EARLY_DATA_FINISH:
		t->state = TLS_HANDSHAKE;
		return (SSL_do_handshake(t->ssl));
	default:
		return (-1);
	}
}

/* Why the handshake did not end: 0 when it will go on. */
static int
tls_handshake_stopped(struct tls *t, int result)
{
	struct conn *c = t->wire.conn;
	int why = SSL_get_error(t->ssl, result);

	tls_note_blocked(t, why);
	wire_flush(&t->wire);	/* a flight, or the alert that says why not */
	if (why == SSL_ERROR_SSL) {
		tls_fail(t, "SSL_do_handshake()", NULL);
		return (-1);
	}
	if (t->wire.ended || why == SSL_ERROR_SYSCALL || why == SSL_ERROR_ZERO_RETURN ||
	    c->error != 0) {
		tls_fail(t, c->failed_call, "peer closed connection in SSL handshake");
		return (-1);
	}
	if (why == SSL_ERROR_WANT_READ && !t->wire.starved)
		conn_ready_later(c, CONN_READ);	/* others first: the budget was used up */
	return (0);
}

/*
 * The first bytes of a client tell whether it speaks TLS at all; OpenSSL hears of its hello when
 * that is whole.  As tls_handshake().
 */
static int
tls_look_at_hello(struct tls *t)
{
	struct wire *w = &t->wire;
	size_t need = 1;

	while (need > w->ahead_n) {
		ssize_t n = wire_fill(w, need);

		if (n == CONN_AGAIN)
			return (0);
		if (n <= 0) {
			tls_fail(t, w->conn->failed_call,
			    "peer closed connection in SSL handshake");
			return (-1);
		}
		if (!is_hello_byte((unsigned char)w->ahead[0])) {
			tls_fail(t, "SSL_do_handshake()",
			    "client sent plain HTTP request to HTTPS port");
			t->state = TLS_PLAIN_HTTP;
			return (-1);
		}
		need = tls_hello_size((const unsigned char *)w->ahead, w->ahead_n);
		if (need > HELLO_MAX) {
			tls_fail(t, "SSL_do_handshake()", "client sent too large ClientHello");
			return (-1);
		}
	}
	t->state = SSL_get_max_early_data(t->ssl) > 0 ? TLS_MAYBE_EARLY : TLS_HANDSHAKE;
	return (1);
}

int
tls_handshake(struct conn *c)
{
	struct tls *t = c->tls;
	struct tls_room *room;
	int result = 1;

	if (t->state == TLS_OPEN || t->state == TLS_EARLY)
		return (1);
	if (t->state > TLS_OPEN)
		return (-1);
	room = tls_begin(t, TLS_AHEAD);
	if (t->state == TLS_HELLO)
		result = tls_look_at_hello(t);
	if (result == 1) {
		result = t->state == TLS_MAYBE_EARLY ? tls_handshake_early(t, room) :
		    SSL_do_handshake(t->ssl);
		if (result != 1)
			result = tls_handshake_stopped(t, result);
		else if (t->state == TLS_HANDSHAKE)
			t->state = TLS_OPEN;
		if (result == 0)
			tls_wait_begin(t, room);
		else
			tls_wait_end(t);
	}
	tls_end(t);
	return (result);
}
