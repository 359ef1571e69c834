/*
 * The load generator of the benchmark: one thread, one epoll, one kind of
 * request, each answer's status and length checked, latencies in a histogram.
 * Prints one line of JSON.  Driven by bench.py; see usage() for the options.
 *
 *	CONNECT -> [HANDSHAKE] -> SEND -> HEAD -> BODY -> SEND ... (or EOF -> CONNECT ...)
 */
#define _GNU_SOURCE

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

enum { HOLD_AT_ONCE = 20 };	/* idle ones are opened so many at a time */
enum { EVENTS = 256, HEAD_MAX = 8192, READ_SIZE = 256 * 1024, TICK_MS = 10, GRACE_S = 60 };
enum { VARY_DIGITS = 5 };
enum { SUB_BITS = 6, BUCKETS = 64 << SUB_BITS };

enum state { CONNECT, HANDSHAKE, SEND, HEAD, BODY, CLOSING, HELD };

struct client {
	int fd;
	SSL *ssl;
	enum state state;
	bool writing;		/* watched for EPOLLOUT */
	bool resumes;		/* a session was offered that has to be taken */

	size_t sent;		/* of the request's head */
	unsigned number;	/* of what is asked for, where that varies */
	uint64_t body_sent;

	char head[HEAD_MAX];
	size_t used;
	bool chunked, last_chunk;
	bool last;		/* the server says that it closes */
	uint64_t left;		/* of the body or of the chunk */
	uint64_t got;		/* of the body */
	char line[32];		/* of a chunk's head */
	size_t line_used;
	uint64_t began;		/* ns */
};

static struct {
	struct sockaddr_in addr;
	unsigned clients;
	double seconds;
	uint64_t most;		/* requests */
	char *request;
	size_t request_size;
	char *digits;		/* in request: five that name what is asked for, or NULL */
	unsigned vary;		/* so many different ones */
	uint64_t upload;	/* bytes of body to send */
	int64_t expect;		/* length of the answer's body; -1: any */
	bool each_new;		/* a connection for each request */
	bool hold;		/* one request each, then idle until stdin ends */
	bool ready;		/* after one request each: say so, go on when stdin says so */
	uint64_t pace;		/* bytes that each client reads in a tick; 0: all */
	SSL_CTX *tls;
	bool resume;
} o = { .clients = 1, .seconds = 1e9, .most = UINT64_MAX, .expect = -1 };

static struct {
	uint64_t begun, done, errors, bytes;
	unsigned live, held, opened;
	uint64_t buckets[BUCKETS];
	uint64_t slowest;
	const char *complaint;
} total;

static char buffer[READ_SIZE];
static char upload[READ_SIZE];
static int poller;
static uint64_t began, deadline;
static SSL_SESSION *session;
static struct client *clients;

static _Noreturn void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec);
}

/* ---- latencies: buckets 1/64 apart ---- */

static unsigned
bucket_of(uint64_t ns)
{
	unsigned top;

	if (ns < 1 << SUB_BITS)
		return ((unsigned)ns);
	top = 63u - (unsigned)__builtin_clzll(ns);
	return (((top - SUB_BITS + 1) << SUB_BITS) +
	    (unsigned)((ns >> (top - SUB_BITS)) & ((1 << SUB_BITS) - 1)));
}

static uint64_t
bucket_value(unsigned i)
{
	unsigned top = i >> SUB_BITS, rest = i & ((1 << SUB_BITS) - 1);

	return (top == 0 ? rest : (uint64_t)((1 << SUB_BITS) + rest) << (top - 1));
}

static double
percentile_us(double p)
{
	uint64_t below = 0, want = (uint64_t)((double)total.done * p);

	for (unsigned i = 0; i < BUCKETS; i++)
		if ((below += total.buckets[i]) > want)
			return ((double)bucket_value(i) / 1e3);
	return ((double)total.slowest / 1e3);
}

/* ---- a connection ---- */

