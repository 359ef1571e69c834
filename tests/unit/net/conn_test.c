/* net/conn.c and net/plain.c on real sockets: joining, edges, ends, partial writes, files. */
#define _GNU_SOURCE	/* memfd_create, POLLRDHUP */
#include <sys/mman.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "sockets.h"
#include "../unit.h"

static struct loop *loop;
static int fds[2];
static struct record seen;
static char bytes[1 << 16];

static void
setup(void)
{
	loop = loop_new(0);
	memset(&seen, 0, sizeof(seen));
	tcp_pair(fds);
}

static void
teardown(void)
{
	loop_turn(loop, false);
	loop_free(loop);
	ck_assert_uint_eq(block_in_use(), 0);
	buf_cache_free();
	if (fds[1] != -1)
		close(fds[1]);
}

static struct conn *
opened(void)
{
	struct conn *c = conn_open(loop, fds[0], NULL);

	conn_set_handler(c, record_event, &seen);
	return (c);
}

static void
peer_resets(void)
{
	const struct linger at_once = { 1, 0 };

	setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fds[1]);
	fds[1] = -1;
}

START_TEST(short_exchange_never_joins)
{
	struct conn *c = opened();
	struct chain answer = chain_of("answer");

	fd_write(fds[1], "hello", 5);
	fd_wait(fds[0], POLLIN);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 5);
	ck_assert_int_eq(conn_send(c, &answer, UINT64_MAX), 6);
	ck_assert(chain_is_empty(&answer));
	ck_assert(!c->joined);
	ck_assert(c->drained);
	ck_assert_uint_eq(c->received, 5);
	ck_assert_uint_eq(c->sent, 6);
	conn_close(c, false);
	loop_turn(loop, false);
	ck_assert_int_eq(recv(fds[1], bytes, sizeof(bytes), 0), 6);
	ck_assert_int_eq(recv(fds[1], bytes, sizeof(bytes), 0), 0);
	ck_assert_int_eq(seen.calls, 0);
}
END_TEST

START_TEST(read_that_blocks_gets_an_event)
{
	struct conn *c = opened();

	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), CONN_AGAIN);
	ck_assert(c->joined);
	turn_idle(loop);
	ck_assert_uint_eq(seen.events & CONN_READ, 0);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), CONN_AGAIN);
	fd_write(fds[1], "a", 1);
	TURN_UNTIL(loop, seen.events & CONN_READ);
	ck_assert_uint_eq(seen.events, CONN_READ);	/* no WRITE: nothing waited for it */
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 1);
	seen.events = 0;
	fd_write(fds[1], "b", 1);	/* a new edge although EAGAIN was not seen */
	TURN_UNTIL(loop, seen.events & CONN_READ);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 1);
	conn_close(c, false);
}
END_TEST

/* Waiting without a read that would hear EAGAIN: right only where an event is sure to come. */
START_TEST(quiet_means_an_event_comes)
{
	struct conn *c = opened();

	ck_assert(!conn_is_quiet(c));
	fd_write(fds[1], "abc", 3);
	fd_wait(fds[0], POLLIN);
	ck_assert_int_eq(recv_text(c, bytes, 2), 2);
	conn_watch(c);
	ck_assert(!conn_is_quiet(c));	/* the read was full */
	ck_assert_int_eq(recv_text(c, bytes, 2), 1);
	ck_assert(conn_is_quiet(c));
	conn_unread(c, STR("c"));
	ck_assert(!conn_is_quiet(c));
	ck_assert_int_eq(recv_text(c, bytes, 2), 1);
	turn_idle(loop);	/* the edges of what was read */
	ck_assert_int_eq(recv_text(c, bytes, 2), CONN_AGAIN);
	fd_write(fds[1], "d", 1);
	TURN_UNTIL(loop, !conn_is_quiet(c));
	ck_assert_int_eq(recv_text(c, bytes, 2), 1);
	ck_assert(conn_is_quiet(c));
	shutdown(fds[1], SHUT_WR);
	TURN_UNTIL(loop, !conn_is_quiet(c));
	conn_close(c, false);
}
END_TEST

