/*
 * The supervisor: one poll() over a signalfd and the worker's channel, no
 * handlers, no threads, no libevent.  It keeps the sockets and the last good
 * configuration, so that a worker can be made again at once.
 *
 *	STARTING -ready-> RUNNING -WINCH-> IDLE -HUP-> RUNNING
 *	    |                |               |
 *	    +----------------+- QUIT, TERM --+-> QUITTING, STOPPING -worker gone-> ENDED
 *
 * A worker is made by fork() and has the configuration from its parent's memory;
 * the child returns through master_run() and main(), so that both free everything.
 */
#include "main/master.h"

#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/tally.h"
#include "main/pidfile.h"
#include "main/systemd.h"
#include "main/title.h"
#include "main/worker.h"

#define READY_MS	30000	/* a start or reload that takes longer is abandoned */
#define KILL_MS		5000	/* a worker told to stop that does not */
#define SETTLED_MS	1000	/* a crash after this long is the first again */
#define RESPAWNS_FREE	5	/* crashes in a row that are answered at once */
#define BACKOFF_MS	50	/* before the next respawn; doubles */
#define BACKOFF_MAX_MS	10000

/* --- the worker --- */

static int
worker_become(struct master *m, int channel)
{
	struct worker_start start = { .options = m->options, .generation = m->generation,
		.logs = m->logs, .sockets = &m->sockets, .channel = channel };

	m->is_worker = true;
	m->state = MASTER_ENDED;
	m->generation = NULL;
	(void)close(m->signal_fd);
	m->signal_fd = -1;
	if (m->starter_fd != -1)
		(void)close(m->starter_fd);
	m->starter_fd = -1;
	return (worker_run(&start));
}

/* The first few times at once, then later and later. */
static void
worker_respawn_soon(struct master *m)
{
	struct master_worker *w = &m->worker;
	uint64_t now = clock_mono_ms(), wait = 0;
	unsigned late;

	if (now - w->born_ms > SETTLED_MS)
		w->crashes = 0;
	if (w->crashes >= RESPAWNS_FREE) {
		late = w->crashes - RESPAWNS_FREE;
		wait = late < 8 ? (uint64_t)BACKOFF_MS << late : BACKOFF_MAX_MS;
	}
	w->crashes++;
	w->respawn_ms = now + wait;
}

/* In the child the state is ENDED when it returns. */
static void
worker_spawn(struct master *m)
{
	int ends[2];
	pid_t pid;

	m->worker.respawn_ms = 0;
	m->worker.born_ms = clock_mono_ms();
	if (handover_pair(ends) != 0) {
		log_main(LOG_ALERT, errno, "socketpair() failed while spawning \"worker process\"");
		worker_respawn_soon(m);
		return;
	}
	pid = fork();
	if (pid == 0) {
		(void)close(ends[0]);
		m->exit_status = worker_become(m, ends[1]);
		return;
	}
	(void)close(ends[1]);
	if (pid == -1) {
		log_main(LOG_ALERT, errno, "fork() failed while spawning \"worker process\"");
		(void)close(ends[0]);
		worker_respawn_soon(m);
		return;
	}
	log_main(LOG_NOTICE, 0, "start worker process %ld", (long)pid);
	m->worker.pid = pid;
	m->worker.channel = ends[0];
	m->worker.ready = false;
	m->worker.ready_by_ms = clock_mono_ms() + READY_MS;
}

void
master_kill_worker(struct master *m)
{
	if (m->worker.pid != 0)
		(void)kill(m->worker.pid, SIGKILL);
}

/* --- ends --- */

static void
master_end(struct master *m, int status)
{
	m->exit_status = status;
	m->state = MASTER_ENDED;
}

static void
worker_tell_end(struct master *m, enum parcel_kind how)
{
	m->worker.respawn_ms = 0;
	reload_abandon(m);
	if (m->worker.channel != -1 && handover_say(m->worker.channel, how, 0) != 0)
		master_kill_worker(m);
}

/*
 * A unix socket's path stays where another master serves it: a newer one, or the one we came from.
 */
static bool
paths_are_ours(const struct master *m)
{
	return (!m->is_worker && m->new_binary == 0 && (!m->inherited || getppid() != m->parent));
}

static void
end_announce(const struct master *m)
{
	if (m->new_binary != 0)
		systemd_notify("MAINPID=%ld", (long)m->new_binary);
	else
		systemd_notify("STOPPING=1%s", "");
}

static void
master_quit(struct master *m)
{
	if (m->state >= MASTER_QUITTING)
		return;
	end_announce(m);
	worker_tell_end(m, PARCEL_QUIT);
	/* Nobody accepts any more: clients must hear that at once.  A new binary has its own. */
	sockets_close(&m->sockets, paths_are_ours(m));
	m->state = MASTER_QUITTING;
	if (m->worker.pid == 0)
		master_end(m, m->exit_status);
}

static void
master_stop(struct master *m)
{
	if (m->state >= MASTER_STOPPING)
		return;
	end_announce(m);
	worker_tell_end(m, PARCEL_STOP);
	sockets_close(&m->sockets, paths_are_ours(m));
	m->state = MASTER_STOPPING;
	m->kill_ms = clock_mono_ms() + KILL_MS;
	if (m->worker.pid == 0)
		master_end(m, m->exit_status);
}

