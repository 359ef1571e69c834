#ifndef WPROXY_NET_CONN_H
#define WPROXY_NET_CONN_H

#include <sys/types.h>
#include <sys/uio.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "net/addr.h"
#include "net/loop.h"

/*
 * One connected (or connecting) stream socket, plain or TLS: whoever holds it
 * cannot tell.  Owned by the session or attempt that opened it, on one loop.
 *
 * Edge-triggered: readiness flags are set by events and cleared by I/O that
 * would block.  The descriptor joins the loop the first time I/O would block
 * (or conn_watch() is called); before that nothing is registered.
 *
 *	connecting -> open -> (read side ended) -> closed
 */
enum conn_event {
	CONN_READ = 1,		/* try conn_recv() */
	CONN_WRITE = 2,		/* try conn_send(); also: connect finished, handshake finished */
	CONN_CLOSED = 4,	/* the peer's FIN was reported (there may be bytes before it) */
	CONN_ERROR = 8		/* reset or the like; conn->error has errno */
};

enum { CONN_AGAIN = -1, CONN_FAILED = -2 };

struct conn;
struct conn_ops;
struct tls;

typedef void (*conn_handler)(struct conn *, unsigned events, void *arg);

struct conn {
	unsigned magic;
	int fd;
	struct loop *loop;
	const struct conn_ops *ops;
	conn_handler handler;	/* called by the loop only, never from within conn_* calls */
	void *arg;

	bool joined;
	bool connecting;
	bool peer_closed;	/* CLOSED was seen, or recv returned 0 */
	bool read_ready;
	bool write_ready;
	bool dead;
	bool drained;		/* the last read left room: nothing but a FIN can be waiting */
	bool send_wants_read;	/* TLS: sending goes on once something was read */
	bool ends;		/* set by the owner: a FIN follows what is sent, in its last segment */
	bool tls_truncated;	/* the peer ended without close_notify (error: ECONNRESET) */
	uint8_t read_blocks;	/* how many blocks the next conn_recv_chain() offers */
	unsigned later;		/* events of conn_ready_later() */
	int error;		/* errno of what failed; 0 */
	const char *failed_call;	/* "recv", "writev", "SSL_read" ... for the log */

	uint64_t received;	/* bytes of the socket (TLS: of the plain text) */
	uint64_t sent;

	struct chain unread;	/* read from the socket, not yet by the owner: comes first */
	struct tls *tls;	/* NULL: plain */
	struct event *event;
	struct task ready;
	struct grave grave;
	struct addr peer;
};

/* Adopts a connected non-blocking descriptor.  Never NULL. */
struct conn	*conn_open(struct loop *, int fd, const struct addr *peer);
/*
 * Starts connecting (local may be NULL).  NULL with *error set when it failed at once.  While
 * conn->connecting the first event tells the result: CONN_WRITE or CONN_ERROR.  Unix sockets
 * connect at once: connecting is then false and no event is promised.
 */
struct conn	*conn_connect(struct loop *, const struct addr *, const struct addr *local,
		    int *error);
void		 conn_set_handler(struct conn *, conn_handler, void *arg);

/*
 * > 0: bytes; 0: the peer ended cleanly; CONN_AGAIN (registered, an event will come);
 * CONN_FAILED.
 */
ssize_t		 conn_recv(struct conn *, struct iovec *, int count);
/* Appends up to max bytes to to (one read of blocks, at most 256 KiB).  Results as conn_recv. */
ssize_t		 conn_recv_chain(struct conn *, struct chain *to, size_t max);
/*
 * Sends from the front of the chain, memory and file slices, at most max bytes, until all is
 * sent or the socket is full; what was sent is dropped from the chain.  >= 0: bytes sent by this
 * call (0: would block; registered).  What is left was refused by the socket, or is beyond max, or
 * beyond the 1 MiB (of files, less where many are sent) that one call sends in fairness to others:
 * a WRITE event comes for the first and the last.  CONN_FAILED: error in conn->error; ESTALE: a
 * file ended early.
 */
ssize_t		 conn_send(struct conn *, struct chain *, uint64_t max);

/*
 * Gives bytes back, to be read again first (PROXY protocol: what was read behind the header).
 * Copies.  conn_watch() then promises a READ event.
 */
void		 conn_unread(struct conn *, struct str);
/*
 * Joins the loop if it has not: an event comes for whatever is or becomes ready to be read, what
 * an earlier read left behind included.  CONN_WRITE comes only after conn_send() returned with
 * something unsent, or while connecting.
 */
void		 conn_watch(struct conn *);
/* Calls the handler with these events after the events of this turn (fairness, leftovers). */
void		 conn_ready_later(struct conn *, unsigned events);
/* True while bytes are waiting inside TLS that no event will announce. */
bool		 conn_has_pending(const struct conn *);

/*
 * True: the last read left room and nothing was reported since, so a READ event will come with
 * whatever comes.  For one who awaits a new message (and not the rest of one: data and a reset may
 * arrive as one event): waiting is enough, a read would only hear CONN_AGAIN.
 */
bool		 conn_is_quiet(const struct conn *);

/* FIN (TLS: close_notify first).  Reading goes on. */
void		 conn_shutdown(struct conn *);
/*
 * Ends it; the handler is not called again; freed at the end of the turn.  reset: RST instead of
 * FIN.
 */
void		 conn_close(struct conn *, bool reset);

void		 conn_set_nodelay(struct conn *, bool);
/*
 * Asks the socket whether it was reset, which an event reports as READ only: for whoever has no
 * reason to read.  True: error is set.
 */
bool		 conn_is_reset(struct conn *);
void		 conn_set_keepalive(struct conn *, bool);	/* SO_KEEPALIVE */
/* TCP_INFO's bytes acknowledged by the peer (0 where unknown, e.g. unix sockets). */
uint64_t	 conn_bytes_acked(const struct conn *);
/* The address the descriptor is bound to. */
void		 conn_local_addr(const struct conn *, struct addr *);

#endif
