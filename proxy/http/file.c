/*
 * The thread's file cache.  Called by static, index and try_files steps.
 *
 *	miss -> stat -> [open, read] -> entry -> (same turn: as it is; next turn: one stat)
 *	     changed -> dropped -> miss
 *
 * Contents are kept for regular files of at most CONTENT_MAX whose ctime was older than
 * SETTLED_MS when they were read whole: a younger file may still change without its
 * times showing it.  Entries are few and counted; the least recently used goes first.
 */
#define _GNU_SOURCE	/* O_PATH */
#include "http/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/stamp.h"
#include "http/links.h"
#include "http/site.h"

#define ENTRIES_MAX	2048
#define DESCRIPTORS_MAX	256
#define CONTENT_MAX	(128 * 1024)
#define CONTENT_TOTAL	(32 * 1024 * 1024)
#define SETTLED_MS	2000
#define BUCKETS		4096

struct variant {
	struct variant *next;
	unsigned kind;
	size_t n;
	char bytes[];
};

struct entry {
	struct file file;		/* first: an entry is its file */
	struct file_cache *cache;	/* NULL once dropped from it */
	struct entry *chain;		/* same bucket */
	struct list used;		/* most recent first */
	uint32_t hash;
	/* errno of a path that is not there; good for its turn only */
	int error;
	bool bytes_wanted;		/* fd or content were asked for */
	uint64_t turn;			/* clock_mono_us() of the last check */
	struct stamp stamp;
	struct variant *variants;
	uint64_t kept;			/* bytes of content and variants that the cache counts */
	char etag[40];
	char path[];
};

struct file_cache {
	struct entry *buckets[BUCKETS];
	struct list used;
	unsigned count, descriptors;
	uint64_t content;
};

struct file_cache *
file_cache_new(void)
{
	struct file_cache *cache = xcalloc(1, sizeof(*cache));

	list_init(&cache->used);
	return (cache);
}

static void
entry_release(struct owner *owner)
{
	struct entry *e = (struct entry *)owner;
	struct variant *v;

	if (e->file.fd >= 0)
		(void)close(e->file.fd);
	while ((v = e->variants) != NULL) {
		e->variants = v->next;
		free(v);
	}
	free((void *)(uintptr_t)e->file.content);
	free(e);
}

/* Out of the cache; answers under way keep their bytes. */
static void
entry_drop(struct entry *e)
{
	struct file_cache *cache = e->cache;
	struct entry **at = &cache->buckets[e->hash % BUCKETS];

	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	list_remove(&e->used);
	cache->count--;
	cache->descriptors -= e->file.fd >= 0;
	cache->content -= e->kept;
	e->cache = NULL;
	owner_drop(&e->file.owner);
}

void
file_cache_free(struct file_cache *cache)
{
	LIST_EACH_SAFE(&cache->used, it, after)
		entry_drop(list_item(it, struct entry, used));
	free(cache);
}

static void
cache_make_room(struct file_cache *cache)
{
	while (cache->count > ENTRIES_MAX || cache->descriptors > DESCRIPTORS_MAX ||
	    cache->content > CONTENT_TOTAL)
		entry_drop(list_item(cache->used.prev, struct entry, used));
}

static struct entry *
entry_find(struct file_cache *cache, struct str path, uint32_t hash)
{
	for (struct entry *e = cache->buckets[hash % BUCKETS]; e != NULL; e = e->chain)
		if (e->hash == hash && str_eq(e->file.path, path))
			return (e);
	return (NULL);
}

/* One that is in no cache. */
static struct entry *
entry_alone(struct str path)
{
	struct entry *e = xcalloc(1, sizeof(*e) + path.n + 1);

	memcpy(e->path, path.p, path.n);
	e->file.path = str_make(e->path, path.n);
	e->file.owner.refs = 1;
	e->file.owner.release = entry_release;
	e->file.fd = -1;
	return (e);
}

static struct entry *
entry_new(struct file_cache *cache, struct str path, uint32_t hash)
{
	struct entry *e = entry_alone(path);

	e->hash = hash;
	e->cache = cache;
	e->chain = cache->buckets[hash % BUCKETS];
	cache->buckets[hash % BUCKETS] = e;
	list_push_front(&cache->used, &e->used);
	cache->count++;
	return (e);
}

static void
entry_describe(struct entry *e, const struct stat *st)
{
	size_t n = 0;

	e->stamp = stamp_of(st);
	e->file.size = (uint64_t)st->st_size;
	e->file.mtime = st->st_mtime;
	e->file.is_directory = S_ISDIR(st->st_mode);
	e->file.is_regular = S_ISREG(st->st_mode);
	e->etag[n++] = '"';
	n += encode_uint_hex(e->etag + n, (uint64_t)st->st_mtime);
	e->etag[n++] = '-';
	n += encode_uint_hex(e->etag + n, (uint64_t)st->st_size);
	e->etag[n++] = '"';
	e->file.etag = str_make(e->etag, n);
}

static bool
entry_is_current(const struct entry *e, const struct stat *st)
{
	const struct stamp now = stamp_of(st);

	return (stamp_eq(&e->stamp, &now));
}

/* The cache keeps so many bytes more with the entry. */
static void
entry_count(struct entry *e, uint64_t n)
{
	if (e->cache == NULL)
		return;
	e->kept += n;
	e->cache->content += n;
}

