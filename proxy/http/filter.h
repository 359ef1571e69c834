#ifndef WPROXY_HTTP_FILTER_H
#define WPROXY_HTTP_FILTER_H

#include <stdbool.h>

#include "base/buf.h"
#include "http/request.h"

/* One stage of the response, a const record; the order is modules.c's table. */
enum filter_verdict {
	FILTER_SKIP,	/* not this response (it may have changed r->out's head all the same) */
	FILTER_JOIN,	/* body bytes go through it */
	/* the filter answered otherwise (r->out was replaced, body to be dropped) */
	FILTER_STOP
};

struct filter {
	const char *name;
	/* Looks at r->out before the head is sent. *state is given to bytes(). */
	enum filter_verdict (*start)(struct request *, void **state);
	/*
	 * Moves all of in behind out, changed as it likes.  flags: SEND_LAST, SEND_FLUSH.  -1:
	 * cannot go on.
	 */
	int (*bytes)(struct request *, void *state, struct chain *in, struct chain *out,
	    unsigned flags);
};

#endif