static void
client_watch(struct client *c, bool write)
{
	struct epoll_event e = { .data.ptr = c };

	if (c->writing == write)
		return;
	c->writing = write;
	e.events = write ? EPOLLOUT : o.pace > 0 && c->state >= SEND ? 0 : EPOLLIN;
	if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e) == -1)
		fail("epoll_ctl");
}

static void
client_close(struct client *c)
{
	if (c->fd == -1)
		return;
	/* Else OpenSSL would not use the session again. */
	if (c->ssl != NULL)
		SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
	c->fd = -1;
	total.live--;
}

static void	client_write(struct client *);

/* Another request may begin. */
static bool
may_begin(void)
{
	return (total.begun < o.most && now() < deadline);
}

static void
request_begin(struct client *c)
{
	c->number = o.vary > 0 ? (unsigned)(total.begun % o.vary) : 0;
	total.begun++;
	c->sent = 0;
	c->body_sent = 0;
	c->used = 0;
	c->state = SEND;
}

static void
client_open(struct client *c)
{
	struct epoll_event e = { .events = EPOLLOUT, .data.ptr = c };
	const int on = 1, small = 65536;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd == -1)
		fail("socket");
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (o.pace > 0)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (connect(c->fd, (struct sockaddr *)&o.addr, sizeof(o.addr)) == -1 && errno != EINPROGRESS)
		fail("connect");
	c->state = CONNECT;
	c->writing = true;
	c->began = now();
	total.live++;
	if (c == &clients[total.opened] && total.opened < o.clients)
		total.opened++;
	if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) == -1)
		fail("epoll_ctl");
	if (o.tls != NULL) {
		c->ssl = SSL_new(o.tls);
		if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
			fail("SSL_new");
		c->resumes = session != NULL && SSL_set_session(c->ssl, session) == 1;
		SSL_set_connect_state(c->ssl);
	}
}

static void
client_failed(struct client *c, const char *why)
{
	total.errors++;
	total.complaint = why;
	client_close(c);
	if (total.errors < 1000 && may_begin())
		client_open(c);
}

/* > 0, 0 at the end, -1 wait, -2 failed. */
static ssize_t
tls_result(struct client *c, int n)
{
	if (n > 0)
		return (n);
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return (-1);
	case SSL_ERROR_ZERO_RETURN:
		return (0);
	default:
		return (ERR_peek_error() == 0 && n == 0 ? 0 : -2);
	}
}

static ssize_t
client_recv(struct client *c, char *to, size_t size, bool drop)
{
	ssize_t n;

	if (c->ssl != NULL) {
		ERR_clear_error();
		return (tls_result(c, SSL_read(c->ssl, to, (int)size)));
	}
	n = recv(c->fd, drop ? NULL : to, size, MSG_DONTWAIT | (drop ? MSG_TRUNC : 0));
	return (n >= 0 ? n : errno == EAGAIN ? -1 : -2);
}

