#ifndef WPROXY_HTTP_TALLY_H
#define WPROXY_HTTP_TALLY_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * How many connections and requests there were and are (stub_status).  Each thread counts on a
 * cache line of its own with plain stores; whoever asks adds the lines up.  What there was
 * outlives a worker: the lines are memory that the master shares with each.
 */
enum tally_kind {
	TALLY_ACCEPTED,		/* connections, ever ... */
	TALLY_REQUESTS,		/* ... and requests */
	TALLY_ACTIVE,		/* connections now: all ... */
	TALLY_READING,		/* ... whose request's head is being read ... */
	TALLY_WRITING,		/* ... that are being answered ... */
	TALLY_WAITING,		/* ... between requests, or before the first */
	TALLY_KINDS
};
#define TALLY_NOW	TALLY_ACTIVE	/* the first that a worker's end sets back */

struct tally {
	_Alignas(64) _Atomic uint64_t counts[TALLY_KINDS];
};

/* In the master, before its first worker: room for so many threads.  -1 with errno. */
int		 tally_share(unsigned threads) __attribute__((warn_unused_result));
/* In a worker, before its threads: what only the worker before it had is gone. */
void		 tally_begin(unsigned threads);
/* A thread's own line. */
struct tally	*tally_of(unsigned thread);
uint64_t	 tally_sum(enum tally_kind);	/* any thread */

/* For the line's own thread.  by: 1, or what takes one away. */
#define TALLY_LESS	UINT64_MAX
static inline void
tally_add(struct tally *tally, enum tally_kind kind, uint64_t by)
{
	_Atomic uint64_t *count = &tally->counts[kind];

	atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + by,
	    memory_order_relaxed);
}

#endif
