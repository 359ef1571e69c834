/*
 * What the master does on HUP and USR1: the new configuration is read, what it
 * needs is opened and bound, all of it is offered to the running worker.  Called
 * by master.c.
 *
 *	idle -HUP-> offered -LOADED, we COMMIT-> adopting -ADOPTED-> idle
 *	              |  REFUSED, late, worker gone: nothing has changed -> idle
 */
#include "main/master.h"

#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "main/privilege.h"
#include "main/systemd.h"

#define RELOAD_MS	30000

/* --- the offer --- */

static int
sockets_offer(int channel, const struct socket_group *group)
{
	struct parcel parcel = { .kind = PARCEL_SOCKETS,
		.bytes = { (const char *)&group->addr, sizeof(group->addr) } };

	for (unsigned i = 0; i < group->count; i += parcel.fd_count) {
		parcel.fds = group->fds + i;
		parcel.fd_count = group->count - i;
		if (parcel.fd_count > PARCEL_FDS_MAX)
			parcel.fd_count = PARCEL_FDS_MAX;
		if (handover_send(channel, &parcel) != 0)
			return (-1);
	}
	return (0);
}

struct log_offer {
	int channel;
	enum parcel_kind kind;
	int result;
};

/* For logs_each() and logs_reopen(): the descriptor stays ours. */
static void
log_offer(struct str path, int fd, void *arg)
{
	struct log_offer *offer = arg;
	const struct parcel parcel = { .kind = offer->kind, .bytes = path, .fds = &fd,
		.fd_count = 1 };

	if (offer->result == 0 && offer->channel != -1)
		offer->result = handover_send(offer->channel, &parcel);
}

static int
record_offer(struct master *m, struct str record)
{
	struct parcel parcel = { .kind = PARCEL_RECORD, .serial = m->reload.serial,
		.fd_count = 1 };
	int fd = handover_file(record), rc;

	if (fd == -1) {
		log_main(LOG_ALERT, errno, "memfd_create() failed");
		return (-1);
	}
	parcel.fds = &fd;
	rc = handover_send(m->worker.channel, &parcel);
	(void)close(fd);
	return (rc);
}

static int
generation_offer(struct master *m, struct str record)
{
	struct log_offer offer = { m->worker.channel, PARCEL_LOG, 0 };

	logs_each(m->logs, log_offer, &offer);
	if (offer.result != 0)
		return (-1);
	LIST_EACH(&m->sockets.groups, it) {
		const struct socket_group *group = list_item(it, struct socket_group, link);

		if (group->fresh && sockets_offer(m->worker.channel, group) != 0)
			return (-1);
	}
	return (record_offer(m, record));
}

/* --- a reload's course --- */

/* Nothing has changed. */
static void
reload_drop(struct master *m)
{
	generation_free(m->reload.gen);
	m->reload.gen = NULL;
	m->reload.adopting = false;
	m->reload.until_ms = 0;
	sockets_abandon(&m->sockets, true);
	logs_sweep(m->logs);
}

static void
reload_done(struct master *m)
{
	m->reload.adopting = false;
	m->reload.until_ms = 0;
	systemd_notify("READY=1%s", "");
	if (m->reload.again)
		reload_start(m);
}

/* Loads what a source has and offers it.  False: nothing has changed. */
static bool
reload_offer(struct master *m, struct conf_source *source, const struct log *messages)
{
	struct generation_input in = { .options = m->options, .logs = m->logs,
		.messages = messages, .source = source };
	struct generation *gen = m->reload.gen = generation_load(&in);
	struct pool *pool;

	m->reload.serial++;
	if (gen == NULL || sockets_bind(&m->sockets, gen, SOCKETS_ONCE) != 0) {
		reload_drop(m);
		return (false);
	}
	temp_folders_make(gen->http, &gen->process->user);
	generation_keep_record(gen, source);
	m->reload.until_ms = clock_mono_ms() + RELOAD_MS;
	pool = pool_new(16384);
	if (generation_offer(m, conf_source_record(source, pool)) != 0) {
		master_kill_worker(m);
		reload_drop(m);
	}
	pool_free(pool);
	return (m->reload.gen != NULL);
}

void
reload_start(struct master *m)
{
	struct pool *pool;

	m->reload.again = m->reload.until_ms != 0 || !m->worker.ready;
	if (m->reload.again)
		return;
	log_main(LOG_NOTICE, 0, "reconfiguring");
	systemd_notify("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_mono_us());
	pool = pool_new(16384);
	if (!reload_offer(m, conf_source_files(pool), log_default()))
		systemd_notify("READY=1%s", "");
	pool_free(pool);
}

bool
reload_renew(struct master *m, struct conf_source *source)
{
	/* The text is the one in force: what there is to warn about was said. */
	struct log errors = { .file = m->generation->log->file, .level = LOG_ERR };

	return (reload_offer(m, source, &errors));
}

static void
reload_commit(struct master *m)
{
	struct generation *before = m->generation;

	if (handover_say(m->worker.channel, PARCEL_COMMIT, m->reload.serial) != 0) {
		master_kill_worker(m);
		reload_drop(m);
		return;
	}
	m->generation = m->reload.gen;
	m->reload.gen = NULL;
	m->reload.adopting = true;
	log_set_default(m->generation->log);
	sockets_commit(&m->sockets, m->generation, true);
	renewal_begin(m);
	generation_free(before);
	logs_sweep(m->logs);
}

void
reload_answer(struct master *m, const struct parcel *parcel)
{
	if (parcel->serial != m->reload.serial || m->reload.until_ms == 0)
		return;		/* of a reload that was abandoned */
	if (parcel->kind == PARCEL_LOADED && m->reload.gen != NULL) {
		reload_commit(m);
	} else if (parcel->kind == PARCEL_REFUSED && m->reload.gen != NULL) {
		log_main(LOG_EMERG, 0, "the worker process refused the new configuration, "
		    "the old one stays");
		reload_drop(m);
		reload_done(m);
	} else if (parcel->kind == PARCEL_ADOPTED && m->reload.adopting) {
		reload_done(m);
	}
}

void
reload_timeout(struct master *m)
{
	if (m->reload.adopting) {
		log_main(LOG_ALERT, 0, "the worker process did not switch to the new "
		    "configuration in %d s", RELOAD_MS / 1000);
		reload_done(m);
		return;
	}
	log_main(LOG_EMERG, 0, "the new configuration was not ready in %d s, abandoned",
	    RELOAD_MS / 1000);
	if (handover_say(m->worker.channel, PARCEL_ABANDON, m->reload.serial) != 0)
		master_kill_worker(m);
	reload_drop(m);
	reload_done(m);
}

void
reload_abandon(struct master *m)
{
	if (m->reload.until_ms != 0)
		reload_drop(m);
}

void
reopen_logs(struct master *m)
{
	struct log_offer offer = { m->worker.channel, PARCEL_REOPEN, 0 };

	log_main(LOG_NOTICE, 0, "reopening logs");
	logs_reopen(m->logs, log_offer, &offer);
	if (offer.result != 0)
		master_kill_worker(m);
}
