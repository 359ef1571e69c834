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
 * empty).  STEP_WAIT: done(r) is called when it is.  STEP_DONE/STEP_REROUTE: an error was answered (413, 400, 408, 500 ...).
 */
enum step_result	body_read(struct request *, void (*done)(struct request *));
/* False and the 413 to answer when Content-Length is over client_max_body_size. */
bool	body_length_allowed(struct request *);

#endif
