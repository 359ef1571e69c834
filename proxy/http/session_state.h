#ifndef WPROXY_HTTP_SESSION_STATE_H
#define WPROXY_HTTP_SESSION_STATE_H

#include "base/buf.h"
#include "base/list.h"
#include "http/framing.h"
#include "http/proxy_protocol.h"
#include "http/session.h"
#include "net/conn.h"
#include "net/loop.h"

/*
 * An HTTP/1 session, for session.c (its life), session_in.c (what is read) and
 * session_out.c (what is sent) only.  Owns the conn and the request.
 */
enum session_state {
	SESSION_PREFACE,	/* PROXY protocol line expected */
	SESSION_HANDSHAKE,	/* TLS */
	SESSION_IDLE,		/* between requests; holds no buffer */
	SESSION_HEAD,		/* part of a head was read */
	SESSION_BUSY,		/* a request runs or its answer is being sent */
	SESSION_DISCARD,	/* answered; the rest of its body is read and dropped */
	SESSION_TUNNEL,		/* the conn is lent to a tunnel */
	SESSION_LINGER,		/* our FIN is out; what still comes is dropped */
	SESSION_CLOSED		/* buried at the end of the turn */
};

struct session {
	unsigned magic;
	enum session_state state;
	struct list link;		/* thread->sessions */
	struct http_thread *thread;
	/* of the thread's current configuration; NULL: address was removed */
	const struct listen *listen;
	struct conn *conn;
	struct addr peer;		/* as realip or the PROXY protocol replaced it */
	struct request *request;	/* NULL between requests */
	struct tally *tally;		/* the thread's; NULL in stream {}: only active is counted */
	unsigned long number;
	unsigned requests;
	unsigned turn_requests;		/* requests when the turn under way began */
	uint64_t opened_ms;		/* monotonic */

	/* Reading. */
	char *head;			/* in the request's pool while its head is read */
	size_t head_used, head_seen, head_room, head_max;
	struct chain in;		/* read, not consumed: body, pipelined requests */
	struct framing_decoder decoder;
	bool body_wanted;		/* read_body() said MORE: on_body is owed */
	bool continue_owed;		/* the client waits for 100 Continue */
	bool reading;			/* inside session_read(): no recursion */
	uint64_t discarded;
	uint64_t turn_bytes;		/* of bodies, read since the last event */

	/* Sending. */
	struct chain out;
	bool out_ended;			/* the last byte is in out, or was sent */
	bool was_full;			/* on_drain is owed */
	bool blocked;			/* the socket took less than it was given */
	bool nodelay;			/* Nagle's algorithm is off */
	bool failed;			/* nothing can be sent any more */
	bool aborted;			/* what was queued is sent, then the connection is cut */
	bool reset;			/* end with RST: a FIN would look like a clean end */
	bool closing;			/* no request follows this one */
	bool gone_kept;			/* the request goes on without its client */
	bool plain_on_tls;		/* HTTP came where TLS was expected: 497 */
	/* pinned: its listen is gone from the current configuration */
	struct http_conf *removed;
	uint64_t sent_before;		/* conn->sent when the request began */

	struct timer timer;		/* the one deadline of the state */
	struct timer send_timer;	/* send_timeout */
	struct timer rate_timer;	/* limit_rate */
	struct timer gone_timer;	/* FIN seen while busy: half-close or leaving? */
	uint64_t gone_sent;		/* conn->sent when it was armed */
	uint64_t linger_until;		/* monotonic ms */
	uint64_t linger_timeout;	/* between two reads */
	bool body_timed_out;
	struct proxied_connection *proxied;	/* NULL: no such header is expected */
	struct grave grave;
	struct task task;		/* go on outside the request's callbacks */
};
#define SESSION_MAGIC	0x53455331u

extern const struct session_ops http1_ops;

/* session.c */
void	session_set_state(struct session *, enum session_state);
void	session_close(struct session *);	/* frees at the end of the turn */
void	session_timed_out(struct timer *);	/* the state's deadline */
void	session_gone(struct session *);		/* the client left: tells the request */
void	session_answered(struct session *);	/* all of the response was sent */
/* session_in.c */
bool	session_read_head(struct session *);	/* one step; false: wait, or closed */
/* the one request of a stream {} connection */
void	session_begin_headless(struct session *);
int	session_read_body(struct request *, struct chain *, uint64_t max);
/* True: a body comes as fast as it is read.  The others first; an event will follow. */
bool	session_has_read_enough(struct session *);
/* session_out.c */
void	session_out_begin(struct session *);	/* a request begins */
void	session_flush(struct session *);
void	session_out_event(struct session *);	/* the socket is writable */
void	session_out_end(struct session *);	/* timers off, queue dropped */
int	session_send_head(struct request *);
int	session_send_body(struct request *, struct chain *, unsigned flags);
void	session_send_info(struct request *, unsigned status, const struct fields *);

#endif