static ssize_t
client_send(struct client *c, const char *p, size_t size)
{
	ssize_t n;

	if (c->ssl != NULL) {
		ERR_clear_error();
		return (tls_result(c, SSL_write(c->ssl, p, (int)size)));
	}
	n = send(c->fd, p, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	return (n >= 0 ? n : errno == EAGAIN ? -1 : -2);
}

/* ---- an answer ---- */

/* All have had their first answer: the measurement may begin. */
static void
all_ready(void)
{
	char line;

	memset(&total.buckets, 0, sizeof(total.buckets));
	total.begun = total.done = total.bytes = total.slowest = 0;
	printf("ready\n");
	fflush(stdout);
	if (read(STDIN_FILENO, &line, 1) != 1)
		exit(1);
	began = now();
	deadline = began + (uint64_t)(o.seconds * 1e9);
	o.ready = false;
	for (unsigned i = 0; i < o.clients; i++) {
		clients[i].began = now();
		request_begin(&clients[i]);
		client_write(&clients[i]);
	}
}

static void
answer_done(struct client *c)
{
	uint64_t took = now() - c->began;

	if (o.expect >= 0 && c->got != (uint64_t)o.expect) {
		client_failed(c, "an answer of another length");
		return;
	}
	total.done++;
	total.bytes += c->got;
	total.buckets[bucket_of(took)]++;
	if (took > total.slowest)
		total.slowest = took;
	if (o.resume && c->ssl != NULL && session == NULL)
		session = SSL_get1_session(c->ssl);
	if (o.hold || o.ready) {
		c->state = HELD;
		total.held++;
		if (o.hold && total.opened < o.clients)
			client_open(&clients[total.opened]);
		else if (o.ready && total.held == o.clients)
			all_ready();
	} else if (o.each_new || c->last) {
		c->state = CLOSING;
	} else if (may_begin()) {
		c->began = now();
		request_begin(c);
	} else
		client_close(c);
}

/* False: not an answer we want. */
static bool
head_parse(struct client *c)
{
	const char *at;

	if (strncmp(c->head, "HTTP/1.1 200", 12) != 0)
		return (false);
	c->chunked = strcasestr(c->head, "\r\ntransfer-encoding: chunked") != NULL;
	at = strcasestr(c->head, "\r\ncontent-length: ");
	if (at == NULL && !c->chunked)
		return (false);
	c->left = at == NULL ? 0 : strtoull(at + 18, NULL, 10);
	c->last = strcasestr(c->head, "\r\nconnection: close") != NULL;
	c->got = 0;
	c->line_used = 0;
	c->last_chunk = false;
	c->state = BODY;
	return (true);
}

/* A byte of chunked framing; false: malformed. */
static bool
chunk_byte(struct client *c, char byte)
{
	if (byte != '\n') {
		if (c->line_used < sizeof(c->line) - 1 && byte != '\r')
			c->line[c->line_used++] = byte;
		return (true);
	}
	c->line[c->line_used] = '\0';
	if (c->last_chunk) {
		if (c->line_used == 0)
			answer_done(c);
	} else if (c->line_used > 0) {
		c->left = strtoull(c->line, NULL, 16);
		c->last_chunk = c->left == 0;
	}
	c->line_used = 0;
	return (true);
}

/* Bytes of a body; what is behind it would be an error. */
static bool
body_take(struct client *c, const char *p, size_t n)
{
	while (n > 0) {
		size_t piece = c->left < n ? (size_t)c->left : n;

		if (c->state != BODY)
			return (false);
		if (piece > 0) {
			c->left -= piece;
			c->got += piece;
			p += piece;
			n -= piece;
		} else {
			if (!c->chunked || !chunk_byte(c, *p))
				return (false);
			p++;
			n--;
		}
	}
	if (c->state == BODY && !c->chunked && c->left == 0)
		answer_done(c);
	return (true);
}

/* What was read is in c->head; the rest of it is body. */
static bool
head_take(struct client *c)
{
	size_t rest;
	char *end;

	c->head[c->used] = '\0';
	end = memmem(c->head, c->used, "\r\n\r\n", 4);
	if (end == NULL)
		return (c->used < HEAD_MAX - 1);
	rest = c->used - (size_t)(end + 4 - c->head);
	end[2] = '\0';
	if (!head_parse(c))
		return (false);
	return (body_take(c, end + 4, rest));
}

/* ---- events ---- */

static void
client_write(struct client *c)
{
	ssize_t n;

	if (o.digits != NULL)
		for (unsigned i = 0, rest = c->number; i < VARY_DIGITS; i++, rest /= 10)
			o.digits[VARY_DIGITS - 1 - i] = (char)('0' + rest % 10);
	while (c->sent < o.request_size) {
		n = client_send(c, o.request + c->sent, o.request_size - c->sent);
		if (n == -1) {
			client_watch(c, true);
			return;
		}
		if (n <= 0) {
			client_failed(c, "a request could not be sent");
			return;
		}
		c->sent += (size_t)n;
	}
	while (c->body_sent < o.upload) {
		uint64_t left = o.upload - c->body_sent;

		n = client_send(c, upload, left < sizeof(upload) ? (size_t)left : sizeof(upload));
		if (n == -1) {
			client_watch(c, true);
			return;
		}
		if (n <= 0) {
			client_failed(c, "a body could not be sent");
			return;
		}
		c->body_sent += (uint64_t)n;
	}
	c->state = HEAD;
	client_watch(c, false);
}

/* One read.  False: nothing more now. */
static bool
client_read(struct client *c, size_t most)
{
	bool drop = c->state == BODY && !c->chunked && c->ssl == NULL && c->left > 0;
	ssize_t n;

	if (c->state == HEAD)
		n = client_recv(c, c->head + c->used, HEAD_MAX - 1 - c->used, false);
	else if (drop)
		n = client_recv(c, NULL, c->left < most ? (size_t)c->left : most, true);
	else
		n = client_recv(c, buffer, most < sizeof(buffer) ? most : sizeof(buffer), false);
	if (n == -1)
		return (false);
	if (c->state == CLOSING || (c->state == HELD && n <= 0)) {
		if (c->state == HELD)
			total.held--;
		client_close(c);
		if (may_begin())
			client_open(c);
		return (false);
	}
	if (n <= 0) {
		client_failed(c, "a connection ended too early");
		return (false);
	}
	if (c->state == HEAD)
		c->used += (size_t)n;
	if (!(c->state == HEAD ? head_take(c) : c->state == BODY && body_take(c, buffer, (size_t)n))) {
		client_failed(c, c->state == HEAD ? "an answer that is not 200" : "a malformed body");
		return (false);
	}
	if (c->state == SEND && c->fd != -1)
		client_write(c);
	/* A short read of a short answer leaves nothing; of a long one epoll tells. */
	return (c->fd != -1 && c->ssl != NULL && c->state >= HEAD && SSL_pending(c->ssl) > 0);
}

static void
client_connected(struct client *c)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (c->state == CONNECT) {
		if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1 || error != 0) {
			client_failed(c, "a connection was refused");
			return;
		}
		c->state = HANDSHAKE;
	}
	if (c->ssl != NULL) {
		int n;

		ERR_clear_error();
		n = SSL_do_handshake(c->ssl);
		if (n != 1) {
			if (tls_result(c, n) == -1)
				client_watch(c, SSL_want_write(c->ssl));
			else
				client_failed(c, "a handshake failed");
			return;
		}
		if (c->resumes && !SSL_session_reused(c->ssl)) {
			client_failed(c, "a session was not resumed");
			return;
		}
	}
	request_begin(c);
	client_write(c);
}

