/* net/tls.c and net/bio.c: two ends of TLS on one loop over loopback TCP, and a few raw clients. */
#define _GNU_SOURCE	/* memfd_create, POLLRDHUP */
#include <sys/mman.h>

#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "net/conn_ops.h"
#include "net/tls.h"
#include "sockets.h"
#include "../unit.h"

static struct loop *loop;
static SSL_CTX *server_ctx, *client_ctx;
static int fds[2];
static char bytes[1 << 17];

/* One end. */
struct end {
	struct conn *conn;
	bool open;		/* handshake done */
	bool failed;
	unsigned events;
	struct chain in, out;
	bool ended;		/* a clean end was read */
	bool paused;		/* does not read */
};

static struct end server, client;

static void
contexts_make(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	    (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
	server_ctx = SSL_CTX_new(TLS_server_method());
	client_ctx = SSL_CTX_new(TLS_client_method());
	ck_assert_int_eq(SSL_CTX_use_certificate(server_ctx, cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void
end_go(struct end *e)
{
	ssize_t n;

	if (!e->open) {
		switch (tls_handshake(e->conn)) {
		case 1:
			e->open = true;
			break;
		case 0:
			return;
		default:
			e->failed = true;
			return;
		}
	}
	while (!e->paused && !e->ended && !e->failed) {
		n = conn_recv_chain(e->conn, &e->in, SIZE_MAX);
		if (n == CONN_AGAIN)
			break;
		e->ended = n == 0;
		e->failed = n == CONN_FAILED;
	}
	if (!chain_is_empty(&e->out) && conn_send(e->conn, &e->out, UINT64_MAX) == CONN_FAILED)
		e->failed = true;
}

static void
end_on_event(struct conn *c, unsigned events, void *arg)
{
	struct end *e = arg;

	(void)c;
	e->events |= events;
	end_go(e);
}

static void
end_start(struct end *e, int fd, bool is_server)
{
	memset(e, 0, sizeof(*e));
	fd_nonblock(fd);
	e->conn = conn_open(loop, fd, NULL);
	conn_set_handler(e->conn, end_on_event, e);
	ck_assert_int_eq(tls_start(e->conn, is_server ? server_ctx : client_ctx, is_server,
	    is_server ? STR("") : STR("name.example"), e), 0);
}

static void
end_close(struct end *e)
{
	if (e->conn != NULL)
		conn_close(e->conn, false);
	e->conn = NULL;
	chain_clear(&e->in);
	chain_clear(&e->out);
}

static void
setup(void)
{
	loop = loop_new(0);
	contexts_make();
	tcp_pair(fds);
	end_start(&server, fds[0], true);
	end_start(&client, fds[1], false);
}

static void
teardown(void)
{
	end_close(&server);
	end_close(&client);
	loop_turn(loop, false);
	loop_free(loop);
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
}

static void
shake(void)
{
	end_go(&client);
	end_go(&server);
	TURN_UNTIL(loop, client.open && server.open);
}

static char
pattern(uint64_t i)
{
	return ((char)(i * 7 + (i >> 9)));
}

static void
pattern_add(struct chain *chain, uint64_t at, size_t n)
{
	while (n > 0) {
		size_t piece = n < 7000 ? n : 7000;

		for (size_t i = 0; i < piece; i++)
			bytes[i] = pattern(at + i);
		chain_copy(chain, str_make(bytes, piece));
		at += piece;
		n -= piece;
	}
}

static bool
chain_is_pattern(const struct chain *chain)
{
	uint64_t at = 0;

	for (const struct buf *b = chain->first; b != NULL; b = b->next)
		for (size_t i = 0; i < b->n; i++)
			if (b->p[i] != pattern(at++))
				return (false);
	return (true);
}

START_TEST(handshake_and_exchange)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };

	SSL_CTX_set_max_proto_version(server_ctx, versions[_i]);
	end_close(&server);
	end_close(&client);
	tcp_pair(fds);
	end_start(&server, fds[0], true);
	end_start(&client, fds[1], false);
	shake();
	ck_assert_int_eq(SSL_version(tls_ssl(server.conn)), versions[_i]);
	ck_assert_ptr_eq(tls_arg(tls_ssl(server.conn)), &server);
	ck_assert_str_eq(SSL_get_servername(tls_ssl(server.conn), TLSEXT_NAMETYPE_host_name),
	    "name.example");
	chain_copy(&client.out, STR("question"));
	end_go(&client);
	TURN_UNTIL(loop, server.in.bytes == 8);
	chain_copy(&server.out, STR("answer"));
	end_go(&server);
	TURN_UNTIL(loop, client.in.bytes == 6);
	ck_assert_uint_eq(server.conn->received, 8);
	ck_assert_uint_eq(server.conn->sent, 6);
	ck_assert(!conn_has_pending(server.conn));
}
END_TEST

/* Both ways at once, far beyond what sockets hold. */
START_TEST(bulk_both_ways)
{
	const size_t n = 6 << 20;

	shake();
	pattern_add(&client.out, 0, n);
	pattern_add(&server.out, 0, n);
	end_go(&client);
	end_go(&server);
	TURN_UNTIL(loop, client.in.bytes == n && server.in.bytes == n);
	ck_assert(chain_is_pattern(&client.in));
	ck_assert(chain_is_pattern(&server.in));
	ck_assert_uint_eq(server.conn->sent, n);
}
END_TEST

/* A reader that stops: the sender blocks, nothing is lost when it reads on. */
START_TEST(back_pressure)
{
	const size_t n = 12 << 20;
	size_t before;

	shake();
	client.paused = true;
	pattern_add(&server.out, 0, n);
	end_go(&server);
	turn_idle(loop);
	ck_assert(!chain_is_empty(&server.out));
	before = client.in.bytes;
	ck_assert_uint_eq(before, 0);
	client.paused = false;
	conn_watch(client.conn);
	TURN_UNTIL(loop, client.in.bytes == n);
	ck_assert(chain_is_pattern(&client.in));
	ck_assert(chain_is_empty(&server.out));
}
END_TEST

/* max shrinks while a record is stuck: never more than max is reported. */
START_TEST(max_is_kept)
{
	const size_t n = 12 << 20;
	ssize_t sent;

	shake();
	client.paused = true;
	pattern_add(&server.out, 0, n);
	end_go(&server);
	ck_assert(!chain_is_empty(&server.out));
	client.paused = false;
	conn_watch(client.conn);
	conn_set_handler(server.conn, end_on_event, &server);
	while (client.in.bytes < n) {
		sent = conn_send(server.conn, &server.out, 1000);
		ck_assert_int_ge(sent, 0);
		ck_assert_int_le(sent, 1000);
		loop_turn(loop, false);
		if (server.out.bytes < n / 2)
			end_go(&server);
		if (chain_is_empty(&server.out))
			TURN_UNTIL(loop, client.in.bytes == n);
	}
	ck_assert(chain_is_pattern(&client.in));
}
END_TEST

static int
pattern_file(size_t n)
{
	int fd = memfd_create("pattern", MFD_CLOEXEC);

	for (size_t at = 0; at < n;) {
		size_t piece = n - at < sizeof(bytes) ? n - at : sizeof(bytes);

		for (size_t i = 0; i < piece; i++)
			bytes[i] = pattern(at + i);
		ck_assert_int_eq(write(fd, bytes, piece), (ssize_t)piece);
		at += piece;
	}
	return (fd);
}

START_TEST(files_are_encrypted)
{
	const size_t n = 3 << 20;
	int file = pattern_file(n);

	shake();
	pattern_add(&server.out, 0, 300);
	chain_add_file(&server.out, file, 300, n - 300, NULL);
	end_go(&server);
	TURN_UNTIL(loop, client.in.bytes == n);
	ck_assert(chain_is_pattern(&client.in));
	close(file);
}
END_TEST

START_TEST(shrinking_file_is_estale)
{
	int file = pattern_file(5000);

	shake();
	chain_add_file(&server.out, file, 0, 5000, NULL);
	ck_assert_int_eq(ftruncate(file, 2000), 0);
	end_go(&server);
	ck_assert(server.failed);
	ck_assert_int_eq(server.conn->error, ESTALE);
	close(file);
}
END_TEST

START_TEST(close_notify_is_a_clean_end)
{
	shake();
	chain_copy(&server.out, STR("bye"));
	end_go(&server);
	conn_shutdown(server.conn);
	TURN_UNTIL(loop, client.ended);
	ck_assert_uint_eq(client.in.bytes, 3);
	ck_assert(!client.conn->tls_truncated && client.conn->peer_closed);
	/* The other direction still works. */
	chain_copy(&client.out, STR("late"));
	end_go(&client);
	TURN_UNTIL(loop, server.in.bytes == 4);
	end_close(&client);
	TURN_UNTIL(loop, server.ended);
}
END_TEST

START_TEST(close_sends_close_notify)
{
	shake();
	end_close(&server);
	TURN_UNTIL(loop, client.ended);
	ck_assert(!client.failed);
}
END_TEST

START_TEST(end_without_close_notify_is_truncation)
{
	shake();
	chain_copy(&server.out, STR("cut"));
	end_go(&server);
	ck_assert_int_eq(shutdown(fds[0], SHUT_WR), 0);
	TURN_UNTIL(loop, client.failed);
	ck_assert_uint_eq(client.in.bytes, 3);
	ck_assert(client.conn->tls_truncated);
	ck_assert_int_eq(client.conn->error, ECONNRESET);
}
END_TEST

START_TEST(reset_is_no_truncation)
{
	shake();
	conn_close(server.conn, true);
	server.conn = NULL;
	TURN_UNTIL(loop, client.failed);
	ck_assert(!client.conn->tls_truncated);
	ck_assert_int_eq(client.conn->error, ECONNRESET);
}
END_TEST

/* The raw end of fds[1] instead of a TLS client. */
static int
raw_client(void)
{
	int fd = dup(fds[1]);

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	conn_set_handler(client.conn, NULL, NULL);
	return (fd);
}

START_TEST(plain_http_is_recognised)
{
	int fd = raw_client();
	char got[64];

	end_go(&server);
	fd_write(fd, "DELETE / HTTP/1.0\r\n\r\n", 21);
	TURN_UNTIL(loop, server.failed);
	ck_assert(tls_is_plain_http(server.conn));
	tls_abandon(server.conn);
	ck_assert_ptr_null(tls_ssl(server.conn));
	ck_assert_int_eq(recv_text(server.conn, got, sizeof(got)), 21);
	ck_assert_int_eq(memcmp(got, "DELETE / ", 9), 0);
	chain_copy(&server.out, STR("HTTP/1.0 400"));
	ck_assert_int_eq(conn_send(server.conn, &server.out, UINT64_MAX), 12);
	ck_assert_int_eq(recv(fd, got, 12, MSG_WAITALL), 12);
	ck_assert_int_eq(memcmp(got, "HTTP/1.0 400", 12), 0);
	close(fd);
}
END_TEST

START_TEST(garbage_is_the_peers_mistake)
{
	int fd = raw_client();
	char got[16];

	end_go(&server);
	fd_write(fd, "\x16\x03\x01\x00\x05hello", 10);
	TURN_UNTIL(loop, server.failed);
	ck_assert(!tls_is_plain_http(server.conn));
	ck_assert(tls_error_is_peers(server.conn));
	ck_assert_ptr_nonnull(strstr(tls_error(server.conn),
	    "SSL_do_handshake() failed (SSL: error:"));
	ck_assert_int_eq(recv(fd, got, 7, MSG_WAITALL), 7);
	ck_assert_int_eq(got[0], 0x15);	/* an alert says why */
	close(fd);
}
END_TEST

START_TEST(peer_that_leaves_during_the_handshake)
{
	int fd = raw_client();

	end_go(&server);
	fd_write(fd, "\x16\x03\x01", 3);
	turn_idle(loop);
	ck_assert(!server.failed);
	shutdown(fd, SHUT_WR);
	TURN_UNTIL(loop, server.failed);
	ck_assert_str_eq(tls_error(server.conn), "peer closed connection in SSL handshake");
	ck_assert(tls_error_is_peers(server.conn));
	close(fd);
}
END_TEST

/* A hello that arrives byte by byte; its later bytes are not taken for a first one. */
START_TEST(fragmented_hello)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL *ssl = SSL_new(client_ctx);
	int fd = raw_client(), n;

	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	ck_assert_int_eq(SSL_do_handshake(ssl), -1);
	n = BIO_read(out, bytes, sizeof(bytes));
	ck_assert_int_gt(n, 100);
	end_go(&server);
	for (int i = 0; i < n; i++) {
		fd_write(fd, bytes + i, 1);
		fd_wait(fds[0], POLLIN);
		loop_turn(loop, false);
	}
	ck_assert(!server.failed);
	ck_assert_int_gt(recv(fd, bytes, sizeof(bytes), 0), 500);
	SSL_free(ssl);
	close(fd);
}
END_TEST

/* What the other end of a raw socket receives, as record lengths. */
static int
record_lengths(const char *p, size_t n, size_t *lengths, int max)
{
	int count = 0;

	while (n >= 5 && count < max) {
		size_t length = (size_t)(unsigned char)p[3] << 8 | (unsigned char)p[4];

		lengths[count++] = length;
		ck_assert_uint_le(5 + length, n);
		p += 5 + length;
		n -= 5 + length;
	}
	ck_assert_uint_eq(n, 0);
	return (count);
}

START_TEST(records_grow)
{
	size_t lengths[16];
	ssize_t n;

	shake();
	turn_idle(loop);
	client.paused = true;
	pattern_add(&server.out, 0, 60000);
	end_go(&server);
	ck_assert(chain_is_empty(&server.out));
	fd_wait(fds[1], POLLIN);
	n = recv(fds[1], bytes, sizeof(bytes), MSG_PEEK);
	ck_assert_int_ge(record_lengths(bytes, (size_t)n, lengths, 16), 6);
	ck_assert_uint_lt(lengths[0], 1460);
	ck_assert_uint_lt(lengths[1], 4200);
	ck_assert_uint_gt(lengths[5], 16384);
	client.paused = false;
	conn_watch(client.conn);
	TURN_UNTIL(loop, client.in.bytes == 60000);
	ck_assert(chain_is_pattern(&client.in));
}
END_TEST

START_TEST(record_max_is_kept)
{
	size_t lengths[64];
	ssize_t n;
	int count;

	shake();
	turn_idle(loop);
	tls_set_record_max(server.conn, 2048);
	client.paused = true;
	pattern_add(&server.out, 0, 30000);
	end_go(&server);
	fd_wait(fds[1], POLLIN);
	n = recv(fds[1], bytes, sizeof(bytes), MSG_PEEK);
	count = record_lengths(bytes, (size_t)n, lengths, 64);
	for (int i = 0; i < count; i++)
		ck_assert_uint_lt(lengths[i], 2048 + 64);
}
END_TEST

/* Records without data are no way to keep a loop busy. */
START_TEST(key_update_flood)
{
	shake();
	for (int i = 0; i < 2000 && !server.failed && !client.failed; i++) {
		SSL_key_update(tls_ssl(client.conn), SSL_KEY_UPDATE_NOT_REQUESTED);
		SSL_do_handshake(tls_ssl(client.conn));
		client.conn->ops->flush(client.conn);
		if (i % 16 == 0)
			loop_turn(loop, false);
	}
	TURN_UNTIL(loop, server.failed);
	ck_assert(tls_error_is_peers(server.conn));
}
END_TEST

START_TEST(key_updates_between_data_are_fine)
{
	shake();
	for (uint64_t i = 0; i < 400; i++) {
		SSL_key_update(tls_ssl(client.conn), SSL_KEY_UPDATE_REQUESTED);
		pattern_add(&client.out, i, 1);
		end_go(&client);
		TURN_UNTIL(loop, server.in.bytes == i + 1 || server.failed || client.failed);
		ck_assert_msg(!server.failed && !client.failed, "%s%s",
		    tls_error(server.conn), tls_error(client.conn));
		pattern_add(&server.out, i, 1);
		end_go(&server);
	}
	ck_assert(!server.failed && !client.failed);
	ck_assert(chain_is_pattern(&server.in));
}
END_TEST

static SSL_SESSION *kept;

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	return (1);
}

