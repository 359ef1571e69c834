#ifndef WPROXY_HTTP_DEFLATE_H
#define WPROXY_HTTP_DEFLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pool.h"

/* zlib's gzip stream over chains.  One per response; freed with its pool (cleanup registered). */
struct deflate;

struct deflate	*deflate_new(struct pool *, int level, int window_bits, int mem_level);
/*
 * One for a body of length bytes (-1: not known), with no more memory than that needs, and little
 * where the thread has many streams that wait for slow clients.
 */
struct deflate	*deflate_new_for(struct pool *, int level, int64_t length);
/*
 * Compresses all of in (slices of files are read) behind out; flush: SYNC, last: FINISH.  -1:
 * error.
 */
int		 deflate_chain(struct deflate *, struct chain *in, struct chain *out, bool flush,
		    bool last);

#endif
