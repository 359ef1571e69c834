#ifndef WPROXY_TESTS_SOCKETS_H
#define WPROXY_TESTS_SOCKETS_H

/* For the tests of net/: connected descriptors, a recorder of events, waiting on a condition. */
#include <sys/socket.h>

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/conn.h"

#define COUNT(a)	(int)(sizeof(a) / sizeof((a)[0]))

/* What a conn told its owner. */
struct record {
	unsigned events;	/* all of them */
	int calls;
};

static inline void
record_event(struct conn *c, unsigned events, void *arg)
{
	struct record *r = arg;

	(void)c;
	r->events |= events;
	r->calls++;
}

static inline void
fd_nonblock(int fd)
{
	ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* A TCP connection over loopback: [0] non-blocking, for a conn; [1] blocking, the test's. */
static inline void
tcp_pair(int fds[2])
{
	struct addr a;
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert(addr_parse(STR("127.0.0.1:1"), 1, &a));
	a.u.in.sin_port = 0;
	ck_assert_int_eq(bind(listening, &a.u.sa, a.len), 0);
	ck_assert_int_eq(listen(listening, 1), 0);
	ck_assert_int_eq(getsockname(listening, &a.u.sa, &a.len), 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fds[1], &a.u.sa, a.len), 0);
	fds[0] = accept(listening, NULL, NULL);
	ck_assert_int_ne(fds[0], -1);
	fd_nonblock(fds[0]);
	close(listening);
}

static inline void
unix_pair(int fds[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fd_nonblock(fds[0]);
}

/*
 * Until fd is readable (or its peer is gone): loopback delivers at once, but not under every
 * load.
 */
static inline void
fd_wait(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	ck_assert_int_eq(poll(&p, 1, 10000), 1);
}

static inline void
fd_write(int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t w = send(fd, text, n, MSG_NOSIGNAL);

		ck_assert_int_gt(w, 0);
		text += w;
		n -= (size_t)w;
	}
}

/* Turns of the loop until the condition holds; ten seconds at most. */
#define TURN_UNTIL(loop, condition)	do {					\
	struct timer wake_ = { 0 };						\
	uint64_t end_ = (clock_update(), clock_mono_ms()) + 10000;		\
	while (!(condition)) {							\
		ck_assert_msg(clock_mono_ms() < end_, "never: %s", #condition);	\
		timer_arm((loop), &wake_, 20, wake_only);			\
		loop_turn((loop), true);					\
		timer_cancel(&wake_);						\
	}									\
} while (0)

static inline void
wake_only(struct timer *t)
{
	(void)t;
}

/* A few turns in which nothing of what the test looks at may happen. */
static inline void
turn_idle(struct loop *loop)
{
	for (int i = 0; i < 5; i++)
		loop_turn(loop, false);
}

static inline ssize_t
recv_text(struct conn *c, char *to, size_t room)
{
	struct iovec iov = { to, room };

	return (conn_recv(c, &iov, 1));
}

static inline struct chain
chain_of(const char *text)
{
	struct chain c = { NULL, NULL, 0 };

	chain_add(&c, text, strlen(text), NULL);
	return (c);
}

#endif
