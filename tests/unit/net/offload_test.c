/* net/offload.c: order, cancelling in each state of a job, stopping. */
#include <pthread.h>
#include <semaphore.h>

#include "net/offload.h"
#include "sockets.h"
#include "../unit.h"

static struct loop *loop;
static char order[16];
static size_t order_len;
static sem_t begun, go_on;

struct test_job {
	struct offload_job job;
	char name;
	bool waits;
	pthread_t ran_on;
};

static void
setup(void)
{
	loop = loop_new(0);
	order_len = 0;
	memset(order, 0, sizeof(order));
	sem_init(&begun, 0, 0);
	sem_init(&go_on, 0, 0);
	ck_assert_int_eq(offload_start(), 0);
}

static void
teardown(void)
{
	offload_stop();
	loop_free(loop);
}

static void
job_work(struct offload_job *job)
{
	struct test_job *t = (struct test_job *)job;

	t->ran_on = pthread_self();
	if (!t->waits)
		return;
	sem_post(&begun);
	sem_wait(&go_on);
}

static void
job_done(struct offload_job *job)
{
	ck_assert(!job->cancelled);
	order[order_len++] = ((struct test_job *)job)->name;
}

static void
job_released(struct offload_job *job)
{
	ck_assert(job->cancelled);
	order[order_len++] = (char)(((struct test_job *)job)->name - 'a' + 'A');
}

static void
submit(struct test_job *t, char name, bool waits)
{
	memset(t, 0, sizeof(*t));
	t->name = name;
	t->waits = waits;
	t->job.loop = loop;
	t->job.work = job_work;
	t->job.done = job_done;
	offload_submit(&t->job);
}

START_TEST(jobs_run_in_order_elsewhere)
{
	struct test_job a, b, c;

	submit(&a, 'a', false);
	submit(&b, 'b', false);
	submit(&c, 'c', false);
	TURN_UNTIL(loop, order_len == 3);
	ck_assert_str_eq(order, "abc");
	ck_assert(!pthread_equal(a.ran_on, pthread_self()));
}
END_TEST

START_TEST(cancelled_while_queued)
{
	struct test_job a, b, c;

	submit(&a, 'a', true);
	sem_wait(&begun);
	submit(&b, 'b', false);
	submit(&c, 'c', false);
	offload_cancel(&b.job, job_released);
	ck_assert_uint_eq(order_len, 0);	/* later, on the loop */
	TURN_UNTIL(loop, order_len == 1);
	offload_cancel(&c.job, job_released);	/* the last of the queue */
	submit(&b, 'd', false);
	sem_post(&go_on);
	TURN_UNTIL(loop, order_len == 4);
	ck_assert_int_eq(order[0], 'B');
	ck_assert_ptr_nonnull(strchr(order, 'C'));
	ck_assert(strchr(order, 'a') < strchr(order, 'd'));
}
END_TEST

START_TEST(cancelled_under_way)
{
	struct test_job a;

	submit(&a, 'a', true);
	sem_wait(&begun);
	offload_cancel(&a.job, job_released);
	turn_idle(loop);
	ck_assert_uint_eq(order_len, 0);
	sem_post(&go_on);
	TURN_UNTIL(loop, order_len == 1);
	ck_assert_str_eq(order, "A");
}
END_TEST

START_TEST(cancelled_when_posted)
{
	struct test_job a, b;

	submit(&a, 'a', false);
	submit(&b, 'b', true);
	sem_wait(&begun);	/* a's result is in the mailbox */
	offload_cancel(&a.job, job_released);
	sem_post(&go_on);
	TURN_UNTIL(loop, order_len == 2);
	ck_assert_str_eq(order, "Ab");
}
END_TEST

START_TEST(stop_waits_and_starts_again)
{
	struct test_job a;

	submit(&a, 'a', false);
	TURN_UNTIL(loop, order_len == 1);
	offload_stop();
	offload_stop();
	ck_assert_int_eq(offload_start(), 0);
	submit(&a, 'b', false);
	TURN_UNTIL(loop, order_len == 2);
}
END_TEST

static void
add(TCase *t)
{
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, jobs_run_in_order_elsewhere);
	tcase_add_test(t, cancelled_while_queued);
	tcase_add_test(t, cancelled_under_way);
	tcase_add_test(t, cancelled_when_posted);
	tcase_add_test(t, stop_waits_and_starts_again);
}

int
main(void)
{
	return (unit_main("net/offload", add));
}
