/*
 * The lines that threads count on.  Mapped by the master (main/master.c), begun
 * by each worker (main/thread.c), counted on by session.c and session_in.c, read
 * by mod/status.c.
 */
#include "http/tally.h"

#include <sys/mman.h>

#include <assert.h>
#include <stddef.h>

/* Shared memory: the same in the master and all its workers. */
static struct tallies {
	atomic_uint used;	/* lines that some worker had a thread for */
	struct tally lines[];
} *shared;
static unsigned room;

int
tally_share(unsigned threads)
{
	void *memory = mmap(NULL, sizeof(*shared) + threads * sizeof(shared->lines[0]),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return (-1);
	shared = memory;
	room = threads;
	return (0);
}

void
tally_begin(unsigned threads)
{
	assert(threads <= room);
	if (atomic_load(&shared->used) < threads)
		atomic_store(&shared->used, threads);
	for (unsigned i = 0; i < atomic_load(&shared->used); i++)
		for (unsigned kind = TALLY_NOW; kind < TALLY_KINDS; kind++)
			atomic_store(&shared->lines[i].counts[kind], 0);
}

struct tally *
tally_of(unsigned thread)
{
	return (&shared->lines[thread]);
}

uint64_t
tally_sum(enum tally_kind kind)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < atomic_load(&shared->used); i++)
		sum += atomic_load_explicit(&shared->lines[i].counts[kind], memory_order_relaxed);
	return (sum);
}
