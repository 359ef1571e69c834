/*
 * A thread's event loop: the one place where libevent runs.  Owns the base,
 * the mailbox, the timing wheel, the lists of work for this turn and the dead.
 * Everything runs on the thread of loop_run() but loop_post() and loop_stop().
 *
 * The mailbox is a stack pushed by anybody and taken whole by the loop, which
 * turns it round; whoever pushes on an empty one writes the eventfd.  The
 * eventfd is watched edge-triggered and never read: each write is an edge.
 *
 * libevent calls us back with no hook before the first callback of a wake, so
 * each callback of net/ begins with loop_woke(), which reads the clocks once.
 */
#include "net/loop.h"

#include <sys/eventfd.h>

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/wheel.h"

/* A month and a half; more is no deadline. */
#define TIMER_MAX_MS	(1ULL << 32)

struct loop {
	struct event_base *base;
	unsigned index;
	void *slots[LOOP_SLOTS];

	bool awake;		/* the clocks were read in this turn */
	_Atomic bool stopping;

	int mailbox_fd;
	struct event mailbox_event;
	_Atomic(struct loop_msg *) mailbox;	/* last posted first */

	struct wheel wheel;
	struct event wheel_event;
	uint64_t wheel_wakes_at;	/* when wheel_event will fire, ms; UINT64_MAX: not added */

	struct list ready;
	struct list at_end;
	struct list at_exit;
	struct list graves;

	char scratch[LOOP_SCRATCH];
};

static bool
is_linked(const struct list *l)
{
	return (l->next != NULL && l->next != l);
}

static void
loop_on_mailbox(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	loop_woke(arg);		/* messages are delivered after the events of the turn */
}

static void
loop_on_wheel(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	loop_woke(l);
	l->wheel_wakes_at = UINT64_MAX;
}

static struct event_base *
base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config != NULL &&
	    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE) == 0 &&
	    event_config_set_flag(config,
	    EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0)
		base = event_base_new_with_config(config);
	if (config != NULL)
		event_config_free(config);
	return (base);
}

struct loop *
loop_new(unsigned index)
{
	struct loop *l = xcalloc(1, sizeof(*l));

	clock_update();
	l->index = index;
	l->mailbox_fd = -1;
	l->wheel_wakes_at = UINT64_MAX;
	wheel_init(&l->wheel, clock_mono_ms());
	list_init(&l->ready);
	list_init(&l->at_end);
	list_init(&l->at_exit);
	list_init(&l->graves);
	if ((l->base = base_new()) == NULL) {
		log_main(LOG_EMERG, 0,
		    "no event base with edge-triggered events and early close (epoll)");
		goto fail;
	}
	if ((l->mailbox_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) == -1) {
		log_main(LOG_EMERG, errno, "eventfd() failed");
		goto fail;
	}
	if (event_assign(&l->mailbox_event, l->base, l->mailbox_fd,
	    EV_READ | EV_ET | EV_PERSIST, loop_on_mailbox, l) == -1 ||
	    event_add(&l->mailbox_event, NULL) == -1 ||
	    event_assign(&l->wheel_event, l->base, -1, 0, loop_on_wheel, l) == -1) {
		log_main(LOG_EMERG, errno, "event_add() failed");
		goto fail;
	}
	return (l);
fail:
	if (l->mailbox_fd != -1)
		close(l->mailbox_fd);
	if (l->base != NULL)
		event_base_free(l->base);
	free(l);
	return (NULL);
}

/* The list as it is now; what is added meanwhile waits for the next turn. */
static void
run_tasks(struct list *tasks)
{
	struct list now = LIST_INIT(now), *it;

	while ((it = list_pop(tasks)) != NULL)
		list_push_back(&now, it);
	while ((it = list_pop(&now)) != NULL) {
		struct task *t = list_item(it, struct task, link);

		t->run(t);
	}
}

/* All descriptors first, so that what free_fn says to others comes after. */
static void
bury_dead(struct loop *l)
{
	struct list *it;

	while (!list_is_empty(&l->graves)) {
		struct list dead = LIST_INIT(dead);

		LIST_EACH(&l->graves, g) {
			struct grave *grave = list_item(g, struct grave, link);

			if (grave->fd != -1)
				close(grave->fd);
		}
		while ((it = list_pop(&l->graves)) != NULL)
			list_push_back(&dead, it);
		while ((it = list_pop(&dead)) != NULL) {
			struct grave *grave = list_item(it, struct grave, link);

			grave->free_fn(grave->arg);
		}
	}
}

static void
run_exits(struct loop *l)
{
	struct list *it;

	bury_dead(l);
	while ((it = list_pop(&l->at_exit)) != NULL) {
		struct task *t = list_item(it, struct task, link);

		t->run(t);
		bury_dead(l);
	}
}

void
loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	run_exits(l);
	event_del(&l->wheel_event);
	event_del(&l->mailbox_event);
	event_base_free(l->base);
	close(l->mailbox_fd);
	free(l);
}

static bool
deliver_mail(struct loop *l)
{
	struct loop_msg *posted, *next, *first = NULL;

	posted = atomic_exchange_explicit(&l->mailbox, NULL, memory_order_acquire);
	if (posted == NULL)
		return (false);
	for (; posted != NULL; posted = next) {
		next = posted->next;
		posted->next = first;
		first = posted;
	}
	for (; first != NULL; first = next) {
		next = first->next;
		first->deliver(first);
	}
	return (true);
}

