#ifndef WPROXY_HTTP_SEARCH_H
#define WPROXY_HTTP_SEARCH_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/pool.h"
#include "base/str.h"

/*
 * Looks for strings in a body that goes by in pieces.  Letters (ASCII) are alike in any case.  Of
 * needles that stand at the same place the one listed first counts.  What cannot be part of one
 * goes on at once: fewer bytes are held back than the longest has.
 */
struct needles;
struct search;

/* At least one, none of them empty; they are copied.  Read-only afterwards. */
const struct needles	*needles_new(struct pool *, const struct str *texts, unsigned count);
/* In one body, from its beginning; once: each needle is found once. */
struct search		*search_new(struct pool *, const struct needles *, bool once);

enum { SEARCH_MORE = -1, SEARCH_FAILED = -2 };
/*
 * Moves in behind out up to the next needle, drops that, and returns its index.  SEARCH_MORE: all
 * of in was used up.  SEARCH_FAILED: a file could not be read (errno, 0: it is too short).  last:
 * nothing follows in.
 */
int	search_next(struct search *, struct chain *in, struct chain *out, bool last)
	    __attribute__((warn_unused_result));

#endif