START_TEST(data_and_fin_in_one_edge)
{
	struct conn *c = opened();

	conn_watch(c);
	fd_write(fds[1], "last", 4);
	shutdown(fds[1], SHUT_WR);
	fd_wait(fds[0], POLLRDHUP);
	TURN_UNTIL(loop, seen.events & CONN_CLOSED);
	ck_assert(c->peer_closed);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 4);
	seen.events = 0;
	conn_watch(c);	/* the edge is gone, the end is still to be read */
	TURN_UNTIL(loop, seen.events & CONN_READ);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 0);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 0);
	seen.events = 0;
	conn_watch(c);	/* read to the end: nothing more to tell */
	turn_idle(loop);
	ck_assert_uint_eq(seen.events, 0);
	conn_close(c, false);
}
END_TEST

START_TEST(unjoined_end_is_told_on_watch)
{
	struct conn *c = opened();

	fd_write(fds[1], "last", 4);
	fd_wait(fds[0], POLLIN);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 4);
	shutdown(fds[1], SHUT_WR);
	fd_wait(fds[0], POLLRDHUP);
	conn_watch(c);
	TURN_UNTIL(loop, seen.events & CONN_CLOSED);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 0);
	conn_close(c, false);
}
END_TEST

START_TEST(what_was_left_behind_is_told_on_watch)
{
	struct conn *c = opened();

	conn_watch(c);
	fd_write(fds[1], "abcdef", 6);
	TURN_UNTIL(loop, seen.events & CONN_READ);
	seen.events = 0;
	ck_assert_int_eq(recv_text(c, bytes, 3), 3);	/* full: more is there, no edge will come */
	turn_idle(loop);
	ck_assert_uint_eq(seen.events, 0);
	conn_watch(c);
	TURN_UNTIL(loop, seen.events & CONN_READ);
	ck_assert_int_eq(recv_text(c, bytes, 16), 3);
	conn_close(c, false);
}
END_TEST

START_TEST(reset_is_an_error)
{
	struct conn *c = opened();

	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), CONN_AGAIN);
	peer_resets();
	TURN_UNTIL(loop, seen.events != 0);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), CONN_FAILED);
	ck_assert_int_eq(c->error, ECONNRESET);
	ck_assert_str_eq(c->failed_call, "recv");
	conn_close(c, false);
}
END_TEST

START_TEST(reset_after_data_gives_the_data_first)
{
	struct conn *c = opened();

	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), CONN_AGAIN);
	fd_write(fds[1], "abc", 3);
	fd_wait(fds[0], POLLIN);
	peer_resets();
	fd_wait(fds[0], POLLHUP);
	TURN_UNTIL(loop, seen.events & CONN_READ);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 3);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), CONN_FAILED);
	ck_assert_int_eq(c->error, ECONNRESET);
	conn_close(c, false);
}
END_TEST

/* A client that half-closes and then leaves: recv() would say 0 for ever. */
START_TEST(reset_after_the_end_is_an_error_event)
{
	struct conn *c = opened();

	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), CONN_AGAIN);
	shutdown(fds[1], SHUT_WR);
	TURN_UNTIL(loop, seen.events & CONN_CLOSED);
	ck_assert_int_eq(recv_text(c, bytes, sizeof(bytes)), 0);
	seen.events = 0;
	peer_resets();
	TURN_UNTIL(loop, seen.events & CONN_ERROR);
	ck_assert_int_ne(c->error, 0);
	conn_close(c, false);
}
END_TEST

