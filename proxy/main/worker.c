/*
 * The worker process' first thread.  It runs no loop: it waits for the master,
 * for signals and for what the loops report, and loads configurations, which
 * may block for as long as it likes.  Called by master.c after the fork.
 *
 *	        +----------- RECORD, COMMIT ----------+
 *	        v                                     |
 *	start: ADOPTING -> (READY, ADOPTED) -> SERVING -> DRAINING -> STOPPING -> end
 *
 * Without its master it ends: nobody would respawn or reload it, and the
 * next start would find its addresses taken.
 */
#include "main/worker.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "main/handover.h"
#include "main/privilege.h"
#include "main/thread.h"
#include "main/title.h"
#include "net/offload.h"

enum worker_state {
	WORKER_ADOPTING,	/* loops are switching to `current` */
	WORKER_SERVING,
	WORKER_DRAINING,
	WORKER_STOPPING,
	WORKER_ENDED
};

/* A log's new descriptor that waits until the loops have flushed. */
struct replacement {
	struct replacement *next;
	struct str path;
	int fd;
};

struct worker {
	const struct options *options;
	struct logs *logs;
	struct sockets *sockets;
	int channel;
	int signal_fd;
	enum worker_state state;
	struct crew crew;

	struct generation *current;	/* published last */
	struct generation *older;	/* still held by a loop */
	struct generation *loaded;	/* waits for COMMIT */
	uint32_t serial;		/* of current, 0: the one of the start */
	uint64_t stop_at;		/* worker_shutdown_timeout, monotonic ms; 0: none */
	struct replacement *replacements;
	bool flushing;
};

/* --- ends --- */

static void
worker_stop(struct worker *w)
{
	if (w->state >= WORKER_STOPPING)
		return;
	log_main(LOG_NOTICE, 0, "exiting");
	w->state = WORKER_STOPPING;
	crew_order(&w->crew, ORDER_STOP);
}

static void
worker_drain(struct worker *w)
{
	uint64_t timeout = w->current->process->shutdown_timeout;

	if (w->state >= WORKER_DRAINING)
		return;
	log_main(LOG_NOTICE, 0, "gracefully shutting down");
	title_set("worker process is shutting down");
	w->state = WORKER_DRAINING;
	if (timeout != 0)
		w->stop_at = clock_mono_ms() + timeout;
	crew_order(&w->crew, ORDER_DRAIN);
}

/* --- what the loops report --- */

static void
generations_free_unheld(struct worker *w)
{
	struct generation **it = &w->older;
	bool freed = false;

	while (*it != NULL) {
		struct generation *gen = *it;

		if (atomic_load(&gen->holding) != 0) {
			it = &gen->next;
			continue;
		}
		*it = gen->next;
		generation_free(gen);
		freed = true;
	}
	if (freed)
		logs_sweep(w->logs);
}

static void
worker_adopted(struct worker *w)
{
	w->state = WORKER_SERVING;
	sockets_commit(w->sockets, w->current, false);
	if (handover_say(w->channel, w->serial == 0 ? PARCEL_READY : PARCEL_ADOPTED,
	    w->serial) != 0)
		worker_stop(w);
}

static void
replacements_apply(struct worker *w)
{
	struct replacement *r;

	while ((r = w->replacements) != NULL) {
		w->replacements = r->next;
		logs_replace(w->logs, r->path, r->fd);
		free(r);
	}
	w->flushing = false;
}

static void
crew_reported(struct worker *w)
{
	eventfd_t count;

	(void)eventfd_read(w->crew.wake_fd, &count);
	if (w->state == WORKER_ADOPTING && atomic_load(&w->current->adopting) == 0)
		worker_adopted(w);
	if (w->flushing && atomic_load(&w->crew.flushing) == 0)
		replacements_apply(w);
	/* Closed, so that clients hear at once that nobody accepts. */
	if (w->state == WORKER_DRAINING && atomic_load(&w->crew.accepting) == 0)
		sockets_close(w->sockets, false);
	if (w->state == WORKER_DRAINING && atomic_load(&w->crew.serving) == 0)
		worker_stop(w);
	generations_free_unheld(w);
	if (w->state >= WORKER_DRAINING && atomic_load(&w->crew.running) == 0)
		w->state = WORKER_ENDED;
}

/* --- configurations --- */

static void
generation_publish(struct worker *w, struct generation *gen, uint32_t serial)
{
	log_set_default(gen->log);
	if (w->current != NULL) {
		w->current->next = w->older;
		w->older = w->current;
	}
	w->current = gen;
	w->serial = serial;
	w->state = WORKER_ADOPTING;
	crew_adopt(&w->crew, gen);
}

static void
loaded_drop(struct worker *w)
{
	generation_free(w->loaded);
	w->loaded = NULL;
	sockets_abandon(w->sockets, false);
	logs_sweep(w->logs);
}

