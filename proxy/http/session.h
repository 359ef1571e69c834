#ifndef WPROXY_HTTP_SESSION_H
#define WPROXY_HTTP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/request.h"
#include "net/conn.h"

/*
 * The client's side.  The request speaks to its session only through these six
 * operations; HTTP/1.1 (session.c) is the first kind.
 */
enum { BODY_MORE = 0, BODY_END = 1 };	/* negative: -status (400, 408, 413 ...) or BODY_GONE */
#define BODY_GONE	(-1)

enum send_flags { SEND_LAST = 1, SEND_FLUSH = 2 };

struct session_ops {
	/*
	 * Moves decoded body bytes that are there, at most max, behind to.  BODY_END: that was all.
	 * BODY_MORE: fewer than max: on_body will be called; max: call again.  Sends "100 Continue"
	 * first where the client waits for it.
	 */
	int (*read_body)(struct request *, struct chain *to, uint64_t max);
	/* 100, 103: sent at once.  No-op for a 1.0 client. */
	void (*send_info)(struct request *, unsigned status, const struct fields *);
	/* The head of r->out: queued.  */
	int (*send_head)(struct request *);
	/*
	 * Takes all of the chain, framed already; sends at LAST and FLUSH, or when enough is
	 * queued.  -1: the client is gone.
	 */
	int (*send_body)(struct request *, struct chain *, unsigned flags);
	/*
	 * 101: hands the client's connection over after the queued bytes were sent; the session
	 * only waits until tunnel_done(); bytes read already are appended to leftover.
	 */
	struct conn *(*tunnel)(struct request *, struct chain *leftover);
	/* The response cannot be completed: closes the connection without a clean end. */
	void (*abort)(struct request *);
};

/* True: stop producing; on_drain follows. */
bool	session_is_full(const struct request *);
/* The producer stops although the session is not full: on_drain follows all the same. */
void	session_await_drain(const struct request *);
/* Bytes queued for the client and not taken by its socket. */
uint64_t	session_queued(const struct request *);
/* The client's socket is full: what is queued goes out when an event says that there is room. */
bool		session_is_blocked(const struct request *);
/* The request's side of a tunnel is over: the session ends. */
void	session_tunnel_done(struct request *);
/* The client conn, for $remote_addr, TLS variables; NULL for a null session. */
struct conn	*session_conn(const struct request *);
const struct listen	*session_listen(const struct request *);
const struct addr	*session_peer(const struct request *);	/* as realip may have replaced it */
void	session_set_peer(struct session *, const struct addr *);
bool	session_is_tls(const struct session *);
struct http_thread	*session_thread(const struct session *);
unsigned long	session_number(const struct session *);	/* of the connection, for logs */
/* for SNI: tls_arg() is the session */
const struct listen	*session_listen_of(const struct session *);
/* What the PROXY protocol said; not present: no such header. */
struct proxied_connection;
const struct proxied_connection	*session_proxied(const struct request *);

/*
 * Opens a session on an accepted descriptor (listener's callback; arg: the listen of the thread's
 * current configuration).
 */
void	session_open(struct http_thread *, const struct listen *, int fd, const struct addr *peer);
/* Closes idle ones, lets the busy end with Connection: close. */
void	session_drain_all(struct http_thread *);
/* Ends everything now. */
void	session_close_all(struct http_thread *);
/*
 * The listen (by address) a new generation has for the old one's connections; sessions of removed
 * addresses close after their answer.
 */
void	session_adopt_conf(struct http_thread *, struct http_conf *);

#endif