START_TEST(urgent_data_hides_nothing)
{
	struct conn *c = opened();
	char got[16] = "";
	size_t n = 0;

	conn_watch(c);
	fd_write(fds[1], "abc", 3);
	ck_assert_int_eq(send(fds[1], "!", 1, MSG_OOB), 1);
	fd_write(fds[1], "def", 3);
	while (n < 6) {
		ssize_t r = recv_text(c, got + n, sizeof(got) - n);

		ck_assert_int_ne(r, CONN_FAILED);
		if (r > 0)
			n += (size_t)r;
		else {
			seen.events = 0;
			TURN_UNTIL(loop, seen.events & CONN_READ);
		}
	}
	ck_assert_str_eq(got, "abcdef");
	conn_close(c, false);
}
END_TEST

static struct conn *sibling;

static void
event_closes_sibling(struct conn *c, unsigned events, void *arg)
{
	record_event(c, events, arg);
	if (sibling != NULL)
		conn_close(sibling, false);
	sibling = NULL;
}

/* Both are ready in the same turn; whoever is called first closes the other. */
START_TEST(nothing_is_told_after_close)
{
	struct conn *a = opened(), *b;
	struct record of_b = { 0, 0 };
	int more[2];

	tcp_pair(more);
	b = conn_open(loop, more[0], NULL);
	conn_set_handler(a, event_closes_sibling, &seen);
	conn_set_handler(b, record_event, &of_b);
	sibling = b;
	conn_watch(a);
	conn_watch(b);
	conn_ready_later(b, CONN_READ);
	fd_write(fds[1], "a", 1);
	fd_wait(fds[0], POLLIN);
	fd_write(more[1], "b", 1);
	fd_wait(more[0], POLLIN);
	TURN_UNTIL(loop, seen.calls > 0);
	turn_idle(loop);
	ck_assert_int_eq(of_b.calls, 0);
	ck_assert_int_eq(recv(more[1], bytes, 1, 0), -1);	/* unread data: a reset */
	close(more[1]);
	conn_close(a, false);
}
END_TEST

START_TEST(closed_conn_is_recycled_after_the_turn)
{
	struct conn *c = opened(), *again;
	int pair[2];

	conn_close(c, false);
	ck_assert(c->dead);
	ck_assert_int_ne(fcntl(fds[0], F_GETFD), -1);	/* not before the end of the turn */
	loop_turn(loop, false);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), -1);
	unix_pair(pair);
	again = conn_open(loop, pair[0], NULL);
	ck_assert(!again->dead && !again->joined && again->sent == 0);
	conn_close(again, true);
	close(pair[1]);
}
END_TEST

/* --- writing --- */

static char
pattern(uint64_t i)
{
	return ((char)(i * 31 + (i >> 8)));
}

static bool
is_pattern(const char *p, size_t n, uint64_t at)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != pattern(at + i))
			return (false);
	return (true);
}

/* The peer reads n bytes of the pattern while the loop sends. */
static void
peer_reads_pattern(uint64_t n, struct conn *c, struct chain *chain)
{
	uint64_t got = 0;

	fd_nonblock(fds[1]);
	while (got < n) {
		ssize_t r = recv(fds[1], bytes, sizeof(bytes), 0);

		if (r > 0) {
			ck_assert(is_pattern(bytes, (size_t)r, got));
			got += (uint64_t)r;
			continue;
		}
		ck_assert_msg(errno == EAGAIN, "%s", strerror(errno));
		if (!chain_is_empty(chain)) {
			TURN_UNTIL(loop, seen.events & CONN_WRITE);
			seen.events = 0;
			ck_assert_int_ge(conn_send(c, chain, UINT64_MAX), 0);
		}
	}
}

static struct chain
pattern_chain(uint64_t n)
{
	struct chain chain = { NULL, NULL, 0 };
	uint64_t at = 0;

	while (at < n) {
		size_t piece = n - at < 5000 ? (size_t)(n - at) : 5000;

		for (size_t i = 0; i < piece; i++)
			bytes[i] = pattern(at + i);
		chain_copy(&chain, str_make(bytes, piece));
		at += piece;
	}
	return (chain);
}