/* The master has said already what is to be said about the file: only errors are news. */
static struct generation *
record_load(struct worker *w, int fd)
{
	struct log errors = { .file = w->current->log->file, .level = LOG_ERR };
	struct generation_input in = { .options = w->options, .logs = w->logs,
		.messages = &errors };
	struct generation *gen = NULL;
	struct pool *pool = pool_new(0);
	struct str record;

	if (!handover_file_read(fd, pool, &record))
		log_main(LOG_ALERT, errno, "reading the configuration's record failed");
	else if ((in.source = conf_source_replay(pool, record)) == NULL)
		log_main(LOG_ALERT, 0, "the configuration's record is malformed");
	else
		gen = generation_load(&in);
	pool_free(pool);
	return (gen);
}

/* A thread more or less would need sockets that others own. */
static void
settings_compare(const struct worker *w, const struct process_settings *process)
{
	if (process->threads != w->crew.count)
		log_main(LOG_WARN, 0, "\"worker_processes\" stays at %u until the next start",
		    w->crew.count);
}

static void
take_record(struct worker *w, const struct parcel *parcel)
{
	if (w->state == WORKER_SERVING)
		w->loaded = record_load(w, parcel->fds[0]);
	(void)close(parcel->fds[0]);
	if (w->loaded == NULL) {
		loaded_drop(w);
		if (handover_say(w->channel, PARCEL_REFUSED, parcel->serial) != 0)
			worker_stop(w);
		return;
	}
	w->loaded->serial = parcel->serial;
	if (handover_say(w->channel, PARCEL_LOADED, parcel->serial) != 0)
		worker_stop(w);
}

static void
take_commit(struct worker *w, const struct parcel *parcel)
{
	struct generation *gen = w->loaded;

	if (gen == NULL || gen->serial != parcel->serial || w->state != WORKER_SERVING) {
		log_main(LOG_ALERT, 0, "the master commits what was not loaded");
		worker_stop(w);
		return;
	}
	w->loaded = NULL;
	settings_compare(w, gen->process);
	limit_descriptors(gen->process);
	generation_publish(w, gen, parcel->serial);
}

static void
take_abandon(struct worker *w, const struct parcel *parcel)
{
	(void)parcel;
	loaded_drop(w);
}

static void
take_log(struct worker *w, const struct parcel *parcel)
{
	logs_offer(w->logs, parcel->bytes, parcel->fds[0]);
}

static void
take_sockets(struct worker *w, const struct parcel *parcel)
{
	struct socket_group *group;
	struct addr addr;

	memcpy(&addr, parcel->bytes.p, sizeof(addr));
	group = sockets_find(w->sockets, &addr);
	if (addr.len > sizeof(addr.u) || w->state != WORKER_SERVING ||
	    (group != NULL && !group->fresh)) {
		for (unsigned i = 0; i < parcel->fd_count; i++)
			(void)close(parcel->fds[i]);
		return;
	}
	group = sockets_add(w->sockets, &addr, parcel->fds, parcel->fd_count);
	group->fresh = true;
}

/* Lines written before the signal belong into the old file. */
static void
take_reopen(struct worker *w, const struct parcel *parcel)
{
	struct replacement *r;
	char *path;

	if (w->state >= WORKER_DRAINING) {
		logs_replace(w->logs, parcel->bytes, parcel->fds[0]);
		return;
	}
	r = xcalloc(1, sizeof(*r) + parcel->bytes.n);
	path = (char *)(r + 1);
	memcpy(path, parcel->bytes.p, parcel->bytes.n);
	r->path = str_make(path, parcel->bytes.n);
	r->fd = parcel->fds[0];
	r->next = w->replacements;
	w->replacements = r;
	if (w->flushing)
		return;
	log_main(LOG_NOTICE, 0, "reopening logs");
	w->flushing = true;
	crew_order(&w->crew, ORDER_FLUSH);
}

static void
take_quit(struct worker *w, const struct parcel *parcel)
{
	(void)parcel;
	worker_drain(w);
}

static void
take_stop(struct worker *w, const struct parcel *parcel)
{
	(void)parcel;
	worker_stop(w);
}

static void (*const parcel_take[PARCEL_KINDS])(struct worker *, const struct parcel *) = {
	[PARCEL_LOG] = take_log,
	[PARCEL_SOCKETS] = take_sockets,
	[PARCEL_RECORD] = take_record,
	[PARCEL_COMMIT] = take_commit,
	[PARCEL_ABANDON] = take_abandon,
	[PARCEL_REOPEN] = take_reopen,
	[PARCEL_QUIT] = take_quit,
	[PARCEL_STOP] = take_stop,
};