static void
master_idle(struct master *m)
{
	if (m->state != MASTER_RUNNING)
		return;
	worker_tell_end(m, PARCEL_QUIT);
	m->state = MASTER_IDLE;
}

static void
master_reload(struct master *m)
{
	/* The new binary was not what was hoped for: this one serves again. */
	if (m->state == MASTER_IDLE) {
		m->state = MASTER_RUNNING;
		if (m->worker.pid == 0)
			m->worker.respawn_ms = clock_mono_ms();
		return;
	}
	if (m->state == MASTER_RUNNING)
		reload_start(m);
}

/* --- what happens --- */

static void
worker_ready(struct master *m)
{
	m->worker.ready = true;
	m->worker.ready_by_ms = 0;
	if (m->state == MASTER_STARTING) {
		const struct process_settings *process = m->generation->process;

		if (pidfile_write(process->pid, getpid(), &process->pid_at) != 0) {
			m->exit_status = 1;
			master_stop(m);
			return;
		}
		m->state = MASTER_RUNNING;
		log_set_default(m->generation->log);
		systemd_notify("READY=1\nMAINPID=%ld", (long)getpid());
		if (m->starter_fd != -1) {
			(void)!write(m->starter_fd, "", 1);
			(void)close(m->starter_fd);
			m->starter_fd = -1;
		}
	}
	if (m->reload.again)
		reload_start(m);
}

static void
worker_ended_log(pid_t pid, int status)
{
	if (WIFSIGNALED(status))
		log_main(LOG_ALERT, 0, "worker process %ld exited on signal %d%s", (long)pid,
		    WTERMSIG(status), WCOREDUMP(status) ? " (core dumped)" : "");
	else
		log_main(WEXITSTATUS(status) == 0 ? LOG_NOTICE : LOG_ALERT, 0,
		    "worker process %ld exited with code %d", (long)pid, WEXITSTATUS(status));
}

static void
worker_ended(struct master *m, int status)
{
	struct master_worker *w = &m->worker;
	bool reloading = m->reload.until_ms != 0;

	worker_ended_log(w->pid, status);
	if (w->channel != -1)
		(void)close(w->channel);
	w->channel = -1;
	m->kill_ms = 0;
	w->pid = 0;
	w->ready = false;
	w->ready_by_ms = 0;
	reload_abandon(m);
	switch (m->state) {
	case MASTER_STARTING:
		log_main(LOG_EMERG, 0, "the worker process ended before it was ready");
		m->exit_status = 1;
		master_stop(m);
		break;
	case MASTER_RUNNING:
		if (reloading)	/* systemd waits for its end */
			systemd_notify("READY=1%s", "");
		worker_respawn_soon(m);
		break;
	case MASTER_IDLE:
		break;
	case MASTER_QUITTING:
	case MASTER_STOPPING:
	case MASTER_ENDED:
		master_end(m, m->exit_status);
		break;
	}
}

static void
children_reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == m->worker.pid) {
			worker_ended(m, status);
		} else if (pid == m->new_binary) {
			log_main(LOG_NOTICE, 0, "new binary process %ld exited", (long)pid);
			m->new_binary = 0;
			upgrade_ended(m);
		}
	}
}

static void
channel_read(struct master *m)
{
	struct parcel_room room;
	struct parcel parcel;

	while (m->worker.channel != -1) {
		enum handover_result got = handover_receive(m->worker.channel, &room, &parcel);

		if (got == HANDOVER_NONE)
			return;
		if (got == HANDOVER_END) {
			/* It is ending, and SIGCHLD will say so, or it must. */
			m->kill_ms = clock_mono_ms() + KILL_MS;
			(void)close(m->worker.channel);
			m->worker.channel = -1;
			return;
		}
		if (parcel.kind == PARCEL_READY)
			worker_ready(m);
		else
			reload_answer(m, &parcel);
	}
}

/* --- signals --- */

static void
child_signalled(struct master *m)
{
	(void)m;	/* children_reap() comes after all signals were seen */
}

static void
winch_signalled(struct master *m)
{
	/* A window that changes its size must not end the service in it. */
	if (m->detached)
		master_idle(m);
}

static const struct master_signal {
	unsigned number;
	const char *name;
	const char *action;
	void (*run)(struct master *);
} master_signals[] = {
	{ SIGTERM, "SIGTERM", ", exiting", master_stop },
	{ SIGINT, "SIGINT", ", exiting", master_stop },
	{ SIGQUIT, "SIGQUIT", ", shutting down", master_quit },
	{ SIGHUP, "SIGHUP", ", reconfiguring", master_reload },
	{ SIGUSR1, "SIGUSR1", ", reopening logs", reopen_logs },
	{ SIGUSR2, "SIGUSR2", ", changing binary", upgrade_start },
	{ SIGWINCH, "SIGWINCH", ", stop accepting connections", winch_signalled },
	{ SIGCHLD, "SIGCHLD", "", child_signalled },
};
#define MASTER_SIGNALS	(sizeof(master_signals) / sizeof(master_signals[0]))

