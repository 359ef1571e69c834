/*
 * A hierarchical timing wheel.  A timer sits in the slot of the highest group
 * of six bits in which its tick differs from the present one, so a level's
 * slots all begin before the next slot of the level above:
 *
 *	level 0: 64 slots of 4 ms | level 1: 64 of 256 ms | level 2: 64 of 16 s ...
 *
 * When time reaches a slot its timers are taken out: due ones are handed over,
 * the others (of a coarse slot, or whose deadline was moved meanwhile: the
 * lazy re-arm) are put back.  Adding and removing cost a few instructions.
 */
#include "net/wheel.h"

#include <assert.h>
#include <stdbool.h>

void
wheel_init(struct wheel *w, uint64_t now_ms)
{
	w->origin = now_ms;
	w->tick = 0;
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		w->filled[level] = 0;
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			list_init(&w->slots[level][slot]);
	}
}

/* Rounded up: a timer never fires early. */
static uint64_t
wheel_tick_of(const struct wheel *w, uint64_t ms)
{
	return (ms <= w->origin ? 0 : (ms - w->origin + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS);
}

void
wheel_add(struct wheel *w, struct timer *t)
{
	uint64_t at = wheel_tick_of(w, t->deadline);
	unsigned level, slot;

	if (at <= w->tick)
		at = w->tick + 1;
	level = (63 - (unsigned)__builtin_clzll(at ^ w->tick)) / WHEEL_BITS;
	assert(level < WHEEL_LEVELS);
	slot = (at >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
	w->filled[level] |= 1ULL << slot;
	t->slotted = t->deadline;
	list_push_back(&w->slots[level][slot], &t->link);
}

/* The next filled slot and the tick at which it begins. */
static bool
wheel_find(const struct wheel *w, unsigned *level, unsigned *slot, uint64_t *tick)
{
	for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
		uint64_t here = w->tick >> (l * WHEEL_BITS);
		unsigned at = here & (WHEEL_SLOTS - 1);
		uint64_t later = w->filled[l] & ~((2ULL << at) - 1);

		if (later == 0)
			continue;
		*level = l;
		*slot = (unsigned)__builtin_ctzll(later);
		*tick = (here - at + *slot) << (l * WHEEL_BITS);
		return (true);
	}
	return (false);
}

void
wheel_advance(struct wheel *w, uint64_t now_ms, struct list *due)
{
	uint64_t target = now_ms <= w->origin ? 0 : (now_ms - w->origin) / WHEEL_TICK_MS;
	uint64_t tick;
	unsigned level, slot;

	while (wheel_find(w, &level, &slot, &tick) && tick <= target) {
		struct list taken = LIST_INIT(taken);
		struct list *from = &w->slots[level][slot], *it;

		w->tick = tick;
		w->filled[level] &= ~(1ULL << slot);
		while ((it = list_pop(from)) != NULL)
			list_push_back(&taken, it);
		while ((it = list_pop(&taken)) != NULL) {
			struct timer *t = list_item(it, struct timer, link);

			if (wheel_tick_of(w, t->deadline) <= tick)
				list_push_back(due, it);
			else
				wheel_add(w, t);
		}
	}
	if (target > w->tick)
		w->tick = target;
}

uint64_t
wheel_next(const struct wheel *w)
{
	unsigned level, slot;
	uint64_t tick;

	if (!wheel_find(w, &level, &slot, &tick))
		return (UINT64_MAX);
	return (w->origin + tick * WHEEL_TICK_MS);
}
