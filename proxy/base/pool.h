#ifndef WPROXY_BASE_POOL_H
#define WPROXY_BASE_POOL_H

#include <stdarg.h>
#include <stddef.h>

#include "base/str.h"

/*
 * An arena: everything allocated from it dies with it.  Not thread-safe; a pool
 * belongs to one thread at a time.  Poisoned under ASan where nothing is
 * allocated.  Out of memory aborts the process (the master respawns it).
 */
struct pool;

/* first: bytes of the first block, 0 for the default (8 KiB). */
struct pool	*pool_new(size_t first);
/* Runs the cleanups, last registered first, then frees all blocks.  NULL is allowed. */
void		 pool_free(struct pool *);
/* Gives the thread's spare blocks back to the system (thread end, tests). */
void		 pool_cache_free(void);

/* Aligned for any type; never NULL.  n may be 0.  pool_zalloc clears. */
void		*pool_alloc(struct pool *, size_t n);
void		*pool_zalloc(struct pool *, size_t n);
#define pool_new_object(pool, type)	((type *)pool_zalloc((pool), sizeof(type)))

/* A copy with a NUL behind it (not counted). */
struct str	 pool_strdup(struct pool *, struct str);
char		*pool_cstr(struct pool *, struct str);
struct str	 pool_printf(struct pool *, const char *, ...)
		    __attribute__((format(printf, 2, 3)));
struct str	 pool_vprintf(struct pool *, const char *, va_list);
/* The strings one behind the other, NUL behind.  count of struct str follow. */
struct str	 pool_concat(struct pool *, unsigned count, const struct str *);

/* fn(arg) when the pool dies. */
void		 pool_cleanup(struct pool *, void (*fn)(void *), void *arg);
/* Bytes taken from the system, for budgets and tests. */
size_t		 pool_footprint(const struct pool *);

/* malloc/calloc/realloc that abort instead of failing; for objects outside arenas. */
void		*xmalloc(size_t);
void		*xcalloc(size_t, size_t);
void		*xrealloc(void *, size_t);

#endif
