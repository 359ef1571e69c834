/*
 * Watching certificate files.  A file whose stamp (inode, size, times) is not
 * the one it was read with has changed; it is tried once its stamp has stood still from one
 * look to the next, as files are not written at once.
 *
 *	as loaded -stamp differs-> changed -stands still-> tried -usable-> as loaded
 *	                              ^-- the next change --  \-> told once
 *
 * The stamps of a new configuration are unknown at first, so the first look
 * reads all files: what changed while it was loaded is not missed.
 */
#include "main/renewal.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/stamp.h"
#include "main/master.h"
#include "mod/ssl_renewal.h"

#define LOOK_MS		400	/* two looks and a reload are done within two seconds */
#define AGAIN_MS	10000	/* a reload that failed for other reasons */
#define WHY_MAX		1024

struct watched {
	struct stamp known;	/* when it was last tried, or loaded */
	struct stamp seen;	/* at the last look */
	bool changed;		/* not the known one, and has stood still */
};

struct renewal {
	struct pool *pool;
	struct hash *files;	/* path -> struct watched */
	uint64_t due_ms;
};

static void
watched_add(struct str path, void *arg)
{
	struct renewal *renewal = arg;
	struct watched *file;
	void **slot;

	if (str_starts(path, STR("data:")))
		return;
	slot = hash_slot(renewal->files, path);
	if (*slot != NULL)
		return;
	*slot = file = pool_new_object(renewal->pool, struct watched);
	file->known.error = file->seen.error = -1;
}

void
renewal_begin(struct master *m)
{
	struct pool *pool;

	renewal_end(m);
	if (m->generation->record.n == 0)
		return;
	pool = pool_new(0);
	m->renewal = pool_new_object(pool, struct renewal);
	m->renewal->pool = pool;
	m->renewal->files = hash_new(pool, false);
	m->renewal->due_ms = clock_mono_ms() + LOOK_MS;
	VEC_EACH(ssl_sets_of(m->generation->http), struct ssl_set *, set)
		ssl_set_each(*set, watched_add, m->renewal);
}

void
renewal_end(struct master *m)
{
	if (m->renewal != NULL)
		pool_free(m->renewal->pool);
	m->renewal = NULL;
}

uint64_t
renewal_due(const struct renewal *renewal)
{
	return (renewal->due_ms);
}

/* Does it differ from what was loaded, and is not being written any more?  arg: bool, any did. */
static void
watched_look(struct str path, void *value, void *arg)
{
	struct watched *file = value;
	struct stamp now = stamp_take(path.p);

	file->changed = !stamp_eq(&now, &file->known) && stamp_eq(&now, &file->seen);
	file->seen = now;
	*(bool *)arg |= file->changed;
}

/* It is tried now. */
static void
watched_settle(struct str path, void *value, void *arg)
{
	struct watched *file = value;

	(void)path;
	(void)arg;
	if (file->changed)
		file->known = file->seen;
}

/* It is tried again although it stays as it is. */
static void
watched_forget(struct str path, void *value, void *arg)
{
	struct watched *file = value;

	(void)path;
	(void)arg;
	file->known.error = -1;
}

/* --- a set of files --- */

struct set_look {
	struct renewal *renewal;
	struct conf_source *old, *fresh;
	struct pool *pool;
	bool changed;		/* by its stamps */
	bool differs;		/* and by its bytes */
};

static void
file_compare(struct str path, void *arg)
{
	struct set_look *look = arg;
	const struct watched *file = hash_get(look->renewal->files, path);
	struct str before, now;
	bool had, has;

	if (file == NULL || !file->changed)
		return;
	look->changed = true;
	had = look->old->read(look->old, look->pool, path, &before) == 0;
	has = look->fresh->read(look->fresh, look->pool, path, &now) == 0;
	look->differs |= had != has || (had && !str_eq(before, now));
}

static void
file_take(struct str path, void *arg)
{
	struct set_look *look = arg;
	struct str bytes;

	if (look->fresh->read(look->fresh, look->pool, path, &bytes) == 0)
		(void)conf_source_replace(look->old, path, bytes);
}

/* True: the set has changed, is good, and is now in look->old. */
static bool
set_take(struct set_look *look, const struct ssl_set *set)
{
	char why[WHY_MAX];

	look->changed = look->differs = false;
	ssl_set_each(set, file_compare, look);
	if (!look->differs)
		return (false);
	if (!ssl_set_is_usable(set, look->fresh, look->pool, why, sizeof(why))) {
		log_main(LOG_ERR, 0, "%s; the old certificate stays in use", why);
		return (false);
	}
	log_main(LOG_NOTICE, 0, "certificate \"" STR_FMT "\" was renewed",
	    STR_ARG(*vec_at(&set->certificates, struct str, 0)));
	ssl_set_each(set, file_take, look);
	return (true);
}

/* Stamps were taken before the bytes are read: a change in between is seen by the next look. */
static void
sets_try(struct master *m, struct pool *pool)
{
	struct set_look look = { .renewal = m->renewal, .pool = pool,
		.old = conf_source_replay(pool, m->generation->record),
		.fresh = conf_source_files(pool) };
	bool any = false;

	hash_each(m->renewal->files, watched_settle, NULL);
	if (look.old == NULL)
		return;
	VEC_EACH(ssl_sets_of(m->generation->http), struct ssl_set *, set)
		any |= set_take(&look, *set);
	if (any && !reload_renew(m, look.old)) {
		log_main(LOG_ERR, 0, "the renewed certificates could not be brought in, "
		    "trying again in %d s", AGAIN_MS / 1000);
		hash_each(m->renewal->files, watched_forget, NULL);
		m->renewal->due_ms = clock_mono_ms() + AGAIN_MS;
	}
}

void
renewal_look(struct master *m)
{
	struct renewal *renewal = m->renewal;
	struct pool *pool;
	bool changed = false;

	renewal->due_ms = clock_mono_ms() + LOOK_MS;
	hash_each(renewal->files, watched_look, &changed);
	if (!changed)
		return;
	pool = pool_new(0);
	sets_try(m, pool);
	pool_free(pool);
}