START_TEST(partial_writes_go_on)
{
	const uint64_t n = 20 << 20;	/* more than loopback buffers */
	struct conn *c = opened();
	struct chain chain = pattern_chain(n);

	ck_assert_int_gt(conn_send(c, &chain, UINT64_MAX), 0);
	ck_assert(!chain_is_empty(&chain));
	peer_reads_pattern(n, c, &chain);
	ck_assert(chain_is_empty(&chain));
	ck_assert_uint_eq(c->sent, n);
	conn_close(c, false);
}
END_TEST

START_TEST(send_keeps_to_max)
{
	struct conn *c = opened();
	struct chain chain = { NULL, NULL, 0 };

	chain_add(&chain, "abcd", 4, NULL);
	chain_add(&chain, "efgh", 4, NULL);
	ck_assert_int_eq(conn_send(c, &chain, 6), 6);
	ck_assert_uint_eq(chain.bytes, 2);
	ck_assert_int_eq(conn_send(c, &chain, 0), 0);
	ck_assert_int_eq(conn_send(c, &chain, UINT64_MAX), 2);
	ck_assert_int_eq(recv(fds[1], bytes, 8, MSG_WAITALL), 8);
	ck_assert_int_eq(memcmp(bytes, "abcdefgh", 8), 0);
	turn_idle(loop);
	ck_assert_int_eq(seen.calls, 0);
	conn_close(c, false);
}
END_TEST

START_TEST(send_after_reset_fails)
{
	struct conn *c = opened();
	struct chain chain = chain_of("x");

	peer_resets();
	fd_wait(fds[0], POLLHUP);
	ck_assert_int_eq(conn_send(c, &chain, UINT64_MAX), CONN_FAILED);
	ck_assert(c->error == ECONNRESET || c->error == EPIPE);
	ck_assert_str_eq(c->failed_call, "sendmsg");
	chain_clear(&chain);
	conn_close(c, false);
}
END_TEST

static int
pattern_file(uint64_t n)
{
	int fd = memfd_create("pattern", MFD_CLOEXEC);
	uint64_t at = 0;

	ck_assert_int_ne(fd, -1);
	while (at < n) {
		size_t piece = n - at < sizeof(bytes) ? (size_t)(n - at) : sizeof(bytes);

		for (size_t i = 0; i < piece; i++)
			bytes[i] = pattern(at + i);
		ck_assert_int_eq(write(fd, bytes, piece), (ssize_t)piece);
		at += piece;
	}
	return (fd);
}

START_TEST(files_and_memory_mix)
{
	const uint64_t n = 8 << 20, head = 1000;
	struct conn *c = opened();
	int file = pattern_file(n);
	struct chain chain = pattern_chain(head);

	chain_add_file(&chain, file, (off_t)head, n - head, NULL);
	ck_assert_int_gt(conn_send(c, &chain, UINT64_MAX), 0);
	peer_reads_pattern(n, c, &chain);
	ck_assert(chain_is_empty(&chain));
	conn_close(c, false);
	close(file);
}
END_TEST

START_TEST(shrinking_file_is_estale)
{
	struct conn *c = opened();
	int file = pattern_file(10000);
	struct chain chain = { NULL, NULL, 0 };
	ssize_t n;

	chain_add_file(&chain, file, 0, 10000, NULL);
	ck_assert_int_eq(ftruncate(file, 4000), 0);
	n = conn_send(c, &chain, UINT64_MAX);
	ck_assert_int_eq(n, CONN_FAILED);
	ck_assert_int_eq(c->error, ESTALE);
	ck_assert_uint_eq(c->sent, 4000);
	chain_clear(&chain);
	conn_close(c, false);
	close(file);
}
END_TEST

static void *
reader_run(void *arg)
{
	char *room = malloc(1 << 20);
	uint64_t *left = arg;

	while (*left > 0) {
		ssize_t n = recv(fds[1], room, 1 << 20, 0);

		if (n <= 0)
			break;
		*left -= (uint64_t)n;
	}
	free(room);
	return (NULL);
}

static struct chain endless;

