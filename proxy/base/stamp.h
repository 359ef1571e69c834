#ifndef WPROXY_BASE_STAMP_H
#define WPROXY_BASE_STAMP_H

#include <sys/stat.h>

#include <stdbool.h>

/*
 * By what a file is known to be the one that was read: whoever edits or replaces it changes one
 * of these.
 */
struct stamp {
	int error;		/* of stat(), 0: it is there */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct stamp	stamp_of(const struct stat *);
/* Of the file that the path names now; errno in error. */
struct stamp	stamp_take(const char *path);
bool		stamp_eq(const struct stamp *, const struct stamp *);

#endif
