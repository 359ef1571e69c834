#ifndef WPROXY_NET_BIO_H
#define WPROXY_NET_BIO_H

#include <openssl/bio.h>

#include <stdbool.h>
#include <stddef.h>

#include "net/conn.h"

/*
 * What OpenSSL reads from and writes to: a conn's socket with read-ahead and
 * collected writes.  For tls.c only.
 */
enum {
	BIO_AHEAD_MAX = 65536,
	BIO_BUDGET = 32768	/* bytes of a socket for one call that has no data to show for it */
};

enum wire_mode {
	WIRE_COLLECT,	/* sent later: flights, tickets, alerts */
	WIRE_MORE,	/* another write of the same call follows: small ones are collected */
	WIRE_LAST	/* send, with what was collected */
};

struct wire {
	struct conn *conn;

	char *ahead_room;	/* BIO_AHEAD_MAX bytes of the loop's */
	size_t ahead_want;	/* how much of it to read into: no more than is taken soon */
	const char *ahead;	/* read, not yet taken; only within a call of tls.c */
	size_t ahead_n;
	bool ended;		/* the socket's end was read */
	bool starved;		/* the last read found nothing */
	bool whole;		/* OpenSSL is given only whole records */
	size_t record_left;	/* ... of the current one */
	size_t budget;		/* bytes that this call may still read; then others are served */

	enum wire_mode mode;
	struct chain out;	/* collected */
};

/* NULL out of OpenSSL's errors.  The wire must outlive it. */
BIO	*wire_bio_new(struct wire *);
/*
 * Reads ahead until n bytes are there, at most ahead_want: > 0 bytes, 0 the end, CONN_AGAIN,
 * CONN_FAILED.
 */
ssize_t	 wire_fill(struct wire *, size_t n);
/* Before the call ends: what was not taken goes back to the conn. */
void	 wire_settle(struct wire *);
/*
 * Sends what was collected.  True: all of it; false: blocked (an event will come) or failed
 * (conn->error).
 */
bool	 wire_flush(struct wire *);

#endif
