/*
 * Sources of a configuration's bytes: the file system (in the master), which
 * keeps every answer it gave, and a record of such answers (in the worker).
 * Called by conf/conf.c for files and globs, by modules for keys and password
 * files; main/ sends the record from one process to the other.
 *
 *	record:  "wproxy-source-1\n"  answer*
 *	answer:  kind u8, errno u32, path, count u64, count * item
 *	path, item:  length u64, bytes
 *
 * Numbers are little-endian.  A failed answer has an errno and no items; a file
 * has one item, its bytes; a glob has any number, the names.
 */
#include "conf/source.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"

/* A file that belongs to a configuration is smaller. */
#define SOURCE_FILE_MAX	(64u << 20)

static const struct str magic = { "wproxy-source-1\n", 16 };

enum answer_kind { ANSWER_FILE, ANSWER_GLOB, ANSWER_KINDS };

struct answer {
	enum answer_kind kind;
	int error;		/* errno, 0: items hold the answer */
	struct str path;
	struct vec items;	/* struct str */
};

/* Both kinds of source: operations first, so that a pointer to one is a pointer to the other. */
struct answers {
	struct conf_source source;
	struct pool *pool;
	struct hash *known[ANSWER_KINDS];	/* path -> struct answer */
	struct vec order;			/* struct answer * */
};

static struct answers *
answers_of(struct conf_source *source)
{
	return ((struct answers *)(void *)source);
}

/* The answer for a path, made (made is set) when there is none. */
static struct answer *
answer_slot(struct answers *as, enum answer_kind kind, struct str path, bool *made)
{
	void **slot = hash_slot(as->known[kind], path);
	struct answer *answer = *slot;

	*made = answer == NULL;
	if (answer != NULL)
		return (answer);
	answer = pool_new_object(as->pool, struct answer);
	answer->kind = kind;
	answer->path = path;
	answer->items = VEC_OF(struct str);
	*(struct answer **)vec_push(&as->order, as->pool) = answer;
	*slot = answer;
	return (answer);
}

/* What was asked before, or NULL. */
static const struct answer *
answer_find(struct answers *as, enum answer_kind kind, struct str path)
{
	return (hash_get(as->known[kind], path));
}

static int
answer_give_file(const struct answer *answer, struct pool *pool, struct str *bytes)
{
	if (answer == NULL || answer->error != 0) {
		errno = answer == NULL ? ENOENT : answer->error;
		return (-1);
	}
	*bytes = pool_strdup(pool, *vec_at(&answer->items, struct str, 0));
	return (0);
}

static int
answer_give_glob(const struct answer *answer, struct pool *pool, struct vec *names)
{
	if (answer == NULL || answer->error != 0) {
		errno = answer == NULL ? ENOENT : answer->error;
		return (-1);
	}
	VEC_EACH(&answer->items, struct str, name)
		*(struct str *)vec_push(names, pool) = pool_strdup(pool, *name);
	return (0);
}

/* Reads to the end of fd into pool.  0 or an errno. */
static int
file_read(int fd, struct pool *pool, struct str *bytes)
{
	struct stat st;
	char *p = NULL;
	size_t n = 0, room;
	int error = 0;

	if (fstat(fd, &st) != 0)
		return (errno);
	if (S_ISDIR(st.st_mode))
		return (EISDIR);
	room = 4096;
	if (st.st_size > 0 && st.st_size <= (off_t)SOURCE_FILE_MAX)
		room = (size_t)st.st_size + 1;
	p = xmalloc(room);
	for (;;) {
		ssize_t got = read(fd, p + n, room - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			error = got < 0 ? errno : 0;
			break;
		}
		n += (size_t)got;
		if (n > SOURCE_FILE_MAX) {
			error = EFBIG;
			break;
		}
		if (n == room)
			p = xrealloc(p, room *= 2);
	}
	if (error == 0)
		*bytes = pool_strdup(pool, str_make(p, n));
	free(p);
	return (error);
}

static int
path_read(struct pool *pool, struct str path, struct str *bytes)
{
	int fd = open(path.p, O_RDONLY | O_CLOEXEC | O_NOCTTY), error;

	if (fd < 0)
		return (errno);
	error = file_read(fd, pool, bytes);
	close(fd);
	return (error);
}

static int
files_read(struct conf_source *source, struct pool *pool, struct str path, struct str *bytes)
{
	struct answers *as = answers_of(source);
	const struct answer *old = answer_find(as, ANSWER_FILE, path);
	struct answer *answer;
	struct str got = STR_NULL;
	bool made;

	if (old != NULL)
		return (answer_give_file(old, pool, bytes));
	path = pool_strdup(as->pool, path);
	answer = answer_slot(as, ANSWER_FILE, path, &made);
	if (strlen(path.p) != path.n)
		answer->error = ENOENT;
	else
		answer->error = path_read(as->pool, path, &got);
	if (answer->error == 0)
		*(struct str *)vec_push(&answer->items, as->pool) = got;
	return (answer_give_file(answer, pool, bytes));
}

/* The names that match, pushed to answer.  0 or an errno. */
static int
pattern_match(struct pool *pool, const char *pattern, struct vec *names)
{
	glob_t matches;
	int rc, error;

	errno = 0;
	rc = glob(pattern, 0, NULL, &matches);
	error = rc == 0 || rc == GLOB_NOMATCH ? 0 : rc == GLOB_NOSPACE ? ENOMEM :
	    errno != 0 ? errno : EIO;
	for (size_t i = 0; rc == 0 && i < matches.gl_pathc; i++)
		*(struct str *)vec_push(names, pool) =
		    pool_strdup(pool, str_from(matches.gl_pathv[i]));
	globfree(&matches);
	return (error);
}