/* False: the master is gone, or makes no sense. */
static bool
channel_read(struct worker *w)
{
	struct parcel_room room;
	struct parcel parcel;

	for (;;) {
		enum handover_result got = handover_receive(w->channel, &room, &parcel);

		if (got == HANDOVER_NONE)
			return (true);
		if (got == HANDOVER_END || parcel_take[parcel.kind] == NULL)
			return (false);
		parcel_take[parcel.kind](w, &parcel);
	}
}

/* --- signals --- */

static void
reopened_by_us(struct str path, int fd, void *arg)
{
	(void)path;
	(void)fd;
	(void)arg;
}

static void
signals_read(struct worker *w)
{
	struct signalfd_siginfo info;

	while (read(w->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		switch (info.ssi_signo) {
		case SIGTERM:
		case SIGINT:
			worker_stop(w);
			break;
		case SIGQUIT:
		case SIGWINCH:
			worker_drain(w);
			break;
		case SIGUSR1:
			/* Sent to us instead of the master; may fail for want of rights. */
			logs_reopen(w->logs, reopened_by_us, NULL);
			break;
		default:	/* meant for the master */
			break;
		}
	}
}

/* Blocked since the master's start, so that none is lost between the fork and here. */
static int
signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (const int *s = (const int []){ SIGTERM, SIGINT, SIGQUIT, SIGWINCH, SIGUSR1, SIGUSR2,
	    SIGHUP, 0 }; *s != 0; s++)
		sigaddset(&set, *s);
	return (signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
}

/* --- life --- */

static int
wait_msec(const struct worker *w)
{
	uint64_t now = clock_mono_ms(), left;

	if (w->stop_at == 0 || w->state != WORKER_DRAINING)
		return (-1);
	left = w->stop_at > now ? w->stop_at - now : 0;
	return (left < INT_MAX ? (int)left : INT_MAX);
}

static void
worker_serve(struct worker *w)
{
	struct pollfd fds[] = {
		{ .fd = w->signal_fd, .events = POLLIN },
		{ .fd = w->crew.wake_fd, .events = POLLIN },
		{ .fd = w->channel, .events = POLLIN },
	};

	while (w->state != WORKER_ENDED) {
		clock_update();
		if (poll(fds, 3, wait_msec(w)) < 0 && errno != EINTR) {
			log_main(LOG_ALERT, errno, "poll() failed");
			return;
		}
		clock_update();
		if (fds[0].revents != 0)
			signals_read(w);
		if (fds[2].revents != 0 && !channel_read(w)) {
			fds[2].fd = -1;
			worker_stop(w);
		}
		if (w->stop_at != 0 && clock_mono_ms() >= w->stop_at)
			worker_stop(w);
		/* Also where nobody woke us: the state may just have changed. */
		crew_reported(w);
	}
}

static int
worker_init(struct worker *w, const struct worker_start *start)
{
	const struct process_settings *process = start->generation->process;

	title_set("worker process");
	(void)prctl(PR_SET_NAME, "wproxy", 0, 0, 0);
	logs_set_mode(w->logs, LOGS_HANDED);
	if (worker_settle(process) != 0)
		return (-1);
	if ((w->signal_fd = signals_open()) == -1) {
		log_main(LOG_EMERG, errno, "signalfd() failed");
		return (-1);
	}
	if (offload_start() != 0) {
		log_main(LOG_EMERG, errno, "the helper thread cannot be started");
		return (-1);
	}
	if (crew_init(&w->crew, (unsigned)process->threads, w->sockets) != 0)
		return (-1);
	crew_share_descriptors(&w->crew, descriptors_left());
	generation_publish(w, start->generation, 0);
	return (crew_start(&w->crew));
}

static void
worker_fini(struct worker *w, struct generation *first)
{
	offload_stop();
	crew_fini(&w->crew);
	log_set_default(NULL);
	if (w->current == NULL)
		w->current = first;
	loaded_drop(w);
	w->current->next = w->older;
	while (w->current != NULL) {
		struct generation *next = w->current->next;

		generation_free(w->current);
		w->current = next;
	}
	replacements_apply(w);
	if (w->signal_fd != -1)
		(void)close(w->signal_fd);
	(void)close(w->channel);
}

int
worker_run(const struct worker_start *start)
{
	struct worker w = { .options = start->options, .logs = start->logs,
		.sockets = start->sockets, .channel = start->channel, .signal_fd = -1,
		.crew.wake_fd = -1 };
	int status = 1;

	if (worker_init(&w, start) == 0) {
		worker_serve(&w);
		log_main(LOG_NOTICE, 0, "exit");
		status = 0;
	} else {
		/* Threads that did start must end before what they use does. */
		crew_order(&w.crew, ORDER_STOP);
	}
	worker_fini(&w, start->generation);
	return (status);
}
