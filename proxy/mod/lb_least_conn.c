/*
 * least_conn: the peer with the fewest tries under way for its weight; among
 * equals smooth weighted round robin.  The counts are the group's, exact over
 * all threads.  Runs under the group's lock.
 *
 * Of many slots of equal weight they are passed in turn until one has as few as
 * any may have: the group keeps a bound that ending tries lower, and a round that
 * finds none raises.
 */
#include "mod/lb.h"

struct least_round {
	unsigned next;
};

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

static void *
least_conn_init(struct peer_list *list, const void *conf)
{
	(void)conf;
	if (list->primary <= LB_SMALL)
		return (NULL);
	for (unsigned i = 0; i < list->primary; i++)
		if (list->slots[i].options.weight != list->slots[0].options.weight ||
		    list->slots[i].options.slow_start != 0)
			return (NULL);
	return (pool_new_object(list->pool, struct least_round));
}

/* The next in turn that has no more than the least: all are looked at only when that has risen. */
static uint32_t
least_conn_in_turn(struct peer_choice *choice, unsigned count)
{
	struct least_round *round = choice->list->method_state;
	unsigned least = peer_least_conns(choice), lowest = UINT32_MAX, found = UINT32_MAX;
	uint32_t best = LB_NONE;

	for (unsigned tries = 0; tries < count && found > least; tries++) {
		unsigned i = round->next, conns = choice->list->slots[i].peer->conns;

		round->next = i + 1 == count ? 0 : i + 1;
		if (conns < lowest && !choice->list->slots[i].options.down)
			lowest = conns;
		if (conns < found && peer_usable(choice, i)) {
			found = conns;
			best = i;
		}
	}
	/* A whole round: nobody has fewer, who cannot be taken just now included. */
	if (found > least && lowest != UINT32_MAX)
		peer_set_least_conns(choice, lowest);
	if (best != LB_NONE)
		round->next = best + 1 == count ? 0 : best + 1;
	return (best);
}

static uint32_t
least_conn_pick(struct peer_choice *choice, unsigned from, unsigned to)
{
	uint32_t best = LB_NONE;
	bool tie = false;

	if (choice->list->method_state != NULL && from == 0)
		return (least_conn_in_turn(choice, to));
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
	.name = "least_conn", .backups = true, .init = least_conn_init,
	.pick = least_conn_pick
};
