/*
 * The worker's threads: each runs one loop, accepts on its own sockets, opens
 * sessions.  Owned by worker.c.  A configuration arrives as a message; the one
 * it replaces is retired here, and given back when the loop's last pin is gone.
 *
 *	thread:    adopt -> accepting <-> full -> draining -> drained -> (all are) ended
 *	sockets:   a group of n sockets, thread i of t owns those with number % t == i;
 *	           fewer sockets than threads: each is shared by several threads
 */
#include "main/thread.h"

#include <sys/eventfd.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/access_log.h"
#include "http/file.h"
#include "http/session.h"
#include "http/tally.h"

#define FULL_SAID_MS	1000	/* "not enough" is said at most so often */

/* A listening socket on this loop. */
struct acceptor {
	struct list link;
	struct thread *thread;
	struct addr addr;
	const struct listen *listen;	/* of the thread's current configuration */
	struct listener *listener;
};

struct adoption {
	struct loop_msg msg;
	struct thread *thread;
	struct generation *gen;
};

static void
crew_wake(const struct crew *crew)
{
	/* Fails only when it is full of wake-ups already. */
	(void)eventfd_write(crew->wake_fd, 1);
}

/* --- accepting --- */

static void
acceptor_free(struct acceptor *a)
{
	list_remove(&a->link);
	listener_free(a->listener);
	free(a);
}

static void
acceptors_free(struct thread *t)
{
	t->full = false;
	LIST_EACH_SAFE(&t->acceptors, it, after)
		acceptor_free(list_item(it, struct acceptor, link));
}

/* Accepts again where there is room. */
static void
thread_look_for_room(struct thread *t)
{
	if (!t->full || t->http.connections >= t->http.connections_max)
		return;
	t->full = false;
	LIST_EACH(&t->acceptors, it)
		listener_resume(list_item(it, struct acceptor, link)->listener);
}

/* New connections wait in the kernel until one ends. */
static void
thread_set_full(struct thread *t)
{
	uint64_t now = clock_mono_ms();

	if (t->full)
		return;
	t->full = true;
	LIST_EACH(&t->acceptors, it)
		listener_pause(list_item(it, struct acceptor, link)->listener, 0);
	if (t->full_said_ms != 0 && now - t->full_said_ms < FULL_SAID_MS)
		return;
	t->full_said_ms = now;
	if (t->http.connections_max < t->crew->descriptors)
		log_main(LOG_ALERT, 0, "%u worker_connections are not enough",
		    t->http.connections_max);
	else
		log_main(LOG_CRIT, EMFILE, "%u connections are all that worker_rlimit_nofile leaves "
		    "this thread", t->http.connections_max);
}

static void
connection_accepted(int fd, const struct addr *peer, void *arg)
{
	struct acceptor *a = arg;
	struct thread *t = a->thread;

	session_open(&t->http, a->listen, fd, peer);
	if (t->http.connections >= t->http.connections_max)
		thread_set_full(t);
}

/* The loop goes on while others serve: names are resolved on one of them for all. */
static void
thread_look_for_end(struct thread *t)
{
	if (t->drained || !t->http.draining || !list_is_empty(&t->http.sessions))
		return;
	t->drained = true;
	if (atomic_fetch_sub(&t->crew->serving, 1) == 1)
		crew_wake(t->crew);
}

static void
connection_closed(struct http_thread *http)
{
	struct thread *t = list_item(http, struct thread, http);

	thread_look_for_room(t);
	thread_look_for_end(t);
}

static void
acceptor_add(struct thread *t, const struct listen *l, int fd, bool shared)
{
	struct acceptor *a = xcalloc(1, sizeof(*a));

	a->thread = t;
	a->addr = l->addr;
	a->listen = l;
	a->listener = listener_new(t->loop, fd, shared, connection_accepted, a);
	if (a->listener == NULL) {
		log_main(LOG_ALERT, errno, "no listener for " STR_FMT, STR_ARG(l->text));
		free(a);
		return;
	}
	if (t->full)
		listener_pause(a->listener, 0);
	list_push_back(&t->acceptors, &a->link);
}

