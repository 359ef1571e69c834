#ifndef WPROXY_HTTP_RESPONSE_H
#define WPROXY_HTTP_RESPONSE_H

#include "base/buf.h"
#include "http/request.h"
#include "http/session.h"

/*
 * How content is answered: set r->out, resp_start(), resp_write() any number of
 * times with SEND_LAST in the last.  A short-cut for memory is request_answer().
 */

/*
 * Runs the filters' start and queues the head.  -1: the client is gone (request_finish follows by
 * itself).
 */
int	resp_start(struct request *);
/*
 * Through the filters to the session.  Takes all bytes of the chain.  -1: gone or failed; stop
 * producing.
 */
int	resp_write(struct request *, struct chain *, unsigned flags);
/* Cannot be completed: the connection is closed without a clean end. */
void	resp_abort(struct request *);
static inline bool
resp_is_full(const struct request *r)
{
	return (session_is_full(r));
}

/* "404 Not Found": nginx's reason phrases. "" when unknown. */
struct str	status_reason(unsigned status);
/*
 * "/x" as the absolute URL of this server (SEMANTICS e9), unless absolute_redirect is off; anything
 * else as it is.  For redirects that are ours, and back ends' that proxy_redirect changed.
 */
struct str	resp_absolute_location(struct request *, struct str location);
/* Drops what a failed attempt at an answer left in r->out (status, fields, type, length). */
void	resp_reset(struct request *);
/* Writes the head as HTTP/1.1 text behind out. */
void	resp_head_text(struct request *, struct chain *out, bool keepalive);

/*
 * For a filter's start that finds that the answer is another one (412, 416): r->out becomes the
 * built-in page of status, the content's own bytes will be dropped.
 */
void	resp_replace(struct request *, unsigned status);
/* For one that changes the body's bytes and not what they mean. */
void	resp_weaken_etag(struct request *);

/* The filter that gives a body without length its chunks (last in the table). */
extern const struct filter framing_filter;

#endif