static void
client_event(struct client *c)
{
	if (c->fd == -1)
		return;
	if (c->state == CONNECT || c->state == HANDSHAKE)
		client_connected(c);
	else if (c->state == SEND)
		client_write(c);
	else
		while (client_read(c, sizeof(buffer)))
			;
}

/* Slow readers: each reads a little in every tick. */
static void
tick(void)
{
	for (unsigned i = 0; i < o.clients; i++) {
		struct client *c = &clients[i];

		if (c->fd != -1 && (c->state == HEAD || c->state == BODY || c->state == CLOSING))
			while (client_read(c, o.pace))
				;
	}
}

static int
ticker(void)
{
	struct itimerspec every = { { 0, TICK_MS * 1000000 }, { 0, TICK_MS * 1000000 } };
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	if (fd == -1 || timerfd_settime(fd, 0, &every, NULL) == -1 ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) == -1)
		fail("timerfd");
	return (fd);
}

static void
run(void)
{
	struct epoll_event events[EVENTS];
	uint64_t expiries, limit;
	int timer = o.pace > 0 ? ticker() : -1, quiet = 0;	/* seconds without any event */

	limit = o.seconds > 1e6 ? UINT64_MAX : (uint64_t)GRACE_S * 1000000000u;
	while (total.live > 0 && quiet < GRACE_S &&
	    (limit == UINT64_MAX || now() < deadline + limit)) {
		int n = epoll_wait(poller, events, EVENTS, 1000);

		quiet = n == 0 ? quiet + 1 : 0;
		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr != NULL)
				client_event(events[i].data.ptr);
			else if (read(timer, &expiries, sizeof(expiries)) > 0)
				tick();
		}
		if (o.hold && total.held == o.clients)
			return;
	}
	total.errors += total.live;
	if (total.live > 0)
		total.complaint = "an answer did not end in time";
}

