/* net/loop.c and net/wheel.c: deadlines, the order of a turn, messages between threads. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/loop.h"
#include "net/wheel.h"
#include "../unit.h"

/* --- the wheel, without a clock --- */

static struct wheel wheel;

/* Every deadline, over all levels, comes out not early and at most one tick late. */
START_TEST(wheel_is_exact)
{
	static const uint64_t waits[] = { 0, 1, 3, 4, 5, 63, 255, 256, 257, 1000, 4095, 16383,
		16384, 16385, 60000, 65536, 3600000, 86400000, 1ULL << 32 };
	enum { COUNT = sizeof(waits) / sizeof(waits[0]) };
	struct timer timers[COUNT];
	uint64_t start = 1234567 + (uint64_t)_i * 251, now = start;
	size_t seen = 0;

	memset(timers, 0, sizeof(timers));
	wheel_init(&wheel, 1000);
	struct list due = LIST_INIT(due);
	wheel_advance(&wheel, now, &due);
	for (size_t i = 0; i < COUNT; i++) {
		timers[i].deadline = now + waits[i];
		wheel_add(&wheel, &timers[i]);
	}
	while ((now = wheel_next(&wheel)) != UINT64_MAX) {
		struct list *it;

		wheel_advance(&wheel, now, &due);
		while ((it = list_pop(&due)) != NULL) {
			struct timer *t = list_item(it, struct timer, link);

			ck_assert_ptr_eq(t, &timers[seen]);
			ck_assert_uint_ge(now, t->deadline);
			ck_assert_uint_le(now - t->deadline, 2 * WHEEL_TICK_MS);
			seen++;
		}
	}
	ck_assert_uint_eq(seen, COUNT);
}
END_TEST

/* Random timers, random steps: the same set as a naive list would give. */
START_TEST(wheel_agrees_with_a_list)
{
	enum { COUNT = 2000 };
	static struct timer timers[COUNT];
	struct list due = LIST_INIT(due), *it;
	uint64_t now = 5000;
	unsigned left = COUNT;

	srandom((unsigned)_i + 1);
	memset(timers, 0, sizeof(timers));
	wheel_init(&wheel, now);
	for (int i = 0; i < COUNT; i++) {
		timers[i].deadline = now + (uint64_t)(random() % (i % 3 == 0 ? 100 : 100000));
		wheel_add(&wheel, &timers[i]);
	}
	while (left > 0) {
		now += (uint64_t)(random() % 700);
		wheel_advance(&wheel, now, &due);
		while ((it = list_pop(&due)) != NULL) {
			struct timer *t = list_item(it, struct timer, link);

			ck_assert_uint_le(t->deadline, now);
			if (random() % 4 == 0) {	/* moved while it was due */
				t->deadline = now + (uint64_t)(random() % 1000);
				wheel_add(&wheel, t);
				continue;
			}
			t->deadline = UINT64_MAX / 2;
			left--;
		}
		for (int i = 0; i < COUNT; i++)
			ck_assert(timers[i].deadline + 2 * WHEEL_TICK_MS > now);
	}
}
END_TEST

/* --- the loop --- */

static struct loop *loop;
static char order[64];
static size_t order_len;

static void
setup(void)
{
	loop = loop_new(3);
	ck_assert_ptr_nonnull(loop);
	order_len = 0;
	memset(order, 0, sizeof(order));
}

static void
teardown(void)
{
	loop_free(loop);
	buf_cache_free();
}

static void
note(char c)
{
	ck_assert_uint_lt(order_len, sizeof(order) - 1);
	order[order_len++] = c;
}

struct named_timer {
	struct timer timer;
	char name;
	uint64_t due;
};

static void
timer_notes(struct timer *t)
{
	struct named_timer *n = (struct named_timer *)t;

	note(n->name);
	ck_assert(!timer_is_armed(t));
	ck_assert_uint_ge(clock_mono_ms(), n->due);
}

static void
arm(struct named_timer *n, char name, uint64_t msec)
{
	n->name = name;
	n->due = clock_mono_ms() + msec;
	timer_arm(loop, &n->timer, msec, timer_notes);
}

static void
timer_stops(struct timer *t)
{
	loop_stop(t->loop);
}