/*
 * Reads a small settled file whole; its descriptor, which answers under way read from, goes then.
 */
static void
entry_load(struct entry *e)
{
	uint64_t ctime_ms = (uint64_t)e->stamp.ctime.tv_sec * 1000 + (uint64_t)e->stamp.ctime.tv_nsec / 1000000;
	uint64_t done = 0;
	char *content;

	if (!e->file.is_regular || e->file.size > CONTENT_MAX || e->file.size == 0 ||
	    e->file.owner.refs > 1 || ctime_ms + SETTLED_MS > clock_wall_ms())
		return;
	content = xmalloc((size_t)e->file.size);
	while (done < e->file.size) {
		ssize_t n = pread(e->file.fd, content + done, (size_t)(e->file.size - done), (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(content);
			return;
		}
		done += (uint64_t)n;
	}
	(void)close(e->file.fd);
	e->file.fd = -1;
	e->cache->descriptors--;
	e->file.content = content;
	entry_count(e, e->file.size);
}

/* Descriptor or contents.  -1 with errno. */
static int
entry_open(struct entry *e)
{
	struct stat st;
	int fd = open(e->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return (-1);
	if (fstat(fd, &st) != 0) {
		(void)close(fd);
		return (-1);
	}
	entry_describe(e, &st);
	if (!e->file.is_regular) {
		(void)close(fd);
		return (0);
	}
	e->file.fd = fd;
	e->bytes_wanted = true;
	e->cache->descriptors++;
	entry_load(e);
	return (0);
}

static struct file *
entry_hold(struct entry *e)
{
	list_remove(&e->used);
	list_push_front(&e->cache->used, &e->used);
	owner_hold(&e->file.owner);
	return (&e->file);
}

/* A hit that is still good, checked at most once a turn.  NULL: gone, or unknown. */
static struct entry *
entry_check(struct entry *e)
{
	struct stat st;

	if (e->turn == clock_mono_us())
		return (e);
	if (e->error == 0 && stat(e->path, &st) == 0 && entry_is_current(e, &st)) {
		e->turn = clock_mono_us();
		return (e);
	}
	entry_drop(e);
	return (NULL);
}

struct file *
file_get(struct http_thread *thread, struct str path, bool want_bytes)
{
	struct file_cache *cache = thread->files;
	uint32_t hash = hash_bytes(path);
	struct entry *e = entry_find(cache, path, hash);
	struct file *file;
	struct stat st;
	int error;

	if (e != NULL)
		e = entry_check(e);
	if (e == NULL) {
		e = entry_new(cache, path, hash);
		e->turn = clock_mono_us();
		if (stat(e->path, &st) != 0)
			e->error = errno;
		else
			entry_describe(e, &st);
		cache_make_room(cache);
	}
	if (e->error != 0) {
		errno = e->error;
		return (NULL);
	}
	if (want_bytes && e->file.is_regular && !e->bytes_wanted && entry_open(e) != 0) {
		error = errno;
		entry_drop(e);
		errno = error;
		return (NULL);
	}
	if (want_bytes && e->file.fd >= 0 && e->file.size <= CONTENT_MAX)
		entry_load(e);
	file = entry_hold(e);
	cache_make_room(cache);		/* it may hold more than before */
	return (file);
}

struct file *
file_get_guarded(struct str path, size_t from, enum links_rule rule, bool want_bytes)
{
	struct entry *e = entry_alone(path);
	struct stat st;
	int fd = links_open(e->path, from, rule, want_bytes ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH);
	int error = fd < 0 || fstat(fd, &st) != 0 ? errno : 0;

	if (error == 0) {
		entry_describe(e, &st);
		e->bytes_wanted = want_bytes;
		if (want_bytes && e->file.is_regular) {
			e->file.fd = fd;
			return (&e->file);
		}
	}
	if (fd >= 0)
		(void)close(fd);
	if (error == 0)
		return (&e->file);
	owner_drop(&e->file.owner);
	errno = error;
	return (NULL);
}

void
file_chain(struct file *file, struct chain *out)
{
	if (file->size == 0)
		return;
	owner_hold(&file->owner);
	if (file->content != NULL)
		chain_add(out, file->content, (size_t)file->size, &file->owner);
	else
		chain_add_file(out, file->fd, 0, file->size, &file->owner);
}

struct str
file_variant(const struct file *file, unsigned kind)
{
	const struct entry *e = (const struct entry *)file;

	for (const struct variant *v = e->variants; v != NULL; v = v->next)
		if (v->kind == kind)
			return (str_make(v->bytes, v->n));
	return (STR_NULL);
}

struct str
file_keep_variant(struct file *file, unsigned kind, const struct chain *chain)
{
	struct entry *e = (struct entry *)file;
	struct variant *v = xmalloc(sizeof(*v) + chain->bytes);
	size_t at = 0;

	v->kind = kind;
	v->n = (size_t)chain->bytes;
	for (const struct buf *b = chain->first; b != NULL; b = b->next) {
		memcpy(v->bytes + at, b->p, b->n);
		at += b->n;
	}
	v->next = e->variants;
	e->variants = v;
	entry_count(e, v->n);
	if (e->cache != NULL)
		cache_make_room(e->cache);
	return (str_make(v->bytes, v->n));
}
