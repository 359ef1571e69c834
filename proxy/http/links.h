#ifndef WPROXY_HTTP_LINKS_H
#define WPROXY_HTTP_LINKS_H

#include <stddef.h>

/* Symbolic links on the way to a file (disable_symlinks). */
enum links_rule {
	LINKS_FOLLOW,
	LINKS_REFUSE,		/* none: ELOOP */
	LINKS_OF_OWNER		/* only those whose target belongs to the link's owner */
};

/*
 * open(2) of a path, by one component at a time from offset `from' of it on; what is
 * before is trusted.  No other process can put a link in between.  -1 with errno.  Any thread.
 */
int	links_open(const char *path, size_t from, enum links_rule, int flags);

#endif
