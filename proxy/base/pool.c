/*
 * Arenas.  A pool is its first block; further blocks double in size up to
 * BLOCK_MAX.  First blocks of the default size are recycled in a bounded free
 * list of each thread: a request that stays within one costs no malloc.  What is
 * larger than a quarter of BLOCK_MAX and does not fit where we are gets an
 * allocation of its own, so that little of a block is wasted.
 *
 *	pool | first bytes ... at | free ... end      blocks: newer ones, newest first
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/poison.h"
#include "base/pool.h"

#define FIRST_DEFAULT	8192	/* a proxied request, all in all */
#define BLOCK_MAX	16384
#define BIG		(BLOCK_MAX / 4)
#define ALIGNMENT	16
#ifdef WPROXY_ASAN
#define SPARE_MAX	0	/* so that use after free is seen */
#else
#define SPARE_MAX	64
#endif

/* In front of every further block and of every big allocation. */
struct piece {
	_Alignas(ALIGNMENT) struct piece *next;
};

struct cleanup {
	struct cleanup *next;
	void (*fn)(void *);
	void *arg;
};

struct pool {
	_Alignas(ALIGNMENT) char *at;	/* next free byte of the current block */
	char *end;
	struct piece *pieces;
	struct cleanup *cleanups;
	size_t block;			/* size of the next block */
	size_t first;			/* of the block that it lies in */
	size_t footprint;
};

static _Thread_local struct {
	struct piece *pools;	/* as they were before they had a header */
	int count;
} spare;

static _Noreturn void
memory_exhausted(void)
{
	/* No formatting here: there is no memory, and the master says the rest. */
	fputs("wproxy: out of memory\n", stderr);
	abort();
}

void *
xmalloc(size_t n)
{
	void *p = malloc(n == 0 ? 1 : n);

	if (p == NULL)
		memory_exhausted();
	return (p);
}

void *
xcalloc(size_t count, size_t size)
{
	void *p = count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);

	if (p == NULL)
		memory_exhausted();
	return (p);
}

void *
xrealloc(void *old, size_t n)
{
	void *p = realloc(old, n == 0 ? 1 : n);

	if (p == NULL)
		memory_exhausted();
	return (p);
}

static size_t
round_up(size_t n)
{
	if (n > SIZE_MAX / 2)
		memory_exhausted();
	return ((n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
}

struct pool *
pool_new(size_t first)
{
	size_t size = sizeof(struct pool) + round_up(first == 0 ? FIRST_DEFAULT : first);
	struct pool *pool;

	if (first == 0 && spare.pools != NULL) {
		pool = (struct pool *)spare.pools;
		spare.pools = spare.pools->next;
		spare.count--;
	} else
		pool = xmalloc(size);
	pool->at = (char *)(pool + 1);
	pool->end = (char *)pool + size;
	pool->pieces = NULL;
	pool->cleanups = NULL;
	pool->block = 2 * size > BLOCK_MAX ? BLOCK_MAX : 2 * size;
	pool->first = pool->footprint = size;
	mem_poison(pool->at, (size_t)(pool->end - pool->at));
	return (pool);
}

void
pool_free(struct pool *pool)
{
	struct piece *piece;
	struct cleanup *c;

	if (pool == NULL)
		return;
	/* A cleanup may still allocate and register. */
	while ((c = pool->cleanups) != NULL) {
		pool->cleanups = c->next;
		c->fn(c->arg);
	}
	while ((piece = pool->pieces) != NULL) {
		pool->pieces = piece->next;
		free(piece);
	}
	if (pool->first != sizeof(struct pool) + FIRST_DEFAULT || spare.count >= SPARE_MAX) {
		free(pool);
		return;
	}
	piece = (struct piece *)pool;
	piece->next = spare.pools;
	spare.pools = piece;
	spare.count++;
}

void
pool_cache_free(void)
{
	struct piece *piece;

	while ((piece = spare.pools) != NULL) {
		spare.pools = piece->next;
		free(piece);
	}
	spare.count = 0;
}

/* A piece of size bytes behind its header; counted, dies with the pool. */
static char *
piece_new(struct pool *pool, size_t size)
{
	struct piece *piece = xmalloc(sizeof(*piece) + size);

	piece->next = pool->pieces;
	pool->pieces = piece;
	pool->footprint += sizeof(*piece) + size;
	return ((char *)(piece + 1));
}

static void *
pool_alloc_slow(struct pool *pool, size_t n, size_t room)
{
	char *p;

	if (room > BIG)
		return (piece_new(pool, n));
	/* Room for at least one more of the kind; BIG keeps this below BLOCK_MAX. */
	while (pool->block < 2 * room)
		pool->block *= 2;
	p = piece_new(pool, pool->block);
	pool->at = p + room;
	pool->end = p + pool->block;
	mem_poison(p + n, pool->block - n);
	pool->block = 2 * pool->block > BLOCK_MAX ? BLOCK_MAX : 2 * pool->block;
	return (p);
}

void *
pool_alloc(struct pool *pool, size_t n)
{
	size_t room = round_up(n) + POISON_GAP;
	char *p = pool->at;

	if (room > (size_t)(pool->end - p))
		return (pool_alloc_slow(pool, n, room));
	pool->at = p + room;
	mem_unpoison(p, n);
	return (p);
}

void *
pool_zalloc(struct pool *pool, size_t n)
{
	return (memset(pool_alloc(pool, n), 0, n));
}

struct str
pool_strdup(struct pool *pool, struct str s)
{
	return (str_make(pool_cstr(pool, s), s.n));
}

char *
pool_cstr(struct pool *pool, struct str s)
{
	char *p = pool_alloc(pool, s.n + 1);

	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (p);
}

struct str
pool_printf(struct pool *pool, const char *format, ...)
{
	struct str s;
	va_list args;

	va_start(args, format);
	s = pool_vprintf(pool, format, args);
	va_end(args);
	return (s);
}

struct str
pool_vprintf(struct pool *pool, const char *format, va_list args)
{
	char text[256], *p;
	va_list again;
	size_t size;
	int n;

	va_copy(again, args);
	n = vsnprintf(text, sizeof(text), format, args);
	/* Only a text beyond INT_MAX fails: as good as out of memory. */
	if (n < 0)
		memory_exhausted();
	size = (size_t)n + 1;
	p = pool_alloc(pool, size);
	if (size <= sizeof(text))
		memcpy(p, text, size);
	else
		(void)vsnprintf(p, size, format, again);
	va_end(again);
	return (str_make(p, size - 1));
}

struct str
pool_concat(struct pool *pool, unsigned count, const struct str *parts)
{
	size_t n = 0;
	char *p, *at;

	for (unsigned i = 0; i < count; i++)
		n += parts[i].n;
	p = at = pool_alloc(pool, n + 1);
	for (unsigned i = 0; i < count; i++) {
		if (parts[i].n > 0)
			memcpy(at, parts[i].p, parts[i].n);
		at += parts[i].n;
	}
	*at = '\0';
	return (str_make(p, n));
}

void
pool_cleanup(struct pool *pool, void (*fn)(void *), void *arg)
{
	struct cleanup *c = pool_alloc(pool, sizeof(*c));

	c->next = pool->cleanups;
	c->fn = fn;
	c->arg = arg;
	pool->cleanups = c;
}

size_t
pool_footprint(const struct pool *pool)
{
	return (pool->footprint);
}
