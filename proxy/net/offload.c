/*
 * The helper thread: takes jobs in order, one at a time, and sends each back
 * to its loop.  Submitting and cancelling happen on the job's loop; the lock
 * covers the queue alone.
 *
 *	queued -> under way -> posted -> done() or released()
 *	   \-> cancelled while queued: taken out, posted by the loop itself
 */
#include "net/offload.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct offload_job *first, **last;
	bool stopping;
	bool running;
	pthread_t thread;
} helper = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

/* On the job's loop: a cancelled job's done is what offload_cancel() was given. */
static void
job_deliver(struct loop_msg *msg)
{
	struct offload_job *job = (struct offload_job *)((char *)msg -
	    offsetof(struct offload_job, msg));

	job->done(job);
}

static struct offload_job *
job_take(void)
{
	struct offload_job *job;

	pthread_mutex_lock(&helper.lock);
	while (helper.first == NULL && !helper.stopping)
		pthread_cond_wait(&helper.wake, &helper.lock);
	job = helper.stopping ? NULL : helper.first;
	if (job != NULL && (helper.first = job->next) == NULL)
		helper.last = &helper.first;
	pthread_mutex_unlock(&helper.lock);
	return (job);
}

static void *
helper_run(void *arg)
{
	struct offload_job *job;

	(void)arg;
	while ((job = job_take()) != NULL) {
		job->work(job);
		loop_post(job->loop, &job->msg);
	}
	return (NULL);
}

int
offload_start(void)
{
	sigset_t all, before;
	int error;

	assert(!helper.running);
	helper.first = NULL;
	helper.last = &helper.first;
	helper.stopping = false;
	sigfillset(&all);	/* signals are for the threads that wait for them */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&helper.thread, NULL, helper_run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error != 0) {
		errno = error;
		return (-1);
	}
	helper.running = true;
	return (0);
}

void
offload_submit(struct offload_job *job)
{
	job->cancelled = false;
	job->msg.deliver = job_deliver;
	job->next = NULL;
	pthread_mutex_lock(&helper.lock);
	*helper.last = job;
	helper.last = &job->next;
	pthread_mutex_unlock(&helper.lock);
	pthread_cond_signal(&helper.wake);
}

/* True: it was still queued, and is no more. */
static bool
job_unqueue(struct offload_job *job)
{
	struct offload_job **at;
	bool found = false;

	pthread_mutex_lock(&helper.lock);
	for (at = &helper.first; *at != NULL && *at != job; at = &(*at)->next)
		;
	if (*at == job) {
		found = true;
		if ((*at = job->next) == NULL)
			helper.last = at;
	}
	pthread_mutex_unlock(&helper.lock);
	return (found);
}

void
offload_cancel(struct offload_job *job, void (*released)(struct offload_job *))
{
	assert(!job->cancelled);
	job->cancelled = true;
	job->done = released;
	if (job_unqueue(job))
		loop_post(job->loop, &job->msg);
}

void
offload_stop(void)
{
	if (!helper.running)
		return;
	pthread_mutex_lock(&helper.lock);
	helper.stopping = true;
	pthread_mutex_unlock(&helper.lock);
	pthread_cond_signal(&helper.wake);
	pthread_join(helper.thread, NULL);
	helper.running = false;
}
