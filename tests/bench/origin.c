/*
 * A back end that costs next to nothing: what the proxy spends is measured
 * against it, so it must never be the bottleneck.  One thread, one epoll.
 *
 *	origin PORT [CLOSING_PORT]
 *
 * On the second port each answer ends its connection.  By path (anything may
 * stand before it): /thumb 4,405 bytes, /plane 262,144 bytes, /size/N N bytes
 * with Content-Length, /chunked/N N bytes in chunks; a request with a body is
 * answered, once all of it was read and dropped, with how many bytes it had.
 * Byte i of a body is PATTERN[i % 64].
 */
#define _GNU_SOURCE

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATTERN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

enum { EVENTS = 256, HEAD_MAX = 16384, PIECE = 256 * 1024, THUMB = 4405, PLANE = 262144 };

enum framing { LENGTH, CHUNKED };

struct client {
	int fd;
	bool closing;		/* ends after the answer */
	bool want_write;

	char in[HEAD_MAX];	/* a head, or framing of a chunked body */
	size_t used;
	bool in_body;
	bool body_chunked;
	uint64_t body_left;	/* of the body, or of the chunk */
	uint64_t body_seen;
	bool last_chunk;

	char head[512];
	size_t head_size, head_sent;
	enum framing framing;
	uint64_t total, left;	/* of the answer's body */
	size_t framed_sent;	/* of the chunk under way */
	bool end_sent;		/* the last chunk */
};

static char piece[PIECE + 64];		/* the pattern, long enough to start anywhere */
static char framed[PIECE + 64];		/* one chunk of PIECE bytes with its framing */
static size_t framed_size;
static int poller;

static _Noreturn void
fail(const char *what)
{
	perror(what);
	exit(1);
}

/* The value of a header field, or NULL; name begins with "\r\n" and ends with a colon. */
static const char *
field(const char *head, const char *name)
{
	const char *at = strcasestr(head, name);

	if (at == NULL)
		return (NULL);
	at += strlen(name);
	return (at + strspn(at, " "));
}

static void
client_close(struct client *c)
{
	close(c->fd);
	free(c);
}

static void
client_watch(struct client *c, bool write)
{
	struct epoll_event e = { .events = write ? EPOLLOUT : EPOLLIN, .data.ptr = c };

	if (c->want_write == write)
		return;
	c->want_write = write;
	if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e) == -1)
		fail("epoll_ctl");
}

/* What is asked for: by the path's end. */
static void
answer_begin(struct client *c, const char *target)
{
	const char *at;
	int n;

	c->framing = LENGTH;
	if (strstr(target, "/thumb") != NULL)
		c->left = THUMB;
	else if (strstr(target, "/plane") != NULL)
		c->left = PLANE;
	else if ((at = strstr(target, "/size/")) != NULL)
		c->left = strtoull(at + 6, NULL, 10);
	else if ((at = strstr(target, "/chunked/")) != NULL) {
		/* Whole chunks only. */
		c->left = strtoull(at + 9, NULL, 10) / PIECE * PIECE;
		c->framing = CHUNKED;
	} else
		c->left = 0;
	c->total = c->left;
	c->framed_sent = 0;
	c->end_sent = false;
	n = snprintf(c->head, sizeof(c->head),
	    "HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n%s",
	    c->closing ? "Connection: close\r\n" : "");
	if (c->framing == CHUNKED)
		n += snprintf(c->head + n, sizeof(c->head) - (size_t)n,
		    "Transfer-Encoding: chunked\r\n\r\n");
	else
		n += snprintf(c->head + n, sizeof(c->head) - (size_t)n,
		    "Content-Length: %llu\r\n\r\n", (unsigned long long)c->left);
	c->head_size = (size_t)n;
	c->head_sent = 0;
}

/* How many bytes there were, for the one who sent them. */
static void
answer_count(struct client *c)
{
	char text[32];
	int digits = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)c->body_seen);

	c->framing = LENGTH;
	c->left = 0;
	c->end_sent = false;
	c->head_size = (size_t)snprintf(c->head, sizeof(c->head),
	    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%sContent-Length: %d\r\n\r\n%s",
	    c->closing ? "Connection: close\r\n" : "", digits, text);
	c->head_sent = 0;
}

