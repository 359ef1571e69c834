#ifndef WPROXY_MAIN_GENERATION_H
#define WPROXY_MAIN_GENERATION_H

#include <stdatomic.h>

#include "base/log.h"
#include "base/pool.h"
#include "conf/conf.h"
#include "http/site.h"
#include "main/core.h"
#include "main/logs.h"
#include "main/options.h"

/*
 * A parsed configuration and what belongs to it.  Made by the process' first
 * thread; read-only once published, but for the counts at the end.
 */
struct generation {
	struct pool *pool;
	struct conf cf;			/* sources and words are gone once it is loaded */
	struct http_conf *http;		/* never NULL: empty where the file has none; next: stream {} */
	struct process_settings *process;
	const struct log *log;		/* the main level's error log */
	struct logs *logs;
	struct vec logs_used;
	bool in_place;			/* not installed: the build's folders are not missed */
	unsigned serial;		/* of the reload that brought it */
	struct str record;		/* master only: what it was read from; empty: no renewal */

	/* Worker only. */
	atomic_uint adopting;		/* loops that did not switch to it yet */
	atomic_uint holding;		/* loops that may still use it */
	struct adoption *adoptions;	/* one per loop (thread.c) */
	struct generation *next;	/* older ones still held (worker.c) */
};

struct generation_input {
	const struct options *options;
	struct conf_source *source;
	struct logs *logs;
	const struct log *messages;	/* where complaints go */
};

/* NULL after the reason was logged. */
struct generation	*generation_load(const struct generation_input *);
/* In the master: keeps what renewal needs, where there are certificates to renew. */
void	generation_keep_record(struct generation *, struct conf_source *);
/* NULL is allowed. Its log files are released, not swept. */
void			 generation_free(struct generation *);
/* The listen of an address that has a socket of its own; NULL: none. */
const struct listen	*generation_listen(const struct generation *, const struct addr *);

#endif
