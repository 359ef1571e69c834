/* Growing arrays in an arena; the old place is left to the arena.  Called from everywhere. */
#include "base/vec.h"

#define ROOM_FIRST	8

void *
vec_push(struct vec *v, struct pool *pool)
{
	char *last;

	if (v->count == v->room) {
		size_t room = v->room == 0 ? ROOM_FIRST : 2 * v->room;
		void *items = pool_alloc(pool, room * v->size);

		if (v->count > 0)
			memcpy(items, v->items, v->count * v->size);
		v->items = items;
		v->room = room;
	}
	last = (char *)v->items + v->count++ * v->size;
	return (memset(last, 0, v->size));
}
