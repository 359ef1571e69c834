/*
 * Listening sockets: made by the master (listener_bind), accepted from by
 * each thread's loop (struct listener).  Level-triggered, so that stopping
 * after any number of accepts loses nothing.
 *
 *	accepting <-> paused (by the owner, or for a while when descriptors ran out)
 */
#define _GNU_SOURCE	/* accept4 */
#include "net/listener.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/tcp.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/log.h"
#include "base/pool.h"

enum {
	BACKLOG_DEFAULT = 511,
	EXHAUSTED_PAUSE_MS = 100,
	ACCEPTS_MAX = 64,	/* of one wake */
	PATIENCE = 8		/* wakes with all accepts used before more are tried */
};

struct listener {
	struct loop *loop;
	int fd;
	bool shared;
	bool accepting;
	bool freed;
	unsigned accepts;	/* tried per wake: as many as came lately */
	unsigned used_up;	/* wakes in a row that used them all */
	listener_accepted accepted;
	void *arg;
	struct timer pause;
	struct event event;
	struct grave grave;
};

struct socket_option {
	int level, name, value;
	const char *text;
	bool optional;		/* failing is no reason not to listen */
};

/* Sets those that are wanted; -1 with errno and the failing one's name. */
static int
options_set(int fd, const struct socket_option *options, size_t count, const char **failed)
{
	for (size_t i = 0; i < count; i++) {
		const struct socket_option *o = &options[i];

		if (setsockopt(fd, o->level, o->name, &o->value, sizeof(o->value)) == -1 &&
		    !o->optional) {
			*failed = o->text;
			return (-1);
		}
	}
	return (0);
}

static int
options_before_bind(int fd, const struct addr *addr, const struct listen_options *opt,
    const char **failed)
{
	struct socket_option set[4];
	size_t n = 0;

	set[n++] = (struct socket_option){ SOL_SOCKET, SO_REUSEADDR, 1,
	    "setsockopt(SO_REUSEADDR)", false };
	if (opt->rcvbuf > 0)
		set[n++] = (struct socket_option){ SOL_SOCKET, SO_RCVBUF, opt->rcvbuf,
		    "setsockopt(SO_RCVBUF)", true };
	if (opt->sndbuf > 0)
		set[n++] = (struct socket_option){ SOL_SOCKET, SO_SNDBUF, opt->sndbuf,
		    "setsockopt(SO_SNDBUF)", true };
	if (addr->u.sa.sa_family == AF_INET6)
		set[n++] = (struct socket_option){ IPPROTO_IPV6, IPV6_V6ONLY, opt->ipv6only != 0,
		    "setsockopt(IPV6_V6ONLY)", false };
	return (options_set(fd, set, n, failed));
}

static int
listener_backlog(const struct listen_options *opt)
{
	return (opt->backlog < 0 ? BACKLOG_DEFAULT : opt->backlog);
}

