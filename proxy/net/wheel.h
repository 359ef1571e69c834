#ifndef WPROXY_NET_WHEEL_H
#define WPROXY_NET_WHEEL_H

#include <stdint.h>

#include "base/list.h"
#include "net/loop.h"

/*
 * The timing wheel of a loop: pure bookkeeping of struct timer, no clock and
 * no system call.  For loop.c and its test only.
 */
enum {
	WHEEL_TICK_MS = 4,
	WHEEL_BITS = 6,
	WHEEL_SLOTS = 1 << WHEEL_BITS,
	WHEEL_LEVELS = 6	/* 2^36 ticks: eight years */
};

struct wheel {
	uint64_t origin;		/* ms of tick 0 */
	uint64_t tick;			/* everything up to it was taken out */
	uint64_t filled[WHEEL_LEVELS];	/* bit per slot; may be stale, never missing */
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void	 wheel_init(struct wheel *, uint64_t now_ms);
/* Puts a timer that is on no list under its deadline. */
void	 wheel_add(struct wheel *, struct timer *);
/* Moves to due, in order, what is due at now_ms; timers whose deadline moved are put back. */
void	 wheel_advance(struct wheel *, uint64_t now_ms, struct list *due);
/*
 * When wheel_advance() has something to do next (maybe nothing is due then), ms; UINT64_MAX:
 * never.
 */
uint64_t wheel_next(const struct wheel *);

#endif