static void
listen_start(struct thread *t, const struct listen *l)
{
	const struct socket_group *group = sockets_find(t->crew->sockets, &l->addr);
	unsigned threads = t->crew->count;

	if (group == NULL || group->count == 0) {
		log_main(LOG_ALERT, 0, "no socket was handed over for " STR_FMT, STR_ARG(l->text));
		return;
	}
	for (unsigned i = t->index; i < group->count; i += threads)
		acceptor_add(t, l, group->fds[i], group->count < threads &&
		    i + group->count < threads);
	if (t->index >= group->count)
		acceptor_add(t, l, group->fds[t->index % group->count], true);
}

static bool
listen_is_started(const struct thread *t, const struct listen *l)
{
	LIST_EACH(&t->acceptors, it)
		if (list_item(it, struct acceptor, link)->listen == l)
			return (true);
	return (false);
}

/* Listeners of addresses that stay go on, those of removed ones end, new ones start. */
static void
acceptors_adopt(struct thread *t, const struct generation *gen)
{
	LIST_EACH_SAFE(&t->acceptors, it, after) {
		struct acceptor *a = list_item(it, struct acceptor, link);

		a->listen = generation_listen(gen, &a->addr);
		if (a->listen == NULL)
			acceptor_free(a);
	}
	VEC_EACH(&gen->http->listens, struct listen *, it)
		if ((*it)->wildcard == NULL && !listen_is_started(t, *it))
			listen_start(t, *it);
}

/* --- configurations --- */

/* The last of a configuration's pins on this loop is gone, and it is not current. */
static void
generation_unpinned(struct http_conf *http, unsigned loop)
{
	struct generation *gen = http->generation;
	const struct crew *crew = gen->adoptions[loop].thread->crew;

	if (atomic_fetch_sub(&gen->holding, 1) == 1)
		crew_wake(crew);
}

static void
adoption_deliver(struct loop_msg *msg)
{
	struct adoption *adoption = list_item(msg, struct adoption, msg);
	struct thread *t = adoption->thread;
	struct generation *gen = adoption->gen;
	struct http_conf *before = t->http.current;

	t->http.connections_max = (unsigned)(gen->process->connections < t->crew->descriptors ?
	    gen->process->connections : t->crew->descriptors);
	t->http.backends_max = t->crew->descriptors / 3 + 1;
	if (!t->http.draining)
		acceptors_adopt(t, gen);
	session_adopt_conf(&t->http, gen->http);
	thread_look_for_room(t);
	if (before != NULL) {
		before->retired[t->index] = true;
		if (before->pins[t->index] == 0)
			generation_unpinned(before, t->index);
	}
	if (atomic_fetch_sub(&gen->adopting, 1) == 1)
		crew_wake(t->crew);
}

void
crew_share_descriptors(struct crew *crew, uint64_t left)
{
	crew->descriptors = left / crew->count * 3 / 4;
	if (crew->descriptors == 0)
		crew->descriptors = 1;
}

void
crew_adopt(struct crew *crew, struct generation *gen)
{
	struct http_conf *http = gen->http;

	http->pins = pool_zalloc(gen->pool, crew->count * sizeof(*http->pins));
	http->retired = pool_zalloc(gen->pool, crew->count * sizeof(*http->retired));
	http->unpinned = generation_unpinned;
	if (http->next != NULL) {	/* stream {}: what uses either uses the generation */
		http->next->pins = http->pins;
		http->next->retired = http->retired;
		http->next->unpinned = http->unpinned;
		http->next->generation = gen;
	}
	gen->adoptions = pool_zalloc(gen->pool, crew->count * sizeof(*gen->adoptions));
	atomic_init(&gen->adopting, crew->count);
	atomic_init(&gen->holding, crew->count);
	for (unsigned i = 0; i < crew->count; i++)
		gen->adoptions[i] = (struct adoption){ { NULL, adoption_deliver },
		    &crew->threads[i], gen };
	/* From here on the loops have it. */
	for (unsigned i = 0; i < crew->count; i++)
		loop_post(crew->threads[i].loop, &gen->adoptions[i].msg);
}

/* --- orders --- */

static void
drain_deliver(struct loop_msg *msg)
{
	struct thread *t = list_item(msg, struct order, msg)->thread;

	acceptors_free(t);
	if (atomic_fetch_sub(&t->crew->accepting, 1) == 1)
		crew_wake(t->crew);
	session_drain_all(&t->http);
	thread_look_for_end(t);
}

