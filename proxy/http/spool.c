/*
 * Bytes kept in memory, then in a temporary file.  A request body, or an answer
 * that its client takes slowly.  Offsets are those of the whole; a byte at offset
 * n stands at offset n of the file once there is one.
 *
 *	memory:  [start ... size)            (before the file)
 *	file:    everything from start on    (memory is empty then)
 *
 * All files together leave a part of their file system free: a site whose clients
 * are slow does not fill the disk of everything else that runs there.
 */
#define _GNU_SOURCE	/* O_CLOEXEC with openat-like flags, pwritev */
#include "http/spool.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

#define FREE_PART	20			/* 1/20 of a file system is left free, */
#define FREE_MAX	(UINT64_C(2) << 30)	/* at most this much */
#define CHECK_MIN	(UINT64_C(64) << 10)	/* bytes of a file between two looks at what is free */
#define CHECK_MAX	(UINT64_C(16) << 20)
#define CHECK_PART	1024			/* ... or this part of what is free */
#define NEWS_PAUSE	60000			/* ms */

struct spool {
	/* counted by the maker and by bufs that point into the file */
	struct owner owner;
	struct spool_options options;
	struct chain memory;
	uint64_t start;			/* offset of the first byte in memory */
	uint64_t size;
	uint64_t charged_memory, charged_file;
	uint64_t room_until;		/* the file may grow so far without another look */
	int fd;
	struct pool *pool;		/* for the path */
	struct str path;
};

static atomic_uint_fast64_t memory_used, file_used, file_number;
static uint64_t memory_bound = UINT64_C(1) << 30, file_bound = UINT64_C(1) << 40;

void
spool_set_bounds(uint64_t memory, uint64_t files)
{
	memory_bound = memory;
	file_bound = files;
}

bool
spool_failure_is_news(void)
{
	static atomic_uint_fast64_t said_at;
	uint_fast64_t last = atomic_load(&said_at), now = clock_mono_ms() + 1;

	/* Another thread's clock may be ahead of this one's. */
	return ((last == 0 || now >= last + NEWS_PAUSE) &&
	    atomic_compare_exchange_strong(&said_at, &last, now));
}

static void
spool_release(struct owner *owner)
{
	struct spool *s = (struct spool *)owner;

	chain_clear(&s->memory);
	if (s->fd >= 0) {
		(void)close(s->fd);
		if (s->options.clean_file)
			(void)unlink(s->path.p);
	}
	atomic_fetch_sub(&memory_used, s->charged_memory);
	atomic_fetch_sub(&file_used, s->charged_file);
	pool_free(s->pool);
	free(s);
}

struct spool *
spool_new(const struct spool_options *options)
{
	struct spool *s = xcalloc(1, sizeof(*s));

	s->owner.refs = 1;
	s->owner.release = spool_release;
	s->options = *options;
	s->fd = -1;
	return (s);
}

void
spool_drop(struct spool *s)
{
	owner_drop(&s->owner);
}

uint64_t
spool_size(const struct spool *s)
{
	return (s->size);
}

bool
spool_is_file(const struct spool *s)
{
	return (s->fd >= 0);
}

struct str
spool_path(const struct spool *s)
{
	return (s->fd >= 0 ? s->path : STR(""));
}

/* nginx's names: ten digits, sub-folders from their end. */
static struct str
spool_file_name(struct spool *s, uint64_t number)
{
	char digits[24], folders[24];
	size_t used = 0, end = 10;

	(void)snprintf(digits, sizeof(digits), "%010llu", (unsigned long long)number % 10000000000ULL);
	for (int i = 0; i < 3 && s->options.levels[i] != 0; i++) {
		size_t n = s->options.levels[i];

		end -= n;
		memcpy(folders + used, digits + end, n);
		used += n;
		folders[used++] = '/';
	}
	return (pool_printf(s->pool, STR_FMT "/%.*s%s", STR_ARG(s->options.path), (int)used, folders,
	    digits));
}

