/*
 * random [two [least_conn]]: a usable peer by chance, weights respected; with
 * "two" the less busy of two such.  Runs under the group's lock, with a small
 * generator of its own per thread.
 */
#include "base/clock.h"
#include "mod/lb.h"

/* xorshift64*; nobody's secret hangs on it. */
static uint64_t
chance(void)
{
	static _Thread_local uint64_t state;

	if (state == 0)
		state = (clock_mono_us() ^ (uint64_t)(uintptr_t)&state) | 1;
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * UINT64_C(0x2545f4914f6cdd1d));
}

/* Chance may have said so often what cannot be taken: then all are looked at. */
#define RANDOM_TRIES	16

/* The same as random_slot() where most slots are usable. */
static uint32_t
random_slot_soon(struct peer_choice *choice, uint32_t but)
{
	const struct lb_weights *weights = choice->list->method_state;

	for (unsigned try = 0; weights->total > 0 && try < RANDOM_TRIES; try++) {
		uint32_t slot = lb_weights_find(weights, (uint32_t)(chance() % weights->total));
		int64_t full = (int64_t)choice->list->slots[slot].options.weight * 100, weight;

		if (slot == but || !peer_usable(choice, slot))
			continue;
		weight = peer_weight(choice, slot);
		if (weight == full || (int64_t)(chance() % (uint64_t)full) < weight)
			return (slot);
	}
	return (LB_NONE);
}

/* A usable slot but this one, or LB_NONE. */
static uint32_t
random_slot(struct peer_choice *choice, unsigned from, unsigned to, uint32_t but)
{
	uint32_t soon = to > LB_SMALL && from == 0 ? random_slot_soon(choice, but) : LB_NONE;
	int64_t total = 0, at;

	if (soon != LB_NONE)
		return (soon);
	for (unsigned i = from; i < to; i++)
		if (i != but && peer_usable(choice, i))
			total += peer_weight(choice, i);
	if (total == 0)
		return (LB_NONE);
	at = (int64_t)(chance() % (uint64_t)total);
	for (unsigned i = from; i < to; i++) {
		if (i == but || !peer_usable(choice, i))
			continue;
		at -= peer_weight(choice, i);
		if (at < 0)
			return (i);
	}
	return (LB_NONE);
}

static uint32_t
random_pick(struct peer_choice *choice, unsigned from, unsigned to)
{
	const struct lb_random_conf *conf = choice->set->method_conf;
	uint32_t one = random_slot(choice, from, to, LB_NONE), two;
	const struct peer_slot *slots = choice->list->slots;

	if (one == LB_NONE || !conf->two)
		return (one);
	two = random_slot(choice, from, to, one);
	if (two == LB_NONE)
		return (one);
	return ((int64_t)slots[two].peer->conns * peer_weight(choice, one) <
	    (int64_t)slots[one].peer->conns * peer_weight(choice, two) ? two : one);
}

static void *
random_init(struct peer_list *list, const void *conf)
{
	(void)conf;
	return (lb_weights_new(list));
}

const struct lb_method lb_random = {
	.name = "random", .backups = false, .init = random_init, .pick = random_pick
};
