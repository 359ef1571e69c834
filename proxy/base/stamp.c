/*
 * What tells one state of a file from another.  Called by whoever keeps what it read:
 * the file cache, certificates, the watch for their renewal.
 */
#include "base/stamp.h"

#include <errno.h>

struct stamp
stamp_of(const struct stat *st)
{
	return ((struct stamp){ 0, st->st_dev, st->st_ino, st->st_size, st->st_mtim,
	    st->st_ctim });
}

struct stamp
stamp_take(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return ((struct stamp){ .error = errno });
	return (stamp_of(&st));
}

static bool
time_eq(const struct timespec *a, const struct timespec *b)
{
	return (a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec);
}

bool
stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return (a->error == b->error && a->dev == b->dev && a->ino == b->ino &&
	    a->size == b->size && time_eq(&a->mtime, &b->mtime) && time_eq(&a->ctime, &b->ctime));
}