bool
loop_deliver_rest(struct loop *l)
{
	bool some = deliver_mail(l);

	bury_dead(l);
	return (some);
}

static void
fire_timers(struct loop *l)
{
	struct list due = LIST_INIT(due), *it;
	uint64_t now = clock_mono_ms();

	wheel_advance(&l->wheel, now, &due);
	while ((it = list_pop(&due)) != NULL) {
		struct timer *t = list_item(it, struct timer, link);

		if (t->deadline > now) {	/* armed anew by one that fired before it */
			wheel_add(&l->wheel, t);
			continue;
		}
		t->deadline = 0;
		t->fire(t);
	}
}

/* Makes libevent wake us for the wheel, unless it will earlier anyway. */
static void
arm_wheel(struct loop *l)
{
	uint64_t next = wheel_next(&l->wheel), now = clock_mono_ms(), wait;
	struct timeval tv;

	if (log_due() < next)
		next = log_due();
	if (next >= l->wheel_wakes_at)
		return;
	wait = next > now ? next - now : 0;
	tv.tv_sec = (time_t)(wait / 1000);
	tv.tv_usec = (suseconds_t)(wait % 1000 * 1000);
	if (event_add(&l->wheel_event, &tv) == -1)
		abort();	/* only out of memory */
	l->wheel_wakes_at = next;
}

void
loop_turn(struct loop *l, bool wait)
{
	int flags = EVLOOP_ONCE;

	if (!wait || !list_is_empty(&l->ready) || !list_is_empty(&l->at_end) ||
	    atomic_load_explicit(&l->mailbox, memory_order_relaxed) != NULL)
		flags |= EVLOOP_NONBLOCK;
	arm_wheel(l);
	l->awake = false;
	if (event_base_loop(l->base, flags) == -1) {
		log_main(LOG_ALERT, errno, "event_base_loop() failed");
		abort();
	}
	loop_woke(l);
	fire_timers(l);
	(void)deliver_mail(l);
	run_tasks(&l->ready);
	run_tasks(&l->at_end);
	log_flush(false);
	bury_dead(l);
}

void
loop_run(struct loop *l)
{
	log_thread_deferred(true);
	clock_update();
	while (!atomic_load_explicit(&l->stopping, memory_order_acquire))
		loop_turn(l, true);
	run_exits(l);
	atomic_store(&l->stopping, false);
	log_flush(true);
	log_thread_deferred(false);
}

static void
mailbox_wake(struct loop *l)
{
	/* Fails only when 2^64 - 1 writes were not read: then an edge is due anyway. */
	(void)eventfd_write(l->mailbox_fd, 1);
}

void
loop_stop(struct loop *l)
{
	atomic_store_explicit(&l->stopping, true, memory_order_release);
	mailbox_wake(l);
}

void
loop_post(struct loop *l, struct loop_msg *msg)
{
	struct loop_msg *head = atomic_load_explicit(&l->mailbox, memory_order_relaxed);

	do {
		msg->next = head;
	} while (!atomic_compare_exchange_weak_explicit(&l->mailbox, &head, msg,
	    memory_order_release, memory_order_relaxed));
	if (head == NULL)
		mailbox_wake(l);
}

void
loop_woke(struct loop *l)
{
	if (!l->awake) {
		l->awake = true;
		clock_update();
	}
}

unsigned
loop_index(const struct loop *l)
{
	return (l->index);
}

struct event_base *
loop_base(struct loop *l)
{
	return (l->base);
}

void **
loop_slot(struct loop *l, enum loop_slot slot)
{
	return (&l->slots[slot]);
}

char *
loop_scratch(struct loop *l)
{
	return (l->scratch);
}

void
timer_arm(struct loop *l, struct timer *t, uint64_t msec, void (*fire)(struct timer *))
{
	t->deadline = clock_mono_ms() + (msec < TIMER_MAX_MS ? msec : TIMER_MAX_MS);
	t->fire = fire;
	if (is_linked(&t->link)) {
		assert(t->loop == l);
		if (t->deadline >= t->slotted)
			return;
		list_remove(&t->link);
	}
	t->loop = l;
	wheel_add(&l->wheel, t);
}

void
timer_cancel(struct timer *t)
{
	if (is_linked(&t->link))
		list_remove(&t->link);
	t->deadline = 0;
}

static void
task_add(struct list *tasks, struct task *t)
{
	if (!is_linked(&t->link))
		list_push_back(tasks, &t->link);
}

void
loop_ready(struct loop *l, struct task *t)
{
	task_add(&l->ready, t);
}

void
loop_at_end(struct loop *l, struct task *t)
{
	task_add(&l->at_end, t);
}

void
loop_at_exit(struct loop *l, struct task *t)
{
	if (!is_linked(&t->link))
		list_push_front(&l->at_exit, &t->link);
}

void
task_cancel(struct task *t)
{
	if (is_linked(&t->link))
		list_remove(&t->link);
}

void
loop_bury(struct loop *l, struct grave *g, int fd, void (*free_fn)(void *), void *arg)
{
	g->fd = fd;
	g->free_fn = free_fn;
	g->arg = arg;
	list_push_back(&l->graves, &g->link);
}