START_TEST(timers_fire_in_order)
{
	struct named_timer a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
	struct timer stop = { 0 };

	timer_arm(loop, &stop, 90, timer_stops);
	arm(&a, 'a', 60);
	arm(&b, 'b', 10);
	arm(&c, 'c', 30);
	arm(&d, 'd', 0);
	loop_run(loop);
	ck_assert_str_eq(order, "dbca");
}
END_TEST

START_TEST(timer_moves_and_dies)
{
	struct named_timer later = { 0 }, sooner = { 0 }, never = { 0 };
	struct timer stop = { 0 };

	timer_arm(loop, &stop, 80, timer_stops);
	arm(&later, 'l', 5);
	arm(&later, 'l', 50);	/* lazily: stays in its slot */
	ck_assert_uint_lt(later.timer.slotted, later.timer.deadline);
	arm(&sooner, 's', 1000);
	arm(&sooner, 's', 20);
	arm(&never, 'n', 10);
	timer_cancel(&never.timer);
	timer_cancel(&never.timer);
	ck_assert(!timer_is_armed(&never.timer));
	loop_run(loop);
	ck_assert_str_eq(order, "sl");
}
END_TEST

static struct named_timer victim;

static void
timer_kills(struct timer *t)
{
	(void)t;
	note('k');
	timer_cancel(&victim.timer);
}

static void
timer_delays(struct timer *t)
{
	(void)t;
	note('d');
	arm(&victim, 'v', 20);
}

/* Both are due in the same turn; the first to fire cancels or delays the second. */
START_TEST(timer_changes_one_that_is_due)
{
	struct timer first = { 0 }, stop = { 0 };

	memset(&victim, 0, sizeof(victim));
	timer_arm(loop, &first, 4, _i == 0 ? timer_kills : timer_delays);
	arm(&victim, 'v', 4);
	timer_arm(loop, &stop, 60, timer_stops);
	usleep(20000);	/* makes them due together */
	loop_run(loop);
	ck_assert_str_eq(order, _i == 0 ? "k" : "dv");
}
END_TEST

struct named_task {
	struct task task;
	char name;
	int repeats;
	bool at_end;
};

static void
task_notes(struct task *t)
{
	struct named_task *n = (struct named_task *)t;

	note(n->name);
	if (n->repeats-- <= 0)
		return;
	if (n->at_end)
		loop_at_end(loop, t);
	else
		loop_ready(loop, t);
}

static struct grave grave;
static int grave_fd;

static void
grave_notes(void *arg)
{
	ck_assert_int_eq(fcntl(grave_fd, F_GETFD), -1);
	note(*(char *)arg);
}

static void
msg_notes(struct loop_msg *m)
{
	(void)m;
	note('m');
}

START_TEST(turn_has_its_order)
{
	struct named_task ready = { { .run = task_notes }, 'r', 1, false };
	struct named_task end = { { .run = task_notes }, 'e', 0, true };
	struct named_task gone = { { .run = task_notes }, 'x', 0, false };
	struct loop_msg msg = { .deliver = msg_notes };
	char name = 'g';

	grave_fd = dup(0);
	ck_assert_int_ne(grave_fd, -1);
	loop_bury(loop, &grave, grave_fd, grave_notes, &name);
	loop_at_end(loop, &end.task);
	loop_ready(loop, &ready.task);
	loop_ready(loop, &ready.task);
	loop_ready(loop, &gone.task);
	task_cancel(&gone.task);
	task_cancel(&gone.task);
	loop_post(loop, &msg);
	loop_turn(loop, true);
	ck_assert_str_eq(order, "mreg");
	loop_turn(loop, true);	/* does not block: the task re-added itself */
	ck_assert_str_eq(order, "mregr");
}
END_TEST

START_TEST(exit_tasks_run_last_first)
{
	struct named_task a = { { .run = task_notes }, 'a', 0, false };
	struct named_task b = { { .run = task_notes }, 'b', 0, false };

	loop_at_exit(loop, &a.task);
	loop_at_exit(loop, &b.task);
	loop_stop(loop);
	loop_run(loop);
	ck_assert_str_eq(order, "ba");
}
END_TEST

/* --- messages --- */