static void
event_sends_on(struct conn *c, unsigned events, void *arg)
{
	ssize_t n;

	record_event(c, events, arg);
	if (!(events & CONN_WRITE))
		return;
	n = conn_send(c, &endless, UINT64_MAX);
	ck_assert_int_ge(n, 0);
	ck_assert_int_le(n, 1 << 20);
}

/* A reader as fast as the sender never fills the socket: the call ends all the same. */
START_TEST(one_call_is_bounded)
{
	const uint64_t n = 64 << 20;
	struct conn *c = opened();
	uint64_t left = n;
	pthread_t reader;
	int file = memfd_create("zero", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(file, (off_t)n), 0);
	memset(&endless, 0, sizeof(endless));
	chain_add_file(&endless, file, 0, n, NULL);
	ck_assert_int_eq(pthread_create(&reader, NULL, reader_run, &left), 0);
	conn_set_handler(c, event_sends_on, &seen);
	event_sends_on(c, CONN_WRITE, &seen);
	TURN_UNTIL(loop, chain_is_empty(&endless));
	conn_shutdown(c);
	pthread_join(reader, NULL);
	ck_assert_uint_eq(left, 0);
	conn_close(c, false);
	close(file);
}
END_TEST

/* --- reading into chains --- */

START_TEST(small_reads_share_a_block)
{
	struct conn *c = opened();
	struct chain chain = { NULL, NULL, 0 };

	conn_watch(c);
	for (int i = 0; i < 300; i++) {
		fd_write(fds[1], "0123456789", 10);
		fd_wait(fds[0], POLLIN);
		loop_turn(loop, false);
		ck_assert_int_eq(conn_recv_chain(c, &chain, SIZE_MAX), 10);
	}
	ck_assert_uint_eq(chain.bytes, 3000);
	ck_assert_ptr_eq(chain.first, chain.last);	/* one run of bytes */
	ck_assert_uint_eq(block_in_use(), 1);
	chain_clear(&chain);
	/* What is read next begins at the front again. */
	fd_write(fds[1], "x", 1);
	fd_wait(fds[0], POLLIN);
	loop_turn(loop, false);
	ck_assert_int_eq(conn_recv_chain(c, &chain, SIZE_MAX), 1);
	ck_assert_ptr_eq(chain.first->p, ((struct block *)chain.first->owner)->base);
	chain_clear(&chain);
	conn_close(c, false);
}
END_TEST

START_TEST(long_reads_grow)
{
	struct conn *c = opened();
	struct chain chain = { NULL, NULL, 0 };
	const size_t total = 1 << 20;
	char *sent = malloc(total);
	ssize_t most = 0;
	uint64_t at = 0;

	for (size_t i = 0; i < total; i++)
		sent[i] = pattern(i);
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &(int){ 4 << 20 }, sizeof(int));
	fd_nonblock(fds[1]);
	while (c->received < total) {
		ssize_t w = at < total ? send(fds[1], sent + at, total - at, 0) : 0, r;

		if (w > 0)
			at += (uint64_t)w;
		r = conn_recv_chain(c, &chain, SIZE_MAX);
		ck_assert_int_ne(r, 0);
		ck_assert_int_ne(r, CONN_FAILED);
		if (r > most)
			most = r;
		if (r == CONN_AGAIN)
			loop_turn(loop, true);
		ck_assert_int_le(r, 256 << 10);
	}
	ck_assert_int_gt(most, 64 << 10);
	at = 0;
	for (const struct buf *b = chain.first; b != NULL; b = b->next) {
		ck_assert(is_pattern(b->p, b->n, at));
		at += b->n;
	}
	ck_assert_uint_eq(at, total);
	chain_clear(&chain);
	ck_assert_uint_le(block_in_use(), 17);
	free(sent);
	conn_close(c, false);
}
END_TEST