/* What is to be sent next; false: nothing. */
static bool
answer_next(struct client *c, struct iovec iov[2], int *count)
{
	*count = 0;
	if (c->head_sent < c->head_size)
		iov[(*count)++] = (struct iovec){ c->head + c->head_sent, c->head_size - c->head_sent };
	if (c->left > 0 && c->framing == LENGTH)
		iov[(*count)++] = (struct iovec){ piece + (c->total - c->left) % 64,
		    c->left < PIECE ? (size_t)c->left : PIECE };
	else if (c->left > 0)
		iov[(*count)++] = (struct iovec){ framed + c->framed_sent, framed_size - c->framed_sent };
	else if (c->framing == CHUNKED && !c->end_sent)
		iov[(*count)++] = (struct iovec){ (char *)(uintptr_t)"0\r\n\r\n", 5 };
	return (*count > 0);
}

static void
answer_sent(struct client *c, size_t n)
{
	size_t of_head = c->head_size - c->head_sent < n ? c->head_size - c->head_sent : n;

	c->head_sent += of_head;
	n -= of_head;
	if (n == 0)
		return;
	if (c->framing == LENGTH) {
		c->left -= n;
	} else if (c->left == 0) {
		c->end_sent = true;	/* five bytes into an emptied buffer */
	} else {
		c->framed_sent += n;
		if (c->framed_sent == framed_size) {
			c->framed_sent = 0;
			c->left -= PIECE;
		}
	}
}

/* 1 all is out, 0 wait, -1 gone. */
static int
answer_send(struct client *c)
{
	struct iovec iov[2];
	struct msghdr m = { .msg_iov = iov };
	int count;

	while (answer_next(c, iov, &count)) {
		ssize_t n;

		m.msg_iovlen = (size_t)count;
		n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n == -1)
			return (errno == EAGAIN ? 0 : -1);
		answer_sent(c, (size_t)n);
	}
	return (1);
}

/* 1: answered, more may follow; 0 wait; -1 close. */
static int
client_answer(struct client *c)
{
	int rc = answer_send(c);

	client_watch(c, rc == 0);
	if (rc == 1 && c->closing)
		return (-1);
	return (rc);
}

/* Forgets the first n bytes of what was read. */
static void
client_consume(struct client *c, size_t n)
{
	c->used -= n;
	memmove(c->in, c->in + n, c->used);
}

/* A chunk's head or the end of the body; false: not all of it is there. */
static bool
chunk_head(struct client *c)
{
	char *end, *line = c->in;
	char *stop = c->in + c->used;

	if (c->last_chunk)
		return (true);
	if (c->body_seen > 0 && stop - line >= 2)
		line += 2;	/* the end of the chunk before */
	end = memmem(line, (size_t)(stop - line), "\r\n", 2);
	if (end == NULL)
		return (false);
	c->body_left = strtoull(line, NULL, 16);
	if (c->body_left == 0) {
		if (stop - end < 4)
			return (false);
		c->last_chunk = true;
		client_consume(c, (size_t)(end + 4 - c->in));
		return (true);
	}
	client_consume(c, (size_t)(end + 2 - c->in));
	return (true);
}

/* Drops body bytes that were read; 1 all of the body is seen, 0 wait. */
static int
client_skip(struct client *c)
{
	for (;;) {
		size_t n = c->body_left < c->used ? (size_t)c->body_left : c->used;

		client_consume(c, n);
		c->body_left -= n;
		c->body_seen += n;
		if (c->body_left > 0)
			return (0);
		if (!c->body_chunked || c->last_chunk)
			return (1);
		if (!chunk_head(c))
			return (0);
	}
}

