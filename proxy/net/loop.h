#ifndef WPROXY_NET_LOOP_H
#define WPROXY_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/pool.h"

/*
 * A thread's event loop.  A turn:
 *	event_base_loop(ONCE) -> timers -> mailbox -> ready list -> end-of-turn tasks
 *	-> log_flush -> the dead's descriptors closed -> the dead freed
 * Everything but loop_post() and loop_stop() is for the loop's own thread.
 */
struct loop;
struct event_base;

/* NULL after logging (missing ET or EARLY_CLOSE) */
struct loop		*loop_new(unsigned index);
void			 loop_free(struct loop *);
/* Runs until loop_stop(). */
void			 loop_run(struct loop *);
void			 loop_stop(struct loop *);	/* any thread */
unsigned		 loop_index(const struct loop *);
struct event_base	*loop_base(struct loop *);	/* for net/ only */
/* Called first by each libevent callback of net/: reads the clocks once per wake. */
void			 loop_woke(struct loop *);
/* What net/ caches per loop; zeroed at first. */
enum loop_slot { LOOP_SLOT_CONN, LOOP_SLOT_TLS, LOOP_SLOTS };
void			**loop_slot(struct loop *, enum loop_slot);
/* One turn, for tests and for loop_run(); wait: block until something happens. */
void			 loop_turn(struct loop *, bool wait);
/* Big enough for one read of anything (64 KiB); contents die at the next callback. */
#define LOOP_SCRATCH	65536
char			*loop_scratch(struct loop *);

/* The only way from one thread to another.  Embedded in the object; never allocates. */
struct loop_msg {
	struct loop_msg *next;
	void (*deliver)(struct loop_msg *);	/* runs on the loop's thread */
};
/* Any thread.  A message must not be posted again before it was delivered. */
void	loop_post(struct loop *, struct loop_msg *);
/*
 * Delivers what was posted to a loop that has ended, once nobody else runs: messages own
 * memory.  Any thread; true: there was some, which may have posted more.
 */
bool	loop_deliver_rest(struct loop *);

/*
 * A deadline on the loop's timing wheel (granularity 4 ms).  Zeroed is disarmed.
 * Arming again later than before costs nothing (lazy).
 */
struct timer {
	struct list link;
	uint64_t deadline;	/* monotonic ms, 0: disarmed */
	uint64_t slotted;	/* deadline under which it sits on the wheel */
	void (*fire)(struct timer *);
	struct loop *loop;
};
/* fire is called once, on the loop's thread, not before `msec` have passed. */
void	timer_arm(struct loop *, struct timer *, uint64_t msec, void (*fire)(struct timer *));
void	timer_cancel(struct timer *);	/* disarmed is allowed */
static inline bool
timer_is_armed(const struct timer *t)
{
	return (t->deadline != 0);
}

/*
 * Work for later on this loop: `ready` runs after the events of this turn (again next turn if it
 * re-adds itself), `end` before the logs are flushed. Zeroed is idle.
 */
struct task {
	struct list link;
	void (*run)(struct task *);
};
void	loop_ready(struct loop *, struct task *);	/* adding twice is adding once */
void	loop_at_end(struct loop *, struct task *);
/*
 * Runs once, on the loop's thread, when loop_run() ends (loop_free() where it never ran), last
 * added first: for what a thread caches.
 */
void	loop_at_exit(struct loop *, struct task *);
void	task_cancel(struct task *);	/* idle is allowed */

/* Two-phase death: fd (or -1) is closed and free_fn(arg) called at the end of this turn. */
struct grave {
	struct list link;
	int fd;
	void (*free_fn)(void *);
	void *arg;
};
void	loop_bury(struct loop *, struct grave *, int fd, void (*free_fn)(void *), void *arg);

#endif