static int
spool_create_file(const struct spool *s)
{
	return (open(s->path.p, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
}

/* The sub-folders of the name: each is made when its first file comes. */
static int
spool_create_folders(struct spool *s)
{
	for (size_t n = s->options.path.n + 1; n < s->path.n; n++)
		if (s->path.p[n] == '/' &&
		    mkdir(pool_cstr(s->pool, str_make(s->path.p, n)), 0700) != 0 && errno != EEXIST)
			return (-1);
	return (0);
}

/* Open with O_EXCL; a name that is taken (another process' file) is passed over. */
static int
spool_open_file(struct spool *s)
{
	if (s->pool == NULL)
		s->pool = pool_new(512);
	for (int tries = 0; tries < 1000; tries++) {
		s->path = spool_file_name(s, atomic_fetch_add(&file_number, 1) + 1);
		s->fd = spool_create_file(s);
		if (s->fd < 0 && errno == ENOENT && spool_create_folders(s) == 0)
			s->fd = spool_create_file(s);
		if (s->fd >= 0 || errno != EEXIST)
			break;
	}
	if (s->fd < 0)
		return (-1);
	if (!s->options.keep_file && !s->options.clean_file)
		(void)unlink(s->path.p);
	return (0);
}

static bool
charge(atomic_uint_fast64_t *used, uint64_t bound, uint64_t n)
{
	if (atomic_fetch_add(used, n) + n <= bound)
		return (true);
	atomic_fetch_sub(used, n);
	return (false);
}

/* Is there room for the file up to end?  Asked at its beginning and after every so many bytes. */
static bool
spool_has_room(struct spool *s, uint64_t end)
{
	struct statvfs fs;
	uint64_t unit, avail, reserve, step;

	if (end <= s->room_until || fstatvfs(s->fd, &fs) == -1 || fs.f_blocks == 0)
		return (true);
	unit = fs.f_frsize;
	avail = fs.f_bavail * unit;
	reserve = fs.f_blocks * unit / FREE_PART;
	if (reserve > FREE_MAX)
		reserve = FREE_MAX;
	if (avail < reserve + (end - s->room_until))
		return (false);
	step = (avail - reserve) / CHECK_PART;
	s->room_until = end + (step < CHECK_MIN ? CHECK_MIN : step > CHECK_MAX ? CHECK_MAX : step);
	return (true);
}

static bool
spool_may_grow(struct spool *s, uint64_t end, uint64_t n)
{
	if ((s->options.max != 0 && end > s->options.max) || !spool_has_room(s, end) ||
	    !charge(&file_used, file_bound, n)) {
		errno = EDQUOT;
		return (false);
	}
	s->charged_file += n;
	return (true);
}

/* What a pwritev() wrote: the buf and the place in it that come next. */
static const struct buf *
chain_place(const struct buf *b, size_t *at, size_t n)
{
	*at += n;
	while (b != NULL && *at >= b->n) {
		*at -= b->n;
		b = b->next;
	}
	return (b);
}

static int
file_write(int fd, const struct chain *chain, uint64_t offset)
{
	const struct buf *b = chain->first;
	size_t at = 0;

	while (b != NULL) {
		struct iovec iov[64];
		int count = 0;
		ssize_t n;

		for (const struct buf *c = b; c != NULL && count < 64; c = c->next, count++) {
			iov[count].iov_base = (void *)(uintptr_t)c->p;
			iov[count].iov_len = c->n;
		}
		iov[0].iov_base = (char *)iov[0].iov_base + at;
		iov[0].iov_len -= at;
		n = pwritev(fd, iov, count, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = ENOSPC;
			return (-1);
		}
		b = chain_place(b, &at, (size_t)n);
		offset += (uint64_t)n;
	}
	return (0);
}

/* All of the chain, which is empty then, or nothing: what a failed write left is written over. */
static int
spool_write(struct spool *s, struct chain *chain, uint64_t offset)
{
	uint64_t n = chain->bytes;
	int err;

	if (n == 0)
		return (0);
	if (!spool_may_grow(s, offset + n, n))
		return (-1);
	if (file_write(s->fd, chain, offset) == 0) {
		chain_clear(chain);
		return (0);
	}
	err = errno;
	atomic_fetch_sub(&file_used, n);
	s->charged_file -= n;
	errno = err;
	return (-1);
}

static int
spool_spill(struct spool *s, struct str *path)
{
	*path = s->options.path;
	if (spool_open_file(s) != 0)
		return (-1);
	*path = s->path;
	if (spool_write(s, &s->memory, s->start) != 0) {
		int err = errno;

		(void)close(s->fd);
		if (s->options.keep_file || s->options.clean_file)
			(void)unlink(s->path.p);
		s->fd = -1;
		errno = err;
		return (-1);
	}
	atomic_fetch_sub(&memory_used, s->charged_memory);
	s->charged_memory = 0;
	return (0);
}

int
spool_append(struct spool *s, struct chain *chain, struct str *path)
{
	uint64_t n = chain->bytes;

	*path = s->path;
	if (s->fd < 0) {
		if (!s->options.file_only && s->memory.bytes + n <= s->options.memory &&
		    charge(&memory_used, memory_bound, n)) {
			s->charged_memory += n;
			s->size += n;
			chain_append_packed(&s->memory, chain);
			return (0);
		}
		if (spool_spill(s, path) != 0)
			return (-1);
	}
	if (spool_write(s, chain, s->size) != 0)
		return (-1);
	s->size += n;
	return (0);
}

void
spool_read(struct spool *s, uint64_t offset, uint64_t n, struct chain *out)
{
	assert(offset >= s->start && offset + n <= s->size);
	if (n == 0)
		return;
	if (s->fd >= 0) {
		owner_hold(&s->owner);
		chain_add_file(out, s->fd, (off_t)offset, n, &s->owner);
		return;
	}
	offset -= s->start;
	for (struct buf *b = s->memory.first; b != NULL && n > 0; b = b->next) {
		size_t part;

		if (offset >= b->n) {
			offset -= b->n;
			continue;
		}
		part = b->n - (size_t)offset < n ? b->n - (size_t)offset : (size_t)n;
		if (b->owner == NULL) {		/* bytes inside the node: they die with the spool's chain */
			chain_copy(out, str_make(b->p + offset, part));
		} else {
			owner_hold(b->owner);
			chain_add(out, b->p + offset, part, b->owner);
		}
		n -= part;
		offset = 0;
	}
}

void
spool_forget(struct spool *s, uint64_t offset)
{
	uint64_t n;

	if (s->fd >= 0 || offset <= s->start)
		return;
	n = offset - s->start;
	if (n > s->memory.bytes)
		n = s->memory.bytes;
	chain_drop(&s->memory, n);
	s->start += n;
	s->charged_memory -= n;
	atomic_fetch_sub(&memory_used, n);
}