/* ---- options ---- */

static _Noreturn void
usage(void)
{
	fprintf(stderr, "usage: load -p PORT -r REQUEST_FILE [-c CLIENTS] [-d SECONDS] [-n REQUESTS]\n"
	    "\t[-e BODY_LENGTH] [-b UPLOAD_BYTES] [-s BYTES_A_TICK] [-v KINDS] [-1] [-i] [-t] [-T]\n"
	    "\t-v where the request has #####, numbers below KINDS stand there in turn\n"
	    "\t-1 a connection per request, -i idle until stdin ends, -t TLS, -T resumed TLS\n"
	    "\t-w after one request each say \"ready\" and wait for a byte on stdin\n");
	exit(2);
}

static char *
file_read(const char *path, size_t *size)
{
	char *p = malloc(65536);
	FILE *f = fopen(path, "rb");

	if (f == NULL || p == NULL)
		fail(path);
	*size = fread(p, 1, 65536, f);
	fclose(f);
	return (p);
}

static SSL_CTX *
tls_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "P-256") != 1)
		fail("SSL_CTX_new");
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	return (ctx);
}

static void
options(int argc, char **argv)
{
	int option;

	o.addr.sin_family = AF_INET;
	o.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	while ((option = getopt(argc, argv, "p:r:c:d:n:e:b:s:v:1itTw")) != -1)
		switch (option) {
		case 'p': o.addr.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10)); break;
		case 'r': o.request = file_read(optarg, &o.request_size); break;
		case 'c': o.clients = (unsigned)strtoul(optarg, NULL, 10); break;
		case 'd': o.seconds = strtod(optarg, NULL); break;
		case 'n': o.most = strtoull(optarg, NULL, 10); break;
		case 'e': o.expect = strtoll(optarg, NULL, 10); break;
		case 'b': o.upload = strtoull(optarg, NULL, 10); break;
		case 's': o.pace = strtoull(optarg, NULL, 10); break;
		case 'v': o.vary = (unsigned)strtoul(optarg, NULL, 10); break;
		case '1': o.each_new = true; break;
		case 'i': o.hold = true; break;
		case 'w': o.ready = true; break;
		case 'T': o.resume = true; /* FALLTHROUGH */
		case 't': if (o.tls == NULL) o.tls = tls_context(); break;
		default: usage();
		}
	if (o.vary > 0 && o.request != NULL)
		o.digits = memmem(o.request, o.request_size, "#####", VARY_DIGITS);
	if (o.request == NULL || o.addr.sin_port == 0 || o.clients == 0)
		usage();
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	char end;

	options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	memset(upload, 'u', sizeof(upload));
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if ((poller = epoll_create1(0)) == -1 ||
	    (clients = calloc(o.clients, sizeof(*clients))) == NULL)
		fail("start");
	began = now();
	deadline = o.seconds > 1e6 ? UINT64_MAX : began + (uint64_t)(o.seconds * 1e9);
	for (unsigned i = 0; i < o.clients; i++)
		clients[i].fd = -1;
	while (total.opened < o.clients && (!o.hold || total.opened < HOLD_AT_ONCE))
		client_open(&clients[total.opened]);
	run();
	printf("{\"done\": %llu, \"errors\": %llu, \"bytes\": %llu, \"seconds\": %.6f, \"p50\": %.1f, "
	    "\"p99\": %.1f, \"slowest\": %.1f, \"complaint\": \"%s\"}\n",
	    (unsigned long long)total.done, (unsigned long long)total.errors,
	    (unsigned long long)total.bytes, (double)(now() - began) / 1e9, percentile_us(0.5),
	    percentile_us(0.99), (double)total.slowest / 1e3,
	    total.complaint == NULL ? "" : total.complaint);
	fflush(stdout);
	if (o.hold)
		while (read(STDIN_FILENO, &end, 1) > 0)
			;
	return (0);
}
