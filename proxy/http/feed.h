#ifndef WPROXY_HTTP_FEED_H
#define WPROXY_HTTP_FEED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "http/request.h"
#include "net/loop.h"

/*
 * An answer's body made piece by piece, as the client takes it, so that a slow client costs one
 * piece of memory and a long body no other client's time.  Lives in the request's pool.
 */
struct feed {
	/* The next piece, about `most' bytes, behind out.  True: it was the last. */
	bool (*next)(struct feed *, struct chain *out, size_t most);
	void (*release)(struct feed *);	/* when the request goes on without it, or ends */
	struct request *r;
	struct task more;		/* goes on next turn */
};

/* After resp_start(): next and release are set.  Returns what a step returns. */
enum step_result	feed_start(struct request *, struct feed *);

#endif