/* Requests that are there; as client_answer(). */
static int
client_parse(struct client *c)
{
	int rc;

	for (;;) {
		char *end;
		const char *value;

		if (c->in_body) {
			if (client_skip(c) == 0)
				return (0);
			c->in_body = false;
			answer_count(c);
		} else {
			c->in[c->used] = '\0';
			end = memmem(c->in, c->used, "\r\n\r\n", 4);
			if (end == NULL)
				return (c->used < HEAD_MAX - 1 ? 0 : -1);
			end[2] = '\0';
			value = field(c->in, "\r\nConnection:");
			if (value != NULL && strncasecmp(value, "close", 5) == 0)
				c->closing = true;
			if (strstr(c->in, " HTTP/1.0\r") != NULL)
				c->closing = true;
			value = field(c->in, "\r\nContent-Length:");
			c->body_left = value == NULL ? 0 : strtoull(value, NULL, 10);
			c->body_chunked = field(c->in, "\r\nTransfer-Encoding:") != NULL;
			c->body_seen = 0;
			c->last_chunk = false;
			c->in_body = c->body_left > 0 || c->body_chunked;
			*strpbrk(c->in, "\r\n") = '\0';
			if (!c->in_body)
				answer_begin(c, c->in);
			client_consume(c, (size_t)(end + 4 - c->in));
			if (c->in_body)
				continue;
		}
		rc = client_answer(c);
		if (rc != 1)
			return (rc);
		if (c->used == 0)
			return (0);
	}
}

static ssize_t
client_recv(struct client *c)
{
	ssize_t n;

	/* Of a body nothing is looked at: the kernel drops it without a copy. */
	if (c->in_body && c->used == 0 && c->body_left > HEAD_MAX) {
		n = recv(c->fd, NULL, c->body_left < PIECE * 4 ? (size_t)c->body_left : PIECE * 4,
		    MSG_TRUNC | MSG_DONTWAIT);
		if (n > 0) {
			c->body_left -= (uint64_t)n;
			c->body_seen += (uint64_t)n;
		}
		return (n);
	}
	n = recv(c->fd, c->in + c->used, HEAD_MAX - 1 - c->used, MSG_DONTWAIT);
	if (n > 0)
		c->used += (size_t)n;
	return (n);
}

static void
client_event(struct client *c)
{
	ssize_t n;
	int rc;

	if (c->want_write) {
		rc = client_answer(c);
		if (rc == 1)
			rc = client_parse(c);
	} else {
		n = client_recv(c);
		if (n == -1 && errno == EAGAIN)
			return;
		rc = n <= 0 ? -1 : client_parse(c);
	}
	if (rc == -1)
		client_close(c);
}

/* At any of the loopback's addresses. */
static int
listen_on(const char *port)
{
	static const char device[] = "lo";
	struct sockaddr_in a = { .sin_family = AF_INET };
	const int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	a.sin_addr.s_addr = htonl(INADDR_ANY);
	a.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, sizeof(device)) == -1 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) == -1 || listen(fd, 1024) == -1)
		fail("listen");
	return (fd);
}

static void
client_accept(int listener, bool closing)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct client *c;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
		if ((c = calloc(1, sizeof(*c))) == NULL)
			fail("calloc");
		c->fd = fd;
		c->closing = closing;
		e.data.ptr = c;
		if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) == -1)
			fail("epoll_ctl");
	}
}

static void
fill(void)
{
	int n = snprintf(framed, sizeof(framed), "%x\r\n", PIECE);

	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = PATTERN[i % 64];
	memcpy(framed + n, piece, PIECE);
	memcpy(framed + n + PIECE, "\r\n", 2);
	framed_size = (size_t)n + PIECE + 2;
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	int listeners[2], count = argc - 1;

	if (count < 1 || count > 2) {
		fprintf(stderr, "usage: origin PORT [CLOSING_PORT]\n");
		return (2);
	}
	signal(SIGPIPE, SIG_IGN);
	fill();
	if ((poller = epoll_create1(0)) == -1)
		fail("epoll_create1");
	for (int i = 0; i < count; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &listeners[i] };

		listeners[i] = listen_on(argv[i + 1]);
		if (epoll_ctl(poller, EPOLL_CTL_ADD, listeners[i], &e) == -1)
			fail("epoll_ctl");
	}
	for (;;) {
		int n = epoll_wait(poller, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &listeners[0] || events[i].data.ptr == &listeners[1])
				client_accept(*(int *)events[i].data.ptr, events[i].data.ptr == &listeners[1]);
			else
				client_event(events[i].data.ptr);
		}
	}
}