/* Early data is readable before the handshake ends, and answered in the same flight. */
START_TEST(early_data)
{
	size_t written = 0;

	SSL_CTX_set_max_early_data(server_ctx, 16384);
	SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
	end_close(&server);
	end_close(&client);
	tcp_pair(fds);
	end_start(&server, fds[0], true);
	end_start(&client, fds[1], false);
	shake();
	ck_assert(!tls_is_early(server.conn));
	TURN_UNTIL(loop, kept != NULL);
	ck_assert_uint_eq(SSL_SESSION_get_max_early_data(kept), 16384);
	end_close(&server);
	end_close(&client);
	loop_turn(loop, false);

	tcp_pair(fds);
	end_start(&server, fds[0], true);
	end_start(&client, fds[1], false);
	SSL_set_session(tls_ssl(client.conn), kept);
	SSL_write_early_data(tls_ssl(client.conn), "GET / early", 11, &written);
	ck_assert_uint_eq(written, 11);
	client.conn->ops->flush(client.conn);
	conn_set_handler(client.conn, NULL, NULL);	/* its Finished waits */
	end_go(&server);
	TURN_UNTIL(loop, server.in.bytes == 11);
	ck_assert(server.open && tls_is_early(server.conn));
	chain_copy(&server.out, STR("early answer"));
	end_go(&server);
	ck_assert(chain_is_empty(&server.out));
	conn_set_handler(client.conn, end_on_event, &client);
	end_go(&client);
	TURN_UNTIL(loop, client.in.bytes == 12);
	TURN_UNTIL(loop, !tls_is_early(server.conn));
	chain_copy(&client.out, STR("more"));
	end_go(&client);
	TURN_UNTIL(loop, server.in.bytes == 15);
	SSL_SESSION_free(kept);
	kept = NULL;
}
END_TEST

