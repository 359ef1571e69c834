#ifndef WPROXY_HTTP_FILE_H
#define WPROXY_HTTP_FILE_H

#include <sys/stat.h>

#include <stdbool.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "http/links.h"
#include "http/request.h"

/*
 * A thread's cache of files: attributes, descriptors, contents of small ones.  An
 * entry is good while one stat() of its path a turn gives the same dev, ino, size,
 * mtime and ctime, so an edited, replaced or deleted file is seen by the next request.
 */
struct file_cache;

struct file {
	struct owner owner;	/* counted: the cache, answers under way */
	int fd;			/* -1: directory, or the contents are in memory */
	bool is_directory;
	bool is_regular;
	uint64_t size;
	time_t mtime;
	const char *content;	/* NULL: not in memory */
	struct str etag;	/* nginx's "mtime-size" with quotes */
	struct str path;
};

struct file_cache	*file_cache_new(void);
void			 file_cache_free(struct file_cache *);

/*
 * The file at path (NUL behind), held for the caller (owner_drop(&f->owner)).  NULL with errno.
 * want_bytes false: existence and kind are enough (try_files, index): no descriptor is opened.
 */
struct file	*file_get(struct http_thread *, struct str path, bool want_bytes);
/*
 * The same under disable_symlinks: opened anew each time, component by component from offset from
 * of path on, and never kept.  ELOOP: a link that the rule forbids.
 */
struct file	*file_get_guarded(struct str path, size_t from, enum links_rule, bool want_bytes);
/* All bytes of it behind out; holds the file. */
void		 file_chain(struct file *, struct chain *out);

/*
 * What was made of the contents of a file that are in memory, e.g. compressed by some setting
 * (kind); kept with them and gone with them.  file_variant(): absent where there is none yet.  Both
 * results live as long as the file is held.
 */
struct str	 file_variant(const struct file *, unsigned kind);
struct str	 file_keep_variant(struct file *, unsigned kind, const struct chain *);

#endif