static void
signals_read(struct master *m)
{
	struct signalfd_siginfo info;

	while (m->signal_fd != -1 &&
	    read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		for (size_t i = 0; i < MASTER_SIGNALS; i++) {
			const struct master_signal *row = &master_signals[i];

			if (row->number != info.ssi_signo)
				continue;
			log_main(LOG_NOTICE, 0, "signal %u (%s) received from %u%s", row->number,
			    row->name, info.ssi_pid,
			    row->number == SIGWINCH && !m->detached ? "" : row->action);
			row->run(m);
		}
	}
	children_reap(m);
}

int
master_init(struct master *m, const struct options *options, struct logs *logs)
{
	sigset_t set;

	*m = (struct master){ .options = options, .logs = logs, .signal_fd = -1,
		.starter_fd = -1, .worker.channel = -1, .parent = getppid() };
	sockets_init(&m->sockets);
	if (tally_share(THREADS_MAX) != 0) {
		log_main(LOG_EMERG, errno, "mmap() failed");
		return (-1);
	}
	sigemptyset(&set);
	for (size_t i = 0; i < MASTER_SIGNALS; i++)
		sigaddset(&set, (int)master_signals[i].number);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == 0)
		m->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (m->signal_fd != -1)
		return (0);
	log_main(LOG_EMERG, errno, "signalfd() failed");
	return (-1);
}

/* --- deadlines --- */

static void
worker_late(struct master *m)
{
	m->worker.ready_by_ms = 0;
	log_main(LOG_EMERG, 0, "worker process %ld was not ready in %d s, abandoned",
	    (long)m->worker.pid, READY_MS / 1000);
	master_kill_worker(m);
}

static void
worker_stuck(struct master *m)
{
	m->kill_ms = 0;
	master_kill_worker(m);
}

struct deadline {
	uint64_t at;
	void (*run)(struct master *);
};

static unsigned
deadlines_list(const struct master *m, struct deadline list[5])
{
	unsigned n = 0;

	if (m->worker.respawn_ms != 0)
		list[n++] = (struct deadline){ m->worker.respawn_ms, worker_spawn };
	if (m->worker.ready_by_ms != 0)
		list[n++] = (struct deadline){ m->worker.ready_by_ms, worker_late };
	if (m->reload.until_ms != 0)
		list[n++] = (struct deadline){ m->reload.until_ms, reload_timeout };
	if (m->kill_ms != 0)
		list[n++] = (struct deadline){ m->kill_ms, worker_stuck };
	if (m->state == MASTER_RUNNING && m->worker.ready && m->reload.until_ms == 0 &&
	    m->renewal != NULL)
		list[n++] = (struct deadline){ renewal_due(m->renewal), renewal_look };
	return (n);
}

/* Runs what is due; returns poll()'s timeout until the next. */
static int
deadlines_run(struct master *m)
{
	struct deadline list[5];
	unsigned n = deadlines_list(m, list);
	uint64_t now = clock_mono_ms(), next = UINT64_MAX;

	for (unsigned i = 0; i < n && m->state != MASTER_ENDED; i++)
		if (list[i].at <= now)
			list[i].run(m);
	n = deadlines_list(m, list);
	for (unsigned i = 0; i < n; i++)
		if (list[i].at < next)
			next = list[i].at;
	if (next == UINT64_MAX)
		return (-1);
	return (next > now ? (int)(next - now) : 0);
}

int
master_run(struct master *m)
{
	log_main(LOG_NOTICE, 0, "start worker processes");
	clock_update();
	renewal_begin(m);
	worker_spawn(m);
	if (!m->is_worker)
		title_set("master process");
	while (m->state != MASTER_ENDED) {
		struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
		int wait;

		clock_update();
		wait = deadlines_run(m);
		if (m->state == MASTER_ENDED)
			break;
		fds[0].fd = m->signal_fd;
		fds[1].fd = m->worker.channel;
		if (poll(fds, 2, wait) < 0 && errno != EINTR) {
			log_main(LOG_ALERT, errno, "poll() failed");
			master_stop(m);
			continue;
		}
		clock_update();
		if (fds[1].revents != 0)
			channel_read(m);
		if (fds[0].revents != 0)
			signals_read(m);
	}
	if (!m->is_worker)
		log_main(LOG_NOTICE, 0, "exit");
	return (m->exit_status);
}

void
master_fini(struct master *m)
{
	reload_abandon(m);
	if (!m->is_worker && m->generation != NULL) {
		struct str pid = m->generation->process->pid;

		pidfile_remove(pid, getpid());
		pidfile_remove(pidfile_old(m->generation->pool, pid), getpid());
	}
	sockets_close(&m->sockets, paths_are_ours(m));
	renewal_end(m);
	log_set_default(NULL);
	generation_free(m->generation);
	m->generation = NULL;
	if (m->signal_fd != -1)
		(void)close(m->signal_fd);
	if (m->starter_fd != -1)
		(void)close(m->starter_fd);
}
