/*
 * least_conn: the peer with the fewest tries under way for its weight; among
 * equals smooth weighted round robin.  The counts are the group's, exact over
 * all threads.  Runs under the group's lock.
 */
#include "mod/lb.h"

/* Load of i against load of j by cross multiplication: < 0, 0, > 0. */
static int
load_compare(const struct peer_choice *choice, unsigned i, unsigned j)
{
	int64_t left = (int64_t)choice->list->slots[i].peer->conns * peer_weight(choice, j);
	int64_t right = (int64_t)choice->list->slots[j].peer->conns * peer_weight(choice, i);

	return (left < right ? -1 : left > right);
}

static bool
load_is_least(const struct peer_choice *choice, unsigned i, const void *best)
{
	return (load_compare(choice, i, *(const uint32_t *)best) == 0);
}

static uint32_t
least_conn_pick(struct peer_choice *choice, unsigned from, unsigned to)
{
	uint32_t best = LB_NONE;
	bool tie = false;

	for (unsigned i = from; i < to; i++) {
		int order;

		if (!peer_usable(choice, i))
			continue;
		order = best == LB_NONE ? -1 : load_compare(choice, i, best);
		if (order < 0)
			best = i;
		tie = order == 0 || (tie && order > 0);
	}
	return (tie ? lb_next_of(choice, from, to, load_is_least, &best) : best);
}

const struct lb_method lb_least_conn = {
	.name = "least_conn", .backups = true, .pick = least_conn_pick
};
