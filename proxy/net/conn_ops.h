#ifndef WPROXY_NET_CONN_OPS_H
#define WPROXY_NET_CONN_OPS_H

#include "net/conn.h"

/*
 * Between conn.c and the two kinds of connection, plain.c and tls.c; nobody
 * above net/ includes it.
 */
struct conn_ops {
	/* As conn_recv() and conn_send(), without the statistics. */
	ssize_t	(*recv)(struct conn *, struct iovec *, int count);
	ssize_t	(*send)(struct conn *, struct chain *, uint64_t max);
	/*
	 * The socket is writable again: sends what the layer itself holds.  False: blocked again,
	 * or failed.
	 */
	bool	(*flush)(struct conn *);
	bool	(*has_pending)(const struct conn *);
	void	(*shutdown)(struct conn *);
	/* Last words, and the layer's own things; the descriptor is closed by the caller. */
	void	(*close)(struct conn *, bool reset);
};

extern const struct conn_ops plain_ops;

/*
 * I/O would block: the flag is cleared and the loop joined.  Return what the operation returns
 * then.
 */
ssize_t	conn_read_blocked(struct conn *);	/* CONN_AGAIN, CONN_FAILED when joining failed */
bool	conn_write_blocked(struct conn *);	/* false: joining failed */
ssize_t	conn_fail(struct conn *, int error, const char *call);	/* CONN_FAILED */

/* Bytes of the socket (what was given back first): > 0, 0 at the end, CONN_AGAIN, CONN_FAILED. */
ssize_t	conn_socket_recv(struct conn *, struct iovec *, int count);
/*
 * One sendmsg() of what the iovecs hold.  >= 0: bytes the socket took (fewer than all: it is full
 * and the conn registered); CONN_FAILED.  more: MSG_MORE.
 */
ssize_t	conn_socket_send(struct conn *, struct iovec *, int count, bool more);

#endif
