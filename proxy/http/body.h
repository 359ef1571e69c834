#ifndef WPROXY_HTTP_BODY_H
#define WPROXY_HTTP_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/request.h"

/*
 * The request's body: read whole before the content (memory, then a temporary
 * file: a spool), streamed, or discarded.
 */

/*
 * A step or content handler wants the whole body first.  STEP_NEXT: it is there (r->body, NULL when
 * empty).  STEP_WAIT: done(r) is called when it is.  STEP_DONE/STEP_REROUTE: an error was
 * answered (413, 400, 408, 500 ...).
 */
enum step_result	body_read(struct request *, void (*done)(struct request *));
/* Has it bytes that somebody may still read, from the first on? */
bool	body_is_open(const struct request *);
/*
 * Before a request is written for a back end.  One that was refused, or whose body is lost (it was
 * over a limit, or streamed to another back end), comes here for its error page: it becomes a GET
 * without a body, and nothing of a head that broke the rules goes along.
 */
void	body_pass(struct request *);
/* False (logged) when Content-Length is over client_max_body_size: 413. */
bool	body_length_allowed(struct request *);
/* The same of what was received so far, for bodies that do not say how long they are. */
bool	body_received_allowed(struct request *);

#endif
