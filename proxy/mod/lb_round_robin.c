/*
 * Smooth weighted round robin, the method of a group that names none: each
 * slot's current weight grows by its effective weight, the largest is taken and
 * pays the total.  A failure lowers the effective weight; it recovers by one
 * step a pick.  Runs under the group's lock.
 *
 * Of many slots the order is laid out beforehand: a schedule in which each has as
 * many turns as it has weight, evenly spread.  One whose weight is lowered for
 * now saves what it has left at each turn, and is passed over until that is enough.
 */
#include <stdlib.h>

#include "mod/lb.h"

#define TURNS_MAX	65536	/* of a schedule, or one for each slot */

struct turn {
	double at;		/* where in the round, [0, 1) */
	uint32_t slot;
};

struct schedule {
	unsigned count, next;
	uint32_t slots[];
};

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

static int
turn_compare(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->at != y->at)
		return (x->at < y->at ? -1 : 1);
	return (x->slot < y->slot ? -1 : x->slot > y->slot);
}

/* Turns of a slot in a round of so much weight. */
static unsigned
turns_of(const struct peer_slot *slot, uint64_t total)
{
	uint64_t turns = slot->options.weight;

	if (total > TURNS_MAX)
		turns = turns * TURNS_MAX / total;
	return (turns == 0 ? 1 : (unsigned)turns);
}

static void *
round_robin_init(struct peer_list *list, const void *conf)
{
	struct schedule *schedule;
	struct turn *turns;
	uint64_t total = 0;
	unsigned count = 0, at = 0;

	(void)conf;
	if (list->primary <= LB_SMALL)
		return (NULL);
	for (unsigned i = 0; i < list->primary; i++)
		total += list->slots[i].options.weight;
	for (unsigned i = 0; i < list->primary; i++)
		count += turns_of(&list->slots[i], total);
	turns = xcalloc(count, sizeof(*turns));
	for (uint32_t i = 0; i < list->primary; i++) {
		unsigned own = turns_of(&list->slots[i], total);

		for (unsigned k = 0; k < own; k++)
			turns[at++] = (struct turn){ (k + 0.5) / own, i };
	}
	qsort(turns, count, sizeof(*turns), turn_compare);
	schedule = pool_zalloc(list->pool, sizeof(*schedule) + count * sizeof(schedule->slots[0]));
	schedule->count = count;
	for (unsigned k = 0; k < count; k++)
		schedule->slots[k] = turns[k].slot;
	free(turns);
	return (schedule);
}

/* Has the slot, whose turn it is, the weight for it? */
static bool
turn_is_due(const struct peer_choice *choice, unsigned i)
{
	struct peer *peer = choice->list->slots[i].peer;
	int64_t full = (int64_t)choice->list->slots[i].options.weight * 100;
	int64_t weight = effective_weight(choice, i);

	if (weight < peer_weight(choice, i))
		peer->effective_weight += 100;
	if (weight >= full)
		return (true);
	peer->current_weight += weight;
	if (peer->current_weight < full)
		return (false);
	peer->current_weight -= full;
	return (true);
}

static uint32_t
round_robin_pick(struct peer_choice *choice, unsigned from, unsigned to)
{
	struct schedule *schedule = choice->list->method_state;

	if (schedule == NULL || from != 0)
		return (lb_next(choice, from, to));
	for (unsigned tries = 0; tries < schedule->count; tries++) {
		uint32_t slot = schedule->slots[schedule->next];

		schedule->next = schedule->next + 1 == schedule->count ? 0 : schedule->next + 1;
		if (peer_usable(choice, slot) && turn_is_due(choice, slot))
			return (slot);
	}
	return (lb_next(choice, from, to));
}

const struct lb_method lb_round_robin = {
	.name = "round_robin", .backups = true, .init = round_robin_init, .pick = round_robin_pick
};
