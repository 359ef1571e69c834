#ifndef WPROXY_BASE_VEC_H
#define WPROXY_BASE_VEC_H

#include <stddef.h>

#include "base/pool.h"

/*
 * A growing array in an arena.  Elements move when it grows, so keep indices,
 * not pointers, while adding.  Zero-initialised is empty.
 *
 *	struct vec v = VEC_OF(struct header);
 *	struct header *h = vec_push(&v, pool);
 */
struct vec {
	void *items;
	size_t count;
	size_t room;
	size_t size;	/* of one element */
};

#define VEC_OF(type)		((struct vec){ .size = sizeof(type) })
#define vec_at(v, type, i)	(&((type *)(v)->items)[i])
#define VEC_EACH(v, type, it)							\
	for (type *it = (v)->items; it != NULL && it < (type *)(v)->items + (v)->count; it++)

/* A cleared new last element. */
void	*vec_push(struct vec *, struct pool *);

#endif