static int
files_glob(struct conf_source *source, struct pool *pool, struct str pattern, struct vec *names)
{
	struct answers *as = answers_of(source);
	const struct answer *old = answer_find(as, ANSWER_GLOB, pattern);
	struct answer *answer;
	bool made;

	if (old != NULL)
		return (answer_give_glob(old, pool, names));
	pattern = pool_strdup(as->pool, pattern);
	answer = answer_slot(as, ANSWER_GLOB, pattern, &made);
	answer->error = pattern_match(as->pool, pattern.p, &answer->items);
	return (answer_give_glob(answer, pool, names));
}

static int
replay_read(struct conf_source *source, struct pool *pool, struct str path, struct str *bytes)
{
	return (answer_give_file(answer_find(answers_of(source), ANSWER_FILE, path), pool, bytes));
}

static int
replay_glob(struct conf_source *source, struct pool *pool, struct str pattern, struct vec *names)
{
	return (answer_give_glob(answer_find(answers_of(source), ANSWER_GLOB, pattern), pool,
	    names));
}

static struct answers *
answers_new(struct pool *pool)
{
	struct answers *as = pool_new_object(pool, struct answers);

	as->pool = pool;
	for (unsigned kind = 0; kind < ANSWER_KINDS; kind++)
		as->known[kind] = hash_new(pool, false);
	as->order = VEC_OF(struct answer *);
	return (as);
}

struct conf_source *
conf_source_files(struct pool *pool)
{
	struct answers *as = answers_new(pool);

	as->source.read = files_read;
	as->source.glob = files_glob;
	return (&as->source);
}

/* --- the record --- */

static char *
put_uint(char *out, uint64_t value, unsigned bytes)
{
	for (; bytes > 0; bytes--, value >>= 8)
		*out++ = (char)(value & 0xff);
	return (out);
}

static char *
put_str(char *out, struct str s)
{
	out = put_uint(out, s.n, 8);
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	return (out + s.n);
}

static size_t
answer_record_size(const struct answer *answer)
{
	size_t n = 1 + 4 + 8 + answer->path.n + 8;

	VEC_EACH(&answer->items, struct str, item)
		n += 8 + item->n;
	return (n);
}

struct str
conf_source_record(struct conf_source *source, struct pool *pool)
{
	struct answers *as = answers_of(source);
	size_t n = magic.n;
	char *record, *out;

	VEC_EACH(&as->order, struct answer *, it)
		n += answer_record_size(*it);
	record = out = pool_alloc(pool, n);
	memcpy(out, magic.p, magic.n);
	out += magic.n;
	VEC_EACH(&as->order, struct answer *, it) {
		out = put_uint(out, (*it)->kind, 1);
		out = put_uint(out, (uint64_t)(*it)->error, 4);
		out = put_str(out, (*it)->path);
		out = put_uint(out, (*it)->items.count, 8);
		VEC_EACH(&(*it)->items, struct str, item)
			out = put_str(out, *item);
	}
	return (str_make(record, n));
}

/* Cuts a number of some bytes off *rest.  False: too short. */
static bool
take_uint(struct str *rest, unsigned bytes, uint64_t *value)
{
	if (rest->n < bytes)
		return (false);
	*value = 0;
	for (unsigned i = bytes; i > 0; i--)
		*value = *value << 8 | (unsigned char)rest->p[i - 1];
	*rest = str_skip(*rest, bytes);
	return (true);
}

static bool
take_str(struct str *rest, struct str *s)
{
	uint64_t n;

	if (!take_uint(rest, 8, &n) || n > rest->n)
		return (false);
	*s = str_make(rest->p, (size_t)n);
	*rest = str_skip(*rest, (size_t)n);
	return (true);
}

/* Linux's errno values end at 4095. */
static bool
counts_are_valid(uint64_t kind, uint64_t error, uint64_t items)
{
	if (kind >= ANSWER_KINDS || error > 4095)
		return (false);
	if (error != 0)
		return (items == 0);
	return (kind == ANSWER_GLOB || items == 1);
}

/* One answer of a record.  Its strings stay in the record. */
static bool
take_answer(struct answers *as, struct str *rest)
{
	uint64_t kind, error, count;
	struct answer *answer;
	struct str path, item;
	bool made;

	if (!take_uint(rest, 1, &kind) || !take_uint(rest, 4, &error) ||
	    !take_str(rest, &path) || !take_uint(rest, 8, &count) ||
	    !counts_are_valid(kind, error, count) || str_chr(path, '\0') != SIZE_MAX)
		return (false);
	answer = answer_slot(as, (enum answer_kind)kind, path, &made);
	if (!made)
		return (false);
	answer->error = (int)error;
	for (; count > 0; count--) {
		if (!take_str(rest, &item))
			return (false);
		if (kind == ANSWER_GLOB && str_chr(item, '\0') != SIZE_MAX)
			return (false);
		*(struct str *)vec_push(&answer->items, as->pool) = item;
	}
	return (true);
}

struct conf_source *
conf_source_replay(struct pool *pool, struct str record)
{
	struct answers *as = answers_new(pool);

	as->source.read = replay_read;
	as->source.glob = replay_glob;
	if (!str_starts(record, magic))
		return (NULL);
	record = str_skip(record, magic.n);
	while (record.n > 0)
		if (!take_answer(as, &record))
			return (NULL);
	return (&as->source);
}

bool
conf_source_replace(struct conf_source *source, struct str path, struct str bytes)
{
	struct answers *as = answers_of(source);
	struct answer *answer = hash_get(as->known[ANSWER_FILE], path);

	if (answer == NULL)
		return (false);
	answer->error = 0;
	answer->items.count = 0;
	*(struct str *)vec_push(&answer->items, as->pool) = bytes;
	return (true);
}
