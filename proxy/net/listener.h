#ifndef WPROXY_NET_LISTENER_H
#define WPROXY_NET_LISTENER_H

#include <stdbool.h>

#include "net/addr.h"
#include "net/loop.h"

/*
 * Options of one listen address, and the sockets made for it by the master.
 * One SO_REUSEPORT socket per thread (unix, handed-in: one shared descriptor).
 */
struct listen_options {
	int backlog;		/* -1: 511 */
	int rcvbuf, sndbuf;	/* 0: the kernel's */
	int fastopen;		/* -1: off */
	int ipv6only;		/* 1 on (default), 0 off */
	bool deferred;
	bool keepalive_set, keepalive_on;
	int keep_idle, keep_intvl, keep_cnt;	/* so_keepalive=, 0: default */
};

/*
 * Binds `count` sockets to addr (count 1 for unix): the first without SO_REUSEPORT so that a second
 * start fails with EADDRINUSE, then it gets the option and the others join.  0, or -1 with errno
 * and *failed_call.
 */
int	listener_bind(const struct addr *, const struct listen_options *, int *fds, unsigned count,
	    const char **failed_call);
/* Options that may change on a live socket (backlog, keepalive, deferred). */
int	listener_apply(int fd, const struct addr *, const struct listen_options *);

struct listener;

/* accepted: a non-blocking, close-on-exec descriptor, owned by the callee. */
typedef void (*listener_accepted)(int fd, const struct addr *peer, void *arg);

/*
 * Accepts on this loop.  shared: others accept from the same socket (level-triggered, one accept
 * a wake). fd is not owned.
 */
struct listener	*listener_new(struct loop *, int fd, bool shared, listener_accepted, void *arg);
/* Stops accepting for msec (EMFILE: 100; worker_connections reached); 0: until listener_resume. */
void		 listener_pause(struct listener *, unsigned msec);
void		 listener_resume(struct listener *);
void		 listener_free(struct listener *);

#endif