static void
stop_deliver(struct loop_msg *msg)
{
	struct thread *t = list_item(msg, struct order, msg)->thread;

	acceptors_free(t);
	session_close_all(&t->http);
	loop_stop(t->loop);
}

static void
flush_deliver(struct loop_msg *msg)
{
	struct thread *t = list_item(msg, struct order, msg)->thread;

	log_flush(true);
	if (atomic_fetch_sub(&t->crew->flushing, 1) == 1)
		crew_wake(t->crew);
}

static void (*const order_deliver[ORDER_KINDS])(struct loop_msg *) = {
	[ORDER_DRAIN] = drain_deliver,
	[ORDER_STOP] = stop_deliver,
	[ORDER_FLUSH] = flush_deliver,
};

void
crew_order(struct crew *crew, enum order_kind kind)
{
	if (kind == ORDER_FLUSH)
		atomic_store(&crew->flushing, crew->count);
	for (unsigned i = 0; i < crew->count; i++) {
		struct thread *t = &crew->threads[i];

		if (t->loop == NULL || (kind != ORDER_FLUSH && (t->ordered & 1u << kind) != 0))
			continue;
		t->ordered |= 1u << kind;
		t->orders[kind] = (struct order){ { NULL, order_deliver[kind] }, t };
		loop_post(t->loop, &t->orders[kind].msg);
	}
}

/* --- life --- */

static void *
thread_main(void *arg)
{
	struct thread *t = arg;

	loop_run(t->loop);
	access_log_thread_end();
	/* A loop that ended owes the first thread nothing more; its last word is this one. */
	buf_cache_free();
	pool_cache_free();
	atomic_fetch_sub(&t->crew->running, 1);
	crew_wake(t->crew);
	return (NULL);
}

int
crew_init(struct crew *crew, unsigned count, const struct sockets *sockets)
{
	*crew = (struct crew){ .sockets = sockets, .count = count, .accepting = count,
		.serving = count };
	crew->threads = xcalloc(count, sizeof(*crew->threads));
	crew->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (crew->wake_fd == -1) {
		log_main(LOG_EMERG, errno, "eventfd() failed");
		return (-1);
	}
	tally_begin(count);
	for (unsigned i = 0; i < count; i++) {
		struct thread *t = &crew->threads[i];

		t->crew = crew;
		t->index = i;
		list_init(&t->acceptors);
		list_init(&t->http.sessions);
		if ((t->loop = loop_new(i)) == NULL)
			return (-1);
		t->http.loop = t->loop;
		t->http.index = i;
		t->http.fields_scratch = xcalloc(FIELDS_SCRATCH, sizeof(*t->http.fields_scratch));
		t->http.tally = tally_of(i);
		t->http.files = file_cache_new();
		t->http.on_connection_closed = connection_closed;
	}
	return (0);
}

int
crew_start(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		struct thread *t = &crew->threads[i];
		int error = pthread_create(&t->id, NULL, thread_main, t);

		if (error != 0) {
			log_main(LOG_EMERG, error, "pthread_create() failed");
			return (-1);
		}
		t->started = true;
		atomic_fetch_add(&crew->running, 1);
	}
	return (0);
}

/* Threads end one after the other: what they said to those that had ended. */
static void
crew_deliver_rest(struct crew *crew)
{
	bool some;

	do {
		some = false;
		for (unsigned i = 0; i < crew->count; i++)
			if (crew->threads[i].loop != NULL &&
			    loop_deliver_rest(crew->threads[i].loop))
				some = true;
	} while (some);
}

void
crew_fini(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		struct thread *t = &crew->threads[i];

		if (t->started)
			(void)pthread_join(t->id, NULL);
	}
	crew_deliver_rest(crew);
	for (unsigned i = 0; i < crew->count; i++) {
		struct thread *t = &crew->threads[i];

		if (t->loop == NULL)
			continue;
		acceptors_free(t);
		loop_free(t->loop);
		file_cache_free(t->http.files);
		free(t->http.fields_scratch);
	}
	if (crew->wake_fd != -1)
		(void)close(crew->wake_fd);
	free(crew->threads);
}