int
listener_apply(int fd, const struct addr *addr, const struct listen_options *opt)
{
	struct socket_option set[8];
	const char *failed;
	size_t n = 0;

	if (listen(fd, listener_backlog(opt)) == -1)
		return (-1);
	if (addr_is_unix(addr))
		return (0);
	/*
	 * Accepted sockets inherit it (as they do the buffer sizes and keep-alive): no call for
	 * each.
	 */
	set[n++] = (struct socket_option){ IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY", true };
	set[n++] = (struct socket_option){ IPPROTO_TCP, TCP_DEFER_ACCEPT, opt->deferred,
	    "TCP_DEFER_ACCEPT", true };
	if (opt->fastopen >= 0)
		set[n++] = (struct socket_option){ IPPROTO_TCP, TCP_FASTOPEN, opt->fastopen,
		    "TCP_FASTOPEN", true };
	if (opt->keepalive_set)
		set[n++] = (struct socket_option){ SOL_SOCKET, SO_KEEPALIVE, opt->keepalive_on,
		    "SO_KEEPALIVE", true };
	if (opt->keep_idle > 0)
		set[n++] = (struct socket_option){ IPPROTO_TCP, TCP_KEEPIDLE, opt->keep_idle,
		    "TCP_KEEPIDLE", true };
	if (opt->keep_intvl > 0)
		set[n++] = (struct socket_option){ IPPROTO_TCP, TCP_KEEPINTVL, opt->keep_intvl,
		    "TCP_KEEPINTVL", true };
	if (opt->keep_cnt > 0)
		set[n++] = (struct socket_option){ IPPROTO_TCP, TCP_KEEPCNT, opt->keep_cnt,
		    "TCP_KEEPCNT", true };
	return (options_set(fd, set, n, &failed));
}

static const struct socket_option reuseport = { SOL_SOCKET, SO_REUSEPORT, 1,
    "setsockopt(SO_REUSEPORT)", false };

/*
 * One listening socket, -1 with errno.  first: bound without SO_REUSEPORT, which it gets
 * afterwards when others will join.
 */
static int
listener_bind_one(const struct addr *addr, const struct listen_options *opt, bool first,
    bool joined, const char **failed)
{
	int fd, error;

	*failed = "socket()";
	fd = socket(addr->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return (-1);
	if (options_before_bind(fd, addr, opt, failed) == -1)
		goto fail;
	if (!first && options_set(fd, &reuseport, 1, failed) == -1)
		goto fail;
	*failed = "bind()";
	if (bind(fd, &addr->u.sa, addr->len) == -1)
		goto fail;
	if (first && joined && options_set(fd, &reuseport, 1, failed) == -1)
		goto fail;
	*failed = "chmod()";
	if (addr_is_unix(addr) && chmod(addr->u.un.sun_path, 0666) == -1)
		goto fail;
	*failed = "listen()";
	if (listener_apply(fd, addr, opt) == -1)
		goto fail;
	return (fd);
fail:
	error = errno;
	close(fd);
	errno = error;
	return (-1);
}

/* The port that port 0 became, so that the others join there. */
static int
listener_bound_addr(int fd, struct addr *bound, const char **failed)
{
	if (addr_is_unix(bound))
		return (0);
	*failed = "getsockname()";
	bound->len = sizeof(bound->u);
	return (getsockname(fd, &bound->u.sa, &bound->len));
}

int
listener_bind(const struct addr *addr, const struct listen_options *opt, int *fds, unsigned count,
    const char **failed)
{
	struct addr bound = *addr;
	unsigned made = 0;
	int error;

	while (made < count) {
		fds[made] = listener_bind_one(&bound, opt, made == 0, count > 1, failed);
		if (fds[made] == -1)
			goto fail;
		made++;
		if (made == 1 && listener_bound_addr(fds[0], &bound, failed) == -1)
			goto fail;
	}
	return (0);
fail:
	error = errno;
	while (made > 0)
		close(fds[--made]);
	errno = error;
	return (-1);
}

/* More accepts a wake only where each of the last wakes used all of its own. */
static void
listener_learn(struct listener *l, unsigned got)
{
	if (got < l->accepts) {
		l->accepts = got > 0 ? got : 1;
		l->used_up = 0;
	} else if (++l->used_up >= PATIENCE && l->accepts < ACCEPTS_MAX)
		l->accepts *= 2;
}

/* False: no more in this wake. */
static bool
listener_failed(struct listener *l, int error)
{
	switch (error) {
	case EAGAIN:
		return (false);
	case EINTR:
	case ECONNABORTED:	/* gone while it waited */
	case EPROTO:
		return (true);
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		log_main(LOG_CRIT, error, "accept4() failed");
		listener_pause(l, EXHAUSTED_PAUSE_MS);
		return (false);
	default:
		log_main(LOG_ALERT, error, "accept4() failed");
		listener_pause(l, EXHAUSTED_PAUSE_MS);
		return (false);
	}
}

static void
listener_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;
	unsigned limit = l->shared ? 1 : l->accepts, got = 0;
	struct addr peer;

	(void)what;
	loop_woke(l->loop);
	while (got < limit && l->accepting) {
		int accepted;

		peer.len = sizeof(peer.u);
		accepted = accept4(fd, &peer.u.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (accepted == -1) {
			if (!listener_failed(l, errno))
				break;
			continue;
		}
		got++;
		l->accepted(accepted, &peer, l->arg);
	}
	/* The callee may have freed us: that stays readable until the end of the turn. */
	if (!l->shared && l->accepting)
		listener_learn(l, got);
}

struct listener *
listener_new(struct loop *loop, int fd, bool shared, listener_accepted accepted, void *arg)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	l->loop = loop;
	l->fd = fd;
	l->shared = shared;
	l->accepts = 1;
	l->accepted = accepted;
	l->arg = arg;
	if (event_assign(&l->event, loop_base(loop), fd, EV_READ | EV_PERSIST, listener_on_event,
	    l) == -1) {
		free(l);
		return (NULL);
	}
	listener_resume(l);
	return (l);
}

static void
listener_on_pause_end(struct timer *t)
{
	listener_resume(list_item(t, struct listener, pause));
}

void
listener_pause(struct listener *l, unsigned msec)
{
	if (l->accepting)
		event_del(&l->event);
	l->accepting = false;
	if (msec > 0)
		timer_arm(l->loop, &l->pause, msec, listener_on_pause_end);
	else
		timer_cancel(&l->pause);
}

void
listener_resume(struct listener *l)
{
	timer_cancel(&l->pause);
	if (l->accepting || l->freed)
		return;
	if (event_add(&l->event, NULL) == -1) {
		log_main(LOG_ALERT, errno, "epoll_ctl() of a listening socket failed");
		timer_arm(l->loop, &l->pause, EXHAUSTED_PAUSE_MS, listener_on_pause_end);
		return;
	}
	l->accepting = true;
}

void
listener_free(struct listener *l)
{
	if (l == NULL || l->freed)
		return;
	listener_pause(l, 0);
	l->freed = true;
	loop_bury(l->loop, &l->grave, -1, free, l);
}
