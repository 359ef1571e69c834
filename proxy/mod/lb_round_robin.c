/*
 * Smooth weighted round robin, the method of a group that names none: each
 * slot's current weight grows by its effective weight, the largest is taken and
 * pays the total.  A failure lowers the effective weight; it recovers by one
 * step a pick.  Runs under the group's lock.
 */
#include "mod/lb.h"

/* Weights of a peer seen for the first time, or changed by a reload. */
static int64_t
effective_weight(const struct peer_choice *choice, unsigned i)
{
	struct peer *peer = choice->list->slots[i].peer;
	int64_t weight = peer_weight(choice, i);

	if (!peer->seen || peer->effective_weight > weight) {
		peer->effective_weight = weight;
		peer->seen = true;
	}
	return (peer->effective_weight);
}

uint32_t
lb_next_of(struct peer_choice *choice, unsigned from, unsigned to,
    bool (*keep)(const struct peer_choice *, unsigned, const void *), const void *arg)
{
	uint32_t best = LB_NONE;
	int64_t total = 0;

	for (unsigned i = from; i < to; i++) {
		struct peer *peer = choice->list->slots[i].peer;
		int64_t weight;

		if (!peer_usable(choice, i) || (keep != NULL && !keep(choice, i, arg)))
			continue;
		weight = effective_weight(choice, i);
		peer->current_weight += weight;
		total += weight;
		if (weight < peer_weight(choice, i))
			peer->effective_weight += 100;
		if (best == LB_NONE ||
		    peer->current_weight > choice->list->slots[best].peer->current_weight)
			best = i;
	}
	if (best != LB_NONE)
		choice->list->slots[best].peer->current_weight -= total;
	return (best);
}

uint32_t
lb_next(struct peer_choice *choice, unsigned from, unsigned to)
{
	return (lb_next_of(choice, from, to, NULL, NULL));
}

const struct lb_method lb_round_robin = {
	.name = "round_robin", .backups = true, .pick = lb_next
};