START_TEST(idle_holds_no_buffers)
{
	shake();
	turn_idle(loop);
	chain_copy(&client.out, STR("x"));
	end_go(&client);
	TURN_UNTIL(loop, server.in.bytes == 1);
	chain_clear(&server.in);
	turn_idle(loop);
	/* Only what the loop keeps for everybody's reads. */
	ck_assert_uint_le(block_in_use(), 1);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, handshake_and_exchange, 0, 2);
	tcase_add_test(t, bulk_both_ways);
	tcase_add_test(t, back_pressure);
	tcase_add_test(t, max_is_kept);
	tcase_add_test(t, files_are_encrypted);
	tcase_add_test(t, shrinking_file_is_estale);
	tcase_add_test(t, close_notify_is_a_clean_end);
	tcase_add_test(t, close_sends_close_notify);
	tcase_add_test(t, end_without_close_notify_is_truncation);
	tcase_add_test(t, reset_is_no_truncation);
	tcase_add_test(t, plain_http_is_recognised);
	tcase_add_test(t, garbage_is_the_peers_mistake);
	tcase_add_test(t, peer_that_leaves_during_the_handshake);
	tcase_add_test(t, fragmented_hello);
	tcase_add_test(t, records_grow);
	tcase_add_test(t, record_max_is_kept);
	tcase_add_test(t, key_update_flood);
	tcase_add_test(t, key_updates_between_data_are_fine);
	tcase_add_test(t, early_data);
	tcase_add_test(t, idle_holds_no_buffers);
}

int
main(void)
{
	return (unit_main("net/tls", add));
}
