/*
 * Slots by weight: a number below the sum of all weights belongs to one slot.
 * Used by ip_hash, hash and random; made with a list, read under the group's lock.
 */
#include "mod/lb.h"

struct lb_weights *
lb_weights_new(struct peer_list *list)
{
	struct lb_weights *w = pool_zalloc(list->pool,
	    sizeof(*w) + list->primary * sizeof(w->upto[0]));

	w->count = list->primary;
	for (unsigned i = 0; i < list->primary; i++) {
		w->total += list->slots[i].options.weight;
		w->upto[i] = w->total;
	}
	return (w);
}

uint32_t
lb_weights_find(const struct lb_weights *w, uint32_t at)
{
	uint32_t low = 0, high = w->count - 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (w->upto[middle] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	return (low);
}
