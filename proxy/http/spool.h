#ifndef WPROXY_HTTP_SPOOL_H
#define WPROXY_HTTP_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/pool.h"
#include "base/str.h"

/*
 * Bytes kept: in memory up to a limit, then in a temporary file.  Written once,
 * read any number of times (a retry reads a request body again).  Counted: each reader's bufs hold
 * it.  Belongs to one thread; the total of all spools is bounded for the process.
 */
struct spool;

struct spool_options {
	uint64_t memory;	/* bytes kept in memory before the file begins */
	uint64_t max;		/* of the file, 0: no own limit */
	struct str path;	/* folder of temporary files */
	unsigned levels[3];	/* nginx's hashed sub-folders, 0: none */
	bool file_only;		/* always a file */
	bool keep_file;		/* named and not unlinked (client_body_in_file_only on) */
	bool clean_file;	/* named, unlinked when the spool dies (… clean) */
};

/* One reference, dropped by spool_drop(). */
struct spool	*spool_new(const struct spool_options *);
void		 spool_drop(struct spool *);
/*
 * Takes all of the chain.  0; -1 with errno (ENOSPC, EACCES ...; *path says which file), EDQUOT:
 * over the process' or own bound, or the disk would get too full.
 */
int		 spool_append(struct spool *, struct chain *, struct str *path);
uint64_t	 spool_size(const struct spool *);
bool		 spool_is_file(const struct spool *);
struct str	 spool_path(const struct spool *);	/* "" while in memory */
/* Adds bytes [offset, offset+n) to out; each buf holds the spool. */
void		 spool_read(struct spool *, uint64_t offset, uint64_t n, struct chain *out);
/* Forgets memory bytes before offset (a response that is being forwarded). */
void		 spool_forget(struct spool *, uint64_t offset);
/*
 * Whether a failed append is to be told aloud: once a minute, whatever number of requests it meets.
 */
bool		 spool_failure_is_news(void);
/* Bounds for the process, in bytes, in place of 1 GiB and 1 TiB: for tests. */
void		 spool_set_bounds(uint64_t memory, uint64_t files);

#endif