enum { POSTERS = 4, POSTS = 5000 };

struct counted_msg {
	struct loop_msg msg;
	unsigned poster, number;
};

static struct counted_msg msgs[POSTERS][POSTS];
static unsigned next_of[POSTERS], delivered;

static void
msg_counts(struct loop_msg *m)
{
	struct counted_msg *c = (struct counted_msg *)m;

	ck_assert_uint_eq(c->number, next_of[c->poster]);	/* each poster's in order */
	next_of[c->poster]++;
	if (++delivered == POSTERS * POSTS)
		loop_stop(loop);
}

static void *
poster_run(void *arg)
{
	struct counted_msg *mine = arg;

	for (unsigned i = 0; i < POSTS; i++) {
		loop_post(loop, &mine[i].msg);
		if (i % 64 == 0)
			sched_yield();
	}
	return (NULL);
}

START_TEST(threads_post)
{
	pthread_t threads[POSTERS];

	delivered = 0;
	memset(next_of, 0, sizeof(next_of));
	for (unsigned p = 0; p < POSTERS; p++) {
		for (unsigned i = 0; i < POSTS; i++)
			msgs[p][i] = (struct counted_msg){ { NULL, msg_counts }, p, i };
		ck_assert_int_eq(pthread_create(&threads[p], NULL, poster_run, msgs[p]), 0);
	}
	loop_run(loop);
	for (unsigned p = 0; p < POSTERS; p++)
		pthread_join(threads[p], NULL);
	ck_assert_uint_eq(delivered, POSTERS * POSTS);
}
END_TEST

START_TEST(ended_loop_has_mail)
{
	struct counted_msg late = { { NULL, msg_counts }, 0, 0 };
	struct timer stop = { 0 };

	delivered = next_of[0] = 0;
	ck_assert(!loop_deliver_rest(loop));
	timer_arm(loop, &stop, 0, timer_stops);
	loop_run(loop);
	loop_post(loop, &late.msg);
	ck_assert(loop_deliver_rest(loop));
	ck_assert_uint_eq(delivered, 1);
	ck_assert(!loop_deliver_rest(loop));
}
END_TEST

struct ping {
	struct loop_msg msg;
	struct loop *other;
	unsigned left;
};

static struct loop *loops[2];

/* Bounces between two loops: each post wakes a sleeping loop. */
static void
ping_deliver(struct loop_msg *m)
{
	struct ping *p = (struct ping *)m;
	struct loop *to = p->other;

	if (p->left-- == 0) {
		loop_stop(loops[0]);
		loop_stop(loops[1]);
		return;
	}
	p->other = to == loops[0] ? loops[1] : loops[0];
	loop_post(to, m);
}

static void *
loop_thread(void *arg)
{
	loop_run(arg);
	buf_cache_free();
	return (NULL);
}

START_TEST(loops_talk)
{
	struct ping ping = { { NULL, ping_deliver }, NULL, 2000 };
	pthread_t thread;

	loops[0] = loop;
	loops[1] = loop_new(1);
	ping.other = loops[1];
	ck_assert_int_eq(pthread_create(&thread, NULL, loop_thread, loops[1]), 0);
	loop_post(loops[0], &ping.msg);
	loop_run(loops[0]);
	pthread_join(thread, NULL);
	loop_free(loops[1]);
}
END_TEST

START_TEST(index_and_scratch)
{
	ck_assert_uint_eq(loop_index(loop), 3);
	memset(loop_scratch(loop), 1, LOOP_SCRATCH);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_loop_test(t, wheel_is_exact, 0, 40);
	tcase_add_loop_test(t, wheel_agrees_with_a_list, 0, 5);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, timers_fire_in_order);
	tcase_add_test(t, timer_moves_and_dies);
	tcase_add_loop_test(t, timer_changes_one_that_is_due, 0, 2);
	tcase_add_test(t, turn_has_its_order);
	tcase_add_test(t, exit_tasks_run_last_first);
	tcase_add_test(t, threads_post);
	tcase_add_test(t, ended_loop_has_mail);
	tcase_add_test(t, loops_talk);
	tcase_add_test(t, index_and_scratch);
}

int
main(void)
{
	return (unit_main("net/loop", add));
}