START_TEST(chain_read_keeps_to_max)
{
	struct conn *c = opened();
	struct chain chain = { NULL, NULL, 0 };

	fd_write(fds[1], "abcdef", 6);
	fd_wait(fds[0], POLLIN);
	ck_assert_int_eq(conn_recv_chain(c, &chain, 4), 4);
	ck_assert_int_eq(conn_recv_chain(c, &chain, 4), 2);
	ck_assert_int_eq(memcmp(chain.first->p, "abcdef", 6), 0);
	chain_clear(&chain);
	conn_close(c, false);
}
END_TEST

START_TEST(unread_comes_first)
{
	struct conn *c = opened();
	char got[8];

	conn_watch(c);
	turn_idle(loop);
	conn_unread(c, STR("cd"));
	conn_unread(c, STR("ab"));
	ck_assert(conn_has_pending(c));
	conn_watch(c);
	TURN_UNTIL(loop, seen.events & CONN_READ);
	ck_assert_int_eq(recv_text(c, got, 3), 3);
	ck_assert_int_eq(memcmp(got, "abc", 3), 0);
	fd_write(fds[1], "e", 1);
	fd_wait(fds[0], POLLIN);
	ck_assert_int_eq(recv_text(c, got, 8), 1);
	ck_assert_int_eq(recv_text(c, got, 8), 1);
	ck_assert_int_eq(got[0], 'e');
	conn_unread(c, STR("left"));
	conn_close(c, false);
}
END_TEST

/* --- connecting, ends, numbers --- */

static int
listening(struct addr *a, const char *text)
{
	int fd;

	ck_assert(addr_parse(str_from(text), 1, a));
	if (!addr_is_unix(a))
		a->u.in.sin_port = 0;
	fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, &a->u.sa, a->len), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	a->len = sizeof(a->u);
	ck_assert_int_eq(getsockname(fd, &a->u.sa, &a->len), 0);
	return (fd);
}

START_TEST(connects)
{
	struct addr a, local, mine;
	int fd = listening(&a, "127.0.0.1"), error;
	struct chain chain = chain_of("x");
	struct conn *c;

	ck_assert(addr_parse(STR("127.0.0.5:1"), 1, &local));
	local.u.in.sin_port = 0;
	c = conn_connect(loop, &a, &local, &error);
	ck_assert_ptr_nonnull(c);
	ck_assert(c->connecting);
	conn_set_handler(c, record_event, &seen);
	ck_assert_int_eq(conn_send(c, &chain, 1), 0);
	ck_assert_int_eq(recv_text(c, bytes, 1), CONN_AGAIN);
	TURN_UNTIL(loop, seen.events != 0);
	ck_assert_uint_eq(seen.events, CONN_WRITE);
	ck_assert(!c->connecting);
	ck_assert_int_eq(conn_send(c, &chain, 1), 1);
	conn_local_addr(c, &mine);
	ck_assert_uint_eq(mine.u.in.sin_addr.s_addr, local.u.in.sin_addr.s_addr);
	conn_close(c, false);
	close(fd);
	close(fds[0]);
}
END_TEST

START_TEST(refused)
{
	struct addr a;
	int fd = listening(&a, "127.0.0.1"), error;
	struct conn *c;

	close(fd);
	c = conn_connect(loop, &a, NULL, &error);
	ck_assert_ptr_nonnull(c);
	conn_set_handler(c, record_event, &seen);
	TURN_UNTIL(loop, seen.events != 0);
	ck_assert_uint_eq(seen.events, CONN_ERROR);
	ck_assert_int_eq(c->error, ECONNREFUSED);
	ck_assert_str_eq(c->failed_call, "connect");
	conn_close(c, false);
	close(fds[0]);
}
END_TEST

START_TEST(unix_connects_at_once)
{
	char path[] = "/tmp/wproxy-conn-XXXXXX", text[64];
	struct addr a;
	struct conn *c;
	int fd, error;

	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(text, sizeof(text), "unix:%s/s", path);
	fd = listening(&a, text);
	c = conn_connect(loop, &a, NULL, &error);
	ck_assert_ptr_nonnull(c);
	ck_assert(!c->connecting && !c->joined);
	conn_close(c, false);
	close(fd);
	unlink(a.u.un.sun_path);
	ck_assert_ptr_null(conn_connect(loop, &a, NULL, &error));
	ck_assert_int_eq(error, ENOENT);
	rmdir(path);
	close(fds[0]);
}
END_TEST

START_TEST(shutdown_leaves_reading)
{
	struct conn *c = opened();

	conn_shutdown(c);
	ck_assert_int_eq(recv(fds[1], bytes, 1, 0), 0);
	fd_write(fds[1], "still", 5);
	fd_wait(fds[0], POLLIN);
	ck_assert_int_eq(recv_text(c, bytes, 16), 5);
	conn_close(c, false);
}
END_TEST

/* What ends a connection goes out with its FIN: one segment, one wake of the client. */
START_TEST(the_last_waits_for_the_fin)
{
	struct conn *c = opened();
	struct chain chain = chain_of("last");

	c->ends = true;
	ck_assert_int_eq(conn_send(c, &chain, UINT64_MAX), 4);
	ck_assert_int_eq(recv(fds[1], bytes, 16, MSG_DONTWAIT), -1);
	conn_shutdown(c);
	fd_wait(fds[1], POLLRDHUP);
	ck_assert_int_eq(recv(fds[1], bytes, 16, 0), 4);
	ck_assert_int_eq(recv(fds[1], bytes, 16, 0), 0);
	conn_close(c, false);
}
END_TEST

START_TEST(close_can_reset)
{
	struct conn *c = opened();

	conn_close(c, true);
	loop_turn(loop, false);
	ck_assert_int_eq(recv(fds[1], bytes, 1, 0), -1);
	ck_assert_int_eq(errno, ECONNRESET);
}
END_TEST

START_TEST(numbers_of_the_kernel)
{
	struct conn *c = opened();
	struct chain chain = chain_of("0123456789");

	conn_set_nodelay(c, true);
	ck_assert_int_eq(conn_send(c, &chain, UINT64_MAX), 10);
	fd_wait(fds[1], POLLIN);
	TURN_UNTIL(loop, conn_bytes_acked(c) == 10);
	conn_close(c, false);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, short_exchange_never_joins);
	tcase_add_test(t, read_that_blocks_gets_an_event);
	tcase_add_test(t, quiet_means_an_event_comes);
	tcase_add_test(t, data_and_fin_in_one_edge);
	tcase_add_test(t, unjoined_end_is_told_on_watch);
	tcase_add_test(t, what_was_left_behind_is_told_on_watch);
	tcase_add_test(t, reset_is_an_error);
	tcase_add_test(t, reset_after_data_gives_the_data_first);
	tcase_add_test(t, reset_after_the_end_is_an_error_event);
	tcase_add_test(t, urgent_data_hides_nothing);
	tcase_add_test(t, nothing_is_told_after_close);
	tcase_add_test(t, closed_conn_is_recycled_after_the_turn);
	tcase_add_test(t, partial_writes_go_on);
	tcase_add_test(t, send_keeps_to_max);
	tcase_add_test(t, send_after_reset_fails);
	tcase_add_test(t, files_and_memory_mix);
	tcase_add_test(t, shrinking_file_is_estale);
	tcase_add_test(t, one_call_is_bounded);
	tcase_add_test(t, small_reads_share_a_block);
	tcase_add_test(t, long_reads_grow);
	tcase_add_test(t, chain_read_keeps_to_max);
	tcase_add_test(t, unread_comes_first);
	tcase_add_test(t, connects);
	tcase_add_test(t, refused);
	tcase_add_test(t, unix_connects_at_once);
	tcase_add_test(t, shutdown_leaves_reading);
	tcase_add_test(t, the_last_waits_for_the_fin);
	tcase_add_test(t, close_can_reset);
	tcase_add_test(t, numbers_of_the_kernel);
}

int
main(void)
{
	return (unit_main("net/conn", add));
}
